"""What must hold of a network: expectations that are asked for, or rules where nothing is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated, TypedDict, get_args

from padviz.analyses import rules
from padviz.analyses.asked import OptionalSource, Pixels, Source, asked, names
from padviz.analyses.result import Result
from padviz.analyses.rules import RULES, Case, Judged, State, failed, layer_of
from padviz.cutting.context import output_contexts
from padviz.errors import (
    NoSuchFile,
    OptionError,
    PadvizError,
    UnknownName,
    check_integer,
    nearest,
    shortly,
)
from padviz.geometry.comparing.differences import compared
from padviz.geometry.sizing.at_size import at_size, exported_for_another
from padviz.geometry.sizing.nearest import near_sizes
from padviz.geometry.sizing.rules import axis_sizes, sizes_under
from padviz.network.network import AXES, Network, Size, as_size, in_words, sizes_in
from padviz.network.sizes import resolve_each
from padviz.network.targets import upto
from padviz.options import (
    ACCEPTS,
    ALL_RULES,
    ANY_SIZE,
    BASELINE,
    CAUSAL,
    CONTEXT,
    EXPECT_EVEN,
    MODEL_OR_PROJECT,
    PRUNE_BASELINE,
    RIM,
    SAME_AS,
    SIZES,
    UNSTRETCHED,
    WRAPS,
    WRITE_BASELINE,
    Command,
)
from padviz.phrases import some_names
from padviz.reports.report import (
    FINDINGS,
    Block,
    Column,
    Finding,
    Heading,
    Level,
    Lines,
    Report,
    Table,
    columns,
)
from padviz.reports.rows import about_all, rows_of

# What was typed wrong; what exists and cannot be read is not judged.
BAD_INPUT = OptionError, NoSuchFile, UnknownName
TAKEN = 64, 1024  # the smallest and the largest size that `accepts` is about


def expected(**asked_for: object) -> dict[str, object]:
    """Return the keywords of `check` that are given, with sizes listed. Raises OptionError for
    another type.
    """
    given = {}
    for name, value in asked_for.items():
        if value is None or value == ():
            continue
        checked = _expectation(name, value)
        if checked is not False:
            given[name] = checked
    return given


def _expectation(name: str, value: object) -> object:
    """Return what is expected, in the form that `check` takes; False for a flag that is not set."""
    match name:
        case "context" | "rim":
            check_integer(value, 0, name)
        case "even" | "all_" | "unstretched" | "causal":
            if not isinstance(value, bool) and not (name == "causal" and isinstance(value, str)):
                raise OptionError(f"{shortly(value)}: must be true or false", option=name)
        case "wraps":
            if isinstance(value, str | list | tuple):
                axes = names(value)
            else:
                axes = ()
            if not axes:
                what = f"{shortly(value)} names no axis"
                raise OptionError(what, option=name, hint="use height or width")
            return axes
        case "any_size":
            return _sizes(value)
        case "accepts":
            if not isinstance(value, str) or not sizes_under(value, *TAKEN):
                what = f"{shortly(value)} is not a rule of sizes"
                raise OptionError(what, option=name, hint='use "16*i" or "32*i + 1"')
    return value


def _sizes(sizes: object) -> list[Size]:
    """List sizes: the text of an option, a pair (LO, HI) with all between, or a list."""
    if isinstance(sizes, str):
        return sizes_in(sizes, "any_size")
    if not isinstance(sizes, Iterable):
        raise OptionError(f"{shortly(sizes)} are no sizes", option="any_size", hint='use "64:512"')
    listed = [*sizes]
    if isinstance(sizes, tuple) and len(listed) == 2 and all(isinstance(n, int) for n in listed):
        return sizes_in(f"{listed[0]}:{listed[1]}", "any_size")
    return [*map(as_size, listed)]


@dataclass(frozen=True)
class Checked:
    """The rows of a network at a size; `model` is as it was typed, and has no name if unread."""

    model: str
    size: Size
    rows: tuple[Judged, ...]
    network: str | None = None

    def count(self, state: str) -> int:
        return sum(row.state == state for row in self.rows)

    def __bool__(self) -> bool:
        return not self.count("fails") and not self.count("not judged")


class CheckResult(Result[Judged], Checked):
    """What was found of a network: false unless all that was asked was found true."""

    def __repr__(self) -> str:
        """The verdict and what fails first, on the one line that an assertion prints."""
        rows = [row for row in self.rows if row.state in ("fails", "not judged")]
        more = ""
        if len(rows) > 1:
            more = f"; and {len(rows) - 1} more"
        return f"<{_verdict(self)}{f': {_sentence(rows[0])}{more}' if rows else ''}>"


def check(
    model: Annotated[Source, MODEL_OR_PROJECT],
    size: Annotated[Pixels, SIZES] = None,
    *,
    wraps: Annotated[str | Sequence[str] | None, WRAPS] = None,
    context: Annotated[int | None, CONTEXT] = None,
    causal: Annotated[bool | str, CAUSAL] = False,
    same_as: Annotated[OptionalSource, SAME_AS] = None,
    even: Annotated[bool, EXPECT_EVEN] = False,
    any_size: Annotated[str | Iterable[int | Size] | None, ANY_SIZE] = None,
    accepts: Annotated[str | None, ACCEPTS] = None,
    unstretched: Annotated[bool, UNSTRETCHED] = False,
    rim: Annotated[int | None, RIM] = None,
    all_: Annotated[bool, ALL_RULES] = False,
) -> CheckResult:
    """Check what must hold of a network; where nothing is asked, run five rules.

    Parameters
    ----------
    model, size
        As for `usage`.
    wraps : str or sequence of str, optional
        Axes along which the output shifts with the image, as on a globe: "width".
    context : int, optional
        Context of a tile, in pixels on each side, with which stitched tiles equal the whole image.
    causal : bool or str
        Whether no unit sees ahead along the axis named; True is a signal's length, or a volume's
        depth.
    same_as : str, Path, torch.nn.Module or Network, optional
        A network whose units read the same at this size: the original of a port. Values are not
        compared.
    even : bool
        Whether every convolution reads its padding evenly; pools may not.
    any_size : str, (lowest, highest) or list of sizes, optional
        Sizes at which it can be read: "64:512:32"; it is traced at each.
    accepts : str, optional
        The rule of sizes that it must take on each axis, from 64 to 1024 px: "16*i".
    unstretched : bool
        Whether an output that returns to the image's size lies in place, and the image is read to
        its end.
    rim : int, optional
        The largest starved rim on any side, in pixels.
    all_ : bool
        Whether to list further rules, which never fail.

    Returns
    -------
    CheckResult
        False unless all that was asked was found true; rows with `expectation`, `state` ("holds",
        "fails" or "not judged"), `layer`, `axis`, `wanted`, `found` and `change`. What exists and
        cannot be read is not judged.

    Raises
    ------
    OptionError
        For an expectation or a size that makes no sense.

    Examples
    --------
    >>> bool(check("resnet50", 225, even=True)), bool(check("resnet50", 224, even=True))
    (True, False)
    >>> check("resnet50", 224, even=True)[0].found
    '3 before, 2 after'
    """
    wanted = expected(
        wraps=wraps,
        context=context,
        causal=causal,
        same_as=same_as,
        even=even,
        any_size=any_size,
        accepts=accepts,
        unstretched=unstretched,
        rim=rim,
        all_=all_,
    )
    if isinstance(model, str | Path):
        title = str(model)
    else:
        title = getattr(model, "name", type(model).__name__)
    return checked(title, lambda: model, wanted, None if size is None else as_size(size))


def checked(
    title: str, load: Callable[[], Source], wanted: Mapping[str, object], size: Size | None
) -> CheckResult:
    """Check a network that is yet to be loaded; one that does not exist is an error, and one that
    cannot be read is not judged.
    """
    try:
        with asked(load(), size) as (network, pixels):
            resolve_each(network, pixels)
    except BAD_INPUT:
        raise
    except PadvizError as error:
        return not_judged(title, size, error)
    case, rows = Case(network, pixels), []
    for name, judge in EXPECTATIONS.items():
        if name in wanted:
            rows += _judged(name, partial(judge, wanted=wanted[name]), case)
    rules_alone = not rows
    for name, rule in RULES.items():
        if rules_alone and rule.fails:
            rows += _judged(name, rule.found, case)
        elif "all_" in wanted and not rule.fails:
            failing = [row for row in _judged(name, rule.found, case) if row.state == "fails"]
            rows += [replace(row, state="note") for row in failing]
    return _result(Checked(title, pixels, tuple(rows), network.name))


def not_judged(title: str, size: Size | None, error: PadvizError) -> CheckResult:
    """Return the result of a network that cannot be read."""
    return _result(Checked(title, () if size is None else size, (_unread("model", error),)))


def _judged(name: str, judge: Callable[[Case], Iterator[Judged]], case: Case) -> list[Judged]:
    try:
        rows = [replace(row, expectation=name) for row in judge(case)]
    except BAD_INPUT:
        raise
    except PadvizError as error:
        return [_unread(name, error, case.network)]
    return rows or [Judged(name, "holds", figure=0)]


def _unread(name: str, error: PadvizError, network: Network | None = None) -> Judged:
    layer = layer_of(error, network)
    if layer or not error.where:
        what = error.what
    else:
        what = f"{error.where}: {error.what}"
    return Judged(
        name, "not judged", layer, "", "can be read", what, error.hint.replace("`", ""), 0
    )


def _wraps(case: Case, wanted: Sequence[str]) -> Iterator[Judged]:
    for name in wanted:
        yield from rules.borders(case, _axis(case, name, "wraps"))


def _axis(case: Case, name: str, option: str) -> int:
    axes = case.network.axes
    if name not in axes:
        hint = nearest(str(name), axes, 1) or f"use {' or '.join(axes)}"
        raise OptionError(f"the input has no axis {shortly(name)}", option=option, hint=hint)
    return axes.index(name)


def _context(case: Case, wanted: int) -> Iterator[Judged]:
    for head in output_contexts(case.kept, case.size):
        for axis, context in zip(case.network.axes, head, strict=True):
            least, layer, change = max(context.before, context.after), context.layer, ""
            if context.barrier:
                yield failed(
                    context.barrier.layer,
                    axis,
                    f"{wanted} px",
                    f"no tiles are exact: {context.barrier.why}",
                )
                continue
            if context.alignment > 1:
                change = f"tiles start on multiples of {context.alignment}"
            if least > wanted:
                change = f"read {least} px{f'; {change}' if change else ''}"
            state: State = "fails" if least > wanted else "holds"
            yield Judged(
                "",
                state,
                layer,
                axis,
                f"{wanted} px",
                f"{least} px",
                change,
                max(0, least - wanted),
            )


def _causal(case: Case, wanted: bool | str) -> Iterator[Judged]:
    if wanted is not True:
        axis = _axis(case, str(wanted), "causal")
    elif case.network.axes == AXES[2]:
        hint = 'in Python or pyproject.toml, causal = "height" or "width" names one'
        raise OptionError("an image has no time axis", option="causal", hint=hint)
    else:
        axis = 0
    network, name, px = case.kept, case.network.axes[axis], case.network.px
    sights = rules.sights(network, axis, case.size[axis])
    for target in network.targets:
        ahead, behind = sights[network.index[target]]
        if not ahead:
            late = f"up to {behind} {px} late" if behind else ""
            yield Judged("", "holds", target, name, "sees none ahead", late, figure=0)
            continue
        adding = Counter[str]()
        reached = [sight.ahead for sight in sights]
        for layer in upto(network, (target,)).layers[1:]:
            at = network.index[layer.name]
            before = max(reached[j] for j in network.layers[at].inputs)
            if layer.kind == "pad":
                # What it puts in front moves its units back, for the window behind it alone.
                reached[at] = max(reached[at], before)
            adding[layer.name] = max(0, reached[at] - before)
        most = [f"{rows} in {layer}" for layer, rows in adding.most_common() if rows]
        what = f"sees {ahead} {px} ahead"
        if most != [f"{ahead} in {target}"]:
            what += f": {some_names(most, NAMED)}"
        yield failed(target, name, "sees none ahead", what, "pad in front only", ahead)


def _same_as(case: Case, wanted: Source) -> Iterator[Judged]:
    with asked(wanted, case.size) as (other, _):
        comparison = compared(case.network, other, case.size)
    for row in comparison.differences:
        yield failed(
            row.layer or row.other_layer or "",
            row.axis,
            f"{row.what} {row.other_value}",
            f"{row.what} {row.value}",
            row.change,
        )
    if comparison.differences:
        for ours, theirs in comparison.moved:
            yield failed(ours.layer, "", f"grid offset {theirs.words}", f"grid offset {ours.words}")


def _any_size(case: Case, wanted: list[Size]) -> Iterator[Judged]:
    sizes = [case.network.pixels(size) for size in wanted]
    # What a file declares of its input goes with another export.
    reopened = replace(case.network, declared=())
    asked_for = in_words(sizes[0]) + (f" to {in_words(sizes[-1])}" if len(sizes) > 1 else "")
    refused: list[tuple[Size, PadvizError]] = []
    unread: list[tuple[Size, PadvizError]] = []
    for size in sizes:
        there = at_size(reopened, size)[0]
        if there.refusal and there.unknown:
            unread.append((size, there.refusal))
        elif there.refusal:
            refused.append((size, there.refusal))
    for layer, group in groupby(refused, lambda pair: layer_of(pair[1], case.network)):
        alike = [*group]
        size, error = alike[0]
        where = some_names((in_words(other) for other, _ in alike), 1)
        finding = f"not {where}: {error.what}"
        near = near_sizes(reopened, size)
        change = (
            f"pad the image to {in_words(near.above)}"
            if near.above
            else "derive sizes from the input"
        )
        if exported_for_another(case.network, size):
            change = f"export it again with open axes; {change}"
        yield failed(layer, "", asked_for, finding, change, len(alike))
    if unread:
        _, error = unread[0]
        layer = layer_of(error, case.network)
        where = some_names((in_words(other) for other, _ in unread), 1)
        finding = f"not known at {where}: {error.what}"
        yield Judged(
            "", "not judged", layer, "", asked_for, finding, "try the module there", len(unread)
        )


def _accepts(case: Case, wanted: str) -> Iterator[Judged]:
    asked_for = sizes_under(wanted, *TAKEN) or []
    for axis, name in enumerate(case.network.axes):
        accepted = axis_sizes(
            case.network, (axis,), *TAKEN, range(TAKEN[0], TAKEN[1] + 1), lambda: None
        ).accepted
        taken, unknown = {*accepted.sizes}, {*accepted.unknown}
        refused = [n for n in asked_for if n not in taken | unknown]
        if refused:
            finding = f"refuses {some_names(map(str, refused), 1)}"
            yield failed(
                "",
                name,
                wanted,
                f"{finding}; accepts {accepted.rule}",
                "see padviz sizes",
                len(refused),
            )
        elif unknown & {*asked_for}:
            finding = f"{len(unknown & {*asked_for})} of {len(asked_for)} sizes are not known"
            yield Judged("", "not judged", "", name, wanted, finding, "see padviz sizes")


def _rim(case: Case, wanted: int) -> Iterator[Judged]:
    for axis, ends in rules.rims_of(case):
        state: State = "holds"
        if max(ends) > wanted:
            state = "fails"
        finding, change = f"{ends[0]}, {ends[1]} px", "see padviz audit" * (state == "fails")
        yield Judged(
            "", state, "", axis, f"at most {wanted} px", finding, change, max(0, max(ends) - wanted)
        )


EXPECTATIONS: dict[str, Callable[..., Iterator[Judged]]] = {
    "wraps": _wraps,
    "context": _context,
    "causal": _causal,
    "same_as": _same_as,
    "even": lambda case, wanted: rules.uneven_rows(case),
    "any_size": _any_size,
    "accepts": _accepts,
    "rim": _rim,
    "unstretched": lambda case, wanted: rules.stretched_outputs(case),
}
NAMED = 3  # layers that one finding names
# In a narrow terminal, what is not met, where, and what was found stay longest.
ROWS = (
    *columns("state expectation layer"),
    Column("axis", spare=2),
    Column("wanted", spare=3),
    *columns("found"),
    Column("change", spare=1),
)


class CheckRow(TypedDict):
    """One expectation or rule of a `model`, as it was typed, at one layer and axis.

    `figure` says how far it is from what is wanted.
    """

    network: str | None
    size: list[int]
    padding: None
    model: str
    expectation: str
    state: State
    layer: str | None
    axis: str | None
    wanted: str
    found: str
    change: str
    figure: float


def _result(part: Checked) -> CheckResult:
    return CheckResult.made_of(part, part.rows, partial(report_of, [part]))


def report_of(parts: Sequence[Checked]) -> Report:
    """Report what was found of several networks; it fails with 1, and what was not
    judged with 3.
    """
    screen, findings, failed = [], [], set()
    sheet: list[CheckRow] = []
    for part in parts:
        open_ = [row for row in part.rows if row.state != "holds"]
        blocks: list[Block] = [Heading(_verdict(part)), Table(ROWS, _merged(open_))]
        if true := _held(part.rows):
            blocks.append(Lines([f"{', '.join(true)}."]))
        screen.append(blocks)
        sheet += [_row(part, row) for row in part.rows]
        findings += [_finding(part, row) for row in open_]
        failed |= {row.expectation for row in open_ if row.state == "fails"}
    if ruled := failed & {*RULES}:
        explain = f"padviz rules {min(ruled)} explains the rule."
        screen[-1].append(Lines([explain]))
    counts = {}
    for state in get_args(State):
        counts[state.replace(" ", "_")] = sum(part.count(state) for part in parts)
    facts = about_all(sheet) | {"ok": all(parts), **counts}
    code = 0
    if counts["fails"]:
        code = 1
    elif counts["not_judged"]:
        code = 3
    return Report("check", facts, screen, rows_of(sheet, CheckRow), findings=findings, code=code)


def _row(part: Checked, row: Judged) -> CheckRow:
    return {
        "network": part.network,
        "size": [*part.size],
        "padding": None,
        "model": part.model,
        "expectation": row.expectation,
        "state": row.state,
        "layer": row.layer or None,
        "axis": row.axis or None,
        "wanted": row.wanted,
        "found": row.found,
        "change": row.change,
        "figure": row.figure,
    }


def _finding(part: Checked, row: Judged) -> Finding:
    """Return a row for a log of CI."""
    level: Level = "notice"
    if row.state in ("fails", "not judged"):
        level = "error"
    file = ""
    if part.model.endswith(".toml"):
        file = part.model
    return Finding(level, f"{row.expectation} in {_at(part)}", _sentence(row), file)


def _held(rows: Sequence[Judged]) -> list[str]:
    """List what holds, each expectation once, with the figures that were found."""
    figures: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.state == "holds":
            figures.setdefault(row.expectation, {})[row.found] = None
    held = []
    for name, texts in figures.items():
        held.append(f"{name} holds")
        if any(texts):
            held[-1] += f" ({', '.join(texts)})"
    return held


def _at(part: Checked) -> str:
    if part.size:
        return f"{part.model}, {in_words(part.size)}"
    return part.model


def _verdict(part: Checked) -> str:
    fails, unjudged, known = (part.count(state) for state in ("fails", "not judged", "known"))
    bad = []
    if fails:
        bad.append("1 fails" if fails == 1 else f"{fails} fail")
    if unjudged:
        bad.append(f"{unjudged} not judged")
    if known:
        bad.append(f"{known} known")
    return f"{_at(part)}: {', '.join(bad) or 'all hold at this size'}"


def _sentence(row: Judged) -> str:
    what = f"{row.expectation} {row.state}"
    where = " ".join(filter(None, (row.layer, row.axis and f"({row.axis})")))
    if where:
        what += f" at {where}"
    what += f": wanted {row.wanted}, found {row.found}"
    if row.change:
        what += f"; {row.change}"
    return what


def _merged(rows: Sequence[Judged]) -> list[Judged]:
    """Join rows that differ in layer and axis alone."""
    axes: dict[Judged, list[str]] = {}
    for row in rows:
        axes.setdefault(replace(row, axis="", figure=0), []).append(row.axis)
    layers: dict[Judged, list[str]] = {}
    for row, on in axes.items():
        layers.setdefault(replace(row, layer="", axis=" and ".join(filter(None, on))), []).append(
            row.layer
        )
    return [replace(row, layer=some_names(at) if any(at) else "") for row, at in layers.items()]


COMMAND = Command(
    check,
    """Check what must hold of MODEL: the expectations that are named, or five rules. Findings exit
    with 1.

    Without MODEL, the models, sizes and expectations are those of [tool.padviz] in pyproject.toml.
    Without --size, MODEL is checked at its own size alone; --size 64:256 tries others.

    What cannot be read is not judged, and exits with 3. A baseline lists findings that are known:
    only new, worse and gone ones fail.

    \b
    Example:
      padviz check resnet50 --size 225 --even --context 300 --rim 40
      padviz check vgg16 --size 224
    """,
    formats=FINDINGS,
    files=(),
    more=(BASELINE, WRITE_BASELINE, PRUNE_BASELINE),
)
