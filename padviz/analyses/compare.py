"""Usage maps side by side: several paddings, sizes, layers or networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from typing import Annotated, Any

from padviz.analyses.asked import Pixels, Source, Sources, asked
from padviz.analyses.result import Result
from padviz.analyses.usage import MANY, row_of
from padviz.counting.count import usages
from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import Summary, percent, rim_in
from padviz.errors import OptionError, PadvizError, check_word
from padviz.network.network import Network, Size, notes_on
from padviz.network.padding_modes import SCHEMES
from padviz.network.rewrites import canonical
from padviz.options import CMAP, HEADS, LAYERS, MODELS, PADDINGS, SAME, SCALES, SIZES, Command
from padviz.progress import Progress, counter
from padviz.reports.report import Column, Report, Table
from padviz.reports.rows import about_all, flat, table_of
from padviz.reports.tables import pixels, rounded

# A network or why there is none, its size, a padding scheme and a layer.
Choice = tuple[Network | PadvizError, Size, str | None, str | None]
Item = tuple[str, CountMap | PadvizError]  # a label, and a map or why there is none


def compare(
    network: Annotated[Sources, MODELS],
    size: Annotated[int | tuple[int, int] | Sequence[int | tuple[int, int]] | None, SIZES] = None,
    padding: Annotated[str | Sequence[str] | None, PADDINGS] = None,
    layer: Annotated[str | Sequence[str] | None, LAYERS] = None,
    *,
    same: Annotated[bool, SAME] = False,
    heads: Annotated[str | None, HEADS] = None,
    scale: Annotated[str | None, SCALES] = None,
    on_progress: Progress | None = None,
) -> Result[Item]:
    """Count usage maps side by side: exactly one of networks, sizes, paddings and layers is a list.

    Parameters
    ----------
    network : what `load` takes, or a list of it
    size : int or (height, width), or a list of them, optional
        Input sizes in pixels; each network's own by default.
    padding, layer : str, or a list of str, optional
        As for `usage`; "declared" is the padding that a network has. Where nothing is a list and no
        padding is given, its own is compared with every scheme.
    same, heads
        As for `usage`.
    scale : "share", "counts" or "each", optional
        Quantity to colour by: fair share, or counts over the largest of all maps, or of each.
    on_progress : callable, optional
        Called with the number of maps that are done, and of all.

    Returns
    -------
    Result
        Pairs of (label, CountMap), or the error in place of a map that cannot run.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used, or if no map can be made.

    Examples
    --------
    >>> pair = compare("vgg11", 64, ["zero", "reflect"])
    >>> [label for label, _ in pair], pair.to_rows()[1]["starved"] < pair.to_rows()[0]["starved"]
    (['zero', 'reflect'], True)
    """
    given = {
        "network": _several(network),
        "size": _several(size),
        "padding": _several(padding),
        "layer": _several(layer),
    }
    lists = [name for name, values in given.items() if len(values) > 1]
    # Of one network, all schemes beside its own padding.
    if not lists and padding is None:
        given["padding"] = ["declared", *SCHEMES]
        lists = ["padding"]
    if len(lists) != 1:
        what = (
            f"{len(lists)} lists are given ({', '.join(lists)})"
            if lists
            else "nothing has two values that differ"
        )
        raise OptionError(
            what,
            where="compare",
            hint="give a list to `padding`, `size` or `layer`, or name several networks",
        )
    check_word(scale, ("share", "counts", "each"), "scale")
    varies = lists[0]
    pairs = [
        (_read(net, pixels, same), pixels)
        for net, pixels in product(given["network"], given["size"])
    ]
    labels = [_label(value) for value in given[varies]]
    return compared(
        varies, labels, pairs, given["padding"], given["layer"], heads, scale, on_progress
    )


def compared(
    varies: str,
    labels: Sequence[str],
    pairs: Sequence[tuple[Network | PadvizError, Size]],
    padding: Sequence[str | None] = (None,),
    layer: Sequence[str | None] = (None,),
    heads: str | None = None,
    scale: str | None = None,
    on_progress: Progress | None = None,
) -> Result[Item]:
    """Compare networks that are read, each at its size; an error stands for one that cannot be
    read.
    """
    from padviz.figures.maps import panels

    choices: list[Choice] = []
    for (network, size), scheme, at in product(pairs, padding, layer):
        choices.append((network, size, None if scheme == "declared" else canonical(scheme), at))
    outcomes = usages(choices, heads)
    advance = counter(len(outcomes), on_progress)
    for outcome in outcomes:
        if isinstance(outcome, CountMap):
            outcome.summary()  # keeps its figures, for the report
            outcome.forget_arrays()
        advance(1)
    items = tuple(zip(labels, outcomes, strict=True))
    draw = partial(panels.compared, items, varies, scale)
    maps = [outcome for outcome in outcomes if isinstance(outcome, CountMap)]
    notes: dict[str, None] = {}
    for counts in maps:
        notes |= dict.fromkeys(
            f"{counts.network.name}: {note}" for note in notes_on(counts.network)
        )
    return Result.made_of(
        None,
        items,
        partial(report_of, items, choices, varies),
        draw,
        pictured=True,
        notes=(*notes,),
    )


def _several(values: object) -> list[Any]:
    if isinstance(values, list):
        return [*dict.fromkeys(values)]
    return [values]


def _read(network: Source, size: Pixels, same: bool) -> Network | PadvizError:
    """Load a network; where there is none, return the error in its place."""
    try:
        with asked(network, size, same=same) as (read, _):
            return read
    except PadvizError as error:
        return error


def _label(value: object) -> str:
    if isinstance(value, tuple | int):
        return pixels(value if isinstance(value, tuple) else (value, value))
    if isinstance(value, Network) and isinstance(value.origin, str):
        return value.origin
    if isinstance(value, str):
        return value
    return getattr(value, "name", type(value).__name__)


COMPARED = (
    Column(
        "max", show=lambda most: rounded(int(most)) if most >= MANY else most, means="most paths"
    ),
    Column("rim", means="starved px above or left, below or right; or on all sides"),
    Column(
        "starved",
        show=percent,
        means="pixels with fewer than half the paths of one far from every border, corners too",
    ),
    Column("overused", show=percent, means="more than 3/2 of those paths"),
    Column(
        "share_min",
        "share min",
        means="the least paths of a pixel, over those of one far from every border",
    ),
    Column("share_max", "share max", spare=1, means="largest fair share"),
    Column("corner", spare=2, means="fair share top left"),
    Column("asymmetry", spare=3, means="largest difference of mirrored pixels, over the maximum"),
    Column("share_skew", "skew", means="second half minus first half over the sum, of fair shares"),
    Column("note"),
)


def report_of(items: Sequence[Item], choices: Sequence[Choice], varies: str) -> Report:
    rows: list[dict[str, object]] = []
    shown: list[dict[str, object]] = []
    notes: dict[str, None] = {}
    for (label, counts), (network, size, padding, _) in zip(items, choices, strict=True):
        about: dict[str, object] = {varies: label}
        if isinstance(counts, PadvizError):
            name = network.name if isinstance(network, Network) else label
            known = {"network": name, "size": size and [*size], "padding": padding}
            signal = known["size"] is not None and len(size) == 1
            rows.append({**flat(Summary, None, signal), **known, "error": str(counts)})
            shown.append({**about, "note": f"cannot run: {counts.where}: {counts.what}"})
            continue
        row, summary = row_of(counts), counts.summary()
        rows.append({**row, "error": None})
        notes |= dict.fromkeys(summary.notes)
        asymmetry = max(summary.asymmetry.height, summary.asymmetry.width)
        about = {
            **row,
            **about,
            "asymmetry": asymmetry,
            "rim": rim_in(summary.rim, summary.starved),
        }
        if share := summary.share:
            about["corner"] = share.corners.top_left
            about["share_skew"] = max(share.skew.height, share.skew.width, key=abs)
        else:
            about["note"] = f"no fair share: {summary.share_reason}"
        shown.append(about)
    facts: dict[str, object] = about_all(rows)
    facts |= {"varies": varies, "values": [label for label, _ in items], "notes": [*notes]}
    table = Table((Column(varies), *COMPARED), shown)
    return Report("compare", facts, [[table]], table_of(rows, rows))


def _check_picture(asked: Mapping[str, object]) -> None:
    """Reject more maps than a picture shows."""
    from padviz.figures.maps.panels import check_number

    check_number(
        max(len(_several(asked.get(name))) for name in ("network", "size", "padding", "layer"))
    )


COMMAND = Command(
    compare,
    """Compare usage maps of several MODELs, or of several --padding, --size or --layer of one.
    Without any of these, its padding is compared with all schemes. -o FILE draws them side by side.

    Colours show the fair share of each pixel: its paths relative to an interior pixel, far from
    every border. Below 1/2 it is starved, above 3/2 overused. A network that cannot run gets an
    empty panel with the reason.

    \b
    Example:
      padviz compare vgg19 --size 128 --padding zero,reflect,symmetric,partial
      padviz compare resnet50 --size 64,128,224 -o sizes.png
    """,
    check_file=_check_picture,
    look=(CMAP,),
    counting="maps",
)
