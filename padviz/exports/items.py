"""The items of an export: every combination that a manifest names, as a call of an analysis."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain, product
from math import prod
from pathlib import Path
from typing import Any
from unicodedata import normalize

from msgspec import structs

from padviz.analyses.load import read
from padviz.errors import DescriptionError, OptionError, PadvizError, UnknownName
from padviz.exports.manifest import (
    DECLARED,
    EFFECTIVE,
    MAPS,
    RUNNING,
    TRAINED,
    Comparison,
    KernelPicture,
    Manifest,
    Maps,
    Sides,
)
from padviz.network.network import FILES, Network, Size, as_size, notes_on, sides_in, sizes_in
from padviz.network.padding_modes import RUNNING_ON
from padviz.network.rewrites import canonical
from padviz.reports.tables import pixels
from padviz.sources import MODULE, WEIGHTS, shadowing
from padviz.sources.tracing.reading import AS_IT_IS, Reading
from padviz.trained.images import Inputs, normalisation, pictures_in

MOST_ITEMS = 100_000
LONG, LONGEST = 60, 240  # bytes of one part of a name, and of all of it
# Names that the index of the folder has, and that Windows reserves.
RESERVED = re.compile(r"index|(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
Find = Callable[[str, Size | None], Network]
Pair = tuple[Network | PadvizError, Size]  # a network, or why it cannot be read, and its size


@dataclass(frozen=True)
class Item:
    """A call of an analysis: its name, the networks with their sizes, and the other arguments.

    An error stands for a network that cannot be read at its size. Weights are read again, from
    `origin`. The contents of `files` count for the digest. Items are equal if they show the same,
    whatever their names.
    """

    name: str = field(compare=False)
    analysis: str
    words: str = field(compare=False)  # what a message calls it
    arguments: Mapping[str, Any]
    names: tuple[str, ...] = ()  # of networks
    pairs: tuple[Pair, ...] = ()
    origin: str = field(default="", compare=False)
    reading: Reading = field(default=AS_IT_IS, compare=False)
    files: tuple[str, ...] = ()

    @property
    def about(self) -> dict[str, object]:
        """What the index lists: names of networks, sizes and paddings, as options spell them."""
        sizes = [size for _, size in self.pairs if size]
        if self.analysis == "kernel":
            sizes = [(self.arguments["size"],) * 2]
        schemes = self.arguments.get("padding")
        paddings = [
            padding or DECLARED for padding in (schemes if isinstance(schemes, list) else [schemes])
        ]
        about = {"name": self.name, "what": self.analysis, "networks": [*self.names]}
        return {
            **about,
            "sizes": [*dict.fromkeys("x".join(map(str, size)) for size in sizes)],
            "paddings": paddings,
        }


def expand(
    manifest: Manifest,
    folder: Path = Path(),
    reading: Reading = AS_IT_IS,
    allow_modules: bool = True,
    on_note: Callable[[str], None] | None = None,
) -> list[Item]:
    """List the items that a manifest names, in its order; paths are relative to `folder`.

    Without `allow_modules`, models of the form package.module:attribute, whose code would run, are
    rejected. `on_note` gets warnings about a model before its code runs, and notes on a network
    once it is read.

    >>> manifest = Manifest(maps=[Maps(["vgg11"], [64, "96:128:32"], ["zero"])])
    >>> [item.name for item in expand(manifest)]
    ['vgg11-64-zero-usage', 'vgg11-96-zero-usage', 'vgg11-128-zero-usage']
    """
    if sum(map(_count, manifest.maps)) + sum(map(_count, manifest.compare)) > MOST_ITEMS:
        what = f"has more than {MOST_ITEMS} items"
        raise OptionError(what, where="export", hint="split it into several exports")
    notes: list[str] = []  # until every network is read: an error is one line
    say = on_note or (lambda note: None)
    find = _finder(folder, reading, allow_modules, say, notes)
    items: list[Item] = []
    for maps in manifest.maps:
        items += _maps(maps, find, folder, reading)
    items += [_comparison(comparison, find) for comparison in manifest.compare]
    items += [_kernel(kernel) for kernel in manifest.kernel]
    names: dict[str, Item] = {}
    for item in items:
        folded = _folded(item.name)
        other = names.setdefault(folded, item)
        if other != item:
            what = f"two items would be called {item.name}: {other.words}, and {item.words}"
            raise OptionError(
                what, where="export", hint="rename one, or export it into another folder"
            )
        if RESERVED.fullmatch(folded):
            what = f"{item.words} would be called {item.name}, which is a reserved name"
            raise OptionError(what, where="export", hint="give it another name")
    for note in dict.fromkeys(notes):
        say(note)
    return list(names.values())


def _count(lists: Maps | Comparison) -> int:
    """Count the combinations without listing them.

    >>> _count(Maps(["vgg11"], ["1:1000000", 7], ["zero", "valid"]))
    2000002
    """
    sizes = 0
    for size in lists.sizes:
        sizes += sum(map(len, sides_in(size))) if isinstance(size, str) else 1
    if isinstance(lists, Maps):
        kinds = lists.what
    else:
        kinds = []
    counts = len(lists.models), sizes, len(lists.paddings), len(lists.layers), len(kinds)
    return prod(count or 1 for count in counts)


def _folded(name: str) -> str:
    """Fold names that some file system takes for the same file.

    >>> _folded("Stra\u00dfe") == _folded("STRASSE"), _folded("\u00e9") == _folded("E\u0301")
    (True, True)
    """
    return normalize("NFKC", normalize("NFKC", name).casefold())


def _maps(maps: Maps, find: Find, folder: Path, reading: Reading) -> Iterator[Item]:
    kinds = maps.what or ["usage"]
    for key, (option, takers) in EFFECTIVE.items():
        if getattr(maps, key) not in (None, "", []) and not {*kinds} & {*takers}:
            hint = f"leave it out, or ask for {' or '.join(takers)}"
            raise OptionError(f"has no effect on {' and '.join(kinds)}", option=option, hint=hint)
    read = {model: _read(find, model, _sizes(maps.sizes)) for model in maps.models}
    # The export fails for a network that no size runs, and for a layer that no network has.
    networks = {model: _readable(pairs) for model, pairs in read.items()}
    for name in maps.layers:
        if not any(network.own_name(name) in network.index for network in networks.values()):
            next(iter(networks.values())).find(name)  # raises, with the nearest names
    running, pictures = _running(maps, folder)
    for model, what in product(networks, kinds):
        origin, files = _from_folder(model, folder), []
        known = networks[model].name
        if what in TRAINED:
            files = [origin, running["weights"] or "", *pictures]
        contents = tuple(filter(os.path.isfile, files))  # who reads one that is missing reports it
        for pair, arguments in product(read[model], _arguments(maps, what, running)):
            padding, layer = arguments.get("padding"), arguments.get("layer")
            scheme = None
            if isinstance(padding, str):
                scheme = padding.replace("/", "+")
            name = _file_name([known, pixels(pair[1]), scheme, layer, what])
            words = " ".join(filter(None, [what, "of", model, layer]))
            yield Item(name, what, words, arguments, (known,), (pair,), origin, reading, contents)


def _arguments(maps: Maps, what: str, running: Mapping[str, object]) -> list[dict[str, Any]]:
    """List the arguments of an analysis, beside network and size, for each padding and layer."""
    layers: Sequence[str | None] = maps.layers or [None]
    if what == "uneven":
        return [{}]
    if what in MAPS:
        pairs = product(_paddings(maps.paddings), layers)
        return [{"padding": padding, "layer": layer} for padding, layer in pairs]
    if what == "filters":
        return [{"layer": layer, "weights": running["weights"]} for layer in layers]
    if what == "responses":
        if maps.paddings:
            schemes = [*filter(None, _paddings(maps.paddings))]
        else:
            schemes = [*RUNNING_ON]
        return [{"padding": schemes, "layer": layer, **running} for layer in layers]
    return [{"layer": layer} for layer in layers]


def _running(maps: Maps, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the arguments of analyses that run a network, and the paths of its pictures."""
    running: dict[str, Any] = {"weights": maps.weights or None}
    if maps.weights.lower().endswith(WEIGHTS):
        running["weights"] = _from_folder(maps.weights, folder)
    running |= {key: getattr(maps, key) for key in RUNNING if getattr(maps, key) is not None}
    for key in {*running} & {"mean", "std"}:
        if isinstance(running[key], list):
            values = running[key]
        else:
            values = [running[key]]
        running[key] = values
        # rejects invalid numbers
        normalisation(len(values), **{"mean": None, "std": None, key: values})
    if "images" in running:
        running["images"] = os.path.abspath(folder / running["images"])
    inputs = Inputs(**{key: running[key] for key in RUNNING if key in running})
    if inputs.images is None:
        return running, []
    return running, [*map(str, pictures_in(inputs.images, inputs.n))]


