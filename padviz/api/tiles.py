"""Tiles of an image: each function loads what a person names, once, and calls a room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from padviz.network.network import Network, as_size
from padviz.sources import load_at

if TYPE_CHECKING:
    from torch import nn

    from padviz.cutting.plan import Plan


def tiles(
    network: str | Path | Network | nn.Module,
    image: int | Sequence[int],
    tile: int | Sequence[int],
    layer: str | Sequence[str] | None = None,
    *,
    objects: int = 0,
    ignore_norms: bool = False,
) -> Plan:
    """Plan tiles of an image, as few as keep every unit of a network's last maps as it is in the whole image.

    Parameters
    ----------
    network
        As for `usage`.
    image : int or (height, width)
        Size of the image in pixels.
    tile : int or (height, width)
        The largest tile that fits into memory.
    layer : str or sequence of str, optional
        The layers that are kept; all last feature maps by default.
    objects : int
        Pixels of the largest object: any lies within what one tile keeps right.
    ignore_norms : bool
        Whether to plan as if norms, gates and attention saw each position alone.

    Returns
    -------
    Plan
        To iterate over: `out[(..., *tile.keep)] = model(image[(..., *tile.read])[(..., *tile.take)]`, or for `tiled`.

    Raises
    ------
    PadvizError
        Where nothing is exact, naming the layer; where tiles are too small, with the least that are not.

    Examples
    --------
    >>> plan = tiles("unet_padded", 1024, 512)
    >>> len(plan), plan.contexts[0][0].before, plan.contexts[0][0].lattice
    (9, 94, 16)
    """
    from padviz.cutting.plan import globals_of, plan_tiles
    from padviz.network.targets import names_of, upto

    whole, size = load_at(network, image)
    kept = upto(whole, names_of(layer, whole, every=True))
    return plan_tiles(kept, size, as_size(tile), objects, globals_of(kept) if ignore_norms else frozenset())
