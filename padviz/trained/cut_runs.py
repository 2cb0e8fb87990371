"""Run a network on noise, whole and cut into tiles, shards or chunks, and compare the outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.cutting.plan import check_evaluating, plan_by_layer, plan_tiles
from padviz.cutting.running import tiled
from padviz.cutting.streams import check_signal
from padviz.errors import DescriptionError, ForwardError, OptionError, SizeError
from padviz.network.network import Network, Size, in_words
from padviz.progress import Progress, counter
from padviz.sources import is_module
from padviz.trained.asking import COARSE, NOT_DOUBLE, Answer, Asked, Verdict, Verified
from padviz.trained.networks.reading import head_maps
from padviz.trained.networks.trained_network import Trained

Map = NDArray[Any]
# Of a network and an image (1, channels, ...), each output's name, whole and put together.
Both = Callable[[Trained, Map], list[tuple[str, Map, Map]]]
# Difference over the largest value that rounding explains.
TOLERANCES = {"float64": 1e-12, "float32": 1e-4}
SEAM = 10  # times the median row: what a row may differ by
MOST_PIXELS = 2048 * 2048
FURTHER = (0, 1, 2, 4, 8, 16, 32, 64)  # pixels by which the sizes that are run exceed the one named


class Cut(NamedTuple):
    """How a network is cut: into `tile`s, by layer if `norms` are shared, `shards` or chunks."""

    tile: Size | None
    norms: str | None
    shards: int | None
    stream: int | None

    @property
    def name(self) -> Literal["tiles", "shards", "chunks"]:
        """What the parts are called."""
        if self.stream is not None:
            return "chunks"
        if self.shards is not None:
            return "shards"
        return "tiles"

    def sides(self, size: Size) -> Size:
        """Return what the sides of an image must not be multiples of."""
        if self.tile is not None:
            return self.tile
        return (self.stream or self.shards or 1,) * len(size)


def compare_cut(
    trained: Trained,
    network: Network,
    cut: Cut,
    thorough: bool = False,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Verified:
    """Run a network whole and cut at two sizes, a module in its own type and in float64."""
    ways: list[tuple[Trained, AbstractContextManager[object]]] = [(trained, nullcontext())]
    if is_module(trained.model):
        from padviz.trained.networks.torch_network import types_and_modes

        ways = types_and_modes(trained, thorough)
    if cut.norms != "shared" and cut.name == "tiles":
        plan = partial(_by_tiles, cut)
    elif not is_module(trained.model):
        what, hint = "runs PyTorch modules only", "name one as package.module:attribute"
        raise DescriptionError(what, where=trained.where, hint=hint)
    else:
        plan = partial(_by_layer, cut)
    check_evaluating(trained.model)
    random, advance = np.random.default_rng(seed), counter(0, on_progress)
    answers: list[Answer] = []
    precisions: dict[str, None] = {}
    for size, both in _sizes(network, trained.size, cut, partial(plan, advance)):
        noise = random.random((1, trained.channels, *size))
        for model, mode in ways:
            with mode:
                try:
                    outputs = both(model, noise)
                except (DescriptionError, RuntimeError):
                    # What makes numbers of single precision inside does not take others.
                    if model is trained:
                        raise
                    answers.append(Answer(network.name, cut.name, None, "not judged", NOT_DOUBLE))
                    continue
            for name, whole, parts in outputs:
                precisions[str(whole.dtype)] = None
                answers.append(_compared(cut.name, size, name, whole, parts))
    return Verified(trained.size, ", ".join(precisions), answers)


def _sizes(
    network: Network, size: Size, cut: Cut, plan: Callable[[Network, Size], Both]
) -> Iterator[tuple[Size, Both]]:
    """Yield two sizes that are no multiples of a part, with what runs there."""
    if prod(size) > MOST_PIXELS:
        what = f"runs the network on {in_words(size)} {network.px}, which takes too long"
        raise OptionError(what, option="size", hint="use a smaller one")
    found = 0
    for more in FURTHER:
        larger = tuple(n + more for n in size)
        if found == 2 or not all(map(int.__mod__, larger, cut.sides(size))):
            continue
        try:
            both = plan(network.at(larger), larger)
        except (SizeError, ForwardError):  # the network does not take that size
            continue
        found += 1
        yield larger, both
    if not found:
        what = f"{in_words(size)} is not one that can be cut, nor are larger ones"
        raise OptionError(what, option="size", hint="use another one")


def _by_tiles(cut: Cut, advance: Callable[[int], None], network: Network, size: Size) -> Both:
    assert cut.tile is not None
    plan = plan_tiles(network, size, cut.tile, ignore_norms=cut.norms == "per-tile")
    _check_several(len(plan), size)

    def both(trained: Trained, noise: Map) -> list[tuple[str, Map, Map]]:
        run = head_maps(trained, network)

        def counting(tile: Map) -> list[Map]:
            advance(1)
            return run(tile)

        parts = tiled(counting, noise, plan)
        if not isinstance(parts, list):
            parts = [parts]
        return [*zip(plan.heads, run(noise), parts, strict=True)]

    return both


def _by_layer(cut: Cut, advance: Callable[[int], None], network: Network, size: Size) -> Both:
    from padviz.cutting.by_layer import by_layer
    from padviz.cutting.streaming import in_chunks
    from padviz.trained.networks.torch_network import whole_and_cut

    run: Callable[..., object]
    if cut.stream is not None:
        check_signal(network)
        run = partial(in_chunks, first=size[0] % cut.stream, chunk=cut.stream)
    else:
        parts = {-len(size): cut.shards or 1}
        if cut.tile is not None:
            plan = plan_by_layer(network, size, cut.tile)
            _check_several(plan.tiles, size)
            parts = plan.parts
        run = partial(by_layer, parts=parts, on_part=lambda: advance(1))
    return lambda trained, noise: whole_and_cut(trained.model, noise, run)


def _check_several(tiles: int, size: Size) -> None:
    if tiles == 1:
        what = f"one tile covers all of {in_words(size)}, so nothing is compared"
        raise OptionError(what, option="tile", hint="use a smaller one, or a larger `size`")


def _compared(name: Asked, size: Size, head: str, whole: Map, parts: Map) -> Answer:
    precision = str(whole.dtype)
    tolerance = TOLERANCES.get(precision, COARSE)
    about = f"at {in_words(size)}, {precision}"
    if whole.shape != parts.shape:
        words = f"has the shape {in_words(whole.shape)} whole, {in_words(parts.shape)} cut, {about}"
        return Answer(head, name, None, "wrong", words)
    largest = np.abs(whole).max()
    if not np.ptp(whole):
        words = f"is the same everywhere for noise, {about}"
        return Answer(head, name, None, "nothing to show", words)
    errors = np.abs(whole - parts) / largest
    difference = float(errors.max())
    verdict: Verdict = "holds"
    words = f"differs by {difference:.2g} of its largest value; {tolerance:g} is rounding, {about}"
    axes = range(-len(size), 0) if whole.ndim == len(size) + 2 else ()
    for axis in axes:
        rows = np.moveaxis(errors, axis, 0).reshape(errors.shape[axis], -1).max(1)
        row = int(rows.argmax())
        # Rounding differs alike in all rows, a seam in a few.
        if rows[row] > max(tolerance / SEAM, SEAM * np.median(rows)):
            verdict, words = "wrong", f"{words}, most in line {row} of axis {axis + len(size)}"
            break
    if not difference <= tolerance:
        verdict = "wrong"
    return Answer(head, name, None, verdict, words)
