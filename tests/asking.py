"""Holds what padviz says of a network against the network itself, run as it is, in the type of its weights.

Of a few units of each last map, all pixels that padviz says they do not read are drawn anew: the unit must
stay as it was. Then each outermost row and column that it reads is drawn anew: the unit should change, but a
ReLU, a maximum or a zero weight may hide that. The network runs forward only, one image at a time, so that
values decide, and the same kernels run. Of padviz this takes the network that was loaded, the sizes of its
layers, and `padviz.usage` of single units.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import padviz
from padviz.network.sizes import layer_rows
from padviz.network.targets import last_maps, upto
from tests.onnx_oracle import session_of

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Unit = tuple[int, ...]
Maps = dict[str, Array]
# "whole": each unit reads all positions; "unseen": some pixels that are read never changed the unit
Verdict = Literal["holds", "wrong", "unseen", "whole", "not judged"]

# change of a unit over its spread, beyond the rounding that fast convolutions leak from their neighbours
TOLERANCES = {"float64": 1e-10, "float32": 1e-4}
COARSE = 2e-2  # of shorter types
FAINT = 10  # times the tolerance: the share of paths below which a row is too faint to be seen
DRAWS = 5  # of images, for what one of them hides
PREFIX = 8  # tokens without a position, at most, in front of those of a map
WINDOWS = ("conv", "convtranspose", "maxpool", "avgpool")


@dataclass(frozen=True)
class Row:
    """What came out for a unit of a layer, or for the shape of its map, if `unit` is None."""

    layer: str
    unit: Unit | None
    verdict: Verdict
    words: str = ""


@dataclass(frozen=True)
class Asked:
    """What the network said to all that padviz says of it."""

    rows: list[Row]

    @property
    def holds(self) -> bool:
        return not self.finding

    @property
    def finding(self) -> str:
        """What differs first: the unit, what padviz says, and what the network does."""
        return next((row.words for row in self.rows if row.verdict == "wrong"), "")

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of units have each verdict."""
        return dict(Counter(row.verdict for row in self.rows if row.unit is not None))


class Module:
    """A PyTorch module, which runs in the type of its weights: maps of its parts by their names, and what it returns."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        floats = (weight.dtype for weight in module.parameters() if weight.is_floating_point())
        self.type = next(floats, torch.float32)
        self.dtype = str(self.type).removeprefix("torch.")
        self.leaves = {name for name, part in module.named_modules() if not [*part.children()]}

    def run(self, image: Array, names: Sequence[str] | None = None) -> Maps:
        maps: Maps = {}
        calls = Counter[str]()

        def keep(name: str, _: nn.Module, __: object, output: object) -> None:
            calls[name] += 1
            if calls[name] > 1:
                name = f"{name}_{calls[name]}"
            if isinstance(output, Tensor) and (names is None or name in names):
                # later calls may write into it
                maps[name] = output.numpy().copy()

        hooks = [
            module.register_forward_hook(partial(keep, name))
            for name, module in self.module.named_modules()
        ]
        try:
            with torch.no_grad():
                output = self.module(torch.from_numpy(image).to(self.type))
        finally:
            for hook in hooks:
                hook.remove()
        for path, tensor in returned(output):
            if names is None or f"return {path}" in names:
                maps[f"return {path}"] = tensor.numpy()
        return maps


def returned(output: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors in what a module returned, by their keys and positions in it."""
    if isinstance(output, Tensor):
        yield path or "output", output
        return
    items: Any = ()
    if isinstance(output, Mapping):
        items = output.items()
    elif isinstance(output, list | tuple):
        items = enumerate(output)
    for key, value in items:
        yield from returned(value, f"{path}.{key}" if path else str(key))


class File:
    """An ONNX file, whose tensors are all returned by their names."""

    leaves: frozenset[str] = frozenset()

    def __init__(self, path: Path) -> None:
        model = onnx.load(path)
        known = {output.name for output in model.graph.output}
        made = [name for node in model.graph.node for name in node.output if name]
        added = [onnx.ValueInfoProto(name=name) for name in made if name not in known]
        model.graph.output.extend(added)
        self.session = session_of(model, optimised=True)
        self.input = self.session.get_inputs()[0]
        self.dtype = {"tensor(double)": "float64"}.get(self.input.type, "float32")

    def run(self, image: Array, names: Sequence[str] | None = None) -> Maps:
        wanted = [output.name for output in self.session.get_outputs()]
        if names is not None:
            wanted = [name for name in wanted if f"return {name}" in names]
        values = self.session.run(wanted, {self.input.name: image.astype(self.dtype)})
        return dict(zip([f"return {name}" for name in wanted], values, strict=True))


