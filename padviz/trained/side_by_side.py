"""Two networks run on the same noise: where their outputs differ, and the first map that does."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError
from padviz.network.network import in_words
from padviz.phrases import counted, listed
from padviz.sources import is_module
from padviz.trained.networks.reading import input_type, run_up_to
from padviz.trained.networks.running import LEAST, Images, Outputs, middle
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
    lines and corners along the border. Maps of two shapes have none.
    """

    layer: str
    other_layer: str
    shape: tuple[int, ...]
    other_shape: tuple[int, ...]
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
    first: Measured | None
    equal: str
    suspects: frozenset[str]


def side_by_side(a: Trained, b: Trained, seed: int) -> SideBySide:
    """Run two networks on the same noise, and find where they begin to differ."""
    if a.channels != b.channels:
        what = f"takes {counted(b.channels, 'channel')}, and {a.where} {a.channels}"
        raise DescriptionError(what, where=b.where, hint="compare networks of the same input")
    files = [trained.model for trained in (a, b) if not is_module(trained.model)]
    batch = max([model.image.shape[0] or 1 for model in files], default=1)
    shape = batch, a.channels, *a.size
    noise, drawn = np.random.default_rng(seed).standard_normal(shape), "mean 0, sd 1"
    if any(input_type(trained).kind in "iu" for trained in (a, b)):
        noise, drawn = np.clip(np.rint(128 + 40 * noise), 0, 255), "integers, mean 128, sd 40"
    # Numbers that half precision has, too: both read the same.
    images = noise.astype(np.float16).astype(np.float32)
    (first, ends), (second, other_ends) = _run(a, images), _run(b, images)
    if len(ends) != len(other_ends):
        what = f"returns {counted(len(other_ends), 'output')}, and {a.where} {len(ends)}"
        raise DescriptionError(what, where=b.where, hint="compare networks of the same outputs")
    tolerance = ROUNDING
    if any(values.dtype == np.float16 for values in (*first.values(), *second.values())):
        tolerance = HALF
    outputs = []
    for name, other in zip(ends, other_ends, strict=True):
        outputs.append(_measured(a, name, ends[name], other, other_ends[other], tolerance))
    about = f"{in_words(shape)} of noise, {drawn}, seed {seed}"
    sides = SideBySide(about, tolerance, outputs, None, "", frozenset())
    if all(row.where == "equal" for row in outputs):
        return sides
    equal, others_equal = _matched(first, second, tolerance)
    names, before, suspects = _first_apart(a, first, equal)
    others, _, other_suspects = _first_apart(b, second, others_equal)
    pairs = {}
    for name, other in product(names, others):
        values = first[name]
        alike = values.shape[:2] == second[other].shape[:2]
        # A row more or less is a difference; twice as many are another layer.
        if alike and 1 / 2 < values.size / second[other].size < 2:
            # Where a file folds a norm into a convolution, its map is that of the norm.
            apart = _error(values, second[other]) * np.abs(values).max() / (values.std() or 1)
            pairs[name, other] = float(apart)
    nearest = None
    if pairs:
        most = ALIKE * min(pairs.values())
        name, other = next(pair for pair, apart in pairs.items() if apart <= most)
        nearest = _measured(a, name, first[name], other, second[other], tolerance)
    return sides._replace(first=nearest, equal=before, suspects=suspects | other_suspects)


def _run(trained: Trained, noise: Images) -> tuple[Outputs, Outputs]:
    """Return the maps inside of a network in the order in which they are made, and its outputs."""
    maps, outputs = _maps(trained, noise)
    _, again = _maps(trained, noise)
    for name, values in outputs.items():
        if not np.isfinite(values).all():
            what = "returns NaN or infinite numbers for noise"
            raise DescriptionError(what, where=trained.where, hint="check its weights")
        if _error(values, again[name]) > ROUNDING:
            what = "returns other outputs when it runs again on the same noise"
            hint = "switch off dropout and other random operations"
            raise DescriptionError(what, where=trained.where, hint=hint)
    return maps, outputs


