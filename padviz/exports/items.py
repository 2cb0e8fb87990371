"""The items of an export: every combination that a manifest names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import file_digest, sha256
from itertools import product
from math import prod
from pathlib import Path
from typing import Any
from unicodedata import normalize

from msgspec import structs

from padviz.axis.padding_modes import RUNNING_ON
from padviz.errors import DescriptionError, OptionError, PadvizError, UnknownName
from padviz.exports.manifest import DECLARED, SHOWN, TRAINED, Comparison, Illustrated, Manifest, Maps
from padviz.network.network import FILES, Network, Size, as_size, notes_on, sides_in, sizes_in
from padviz.network.rewrites import canonical, padding_in_names
from padviz.sources import MODULE, WEIGHTS, load, shadowing
from padviz.sources.tracing.reading import AS_IT_IS, Reading
from padviz.trained.sessions.inputs import BLANK, NOISE, Inputs, normalisation, pictures_in

MOST_ITEMS = 100_000
LONG, LONGEST = 60, 240  # bytes of one part of a name, and of all of it
TAKEN = re.compile(r"index|(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # by the index of the folder, and by Windows
Find = Callable[[str, Size | None], Network]


@dataclass(frozen=True)
class Weighed:
    """What a network is read from with its weights, what it is run on, and a hash of the files that these are in."""

    source: str
    weights: str | None
    reading: Reading
    stamp: str
    shown: Inputs | None = None


@dataclass(frozen=True, eq=False)
class Item:
    """One picture of an export.

    A map has one value in each tuple, and a comparison a network for each of its sizes; None stands for what the
    network itself says.

    `trained` says where the weights are, for what is made of them. `refused` is why a foreign network cannot be read at
    that size: the item fails, and the others are made.
    """

    name: str
    what: str
    networks: tuple[Network | PadvizError, ...] = ()
    sizes: tuple[Size | None, ...] = (None,)
    paddings: tuple[str | None, ...] = (None,)
    layers: tuple[str | None, ...] = (None,)
    models: tuple[str, ...] = ()
    scale: str | None = None
    illustrated: Illustrated | None = None
    trained: Weighed | None = None
    refused: PadvizError | None = None

    @property
    def network(self) -> Network:
        """The first network that could be read."""
        for network in self.networks:
            if isinstance(network, Network):
                return network
        raise self.refused or next(error for error in self.networks if isinstance(error, PadvizError))


def expand(
    manifest: Manifest,
    folder: Path = Path(),
    reading: Reading = AS_IT_IS,
    allow_modules: bool = True,
    on_note: Callable[[str], None] | None = None,
) -> list[Item]:
    """List the items that a manifest names, in its order; files of networks are found from `folder`.

    `reading` says how foreign networks are read. Without `allow_modules`,
    models of the form package.module:attribute, whose code would run, are refused. `on_note` is called with what to
    know of a model before its code runs, and of a network once it is read.

    Raises
    ------
    PadvizError
        For a network, padding or size that does not exist, and for two items that would share a name.

    Examples
    --------
    >>> [item.name for item in expand(Manifest(maps=[Maps(["vgg11"], [64, "96:128:32"], ["zero"])]))]
    ['vgg11-64-zero-usage', 'vgg11-96-zero-usage', 'vgg11-128-zero-usage']
    """
    if sum(map(_count, manifest.maps)) + sum(map(_count, manifest.compare)) > MOST_ITEMS:
        raise OptionError(f"asks for more than {MOST_ITEMS} items", where="export", hint="make several exports of it")
    find = _finder(folder, reading, allow_modules, on_note)
    items = [_weighed(item, maps, folder, reading) for maps in manifest.maps for item in _maps(maps, find)]
    items += [_comparison(comparison, find) for comparison in manifest.compare]
    items += [_illustration(illustrated) for illustrated in manifest.kernel]
    names: dict[str, Item] = {}
    for item in items:
        other = names.setdefault(_folded(item.name), item)
        if other is not item and _key(other) != _key(item):
            what = f"two items would be called {item.name}: {_in_words(other)}, and {_in_words(item)}"
            raise OptionError(what, where="export", hint="rename one, or export it into another folder")
        if TAKEN.fullmatch(_folded(item.name)):
            what = f"{_in_words(item)} would be called {item.name}, which is taken in the folder or by the system"
            raise OptionError(what, where="export", hint="give it another name")
    return list(names.values())


def _count(lists: Maps | Comparison) -> int:
    """Count the maps that are listed, before any is laid out.

    >>> _count(Maps(["vgg11"], ["1:1000000", 7], ["zero", "valid"])), _count(Maps(["vgg11", "vgg13"]))
    (2000002, 2)
    """
    sizes = sum(sum(map(len, sides_in(size))) if isinstance(size, str) else 1 for size in lists.sizes)
    kinds = lists.what if isinstance(lists, Maps) else []
    return len(lists.models) * (sizes or 1) * prod(len(values) or 1 for values in (lists.paddings, lists.layers, kinds))


def _folded(name: str) -> str:
    """Fold names to what those have in common that are one file on some system.

    >>> _folded("Stra\u00dfe") == _folded("STRASSE"), _folded("\u00e9") == _folded("E\u0301")
    (True, True)
    """
    return normalize("NFKC", normalize("NFKC", name).casefold())


def _in_words(item: Item) -> str:
    """Name an item as a person named it."""
    if item.illustrated:
        return f"{item.what} {item.illustrated.name!r}"
    return " ".join([item.what, "of", *item.models, *filter(None, item.layers)])


def _key(item: Item) -> tuple[Any, ...]:
    """Tell two items of one name apart; a network named twice is the same."""
    lists = item.sizes, item.paddings, item.layers, item.scale, item.illustrated, item.trained
    return item.what, item.networks, *lists


def _maps(maps: Maps, find: Find) -> Iterator[Item]:
    sizes, paddings, kinds = _sizes(maps.sizes), _paddings(maps.paddings), maps.what or ["usage"]
    layers: list[str | None] = [*maps.layers] or [None]
    if maps.paddings and not {*kinds} & {"usage", "coverage", "responses"}:
        what = f"{' and '.join(kinds)} are of the padding as declared"
        raise OptionError(what, option="padding", hint="leave it out, or ask for usage or coverage")
    if maps.weights and not {*kinds} & {*TRAINED}:
        what = f"{' and '.join(kinds)} are of geometry alone"
        raise OptionError(what, option="weights", hint=f"leave it out, or ask for {', '.join(TRAINED)}")
    if "responses" not in kinds and (given := [key for key in SHOWN if getattr(maps, key) is not None]):
        what = f"{' and '.join(kinds)} are of networks that are not run"
        raise OptionError(what, option=given[0], hint="leave it out, or ask for responses")
    networks = {model: _at_first(find, model, sizes) for model in maps.models}
    for name in maps.layers:
        if not any(network.own_name(name) in network.index for network in networks.values()):
            next(iter(networks.values())).find(name)
    for (model, network), what in product(networks.items(), kinds):
        counted = what in ("usage", "coverage")
        own_layers = layers if what != "uneven" else [None]
        for size, padding, layer in product(sizes, paddings if counted else [None], own_layers):
            at = size or network.size
            parts = [
                network.name,
                "x".join(map(str, at if at[0] != at[1] else at[:1])),
                padding_in_names(padding),
                layer,
                what,
            ]
            schemes = (padding,) if what != "responses" else tuple(paddings) if maps.paddings else (None, *RUNNING_ON)
            item = Item(_named(parts), what, (network,), (at,), schemes, (layer,), (model,))
            try:
                yield replace(item, networks=(find(model, size),))
            except PadvizError as error:
                yield replace(item, refused=error)


def _weighed(item: Item, maps: Maps, folder: Path, reading: Reading) -> Item:
    """Tell an item where the weights of its network are, if it is made of them."""
    if item.what not in TRAINED:
        return item
    source = _placed(item.models[0], folder)
    weights = _placed(maps.weights, folder) if maps.weights.lower().endswith(WEIGHTS) else maps.weights
    inputs = _inputs(maps, folder) if item.what == "responses" else None
    pictures = pictures_in(inputs.inputs, inputs.n) if inputs and inputs.inputs not in (NOISE, BLANK) else []
    stamp, files = sha256(), [source, weights, *map(str, pictures)]
    for path in filter(os.path.isfile, files):
        with suppress(OSError), open(path, "rb") as file:  # who reads it says what is wrong
            stamp.update(file_digest(file, "sha256").digest())
    return replace(item, trained=Weighed(source, weights or None, reading, stamp.hexdigest(), inputs))


def _inputs(maps: Maps, folder: Path) -> Inputs:
    """Read what networks are run on; a folder of pictures is found from `folder`."""
    given: dict[str, Any] = {key: value for key in SHOWN if (value := getattr(maps, key)) is not None}
    for key in {*given} & {"mean", "std"}:
        given[key] = tuple(given[key]) if isinstance(given[key], list) else (given[key],)
        normalisation(len(given[key]), **{"mean": None, "std": None, key: given[key]})  # refuses what is no figure
    if given.get("inputs", NOISE) not in (NOISE, BLANK):
        given["inputs"] = os.path.abspath(folder / given["inputs"])
    return Inputs(**given)


def _placed(name: str, folder: Path) -> str:
    """Find the path of a file from `folder`; other names stay as they are."""
    path = name.lower().endswith((".toml", *FILES, *WEIGHTS)) or "/" in name
    return os.path.abspath(folder / name) if path else name


def _at_first(find: Find, model: str, sizes: Sequence[Size | None]) -> Network:
    """Find the network at the first size that it takes; where it takes none, nothing of the export makes sense."""
    errors = []
    for size in sizes:
        try:
            return find(model, size)
        except PadvizError as error:
            errors.append(error)
    raise errors[0]


def _comparison(wanted: Comparison, find: Find) -> Item:
    sizes = _sizes(wanted.sizes)
    networks = tuple(_or_refused(find, model, size) for model in wanted.models for size in sizes)
    layers: tuple[str | None, ...] = tuple(wanted.layers) or (None,)
    lists = tuple(sizes), tuple(_paddings(wanted.paddings)), layers
    if sum(len(values) > 1 for values in (wanted.models, *lists)) != 1:
        hint = "give several values to one of models, sizes, paddings and layers"
        raise DescriptionError("compares along no list, or along several", where=f"compare {wanted.name!r}", hint=hint)
    return Item(_named([wanted.name]), "compare", networks, *lists, tuple(wanted.models), scale=wanted.scale)


def _or_refused(find: Find, model: str, size: Size | None) -> Network | PadvizError:
    try:
        return find(model, size)
    except (OptionError, UnknownName):
        raise
    except PadvizError as error:
        return error


def _illustration(wanted: Illustrated) -> Item:
    paddings = [scheme for scheme in dict.fromkeys(map(canonical, wanted.paddings)) if scheme]
    return Item(_named([wanted.name]), "kernel", illustrated=structs.replace(wanted, paddings=paddings))


def _finder(folder: Path, reading: Reading, allow_modules: bool, on_note: Callable[[str], None] | None) -> Find:
    """Load networks, each once, and read them at each size that is asked for."""
    loaded: dict[str, Network] = {}
    noted: set[str] = set()

    def find(model: str, size: Size | None) -> Network:
        path = model.lower().endswith((".toml", *FILES)) or "/" in model
        source = str(folder / model) if path else model
        if MODULE.fullmatch(source) and not allow_modules:
            hint = "if you trust it, allow it with `allow_modules`"
            raise OptionError("names code that would run", where=model, hint=hint)
        line = "" if source in noted else shadowing(source)
        noted.add(source)
        if line and on_note:
            on_note(line)
        key = os.path.realpath(source) if path else model
        key += "" if size else " at its own size"
        if key not in loaded:
            network = load(source, size, reading)
            loaded[key] = network if network.title else replace(network, title=network.name)
        network = loaded[key].at(size)
        if on_note:
            for note in notes_on(network, size is not None):
                on_note(f"{network.name}: {note}")
        return network

    return find


def _sizes(sizes: Sequence[Any]) -> list[Size | None]:
    """Read sizes: pixels, [height, width], or texts as `--size` takes."""
    return [*dict.fromkeys(size for listed in map(_listed, sizes) for size in listed)] or [None]


def _listed(size: Any) -> Sequence[Size]:
    """List the sizes that one names.

    >>> _listed("64:448:16")[-1], _listed("240x320,224"), _listed(224)
    ((448, 448), [(240, 320), (224, 224)], [(224, 224)])
    """
    return sizes_in(size) if isinstance(size, str) else [as_size(size)]


def _paddings(paddings: Sequence[str]) -> list[str | None]:
    """List paddings, each once; None is that as declared."""
    return [*dict.fromkeys(None if padding == DECLARED else canonical(padding) for padding in paddings or [DECLARED])]


def _named(parts: Sequence[str | None]) -> str:
    """Write a file name that a person can read, on any system.

    >>> _named(["my net", "224", None, "/layer1/conv", "usage"])
    'my_net-224-_layer1_conv-usage'
    """
    plain = [_short(re.sub(r"[^\w.+=,@-]", "_", part), LONG) for part in parts if part]
    return _short("-".join(plain).lstrip("."), LONGEST) or "_"


def _short(text: str, most: int) -> str:
    """Cut a text to so many bytes at most; a hash tells what was cut off."""
    whole = text.encode()
    if len(whole) <= most:
        return text
    return f"{whole[: most - 9].decode(errors='ignore')}~{sha256(whole).hexdigest()[:8]}"
