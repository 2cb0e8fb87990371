"""What a network does to the border of an image, and what could be changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypedDict

from padviz.advice.evidence import SMALL
from padviz.advice.remedies import MapOutcome, Outcome, Remedy
from padviz.advice.verdict import DRAWN, Audit, examine
from padviz.advice.wording import HELPLESS, NOTHING, UNTRAINED
from padviz.analyses.asked import Pixels, Source, asked
from padviz.analyses.result import Result
from padviz.analyses.usage import fairness
from padviz.counting.shares.summary import percent
from padviz.errors import OptionError, SizeError
from padviz.network.network import Network, Size, in_words
from padviz.network.rewrites import cut_and_pad, with_same
from padviz.options import (
    ALL_CHANGES,
    EACH_MODEL,
    EACH_SIZE,
    HEADS,
    IMAGES,
    LAYERS,
    PADDING,
    SAME,
    WEIGHTS,
    Command,
)
from padviz.phrases import counted, some_names
from padviz.progress import Progress
from padviz.reports.documents import picked, plain
from padviz.reports.report import Block, Column, Facts, Heading, Lines, Report, Table
from padviz.reports.rows import about, about_all, flat, table_of
from padviz.reports.tables import by_axis, pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from padviz.trained.trying.trial import Trial


class AuditResult(Result[Remedy], Audit):
    """An audit: `.verdict`, the sentences and figures behind it, and `.remedies`, which are its
    rows.
    """


def audit(
    network: Annotated[Source, EACH_MODEL],
    size: Annotated[Pixels, EACH_SIZE] = None,
    layer: Annotated[str | Sequence[str] | None, LAYERS] = None,
    *,
    padding: Annotated[str | None, PADDING] = None,
    same: Annotated[bool, SAME] = False,
    heads: Annotated[str | None, HEADS] = None,
    all_: Annotated[bool, ALL_CHANGES] = False,
    images: Annotated[str | Path | None, IMAGES] = None,
    weights: Annotated[str | Path | None, WEIGHTS] = None,
    on_progress: Progress | None = None,
) -> AuditResult:
    """Judge how a network treats the border of an image at a size, and find what could be changed,
    best first.

    It tries the nearest balanced sizes, a larger image, a margin around the image, and padding
    schemes on both axes or on one, also combined. It tries pads that make uneven windows even,
    strides of uneven convolutions moved into pools, and a cropped output.

    Parameters
    ----------
    network, size, layer, padding, same, heads
        As for `usage`.
    all_ : bool
        The text that is printed lists the changes with their figures and edits, too. With `images`
        it always does.
    images : str or Path, optional
        A folder of photographs: the sizes and schemes among the remedies are tried on the network
        as it is.
    weights, on_progress
        As for `trial`, with `images`.

    Returns
    -------
    AuditResult
        With `.verdict`, the sentences `.border`, `.now`, `.training`, `.accuracy`, `.symmetry` and
        `.padding`, the command `.measure`, and `.remedies`, first those that work with today's
        weights: what each is, its edits, what it needs, and its outcome.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Notes
    -----
    The geometry of each is counted exactly; `trial` measures what it does to a trained network.
    Source: Alsallakh et al., ICLR 2021: balanced sizes, padding schemes, pools for strides.

    Examples
    --------
    >>> judged = audit("resnet50", 224)
    >>> judged.verdict
    'lopsided rim'
    >>> judged.best, judged.to_try
    ('nothing without training', 'partial padding')
    >>> first = judged.remedies[0]
    >>> first.what, first.edit[0], first.as_is, first.trained
    ('partial padding', 'padviz.repad(module, "partial")', -19.1, -2.0)
    """
    if weights and not images:
        raise OptionError(
            "goes with `images`", option="weights", hint="add it, or leave out the weights"
        )
    with asked(network, size, padding, same) as (wanted, _):
        judged = examine(wanted, size, layer, heads).audit
        if images:
            tried, notes = _tried(network, weights, judged, images, on_progress)
        else:
            tried, notes = (None, ())
        draw, report = (
            partial(_drawn, wanted, size, layer, heads),
            partial(report_of, [judged], tried, all_),
        )
        return AuditResult.made_of(
            judged, judged.remedies, report, draw, pictured=True, notes=notes, part=judged
        )


def _drawn(
    network: Network,
    size: Pixels,
    layer: str | Sequence[str] | None,
    heads: str | None,
    cmap: str | None = None,
) -> Figure:
    from padviz.figures.maps import panels

    return panels.compared(
        examine(network, size, layer, heads, DRAWN).maps, "remedy", "share", cmap
    )


def _tried(
    network: Any,
    weights: str | Path | None,
    audit: Audit,
    images: str | Path,
    on_progress: Progress | None,
) -> tuple[Trial, tuple[str, ...]]:
    from padviz.analyses.trial import trial
    from padviz.trained.images import TooSmall

    sized = [remedy.outcome for remedy in audit.remedies if remedy.kind in ("size", "larger")]
    sizes = [(outcome.size[0], outcome.size[1]) for outcome in sized]
    schemes = [r.padding for r in audit.remedies if r.kind == "padding" and r.padding]
    if not sizes and not schemes:
        raise OptionError(
            "no remedy is a size or a padding scheme", option="images", hint="leave it out"
        )
    at = (audit.size[0], audit.size[1])
    run = partial(
        trial,
        network,
        images,
        padding=schemes,
        trained_at=at,
        weights=weights,
        on_progress=on_progress,
    )
    try:
        tried = run(size=sizes)
        return tried, tried.notes
    except TooSmall as error:
        near = [size for size in sizes if sum(size) < sum(at) + NEAR]
        if near == sizes:
            raise
        tried = run(size=near)
        return tried, (f"{error.what}: larger sizes are not tried", *tried.notes)


# pixels that height and width gain together: larger sizes are left out where pictures are too small
NEAR = 32
NAMED = 4  # layers of a line
SENTENCES = ("border", "now", "training", "margin", "accuracy", "measure")
DETAILS = ("symmetry", "padding")
MEND = 8  # uneven windows, which are what the reader came for
UNITS = ("", "K", "M", "G", "T", "P")
SEVERALLY = "The audit of one network says more."
BLANK = " Blank: no fair shares; `padviz audit` of that network alone says why."


@dataclass(frozen=True)
class Failed:
    """A network, one of several, that cannot run at a size, and why."""

    network: str
    title: str
    size: Size
    error: str
    scheme: str | None = None


EFFECTS = ("kind", "needs", "price", "as_is", "trained", "macs_ratio", "edit")
# Beside rows and sentences, in JSON.
FACTS = "verdict target heads best to_try alike standing reach offset offset_by grid cannot notes"


class Row(NamedTuple):
    """A network as it is or with a remedy; or what stands above some of those."""

    what: str
    outcome: Outcome | None = None
    remedy: Remedy | None = None
    of: Audit | Failed | None = None


RIM, STARVED, OVERUSED = fairness(lambda row: row.outcome)
RIM = RIM._replace(means="starved px above or left, below or right")
STARVED = STARVED._replace(means="fewer than half the paths of a pixel far from every border")
OVERUSED = OVERUSED._replace(spare=2, means="more than 3/2 of those paths")
UNEVEN = Column(
    "uneven",
    of=lambda row: row.outcome and row.outcome.uneven_convolutions,
    means="convolutions that read more padding on one side",
)
JUDGED = (UNEVEN, STARVED, OVERUSED, RIM)
MACS = Column(
    "macs",
    show="{:.2f}x",
    spare=1,
    means="multiply-adds relative to today",
    of=lambda row: row.outcome and (row.remedy.macs_ratio if row.remedy else 1.0),
)
POINTS = (
    Column("what", "points lost or gained"),
    Column("as_is", "untrained", "{:+.1f}"),
    Column("trained", "at worst after training", "{:+.1f}"),
)
REMEDY = (Column("remedy", of=lambda row: row.what), *JUDGED, MACS)
NEEDS = Column("needs", of=lambda row: row.remedy and row.remedy.needs)
SEVERAL = (
    Column("network", of=lambda row: row.of.network),
    Column("size", of=lambda row: pixels(row.of.size)),
    Column(
        "verdict",
        of=lambda row: row.of.error if isinstance(row.of, Failed) else row.of.verdict,
        spare=1,
    ),
    *JUDGED[:2],
    OVERUSED,
    RIM._replace(spare=3),  # of which the verdict speaks
    Column(
        "best",
        "advice",
        of=lambda row: None if isinstance(row.of, Failed) else _best(row.of),
        means="if the border itself matters to you, with training unless it says so",
    ),
)


class AuditRow(TypedDict):
    """A network as it is ("today") or with a change, and what the change needs; with the figures of
    its outcome.

    `as_is` and `trained` are measured effects on the accuracy of small networks, in points. `error`
    says why a network cannot run at a size.
    """

    network: str
    size: list[int]
    padding: str | None
    verdict: str | None
    error: str | None
    change: str
    kind: str | None
    needs: str | None
    price: str | None
    as_is: float | None
    trained: float | None
    macs_ratio: float | None
    edit: list[str] | None


def _sheet(rows: Sequence[Row]) -> Table:
    """Return the rows of JSON and CSV."""
    listed = []
    for row in rows:
        audit, remedy = row.of, row.remedy
        assert audit is not None
        figures: dict[str, object] = {
            "network": audit.network,
            "size": [*audit.size],
            "padding": audit.scheme,
            "verdict": getattr(audit, "verdict", None),
            "error": getattr(audit, "error", None),
            "change": row.what,
            **{key: getattr(remedy, key, None) for key in EFFECTS},
        }
        outcome = flat(Outcome, row.outcome)
        if row.outcome is None:
            outcome.pop("size")
        if remedy is not None and remedy.padding is not None:
            figures["padding"] = remedy.padding
        listed.append(plain({**figures, **outcome}))
    return table_of(listed, listed)


def _result(audit: Audit | Failed) -> dict[str, object]:
    """Return what is said of a network, beside the rows: sentences, and names of layers."""
    facts = about(audit.network, audit.size, audit.scheme) | {"title": audit.title}
    if isinstance(audit, Failed):
        return facts | {"error": audit.error}
    facts |= {
        "error": None,
        "sentences": {key: getattr(audit, key) for key in (*SENTENCES, *DETAILS)},
    }
    facts |= picked(audit, FACTS)
    facts["layers"] = picked(audit, "uneven_convolutions uneven_pools remainders")
    # The rows have the others.
    shown, figures = flat(Outcome, audit.outcome), flat(MapOutcome, audit.outcome)
    return facts | {key: figure for key, figure in figures.items() if key not in shown}


def _best(audit: Audit) -> str:
    """Write what to do without training, or else the change to train with."""
    if audit.best == UNTRAINED and audit.to_try:
        return audit.to_try
    if audit.best in (NOTHING, HELPLESS):
        return audit.best
    return f"{audit.best}, no training"


def report_of(
    audits: Sequence[Audit | Failed], tried: Trial | None = None, all_: bool = False
) -> Report:
    results = [*map(_result, audits)]
    notes = dict.fromkeys(chain(*(getattr(audit, "notes", ()) for audit in audits)))
    facts = about_all(results) | {"notes": [*notes], "results": results, "trial": None}
    if tried:
        from padviz.analyses.trial import trial_facts, trial_rows

        facts["trial"] = trial_facts(tried) | {"rows": trial_rows(tried).records}
    rows, paper = [], []
    for audit in audits:
        title, outcomes = f"{audit.title}, {in_words(audit.size)}", [Row("today", of=audit)]
        if isinstance(audit, Audit):
            outcomes = [Row("today", audit.outcome, None, audit)]
            for remedy in audit.remedies:
                outcomes.append(Row(remedy.what, remedy.outcome, remedy, audit))
            paper.append(_paper(f"{title}: {audit.verdict}", audit, outcomes, tried))
        else:
            paper.append([Heading(f"{title}: {audit.error}")])
        rows.append(outcomes)
    first, today = audits[0], [outcomes[0] for outcomes in rows]
    blank = any(row.outcome is not None and row.outcome.share is None for row in today)
    screen: list[Block] = [Table(SEVERAL, today, SEVERALLY + BLANK * blank)]
    if len(audits) == 1 and isinstance(first, Audit):
        screen = _screen(first, tried, all_ or tried is not None)
    return Report(
        "audit",
        facts,
        [screen],
        _sheet([*chain(*rows)]),
        paper,
    )


def _paper(title: str, audit: Audit, rows: Sequence[Row], tried: Trial | None) -> list[Block]:
    def edit_of(row: Row) -> str:
        if row.remedy:
            return "; ".join([*row.remedy.edit, *_besides(audit.outcome, row.remedy)])
        return ""

    table = Table((*REMEDY, *_measured(tried), NEEDS, Column("edit", of=edit_of)), rows)
    return [
        Heading(title),
        Facts((key.capitalize(), getattr(audit, key)) for key in (*SENTENCES, *DETAILS)),
        table,
        Lines(audit.cannot),
    ]


def _screen(audit: Audit, tried: Trial | None, all_: bool) -> list[Block]:
    """Return the answer in six sentences; with `all_`, what is behind it and all changes, too."""
    title = f"{audit.title}, {in_words(audit.size)}, to {some_names(audit.target, NAMED)}"
    answer = Facts((key.capitalize(), getattr(audit, key)) for key in SENTENCES)
    if not all_:
        more = "--all shows what is behind this."
        if audit.remedies:
            changes = counted(len(audit.remedies), "change")
            more = f"--all shows what is behind this, and {changes} with figures and edits."
        return [Heading(title), answer, Lines([more])]
    if macs := audit.outcome.macs:
        power = min((len(str(macs)) - 1) // 3, len(UNITS) - 1)
        title += f", {f'{macs / 1000**power:.3g} {UNITS[power]}'.rstrip()} multiply-adds"
    details = [(key.capitalize(), getattr(audit, key)) for key in DETAILS]
    blocks: list[Block] = [Heading(title), answer, Facts([*details, *_figures(audit)])]
    if audit.remedies:
        rows = [Row("  today", audit.outcome)]
        group = ""
        for i, remedy in enumerate(audit.remedies, 1):
            needs = f"{remedy.needs}{', not advised' if remedy.price else ''}"
            if needs != group:
                rows.append(Row(group := needs))
            rows.append(Row(f"{i} {remedy.what}", remedy.outcome, remedy))
        table = Table((*REMEDY, *_measured(tried)), rows, _legend(rows))
        edited = _edited(audit.outcome, audit.remedies)
        blocks += [table, Lines(edited, indent=2)]
        known = [remedy for remedy in audit.remedies if remedy.trained is not None]
        if known and not tried:
            blocks.append(Table(POINTS, known, f"In {SMALL}; no change is 0. Yours: --images."))
    return [*blocks, Lines(audit.cannot)]


def _legend(rows: Sequence[Row]) -> str:
    said = ["Ordered by training needed, points lost, starved and overused pixels, multiply-adds."]
    outcomes = [row.outcome for row in rows if row.outcome]
    if any(outcome.share is None for outcome in outcomes):
        said.append("Starved, overused and rim are blank: see Border.")
    if any(not outcome.macs for outcome in outcomes):
        said.append("macs are unknown where a layer does not say its channels.")
    return " ".join(said)


def _measured(tried: Trial | None) -> Iterator[Column]:
    """Yield the column of what was measured on the user's network."""
    if tried is None:
        return
    name, nothing, what = "changed", "0.0 %", "of the output's norm, as it is"
    if tried.kind == "classes":
        name, nothing, what = "top-1 kept", "100.0 %", "answers kept as it is"
    if tried.shift.main:
        baseline = f"{percent(tried.shift.main.value or 0)} under a shift by one pixel"
        what = f"{what} ({tried.count} crops; {baseline})"
    yield Column(
        name,
        of=lambda row: row.outcome and (_on_images(row.remedy, tried) if row.remedy else nothing),
        means=what,
    )


