"""The networks that padviz knows by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import TypedDict

from padviz.analyses.result import Result
from padviz.network.network import Network
from padviz.options import Command
from padviz.reports.report import Column, Report, Table, columns
from padviz.reports.rows import rows_of
from padviz.reports.tables import pixels
from padviz.sources.toml.load import load_config, zoo


def networks() -> Result[Network]:
    """List the networks that padviz knows by name.

    Returns
    -------
    Result
        The networks of the zoo.

    Raises
    ------
    PadvizError
        If a description of the zoo cannot be read.

    Examples
    --------
    >>> "resnet50" in [network.name for network in networks()]
    True
    """
    rows = tuple(map(load_config, zoo()))
    return Result.made_of(None, rows, partial(report_of, rows))


class ZooRow(TypedDict):
    """A network by name, at its own size; `layers` counts its layers."""

    network: str
    title: str
    size: list[int]
    layers: int
    source: str


def report_of(nets: Sequence[Network]) -> Report:
    rows: list[ZooRow] = [
        {
            "network": net.name,
            "title": net.title,
            "size": [*net.size],
            "layers": len(net.layers) - 1,
            "source": net.source,
        }
        for net in nets
    ]
    shown = (
        *columns("network title"),
        Column("size", show=pixels),
        Column("layers", spare=1),
        Column("source", show=_origin),
    )
    return Report("networks", {}, [[Table(shown, rows)]], rows_of(rows, ZooRow))


def _origin(source: str) -> str:
    """Shorten a source for tables.

    >>> _origin("torchvision.models.vgg19"), _origin("Howard et al. 2017, arXiv 1704.04861")
    ('torchvision', 'Howard et al. 2017')
    """
    if source.startswith("torchvision."):
        return "torchvision"
    return re.split("[,;]| of ", source)[0]


COMMAND = Command(
    networks,
    """List the built-in networks: names to use as MODEL, their input sizes, and where each comes
    from.

    \b
    Example:
      padviz networks
      padviz networks --format csv
    """,
    files=(),
)
