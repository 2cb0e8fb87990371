"""The changes that are tried: other sizes and padding schemes, both together, other pads, pooled strides, a crop."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from padviz.advice.pooled_strides import with_strides_pooled
from padviz.axis.operations import Op, Window
from padviz.axis.padding_modes import COPYING, MODES, SCHEMES
from padviz.counting.walking.stable_rows import growth
from padviz.geometry.balance.nearest import nearest_even, odd_window
from padviz.geometry.ledger import AxisPadding, LayerPadding, ledger
from padviz.geometry.reaching.border_margins import Margin, margins
from padviz.network.layer import Layer
from padviz.network.network import Network, Size
from padviz.network.rewrites import schemes_of
from padviz.network.sizes import sizes_of

WRAPPING = tuple(mode for mode in COPYING if SCHEMES[mode].wraps)
OTHER = MODES[1:]  # than zeros
TRIED = (*OTHER, *(f"zero/{mode}" for mode in WRAPPING), *(f"{mode}/zero" for mode in WRAPPING))
LARGER = 32  # pixels, or a period of the strides, that an image of the same phase gains
Needs = Literal["today's weights", "fine-tune", "retrain"]
NEEDS: tuple[Needs, ...] = get_args(Needs)


@dataclass(frozen=True)
class Change:
    """A network that was changed, the size and the scheme it runs at, and how a person makes the same change.

    `needs` says what it takes of a trained network: it works with today's weights where every window reads what it
    read, asks for fine-tuning where windows read otherwise or the sampling grid moves, and for training anew where the
    graph is another.
    """

    kind: Literal["size", "larger", "padding", "both", "pads", "pool", "crop"]
    what: str
    edit: tuple[str, ...]
    needs: Needs
    network: Network
    size: Size
    padding: str | None = None


def balanced_sizes(network: Network, size: Size) -> Iterator[Change]:
    """The next balanced sizes, below and above."""
    for near in nearest_even(network, size):
        if near is not None:
            yield _sized("size", network, size, near.size)


def larger_image(network: Network, size: Size) -> Iterator[Change]:
    """A larger image of the same phase: its rims are as wide, so that they are a smaller part of it."""
    periods = [growth(network, axis) for axis in (0, 1)]
    steps = [grows[0] * -(-LARGER // grows[0]) if grows else 0 for grows in periods]
    if all(steps) and not network.fixed:
        yield _sized("larger", network, size, (size[0] + steps[0], size[1] + steps[1]))


def _sized(kind: Literal["size", "larger"], network: Network, size: Size, near: Size) -> Change:
    needs: Needs = "today's weights" if keeps_phase(network, size, near) else "fine-tune"
    return Change(kind, f"{near[0]} x {near[1]} px", _resized(network, size, near), needs, network, near)


def keeps_phase(network: Network, size: Size, near: Size) -> bool:
    """Whether every stride has the same phase at both sizes, so that windows read what they read, and the grid stays.

    >>> import padviz
    >>> net = padviz.load("resnet50")
    >>> keeps_phase(net, (224, 224), (256, 256)), keeps_phase(net, (224, 224), (225, 225))
    (True, False)
    """
    for axis, (n, other) in enumerate(zip(size, near, strict=True)):
        grows = growth(network, axis)
        if n != other and (grows is None or (other - n) % grows[0]):
            return False
    return True


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
    if network.pads:
        for scheme in TRIED:
            edit = _edits(scheme, network.source)
            yield Change("padding", f"{scheme} padding", edit, "fine-tune", network, size, scheme)


def balanced_size_with_schemes(network: Network, size: Size, most: float) -> Iterator[Change]:
    """The nearest balanced size of at most so many times the multiply-adds, and a scheme, where windows are uneven."""
    if not network.pads or not _learned(network, size):
        return
    near = [found for found in nearest_even(network, size) if found and (found.macs_ratio or found.work) <= most]
    for found in sorted(near, key=lambda each: sum(abs(n - m) for n, m in zip(each.size, size, strict=True)))[:1]:
        sized = _sized("size", network, size, found.size)
        for scheme in OTHER:
            what = f"{found.size[0]}x{found.size[1]} + {scheme}"
            edit = *sized.edit[:1], *_edits(scheme, network.source)[:1]
            yield Change("both", what, edit, "fine-tune", network, found.size, scheme)


def wraps(change: str) -> bool:
    """Whether a change makes one side of the image the neighbour of the other, as is right for few images."""
    return any(mode in change for mode in WRAPPING)


def _edits(scheme: str, source: str) -> tuple[str, ...]:
    """How a person pads by a scheme: a module, a file, a network that is written anew."""
    is_file = source.lower().endswith(".onnx")
    command = f"padviz repad {_file(source)} --padding {scheme} -o {scheme.replace('/', '-')}.onnx"
    module = f'padviz.repad(module, "{scheme}")'
    edit = (command, module) if is_file else (module, command)
    height, width = (SCHEMES[mode].wraps for mode in schemes_of(scheme))
    where = "it wraps" if height and width else "the height wraps" if height else "the width wraps"
    meets = (f"{where} around: for panoramas and textures, whose sides meet",) if wraps(scheme) else ()
    return (*edit, f'anew: padviz.nn.PaddedConv2d(..., scheme="{scheme}")', *meets)


def _file(source: str) -> str:
    """The file that a command changes: the network's own, or one that it stands for."""
    return shlex.quote(source) if source.lower().endswith(".onnx") else "model.onnx"


