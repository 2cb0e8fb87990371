"""What other libraries must be told so that their tiles are those of a plan, and how exact they are then.

Every recipe was read in the library's code; those that are called exact are run against it in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Literal, NamedTuple

import numpy as np

from padviz.cutting.context import context_on
from padviz.cutting.plan import Plan
from padviz.cutting.right_units import Cut, right_units
from padviz.errors import OptionError, SizeError

MERGED = "boxes are merged; objects see the context that they need"
WEIGHTS = {"monai": "roi_weight_map", "toolbelt": "weight"}
REPEATED = ("realesrgan", "torch-em", "bioimageio", "rastervision", "terratorch", "tiatoolbox")  # one tile, everywhere
Exact = Literal["everywhere", "inside", "nowhere"]
EPSILON = {"monai": 1e-10, "toolbelt": 1e-7}  # toolbelt takes sums of weights below 2.2e-16 for none


@dataclass(frozen=True)
class Handover:
    """The keyword arguments for a library, the call to paste, and which units are exact, in a word and in a sentence.

    >>> import padviz
    >>> from padviz.cutting.plan import plan_tiles
    >>> plan = plan_tiles(padviz.load("unet_padded"), (1024, 1024), (512, 512))
    >>> handover(plan, "torchio").arguments
    {'patch_size': (512, 512, 1), 'patch_overlap': (192, 192, 0)}
    """

    library: str
    arguments: dict[str, Any]
    call: str
    exact: Exact
    words: str

    def only(self, sizes: str) -> Handover:
        """Say, in words and in the call, for which images alone it is exact; nothing where that is all."""
        if not sizes or self.exact == "nowhere":
            return self
        return replace(self, words=f"{self.words}; {sizes}", call=f"# {sizes}\n{self.call}")


class _Side(NamedTuple):
    """A plan on one axis, in pixels: the context is the larger of what any head, and any length of a tile, asks for."""

    image: int
    tile: int
    step: int
    lattice: int
    context: int
    right: slice  # the pixels of a tile that are right whatever lies around it
    scale: float | None  # of the output, where it is as many times the tile everywhere

    @property
    def halo(self) -> int:
        """The context, up to the next multiple of the lattice."""
        return ceil(self.context / self.lattice) * self.lattice

    @property
    def core(self) -> int:
        """What a tile keeps between two halos."""
        return (self.tile - 2 * self.halo) // self.lattice * self.lattice


def handover(plan: Plan, library: str) -> Handover:
    """Translate a plan for a library, whose name may be in capitals.

    Raises
    ------
    OptionError
        For a library that is not known, and for one that no plan makes exact, with the reason.

    Examples
    --------
    >>> import padviz
    >>> from padviz.cutting.plan import plan_tiles
    >>> handover(plan_tiles(padviz.load("unet_padded"), (1024, 1024), (512, 512)), "python").words
    'exact: 1024 x 1024 in tiles of 512 x 512'
    """
    library = library.lower()
    if library in REASONS:
        raise OptionError(f"{library}: {REASONS[library]}", option="for", hint="use python, or another library")
    if library not in LIBRARIES:
        raise OptionError(f"{library!r} is not known", option="for", hint=f"use {', '.join(LIBRARIES)}")
    if len(plan.image) != 2:
        raise OptionError(
            f"{library} cuts images of two axes", option="for", hint="leave it out, and iterate over the plan"
        )
    try:
        sides = [_side(plan, axis, library) for axis in (0, 1)]
    except SizeError as error:
        raise OptionError(f"{library} repeats one tile: {error.what}", option="for", hint="use python") from None
    recipe = LIBRARIES[library](plan, sides)
    if recipe.exact == "everywhere" and any(_differs(plan, axis, recipe, side) for axis, side in enumerate(sides)):
        words = "not exact: its tiles keep units that differ from those of the whole image; use python"
        recipe = replace(recipe, exact="nowhere", words=words)
    recipe = replace(recipe, call="\n".join((*IMPORTS.get(library, ()), recipe.call)))
    if plan.ignored:
        layer, why = plan.ignored[0]
        return replace(recipe, exact="nowhere", words=f"not exact: {layer} ({why}) sees the tile alone")
    if plan.level is not None:
        words = f"not exact: tiles see {100 * plan.level:g} % of the paths of each unit"
        return replace(recipe, exact="nowhere", words=words)
    return recipe.only(_sizes(library, sides))


def _sizes(library: str, sides: list[_Side]) -> str:
    """Say for images of which sizes a call is right; nothing where it is for all, or names the size itself.

    MONAI and pytorch-toolbelt fit their step to one size, and TorchIO has no overlap on an axis with one tile. The
    others repeat one tile, which is as long as the image modulo the lattice.
    """
    if library in WEIGHTS or (library == "torchio" and any(side.tile == side.image for side in sides)):
        return f"for images of {_by(side.image for side in sides)} only: plan again for each size"
    if library == "python" or all(side.lattice == 1 for side in sides):
        return ""
    ends = dict.fromkeys((side.lattice, side.image % side.lattice) for side in sides)
    axes = ("height and width",) if len(ends) == 1 else ("height", "width")
    each = (
        f"{axis} {f'{rest} more than ' if rest else ''}a multiple of {n}"
        for axis, (n, rest) in zip(axes, ends, strict=True)
    )
    return f"for images of {' and '.join(each)} only"


def keywords(plan: Plan, library: str) -> dict[str, Any]:
    """Make a library's keyword arguments, with the weights of a tile's pixels, (height, width), where it takes any.

    Raises
    ------
    OptionError
        As `handover`, and where the recipe is not exact, with the reason.
    """
    recipe = handover(plan, library)
    if recipe.exact == "nowhere":
        raise OptionError(f"{recipe.library} is {recipe.words}", option="for", hint="use python, or another library")
    if recipe.library not in WEIGHTS:
        return recipe.arguments
    ends = [np.full(n, EPSILON[recipe.library]) for n in plan.tile]
    for axis, end in enumerate(ends):
        end[_side(plan, axis, recipe.library).right] = 1
    return {**recipe.arguments, WEIGHTS[recipe.library]: np.outer(*ends)}


def _side(plan: Plan, axis: int, library: str) -> _Side:
    line, contexts = plan.lines[axis], [pair[axis] for pair in plan.contexts]
    lattice = contexts[0].lattice
    repeats = library in REPEATED and plan.level is None and not plan.ignored
    even = context_on(plan.network, axis, line.image, rest=0) if repeats else []
    context = max(max(head.before, head.after) for head in (*contexts, *even))
    scales = {line.keeps[h][-1][1] / line.image for h in range(len(contexts))}
    core = slice(max(head.before for head in contexts), line.length - max(head.after for head in contexts))
    step = line.starts[1] - line.starts[0] if len(line.starts) > 1 else line.length
    return _Side(line.image, line.length, step, lattice, context, core, scales.pop() if len(scales) == 1 else None)


def _differs(plan: Plan, axis: int, recipe: Handover, side: _Side) -> bool:
    """Tell whether a tile as a library lays it keeps units that are not right in that very tile."""
    n, length, given = side.image, side.tile, recipe.arguments
    before, after = side.right.start, length - side.right.stop
    if recipe.library == "realesrgan":
        before = after = halo = given["tile_pad"]
        reads = [(max(0, k - halo), min(n, k + given["tile"] + halo)) for k in range(0, n, given["tile"])]
    elif recipe.library in ("monai", "torchio", "toolbelt"):
        if recipe.library == "torchio":
            before = after = given["patch_overlap"][axis] // 2
        step = int(length * (1 - given["overlap"][axis])) if recipe.library == "monai" else length - 2 * before
        step = given["tile_step"][axis] if recipe.library == "toolbelt" else step
        reads = [(k, k + length) for k in (*range(0, n - length, step), n - length)]
    else:
        return False  # a plan, each tile of which was checked, or boxes
    for start, stop in reads:
        units = right_units(plan.network, axis, Cut(n, start, stop - start), frozenset(dict(plan.ignored)))
        for name in plan.heads:
            scale = int(side.scale or 1)
            right = units[plan.network.index[name]].from_(start * scale)
            first, last = (before if start else 0, stop - start - (after if stop < n else 0))
            if not right[first * scale : last * scale].all():
                return True
    return False


def _python(plan: Plan, sides: list[_Side]) -> Handover:
    image, tile = _by(plan.image), _by(plan.tile)
    call = (
        f"plan = padviz.tiles(model, {plan.image}, {plan.tile})\n"
        "out = padviz.tiled(model, image, plan)  # or by hand:\n"
        "for tile in plan:\n"
        "    out[(..., *tile.keep)] = model(image[(..., *tile.read)])[(..., *tile.take)]"
    )
    arguments = {"size": plan.image, "tile": plan.tile}
    return Handover("python", arguments, call, "everywhere", f"exact: {image} in tiles of {tile}")


def _weighed_step(side: _Side) -> int:
    """Find the largest step at which no tile's wrong units lie where only the outermost tile is right; 0 if none.

    Both have the same small weight there: at the front that is a step below the context, and at the end a last tile
    that is pushed back until the one before it reaches into its rim.
    """
    if side.tile == side.image:
        return side.tile
    for step in range(side.step // side.lattice * side.lattice, side.context - 1, -side.lattice):
        before_last = (ceil((side.image - side.tile) / step) - 1) * step
        if step > 0 and before_last + side.tile <= side.image - side.context:
            return step
    return 0


def _monai(plan: Plan, sides: list[_Side]) -> Handover:
    """Choose overlaps half a pixel smaller than the steps leave, since MONAI rounds down; only cores have weight."""
    steps = [_weighed_step(side) or side.step for side in sides]
    overlaps = tuple(max(0, side.tile - n - 0.5) / side.tile for side, n in zip(sides, steps, strict=True))
    arguments = {"roi_size": plan.tile, "overlap": overlaps, "mode": "constant", "sw_batch_size": 1}
    ends = [f"{side.right.start}:{side.right.stop}" for side in sides]
    made = "model(tile).float()" if len(plan.heads) == 1 else "[head.float() for head in model(tile)]"
    lines = [*_spacing(sides, steps), f"rows, cols = (torch.full((n,), {EPSILON['monai']:g}) for n in {plan.tile})"]
    lines += [f"rows[{ends[0]}] = cols[{ends[1]}] = 1"]
    lines += [f"out = sliding_window_inference(  # in float32: in float16 a weight of {EPSILON['monai']:g} is 0"]
    lines += [f"    image.float(), {plan.tile}, 1, lambda tile: {made},"]
    lines += [f"    overlap={overlaps},  # half a pixel short: MONAI rounds down"]
    lines += ['    mode="constant", roi_weight_map=torch.outer(rows, cols))']
    call = "\n".join(lines)
    return Handover("monai", arguments, call, *_everywhere(_dense(plan, sides, "MONAI") or _spaced(sides)))


def _spacing(sides: list[_Side], steps: list[int]) -> list[str]:
    """Say what of a tile has weight, how far tiles are apart, and why that is less than in the plan."""
    right = _by(side.right.stop - side.right.start for side in sides)
    planned, apart = _by(side.step for side in sides), _by(steps)
    said = [f"# {right} px of a tile are right and get weight 1; tiles start {apart} px apart"]
    if apart == planned:
        return said
    return [f"{said[0]},", f"# not {planned} as in the plan: at the image's end two wrong tiles would be averaged"]


def _by(lengths: Iterable[int]) -> str:
    return " x ".join(map(str, lengths))


def _torchio(plan: Plan, sides: list[_Side]) -> Handover:
    """Choose even overlaps, since half of one is cropped off each side."""
    overlaps = []
    for side in sides:
        steps = range(side.tile // side.lattice * side.lattice, 0, -side.lattice)
        fits = (n for n in steps if (side.tile - n) % 2 == 0 and (side.tile - n) // 2 >= side.context)
        overlaps.append(side.tile - next(fits, side.tile) if side.tile < side.image else 0)
    arguments = {"patch_size": (*plan.tile, 1), "patch_overlap": (*overlaps, 0)}
    call = (
        f"sampler = torchio.GridSampler(subject, {arguments['patch_size']}, {arguments['patch_overlap']})\n"
        'aggregator = torchio.GridAggregator(sampler, overlap_mode="crop")'
    )
    odd = any(n == 0 and side.tile < side.image for n, side in zip(overlaps, sides, strict=True))
    why = "no even overlap keeps the lattice; pad the image to an even size" if odd else ""
    return Handover("torchio", arguments, call, *_everywhere(why or _dense(plan, sides, "TorchIO")))


def _realesrgan(plan: Plan, sides: list[_Side]) -> Handover:
    core, halo = min(side.core for side in sides), max(side.halo for side in sides)
    arguments = {"tile": core, "tile_pad": halo}
    why = "" if core > 0 else f"no core is left between {halo} px on each side; use a larger tile"
    whole = all(side.scale and side.scale % 1 == 0 for side in sides)
    why = why or ("" if whole else "Real-ESRGAN needs an output of a whole scale; use python")
    call = f"RealESRGANer(..., tile={core}, tile_pad={halo}, pre_pad=0)"
    return Handover("realesrgan", arguments, call, *_everywhere(why))


def _toolbelt(plan: Plan, sides: list[_Side]) -> Handover:
    """Fit tiles into the image, since it is padded where they do not fit, which moves the phase."""
    steps = []
    for side in sides:
        periods = (side.image - side.tile) // side.lattice
        whole = [n * side.lattice for n in range(1, periods + 1) if periods % n == 0]
        steps.append(max((n for n in whole if side.context <= n <= side.step), default=side.tile))
    arguments = {"image_shape": plan.image, "tile_size": plan.tile, "tile_step": tuple(steps)}
    why = _dense(plan, sides, "pytorch-toolbelt")
    if not why and any(n == side.tile < side.image for n, side in zip(steps, sides, strict=True)):
        wanted = [side.tile + ceil((side.image - side.tile) / side.step) * side.step for side in sides]
        why = f"no step fits the image; pad it to {_by(wanted)}"
    ends = [f"{side.right.start}:{side.right.stop}" for side in sides]
    call = (
        f"rows, cols = (numpy.full(n, {EPSILON['toolbelt']:g}) for n in {plan.tile})\n"
        f"rows[{ends[0]}] = cols[{ends[1]}] = 1\n"
        f"slicer = ImageSlicer({plan.image}, tile_size={plan.tile}, tile_step={tuple(steps)},\n"
        "    weight=numpy.outer(rows, cols))"
    )
    return Handover("toolbelt", arguments, call, *_everywhere(why))


def _everywhere(why_not: str) -> tuple[Exact, str]:
    """Say that all units are exact, unless there is a reason why none can be called so."""
    return ("nowhere", f"not exact: {why_not}") if why_not else ("everywhere", "exact")


def _spaced(sides: list[_Side]) -> str:
    """Say so where the last tile lies too near to the one before it."""
    if all(_weighed_step(side) for side in sides):
        return ""
    wanted = [side.tile + ceil((side.image - side.tile) / side.step) * side.step for side in sides]
    return f"the last tile would lie too near; pad the image to {_by(wanted)}"


def _dense(plan: Plan, sides: list[_Side], library: str) -> str:
    """Say so where a library cannot lay maps of another size than the tile's together."""
    return "" if all(side.scale == 1 for side in sides) else _other_size(library)