def _from_folder(name: str, folder: Path) -> str:
    """Resolve a path relative to `folder`; other names stay as they are."""
    path = name.lower().endswith((".toml", *FILES, *WEIGHTS)) or "/" in name
    if path:
        return os.path.abspath(folder / name)
    return name


def _read(find: Find, model: str, sizes: Sequence[Size | None]) -> list[Pair]:
    """Read a network at each size; where it cannot be read, the error stands for it."""
    pairs: list[Pair] = []
    for size in sizes:
        try:
            network = find(model, size)
            pairs.append((network, network.pixels(size)))
        except PadvizError as error:
            pairs.append((error, size or ()))
    return pairs


def _readable(pairs: Sequence[Pair]) -> Network:
    """Return the first network that could be read; else raise why not."""
    for network, _ in pairs:
        if isinstance(network, Network):
            return network
    raise next(error for error, _ in pairs if isinstance(error, PadvizError))


def _comparison(wanted: Comparison, find: Find) -> Item:
    sizes, models = _sizes(wanted.sizes), [*dict.fromkeys(wanted.models)]
    pairs = [*chain.from_iterable(_read(find, model, sizes) for model in models)]
    for network, _ in pairs:
        if isinstance(network, OptionError | UnknownName):
            raise network
    lists: dict[str, Sequence[object]] = {"network": models, "size": sizes}
    lists["padding"] = [padding or DECLARED for padding in _paddings(wanted.paddings)]
    lists["layer"] = [*dict.fromkeys(wanted.layers)] or [None]
    several = [key for key, values in lists.items() if len(values) > 1]
    if len(several) != 1:
        hint = "give several values to one of models, sizes, paddings and layers"
        what = "needs exactly one list of several values"
        raise DescriptionError(what, where=f"compare {wanted.name!r}", hint=hint)
    varies = several[0]
    labels = lists[varies]
    if varies == "size":
        labels = [pixels(size) for _, size in pairs]
    arguments: dict[str, object] = {"varies": varies, "labels": labels, "scale": wanted.scale}
    arguments |= {"padding": lists["padding"], "layer": lists["layer"]}
    names = dict.fromkeys(network.name for network, _ in pairs if isinstance(network, Network))
    words = f"compare of {' '.join(models)}"
    return Item(
        _file_name([wanted.name]), "compare", words, arguments, tuple(names or models), tuple(pairs)
    )


