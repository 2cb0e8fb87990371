"""What commands do with options: networks are read as asked for, and errors and notes said as options are typed."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli.vocabulary import READING
from padviz.errors import OptionError, PadvizError, printable

if TYPE_CHECKING:
    from padviz.network.network import Network, Size
    from padviz.sources.tracing.reading import Reading
    from padviz.trained.weights.trained_network import Trained

SAID = "padviz.said"
KEPT = "padviz.kept"
LOADED = "padviz.loaded"


def spelled(error: PadvizError | str, command: click.Command | None = None) -> str:
    """Say a library's error, or line, with its options as they are typed; hints of others are left out.

    The command is the one that runs, if none is given.

    >>> spelled(OptionError("0 is no size", option="size", hint="use `size` 224, or `allow_modules`"))
    '--size: 0 is no size; use --size 224, or --allow-modules'
    >>> spelled(OptionError("is for boxes", option="by_class"))
    '--by-class: is for boxes'
    """
    context = click.get_current_context(silent=True)
    command = command or (context.command if context else None)
    known = None if command is None else {spelling.lstrip("-") for param in command.params for spelling in param.opts}
    named = isinstance(error, PadvizError) and error.option and not error.where
    line = error.line if isinstance(error, PadvizError) else error
    text = line if known is None else _known_only(line, known)
    name, _, rest = text.partition(":")
    option, dashes = name.replace("_", "-"), ""
    if named and (known is None or option in known):
        dashes, text = _dashes(option), f"{option}:{rest}"
    return dashes + re.sub(r"`([a-z_]+)`", lambda name: _dashes(name[1]) + name[1].replace("_", "-"), text)


def _dashes(option: str) -> str:
    """Put before an option's name what stands there: one letter has one dash.

    >>> _dashes("n"), _dashes("size")
    ('-', '--')
    """
    return "-" if len(option) == 1 else "--"


def _known_only(text: str, known: Container[str]) -> str:
    """Leave out of a line what it advises of options that are not known.

    >>> _known_only("a: is small; try another `size` or `padding`", {"size"})
    'a: is small; try another `size`'
    >>> _known_only("a: no rule; `neutral` a leaves it, `layer` b stops before it", {"layer"})
    'a: no rule; `layer` b stops before it'
    """
    kept, *parts = re.split(r"(; |, or |, | or )", text)
    dropped = ""  # what stood before the last part that was left out
    for between, part in zip(parts[::2], parts[1::2], strict=True):
        if any(name.replace("_", "-") not in known for name in re.findall(r"`([a-z_]+)`", part)):
            dropped = dropped or between
            continue
        kept += (dropped or between) + part
        dropped = ""
    return kept


def loaded(model: str, *sizes: Size | None) -> Network:
    """Load the network that MODEL names, once, at the first of some sizes that it takes; at its own by default."""
    from padviz.analyses.load import load
    from padviz.sources import shadowing

    if line := shadowing(model):
        say_once(line)
    known: dict[str, Network] = click.get_current_context().meta.setdefault(LOADED, {})
    size, *others = sizes or (None,)
    try:
        network = known[model].at(size) if model in known and size else load(model, size, **asked_to_read())
    except PadvizError:
        if not others:
            raise
        return loaded(model, *others)
    known.setdefault(model, network)
    keep_notes(network, size)
    return network


def read_trained(model: str, size: Size | None = None, weights: str | None = None, sized_by: str = "size") -> Trained:
    """Read the network that MODEL names, with its weights; `sized_by` is the option that says its size."""
    from padviz.sources import shadowing
    from padviz.trained.weights.reading import read

    if line := shadowing(model):
        say_once(line)
    loaded = read(model, size, weights, reading())
    keep_notes(loaded.network, size, sized_by)
    return loaded


def kept_beside(picture: Path, resume: bool, overwrite: bool) -> Path:
    """Name the file that keeps a run beside its picture; say where there is none to resume."""
    from padviz.files.unfinished import SUFFIX

    kept = picture.with_name(picture.name + SUFFIX)
    if kept.exists() and not (resume or overwrite):
        hint = "add --resume to continue it, or --overwrite to start over"
        raise OptionError("keeps an interrupted run", where=kept.name, hint=hint)
    if resume and not kept.exists():
        said = click.get_current_context().meta.setdefault(KEPT, [])
        said.append(f"{kept.name} was not there: nothing was kept, and the run began anew")
    return kept


def reading() -> Reading:
    """Collect what --neutral, --input and --shape say in the command that runs."""
    from padviz.sources.tracing.reading import as_reading

    return as_reading(**asked_to_read())


def asked_to_read() -> dict[str, Any]:
    """Collect the same as arguments of `padviz.load`."""
    asked = click.get_current_context().meta.get(READING, {})
    return {"neutral": asked.get("neutral", ()), "shape": dict(asked.get("shape", ())), "input_": asked.get("input")}


def say(line: str) -> None:
    """Say something on stderr."""
    click.echo(f"padviz: {printable(spelled(line))}", err=True)


def say_all(notes: Iterable[str]) -> None:
    """Say each of some notes on stderr."""
    for note in notes:
        say(note)


def say_once(line: str) -> None:
    """Say something on stderr, unless this command said it before."""
    lines = click.get_current_context().meta.setdefault(SAID, set())
    if line not in lines:
        lines.add(line)
        say(line)


def keep_notes(network: Network, size: Size | None, sized_by: str = "size") -> None:
    """Keep what must be known of an answer until there is one: a refusal is one line."""
    from padviz.network.network import notes_on

    kept = click.get_current_context().meta.setdefault(KEPT, [])
    kept += [spelled(f"{network.name}: {note}") for note in notes_on(network, size is not None, sized_by)]


def say_kept() -> None:
    """Say on stderr what was kept for an answer."""
    for line in click.get_current_context().meta.pop(KEPT, []):
        say_once(line)


def say_heads(network: Network, layers: object, heads: str | None) -> None:
    """Say on stderr which last maps count, and how, where nothing names them."""
    from padviz.network.targets import head_weighting, last_maps

    if heads is None and head_weighting(heads, layers or None, network) == "share":
        last = f"{network.name}: its last maps {', '.join(last_maps(network))}"
        say_once(f"{last} have the same weight; `heads` sum adds them, `layer` names some")
