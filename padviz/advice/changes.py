"""The changes that are tried: other sizes, padding schemes and pads, strides moved into pools, a cropped output."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from padviz.advice.pooled_strides import with_strides_pooled
from padviz.audit.even_sizes import nearest_even, odd_window
from padviz.audit.ledger import AxisPadding, LayerPadding, ledger
from padviz.audit.reaching.border_margins import Margin, margins
from padviz.axis.operations import Op, Window
from padviz.network.layer import Layer
from padviz.network.network import Network, Size
from padviz.network.sizes import sizes_of

TRIED = ("replicate", "symmetric", "reflect", "circular", "partial", "zero/circular", "circular/zero")  # one word first


@dataclass(frozen=True)
class Change:
    """A network that was changed, the size and the scheme it runs at, and how a person makes the same change."""

    kind: Literal["size", "padding", "pads", "pool", "crop"]
    what: str
    edit: tuple[str, ...]
    asks: Literal["nothing", "fine-tuning", "training anew"]
    network: Network
    size: Size
    padding: str | None = None


def even_sizes_near(network: Network, size: Size) -> Iterator[Change]:
    """The next even sizes, below and above."""
    for near in nearest_even(network, size):
        if near is not None:
            height, width = near.size
            yield Change(
                "size", f"{height} x {width} px", _resized(network, size, near.size), "nothing", network, near.size
            )


def _resized(network: Network, size: Size, near: Size) -> tuple[str, ...]:
    """How images, and a file that fixes the size of its input, get another size; a crop never adds to an image."""
    height, width = near
    crop = f"CenterCrop({height if height == width else near})"
    resize = f"Resize(({height}, {width}))"
    edit = crop, f"or {resize} for the whole image"
    if any(new > old for new, old in zip(near, size, strict=True)):
        edit = resize, f"or {crop} of larger images"
    anew = f"export the file anew at {height} x {width}, or with an open input size"
    fixed = any(near[axis] != size[axis] for axis in network.declared)
    return (anew, *edit) if fixed else edit


def schemes(network: Network, size: Size) -> Iterator[Change]:
    """Every padding scheme on every convolution, or on one axis."""
    if _any_pads(network):
        for scheme in TRIED:
            edit = _edits(scheme, network.source)
            yield Change("padding", f"{scheme} padding", edit, "fine-tuning", network, size, scheme)


def _any_pads(network: Network) -> bool:
    return any(layer.kind in ("conv", "pad") and any(map(_pads, layer.ops)) for layer in network.layers)


def _pads(op: Op | None) -> bool:
    return isinstance(op, Window) and op.padding != (0, 0)


def wraps(change: str) -> bool:
    """Whether a change makes one side of the image the neighbour of the other, as is right for few images."""
    return "circular" in change


def _edits(scheme: str, source: str) -> tuple[str, ...]:
    """How a person pads by a scheme: a module, a file, a network that is written anew."""
    is_file = source.lower().endswith(".onnx")
    name = shlex.quote(source) if is_file else "model.onnx"
    command = f"padviz repad {name} --padding {scheme} -o {scheme.replace('/', '-')}.onnx"
    module = f'padviz.repad(module, "{scheme}")'
    edit = (command, module) if is_file else (module, command)
    where = {"zero/circular": "the width wraps", "circular/zero": "the height wraps"}.get(scheme, "it wraps")
    meets = (f"{where} around: for panoramas and textures, whose sides meet",) if wraps(scheme) else ()
    return (*edit, f'anew: padviz.nn.PaddedConv2d(..., scheme="{scheme}")', *meets)


def even_pads(network: Network, size: Size) -> Iterator[Change]:
    """Pads that make all learned windows even."""
    return (change for change in some_even_pads(network, size) if not _learned(change.network, size))


def some_even_pads(network: Network, size: Size) -> Iterator[Change]:
    """Pads of those uneven learned windows that consume an even number of rows, shared out evenly."""
    uneven = _learned(network, size)
    halved = [each for each in uneven if not any(_total(row) % 2 for row in (each.height, each.width))]
    layers, edits = list(network.layers), []
    for each in halved:
        at = network.index[each.layer]
        pads = [_total(row) // 2 for row in (each.height, each.width)]
        ops = [_padded(op, pad) for op, pad in zip(layers[at].ops, pads, strict=True)]
        layers[at] = replace(layers[at], height=ops[0], width=ops[1])
        edits.append(f"{each.layer}: padding=({pads[0]}, {pads[1]})")
    changed = replace(network, layers=tuple(layers))
    if halved and len(_learned(changed, size)) <= len(uneven) - len(halved):
        yield Change("pads", "even pads", tuple(edits), "fine-tuning", changed, size)


def pooled_strides(network: Network, size: Size) -> Iterator[Change]:
    """The stride of every uneven learned window moved into an average pool."""
    names = tuple(each.layer for each in _learned(network, size))
    changed = with_strides_pooled(network, names) if names else None
    if changed is not None:
        moved = [layer.name.removesuffix(".pool") for layer in _new(network, changed)]
        edit = tuple(f"{name}: stride=1, then nn.AvgPool2d(2)" for name in moved)
        yield Change("pool", f"{_counted(len(moved), 'stride')} pooled", edit, "training anew", changed, size)


def cropped_outputs(network: Network, size: Size) -> Iterator[Change]:
    """The target without the units that padding touches, where some are left."""
    touched = _touched(network, size)
    sides = {name: margin for name, margin in touched.items() if margin is not None}
    if not sides or len(sides) < len(touched):
        return
    layers, edits = list(network.layers), []
    for name, margin in sides.items():
        (top, bottom), (left, right) = margin
        rows, cols = (Window(1, padding=(-before, -after)) for before, after in margin)
        layers.append(Layer(f"{name}.cropped", "crop", (network.index[name],), rows, cols))
        edits.append(f"{name}: y[..., {_slice(top, bottom)}, {_slice(left, right)}]")
    cut = replace(network, layers=tuple(layers), targets=tuple(f"{name}.cropped" for name in sides))
    yield Change("crop", "cropped output", tuple(edits), "nothing", cut, size)


def _touched(network: Network, size: Size) -> dict[str, tuple[tuple[int, int], tuple[int, int]] | None]:
    """Of each target that padding reaches, the units next to each border that it touches; None if that is all."""
    found: dict[str, tuple[tuple[int, int], tuple[int, int]] | None] = {}
    sizes = [sizes_of(network, axis, n) for axis, n in enumerate(size)]
    for margin in _margins(network, size):
        at, sides = network.index[margin.layer], (margin.height, margin.width)
        if (
            margin.barrier_height
            or margin.barrier_width
            or any(sum(s) >= m[at] for s, m in zip(sides, sizes, strict=True))
        ):
            found[margin.layer] = None
        elif any(map(any, sides)):
            found[margin.layer] = sides
    return found


def _margins(network: Network, size: Size) -> list[Margin]:
    return [each for each in margins(network, size) if each.layer in network.targets]


def _slice(before: int, after: int) -> str:
    return f"{before or ''}:{-after or ''}"


def cannot(network: Network, size: Size) -> list[str]:
    """What no remedy of a kind can do, in sentences.

    >>> import padviz
    >>> cannot(padviz.load("resnet18"), (224, 224))[-1]
    'Padding reaches every unit of layer4.1: no crop of the output is free of it.'
    """
    uneven = _learned(network, size)
    odd = [(each.layer, row) for each in uneven for row in (each.height, each.width) if row.uneven and _total(row) % 2]
    said = []
    if uneven and not any(nearest_even(network, size)):
        which = odd_window(network, size)
        said.append(
            "No even size is near" + (f": {which} reads an odd number of padded rows at each." if which else ".")
        )
    if odd:
        name, row = odd[0]
        rows = f"{_counted(_total(row), 'row')} of padding in all, an odd number"
        said.append(f"No pads make {name} even: its {row.output} units read {rows}.")
    if not _any_pads(network):
        said.append("No convolution pads, so no padding scheme changes anything.")
    return [*said, *_no_crop(network, size)]


def _no_crop(network: Network, size: Size) -> list[str]:
    """Why no crop of the output leaves units that read no padding."""
    for margin in _margins(network, size):
        if barrier := margin.barrier_height or margin.barrier_width:
            why = f"{barrier[0]} ({barrier[1]}) makes every unit depend on all"
            return [f"No crop of the output is free of padding: {why}."]
    whole = next((name for name, sides in _touched(network, size).items() if sides is None), None)
    return [f"Padding reaches every unit of {whole}: no crop of the output is free of it."] if whole else []


def _learned(network: Network, size: Size) -> list[LayerPadding]:
    return [*ledger(network, size).uneven_learned]


def _new(network: Network, changed: Network) -> list[Layer]:
    return [layer for layer in changed.layers if layer.name not in network.index]


def _total(row: AxisPadding) -> int:
    """The rows of padding that a window consumes in all."""
    return sum(row.consumed) + row.overhang


def _padded(op: Op | None, pad: int) -> Op | None:
    return replace(op, padding=(pad, pad)) if isinstance(op, Window) else op


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
