"""Exports from Python: a manifest, or every combination of networks and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from padviz.errors import Ended, OptionError, PadvizError
from padviz.exports.batch import run
from padviz.exports.index import check_folder, write_index
from padviz.exports.items import Item, expand
from padviz.exports.manifest import MAPS, WHATS, Manifest, Maps, is_manifest, read_manifest
from padviz.exports.saving import ItemOutcome
from padviz.exports.sidecars import Look
from padviz.figures.canvas import drawing_options
from padviz.figures.colours import colour_map
from padviz.network.network import Size
from padviz.options import (
    ALLOW_MODULES,
    CMAP,
    DPI,
    EXPORTED,
    FILE_FORMATS,
    FOLDER,
    INPUT,
    JOBS,
    LAYERS,
    NEUTRAL,
    PADDINGS,
    SHAPE,
    SIZES,
    THEME,
    WHAT,
    WIDTH,
    Command,
)
from padviz.sources.tracing.reading import Reading, Shape, as_reading

FORMATS = ("png", "npz", "json")


def export(
    source: Annotated[str | Path | Sequence[str | Path], EXPORTED],
    folder: Annotated[str | Path, FOLDER],
    *,
    size: Annotated[Sequence[int | Size | str], SIZES] = (),
    padding: Annotated[Sequence[str], PADDINGS] = (),
    layer: Annotated[Sequence[str], LAYERS] = (),
    what: Annotated[Sequence[str], WHAT] = (),
    format_: Annotated[Sequence[str], FILE_FORMATS] = ("png",),
    cmap: Annotated[str | None, CMAP] = None,
    dpi: Annotated[int | None, DPI] = None,
    width: Annotated[int | None, WIDTH] = None,
    theme: Annotated[str | None, THEME] = None,
    jobs: Annotated[int | None, JOBS] = None,
    neutral: Annotated[Sequence[str], NEUTRAL] = (),
    shape: Annotated[Mapping[str, Shape] | None, SHAPE] = None,
    input_: Annotated[str | None, INPUT] = None,
    allow_modules: Annotated[bool, ALLOW_MODULES] = False,
    on_outcome: Callable[[ItemOutcome, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> list[ItemOutcome]:
    """Export every item of a manifest, or every combination of networks and lists, with an index.

    Parameters
    ----------
    source : str, Path or a sequence of them
        The path of a manifest, or networks: names of the zoo, or paths of descriptions.
    folder : str or Path
        Output folder; finished items in it are kept.
    size, padding, layer, what : sequences
        Lists to combine, unless `source` is a manifest: sizes as 224, (240, 320) or "64:448:16".
    format_ : sequence of "png", "npz", "json"
        Files of each item; its figures are always written as JSON.
    cmap, dpi, width, theme
        As for `padviz.usage(...).save`: colours, and resolution or width in pixels, light or dark.
    jobs : int, optional
        Processes; without it, what joblib is set to, such as a Dask or Ray cluster.
    neutral, shape, input_
        As for `padviz.load`, of every network.
    allow_modules : bool
        Allow a manifest to run the code of models named package.module:attribute; they are rejected
        otherwise.
    on_outcome : callable, optional
        Called with each outcome, as it arrives, and the number of all items.
    on_note : callable, optional
        Called with notes: on each package.module:attribute that hides an installed package, before
        its code runs, and on each network, such as skipped layers.

    Returns
    -------
    list of ItemOutcome
        One per item: its name, "made", "kept" or "failed", and the error.

    Raises
    ------
    PadvizError
        For a manifest, network, option or folder that cannot be used; not for single items that
        fail.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     export(["vgg11"], place, size=[64, 96], format_=["json"], jobs=1)[0]
    ItemOutcome(name='vgg11-64-usage', state='made', error='')
    """
    for name in format_:
        if name not in FORMATS:
            raise OptionError(
                f"{name!r} is not a format", option="format", hint=f"use {', '.join(FORMATS)}"
            )
    given = {"sizes": size, "paddings": padding, "layers": layer, "what": what}
    lists = {key: values for key, values in given.items() if values}
    title, items = _items(source, lists, as_reading(neutral, shape, input_), allow_modules, on_note)
    with drawing_options(dpi, width, theme) as drawing:
        look = Look(tuple(format_), cmap, drawing)
    if cmap:  # imports matplotlib, which only processes that draw need
        colour_map(cmap)
    if "npz" in look.formats and not any(item.analysis in MAPS for item in items):
        what_for = "npz files are made of maps: usage and coverage"
        raise OptionError(what_for, option="format", hint="leave it out, or ask for maps")
    check_folder(Path(folder), items)
    outcomes: list[ItemOutcome] = []
    try:
        for outcome in run(items, Path(folder), look, jobs, on_note):
            outcomes.append(outcome)
            if on_outcome:
                on_outcome(outcome, len(items))
    except (KeyboardInterrupt, Ended):
        with suppress(PadvizError):
            write_index(Path(folder), title, outcomes, items)  # of the finished items
        raise
    try:
        write_index(Path(folder), title, outcomes, items)
    except PadvizError as error:  # keep the list of outcomes
        outcomes.append(ItemOutcome("index", "failed", str(error)))
    return outcomes


def _items(
    source: str | Path | Sequence[str | Path],
    lists: Mapping[str, Sequence[object]],
    reading: Reading,
    allow_modules: bool,
    on_note: Callable[[str], None] | None,
) -> tuple[str, list[Item]]:
    """Return the title of the export, and its items."""
    if isinstance(source, str | Path):
        models = [str(source)]
    else:
        models = [*map(str, source)]
    path = ""
    if len(models) == 1:
        path = models[0]
    if not is_manifest(path):
        for kind in lists.get("what", ()):
            if kind not in WHATS:
                raise OptionError(
                    f"{kind!r} cannot be exported", option="what", hint=f"use {', '.join(WHATS)}"
                )
        given: dict[str, Any] = {key: [*values] for key, values in lists.items()}
        manifest = Manifest(maps=[Maps(models, **given)])
        return "padviz export", expand(manifest, reading=reading, on_note=on_note)
    if lists:
        what = f"the manifest sets its own {next(iter(lists))}"
        raise OptionError(what, where=path, hint="leave the option out, or name models")
    manifest = read_manifest(path)
    try:
        items = expand(manifest, Path(path).parent, reading, allow_modules, on_note)
    except PadvizError as error:
        where = ", ".join(filter(None, (path, error.where or error.option)))
        raise OptionError(error.what, where=where, hint=error.hint) from None
    return manifest.title or Path(path).stem, items


COMMAND = Command(
    export,
    """Draw every combination of models and options into DIR, one file each, with index.html to
    browse.

    A manifest lists items instead of models. Items that an earlier run finished, with the same
    networks and options, are kept. Items that fail are listed at the end, and the exit code is then
    3.

    \b
    Example:
      padviz export resnet18 vgg11 --size 64:128:32 --padding zero,reflect -o maps
      padviz export resnet50 --size 224,225 --what usage,uneven,taps --format png,npz -o audit
    """,
    formats=(),
    files=(),
)
