"""Where the output of a tiler differs from that for the whole image: at seams, in single tiles, or everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import pairwise, product
from math import log10, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.analyses.asked import Pixels
from padviz.analyses.result import Door, Result
from padviz.counting.shares.summary import percent
from padviz.cutting.plan import Plan
from padviz.cutting.running import TOLERANCES
from padviz.cutting.seams import AROUND, AXES, Area, Seams, Values, explain, find_seams
from padviz.errors import DescriptionError, OptionError, check_integer
from padviz.files.archives import BROKEN
from padviz.files.opened import opened
from padviz.network.network import in_words
from padviz.reports.report import Block, Column, Heading, Lines, Report, Table, columns
from padviz.trained.images import SUFFIXES, open_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUNDING = {**TOLERANCES, "float16": 4e-3, "bfloat16": 3e-2}  # of the largest value; integers may differ by 1
MOST_TILES = 2048  # that are fitted
VERDICTS = {
    "none": "No seams: whole and tiled are equal{rounding}.",
    "sizes": "Sizes differ: tiled is {tiled}, whole is {whole}. Look for a stride, a crop or swapped axes.",
    "shift": "{what} shifted by {moved}. Check where tiles start and are cropped.",
    "gain": "{what} {gain:.3g} times whole, plus {offset:.3g}. Use one range, and norms' statistics of all tiles.",
    "seams": "Seams {placed}. {advice}",
    "everywhere": "No seam stands out, but they differ everywhere. Look at norms of blended tiles, weights and inputs.",
}
ADVICE = {  # by whether the error far from the seams is more than half of that beside them
    False: "Tiles need more context, or other starts: padviz tiles MODEL computes both.",
    True: "The error hardly fades away from them, which context does not mend: look at norms, or where tiles start.",
}


@dataclass(frozen=True)
class Comparison:
    """How tiled differs from whole: one of `VERDICTS`, and figures in the units of whole.

    `bands` have the rms of the error from px / 2 to `px` from the nearest seam. `tiles` are those of `parts` that are
    moved by a shift, or a gain times whole plus an offset, the worst first, which has these figures.
    """

    kind: str
    size: tuple[int, ...]  # (channels, height, width) or (channels, length)
    tiled_size: tuple[int, ...]
    range: float
    sd: float
    rms: float = 0.0
    largest: float = 0.0
    psnr: float | None = None  # dB, of the range of whole; None where nothing differs
    seams: tuple[Seams, ...] = ()
    bands: tuple[dict[str, float], ...] = ()
    parts: int = 1
    tiles: tuple[Area, ...] = ()
    shift: tuple[int, ...] = ()
    gain: float = 1.0
    offset: float = 0.0

    @property
    def verdict(self) -> str:
        """What differs, in a sentence, and what to do."""
        where = ", ".join(f"{first}:{last}" for first, last in self.tiles[0]) if self.tiles else ""
        return VERDICTS[self.kind].format(
            rounding=" to rounding" * (self.largest > 0),
            tiled=in_words(self.tiled_size),
            whole=in_words(self.size),
            what="Tiled is" if self.parts == 1 else f"{len(self.tiles)} of {self.parts} tiles differ; {where} is",
            moved=" and ".join(f"{n} px along the {AXES[len(self.shift)][k]}" for k, n in enumerate(self.shift) if n),
            gain=self.gain,
            offset=self.offset,
            advice=ADVICE[len(self.bands) > 1 and self.bands[-1]["rms"] > self.bands[0]["rms"] / 2],
            placed="; ".join(f"along the {each.axis}: {_where(each)}" for each in self.seams),
        )

    @property
    def lines(self) -> list[list[int]]:
        """The seams of each axis, in order."""
        axes = AXES[len(self.size) - 1]
        return [sorted(line for each in self.seams if each.axis == axis for line in each.at) for axis in axes]


class SeamsResult(Result[Seams], Comparison):
    """A verdict and its figures; the rows are the seams of each axis."""


def seams(whole: Any, tiled: Any, *, period: Pixels = None, plan: Plan | None = None, image: Any = None) -> SeamsResult:
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
    known: list[Any] = [None] * (first.ndim - 1)
    if plan is not None:
        planned = tuple(line.keeps[0][-1][1] for line in plan.lines)
        if planned != first.shape[1:]:
            what = f"makes outputs of {in_words(planned)}, and whole is {in_words(first.shape[1:])}"
            raise OptionError(what, option="plan", hint="plan for this image")
        known = [[start for start, _ in line.keeps[0][1:]] for line in plan.lines]
    elif period is not None:
        sides: list[Any] = [*period] if isinstance(period, tuple | list) else [period]
        for side in sides:
            check_integer(side, AROUND, "period", max(first.shape[1:]))
        known = [int(side) for side in 2 * sides][-len(known) :]
    found = _compared(first, second, known, max(rounding, other))
    return SeamsResult.made_of(found, found.seams, partial(report_of, found), partial(_draw, found, first, second))


def _read(source: Any, name: str) -> tuple[Values, float]:
    """Return numbers as (channels, height, width) or (1, length), and how far rounding changes them."""
    kind, hint = "an .npy or .npz file of one array, or a picture", "save the output with np.save"
    if isinstance(source, str | Path):
        name = str(source)
        if Path(source).suffix.lower() in SUFFIXES:
            source = open_picture(source)
        else:
            with opened(source, kind):
                pass
            try:
                file = np.load(source, mmap_mode="r", allow_pickle=False)  # so that a false shape takes no memory
                if isinstance(file, np.ndarray):
                    source = file
                else:
                    with file:
                        (source,) = file.values()
            except BROKEN:
                raise DescriptionError(f"is not {kind}", where=name, hint=hint) from None
    precision = str(getattr(source, "dtype", "")).removeprefix("torch.")
    tensor = source.detach().cpu() if hasattr(source, "detach") else source
    values = np.asarray(tensor.float() if precision == "bfloat16" else tensor)
    if values.dtype.kind not in "biuf" or not values.ndim or not values.size:
        what = f"is no array of numbers, but {values.dtype} of shape {values.shape}"
        raise OptionError(what, where=name, hint=hint)
    if values.ndim > 2 and values.shape[-1] in (1, 3, 4) and values.shape[-3] > 4:
        values = np.moveaxis(values, -1, -3)
    if not np.isfinite(values).all():
        raise OptionError("has NaN or infinities", where=name, hint="set them to 0 in both")
    values = np.asarray(values, np.float64).reshape(-1, *values.shape[-2:])
    return values, ROUNDING[precision] * float(np.abs(values).max()) if precision in ROUNDING else 1.0


def _compared(whole: Values, tiled: Values, known: Sequence[Any], rounding: float) -> Comparison:
    """Compare two outputs; `known` has of each axis the period of its seams, a list of them, or None."""
    spread, most = float(np.ptp(whole)), float(np.abs(whole).max())
    found = partial(Comparison, size=whole.shape, tiled_size=tiled.shape, range=spread, sd=float(whole.std()))
    if whole.shape != tiled.shape:
        return found("sizes")
    error = tiled - whole
    rms, largest = sqrt(np.square(error).mean()), float(np.abs(error).max())
    found = partial(found, rms=rms, largest=largest, psnr=20 * log10(spread / rms) if spread and rms else None)
    if largest <= rounding:
        return found("none")
    rows = [each for axis, own in enumerate(known) for each in find_seams(error, whole, axis, own, rounding)]
    lines = found("seams", seams=rows).lines
    areas = [*product(*(pairwise((0, *at, n)) for at, n in zip(lines, whole.shape[1:], strict=True)))]
    fits = [(*explain(whole, tiled, area), area) for area in (areas if len(areas) <= MOST_TILES else ())]
    kind = max(("", "shift", "gain"), key=lambda kind: sum(squares for own, squares, *_ in fits if own == kind))
    if not kind and not rows:
        return found("none" if largest <= ROUNDING["float32"] * most else "everywhere")
    found = partial(found, kind or "seams", seams=tuple(rows), bands=_bands(error, lines) if rows else ())
    if not kind:
        return found()
    wrong = sorted((fit for fit in fits if fit[0] == kind), key=lambda fit: -fit[1])
    _, worst, shift, gain, offset, _ = wrong[0]
    tiles = tuple(fit[-1] for fit in wrong if fit[1] > worst / 100)
    return found(parts=len(areas), tiles=tiles, shift=shift, gain=gain, offset=offset)


def _bands(error: Values, lines: Sequence[Sequence[int]]) -> tuple[dict[str, float], ...]:
    away: Any = np.inf
    for axis, (at, n) in enumerate(zip(lines, error.shape[1:], strict=True)):
        ends, rows = np.array([-np.inf, *at, np.inf]), np.arange(n) + 0.5
        after = np.searchsorted(ends, rows)
        own = 0.5 + np.minimum(rows - ends[after - 1], ends[after] - rows)
        away = np.minimum(away, own.reshape(-1, *[1] * (len(lines) - 1 - axis)))
    squares, powers = np.square(error).mean(axis=0), np.ceil(np.log2(away))
    return tuple({"px": 2**k, "rms": sqrt(squares[powers == k].mean())} for k in range(int(powers.max()) + 1))


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
    distances = Column("px"), Column("rms", show="{:.3g}")
    bands = Table(distances, found.bands, "px: distance to the nearest seam, up to.")
    screen += [[table] for table in (seams, bands) if table.rows]
    return Report("seams", facts, screen, seams)


def _draw(found: Comparison, whole: Values, tiled: Values, cmap: str | None = None) -> Figure:
    from padviz.figures.windows.seams import seams

    if found.kind == "sizes":
        raise OptionError("sizes differ, so there is nothing to draw", where="-o", hint="leave it out")
    title, _, advice = found.verdict.partition(". ")
    return seams(tiled - whole, found.lines, title, [advice, _figures(found)], cmap)


DOOR = Door(
    seams,
    """Compare TILED, the stitched output of a tiler, with WHOLE, that for the whole image: are there seams?

    Both are .npy, .npz or .png files, of height and width; pictures, and arrays of three or more axes of which the last
    has 1, 3 or 4 entries, have channels last. At seams, the error steps further than around them.

    \b
    Example:
      padviz seams whole.npy tiled.npy
      padviz seams whole.npy tiled.npy --period 40 -o seams.png
    """,
    "period cmap",
    model="outputs",
)
