"""Where the output of a tiler differs from that for the whole image: at seams, in single tiles, or everywhere."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import pairwise, product
from math import log10
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from padviz.analyses.asked import Pixels
from padviz.analyses.result import Result
from padviz.counting.shares.summary import percent
from padviz.cutting.plan import Plan
from padviz.cutting.running import TOLERANCES
from padviz.cutting.seams import (
    AROUND,
    Area,
    Errors,
    Fit,
    Output,
    Seams,
    Values,
    axis_name,
    border_depth,
    explain,
    explain_tiles,
    find_seams,
    measure,
)
from padviz.errors import DescriptionError, OptionError, check_integer
from padviz.files.archives import BROKEN
from padviz.files.opened import opened
from padviz.network.network import in_words
from padviz.options import CMAP, PERIOD, TILED, WHOLE, Command
from padviz.reports.report import Block, Column, Heading, Lines, Report, Table, columns
from padviz.trained.images import SUFFIXES, open_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ZIPPED = b"PK"  # how an .npz file begins
KIND, HINT = "an .npy or .npz file of one array, or a picture", "save the output with np.save"
ROUNDING = {**TOLERANCES, "float16": 4e-3, "bfloat16": 3e-2}  # of the largest value; integers may differ by 1
LARGEST = 1e100  # whose squares can be added
BLOCK = 16  # px of the largest blocks of image formats
EVEN = 1 / 3  # median of squared errors over their mean: below, they are near the seams
PART = 0.75  # of the pixels differ, at most, if others are called equal
VERDICTS = {
    "none": "No seams: whole and tiled are equal{rounding}.",
    "sizes": "Sizes differ: tiled is {tiled}, whole is {whole}. Look for a stride, a crop or swapped axes.",
    "border": "Only the outermost {depth} px differ, in {area}. Compare the padding, and how sizes are rounded.",
    "part": "{share} of the pixels differ, all in {area}. Look at what only these went through: device, batch, seed.",
    "constant": "{tile} constant, {fit.offset:.3g}. Look for tiles that were never run or never written.",
    "gain": "{tile} {fit.gain:.3g} times whole, plus {fit.offset:.3g}. Share one range, and norms' statistics.",
    "shift": "{tile} shifted by {moved}. Check where tiles start and are cropped.",
    "swapped": "{tile} {swapped}. Check the order of tiles, axes and channels (RGB, BGR).",
    "context": "Seams {placed}. Tiles need more context, or other starts: padviz tiles MODEL computes both.",
    "tiles": "Seams {placed}. Errors hardly fade away from them, so context does not help: look at norms, or starts.",
    "blocks": "Seams {placed}. Lossy compression such as JPEG makes such small blocks: save both as .npy or .png.",
    "everywhere": "No seam stands out, but {share} of the pixels differ. Look at weights, inputs, norms or blending.",
}


@dataclass(frozen=True)
class Comparison:
    """How tiled differs from whole: one of `VERDICTS`, and figures in the units of whole.

    `share` is that of pixels that differ.
    Of the `compared` tiles, `tiles` are those that differ as the verdict says, the worst first.
    """

    kind: str
    size: tuple[int, ...]  # (channels, height, width); the height of a signal is 1
    tiled_size: tuple[int, ...]
    range: float
    sd: float
    rms: float = 0.0
    largest: float = 0.0
    psnr: float | None = None  # dB, of the range of whole; None where nothing differs
    share: float = 0.0
    seams: tuple[Seams, ...] = ()
    compared: int = 0
    tiles: tuple[Fit, ...] = ()
    depth: int = 0  # px of a border that differs

    @property
    def verdict(self) -> str:
        """What differs, in a sentence, and what to do."""
        all_of_it = tuple((0, n) for n in self.size[1:])
        fit = self.tiles[0] if self.tiles else Fit(all_of_it)
        tile = "Tiled is"
        if fit.area != all_of_it:
            tile = f"In {self._in_words(fit.area)}, tiled is"
        if self.compared > 1:
            tile = f"{len(self.tiles)} of {self.compared} tiles differ alike. {tile}"
        names = [axis_name(self.size[1:], axis) for axis in range(2)]
        swapped = f"{self._in_words(fit.shows)} of whole"
        if fit.turned:
            swapped = f"whole, {fit.turned}"
        if fit.channels:
            swapped = f"whole with its channels in the order {', '.join(map(str, fit.channels))}"
        return VERDICTS[self.kind].format(
            rounding=" to rounding" * (self.largest > 0),
            tiled=in_words(self.tiled_size),
            whole=in_words(self.size),
            area=self._in_words(fit.area),
            share=percent(self.share),
            depth=self.depth,
            fit=fit,
            tile=tile,
            moved=" and ".join(f"{n} px along the {name}" for n, name in zip(fit.shift, names, strict=True) if n),
            swapped=swapped,
            placed="; ".join(f"along the {each.axis}: {_where(each)}" for each in self.seams),
        )

    def _in_words(self, area: Area) -> str:
        names = ("rows", "columns") if self.size[1] > 1 else ("", "samples")
        return ", ".join(f"{name} {first}:{last}" for name, (first, last) in zip(names, area, strict=False) if name)

    @property
    def lines(self) -> list[list[int]]:
        """The seams of each axis, in order."""
        axes = (axis_name(self.size[1:], axis) for axis in range(2))
        return [sorted({line for each in self.seams if each.axis == axis for line in each.at}) for axis in axes]


class SeamsResult(Result[Seams], Comparison):
    """A verdict and its figures; the rows are the seams of each axis."""


def seams(
    whole: Annotated[Any, WHOLE],
    tiled: Annotated[Any, TILED],
    *,
    period: Annotated[Pixels, PERIOD] = None,
    plan: Plan | None = None,
    image: Any = None,
) -> SeamsResult:
    """Compare a stitched output with that for the whole image: are there seams, where, and of which kind?

    Parameters
    ----------
    whole, tiled : array, tensor, str or Path, (..., height, width) or (length,)
        The two outputs, or their .npy, .npz or picture files. With channels last, there are 1, 3 or 4.
    period : int or (height, width), optional
        Pixels between seams, if known.
    plan : Plan, optional
        The plan of the tiles, instead.
    image : optional
        What to call `whole` and `tiled` with, if they are functions.

    Returns
    -------
    SeamsResult
        `.kind`, `.verdict` and figures; the rows are the seams of each axis, with their `period`.

    Raises
    ------
    PadvizError
        For what cannot be read or compared.

    Examples
    --------
    >>> whole = np.random.default_rng(0).random((96, 128))
    >>> len(seams(whole, whole)), seams(whole, np.roll(whole, 1, axis=0)).kind
    (0, 'shift')
    """
    if image is not None:
        if not callable(whole) or not callable(tiled):
            raise OptionError("needs two functions", option="image", hint="leave it out")
        whole, tiled = whole(image), tiled(image)
    (first, rounding), (second, other) = _read(whole, "whole"), _read(tiled, "tiled")
    known: list[Any] = [None] * 2
    if plan is not None:
        planned = tuple(line.keeps[0][-1][1] for line in plan.lines)
        if planned != first.shape[-len(planned) :]:
            what = f"makes outputs of {in_words(planned)}, and whole is {in_words(first.shape[1:])}"
            raise OptionError(what, option="plan", hint="plan for this image")
        known[-len(planned) :] = [[start for start, _ in line.keeps[0][1:]] for line in plan.lines]
    elif period is not None:
        sides: list[Any] = [*period] if isinstance(period, tuple | list) else [period]
        for side in sides:
            check_integer(side, AROUND, "period", max(first.shape[1:]))
        known = [int(side) for side in 2 * sides][-2:]
    found, errors = _compared(first, second, known, max(rounding, other))
    return SeamsResult.made_of(found, found.seams, partial(report_of, found), partial(_draw, found, errors))


def _read(source: Any, name: str) -> tuple[Output, float]:
    """Return numbers as (channels, height, width), and how far rounding changes them."""
    if isinstance(source, str | Path):
        name = str(source)
        source = _load(Path(source))
    precision = str(getattr(source, "dtype", "")).removeprefix("torch.")
    tensor = source.detach().cpu() if hasattr(source, "detach") else source
    values = np.asarray(tensor.float() if precision == "bfloat16" else tensor)
    if values.dtype.kind not in "biuf" or not values.ndim or not values.size:
        what = f"is no array of numbers, but {values.dtype} of shape {values.shape}"
        raise OptionError(what, where=name, hint=HINT)
    if values.ndim > 2 and values.shape[-1] in (1, 3, 4) and values.shape[-3] > 4:
        values = np.moveaxis(values, -1, -3)
    most = max(float(values.max()), -float(values.min()))
    if not np.isfinite(most):
        raise OptionError("has NaN or infinities", where=name, hint="set them to 0 in both")
    if most > LARGEST:
        raise OptionError(f"has values above {LARGEST:g}", where=name, hint="divide both by the same number")
    values = np.atleast_2d(values)
    values = values.reshape(-1, *values.shape[-2:])
    return values, ROUNDING[precision] * most if precision in ROUNDING else 1.0


def _load(path: Path) -> Any:
    if path.suffix.lower() in SUFFIXES:
        return open_picture(path)
    with opened(path, KIND) as content, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy, on headers that Python 2 wrote
        packed = content.read(len(ZIPPED)) == ZIPPED
        content.seek(0)
        try:
            if not packed:
                return np.load(path, mmap_mode="r", allow_pickle=False)  # so that a false shape takes no memory
            with np.load(content, allow_pickle=False) as file:  # given a path, numpy leaves a damaged archive open
                (array,) = file.values()
                return array
        except (*BROKEN, OSError, MemoryError, SyntaxError, TokenError):  # numpy reads headers as Python
            raise DescriptionError(f"is not {KIND}", where=str(path), hint=HINT) from None


def _compared(whole: Output, tiled: Output, known: Sequence[Any], rounding: float) -> tuple[Comparison, Values]:
    """Compare two outputs, and return the error's rms over channels, too.

    `known` has of each axis the period of its seams, a list of them, or None.
    """
    spread = float(whole.max()) - float(whole.min())
    if whole.shape != tiled.shape:
        sizes = Comparison("sizes", whole.shape, tiled.shape, spread, float(whole.std(dtype=np.float64)))
        return sizes, np.zeros(whole.shape[1:])
    errors = measure(whole, tiled, rounding)
    rms, largest = errors.rms, errors.largest
    found = Comparison("none", whole.shape, tiled.shape, spread, errors.sd, rms, largest, share=errors.differs.mean())
    if rms and spread:
        found = replace(found, psnr=20 * log10(spread / rms))
    if largest > rounding:
        seams = [each for axis, own in enumerate(known) for each in find_seams(whole, tiled, axis, own, rounding)]
        found = _explained(replace(found, seams=tuple(seams)), whole, tiled, errors, rounding)
    return found, errors.map


def _explained(found: Comparison, whole: Output, tiled: Output, errors: Errors, rounding: float) -> Comparison:
    """Return why outputs differ: a model of all that does, models of tiles, or where the error is."""
    box = errors.box
    fit = explain(whole, tiled, box, (), rounding)
    if fit.kind:
        return replace(found, kind=fit.kind, seams=(), tiles=(fit,), compared=1)
    if found.seams:
        areas = [*product(*(pairwise((0, *at, n)) for at, n in zip(found.lines, whole.shape[1:], strict=True)))]
        kind, fits, even = explain_tiles(whole, tiled, areas, errors.map, rounding)
        found = replace(found, compared=len(fits))
        if kind:
            return replace(found, kind=kind, tiles=tuple(fit for fit in fits if fit.kind == kind))
    if depth := border_depth(errors.differs):
        return replace(found, kind="border", seams=(), tiles=(Fit(box),), depth=depth)
    if any(each.period and each.period <= BLOCK for each in found.seams):
        return replace(found, kind="blocks")
    if found.seams and even < EVEN:
        return replace(found, kind="context")
    if found.share <= PART and not any(each.period for each in found.seams):
        return replace(found, kind="part", seams=(), tiles=(Fit(box),))
    if found.seams:
        return replace(found, kind="tiles")
    # float64 of what was computed in float32
    if found.largest <= ROUNDING["float32"] * np.abs(whole[:, :1]).max():
        return found
    return replace(found, kind="everywhere")


def _where(seams: Seams) -> str:
    at = seams.at
    return f"every {seams.period} px, from {at[0]} to {at[-1]}" if seams.period else ", ".join(map(str, at))


def _figures(found: Comparison) -> str:
    psnr = "" if found.psnr is None else f"PSNR {found.psnr:.1f} dB, of the range of whole, {found.range:.4g}; "
    of = f" ({percent(found.rms / found.sd)} of the sd of whole)" if found.sd else ""
    return f"{psnr}rms {found.rms:.3g}{of}; largest {found.largest:.3g}."


def report_of(found: Comparison) -> Report:
    facts = {"verdict": found.verdict, **{each.name: getattr(found, each.name) for each in fields(Comparison)}}
    lines = [found.verdict] if found.kind == "sizes" else [found.verdict, _figures(found)]
    screen: list[list[Block]] = [[Heading(f"Tiled against whole, {in_words(found.size)}"), Lines(lines)]]
    steps = Column("ratio", show="{:.1f}x"), Column("step", show="{:.3g}")
    at = Column("at", show=lambda at: ", ".join(map(str, at)))
    legend = "ratio: the error's mean step at the seams, over that elsewhere; step: the largest."
    seams = Table((*columns("axis period"), *steps, at), found.seams, legend)
    if found.seams:
        screen.append([seams])
    return Report("seams", facts, screen, seams)


def _draw(found: Comparison, errors: Values, cmap: str | None = None) -> Figure:
    from padviz.figures.windows.seams import seams

    if found.kind == "sizes":
        raise OptionError("sizes differ, so there is nothing to draw", where="-o", hint="leave it out")
    title, _, advice = found.verdict.partition(". ")
    return seams(errors, found.lines, title, [advice, _figures(found)], cmap)


COMMAND = Command(
    seams,
    """Compare TILED, the stitched output of a tiler, with WHOLE, that for the whole image: are there seams?

    Both are .npy, .npz or .png files, of height and width; pictures, and arrays of three or more axes of which the last
    has 1, 3 or 4 entries, have channels last. At seams, the error steps further than around them.

    \b
    Example:
      padviz seams whole.npy tiled.npy
      padviz seams whole.npy tiled.npy --period 40 -o seams.png
    """,
    look=(CMAP,),
)
