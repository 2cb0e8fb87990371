"""What repadding changes of a network, layer by layer, and what it leaves alone and why; for files and modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from padviz.axis.operations import Fit, Op, Window, pads_at
from padviz.axis.padding_modes import MODES, fold, native
from padviz.errors import OptionError, PadvizError, SizeError
from padviz.network.layer import Layer
from padviz.network.network import Network, Size
from padviz.network.rewrites import canonical, check_image, padded_layer, schemes_of, with_pads_joined
from padviz.network.sizes import sizes_of
from padviz.network.targets import last_maps

ALONE = "it pads on its own, and partial convolution reweighs convolutions alone"


@dataclass(frozen=True, slots=True)
class Change:
    """A layer as it is, and as it is to become; `entering` is the size that it reads, at the plan's size.

    A `pooled` one is followed by a new average pool that took its stride.
    """

    before: Layer
    after: Layer
    entering: Size
    pooled: bool = False

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.before.name


@dataclass(frozen=True, slots=True)
class Left:
    """A layer that pads and cannot be changed, and why."""

    layer: str
    why: str


@dataclass(frozen=True)
class Plan:
    """A network as it is and as it is to become, at a size: what changes, and what cannot.

    `targets` are the last maps, and `pads` is how many layers pad of those that were asked for. In `before` and `after`
    pads belong to the convolutions that follow them where they can, and the layers are the same ones, in the same
    order. The law: usage of what was repadded is that of `after`, exactly, in every pixel; and that is usage with the
    scheme as an override where everything can be changed. A `whole` one is done as a whole, or not at all.

    >>> import padviz
    >>> planned = plan(padviz.load("vgg11"), "reflect")
    >>> len(planned.changes), planned.changes[0].name, planned.changes[0].after.ops[0].mode
    (8, 'features.0', 'reflect')
    """

    before: Network
    after: Network
    size: Size
    targets: tuple[str, ...]
    changes: tuple[Change, ...]
    left: tuple[Left, ...] = ()
    pads: int = 0
    whole: bool = False

    def at(self, size: Size) -> Plan:
        """Plan the same changes at another size."""
        before = self.before.at(size)
        return replace(self, before=before, after=_changed(before, self.changes), size=size)

    def leaving(self, why: Mapping[str, str]) -> Plan:
        """Drop from the plan the layers that cannot be changed after all, by name and with the reason.

        Raises
        ------
        PadvizError
            Of a plan that is done as a whole or not at all.
        """
        if not why:
            return self
        if self.whole:
            name, reason = next(iter(why.items()))
            raise PadvizError(f"nothing can be changed: {name}: {reason}", where=self.before.name)
        kept = tuple(change for change in self.changes if change.name not in why)
        left = (*self.left, *(Left(change.name, why[change.name]) for change in self.changes if change.name in why))
        return replace(self, after=_changed(self.before, kept), changes=kept, left=left)


def plan(
    network: Network,
    padding: str,
    size: int | Sequence[int] | None = None,
    layers: Iterable[str] = (),
    without: Iterable[str] = (),
) -> Plan:
    """Plan to pad every convolution by a scheme: what `with_padding` changes, as far as it fits at a size.

    It is of some `layers` alone, or of all but those in `without`.

    >>> import padviz
    >>> planned = plan(padviz.load("resnet18"), "reflect", 32)
    >>> planned.left[0]
    Left(layer='layer4.0.conv2', why='its input has 1 row, too few for reflect padding of 1')
    """
    check_image(network)
    padding = checked(padding)
    network, at = network.at(size), network.pixels(size)
    joined = with_pads_joined(network)
    sizes = [sizes_of(joined, axis, n) for axis, n in enumerate(at)]
    selected = _selected(network, joined, layers, without)
    changes, left, pads = [], [], 0
    for i, layer in enumerate(joined.layers):
        if i not in selected or layer.name in joined.pool_pads:
            continue
        entering = sizes[0][layer.inputs[0]], sizes[1][layer.inputs[0]]
        after = padded_layer(layer, layer.kind, padding)
        if any(_fills(op, n, sizes[axis][i]) for axis, (op, n) in enumerate(zip(layer.ops, entering, strict=True))):
            left.append(Left(layer.name, "it fills up to the size of another map, with zeros"))
        elif layer.kind not in ("conv", "pad") or not any(map(adds, layer.ops)):
            continue
        elif all(map(same_rows, layer.ops, after.ops)):
            pads += 1
        elif why := cannot(after, entering):
            left.append(Left(layer.name, why))
        else:
            changes.append(Change(layer, after, entering))
    return Plan(
        joined,
        _changed(joined, changes),
        at,
        last_maps(network),
        tuple(changes),
        tuple(left),
        pads + len(changes) + len(left),
    )


def checked(padding: str) -> str:
    """Check and shorten a scheme that says what padding reads; "valid" and "full" say how much there is.

    Raises
    ------
    OptionError
        For any other.

    >>> checked("zero/zero")
    'zero'
    """
    for scheme in schemes_of(padding):
        if scheme not in MODES:
            what = f"{scheme!r} is another amount of padding, which changes the size of every map"
            raise OptionError(what, option="padding", hint=f"use {', '.join(MODES)}, or HEIGHT/WIDTH")
    return canonical(padding) or padding


def adds(op: Op | None) -> bool:
    """Tell whether an operation has padding.

    >>> adds(Window(3)), adds(Window(3, padding="same"))
    (False, True)
    """
    return isinstance(op, Window) and (isinstance(op.padding, str) or max(op.padding) > 0)


def same_rows(one: Op | None, other: Op | None) -> bool:
    """Tell whether two operations read the same rows: with one row of padding some modes do, with none all.

    >>> same_rows(Window(3, mode="reflect"), Window(3)), same_rows(Window(3, padding=(1, 1)), Window(3))
    (True, False)
    >>> replicated, mirrored = (Window(3, padding=(1, 1), mode=mode) for mode in ("replicate", "symmetric"))
    >>> same_rows(replicated, mirrored)
    True
    """
    if not isinstance(one, Window) or not isinstance(other, Window) or not isinstance(one.padding, tuple):
        return one == other
    count = max(one.padding)
    modes = [native(op.mode, count) if count > 0 else "zero" for op in (one, other)]
    return modes[0] == modes[1] and replace(one, mode="zero") == replace(other, mode="zero")


def cannot(layer: Layer, entering: Size) -> str:
    """Say why a layer cannot pad what it reads, or nothing if it can.

    >>> cannot(Layer("c", "conv", (0,), (Window(5, padding=(2, 2), mode="reflect"), Window(1))), (2, 2))
    'its input has 2 rows, too few for reflect padding of 2'
    """
    for op, n in zip(layer.ops, entering, strict=True):
        if not isinstance(op, Window):
            continue
        before, after = pads_at(op, n)
        if layer.kind == "pad" and op.mode == "partial" and (before, after) != (0, 0):
            return ALONE
        try:
            fold(op.mode, n, max(before, 0), max(after, 0))
        except SizeError as error:
            return error.what
    return ""


def _fills(op: Op | None, n: int, n_out: int) -> bool:
    return isinstance(op, Fit) and n_out > n


def _changed(network: Network, changes: Iterable[Change]) -> Network:
    """Put the layers as they are to become into the network."""
    known = {change.name: change for change in changes}
    return network.here(layers=tuple(_as_planned(layer, known.get(layer.name)) for layer in network.layers))


def _as_planned(layer: Layer, change: Change | None) -> Layer:
    """Change a layer as it was changed at another size: where its pads are others, what they read is changed alone."""
    if change is None or layer == change.before:
        return change.after if change else layer
    pairs = zip(layer.ops, change.after.ops, strict=True)
    ops = (
        replace(op, mode=new.mode) if isinstance(op, Window) and isinstance(new, Window) else op for op, new in pairs
    )
    return replace(layer, ops=tuple(ops))


def _selected(network: Network, joined: Network, layers: Iterable[str], without: Iterable[str]) -> set[int]:
    """Find the positions of the layers to change; a pad that was joined stands for the convolutions with its rows."""
    named = {at for name in layers for at in _positions(network, joined, name)}
    left = {at for name in without for at in _positions(network, joined, name)}
    return (named or {*range(1, len(joined.layers))}) - left


def _positions(network: Network, joined: Network, name: str) -> Iterator[int]:
    at = joined.index[network.find(name).name]
    yield at
    if joined.layers[at].kind != network.layers[at].kind:
        yield from (i for i, layer in enumerate(network.layers) if at in layer.inputs)
