"""Where the output of a tiler differs from that for the whole image: at seams, in single tiles, or everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from io import BytesIO
from itertools import pairwise, product
from math import inf, log10, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.analyses.asked import Pixels
from padviz.analyses.result import Door, Result
from padviz.counting.shares.summary import percent
from padviz.cutting.plan import Plan
from padviz.cutting.running import TOLERANCES
from padviz.errors import DescriptionError, OptionError, check_integer
from padviz.files.archives import BROKEN, member, unpacked
from padviz.files.opened import opened
from padviz.network.network import in_words
from padviz.reports.report import Block, Column, Heading, Lines, Report, Table, columns
from padviz.trained.images import SUFFIXES, open_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = NDArray[np.float64]  # (channels, height, width) or (channels, length)
Steps = NDArray[np.intp]  # step i is between rows i and i + 1
AXES = {1: ("length",), 2: ("height", "width")}
ROUNDING = {**TOLERANCES, "float16": 4e-3, "bfloat16": 3e-2}  # of the largest value; integers may differ by 1
KIND, MOST_BYTES = "an .npy or .npz file of one array, or a picture", 1 << 32
NEAR, EDGE, STRONGEST = 3, 6, 64  # steps around one; at the border, without seams; of which pairs propose a grid
SURE, OF_TWO, LIKELY, ALONE, BEHIND = 7.5, 15.0, 5.0, 9.0, 5.8  # least scores of grids, weights of single steps
GONE, TINY = 0.2, 1e-300  # of an error, what is left where it is explained
REACH, MOST_TILES, WORST = 4, 2048, 6  # px of a shift; tiles that are measured; tiles on the screen
VERDICTS = {
    "none": "No seams: whole and tiled are equal{rounding}.",
    "sizes": "Sizes differ: tiled is {tiled_size}, whole is {size}. Look for a stride, a crop or swapped axes.",
    "shift": "Shifted by {moved}. Look for a crop, or for tiles that start off the network's alignment.",
    "gain": "Another range: tiled is {gain} times whole, plus a constant. Use one normalisation.",
    "seams": "Seams {placed}. Tiles need more context: padviz tiles MODEL computes it.",
    "moved": "Shifted tiles: {wrong}, most {worst} by {moved}. Check where tiles start and are cropped.",
    "brightness": "Tiles differ in brightness: {wrong}, gain {gains}, mean error {means}. Norms of tiles do this.",
    "tiles": "Some tiles differ all over: {wrong}, most {worst}. Check their starts, alignment and crops.",
    "everywhere": "No seam stands out, but they differ everywhere. Look at norms of blended tiles, weights and inputs.",
}


class Seam(NamedTuple):
    """A line between tiles, in front of row or column `at`; the error's mean step there, over that elsewhere."""

    axis: str
    at: int
    ratio: float


class Band(NamedTuple):
    """The rms of the error from px / 2 to px from the nearest seam."""

    px: int
    rms: float


class Grid(NamedTuple):
    """Steps that are seams, `period` apart, or 0 where they are not regular, and how sure that is."""

    score: float = 0.0
    at: Steps = np.array([], np.intp)
    period: int = 0


class TileError(NamedTuple):
    """A tile from `area[axis][0]` to `area[axis][1]`, its error, and its share of all squared error.

    Tiled is `gain` times whole there, or whole moved by `shift`; `inside` is the rms in the middle over that of all.
    """

    area: tuple[tuple[int, int], ...]
    share: float
    rms: float
    mean: float
    gain: float
    shift: tuple[int, ...]
    inside: float


