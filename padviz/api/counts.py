"""Maps of counts: each function loads what a person names, once, and calls a room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from padviz.network.network import Network
from padviz.sources import load_at

if TYPE_CHECKING:
    from torch import nn

    from padviz.counting.count_map import CountMap


def coverage(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layer: str | None = None,
    pooling: str = "count",
    *,
    engine: str = "auto",
) -> CountMap:
    """Count the paths that reach each unit of a layer from real pixels, not padding.

    Parameters
    ----------
    network, size, padding, pooling, engine
        As for `usage`.
    layer : str, optional
        The layer whose units are looked at; the last feature map by default.

    Returns
    -------
    CountMap
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
    >>> import padviz
    >>> counts = padviz.coverage("vgg19", 64, layer="features.2")
    >>> counts.full, int(counts.counts[0, 0]), int(counts.counts[9, 9])
    (81, 25, 81)
    """
    from padviz.counting.coverage import coverage

    return coverage(*load_at(network, size), padding, layer, pooling, engine=engine)


def usage(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layer: str | Sequence[str] | None = None,
    pooling: str = "count",
    unit: tuple[int | slice, int | slice] | None = None,
    *,
    heads: str = "sum",
    engine: str = "auto",
) -> CountMap:
    """Count the paths from every input pixel to the units of the target layer.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
        A name of the zoo, the path of a TOML or ONNX file, a module, or a network that is loaded.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    padding : str, optional
        A scheme for every convolution, as README lists them: "reflect"; or one for each axis, height/width:
        "zero/circular". By default each pads as declared.
    layer : str or sequence of str, optional
        Target layers, whose counts add up; by default the last feature map.
    pooling : "count" or "mean"
        Count each pooling tap once, or weigh it by 1 / taps (then counts are floats).
    unit : (row, column), optional
        One unit of the target, or slices for a box of units; all units by default.
    heads : "sum" or "share"
        Of several target layers, add up all paths; or give each layer the same weight: a path to it counts as many as
        the layer with the most paths has, over those that it has (then counts are floats). Where none is named, all
        last maps share.
    engine : "auto", "numpy" or "numba"
        Which kernels count; "auto" picks by the amount of work.

    Returns
    -------
    CountMap
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
    >>> import padviz
    >>> int(padviz.usage("resnet50", 224).counts[0, 0])
    59303702250160
    """
    from padviz.counting.usage import usage

    return usage(*load_at(network, size), padding, layer, pooling, unit, heads=heads, engine=engine)
