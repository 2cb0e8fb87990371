"""Where two networks differ in what their units read."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from padviz.analyses.asked import OptionalSource, Pixels, Source, asked
from padviz.analyses.result import Result
from padviz.errors import OptionError
from padviz.geometry.comparing.differences import Comparison, Difference, Offset, compared
from padviz.network.network import Network, Size, in_words
from padviz.options import MODEL_A, MODEL_B, PADDING, SAME, SIZE, Command
from padviz.reports.documents import plain
from padviz.reports.report import Column, Heading, Lines, Report, Table, columns
from padviz.reports.rows import about


def diff(
    network: Annotated[Source, MODEL_A],
    other: Annotated[OptionalSource, MODEL_B] = None,
    size: Annotated[Pixels, SIZE] = None,
    padding: Annotated[str | None, PADDING] = None,
    same: Annotated[bool, SAME] = False,
) -> Result[Difference]:
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

    Returns
    -------
    Result
        The facts that differ, layer by layer; empty only if every unit reads the same rows, with
        the same taps, of the same layers. `change` says how to make the first network like the
        second.

    Raises
    ------
    PadvizError
        For a network or size that cannot be used.

    Notes
    -----
    Values are not compared: weights, channels, activations, and norms and 1x1 convolutions without
    padding.

    Examples
    --------
    >>> len(diff("vgg16", "vgg16", 224)), diff("resnet18", size=224, same=True)[0].layer
    (0, 'conv1')
    """
    if other is None and not (same or padding):
        raise OptionError("is missing", option="other", hint="name one, or add `same` or `padding`")
    changed = network if other is None else other
    with (
        asked(network, size) as (first, pixels),
        asked(changed, pixels, padding, same) as (second, _),
    ):
        comparison = compared(first, second, pixels)
    return Result.made_of(
        None, comparison.differences, partial(report_of, first, second, pixels, same, comparison)
    )


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


def report_of(
    first: Network, second: Network, size: Size, same: bool, comparison: Comparison
) -> Report:
    table = Table(DIFFERENCES, comparison.differences)
    mine, others = map(plain, comparison.offsets)
    facts = about(first.name, size, first.padding)
    facts |= {"other": second.name, "same": same, "other_padding": second.padding}
    facts |= {"later": comparison.later, "offsets": mine, "other_offsets": others}
    names = f"{first.title} and {second.title}{' under SAME' if same else ''}, {in_words(size)}"
    heading = Heading(names if comparison.differences else f"{names}: every unit reads the same")
    shown = Table(SHOWN, comparison.differences)
    return Report("diff", facts, [[heading, shown, Lines(_about(comparison))]], table)


def _about(comparison: Comparison) -> list[str]:
    lines = []
    if comparison.later:
        layers = (
            "1 later layer differs"
            if comparison.later == 1
            else f"{comparison.later} later layers differ"
        )
        lines.append(f"{layers} in size alone, as a result.")
    mine, others = comparison.offsets
    if comparison.differences:
        lines += [
            f"Grid offset at the end of A: {_in_words(mine)}.",
            f"Grid offset at the end of B: {_in_words(others)}.",
        ]
    return [*lines, NOT_COMPARED]


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

    \b
    Example:
      padviz diff mobilenet_v1 --size 224 --same
      padviz diff vgg16 vgg19 --size 224
    """,
    files=(),
)