def _edited(before: MapOutcome, listed: list[Remedy]) -> list[str]:
    """Return a numbered line on how each remedy is made; that of a second padding scheme is as the
    first's.
    """
    lines, schemes = [], [i for i, remedy in enumerate(listed, 1) if remedy.kind == "padding"]
    for i, remedy in enumerate(listed, 1):
        if i in schemes[1:]:
            edit = f"as {schemes[0]}, with {remedy.padding}"
        else:
            edit = _edit(remedy)
        lines.append(f"{i} {'; '.join([edit, *_besides(before, remedy)])}")
    return lines


def _edit(remedy: Remedy) -> str:
    """Write how a remedy is made, with layers that are edited alike together."""
    if remedy.kind in ("both", "margin"):
        return " and ".join(remedy.edit)
    if remedy.kind == "padding":
        return " or ".join(remedy.edit[:2])
    if remedy.kind in ("size", "larger"):
        return "; ".join([*remedy.edit[:-2], " ".join(remedy.edit[-2:])])
    if remedy.kind == "pads":
        return f"{remedy.edit[0]}; or {', '.join(remedy.edit[1:])}"
    alike: dict[str, list[str]] = {}
    for edit in remedy.edit:
        layer, _, how = edit.rpartition(": ")
        alike.setdefault(how, []).append(layer)
    return "; ".join(f"{how}: {some_names(layers, NAMED)}" for how, layers in alike.items())


