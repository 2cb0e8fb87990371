"""One item of an export worked out: its figures for the record, its picture, and its counts if it is a map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import to_builtins

from padviz.counting.count_map import CountMap
from padviz.counting.coverage import coverage
from padviz.counting.usage import usage, usages
from padviz.errors import DescriptionError, PadvizError
from padviz.exports.items import Item
from padviz.exports.manifest import DECLARED
from padviz.figures.maps import panels
from padviz.figures.maps.heatmap import heatmap
from padviz.figures.windows import kernel_cells, ledger_bars
from padviz.geometry.ledger import ledger
from padviz.geometry.one_layer import illustrate
from padviz.geometry.tap_exposure import tap_exposure
from padviz.network.network import Network
from padviz.reports.maps import usage as maps
from padviz.reports.windows import taps
from padviz.reports.windows.uneven import ledger_facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from padviz.trained.weights.trained_network import Trained


class Rendered(NamedTuple):
    """`picture` draws when it is called, in the colours of that name."""

    figures: Mapping[str, Any]
    picture: Callable[[str | None], Figure]
    counts: CountMap | None = None


def rendered(item: Item) -> Rendered:
    """Work out an item.

    Raises
    ------
    PadvizError
        If its network cannot run at its size, or with its padding.

    Examples
    --------
    >>> from padviz.exports.items import expand
    >>> from padviz.exports.manifest import Manifest, Maps
    >>> (item,) = expand(Manifest(maps=[Maps(["resnet18"], [224], what=["uneven"])]))
    >>> rendered(item).figures["uneven"]
    5
    """
    if item.refused:
        raise item.refused
    return _RENDERERS[item.what](item)


def _usage(item: Item) -> Rendered:
    counts = usage(item.network, item.sizes[0], item.paddings[0], item.layers[0])
    scale = None if counts.share_reason else "share"  # the same for all items
    return Rendered(maps.usage(counts).facts, lambda cmap: heatmap(counts, cmap, scale), counts)


def _coverage(item: Item) -> Rendered:
    counts = coverage(item.network, item.sizes[0], item.paddings[0], item.layers[0])
    figures = {**to_builtins(counts.summary()), "full": counts.full, "least_share": counts.min / (counts.full or 1)}
    return Rendered(figures, lambda cmap: heatmap(counts, cmap), counts)


def _uneven(item: Item) -> Rendered:
    network, windows = item.network, ledger(item.network, item.sizes[0])
    return Rendered(
        {"uneven": len(windows.uneven), "windows": len(windows.layers), **ledger_facts(windows)},
        lambda cmap: ledger_bars.padding(windows, network.title),
    )


def _taps(item: Item) -> Rendered:
    network, size = item.network, item.sizes[0] or item.network.size
    wanted = item.layers[0] and network.find(item.layers[0]).name
    rows = [row for row in tap_exposure(network, size) if row.layer == wanted or (not wanted and row.grid.size > 1)]
    if not rows:
        raise PadvizError(f"{wanted or network.name} has no taps", where=network.name, hint="convolutions have")
    title = f"{network.title}, {size[0]} × {size[1]}"
    return Rendered(taps.report_of(rows, network, size).facts, lambda cmap: panels.taps(rows, title, cmap))


def _trained(item: Item) -> Trained:
    """Read the network of an item, with its weights; here it is manifests that name them."""
    from padviz.trained.weights.reading import read

    assert item.trained is not None
    of = item.trained
    try:
        return read(of.source, item.sizes[0], of.weights, of.reading)
    except DescriptionError as error:
        if of.weights is None and "`weights`" in error.hint:
            hint = 'name it in a manifest, with weights = "DEFAULT", or the path of a file that fits'
            raise DescriptionError(error.what, where=error.where, hint=hint) from None
        raise


def _filters(item: Item) -> Rendered:
    from padviz.figures.trained.mean_filters import filters
    from padviz.reports.trained.filters import report_of
    from padviz.trained.mean_filters import filters_of

    mean_filters = filters_of(_trained(item), [item.layers[0]] if item.layers[0] else [])
    return Rendered(report_of(mean_filters).facts, lambda cmap: filters(mean_filters, cmap))


def _responses(item: Item) -> Rendered:
    from padviz.api.trained.measured import responses
    from padviz.figures.trained.responses import panels as drawn
    from padviz.reports.trained.responses import report_of

    assert item.trained is not None
    assert item.trained.shown is not None
    trained, inputs = _trained(item), item.trained.shown
    paddings = [padding for padding in item.paddings if padding]
    settings: dict[str, Any] = {"seed": inputs.seed, "mean": inputs.mean, "std": inputs.std}
    layer = item.network.find(item.layers[0]).name if item.layers[0] else None
    measured = responses(trained, None, paddings, inputs.inputs, inputs.n, layer=layer, **settings)
    return Rendered(report_of(measured).facts, lambda cmap: drawn(measured, cmap))


def _compare(item: Item) -> Rendered:
    lists = {"model": item.models, "size": item.sizes, "padding": item.paddings, "layer": item.layers}
    varies = next(name for name, values in lists.items() if len(values) > 1)
    labels = [_label(value) for value in (item.networks if varies == "model" else lists[varies])]
    sized = zip(item.networks, item.sizes * len(item.models), strict=True)
    choices = [(*pair, padding, layer) for pair in sized for padding in item.paddings for layer in item.layers]
    labelled = [*zip(labels, usages(choices), strict=True)]
    return Rendered(
        maps.compare(labelled, varies).facts, lambda cmap: panels.compared(labelled, varies, item.scale, cmap)
    )


def _label(value: Any) -> str:
    """Write a network, a size, a scheme or a layer as a heading."""
    if isinstance(value, tuple):
        return "×".join(map(str, value[: 1 + (value[0] != value[1])]))
    return value.title if isinstance(value, Network) else str(value or DECLARED)


def _kernel(item: Item) -> Rendered:
    wanted = item.illustrated
    assert wanted is not None
    at = (wanted.pixel[0], wanted.pixel[1]) if wanted.pixel else None
    shape = wanted.kernel, wanted.stride, wanted.dilation, (wanted.size, wanted.size)
    layers = [illustrate(*shape, scheme) for scheme in wanted.paddings or ["zero"]]
    if at:
        layers[0].taps(*at)
    uses = {layer.scheme: [[str(n) for n in row] for row in layer.uses] for layer in layers}
    return Rendered({**to_builtins(wanted), "uses": uses}, lambda cmap: kernel_cells.kernels(layers, at, cmap))


_RENDERERS: dict[str, Callable[[Item], Rendered]] = {
    "usage": _usage,
    "coverage": _coverage,
    "uneven": _uneven,
    "taps": _taps,
    "filters": _filters,
    "responses": _responses,
    "compare": _compare,
    "kernel": _kernel,
}
