"""A network written as a TOML description: flat steps that load back to the same layers."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from padviz.axis.operations import Adaptive, Blocks, Fit, Op, Transposed, Window
from padviz.axis.resize import Resize
from padviz.errors import DescriptionError, PadvizError, printable
from padviz.network.layer import CONVOLUTIONS, MERGES, POOLS, Channels, Layer
from padviz.network.network import AXES, Network, Size, in_words
from padviz.network.rewrites import with_padding
from padviz.network.sizes import check_known, sizes_of_each
from padviz.network.targets import last_maps, upto
from padviz.sources.toml.build import IMAGE, joined, parse, parted

DEFAULTS: dict[str, Any] = {
    "kernel": 1, "stride": 1, "dilation": 1, "padding": 0, "mode": "zero", "ceil": False, "output_padding": 0,
    "odd": "end", "step": 1, "first": 0,
}  # fmt: skip
OTHERS = (1, 2, 3, 32, 101)  # pixels beyond a size, at which a network is read, too
RESIZE = {("mode", "nearest"), ("align_corners", False), ("grid", None), ("rounding", "floor")}
ALONE: dict[str, Op] = {  # what leaves an axis as it is, where the other is cut, padded or resized alone
    "conv": Window(1), "maxpool": Window(1), "avgpool": Window(1), "pad": Window(1), "crop": Window(1),
    "convtranspose": Transposed(1), "resize": Resize(scale=Fraction(1)), "mixing": Blocks(1),
}  # fmt: skip
NEEDED = {
    "pad": {"padding"}, "crop": {"padding"}, "maxpool": {"kernel"}, "avgpool": {"kernel"}, "convtranspose": {"kernel"},
}  # fmt: skip


def rewritten(network: Network, padding: str | None, size: Size) -> str:
    """Write a network as a description that pads otherwise, where a scheme is named, and is used at a size."""
    if padding is not None:  # pads that were given to convolutions are gone
        network = replace(upto(with_padding(network, padding), last_maps(network)), targets=network.targets)
    return to_toml(replace(network, size=size))


def to_toml(network: Network) -> str:
    r"""Write a network as a description that `load` reads back: the same layers, of the same channels, and targets.

    Raises
    ------
    DescriptionError
        If a description cannot hold the network, say for a name that is too long.

    Examples
    --------
    >>> import padviz
    >>> print("\n".join(to_toml(padviz.load("vgg11")).split("\n")[:5]))
    title = "VGG-11"
    source = "torchvision.models.vgg11"
    size = 224
    layers = [
        {op = "conv", name = "features.0", out = 64, kernel = 3, padding = 1},
    """
    if len(network.axes) != 2:
        what = f"a description is of images, and its input has {' x '.join(network.axes)}"
        raise DescriptionError(what, where=network.name)
    for layer in network.layers:
        check_known(network, layer)
    comment, fixed = _held(network)
    network = replace(network, layers=tuple(map(_filled, network.layers)))
    head: dict[str, Any] = {"title": network.title, "source": network.source, "size": _pair(network.size)}
    if network.targets != (network.layers[-1].name,):
        head["target"] = network.targets[0] if len(network.targets) == 1 else list(network.targets)
    if fixed:
        head["fixed"] = [AXES[2][axis] for axis in fixed]
    channel_keys = list(_channels(network))
    steps = [
        _step(network, at) | channel_keys[at] | _geometry(network, network.layers[at])
        for at in range(1, len(network.layers))
    ]
    lines = [*comment, *(f"{key} = {_text(value)}" for key, value in head.items() if value != "")]
    lines += ["layers = [", *(f"    {_text(step)}," for step in steps), "]"]
    text = "\n".join(lines)
    _check(replace(network, fixed=fixed), text)
    return text


def _held(network: Network) -> tuple[list[str], tuple[int, ...]]:
    """Say in comments at which sizes a description was found to hold, and list the axes that it is fixed on.

    Where a module or a file does something else at other sizes, the description holds at its own size alone.
    """
    if network.again is None:
        return [], network.fixed
    own, held = in_words(network.size), list[str]()
    for more in OTHERS:
        size = tuple(n + more for n in network.size)
        if (why := _differing(network, size)) is not None:
            where = f"# Read at {own}, and fixed to it: at {in_words(size)} {printable(why)}."
            return [where], tuple(range(len(network.axes)))
        held.append(in_words(size))
    return [f"# Read at {own}; the layers were the same at {', '.join(held)}."], ()


def _differing(network: Network, size: Size) -> str | None:
    """Say what is not the same at another size; None where all is, or where neither runs there."""
    try:
        sizes_of_each(network, size)
        runs = True
    except PadvizError:
        runs = False
    try:
        there = network.at(size)
    except PadvizError:
        return "it does not run" if runs else None
    if not runs or len(there.layers) != len(network.layers):
        return "it has other layers"
    pairs = zip(network.layers, there.layers, strict=True)
    return next((f"{mine.name} is otherwise" for mine, other in pairs if mine != other), None)


def _filled(layer: Layer) -> Layer:
    """Give the layer an operation on both axes, if it has one on one of them."""
    if layer.ops.count(None) != 1 or layer.like is not None or layer.kind not in ALONE:
        return layer
    return replace(layer, ops=tuple(op or ALONE[layer.kind] for op in layer.ops))


def _step(network: Network, at: int) -> dict[str, Any]:
    """Write what a layer is, in the words of a description, and what it reads: `from` unless it is the layer before."""
    layer = network.layers[at]
    read = [network.layers[i].name for i in layer.inputs]
    step: dict[str, Any] = {"op": layer.kind, "name": layer.name}
    if layer.kind in MERGES:
        step["from"] = read
    elif layer.inputs != (at - 1,):
        step["from"] = read[0]
    if layer.like is not None:
        step["like"] = network.layers[layer.like].name
    if layer.everywhere:
        step["global"] = layer.everywhere
    return step


def _channels(network: Network) -> Iterator[dict[str, Any]]:
    """Yield the keys that each layer needs for its channels to be read back, the image's first.

    Channels that were split or picked do not follow: a convolution of them says what it reads, and so does a sum.
    """
    leaving: list[int | None] = []
    for layer in network.layers:
        entering = [leaving[i] for i in layer.inputs]
        keys: dict[str, Any] = {}
        if layer.kind == "input":
            leaving.append(IMAGE)
        elif layer.kind in CONVOLUTIONS:
            keys = _keys_of(layer.channels, entering[0])
            leaving.append(keys.get("out"))
        elif layer.kind in ("add", "multiply") and (two := parted(entering)):
            keys = {"in": min(two)}  # what is picked of a layer has fewer channels than it
            leaving.append(min(two))
        else:
            leaving.append(joined(layer.kind, entering))
        yield keys


def _keys_of(channels: Channels | None, entering: int | None) -> dict[str, Any]:
    if channels is None:
        return {}
    keys: dict[str, Any] = {"out": channels.out}
    if channels.in_ != entering:
        keys["in"] = channels.in_
    if channels.groups > 1:
        keys["groups"] = "depthwise" if channels.groups == channels.in_ else channels.groups
    return keys


def _geometry(network: Network, layer: Layer) -> dict[str, Any]:
    """Write the keys of a layer's operations, those that say nothing left out."""
    rows, cols = (_fields(op, layer) for op in layer.ops)
    needed = NEEDED.get(layer.kind, set())
    if rows.keys() != cols.keys():
        raise _indescribable(network, layer)
    both = {key: _pair((rows[key], cols[key])) for key in rows}
    if layer.kind in POOLS and both.get("stride") == both.get("kernel"):
        both.pop("stride", None)
    elif layer.kind in POOLS:
        needed = needed | {"stride"}
    return {key: value for key, value in both.items() if key in needed or value != DEFAULTS.get(key)}


def _fields(op: Op | None, layer: Layer) -> dict[str, Any]:
    if isinstance(op, Adaptive):
        return {} if layer.kind == "global" else {"output": op.output}
    if isinstance(op, Window) and layer.kind == "crop":
        return {"padding": _side(op.padding, -1), "stride": op.stride}
    if isinstance(op, Window):
        shape = {"kernel": op.kernel, "stride": op.stride, "dilation": op.dilation}
        return shape | {"padding": _side(op.padding), "mode": op.mode, "ceil": op.ceil}
    if isinstance(op, Transposed):
        shape = {"kernel": op.kernel, "stride": op.stride, "dilation": op.dilation}
        return shape | {"padding": _side(op.padding), "output_padding": op.output_padding}
    if isinstance(op, Blocks):
        return {"size": op.size, "step": op.step, "first": op.first}
    if isinstance(op, Fit):
        return {"odd": op.odd}
    if isinstance(op, Resize):
        chosen = {"size": op.size} if op.size is not None else {"scale": _scale(op.scale)} if op.scale else {}
        mode = "cubic" if op.cubic else "linear" if op.linear else "nearest"
        chosen |= {"mode": mode, "align_corners": op.align_corners, "grid": op.grid, "rounding": op.rounding}
        return {key: value for key, value in chosen.items() if (key, value) not in RESIZE}
    return {}


def _side(padding: Any, sign: int = 1) -> Any:
    if isinstance(padding, str):
        return padding
    before, after = (sign * rows for rows in padding)
    return before if before == after else [before, after]


def _scale(scale: Fraction) -> Any:
    return scale.numerator if scale.denominator == 1 else str(scale)


def _pair(values: Any) -> Any:
    """Write one value where height and width are the same; [before, after] always stands for one axis."""
    height, width = values
    return height if height == width and not isinstance(height, list) else [height, width]


def _check(network: Network, text: str) -> None:
    """Read the text back: whatever the format cannot say is an error now, not a different network later."""
    back = parse(tomllib.loads(text), network.name)
    for layer, read in zip(network.layers, back.layers, strict=True):
        if layer != read or layer.channels != read.channels:
            raise _indescribable(network, layer)
    assert (back.targets, back.size, back.fixed) == (network.targets, network.size, network.fixed)


def _indescribable(network: Network, layer: Layer) -> DescriptionError:
    return DescriptionError(f"layer {layer.name!r} cannot be described", where=network.name)


def _text(value: Any) -> str:
    """Write a value in TOML's words, which are JSON's but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
