"""Rewrites of a network: another padding scheme, another framework's convention, mean pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from padviz.errors import DescriptionError, OptionError, PadvizError, nearest
from padviz.network.layer import POOLS, WINDOWS, Kind, Layer
from padviz.network.network import AXES, Network
from padviz.network.operations import CACHED, Adaptive, Op, Window
from padviz.network.padding_modes import SCHEMES
from padviz.network.resize import Resize
from padviz.network.targets import cut_after

AXIS_BY_AXIS = "uneven, sizes, layers and tiles work axis by axis"
ELSEWHERE = {  # other libraries' names of schemes
    "mirror": "use reflect (without the outermost row: cb|abc) or symmetric (with it: ba|abc)",
    "edge": "use replicate",
    "same": "use `same`",
    "constant": "use zero",
    "wrap": "use circular",
}


def check_image(network: Network) -> None:
    if len(network.axes) != 2:
        what = (
            f"its input has {' x '.join(network.axes)}, and only images, of height x width, are "
            "supported"
        )
        raise DescriptionError(what, where=network.name, hint=AXIS_BY_AXIS)


@lru_cache(64)
def as_map(network: Network) -> Network:
    """Return a signal as a map of one row; an image unchanged.

    Raises DescriptionError for a volume.
    """
    if len(network.axes) == 2:
        return network
    if len(network.axes) > 2:
        what = f"maps are 2-D, and its input has {' x '.join(network.axes)}"
        raise DescriptionError(what, where=network.name, hint=AXIS_BY_AXIS)
    layers = tuple(replace(layer, ops=(None, *layer.ops)) for layer in network.layers)
    fixed = tuple(axis + 1 for axis in network.fixed)
    return replace(
        network, layers=layers, size=(1, *network.size), fixed=fixed, declared=(), again=None
    )


def with_padding(network: Network, padding: str | None) -> Network:
    """Pad every convolution by a scheme, or by one for each axis; None leaves the network as it is.

    The fold modes and "partial" change the values that padding reads. "valid" removes all padding,
    of pooling too; "full" pads every convolution by its extent - 1 on both sides. Otherwise pools
    keep their padding, and so do pads that only pools read. Transposed convolutions and crops stay
    as they are.
    """
    padding = canonical(padding)
    if padding is None:
        return network
    return _repadded(network, padding)


def cut_and_pad(network: Network, layers: tuple[str, ...], padding: str | None) -> Network:
    """Cut a network after some layers and change its padding; its title says both.

    >>> import padviz
    >>> cut_and_pad(padviz.load("vgg11"), ("features.3",), "reflect").title
    'VGG-11 up to features.3, reflect padding'
    """
    part = cut_after(network, layers)
    if padding is None:
        return part
    title = f"{part.title}, {padding_in_words(padding, 'padding')}"
    again = network.reread_with(lambda other: cut_and_pad(other, layers, padding))
    return replace(with_padding(part, padding), title=title, again=again, padding=padding)


@lru_cache(64)
def _repadded(network: Network, padding: str) -> Network:
    again = network.reread_with(lambda other: _repadded(other, padding))
    network, schemes = with_pads_merged(network), schemes_of(padding, len(network.axes))
    for layer in network.layers:
        padded = zip(layer.ops, schemes, strict=True)
        partial = any(
            s == "partial" and isinstance(op, Window) and op.padding != (0, 0) for op, s in padded
        )
        if layer.kind == "pad" and layer.name not in network.pool_pads and partial:
            what = "partial convolution needs padding that belongs to a convolution"
            raise PadvizError(
                f"{what}, and {layer.name} pads on its own",
                where=network.name,
                hint="give the padding to the convolution that follows it",
            )
    layers = []
    for layer in network.layers:
        kind: Kind = layer.kind
        if layer.name in network.pool_pads:
            kind = "maxpool"
        layers.append(padded_layer(layer, kind, schemes))
    return replace(network, layers=tuple(layers), again=again)


def schemes_of(padding: str, axes: int = 2) -> tuple[str, ...]:
    """Split a padding into the scheme of each axis: "height/width", "height+width" as in file
    names, or one for all.

    >>> schemes_of("zero/circular"), schemes_of("zero+circular"), schemes_of("reflect")
    (('zero', 'circular'), ('zero', 'circular'), ('reflect', 'reflect'))
    """
    parts: list[str] = []
    if isinstance(padding, str):
        parts = padding.replace("+", "/").split("/")
    if len(parts) not in {1, axes} or not all(part in SCHEMES for part in parts):
        hint = f"use {', '.join(SCHEMES)}"
        if axes == 2:
            hint += f", or one for each axis, {'/'.join(AXES[axes]).upper()}, e.g. zero/circular"
        if len(parts) == 1:
            hint = f"{nearest(parts[0], SCHEMES, 1)} {hint}".strip()
        hint = ELSEWHERE.get(str(padding).lower()) or hint
        raise OptionError(f"{padding!r} is not a padding scheme", option="padding", hint=hint)
    if len(parts) == 1:
        parts *= axes
    return tuple(parts)


def canonical(padding: str | None) -> str | None:
    """Check a padding and return its shortest form: "a" for "a/a"."""
    if padding is None:
        return None
    return "/".join(dict.fromkeys(schemes_of(padding)))


def padding_in_words(padding: str | None, noun: str = "") -> str:
    """Format a padding for tables, or with the noun for pictures.

    >>> padding_in_words("zero/circular"), padding_in_words("zero"), padding_in_words(None)
    ('zero/circular (height/width)', 'zero', 'as declared')
    >>> padding_in_words("zero/circular", "padding"), padding_in_words(None, "padding")
    ('zero/circular padding (height/width)', 'padding as declared')
    """
    if padding is None:
        return f"{noun} as declared".strip()
    words = f"{padding} {noun}".strip()
    if "/" in padding:
        words += " (height/width)"
    return words


def with_pads_merged(network: Network) -> Network:
    """Merge each `pad` layer into the convolutions that follow it, where that changes nothing.

    A pad stays if another layer reads it too, or if the convolution pads the same axis in another
    mode. Of several pads in a row, the last one is merged first.
    """
    layers = list(network.layers)
    done: set[int] = set()
    for at, pad in reversed(list(enumerate(network.layers))):
        if pad.kind != "pad" or pad.name in network.targets:
            continue
        readers = [
            i
            for i, layer in enumerate(layers)
            if i not in done and (at in layer.inputs or layer.like == at)
        ]
        if any(layers[i].kind != "conv" for i in readers):
            continue
        joined = [merge_pad(pad, layers[i]) for i in readers]
        if all(joined):
            layers[at] = replace(pad, kind="identity", ops=(None,) * len(pad.ops))
            done.add(at)
            for i, layer in zip(readers, joined, strict=True):
                layers[i] = layer or layers[i]
    if not done:
        return network
    return replace(network, layers=tuple(layers), again=network.reread_with(with_pads_merged))


def merge_pad(pad: Layer, reader: Layer, same_values: bool = True) -> Layer | None:
    """Merge a pad into the window that follows it; None where their rows do not add up, or values
    would change.
    """
    ops = []
    for rows, window in zip(pad.ops, reader.ops, strict=True):
        if not isinstance(rows, Window) or not isinstance(window, Window) or window.ceil:
            return None
        if isinstance(window.padding, str) or isinstance(rows.padding, str):
            return None
        # Rows that are removed cannot be read as padding again.
        if min(rows.padding) < 0:
            return None
        if (
            same_values
            and (0, 0) not in (window.padding, rows.padding)
            and not window.mode == rows.mode == "zero"
        ):
            return None
        both = rows.padding[0] + window.padding[0], rows.padding[1] + window.padding[1]
        window = replace(window, padding=both)
        if rows.padding != (0, 0):
            window = replace(window, mode=rows.mode, fill=rows.fill)
        ops.append(window)
    origin = reader.origin
    if origin and pad.origin:
        origin = origin.after(pad.origin)
    return replace(reader, inputs=pad.inputs, ops=tuple(ops), origin=origin)


@lru_cache(64)
def padded_windows(network: Network) -> tuple[Layer, ...]:
    """Return the convolutions and pools, with the `pad` layers before them, as Keras writes them,
    merged in.
    """
    windows = []
    for layer in network.layers:
        if layer.kind in WINDOWS:
            before = network.layers[layer.inputs[0]]
            while before.kind == "pad" and (joined := merge_pad(before, layer, same_values=False)):
                layer, before = joined, network.layers[joined.inputs[0]]
            windows.append(layer)
    return tuple(windows)


@lru_cache(64)
def circular_axes(network: Network) -> tuple[bool, ...]:
    """Return which axes are padded circularly: by a convolution or pad, and by none of them in
    another mode.
    """
    padding = [layer for layer in network.layers if layer.kind in ("conv", "pad")]
    circular = []
    for axis in range(len(network.axes)):
        ops = [layer.ops[axis] for layer in padding]
        modes = {op.mode for op in ops if isinstance(op, Window) and _pads(op)}
        circular.append(bool(modes) and all(SCHEMES[mode].wraps for mode in modes))
    return tuple(circular)


def _pads(window: Window) -> bool:
    if isinstance(window.padding, str):
        return window.extent > 1  # whether a rule pads depends on the size
    return max(window.padding) > 0


def padded_layer(layer: Layer, kind: Kind, schemes: Sequence[str]) -> Layer:
    """Rewrite one layer as `with_padding` does, by the scheme of each axis, as if it were of a
    kind.
    """
    return _with_ops(
        layer, [_padded(op, kind, scheme) for op, scheme in zip(layer.ops, schemes, strict=True)]
    )


def _with_ops(layer: Layer, ops: Sequence[Op | None]) -> Layer:
    """Return a layer with other operations: the layer itself if they are equal."""
    if tuple(ops) == layer.ops:
        return layer
    return replace(layer, ops=tuple(ops))


@lru_cache(64)
def with_zeros(network: Network) -> Network:
    """Pad with zeros everywhere: far from borders, where no window reads padding, all schemes are
    alike.

    >>> import padviz
    >>> net = padviz.load("vgg11")
    >>> with_zeros(with_padding(net, "partial")) is with_zeros(net)
    True
    """
    layers = _changed(network, lambda layer, op: _padded(op, "conv", "zero") or op)
    return _shared_network(network.name, layers, network.targets, len(network.axes))


@lru_cache(64)
def with_exact_resizes(network: Network) -> Network:
    """Compute the rows of nearest resizes in exact arithmetic, not as a runtime does."""
    if not any(rounds(network, axis) for axis in range(len(network.axes))):
        return network
    layers = _changed(network, lambda layer, op: op.exact if isinstance(op, Resize) else op)
    return replace(network, layers=layers)


@lru_cache(256)
def rounds(network: Network, axis: int) -> bool:
    """Return whether the rows of a resize on an axis are rounded by a runtime, and do not
    repeat.
    """
    ops = (layer.ops[axis] for layer in network.layers)
    return any(isinstance(op, Resize) and op.float32 is not None for op in ops)


@lru_cache(64)
def _shared_network(
    name: str, layers: tuple[Layer, ...], targets: tuple[str, ...], axes: int
) -> Network:
    return Network(name, layers, targets, size=(1,) * axes)


@lru_cache(64)
def with_mean_pooling(network: Network) -> Network:
    """Weight the taps of pooling and interpolation, so that each output's weights sum to 1."""

    def averaged(layer: Layer, op: Op) -> Op:
        averages = layer.kind in POOLS or layer.kind == "resize"
        if averages and isinstance(op, Window | Adaptive | Resize):
            return replace(op, mean=True)
        return op

    return replace(
        network, layers=_changed(network, averaged), again=network.reread_with(with_mean_pooling)
    )