def _other_size(library: str) -> str:
    return f"{library} needs an output as large as the tile; use python"


def _rim(sides: list[_Side], library: str, reads: str) -> tuple[Exact, str]:
    """Say how wide a rim is not exact, since a library reads something else there than the network's padding."""
    widths = " and ".join(str(n) for n in dict.fromkeys(side.context for side in sides))
    return "inside", f"exact but for the outer {widths} px, where {library} reads {reads}"


def _torch_em(plan: Plan, sides: list[_Side]) -> Handover:
    block, halo = tuple(side.core for side in sides), tuple(side.halo for side in sides)
    call = f"predict_with_halo(image, model, gpu_ids, block_shape={block}, halo={halo})"
    return Handover("torch-em", {"block_shape": block, "halo": halo}, call, *_rim(sides, "torch-em", "mirrored pixels"))


def _bioimageio(plan: Plan, sides: list[_Side]) -> Handover:
    arguments = {"size": [{"min": s.lattice + 2 * s.halo, "step": s.lattice} for s in sides]}
    halos = [side.halo for side in sides]
    axes = [
        f"  - {{id: {name}, type: space, size: {{min: {size['min']}, step: {size['step']}}}, halo: {halo}}}"
        for name, size, halo in zip("yx", arguments["size"], halos, strict=True)
    ]
    call = "\n".join(["axes:  # sizes of the input, halo of the output", *axes])
    return Handover("bioimageio", {**arguments, "halo": halos}, call, *_rim(sides, "bioimage.io", "mirrored pixels"))


