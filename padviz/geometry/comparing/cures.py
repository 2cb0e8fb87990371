"""What to write in PyTorch so that a layer of A reads as that of B does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from padviz.geometry.comparing.differences import Difference
from padviz.network.layer import Layer
from padviz.network.network import Network, Size
from padviz.network.operations import Same, Window, place
from padviz.network.sizes import sizes_of_each
from padviz.phrases import some_names

RULES: dict[Same, str] = {"same_upper": "SAME", "same_lower": "SAME_LOWER"}
# Arguments of layers, by what differs and its value in B.
ARGUMENTS = {
    ("rounding", "up"): "ceil_mode=True",
    ("rounding", "down"): "ceil_mode=False",
    ("mode", "left out"): "count_include_pad=False",
    ("mode", "zero"): "count_include_pad=True",
    ("coordinates", "align_corners"): "align_corners=True",
    ("coordinates", "half_pixel"): "align_corners=False",
}


def cures(a: Network, size: Size, differences: Iterable[Difference]) -> list[str]:
    """Return what to write for the differences in padding, rounding or grid, and in which layers.

    >>> import padviz
    >>> rows = [Difference("conv1", "conv1", "both", "padding", "1+1", "0+1")]
    >>> print(*cures(padviz.load("mobilenet_v1"), (224, 224), rows))
    conv1: SAME pads 0+1 where A pads 1+1. In PyTorch F.pad(x, (0, 1, 0, 1)), then padding=0.
    """
    layers: dict[str, list[str]] = {}
    for row in differences:
        layer = a.layers[a.index.get(row.layer or "", 0)]
        argument = ARGUMENTS.get((row.what, row.other_value))
        if row.what == "output padding":
            argument = f"output_padding={row.other_value}"
        if not row.other_value:
            continue
        if row.what == "padding" and layer.kind != "convtranspose":
            text = _about_pads(a, size, layer, row)
        elif argument and (row.what != "mode" or layer.kind == "avgpool"):
            text = f"in PyTorch {argument}."
        else:
            continue
        layers.setdefault(text, []).append(layer.name)
    return [f"{some_names(names)}: {text}" for text, names in layers.items()]


def _about_pads(a: Network, size: Size, layer: Layer, row: Difference) -> str:
    before, after = map(int, row.other_value.split("+"))
    if before == after:
        return f"B pads {row.other_value} where A pads {row.value}. In PyTorch padding={before}."
    who, pads = "B", list[int]()
    for axis, op, counts in zip(a.axes, layer.ops, sizes_of_each(a, size), strict=True):
        # PyTorch begins with the last axis.
        if row.axis not in (axis, "both", "all"):
            pads = [0, 0, *pads]
            continue
        pads = [before, after, *pads]
        for rule, name in RULES.items():
            if isinstance(op, Window):
                placed = place(replace(op, padding=rule), counts[layer.inputs[0]])
                if placed[:2] == (before, after):
                    who = name
    value = ""
    if layer.kind == "maxpool":
        value = ", value=-math.inf"
    said = f"{who} pads {row.other_value} where A pads {row.value}."
    return f"{said} In PyTorch F.pad(x, {tuple(pads)}{value}), then padding=0."
