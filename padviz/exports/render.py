"""Compute one item of an export: figures for its record, its picture, and its counts if it is a map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from padviz.figures.canvas import rendered
from padviz.figures.maps import heatmap, panels
from padviz.figures.windows.padding import ledger_bars
from padviz.network.network import Network
from padviz.reports.documents import ledger_facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from padviz.analyses.result import Result, Row
    from padviz.trained.networks.trained_network import Trained


class Rendered(NamedTuple):
    """`png` takes the colour map, as `cmap`, and returns the bytes of a picture."""

    figures: Mapping[str, object]
    png: Callable[..., bytes]
    counts: CountMap | None = None


def render(item: Item) -> Rendered:
    """Compute an item.

    >>> from padviz.exports.items import expand
    >>> from padviz.exports.manifest import Manifest, Maps
    >>> (item,) = expand(Manifest(maps=[Maps(["resnet18"], [224], what=["uneven"])]))
    >>> render(item).figures["uneven"]
    5
    """
    return RENDERERS[item.what](item)


def _shown(found: Result[Row], figures: Mapping[str, object] | None = None) -> Rendered:
    """Return the figures and the picture that the analysis' command shows, or other figures."""
    assert found._shown.draw is not None
    return Rendered(figures or found._report.facts, _rendering(found._shown.draw))


def _rendering(draw: Callable[..., Figure]) -> Callable[..., bytes]:
    return lambda cmap: rendered(draw(cmap=cmap))


def _usage(item: Item) -> Rendered:
    found = usage(item.network, item.sizes[0], item.paddings[0], item.layers[0])
    counts = found[0]  # as in its report, so that the fair shares are computed once
    scale = None if counts.share_reason else "share"  # the same scale for all items
    return Rendered(found._report.facts, partial(heatmap.png, counts, scale=scale), counts)


def _coverage(item: Item) -> Rendered:
    found = coverage(item.network, item.sizes[0], item.paddings[0], item.layers[0])
    (counts,) = found
    shares = {"full": counts.full, "least_share": counts.min / (counts.full or 1)}
    return Rendered(to_builtins(counts.summary()) | shares, partial(heatmap.png, counts), counts)


def _uneven(item: Item) -> Rendered:
    found = uneven(item.network, item.sizes[0])
    figures = {"uneven": len(found.uneven), "windows": len(found.layers), **ledger_facts(found)}
    return Rendered(figures, lambda cmap: rendered(ledger_bars(found, item.network.title)))


def _trained(item: Item) -> Trained:
    from padviz.trained.networks.reading import read

    trained, _ = item.trained, item.network  # which raises why it cannot be read
    assert trained is not None
    try:
        return read(trained.source, item.sizes[0], trained.weights, trained.reading)
    except DescriptionError as error:
        if trained.weights is None and "`weights`" in error.hint:
            hint = 'name it in a manifest, with weights = "DEFAULT", or the path of a file that fits'
            raise DescriptionError(error.what, where=error.where, hint=hint) from None
        raise


def _responses(item: Item) -> Rendered:
    assert item.trained is not None
    inputs = vars(item.trained.inputs)
    return _shown(responses(_trained(item), padding=[*filter(None, item.paddings)], layer=item.targets, **inputs))


def _compare(item: Item) -> Rendered:
    lists = {"model": item.networks, "size": item.sizes, "padding": item.paddings, "layer": item.layers}
    counts = {**{name: len(values) for name, values in lists.items()}, "model": len(item.models)}
    varies = next(name for name, count in counts.items() if count > 1)
    sized = zip(item.networks, item.sizes * len(item.models), strict=True)
    choices = [(*pair, padding, layer) for pair in sized for padding in item.paddings for layer in item.layers]
    labelled = [*zip(map(_label, lists[varies]), usages(choices), strict=True)]
    return Rendered(
        report_of(labelled, varies).facts, _rendering(partial(panels.compared, labelled, varies, item.scale))
    )


def _label(value: object) -> str:
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
    "taps": lambda item: _shown(taps(item.network, item.sizes[0], layer=item.targets)),
    "filters": lambda item: _shown(filters(_trained(item), layer=item.targets)),
    "responses": _responses,
    "compare": _compare,
    "kernel": _kernel,
}