def even_pads(network: Network, size: Size) -> Iterator[Change]:
    """Pads that make all learned windows even."""
    return (change for change in some_even_pads(network, size) if not _learned(change.network, size))


def some_even_pads(network: Network, size: Size) -> Iterator[Change]:
    """Pads of those uneven learned windows that consume an even number of rows, shared out evenly."""
    uneven = _learned(network, size)
    halved = [each for each in uneven if not any(_total(row) % 2 for row in (each.height, each.width))]
    layers, edits = list(network.layers), [f"padviz repad {_file(network.source)} --even -o even.onnx"]
    for each in halved:
        at = network.index[each.layer]
        pads = [_total(row) // 2 for row in (each.height, each.width)]
        ops = [_padded(op, pad) for op, pad in zip(layers[at].ops, pads, strict=True)]
        layers[at] = replace(layers[at], height=ops[0], width=ops[1])
        edits.append(f"{each.layer}: padding=({pads[0]}, {pads[1]})")
    changed = replace(network, layers=tuple(layers))
    if halved and len(_learned(changed, size)) <= len(uneven) - len(halved):
        yield Change("pads", "even pads", tuple(edits), "fine-tune", changed, size)


def pooled_strides(network: Network, size: Size) -> Iterator[Change]:
    """The stride of every uneven learned window moved into an average pool."""
    names = tuple(each.layer for each in _learned(network, size))
    changed = with_strides_pooled(network, names) if names else None
    if changed is not None:
        moved = [layer.name.removesuffix(".pool") for layer in _new(network, changed)]
        edit = tuple(f"{name}: stride=1, then nn.AvgPool2d(2)" for name in moved)
        yield Change("pool", f"{_counted(len(moved), 'stride')} pooled", edit, "retrain", changed, size)


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
    yield Change("crop", "cropped output", tuple(edits), "today's weights", cut, size)


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
    >>> cannot(padviz.load("resnet18"), (224, 224))
    ['At 224 x 224 no pads make conv1 even: its 112 units read 5 rows of padding in all, an odd number.']
    """
    uneven = _learned(network, size)
    odd = [(each.layer, row) for each in uneven for row in (each.height, each.width) if row.uneven and _total(row) % 2]
    said = []
    if uneven and not any(nearest_even(network, size)):
        which = odd_window(network, size)
        said.append(
            "No balanced size is near" + (f": {which} reads an odd number of padded rows at each." if which else ".")
        )
    if odd:
        name, row = odd[0]
        rows = f"{_counted(_total(row), 'row')} of padding in all, an odd number"
        at = f"{size[0]} x {size[1]}"
        said.append(f"At {at} no pads make {name} even: its {row.output} units read {rows}.")
    if not network.pads:
        said.append("No convolution pads, so no padding scheme changes anything.")
    return said


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
