"""A network: layers in topological order, its targets, and the size of its input; and how sizes are
written.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import accumulate
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padviz.errors import (
    DescriptionError,
    OptionError,
    SizeError,
    UnknownName,
    nearest,
    shortly,
    typed,
)
from padviz.network.layer import POOLS, Layer
from padviz.network.operations import Window, taps_of

if TYPE_CHECKING:
    from torch import nn

Size = tuple[int, ...]  # on each axis
AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
FILES = (".onnx", ".keras", ".pt2")  # of networks that another library wrote
ENDS = {
    "length": ("before", "after"),
    "depth": ("front", "back"),
    "height": ("top", "bottom"),
    "width": ("left", "right"),
}
LARGEST = 1_000_000  # pixels of a side
MOST_TAPS = 100_000  # of all windows on an axis


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """A directed acyclic graph of layers; the first is the input image, `targets` are the last
    feature maps.

    Without targets there are several last maps, and one must be chosen. `size` has a number for
    each of its `axes`: a description holds at others too, except on the axes in `fixed` (0: the
    first); a module or a file was read at that size, and `again` reads it at another. `declared` is
    the input size in a file, 0 on the axes that it leaves open. `notes` are sentences for the
    reader, such as what was skipped; `gone` maps the names of skipped layers to reasons. `behind`
    has what a module or a file returns that is not its last maps, and why. `aliases`
    are further names of layers: those that an ONNX file has for their output tensors, or a module
    for what it returns. `before_pools` has the `pool_pads` of the network that this is a part of,
    where convolutions behind may read them too. `tail` has the pools to several units that heads
    read behind the targets, whose `inputs` count on behind `layers`; None where that is not known.
    `channels` are those of the image that a module was read with, 0 where that is not known.
    `padding` is the scheme that replaces the padding of all convolutions, if one does.
    `origin` is the model that the user named, and `reading` how it was read: weights are read from
    there again. Networks made by `replace` have neither, since their weights differ.

    Examples
    --------
    >>> import padviz
    >>> net = padviz.load("vgg19")
    >>> net.targets, net.layers[1].name
    (('features.36',), 'features.0')
    """

    name: str
    layers: tuple[Layer, ...]
    targets: tuple[str, ...]
    title: str = ""
    source: str = ""
    size: Size = (224, 224)
    fixed: tuple[int, ...] = ()
    declared: Size = ()
    notes: tuple[str, ...] = ()
    gone: Mapping[str, str] = field(default_factory=dict, repr=False)
    behind: tuple[tuple[str, str], ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict, repr=False)
    again: Callable[[Size], Network] | None = None
    before_pools: frozenset[str] | None = None
    tail: tuple[Layer, ...] | None = None
    channels: int = 0
    padding: str | None = None
    origin: str | Path | nn.Module | None = field(default=None, init=False)
    reading: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Fill in missing operations, and reject more taps than any real network has, before maps
        are made.
        """
        nothing = (None,) * len(self.size)
        if not all(layer.ops for layer in self.layers):
            layers = tuple(
                layer if layer.ops else replace(layer, ops=nothing) for layer in self.layers
            )
            object.__setattr__(self, "layers", layers)
        for along in zip(*(layer.ops for layer in self.layers), strict=True):
            taps = [*accumulate(map(taps_of, along))]
            if taps[-1] > MOST_TAPS:
                what = f"the windows up to it have more than {MOST_TAPS} taps on an axis"
                where = f"{self.name}, {self.layers[bisect_right(taps, MOST_TAPS)].name}"
                raise DescriptionError(what, where=where, hint="use fewer or smaller windows")

    def __repr__(self) -> str:
        return f"<Network {self.name}, {len(self.layers) - 1} layers, {in_words(self.size)}>"

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of its axes."""
        return AXES[len(self.size)]

    @property
    def px(self) -> str:
        """The unit of its input's positions in sentences."""
        if len(self.size) == 1:
            return "input samples"
        return "px"

    @cached_property
    def index(self) -> dict[str, int]:
        """The position of each layer by name."""
        return {layer.name: i for i, layer in enumerate(self.layers)}

    def __getstate__(self) -> dict[str, object]:
        # A module stays behind; a file or a module that has a name can be read again.
        origin = None
        if isinstance(self.origin, str | Path):
            origin = self.origin
        return {**vars(self.at_own_size()), "origin": origin, "reading": self.reading}

    def pixels(self, size: int | Sequence[int] | None, option: str = "size") -> Size:
        """Return a size on each axis; by default the network's own."""
        if size is None:
            return self.size
        return on_axes(as_size(size, option), self.axes, self.name)

    def at(self, size: int | Sequence[int] | None) -> Network:
        """Return the network at a size: a description is the same, a module or a file is traced
        there.

        Raises
        ------
        SizeError
            If the network does not take that size.

        >>> import padviz
        >>> net = padviz.load("vgg11")
        >>> net.at(64) is net
        True
        """
        pixels = self.pixels(size)
        if self.again is not None and pixels != self.size:
            return self.again(pixels)
        for axis in self.fixed:
            if pixels[axis] != self.size[axis]:
                what = (
                    f"its {self.axes[axis]} cannot be {pixels[axis]}: the description holds at "
                    f"{in_words(self.size)}"
                )
                typed_size = "x".join(map(str, self.size))
                raise SizeError(
                    what,
                    where=self.name,
                    hint=f"use `size` {typed_size}, or convert the network at that size",
                )
        return self

    def at_own_size(self, **changes: Any) -> Network:
        """Return a changed copy that is valid at its own size only, and is not read at others."""
        return replace(self, again=self.again and partial(_reject, self.name, self.size), **changes)

    def reread_with(
        self, rewrite: Callable[[Network], Network]
    ) -> Callable[[Size], Network] | None:
        """Return an `again` that reads the network at another size and rewrites it there."""
        again = self.again
        if again is None:
            return None
        return lambda size: rewrite(again(size))

    @property
    def pads(self) -> bool:
        """Whether any convolution pads."""
        for layer in self.layers:
            if layer.kind not in ("conv", "pad") or layer.name in self.pool_pads:
                continue
            if any(isinstance(op, Window) and op.padding != (0, 0) for op in layer.ops):
                return True
        return False

    @cached_property
    def pool_pads(self) -> frozenset[str]:
        """Names of the pads whose rows only pools read, maybe through elementwise layers: schemes
        leave them alone.
        """
        if self.before_pools is not None:
            return self.before_pools
        readers: list[set[str]] = [set() for _ in self.layers]
        for i, layer in reversed([*enumerate(self.layers)]):
            passing = layer.kind == "pad" or not any(layer.ops)
            for j in layer.inputs:
                readers[j] |= readers[i] if passing else {layer.kind}
        pads = zip(self.layers, readers, strict=True)
        return frozenset(
            layer.name for layer, kinds in pads if layer.kind == "pad" and kinds and kinds <= POOLS
        )

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of the gates; paths leave their global vectors out."""
        return tuple(layer.name for layer in self.layers if layer.kind == "gate")

    def own_name(self, name: str) -> str:
        """Return the layer's own name for the name of its output tensor; any other name
        unchanged.
        """
        if name in self.index:
            return name
        return self.aliases.get(name, name)

    def find(self, name: str) -> Layer:
        """Return the layer of that name, or whose output tensor has it, or that is the only output
        of the block of that name.

        >>> import padviz
        >>> padviz.load("resnet50").find("layer3").name
        'layer3.5'

        Raises
        ------
        UnknownName
            With the nearest names, if there is none; with the reason, if it was skipped.
        """
        try:
            return self.layers[self.index[self.own_name(name)]]
        except KeyError:
            outputs = self._outputs_of_block(name)
            if len(outputs) == 1:
                return outputs[0]
            if name in self.gone:
                raise UnknownName(f"{name} {self.gone[name]}", where=self.name) from None
            model = "MODEL"
            if self.source.lower().endswith(FILES):
                model = self.source
            lists = f"padviz layers {typed(model)} lists them"
            hint = nearest(name, self.index) or nearest(name, [*self.aliases, *self.gone]) or lists
            raise UnknownName(f"no layer is called {name!r}", where=self.name, hint=hint) from None

    def _outputs_of_block(self, name: str) -> list[Layer]:
        """List the layers of a block, such as layer3 of layer3.0 to layer3.5, that no layer in it
        reads, and those that others read.
        """
        inside = {i for i, layer in enumerate(self.layers) if layer.name.startswith(f"{name}.")}
        # of each layer that is read: by a layer in the block, or by another
        read = {(i, j in inside) for j, layer in enumerate(self.layers) for i in layer.inputs}
        return [
            self.layers[i] for i in sorted(inside) if (i, True) not in read or (i, False) in read
        ]


def _reject(name: str, size: Size, other: Size) -> Network:
    raise SizeError(
        f"is known at {in_words(size)}, not at {in_words(other)}",
        where=name,
        hint="load it at that size",
    )


class Alike(tuple[int, ...]):
    """A size that is the same on every axis, however many the network turns out to have."""


def on_axes(size: Size, axes: tuple[str, ...], where: str = "") -> Size:
    """Return a size on each of the axes; a signal's may be that of a map of one row."""
    if isinstance(size, Alike):
        return size[:1] * len(axes)
    if len(size) > len(axes) == 1 and {*size[:-1]} == {1}:
        return size[-1:]
    if len(size) != len(axes):
        if len(size) == 1:
            numbers = "1 number"
        else:
            numbers = f"{len(size)} numbers"
        what = f"{in_words(size)} has {numbers}, and the input has {len(axes)}: {', '.join(axes)}"
        hint = "use one number"
        if len(axes) > 1:
            hint = f"use {'x'.join(axis[0].upper() for axis in axes)}, or one number for all"
        raise OptionError(what, where=where, option="size", hint=hint)
    return tuple(size)


