"""Lines of code that pad an image to a size that a network takes, and crop what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from padviz.geometry.sizing.nearest import NearSizes
from padviz.network.network import Network, Size

ONNX, KERAS = ".onnx", ".keras"  # files; all else is PyTorch's


def lines_to_paste(network: Network, near: NearSizes) -> list[str]:
    """Write the lines in the network's own framework; where padding cannot help, they resize the
    image.

    ONNX files and Keras models take numpy arrays; Keras has the channels last.
    """
    kind = Path(network.source).suffix.lower()
    if near.above is None:
        if near.refusal:
            return [_resized(kind, network.size)]
        return []
    parts = [_part(network, kind, output.layer) for output in near.outputs]
    outputs = near.outputs
    # Several maps may be parts of one tensor, which is cropped once.
    if len({*parts}) == len({output.kept for output in outputs}) == 1:
        parts, outputs = parts[:1], outputs[:1]
    call, names = _called(kind, parts)
    lines = [_padded(kind, near.size, near.above), call]
    for i, (name, output) in enumerate(zip(names, outputs, strict=True)):
        cropped = f"{name}{_crop(kind, output.kept)}"
        if len(outputs) > 1:
            lines.append(f"y{i} = {cropped}  # {output.layer}")
        elif output.kept != output.units:
            lines.append(f"y = {cropped}")
    return lines


def _resized(kind: str, size: Size) -> str:
    if kind == KERAS:
        return f"x = keras.ops.image.resize(x, {size})"
    resize = "torchvision.transforms.functional.resize"
    if kind == ONNX:
        return f"x = {resize}(torch.from_numpy(x), {[*size]}).numpy()"
    return f"x = {resize}(x, {[*size]})"


def _padded(kind: str, size: Size, above: Size) -> str:
    """Write the padding at the far ends: a mirror image, or where that is too short, copies of the
    last row.
    """
    more = [after - before for before, after in zip(size, above, strict=True)]
    mirrored = all(pad < n for pad, n in zip(more, size, strict=True))
    if kind not in (ONNX, KERAS):
        ends = ", ".join(f"0, {pad}" for pad in reversed(more))  # PyTorch begins with the last axis
        mode = "reflect" if mirrored else "replicate"
        return f'x = F.pad(x, ({ends}), mode="{mode}")'
    spatial, batch, channels = [(0, pad) for pad in more], (0, 0), (0, 0)
    if kind == KERAS:
        pads = [batch, *spatial, channels]
    else:
        pads = [batch, channels, *spatial]
    mode = "reflect" if mirrored else "edge"
    return f'x = np.pad(x, {pads}, mode="{mode}")'


def _part(network: Network, kind: str, layer: str) -> str:
    """Return what picks an output: the tensor of a file; the subscript of what a Keras model or a
    module returns.
    """
    if kind == KERAS:
        return f"[{layer!r}]"
    aliases = [alias for alias, name in network.aliases.items() if name == layer]
    if kind == ONNX:
        # the last of several, behind elementwise nodes
        if aliases:
            return aliases[-1]
        return layer
    if aliases:
        return _subscript(aliases[-1])
    return ""


def _subscript(alias: str) -> str:
    """Return what picks an output from all that a module returns, by the name that the output has
    there.

    >>> _subscript("output"), _subscript("output.1"), _subscript("deep.0")
    ('', '[1]', "['deep'][0]")
    """
    keys = alias.removeprefix("output").strip(".").split(".")
    return "".join(f"[{key}]" if key.isdigit() else f"[{key!r}]" for key in keys if key)


def _called(kind: str, parts: Sequence[str]) -> tuple[str, list[str]]:
    """Write the line that runs the network, and return what each output is called behind it."""
    several = len(parts) > 1
    if kind == ONNX:
        if several:
            names = [f"y{i}" for i in range(len(parts))]
        else:
            names = ["y"]
        left = "(y,)"
        if several:
            left = ", ".join(names)
        return f"{left} = session.run({[*parts]}, {{session.get_inputs()[0].name: x}})", names
    if kind == KERAS:
        call = (
            "dict(zip(model.output_names, keras.tree.flatten(model(x))))" if several else "model(x)"
        )
        return f"y = {call}", [f"y{part}" for part in parts] if several else ["y"]
    if several:
        return "y = model(x)", [f"y{part}" for part in parts]
    return f"y = model(x){parts[0]}", ["y"]


def _crop(kind: str, kept: Size) -> str:
    cuts = ", ".join(f":{n}" for n in kept)
    return f"[:, {cuts}]" if kind == KERAS else f"[..., {cuts}]"