@dataclass(frozen=True)
class Seams:
    """How tiled differs from whole: one of `VERDICTS`, and figures in the units of whole.

    `periods` are px between seams by axis, None where they are not regular.
    """

    kind: str
    size: tuple[int, ...]
    tiled_size: tuple[int, ...]
    range: float
    sd: float
    rms: float = 0.0
    largest: float = 0.0
    psnr: float | None = None  # dB, of the range of whole; None where nothing differs
    step: float | None = None  # the largest of the error across a seam
    shift: tuple[int, ...] = ()
    gain: float | None = None
    periods: dict[str, int | None] = field(default_factory=dict)
    seams: tuple[Seam, ...] = ()
    bands: tuple[Band, ...] = ()
    tiles: tuple[TileError, ...] = ()

    @property
    def verdict(self) -> str:
        """What differs, in a sentence, and what to do."""
        placed: dict[str, str] = {}
        for axis, period in self.periods.items():
            at = [seam.at for seam in self.seams if seam.axis == axis]
            text = ", ".join(map(str, at))
            if period and len(at) > 2:  # the last tile may be pushed back
                behind = f" and at {at.pop()}" if (at[-1] - at[0]) % period else ""
                text = f"every {period} px, from {at[0]} to {at[-1]}{behind}"
            placed[text] = f"{placed[text]} and {axis}" if text in placed else f"along the {axis}"
        worst = max(self.tiles, key=lambda tile: tile.share, default=None)
        wrong = [tile for tile in self.tiles if worst and tile.rms > worst.rms / 10]
        shift = self.shift or (worst.shift if worst else ())
        moved = [f"{n} px along the {axis}" for n, axis in zip(shift, AXES[len(self.size)], strict=False) if n]
        return VERDICTS[self.kind].format(
            rounding=" to rounding" * (self.largest > 0),
            tiled_size=in_words(self.tiled_size), size=in_words(self.size),
            moved=" and ".join(moved), placed="; ".join(f"{along}: {text}" for text, along in placed.items()),
            worst=worst and _area(worst), wrong=f"{len(wrong)} of {len(self.tiles)}", gain=f"{self.gain or 1:.4g}",
            gains=_between([tile.gain for tile in wrong]), means=_between([tile.mean for tile in wrong]),
        )  # fmt: skip


class SeamsResult(Result[Seam], Seams):
    """A verdict and its figures; the rows are the seams."""


