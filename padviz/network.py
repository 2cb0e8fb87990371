"""A network: layers in topological order, each two one-axis operations and the layers it reads.

Channels are not modelled. Sizes and axis maps are worked out one axis at a time by `resolve`;
padding schemes and pooling modes are rewrites of the network (`padviz.schemes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from operator import index
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeVar

from padviz.axis import Adaptive, AxisMap, Op, Transposed, Window, axis_map, out_size, place, taps_of
from padviz.errors import DescriptionError, OptionError, SizeError, UnknownName, nearest

Kind = Literal[
    "input", "conv", "convtranspose", "maxpool", "avgpool", "adaptive", "global", "pad", "crop", "resize",
    "add", "concat", "multiply", "gate", "identity", "unknown",
]  # fmt: skip
POOLS: frozenset[Kind] = frozenset({"maxpool", "avgpool", "adaptive", "global"})
WINDOWS: frozenset[Kind] = frozenset({"conv", "maxpool", "avgpool"})
MERGES: frozenset[Kind] = frozenset({"add", "concat", "multiply"})

Size = tuple[int, int]
LARGEST = 1_000_000  # pixels of a side
MOST_TAPS = 100_000  # of all windows on an axis, for their maps to be made


@dataclass(frozen=True, slots=True)
class Layer:
    """One spatial operation; `inputs` and `like` are positions in `Network.layers`, always earlier ones.

    `height` and `width` are None where a position reads only itself: merges, gates, activations.
    A gate multiplies its input by a vector that global pooling made of it; paths leave that vector out.
    `like` is the layer whose size a resize or a crop follows. An unknown layer's `note` is the error that it is
    where anything depends on it. `everywhere` says what makes each position depend on all, though paths pass it by:
    "instance norm".
    """

    name: str
    kind: Kind
    inputs: tuple[int, ...]
    height: Op | None = None
    width: Op | None = None
    like: int | None = None
    note: str = ""
    everywhere: str = ""

    @property
    def ops(self) -> tuple[Op | None, Op | None]:
        """The operation on each axis: (height, width)."""
        return self.height, self.width

    def whole(self, axis: int) -> str:
        """What makes each row, or column, of it depend on all of what it reads; nothing where they do not.

        >>> Layer("pool", "global", (0,), Adaptive(1), Adaptive(1)).whole(0)
        'global pooling'
        """
        if self.everywhere or self.kind == "gate":
            return self.everywhere or "gate"
        op = self.ops[axis]
        if not isinstance(op, Adaptive):
            return ""
        return "global pooling" if op.output == 1 else "adaptive pooling"


@dataclass(frozen=True, eq=False)
class Network:
    """A directed acyclic graph of layers; the first is the input image, `targets` are the last feature maps.

    Without targets there are several last maps, and one must be chosen. On the axes in `fixed` (0: height, 1: width)
    the network takes its own `size` only.

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

    def __post_init__(self) -> None:
        """Refuse, before anything is made of them, more taps than any network has."""
        for axis in (0, 1):
            taps = 0
            for layer in self.layers:
                taps += taps_of(layer.ops[axis])
                if taps > MOST_TAPS:
                    what = f"from the image to it, windows have more than {MOST_TAPS} taps on an axis"
                    raise DescriptionError(
                        what, where=f"{self.name}, {layer.name}", hint="use fewer or smaller windows"
                    )

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each layer by name."""
        return {layer.name: i for i, layer in enumerate(self.layers)}

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of the gates, whose global vectors are left out of the paths."""
        return tuple(layer.name for layer in self.layers if layer.kind == "gate")

    def find(self, name: str) -> Layer:
        """The layer called `name`.

        Raises
        ------
        UnknownName
            With the nearest names, if there is none.
        """
        try:
            return self.layers[self.index[name]]
        except KeyError:
            hint = nearest(name, self.index) or "padviz layers lists them"
            raise UnknownName(f"no layer is called {name!r}", where=self.name, hint=hint) from None


class _Adds(Protocol):
    def __add__(self, other: Self, /) -> Self: ...


T = TypeVar("T")
A = TypeVar("A", bound=_Adds)


class Resolved(NamedTuple):
    """A network on one axis at one size: rows out of each layer, and its map (None: each row reads itself)."""

    sizes: tuple[int, ...]
    maps: tuple[AxisMap | None, ...]


