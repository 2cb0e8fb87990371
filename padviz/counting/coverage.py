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
    """The paths that reach each unit of a layer from real pixels: `padviz.coverage`, of a network that is loaded.

    Parameters
    ----------
    network : Network
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    padding, layer, pooling, engine
        As for `padviz.coverage`.

    Raises
    ------
    PadvizError
        For a size or option that cannot be used.

    Examples
    --------
    >>> import padviz
    >>> coverage(padviz.load("vgg19"), 64, layer="features.2").full
    81
    """
    found, *others = coverages(network, size, padding, None if layer is None else [layer], pooling, engine=engine)
    if others:
        names = ", ".join(str(each.target.layer) for each in (found, *others))
        raise OptionError(f"has several target layers: {names}", where=found.network.name, hint="name one layer")
    return found


def coverages(
    network: Network,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layers: Sequence[str] | None = None,
    pooling: str = "count",
    *,
    engine: str = "auto",
) -> tuple[CountMap, ...]:
    """`coverage` of several layers, from one walk.

    >>> import padviz
    >>> [found.shape for found in coverages(padviz.load("vgg11"), 64, layers=["features.0", "features.20"])]
    [(64, 64), (2, 2)]
    """
    asked = prepare_request(network, size, padding, layers, pooling, engine)
    rows, cols = (coverage_tilings(asked.walked, axis, n, asked.at) for axis, n in enumerate(asked.size))
    counted = count_forward(asked.walk((rows[0].kept, cols[0].kept), engine))
    found = []
    for (name, shape), (core, full), *tiles in zip(asked.shapes.items(), counted, rows[1:], cols[1:], strict=True):
        head = asked.declared, asked.size, asked.padding, pooling, target_of({name: shape}), None
        found.append(CountMap(*head, core, tiles[0], tiles[1], asked.walked, full))
    return tuple(found)
