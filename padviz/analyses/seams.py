"""Where the output of a tiler differs from that for the whole image: at seams, in single tiles, or
everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import pairwise, product
from math import log10
from pathlib import Path
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
    Known,
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
from padviz.errors import OptionError, check_integer
from padviz.files.arrays import read_array
from padviz.network.network import in_words
from padviz.options import CMAP, PERIOD, TILED, WHOLE, Command
from padviz.phrases import some_names
from padviz.reports.report import Block, Column, Heading, Lines, Report, Table, columns
from padviz.trained.images import SUFFIXES, open_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND, HINT = "an .npy or .npz file of one array, or a picture", "save the output with np.save"
ROUNDING = {
    **TOLERANCES,
    "float16": 4e-3,
    "bfloat16": 3e-2,
}  # of the largest value; integers may differ by 1
LARGEST = 1e100  # whose squares can be added
BLOCK = 16  # px of the largest blocks of image formats
EVEN = 1 / 3  # median of squared errors over their mean: below, they are near the seams
PART = 0.75  # of the pixels differ, at most, if others are called equal
VERDICTS = {
    "none": "No seams: whole and tiled are equal{rounding}.",
    "sizes": "Sizes differ: tiled is {tiled}, whole is {whole}. Look for a stride, a "
    "crop or swapped axes.",
    "border": "Only the outermost {depth} px differ, in {area}. Compare the padding, and "
    "how sizes are rounded.",
    "part": "{share} of the pixels differ, all in {area}. Look at what only these went "
    "through: device, batch, seed.",
    "constant": "{tile} constant, {fit.offset:.3g}. Look for tiles that were never run or "
    "never written.",
    "gain": "{tile} {fit.gain:.3g} times whole, plus {fit.offset:.3g}. Share one "
    "range, and norms' statistics.",
    "shift": "{tile} shifted by {moved}. Check where tiles start and are cropped.",
    "swapped": "{tile} {swapped}. Check the order of tiles, axes and channels (RGB, BGR).",
    "context": "Seams {placed}. Tiles need more context, or start at the wrong pixels: padviz "
    "tiles MODEL computes both for your network.",
    "tiles": "Seams {placed}. Errors hardly fade away from them, so context does not "
    "help: share the norms' statistics (padviz tiles MODEL --norms shared), or start tiles at "
    "multiples of the stride.",
    "blocks": "Seams {placed}. Lossy compression such as JPEG makes such small blocks: "
    "save both as .npy or .png.",
    "everywhere": "No seam stands out, but {share} of the pixels differ. Look at weights, "
    "inputs, norms or blending.",
}
TILES = {  # what a fault does to several tiles
    "constant": "are constant",
    "gain": "are scaled or offset",
    "shift": "are shifted",
    "swapped": "show other pixels",
}


@dataclass(frozen=True)
class Comparison:
    """How tiled differs from whole: one of `VERDICTS`, and figures in the units of whole.

    `share` is that of pixels that differ.
    Of the `compared` tiles, `tiles` are those that differ as the verdict says, the worst first.
    """

    kind: str
    shape: tuple[int, ...]  # (channels, height, width); the height of a signal is 1
    tiled_shape: tuple[int, ...]
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
        all_of_it = tuple((0, n) for n in self.shape[1:])
        fit, tile = Fit(all_of_it), "Tiled is"
        if self.tiles:
            fit = self.tiles[0]
        if fit.area != all_of_it:
            tile = f"In {self._in_words(fit.area)}, tiled is"
        if self.compared > 1 and self.kind in TILES:
            number = f"{len(self.tiles)} of {self.compared} compared tiles"
            tile = f"{number} {TILES[self.kind]}. The worst: {tile[0].lower()}{tile[1:]}"
        names = [axis_name(self.shape[1:], axis) for axis in range(2)]
        swapped = ""
        if fit.shows:
            swapped = f"{self._in_words(fit.shows)} of whole"
        if fit.turned:
            swapped = f"whole, {fit.turned}"
        if fit.channels:
            swapped = f"whole with its channels in the order {', '.join(map(str, fit.channels))}"
        return VERDICTS[self.kind].format(
            rounding=" to rounding" if self.largest else "",
            tiled=in_words(self.tiled_shape),
            whole=in_words(self.shape),
            area=self._in_words(fit.area),
            share=percent(self.share),
            depth=self.depth,
            fit=fit,
            tile=tile,
            moved=" and ".join(
                f"{n} px along the {name}" for n, name in zip(fit.shift, names, strict=True) if n
            ),
            swapped=swapped,
            placed=_placed_in_words(self.seams),
        )

    def _in_words(self, area: Area) -> str:
        (top, bottom), (left, right) = area
        if self.shape[1] == 1:
            return f"samples {left}:{right}"
        return f"rows {top}:{bottom}, columns {left}:{right}"

    @property
    def lines(self) -> list[list[int]]:
        """The seams of each axis, in order."""
        lines: dict[str, set[int]] = {axis_name(self.shape[1:], axis): set() for axis in range(2)}
        for seam in self.seams:
            lines[seam.axis].update(seam.at)
        return [sorted(at) for at in lines.values()]


class SeamsResult(Result[Seams], Comparison):
    """A verdict and its figures; the rows are the seams of each axis."""


def seams(
    whole: Annotated[object, WHOLE],
    tiled: Annotated[object, TILED],
    *,
    period: Annotated[Pixels, PERIOD] = None,
    plan: Plan | None = None,
    image: object = None,
) -> SeamsResult:
    """Compare a stitched output with that for the whole image: are there seams, where, and of which
    kind?

    Parameters
    ----------
    whole, tiled : array, tensor, str or Path, (..., height, width) or (length,)
        The two outputs, or their .npy, .npz or picture files. With channels last, there are 1, 3 or
        4.
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
    known: list[Known] = [None] * 2
    if plan is not None:
        planned = tuple(line.keeps[0][-1][1] for line in plan.lines)
        if planned != first.shape[-len(planned) :]:
            what = f"makes outputs of {in_words(planned)}, and whole is {in_words(first.shape[1:])}"
            raise OptionError(what, option="plan", hint="plan for this image")
        known[-len(planned) :] = [[start for start, _ in line.keeps[0][1:]] for line in plan.lines]
    elif period is not None:
        sides: list[Any] = [period]
        if isinstance(period, tuple | list):
            sides = [*period]
        for side in sides:
            check_integer(side, AROUND, "period", max(first.shape[1:]))
        known[:] = [int(side) for side in 2 * sides][-2:]
    comparison, errors = _compared(first, second, known, max(rounding, other))
    report, draw = partial(report_of, comparison), partial(_draw, comparison, errors)
    return SeamsResult.made_of(comparison, comparison.seams, report, draw)


