"""Coverage: the paths that reach each unit from real pixels."""

from __future__ import annotations

from collections.abc import Sequence

from padviz.counting.count_map import CountMap
from padviz.counting.request import prepare_request, target_of
from padviz.counting.walking.stable_rows import coverage_tilings
from padviz.counting.walking.walks import count_forward
from padviz.errors import OptionError
from padviz.network.network import Network


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
    """Count the `coverage` of several layers, in one walk.

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
