"""Whether the output that is stitched from tiles is that of the whole image: run on noise."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Annotated, NotRequired, TypedDict

from padviz.analyses.asked import Pixels, TrainedSource
from padviz.analyses.result import Result
from padviz.analyses.tiles import check_norms
from padviz.cutting.plan import plan_by_layer
from padviz.cutting.running import Verified, verify, verify_by_layer
from padviz.errors import DescriptionError, OptionError
from padviz.geometry.sizing.nearest import near_sizes_named
from padviz.network.network import Network, as_size, in_words
from padviz.network.targets import up_to_outputs
from padviz.options import LAYERS, NORMS, SEED, SIZE, TILE, TRAINED_MODEL, WEIGHTS, Command
from padviz.progress import Progress
from padviz.reports.documents import picked
from padviz.reports.report import Heading, Lines, Report
from padviz.reports.rows import about, rows_of
from padviz.sources import is_module
from padviz.trained.networks.reading import HeadMaps, as_trained, head_maps
from padviz.trained.networks.trained_network import Trained


class VerifiedResult(Result[Verified], Verified):
    """How far the output of tiles differs from the whole one's, printed and saved as the command
    does.
    """


def verify_tiles(
    network: Annotated[TrainedSource, TRAINED_MODEL],
    size: Annotated[Pixels, SIZE] = None,
    layer: Annotated[str | Sequence[str] | None, LAYERS] = None,
    *,
    tile: Annotated[Pixels, TILE] = None,
    weights: Annotated[str | Path | None, WEIGHTS] = None,
    norms: Annotated[str | None, NORMS] = None,
    seed: Annotated[int, SEED] = 0,
    on_progress: Progress | None = None,
) -> VerifiedResult:
    """Run a network on noise, whole and tile by tile, and compare the outputs.

    The image is the smallest with three tiles a side that is as long as `size` modulo the
    alignment. A module runs in double precision if it can.

    Parameters
    ----------
    network, weights
        As for `filters`.
    size : int or (height, width), optional
        Size of the image that tiles are for; the network's own by default.
    layer : str or sequence of str, optional
        As for `tiles`.
    tile : int or (height, width), optional
        The largest tile with shared norms; a third of the image by default.
    norms : str, optional
        As for `tiles`; "per-tile" shows the difference that norms, gates and attention make.
    seed : int
        Of the noise.
    on_progress : callable, optional
        Called with (tiles done, number of tiles); with shared norms, with (parts of maps, 0).

    Returns
    -------
    VerifiedResult, a `Verified`
        `.holds` says whether the largest `.difference` is below `.tolerance`, and `.one_less` by
        side how far units differ that have one unit less of context.

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
    with near_sizes_named(
        lambda: as_trained(network, None, weights).network, None if size is None else as_size(size)
    ):
        trained = as_trained(network, size, weights)
    kept = up_to_outputs(layer, trained.network)
    verified = _verified(trained, kept, norms, tile, seed, on_progress)
    return VerifiedResult.made_of(verified, (verified,), partial(report_of, kept, verified))


def _verified(
    trained: Trained,
    kept: Network,
    norms: str | None,
    tile: Pixels,
    seed: int,
    on_progress: Progress | None,
) -> Verified:
    check_norms(norms)
    if norms == "shared":
        third = tuple(ceil(n / 3) for n in trained.size)
        plan = plan_by_layer(kept, trained.size, third if tile is None else kept.pixels(tile))
        if plan.tiles == 1:
            raise OptionError(
                f"one tile covers all of {in_words(plan.image)}, so nothing is compared",
                option="tile",
                hint="use a smaller one, or a larger `size`",
            )
        return verify_by_layer(trained.model, plan, trained.channels, seed, on_progress)
    if tile is not None:
        raise OptionError(
            "goes with `norms` shared",
            option="tile",
            hint="add `norms` shared, or for an ONNX file leave it out",
        )

    def verified(maps: HeadMaps) -> Verified:
        per_tile = norms == "per-tile"
        return verify(maps, kept, trained.size, trained.channels, per_tile, seed, on_progress)

    if is_module(trained.model):
        double = replace(trained, model=deepcopy(trained.model).double())
        # What makes numbers of single precision inside does not take others.
        with suppress(DescriptionError):
            return verified(head_maps(double, kept))
    return verified(head_maps(trained, kept))


class VerifiedRow(TypedDict):
    """How far the outputs of the whole image and of tiles differ, over the largest value.

    `one_less` is by side the difference with one unit less of context.
    """

    tile: list[int]
    tiles: int
    precision: str
    difference: float
    tolerance: float
    holds: bool
    one_less_front: NotRequired[float | None]
    one_less_back: NotRequired[float | None]
    one_less_top: NotRequired[float | None]
    one_less_bottom: NotRequired[float | None]
    one_less_left: NotRequired[float | None]
    one_less_right: NotRequired[float | None]
    one_less_before: NotRequired[float | None]
    one_less_after: NotRequired[float | None]


def report_of(network: Network, verified: Verified) -> Report:
    """Report how far outputs differ; it fails with 1 if they do."""
    row = picked(verified, "tile tiles precision difference tolerance holds")
    row |= {f"one_less_{side}": less for side, less in verified.one_less.items()}
    facts = about(network.name, verified.size, network.padding)
    screen = [Heading(network.title), Lines([_compared(verified, network.px)])]
    code = 0 if verified.holds else 1
    return Report("verify-tiles", facts, [screen], rows_of([row], VerifiedRow), code=code)


def _compared(verified: Verified, px: str) -> str:
    """Write how far the maps of tiles and of the whole image differ, and with one unit less of
    context.
    """
    where = (
        f"at {in_words(verified.size)} {px} of noise in {verified.tiles} tiles of "
        f"{in_words(verified.tile)}"
    )
    limit = f"{verified.precision}; up to {verified.tolerance:g} is rounding"
    differ = f"whole and tiled differ by {verified.difference:.2g} of the largest number ({limit})"
    less = smallest = ""
    verdict = "Verified"
    if verified.one_less:
        smallest = ", the smallest image with three tiles a side"
        largest = max(verified.one_less.values())
        less = f"; with one unit less of context by {largest:.2g}"
        if largest <= verified.tolerance:
            verdict = "Equal, but the context is not verified"
            less = (
                "; with one unit less of context nothing differs: these weights do not reach that "
                "far"
            )
    if not verified.holds:
        verdict, less = "Not exact", ""
    return f"{verdict}: checked {where}{smallest}, {differ}{less}."


COMMAND = Command(
    verify_tiles,
    """Run MODEL, a module or an ONNX file, on noise, whole and tile by tile, and compare the
    outputs.

    The image is the smallest with three tiles a side. Tiles that differ by more than rounding exit
    with 1. With one unit less of context they must differ: that is measured, too.

    --norms shared runs a module layer by layer, as padviz.tiled does, in tiles of up to --tile.

    \b
    Example:
      padviz verify-tiles model.onnx --size 1024
    """,
    files=(),
    counting="tiles",
)
