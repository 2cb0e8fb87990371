"""The changes that are tried: other sizes, other padding schemes, other pads, strides moved into pools."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from padviz.advice.pooled_strides import with_strides_pooled
from padviz.audit.even_sizes import nearest_even
from padviz.audit.ledger import AxisPadding, LayerPadding, ledger
from padviz.axis.operations import Op, Window
from padviz.network.layer import Layer
from padviz.network.network import Network, Size

TRIED = ("symmetric", "replicate", "reflect", "circular", "partial", "zero/circular", "circular/zero")
TORCH = {"replicate": "replicate", "reflect": "reflect", "circular": "circular"}  # its padding modes
ONNX = {"replicate": "edge", "reflect": "reflect", "circular": "wrap"}  # modes of Pad


@dataclass(frozen=True)
class Change:
    """A network that was changed, the size and the scheme it runs at, and how a person makes the same change."""

    kind: Literal["size", "padding", "pads", "pool"]
    what: str
    edit: tuple[str, ...]
    asks: Literal["nothing", "fine-tuning", "training anew"]
    network: Network
    size: Size
    padding: str | None = None

    def target(self, layer: str) -> str:
        """The layer that stands for one of the network as it was: its pool, where its stride was moved."""
        pooled = f"{layer}.pool"
        return pooled if self.kind == "pool" and pooled in self.network.index else layer


def even_sizes_near(network: Network, size: Size) -> Iterator[Change]:
    """The next even sizes, below and above."""
    for near in nearest_even(network, size):
        if near is not None:
            height, width = near.size
            edit = f"CenterCrop({height})" if height == width else f"CenterCrop(({height}, {width}))"
            yield Change("size", f"{height} x {width} px", (edit,), "nothing", network, near.size)


def schemes(network: Network, size: Size) -> Iterator[Change]:
    """Every padding scheme on every convolution, or on one axis."""
    if any(layer.kind in ("conv", "pad") and any(map(_pads, layer.ops)) for layer in network.layers):
        for scheme in TRIED:
            yield Change("padding", f"{scheme} padding", _edits(scheme), "fine-tuning", network, size, scheme)


def _pads(op: Op | None) -> bool:
    return isinstance(op, Window) and op.padding != (0, 0)


def _edits(scheme: str) -> tuple[str, ...]:
    if scheme in TORCH:
        return f'nn.Conv2d(..., padding_mode="{TORCH[scheme]}")', f'ONNX: Pad(mode="{ONNX[scheme]}") before each Conv'
    if scheme == "symmetric":
        return ("x[..., [0, *range(n), n - 1]] before each convolution, for a pad of 1",)
    if scheme == "partial":
        return ("partial convolution: outputs times taps / taps that read real pixels",)
    pads = "(p, p, 0, 0)" if scheme.endswith("/circular") else "(0, 0, p, p)"
    return (f'F.pad(x, {pads}, mode="circular") before each convolution', "the convolution pads the other axis")


def even_pads(network: Network, size: Size) -> Iterator[Change]:
    """Pads of each uneven learned window that share what it consumes out evenly, where that is an even number."""
    uneven = _learned(network, size)
    if not uneven or any(_total(row) % 2 for layer in uneven for row in (layer.height, layer.width)):
        return
    layers, edits = list(network.layers), []
    for each in uneven:
        at = network.index[each.layer]
        pads = [_total(row) // 2 for row in (each.height, each.width)]
        ops = [_padded(op, pad) for op, pad in zip(layers[at].ops, pads, strict=True)]
        layers[at] = replace(layers[at], height=ops[0], width=ops[1])
        edits.append(f"{each.layer}: padding=({pads[0]}, {pads[1]})")
    changed = replace(network, layers=tuple(layers))
    if not _learned(changed, size):
        what = f"even pads for {_counted(len(uneven), 'window')}"
        yield Change("pads", what, tuple(edits), "fine-tuning", changed, size)


def pooled_strides(network: Network, size: Size) -> Iterator[Change]:
    """The stride of every uneven learned window moved into an average pool."""
    names = tuple(each.layer for each in _learned(network, size))
    changed = with_strides_pooled(network, names) if names else None
    if changed is not None:
        moved = [layer.name.removesuffix(".pool") for layer in _new(network, changed)]
        edit = tuple(f"{name}: stride=1, then nn.AvgPool2d(2)" for name in moved)
        yield Change("pool", f"{_counted(len(moved), 'stride')} moved into pools", edit, "training anew", changed, size)


def cannot(network: Network, size: Size) -> list[str]:
    """What no remedy of a kind can do, in sentences.

    >>> import padviz
    >>> cannot(padviz.load("resnet18"), (224, 224))[0]
    'No pads make conv1 even: its 112 units read 5 rows of padding in all.'
    """
    odd = [
        (layer.layer, row)
        for layer in _learned(network, size)
        for row in (layer.height, layer.width)
        if row.uneven and _total(row) % 2
    ]
    if not odd:
        return []
    name, row = odd[0]
    rows = _counted(_total(row), "row")
    return [f"No pads make {name} even: its {row.output} units read {rows} of padding in all."]


def _learned(network: Network, size: Size) -> list[LayerPadding]:
    return [layer for layer in ledger(network, size).uneven if layer.learned]


def _new(network: Network, changed: Network) -> list[Layer]:
    return [layer for layer in changed.layers if layer.name not in network.index]


def _total(row: AxisPadding) -> int:
    """The rows of padding that a window consumes in all."""
    return sum(row.consumed) + row.overhang


def _padded(op: Op | None, pad: int) -> Op | None:
    return replace(op, padding=(pad, pad)) if isinstance(op, Window) else op


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
