"""The audit: what a network does to the border of an image, and what could be changed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padviz.advice.remedies import Remedy
from padviz.advice.verdict import DRAWN, Audit, examine, to_try
from padviz.advice.verdict import audit as audited
from padviz.api.results.asked import asked
from padviz.api.results.result import Result
from padviz.errors import OptionError
from padviz.network.network import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from padviz.trained.trying.trial import Trial


class AuditResult(Result[Remedy], Audit):
    """An audit: `.verdict`, the sentences and figures behind it, and `.remedies`, which are its rows."""


def audit(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    layer: str | Sequence[str] | None = None,
    *,
    padding: str | None = None,
    same: bool = False,
    heads: str | None = None,
    images: str | Path | None = None,
    weights: str | Path | None = None,
) -> AuditResult:
    """Judge how a network treats the border of an image at a size, and find what could be changed, best first.

    Tried are the nearest balanced sizes, padding schemes on both axes or on one, both together, pads that make uneven
    windows even, the stride of uneven convolutions moved into pools, and the output cropped to units that read
    no padding.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    layer : str or sequence of str, optional
        The target layer, or several that add up; the last feature map by default.
    padding, same, heads
        As for `usage`.
    images : str or Path, optional
        A folder of photographs, to try sizes and schemes among the remedies on the network as it is.
    weights : str or Path, optional
        With `images`, a file of weights for a module, or the name of weights that a factory takes.

    Returns
    -------
    AuditResult
        With `.verdict`, the sentences `.border`, `.symmetry`, `.padding`, `.advice` and `.accuracy`, and `.remedies`,
        first what works with today's weights, then by what was measured: what each is, how it is made, what it needs of
        a trained network, and its outcome.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Notes
    -----
    The geometry of each is counted exactly; `trial` measures what it does to a trained network.
    Source: Alsallakh et al., ICLR 2021: balanced sizes, padding schemes, pools for strides.

    Examples
    --------
    >>> judged = audit("resnet50", 224)
    >>> judged.verdict
    'lopsided, narrow rim'
    >>> best = judged.remedies[0]
    >>> judged.best, best.what, best.edit[0], best.as_is, best.trained
    ('nothing without training', 'partial padding', 'padviz.repad(module, "partial")', -19.1, -2.0)
    """
    from padviz.reports.maps.audit import report_of

    if weights and not images:
        raise OptionError("goes with `images`", option="weights", hint="add it, or leave out the weights")
    wanted, _ = asked(network, size, padding, same)
    judged = audited(wanted, size, layer, heads)
    tried = _tried(network, weights, judged, images) if images else None
    draw = partial(_drawn, wanted, size, layer, heads)
    return AuditResult.made_of(judged, judged.remedies, partial(report_of, [judged], tried), draw, pictured=True)


def _drawn(
    network: Network, size: Any, layer: str | Sequence[str] | None, heads: str | None, cmap: str | None = None
) -> Figure:
    from padviz.figures.maps import panels

    return panels.compared(examine(network, size, layer, heads, DRAWN).maps, "remedy", "share", cmap)


def _tried(network: Any, weights: str | Path | None, audit: Audit, images: str | Path) -> Trial:
    """Try the sizes and schemes among the remedies on a trained network."""
    from padviz.api.trained.trying import trial

    sizes, schemes = to_try(audit)
    return trial(network, images, sizes, schemes, trained_at=(audit.size[0], audit.size[1]), weights=weights)
