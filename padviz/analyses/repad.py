"""Other padding, in a PyTorch module or in an ONNX file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Required, TypeAlias, TypedDict, cast, overload

from padviz.analyses.asked import names
from padviz.analyses.usage import row_of
from padviz.counting.count import usage
from padviz.counting.shares.summary import Summary, percent
from padviz.errors import DescriptionError, OptionError
from padviz.geometry.ledger import ledger
from padviz.geometry.receptive_fields import grid_offsets
from padviz.network.layer import Layer
from padviz.network.network import Network, in_words
from padviz.network.operations import Window
from padviz.network.targets import last_maps
from padviz.options import EVEN, EXCEPT, MODEL, ONLY, PADDING, SIZE, Command
from padviz.phrases import some_names
from padviz.repadding.onnx_file import Repadded, check_options, repad_file
from padviz.repadding.plan import LayerChange, open_axes
from padviz.reports.documents import plain
from padviz.reports.report import Column, Facts, Lines, Report, Table, grid
from padviz.reports.rows import about, rows_of
from padviz.sources import MODULE, Source
from padviz.sources.tracing.reading import AS_IT_IS

if TYPE_CHECKING:
    from torch import nn


EitherRepadded: TypeAlias = "nn.Module | Repadded"


@overload
def repad(
    network: nn.Module,
    padding: str,
    size: int | Sequence[int] | None = None,
    only: str | Iterable[str] = (),
    *,
    share: bool = True,
) -> nn.Module: ...


@overload
def repad(
    network: str | Path | Network,
    padding: str | None = None,
    size: int | Sequence[int] | None = None,
    only: str | Iterable[str] = (),
    *,
    except_: str | Iterable[str] = (),
    even: bool = False,
) -> Repadded: ...


def repad(
    network: Annotated[Source, MODEL],
    padding: Annotated[str | None, PADDING] = None,
    size: Annotated[int | Sequence[int] | None, SIZE] = None,
    only: Annotated[str | Iterable[str], ONLY] = (),
    *,
    except_: Annotated[str | Iterable[str], EXCEPT] = (),
    even: Annotated[bool, EVEN] = False,
    share: bool = True,
) -> EitherRepadded:
    """Change the padding of a PyTorch module, in a copy, or of an ONNX file, to be saved.

    Weights and names stay, so checkpoints of either module load into the other. The result names
    each layer that could not be changed, with the reason.

    Parameters
    ----------
    network : torch.nn.Module, or the path of an ONNX file; or what `padviz.load` made of either
        Scripted and lazy modules are refused; of a compiled module, the one inside is repadded.
    padding : str, optional
        A scheme that `padviz --help` lists, but for valid and full; or one for each axis:
        "zero/circular".
    size : int or (height, width), optional
        Input size in pixels at which the scheme must fit and the result is checked; the network's
        own by default.
    only : str or iterable of str
        The only layers to change, or modules with all that is in them; everything that pads by
        default.
    except_ : str or iterable of str
        Layers of an ONNX file to leave as they are.
    even : bool
        Instead of a scheme: balance the pads of uneven convolutions of an ONNX file, or move their
        strides into pools.
    share : bool
        Whether the copy shares the module's parameters, or copies them. Buffers are copied.

    Returns
    -------
    torch.nn.Module
        A copy; its `.repadded` has the names of `changed` layers, those `left` with the reason, and
        the checked `size`.
    Repadded
        Of a file: with `.changed`, `.left`, `.network`, for `padviz.usage` and all else, and
        `.save(path)`.

    Raises
    ------
    PadvizError
        If nothing can be done, naming what is in the way; or if the result does not obey the law.

    Warns
    -----
    UserWarning
        Of a module, naming what could not be changed, or where no forward on an image can be
        followed.

    Notes
    -----
    The law: where nothing is left alone, usage of the result is `usage(network, size, padding)` in
    every pixel.
    "valid" and "full" are refused: maps would change their size.
    Source: the conclusion of Alsallakh et al., ICLR 2021, that circular or symmetric padding may
    fit a task better.

    Examples
    --------
    >>> import padviz, torchvision
    >>> wrapped = padviz.repad(torchvision.models.resnet18(), "zero/circular", size=64)
    >>> wrapped.conv1  # doctest: +NORMALIZE_WHITESPACE
    Conv2d(3, 64, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3), bias=False,
           repadded='zero/circular')
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
        if isinstance(network, Network):
            where = network.name
        else:
            where = str(network)
        hint = "usage and convert take `padding`; repad a module, or an .onnx file"
        raise DescriptionError("has no weights", where=where, hint=hint)
    return repad(network, padding, layers, size=size, share=share, reading=reading)