def seams(whole: Any, tiled: Any, *, period: Pixels = None, plan: Plan | None = None) -> SeamsResult:
    """Compare a stitched output with that for the whole image: are there seams, where, and of which kind?

    Parameters
    ----------
    whole, tiled : array, tensor, str or Path, (..., height, width) or (length,)
        The two outputs, or their .npy, .npz or picture files. With channels last, there are 1, 3 or 4.
    period : int or (height, width), optional
        Pixels between seams, if known.
    plan : Plan, optional
        The plan of the tiles, instead.

    Returns
    -------
    SeamsResult
        `.kind`, `.verdict`, `.periods` and figures; the rows are the seams.

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
    (first, precision), (second, other) = _read(whole, "whole"), _read(tiled, "tiled")
    if len(first) != len(second) or first.ndim != second.ndim:
        (a, m), (b, n) = ((len(each), each.ndim - 1) for each in (second, first))
        what = f"has {a} channels and {m} axes, and whole has {b} and {n}"
        raise OptionError(what, where="tiled", hint="compare outputs of one image")
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
            check_integer(side, NEAR + 1, "period")
        known = [int(side) for side in 2 * sides][-len(known) :]
    most = float(np.abs(first).max())
    rounding = max(ROUNDING[each] * most if each in ROUNDING else 1.0 for each in (precision, other))
    found = measured(first, second, known, rounding)
    return SeamsResult.made_of(found, found.seams, partial(report_of, found), partial(_draw, found, first, second))


def _read(source: Any, name: str) -> tuple[Values, str]:
    """Return numbers as (channels, height, width) or (1, length), and their type."""
    where, hint = name, "save the output with np.save"
    half = str(getattr(source, "dtype", "")) == "torch.bfloat16"
    if isinstance(source, str | Path):
        where, suffix = str(source), Path(source).suffix.lower()
        try:
            if suffix == ".npz":
                with unpacked(source, KIND) as archive:
                    (only,) = archive.namelist()
                    values = np.load(BytesIO(member(archive, only, MOST_BYTES)), allow_pickle=False)
            elif suffix in SUFFIXES:
                values = np.atleast_3d(np.asarray(open_picture(source))).transpose(2, 0, 1)
            else:
                with opened(source, KIND):
                    pass
                values = np.load(source, mmap_mode="r", allow_pickle=False)  # so that a false shape takes no memory
        except BROKEN:
            raise DescriptionError(f"is not {KIND}", where=where, hint=hint) from None
    else:
        tensor = source.detach().cpu() if hasattr(source, "detach") else source
        values = np.asarray(tensor.float() if half else tensor)
    if values.dtype.kind not in "biuf" or not values.ndim or not values.size:
        what = f"is no array of numbers, but {values.dtype} of shape {values.shape}"
        raise OptionError(what, where=where, hint=hint)
    if values.ndim > 2 and values.shape[-1] in (1, 3, 4) and values.shape[-3] > 4:
        values = np.moveaxis(values, -1, -3)
    if not np.isfinite(values).all():
        raise OptionError("has NaN or infinities", where=where, hint="leave them out of both")
    return np.asarray(values, np.float64).reshape(-1, *values.shape[-2:]), "bfloat16" if half else str(values.dtype)


def measured(whole: Values, tiled: Values, known: Sequence[Any], rounding: float) -> Seams:
    """Compare two outputs; `known` has of each axis the period of its seams, a list of them, or None."""
    size, spread = whole.shape[1:], float(np.ptp(whole))
    found = partial(Seams, size=size, tiled_size=tiled.shape[1:], range=spread, sd=float(whole.std()))
    if size != tiled.shape[1:]:
        return found("sizes")
    error = tiled - whole
    rms, largest, most = sqrt(np.square(error).mean()), float(np.abs(error).max()), float(np.abs(whole).max())
    found = partial(found, rms=rms, largest=largest, psnr=20 * log10(spread / rms) if rms and spread else None)
    if largest <= rounding:
        return found("none")
    if any(shift := _shift(whole, tiled, [(0, n) for n in size], 256)):
        return found("shift", shift=shift)
    gain, rest = _fit(whole.reshape(len(whole), -1), tiled.reshape(len(whole), -1))
    if rest <= GONE**2 * min(np.square(error).sum(), tiled.var() * tiled.size):
        return found("gain", gain=gain)
    steps = _located(error, whole, known, 1e-7 * most)
    if not steps and largest <= ROUNDING["float32"] * most:
        return found("none")
    rows, periods, step = [], {}, 0.0
    lines: list[list[int]] = [[] for _ in size]
    for axis, (_, at, period) in steps.items():
        jumps = np.abs(np.diff(error, axis=axis + 1))
        mean, name = _rows(jumps, axis), AXES[len(size)][axis]
        if period and not known[axis]:  # where tiles begin to differ stands out as far as where they meet
            by = max(
                range(-period // 2, period // 2), key=lambda k: np.log(mean.take(at + k, mode="clip") + TINY).sum()
            )
            at = at[(at + by >= 0) & (at + by < len(mean))] + by
        lines[axis] = (at + 1).tolist()
        ratios = mean[at] / (np.delete(mean, at).mean() or 1.0)
        rows += [Seam(name, line, ratio) for line, ratio in zip(lines[axis], ratios.tolist(), strict=True)]
        periods[name], step = period or None, max(step, float(jumps.take(at, axis + 1).max()))
    kind = "seams" if rows else "everywhere"
    tiles, explained = _tiles(whole, tiled, lines, rest)
    if sum(tile.share for tile in tiles if any(tile.shift)) > 0.5:
        kind = "moved"
    elif explained > 0.5:
        kind = "brightness"
    elif sum(tile.share for tile in tiles if tile.inside > 0.5) > 0.9 and min(tile.rms for tile in tiles) < rms / 10:
        kind = "tiles"
    more: Any = {"seams": tuple(rows), "bands": _bands(error, lines), "tiles": tiles, "step": step or None}
    return found(kind, periods=periods, **more)


def _rows(values: Values, axis: int) -> Values:
    """Return the mean of each row, or column."""
    mean: Values = values.mean(tuple(k for k in range(values.ndim) if k != axis + 1))
    return mean


def _shift(whole: Values, tiled: Values, area: Sequence[tuple[int, int]], most: int) -> tuple[int, ...]:
    """Return by how many px tiled is whole, moved, in the middle of an area; zeros where that explains no error."""
    still, middle = (0,) * len(area), []
    for (first, last), n in zip(area, whole.shape[1:], strict=True):
        first, last = max(first, REACH), min(last, n - REACH)
        cut = max(last - first - most, 0) // 2
        middle.append((first + cut, last - cut))
    if min(last - first for first, last in middle) < 2 * REACH:
        return still
    here = tiled[(slice(None), *(slice(*ends) for ends in middle))]

    def left(by: Sequence[int]) -> float:
        there = (slice(first - k, last - k) for (first, last), k in zip(middle, by, strict=True))
        return float(np.square(here - whole[(slice(None), *there)]).mean())

    best = min(product(range(-REACH, REACH + 1), repeat=len(middle)), key=left)
    return best if left(best) < GONE**2 * left(still) else still


def _fit(whole: Values, tiled: Values) -> tuple[float, float]:
    """Fit each channel, (channels, pixels), by a gain and a constant; return the mean gain and the squares left."""
    a, b = (each - each.mean(axis=1, keepdims=True) for each in (whole, tiled))
    gain = (a * b).sum(axis=1) / np.maximum(np.square(a).sum(axis=1), TINY)
    return float(gain.mean()), float(np.square(b - gain[:, None] * a).sum())


def _located(error: Values, whole: Values, known: Sequence[Any], floor: float) -> dict[int, Grid]:
    """Return the steps that are seams, by axis."""
    grids = []
    for axis, given in enumerate(known):
        tried = [Grid()]
        for measure, sure in MEASURES if error.shape[axis + 1] >= 4 * EDGE else ():
            own, drawn = (_standing(measure(each, axis, floor)) for each in (error, whole))
            own -= 2 * np.maximum(drawn, 0) * (own > 0)  # what changes in the image itself is no seam
            weight = np.arcsinh(own.clip(0) / 4) * 4  # so that no one step makes a period
            weight[own < 1] = -max(3.0, weight.max() / 2)
            tried.append(_grid(weight, given, sure))
        grids.append(max(tried, key=lambda each: (each.period > 0, each.score)))
    return {axis: each for axis, each in enumerate(grids) if each.score}


def _levels(values: Values, axis: int, floor: float) -> Values:
    """Return how much the mean logarithm of each row differs from the next: tiles are exact but near their borders."""
    return np.abs(np.diff(_rows(np.log(np.square(values) + floor**2 + TINY), axis)))


def _steps(values: Values, axis: int, floor: float) -> Values:
    """Return how far the logarithm of each step from row to row is above the mean of those before and after it."""
    steps = _rows(np.abs(np.diff(values, axis=axis + 1)), axis)
    logs = np.log(steps + max(0.1 * steps.mean(), floor, TINY))
    before = np.convolve(np.pad(logs, NEAR, mode="edge"), np.ones(NEAR) / NEAR, "valid")
    above: Values = logs - np.maximum(before[: len(logs)], before[NEAR + 1 :])
    return above


MEASURES = ((_levels, OF_TWO), (_steps, SURE))  # with the least score of a grid


def _standing(above: Values) -> Values:
    """Return figures in robust deviations, and 0 near the image's border."""
    above = above - np.median(above)
    above[:EDGE] = above[-EDGE:] = 0
    standing: Values = above / max(1.4826 * float(np.median(np.abs(above))), 0.03)
    return standing


