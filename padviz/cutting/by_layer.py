"""Run a module on a map that is cut, so that its output is exactly that of the whole map.

The module's own forward runs once; the maps that it is given note its calls. The parts are tiles,
shards of a `Team`, or chunks of a `StreamedMap` that come one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from gc import collect
from math import inf
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from padviz.cutting import calls, windows  # noqa: F401  # whose rules maps find
from padviz.cutting.cut_map import WHOLE, Refused, maps_in, tree_leaves, tree_map_only
from padviz.cutting.live_bytes import LiveBytes
from padviz.cutting.nodes import Notes
from padviz.cutting.parts import Runner, SharedMap
from padviz.cutting.plan import Gathered, Segments, check_evaluating
from padviz.errors import DescriptionError, OptionError, PadvizError, check_integer
from padviz.network.network import AXES
from padviz.sources.torch.call import Modules
from padviz.sources.torch.load import copy_module, float_type, line_of, quiet, without_data

Model = Callable[[Tensor], object]


def run(
    model: Model, x: Tensor, finish: Callable[[object], object] = lambda outputs: outputs
) -> object:
    """Run a module on a map that is cut, and finish its outputs.

    Raises DescriptionError naming the layer that does not allow it.
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    modules = None
    if isinstance(model, nn.Module):
        modules = Modules(model)
    if modules and isinstance(x, SharedMap):
        x.runner.where = lambda: modules.path
    try:
        with torch.no_grad(), modules or nullcontext():
            outputs = finish(model(x))
            if isinstance(x, SharedMap):
                holders: list[object] = tree_leaves(outputs)
                if isinstance(model, nn.Module):
                    holders += model.modules()
                _keep_whole(holders, x.runner)
            return outputs
    except PadvizError:
        raise
    except Exception as error:
        why, hint = line_of(error), WHOLE
        if isinstance(error, Refused):
            why, hint = f"it {error}", error.hint
        where = (modules.path if modules else "") or type(model).__name__
        raise DescriptionError(f"cannot be cut: {why}", where=where, hint=hint) from error


def _keep_whole(holders: Iterable[object], runner: Runner) -> None:
    """Gather the maps that objects have: those that are returned, and modules, which keep
    them from one call to the next.
    """
    for holder in holders:
        if hasattr(holder, "__dict__") and not isinstance(holder, Tensor):
            for name, value in vars(holder).items():
                if maps_in(value):
                    vars(holder)[name] = tree_map_only(SharedMap, runner.output, value)


def tensors_in(outputs: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]


def by_layer(
    model: Model,
    image: object,
    parts: Mapping[int, int],
    *,
    out: Sequence[object] | None = None,
    on_part: Callable[[], None] | None = None,
    segments: Segments | None = None,
    scratch: str | PathLike[str] | None = None,
) -> object:
    """Run a module on an image that is cut into parts along dimensions, and return its whole
    outputs.

    Where the module's parameters are on another device, what a part of a map needs moves there, and
    the part back. With `out`, outputs are written into these arrays. `on_part` is called whenever a
    part of a map is made. Maps are stored as `segments` say, in files of a `scratch` folder if one
    is named.
    """
    if not isinstance(image, Tensor):
        raise OptionError("must be a tensor", option="image", hint="give torch.from_numpy(image)")
    runner = runner_for(model, image, parts)
    if on_part:
        runner.on_part = on_part
    runner.segments, runner.scratch = segments, scratch

    def finish(outputs: object) -> object:
        if out is None:
            return _whole(outputs, runner)
        maps = tensors_in(outputs)
        if len(maps) != len(out):
            what = f"has {len(out)} arrays, and the model makes {len(maps)} maps"
            raise OptionError(what, option="out", hint="give one for each")
        for x, array in zip(maps, out, strict=True):
            runner.write(x, array)
        if len(out) == 1:
            return out[0]
        return [*out]

    return run(model, runner.cut_all(image), finish)


def _whole(outputs: object, runner: Runner) -> object:
    """Gather the maps that a module returns."""

    def whole(x: Tensor) -> Tensor:
        if isinstance(x, SharedMap):
            return runner.output(x)
        return x.clone()  # as a view, x[:, 0] would keep its map

    return tree_map_only(Tensor, whole, outputs)


def runner_for(model: Model, image: Tensor, parts: Mapping[int, int]) -> Runner:
    """Return what runs a module on an image that is cut into parts along dimensions."""
    devices: list[torch.device] = []
    if isinstance(model, nn.Module):
        devices = [*dict.fromkeys(weights.device for weights in model.parameters())]
    if len(devices) > 1:
        what = f"has weights on several devices: {', '.join(map(str, devices))}"
        raise OptionError(what, option="model", hint="move it to one of them")
    dims = [dim % image.ndim for dim in parts]
    return Runner([*parts.values()], image.ndim - dims[0], image.device, next(iter(devices), None))


class Tried(NamedTuple):
    """What a run on an image without data showed, or why it showed nothing.

    `gathered` are the maps that are put together, and `steps` counts the parts that are made.
    `bytes` are the most that its tensors took at once.
    """

    why_not: str
    gathered: tuple[Gathered, ...] = ()
    steps: int = 0
    bytes: int = 0
    notes: Notes | None = None


