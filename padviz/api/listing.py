"""What networks are made of, and what they cost: listed, compared, written down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padviz.api.results.asked import asked
from padviz.api.results.description import Description
from padviz.api.results.result import Result
from padviz.errors import OptionError
from padviz.geometry.costs import Costs, LayerCost
from padviz.geometry.costs import costs as counted_costs
from padviz.geometry.differences import Difference, differences
from padviz.network.layer import Layer
from padviz.network.network import Network
from padviz.sources import load as loaded
from padviz.sources.tracing.reading import as_reading

if TYPE_CHECKING:
    from torch import nn


class LayersResult(Result[Layer]):
    """The layers of a network, in its order."""


class CostsResult(Result[LayerCost], Costs):
    """Multiply-adds: `.macs`, the sum, and `.layers`."""


class NetworksResult(Result[Network]):
    """The networks of the zoo."""


class DiffResult(Result[Difference]):
    """Where two networks part."""


class Loaded(Network):
    """A network that a notebook shows as its layers.

    >>> load("vgg11")
    <Network vgg11, 13 layers, 224 x 224>
    """

    def _repr_html_(self) -> str:
        html: str = layers(self)._repr_html_()
        return html


def load(
    source: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    neutral: str | Iterable[str] = (),
    shape: Mapping[str, Any] | None = None,
    input_: str | None = None,
) -> Network:
    """Load a network: a name of the zoo, a TOML, ONNX, .keras or .pt2 file, a module, or a network as it is.

    Parameters
    ----------
    source : str, Path, torch.nn.Module, keras.Model or Network
        A module may be named, as in "torchvision.models:resnet50".
    size : int or (height, width), optional
        Where a module or a file is read, in pixels; what it declares by default. `.at(size)` reads it at another size.
    neutral : str or iterable of str
        Operations of foreign networks that padviz does not know, to treat as elementwise; none that moves positions
        may be among them.
    shape : mapping, optional
        What inputs beside the image are, as ``{"timestep": 1, "image2": (1, 3, "H", "W")}``: a number, or the shape of
        a tensor, whose values are constants and not known.
    input_ : str, optional
        The input that is the image; by default the first, of a file the first of four dimensions, that `shape` leaves.

    Returns
    -------
    Network
        For all other functions, those of trained networks and `repad` among them: they read the weights, as it was
        loaded. A notebook shows its layers.

    Raises
    ------
    UnknownName, DescriptionError, OptionError
        For what cannot be read.

    Examples
    --------
    >>> load("resnet18").targets
    ('layer4.1',)

    What a module takes beside the image is said once, for whatever is asked of it:

    >>> from torch import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.conv = nn.Conv2d(3, 4, 3, padding=1)
    ...     def forward(self, image, timestep):
    ...         return self.conv(image) * timestep
    >>> net = load(Net(), 32, shape={"timestep": 1})
    >>> import padviz
    >>> padviz.uneven(net).balanced, padviz.repad(net, "reflect").repadded.changed
    (True, ('conv',))
    """
    reading = as_reading(neutral, shape, input_)
    network = loaded(source, size, reading)
    shown = Loaded(**{each.name: getattr(network, each.name) for each in fields(network) if each.init})
    known = source if isinstance(source, Network) else None
    object.__setattr__(shown, "origin", known.origin if known else source)
    object.__setattr__(shown, "reading", known.reading if known else reading)
    return shown


def layers(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    same: bool = False,
    layer: str | Iterable[str] | None = None,
) -> LayersResult:
    """List every layer: kernel, stride, dilation, padding, sizes, multiply-adds, receptive field and grid offset.

    The picture is that of `fields`.

    Parameters
    ----------
    network, size, padding, same, layer
        As for `uneven`.

    Returns
    -------
    LayersResult

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Examples
    --------
    >>> layers("vgg11", 64).to_rows()[0]["output"]
    '64'
    """
    from padviz.figures.windows import field_boxes
    from padviz.reports.windows import layers as reports

    wanted, pixels = asked(network, size, padding, same, layer)
    rows = wanted.layers[1:]
    draw = partial(field_boxes.fields_of, wanted, pixels)
    return LayersResult.made_of(None, rows, partial(reports.layers, wanted, pixels), draw)


def costs(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    same: bool = False,
    layer: str | Iterable[str] | None = None,
) -> CostsResult:
    """Count the multiply-adds of every convolution at a size.

    Parameters
    ----------
    network, size, padding, same, layer
        As for `uneven`.

    Returns
    -------
    CostsResult
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
    >>> [cost.macs for cost in costs("resnet50", 224)][:2]
    [118013952, 0]
    """
    from padviz.reports.windows import layers as reports

    wanted, pixels = asked(network, size, padding, same, layer)
    counted = counted_costs(wanted, pixels)
    return CostsResult.made_of(counted, counted.layers, partial(reports.costs, wanted, pixels, counted))


def networks() -> NetworksResult:
    """List the networks that padviz knows by name.

    Returns
    -------
    NetworksResult

    Raises
    ------
    PadvizError
        If a description of the zoo cannot be read.

    Examples
    --------
    >>> "resnet50" in [network.name for network in networks()]
    True
    """
    from padviz.reports.windows import layers as reports
    from padviz.sources.toml.load import load_config, zoo

    rows = tuple(map(load_config, zoo()))
    return NetworksResult.made_of(None, rows, partial(reports.networks, rows))


def diff(
    network: str | Path | Network | nn.Module,
    other: str | Path | Network | nn.Module | None = None,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    same: bool = False,
) -> DiffResult:
    """Compare the windows of two networks at one size; with `same`, the second is read in SAME's convention.

    Parameters
    ----------
    network, size, padding
        As for `uneven`.
    other : str, Path, torch.nn.Module or Network, optional
        The second network; the first one under `same` by default: what moves when its weights are ported.
    same : bool
        Whether to pad the second as TensorFlow's and Keras's SAME.

    Returns
    -------
    DiffResult

    Raises
    ------
    PadvizError
        For a network or size that cannot be used.

    Examples
    --------
    >>> len(diff("vgg16", "vgg16", 224)), diff("resnet18", size=224, same=True)[0].a
    (0, 'conv1')
    """
    from padviz.reports.windows import layers as reports

    if other is None and not same:
        raise OptionError("there is nothing to compare with", option="other", hint="name one, or add `same`")
    first, pixels = asked(network, size, padding)
    second, _ = asked(network if other is None else other, pixels, padding, same)
    rows = tuple(differences(first, second, pixels))
    return DiffResult.made_of(None, rows, partial(reports.diff, first, second, pixels, same, rows, False))


def convert(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    same: bool = False,
) -> Description:
    """Write a network as a TOML description that loads back to it, flat: one step per layer.

    Parameters
    ----------
    network, padding, same
        As for `uneven`.
    size : int or (height, width), optional
        What the description is used at by default, in pixels.

    Returns
    -------
    Description
        A str, with `.save(path)`.

    Raises
    ------
    PadvizError
        For a network, size or scheme that cannot be used.

    Examples
    --------
    >>> convert("vgg11", 64).split("\\n")[2]
    'size = 64'
    """
    from padviz.sources.toml.write import rewritten

    read, pixels = asked(network, size, same=same)
    return Description(rewritten(read, padding, pixels))
