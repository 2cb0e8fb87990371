"""The items of an export: every combination that a manifest names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import file_digest, sha256
from itertools import chain, product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

from msgspec import structs

from padviz.errors import DescriptionError, OptionError, PadvizError, UnknownName
from padviz.exports.manifest import DECLARED, MAPS, RUNNING, TRAINED, Comparison, KernelPicture, Manifest, Maps, Sides
from padviz.network.network import FILES, Network, Size, as_size, notes_on, sides_in, sizes_in
from padviz.network.padding_modes import RUNNING_ON
from padviz.network.rewrites import canonical
from padviz.sources import MODULE, WEIGHTS, load, shadowing
from padviz.sources.tracing.reading import AS_IT_IS, Reading
from padviz.trained.images import BLANK, NOISE, Inputs, normalisation, pictures_in

MOST_ITEMS = 100_000
LONG, LONGEST = 60, 240  # bytes of one part of a name, and of all of it
RESERVED = re.compile(r"index|(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # by the index of the folder, and by Windows
Find = Callable[[str, Size | None], Network]


class WeightSource(NamedTuple):
    """Where a network's weights come from, the inputs it runs on, and a hash of all files involved."""

    source: str
    weights: str | None
    reading: Reading
    stamp: str
    inputs: Inputs | None = None


@dataclass(frozen=True)
class Item:
    """One picture of an export.

    A map has one value in each tuple, a comparison one network per size, or the error there; None is the network's own
    size, padding or target. Items are equal if they show the same, under whatever name.
    """

    name: str = field(compare=False)
    what: str
    networks: tuple[Network | PadvizError, ...] = ()
    sizes: tuple[Size | None, ...] = (None,)
    paddings: tuple[str | None, ...] = (None,)
    layers: tuple[str | None, ...] = (None,)
    models: tuple[str, ...] = field(default=(), compare=False)
    scale: str | None = None
    kernel: KernelPicture | None = None
    trained: WeightSource | None = None

    @property
    def network(self) -> Network:
        """The first network that could be read."""
        for network in self.networks:
            if isinstance(network, Network):
                return network
        raise next(error for error in self.networks if isinstance(error, PadvizError))

    @property
    def targets(self) -> list[str]:
        """The target layers that are named."""
        return [layer for layer in self.layers if layer]


def expand(
    manifest: Manifest,
    folder: Path = Path(),
    reading: Reading = AS_IT_IS,
    allow_modules: bool = True,
    on_note: Callable[[str], None] | None = None,
) -> list[Item]:
    """List the items that a manifest names, in its order; paths are relative to `folder`.

    Without `allow_modules`, models of the form package.module:attribute, whose code would run, are rejected. `on_note`
    gets warnings about a model before its code runs, and notes on a network once it is read.

    >>> [item.name for item in expand(Manifest(maps=[Maps(["vgg11"], [64, "96:128:32"], ["zero"])]))]
    ['vgg11-64-zero-usage', 'vgg11-96-zero-usage', 'vgg11-128-zero-usage']
    """
    if sum(map(_count, manifest.maps)) + sum(map(_count, manifest.compare)) > MOST_ITEMS:
        raise OptionError(f"has more than {MOST_ITEMS} items", where="export", hint="split it into several exports")
    notes: list[str] = []  # until every network is read: an error is one line
    say = on_note or (lambda note: None)
    find = _finder(folder, reading, allow_modules, say, notes)
    items = [_add_weights(item, maps, folder, reading) for maps in manifest.maps for item in _maps(maps, find)]
    items += [_comparison(comparison, find) for comparison in manifest.compare]
    items += [_kernel_item(kernel) for kernel in manifest.kernel]
    names: dict[str, Item] = {}
    for item in items:
        folded = _folded(item.name)
        other = names.setdefault(folded, item)
        if other != item:
            what = f"two items would be called {item.name}: {_describe(other)}, and {_describe(item)}"
            raise OptionError(what, where="export", hint="rename one, or export it into another folder")
        if RESERVED.fullmatch(folded):
            what = f"{_describe(item)} would be called {item.name}, which is a reserved name"
            raise OptionError(what, where="export", hint="give it another name")
    for note in dict.fromkeys(notes):
        say(note)
    return list(names.values())


