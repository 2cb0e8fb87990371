"""The explorer: one page in which a person plays with a network's maps; it opens from disk and fetches nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padviz.axis.padding_modes import EXPLORED, SCHEMES
from padviz.errors import PadvizError
from padviz.files.atomic import aside
from padviz.network.network import Network, Size, as_size
from padviz.network.rewrites import canonical, check_image, with_padding, with_same
from padviz.pages.facts import WINDOWS, text
from padviz.pages.filling import filled, static
from padviz.pages.payload import Contents, payload
from padviz.sources import load

if TYPE_CHECKING:
    from torch import nn

SIZES = (64, 128, 224, 225, 512)
MODULES = (  # each after those that it imports
    *("numbers", "maps", "paint", "state", "hands", "panel", "graph", "miniatures", "ledger", "layers", "verdict"),
    *("audit", "window", "kernel", "picture", "tools", "main"),
)
STYLES = ("look", "explorer")


@dataclass(frozen=True, repr=False)
class Explorer:
    """A page that holds all it shows; a notebook shows it by itself.

    >>> import padviz
    >>> padviz.explore("vgg11", [64], padding=["zero"])
    <Explorer VGG-11, 1 map, 0.2 MB>
    """

    title: str
    maps: int
    html: str

    def save(self, path: str | Path) -> None:
        """Write the page to a file, which is whole or not there at all."""
        with aside(Path(path)) as temporary:
            temporary.write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        page = escape(self.html, quote=True)
        frame = 'style="width: 100%; height: 840px; border: 0" sandbox="allow-scripts"'
        return f'<iframe title="padviz explorer" {frame} srcdoc="{page}"></iframe>'

    def __repr__(self) -> str:
        return f"<Explorer {self.title}, {self.maps} map{'' if self.maps == 1 else 's'}, {len(self.html) / 1e6:.1f} MB>"


def explore(
    network: str | Path | Network | nn.Module,
    size: int | Size | Sequence[int | Size] | None = None,
    padding: str | Sequence[str] | None = None,
    layer: str | None = None,
    *,
    same: bool = False,
    heads: str | None = None,
) -> Explorer:
    """Make a page to play with a network: its maps at several sizes and paddings, layer by layer, and the audit.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
        A name of the zoo, the path of a TOML or ONNX file, a module, or a network that is loaded.
    size : int or (height, width), or a list of them, optional
        The input size that is shown first, in pixels, the network's own by default; 64, 128, 224, 225 and 512 are there
        to choose from. Of a list, the first is shown first, and all are there.
    padding : str or sequence of str, optional
        The padding schemes to choose from, as for `usage`; "declared" is as each layer declares it. By default all
        that keep the size of every map, but for replicate.
    layer : str, optional
        The target layer; the last feature map by default.
    same, heads
        As for `usage`.

    Returns
    -------
    Explorer
        With `.save(path)`; a notebook shows it by itself.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used, or if no map can be made.

    Notes
    -----
    What cannot run at a size, or under a scheme, is named in the page with the reason.
    Source: Alsallakh et al., "Mind the Pad - CNNs can Develop Blind Spots", ICLR 2021, and its authors' page.

    Examples
    --------
    >>> page = explore("vgg11", [64, 96], padding=["zero", "reflect"])
    >>> page.maps, "</html>" in page.html
    (4, True)
    """

    sizes = [as_size(entry) for entry in size] if isinstance(size, list) else None
    read = load(network, sizes[0] if sizes else size)  # type: ignore[arg-type]
    first = with_same(read) if same else read
    check_image(first)
    start = sizes[0] if sizes else first.pixels(size)  # type: ignore[arg-type]
    offered = ordered(start, sizes)
    networks = at_each(first, offered)
    schemes = [padding] if isinstance(padding, str) else padding
    return explorer(networks, offered.index(start), schemes, layer, heads)


def ordered(start: Size, sizes: Sequence[Size] | None) -> list[Size]:
    """List the sizes to choose from, each once, in order; the one that is shown first is among them.

    >>> ordered((96, 96), None)[:3]
    [(64, 64), (96, 96), (128, 128)]
    """
    return sorted(
        {start, *([(n, n) for n in SIZES] if sizes is None else sizes)}, key=lambda size: (size[0] * size[1], size)
    )


def at_each(network: Network, sizes: Sequence[Size]) -> list[tuple[Size, Network | PadvizError]]:
    """Read the network at each size, or say why it cannot be."""
    networks: list[tuple[Size, Network | PadvizError]] = []
    for size in sizes:
        try:
            networks.append((size, network.at(size)))
        except PadvizError as error:
            networks.append((size, error))
    return networks


def explorer(
    networks: Sequence[tuple[Size, Network | PadvizError]],
    base: int,
    padding: Sequence[str | None] | None,
    layer: str | None,
    heads: str | None,
) -> Explorer:
    """Make the page of a network that is loaded at each size; the size at `base` is shown first."""
    first = networks[base][1]
    if isinstance(first, PadvizError):
        raise first
    named = [(size, _named(entry, first.source)) for size, entry in networks]
    facts = payload(Contents(named, _paddings(first, padding), base, layer, heads))
    title = text(first.title or first.name)
    return Explorer(title, sum("reason" not in entry for entry in facts["maps"]), page(title, facts))


def _named(entry: Network | PadvizError, path: str) -> Network | PadvizError:
    """Speak of a file by its name: a page is sent around, and who reads it need not know the folder."""
    name = Path(path).name
    if isinstance(entry, Network):
        return replace(entry, source=name)
    return PadvizError(str(entry).replace(path, name)) if path else entry


def page(title: str, facts: dict[str, Any]) -> str:
    """Write the HTML of a payload, with styles and modules in it."""
    colours = json.loads(static("colours.json"))
    packed = json.dumps({**facts, "colours": colours}, separators=(",", ":")).replace("<", "\\u003c")
    shown = {"title": title, "windows": WINDOWS, "schemes": SCHEMES, "payload": packed}
    return filled("explorer.html.j2", STYLES, MODULES, **shown, images="data:")


def _paddings(network: Network, padding: Sequence[str | None] | None) -> list[str | None]:
    """List the schemes to choose from; what the layers declare comes first where it is not zeros."""
    if padding is not None:
        return [*dict.fromkeys(None if scheme == "declared" else canonical(scheme) for scheme in padding)]
    declared: list[str | None] = [] if with_padding(network, "zero").layers == network.layers else [None]
    return [*declared, *EXPLORED]
