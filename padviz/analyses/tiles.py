"""Tiles without seams: what they must read, and a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padviz.analyses.asked import asked
from padviz.analyses.result import Result
from padviz.cutting.chunks import Chunks, chunks_of
from padviz.cutting.context import Context, barrier_of
from padviz.cutting.handover import Handover, keywords
from padviz.cutting.plan import Plan, Tile, TileSize, globals_of, padded_to_fit, plan_tiles
from padviz.cutting.verify import Verified, verify
from padviz.errors import DescriptionError
from padviz.network.network import Network, as_size, in_words
from padviz.reports.documents import picked, plain
from padviz.reports.report import Block, Column, Heading, Lines, Report, Table, Verbatim, columns
from padviz.reports.tables import once

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from padviz.trained.networks.trained_network import Trained


class TilesResult(Result[Tile], Plan):  # type: ignore[misc]  # whose rows are its tiles
    """A plan, printed, drawn and saved as the command does, and translated for other libraries."""

    def for_(self, library: str) -> dict[str, object]:
        """Make the keyword arguments for a library, with the weights of a tile's pixels where it takes any.

        For monai and toolbelt the arguments fit images of the plan's size alone, for torchio those that are as long
        modulo the lattice. For monai the image, and what the model returns, must be float32: half precision has no
        1e-10, the weight of what a tile gets wrong.

        Raises
        ------
        OptionError
            For a library that is not known, and for one that is not exact, with the reason.

        Examples
        --------
        >>> tiles("unet_padded", 1024, 512).for_("torchio")
        {'patch_size': (512, 512, 1), 'patch_overlap': (192, 192, 0)}
        """
        return keywords(self, library)


def tiles(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int],
    tile: int | Sequence[int],
    layer: str | Sequence[str] | None = None,
    *,
    padding: str | None = None,
    same: bool = False,
    object_: int = 0,
    ignore_norms: bool = False,
    level: float | None = None,
) -> TilesResult:
    """Plan tiles of an image, as few as keep every unit of a network's last maps as it is in the whole image.

    Parameters
    ----------
    network
        As for `usage`.
    size : int or (height, width)
        Size of the image in pixels.
    tile : int or (height, width)
        The largest tile that fits into memory.
    layer : str or sequence of str, optional
        The layers that are kept; all last feature maps by default.
    padding, same
        As for `usage`.
    object_ : int
        Pixels of the largest object: any lies within the exact units of one tile.
    ignore_norms : bool
        Whether to plan as if norms, gates and attention saw each position alone.
    level : float, optional
        The share of a unit's paths that its tile must hold, as .999: with less context than is exact.

    Returns
    -------
    TilesResult, a `padviz.Plan`
        To iterate over: `out[(..., *tile.keep)] = model(image[(..., *tile.read])[(..., *tile.take)]`, or for `tiled`;
        printed, drawn and saved as the command does; `.for_("monai")` has the keyword arguments for a library.

    Raises
    ------
    PadvizError
        Where nothing is exact, naming the layer; where tiles are too small, with the least that are not.

    Examples
    --------
    >>> plan = tiles("unet_padded", 1024, 512)
    >>> len(plan), plan.contexts[0][0].before, plan.contexts[0][0].lattice
    (9, 94, 16)
    """
    from padviz.network.targets import output_layers, upto

    with padded_to_fit(lambda: asked(network)[0], as_size(size)):
        whole, image = asked(network, size, padding, same)
    kept = upto(whole, output_layers(layer, whole))
    without = globals_of(kept) if ignore_norms else frozenset()
    plan = plan_tiles(kept, image, kept.pixels(tile), object_, without, level)
    return TilesResult.made_of(plan, plan, partial(_report, plan), partial(_draw, plan))


def chunks(
    network: str | Path | Network | nn.Module,
    chunk: int,
    size: int | Sequence[int] | None = None,
    layer: str | Sequence[str] | None = None,
    *,
    padding: str | None = None,
    ignore_norms: bool = False,
) -> Chunks:
    """Find what chunks of a stream must read again, so that each makes the units that the whole signal would.

    Parameters
    ----------
    network, layer, padding, ignore_norms
        As for `tiles`; its input has one axis.
    chunk : int
        New input samples of each chunk.
    size : int, optional
        Input samples of the signal, which matter modulo the lattice; the network's own by default.

    Returns
    -------
    Chunks
        Each chunk reads the last `.again` input samples before it again, and `.new` ones; the newest `.look_ahead` are
        only looked at. `.heads` says which units to drop of what a layer makes of a chunk: of the first chunk none in
        front, of the last none behind.

    Raises
    ------
    PadvizError
        For an image, for input samples that are not a multiple of the lattice, and where nothing is exact.

    Examples
    --------
    >>> from torch import nn
    >>> found = chunks(nn.Conv1d(1, 1, 5, padding=2), 64)
    >>> found.read, found.again, found.look_ahead, found.heads[0].drop_first
    (68, 4, 2, 2)
    """
    from padviz.network.targets import output_layers, upto

    whole, samples = asked(network, size, padding)
    kept = replace(upto(whole, output_layers(layer, whole)), size=samples)
    return chunks_of(kept, chunk, globals_of(kept) if ignore_norms else frozenset())


def _report(plan: Plan) -> Report:
    return report_of(plan.network, plan.contexts, Planned(plan, ignored=plan.ignored))


def _draw(plan: Plan) -> Figure:
    from padviz.figures.windows import tiles

    return tiles.tiles(plan, words_of(plan))


def verify_tiles(
    network: str | Path | nn.Module | Trained,
    size: int | Sequence[int] | None = None,
    layer: str | Sequence[str] | None = None,
    *,
    weights: str | Path | None = None,
    ignore_norms: bool = False,
    seed: int = 0,
) -> Verified:
    """Run a network on noise, whole and tile by tile, and compare what it makes: what a plan says, shown.

    The image is the smallest with three tiles a side that is as long as `size` modulo the lattice. A module runs in
    double precision where it can, and an ONNX file as it is.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Trained
        The path of an ONNX file, a module with its weights, the name of what makes one, or what was read of it.
    size : int or (height, width), optional
        Size of the image that tiles are for; the network's own by default.
    layer : str or sequence of str, optional
        As for `tiles`.
    weights : str or Path, optional
        A file of weights for a module, or the name of weights that a factory takes.
    ignore_norms : bool
        As for `tiles`: the difference is then what norms, gates and attention make of a tile.
    seed : int
        Of the noise.

    Returns
    -------
    Verified
        `.holds` says whether the largest `.difference` is below `.tolerance`, and `.one_less` by side how far units
        differ that have one unit less of context.

    Raises
    ------
    PadvizError
        As for `tiles`, and for what cannot be run.

    Examples
    --------
    >>> import torch
    >>> verified = verify_tiles(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5, padding=2)), 64)
    >>> verified.holds, verified.one_less["top"] > 0.01
    (True, True)
    """
    from padviz.network.targets import output_layers, upto
    from padviz.trained.networks.reading import as_trained, channels_read, head_maps

    with padded_to_fit(lambda: as_trained(network, None, weights).network, None if size is None else as_size(size)):
        trained = as_trained(network, size, weights)
    kept = upto(trained.network, output_layers(layer, trained.network))
    without = globals_of(kept) if ignore_norms else frozenset()
    *better, run = head_maps(trained, kept)
    for maps in better:
        try:
            return verify(maps, kept, trained.size, channels_read(trained), without, seed)
        except DescriptionError:
            continue  # what makes numbers of single precision inside does not take others
    return verify(run, kept, trained.size, channels_read(trained), without, seed)


@dataclass(frozen=True)
class Planned:
    """What is reported besides the contexts, as far as it was asked for; `ignored` are layers, and why they matter.

    `sizes` are of tiles of an image of the size `image`, where one was named.
    """

    plan: Plan | None = None
    recipe: Handover | None = None
    verified: Verified | None = None
    sizes: Sequence[TileSize] = ()
    image: Sequence[int] = ()
    ignored: Sequence[tuple[str, str]] = ()
    chunks: Chunks | None = None


SIZES = (Column("tile", show=in_words), Column("keeps", show=in_words), Column("cost", "times the pixels", "{:,.2f}"))


RECIPE = "library exact words arguments call"
VERIFIED = "image tile tiles precision difference tolerance one_less holds"


def report_of(network: Network, contexts: Sequence[Sequence[Context]], more: Planned) -> Report:
    """Report the context of every head on each axis, with the plan of an image and the call to paste, if any."""
    plan, recipe, verified = more.plan, more.recipe, more.verified
    rows = [
        {
            "layer": context.layer,
            "axis": axis,
            "before": context.before,
            "after": context.after,
            "lattice": context.lattice,
            "stride": float(context.stride),
        }
        for pair in contexts
        for axis, context in zip(network.axes, pair, strict=True)
    ]
    table = Table((*columns("layer axis before after lattice"), Column("stride", show="{:g}")), rows)
    sheet = Table(columns(" ".join(rows[0])), rows)
    barrier = barrier_of(network, chain.from_iterable(contexts))
    facts: dict[str, object] = {"network": network.name, "barrier": barrier and [*barrier], "contexts": by_head(rows)}
    facts |= {"plan": plan and plan_facts(plan), "recipe": recipe and picked(recipe, RECIPE)}
    facts["verified"] = verified and picked(verified, VERIFIED)
    shown = [comparison(verified)] if verified else []
    if more.chunks:
        facts["chunks"] = {"read": more.chunks.read, **plain(more.chunks)}
    facts["sizes"] = [size._asdict() for size in more.sizes]
    facts["ignored"] = [{"layer": layer, "why": why} for layer, why in more.ignored]
    pixels = "input samples" if len(network.axes) == 1 else "pixels"
    answers = chunked(more.chunks) if more.chunks and not plan else [answer(network, contexts, plan)]
    more_chunks = chunked(more.chunks) if plan else ()
    first = Lines((*answers, *ignoring(more.ignored), *ways_out(contexts), *more_chunks, *shown))
    rounded = ", each rounded up" if more.chunks else ""
    about = f"before, after: {pixels} around what a tile keeps{rounded}."
    screen: list[Sequence[Block]] = [[Heading(network.title), first, table, Lines((about,))]]
    if more.sizes or more.image:
        screen.append([Heading(_listing(network, more)), Table(SIZES, more.sizes)])
    if recipe:
        screen.append([Heading(f"For {recipe.library}, {recipe.words}"), Verbatim(recipe.call)])
    return Report("tiles", facts, screen, sheet, code=0 if verified is None or verified.holds else 1)


def _listing(network: Network, more: Planned) -> str:
    """Say what tile sizes are of."""
    if not more.image:
        return "Tile sizes"
    image = f"an image of {_named(network.axes, more.image)}"
    if not more.sizes:
        return f"No tile is smaller than {image}: run it whole."
    return f"Tile sizes for {image}: --tile plans one"


def by_head(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
    """List what JSON has of the contexts, of each layer on each axis."""
    heads: dict[str, dict[str, object]] = {row["layer"]: {"layer": row["layer"]} for row in rows}
    for row in rows:
        heads[row["layer"]][row["axis"]] = {key: row[key] for key in row if key not in ("layer", "axis")}
    return [*heads.values()]


def answer(network: Network, contexts: Sequence[Sequence[Context]], plan: Plan | None) -> str:
    """Say in a sentence what a tile must read, where tiles start, and what a plan comes to."""
    said = needed(network, contexts, plan)
    return f"{said}: {plan_in_words(plan)}" if plan else said if said.endswith(".") else f"{said}."


def needed(network: Network, contexts: Sequence[Sequence[Context]], plan: Plan | None) -> str:
    """Say what a tile must read around what it keeps, and where tiles start."""
    widest = [max(own, key=lambda context: context.before + context.after) for own in zip(*contexts, strict=True)]
    along: dict[str, list[str]] = {}
    for axis, context in zip(network.axes, widest, strict=True):
        along.setdefault(_sides(context, network.px), []).append(axis)
    (sides, _), *others = along.items()
    sides += "".join(f", and {text} along {' and '.join(axes)}" for text, axes in others)
    lattice = once(str(context.lattice) for context in widest)
    start = f"tiles start on multiples of {lattice}" if lattice != "1" else "tiles start anywhere"
    if barrier := barrier_of(network, widest):
        layer, why = barrier
        return f"No tiles are exact: {layer} ({why}). Without it: {sides}; {start}."
    if plan and plan.level:
        sides = f"not exact: {sides}, from which {100 * plan.level:g} % of the paths of each unit come"
    return f"{sides[0].upper()}{sides[1:]}; {start}"


def _named(axes: Sequence[str], size: Sequence[int]) -> str:
    return " x ".join(f"{axis} {n}" for axis, n in zip(axes, size, strict=True))


def plan_in_words(plan: Plan) -> str:
    """Say what tiles keep, how many there are, and what they cost."""
    counts = [len(line.starts) for line in plan.lines]
    steps = [line.starts[1] - line.starts[0] if len(line.starts) > 1 else line.image for line in plan.lines]
    pixels = "input samples" if len(plan.image) == 1 else "pixels"
    tiles = f"tiles of {in_words(plan.tile)} keep {in_words(steps)}"
    image = _named(plan.network.axes, plan.image)
    return f"{tiles}; {in_words(counts)} tiles cover {image}; {plan.cost:.2f} times the {pixels}."


def words_of(plan: Plan) -> list[str]:
    """List what a picture of a plan says: what tiles read, what they come to, and what is left out."""
    counted = plan_in_words(plan)
    return [needed(plan.network, plan.contexts, plan), f"{counted[0].upper()}{counted[1:]}", *ignoring(plan.ignored)]


def _sides(context: Context, px: str) -> str:
    if context.before == context.after:
        return f"{context.before} {px} of context on each side"
    return f"{context.before} {px} of context before and {context.after} {px} after"


def ignoring(ignored: Sequence[tuple[str, str]]) -> list[str]:
    """Say which layers a plan leaves out that make it inexact."""
    if not ignored:
        return []
    (layer, why), *rest = ignored
    others = f" and {len(rest)} more" if rest else ""
    return [f"Not exact: {layer} ({why}){others} counted as if each position were by itself there."]


def ways_out(contexts: Sequence[Sequence[Context]]) -> list[str]:
    """Say what can be done where no tiles are exact."""
    reasons = {context.barrier.why for pair in contexts for context in pair if context.barrier}
    if not reasons:
        return []
    if any("norm" in why for why in reasons):
        return ["Use running statistics, or one set of them for all tiles; or --ignore-norms, which is inexact."]
    return ["Use --ignore-norms to plan as if it saw each position alone, which is inexact."]


def chunked(chunks: Chunks | None) -> Iterator[str]:
    """Say what chunks of a stream read, and what is exact of what is made of them."""
    if chunks is None:
        return
    again = f"the last {chunks.again} before it again, and {chunks.new} new"
    ahead = f"the newest {chunks.look_ahead} are look-ahead" if chunks.look_ahead else "no look-ahead"
    yield f"Each chunk reads {chunks.read} input samples: {again}; {ahead}."
    for head in chunks.heads:
        drop = f"drop the first {head.drop_first} and the last {head.drop_last}, and keep the {head.units} between"
        ends = "Drop none in front of the first chunk, and none behind the last."
        yield f"Of the units that layer {head.layer} makes of each chunk, {drop}. {ends}"


def comparison(verified: Verified) -> str:
    """Say how far a network's maps of tiles and of the whole image are apart, and with a unit less of context."""
    holds = "Verified" if verified.holds else "Not exact"
    px = "input samples" if len(verified.image) == 1 else "px"
    where = (
        f"checked at {in_words(verified.image)} {px} of noise in {verified.tiles} tiles of {in_words(verified.tile)}"
    )
    limit = f"{verified.precision}; up to {verified.tolerance:g} is rounding"
    differ = f"whole and tiled differ by {verified.difference:.2g} of the largest number ({limit})"
    less = f"; with one unit less of context by {max(verified.one_less.values()):.2g}" if verified.one_less else ""
    return f"{holds}: {where}, the smallest image with three tiles a side, {differ}{less}."


def plan_facts(plan: Plan) -> dict[str, object]:
    """List what JSON has of a plan."""
    starts = {axis: [*line.starts] for axis, line in zip(plan.network.axes, plan.lines, strict=True)}
    keeps = {
        name: {
            axis: [[*span] for span in line.keeps[h]] for axis, line in zip(plan.network.axes, plan.lines, strict=True)
        }
        for h, name in enumerate(plan.heads)
    }
    facts = {"image": [*plan.image], "tile": [*plan.tile], "tiles": len(plan), "cost": plan.cost}
    return {**facts, "starts": starts, "keeps": keeps}
