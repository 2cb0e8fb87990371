"""Tiles of an image: each function loads what a person names, once, and calls a room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padviz.api.results.asked import asked
from padviz.api.results.result import Result
from padviz.cutting.plan import Plan, Tile
from padviz.errors import DescriptionError
from padviz.network.network import Network, as_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from padviz.cutting.chunks import Chunks
    from padviz.cutting.verify import Verified
    from padviz.reports.report import Report
    from padviz.trained.weights.trained_network import Trained


class TilesResult(Result[Tile], Plan):  # type: ignore[misc]  # whose rows are its tiles
    """A plan, printed, drawn and saved as the command does, and translated for other libraries."""

    def for_(self, library: str) -> dict[str, Any]:
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
        from padviz.cutting.handover import keywords

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
        Pixels of the largest object: any lies within what one tile keeps right.
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
    from padviz.cutting.fitting import padded_to_fit
    from padviz.cutting.plan import globals_of, plan_tiles
    from padviz.network.targets import returned, upto

    with padded_to_fit(lambda: asked(network)[0], as_size(size)):
        whole, image = asked(network, size, padding, same)
    kept = upto(whole, returned(layer, whole))
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
        For an image, for input samples that are no whole number of steps, and where nothing is exact.

    Examples
    --------
    >>> from torch import nn
    >>> found = chunks(nn.Conv1d(1, 1, 5, padding=2), 64)
    >>> found.read, found.again, found.look_ahead, found.heads[0].drop_first
    (68, 4, 2, 2)
    """
    from padviz.cutting.chunks import chunks_of
    from padviz.cutting.plan import globals_of
    from padviz.network.targets import returned, upto

    whole, samples = asked(network, size, padding)
    kept = replace(upto(whole, returned(layer, whole)), size=samples)
    return chunks_of(kept, chunk, globals_of(kept) if ignore_norms else frozenset())


def _report(plan: Plan) -> Report:
    from padviz.cutting.context import LEVELS, graded_heads
    from padviz.reports.windows.tiles import Planned, report_of

    graded = graded_heads(plan.network, plan.image, plan.contexts, LEVELS)
    return report_of(plan.network, plan.contexts, graded, LEVELS, Planned(plan, ignored=plan.ignored))


def _draw(plan: Plan) -> Figure:
    from padviz.figures.windows import tiles
    from padviz.reports.windows.tiles import words_of

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
    from padviz.cutting.fitting import padded_to_fit
    from padviz.cutting.plan import globals_of
    from padviz.cutting.verify import verify
    from padviz.network.targets import returned, upto
    from padviz.trained.sessions.heads import channels_read, head_maps
    from padviz.trained.weights.reading import as_trained

    with padded_to_fit(lambda: as_trained(network, None, weights).network, None if size is None else as_size(size)):
        trained = as_trained(network, size, weights)
    kept = upto(trained.network, returned(layer, trained.network))
    without = globals_of(kept) if ignore_norms else frozenset()
    *better, run = head_maps(trained, kept)
    for maps in better:
        try:
            return verify(maps, kept, trained.size, channels_read(trained), without, seed)
        except DescriptionError:
            continue  # what makes numbers of single precision inside does not take others
    return verify(run, kept, trained.size, channels_read(trained), without, seed)
