"""Tiles without seams: what they must read, and a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from math import ceil
from typing import TYPE_CHECKING, Annotated, NotRequired, TypedDict, cast

from padviz.analyses.asked import Pixels, Source, asked
from padviz.analyses.result import Result
from padviz.cutting.context import Context, barrier_of, output_contexts
from padviz.cutting.exact_units import pools_sums
from padviz.cutting.handover import Handover, handover, keywords
from padviz.cutting.plan import (
    LayerPlan,
    Plan,
    Segments,
    TileSize,
    ignored_of,
    plan_by_layer,
    plan_tiles,
    tile_sizes,
    training,
)
from padviz.cutting.running import try_by_layer
from padviz.errors import OptionError, PadvizError
from padviz.geometry.reaching.near_padding import Barrier
from padviz.network.network import Network, Size, in_words
from padviz.network.targets import last_maps, up_to_outputs
from padviz.options import (
    FOR,
    LAYERS,
    LEVEL,
    MEMORY,
    MODEL,
    NORMS,
    OBJECT,
    PADDING,
    SAME,
    SIZE,
    TILE,
    Command,
)
from padviz.phrases import by_side, counted, in_bytes, some_names
from padviz.progress import Progress
from padviz.reports.documents import picked
from padviz.reports.report import Block, Column, Heading, Lines, Report, Table, Verbatim, columns
from padviz.reports.rows import about, rows_of
from padviz.reports.tables import once, pixels
from padviz.sources import MODULE, is_module
from padviz.sources.tracing.reading import AS_IT_IS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn


@dataclass(frozen=True)
class Tiling:
    """The context of tiles: `contexts` has one for each head on each axis; shared norms need none.

    `plan` has the tiles of an image, for `padviz.tiled`. Without one, `sizes` lists tile sizes with
    their costs. `recipe` is the call for a library. `ignored` are layers that count as if each
    position were by itself, and why. `training` is the first part of a module in training mode.
    """

    network: Network
    image: Size
    contexts: tuple[tuple[Context, ...], ...]
    plan: Plan | LayerPlan | None = None
    fewer: Plan | None = None
    sizes: tuple[TileSize, ...] | None = None
    recipe: Handover | None = None
    ignored: tuple[tuple[str, str], ...] = ()
    training: str = ""


class TilesResult(Result["Context | tuple[str, str]"], Tiling):
    """The context of tiles, and their `.plan`, printed, drawn and saved as the command does, or for
    other libraries.

    Its rows are the contexts, or with shared norms the layers that share sums.
    """

    def for_(self, library: str) -> dict[str, object]:
        """Return the keyword arguments for a library, with the weights of a tile's pixels where it
        takes any.

        For monai and toolbelt the arguments fit images of the plan's size only, for torchio those
        as long modulo the alignment. For monai the image and the model's output must be float32.

        Raises
        ------
        OptionError
            For a library that is not known, and for one that is not exact, with the reason; without
            a plan.

        Examples
        --------
        >>> tiles("unet_padded", 1024, 512).for_("torchio")
        {'patch_size': (512, 512, 1), 'patch_overlap': (192, 192, 0)}
        """
        if not isinstance(self.plan, Plan):
            raise OptionError("plans tiles of an image", option="for_", hint=PLANNED)
        return keywords(self.plan, library)


def tiles(
    network: Annotated[Source, MODEL],
    size: Annotated[Pixels, SIZE] = None,
    tile: Annotated[Pixels, TILE] = None,
    layer: Annotated[str | Sequence[str] | None, LAYERS] = None,
    *,
    padding: Annotated[str | None, PADDING] = None,
    same: Annotated[bool, SAME] = False,
    object_: Annotated[int, OBJECT] = 0,
    for_: Annotated[str | None, FOR] = None,
    norms: Annotated[str | None, NORMS] = None,
    memory: Annotated[int | None, MEMORY] = None,
    level: Annotated[float | None, LEVEL] = None,
    on_progress: Progress | None = None,
) -> TilesResult:
    """Compute the context that tiles need, and plan the fewest tiles of an image that keep every
    unit exact.

    Parameters
    ----------
    network, padding, same
        As for `usage`.
    size : int or (height, width), optional
        Size of the image in pixels.
    tile : int or (height, width), optional
        The largest tile that fits into memory. Without it, tile sizes are listed with their costs.
    layer : str or sequence of str, optional
        The layers that are kept; all last feature maps by default.
    object_ : int
        Pixels of the largest object: any lies within the exact units of one tile.
    for_ : str, optional
        A library whose call is printed: "monai".
    norms : str, optional
        "shared" pools the statistics of norms and gates over all tiles, for `tiled`: layers then
        run one after another. The plan of a module is tried on an image without data; if it cannot
        be, `.plan.untried` says why. "per-tile" plans as if norms, gates and attention saw each
        position alone, which is inexact.
    memory : int, optional
        MB of main memory for the maps of shared norms, images, outputs and copies among them,
        weights left out. What does not fit is not stored but made again, which takes computing.
    level : float, optional
        The share of a unit's paths that its tile must hold, as .999: with less context than is
        exact.
    on_progress : callable, optional
        Called with (parts of maps that are tried, 0) for shared norms.

    Returns
    -------
    TilesResult
        `.contexts` of each head on each axis. With a `size` and a `tile`, `.plan` is a
        `padviz.Plan` to iterate over, `out[(..., *tile.keep)] = model(image[(...,
        *tile.read])[(..., *tile.take)]`, or for `tiled`; `.for_("monai")` has the keyword arguments
        for a library. With shared norms it is a plan for `tiled` alone.

    Raises
    ------
    PadvizError
        If a plan is asked for: where nothing is exact or a module cannot be run in tiles, naming
        the layer; where tiles are too small, with the least that are not.

    Examples
    --------
    >>> found = tiles("unet_padded", 1024, 512)
    >>> len(found.plan), found.contexts[0][0].before, found.contexts[0][0].alignment
    (9, 94, 16)
    """
    check_norms(norms)
    if norms == "shared":
        _check_shared(size, tile, object_ or level or for_ or layer)
    _check_planned(size, tile, {"tile": tile, "for_": for_, "level": level, "object_": object_})
    if memory is not None and norms != "shared":
        raise OptionError("is for `norms` shared", option="memory", hint="leave it out")
    with asked(network, size, padding, same) as (whole, image):
        kept = up_to_outputs(layer, whole)
        tiling = Tiling(kept, image, (), training=training(network))
        if norms == "shared":
            # Layers that run one after another need no context.
            tiling = replace(
                tiling,
                plan=_shared(
                    kept, image, tile, "" if padding or same else network, memory, on_progress
                ),
            )
        elif tile:
            per_tile = norms == "per-tile"
            plan = partial(
                plan_tiles, kept, image, objects=object_, ignore_norms=per_tile, level=level
            )
            planned = plan(kept.pixels(tile, "tile"))
            fewer = _fewer_tiles(planned, plan)
            if layer is not None:
                planned = _inside(planned, network, whole)
            recipe = None
            if for_:
                recipe = handover(planned, for_)
            tiling = replace(
                tiling,
                contexts=planned.contexts,
                plan=planned,
                fewer=fewer,
                recipe=recipe,
                ignored=planned.ignored,
            )
        else:
            tiling = _listed(tiling, norms == "per-tile", size is not None)
    rows: list[Context | tuple[str, str]] = [*chain.from_iterable(tiling.contexts)]
    if isinstance(tiling.plan, LayerPlan):
        rows = [*tiling.plan.shared]
    draw = None
    if isinstance(tiling.plan, Plan):
        draw = partial(_draw, tiling.plan)
    return TilesResult.made_of(tiling, rows, partial(report_of, tiling, size is not None), draw)


def check_norms(norms: str | None) -> None:
    """Reject an unknown way to treat norms."""
    if norms not in (None, "shared", "per-tile"):
        raise OptionError(
            f"{norms!r} is not known", option="norms", hint='use "shared" or "per-tile"'
        )


PLANNED = "add `size` and `tile`, e.g. `size` 2048 `tile` 512"
TILED = "add `tile`, e.g. `tile` 512"


def _check_planned(size: Pixels, tile: Pixels, planned: Mapping[str, object]) -> None:
    """Reject what is of a plan without an image and a tile."""
    if size is None or tile is None:
        for name, value in planned.items():
            if value:
                hint = PLANNED if size is None else TILED
                raise OptionError("plans tiles of an image", option=name, hint=hint)


def _check_shared(size: Pixels, tile: Pixels, others: object) -> None:
    """Reject shared norms without an image and a tile, or with what does not go with them."""
    if others or size is None or tile is None:
        hint = "leave other options out, or use per-tile" if others else "add `size` and `tile`"
        raise OptionError(
            "shared plans exact tiles by `size` and `tile` alone", option="norms", hint=hint
        )


def _fewer_tiles(plan: Plan, again: Callable[[Size], Plan]) -> Plan | None:
    """Plan one tile less on each axis, if tiles need not be more than 5 % longer for that, and are
    at most 3/4 as many.
    """
    tile = []
    for line, contexts in zip(plan.lines, zip(*plan.contexts, strict=True), strict=True):
        length, count = line.length, len(line.starts)
        if count > 1:
            overlap = length - line.starts[1]
            length = ceil((line.image + (count - 2) * overlap) / (count - 1))
            length += contexts[0].alignment - 1  # lengths are rounded down
        if length > 1.05 * line.length:
            return None
        tile.append(length)
    with suppress(PadvizError):
        larger = again(tuple(tile))
        if 4 * len(larger) <= 3 * len(plan):
            return larger
    return None


def _inside(plan: Plan, network: Source, whole: Network) -> Plan:
    """Return a plan with its model, for layers that it does not return as they are."""
    returned = {*whole.targets, *last_maps(whole)}
    if not whole.behind and {*plan.heads} <= returned:
        return plan
    model = network.origin if isinstance(network, Network) else network
    return replace(plan, inside=model)


def _listed(tiling: Tiling, per_tile: bool, one_image: bool) -> Tiling:
    """Return the contexts, and tile sizes where some tile is exact: of one image, those that are no
    larger.
    """
    contexts = output_contexts(tiling.network, tiling.image, per_tile)
    ignored: tuple[tuple[str, str], ...] = ()
    if per_tile:
        ignored = (*ignored_of(tiling.network), *tiling.network.behind)
    if any(context.barrier for context in chain(*contexts)):
        return replace(tiling, contexts=contexts, ignored=ignored)
    sizes = tile_sizes(tiling.network, tiling.image, per_tile)
    if one_image:
        sizes = [
            row
            for row in sizes
            if all(n <= most for n, most in zip(row.tile, tiling.image, strict=True))
        ]
    return replace(tiling, contexts=contexts, sizes=tuple(sizes), ignored=ignored)


def _shared(
    network: Network,
    image: Size,
    tile: Pixels,
    source: Source,
    memory: int | None,
    on_progress: Progress | None,
) -> LayerPlan:
    """Plan tiles by layer, and try the plan on the module that `source` names, if it does."""
    plan = plan_by_layer(network, image, network.pixels(tile, "tile"))
    module = _module_of(source)
    if module is None:
        alone = "padviz.tiled runs PyTorch modules alone, as they are"
        if memory is not None:
            raise OptionError(f"{alone}", option="memory", hint="leave it out")
        return replace(plan, untried=f"not tried, since {alone}")
    return try_by_layer(module, plan, memory, on_progress)


def _module_of(source: Source) -> nn.Module | None:
    """Return the PyTorch module that takes one image, if a network is read from one."""
    named: object = source
    reading = AS_IT_IS
    if isinstance(source, Network):
        named, reading = source.origin, source.reading or AS_IT_IS
    if isinstance(named, str) and MODULE.fullmatch(named):
        from padviz.sources.torch.load import resolve

        named = resolve(named)
    named = getattr(named, "_orig_mod", named)  # what torch.compile wraps
    if not is_module(named):
        return None
    if reading.options:
        from padviz.sources.torch.load import image_input

        if {*reading.options} - {image_input(named, AS_IT_IS)}:
            return None
    return named


def _draw(plan: Plan) -> Figure:
    from padviz.figures.windows import tiles

    return tiles.tiles(plan, words_of(plan))


SIZES = (
    Column("tile", show=in_words),
    Column("keeps", show=in_words),
    Column("cost", "times the pixels", "{:,.2f}"),
)
AROUND = (*columns("layer axis before after alignment"), Column("stride", show="{:g}"))


class TileRow(TypedDict):
    """What a tile reads around the part that it keeps on an axis, in pixels; with shared norms, a
    layer that pools sums over all tiles, and why.
    """

    layer: str
    axis: NotRequired[str]
    before: NotRequired[int]
    after: NotRequired[int]
    alignment: NotRequired[int]
    stride: NotRequired[float]
    why: NotRequired[str]


def report_of(tiling: Tiling, one_image: bool) -> Report:
    """Report what there is: the contexts, or layers that share sums, and a plan, sizes or the call
    for a library.
    """
    network, plan = tiling.network, tiling.plan
    rows: list[TileRow] = []
    for pair in tiling.contexts:
        for axis, context in zip(network.axes, pair, strict=True):
            figures = picked(context, "layer before after alignment stride") | {"axis": axis}
            rows.append(cast("TileRow", figures))
    barrier = barrier_of(network, tiling.contexts)
    facts = about(network.name, tiling.image, network.padding) | {
        "barrier": barrier,
        "plan": plan and _plan_facts(plan),
        "recipe": tiling.recipe,
        "sizes": tiling.sizes or (),
        "ignored": [{"layer": layer, "why": why} for layer, why in tiling.ignored],
    }
    first: list[Block] = [Heading(network.title)]
    if isinstance(plan, LayerPlan):
        rows = [{"layer": layer, "why": why} for layer, why in plan.shared]
        first += [Lines(words_of(plan)), Table(columns("layer why"), rows)]
    else:
        needed = _needed(network, tiling.contexts, plan)
        said = [f"{needed}: {_tiles_of(plan)}" if plan else f"{needed}."]
        samples = "pixels"
        if len(network.axes) == 1:
            samples = "input samples"
        legend = f"before, after: {samples} read beyond what a tile keeps."
        first += [
            Lines([*said, *_enough(tiling.fewer), *_ignoring(tiling.ignored), *_ways_out(barrier)]),
            Table(AROUND, rows),
            Lines([legend]),
        ]
    if tiling.training:
        first.append(Lines([f"{tiling.training} is in training mode: call model.eval() first."]))
    screen = [first]
    if tiling.sizes is not None:
        screen.append([Heading(_listing(tiling, one_image)), Table(SIZES, tiling.sizes)])
    if tiling.recipe:
        recipe = tiling.recipe
        screen.append([Heading(f"For {recipe.library}, {recipe.words}"), Verbatim(recipe.call)])
    return Report("tiles", facts, screen, rows_of(rows, TileRow))


def _enough(fewer: Plan | None) -> Iterator[str]:
    """Yield a sentence on a plan of slightly larger tiles."""
    if fewer is not None:
        side = pixels(fewer.tile)
        yield f"With --tile {side}, {len(fewer)} tiles are enough."


def _listing(tiling: Tiling, one_image: bool) -> str:
    """Return what stands above the tile sizes."""
    if not one_image:
        return "Tile sizes"
    image = f"an image of {_named(tiling.network.axes, tiling.image)}"
    if not tiling.sizes:
        return f"No tile is smaller than {image}: run it whole."
    return f"Tile sizes for {image}: --tile plans one"


def _in_layers(plan: LayerPlan) -> list[str]:
    """Return sentences on tiles that share sums: whether they are exact, and how that is known."""
    n = sum(pools_sums(why) for _, why in plan.shared)
    image = _named(plan.network.axes, plan.image)
    cover = f"{in_words(plan.counts)} tiles of up to {in_words(plan.tile)} cover {image}"
    if plan.untried:
        return [f"Not known to be exact: {plan.untried}.", f"{n} layers would share sums; {cover}."]
    together = []
    for layer, shape, size in plan.gathered:
        shape_in_words = " x ".join(map(str, shape))
        together.append(f"{layer} reads all of {shape_in_words}: {in_bytes(size)} put together.")
    stored = ""
    if plan.segments:
        stored = f" Where the image is, maps take {_stored(plan.segments, plan.process)}"
    exact = f"Exact, with shared norms: {n} of them" if n else "Exact: no norm needs sharing"
    return [
        f"{exact}; {cover}.",
        *together,
        "padviz.tiled runs each layer on one tile after another, which reads what it needs of "
        f"its neighbours.{stored}",
        "Tried in these tiles, on an image without data: every layer can be cut.",
    ]


def _stored(segments: Segments, process: int) -> str:
    """Return sentences on what a limit of memory takes, the next choice, and the process."""
    size, computing = segments.chosen
    said = f"at most {in_bytes(size)} at once for one image, weights left out"
    if segments.faster:
        faster, less = segments.faster
        said += f", with {computing:.2f} times the computing"
        said += f"; about {in_bytes(faster)} would take {less:.2f} times"
    if process:
        said += f". In all, this process takes about {in_bytes(process)}"
    return f"{said}."


def _plan_facts(plan: Plan | LayerPlan) -> dict[str, object]:
    if isinstance(plan, LayerPlan):
        return {
            **picked(plan, "tile tiles counts untried"),
            "norms": "shared",
        }
    lines = dict(zip(plan.network.axes, plan.lines, strict=True))
    keeps = {
        name: {axis: line.keeps[h] for axis, line in lines.items()}
        for h, name in enumerate(plan.heads)
    }
    starts = {axis: line.starts for axis, line in lines.items()}
    return {
        "tile": plan.tile,
        "tiles": len(plan),
        "cost": plan.cost,
        "starts": starts,
        "keeps": keeps,
    }


def _needed(network: Network, contexts: Sequence[Sequence[Context]], plan: Plan | None) -> str:
    widest = [
        max(on_axis, key=lambda context: context.before + context.after)
        for on_axis in zip(*contexts, strict=True)
    ]
    depths = [*chain.from_iterable((context.before, context.after) for context in widest)]
    if len({*depths}) == 1:
        sides = f"{depths[0]} {network.px} of context on each side"
    else:
        sides = f"a context of {', '.join(by_side(depths, network.px))}"
    alignment = once(str(context.alignment) for context in widest)
    start = (
        f"tiles start on multiples of {alignment}" if alignment != "1" else "tiles start anywhere"
    )
    if barrier := barrier_of(network, contexts):
        without, reading_all = "it", ignored_of(network)
        if barrier in reading_all:
            without = counted(len(reading_all), "such layer")
        first = f"{barrier.layer} ({barrier.why})"
        return f"No tiles are exact: {first}. Without {without}: {sides}; {start}"
    if plan and plan.level:
        sides = (
            f"not exact: {sides}, from which {100 * plan.level:g} % of the paths of each unit come"
        )
    return f"{sides[0].upper()}{sides[1:]}; {start}"


def _named(axes: Sequence[str], size: Sequence[int]) -> str:
    return " x ".join(f"{axis} {n}" for axis, n in zip(axes, size, strict=True))


def _tiles_of(plan: Plan) -> str:
    counts = [len(line.starts) for line in plan.lines]
    steps = [
        line.starts[1] - line.starts[0] if len(line.starts) > 1 else line.image
        for line in plan.lines
    ]
    tiles = f"tiles of {in_words(plan.tile)} keep {in_words(steps)}"
    covered = f"{in_words(counts)} tiles cover {_named(plan.network.axes, plan.image)}"
    return (
        f"{tiles}; {covered}; {plan.cost:.2f} times the "
        f"{'input samples' if len(plan.image) == 1 else 'pixels'}."
    )


def words_of(plan: Plan | LayerPlan) -> list[str]:
    """Return sentences on a plan: what its tiles are, and whether they are exact."""
    if isinstance(plan, LayerPlan):
        return _in_layers(plan)
    tiles = _tiles_of(plan)
    needed = _needed(plan.network, plan.contexts, plan)
    if len(plan) == 1:
        needed = "One tile covers the image, so it needs no context"
    return [
        needed,
        tiles[0].upper() + tiles[1:],
        *_ignoring(plan.ignored),
    ]


def _ignoring(ignored: Sequence[tuple[str, str]]) -> list[str]:
    if not ignored:
        return []
    layers = some_names((f"{layer} ({why})" for layer, why in ignored), 1)
    return [f"Not exact: {layers} counted as if each position were by itself there."]


def _ways_out(barrier: Barrier | None) -> list[str]:
    if barrier is None:
        return []
    shared = "Try --norms shared: padviz.tiled then runs a module layer by layer."
    if barrier.why.startswith("circular"):
        return [
            f"{shared} Or wrap the image itself by this context, a multiple of the alignment, and "
            "pad the layers with zeros."
        ]
    if not pools_sums(barrier.why):
        shared = "No overlap helps. Try --norms shared: padviz.tiled then puts the map together."
    return [f"{shared} --norms per-tile is inexact."]


def _check_picture(asked: Mapping[str, object]) -> None:
    """Reject a picture without a plan."""
    if not asked.get("size") or not asked.get("tile"):
        raise OptionError("draws the plan of an image", where="-o", hint=PLANNED)
    if asked.get("norms") == "shared":
        raise OptionError("shared norms have no picture", where="-o", hint="leave it out")


COMMAND = Command(
    tiles,
    """Compute the context (overlap, halo) that tiles need so that the stitched output equals that
    of the whole image.

    --size and --tile plan the fewest tiles that are exact; --size alone lists tile sizes with their
    costs.

    \b
    Example:
      padviz tiles unet_padded --size 2048x1536 --tile 512
      padviz tiles unet_padded --size 1024 --tile 512 --for monai
    """,
    check_file=_check_picture,
    counting="parts that were tried",
)
