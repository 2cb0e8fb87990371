"""Where two descriptions of a network part in size or padding."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from padviz.analyses.asked import Pixels, Source, asked
from padviz.analyses.result import Result
from padviz.errors import OptionError
from padviz.geometry.ledger import Difference, differences
from padviz.network.network import Network, Size, in_words
from padviz.reports.report import Column, Heading, Report, Table, columns


def diff(
    network: Source, other: Source | None = None, size: Pixels = None, padding: str | None = None, same: bool = False
) -> Result[Difference]:
    """Compare the windows of two networks at one size; `padding` and `same` change the second alone.

    Parameters
    ----------
    network, size
        As for `uneven`.
    other : str, Path, torch.nn.Module or Network, optional
        The second network; by default the first one under those: what moves when its weights are ported.
    padding, same
        As for `uneven`, of the second network.

    Returns
    -------
    Result
        Where two networks part.

    Raises
    ------
    PadvizError
        For a network or size that cannot be used.

    Examples
    --------
    >>> len(diff("vgg16", "vgg16", 224)), diff("resnet18", size=224, same=True)[0].a
    (0, 'conv1')
    """
    if other is None and not (same or padding):
        raise OptionError("there is nothing to compare with", option="other", hint="name one, or add `same`")
    first, pixels = asked(network, size)
    second, _ = asked(network if other is None else other, pixels, padding, same)
    rows = tuple(differences(first, second, pixels))
    return Result.made_of(None, rows, partial(report_of, first, second, pixels, same, rows))


DIFFERENCES = (
    Column("layer_a", "layer", of=lambda row: row.a),
    Column("layer_b", "layer of B", of=lambda row: row.b, spare=1),
    *columns("axis what"),
    Column("a", "A", of=lambda row: row.in_a),
    Column("b", "B", of=lambda row: row.in_b),
)


def report_of(first: Network, second: Network, size: Size, same: bool, rows: Sequence[Difference]) -> Report:
    table = Table(DIFFERENCES, rows)
    facts = {"networks": [first.name, second.name], "same": same, "size": [*size], "differences": table.records}
    names = f"{first.title} and {second.title}{' under SAME' if same else ''}, {in_words(size)}"
    heading = Heading(names if rows else f"{names}: no difference in size or padding")
    return Report("diff", facts, [[heading, table]])