def _read(source: Any, name: str) -> tuple[Output, float]:
    """Return numbers as (channels, height, width), and how far rounding changes them."""
    if isinstance(source, str | Path):
        name = str(source)
        source = _load(Path(source))
    precision = str(getattr(source, "dtype", "")).removeprefix("torch.")
    if hasattr(source, "detach"):
        source = source.detach().cpu()
    if precision == "bfloat16":
        source = source.float()  # numpy has no such type
    values = np.asarray(source)
    if values.dtype.kind not in "biuf" or not values.ndim or not values.size:
        what = f"is no array of numbers, but {values.dtype} of shape {values.shape}"
        raise OptionError(what, where=name, hint=HINT)
    if values.ndim > 2 and values.shape[-1] in (1, 3, 4) and values.shape[-3] > 4:
        values = np.moveaxis(values, -1, -3)
    most = max(float(values.max()), -float(values.min()))
    if not np.isfinite(most):
        raise OptionError("has NaN or infinities", where=name, hint="set them to 0 in both")
    if most > LARGEST:
        raise OptionError(
            f"has values above {LARGEST:g}", where=name, hint="divide both by the same number"
        )
    values = np.atleast_2d(values)
    values = values.reshape(-1, *values.shape[-2:])
    if precision in ROUNDING:
        return values, ROUNDING[precision] * most
    return values, 1.0