def _maps(trained: Trained, noise: Images) -> tuple[Outputs, Outputs]:
    if is_module(trained.model):
        from padviz.trained.networks.torch_network import TorchRunner

        runner = TorchRunner(trained.model, trained.where, trained.size, trained.channels)
        outputs = runner.outputs(noise)
        return runner.every_map(noise) | outputs, outputs
    graph = trained.model.graph
    ends = [output.name for output in graph.output]
    tensors = [name for node in graph.node for name in node.output if name]
    maps = run_up_to(trained, list(dict.fromkeys([*tensors, *ends])), [])(noise)
    outputs = {name: maps[name] for name in ends}
    if trained.model.image.channels_last:
        outputs = {name: np.moveaxis(values, -1, 1) for name, values in outputs.items()}
    inside = {name: values for name, values in maps.items() if np.ndim(values) > 2}
    return inside | outputs, outputs


def _matched(first: Outputs, second: Outputs, tolerance: float) -> tuple[set[str], set[str]]:
    """Return the names of the maps in each that are equal to some map in the other."""
    equal, others_equal = set[str](), set[str]()
    means = {name: values.mean() for name, values in second.items()}
    for name, values in first.items():
        mean, apart = values.mean(), tolerance * np.abs(values).max(initial=0)
        for other, others in second.items():
            # Maps with other means cannot be equal.
            if values.shape != others.shape or not abs(mean - means[other]) <= apart:
                continue
            if _error(values, others) <= tolerance:
                equal.add(name)
                others_equal.add(other)
    return equal, others_equal


def _first_apart(
    trained: Trained, maps: Outputs, equal: set[str]
) -> tuple[list[str], str, frozenset[str]]:
    """Return the maps of the first layer that differs, the last equal map in front of it, and the
    layers that may be the cause.

    A layer is right if an equal map follows from it.
    """
    network, at, places = trained.network, 0, dict[str, int]()
    for name in maps:
        # What is no layer itself, as a norm, belongs to the layer that ran before it.
        at = network.index.get(network.aliases.get(name, name), at)
        places[name] = at
    right, apart = set[int](), list[str]()
    for name in reversed(maps):
        at = places[name]
        if name in equal:
            right.add(at)
            for layer in range(at, 0, -1):
                if layer in right:
                    right.update(network.layers[layer].inputs)
        # The other network may pad in the layer behind.
        elif at not in right and network.layers[at].kind != "pad":
            apart.insert(0, name)
    if not apart:
        return [], "", frozenset()
    first = places[apart[0]]
    names = [name for name in apart if places[name] == first]
    before = [name for name in maps if name in equal and places[name] <= first]
    suspects = {network.layers[layer].name for layer in {*range(first + 1)} - right}
    return names, (before or [""])[-1], frozenset(suspects)


def _error(values: Values, others: Values) -> float:
    if values.shape != others.shape:
        return np.inf
    return float(_errors(values, others).max(initial=0))


def _errors(values: Values, others: Values) -> Values:
    """Return how far values differ, over the largest."""
    with np.errstate(invalid="ignore"):
        gaps: Values = np.abs(values - others.astype(np.float64))
    return np.divide(gaps, np.abs(values).max(initial=0) or 1)


def _measured(
    a: Trained, name: str, values: Values, other: str, others: Values, tolerance: float
) -> Measured:
    shapes = values.shape, others.shape
    if values.shape != others.shape:
        return Measured(
            name, other, *shapes, {}, f"{in_words(shapes[0])} and {in_words(shapes[1])}"
        )
    errors = _errors(values, others)
    figures = {"largest": float(errors.max(initial=0))}
    where = "equal"
    if figures["largest"] > tolerance:
        where = "everywhere"
    if values.ndim != len(a.size) + 2 or min(values.shape[2:]) < LEAST:
        return Measured(name, other, *shapes, figures, where)
    errors = errors.max((0, 1))
    core = [*map(middle, errors.shape)]
    corners = np.ix_(*[[0, -1]] * errors.ndim)
    lines = {}
    for axis, line in enumerate(a.network.axes):
        for side, at in (("first", 0), ("last", -1)):
            along = errors[*core[:axis], at, *core[axis + 1 :]]
            lines[f"{side} {LINES[line]}"] = float(along.max())
    figures |= {"inside": float(errors[*core].max()), **lines}
    figures["corners"] = float(errors[corners].max())
    errors[*core] = 0
    figures["rim"] = float(errors.max())
    if where != "equal" and figures["inside"] <= tolerance:
        named = [line for line, error in lines.items() if error > tolerance]
        where = f"only at the border: {listed(named or ['corners'])}"
    return Measured(name, other, *shapes, figures, where)
