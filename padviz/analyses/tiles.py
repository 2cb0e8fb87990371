"""Tiles without seams: what they must read, and a plan."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padviz.analyses.asked import Pixels, Source, TrainedSource, asked
from padviz.analyses.result import Result
from padviz.cutting.context import Context, barrier_of, contexts_of
from padviz.cutting.exact_units import runs_by_layer
from padviz.cutting.handover import Handover, handover, keywords
from padviz.cutting.plan import (
    LayerPlan,
    Plan,
    Tile,
    TileSize,
    ignored_of,
    plan_by_layer,
    plan_tiles,
    tile_sizes,
)
from padviz.cutting.running import Verified, try_by_layer, verify, verify_by_layer
from padviz.errors import DescriptionError, OptionError
from padviz.geometry.reaching.near_padding import Barrier
from padviz.geometry.sizing.nearest import near_sizes_named
from padviz.network.network import Network, Size, as_size, in_words
from padviz.network.targets import output_layers, upto
from padviz.reports.documents import picked
from padviz.reports.report import Block, Column, Heading, Lines, Report, Table, Verbatim, columns
from padviz.reports.tables import once
from padviz.sources import MODULE, is_module
from padviz.trained.networks.reading import as_trained, head_maps
from padviz.trained.networks.trained_network import Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn


class TilesResult(Result[Tile], Plan):  # type: ignore[misc]  # whose rows are its tiles
    """A plan, printed, drawn and saved as the command does, and translated for other libraries."""

    def for_(self, library: str) -> dict[str, object]:
        """Return the keyword arguments for a library, with the weights of a tile's pixels where it takes any.

        For monai and toolbelt the arguments fit images of the plan's size only, for torchio those as long modulo the
        alignment. For monai the image and the model's output must be float32.

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


class SharedTilesResult(Result[tuple[str, str]], LayerPlan):
    """Tiles that share the statistics of norms, printed and saved as the command does; its rows are these layers."""


def tiles(
    network: Source,
    size: int | Sequence[int],
    tile: int | Sequence[int],
    layer: str | Sequence[str] | None = None,
    *,
    padding: str | None = None,
    same: bool = False,
    object_: int = 0,
    norms: str | None = None,
    level: float | None = None,
) -> TilesResult | SharedTilesResult:
    """Plan the fewest tiles of an image that keep every unit of a network's last maps exact.

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
    norms : str, optional
        "shared" pools the statistics of norms and gates over all tiles, for `tiled`: layers then run one after another.
        The plan of a module is tried on an image without data; if it cannot be, `.untried` says why.
        "per-tile" plans as if norms, gates and attention saw each position alone, which is inexact.
    level : float, optional
        The share of a unit's paths that its tile must hold, as .999: with less context than is exact.

    Returns
    -------
    TilesResult, a `padviz.Plan`
        To iterate over: `out[(..., *tile.keep)] = model(image[(..., *tile.read])[(..., *tile.take)]`, or for `tiled`;
        printed, drawn and saved as the command does; `.for_("monai")` has the keyword arguments for a library. With
        shared norms a plan for `tiled` alone.

    Raises
    ------
    PadvizError
        Where nothing is exact or a module cannot be run in tiles, naming the layer; where tiles are too small, with the
        least that are not.

    Examples
    --------
    >>> plan = tiles("unet_padded", 1024, 512)
    >>> len(plan), plan.contexts[0][0].before, plan.contexts[0][0].alignment
    (9, 94, 16)
    """
    with asked(network, size, padding, same) as (whole, image):
        kept, per_tile = _kept(whole, layer), _per_tile(norms)
        if norms == "shared":
            return _shared(kept, image, tile, object_ or level or layer, "" if padding or same else network)
        plan = plan_tiles(kept, image, kept.pixels(tile), object_, ignore_norms=per_tile, level=level)
        report = partial(report_of, plan.network, plan.contexts, plan, ignored=plan.ignored)
        return TilesResult.made_of(plan, plan, report, partial(_draw, plan))


def _per_tile(norms: str | None) -> bool:
    if norms not in (None, "shared", "per-tile"):
        raise OptionError(f"{norms!r} is not known", option="norms", hint='use "shared" or "per-tile"')
    return norms == "per-tile"