def _kernel(wanted: KernelPicture) -> Item:
    arguments = structs.asdict(wanted)
    name, paddings = arguments.pop("name"), arguments.pop("paddings")
    schemes = [scheme for scheme in dict.fromkeys(map(canonical, paddings)) if scheme]
    arguments["padding"] = schemes or ["zero"]
    return Item(_file_name([name]), "kernel", f"kernel {name!r}", arguments)


def _finder(
    folder: Path,
    reading: Reading,
    allow_modules: bool,
    on_note: Callable[[str], None],
    notes: list[str],
) -> Find:
    """Return a function that reads a model at a size, each once, and adds to `notes`."""
    loaded: dict[tuple[str, bool], Network] = {}
    at_sizes: dict[tuple[str, Size | None], Network] = {}
    noted: set[str] = set()

    def find(model: str, size: Size | None) -> Network:
        path = model.lower().endswith((".toml", *FILES)) or "/" in model
        source = model
        if path:
            source = str(folder / model)
        if MODULE.fullmatch(source) and not allow_modules:
            hint = "if you trust it, allow it with `allow_modules`"
            raise OptionError("names code that would run", where=model, hint=hint)
        if source not in noted and (line := shadowing(source)):
            on_note(line)
        noted.add(source)
        place = model
        if path:
            place = os.path.realpath(source)
        first = place, size is None
        if first not in loaded:
            loaded[first] = read(source, size, reading)
        if (place, size) not in at_sizes:
            at_sizes[place, size] = loaded[first].at(size)
        network = at_sizes[place, size]
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
    return [
        *dict.fromkeys(
            None if padding == DECLARED else canonical(padding)
            for padding in paddings or [DECLARED]
        )
    ]


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
