"""Save one item: run its analysis, save the result, and move the files into place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from padviz.analyses.compare import compared
from padviz.analyses.coverage import coverage
from padviz.analyses.filters import filters
from padviz.analyses.kernel import kernel
from padviz.analyses.responses import responses
from padviz.analyses.result import Result
from padviz.analyses.taps import taps
from padviz.analyses.uneven import uneven
from padviz.analyses.usage import usage
from padviz.errors import DescriptionError, PadvizError
from padviz.exports.items import Item
from padviz.exports.manifest import MAPS, TRAINED
from padviz.exports.sidecars import THUMBS, Look, read_sidecar, sidecar_of
from padviz.figures.canvas import drawing_options, write_thumbnail
from padviz.figures.colours import write_map_thumbnail
from padviz.files.atomic import PREFIX, locked, replace_file, temporary_folder
from padviz.network.network import Network, Size

if TYPE_CHECKING:
    from padviz.trained.networks.trained_network import Trained

THUMB = 200  # screen pixels, longer side
WITHOUT_THUMBNAIL = ("uneven", "taps")  # unreadable at that size: the gallery lists their figures
ANALYSES: dict[str, Callable[..., Result[object]]] = {
    "usage": usage,
    "coverage": coverage,
    "uneven": uneven,
    "taps": taps,
    "filters": filters,
    "responses": responses,
}


class ItemOutcome(NamedTuple):
    """What became of an item: "made", "kept" from an earlier run, or "failed" with an error."""

    name: str
    state: str
    error: str = ""


def save_item(item: Item, digest: str, folder: Path, look: Look) -> ItemOutcome:
    """Save the files of an item into `folder`; errors become its outcome."""
    try:
        with temporary_folder(folder) as stage, drawing_options(*look.drawing):
            result = result_of(item)
            files = _save(item, result, stage, look)
            lengths = {name: (stage / name).stat().st_size for name in files}
            text = sidecar_of(item, result, digest, look, lengths)
            (stage / f"{item.name}.json").write_text(text, encoding="utf-8")
            with locked(folder):
                _place(item.name, files, stage, folder)
    except PadvizError as error:
        hidden = error.where.startswith(str(folder / PREFIX))  # users never see that folder
        if hidden:
            reason = error.what
        else:
            reason = str(error)
    except MemoryError:
        reason = "there is not enough memory for a map of this size"
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error})"
    except Exception as error:  # one item must not end the others
        reason = "unexpected " + " ".join(f"{type(error).__name__}: {error}".split())
    else:
        return ItemOutcome(item.name, "made")
    return ItemOutcome(item.name, "failed", reason)


def result_of(item: Item) -> Result[object]:
    """Call the analysis of an item.

    >>> from padviz.exports.items import expand
    >>> from padviz.exports.manifest import Manifest, Maps
    >>> (item,) = expand(Manifest(maps=[Maps(["resnet18"], [224], what=["uneven"])]))
    >>> len(result_of(item))
    5
    """
    if item.analysis == "kernel":
        return kernel(**item.arguments)
    if item.analysis == "compare":
        return compared(pairs=item.pairs, **item.arguments)
    network: Network | PadvizError | Trained
    ((network, size),) = item.pairs
    if isinstance(network, PadvizError):
        raise network
    arguments = dict(item.arguments)
    if item.analysis in TRAINED:
        network = _with_weights(item, size, arguments.pop("weights"))
    return ANALYSES[item.analysis](network, size, **arguments)


def _with_weights(item: Item, size: Size, weights: str | None) -> Trained:
    from padviz.trained.networks.reading import read

    try:
        return read(item.origin, size, weights, item.reading)
    except DescriptionError as error:
        if weights is None and "`weights`" in error.hint:
            hint = (
                'name it in a manifest, with weights = "DEFAULT", or the path of a file that fits'
            )
            raise DescriptionError(error.what, where=error.where, hint=hint) from None
        raise


def _save(item: Item, result: Result[Any], stage: Path, look: Look) -> list[str]:
    """Save a result in the requested formats; return the names of the files, the thumbnail last."""
    files = []
    if "npz" in look.formats and item.analysis in MAPS:
        files.append(f"{item.name}.npz")
        result.save(stage / files[-1])
    if "png" not in look.formats:
        return files
    files.append(f"{item.name}.png")
    picture = stage / files[-1]
    options: dict[str, Any] = {"cmap": look.cmap}
    if item.analysis == "usage" and result[0].share_reason is None:
        options["scale"] = "share"  # the same for all maps
    if item.analysis == "uneven":
        options = {}
    result.save(picture, **options)
    if item.analysis in WITHOUT_THUMBNAIL:
        return files
    thumb = stage / THUMBS / picture.name
    thumb.parent.mkdir(exist_ok=True)
    if item.analysis in MAPS:
        write_map_thumbnail(result[0], thumb, THUMB, look.cmap)
    else:
        write_thumbnail(picture, thumb, THUMB)
    return [*files, f"{THUMBS}/{picture.name}"]


def _place(name: str, files: Sequence[str], stage: Path, folder: Path) -> None:
    """Move an item's files into place, its JSON last; remove an earlier item's, its JSON first."""
    sidecar = f"{name}.json"
    earlier = read_sidecar(folder, name)
    if earlier:
        (folder / sidecar).unlink()
    for file in [*files, sidecar]:
        replace_file(folder / file, stage / file)
    if earlier:
        for file in {*earlier.about.lengths} - {*files}:  # they may show another network
            (folder / file).unlink(missing_ok=True)
