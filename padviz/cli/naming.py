"""How pictures and pages are named where -o names none: by all that tells them from others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import click

from padviz.cli.value_types import KEPT, Pixels
from padviz.cli.vocabulary import READING

LONGEST = 120  # characters of a name, but for what it shows
UNTOLD = ("size", "model", "format", "output", "overwrite", "no-picture", "open", "resume", "neutral", "shape")
PLAIN = (
    "padding",
    "layer",
    "pooling",
    "scale",
    "cmap",
    "theme",
    "weights",
    "stimulus",
)  # their values speak for themselves


def default_path(what: str, names: Iterable[str], sizes: Iterable[Pixels | None], suffix: str = ".png") -> Path:
    """Name a file MODEL-SIZE[-...]-WHAT.png after networks, sizes and the options that the running command was given.

    The same file is named only where the same is asked for, so that it may be replaced.
    """
    from padviz.reports.tables import pixels

    parts = [*names, *(pixels(size) for size in sizes if size), *_asked()]
    whole = "-".join(re.sub(r"[^\w.+,-]+", "_", part) for part in parts)
    if len(whole) > LONGEST:
        whole = f"{whole[:LONGEST]}~{crc32(whole.encode()):08x}"
    return Path(f"{whole}-{what}{suffix}")


def _asked() -> Iterator[str]:
    """Spell the options that were given and differ from their defaults, in the order of help."""
    context = click.get_current_context()
    for param in context.command.params:
        name = param.opts[0].lstrip("-")
        value = context.meta.get(READING, {}).get(name, context.params.get(param.name or ""))
        if isinstance(param, click.Argument) or name in UNTOLD or not _given(context, param, value):
            continue
        if param.is_flag:  # type: ignore[attr-defined]
            yield name
        elif name in PLAIN:
            yield from (_word(name, each) for each in (value if isinstance(value, tuple) else (value,)))
        else:
            yield f"{name}_{_word(name, value)}"


def _given(context: click.Context, param: click.Parameter, value: Any) -> bool:
    source = context.get_parameter_source(param.name or "")
    return source is not click.core.ParameterSource.DEFAULT and value != param.get_default(context)


def _word(name: str, value: Any) -> str:
    """Write a value as a file's name may have it.

    >>> _word("padding", "zero/circular"), _word("unit", (0, slice(1, 3))), _word("mean", (0.5, 0.25))
    ('zero+circular', '0,1:3', '0.5,0.25')
    >>> _word("weights", "runs/best.pth"), _word("padding", None)
    ('runs+best.pth', 'declared')
    """
    from padviz.counting.request import unit_option
    from padviz.network.rewrites import padding_in_names

    if name == "unit":
        return unit_option(value)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return KEPT if value is None else str(padding_in_names(str(value)))
