"""Maps of counts, and windows cell by cell: each function loads what a person names, once, and calls a room."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from padviz.api.results.asked import asked, names
from padviz.api.results.result import Result
from padviz.counting.count_map import CountMap
from padviz.errors import OptionError, PadvizError
from padviz.geometry.one_layer import MOST, Illustration, illustrate
from padviz.network.network import Network

if TYPE_CHECKING:
    from torch import nn

Unit = tuple[int | slice, int | slice]
Item = tuple[str, CountMap | PadvizError]  # a label, and a map or why there is none


class UsageResult(Result[CountMap], CountMap):
    """A usage map, with `.counts` of shape (height, width)."""


class CoverageResult(Result[CountMap], CountMap):
    """A coverage map, with `.counts` of the layer's shape, `.full` and `.share`."""


class StripResult(Result[CountMap]):
    """The coverage maps of several layers."""


class CompareResult(Result[Item]):
    """Maps side by side: pairs of a label and a `CountMap`, or the error in place of a map that cannot run."""


class KernelResult(Result[Illustration]):
    """A window on a small image, under each scheme."""


def usage(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layer: str | Sequence[str] | None = None,
    pooling: str = "count",
    unit: Unit | None = None,
    *,
    same: bool = False,
    heads: str | None = None,
    engine: str = "auto",
) -> UsageResult:
    """Count the paths from every input pixel to the units of the target layer.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
        A name of the zoo, the path of a TOML or ONNX file, a module, or a network that is loaded.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    padding : str, optional
        A scheme for every convolution, as `padviz --help` lists them: "reflect"; or one for each axis, height/width:
        "zero/circular". By default each pads as declared.
    layer : str or sequence of str, optional
        Target layers, whose counts add up; by default the last feature map.
    pooling : "count" or "mean"
        Count once what a pool or a resize reads, or weigh it: 1 / taps in a pool, the share of
        its interpolation in a resize. Then counts are floats.
    unit : (row, column), optional
        One unit of the target, or slices for a box of units; all units by default.
    same : bool
        Whether to pad as TensorFlow's and Keras's SAME: the odd row on the far side.
    heads : "sum" or "share", optional
        Of several target layers, add up all paths; or give each layer the same weight: a path to it counts as many as
        the layer with the most paths has, over those that it has (then counts are floats). Where none is named, all
        last maps share.
    engine : "auto", "numpy" or "numba"
        Which kernels count; "auto" picks by the amount of work. numpy counts where numba is not installed.

    Returns
    -------
    UsageResult, a `CountMap`
        With `.counts` of shape (height, width).

    Raises
    ------
    PadvizError
        For a name, size or option that cannot be used.

    Notes
    -----
    Where every mode folds its padding, the counts sum to taps x outputs: nothing is lost. Where n heads share, they sum
    to n times the paths of the head with the most.
    Source: Alsallakh et al., "Mind the Pad - CNNs can Develop Blind Spots", ICLR 2021.

    Examples
    --------
    >>> int(usage("resnet50", 224).counts[0, 0])
    59303702250160
    """
    from padviz.counting.usage import usage
    from padviz.figures.maps import heatmap
    from padviz.reports.maps import usage as reports

    wanted, pixels = asked(network, size, same=same)
    counts = usage(wanted, pixels, padding, layer, pooling, unit, heads=heads, engine=engine)
    draw, axes = partial(heatmap.heatmap, counts), partial(heatmap.plot, counts)
    return UsageResult.made_of(counts, (counts,), partial(reports.usage, counts), draw, axes, pictured=True)


@overload
def coverage(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layer: str | None = None,
    pooling: str = "count",
    *,
    same: bool = False,
    engine: str = "auto",
) -> CoverageResult: ...


@overload
def coverage(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layer: Sequence[str] = (),
    pooling: str = "count",
    *,
    same: bool = False,
    engine: str = "auto",
) -> CoverageResult | StripResult: ...


def coverage(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layer: str | Sequence[str] | None = None,
    pooling: str = "count",
    *,
    same: bool = False,
    engine: str = "auto",
) -> CoverageResult | StripResult:
    """Count the paths that reach each unit of a layer from real pixels, not padding.

    Parameters
    ----------
    network, size, padding, pooling, same, engine
        As for `usage`.
    layer : str or sequence of str, optional
        The layers whose units are looked at; the last feature map by default.

    Returns
    -------
    CoverageResult, a `CountMap`; or StripResult, of several where several layers are named
        With `.counts` of the layer's shape, `.full`, what a unit far from padding has, and `.share`.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Notes
    -----
    Coverage is the adjoint of usage: over the layer it sums to what usage sums to over the image.
    Source: Alsallakh et al., ICLR 2021: the geometric side of its line artifacts in feature maps.

    Examples
    --------
    >>> counts = coverage("vgg19", 64, layer="features.2")
    >>> counts.full, int(counts.counts[0, 0]), int(counts.counts[9, 9])
    (81, 25, 81)
    """
    from padviz.counting.coverage import coverages
    from padviz.figures.maps import heatmap, panels
    from padviz.network.targets import names_of
    from padviz.reports.maps.coverage import coverage

    wanted, pixels = asked(network, size, same=same)
    maps = coverages(wanted, pixels, padding, names_of(names(layer) or None, wanted), pooling, engine=engine)
    report = partial(coverage, maps, ())
    if len(maps) > 1:
        return StripResult.made_of(None, maps, report, partial(panels.strip, maps), pictured=True)
    draw, axes = partial(heatmap.heatmap, maps[0]), partial(heatmap.plot, maps[0])
    return CoverageResult.made_of(maps[0], maps, report, draw, axes, pictured=True)


