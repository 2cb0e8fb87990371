"""Ask a network whether it does what padviz says: the sizes of its maps, and what units read.

All pixels that a unit does not read are drawn anew: it must stay as it was. Then each outermost
line of pixels that it reads is drawn anew: it should change. Units that change with lines which
they do not read are asked, too. The network runs forward, so that values decide, and modules and
files are asked alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count import usage
from padviz.engine.apply import apply
from padviz.errors import DescriptionError
from padviz.network.network import Network, Size, in_words
from padviz.network.sizes import resolve_each, sizes_of_each
from padviz.network.targets import target_names, upto
from padviz.phrases import listed
from padviz.progress import Progress, counter
from padviz.sources import is_module
from padviz.trained.networks.reading import input_type, run_up_to
from padviz.trained.networks.running import Outputs
from padviz.trained.networks.trained_network import Trained

Map = NDArray[Any]
Mask = NDArray[np.bool_]
Drawn = tuple[Map, Map]  # a map (features, ...) of each of the two images of a draw
Verdict = Literal["holds", "wrong", "not seen", "nothing to show", "not judged"]
Asked = Literal["size", "unit", "padding", "tiles", "shards", "chunks"]
# Change of a unit over its spread, beyond the rounding that fast convolutions leak into it.
TOLERANCES = {"float64": 1e-10, "float32": 1e-4}
COARSE = 2e-2  # of shorter types
# A unit that hardly varies has this share of the largest value of its map for a spread.
LEAST_SPREAD = 0.02
FAINT = 10  # times the tolerance: the share of paths below which a line is too faint to be seen
NOT_DOUBLE = "does not run in float64"
DRAWS = 5  # of two images, for what one of them hides
DRAWN = 2  # units beside those in a corner, on two sides and in the middle
COMBS = 6  # images in which every few lines differ
PREFIX = 8  # tokens without a position, at most, in front of those of a map
WINDOWS = ("conv", "convtranspose", "maxpool", "avgpool")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network said of a layer: what was `asked`, of which `unit`, and the verdict."""

    layer: str
    asked: Asked
    unit: list[int] | None
    verdict: Verdict
    words: str = ""


@dataclass(frozen=True)
class Verified:
    """What a network said at a `size`, in the type of its weights: one answer for each question.

    >>> import padviz
    >>> from torch import nn
    >>> found = padviz.verify(nn.Conv2d(3, 4, 3, padding=1), 16)
    >>> found.precision, found.finding is None, len(found.of("holds"))
    ('float32', True, 7)
    """

    size: Size
    precision: str
    answers: list[Answer]

    @property
    def holds(self) -> bool:
        """Whether nothing differs, and some unit or output shows it."""
        return self.finding is None and bool(self.of("holds", "not seen"))

    @property
    def tolerance(self) -> float:
        """Change of a unit over its spread that rounding explains."""
        return TOLERANCES.get(self.precision.partition(",")[0], COARSE)

    @property
    def finding(self) -> Answer | None:
        """What differs first."""
        return next((each for each in self.answers if each.verdict == "wrong"), None)

    def of(self, *verdicts: Verdict) -> list[Answer]:
        """List the answers with these verdicts, but for sizes."""
        return [each for each in self.answers if each.asked != "size" and each.verdict in verdicts]


