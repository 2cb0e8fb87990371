"""Where two networks differ in what their units read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from padviz.analyses.asked import OptionalSource, Pixels, Source, asked
from padviz.analyses.result import Result
from padviz.errors import OptionError
from padviz.geometry.comparing.cures import cures
from padviz.geometry.comparing.differences import Comparison, Difference, Offset, compared
from padviz.network.network import Network, Size, in_words
from padviz.options import MODEL_A, MODEL_B, PADDING, RUN, SAME, SEED, SIZE, WEIGHTS, Command
from padviz.phrases import counted
from padviz.reports.documents import picked, plain
from padviz.reports.report import Block, Column, Heading, Lines, Report, Table, columns
from padviz.reports.rows import about
from padviz.sources import MODULE, is_module
from padviz.trained.networks.reading import as_trained
from padviz.trained.networks.trained_network import Trained
from padviz.trained.side_by_side import Measured, SideBySide, side_by_side

Cause = Literal["", "none", "reads", "border", "values"]


@dataclass(frozen=True)
class Answer:
    """What a comparison says in words; without a run, `cures` alone.

    `measured` has the outputs, and the first map inside that differs.
    """

    cause: Cause
    verdict: str
    cures: list[str]
    measured: list[Measured]
    noise: str


class DiffResult(Result[Difference], Answer):
    """The differences of two networks, printed and saved as the command does."""


def diff(
    network: Annotated[Source, MODEL_A],
    other: Annotated[OptionalSource, MODEL_B] = None,
    size: Annotated[Pixels, SIZE] = None,
    padding: Annotated[str | None, PADDING] = None,
    same: Annotated[bool, SAME] = False,
    *,
    run: Annotated[bool, RUN] = False,
    weights: Annotated[str | Path | None, WEIGHTS] = None,
    seed: Annotated[int, SEED] = 0,
) -> DiffResult:
    """Compare what the units of two networks read at one size; `padding` and `same` change the
    second alone.

    Parameters
    ----------
    network, size
        As for `uneven`.
    other : str, Path, torch.nn.Module or Network, optional
        The second network; by default the first one under those: what moves when its weights are
        ported.
    padding, same
        As for `uneven`, of the second network.
    run : bool
        Run both on the same noise too, and compare their outputs: modules and ONNX files.
    weights : str or Path, optional
        As for `filters`, of the modules that are run.
    seed : int
        Of the noise.

    Returns
    -------
    DiffResult
        The facts that differ, layer by layer; empty only if every unit reads the same rows, with
        the same taps, of the same layers. `change` says how to make the first network like the
        second, and `.cures` do in words. With `run`, `.verdict` says whether and where the
        outputs differ, and `.measured` by how much.

    Raises
    ------
    PadvizError
        For a network or size that cannot be used.

    Notes
    -----
    Without `run`, values are not compared: weights, channels, activations, and norms and 1x1
    convolutions without padding.

    Examples
    --------
    >>> len(diff("vgg16", "vgg16", 224)), diff("resnet18", size=224, same=True)[0].layer
    (0, 'conv1')
    """
    if other is None and not (same or padding):
        raise OptionError("is missing", option="other", hint="name one, or add `same` or `padding`")
    if run and (other is None or same or padding):
        what = "compares two networks as they are"
        raise OptionError(what, option="run", hint="name both, without `same` and `padding`")
    if weights is not None and not run:
        raise OptionError("goes with `run`", option="weights", hint="add `run`")
    changed = network if other is None else other
    sides = None
    notes: tuple[str, ...] = ()
    with (
        asked(network, size) as (first, pixels),
        asked(changed, pixels, padding, same) as (second, _),
    ):
        comparison = compared(first, second, pixels)
        if run:
            mine, others = (_trained(source, pixels, weights) for source in (network, changed))
            sides = side_by_side(mine, others, seed)
            notes = mine.notes + others.notes
    answer = _answer(first, pixels, comparison.differences, sides)
    report = partial(report_of, first, second, pixels, same, comparison, answer)
    return DiffResult.made_of(answer, comparison.differences, report, notes=notes)


def _trained(source: Source, size: Size, weights: str | Path | None) -> Trained:
    """Read a network with its weights; those that are named are of modules."""
    origin = source.origin if isinstance(source, Network) else source
    if not (is_module(origin) or MODULE.fullmatch(str(origin))):
        weights = None
    return as_trained(source, size, weights)


DIFFERENCES = columns("layer other_layer axis what value other_value change")


def _other_name(row: Difference) -> str | None:
    """Return what B calls a layer that A has under another name."""
    if row.layer and row.other_layer != row.layer:
        return row.other_layer
    return None


SHOWN = (
    Column("layer", of=lambda row: row.layer or row.other_layer),
    Column("other_layer", "other layer", of=_other_name, spare=2),
    *columns("axis what value"),
    Column("other_value", "other value"),
    Column("change", spare=1),
)
NOT_COMPARED = "Not compared: weights, channels, activations, norms' values, and other sizes."


def _answer(
    a: Network, size: Size, differences: Sequence[Difference], sides: SideBySide | None
) -> Answer:
    """Return the cause, what the first layers that differ read or their values, and figures."""
    if sides is None:
        return Answer("", "", cures(a, size, differences), [], "")
    if sides.are_equal:
        said = f"Equal within {sides.tolerance:g}, at the border too."
        if differences:
            said += " What they read differs, without effect on this noise."
        return Answer("none", said, [], sides.outputs, sides.noise)
    measured, suspects = [*sides.outputs], [*differences]
    where = "Maps inside could not be matched."
    if first := sides.first:
        measured.append(first)
        where = f"First to differ: {first.layer} ({first.other_layer} in B), {first.where}."
        suspects = []
        for row in differences:
            names = f"{row.layer}, {row.other_layer}".split(", ")
            if sides.suspects.intersection(names):
                suspects.append(row)
    cause: Cause
    if suspects:
        row = suspects[0]
        cause, why = "reads", f"{row.layer or row.other_layer} differs in {row.what}, "
        why += f"{row.value} in A and {row.other_value} in B."
    elif measured[-1].where.startswith("only"):
        cause, why = "border", "both read the same: look at the value of the padding."
    else:
        cause, why = "values", "both read the same: look at weights, norms and activations."
    said = f"Not equal: {why} {where}"
    if differences and not suspects:
        said += " Layers behind it differ in what they read, too."
    if sides.equal:
        said += f" Equal up to {sides.equal}."
    return Answer(cause, said, cures(a, size, suspects), measured, sides.noise)


def _errors_table(rows: Sequence[Measured]) -> Table:
    shown = [{"layer": row.layer, **row.errors, "where": row.where} for row in rows]
    return Table([Column(key, show=_rounded, spare=len(key)) for key in max(shown, key=len)], shown)


def _rounded(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1e}"
    return str(value)


def report_of(
    first: Network, second: Network, size: Size, same: bool, comparison: Comparison, answer: Answer
) -> Report:
    table = Table(DIFFERENCES, comparison.differences)
    mine, others = map(plain, comparison.offsets)
    facts = about(first.name, size, first.padding)
    facts |= {"other": second.name, "same": same, "other_padding": second.padding}
    facts |= {"later": comparison.later, "offsets": mine, "other_offsets": others}
    facts |= picked(answer, "cause verdict cures measured noise")
    names = f"{first.title} and {second.title}{' under SAME' if same else ''}, {in_words(size)}"
    heading = Heading(names if comparison.differences else f"{names}: every unit reads the same")
    shown = [heading, Table(SHOWN, comparison.differences), Lines(answer.cures)]
    if answer.verdict:
        drawn = Heading(f"Largest error over the largest value, on {answer.noise}")
        run: list[Block] = [Lines([answer.verdict]), drawn, _errors_table(answer.measured)]
        shown = [*run, *shown]
    screen = [[*shown, Lines(_about(comparison, answer.cause))]]
    code = 0 if answer.cause in ("", "none") else 1
    return Report("diff", facts, screen, table, code=code)


def _about(comparison: Comparison, cause: Cause) -> list[str]:
    lines = []
    if comparison.later:
        later = counted(comparison.later, "later layer")
        lines.append(f"{later} changed in size alone, as a result.")
    mine, others = comparison.offsets
    if comparison.differences:
        lines += [
            f"Grid offset at the end of A: {_in_words(mine)}.",
            f"Grid offset at the end of B: {_in_words(others)}.",
        ]
    if not cause:
        lines.append(NOT_COMPARED)
    return lines


def _in_words(offsets: tuple[Offset, ...]) -> str:
    """Write the grid offsets of last maps: by name, unless all are alike."""
    words = dict.fromkeys(offset.words for offset in offsets)
    if len(words) == 1:
        return next(iter(words))
    return "; ".join(f"{offset.layer} {offset.words}" for offset in offsets) or "not known"


COMMAND = Command(
    diff,
    """Compare what the units of MODEL_A and MODEL_B read at one size; --same and --padding change
    MODEL_B only.

    Without MODEL_B, MODEL_A is compared with itself under --same or --padding, as when its weights
    are ported.

    --run runs both, modules and ONNX files, on the same noise. It compares their outputs inside
    and at the border, finds the first layer that differs, and says whether padding is the cause.
    Outputs that differ exit with 1.

    \b
    Example:
      padviz diff mobilenet_v1 --size 224 --same
      padviz diff model.onnx exported.onnx --size 64 --run
      padviz diff vgg16 vgg19 --size 224
    """,
    files=(),
)