def _rastervision(plan: Plan, sides: list[_Side]) -> Handover:
    chip, halo = min(plan.tile), max(side.halo for side in sides)
    stride = (chip - 2 * halo) // sides[0].lattice * sides[0].lattice
    call = f"SemanticSegmentationPredictOptions(chip_sz={chip}, stride={stride}, crop_sz={halo})"
    arguments = {"chip_sz": chip, "stride": stride, "crop_sz": halo}
    return Handover("rastervision", arguments, call, *_rim(sides, "raster-vision", "empty pixels"))


def _terratorch(plan: Plan, sides: list[_Side]) -> Handover:
    crop, halo = min(plan.tile), max(side.halo for side in sides)
    stride = (crop - 2 * halo) // sides[0].lattice * sides[0].lattice
    call = f"tiled_inference(model, image, crop={crop}, stride={stride}, delta={halo}, blend_overlaps=False)"
    arguments = {"crop": crop, "stride": stride, "delta": halo, "blend_overlaps": False}
    off = any((side.image - crop) % side.lattice for side in sides)
    exact = _off_lattice(sides) if off else _rim(sides, "TerraTorch", "mirrored pixels")
    return Handover("terratorch", arguments, call, *exact)


def _tiatoolbox(plan: Plan, sides: list[_Side]) -> Handover:
    core = tuple(side.core for side in sides)
    arguments = {"patch_input_shape": plan.tile, "patch_output_shape": core, "stride_shape": core}
    call = f"IOSegmentorConfig(patch_input_shape={plan.tile}, patch_output_shape={core}, stride_shape={core}, ...)"
    off = any((side.tile - side.core) % (2 * side.lattice) for side in sides)
    exact = _off_lattice(sides) if off else _rim(sides, "TIAToolbox", "empty pixels")
    return Handover("tiatoolbox", arguments, call, *exact)


