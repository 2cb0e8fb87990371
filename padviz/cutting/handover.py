"""Calls to paste into tiling libraries so that their tiles follow a plan, and whether the result is
exact.

Each call is run in its library by tests/cutting/test_libraries.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np

from padviz.cutting.exact_units import Cut, exact_units
from padviz.cutting.plan import Plan
from padviz.errors import OptionError
from padviz.network.network import in_words

# The argument for the weights of a tile's pixels, and the weight of inexact ones. toolbelt clips
# sums at 2.2e-16.
WEIGHTS = {"monai": ("roi_weight_map", 1e-10), "toolbelt": ("weight", 1e-7)}


@dataclass(frozen=True)
class Handover:
    """The keyword arguments for a library, the call to paste, and whether its result is exact, with
    the reason.
    """

    library: str
    arguments: dict[str, Any]
    call: str
    exact: bool
    words: str


class Recipe(NamedTuple):
    """The arguments and the call for a library, and why it is not exact, or "".

    On each axis the library's tiles then start `steps` apart, and keep the pixels from the first to
    the last + 1.
    """

    arguments: dict[str, Any]
    call: str
    why: str
    steps: Sequence[int] = ()
    kept: Sequence[tuple[int, int]] = ()


class _Side(NamedTuple):
    """A plan on one axis, in pixels; `context` is the largest of any head on either side."""

    image: int
    tile: int
    step: int
    alignment: int
    context: int
    exact: tuple[int, int]  # the first and last + 1 pixel of a tile that are exact in any tile
    dense: bool  # whether every output is as large as the image


def handover(plan: Plan, library: str) -> Handover:
    """Translate a plan for a library; its name may have capitals.

    Raises OptionError for an unknown library, and for one that no plan makes exact, with the
    reason.
    """
    library = library.lower()
    if library in REASONS:
        raise OptionError(
            f"{library}: {REASONS[library]}", option="for", hint="use python, or another library"
        )
    if library not in LIBRARIES:
        raise OptionError(
            f"{library!r} is not known", option="for", hint=f"use {', '.join(LIBRARIES)}"
        )
    if len(plan.image) != 2:
        raise OptionError(
            f"{library} cuts images of two axes",
            option="for",
            hint="leave it out, and iterate over the plan",
        )
    sides = [_side(plan, axis) for axis in (0, 1)]
    recipe = LIBRARIES[library](plan, sides)
    why = recipe.why
    if plan.ignored:
        layer, reason = plan.ignored[0]
        why = f"{layer} ({reason}) sees the tile alone"
    elif plan.level is not None:
        why = f"tiles see {100 * plan.level:g} % of the paths of each unit"
    elif not why and any(map(partial(_differs, plan), range(2), recipe.steps, recipe.kept)):
        why = "its tiles keep units that differ from those of the whole image; use python"
    sizes = _sizes(library, sides)
    comment = f"not exact: {why}" if why else sizes
    words = comment if why else f"exact; {sizes}" if sizes else "exact"
    call = recipe.call
    if comment:
        call = f"{fill(comment, 79, initial_indent='# ', subsequent_indent='# ')}\n{call}"
    return Handover(library, recipe.arguments, call, not why, words)


def _sizes(library: str, sides: list[_Side]) -> str:
    """Return for images of which sizes a call is exact; "" for all.

    MONAI and pytorch-toolbelt fit their step to one size, and TorchIO has no overlap on an axis
    with one tile.
    """
    if library != "torchio" or any(side.tile == side.image for side in sides):
        return (
            f"for images of {in_words(side.image for side in sides)} only: plan again for each size"
        )
    if all(side.alignment == 1 for side in sides):
        return ""
    ends = dict.fromkeys((side.alignment, side.image % side.alignment) for side in sides)
    axes = ("height and width are",) if len(ends) == 1 else ("height is", "width is")
    conditions = []
    for axis, (n, rest) in zip(axes, ends, strict=True):
        multiples = "multiples" if len(ends) == 1 else "a multiple"
        if rest:
            multiples = f"{rest} more than a multiple"
        conditions.append(f"whose {axis} {multiples} of {n}")
    return f"only for images {' and '.join(conditions)}"


def keywords(plan: Plan, library: str) -> dict[str, Any]:
    """Return a library's keyword arguments, with the weights of a tile's pixels, (height, width),
    if it takes any.

    Raises OptionError as `handover` does, and if the recipe is not exact, with the reason.
    """
    recipe = handover(plan, library)
    if not recipe.exact:
        raise OptionError(
            f"{recipe.library} is {recipe.words}",
            option="for",
            hint="use python, or another library",
        )
    if recipe.library not in WEIGHTS:
        return recipe.arguments
    name, small = WEIGHTS[recipe.library]
    ends = [np.full(n, small) for n in plan.tile]
    for axis, end in enumerate(ends):
        end[slice(*_side(plan, axis).exact)] = 1
    return {**recipe.arguments, name: np.outer(*ends)}


def _side(plan: Plan, axis: int) -> _Side:
    line, contexts = plan.lines[axis], [pair[axis] for pair in plan.contexts]
    before = max(context.before for context in contexts)
    after = max(context.after for context in contexts)
    return _Side(
        image=line.image,
        tile=line.length,
        step=line.starts[1] - line.starts[0] if len(line.starts) > 1 else line.length,
        alignment=contexts[0].alignment,
        context=max(before, after),
        exact=(before, line.length - after),
        dense=all(keeps[-1][1] == line.image for keeps in line.keeps),
    )


def _differs(plan: Plan, axis: int, step: int, kept: tuple[int, int]) -> bool:
    """Return whether a tile as a library lays it keeps units that are not exact in that
    very tile.
    """
    n, length = plan.image[axis], plan.tile[axis]
    for start in (*range(0, n - length, step), n - length):
        units = exact_units(plan.network, axis, Cut(n, start, length))
        first, last = kept[0] if start else 0, kept[1] if start + length < n else length
        if not all(
            units[plan.network.index[name]].placed(start)[first:last].all() for name in plan.heads
        ):
            return True
    return False


def _python(plan: Plan, sides: list[_Side]) -> Recipe:
    arguments: dict[str, object] = {"size": plan.image, "tile": plan.tile}
    if plan.level is not None:
        arguments["level"] = plan.level
    if plan.ignored:
        arguments["norms"] = "per-tile"
    call = (
        "import padviz\nplan = padviz.tiles(model, "
        f"{', '.join(f'{name}={value}' for name, value in arguments.items())}).plan\nout = "
        "padviz.tiled(model, image, plan)  # or by hand:\nfor tile in plan:\n    out[(..., "
        "*tile.keep)] = model(image[(..., *tile.read)])[(..., *tile.take)]"
    )
    return Recipe(arguments, call, "")


def _step(side: _Side, suits: Callable[[_Side, int], bool]) -> int:
    """Return the largest step, no smaller than the context, that suits a library; 0 if none."""
    if side.tile == side.image:
        return side.tile
    most = side.step // side.alignment * side.alignment
    steps = range(most, max(side.context - 1, 0), -side.alignment)
    return next((step for step in steps if suits(side, step)), 0)


def _keeps_rims_apart(side: _Side, step: int) -> bool:
    """Return whether inexact units never meet inexact units of the outermost tiles, which have the
    same small weight.

    At the front they do not, since a step is no smaller than the context. They meet at the end if
    the last tile is pushed back until the one before it reaches into its rim.
    """
    before_last = (ceil((side.image - side.tile) / step) - 1) * step
    return before_last + side.tile <= side.image - side.context


def _ends_with_image(side: _Side, step: int) -> bool:
    return (side.image - side.tile) % step == 0


def _monai(plan: Plan, sides: list[_Side]) -> Recipe:
    """Use overlaps half a pixel too small, since MONAI rounds the step down; only exact pixels have
    weight.
    """
    weighed = [_step(side, _keeps_rims_apart) for side in sides]
    steps = [step or side.step for step, side in zip(weighed, sides, strict=True)]
    overlaps = tuple(
        max(0, side.tile - n - 0.5) / side.tile for side, n in zip(sides, steps, strict=True)
    )
    arguments = {"roi_size": plan.tile, "overlap": overlaps, "mode": "constant", "sw_batch_size": 1}
    exact = in_words(side.exact[1] - side.exact[0] for side in sides)
    planned, apart = in_words(side.step for side in sides), in_words(steps)
    spacing = f"# {exact} px of a tile are exact and get weight 1\n# tiles start {apart} px apart"
    if apart != planned:
        spacing += (
            f", not {planned} as in the plan:\n# at the image's end inexact tiles would be averaged"
        )
    ends, small = ["{}:{}".format(*side.exact) for side in sides], f"{WEIGHTS['monai'][1]:g}"
    output = "[head.float() for head in model(tile)]"
    if len(plan.heads) == 1:
        output = "model(tile).float()"
    call = (
        f"import torch\nfrom monai.inferers import sliding_window_inference\n{spacing}\nrows, "
        f"cols = (torch.full((n,), {small}) for n in {plan.tile})\nrows[{ends[0]}] = "
        f"cols[{ends[1]}] = 1\nout = sliding_window_inference(  # in float32: in float16 a weight "
        f"of {small} is 0\n    image.float(), {plan.tile}, 1, lambda tile: {output},\n"
        "    # half a pixel less, because MONAI rounds the step between tiles down\n"
        f"    overlap={overlaps},\n"
        '    mode="constant", roi_weight_map=torch.outer(rows, cols))'
    )
    why = _not_dense(sides, "MONAI")
    if not why and not all(weighed):
        why = f"inexact parts of tiles would be averaged; {_cure(sides, _keeps_rims_apart)}"
    return Recipe(arguments, call, why, steps, [side.exact for side in sides])


def _torchio(plan: Plan, sides: list[_Side]) -> Recipe:
    """Use even overlaps, since half of one is cropped off each side."""
    overlaps = []
    for side in sides:
        steps = range(side.tile // side.alignment * side.alignment, 0, -side.alignment)
        fits = (
            n for n in steps if (side.tile - n) % 2 == 0 and (side.tile - n) // 2 >= side.context
        )
        overlaps.append(side.tile - next(fits, side.tile) if side.tile < side.image else 0)
    arguments = {"patch_size": (*plan.tile, 1), "patch_overlap": (*overlaps, 0)}
    call = (
        f"import torchio\nsampler = torchio.GridSampler(subject, {arguments['patch_size']}, "
        f"{arguments['patch_overlap']})\n"
        'aggregator = torchio.GridAggregator(sampler, overlap_mode="crop")'
    )
    odd = any(n == 0 and side.tile < side.image for n, side in zip(overlaps, sides, strict=True))
    why = "no even overlap keeps tiles aligned; pad the image to an even size" if odd else ""
    kept = [(n // 2, side.tile - n // 2) for side, n in zip(sides, overlaps, strict=True)]
    between = [last - first for first, last in kept]
    return Recipe(arguments, call, why or _not_dense(sides, "TorchIO"), between, kept)


def _toolbelt(plan: Plan, sides: list[_Side]) -> Recipe:
    """Fit tiles into the image, since toolbelt pads it where they do not fit, which moves the
    phase.
    """
    fitting = [_step(side, _ends_with_image) for side in sides]
    steps = [step or side.tile for step, side in zip(fitting, sides, strict=True)]
    arguments = {"image_shape": plan.image, "tile_size": plan.tile, "tile_step": tuple(steps)}
    why = _not_dense(sides, "pytorch-toolbelt")
    if not why and not all(fitting):
        why = f"no step fits the image; {_cure(sides, _ends_with_image)}"
    ends = ["{}:{}".format(*side.exact) for side in sides]
    call = (
        "import numpy\nfrom pytorch_toolbelt.inference.tiles import ImageSlicer\nrows, cols = "
        f"(numpy.full(n, {WEIGHTS['toolbelt'][1]:g}) for n in {plan.tile})\nrows[{ends[0]}] = "
        f"cols[{ends[1]}] = 1\nslicer = ImageSlicer({plan.image}, tile_size={plan.tile}, "
        f"tile_step={tuple(steps)},\n    weight=numpy.outer(rows, cols))"
    )
    return Recipe(arguments, call, why, steps, [side.exact for side in sides])


def _cure(sides: list[_Side], suits: Callable[[_Side, int], bool]) -> str:
    """Return the padded image, or the least larger tiles, for which a library has a step."""
    if all(side.step >= side.context for side in sides):
        padded = (
            side.tile + ceil((side.image - side.tile) / side.step) * side.step for side in sides
        )
        return f"pad the image to {in_words(padded)}"
    tiles = []
    for side in sides:
        read = side.tile - (side.exact[1] - side.exact[0])  # beyond what a tile keeps
        larger = (
            side._replace(tile=n, step=(n - read) // side.alignment * side.alignment)
            for n in range(side.tile, side.image, side.alignment)
        )
        tiles.append(next((wider.tile for wider in larger if _step(wider, suits)), side.image))
    if tiles == [side.image for side in sides]:
        return "run the image whole, or use python"
    return f"use tiles of {in_words(tiles)}"


def _not_dense(sides: list[_Side], library: str) -> str:
    """Return why a library cannot stitch outputs that are smaller or larger than the tile; "" if it
    can.
    """
    if all(side.dense for side in sides):
        return ""
    return f"{library} needs an output as large as the tile; use python"


def _sahi(plan: Plan, sides: list[_Side]) -> Recipe:
    """Use ratios half a pixel larger than the overlaps, since sahi rounds the overlap down."""
    ratios = [(side.tile - side.step + 0.5) / side.tile for side in sides]
    names = "slice_height", "slice_width", "overlap_height_ratio", "overlap_width_ratio"
    arguments = dict(zip(names, (*plan.tile, *ratios), strict=True))
    call = (
        "from sahi.predict import get_sliced_prediction\nresult = get_sliced_prediction(image, "
        f"model, slice_height={plan.tile[0]}, slice_width={plan.tile[1]},\n    # half a pixel "
        f"more, because sahi rounds the overlap down\n    overlap_height_ratio={ratios[0]}, "
        f"overlap_width_ratio={ratios[1]})"
    )
    return Recipe(arguments, call, MERGED)


def _supervision(plan: Plan, sides: list[_Side]) -> Recipe:
    sizes, overlaps = plan.tile[::-1], tuple(side.tile - side.step for side in reversed(sides))
    call = (
        "from supervision import InferenceSlicer\nslicer = InferenceSlicer(callback,\n"
        f"    slice_wh={sizes}, overlap_wh={overlaps})"
    )
    return Recipe({"slice_wh": sizes, "overlap_wh": overlaps}, call, MERGED)


LIBRARIES: dict[str, Callable[[Plan, list[_Side]], Recipe]] = {
    "python": _python,
    "monai": _monai,
    "torchio": _torchio,
    "toolbelt": _toolbelt,
    "sahi": _sahi,
    "supervision": _supervision,
}
MERGED = "boxes of all tiles are merged; --object N keeps boxes of up to N px whole"
BLENDED = "it blends tiles, and does not align them"
ALONE = "norms and attention see the tile alone"
REASONS = {"nnunet": BLENDED, "cellpose": BLENDED, "diffusers": ALONE, "comfyui": ALONE}
