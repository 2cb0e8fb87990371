"""The colours of pictures and pages, one set for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from padviz.errors import OptionError, nearest

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap

CMAP = "plasma"
SHARES = "PuOr"  # orange is starved, white is fair, purple is overused: distinct for colour-blind readers
ALL_STARVED = "copper"  # of shares that are all below fair: dark is least, orange is most
UNEVEN, POOLED = "#c22f2f", "#2f62b5"  # uneven windows: with weights, and without
STARVED = "#b35806"  # the orange of what is starved, as a line
UNREAD = "0.55"  # the grey of pixels that no window reads
STOPS = 9  # of a colour scale on a page


def colour_maps() -> list[str]:
    """List matplotlib's colour maps, without the reversed ones."""
    from matplotlib import colormaps

    return [name for name in colormaps if not name.endswith("_r")]


def colour_map(name: str) -> Colormap:
    """Return matplotlib's colour map of that name.

    Raises
    ------
    OptionError
        With the nearest names, if there is none.
    """
    from matplotlib import colormaps

    if name not in colormaps:
        hint = nearest(name, list(colormaps)) or "matplotlib's colour maps are plasma, viridis, magma, ..."
        raise OptionError(f"no colour map is called {name!r}", option="cmap", hint=hint)
    return colormaps[name]


def hex_stops(name: str) -> list[str]:
    """Return the CSS colours of the map of that name, from the lowest value on; none for an unknown name.

    >>> hex_stops("plasma")[::8], hex_stops("none of this name")
    (['#0d0887', '#f0f921'], [])
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps[name](at / (STOPS - 1))) for at in range(STOPS)] if name in colormaps else []


def ink(image: ScalarMappable, value: Any) -> str:
    """Return white on the dark colours of an image, black on the bright ones."""
    red, green, blue, _ = image.cmap(image.norm(value))
    return "w" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else "k"
