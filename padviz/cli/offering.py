"""What a shell offers where a value is typed: networks, schemes, colour maps, layers; see `padviz completion`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from padviz.errors import PadvizError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

FILES = "*.onnx", "*.keras", "*.pt2", "*.toml"  # that a network is read of


def items(names: Iterable[str], typed: str, before: str = "") -> list[CompletionItem]:
    """Offer the names that begin as typed, each after what stands before it."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(before + name) for name in names if name.startswith(typed)]


def paths(kind: str, typed: str) -> list[CompletionItem]:
    """Leave it to the shell to offer what lies on the disk: a "file", or a "dir"."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(typed, type=kind)]


def models(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the zoo, and the files of networks in this folder; else any file."""
    from padviz.sources.toml.load import zoo

    files = sorted(path.name for pattern in FILES for path in Path().glob(pattern))
    return items([*zoo(), *files], typed) or paths("file", typed)


def schemes(ctx: click.Context) -> Iterable[str]:
    """List the padding schemes."""
    from padviz.axis.padding_modes import SCHEMES

    return SCHEMES


def colour_maps(ctx: click.Context) -> Iterable[str]:
    """List matplotlib's colour maps, without those that run backwards."""
    from padviz.figures.colours import colour_maps

    return colour_maps()


def zoo(ctx: click.Context) -> Iterable[str]:
    """List the networks that have a name."""
    from padviz.sources.toml.load import zoo

    return zoo()


def layers(ctx: click.Context) -> Iterable[str]:
    """List the layers of the first network on the line that can be read; no module is loaded, as its code would run."""
    from padviz.sources import MODULE, load

    named = [ctx.params.get("model"), *(ctx.params.get("models") or ()), *ctx.args]
    for model in named:
        if model and not MODULE.fullmatch(model):
            with suppress(PadvizError):
                return load(model).index
    return ()


def after_last(mark: str, typed: str) -> tuple[str, str]:
    """Part what is typed after the last mark, which stays with what is before.

    >>> after_last(",", "zero,re"), after_last(",", "re")
    (('zero,', 're'), ('', 're'))
    """
    before, found, last = typed.rpartition(mark)
    return before + found, last