@lru_cache(64)
def with_same(network: Network) -> Network:
    """Pad as TensorFlow's and Keras's SAME do: windows that pad put the odd row on the far side."""

    def same(layer: Layer, op: Op) -> Op:
        if not isinstance(op, Window) or layer.kind not in WINDOWS or op.padding == (0, 0):
            return op
        op = replace(op, padding="same_upper")
        if layer.kind == "avgpool":  # TensorFlow's averages leave their padding out
            op = replace(op, fill="none")
        return op

    return replace(network, layers=_changed(network, same), again=network.reread_with(with_same))


@lru_cache(CACHED)  # a network has some tens of windows, which every scheme pads again
def _padded(window: Op | None, kind: Kind, scheme: str) -> Op | None:
    padded = kind in ("conv", "pad") or (scheme == "valid" and kind in POOLS)
    if not padded or not isinstance(window, Window):
        return window
    if scheme == "valid" or (scheme == "full" and kind == "pad"):
        return replace(window, padding=(0, 0))
    if scheme == "full":
        return replace(window, padding=(window.extent - 1, window.extent - 1), mode="zero")
    return replace(window, mode=scheme)


def _changed(network: Network, change: Callable[[Layer, Op], Op]) -> tuple[Layer, ...]:
    """Return the layers of a network with each operation changed."""
    layers = []
    for layer in network.layers:
        ops = [op and change(layer, op) for op in layer.ops]
        layers.append(_with_ops(layer, ops))
    return tuple(layers)
