"""Results in words: the effect of changes, what each of them needs, and what geometry explains."""

from __future__ import annotations

from padviz.counting.shares.summary import percent
from padviz.intervals import Estimate
from padviz.trained.trying.seen import Seen
from padviz.trained.trying.trial import Trial, TrialRow

LARGE = 10.0  # a change over the norm: from here on it is written as a multiple
MEANINGS = {
    "today's weights": "Works with today's weights (loses at most twice as much as a shift by one pixel)",
    "fine-tune": "Fine-tune (worse than a shift by one pixel)",
    "more pictures": "Undecided (use more photographs)",
}


def answer(tried: Trial) -> str:
    """Compare the best and the worst change with the baseline in one sentence."""

    def harm(row: TrialRow) -> tuple[float, ...]:
        found = {name: figure.value or 0 for name, figure in row.figures.items()}
        return (-found["kept"], found.get("kl", 0)) if "kept" in found else (found["relative"],)

    def figures(row: TrialRow, of: str, interval: bool = True) -> str:
        figure, kl = row.main or Estimate(None, None, None), row.figures.get("kl")
        diverges = f", KL {cell('kl', kl)}" if kl else ""
        return f"{_percent_or_times(figure.value or 0)}{of}{_interval(figure) if interval else ''}{diverges}"

    known = sorted((row for row in tried.changes if row.main is not None), key=harm)
    if not known or tried.shift.main is None:
        return "None of the changes has an output that can be compared with that of the network as trained."
    best, worst = known[0], known[-1]
    crops = f"{tried.count} crop{'' if tried.count == 1 else 's'}"
    verb, by, of = "changes the output", " by", f" of its norm on average over {crops}"
    if tried.kind == "classes":
        verb, by, of = "keeps the top-1", " on", f" of {crops}"
    shift = f"; a shift by one pixel{by} {figures(tried.shift, '', interval=False)}"
    if len(known) == 1:
        return f"{best.name} {verb}{by} {figures(best, of)}{shift}."
    more = f"Of {len(known)} changes, {best.name} harms least: it {verb}{by} {figures(best, of)}"
    return f"{more}; {worst.name} harms most:{by} {figures(worst, '')}{shift}."


def needs(tried: Trial) -> list[str]:
    """List the changes that work with today's weights, that need fine-tuning, and that are undecided."""
    rows = {what: [row.name for row in tried.changes if row.needs == what] for what in MEANINGS}
    return [f"{MEANINGS[what]}: {', '.join(names)}." for what, names in rows.items() if names]


def explained(seen_map: Seen) -> str:
    """Describe what geometry explains of where a network sees."""

    def beside(value: Estimate, mark: float, above: str, same: str, below: str, unknown: str) -> str:
        if value.low is None or value.high is None:
            return unknown
        return above if value.low > mark else below if value.high < mark else same

    verbs = ((0.8, "explains"), (0.5, "explains part of"), (-0.5, "hardly explains"))
    value, distance = seen_map.by_usage.value or 0, f"{seen_map.by_distance.value:.2f}"
    verb = next((verb for least, verb in verbs if value >= least), None)
    more = beside(seen_map.gain, 0, "more than", "no more than", "less than", "")
    compared = f", {more} distance to the border does ({distance})" if more and verb else ""
    compared = compared or f"; distance to the border: {distance}"
    words = " (better than usage)", " (no measurable difference)", " (worse than usage)", ""
    edge = f"{with_ends(seen_map.edge)} seen, {seen_map.edge_usage:.2f} in usage"
    return (
        f"Usage {verb or 'is the reverse of'} what {seen_map.title} sees (Spearman {with_ends(seen_map.by_usage)})"
        f"{compared}; edge over inside: {edge}{beside(seen_map.edge, seen_map.edge_usage, *words)}."
    )


def cell(name: str, value: Estimate | None) -> str | None:
    """Write a figure and its interval, as tables have them.

    >>> cell("kept", Estimate(0.67, 0.58, 0.75)), cell("kl", Estimate(0.5166, 0.3, 0.79))
    ('67 % (58 to 75)', '0.52')
    """
    if value is None or value.value is None:
        return None
    if name in ("kept", "relative"):
        return f"{_percent_or_times(value.value)}{_interval(value)}"
    return f"{value.value:.2f}" if name == "correlation" or value.value >= 0.1 else f"{value.value:.2g}"


def against(row: TrialRow) -> str | None:
    """Write the difference from the baseline in points of percent, with its interval.

    >>> size = {"kept": Estimate(0.67, 0.58, 0.75)}
    >>> against(TrialRow("size", (225, 225), "crop", None, (224, 224), size, {"kept": Estimate(-0.19, -0.27, -0.11)}))
    '-19 (-27 to -11)'
    """
    difference = next(iter(row.against_shift.values()), None)
    if difference is None:
        return None
    mean, *interval = (f"{round(100 * end):+,d}" for end in difference if end is not None)
    return f"{mean} ({' to '.join(interval)})" if interval else mean


def _percent_or_times(value: float) -> str:
    """Write a share in percent; a large one as a multiple.

    >>> _percent_or_times(0.8461), _percent_or_times(1234.5)
    ('85 %', '1,234x')
    """
    return percent(value, 0) if value < LARGE else f"{value:,.0f}x"


def _interval(value: Estimate) -> str:
    if value.low is None or value.high is None:
        return ""
    if max(value.value or 0, value.high) >= LARGE:
        return f" ({value.low:,.1f}x to {value.high:,.0f}x)"
    return f" ({100 * value.low:.0f} to {100 * value.high:.0f})"


def with_ends(value: Estimate) -> str:
    ends = "" if value.low is None or value.high is None else f" ({value.low:.2f} to {value.high:.2f})"
    return f"{value.value:.2f}{ends}"