def dry_run(
    model: nn.Module,
    channels: int,
    size: Sequence[int],
    parts: Mapping[int, int],
    on_part: Callable[[], None] = lambda: None,
    segments: Segments | None = None,
) -> Tried:
    """Run a module by layer on an image without data, and store maps as `segments` say.

    Raises DescriptionError naming the layer that does not allow it.
    """
    name = type(model).__name__

    def copied() -> nn.Module:
        # A number in a module may decide what it does, so single numbers keep their values.
        return copy_module(
            model, name, lambda tensor: tensor.clone() if tensor.ndim == 0 else without_data(tensor)
        )

    # Two, since a module may keep maps, and run otherwise at its second call.
    empty, again = copied(), copied()
    with torch.no_grad(), quiet(), torch.device("meta"):
        image = torch.empty(1, channels, *size, dtype=float_type(empty))
        try:
            whole = empty(image)
        except Exception as error:
            return Tried(f"its forward does not run without data ({line_of(error)})")
        runner = runner_for(again, image, parts)
        runner.notes, runner.on_part, runner.segments = Notes(), on_part, segments
        with LiveBytes() as live:
            tiled = run(again, runner.cut_all(image), partial(_whole, runner=runner))
    shapes = [[leaf.shape for leaf in tensors_in(output)] for output in (whole, tiled)]
    if shapes[0] != shapes[1]:
        raise DescriptionError(
            "cannot be cut: its output gets another shape", where=name, hint=WHOLE
        )
    for node in runner.notes.calls:
        node.make = None  # which may hold the map that it reads
    if any(kept() is not None for kept in runner.notes.maps):
        collect()  # what only refers to itself
    if any(kept() is not None for kept in runner.notes.maps):
        what = "cannot be cut: it keeps a map outside of the module, which a later call may read"
        raise DescriptionError(what, where=name, hint=WHOLE)
    taken = live.peak + image.nbytes
    return Tried("", _by_layer_name(runner.gathers), runner.steps, taken, runner.notes)


def _by_layer_name(gathers: Sequence[Gathered]) -> tuple[Gathered, ...]:
    """Return for each layer the largest map that it puts together, and the bytes of all of them."""
    by_name: dict[str, list[Gathered]] = {}
    for gathered in gathers:
        by_name.setdefault(gathered.layer, []).append(gathered)
    joined = []
    for name, maps in by_name.items():
        largest = max(maps, key=lambda gathered: gathered.bytes)
        joined.append(Gathered(name, largest.shape, sum(gathered.bytes for gathered in maps)))
    return (*joined,)


def differ(
    model: object, shape: Sequence[int], cut: Callable[[nn.Module, Tensor], object], seed: int = 0
) -> tuple[str, float]:
    """Run a module on noise, whole and cut; return in which precision, and how far the outputs are
    apart.

    The difference is over the largest value, and infinite where shapes differ.
    """
    if not isinstance(model, nn.Module):
        raise DescriptionError(
            "runs PyTorch modules only", where="model", hint="name one as package.module:attribute"
        )
    noise = np.random.default_rng(seed).random(shape)
    why = ""
    for module, precision in ((deepcopy(model).double(), "float64"), (model, "float32")):
        image = torch.from_numpy(noise).to(getattr(torch, precision))
        try:
            with torch.no_grad():
                outputs = module(image), cut(module, image)
        except RuntimeError as error:  # a module may make tensors of single precision inside
            why = line_of(error)
            continue
        apart = []
        for one, other in zip(*map(tensors_in, outputs), strict=True):
            difference = inf
            if one.shape == other.shape:
                difference = float((one - other).abs().max() / one.abs().max())
            apart.append(difference)
        return precision, max(apart)
    what = f"does not run on noise of {' x '.join(map(str, shape))} ({why})"
    hint = "try its forward on that, or say its channels by padviz.load(module, shape=...)"
    raise DescriptionError(what, where=type(model).__name__, hint=hint)


def sharded(model: Model, image: Tensor, n: int, *, axis: str | None = None) -> Any:
    """Run a module on shards of an image, as several devices would, and return its output, without
    gradients.

    Of a map of m rows, shard k owns the rows from k * m // n on. Each layer fetches the rows that
    it reads of other shards; norms and means exchange their sums. `padviz.shards` lists what is
    fetched.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode.
    image : torch.Tensor, (batch, channels, height, width), (batch, channels, samples) or a volume
    n : int
        The number of shards.
    axis : str, optional
        "height" or "width" of an image, "length" of a signal, also "depth" of a volume. By default
        the height, or the length.

    Returns
    -------
    What the module returns.

    Raises
    ------
    OptionError
        For a module in training mode, and for an axis that the image does not have.
    DescriptionError
        For a layer that needs all positions in another way, such as attention, naming it.

    Examples
    --------
    >>> import torch
    >>> model, image = torch.nn.Conv2d(3, 4, 5, padding=2).eval(), torch.rand(1, 3, 31, 40)
    >>> torch.allclose(sharded(model, image, 3), model(image), atol=1e-6)
    True
    """
    check_integer(n, 1, "n")
    check_evaluating(model)
    axes = AXES.get(getattr(image, "ndim", 0) - 2)
    if axes is None:
        hint = "give a tensor (batch, channels, height, width)"
        raise OptionError(
            "must have a batch, channels and one to three axes", option="image", hint=hint
        )
    axis = axis or axes[-2:][0]
    if axis not in axes:
        raise OptionError(
            f"the image has {' x '.join(axes)}, not {axis!r}",
            option="axis",
            hint="name one of them",
        )
    return by_layer(model, image, {axes.index(axis) - len(axes): n})