def in_words(size: Iterable[object]) -> str:
    """Format a size or a shape."""
    return " x ".join(map(str, size))


def as_size(size: int | Sequence[int], option: str = "size") -> Size:
    """Check a size: n for the same on every axis, or a number for each, as (height, width)."""
    if isinstance(size, Alike):
        return size
    if isinstance(size, tuple | list):
        sides = tuple(size)
    else:
        sides = (size, size)
    whole = all(
        hasattr(n, "__index__") and not hasattr(n, "__len__") and not isinstance(n, bool)
        for n in sides
    )
    if not whole or len(sides) not in AXES or not all(0 < n <= LARGEST for n in sides):
        if len(sides) == 2 and whole:
            numbers = " x ".join(map(repr, dict.fromkeys(sides)))
        else:
            numbers = shortly(size)
        what = f"{numbers} is not one to three numbers of pixels from 1 to {LARGEST}"
        raise OptionError(what, option=option, hint="use 224 or (240, 320)")
    kind = tuple if isinstance(size, tuple | list) else Alike
    return kind(map(index, sides))


def sizes_in(text: str, option: str = "size") -> list[Size]:
    """Parse a list of sizes: N, HxW, DxHxW, and LO:HI or LO:HI:STEP for squares, between commas;
    each once.
    """
    parts = sides_in(text, option)
    if sum(map(len, parts)) > LARGEST:
        raise OptionError(
            f"{text!r} are more than {LARGEST} sizes", option=option, hint="use a larger step"
        )
    sizes: dict[Size, None] = {}
    for sides in parts:
        for side in sides:
            sizes[side if isinstance(side, tuple) else as_size(side)] = None
    return [*sizes]


