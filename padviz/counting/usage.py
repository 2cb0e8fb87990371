"""Usage: the paths from each pixel to the target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from typing import Any

from padviz.counting.count_map import CountMap
from padviz.counting.request import Request, box_of, prepare_request, target_of
from padviz.counting.walking.stable_rows import usage_tiling
from padviz.counting.walking.tiling import Tiling
from padviz.counting.walking.walks import count_backward
from padviz.errors import OptionError, PadvizError, UnknownName
from padviz.network.network import Network
from padviz.network.sizes import on_each


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
    """Count the paths from every input pixel to the units of the target: `padviz.usage`, of a loaded network.

    >>> import padviz
    >>> usage(padviz.load("vgg19"), 512).max == 9**16
    True
    """
    request = prepare_request(network, size, padding, layer, pooling, engine, heads)
    picked, box = box_of(unit if unit is None or len(network.axes) == 2 else (0, *unit)[-2:], request.shapes)
    rows, cols = _tilings(request) if unit is None else (Tiling(n) for n in request.size)
    weights = _weights(request, engine) if request.shares and len(request.at) > 1 else None
    core = count_backward(request.walk((rows.kept, cols.kept), engine, weights), box)
    target = target_of(request.shapes)
    head = request.declared, request.size, request.padding, pooling
    return CountMap(*head, target, picked, core, rows, cols, request.walked, weights=weights)


def _tilings(request: Request) -> tuple[Tiling, Tiling]:
    """Tile the map along each axis; the work is shared where both are the same."""
    rows, cols = on_each(partial(usage_tiling, targets=request.at), request.walked, request.size)
    return rows, cols


def _weights(request: Request, engine: str) -> tuple[float, ...]:
    """Weigh a path to each target, so that all paths to it count as many as those to the target with the most."""
    same = _alike(request.walked)
    firsts = dict.fromkeys(same[i] for i in request.at)
    totals = {
        i: usage(request.walked, request.size, layer=request.walked.layers[i].name, engine=engine).total for i in firsts
    }
    most = max(totals.values())
    return tuple(most / totals[same[i]] if totals[same[i]] else 1.0 for i in request.at)


@lru_cache(64)
def _alike(network: Network) -> tuple[int, ...]:
    """Find for each layer the first one that does the same with the same maps, which as many paths reach."""
    firsts: dict[tuple[Any, ...], int] = {}
    same: list[int] = []
    for i, layer in enumerate(network.layers):
        inputs, like = tuple(same[j] for j in layer.inputs), None if layer.like is None else same[layer.like]
        same.append(firsts.setdefault((layer.kind, inputs, like, layer.ops), i))
    return tuple(same)


def usages(choices: Iterable[tuple[Any, ...]], heads: str | None = None) -> list[CountMap | PadvizError]:
    """Count `usage` of each (network, size, padding, layer): a map, or why it cannot run; raise if none can.

    In place of a network may stand why there is none.

    >>> import padviz
    >>> net = padviz.load("vgg11")
    >>> [type(outcome).__name__ for outcome in usages([(net, 64, None, None), (net, 64, "valid", None)])]
    ['CountMap', 'SizeError']
    """
    outcomes: list[CountMap | PadvizError] = []
    for choice in choices:
        try:
            if isinstance(choice[0], PadvizError):
                raise choice[0]
            outcomes.append(usage(*choice, heads=heads))
        except (OptionError, UnknownName):
            raise  # it was asked for by a name that does not exist
        except PadvizError as error:
            outcomes.append(error)
    if outcomes and all(isinstance(outcome, PadvizError) for outcome in outcomes):
        raise outcomes[0]  # type: ignore[misc]
    return outcomes