def _off_lattice(sides: list[_Side]) -> tuple[Exact, str]:
    """Say to which size to pad the image where a library would start tiles off the lattice."""
    wanted = _by(ceil(side.image / side.lattice) * side.lattice for side in sides)
    return _everywhere(f"its tiles would start off the lattice; pad the image to {wanted}")


def _sahi(plan: Plan, sides: list[_Side]) -> Handover:
    ratios = [round((side.tile - side.step) / side.tile, 4) for side in sides]
    arguments: dict[str, Any] = {"slice_height": plan.tile[0], "slice_width": plan.tile[1]}
    arguments |= {"overlap_height_ratio": ratios[0], "overlap_width_ratio": ratios[1]}
    call = f"get_sliced_prediction(image, model, {', '.join(f'{k}={v}' for k, v in arguments.items())})"
    return Handover("sahi", arguments, call, *_everywhere(MERGED))


def _supervision(plan: Plan, sides: list[_Side]) -> Handover:
    sizes, overlaps = plan.tile[::-1], tuple(side.tile - side.step for side in reversed(sides))
    call = f"InferenceSlicer(callback, slice_wh={sizes}, overlap_wh={overlaps})"
    return Handover("supervision", {"slice_wh": sizes, "overlap_wh": overlaps}, call, *_everywhere(MERGED))


