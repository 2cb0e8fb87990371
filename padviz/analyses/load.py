"""Networks from their names, files and modules, and written down again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated

from padviz.analyses.asked import Pixels, Source, asked
from padviz.analyses.result import opening
from padviz.geometry.sizing.nearest import near_sizes_named
from padviz.network.network import Network, Size, as_size
from padviz.options import INPUT, MODEL, NEUTRAL, PADDING, SAME, SHAPE, SIZE, Command
from padviz.sources import load as loaded
from padviz.sources.tracing.reading import Reading, Shape, as_reading


class Description(str):
    """A text in TOML, to print, to save and to load again.

    >>> text = Description("size = 224\\n" * 30)
    >>> len(repr(text).split("\\n"))
    10
    """

    __slots__ = ()

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write it to a file, completely or not at all.

        Raises
        ------
        OptionError
            For a path that cannot be written, or a file that exists, unless it is to `overwrite`
            that.
        """
        from padviz.files.atomic import atomic_path
        from padviz.files.output import check_output

        check_output(Path(path), overwrite)
        with atomic_path(Path(path)) as temporary:
            temporary.write_text(f"{self.rstrip()}\n", encoding="utf-8")

    def _repr_html_(self) -> str:
        from html import escape

        return f'<pre style="max-height: 30em; overflow: auto">{escape(self)}</pre>'

    def __repr__(self) -> str:
        return opening(self, "description")


class Loaded(Network):
    """A network that a notebook shows as its layers.

    >>> load("vgg11")
    <Network vgg11, 13 layers, 224 x 224>
    """

    def at(self, size: int | Sequence[int] | None) -> Network:
        """Return the network at a size; where it refuses that, the error names others."""
        with near_sizes_named(lambda: self, None if size is None else as_size(size)):
            network = super().at(size)
        if network is self:
            return network
        return _loaded(network, self.origin, self.reading)

    def _repr_html_(self) -> str:
        from padviz.analyses.layers import layers

        return layers(self)._repr_html_()


def _loaded(network: Network, origin: object, reading: Reading | None) -> Loaded:
    """Return a network that knows what it was read from, and how."""
    loaded = Loaded(
        **{field.name: getattr(network, field.name) for field in fields(network) if field.init}
    )
    object.__setattr__(loaded, "origin", origin)
    object.__setattr__(loaded, "reading", reading)
    return loaded


def read(source: Source, size: Size | None, reading: Reading) -> Loaded:
    """Load a network as `load` does."""
    with near_sizes_named(lambda: loaded(source, None, reading), size):
        network = loaded(source, size, reading)
    if isinstance(source, Network):
        return _loaded(network, source.origin, source.reading)
    return _loaded(network, source, reading)


def load(
    source: Source,
    size: Pixels = None,
    neutral: Annotated[str | Iterable[str], NEUTRAL] = (),
    shape: Annotated[Mapping[str, Shape] | None, SHAPE] = None,
    input_: Annotated[str | None, INPUT] = None,
) -> Network:
    """Load a network: a name of the zoo, a TOML, ONNX, .keras or .pt2 file, a module, or a network
    as it is.

    Parameters
    ----------
    source : str, Path, torch.nn.Module, keras.Model or Network
        A module may be named, as in "torchvision.models:resnet50".
    size : int or (height, width), optional
        Input size in pixels at which it is read; the declared one by default. `.at(size)` reads it
        at another size.
    neutral : str or iterable of str
        Unknown operations to treat as elementwise; they must not move positions.
    shape : mapping, optional
        Other inputs, as ``{"timestep": 1, "image2": (1, 3, "H", "W")}``: a number, or the shape of
        a tensor. That of a module's image says its channels, as ``{"x": (1, 80, "L")}`` of a
        signal.
    input_ : str, optional
        Name of the image input; by default the first that `shape` leaves, of a file the first of
        four dimensions.

    Returns
    -------
    Network
        For all other functions; those of trained networks and `repad` read its weights. A notebook
        shows its layers.

    Raises
    ------
    UnknownName, DescriptionError, OptionError
        For what cannot be read.

    Examples
    --------
    >>> load("resnet18").targets
    ('layer4.1',)

    Other inputs of a module are named once, for all functions:

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
    return read(source, None if size is None else as_size(size), as_reading(neutral, shape, input_))


def convert(
    network: Annotated[Source, MODEL],
    size: Annotated[Pixels, SIZE] = None,
    padding: Annotated[str | None, PADDING] = None,
    same: Annotated[bool, SAME] = False,
) -> Description:
    """Write a network as a TOML description that loads back to it, flat: one step per layer.

    Parameters
    ----------
    network, size, padding, same
        As for `uneven`; the description has that size.

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

    with asked(network, size, same=same) as (described, pixels):
        return Description(rewritten(described, padding, pixels))


COMMAND = Command(
    convert,
    """Write MODEL as a TOML description of the same network, one step per layer.

    --size becomes the description's default size, and --padding the padding of its convolutions.

    \b
    Example:
      padviz convert resnet18 -o net.toml
      padviz convert resnet18 --padding zero/circular -o wrapped.toml
    """,
    formats=(),
    files=(".toml",),
)