def _load(path: Path) -> object:
    if path.suffix.lower() in SUFFIXES:
        return open_picture(path)
    return read_array(path, KIND, HINT)


def _compared(
    whole: Output, tiled: Output, known: Sequence[Known], rounding: float
) -> tuple[Comparison, Values]:
    """Compare two outputs, and return the error's rms over channels, too.

    `known` has of each axis the period of its seams, a list of them, or None.
    """
    spread = float(whole.max()) - float(whole.min())
    if whole.shape != tiled.shape:
        sizes = Comparison(
            "sizes", whole.shape, tiled.shape, spread, float(whole.std(dtype=np.float64))
        )
        return sizes, np.zeros(whole.shape[1:])
    errors = measure(whole, tiled, rounding)
    rms, largest = errors.rms, errors.largest
    share = errors.differs.mean()
    comparison = Comparison(
        "none", whole.shape, tiled.shape, spread, errors.sd, rms, largest, share=share
    )
    if rms and spread:
        comparison = replace(comparison, psnr=20 * log10(spread / rms))
    if largest > rounding:
        seams: list[Seams] = []
        for axis, of_axis in enumerate(known):
            # Seams may stand at other distances than those that are known.
            seams += find_seams(whole, tiled, axis, of_axis, rounding) or find_seams(
                whole, tiled, axis, None, rounding
            )
        comparison = _explained(
            replace(comparison, seams=tuple(seams)), whole, tiled, errors, rounding
        )
    return comparison, errors.map


def _explained(
    comparison: Comparison, whole: Output, tiled: Output, errors: Errors, rounding: float
) -> Comparison:
    """Return why outputs differ: a model of all that does, models of tiles, or where
    the error is.
    """
    fit = explain(whole, tiled, errors.box, (), rounding)
    if fit.kind:
        return replace(comparison, kind=fit.kind, seams=(), tiles=(fit,), compared=1)
    evenness = 1.0
    if comparison.seams:
        rows, columns = (
            pairwise((0, *at, n)) for at, n in zip(comparison.lines, whole.shape[1:], strict=True)
        )
        areas = [*product(rows, columns)]
        kind, fits, evenness = explain_tiles(whole, tiled, areas, errors.map, rounding)
        comparison = replace(comparison, compared=len(fits))
        if kind:
            return replace(
                comparison, kind=kind, tiles=tuple([fit for fit in fits if fit.kind == kind])
            )
    comparison = _placed(comparison, errors, evenness)
    # float64 of what was computed in float32
    if (
        comparison.kind == "everywhere"
        and comparison.largest <= ROUNDING["float32"] * np.abs(whole[:, :1]).max()
    ):
        return replace(comparison, kind="none")
    return comparison


def _placed(comparison: Comparison, errors: Errors, evenness: float) -> Comparison:
    """Return where the error is, if no model explains it; `evenness` is low if it is near seams."""
    seams = comparison.seams
    periods = [seam.period for seam in seams if seam.period]
    all_differing = (Fit(errors.box),)
    depth = border_depth(errors.differs)
    if depth:
        return replace(comparison, kind="border", seams=(), tiles=all_differing, depth=depth)
    if periods and min(periods) <= BLOCK:
        return replace(comparison, kind="blocks")
    if seams and evenness < EVEN:
        return replace(comparison, kind="context")
    if not periods and comparison.share <= PART:
        return replace(comparison, kind="part", seams=(), tiles=all_differing)
    if seams:
        return replace(comparison, kind="tiles")
    return replace(comparison, kind="everywhere")


