"""The networks that padviz knows by name, and published ones that are like a network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import msgspec
from msgspec.structs import replace

from padviz.advice.atlas import AtlasRow, find, nearest, with_rims
from padviz.analyses.asked import OptionalSource, Source
from padviz.analyses.result import Result
from padviz.analyses.usage import fairness
from padviz.counting.shares.summary import Rim
from padviz.errors import OptionError
from padviz.network.network import in_words
from padviz.options import LIKE, Command
from padviz.reports.report import Column, Heading, Lines, Report, Table, columns
from padviz.reports.rows import rows_of
from padviz.reports.tables import pixels
from padviz.sources.toml.load import load_config, zoo

MOST = 10  # networks that are listed as alike
BUILT_IN = "Built-in networks"


class ListedNetwork(msgspec.Struct, frozen=True):
    """A network by name, at its default size, with its rim and its shares there.

    `source` is where it comes from, or its library. `alike` has the names of networks with the same
    layers, each behind its library.
    """

    network: str
    title: str
    size: list[int]
    source: str
    rim: Rim | None
    starved: float | None
    alike: list[str]


def networks(like: Annotated[OptionalSource, LIKE] = None) -> Result[ListedNetwork]:
    """List the networks that padviz knows by name, or the published ones that are like a network.

    Parameters
    ----------
    like : str, Path, torch.nn.Module or Network, optional
        A name in the atlas, as timm or torchvision has it, which needs neither; or a network as for
        `usage`. The ten known networks of its kind are listed whose rims are nearest to its own.

    Returns
    -------
    Result
        Of each network its default size, and the rim and shares at that size.

    Raises
    ------
    PadvizError
        If the network to compare with cannot be read, or has no rim.

    Examples
    --------
    >>> "resnet50" in [row.network for row in networks()]
    True
    >>> networks("resnet50")[0].rim.depths
    (14, 34, 14, 34)
    """
    if like is None:
        rows = tuple(map(_built_in, zoo()))
        return Result.made_of(None, rows, partial(report_of, rows, BUILT_IN))
    name, size, rim, kind = _compared(like)
    alike = nearest(rim, kind)
    rows = tuple(_listed(row.library, row.name, row) for row in alike[:MOST])
    words = f"the nearest of {len(alike)} known networks with {kind}"
    heading = f"{name}, {in_words(size)}, rim {rim.short}: {words}"
    return Result.made_of(None, rows, partial(report_of, rows, heading))


def _built_in(name: str) -> ListedNetwork:
    network, row = load_config(name), find(f"padviz {name}")
    assert row is not None, f"make atlas reads {name}"
    listed = _listed("padviz", name, row)
    return replace(listed, title=network.title, source=network.source)


def _listed(library: str, name: str, row: AtlasRow) -> ListedNetwork:
    names = [f"{other} {alike}" for other, names in row.names.items() for alike in names]
    names.remove(f"{library} {name}")
    return ListedNetwork(name, row.family, [row.size] * 2, library, row.depths, row.starved, names)


def _compared(like: Source) -> tuple[str, list[int], Rim, str]:
    """Return the name, size, rim and kind of a network: from the atlas, if it is there."""
    row = find(like) if isinstance(like, str) else None
    if row is not None:
        name, size, rim, kind = str(like), [row.size] * 2, row.depths, row.kind
    else:
        from padviz.analyses.audit import audit

        judged = audit(like)
        name, size, rim, kind = judged.network, judged.size, judged.outcome.rim, None
        if judged.standing:
            kind = judged.standing.kind
    if rim is None or not with_rims(kind):
        what = f"{name} has no rim to compare"
        raise OptionError(what, option="like", hint="padviz audit MODEL says why")
    return name, size, rim, kind or ""


def _origin(source: str) -> str:
    """Shorten a source for tables.

    >>> _origin("torchvision.models.vgg19"), _origin("Howard et al. 2017, arXiv 1704.04861")
    ('torchvision', 'Howard et al. 2017')
    """
    if source.startswith("torchvision."):
        return "torchvision"
    return re.split("[,;]| of ", source)[0]


RIM, STARVED, _ = fairness(lambda row: row)
SHOWN = (
    *columns("network title"),
    Column("size", show=pixels),
    RIM._replace(spare=1),
    STARVED._replace(spare=2),
    Column("source", show=_origin),
    Column("alike", show=len, spare=3),
)
LEGEND = (
    "rim: starved px above or left, below or right, at that size; starved: fewer than half the "
    "paths of an interior pixel; alike: other names with the same layers, which json lists."
)


def report_of(rows: Sequence[ListedNetwork], heading: str) -> Report:
    screen = [Heading(heading), Table(SHOWN, rows), Lines([LEGEND])]
    return Report("networks", {}, [screen], rows_of(rows, ListedNetwork))


COMMAND = Command(
    networks,
    """List the built-in networks: names to use as MODEL, their input sizes, and where each comes
    from.

    --like lists the published networks with an output like MODEL's whose rims are nearest, each at
    its default size. A name that timm or torchvision has needs no library.

    \b
    Example:
      padviz networks
      padviz networks --like resnet50
    """,
    files=(),
)
