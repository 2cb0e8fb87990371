"""Results in words: the effect of changes, what each of them needs, and what geometry explains."""

from __future__ import annotations

from padviz.counting.shares.summary import percent
from padviz.intervals import Estimate
from padviz.phrases import counted
from padviz.trained.trying.seen import Seen
from padviz.trained.trying.trial import Trial, TrialRow

LARGE = 10.0  # a change over the norm: from here on it is written as a multiple
MEANINGS = {
    "today's weights": "Works with today's weights (loses at most twice as much as a shift "
    "by one pixel)",
    "fine-tune": "Fine-tune (worse than a shift by one pixel)",
    "more pictures": "Undecided (use more photographs)",
}


def answer(tried: Trial) -> str:
    """Compare the best and the worst change with the baseline in one sentence."""

    known = sorted((row for row in tried.changes if row.main is not None), key=_harm)
    if not known or tried.shift.main is None:
        return (
            "None of the changes has an output that can be compared with that of the network as "
            "trained."
        )
    best, worst = known[0], known[-1]
    crops = counted(tried.count, "crop")
    verb, by, of = "changes the output", "by", f" of its norm on average over {crops}"
    if tried.kind == "classes":
        verb, by, of = "keeps the top-1", "on", f" of {crops}"
    share = _percent_or_times(tried.shift.main.value or 0)
    shift = f"a shift by one pixel {by} {share}{_divergence(tried.shift)}"
    if len(known) == 1:
        return f"{best.change} {verb} {by} {_effect(best, of)}; {shift}."
    more = f"Of {len(known)} changes, {best.change} harms least: it {verb} {by} {_effect(best, of)}"
    return f"{more}; {worst.change} harms most: {by} {_effect(worst, '')}; {shift}."


def _harm(row: TrialRow) -> tuple[float, ...]:
    """Order changes: by kept answers, then by divergence; or by how far the output moves."""
    values = {name: figure.value or 0 for name, figure in row.figures.items()}
    if "kept" in values:
        return (-values["kept"], values.get("kl", 0))
    return (values["relative"],)


def _effect(row: TrialRow, of: str) -> str:
    figure = row.main or Estimate(None, None, None)
    return f"{_percent_or_times(figure.value or 0)}{of}{_interval(figure)}{_divergence(row)}"


def _divergence(row: TrialRow) -> str:
    kl = row.figures.get("kl")
    return f", KL {cell('kl', kl)}" if kl else ""


def needs(tried: Trial) -> list[str]:
    """List the changes that work with today's weights, that need fine-tuning, and that are
    undecided.
    """
    rows = {what: [row.change for row in tried.changes if row.needs == what] for what in MEANINGS}
    return [f"{MEANINGS[what]}: {', '.join(names)}." for what, names in rows.items() if names]


def explained(seen_map: Seen) -> str:
    """Describe what geometry explains of where a network sees."""
    value = seen_map.by_usage.value or 0
    verb = "is the reverse of"
    for least, words in ((-0.5, "hardly explains"), (0.5, "explains part of"), (0.8, "explains")):
        if value >= least:
            verb = words
    usage = f"Usage {verb} what {seen_map.title} sees (Spearman {with_ends(seen_map.by_usage)})"

    distance = f"{seen_map.by_distance.value:.2f}"
    more = _against(seen_map.gain, 0, "more than", "no more than", "less than")
    if more and value >= -0.5:
        usage += f", {more} distance to the border does ({distance})"
    else:
        usage += f"; distance to the border: {distance}"

    edge = f"edge over inside: {with_ends(seen_map.edge)} seen, {seen_map.edge_usage:.2f} in usage"
    better, same, worse = "better than usage", "no measurable difference", "worse than usage"
    compared = _against(seen_map.edge, seen_map.edge_usage, better, same, worse)
    if compared:
        edge += f" ({compared})"
    return f"{usage}; {edge}."


def _against(value: Estimate, mark: float, above: str, same: str, below: str) -> str:
    """Return the word for where an interval lies; "" where there is none."""
    if value.low is None or value.high is None:
        return ""
    if value.low > mark:
        return above
    if value.high < mark:
        return below
    return same


def cell(name: str, value: Estimate | None) -> str | None:
    """Write a figure and its interval, as tables have them.

    >>> cell("kept", Estimate(0.67, 0.58, 0.75)), cell("kl", Estimate(0.5166, 0.3, 0.79))
    ('67 % (58 to 75)', '0.52')
    """
    if value is None or value.value is None:
        return None
    if name in ("kept", "relative"):
        return f"{_percent_or_times(value.value)}{_interval(value)}"
    if name == "kl" and value.value < 0.1:
        return f"{value.value:.2g}"
    return f"{value.value:.2f}"


def against(row: TrialRow) -> str | None:
    """Write the difference from the baseline in points of percent, with its interval.

    >>> size = {"kept": Estimate(0.67, 0.58, 0.75)}
    >>> against(TrialRow("size", (225, 225), "crop", None, (224, 224), size,
    ...     {"kept": Estimate(-0.19, -0.27, -0.11)}))
    '-19 (-27 to -11)'
    """
    difference = next(iter(row.against_shift.values()), None)
    if difference is None:
        return None
    mean, *interval = (f"{round(100 * end):+,d}" for end in difference if end is not None)
    if not interval:
        return mean
    return f"{mean} ({' to '.join(interval)})"


def _percent_or_times(value: float) -> str:
    """Write a share in percent; a large one as a multiple.

    >>> _percent_or_times(0.8461), _percent_or_times(1234.5)
    ('85 %', '1,234x')
    """
    if value < LARGE:
        return percent(value, 0)
    return f"{value:,.0f}x"


def _interval(value: Estimate) -> str:
    if value.low is None or value.high is None:
        return ""
    if max(value.value or 0, value.high) >= LARGE:
        return f" ({value.low:,.1f}x to {value.high:,.0f}x)"
    return f" ({100 * value.low:.0f} to {100 * value.high:.0f})"


def with_ends(value: Estimate) -> str:
    if value.low is None or value.high is None:
        return f"{value.value:.2f}"
    return f"{value.value:.2f} ({value.low:.2f} to {value.high:.2f})"
