"""What shards own and fetch of every layer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from padviz.analyses.asked import Pixels, Source, asked_up_to
from padviz.analyses.result import Result
from padviz.cutting.shards import ShardedLayer, Shards, shards_of
from padviz.errors import OptionError
from padviz.network.network import Network
from padviz.options import AXIS, LAYERS, MODEL, PADDING, SAME, SHARDS, SIZE, Command
from padviz.phrases import counted, in_bytes, some_names
from padviz.progress import Progress
from padviz.reports.documents import picked, plain
from padviz.reports.report import Heading, Lines, Report, Table, columns
from padviz.reports.rows import about


class ShardsResult(Result[ShardedLayer], Shards):
    """Shards of a network, printed and saved as the command does; its rows are the layers."""


def shards(
    network: Annotated[Source, MODEL],
    shards: Annotated[int, SHARDS],
    size: Annotated[Pixels, SIZE] = None,
    axis: Annotated[str | None, AXIS] = None,
    layer: Annotated[str | Sequence[str] | None, LAYERS] = None,
    *,
    padding: Annotated[str | None, PADDING] = None,
    same: Annotated[bool, SAME] = False,
    on_progress: Progress | None = None,
) -> ShardsResult:
    """Cut a network into shards that run at the same time, and compute the rows that they exchange
    at each layer.

    Of a map of m rows, shard k owns those from `k * m // shards` to `(k + 1) * m // shards`.

    Parameters
    ----------
    network, padding, same, layer
        As for `tiles`.
    shards : int
        How many; where a map has fewer rows, some own none.
    size : int or (height, width), optional
        Size of the image in pixels; the network's own by default.
    axis : str, optional
        The axis that is cut, "height" by default, or the first that the input has.
    on_progress : callable, optional
        Called with (layers done, number of layers).

    Returns
    -------
    ShardsResult
        `.layers` has the `.parts` of each layer: for each shard the rows that it `owns`, the
        `window` of the input that it runs over, what it `fetches` of it and from which owner, and
        `trims`. Rows are the first and the last + 1. `.bytes` counts what is fetched, in float32,
        and `.overlap_bytes` what overlapping inputs would fetch.

    Raises
    ------
    PadvizError
        For fewer than 1 shard or more than 1,024, and for an axis that the input does not have.

    Examples
    --------
    >>> found = shards("unet_padded", 4, 512)
    >>> found.exchanges, found.layers[0].before, found.layers[0].parts[1].fetches[0]
    (18, 1, Fetch(owner=0, first=127, stop=128))
    """
    with asked_up_to(layer, network, size, padding, same) as (kept, image):
        axis = axis or kept.axes[0]
        if axis not in kept.axes:
            what = f"the input has {' x '.join(kept.axes)}, not {axis}"
            raise OptionError(what, option="axis", hint="name one of them")
        split = shards_of(kept, kept.axes.index(axis), image, shards, on_progress)
        return ShardsResult.made_of(split, split.layers, partial(report_of, kept, split))


def report_of(network: Network, split: Shards) -> Report:
    layers = split.layers
    legend = [
        "before, after: the most input rows that a shard fetches from shards before and behind "
        "it. bytes: of all shards, as float32.",
        "Layers that read only their own rows are left out; --format json has all, with the rows "
        "that each shard owns, fetches and trims.",
    ]
    if any(layer.exchange == "sums" for layer in layers):
        legend[0] += " sums: for norms count, mean and squared deviations of each group."
    shown = columns("layer rows before after bytes exchange why")
    listed = Table(shown, [layer for layer in layers if layer.fetched or layer.why])
    facts = about(network.name, split.size, network.padding)
    facts |= picked(split, "axis shards exchanges bytes overlap overlap_bytes multiple skewed")
    facts["parts"] = [
        {"layer": layer.layer, "shard": k, **plain(part)}
        for layer in layers
        for k, part in enumerate(layer.parts)
    ]
    words = words_of(split, split.size[network.axes.index(split.axis)])
    screen = [Heading(network.title), Lines(words), listed, Lines(legend)]
    sheet = Table(columns("layer kind rows before after fetched bytes exchange why"), layers)
    return Report("shards", facts, [screen], sheet)


def words_of(split: Shards, rows: int) -> list[str]:
    """Return sentences on the shards of an image of some rows: what they send, and which are
    skewed or own nothing.
    """
    layers = split.layers
    before = max(layer.before for layer in layers)
    after = max(layer.after for layer in layers)
    most = f"a shard fetches at most {before} + {after} rows, before and after its own"
    need = sum(layer.why > "" for layer in layers)
    said = [
        f"{counted(split.shards, 'shard')} along the {split.axis}: at any layer, {most}; "
        f"{split.exchanges} exchanges, {_in_words(split.bytes)} in all; layers that need all "
        f"shards: {need}.",
        f"Overlapping inputs would send {_in_words(split.overlap_bytes)} once, and compute "
        f"{1 + split.overlap / rows:.2f} times the pixels.",
    ]
    same = "shards meet at the same place of the image in all layers"
    if split.multiple:
        said.append(f"At sizes that are multiples of {split.multiple}, {same}.")
    if split.skewed:
        said.append(f"At no size do {same}: {split.skewed} moves the boundaries.")
    if empty := [layer.layer for layer in layers if layer.rows < split.shards]:
        said.append(f"Some shards own nothing of maps of fewer rows: {some_names(empty)}.")
    return said


def _in_words(size: int | None) -> str:
    if size is None:
        return "an unknown number of bytes"
    return in_bytes(size)


COMMAND = Command(
    shards,
    """Cut MODEL into shards that run at the same time on parts of an image, and list what they
    exchange at each layer.

    Each shard owns as many rows of a map as every other. A layer that reads further fetches rows
    from its neighbours, so that nothing is computed twice and the joined output is that of the
    whole image. padviz.sharded runs a PyTorch module in this way.

    \b
    Example:
      padviz shards unet_padded --size 512 --shards 4
      padviz shards unet --shards 3 --axis width --format json
    """,
    files=(),
    counting="layers",
)