def as_size(size: int | Sequence[int]) -> Size:
    """Read a size: n for a square, or (height, width).

    >>> as_size(224), as_size((240, 320))
    ((224, 224), (240, 320))
    """
    pair = tuple(size) if isinstance(size, tuple | list) else (size, size)
    whole = all(hasattr(n, "__index__") and not hasattr(n, "__len__") and not isinstance(n, bool) for n in pair)
    if not whole or len(pair) != 2 or not all(0 < n <= LARGEST for n in pair):
        shown = " x ".join(map(repr, dict.fromkeys(pair))) if len(pair) == 2 and whole else repr(size)
        what = f"{shown} is not one or two numbers of pixels from 1 to {LARGEST}"
        raise OptionError(what, where="size", hint="use 224 or (240, 320)")
    return index(pair[0]), index(pair[1])


@lru_cache(256)
def upto(network: Network, targets: tuple[str, ...]) -> Network:
    """The part of the network that `targets` depend on; branches that end elsewhere are gone."""
    wanted = ancestors(network.layers, [network.index[network.find(name).name] for name in targets]) | {0}
    return replace(network, layers=only(network.layers, sorted(wanted)), targets=targets)


def ancestors(layers: Sequence[Layer], ends: Iterable[int], *, followed: bool = True) -> set[int]:
    """The positions that `ends` depend on, themselves included; without the `followed`, on whose size alone they do."""
    found = set(ends)
    for i in reversed(range(len(layers))):
        if i in found:
            like = layers[i].like if followed else None
            found.update(layers[i].inputs, () if like is None else (like,))
    return found


def only(layers: Sequence[Layer], kept: Sequence[int]) -> tuple[Layer, ...]:
    """The layers at those positions, which depend on no others; what they read is named by its new position."""
    position = {old: new for new, old in enumerate(kept)}

    def moved(layer: Layer) -> Layer:
        like = None if layer.like is None else position[layer.like]
        return replace(layer, inputs=tuple(position[i] for i in layer.inputs), like=like)

    return tuple(moved(layers[i]) for i in kept)


@lru_cache(1024)
def resolve(network: Network, axis: int, n: int) -> Resolved:
    """Sizes and axis maps of every layer on axis 0 (height) or 1 (width) for `n` input rows.

    Raises
    ------
    SizeError
        Naming the layer where the size does not work.

    Examples
    --------
    >>> import padviz
    >>> resolve(padviz.load("vgg19"), 0, 512).sizes[-1]
    16
    """
    sizes = sizes_of(network, axis, n)
    maps = [_asked(axis_map, network, layer, axis, sizes) for layer in network.layers[1:]]
    return Resolved(sizes, (None, *(None if made and made.identity else made for made in maps)))


@lru_cache(1024)
def sizes_of(network: Network, axis: int, n: int) -> tuple[int, ...]:
    """The rows out of every layer on one axis: what `resolve` gives, without the maps."""
    check_size(network, axis, n)
    sizes = [n]
    for layer in network.layers[1:]:
        check_known(network, layer)
        n_out = _asked(out_size, network, layer, axis, sizes)
        if len(layer.inputs) > 1:
            _agree(network, layer, axis, sizes)
        sizes.append(sizes[layer.inputs[0]] if n_out is None else n_out)
    return tuple(sizes)


def _asked(
    what: Callable[[Op, int, int | None], T], network: Network, layer: Layer, axis: int, sizes: Sequence[int]
) -> T | None:
    """`what` of a layer's operation at those sizes; None where each row reads itself. Errors name the layer."""
    op = layer.ops[axis]
    if op is None:
        return None
    try:
        return what(op, sizes[layer.inputs[0]], None if layer.like is None else sizes[layer.like])
    except SizeError as error:
        where = f"{network.name}, {layer.name}"
        hint = f"the input's {('height', 'width')[axis]} is {sizes[0]}: try another --size or --padding"
        raise SizeError(error.what, where=where, hint=hint) from None


def check_size(network: Network, axis: int, n: int) -> None:
    """Refuse a size that a network does not take, because its own is built in."""
    if axis in network.fixed and n != network.size[axis]:
        height, width = network.size
        what = f"its {('height', 'width')[axis]} cannot be {n}: its size is built in"
        raise SizeError(what, where=network.name, hint=f"use --size {height}x{width}, or read it anew at that size")


def check_known(network: Network, layer: Layer) -> None:
    """Refuse a layer of which nobody knows what it does."""
    if layer.kind == "unknown":
        raise DescriptionError(layer.note, where=f"{network.name}, {layer.name}")


def resolve_both(network: Network, size: Size) -> tuple[Resolved, Resolved]:
    """`resolve` for height and width; the work is shared where both axes are the same."""
    rows = resolve(network, 0, size[0])
    if size[0] == size[1] and is_square(network):
        return rows, rows
    return rows, resolve(network, 1, size[1])


@lru_cache(64)
def is_square(network: Network) -> bool:
    """Whether every layer does the same on both axes, and neither has a size of its own."""
    return len(network.fixed) != 1 and all(layer.height == layer.width for layer in network.layers)