def _besides(before: MapOutcome, remedy: Remedy) -> list[str]:
    """Return what speaks against a remedy and is not in the columns."""
    remarks, left = [], remedy.outcome.remainders
    if remedy.price and not remedy.price.endswith("multiply-adds"):  # which the column says
        remarks.append(remedy.price)
    if left > before.remainders:
        remarks.append(f"leaves rows unread in {counted(left, 'layer')}")
    return remarks


def _figures(audit: Audit) -> Iterator[tuple[str, object]]:
    if share := audit.outcome.share:
        ends = share.corners.top_left, share.corners.bottom_right
        at = (
            ""
            if None in ends
            else f"; top left {_share(ends[0] or 0)}, bottom right {_share(ends[1] or 0)}"
        )
        yield "fair shares", f"{_share(share.min)} to {_share(share.max)} (1 is fair){at}"
    if audit.offset_by:
        yield (
            "grid moved",
            some_names([f"{name} {by_axis(by)} px" for name, by in audit.offset_by.items()], NAMED),
        )
    if audit.uneven_pools:
        yield "uneven pools", some_names(audit.uneven_pools, MEND)
    if audit.remainders:
        many = "1 layer leaves"
        if len(audit.remainders) > 1:
            many = f"{len(audit.remainders)} layers leave"
        yield "unread", f"{many} rows or columns unread, first {audit.remainders[0]}"