SHOWN = 12  # unchanged layers, in a table
NAMED = 3  # maps of which it is said where their units lie
LEFT = (Column("layer", "unchanged"), Column("why"))
SHARES = (
    Column("starved", "starved", percent),
    Column("overused", "overused", percent),
    Column("min", "share min", "{:.3g}"),
    Column("max", "share max", "{:.3g}"),
    Column("first", "share of first corner", "{:.3g}", attrgetter("corners.top_left")),
    Column("last", "share of last corner", "{:.3g}", attrgetter("corners.bottom_right")),
    Column("height", "share skew, height", "{:+z.3f}", attrgetter("skew.height")),
    Column("width", "share skew, width", "{:+z.3f}", attrgetter("skew.width")),
)


class RepadRow(TypedDict, total=False):
    """What a layer did and does on each axis, or `why` it could not be changed.

    A `pooled` layer has an average pool of its stride behind it.
    """

    layer: Required[str]
    kind: str
    input: list[int]
    was_mode: list[str | None]
    was_pads: list[list[int] | None]
    was_stride: list[int | None]
    now_mode: list[str | None]
    now_pads: list[list[int] | None]
    now_stride: list[int | None]
    pooled: bool
    why: str | None


def report_of(repadded: Repadded, padding: str | None) -> Report:
    """Report a file that was padded otherwise, or made even."""
    plan, left = repadded.plan, repadded.left
    # Usage after was counted to verify the file: by each last map, where there are several.
    before = usage(repadded.source, plan.size)
    if len(repadded.maps) == 1:
        after = repadded.maps[0]
    else:
        after = usage(repadded.network, plan.size)
    summaries = before.summary(), after.summary()
    uneven = [layer.layer for layer in ledger(repadded.network, plan.size).uneven]
    facts = about(repadded.source.name, plan.size, padding)
    facts |= {"uneven": uneven, "before": row_of(before), "after": row_of(after)}
    lines = Facts(_facts(repadded, padding, uneven))
    figures = grid(["figure", "before", "after"], _figures(summaries))
    more = []
    if len(left) > SHOWN:
        more.append(f"and {len(left) - SHOWN} more: --format json")
    rows = [*map(_row, plan.changes)]
    rows += [RepadRow(layer=layer.layer, why=layer.why) for layer in left]
    screen = [lines, Table(LEFT, left[:SHOWN]), Lines(more), figures]
    paper = [lines, Table(LEFT, left), figures]
    return Report("repad", facts, [screen], rows_of(rows, RepadRow), [paper])


def _facts(
    repadded: Repadded,
    padding: str | None,
    uneven: Sequence[str],
) -> Iterator[tuple[str, object]]:
    plan, source = repadded.plan, repadded.source
    yield "network", f"{source.title}, {in_words(plan.size)} pixels"
    if padding:
        yield from _scheme_facts(repadded, padding)
    else:
        yield "changed", f"{len(plan.changes)}: {some_names(map(_evened, plan.changes))}"
        names = f"{some_names(uneven)}: pools have no weights, and stay as they are"
        yield "uneven", names if uneven else "none"
        yield from _phases(repadded)
    targets = some_names(plan.targets)
    verified = f"usage of {targets} equals that of the requested padding in every pixel"
    if open_axes(source):
        verified += f", at {' and '.join(map(in_words, repadded.verified))}"
        if len(repadded.verified) == 1:
            verified += " only: no larger size near it runs"
    yield "verified", verified