LIBRARIES: dict[str, Callable[[Plan, list[_Side]], Handover]] = {
    "python": _python,
    "monai": _monai,
    "torchio": _torchio,
    "realesrgan": _realesrgan,
    "toolbelt": _toolbelt,
    "torch-em": _torch_em,
    "bioimageio": _bioimageio,
    "rastervision": _rastervision,
    "terratorch": _terratorch,
    "tiatoolbox": _tiatoolbox,
    "sahi": _sahi,
    "supervision": _supervision,
}
IMPORTS: dict[str, tuple[str, ...]] = {
    "python": ("import padviz",),
    "monai": ("import torch", "from monai.inferers import sliding_window_inference"),
    "torchio": ("import torchio",),
    "realesrgan": ("from realesrgan import RealESRGANer",),
    "toolbelt": ("import numpy", "from pytorch_toolbelt.inference.tiles import ImageSlicer"),
    "torch-em": ("from torch_em.util.prediction import predict_with_halo",),
    "rastervision": ("from rastervision.core.rv_pipeline import SemanticSegmentationPredictOptions",),
    "terratorch": ("from terratorch.tasks.tiled_inference import tiled_inference",),
    "tiatoolbox": ("from tiatoolbox.models import IOSegmentorConfig",),
    "sahi": ("from sahi.predict import get_sliced_prediction",),
    "supervision": ("from supervision import InferenceSlicer",),
}
BLENDED = "tiles are blended, and start off the lattice"
REASONS = {"nnunet": BLENDED, "cellpose": BLENDED, "diffusers": "norms and attention see the tile alone"}
REASONS |= {"comfyui": REASONS["diffusers"]}
