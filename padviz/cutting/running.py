"""Run a model tile by tile, by a plan, and stitch its outputs; and try a plan without data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from math import inf
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from padviz.cutting.plan import LayerPlan, Plan, Tile, check_evaluating
from padviz.errors import OptionError
from padviz.network.network import Network, in_words
from padviz.phrases import some_names
from padviz.progress import Progress, counter

if TYPE_CHECKING:
    from torch import Tensor, nn

Map = NDArray[Any]  # of single or double precision
Array: TypeAlias = "Map | Tensor"
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
MOST_TRIED = 400  # tiles of a plan that is tried without data, at some 20 ms each


def tiled(
    model: Callable[[Any], object],
    image: Array,
    plan: Plan | LayerPlan,
    *,
    batch: int = 1,
    out: object = None,
    on_progress: Progress | None = None,
    scratch: str | PathLike[str] | None = None,
) -> Any:
    """Run a model over the tiles of a plan, and return its outputs for the whole image, without
    gradients.

    Parameters
    ----------
    model : callable
        Takes an array or tensor (..., height, width) and returns one (..., units, units); for
        several heads a list in the order of `plan.heads`, or a dict by their names. A module must
        be in evaluation mode.
    image : numpy.ndarray or torch.Tensor, (..., height, width)
        A memmap is read tile by tile.
    plan : Plan
        For an image of that size. With shared norms, the model is a PyTorch module that runs layer
        by layer: all maps stay where the image is, and each part of one moves to the module's
        device for a layer.
    batch : int
        How many tiles are run at once, for an image (1, channels, height, width).
    out : array, or a list of them, optional
        Where outputs are written, (..., units, units): a memmap or zarr array if they do not fit
        into memory.
    on_progress : callable, optional
        Called with (tiles done, number of tiles); of shared norms, with parts of maps.
    scratch : path, optional
        A folder for the maps that shared norms store, if they do not fit into memory.

    Returns
    -------
    array, tensor, or list of them
        Shape (..., units, units), one for each head of the plan.

    Raises
    ------
    OptionError
        If the image has another size, or the model other heads, than the plan; for a module in
        training mode.

    Examples
    --------
    >>> import numpy as np
    >>> import padviz
    >>> from padviz.cutting.plan import plan_tiles
    >>> plan = plan_tiles(padviz.load("unet"), (2044, 700), (572, 572))
    >>> tiled(lambda tile: tile[92:-92, 92:-92], np.eye(2044, 700), plan).shape
    (1860, 516)
    """
    if not isinstance(plan, Plan | LayerPlan) or not hasattr(image, "shape"):
        raise OptionError(
            "arguments are out of order", hint="give the model, an array or tensor, and the plan"
        )
    check_evaluating(model)
    if isinstance(plan, LayerPlan):
        from padviz.cutting.by_layer import by_layer

        if batch != 1:
            what = "is not served by a plan with shared norms"
            raise OptionError(what, option="batch", hint="leave it out")
        _check_size(image, plan)
        advance = counter(plan.steps, on_progress)
        with _channels_named(image, plan.network):
            return by_layer(
                model,
                image,
                plan.parts,
                out=_listed(out),
                on_part=lambda: advance(1),
                segments=plan.segments,
                scratch=scratch,
            )
    if scratch is not None:
        what = "keeps the maps of a plan with shared norms"
        raise OptionError(what, option="scratch", hint="leave it out")
    _check(model, image, plan, batch)
    outputs = _listed(out)
    done, tiles = 0, iter(plan)
    while group := list(islice(tiles, batch)):
        with _channels_named(image, plan.network):
            returned = model(_read(image, group))
        parts = _parts(returned, plan)
        _check_parts(parts, plan)
        if outputs is None:
            outputs = [_empty(part, plan, h, image) for h, part in enumerate(parts)]
        _keep(outputs, parts, group)
        done += len(group)
        if on_progress:
            on_progress(done, len(plan))
    assert outputs is not None
    if len(plan.heads) == 1:
        return outputs[0]
    return outputs


def _listed(out: object) -> list[Any] | None:
    if out is None or isinstance(out, list):
        return out
    if isinstance(out, tuple):
        return [*out]
    return [out]


def _check(model: object, image: Array, plan: Plan, batch: int) -> None:
    """Reject an image that does not suit the plan or the model, and a batch that does not suit the
    image.
    """
    if hasattr(model, "register_forward_hook") and isinstance(image, np.ndarray):
        raise OptionError(
            "a module takes tensors", option="image", hint="give torch.from_numpy(image)"
        )
    _check_size(image, plan)
    if plan.inside is not None and getattr(model, "_orig_mod", model) is plan.inside:
        what = f"does not return {some_names(plan.heads)}, for which the plan is"
        hint = "give what returns that, or plan without a `layer`"
        raise OptionError(what, option="model", hint=hint)
    axes = len(plan.image)
    if batch < 1 or (batch > 1 and (len(image.shape) != axes + 2 or image.shape[0] != 1)):
        what = f"{batch} tiles cannot be run at once on an image of shape {tuple(image.shape)}"
        raise OptionError(
            what,
            option="batch",
            hint=f"use 1, or an image of shape (1, channels, {', '.join(plan.network.axes)})",
        )


def _check_size(image: Array, plan: Plan | LayerPlan) -> None:
    size = tuple(image.shape[-len(plan.image) :])
    if size != plan.image:
        what = f"the image is {in_words(size)}, and the plan for {in_words(plan.image)}"
        raise OptionError(what, option="image", hint="make a plan for it")


@contextmanager
def _channels_named(image: Array, network: Network) -> Iterator[None]:
    """Reject an image on which a model fails, if it has other channels than were planned for."""
    try:
        yield
    except Exception:
        channels = tuple(image.shape[: -len(network.axes)])[1:]
        if not network.channels or channels == (network.channels,):
            raise
        what = f"of shape {in_words(image.shape)} fails in the model"
        shape = in_words(("N", network.channels, *network.axes))
        hint = f"give {shape}, as the network was read"
        raise OptionError(what, option="image", hint=hint) from None


def _read(image: Any, group: Sequence[Tile]) -> Any:
    parts = [image[(..., *tile.read)] for tile in group]
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    stacked = parts[0].new_empty((len(parts), *parts[0].shape[1:]))
    for k, part in enumerate(parts):
        stacked[k] = part[0]
    return stacked


def _keep(outputs: Sequence[Any], parts: Sequence[Any], group: Sequence[Tile]) -> None:
    """Write what each tile of a group keeps of its part of every head into that head's output."""
    for k, tile in enumerate(group):
        for output, part, (keep, take) in zip(outputs, parts, tile.heads.values(), strict=True):
            # Only several tiles lie along the first dimension, one after another: an image may have
            # no such dimension.
            if len(group) > 1:
                part = part[k : k + 1]
            output[(..., *keep)] = part[(..., *take)]


