"""Questions about windows, padding and sizes: each function loads what a person names, once, and calls a room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from padviz.network.network import Network
from padviz.sources import load, load_at

if TYPE_CHECKING:
    from torch import nn

    from padviz.advice.verdict import Audit
    from padviz.geometry.balance.even_sizes import EvenSizes
    from padviz.geometry.costs import Costs
    from padviz.geometry.ledger import Ledger
    from padviz.geometry.receptive_fields import ReceptiveField
    from padviz.geometry.tap_exposure import TapExposure


def audit(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    layer: str | Sequence[str] | None = None,
    *,
    heads: str = "sum",
) -> Audit:
    """Judge how a network treats the border of an image at a size, and find what could be changed, best first.

    Tried are the nearest balanced sizes, padding schemes on both axes or on one, both together, pads that make uneven
    windows even, the stride of uneven learned windows moved into rigid pools, and the output cropped to units that read
    no padding.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    layer : str or sequence of str, optional
        The target layer, or several that add up; the last feature map by default.
    heads : "sum" or "share"
        How several last feature maps count, as for `usage`.

    Returns
    -------
    Audit
        With `.verdict`, the sentences `.border`, `.symmetry` and `.padding`, and `.remedies`, those that help; first
        what works with today's weights, then what helps most: what each is, how it is made, what it needs of a trained
        network, and its outcome.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Notes
    -----
    The geometry of each is counted exactly; `trial` measures what it does to a trained network.
    Source: Alsallakh et al., ICLR 2021: even sizes, padding schemes, rigid kernels.

    Examples
    --------
    >>> judged = audit("resnet50", 224)
    >>> judged.verdict
    'lopsided, narrow rim'
    >>> best = judged.remedies[0]
    >>> best.what, best.edit, best.outcome.uneven_learned
    ('225x225 + reflect', ['Resize((225, 225))', 'padviz.repad(module, "reflect")'], 0)
    """
    from padviz.advice.verdict import audit

    return audit(load(network, size), size, layer, heads)


def costs(network: str | Path | Network | nn.Module, size: int | Sequence[int] | None = None) -> Costs:
    """Count the multiply-adds of every convolution at a size.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
        A name of the zoo, the path of a TOML or ONNX file, a module, or a network that is loaded.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.

    Returns
    -------
    Costs
        With `.macs`, the sum, and `.layers`; both None where channels are not known, and `.unknown` says where.

    Raises
    ------
    PadvizError
        For a name or size that cannot be used.

    Notes
    -----
    Convolutions alone: linear layers, attention, and what makes a vector for a gate or a head are left out.
    Half of what `torch.utils.flop_counter.FlopCounterMode` counts for them; biases cost nothing.

    Examples
    --------
    >>> costs("resnet50", 224).macs, costs("resnet50", 225).macs
    (4087136256, 4624665792)
    >>> [cost.macs for cost in costs("resnet50", 224).layers[:2]]
    [118013952, 0]
    """
    from padviz.geometry.costs import costs

    return costs(*load_at(network, size))


def sizes(network: str | Path | Network | nn.Module, lo: int = 64, hi: int = 1024, axis: str = "both") -> EvenSizes:
    """Find every size in lo .. hi at which no layer reads its padding unevenly.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
    lo, hi : int
        The range of input sizes in pixels, both ends included.
    axis : "both", "height" or "width"
        The sizes of squares, or of one side alone.

    Returns
    -------
    EvenSizes
        Tuples of sizes, in pixels, and the rule that they follow.

    Raises
    ------
    OptionError
        For a range or axis that cannot be used.

    Notes
    -----
    A rule, such as "32*i + 1", is found from the sizes and holds for every size in the range.

    Examples
    --------
    >>> balanced = sizes("resnet50", 200, 300)
    >>> balanced.even, balanced.rule
    ((225, 257, 289), '32*i + 1')
    """
    from padviz.geometry.balance.even_sizes import even_sizes

    return even_sizes(load(network), lo, hi, axis)


def uneven(network: str | Path | Network | nn.Module, size: int | Sequence[int] | None = None) -> Ledger:
    """Account for the padding of every window at a size.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
        A name of the zoo, the path of a TOML or ONNX file, a module, or a network that is loaded.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.

    Returns
    -------
    Ledger
        With `.layers`, `.uneven`, `.even` and `.drops`; padding in rows.

    Raises
    ------
    PadvizError
        For a name or size that cannot be used.

    Notes
    -----
    Source: Alsallakh et al., "Mind the Pad - CNNs can Develop Blind Spots", ICLR 2021.

    Examples
    --------
    >>> [row.layer for row in uneven("resnet18", 224).uneven]
    ['conv1', 'maxpool', 'layer2.0.conv1', 'layer3.0.conv1', 'layer4.0.conv1']
    >>> uneven("resnet18", 225).even
    True
    """
    from padviz.geometry.ledger import ledger

    return ledger(*load_at(network, size))


def fields(
    network: str | Path | Network | nn.Module, size: int | Sequence[int] | None = None
) -> tuple[ReceptiveField, ...]:
    """Work out the receptive field of every layer.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
    size : int or (height, width), optional
        Where padding depends on the input size (SAME), and for layers that see all of it.

    Returns
    -------
    tuple of ReceptiveField
        One for each layer, in network order; sizes in input pixels.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Notes
    -----
    A size is the union over all branches: the extent of `usage` from a single inner unit.
    Source: Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.

    Examples
    --------
    >>> last = fields("vgg16", 224)[-1]
    >>> last.height.size, int(last.height.stride), last.height.padding
    (212, 32, 90)
    """
    from padviz.geometry.receptive_fields import receptive_fields

    return receptive_fields(*load_at(network, size))


def taps(network: str | Path | Network | nn.Module, size: int | Sequence[int] | None = None) -> tuple[TapExposure, ...]:
    """Count, for each tap of each window, the units that read a real pixel with it.

    An even layer has a grid that mirrors; an uneven one does not, and skewed filters go with it.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
    size : int or (height, width), optional

    Returns
    -------
    tuple of TapExposure
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
    >>> taps("resnet18", 224)[-5].grid
    array([[36, 42, 42],
           [42, 49, 49],
           [42, 49, 49]])
    """
    from padviz.geometry.tap_exposure import tap_exposure

    return tap_exposure(*load_at(network, size))
