"""Usage counts the paths from each pixel to the target, coverage those that reach each unit from real pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache, partial

from padviz.counting.count_map import CountMap
from padviz.counting.request import Request, box_of, prepare_request, target_of
from padviz.counting.walking.stable_rows import coverage_tilings, usage_tiling
from padviz.counting.walking.tiling import Tiling
from padviz.counting.walking.walks import count_backward, count_forward
from padviz.errors import OptionError, PadvizError, UnknownName
from padviz.network.network import Network
from padviz.network.sizes import on_each

Choice = tuple[Network | PadvizError, int | Sequence[int] | None, str | None, str | Sequence[str] | None]


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
) -> CountMap:
    """Count the paths from every input pixel to the units of the target: `padviz.usage`, of a loaded network."""
    request = prepare_request(network, size, padding, layer, pooling, engine, heads)
    picked, box = box_of(unit if unit is None or len(network.axes) == 2 else (0, *unit)[-2:], request.shapes)
    if unit is None:
        rows, cols = on_each(partial(usage_tiling, targets=request.at), request.walked, request.size)
    else:
        rows, cols = (Tiling(n) for n in request.size)
    weights = _weights(request, engine) if request.shares and len(request.at) > 1 else None
    core = count_backward(request.walk((rows.kept, cols.kept), engine, weights), box)
    target = target_of(request.shapes)
    head = request.declared, request.size, request.padding, pooling
    return CountMap(*head, target, picked, core, rows, cols, request.walked, weights=weights)


def _weights(request: Request, engine: str) -> tuple[float, ...]:
    """Return what a path to each target counts, so that every target gets as much as the one with the most paths."""
    same = _first_alike(request.walked)
    firsts = dict.fromkeys(same[i] for i in request.at)
    totals = {
        i: usage(request.walked, request.size, layer=request.walked.layers[i].name, engine=engine).total for i in firsts
    }
    most = max(totals.values())
    return tuple(most / totals[same[i]] if totals[same[i]] else 1.0 for i in request.at)


@lru_cache(64)
def _first_alike(network: Network) -> tuple[int, ...]:
    """Return for each layer the first one with the same operations and inputs, which has as many paths."""
    firsts: dict[tuple[object, ...], int] = {}
    same: list[int] = []
    for i, layer in enumerate(network.layers):
        inputs, like = tuple(same[j] for j in layer.inputs), None if layer.like is None else same[layer.like]
        same.append(firsts.setdefault((layer.kind, inputs, like, layer.ops), i))
    return tuple(same)


def usages(choices: Iterable[Choice], heads: str | None = None) -> list[CountMap | PadvizError]:
    """Count `usage` of each (network, size, padding, layer); a failed one gives its error, unless all fail.

    An error may stand in place of a network that could not be read.

    >>> import padviz
    >>> net = padviz.load("vgg11")
    >>> [type(outcome).__name__ for outcome in usages([(net, 64, None, None), (net, 64, "valid", None)])]
    ['CountMap', 'SizeError']
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
    """Count the paths that reach each unit of a layer from real pixels: `padviz.coverage`, of a loaded network.

    >>> import padviz
    >>> coverage(padviz.load("vgg19"), 64, layer="features.2").full
    81
    """
    count_map, *others = coverages(network, size, padding, None if layer is None else [layer], pooling, engine=engine)
    if others:
        names = ", ".join(str(other.target.layer) for other in (count_map, *others))
        raise OptionError(f"has several target layers: {names}", where=count_map.network.name, hint="name one layer")
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
    """Count `coverage` of several layers in one walk.

    >>> import padviz
    >>> [count_map.shape for count_map in coverages(padviz.load("vgg11"), 64, layers=["features.0", "features.20"])]
    [(64, 64), (2, 2)]
    """
    request = prepare_request(network, size, padding, layers, pooling, engine)
    rows, cols = (coverage_tilings(request.walked, axis, n, request.at) for axis, n in enumerate(request.size))
    counted = count_forward(request.walk((rows[0].kept, cols[0].kept), engine))
    count_maps = []
    for (name, shape), (core, full), *tiles in zip(request.shapes.items(), counted, rows[1:], cols[1:], strict=True):
        head = request.declared, request.size, request.padding, pooling, target_of({name: shape}), None
        count_maps.append(CountMap(*head, core, tiles[0], tiles[1], request.walked, full))
    return tuple(count_maps)
