"""Other padding, in a PyTorch module or in an ONNX file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, overload

from padviz.analyses.asked import names
from padviz.counting.count import usage
from padviz.counting.shares.summary import Summary, percent
from padviz.errors import DescriptionError, OptionError
from padviz.geometry.ledger import ledger
from padviz.geometry.receptive_fields import grid_offsets
from padviz.network.layer import Layer
from padviz.network.network import Network, in_words
from padviz.network.targets import last_maps
from padviz.phrases import some_names
from padviz.repadding.onnx_file import Repadded, check_options, repad_file
from padviz.repadding.plan import LayerChange, open_axes
from padviz.reports.report import Column, Facts, Lines, Report, Table, columns, grid
from padviz.reports.tables import once
from padviz.sources import MODULE
from padviz.sources.tracing.reading import AS_IT_IS

if TYPE_CHECKING:
    from torch import nn


@overload
def repad(
    network: nn.Module, padding: str, size: int | Sequence[int] | None = None, only: str | Iterable[str] = (), *,
    share: bool = True,
) -> nn.Module: ...  # fmt: skip


@overload
def repad(
    network: str | Path | Network, padding: str | None = None, size: int | Sequence[int] | None = None,
    only: str | Iterable[str] = (), *, except_: str | Iterable[str] = (), even: bool = False,
) -> Repadded: ...  # fmt: skip


def repad(
    network: nn.Module | str | Path | Network,
    padding: str | None = None,
    size: int | Sequence[int] | None = None,
    only: str | Iterable[str] = (),
    *,
    except_: str | Iterable[str] = (),
    even: bool = False,
    share: bool = True,
) -> nn.Module | Repadded:
    """Change the padding of a PyTorch module, in a copy, or of an ONNX file, to be saved.

    Weights and names stay, so checkpoints of either module load into the other. The result names each layer that could
    not be changed, with the reason.

    Parameters
    ----------
    network : torch.nn.Module, or the path of an ONNX file; or what `padviz.load` made of either
        Scripted and lazy modules are refused; of a compiled module, the one inside is repadded.
    padding : str, optional
        A scheme that `padviz --help` lists, but for valid and full; or one for each axis: "zero/circular".
    size : int or (height, width), optional
        Input size in pixels at which the scheme must fit and the result is checked; the network's own by default.
    only : str or iterable of str
        The only layers to change, or modules with all that is in them; everything that pads by default.
    except_ : str or iterable of str
        Layers of an ONNX file to leave as they are.
    even : bool
        Instead of a scheme: balance the pads of uneven convolutions of an ONNX file, or move their strides into pools.
    share : bool
        Whether the copy shares the module's parameters, or copies them. Buffers are copied.

    Returns
    -------
    torch.nn.Module
        A copy; its `.repadded` has the names of `changed` layers, those `left` with the reason, and the checked `size`.
    Repadded
        Of a file: with `.changed`, `.left`, `.network`, for `padviz.usage` and all else, and `.save(path)`.

    Raises
    ------
    PadvizError
        If nothing can be done, naming what is in the way; or if the result does not obey the law.

    Warns
    -----
    UserWarning
        Of a module, naming what could not be changed, or where no forward on an image can be followed.

    Notes
    -----
    The law: where nothing is left alone, usage of the result is `usage(network, size, padding)` in every pixel.
    "valid" and "full" are refused: maps would change their size.
    Source: the conclusion of Alsallakh et al., ICLR 2021, that circular or symmetric padding may fit a task better.

    Examples
    --------
    >>> import padviz, torchvision
    >>> wrapped = padviz.repad(torchvision.models.resnet18(), "zero/circular", size=64)
    >>> wrapped.conv1
    Conv2d(3, 64, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3), bias=False, repadded='zero/circular')
    >>> len(wrapped.repadded.changed), wrapped.repadded.left
    (17, ())
    """
    layers, without, reading = names(only), names(except_), AS_IT_IS
    check_options(padding, even, layers + without)
    if isinstance(network, Network) and network.origin is not None:
        size, reading = network.size if size is None else size, network.reading
        network = network.origin
    if isinstance(network, str | Path) and str(network).lower().endswith(".onnx"):
        return repad_file(network, padding, size, layers, without, reading=reading)
    from padviz.repadding.torch_module import repad

    if padding is None or without:
        option = "even" if even else "except_"
        hint = "name a `padding`, and the layers to change with `only`"
        raise OptionError("is for ONNX files", option=option, hint=hint)
    if isinstance(network, str) and MODULE.fullmatch(network):
        from padviz.trained.networks.reading import read

        network = read(network).model
    if isinstance(network, str | Path | Network):
        where = network.name if isinstance(network, Network) else str(network)
        hint = "usage and convert take `padding`; repad a module, or an .onnx file"
        raise DescriptionError("has no weights", where=where, hint=hint)
    return repad(network, padding, layers, size=size, share=share, reading=reading)


SHOWN = 12  # unchanged layers, in a table
NAMED = 3  # maps of which it is said where their units lie
LEFT = (Column("layer", "unchanged"), Column("why"))


def report_of(repadded: Repadded, padding: str | None) -> Report:
    """Report a file that was padded otherwise, or made even."""
    plan, left = repadded.plan, repadded.left
    both = [repadded.source, *([] if len(repadded.maps) == 1 else [repadded.network])]  # one map was counted to verify
    before, after = [*(usage(network, plan.size) for network in both), *repadded.maps][:2]
    uneven = [layer.layer for layer in ledger(repadded.network, plan.size).uneven]
    facts: dict[str, object] = {"network": repadded.source.name, "size": plan.size, "padding": padding}
    facts |= {"changed": [*map(_row, plan.changes)], "left": left, "uneven": uneven}
    maps = before.summary(), after.summary()
    facts |= {"before": maps[0], "after": maps[1]}
    lines, figures = Facts(_facts(repadded, padding, uneven)), grid(["figure", "before", "after"], _both(maps))
    more = [f"and {len(left) - SHOWN} more: --format json"] if len(left) > SHOWN else []
    sheet = [{"layer": each.name, "was": _reads(each.before), "now": _reads(each.after)} for each in plan.changes]
    sheet += [{"layer": each.layer, "unchanged": each.why} for each in left]
    screen, paper = [lines, Table(LEFT, left[:SHOWN]), Lines(more), figures], [lines, Table(LEFT, left), figures]
    return Report("repad", facts, [screen], Table(columns("layer was now unchanged"), sheet), [paper])


def _facts(repadded: Repadded, padding: str | None, uneven: Sequence[str]) -> Iterator[tuple[str, object]]:
    plan, source = repadded.plan, repadded.source
    yield "network", f"{source.title}, {in_words(plan.size)} pixels"
    if padding:
        modes = {getattr(op, "mode", None) for change in plan.changes for op in change.before.ops}
        was = ", ".join(sorted(mode for mode in modes if mode)) or "as it was"
        yield "padding", f"{was} to {padding}" if repadded.changed else f"{padding} already"
        names = f": {some_names(repadded.changed)}" if repadded.changed else ""
        yield "changed", f"{len(repadded.changed)} of {plan.pads} layers that pad{names}"
        yield "could not change", f"{len(repadded.left)}" if repadded.left else "none"
    else:
        yield "changed", f"{len(repadded.changed)}: {some_names(map(_edit, plan.changes))}"
        yield "uneven", f"{some_names(uneven)}: pools have no weights, and stay as they are" if uneven else "none"
        yield from _phases(repadded)
    at = ""
    if open_axes(source):
        sizes = " and ".join(map(in_words, repadded.verified))
        at = f", at {sizes}" if len(repadded.verified) > 1 else f", at {sizes} only: no larger size near it runs"
    yield "verified", f"usage of {some_names(plan.targets)} equals that of the requested padding in every pixel{at}"


def _phases(repadded: Repadded) -> Iterator[tuple[str, str]]:
    unknown = (None, None)
    before, after = (grid_offsets(network, repadded.plan.size) for network in (repadded.source, repadded.network))
    for one, other in [*zip(last_maps(repadded.source), repadded.plan.targets, strict=True)][:NAMED]:
        known = before.get(one, unknown), after.get(other, unknown)
        if known != (unknown, unknown):
            ends = (["none" if offset is None else f"{offset:+g}" for offset in offsets] for offsets in known)
            pairs = zip(("height", "width"), *ends, strict=True)
            shifts = ", ".join(f"from {was} to {now} px in {axis}" for axis, was, now in pairs)
            yield "phase", f"units of {one} lie off the image's centre: {shifts}, in the mean"


def _both(maps: Sequence[Summary]) -> list[list[object]]:
    shares, rims, rows = [summary.share for summary in maps], [summary.rim for summary in maps], []
    if all(shares):
        if all(rims):
            rows.append(["rim, px", *(rim.short for rim in rims if rim)])
        rows += [[figure.heading, *map(figure.cell, shares)] for figure in SHARES]
    return [*rows, *([f"paths, {name}", *(getattr(summary, name) for summary in maps)] for name in ("max", "min"))]


SHARES = (
    Column("starved", "starved", percent),
    Column("overused", "overused", percent),
    Column("least", "least share", "{:.3g}"),
    Column("most", "largest share", "{:.3g}"),
    Column("first", "first corner", "{:.3g}", attrgetter("corners.top_left")),
    Column("last", "last corner", "{:.3g}", attrgetter("corners.bottom_right")),
    Column("height", "skew of shares, height", "{:+z.3f}", attrgetter("skew.height")),
    Column("width", "skew of shares, width", "{:+z.3f}", attrgetter("skew.width")),
)


def _row(change: LayerChange) -> dict[str, object]:
    was, now = (
        [{key: getattr(op, key, None) for key in ("mode", "padding", "stride")} for op in layer.ops]
        for layer in (change.before, change.after)
    )
    head = {"layer": change.name, "kind": change.before.kind, "input": [*change.entering]}
    return {**head, "was": was, "now": now, "pooled": change.pooled}


def _edit(change: LayerChange) -> str:
    if change.pooled:
        return f"{change.name} (stride 1, then an average of 2 x 2)"
    return f"{change.name} (pads {_pads(change.before)} to {_pads(change.after)})"


def _pads(layer: Layer) -> str:
    return in_words(["+".join(map(str, getattr(op, "padding", ()))) for op in layer.ops])


def _reads(layer: Layer) -> str:
    """Write a layer's scheme, its pads and its stride, for CSV."""
    modes, strides = ([str(getattr(op, key, "")) for op in layer.ops] for key in ("mode", "stride"))
    return f"{once(modes, '/')} {_pads(layer)}, stride {once(strides)}"
