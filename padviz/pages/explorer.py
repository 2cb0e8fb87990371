"""The explorer: one page to play with a network's maps; it opens from disk and fetches nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from padviz.errors import PadvizError
from padviz.files.atomic import atomic_path
from padviz.files.output import check_output
from padviz.network.network import Network, Size, as_size
from padviz.network.padding_modes import EXPLORED, SCHEMES
from padviz.network.rewrites import canonical, check_image, with_padding, with_same
from padviz.options import HEADS, LAYER, MODEL, OPEN, PADDINGS, SAME, SIZES, Command
from padviz.pages.html import fill, static
from padviz.pages.payload import WINDOWS, payload, text
from padviz.phrases import counted
from padviz.progress import Progress
from padviz.sources import Source, load

if TYPE_CHECKING:
    pass

OFFERED = (64, 128, 224, 225, 512)
MODULES = (  # each after its imports
    *(
        "numbers",
        "maps",
        "paint",
        "state",
        "hands",
        "panel",
        "graph",
        "miniatures",
        "ledger",
        "layers",
        "verdict",
    ),
    *("audit", "window", "kernel", "picture", "tools", "main"),
)
STYLES = ("look", "explorer")


@dataclass(frozen=True, repr=False)
class Explorer:
    """A self-contained page; a notebook shows it by itself.

    >>> import padviz
    >>> padviz.explore("vgg11", [64], padding=["zero"])
    <Explorer VGG-11, 1 map, 0.2 MB>
    """

    title: str
    maps: int
    html: str

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the page to a file, completely or not at all.

        Raises
        ------
        OptionError
            For a path that cannot be written, or a file that exists, unless it is to `overwrite`
            that.
        """
        check_output(Path(path), overwrite)
        with atomic_path(Path(path)) as temporary:
            temporary.write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        page = escape(self.html, quote=True)
        frame = 'style="width: 100%; height: 840px; border: 0" sandbox="allow-scripts"'
        return f'<iframe title="padviz explorer" {frame} srcdoc="{page}"></iframe>'

    def __repr__(self) -> str:
        return (
            f"<Explorer {self.title}, {counted(self.maps, 'map')}, {len(self.html) / 1e6:.1f} MB>"
        )


def explore(
    network: Annotated[Source, MODEL],
    size: Annotated[int | Size | Sequence[int | Size] | None, SIZES] = None,
    padding: Annotated[str | Sequence[str] | None, PADDINGS] = None,
    layer: Annotated[str | None, LAYER] = None,
    *,
    same: Annotated[bool, SAME] = False,
    heads: Annotated[str | None, HEADS] = None,
    on_progress: Progress | None = None,
) -> Explorer:
    """Build a page to play with a network: its maps at several sizes and paddings, and the audit.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
        A name of the zoo, the path of a TOML or ONNX file, a module, or a network that is loaded.
    size : int or (height, width), or a list of them, optional
        The input size that is shown first, in pixels, by default the network's own; the page also
        offers 64, 128, 224, 225 and 512. Of a list, the first size is shown first, and the page
        offers all.
    padding : str or sequence of str, optional
        The padding schemes that the page offers, as for `usage`; "declared" is as each layer
        declares it. By default all that keep the size of every map, except replicate, after the
        declared padding if that is not zeros.
    layer : str, optional
        The target layer; the last feature map by default.
    same, heads
        As for `usage`.
    on_progress : callable, optional
        Called with the number of maps and audits that are done, and of all.

    Returns
    -------
    Explorer
        With `.save(path)`; a notebook shows it by itself.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used, or if no map can be made.

    Notes ----- If the network cannot run at a size, or under a scheme, the page shows the reason.
    Source: Alsallakh et al., "Mind the Pad - CNNs can Develop Blind Spots", ICLR 2021, and its
    authors' page.

    Examples
    --------
    >>> page = explore("vgg11", [64, 96], padding=["zero", "reflect"])
    >>> page.maps, "</html>" in page.html
    (4, True)
    """
    sizes = None
    if isinstance(size, list):
        sizes = [as_size(entry) for entry in size]
    read = load(network, sizes[0] if sizes else size)  # type: ignore[arg-type]
    wanted = with_same(read) if same else read
    check_image(wanted)
    start = sizes[0] if sizes else wanted.pixels(size)  # type: ignore[arg-type]
    if sizes is None:
        sizes = [(n, n) for n in OFFERED]
    ordered = sorted({start, *sizes}, key=lambda sides: (sides[0] * sides[1], sides))
    first = wanted.at(start)
    networks = _at_sizes(wanted, first, start, ordered)
    facts = payload(
        networks, _paddings(padding, first), ordered.index(start), layer, heads, on_progress
    )
    title = text(first.title or first.name)
    colours = json.loads(static("colours.json"))
    packed = json.dumps({**facts, "colours": colours}, separators=(",", ":")).replace(
        "<", "\\u003c"
    )
    shown = {
        "title": title,
        "windows": WINDOWS,
        "schemes": SCHEMES,
        "payload": packed,
        "images": "data:",
    }
    html = fill("explorer.html.j2", STYLES, MODULES, **shown)
    return Explorer(title, sum("reason" not in entry for entry in facts["maps"]), html)


def _at_sizes(
    wanted: Network, first: Network, start: Size, sizes: Sequence[Size]
) -> list[tuple[Size, Network | PadvizError]]:
    """Read a network at each size, or return the error there.

    A page is shared, so it names files without their folder.
    """
    path, name = first.source, Path(first.source).name
    networks: list[tuple[Size, Network | PadvizError]] = []
    for size in sizes:
        try:
            if size == start:
                network = first
            else:
                network = wanted.at(size)
            networks.append((size, replace(network, source=name)))
        except PadvizError as error:
            networks.append((size, PadvizError(str(error).replace(path, name)) if path else error))
    return networks


def _paddings(padding: str | Sequence[str] | None, first: Network) -> list[str | None]:
    """List the padding schemes that the page offers; None is the declared one."""
    if padding:
        schemes = padding
        if isinstance(padding, str):
            schemes = [padding]
        return [
            *dict.fromkeys(
                None if scheme == "declared" else canonical(scheme) for scheme in schemes
            )
        ]
    if with_padding(first, "zero").layers == first.layers:
        return [*EXPLORED]
    return [None, *EXPLORED]


COMMAND = Command(
    explore,
    """Write an interactive page on MODEL: maps at several sizes and paddings, layer by layer, and
    the audit.

    The page opens at the first of --size; a single one is joined by 64, 128, 224, 225 and 512. It
    is self-contained: mail it, open it from disk, or put it on a site.

    \b
    Example:
      padviz explore resnet50
      padviz explore vgg19 --size 224,256,320x480 --padding zero,symmetric --open
    """,
    formats=(),
    files=(".html", ".htm"),
    more=(OPEN,),
)
