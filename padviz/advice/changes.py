"""The changes that are tried: other sizes, a margin and padding schemes, even pads, pooled strides,
a crop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import Literal, get_args

from padviz.advice.evidence import EVIDENCE, POOLED, size_parts
from padviz.counting.walking.stable_rows import growth
from padviz.errors import DescriptionError, SizeError, typed
from padviz.geometry.balance.balanced_sizes import Suggestion
from padviz.geometry.balance.case import Case, with_even_pads, with_strides_pooled
from padviz.network.layer import Layer
from padviz.network.network import LARGEST, Network, Size, in_words
from padviz.network.operations import Window
from padviz.network.padding_modes import COPYING, MODES, SCHEMES
from padviz.network.rewrites import circular_axes, schemes_of, with_padding
from padviz.network.sizes import sizes_of_each
from padviz.phrases import counted

WRAPPING = tuple(mode for mode in COPYING if SCHEMES[mode].wraps)
OTHER = MODES[1:]  # all but zeros
TRIED = (*OTHER, *(f"zero/{mode}" for mode in WRAPPING), *(f"{mode}/zero" for mode in WRAPPING))
COSTLY = 1.2  # ratio of multiply-adds above which a size never ranks first
SHRINK = 0.15  # of a side, at most
LARGER = 32  # pixels that an image gains at least, in whole periods of the strides
Needs = Literal["today's weights", "fine-tune", "retrain"]
NEEDS: tuple[Needs, ...] = get_args(Needs)


@dataclass(frozen=True)
class Change:
    """A changed network, at a size and under a scheme, and the edits that make the same change.

    It works with today's weights if every window reads the same as before, `needs` fine-tuning if
    windows read differently or the sampling grid moves, and retraining if the graph differs.
    `parts` are the rows of the table of evidence that it consists of, None for what nobody has
    tried. `work` is the number of pixels that the network reads, relative to today's.
    """

    kind: Literal["size", "larger", "margin", "padding", "both", "pads", "pool", "crop"]
    what: str
    edit: tuple[str, ...]
    needs: Needs
    case: Case
    padding: str | None = None
    parts: tuple[str | None, ...] = ()
    work: float = 1.0


def balanced_sizes(today: Case) -> Iterator[Change]:
    """Change the size to the next balanced ones, below and above."""
    return (_sized("size", today, case) for _, case in _near(today))


def _near(today: Case) -> list[tuple[Suggestion, Case]]:
    least = (1 - SHRINK) * today.size[0], (1 - SHRINK) * today.size[1]
    return [
        suggested
        for suggested in today.near
        if all(n >= m for n, m in zip(suggested[1].size, least, strict=True))
    ]


def larger_image(today: Case) -> Iterator[Change]:
    """Enlarge the image by whole phases, on the axes that are not circular: rims are as wide, but a
    smaller part.
    """
    larger = _enlarged(today, LARGER)
    if larger:
        yield _sized("larger", today, larger)


def margin(today: Case, deepest: int) -> Iterator[Change]:
    """Surround the image by whole periods of the strides, at least as wide as its deepest rim.

    The figures are those of the image alone, in a margin that is not copied from it.
    """
    # Twice as many rows in twice as many periods are whole periods on each side.
    larger = _enlarged(today, deepest, sides=2)
    if larger is None:
        return
    rows, columns = around = [(m - n) // 2 for n, m in zip(today.size, larger.size, strict=True)]
    # The input stays the image: a layer in front of all others adds the margin. It is not a pad,
    # since windows behind would count its rows as padding of their own.
    image, *behind = larger.network.layers
    ops = tuple([Window(1, padding=(n, n)) for n in around])
    wider = Layer(f"{image.name}.margin", "crop", (0,), ops)
    places = range(1, len(behind) + 2)
    layers = (image, wider, *[layer.moved(places) for layer in behind])
    surrounded = larger.network.at_own_size(layers=layers, size=today.size)
    px = in_words(dict.fromkeys(around))
    edit = (
        f"take {px} px more of the scene on each side, or "
        f"torch.nn.functional.pad(images, {(columns, columns, rows, rows)})",
        f"subtract {px} px from the positions of its results",
    )
    work = prod(larger.size) / prod(today.size)
    case = Case(surrounded, today.size, larger.macs)
    yield Change("margin", f"{px} px of margin", edit, "today's weights", case, work=work)


def _enlarged(today: Case, rows: int, sides: int = 1) -> Case | None:
    """Enlarge the image by at least these rows, in whole periods of its strides, at one end or at
    both; circular axes stay.

    None where it cannot be, or where the network resizes its images.
    """
    if not today.network.pads:
        return None
    size = [*today.size]
    for axis, meets in enumerate(circular_axes(today.network)):
        grows = growth(today.network, axis)
        if grows is None:
            return None
        if not meets:
            size[axis] += sides * grows[0] * -(-rows // grows[0])
    if max(size) > LARGEST:
        return None
    with suppress(SizeError, DescriptionError):  # it takes no larger image
        larger = Case(today.network.at(size), tuple(size))
        before, after = (sizes_of_each(case.network, case.size) for case in (today, larger))
        if any(one[1:] != other[1:] for one, other in zip(before, after, strict=True)):
            return larger
    return None


def _sized(kind: Literal["size", "larger"], today: Case, near: Case) -> Change:
    sizes = today.size, near.size
    needs: Needs = "fine-tune"
    if keeps_phase(today.network, *sizes):
        needs = "today's weights"
    steps = {m - n for n, m in zip(*sizes, strict=True)} - {0}
    if needs == "fine-tune":
        parts = size_parts(steps)
    else:
        parts = ()
    what, work = f"{near.size[0]} x {near.size[1]} px", prod(near.size) / prod(today.size)
    edit = _resized(today.network, *sizes)
    return Change(kind, what, edit, needs, near, parts=parts, work=work)


def keeps_phase(network: Network, size: Size, near: Size) -> bool:
    """Whether every stride has the same phase at both sizes, so that windows read the same and the
    grid stays.
    """
    moved = [
        (growth(network, axis), m - n)
        for axis, (n, m) in enumerate(zip(size, near, strict=True))
        if m != n
    ]
    return all(grows is not None and by % grows[0] == 0 for grows, by in moved)


def _resized(network: Network, size: Size, near: Size) -> tuple[str, ...]:
    """Return the edits that change the size of images, and of a file that fixes its
    input's size.
    """
    height, width = near
    crop = f"CenterCrop({height if height == width else near})"
    resize = f"Resize(({height}, {width}))"
    edit = crop, f"or {resize} for the whole image"
    if any(new > old for new, old in zip(near, size, strict=True)):
        edit = resize, f"or {crop} of larger images"
    if any(declared not in (0, n) for declared, n in zip(network.declared, near, strict=False)):
        return f"export the file again at {height} x {width}, or with an open input size", *edit
    return edit


def schemes(today: Case) -> Iterator[Change]:
    if today.network.pads:
        zeros = with_padding(today.network, "zero").layers == today.network.layers
        untried = () if zeros else (None,)  # all evidence is from networks trained with zeros
        for scheme in _applicable(today, TRIED):
            edit = _edits(scheme, today.network.source)
            yield Change(
                "padding",
                f"{scheme} padding",
                edit,
                "fine-tune",
                today,
                scheme,
                _parts(scheme) + untried,
            )


def _parts(scheme: str) -> tuple[str | None, ...]:
    """Return the schemes with evidence, and None for others, or if the axes differ."""
    modes = dict.fromkeys(schemes_of(scheme))
    tried = (mode if mode in EVIDENCE else None for mode in modes if mode != "zero")
    return (*tried, *(None,) * (len(modes) > 1))


def balanced_size_with_schemes(today: Case) -> Iterator[Change]:
    """Combine the nearest balanced size that is not costly with each scheme, if uneven."""
    if not today.network.pads or not today.uneven:
        return
    near = [
        case
        for suggestion, case in _near(today)
        if (suggestion.macs_ratio or suggestion.work) <= COSTLY
    ]
    for case in sorted(
        near, key=lambda case: sum(abs(n - m) for n, m in zip(case.size, today.size, strict=True))
    )[:1]:
        resized = _sized("size", today, case)
        for scheme in _applicable(today, [mode for mode in OTHER if mode not in WRAPPING]):
            what = f"{case.size[0]}x{case.size[1]} + {scheme}"
            edit = *resized.edit[:1], *_edits(scheme, today.network.source)[:1]
            yield Change(
                "both",
                what,
                edit,
                "fine-tune",
                case,
                scheme,
                resized.parts + _parts(scheme),
                resized.work,
            )


def _applicable(today: Case, schemes: Sequence[str]) -> list[str]:
    """Return the schemes that leave circular axes as they are, since their ends meet."""
    around = circular_axes(today.network)
    if not any(around):
        return [*schemes]
    if all(around):
        others = []
    else:
        others = [mode for mode in OTHER if mode not in WRAPPING]
    return ["/".join(WRAPPING[0] if meets else mode for meets in around) for mode in others]


def wraps(padding: str | None) -> bool:
    """Whether a scheme makes opposite sides of the image neighbours, which is right for
    few images.
    """
    return padding is not None and any(SCHEMES[mode].wraps for mode in schemes_of(padding))


def _edits(scheme: str, source: str) -> tuple[str, ...]:
    """Return the edits that pad by a scheme: of a module, of a file, or in new code."""
    is_file = source.lower().endswith(".onnx")
    output = f"{scheme.replace('/', '-')}.onnx"
    command = f"padviz repad {typed(onnx_file(source))} --padding {scheme} -o {output}"
    module = f'padviz.repad(module, "{scheme}")'
    if is_file:
        edit = (command, module)
    else:
        edit = (module, command)
    meets = ("for panoramas and textures, whose sides meet",) if wraps(scheme) else ()
    return (*edit, f'anew: padviz.nn.PaddedConv2d(..., scheme="{scheme}")', *meets)


def onnx_file(source: str) -> str:
    """Return the ONNX file that a network was read from, or a placeholder."""
    if source.lower().endswith(".onnx"):
        return source
    return "MODEL.onnx"


def even_pads(today: Case) -> Iterator[Change]:
    """Distribute evenly the pads of uneven convolutions that read an even number of rows."""
    evened = with_even_pads(today)
    if evened is not None:
        command = f"padviz repad {typed(onnx_file(today.network.source))} --even -o even.onnx"
        edit = (
            command,
            *(f"{name}: padding=({high}, {wide})" for name, (high, wide) in evened.pads.items()),
        )
        yield Change("pads", "even pads", edit, "fine-tune", evened.case, parts=(None,))


def pooled_strides(today: Case) -> Iterator[Change]:
    """Move the stride of every uneven convolution into an average pool."""
    names = tuple(window.layer for window in today.uneven)
    changed = None
    if names:
        changed = with_strides_pooled(today.network, names)
    if changed is not None:
        new = [layer.name for layer in changed.layers if layer.name not in today.network.index]
        edit = tuple(
            f"{name.removesuffix('.pool')}: stride=1, then nn.AvgPool2d(2)" for name in new
        )
        what = f"pool {counted(len(new), 'stride')}"
        yield Change("pool", what, edit, "retrain", Case(changed, today.size), parts=(POOLED,))


def cropped_outputs(today: Case) -> Iterator[Change]:
    """Crop every target to the units that padding does not touch, if each has some."""
    network, sizes = today.network, sizes_of_each(today.network, today.size)
    sides: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {}
    for touched in today.near_padding:
        at, near = network.index[touched.layer], (touched.axes["height"], touched.axes["width"])
        if touched.barrier or any(sum(pair) >= n[at] for pair, n in zip(near, sizes, strict=True)):
            return
        if any(map(any, near)):
            sides[touched.layer] = near
    if not sides:
        return
    layers, edits = list(network.layers), []
    for name, near in sides.items():
        (top, bottom), (left, right) = near
        rows, cols = (Window(1, padding=(-before, -after)) for before, after in near)
        layers.append(Layer(f"{name}.cropped", "crop", (network.index[name],), (rows, cols)))
        edits.append(f"{name}: y[..., {top or ''}:{-bottom or ''}, {left or ''}:{-right or ''}]")
    cut = network.at_own_size(
        layers=tuple(layers), targets=tuple(f"{name}.cropped" for name in sides)
    )
    yield Change("crop", "cropped output", tuple(edits), "today's weights", Case(cut, today.size))


def changes(today: Case, deepest: int = 0) -> Iterator[Change]:
    """Yield all changes that are tried, a margin where its deepest rim is known."""
    resized = balanced_sizes, balanced_size_with_schemes, larger_image
    for changed in (*resized, schemes, even_pads, pooled_strides, cropped_outputs):
        yield from changed(today)
    yield from margin(today, deepest)