def _shared(network: Network, image: Size, tile: Any, others: object, source: Source | Trained) -> SharedTilesResult:
    """Plan tiles by layer, and try the plan on the module that `source` names, if it does."""
    if others or not tile:
        hint = "leave other options out, or use per-tile" if others else "add `size` and `tile`"
        raise OptionError("shared plans exact tiles by `size` and `tile` alone", option="norms", hint=hint)
    plan, verified = plan_by_layer(network, image, network.pixels(tile)), None
    if isinstance(source, Trained):
        verified = verify_by_layer(source.model, plan, source.channels, 0)
        plan = replace(plan, untried="" if verified.holds else "its output differs")
    elif (module := _module_of(source)) is None:
        plan = replace(plan, untried="not tried, since padviz.tiled runs PyTorch modules alone, as they are")
    else:
        plan = try_by_layer(module, plan)
    return SharedTilesResult.made_of(plan, plan.shared, partial(_shared_report, plan, verified))


def _module_of(source: Source) -> nn.Module | None:
    """Return the PyTorch module that takes one image, if a network is read from one."""
    named: object = source
    if isinstance(source, Network):
        several = source.reading is not None and source.reading.options
        named = None if several else source.origin
    if isinstance(named, str) and MODULE.fullmatch(named):
        from padviz.sources.torch.load import resolve

        named = resolve(named)
    named = getattr(named, "_orig_mod", named)  # what torch.compile wraps
    return named if is_module(named) else None


def _shared_report(plan: LayerPlan, verified: Verified | None) -> Report:
    n, axes = len(plan.shared), plan.network.axes
    cover = f"{in_words(plan.counts)} tiles of up to {in_words(plan.tile)} cover {_named(axes, plan.image)}"
    if plan.untried:
        said = [f"Not known to be exact: {plan.untried}.", f"{n} layers would share sums; {cover}."]
    else:
        exact = f"Exact, with shared norms: {n} of them" if n else "Exact: no norm needs sharing"
        said = [
            f"{exact}; {cover}.",
            "padviz.tiled runs each layer on one tile after another, which reads what it needs of its neighbours.",
            "All maps stay where the image is, and no pixel is computed twice.",
        ]
    if not plan.untried and verified is None:
        said.append("Tried in these tiles, on an image without data: every layer can be cut.")
    said += [_compared(verified)] if verified else []
    table = Table(columns("layer why"), [{"layer": layer, "why": why} for layer, why in plan.shared])
    facts = {"network": plan.network.name, "norms": "shared", **picked(plan, "image tile counts untried")}
    facts |= {"shared": table.records, "verified": verified and picked(verified, CHECKS)}
    code = 0 if verified is None or verified.holds else 1
    return Report("tiles", facts, [[Heading(plan.network.title), Lines(said), table]], table, code=code)


def _kept(whole: Network, layer: str | Sequence[str] | None) -> Network:
    return upto(whole, output_layers(layer, whole))


def _draw(plan: Plan) -> Figure:
    from padviz.figures.windows import tiles

    return tiles.tiles(plan, words_of(plan))