def compare(
    network: str | Path | Network | nn.Module | Sequence[str | Path | Network | nn.Module],
    size: int | tuple[int, int] | Sequence[int | tuple[int, int]] | None = None,
    padding: str | Sequence[str] | None = None,
    layer: str | Sequence[str] | None = None,
    *,
    same: bool = False,
    heads: str | None = None,
    scale: str | None = None,
) -> CompareResult:
    """Count usage maps side by side: exactly one of networks, sizes, paddings and layers is a list.

    Parameters
    ----------
    network : what `load` takes, or a list of it
    size : int or (height, width), or a list of them, optional
        Input sizes in pixels; each network's own by default.
    padding, layer : str, or a list of str, optional
        As for `usage`; "declared" is the padding that a network has.
    same, heads
        As for `usage`.
    scale : "share", "counts" or "each", optional
        Quantity to colour by: fair share, or counts over the largest of all maps, or of each.

    Returns
    -------
    CompareResult
        Pairs of (label, CountMap), or the error in place of a map that cannot run.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used, or if no map can be made.

    Examples
    --------
    >>> pair = compare("vgg11", 64, ["zero", "reflect"])
    >>> [label for label, _ in pair], pair.to_rows()[1]["starved"] < pair.to_rows()[0]["starved"]
    (['zero', 'reflect'], True)
    """
    from padviz.counting.usage import usages
    from padviz.figures.maps import panels
    from padviz.reports.maps import usage as reports

    given = {"model": _several(network), "size": _several(size), "padding": _several(padding), "layer": _several(layer)}
    lists = [name for name, values in given.items() if len(values) > 1]
    if len(lists) != 1:
        what = f"{len(lists)} lists are given ({', '.join(lists)})" if lists else "nothing has two values that differ"
        raise OptionError(what, where="compare", hint="give a list to one of network, size, padding and layer")
    (varies,) = lists
    pairs = [(_read(net, pixels, same), pixels) for net in given["model"] for pixels in given["size"]]
    choices = [
        (*pair, pads, at) for pair in pairs for pads in map(_declared, given["padding"]) for at in given["layer"]
    ]
    items = tuple(zip(map(_label, given[varies]), usages(choices, heads), strict=True))
    draw = partial(panels.compared, items, varies, scale)
    return CompareResult.made_of(None, items, partial(reports.compare, items, varies), draw, pictured=True)


def _several(values: Any) -> list[Any]:
    """List the values of a list, each once; anything else is one."""
    return [*dict.fromkeys(values)] if isinstance(values, list) else [values]


def _read(network: Any, size: Any, same: bool) -> Network | PadvizError:
    """Load a network; where there is none, return the error in its place."""
    try:
        return asked(network, size, same=same)[0]
    except PadvizError as error:
        return error


def _declared(padding: str | None) -> str | None:
    from padviz.network.rewrites import canonical

    return None if padding == "declared" else canonical(padding)


def _label(value: Any) -> str:
    """Write a network, a size, a scheme or a layer as a heading."""
    from padviz.reports.tables import pixels

    if isinstance(value, tuple | int):
        return pixels(value if isinstance(value, tuple) else (value, value))
    return value if isinstance(value, str) else getattr(value, "name", type(value).__name__)


def kernel(
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    size: int | tuple[int, int] = 7,
    padding: str | Sequence[str] = "zero",
    pixel: tuple[int, int] | None = None,
) -> KernelResult:
    """Show a window on a small image: what the padding copies, as letters, and how often each pixel is used.

    Parameters
    ----------
    kernel, stride, dilation : int
        Rows and columns of taps, the step between windows, and that between taps.
    size : int or (height, width)
        Size of the image in pixels, up to 16.
    padding : str or sequence of str
        One scheme, or several; height/width for one on each axis.
    pixel : (row, column), optional
        Also how often each tap reads this pixel.

    Returns
    -------
    KernelResult

    Raises
    ------
    PadvizError
        For a scheme or size that cannot be used.

    Examples
    --------
    >>> kernel(padding="reflect", size=5)[0].padded[0]
    ['g', 'f', 'g', 'h', 'i', 'j', 'i']
    """
    from padviz.figures.windows import kernel_cells
    from padviz.network.network import AXES, as_size, on_axes
    from padviz.network.rewrites import canonical
    from padviz.reports.maps.kernel import report_of

    pixels = on_axes(as_size(size), AXES[2])
    if max(pixels) > MOST:
        raise OptionError(f"{pixels} does not fit on a screen", option="size", hint=f"use up to {MOST}")
    schemes = dict.fromkeys(canonical(scheme) or "zero" for scheme in names(padding))
    layers = tuple(illustrate(kernel, stride, dilation, pixels, scheme) for scheme in schemes)
    if pixel is not None:
        layers[0].taps(*pixel)
    draw = partial(kernel_cells.kernels, layers, pixel)
    return KernelResult.made_of(None, layers, partial(report_of, layers, pixel, ()), draw, pictured=True)