def _count(lists: Maps | Comparison) -> int:
    """Count the combinations without listing them.

    >>> _count(Maps(["vgg11"], ["1:1000000", 7], ["zero", "valid"])), _count(Maps(["vgg11", "vgg13"]))
    (2000002, 2)
    """
    sizes = sum(sum(map(len, sides_in(size))) if isinstance(size, str) else 1 for size in lists.sizes)
    kinds = lists.what if isinstance(lists, Maps) else []
    return prod(n or 1 for n in (len(lists.models), sizes, len(lists.paddings), len(lists.layers), len(kinds)))


def _folded(name: str) -> str:
    """Fold names that some file system takes for the same file.

    >>> _folded("Stra\u00dfe") == _folded("STRASSE"), _folded("\u00e9") == _folded("E\u0301")
    (True, True)
    """
    return normalize("NFKC", normalize("NFKC", name).casefold())


def _describe(item: Item) -> str:
    if item.kernel:
        return f"{item.what} {item.kernel.name!r}"
    return " ".join([item.what, "of", *item.models, *item.targets])


def _maps(maps: Maps, find: Find) -> Iterator[Item]:
    sizes, paddings, kinds = _sizes(maps.sizes), _paddings(maps.paddings), maps.what or ["usage"]
    layers: list[str | None] = [*maps.layers] or [None]
    listed = " and ".join(kinds)
    if maps.paddings and not {*kinds} & {*MAPS, "responses"}:
        hint = "leave it out, or ask for usage or coverage"
        raise OptionError(f"has no effect on {listed}", option="padding", hint=hint)
    if maps.weights and not {*kinds} & {*TRAINED}:
        hint = f"leave it out, or ask for {', '.join(TRAINED)}"
        raise OptionError(f"have no effect on {listed}", option="weights", hint=hint)
    if "responses" not in kinds and (given := [key for key in RUNNING if getattr(maps, key) is not None]):
        hint = "leave it out, or ask for responses"
        raise OptionError(f"has no effect on {listed}", option=given[0], hint=hint)
    networks: dict[str, Network] = {}
    read = {model: _read(find, model, sizes) for model in maps.models}
    for model, at_sizes in read.items():
        first = next((each for each in at_sizes if isinstance(each, Network)), at_sizes[0])
        if isinstance(first, PadvizError):  # the export fails for a network that no size runs
            raise first
        networks[model] = first
    for name in maps.layers:
        if not any(network.own_name(name) in network.index for network in networks.values()):
            next(iter(networks.values())).find(name)  # raises, with the nearest names
    for (model, network), what in product(networks.items(), kinds):
        own_paddings = paddings if what in MAPS else [None]
        own_layers = layers if what != "uneven" else [None]
        for (found, size), padding, layer in product(zip(read[model], sizes, strict=True), own_paddings, own_layers):
            at = size or network.size
            side = "x".join(map(str, at if at[0] != at[1] else at[:1]))
            name = _file_name([network.name, side, padding and padding.replace("/", "+"), layer, what])
            schemes = (padding,) if what != "responses" else tuple(paddings) if maps.paddings else (None, *RUNNING_ON)
            yield Item(name, what, (found,), (at,), schemes, (layer,), (model,))


def _add_weights(item: Item, maps: Maps, folder: Path, reading: Reading) -> Item:
    if item.what not in TRAINED:
        return item
    source = _from_folder(item.models[0], folder)
    weights = _from_folder(maps.weights, folder) if maps.weights.lower().endswith(WEIGHTS) else maps.weights
    inputs = _inputs(maps, folder) if item.what == "responses" else None
    pictures = pictures_in(inputs.inputs, inputs.n) if inputs and inputs.inputs not in (NOISE, BLANK) else []
    stamp, files = sha256(), [source, weights, *map(str, pictures)]
    for path in filter(os.path.isfile, files):
        with suppress(OSError), open(path, "rb") as file:  # who reads it reports the error
            stamp.update(file_digest(file, "sha256").digest())
    return replace(item, trained=WeightSource(source, weights or None, reading, stamp.hexdigest(), inputs))


def _inputs(maps: Maps, folder: Path) -> Inputs:
    given: dict[str, Any] = {key: value for key in RUNNING if (value := getattr(maps, key)) is not None}
    for key in {*given} & {"mean", "std"}:
        given[key] = tuple(given[key]) if isinstance(given[key], list) else (given[key],)
        normalisation(len(given[key]), **{"mean": None, "std": None, key: given[key]})  # rejects invalid numbers
    if given.get("inputs", NOISE) not in (NOISE, BLANK):
        given["inputs"] = os.path.abspath(folder / given["inputs"])
    return Inputs(**given)


