"""Questions about windows, padding and sizes: each function loads what a person names, once, and calls a room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from padviz.api.results.asked import asked, names
from padviz.api.results.result import Result
from padviz.errors import OptionError
from padviz.geometry.balance.balanced_sizes import BalancedSizes, balanced_sizes
from padviz.geometry.ledger import LayerPadding, Ledger, ledger
from padviz.geometry.receptive_fields import ReceptiveField, receptive_fields
from padviz.geometry.tap_exposure import TapExposure, tap_exposure
from padviz.network.network import Network, sizes_in

if TYPE_CHECKING:
    from torch import nn


class UnevenResult(Result[LayerPadding], Ledger):
    """A ledger: `.layers`, `.uneven`, `.balanced` and `.remainders`; padding in rows."""


class SizesResult(Result[int], BalancedSizes):
    """Balanced sizes, in pixels, and the rules that they follow."""


class TapsResult(Result[TapExposure]):
    """The tap exposure of each window; grids of shape (kernel height, width), in units."""


class FieldsResult(Result[ReceptiveField]):
    """The receptive field of each layer, in network order; sizes in input pixels."""


def uneven(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    same: bool = False,
    layer: str | Iterable[str] | None = None,
    *,
    all_: bool = False,
) -> UnevenResult:
    """Account for the padding of every window at a size, and list those that read more of it on one side.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
        A name of the zoo, the path of a TOML or ONNX file, a module, or a network that is loaded.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    padding : str, optional
        A scheme for every convolution, as `padviz --help` lists them: "reflect"; or one for each axis, height/width:
        "zero/circular". By default each pads as declared.
    same : bool
        Whether to pad as TensorFlow's and Keras's SAME: the odd row on the far side.
    layer : str or iterable of str, optional
        The network up to these layers; all of it by default.
    all_ : bool
        Whether rows are all windows with padding or a stride, not only the uneven ones.

    Returns
    -------
    UnevenResult
        With `.layers`, `.uneven`, `.balanced` and `.remainders`; padding in rows.

    Raises
    ------
    PadvizError
        For a name or size that cannot be used.

    Notes
    -----
    Source: Alsallakh et al., "Mind the Pad - CNNs can Develop Blind Spots", ICLR 2021.

    Examples
    --------
    >>> [row.layer for row in uneven("resnet18", 224)]
    ['conv1', 'maxpool', 'layer2.0.conv1', 'layer3.0.conv1', 'layer4.0.conv1']
    >>> uneven("resnet18", 225).balanced
    True
    """
    from padviz.figures.windows import ledger_bars
    from padviz.reports.windows.uneven import report_of

    wanted, pixels = asked(network, size, padding, same, layer)
    rows = ledger(wanted, pixels)
    reported = partial(report_of, [(wanted.name, wanted, rows)], all_)
    listed, draw = rows.layers if all_ else rows.uneven, partial(ledger_bars.padding, rows, wanted.title)
    return UnevenResult.made_of(rows, listed, reported, draw)


def sizes(
    network: str | Path | Network | nn.Module,
    size: str | int | Iterable[int] = "64:1024",
    padding: str | None = None,
    same: bool = False,
    layer: str | Iterable[str] | None = None,
    *,
    axis: str = "both",
) -> SizesResult:
    """Find the sizes, of those to look at, at which no layer reads its padding unevenly.

    Parameters
    ----------
    network, padding, same, layer
        As for `uneven`.
    size : str, int or iterable of int
        The sides to look at, in pixels: "64:1024", both ends included, or a list or range of them.
    axis : "both", "height" or "width"
        The sizes of squares, or of one side alone.

    Returns
    -------
    SizesResult
        Tuples of sizes, in pixels, and the rule that they follow.

    Raises
    ------
    OptionError
        For sizes or an axis that cannot be used.

    Notes
    -----
    A rule, such as "32*i + 1", is found from all sizes between the least and the largest, and holds for them.

    Examples
    --------
    >>> balanced = sizes("resnet50", "200:300")
    >>> [*balanced], balanced.rule
    ([225, 257, 289], '32*i + 1')
    """
    from padviz.reports.windows.sizes import report_of

    wanted, _ = asked(network, None, padding, same, layer)
    sides = sorted(_sides(size))
    balanced = balanced_sizes(wanted, sides[0], sides[-1], axis, {*sides})
    return SizesResult.made_of(balanced, balanced.balanced, partial(report_of, wanted, balanced))


def _sides(size: str | int | Iterable[int]) -> list[int]:
    """List the sides of squares."""
    if not isinstance(size, str):
        sides = [size] if isinstance(size, int) else [*size]
        if not sides or not all(isinstance(side, int) for side in sides):
            raise OptionError(f"{size!r} are no sides", option="size", hint='use "64:1024", or a list of pixels')
        return sides
    pairs = sizes_in(size)
    if any(len({*pair}) > 1 for pair in pairs):
        raise OptionError(f"{size!r} are not all square", option="size", hint="look at one side alone, with `axis`")
    return [pair[0] for pair in pairs]


def taps(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    same: bool = False,
    layer: str | Iterable[str] | None = None,
) -> TapsResult:
    """Count, for each tap of each window, the units that read a real pixel with it.

    An even layer has a grid that mirrors; an uneven one does not, and skewed filters go with it.

    Parameters
    ----------
    network, size, padding, same
        As for `uneven`.
    layer : str or iterable of str, optional
        Only these layers; by default all windows with several taps.

    Returns
    -------
    TapsResult
        One for each convolution and pool; grids of shape (kernel height, width), in units.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Notes
    -----
    A grid sums to the layer's reads of real pixels, which is what usage counts of that layer alone.
    Source: Alsallakh et al., ICLR 2021: the geometric side of its mean filters.

    Examples
    --------
    >>> taps("resnet18", 224, layer="layer4.0.conv1")[0].grid
    array([[36, 42, 42],
           [42, 49, 49],
           [42, 49, 49]])
    """
    from padviz.figures.maps import panels
    from padviz.reports.windows.taps import report_of

    wanted, pixels = asked(network, size, padding, same, layer)
    only = {wanted.find(name).name for name in names(layer)}
    rows = tuple(row for row in tap_exposure(wanted, pixels) if (row.layer in only if only else row.grid.size > 1))
    if not rows:
        what = f"{', '.join(only)} has no taps" if only else "has no window with several taps"
        raise OptionError(what, where=wanted.name, hint="convolutions and pools have; padviz.layers lists them")
    title = f"{wanted.title}, {' × '.join(map(str, pixels))}"
    return TapsResult.made_of(None, rows, partial(report_of, rows, wanted, pixels), partial(panels.taps, rows, title))


def fields(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    same: bool = False,
    layer: str | Iterable[str] | None = None,
) -> FieldsResult:
    """Work out the receptive field of every layer.

    Parameters
    ----------
    network, padding, same
        As for `uneven`.
    size : int or (height, width), optional
        Where padding depends on the input size (SAME), and for layers that see all of it.
    layer : str or iterable of str, optional
        Only these layers; all by default.

    Returns
    -------
    FieldsResult
        One for each layer, in network order; sizes in input pixels.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Notes
    -----
    `padviz layers` prints them. A size is the union over all branches: the extent of `usage` from a single inner unit.
    Source: Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.

    Examples
    --------
    >>> last = fields("vgg16", 224)[-1]
    >>> last.height.size, int(last.height.stride), last.height.padding
    (212, 32, 90)
    """
    from padviz.figures.windows import field_boxes
    from padviz.reports.windows import layers as reports

    wanted, pixels = asked(network, size, padding, same, layer)
    only = {wanted.find(name).name for name in names(layer)}
    rows = tuple(row for row in receptive_fields(wanted, pixels) if not only or row.layer in only)
    draw = partial(field_boxes.fields_of, wanted, pixels)
    return FieldsResult.made_of(None, rows, partial(reports.layers, wanted, pixels, (), only), draw)