def verify_tiles(
    network: TrainedSource,
    size: Pixels = None,
    layer: str | Sequence[str] | None = None,
    *,
    weights: str | Path | None = None,
    norms: str | None = None,
    seed: int = 0,
) -> Verified:
    """Run a network on noise, whole and tile by tile, and compare the outputs.

    The image is the smallest with three tiles a side that is as long as `size` modulo the alignment. A module runs in
    double precision if it can.

    Parameters
    ----------
    network, weights
        As for `filters`.
    size : int or (height, width), optional
        Size of the image that tiles are for; the network's own by default.
    layer : str or sequence of str, optional
        As for `tiles`.
    norms : str, optional
        As for `tiles`; "per-tile" shows the difference that norms, gates and attention make.
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
    with near_sizes_named(lambda: as_trained(network, None, weights).network, None if size is None else as_size(size)):
        trained = as_trained(network, size, weights)
    kept, per_tile = _kept(trained.network, layer), _per_tile(norms)
    if norms == "shared":
        third = tuple(ceil(n / 3) for n in trained.size)
        return verify_by_layer(trained.model, plan_by_layer(kept, trained.size, third), trained.channels, seed)
    *better, run = head_maps(trained, kept)
    for maps in better:
        with suppress(DescriptionError):  # what makes numbers of single precision inside does not take others
            return verify(maps, kept, trained.size, trained.channels, per_tile, seed)
    return verify(run, kept, trained.size, trained.channels, per_tile, seed)


def contexts(
    network: Network | Trained,
    size: Size | None = None,
    padding: str | None = None,
    same: bool = False,
    *,
    layers: Sequence[str] = (),
    tile: Size | None = None,
    object_: int | None = None,
    for_: str | None = None,
    level: float | None = None,
    norms: str | None = None,
) -> Result[Any]:
    """Compute what `padviz tiles` shows: the context of tiles, and with it a plan, or a list of tile sizes.

    A trained network is also run, whole and tiled.
    """
    trained = None if isinstance(network, Network) else network
    source = network if isinstance(network, Network) else network.network
    with asked(source, size, padding, same) as (whole, image):
        kept, plan = _kept(whole, layers or None), None
        ignore_norms = _per_tile(norms)
        if norms == "shared":
            return _shared(kept, image, tile, object_ or level or for_ or layers, "" if padding or same else network)
        if tile:
            plan = plan_tiles(kept, image, kept.pixels(tile), object_ or 0, ignore_norms=ignore_norms, level=level)
        around = plan.contexts if plan else contexts_of(kept, image, ignore_norms)
        listing = not (plan or any(context.barrier for pair in around for context in pair))
        sizes = tile_sizes(kept, image, ignore_norms) if listing else []
        if size:  # of this image, and no larger one
            sizes = [row for row in sizes if all(n <= most for n, most in zip(row.tile, image, strict=True))]
        recipe = handover(plan, for_) if plan and for_ else None
        verified = verify_tiles(trained, size, layers or None, norms=norms) if trained else None
        more = sizes, image if size and listing else (), ignored_of(kept) if ignore_norms else ()
        report = partial(report_of, kept, around, plan, recipe, verified, *more)
        return Result.made_of(None, [*chain.from_iterable(around)], report, plan and partial(_draw, plan))


CHECKS = "image tile tiles precision difference tolerance one_less holds"
SIZES = (Column("tile", show=in_words), Column("keeps", show=in_words), Column("cost", "times the pixels", "{:,.2f}"))


def report_of(
    network: Network, contexts: Sequence[Sequence[Context]], plan: Plan | None = None, recipe: Handover | None = None,
    verified: Verified | None = None, sizes: Sequence[TileSize] = (), image: Sequence[int] = (),
    ignored: Sequence[tuple[str, str]] = (),
) -> Report:  # fmt: skip
    """Report the context of every head on each axis, and what else there is.

    `sizes` are of tiles of an image of the size `image`, if one is named. `ignored` are layers that are planned as if
    they were local, and why they are not.
    """
    heads: dict[str, dict[str, Any]] = {}
    rows = []
    for pair in contexts:
        for axis, context in zip(network.axes, pair, strict=True):
            figures = {**picked(context, "before after alignment"), "stride": float(context.stride)}
            heads.setdefault(context.layer, {"layer": context.layer})[axis] = figures
            rows.append({"layer": context.layer, "axis": axis, **figures})
    barrier = barrier_of(network, contexts)
    facts = {
        "network": network.name,
        "barrier": barrier and [*barrier],
        "contexts": [*heads.values()],
        "plan": plan and _plan_facts(plan),
        "recipe": recipe and picked(recipe, "library exact words arguments call"),
        "verified": verified and picked(verified, CHECKS),
        "sizes": sizes,
        "ignored": [{"layer": layer, "why": why} for layer, why in ignored],
    }
    needed = _needed(network, contexts, plan)
    said = [f"{needed}: {_tiles_of(plan)}" if plan else f"{needed}.", *_ignoring(ignored), *_ways_out(barrier)]
    said += [_compared(verified)] if verified else []
    samples = "input samples" if len(network.axes) == 1 else "pixels"
    about = f"before, after: {samples} read beyond what a tile keeps."
    table = Table((*columns("layer axis before after alignment"), Column("stride", show="{:g}")), rows)
    first: list[Block] = [Heading(network.title), Lines(said), table, Lines([about])]
    screen = [first]
    if sizes or image:
        listing = "Tile sizes"
        if image:
            of = f"an image of {_named(network.axes, image)}"
            listing += f" for {of}: --tile plans one"
            listing = listing if sizes else f"No tile is smaller than {of}: run it whole."
        screen.append([Heading(listing), Table(SIZES, sizes)])
    if recipe:
        screen.append([Heading(f"For {recipe.library}, {recipe.words}"), Verbatim(recipe.call)])
    sheet = Table(columns("layer axis before after alignment stride"), rows)
    return Report("tiles", facts, screen, sheet, code=0 if verified is None or verified.holds else 1)


def _plan_facts(plan: Plan) -> dict[str, object]:
    lines = dict(zip(plan.network.axes, plan.lines, strict=True))
    keeps = {name: {axis: line.keeps[h] for axis, line in lines.items()} for h, name in enumerate(plan.heads)}
    starts = {axis: line.starts for axis, line in lines.items()}
    return {**picked(plan, "image tile"), "tiles": len(plan), "cost": plan.cost, "starts": starts, "keeps": keeps}


def _needed(network: Network, contexts: Sequence[Sequence[Context]], plan: Plan | None) -> str:
    widest = [max(own, key=lambda context: context.before + context.after) for own in zip(*contexts, strict=True)]
    along: dict[str, list[str]] = {}
    for axis, context in zip(network.axes, widest, strict=True):
        sides = f"{context.before} {network.px} of context before and {context.after} {network.px} after"
        if context.before == context.after:
            sides = f"{context.before} {network.px} of context on each side"
        along.setdefault(sides, []).append(axis)
    (sides, _), *others = along.items()
    sides += "".join(f", and {text} along {' and '.join(axes)}" for text, axes in others)
    alignment = once(str(context.alignment) for context in widest)
    start = f"tiles start on multiples of {alignment}" if alignment != "1" else "tiles start anywhere"
    if barrier := barrier_of(network, contexts):
        layer, why = barrier
        return f"No tiles are exact: {layer} ({why}). Without it: {sides}; {start}"
    if plan and plan.level:
        sides = f"not exact: {sides}, from which {100 * plan.level:g} % of the paths of each unit come"
    return f"{sides[0].upper()}{sides[1:]}; {start}"


def _named(axes: Sequence[str], size: Sequence[int]) -> str:
    return " x ".join(f"{axis} {n}" for axis, n in zip(axes, size, strict=True))


def _tiles_of(plan: Plan) -> str:
    counts = [len(line.starts) for line in plan.lines]
    steps = [line.starts[1] - line.starts[0] if len(line.starts) > 1 else line.image for line in plan.lines]
    tiles = f"tiles of {in_words(plan.tile)} keep {in_words(steps)}"
    covered = f"{in_words(counts)} tiles cover {_named(plan.network.axes, plan.image)}"
    return f"{tiles}; {covered}; {plan.cost:.2f} times the {'input samples' if len(plan.image) == 1 else 'pixels'}."


def words_of(plan: Plan) -> list[str]:
    tiles = _tiles_of(plan)
    return [_needed(plan.network, plan.contexts, plan), tiles[0].upper() + tiles[1:], *_ignoring(plan.ignored)]


def _ignoring(ignored: Sequence[tuple[str, str]]) -> list[str]:
    if not ignored:
        return []
    (layer, why), *rest = ignored
    others = f" and {len(rest)} more" if rest else ""
    return [f"Not exact: {layer} ({why}){others} counted as if each position were by itself there."]


def _ways_out(barrier: Barrier | None) -> list[str]:
    if barrier is None:
        return []
    if runs_by_layer(barrier.why):
        return ["Try --norms shared: padviz.tiled then runs a module layer by layer. --norms per-tile is inexact."]
    return ["No overlap helps. --norms per-tile plans as if it saw each position alone, which is inexact."]


def _compared(verified: Verified) -> str:
    """Write how far the maps of tiles and of the whole image differ, and with one unit less of context."""
    px = "input samples" if len(verified.image) == 1 else "px"
    where = f"at {in_words(verified.image)} {px} of noise in {verified.tiles} tiles of {in_words(verified.tile)}"
    limit = f"{verified.precision}; up to {verified.tolerance:g} is rounding"
    differ = f"whole and tiled differ by {verified.difference:.2g} of the largest number ({limit})"
    less = f"; with one unit less of context by {max(verified.one_less.values()):.2g}" if verified.one_less else ""
    less *= verified.holds
    holds = "Verified" if verified.holds else "Not exact"
    smallest = ", the smallest image with three tiles a side" if verified.one_less else ""
    return f"{holds}: checked {where}{smallest}, {differ}{less}."