def _on_images(remedy: Remedy, tried: Trial) -> str:
    size = (remedy.outcome.size[0], remedy.outcome.size[1])
    for row in tried.changes:
        if remedy.kind == "padding":
            same = row.padding == remedy.padding
        else:
            same = row.size == size and row.how == "crop"
        if (
            same
            and remedy.kind != "both"
            and row.main
            and row.kind == ("padding" if remedy.padding else "size")
        ):
            return percent(row.main.value or 0)
    return "not tried"


def _share(value: float) -> str:
    """Write a fair share to two digits, to three above 10, and to one below a thousandth.

    >>> [_share(n) for n in (0.0, 3e-7, 0.00043, 0.0152, 0.968, 1.0, 20.72)]
    ['0', '3e-07', '0.0004', '0.015', '0.97', '1', '20.7']
    """
    return f"{value:.{1 if value < 0.001 else 2 if value < 10 else 3}g}"


def _failed(
    error: SizeError,
    network: Network,
    size: Size,
    padding: str | None = None,
    same: bool = False,
    **others: object,
) -> Failed:
    as_it_runs = cut_and_pad(with_same(network) if same else network, (), padding)
    return Failed(
        network.name, as_it_runs.title, size, f"cannot run: {error.where}: {error.what}", padding
    )


COMMAND = Command(
    audit,
    """Report how MODEL treats the border of an image, and list changes that may help.

    Paths are counted from each pixel to the last feature map. A pixel is starved below half the
    paths of an interior pixel, and overused above 3/2. The rim is the starved band along a side.

    Changes are ordered by the training that they need, what they lost elsewhere, and the pixels
    that they leave starved or overused. Those that are not advised come last.

    \b
    Example:
      padviz audit resnet50 --size 224
      padviz audit resnet50 mobilenet_v2 vgg19 --size 224,512
    """,
    counting="images",
    alone=(IMAGES, ALL_CHANGES),
    together=report_of,
    failed=_failed,
)