def _grid(weight: Values, known: Any, sure: float) -> Grid:
    """Return the steps that stand out at equal distances: at any, at one that is known, or those that are known."""
    n, hint = len(weight), known if isinstance(known, int) else 0
    if isinstance(known, list):
        at = np.array(known, np.intp) - 1
        score = float(weight[at].sum()) / sqrt(max(len(at), 1))
        return Grid(score, at, 0) if score >= LIKELY else Grid()
    best, period, first, top = 0.0, 1, 0, np.sort(np.argsort(-weight, kind="stable")[:STRONGEST])
    top = top[weight[top] > 2]
    for k, i in enumerate(range(min(hint, n)) if hint else top):
        for p in [hint] if hint else (top[k + 1 :] - i).tolist():
            scores = weight[i::p].cumsum() / np.sqrt(np.arange(len(weight[i::p])) + 1)
            scores = scores[0 if hint else max(1, n // p // 2 - 1) :]  # unless known, they cover half of the image
            if p > NEAR and len(scores) and scores.max() > best:
                best, period, first = float(scores.max()), p, int(i)
    at = np.arange(first % period, n, period)
    held = np.flatnonzero(weight[at] > 0)
    if best < (LIKELY if hint else sure if len(held) > 2 else OF_TWO):
        return Grid(ALONE, np.argsort(weight)[-1:], 0) if not hint and weight.max() > ALONE else Grid()
    at = at[held[0] : held[-1] + 1]
    rest = np.where(np.arange(n) < at[-1] + period // 2, 0, weight)
    return Grid(best, np.append(at, rest.argmax()) if rest.max() > BEHIND else at, period)  # the last is pushed back


def _tiles(
    whole: Values, tiled: Values, lines: Sequence[Sequence[int]], rest: float
) -> tuple[tuple[TileError, ...], float]:
    """Measure each tile; return also how much of the squares left by one fit, `rest`, a fit of each tile explains."""
    error, left, tiles = tiled - whole, 0.0, []
    areas = [*product(*(pairwise((0, *at, n)) for at, n in zip(lines, whole.shape[1:], strict=True)))]
    if not 1 < len(areas) <= MOST_TILES:
        return (), 0.0
    total = float(np.square(error).sum())
    for area in areas:
        at = (slice(None), *(slice(*ends) for ends in area))
        middle = (slice(None), *(slice(a + (b - a) // 4, b - (b - a) // 4) for a, b in area))
        gain, own = _fit(*(each[at].reshape(len(each), -1) for each in (whole, tiled)))
        squares, inside, left = np.square(error[at]), float(np.square(error[middle]).mean()), left + own
        rms, share = sqrt(squares.mean()), float(squares.sum()) / total
        shift = _shift(whole, tiled, area, 64)
        tiles.append(TileError(area, share, rms, float(error[at].mean()), gain, shift, sqrt(inside) / (rms or 1.0)))
    return tuple(tiles), 1 - left / max(rest, TINY)


def _bands(error: Values, lines: Sequence[Sequence[int]]) -> tuple[Band, ...]:
    """Return the rms of the error by distance to the nearest seam: 1 px, 2, up to 4, 8, ..."""
    away: Any = np.full(1, inf)
    for at, n in zip(lines, error.shape[1:], strict=True):
        ends, rows = np.array([-inf, *at, inf]), np.arange(n) + 0.5
        behind = np.searchsorted(ends, rows)
        away = np.minimum(away[..., None], 0.5 + np.minimum(rows - ends[behind - 1], ends[behind] - rows))
    away, squares, bands, px = away[0], np.square(error).mean(axis=0), list[Band](), 1
    while any(lines) and (within := (away > px // 2) & (away <= px)).any():
        bands.append(Band(px, sqrt(squares[within].mean())))
        px *= 2
    return tuple(bands)


def _between(values: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(f"{each(values):.3g}" for each in (min, max) if values))


def _area(tile: TileError) -> str:
    return f"at {', '.join(f'{first}:{last}' for first, last in tile.area)}"


def _figures(found: Seams) -> str:
    psnr = "" if found.psnr is None else f"PSNR {found.psnr:.1f} dB, of the range of whole, {found.range:.4g}; "
    of = f" ({percent(found.rms / found.sd)} of the sd of whole)" if found.sd else ""
    step = f"; largest step across a seam {found.step:.3g}" if found.step else ""
    return f"{psnr}rms {found.rms:.3g}{of}; largest {found.largest:.3g}{step}."


TILES = (
    Column("area", "tile", of=_area), Column("share", "of all error", percent), Column("rms", show="{:.3g}"),
    Column("mean", show="{:+.3g}"), Column("gain", show="{:.3g}"), Column("shift", show=in_words),
    Column("inside", "rms inside", "{:.2f}x"),
)  # fmt: skip


def report_of(found: Seams) -> Report:
    axes = []
    for axis, period in found.periods.items():
        own = [seam for seam in found.seams if seam.axis == axis]
        ratio = sum(seam.ratio for seam in own) / len(own)
        row = {
            "axis": axis,
            "period": period,
            "first": own[0].at,
            "last": own[-1].at,
            "seams": len(own),
            "ratio": ratio,
        }
        axes.append(row)
    facts = {"verdict": found.verdict, **{each.name: getattr(found, each.name) for each in fields(Seams)}, "axes": axes}
    lines = [found.verdict] if found.kind == "sizes" else [found.verdict, _figures(found)]
    screen: list[list[Block]] = [[Heading(f"Tiled against whole, {in_words(found.size)}"), Lines(lines)]]
    if axes:
        legend = "ratio: the error's mean step at the seams, over that elsewhere."
        shown = (*columns("axis period first last seams"), Column("ratio", show="{:.1f}x"))
        screen.append([Table(shown, axes, legend)])
    if found.bands:
        legend = "px: distance to the nearest seam, up to."
        screen.append([Table((Column("px"), Column("rms", show="{:.3g}")), found.bands, legend)])
    if found.kind in ("moved", "brightness", "tiles"):
        screen.append([Table(TILES, sorted(found.tiles, key=lambda tile: -tile.share)[:WORST])])
    return Report("seams", facts, screen, Table(columns("axis at ratio"), found.seams))


def _draw(found: Seams, whole: Values, tiled: Values, cmap: str | None = None) -> Figure:
    from padviz.figures.windows.seams import seams

    if found.kind == "sizes":
        raise OptionError("sizes differ, so there is nothing to draw", where="-o", hint="leave it out")
    lines = [[seam.at for seam in found.seams if seam.axis == axis] for axis in AXES[len(found.size)]]
    title, _, advice = found.verdict.partition(". ")
    return seams(tiled - whole, lines, found.bands, title, [advice, _figures(found)], cmap)


DOOR = Door(
    seams,
    """Compare TILED, the stitched output of a tiler, with WHOLE, that for the whole image: are there seams?

    Both are .npy, .npz or .png files. The last two axes are height and width; pictures, and arrays of three or more
    axes of which the last has 1, 3 or 4 entries, have channels last. The error of neighbouring rows jumps at seams:
    steps that stand out at equal distances give their period.

    \b
    Example:
      padviz seams whole.npy tiled.npy
      padviz seams whole.npy tiled.npy --period 40 -o seams.png
    """,
    "period cmap",
    model="outputs",
)
