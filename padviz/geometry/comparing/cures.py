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
# Arguments of layers, by what differs and by its value in B.
ARGUMENTS = {
    "rounding": {"up": "ceil_mode=True", "down": "ceil_mode=False"},
    "mode": {"left out": "count_include_pad=False", "zero": "count_include_pad=True"},
    "coordinates": {"align_corners": "align_corners=True", "half_pixel": "align_corners=False"},
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
        wanted = ARGUMENTS.get(row.what, {}).get(row.other_value)
        if row.what == "mode" and layer.kind != "avgpool":
            wanted = None
        if row.what == "output padding":
            wanted = f"output_padding={row.other_value}"
        if row.what == "padding" and layer.kind != "convtranspose":
            layers.setdefault(_about_pads(a, size, layer, row), []).append(layer.name)
        elif wanted:
            layers.setdefault(f"in PyTorch {wanted}.", []).append(layer.name)
    return [f"{some_names(names)}: {text}" for text, names in layers.items()]


def _about_pads(a: Network, size: Size, layer: Layer, row: Difference) -> str:
    before, after = map(int, row.other_value.split("+"))
    who = "B"
    pads: list[int] = []
    for axis, op, counts in zip(a.axes, layer.ops, sizes_of_each(a, size), strict=True):
        if row.axis not in (axis, "both", "all"):
            pads = [0, 0, *pads]
            continue
        pads = [before, after, *pads]  # PyTorch begins with the last axis
        for rule, name in RULES.items():
            if not isinstance(op, Window) or before == after:
                break
            placed = place(replace(op, padding=rule), counts[layer.inputs[0]])
            if placed[:2] == (before, after):
                who = name
    said = f"{who} pads {row.other_value} where A pads {row.value}. In PyTorch"
    if before == after:
        return f"{said} padding={before}."
    value = ""
    if layer.kind == "maxpool":
        value = ", value=-math.inf"
    return f"{said} F.pad(x, {tuple(pads)}{value}), then padding=0."