def _agree(network: Network, layer: Layer, axis: int, sizes: Sequence[int]) -> None:
    first = layer.inputs[0]
    for other in layer.inputs[1:]:
        if sizes[other] != sizes[first]:
            names = [network.layers[i].name for i in (first, other)]
            what = ("height", "width")[axis]
            raise SizeError(
                f"its branches disagree in {what}: {names[0]} has {sizes[first]}, {names[1]} has {sizes[other]}",
                where=f"{network.name}, {layer.name}",
                hint="its layers need the padding they declare, or another --size",
            )


def backward(network: Network, seeds: Mapping[int, A], pull: Callable[[int, A], A]) -> A | None:
    """Walk from the seeded layers to the input: each layer hands its value, pulled through it, to all it reads.

    The same walk serves arrays, and the plain ints that prove how wide the arrays must be.
    Returns None where no seed reaches the input.
    """
    value: list[A | None] = [seeds.get(i) for i in range(len(network.layers))]
    for i in range(len(value) - 1, 0, -1):
        here, value[i] = value[i], None
        if here is None:
            continue
        layer = network.layers[i]
        pulled = here if layer.height is None and layer.width is None else pull(i, here)
        for j in layer.inputs:
            there = value[j]
            value[j] = pulled if there is None else pulled + there
    return value[0]


def forward(network: Network, targets: Sequence[int], seed: A, push: Callable[[int, A], A]) -> list[A]:
    """Walk from the input to the targets: each layer pushes on the sum of what it reads."""
    last_use = {j: i for i, layer in enumerate(network.layers) for j in layer.inputs}
    value: dict[int, A] = {0: seed}
    for i, layer in enumerate(network.layers[1:], start=1):
        first, *others = (value[j] for j in layer.inputs)
        for other in others:
            first = first + other
        value[i] = first if layer.height is None and layer.width is None else push(i, first)
        for j in set(layer.inputs):
            if last_use[j] == i and j not in targets:
                del value[j]
    return [value[i] for i in targets]


def names_of(layers: str | Iterable[str] | None, network: Network) -> tuple[str, ...]:
    """The target layers asked for, checked; the network's own targets where none is named.

    Raises
    ------
    OptionError
        Where the network has several last feature maps and none is named: the message lists them.
    """
    if layers is None:
        if not network.targets:
            found = last_maps(network)
            opening = "has several last feature maps:" if len(found) > 1 else "leaves its target open; its last map is"
            what = f"{opening} {', '.join(found)}"
            raise OptionError(what, where=network.name, hint="name one or more with --layer")
        return network.targets
    names = (layers,) if isinstance(layers, str) else tuple(layers) if isinstance(layers, tuple | list) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise OptionError(f"{layers!r} names no layer", where="layer", hint="padviz layers lists them")
    for name in names:
        network.find(name)
    return tuple(dict.fromkeys(names))


def last_maps(network: Network) -> tuple[str, ...]:
    """The layers that no other layer reads.

    >>> import padviz
    >>> last_maps(padviz.load("vgg19"))
    ('features.36',)
    """
    read = {i for layer in network.layers for i in layer.inputs}
    return tuple(layer.name for i, layer in enumerate(network.layers) if i not in read)


def layer_rows(network: Network, size: Size) -> list[tuple[Any, ...]]:
    """Every layer as (name, kind, kernel, stride, dilation, padding, input, output); pairs are [height, width].

    Padding is [[before, after], [before, after]] as resolved at `size`; what a kind lacks is None.

    >>> import padviz
    >>> layer_rows(padviz.load("resnet50"), (224, 224))[0]
    ('conv1', 'conv', [7, 7], [2, 2], [1, 1], [[3, 3], [3, 3]], [224, 224], [112, 112])
    """
    axes = resolve_both(network, size)
    rows = []
    for i, layer in enumerate(network.layers[1:], start=1):
        shapes = [[axis.sizes[at] for axis in axes] for at in (layer.inputs[0], i)]
        both = [_geometry(op, n) for op, n in zip(layer.ops, shapes[0], strict=True)]
        figures = [None if None in pair else list(pair) for pair in zip(*both, strict=True)]
        rows.append((layer.name, layer.kind, *figures, *shapes))
    return rows


def _geometry(op: Op | None, n: int) -> tuple[Any, ...]:
    """Kernel, stride, dilation and padding of an operation, as far as it has them."""
    if isinstance(op, Window):
        placed = place(op, n)
        return op.kernel, op.stride, op.dilation, [placed.before, placed.after]
    if isinstance(op, Transposed):
        return op.kernel, op.stride, op.dilation, list(op.padding)
    return None, None, None, None