def ask(
    model: nn.Module | Path,
    size: int | Unit,
    network: padviz.Network | None = None,
    layers: Sequence[str] | None = None,
    drawn: int = 2,
    seed: int = 0,
) -> Asked:
    """Ask a network at a size, by default about its last maps, whether it does what padviz says.

    Of each map these are units in a corner, on two sides and in the middle, and some that are drawn.
    """
    network = network or padviz.load(model, size=size)
    runs = File(model) if isinstance(model, Path) else Module(model.eval())
    probe = Probe(runs, network, drawn, seed)
    if not probe.runs_alike():
        return Asked([Row("", None, "not judged", "it gives another result when it runs again")])
    rows = [*probe.shapes()]
    for layer in layers or network.targets or last_maps(network):
        rows += probe.layer(layer)
    return Asked(rows)


class Probe:
    """A network that runs, what padviz says of it, and the images that were drawn so far."""

    def __init__(self, runs: Module | File, network: padviz.Network, drawn: int, seed: int) -> None:
        self.runs, self.network, self.drawn = runs, network, drawn
        self.random = np.random.default_rng(seed)
        self.tolerance = TOLERANCES.get(runs.dtype, COARSE)
        rows = layer_rows(network, network.size)
        self.sizes: dict[str, Unit] = {row.layer: tuple(row.output) for row in rows}
        self.images: list[Array] = []
        self.maps = runs.run(self.image(0))

    def image(self, number: int) -> Array:
        """One of the images that were drawn: shape (1, channels, ...), the same each time."""
        while len(self.images) <= number:
            shape = (1, self.network.channels or 3, *self.network.size)
            self.images.append(self.random.standard_normal(shape))
        return self.images[number]

    def runs_alike(self) -> bool:
        again = self.runs.run(self.image(0))
        return all(np.array_equal(self.maps[name], again[name], True) for name in self.maps)

    def names(self, layer: str) -> list[str]:
        """What the map of a layer may be called among those of a run."""
        aliases = self.network.aliases.items()
        return [f"return {alias}" for alias, name in aliases if name == layer] + [layer]

    def shapes(self) -> Iterator[Row]:
        """Hold the size of each map that is returned, and of each window that is a module of its own."""
        for layer, shape in self.sizes.items():
            for name in self.names(layer):
                if name not in self.maps:
                    continue
                values = self.maps[name]
                kind = self.network.find(layer).kind
                known = name.startswith("return ") or (name in self.runs.leaves and kind in WINDOWS)
                if positions(values, shape) is not None:
                    yield Row(layer, None, "holds")
                elif known and values.ndim == len(shape) + 2 and len(values) == 1:
                    words = f"the map of {layer} has shape {values.shape}; padviz says {shape}"
                    yield Row(layer, None, "wrong", words)

    def layer(self, layer: str) -> Iterator[Row]:
        """Ask units of a layer's map, or of the last map before it that can be had."""
        part = upto(self.network, (layer,))
        for before in reversed(part.layers[1:]):
            shape = self.sizes[before.name]
            for name in self.names(before.name):
                if name in self.maps and positions(self.maps[name], shape) is not None:
                    yield from self.units(before.name, name, shape)
                    return
        yield Row(
            layer, None, "not judged", f"{layer}: no map of the network is known to be its own"
        )

    def units(self, layer: str, name: str, shape: Unit) -> Iterator[Row]:
        for before in upto(self.network, (layer,)).layers:
            if before.everywhere or before.kind == "gate":
                words = f"nothing to show: {before.name} mixes all positions"
                yield Row(layer, shape, "whole", words)
                return
        if len(shape) > 2:
            yield Row(layer, None, "not judged", "padviz maps no units of volumes")
            return
        for unit in units_of(shape, self.drawn, self.random):
            row, col = unit if len(unit) > 1 else (0, *unit)
            counts = padviz.usage(self.network, layer=layer, unit=(row, col)).counts
            yield self.unit(layer, name, unit, counts.astype(float).reshape(self.network.size))

    def unit(self, layer: str, name: str, unit: Unit, counts: Array) -> Row:
        reads = counts > 0
        if reads.all():
            return Row(layer, unit, "whole", "nothing to show: it reads the whole image")
        ask = OneUnit(self, name, self.sizes[layer], unit)
        if not [*ask.draws(1)]:
            if not reads.any():
                return Row(layer, unit, "holds")
            return Row(layer, unit, "unseen", "not seen: it is the same on all images")
        changes = [draw for draw in ask.draws(2) if ask.change(draw, ~reads) > self.tolerance]
        if len(changes) == 2:
            return Row(layer, unit, "wrong", self.finding(ask, layer, reads))
        if changes:
            return Row(
                layer, unit, "not judged", "what it does not read changed it in one of two draws"
            )
        unseen = []
        for words, end in ends_of(counts, FAINT * self.tolerance):
            draws = ask.draws(DRAWS)
            if not any(ask.change(draw, end) > self.tolerance for draw in draws):
                unseen.append(words)
        if unseen:
            return Row(layer, unit, "unseen", f"not seen: {', '.join(unseen)}")
        return Row(layer, unit, "holds")

    def finding(self, ask: "OneUnit", layer: str, reads: Mask) -> str:
        """Name a pixel that a unit reads and should not, found by halves."""
        draw = next(ask.draws(2))
        outside = np.flatnonzero(~reads)
        while len(outside) > 1:
            half = outside[: len(outside) // 2]
            mask = np.zeros(reads.size, bool)
            mask[half] = True
            if ask.change(draw, mask.reshape(reads.shape)) > self.tolerance:
                outside = half
            else:
                outside = outside[len(half) :]
        pixel = tuple(map(int, np.unravel_index(outside[0], reads.shape)))
        says = "nothing"
        if reads.any():
            lines = zip(self.network.axes, map(np.flatnonzero, along_axes(reads)), strict=True)
            says = " and ".join(f"{axis} {each[0]} to {each[-1]}" for axis, each in lines)
            says = f"only {says}"
        return (
            f"unit {ask.unit} of {layer} changes with pixel {pixel}; "
            f"padviz says that it reads {says}"
        )


class OneUnit:
    """One unit, and how it changes where pixels of an image are drawn anew."""

    def __init__(self, probe: Probe, name: str, shape: Unit, unit: Unit) -> None:
        self.probe, self.name, self.shape, self.unit = probe, name, shape, unit
        self.bases: list[Array] = []
        self.spreads: list[float] = []

    def values(self, image: Array) -> Array:
        maps = self.probe.runs.run(image, [self.name])
        values = positions(maps[self.name], self.shape)
        assert values is not None
        return np.array([each[self.unit] for each in values], dtype=np.float64)

    def draws(self, number: int) -> Iterator[int]:
        """The first draws of two images at which the unit differs."""
        for draw in range(DRAWS):
            if len(self.spreads) <= draw:
                base, other = (self.values(self.probe.image(2 * draw + i)) for i in (0, 1))
                self.bases.append(base)
                self.spreads.append(float(np.abs(base - other).max()))
            if self.spreads[draw] > 0 and number:
                number -= 1
                yield draw

    def change(self, draw: int, mask: Mask) -> float:
        """The change of the unit where the pixels in a mask are those of the other image, over its spread."""
        one, other = (self.probe.image(2 * draw + i) for i in (0, 1))
        change = self.values(np.where(mask, other, one)) - self.bases[draw]
        return float(np.abs(change).max()) / self.spreads[draw]


def positions(values: Array, shape: Unit) -> Array | None:
    """A map with its features in front, shape (features, *shape); None if it has no such shape."""
    if len(values) != 1:
        return None
    dims = len(shape)
    whole: Array = values[0]
    if whole.ndim == dims and whole.shape == shape:
        return whole[None]
    if whole.ndim == dims + 1:
        for channels in (0, dims, *range(1, dims)):
            if whole.shape[:channels] + whole.shape[channels + 1 :] == shape:
                return np.moveaxis(whole, channels, 0)
    if whole.ndim == 2 < dims + 1:
        for tokens in (0, 1):
            more = whole.shape[tokens] - math.prod(shape)
            if 0 <= more <= PREFIX:
                whole = np.moveaxis(whole, tokens, 1)[:, more:]
                return whole.reshape(-1, *shape)
    return None


def units_of(shape: Unit, number: int, random: np.random.Generator) -> list[Unit]:
    """A corner, the middle of two far sides, the middle, and some that are drawn."""
    middle = tuple(n // 2 for n in shape)
    sides = [(*middle[:i], n - 1, *middle[i + 1 :]) for i, n in enumerate(shape)]
    drawn = [tuple(int(random.integers(n)) for n in shape) for _ in range(number)]
    return [*dict.fromkeys([(0,) * len(shape), *sides, middle, *drawn])]


def along_axes(reads: Mask) -> list[Mask]:
    """Which lines along each axis have a pixel that is read."""
    axes = range(reads.ndim)
    others = [tuple(other for other in axes if other != axis) for axis in axes]
    return [np.asarray(reads.any(each)) for each in others]


def ends_of(counts: Array, faint: float) -> Iterator[tuple[str, Mask]]:
    """The outermost lines with pixels that are read, unless their share of all paths is faint."""
    reads = counts > 0
    for axis, lines in enumerate(along_axes(reads)):
        for line in np.flatnonzero(lines)[[0, -1]]:
            mask = np.zeros_like(reads)
            mask[(slice(None),) * axis + (line,)] = True
            mask &= reads
            if counts[mask].sum() > faint * counts.sum():
                yield f"line {line} of axis {axis}", mask
