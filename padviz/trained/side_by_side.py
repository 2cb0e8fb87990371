"""Two networks run on the same noise: where their outputs differ, and the first map that does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError
from padviz.network.graph import ancestors
from padviz.network.network import in_words
from padviz.phrases import counted, listed
from padviz.sources import is_module
from padviz.trained.networks.reading import input_type, run_up_to
from padviz.trained.networks.running import LEAST, Images, Outputs, Results, middle
from padviz.trained.networks.trained_network import Trained

# Of the largest value, what rounding makes of it layer after layer: 1.4e-5 in ten exports.
ROUNDING, HALF = 1e-4, 2e-2
ALIKE = 1.5  # times the distance of the pair that is most alike: the first of these is named
LINES = {"height": "row", "width": "column", "length": "sample", "depth": "slice"}
Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """How far the map of an output or a layer of A differs in B, over its largest value.

    `errors` are by part of the map: the middle half of each axis (inside) and all around it (rim),
    and lines along the border. Maps of two shapes have none.
    """

    layer: str
    other_layer: str
    errors: dict[str, float]
    where: str


class SideBySide(NamedTuple):
    """Two networks on the same `noise`: their outputs, and the `first` map inside that differs.

    `suspects` are the layers of A and of B that this may come from, and `equal` is the last map of
    A in front of them that B has, too.
    """

    noise: str
    tolerance: float
    outputs: list[Measured]
    first: Measured | None = None
    equal: str = ""
    suspects: frozenset[str] = frozenset()

    @property
    def are_equal(self) -> bool:
        return all(row.where == "equal" for row in self.outputs)


def side_by_side(a: Trained, b: Trained, seed: int) -> SideBySide:
    """Run two networks on the same noise, and find where they begin to differ."""
    if a.channels != b.channels:
        what = f"takes {counted(b.channels, 'channel')}, and {a.where} {a.channels}"
        raise DescriptionError(what, where=b.where, hint="compare networks of the same input")
    noise, about = _noise(a, b, seed)
    (results, ends), (other_results, other_ends) = _run(a, noise), _run(b, noise)
    first, second = results.maps, other_results.maps
    if len(ends) != len(other_ends):
        what = f"returns {counted(len(other_ends), 'output')}, and {a.where} {len(ends)}"
        raise DescriptionError(what, where=b.where, hint="compare networks of the same outputs")
    tolerance = ROUNDING
    if any(values.dtype == np.float16 for values in (*first.values(), *second.values())):
        tolerance = HALF

    def measured(name: str, other: str) -> Measured:
        return _measured(name, first[name], other, second[other], a.network.axes, tolerance)

    sides = SideBySide(about, tolerance, [*map(measured, ends, other_ends)])
    if sides.are_equal:
        return sides
    equal, others_equal = _matched(first, second, tolerance)
    apart, suspects = _first_apart(a, results, equal)
    others_apart, other_suspects = _first_apart(b, other_results, others_equal)
    sides = sides._replace(suspects=suspects | other_suspects)
    for name in first:
        if name in apart:
            break
        if name in equal:
            sides = sides._replace(equal=name)
    if pair := _most_alike(apart, others_apart):
        sides = sides._replace(first=measured(*pair))
    return sides


def _noise(a: Trained, b: Trained, seed: int) -> tuple[Images, str]:
    """Draw images that both networks read alike; return them with a description."""
    batch = 1
    for trained in (a, b):
        if not is_module(trained.model):
            batch = max(batch, trained.model.image.shape[0] or 1)
    shape = batch, a.channels, *a.size
    noise, drawn = np.random.default_rng(seed).standard_normal(shape), "mean 0, sd 1"
    if any(input_type(trained).kind in "iu" for trained in (a, b)):
        noise, drawn = np.clip(np.rint(128 + 40 * noise), 0, 255), "integers, mean 128, sd 40"
    # Numbers that half precision has, too.
    images = noise.astype(np.float16).astype(np.float32)
    return images, f"{in_words(shape)} of noise, {drawn}, seed {seed}"


def _run(trained: Trained, noise: Images) -> tuple[Results, list[str]]:
    """Return all results of a network, and the names of its outputs."""
    inside, outputs = _maps(trained, noise)
    _, again = _maps(trained, noise)
    for name, values in outputs.items():
        if not np.isfinite(values).all():
            what = "returns NaN or infinite numbers for noise"
            raise DescriptionError(what, where=trained.where, hint="check its weights")
        if _errors(values, again[name]).max(initial=0) > ROUNDING:
            what = "returns other outputs when it runs again on the same noise"
            hint = "switch off dropout and other random operations"
            raise DescriptionError(what, where=trained.where, hint=hint)
    return inside._replace(maps=inside.maps | outputs), [*outputs]


def _maps(trained: Trained, noise: Images) -> tuple[Results, Outputs]:
    if is_module(trained.model):
        from padviz.trained.networks.torch_network import TorchRunner

        if any("float16" in str(weights.dtype) for weights in trained.model.parameters()):
            what = "is in half precision, whose rounding looks like other weights"
            hint = "compare it in single precision: call .float() on the module"
            raise DescriptionError(what, where=trained.where, hint=hint)
        runner = TorchRunner(trained.model, trained.where, trained.size, trained.channels)
        return runner.every_map(noise)
    graph = trained.model.graph
    ends = [output.name for output in graph.output]
    tensors = [name for node in graph.node for name in node.output if name]
    maps = run_up_to(trained, list(dict.fromkeys([*tensors, *ends])), [])(noise)
    outputs = {name: maps[name] for name in ends}
    if trained.model.image.channels_last:
        outputs = {name: np.moveaxis(values, -1, 1) for name, values in outputs.items()}
    reads = _reads_in(graph, trained.model.image.name, maps)
    return Results({name: maps[name] for name in reads}, reads), outputs


def _reads_in(graph: Any, image: str, maps: Outputs) -> dict[str, set[str]]:
    """Return which results each result of a file was computed from, as in `Results`."""
    reads = dict[str, set[str]]()
    sources = {image: {""}}
    for node in graph.node:
        read = set[str]()
        if node.op_type != "Shape":  # sizes are the same whatever the values are
            read = read.union(*(sources.get(name, ()) for name in node.input))
        for name in filter(None, node.output) if read else ():
            sources[name] = read
            is_result = np.ndim(maps[name]) > 1 and maps[name].dtype.kind == "f"
            if is_result and node.op_type != "Pad":
                reads[name], sources[name] = read, {name}
    return reads


def _matched(first: Outputs, second: Outputs, tolerance: float) -> tuple[set[str], set[str]]:
    """Return the names of the maps in each that are equal to some map in the other."""
    equal, others_equal = set[str](), set[str]()
    means = {name: values.mean() for name, values in second.items()}
    for name, values in first.items():
        mean, apart = values.mean(), tolerance * np.abs(values).max(initial=0)
        for other, others in second.items():
            # Maps with other means cannot be equal.
            near = abs(mean - means[other]) <= apart
            if near and _errors(values, others).max(initial=0) <= tolerance:
                equal.add(name)
                others_equal.add(other)
    return equal, others_equal


def _first_apart(
    trained: Trained, results: Results, equal: set[str]
) -> tuple[Outputs, frozenset[str]]:
    """Return the first result that differs, with later ones of the same layer, and the layers that
    may be the cause.
    """
    right = set(equal)
    for name in reversed(results.maps):
        # What an equal result was computed from is right.
        if name in right:
            right |= results.reads.get(name, set())
    apart = [name for name in results.reads if name not in right]
    if not apart:
        return {}, frozenset()
    layers, places = trained.network.layers, _places(trained)
    first = apart[0]
    if first not in places:
        return {first: results.maps[first]}, frozenset()
    same = {name: results.maps[name] for name in apart if places.get(name) == places[first]}
    suspects = ancestors(layers, [places[first]], followed=False)
    suspects -= ancestors(layers, [places[name] for name in right & {*places}], followed=False)
    return same, frozenset([layers[at].name for at in suspects])


def _places(trained: Trained) -> dict[str, int]:
    """Return the position of the layer that each result belongs to, an elementwise result to that
    of its input.
    """
    names = trained.network.aliases
    if is_module(trained.model):
        from padviz.trained.networks.torch_network import layers_of_results

        names = layers_of_results(trained)
    index = trained.network.index
    return {name: index[layer] for name, layer in names.items() if layer in index}


def _most_alike(apart: Outputs, others_apart: Outputs) -> tuple[str, str] | None:
    """Return the maps of one layer in both that are most alike, the first of those nearly so.

    Layers of as many maps are spelled alike, so their first maps are a pair.
    """
    if len(apart) == len(others_apart) > 0:
        return next(iter(apart)), next(iter(others_apart))
    distances: dict[tuple[str, str], float] = {}
    for (name, values), (other, others) in product(apart.items(), others_apart.items()):
        # A row more or less is a difference; twice as many are another layer.
        if values.shape[:2] == others.shape[:2] and 1 / 2 < values.size / others.size < 2:
            # Where a file folds a norm into a convolution, its map is that of the norm.
            scale = np.abs(values).max() / (values.std() or 1)
            distances[name, other] = _errors(values, others).max() * scale
    most = ALIKE * min(distances.values(), default=0)
    return next((pair for pair, distance in distances.items() if distance <= most), None)


def _errors(values: Values, others: Values) -> Values:
    """Return how far values differ, over the largest; infinitely if their shapes differ."""
    if values.shape != others.shape:
        return np.array(np.inf)
    with np.errstate(invalid="ignore"):
        gaps: Values = np.abs(values - others.astype(np.float64))
    return gaps / (np.abs(values).max(initial=0) or 1)


def _measured(
    name: str, values: Values, other: str, others: Values, axes: Sequence[str], tolerance: float
) -> Measured:
    if values.shape != others.shape:
        return Measured(name, other, {}, f"{in_words(values.shape)} and {in_words(others.shape)}")
    errors = _errors(values, others)
    figures = {"largest": float(errors.max(initial=0))}
    where = "everywhere"
    if figures["largest"] <= tolerance:
        where = "equal"
    if values.ndim != len(axes) + 2 or min(values.shape[2:]) < LEAST:
        return Measured(name, other, figures, where)
    errors = errors.max((0, 1))
    core = [*map(middle, errors.shape)]
    figures["inside"] = float(errors[*core].max())
    wrong = []
    for axis, line in enumerate(axes):
        for side, at in (("first", 0), ("last", -1)):
            part = f"{side} {LINES[line]}"
            figures[part] = float(errors[*core[:axis], at, *core[axis + 1 :]].max())
            if figures[part] > tolerance:
                wrong.append(part)
    errors[*core] = 0
    figures["rim"] = float(errors.max())
    if where == "everywhere" and figures["inside"] <= tolerance:
        where = "only at the border"
        if wrong:
            where += f": {listed(wrong)}"
    return Measured(name, other, figures, where)