def _scheme_facts(repadded: Repadded, padding: str) -> Iterator[tuple[str, object]]:
    plan, changed = repadded.plan, repadded.changed
    counts = f"{len(changed)} of {plan.pads} layers that pad"
    if changed:
        modes: set[str] = set()
        for change in plan.changes:
            modes.update(op.mode for op in change.before.ops if isinstance(op, Window))
        yield "padding", f"{', '.join(sorted(modes))} to {padding}"
        yield "changed", f"{counts}: {some_names(changed)}"
    else:
        yield "padding", f"{padding} already"
        yield "changed", counts
    yield "could not change", str(len(repadded.left) or "none")


def _phases(repadded: Repadded) -> Iterator[tuple[str, str]]:
    before = grid_offsets(repadded.source, repadded.plan.size)
    after = grid_offsets(repadded.network, repadded.plan.size)
    unknown = (None, None)
    maps = zip(last_maps(repadded.source), repadded.plan.targets, strict=True)
    for name, new_name in [*maps][:NAMED]:
        was, now = before.get(name, unknown), after.get(new_name, unknown)
        if was == now == unknown:
            continue
        shifts = []
        for axis, *offsets in zip(("height", "width"), was, now, strict=True):
            first, last = ("none" if offset is None else f"{offset:+g}" for offset in offsets)
            shifts.append(f"from {first} to {last} px in {axis}")
        lie = f"units of {name} lie off the image's centre"
        yield "phase", f"{lie}: {', '.join(shifts)}, in the mean"


def _figures(summaries: Sequence[Summary]) -> list[list[object]]:
    rows: list[list[object]] = []
    shares = [summary.share for summary in summaries]
    rims = [summary.rim.short for summary in summaries if summary.rim]
    if all(shares):
        if len(rims) == len(summaries):
            rows.append(["rim, px", *rims])
        rows += [[figure.heading, *map(figure.cell, shares)] for figure in SHARES]
    for name in ("max", "min"):
        rows.append([f"paths, {name}", *(getattr(summary, name) for summary in summaries)])
    return rows


def _row(change: LayerChange) -> RepadRow:
    row: dict[str, object] = {
        "layer": change.name,
        "kind": change.before.kind,
        "input": [*change.entering],
        "pooled": change.pooled,
        "why": None,
    }
    for when, layer in (("was", change.before), ("now", change.after)):
        for key, attribute in (("mode", "mode"), ("pads", "padding"), ("stride", "stride")):
            row[f"{when}_{key}"] = plain([getattr(op, attribute, None) for op in layer.ops])
    return cast("RepadRow", row)


def _evened(change: LayerChange) -> str:
    if change.pooled:
        return f"{change.name} (stride 1, then an average of 2 x 2)"
    return f"{change.name} (pads {_pads(change.before)} to {_pads(change.after)})"


def _pads(layer: Layer) -> str:
    return in_words(["+".join(map(str, getattr(op, "padding", ()))) for op in layer.ops])


COMMAND = Command(
    repad,
    """Write MODEL, an ONNX file, with another padding. Weights and names do not change.

    --padding changes the padding of convolutions and nothing else. --even makes every uneven
    convolution read equal padding on opposite sides, by changing its pads. If that cannot make all
    of them even, each gets stride 1 and a 2 x 2 average pool of stride 2 behind it instead. Pools
    keep their padding, and the report names the uneven ones.

    The report lists layers that could not be changed, with reasons. Before it writes, padviz counts
    the paths from each pixel in the changed network. With --padding, they must equal those of
    `padviz usage MODEL --padding SCHEME`.

    \b
    Example:
      padviz repad model.onnx --padding reflect -o reflect.onnx
      padviz repad model.onnx --padding zero/circular -o wrapped.onnx
      padviz repad model.onnx --even --size 224 -o even.onnx
    """,
    files=(".onnx",),
)