def ask(
    trained: Trained,
    layer: str | Sequence[str] | None = None,
    thorough: bool = False,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Verified:
    """Ask a network about the sizes of its maps, and about units of some layers.

    By default these are its last maps. Where all units of a layer read the whole image, units of
    the last layer before it that do not are asked. `thorough` asks units of all layers in front of
    them too, and runs a module in float64 as well.
    """
    targets = target_names(layer, trained.network)
    network = upto(trained.network, targets)
    asked, ways = [*targets], [trained]
    if thorough:
        asked = [each.name for each in network.layers[:0:-1]]
        if is_module(trained.model):
            from padviz.trained.networks.torch_network import in_float64

            ways.append(in_float64(trained))
    answers: list[Answer] = []
    types = []
    for way in ways:
        try:
            probe = _Probe(way, network, seed, on_progress)
        except (DescriptionError, RuntimeError):
            if way is trained:
                raise
            answers.append(Answer(network.name, "unit", None, "not judged", NOT_DOUBLE))
            continue
        types.append(probe.runs.dtype)
        answers += probe.sizes()
        for name in asked:
            answers += probe.layer(name)
    return Verified(trained.size, ", ".join(types), answers)


class _Module:
    """A module: the results of its calls, by the names in `layers`, and what it returns."""

    def __init__(self, trained: Trained) -> None:
        from padviz.trained.networks.torch_network import TorchRunner, layers_of_results

        self.runner = TorchRunner(trained.model, trained.where, trained.size, trained.channels)
        self.layers = layers_of_results(trained)
        self.outputs = {f"return {name}": of for name, of in trained.network.aliases.items()}
        self.layers |= self.outputs
        self.dtype = str(self.runner.like.dtype).removeprefix("torch.")

    def run(self, image: Map, names: Collection[str] | None) -> Outputs:
        results, outputs = self.runner.every_map(image, names)
        named = {f"return {name}": values for name, values in outputs.items()}
        return results.maps | named


class _File:
    """An ONNX file: the values of its tensors."""

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        self.layers = dict(trained.network.aliases)
        self.outputs = {output.name for output in trained.model.graph.output}
        self.dtype = str(input_type(trained))
        self.batch = trained.model.image.shape[0] or 1
        self.runs = cache(lambda names: run_up_to(trained, names, []))

    def run(self, image: Map, names: Collection[str] | None) -> Outputs:
        if names is None:
            names = self.layers
        return self.runs(tuple(names))(image.repeat(self.batch, 0))


class _Probe:
    """A network that runs, what padviz says of it, and the images that were drawn so far."""

    def __init__(
        self, trained: Trained, network: Network, seed: int, on_progress: Progress | None
    ) -> None:
        self.trained, self.network = trained, network
        self.runs = _Module(trained) if is_module(trained.model) else _File(trained)
        self.tolerance = TOLERANCES.get(self.runs.dtype, COARSE)
        self.random = np.random.default_rng(seed)
        self.images: list[Map] = []
        self.asked: set[str] = set()  # layers whose units were asked
        self.advance = counter(0, on_progress)
        sizes = zip(*sizes_of_each(self.network, trained.size), strict=True)
        self.said = dict(zip(self.network.index, sizes, strict=True))
        self.shapes = {name: values.shape for name, values in self.run(self.image(0)).items()}

    def run(self, image: Map, names: Collection[str] | None = None) -> Outputs:
        self.advance(1)
        return self.runs.run(image, names)

    def image(self, number: int) -> Map:
        """Return one of the images that are drawn, (1, channels, ...), the same each time."""
        while len(self.images) <= number:
            shape = (1, self.trained.channels, *self.trained.size)
            noise = self.random.standard_normal(shape)
            if input_type(self.trained).kind in "iu":
                noise = 128 + 40 * noise
            self.images.append(noise)
        return self.images[number]

    def named(self, layer: str) -> list[str]:
        """List the results that belong to a layer, its own first."""
        return [name for name, of in self.runs.layers.items() if of == layer]

    def map_of(self, layer: str) -> str | None:
        """Return the first result of a layer that has the positions which padviz says."""
        for name in self.named(layer):
            shape = self.shapes.get(name, ())
            if positions(np.broadcast_to(0, shape), self.said[layer]) is not None:
                return name
        return None

    def sizes(self) -> Iterator[Answer]:
        """Compare the size of each map that is returned, and of each window's result."""
        for layer in self.network.layers[1:]:
            size = self.said[layer.name]
            for at, name in enumerate(self.named(layer.name)):
                shape = self.shapes.get(name, ())
                known = name in self.runs.outputs or (at == 0 and layer.kind in WINDOWS)
                if positions(np.broadcast_to(0, shape), size) is not None:
                    yield Answer(layer.name, "size", None, "holds")
                    break
                if known and len(shape) == len(size) + 2:
                    words = f"has the shape {in_words(shape)}; padviz says {in_words(size)} units"
                    yield Answer(layer.name, "size", None, "wrong", words)
                    break

    def layer(self, target: str) -> Iterator[Answer]:
        """Ask units of a layer, or of the last one before it whose units read different pixels."""
        if unfit := self.unfit():
            yield Answer(target, "unit", None, "not judged", unfit)
            return
        barrier, why = "", ""
        for layer in reversed(upto(self.network, (target,)).layers[1:]):
            name = self.map_of(layer.name)
            if name is None:
                continue
            if layer.name in self.asked:
                break
            self.asked.add(layer.name)
            if mixing := mixing_layer(upto(self.network, (layer.name,))):
                barrier, why = mixing, "mixes all positions"
            elif self.counts(layer.name, (0,) * len(self.trained.size)).all():
                barrier, why = layer.name, "reads the whole image"
            else:
                yield from self.units(layer.name, name)
                break
        else:
            if not barrier:
                words = "no result of the network has its size"
                yield Answer(target, "unit", None, "not judged", words)
        if barrier:
            words = f"{why}, so no unit of {target} shows what it reads"
            yield Answer(barrier, "unit", None, "nothing to show", words)

    def unfit(self) -> str:
        """Return why no unit of the network can be judged; "" if units can."""
        model = self.trained.model
        kinds = set[str]()
        if not is_module(model):
            kinds = {node.op_type for node in model.graph.node}
        if "DynamicQuantizeLinear" in kinds:
            return "is in 8 bits, and DynamicQuantizeLinear takes its scale from all values"
        return ""

    def units(self, layer: str, name: str) -> Iterator[Answer]:
        drawn: list[Drawn] = []
        units = [
            _Unit(self, layer, name, at, drawn) for at in units_of(self.said[layer], self.random)
        ]
        units[0].spread(0)  # draws two images
        first, again = drawn[0][0], units[0].map_of(self.image(0))
        why = ""
        if not np.isfinite(first).all():
            why = "has NaN or infinite numbers for noise"
        elif np.abs(first - again).max() > self.tolerance * np.abs(first).max():
            why = "gives another result when it runs again"
        if why:
            yield Answer(layer, "unit", None, "not judged", why)
            return
        suspects = [_Unit(self, layer, name, at, drawn) for at in self.suspects(units[0])]
        for unit in [*units, *suspects]:
            verdict, words = unit.asked(self.counts(layer, unit.at))
            yield Answer(layer, "unit", [*unit.at], verdict, words)

    def suspects(self, unit: _Unit) -> Iterator[Size]:
        """Yield units of a unit's map that change with lines which padviz says they do not read.

        The lines are as far apart as a unit in the middle reads, so that a few runs try all units.
        """
        before = unit.drawn[0][0]
        middle = tuple(n // 2 for n in self.said[unit.layer])
        steps = [len(lines) + 1 for lines in lines_of(self.counts(unit.layer, middle) > 0)]
        network = upto(self.network, (unit.layer,))
        firsts = [self.random.permutation(step) for step in steps]
        for comb in range(min(COMBS, max(steps))):
            lines = np.zeros(self.trained.size, bool)
            for axis, step in enumerate(steps):
                np.moveaxis(lines, axis, 0)[firsts[axis][comb % step] :: step] = True
            change = np.abs(unit.map_of(unit.mixed(0, lines)) - before).max(0)
            change[reading(network, lines)] = 0
            if change.max() > self.tolerance * np.abs(before).max():
                yield tuple(map(int, np.unravel_index(change.argmax(), change.shape)))

    def counts(self, layer: str, unit: Size) -> NDArray[np.float64]:
        """Count the paths from each pixel to a unit; of a volume, 1 where there are any."""
        if len(unit) > 2:
            masks = leading(upto(self.network, (layer,)), self.trained.size, unit)
            return next(iter(masks.values())).astype(float)
        row, column = (0, *unit)[-2:]
        counted = usage(self.network, self.trained.size, layer=layer, unit=(row, column))
        return counted.counts.astype(float).reshape(self.trained.size)

    def cause(self, layer: str, unit: Size, one: Map, other: Map) -> str:
        """Return the first result that changes where padviz says that it leads to a unit.

        The two images are alike in all that padviz says the unit reads.
        """
        before, after = self.run(one), self.run(other)
        masks = leading(upto(self.network, (layer,)), self.trained.size, unit)
        for name, of in self.runs.layers.items():
            if of not in masks or name not in before or before[name].dtype.kind != "f":
                continue
            first, second = (positions(maps[name], self.said[of]) for maps in (before, after))
            if first is None or second is None:
                continue
            values, changed = first[:, masks[of]], second[:, masks[of]]
            if not values.size:
                continue
            if np.abs(values - changed).max() > self.tolerance * np.abs(values).max():
                return name.removeprefix("return ")
        return layer


class _Unit:
    """One unit, and how it changes where pixels of an image are drawn anew."""

    def __init__(self, probe: _Probe, layer: str, name: str, at: Size, drawn: list[Drawn]) -> None:
        self.probe, self.layer, self.name, self.at, self.drawn = probe, layer, name, at, drawn

    def map_of(self, image: Map) -> Map:
        values = self.probe.run(image, [self.name])[self.name]
        features = positions(values, self.probe.said[self.layer])
        assert features is not None
        return features.astype(float)

    def most(self, values: Map) -> float:
        at: Any = (slice(None), *self.at)
        return float(np.abs(values[at]).max())

    def spread(self, draw: int) -> float:
        """Return how far the unit differs between the two images of a draw; 0 if not at all."""
        while len(self.drawn) <= draw:
            images = [self.probe.image(2 * len(self.drawn) + i) for i in range(2)]
            self.drawn.append((self.map_of(images[0]), self.map_of(images[1])))
        one, other = self.drawn[draw]
        spread = self.most(one - other)
        if spread > 0:
            spread = max(spread, LEAST_SPREAD * float(np.abs(one).max()))
        return spread

    def draws(self) -> Iterator[int]:
        """Yield the draws of two images between which the unit differs."""
        return (draw for draw in range(DRAWS) if self.spread(draw) > 0)

    def mixed(self, draw: int, mask: Mask) -> Map:
        """Return the first image of a draw, with the pixels in a mask of the second."""
        return np.where(mask, self.probe.image(2 * draw + 1), self.probe.image(2 * draw))

    def changes(self, draw: int, mask: Mask) -> bool:
        change = self.map_of(self.mixed(draw, mask)) - self.drawn[draw][0]
        return self.most(change) > self.probe.tolerance * self.spread(draw)

    def asked(self, counts: NDArray[np.float64]) -> tuple[Verdict, str]:
        """Return whether the unit reads the pixels from which padviz counts paths."""
        reads = counts > 0
        if reads.all():
            return "nothing to show", "reads the whole image"
        first = next(self.draws(), None)
        if first is None:
            if reads.any():
                return "nothing to show", "is the same on all images"
            return "holds", ""
        if self.changes(first, ~reads):
            others = [draw for draw in self.draws() if draw != first]
            if not any(self.changes(draw, ~reads) for draw in others):
                return "not judged", "what it does not read changed it in one draw alone"
            if not shows_positions(self.probe.shapes[self.name], self.probe.said[self.layer]):
                return "not judged", "may be another unit: its map's shape does not show its order"
            return "wrong", self.finding(first, reads)
        unseen = []
        for words, line in ends_of(counts, self.probe.network.axes, FAINT * self.probe.tolerance):
            if not any(self.changes(draw, line) for draw in self.draws()):
                unseen.append(words)
        if unseen:
            return "not seen", f"never changed with {listed(unseen)}"
        return "holds", ""

    def finding(self, draw: int, reads: Mask) -> str:
        """Describe a pixel that changes the unit and should not, and the first result to change."""
        outside = np.flatnonzero(~reads)
        while len(outside) > 1:
            half = outside[: len(outside) // 2]
            mask = np.zeros(reads.size, bool)
            mask[half] = True
            if self.changes(draw, mask.reshape(reads.shape)):
                outside = half
            else:
                outside = outside[len(half) :]
        pixel = tuple(map(int, np.unravel_index(outside[0], reads.shape)))
        images = self.probe.image(2 * draw), self.mixed(draw, ~reads)
        cause = self.probe.cause(self.layer, self.at, *images)
        says = "no pixel"
        if reads.any():
            lines = zip(self.probe.network.axes, lines_of(reads), strict=True)
            ranges = [f"{axis} {each[0]} to {each[-1]}" for axis, each in lines]
            says = f"only {' and '.join(ranges)}"
        return (
            f"changes with pixel {pixel}; padviz says that it reads {says}; "
            f"the first result to change is {cause}"
        )


def positions(values: Map, size: Size) -> Map | None:
    """Return a map with its features in front, (features, *size); None if it has no such shape.

    Channels may be first or last, and positions flattened to tokens, some in front of them.

    >>> positions(np.zeros((1, 65, 3)), (8, 8)).shape
    (3, 8, 8)
    """
    dims = len(size)
    if values.ndim < 2:
        return None
    whole: Map = values[0]
    if whole.shape == size:
        return whole[None]
    if whole.ndim == dims + 1:
        for channels in (0, dims, *range(1, dims)):
            if whole.shape[:channels] + whole.shape[channels + 1 :] == size:
                return np.moveaxis(whole, channels, 0)
    if whole.ndim == 2 <= dims:
        for tokens in (0, 1):
            more = whole.shape[tokens] - prod(size)
            if 0 <= more <= PREFIX:
                return np.moveaxis(whole, tokens, 1)[:, more:].reshape(-1, *size)
    return None


def shows_positions(shape: Size, size: Size) -> bool:
    """Return whether the shape of a map shows which of its dimensions are its positions.

    A map with as many channels as rows shows nothing. Tokens have no order of their own.

    >>> shows_positions((1, 3, 8, 8), (8, 8)), shows_positions((1, 8, 8, 8), (8, 8))
    (True, False)
    """
    whole = shape[1:]
    fits = [at for at in range(len(whole)) if whole[:at] + whole[at + 1 :] == size]
    return whole == size or len(fits) == 1


def mixing_layer(network: Network) -> str:
    """Return the first layer whose positions depend on all, though no paths are counted there."""
    for layer in network.layers:
        if layer.everywhere or layer.kind == "gate":
            return layer.name
    return ""


def leading(network: Network, size: Size, unit: Size) -> dict[str, Mask]:
    """Return the positions of each layer that lead to a unit of the network's target."""
    axes = resolve_each(network, size)
    sizes = zip(*(axis.sizes for axis in axes), strict=True)
    masks = [np.zeros(shape, bool) for shape in sizes]
    masks[network.index[network.targets[0]]][unit] = True
    for at in range(len(masks) - 1, 0, -1):
        read = masks[at]
        for axis, along in enumerate(axes):
            axis_map = along.maps[at]
            if axis_map is not None:
                read = np.apply_along_axis(axis_map.rows_read, axis, read)
        for entering in network.layers[at].inputs:
            masks[entering] |= read
    return dict(zip(network.index, masks, strict=True))


def reading(network: Network, pixels: Mask) -> Mask:
    """Return the units of a network's target that read any of some pixels."""
    masks = [pixels]
    axes = resolve_each(network, pixels.shape)
    for at, layer in enumerate(network.layers[1:], start=1):
        read = reduce(np.logical_or, [masks[entering] for entering in layer.inputs])
        for place, along in enumerate(axes):
            axis_map = along.maps[at]
            if axis_map is not None:
                lines = np.moveaxis(read, place, 0)
                counts = lines.reshape(1, len(lines), -1).astype(float)
                units = apply(axis_map, counts, 1, engine="numpy")[0] > 0
                read = np.moveaxis(units.reshape(-1, *lines.shape[1:]), 0, place)
        masks.append(read)
    return masks[network.index[network.targets[0]]]


def units_of(size: Size, random: np.random.Generator) -> list[Size]:
    """Return a corner, the middle of two far sides, the middle, and some that are drawn."""
    middle = tuple(n // 2 for n in size)
    sides = [(*middle[:i], n - 1, *middle[i + 1 :]) for i, n in enumerate(size)]
    drawn = [tuple(int(random.integers(n)) for n in size) for _ in range(DRAWN)]
    return [*dict.fromkeys([(0,) * len(size), *sides, middle, *drawn])]


def lines_of(reads: Mask) -> list[NDArray[np.int64]]:
    """Return by axis the lines with pixels that are read."""
    lines = []
    for axis in range(reads.ndim):
        others = tuple(other for other in range(reads.ndim) if other != axis)
        lines.append(np.flatnonzero(reads.any(others)))
    return lines


def ends_of(
    counts: NDArray[np.float64], axes: Sequence[str], faint: float
) -> Iterator[tuple[str, Mask]]:
    """Yield the outermost lines that are read, unless their share of all paths is faint."""
    reads = counts > 0
    for axis, lines in enumerate(lines_of(reads)):
        for line in dict.fromkeys([lines[0], lines[-1]]):
            mask = np.zeros_like(reads)
            mask[(slice(None),) * axis + (line,)] = True
            mask &= reads
            if counts[mask].sum() > faint * counts.sum():
                yield f"{axes[axis]} {line}", mask