def _from_folder(name: str, folder: Path) -> str:
    """Resolve a path relative to `folder`; other names stay as they are."""
    path = name.lower().endswith((".toml", *FILES, *WEIGHTS)) or "/" in name
    return os.path.abspath(folder / name) if path else name


def _read(find: Find, model: str, sizes: Sequence[Size | None]) -> list[Network | PadvizError]:
    """Read a network at each size; where it cannot be read, the error stands for it."""
    read: list[Network | PadvizError] = []
    for size in sizes:
        try:
            read.append(find(model, size))
        except PadvizError as error:
            read.append(error)
    return read


def _comparison(wanted: Comparison, find: Find) -> Item:
    sizes = _sizes(wanted.sizes)
    networks = tuple(network for model in wanted.models for network in _read(find, model, sizes))
    for network in networks:
        if isinstance(network, OptionError | UnknownName):
            raise network
    layers: tuple[str | None, ...] = tuple(wanted.layers) or (None,)
    lists = tuple(sizes), tuple(_paddings(wanted.paddings)), layers
    if sum(len(values) > 1 for values in (wanted.models, *lists)) != 1:
        hint = "give several values to one of models, sizes, paddings and layers"
        raise DescriptionError("needs exactly one list of several values", where=f"compare {wanted.name!r}", hint=hint)
    return Item(_file_name([wanted.name]), "compare", networks, *lists, tuple(wanted.models), scale=wanted.scale)


def _kernel_item(wanted: KernelPicture) -> Item:
    paddings = [scheme for scheme in dict.fromkeys(map(canonical, wanted.paddings)) if scheme]
    return Item(_file_name([wanted.name]), "kernel", kernel=structs.replace(wanted, paddings=paddings))


def _finder(
    folder: Path, reading: Reading, allow_modules: bool, on_note: Callable[[str], None], notes: list[str]
) -> Find:
    """Return a function that reads a model at a size, and adds to the `notes`; each model is loaded once."""
    loaded: dict[tuple[str, bool], Network] = {}
    noted: set[str] = set()

    def find(model: str, size: Size | None) -> Network:
        path = model.lower().endswith((".toml", *FILES)) or "/" in model
        source = str(folder / model) if path else model
        if MODULE.fullmatch(source) and not allow_modules:
            hint = "if you trust it, allow it with `allow_modules`"
            raise OptionError("names code that would run", where=model, hint=hint)
        if source not in noted and (line := shadowing(source)):
            on_note(line)
        noted.add(source)
        key = (os.path.realpath(source) if path else model, size is None)
        if key not in loaded:
            network = load(source, size, reading)
            loaded[key] = network if network.title else replace(network, title=network.name)
        network = loaded[key].at(size)
        notes.extend(f"{network.name}: {note}" for note in notes_on(network, size is not None))
        return network

    return find


def _sizes(sizes: Sequence[Sides]) -> list[Size | None]:
    """List the sizes of a manifest, each once: pixels, [height, width], or texts as for `--size`.

    >>> _sizes(["64:448:16"])[-1], _sizes(["240x320,224", 224, [9, 8]]), _sizes([])
    ((448, 448), [(240, 320), (224, 224), (9, 8)], [None])
    """
    listed = (sizes_in(size) if isinstance(size, str) else [as_size(size)] for size in sizes)
    return [*dict.fromkeys(chain.from_iterable(listed))] or [None]


def _paddings(paddings: Sequence[str]) -> list[str | None]:
    """List paddings, each once; None is the declared one."""
    return [*dict.fromkeys(None if padding == DECLARED else canonical(padding) for padding in paddings or [DECLARED])]


def _file_name(parts: Sequence[str | None]) -> str:
    """Join parts to a readable file name that is valid on every system.

    >>> _file_name(["my net", "224", None, "/layer1/conv", "usage"])
    'my_net-224-_layer1_conv-usage'
    """
    plain = [_short(re.sub(r"[^\w.+=,@-]", "_", part), LONG) for part in parts if part]
    return _short("-".join(plain).lstrip("."), LONGEST) or "_"


def _short(text: str, most: int) -> str:
    """Shorten a text to at most `most` bytes, ending in a hash of all of it."""
    whole = text.encode()
    if len(whole) <= most:
        return text
    return f"{whole[: most - 9].decode(errors='ignore')}~{sha256(whole).hexdigest()[:8]}"
