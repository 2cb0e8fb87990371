"""Results in words: the answer of a trial in one sentence, what each change needs, and what geometry explains."""

from __future__ import annotations

from padviz.counting.shares.summary import percent
from padviz.intervals import Estimate
from padviz.trained.trying.seen import Seen
from padviz.trained.trying.trial import Trial, TrialRow

LARGE = 10.0  # a change over the norm: from here on it is told as a multiple


def answer(tried: Trial) -> str:
    """Say in one sentence what the changes do, beside the yardstick.

    >>> shift = TrialRow("shift", (224, 224), None, None, (224, 224), {"kept": Estimate(0.86, 0.8, 0.92)})
    >>> size = TrialRow("size", (225, 225), "crop", None, (224, 224), {"kept": Estimate(0.67, 0.58, 0.75)})
    >>> answer(Trial("net", "net", (224, 224), "photos", 64, 13, "output", "classes", (shift, size)))[:66]
    '225 px by one more row keeps the top-1 on 67 % of 64 crops (58 to '
    """
    known = [row for row in tried.changes if row.main is not None]
    if not known or tried.shift.main is None:
        return "None of the changes has an output that can be compared with that of the network as trained."
    known.sort(key=_harm)
    best, worst = known[0], known[-1]
    verb, by = ("keeps the top-1", " on") if tried.kind == "classes" else ("changes the output", " by")
    of = f" of {crops(tried)}" if tried.kind == "classes" else f" of its norm, in the mean over {crops(tried)}"
    shift = f"; a shift by one pixel{by} {_figures(tried.shift, '', interval=False)}"
    if len(known) == 1:
        return f"{best.name} {verb}{by} {_figures(best, of)}{shift}."
    more = f"Of {len(known)} changes, {best.name} harms least: it {verb}{by} {_figures(best, of)}"
    return f"{more}; {worst.name} harms most:{by} {_figures(worst, '')}{shift}."


def _harm(row: TrialRow) -> tuple[float, ...]:
    """Order changes by the answers lost, then by divergence, or by how far the output moves."""
    found = {name: figure.value or 0 for name, figure in row.figures.items()}
    return (-found["kept"], found.get("kl", 0)) if "kept" in found else (found["relative"],)


def _figures(row: TrialRow, of: str, interval: bool = True) -> str:
    """Write the main figure of a change, its interval, and the divergence."""
    figure, kl = row.main, row.figures.get("kl")
    assert figure is not None
    diverges = f", KL {cell('kl', kl)}" if kl else ""
    return f"{moved(figure.value or 0)}{of}{span(figure) if interval else ''}{diverges}"


def needs(tried: Trial) -> list[str]:
    """Say which changes work with today's weights, which need fine-tuning, and which ask for more pictures."""
    meanings = {
        "today's weights": "Works with today's weights, loses at most twice what a shift by one pixel loses",
        "fine-tune": "Fine-tune, worse than a shift by one pixel",
        "more pictures": "Not settled, use more pictures",
    }
    rows = {what: [row.name for row in tried.changes if row.needs == what] for what in meanings}
    return [f"{meanings[what]}: {', '.join(names)}." for what, names in rows.items() if names]


def explained(seen_map: Seen) -> str:
    """Say what geometry explains of where a network sees, and what it does not.

    From a rank correlation of .8 on it explains the order of places, from .5 on a part of it, and from -.5 down it has
    it reversed.
    """
    by, gain, edge = seen_map.by_usage, seen_map.gain, seen_map.edge
    verbs = ((0.8, "explains the order"), (0.5, "explains a part of the order"), (-0.5, "hardly explains the order"))
    verb = next((verb for least, verb in verbs if (by.value or 0) >= least), "has the order reversed")
    more = _beside(gain, 0, "more than ", "no more than ", "less than ", "beside ")
    words = "better than counts say, at ", "as well as counts say, at ", "worse than counts say, at ", "at "
    rim = _beside(edge, seen_map.edge_usage, *words)
    return (
        f"Geometry {verb} of places that {seen_map.title} sees: Spearman {with_ends(by)} with usage, {more}"
        f"the {seen_map.by_distance.value:.2f} of the plain distance to the border; it sees the edge {rim}"
        f"{with_ends(edge)} of the inside, where usage has {seen_map.edge_usage:.2f}."
    )


def _beside(value: Estimate, mark: float, above: str, same: str, below: str, unknown: str) -> str:
    """Choose the word that fits: the interval lies above the mark, around it, or below; or there is none."""
    if value.low is None or value.high is None:
        return unknown
    return above if value.low > mark else below if value.high < mark else same


def ends(value: Estimate) -> str:
    return "" if value.low is None or value.high is None else f" ({value.low:.2f} to {value.high:.2f})"


def crops(tried: Trial) -> str:
    """Say how many crops there are."""
    return f"{tried.count} crop{'' if tried.count == 1 else 's'}"


def cell(name: str, value: Estimate | None) -> str | None:
    """Write a figure and its interval, as tables have them.

    >>> cell("kept", Estimate(0.67, 0.58, 0.75)), cell("kl", Estimate(0.5166, 0.3, 0.79))
    ('67 % (58 to 75)', '0.52')
    """
    if value is None or value.value is None:
        return None
    if name in ("kept", "relative"):
        return f"{moved(value.value)}{span(value)}"
    return f"{value.value:.2f}" if name == "correlation" or value.value >= 0.1 else f"{value.value:.2g}"


def against(row: TrialRow) -> str | None:
    """Write the difference from the yardstick in points of percent, with its interval.

    >>> size = {"kept": Estimate(0.67, 0.58, 0.75)}
    >>> against(TrialRow("size", (225, 225), "crop", None, (224, 224), size, {"kept": Estimate(-0.19, -0.27, -0.11)}))
    '-19 (-27 to -11)'
    """
    difference = next(iter(row.against_shift.values()), None)
    if difference is None:
        return None
    mean, *interval = (f"{round(100 * end):+,d}" for end in difference if end is not None)
    return f"{mean} ({' to '.join(interval)})" if interval else mean


def moved(value: float) -> str:
    """Write a share in percent; a large one as a multiple.

    >>> moved(0.8461), moved(1234.5)
    ('85 %', '1,234x')
    """
    return percent(value, 0) if value < LARGE else f"{value:,.0f}x"


def span(value: Estimate) -> str:
    """Write the interval of a share in parentheses, if there is one."""
    if value.low is None or value.high is None:
        return ""
    if max(value.value or 0, value.high) >= LARGE:
        return f" ({value.low:,.1f}x to {value.high:,.0f}x)"
    return f" ({100 * value.low:.0f} to {100 * value.high:.0f})"


def with_ends(value: Estimate) -> str:
    """Write a figure and its interval.

    >>> with_ends(Estimate(0.926, 0.9, 0.95))
    '0.93 (0.90 to 0.95)'
    """
    return f"{value.value:.2f}{ends(value)}"
