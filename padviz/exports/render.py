"""Compute one item of an export: figures for its record, its picture, and its counts if it is a map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from msgspec import to_builtins

from padviz.analyses.compare import report_of
from padviz.analyses.coverage import coverage
from padviz.analyses.filters import filters
from padviz.analyses.kernel import kernel
from padviz.analyses.responses import responses
from padviz.analyses.uneven import taps, uneven
from padviz.analyses.usage import usage
from padviz.counting.count import usages
from padviz.counting.count_map import CountMap
from padviz.errors import DescriptionError
from padviz.exports.items import Item
from padviz.exports.manifest import DECLARED
from padviz.figures.maps import panels
from padviz.figures.maps.heatmap import heatmap
from padviz.figures.windows import ledger_bars
from padviz.network.network import Network
from padviz.reports.documents import ledger_facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from padviz.analyses.result import Result, Row
    from padviz.trained.networks.trained_network import Trained


class Rendered(NamedTuple):
    """`draw` takes the colour map, as `cmap`."""

    figures: Mapping[str, object]
    draw: Callable[..., Figure]
    counts: CountMap | None = None


def render(item: Item) -> Rendered:
    """Compute an item.

    Raises
    ------
    PadvizError
        If its network cannot run at its size, or with its padding.

    Examples
    --------
    >>> from padviz.exports.items import expand
    >>> from padviz.exports.manifest import Manifest, Maps
    >>> (item,) = expand(Manifest(maps=[Maps(["resnet18"], [224], what=["uneven"])]))
    >>> render(item).figures["uneven"]
    5
    """
    if item.refused:
        raise item.refused
    return RENDERERS[item.what](item)


def _shown(found: Result[Row], figures: Mapping[str, object] | None = None) -> Rendered:
    """Return the figures and the picture that the analysis' command shows, or other figures."""
    assert found._shown.draw is not None
    return Rendered(figures or found._report.facts, found._shown.draw)


def _usage(item: Item) -> Rendered:
    found = usage(item.network, item.sizes[0], item.paddings[0], item.layers[0])
    counts = found[0]  # as in its report, so that the fair shares are computed once
    scale = None if counts.share_reason else "share"  # the same scale for all items
    return Rendered(found._report.facts, partial(heatmap, counts, scale=scale), counts)


def _coverage(item: Item) -> Rendered:
    (counts,) = coverage(item.network, item.sizes[0], item.paddings[0], item.layers[0])
    figures = {**to_builtins(counts.summary()), "full": counts.full, "least_share": counts.min / (counts.full or 1)}
    return Rendered(figures, partial(heatmap, counts), counts)


def _uneven(item: Item) -> Rendered:
    windows = uneven(item.network, item.sizes[0])
    figures = {"uneven": len(windows.uneven), "windows": len(windows.layers), **ledger_facts(windows)}
    return Rendered(figures, lambda cmap: ledger_bars.padding(windows, item.network.title))


def _trained(item: Item) -> Trained:
    from padviz.trained.networks.reading import read

    assert item.trained is not None
    trained = item.trained
    try:
        return read(trained.source, item.sizes[0], trained.weights, trained.reading)
    except DescriptionError as error:
        if trained.weights is None and "`weights`" in error.hint:
            hint = 'name it in a manifest, with weights = "DEFAULT", or the path of a file that fits'
            raise DescriptionError(error.what, where=error.where, hint=hint) from None
        raise


def _filters(item: Item) -> Rendered:
    return _shown(filters(_trained(item), layer=_layers(item)))


def _responses(item: Item) -> Rendered:
    assert item.trained is not None
    assert item.trained.inputs is not None
    inputs = item.trained.inputs
    paddings = [padding for padding in item.paddings if padding]
    found = responses(
        _trained(item),
        padding=paddings,
        inputs=inputs.inputs,
        n=inputs.n,
        seed=inputs.seed,
        mean=inputs.mean,
        std=inputs.std,
        layer=_layers(item),
    )
    return _shown(found)


def _layers(item: Item) -> list[str]:
    return [layer for layer in item.layers if layer]


def _compare(item: Item) -> Rendered:
    lists: dict[str, Sequence[object]] = {
        "model": item.models,
        "size": item.sizes,
        "padding": item.paddings,
        "layer": item.layers,
    }
    varies = next(name for name, values in lists.items() if len(values) > 1)
    labels = [_label(value) for value in (item.networks if varies == "model" else lists[varies])]
    sized = zip(item.networks, item.sizes * len(item.models), strict=True)
    choices = [(*pair, padding, layer) for pair in sized for padding in item.paddings for layer in item.layers]
    labelled = [*zip(labels, usages(choices), strict=True)]
    return Rendered(report_of(labelled, varies).facts, partial(panels.compared, labelled, varies, item.scale))


def _label(value: object) -> str:
    """Return the heading of a network, a size, a scheme or a layer."""
    if isinstance(value, tuple):
        return "×".join(map(str, value[: 1 + (value[0] != value[1])]))
    return value.title if isinstance(value, Network) else str(value or DECLARED)


def _kernel(item: Item) -> Rendered:
    wanted = item.kernel
    assert wanted is not None
    pixel = (wanted.pixel[0], wanted.pixel[1]) if wanted.pixel else None
    found = kernel(wanted.kernel, wanted.stride, wanted.dilation, wanted.size, wanted.paddings, pixel)
    uses = {layer.scheme: [[str(n) for n in row] for row in layer.uses] for layer in found}
    return _shown(found, {**to_builtins(wanted), "uses": uses})


RENDERERS: dict[str, Callable[[Item], Rendered]] = {
    "usage": _usage,
    "coverage": _coverage,
    "uneven": _uneven,
    "taps": lambda item: _shown(taps(item.network, item.sizes[0], layer=_layers(item))),
    "filters": _filters,
    "responses": _responses,
    "compare": _compare,
    "kernel": _kernel,
}