def _placed_in_words(seams: Sequence[Seams]) -> str:
    """Write where seams are: along each axis those at equal distances, then the single ones.

    >>> both = [Seams("height", 96, 9.0, 1.0, (96, 192)), Seams("width", 96, 9.0, 1.0, (96,))]
    >>> _placed_in_words(both), _placed_in_words([Seams("width", None, 9.0, 1.0, (88,))])
    ('every 96 px on both axes', 'at 88 px along the width')
    """
    by_axis: dict[str, list[str]] = {}
    single: dict[str, list[int]] = {}
    for seam in seams:
        places = by_axis.setdefault(seam.axis, [])
        if seam.period is None:
            single[seam.axis] = sorted([*single.get(seam.axis, []), *seam.at])
        elif seam.at[0] == seam.period:
            places.append(f"every {seam.period} px")
        else:
            places.append(f"every {seam.period} px (first at {seam.at[0]})")
    for axis, at in single.items():
        by_axis[axis].append(f"at {some_names(map(str, at), 4)} px")
    texts = {axis: " and ".join(places) for axis, places in by_axis.items()}
    alike = len({*texts.values()}) == 1 and single.get("height") == single.get("width")
    if len(texts) == 2 and alike:
        return f"{texts['height']} on both axes"
    return ", ".join(f"{text} along the {axis}" for axis, text in texts.items())


def _figures(comparison: Comparison) -> str:
    rms = f"rms {comparison.rms:.3g}"
    if comparison.sd:
        rms += f" ({percent(comparison.rms / comparison.sd)} of the sd of whole)"
    if comparison.psnr is not None:
        rms = f"PSNR {comparison.psnr:.1f} dB (range of whole: {comparison.range:.4g}); {rms}"
    return f"{rms}; largest {comparison.largest:.3g}."


def _times(ratio: float) -> str:
    """Write a ratio; where nearly all else is exact, its digits are those of rounding."""
    if ratio > 1000:
        return "over 1000x"
    return f"{ratio:.1f}x"


def report_of(comparison: Comparison) -> Report:
    facts: dict[str, object] = {"verdict": comparison.verdict}
    for field in fields(Comparison):
        if field.name != "seams":
            facts[field.name] = getattr(comparison, field.name)
    lines = [comparison.verdict]
    if comparison.kind != "sizes":
        lines.append(_figures(comparison))
    screen: list[list[Block]] = [
        [Heading(f"Tiled against whole, {in_words(comparison.shape)}"), Lines(lines)]
    ]
    steps = Column("ratio", show=_times), Column("step", show="{:.3g}")
    at = Column("at", show=lambda at: ", ".join(map(str, at)))
    legend = (
        "ratio: the mean step of the error there, over that elsewhere; step: the largest there."
    )
    seams = Table((*columns("axis period"), *steps, at), comparison.seams, legend)
    if comparison.seams:
        screen.append([seams])
    code = 0 if comparison.kind == "none" else 1
    return Report("seams", facts, screen, seams, code=code)


def _draw(comparison: Comparison, errors: Values, cmap: str | None = None) -> Figure:
    from padviz.figures.windows.seams import seams

    if comparison.kind == "sizes":
        raise OptionError(
            "sizes differ, so there is nothing to draw", where="-o", hint="leave it out"
        )
    title, _, advice = comparison.verdict.partition(". ")
    return seams(errors, comparison.lines, title, [advice, _figures(comparison)], cmap)


COMMAND = Command(
    seams,
    """Compare TILED, the stitched output of a tiler, with WHOLE, that for the whole image: are
    there seams?

    Both are .npy, .npz or .png files, of height and width; pictures, and arrays of three or more
    axes of which the last has 1, 3 or 4 entries, have channels last. At seams, the error steps
    further than around them. Outputs that differ exit with 1.

    \b
    Example:
      padviz seams whole.npy tiled.npy
      padviz seams whole.npy tiled.npy --period 40 -o seams.png
    """,
    look=(CMAP,),
)
