"""Usage counts the paths from each pixel to the target, coverage those that reach each unit from
real pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import index
from typing import NamedTuple

from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import Target, unit_text
from padviz.counting.walking.stable_rows import coverage_tilings, usage_tiling
from padviz.counting.walking.tiling import Tiling
from padviz.counting.walking.walks import Box, Walk, Weights, count_backward, count_forward
from padviz.errors import OptionError, PadvizError, UnknownName
from padviz.network.network import Network, Size
from padviz.network.rewrites import as_map, canonical, with_mean_pooling, with_padding
from padviz.network.sizes import on_each, resolve_each, sizes_of_each
from padviz.network.targets import head_weighting, target_names, upto

Choice = tuple[
    Network | PadvizError, int | Sequence[int] | None, str | None, str | Sequence[str] | None
]


def usage(
    network: Network,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layer: str | Sequence[str] | None = None,
    pooling: str = "count",
    unit: Sequence[int | slice] | None = None,
    *,
    heads: str | None = None,
    engine: str = "auto",
    rounded: bool = False,
) -> CountMap:
    """Count the paths from every input pixel to the units of the target: `padviz.usage`, of a
    loaded network.

    A `rounded` map is counted in floats, which is faster for counts above int64. Its fair shares
    have 12 digits, and the numbers of starved and overused pixels are exact.
    """
    request = prepare_request(network, size, padding, layer, pooling, engine, heads)
    picked, box = box_of(
        unit if unit is None or len(network.axes) == 2 else (0, *unit)[-2:], request.shapes
    )
    if unit is None:
        rows, cols = on_each(
            partial(usage_tiling, targets=request.at), request.walked, request.size
        )
    else:
        rows, cols = (Tiling(n) for n in request.size)
    weights = None
    if request.shares and len(request.at) > 1:
        weights = _weights(request, engine)
    walk = request.walk((rows.kept, cols.kept), engine, weights)._replace(rounded=rounded)
    core = count_backward(walk, box)
    target = target_of(request.shapes)
    head = request.declared, request.size, request.padding, pooling
    return CountMap(*head, target, picked, core, rows, cols, request.walked, weights=weights)


def _weights(request: Request, engine: str) -> tuple[float, ...]:
    """Return what a path to each target counts, so that every target gets as much as the one with
    the most paths.
    """
    names = [request.walked.layers[i].name for i in request.at]
    totals = [
        usage(request.walked, request.size, layer=name, engine=engine).total for name in names
    ]
    return tuple(max(totals) / total if total else 1.0 for total in totals)


def usages(choices: Iterable[Choice], heads: str | None = None) -> list[CountMap | PadvizError]:
    """Count `usage` of each (network, size, padding, layer); a failed one gives its error, unless
    all fail.

    An error may stand in place of a network that could not be read.
    """
    outcomes: list[CountMap | PadvizError] = []
    for network, size, padding, layer in choices:
        try:
            if isinstance(network, PadvizError):
                raise network
            outcomes.append(usage(network, size, padding, layer, heads=heads))
        except (OptionError, UnknownName):
            raise  # a name that does not exist is an error of the whole call
        except PadvizError as error:
            outcomes.append(error)
    errors = [outcome for outcome in outcomes if isinstance(outcome, PadvizError)]
    if errors and len(errors) == len(outcomes):
        raise errors[0]
    return outcomes


def coverage(
    network: Network,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layer: str | None = None,
    pooling: str = "count",
    *,
    engine: str = "auto",
) -> CountMap:
    """Count the paths that reach each unit of a layer from real pixels: `padviz.coverage`, of a
    loaded network.

    >>> import padviz
    >>> coverage(padviz.load("vgg19"), 64, layer="features.2").full
    81
    """
    count_map, *others = coverages(
        network, size, padding, None if layer is None else [layer], pooling, engine=engine
    )
    if others:
        names = ", ".join(str(other.target.layer) for other in (count_map, *others))
        raise OptionError(
            f"has several target layers: {names}",
            where=count_map.network.name,
            hint="name one layer",
        )
    return count_map


def coverages(
    network: Network,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layers: Sequence[str] | None = None,
    pooling: str = "count",
    *,
    engine: str = "auto",
) -> tuple[CountMap, ...]:
    """Count `coverage` of several layers in one walk."""
    request = prepare_request(network, size, padding, layers, pooling, engine)
    rows, cols = (
        coverage_tilings(request.walked, axis, n, request.at) for axis, n in enumerate(request.size)
    )
    counted = count_forward(request.walk((rows[0].kept, cols[0].kept), engine))
    count_maps = []
    for (name, shape), (core, full), *tiles in zip(
        request.shapes.items(), counted, rows[1:], cols[1:], strict=True
    ):
        head = (
            request.declared,
            request.size,
            request.padding,
            pooling,
            target_of({name: shape}),
            None,
        )
        count_maps.append(CountMap(*head, core, tiles[0], tiles[1], request.walked, full))
    return tuple(count_maps)


class Request(NamedTuple):
    """A checked request: the network as declared and as walked, and the positions of its targets,
    `at`.

    If it `shares`, each target has the same weight.
    """

    declared: Network
    walked: Network
    size: Size
    padding: str | None
    at: tuple[int, ...]
    shares: bool = False

    @property
    def shapes(self) -> dict[str, Size]:
        """The shape of each target layer."""
        rows, cols = sizes_of_each(self.walked, self.size)
        return {self.walked.layers[i].name: (rows[i], cols[i]) for i in self.at}

    def walk(self, core: Size, engine: str, weights: Weights = None) -> Walk:
        """Return a walk through the network at the size of a core."""
        rows, cols = resolve_each(self.walked, core)
        return Walk(self.walked, rows, cols, self.at, engine, weights)


def prepare_request(
    network: Network,
    size: int | Sequence[int] | None,
    padding: str | None,
    layer: str | Sequence[str] | None,
    pooling: str,
    engine: str,
    heads: str | None = None,
) -> Request:
    """Check the options of a count and cut the network down to its targets, with that padding and
    pooling.
    """
    if engine not in ("auto", "numpy", "numba"):
        raise OptionError(
            f"engine {engine!r} is not known", option="engine", hint="use auto, numpy or numba"
        )
    if pooling not in ("count", "mean"):
        raise OptionError(
            f"pooling {pooling!r} is not known", option="pooling", hint="use count or mean"
        )
    shares = head_weighting(heads, layer, network) == "share"
    padding = canonical(padding)
    network, pixels = network.at(size), network.pixels(size)
    targets = target_names(layer, network)
    pruned = upto(network, targets)
    walked = as_map(with_padding(pruned, padding))
    if len(pixels) != 2:
        pixels = (1, *pixels)
    if pooling == "mean":
        walked = with_mean_pooling(walked)
    return Request(
        pruned, walked, pixels, padding, tuple(walked.index[name] for name in targets), shares
    )


def target_of(shapes: Mapping[str, Size]) -> Target:
    """Return the targets as a summary has them: one name and shape, or lists of several.

    >>> target_of({"a": (7, 7)}).shape, target_of({"a": (7, 7), "b": (3, 3)}).layer
    ([7, 7], ['a', 'b'])
    """
    if len(shapes) == 1:
        ((name, shape),) = shapes.items()
        return Target(name, [*shape])
    return Target([*shapes], [[*shape] for shape in shapes.values()])


def box_of(
    unit: Sequence[int | slice] | None, shapes: Mapping[str, Size]
) -> tuple[list[int] | list[list[int]] | None, Box]:
    """Return a unit, or box of units, as a summary reports it, and as slices of the target.

    >>> box_of((-1, slice(0, 2)), {"a": (7, 9)})
    ([[6, 7], [0, 2]], (slice(6, 7, None), slice(0, 2, None)))
    """
    if unit is None:
        return None, (slice(None), slice(None))
    if len(shapes) > 1:
        raise OptionError("needs one target layer", option="unit", hint="name one `layer`")
    ((name, shape),) = shapes.items()
    if not isinstance(unit, tuple | list) or len(unit) != 2:
        said = unit_text(unit) if isinstance(unit, tuple) else unit
        raise OptionError(
            f"{said!r} is not a unit", option="unit", hint="use (row, column), numbers or slices"
        )
    rows, cols = (_range(which, n) for which, n in zip(unit, shape, strict=True))
    if not rows or not cols:
        what = (
            f"{unit_text(unit)} is outside of layer {name}, which has {shape[0]} x {shape[1]} units"
        )
        raise OptionError(what, option="unit", hint="count from 0, or from the end with -1")
    single = not any(isinstance(which, slice) for which in unit)
    report = [rows[0], cols[0]] if single else [[rows[0], rows[-1] + 1], [cols[0], cols[-1] + 1]]
    return report, (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))


def _range(which: int | slice, n: int) -> range:
    """Return the positions, none if any is outside; negative ones count from the end."""
    if not isinstance(which, slice):
        if not hasattr(which, "__index__"):
            raise OptionError(
                f"{which!r} is not a position", option="unit", hint="use whole numbers, or slices"
            )
        at = index(which)
        if -n <= at < n:
            return range(n)[at : at + 1 or None]
        return range(0)
    if which.step not in (None, 1):
        raise OptionError(
            "a box has no step", option="unit", hint="use slices of neighbouring units"
        )
    inside = all(end is None or -n <= end <= n for end in (which.start, which.stop))
    if inside:
        return range(n)[which]
    return range(0)