def sides_in(text: str, option: str = "size") -> list[Sequence[int | Size]]:
    """Parse a list of sizes as `sizes_in` does, but keep ranges as they are, however long."""
    return [_sides_in(part.strip(), option) for part in text.split(",")]


def _sides_in(text: str, option: str) -> Sequence[int | Size]:
    side = r"([1-9]\d{0,8})"
    # padviz itself prints sizes with spaces
    if (
        re.fullmatch(f"{side}(?: ?[xX] ?{side}){{1,2}}", text, re.ASCII)
        and max(sizes := tuple(map(int, text.lower().split("x")))) <= LARGEST
    ):
        return [sizes]
    match = re.fullmatch(f"{side}(?::{side}(?::{side})?)?", text, re.ASCII)
    if match:
        sides = [*map(int, filter(None, match.groups()))]
    else:
        sides = [0]
    if not match or max(sides) > LARGEST or min(sides) < 1:
        hint = f"use pixels from 1 to {LARGEST}, such as 224, 240x320, 64:448 or 64:448:16"
        raise OptionError(f"{text!r} is not a size", option=option, hint=hint)
    if not match[2]:
        return [as_size(sides[0])]
    lengths = range(int(match[1]), int(match[2]) + 1, int(match[3] or 1))
    if not lengths:
        raise OptionError(
            f"{text!r} is an empty range",
            option=option,
            hint="use LO:HI or LO:HI:STEP, LO below HI",
        )
    return lengths


def notes_on(network: Network, asked: bool = True, sized_by: str = "size") -> Iterator[str]:
    """Yield notes on a network's figures: what was skipped, and how its size differs from a file's.

    Where no size was `asked` for, and a file leaves its own open, a note gives the size used.
    """
    yield from network.notes
    if clause := declared(network):
        yield f"{clause}; numbers that the export computed from its size stay the same"
    if not asked and network.source.lower().endswith(FILES) and not all(network.declared):
        yield (
            f"the file does not fix its input size: using {in_words(network.size)}; set another "
            f"with `{sized_by}`"
        )


def declared(network: Network, size: Size | None = None) -> str:
    """Return a clause where a file declares another input size than this, by default the size it
    was read at.
    """
    size = size or network.size
    in_file = tuple(given or n for given, n in zip(network.declared, size, strict=False))
    if in_file == size[: len(in_file)]:
        return ""
    return (
        f"the file declares an input of {in_words(in_file)}, and must be exported again for "
        f"{in_words(size)}"
    )
