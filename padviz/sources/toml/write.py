"""Networks written as TOML descriptions: flat steps that load back to the same layers."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

import msgspec

from padviz.errors import DescriptionError, PadvizError, printable
from padviz.network.layer import CONVOLUTIONS, MERGES, POOLS, Layer
from padviz.network.network import AXES, Network, Size, in_words
from padviz.network.operations import Blocks, Op, Transposed, Window
from padviz.network.resize import Resize
from padviz.network.rewrites import with_padding
from padviz.network.sizes import check_known, sizes_of_each
from padviz.network.targets import last_maps, upto
from padviz.sources.toml.load import FIELDS, IMAGE, conflicting, merged, parse
from padviz.sources.toml.schema import STEPS

OTHERS = (1, 2, 3, 32, 101)  # pixels added to a size, for further sizes at which to read a network
STYLE = ("mode", "align_corners", "grid", "rounding")  # of a resize, for both axes
IDENTITY: dict[type[Op], Op] = {  # for the other axis of a layer that changes one axis only
    Blocks: Blocks(1),
    Resize: Resize(scale=Fraction(1)),
    Transposed: Transposed(1),
    Window: Window(1),
}


def rewritten(network: Network, padding: str | None, size: Size) -> str:
    """Write a network as a description for images of a size, with another padding scheme if one is
    named.
    """
    if padding is not None:  # pads that moved into convolutions are dropped
        network = replace(
            upto(with_padding(network, padding), last_maps(network)), targets=network.targets
        )
    return to_toml(replace(network, size=size))


def to_toml(network: Network) -> str:
    r"""Write a network as a description that `load` reads back to the same layers, channels and
    targets, or refuse it.

    >>> import padviz
    >>> print("\n".join(to_toml(padviz.load("vgg11")).split("\n")[3:5]))
    layers = [
        {op = "conv", name = "features.0", out = 64, kernel = 3, padding = 1},
    """
    if len(network.axes) != 2:
        what = f"a description is of images, and its input has {' x '.join(network.axes)}"
        raise DescriptionError(what, where=network.name)
    for layer in network.layers:
        check_known(network, layer)
    comment, fixed = _checked_at_other_sizes(network)
    network = replace(network, layers=tuple(map(_with_both_axes, network.layers)))
    lines = [comment] if comment else []
    for key, value in _head(network, fixed).items():
        if value != "":
            lines.append(f"{key} = {_text(value)}")
    lines.append("layers = [")
    steps = zip(network.layers, _channels(network), strict=True)
    for at, (layer, channels) in enumerate(steps):
        if layer.kind != "input":
            step = _step(network, at) | channels | _geometry(network, layer)
            lines.append(f"    {_text(step)},")
    text = "\n".join([*lines, "]"])
    # what the format cannot express is an error now, not a different network later
    back = parse(tomllib.loads(text), network.name)
    for layer, read in zip(network.layers, back.layers, strict=True):
        if layer != read or layer.channels != read.channels:
            raise _indescribable(network, layer)
    assert (back.targets, back.size, back.fixed) == (network.targets, network.size, fixed)
    return text


def _head(network: Network, fixed: Sequence[int]) -> dict[str, object]:
    """Return the keys of a description before its layers."""
    head: dict[str, object] = {
        "title": network.title,
        "source": network.source,
        "size": _pair(network.size),
    }
    if network.targets != (network.layers[-1].name,):
        head["target"] = network.targets[0] if len(network.targets) == 1 else list(network.targets)
    if fixed:
        head["fixed"] = [AXES[2][axis] for axis in fixed]
    return head


def _checked_at_other_sizes(network: Network) -> tuple[str, tuple[int, ...]]:
    """Return a comment about the sizes at which a description was found to hold, and the axes that
    it is fixed on.

    Where a module or a file has other layers at other sizes, the description holds at its own size
    alone.
    """
    if network.again is None:
        return "", network.fixed
    at = in_words(network.size)
    sizes = [tuple(n + more for n in network.size) for more in OTHERS]
    for size in sizes:
        if difference := _difference(network, size):
            comment = (
                f"# Read at {at}, and fixed to it: at {in_words(size)} {printable(difference)}."
            )
            return comment, tuple(range(len(network.axes)))
    others = ", ".join(map(in_words, sizes))
    return f"# Read at {at}; the layers were the same at {others}.", ()


def _difference(network: Network, size: Size) -> str:
    sizes, other = None, None
    with suppress(PadvizError):
        sizes = sizes_of_each(network, size)
    with suppress(PadvizError):
        other = network.at(size)
    if other is None:
        return "it does not run" if sizes else ""
    if sizes is None or len(other.layers) != len(network.layers):
        return "it has other layers"
    pairs = zip(network.layers, other.layers, strict=True)
    return next((f"{mine.name} differs" for mine, its in pairs if mine != its), "")


def _with_both_axes(layer: Layer) -> Layer:
    """Add an operation that does nothing, if the layer has one on one axis only."""
    known = [op for op in layer.ops if op]
    if len(known) != 1 or layer.like is not None or type(known[0]) not in IDENTITY:
        return layer
    return replace(layer, ops=tuple(op or IDENTITY[type(known[0])] for op in layer.ops))


def _step(network: Network, at: int) -> dict[str, object]:
    """Return the keys for kind, name and inputs of a layer; `from` is left out for the layer
    before.
    """
    layer = network.layers[at]
    read = [network.layers[i].name for i in layer.inputs]
    step: dict[str, object] = {"op": layer.kind, "name": layer.name}
    if layer.kind in MERGES:
        step["from"] = read
    elif layer.inputs != (at - 1,):
        step["from"] = read[0]
    if layer.like is not None:
        step["like"] = network.layers[layer.like].name
    if layer.everywhere:
        step["global"] = layer.everywhere
    return step


def _channels(network: Network) -> Iterator[dict[str, object]]:
    """Yield the keys that each layer, the input first, needs for its channels to be read back.

    After channels were split or picked, a convolution or a sum has to declare what it reads.
    """
    leaving: list[int | None] = []
    for layer in network.layers:
        entering = [leaving[i] for i in layer.inputs]
        keys: dict[str, object] = {}
        if layer.kind == "input":
            leaving.append(IMAGE)
        elif layer.kind in CONVOLUTIONS:
            leaving.append(layer.channels.out if layer.channels else None)
            if layer.channels:
                into, out, groups = layer.channels.in_, layer.channels.out, layer.channels.groups
                keys["out"] = out
                if into != entering[0]:
                    keys["in"] = into
                if groups > 1:
                    keys["groups"] = "depthwise" if groups == into else groups
        elif layer.kind in ("add", "multiply") and (conflict := conflicting(entering)):
            keys["in"] = min(conflict)  # the part that was split or picked
            leaving.append(min(conflict))
        else:
            leaving.append(merged(layer.kind, entering))
        yield keys


def _geometry(network: Network, layer: Layer) -> dict[str, object]:
    rows, cols = (_fields(op, layer) for op in layer.ops)
    mixed = layer.kind == "resize" and any(rows.get(key) != cols.get(key) for key in STYLE)
    if layer.kind not in STEPS or rows.keys() != cols.keys() or mixed:
        raise _indescribable(network, layer)
    both = {key: _pair((rows[key], cols[key])) for key in rows}
    if layer.kind in POOLS and both.get("stride") == both.get("kernel"):
        both.pop("stride", None)
    defaults = {
        field.encode_name: field.default for field in msgspec.structs.fields(STEPS[layer.kind])
    }
    return {key: value for key, value in both.items() if key in defaults and value != defaults[key]}


def _fields(op: Op | None, layer: Layer) -> dict[str, object]:
    if op is None or layer.kind == "global":
        return {}
    keys = FIELDS[type(op)]
    if isinstance(op, Resize):
        by = "scale"
        if op.scale is None or op.size is not None:
            by = "size"
        keys = (by, *STYLE)
    elif layer.kind == "crop" and isinstance(op, Window):
        keys = ("padding", "stride")
    fields = {key: getattr(op, key) for key in keys}
    if "padding" in fields:
        fields["padding"] = _side(fields["padding"], -1 if layer.kind == "crop" else 1)
    if isinstance(op, Resize) and op.scale is not None and "scale" in fields:
        fields["scale"] = op.scale.numerator if op.scale.denominator == 1 else str(op.scale)
    return fields


def _side(padding: tuple[int, int] | str, sign: int = 1) -> int | list[int] | str:
    if isinstance(padding, str):
        return padding
    before, after = (sign * rows for rows in padding)
    if before == after:
        return before
    return [before, after]


def _pair(values: Sequence[object]) -> object:
    """Return one value where height and width have the same; a list [before, after] stands for one
    axis.
    """
    height, width = values
    if height == width and not isinstance(height, list):
        return height
    return [height, width]


def _indescribable(network: Network, layer: Layer) -> DescriptionError:
    return DescriptionError(f"layer {layer.name!r} cannot be described", where=network.name)


def _text(value: object) -> str:
    """Write a value as TOML, which is JSON except for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