def _parts(returned: Any, plan: Plan) -> list[Array]:
    if isinstance(returned, Mapping):
        returned = [returned[name] for name in plan.heads]
    if isinstance(returned, list | tuple):
        parts = [*returned]
    else:
        parts = [returned]
    if len(parts) != len(plan.heads):
        what = (
            f"the model makes {len(parts)} maps, and the plan is for {len(plan.heads)}: "
            f"{', '.join(plan.heads)}"
        )
        raise OptionError(
            what,
            option="model",
            hint="return a dict by these names, or plan for the layers it returns",
        )
    # Detached from the graphs by which tensors were made, which would keep all tiles in memory.
    return [part.detach() if hasattr(part, "detach") else part for part in parts]


def _check_parts(parts: Sequence[Array], plan: Plan) -> None:
    """Reject a part of another shape than a tile's map, such as a vector."""
    for h, (name, part) in enumerate(zip(plan.heads, parts, strict=True)):
        units = tuple([line.units[h] for line in plan.lines])
        shape = getattr(part, "shape", ())
        if tuple(shape[-len(units) :]) != units:
            what = (
                f"returns {in_words(shape) or 'a number'} for a tile of {in_words(plan.tile)}, "
                f"which has {in_words(units)} units of {name}"
            )
            hint = f"give what returns {name}, or plan with `norms` shared"
            raise OptionError(what, option="model", hint=hint)


def _empty(part: Array, plan: Plan, head: int, image: Array) -> Array:
    """Return an empty map of a head for the whole image, of the same type as a tile's."""
    units = [line.keeps[head][-1][1] for line in plan.lines]
    leading = part.shape[: -len(units)]
    if len(image.shape) == len(units) + 2:
        leading = (image.shape[0], *leading[1:])
    if isinstance(part, np.ndarray):
        return np.empty((*leading, *units), part.dtype)
    return part.new_empty((*leading, *units))


def try_by_layer(
    model: nn.Module,
    plan: LayerPlan,
    memory: float | None = None,
    on_progress: Progress | None = None,
) -> LayerPlan:
    """Return a plan that was run on an image without data, or that says why it was not. It stores
    no more maps than fit into a `memory` of MB.

    Raises DescriptionError naming a layer that cannot be cut, and OptionError for too small a
    `memory`.
    """
    from padviz.cutting.by_layer import Tried, dry_run
    from padviz.cutting.live_bytes import resident_bytes
    from padviz.cutting.segments import choose

    tried = Tried(f"more than {MOST_TRIED} tiles take long to try")
    advance = counter(0, on_progress)
    run = partial(dry_run, model, plan.network.channels, plan.image, plan.parts, lambda: advance(1))
    if plan.tiles <= MOST_TRIED:
        tried = run()
    why_not, segments, process = tried.why_not, None, 0
    if why_not:
        why_not = f"{why_not}; padviz verify --tile runs it on noise"
    if tried.notes:
        limit = inf if memory is None else memory * 1_000_000
        segments = choose(tried.notes, limit, lambda segments: run(segments=segments).bytes)
        if before := resident_bytes():
            process = before + segments.chosen.bytes
    elif memory is not None:
        what = "needs a plan that was tried, without data"
        raise OptionError(what, option="memory", hint="leave it out")
    return replace(
        plan,
        untried=why_not,
        gathered=tried.gathered,
        steps=tried.steps,
        segments=segments,
        process=process,
    )
