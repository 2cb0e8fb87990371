"""Types of option values: each converts what was typed, or rejects it in one line, and completes
names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz import options
from padviz.errors import OptionError, PadvizError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Pixels = tuple[int, ...]  # height and width
Unit = tuple[int | slice, ...]
Param = click.Parameter | None
Context = click.Context | None
Known = Callable[[click.Context], Iterable[str]]  # names that the shell completes
DECLARED = "declared"  # in --padding: the network's own padding
# the shell does not quote completions: others could run a command
PLAIN = re.compile(r"[\w.@+:=,/-]+")


def completions(names: Iterable[str], typed: str, before: str = "") -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    fitting = [name for name in names if name.startswith(typed) and PLAIN.fullmatch(name)]
    return [CompletionItem(before + name) for name in fitting]


def complete_model(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete names of the zoo, else files."""
    return completions(zoo(ctx), typed) or click.Path().shell_complete(ctx, param, typed)


def complete_rule(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    return completions(rules(ctx), typed)


def listed(module: str, name: str) -> Known:
    """Return a function that imports names when the shell completes them."""

    def names(ctx: click.Context) -> Iterable[str]:
        listed = getattr(import_module(module), name)
        values: Iterable[str] = listed
        if callable(listed):
            values = listed()
        return values

    return names


schemes = listed("padviz.network.padding_modes", "SCHEMES")
colour_maps = listed("padviz.figures.colours", "colour_maps")
zoo = listed("padviz.sources.toml.load", "zoo")
rules = listed("padviz.analyses.rules", "RULES")
KNOWN: dict[str, Known] = {"networks": zoo, "colour maps": colour_maps}


def layers(ctx: click.Context) -> Iterable[str]:
    """List the layers of the first network on the line, but not of modules, whose code
    would run.
    """
    from padviz.sources import MODULE, load

    models: list[str | None] = []
    for param in ctx.command.params:
        if isinstance(param, click.Argument):
            value = ctx.params.get(param.name or "")
            models += value if isinstance(value, tuple) else [value]
    for model in (*models, *ctx.args):
        if model and not MODULE.fullmatch(model):
            with suppress(PadvizError):
                return load(model).index
    return ()


class Type(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """The type of a value."""


def split_commas(text: str) -> list[str]:
    return [*dict.fromkeys(part.strip() for part in text.split(","))]


def spelling(param: Param) -> str:
    if param:
        return param.opts[0]
    return ""


class NameType(Type):
    """A name that is not empty; the shell completes those in `known`."""

    def __init__(self, name: str = "NAME", known: Known | None = None) -> None:
        self.name = name
        self.known = known

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        if self.known:
            return completions(self.known(ctx), incomplete)
        return []

    def convert(self, value: str, param: Param, ctx: Context) -> object:
        if not value:
            more = "" if param and param.required else ", or leave the option out"
            raise OptionError("'' is not a name", where=spelling(param), hint=f"give one{more}")
        if value.startswith("--"):
            what = f"needs {self.name}, and {value} follows"
            hint = f"write {spelling(param)} {self.name} {value}"
            raise OptionError(what, where=spelling(param), hint=hint)
        return value

    def several(self, text: str, param: Param, ctx: Context) -> Sequence[object]:
        values = split_commas(text)
        if len(values) > 1 and "" in values:
            raise OptionError(
                f"{text!r} has an empty value", where=spelling(param), hint="remove a comma"
            )
        return [self.convert(value, param, ctx) for value in values]


class ShapeType(NameType):
    """NAME=VALUE of an input: a number, or a shape in which H and W are the image's sides.

    >>> [ShapeType("NAME=SHAPE").convert(text, None, None) for text in ("b=1x3xHxW", "t=1", "t=.5")]
    [('b', (1, 3, 'H', 'W')), ('t', 1), ('t', 0.5)]
    """

    def convert(self, value: str, param: Param, ctx: Context) -> object:
        name, _, text = value.partition("=")
        try:
            if "x" in text:
                return name, tuple(
                    n if n in ("D", "H", "W", "L") else int(n) for n in text.split("x") if n
                )
            return name, int(text) if text.lstrip("-").isdecimal() else float(text)
        except ValueError:
            hint = "write NAME=1x3xHxW, or a number as NAME=1"
            raise OptionError(
                f"{value!r} is not an input", where=spelling(param), hint=hint
            ) from None


class SchemeType(NameType):
    """A padding scheme, or HEIGHT/WIDTH, in its shortest form; or DECLARED."""

    def convert(self, value: str, param: Param, ctx: Context) -> str:
        from padviz.network.rewrites import canonical

        if value in (DECLARED, "trained"):
            return DECLARED
        return canonical(value) or DECLARED

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        height, slash, typed = incomplete.rpartition("/")
        return completions(schemes(ctx), typed, height + slash)


class SizeType(NameType):
    """N for a square, HxW, and LO:HI:STEP for several squares."""

    def convert(self, value: str | Pixels, param: Param, ctx: Context) -> Pixels:
        sizes = [value] if isinstance(value, tuple) else self.several(value, param, ctx)
        if len(sizes) > 1:
            raise OptionError(
                f"{value!r} is several sizes",
                where=spelling(param),
                hint="use one, as 224 or 240x320",
            )
        return sizes[0]

    def several(self, text: str, param: Param, ctx: Context) -> Sequence[Pixels]:
        from padviz.network.network import sizes_in

        return sizes_in(text, spelling(param).lstrip("-") or "size")


class SeveralType(Type):
    """Values of one type between commas."""

    def __init__(self, one: NameType) -> None:
        self.one = one
        self.name = f"{one.name},..."

    def convert(
        self, value: str | tuple[object, ...], param: Param, ctx: Context
    ) -> tuple[object, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(self.one.several(value, param, ctx))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, typed = incomplete.rpartition(",")
        return completions(
            [item.value for item in self.one.shell_complete(ctx, param, typed)],
            typed,
            before + comma,
        )


class NumbersType(Type):
    """Numbers between commas; the hint is for one, or one per channel."""

    name = "X[,Y,Z]"

    def __init__(self, hint: str = "use one, or one for each channel") -> None:
        self.hint = hint

    def convert(
        self, value: str | tuple[float, ...], param: Param, ctx: Context
    ) -> tuple[float, ...]:
        try:
            if isinstance(value, tuple):
                return value
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            raise OptionError(
                f"{value!r} is not a number", where=spelling(param), hint=self.hint
            ) from None


class FolderType(Type):
    """A folder that exists."""

    name = "FOLDER"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return click.Path(file_okay=False).shell_complete(ctx, param, incomplete)

    def convert(self, value: str, param: Param, ctx: Context) -> str:
        if not Path(value).is_dir():
            raise OptionError(
                f"{value!r} is not a folder", where=spelling(param), hint="use a folder of pictures"
            )
        return value


class UnitType(Type):
    """ROW,COL of a pixel or a unit; of units also a box R0:R1,C0:C1, and for signals one number or
    range.
    """

    name = "ROW,COL"

    def __init__(self, boxes: bool = True) -> None:
        self.boxes = boxes

    def convert(self, value: str | Unit, param: Param, ctx: Context) -> Unit:
        if isinstance(value, tuple):
            return value
        if self.boxes:
            part = r"(-?\d{1,9}|(?:-?\d{1,9})?:(?:-?\d{1,9})?)"
            pattern, what, use = f"{part}(?:,{part})?", "unit", "ROW,COL or R0:R1,C0:C1"
        else:
            pattern, what, use = r"(\d{1,3}),(\d{1,3})", "pixel", "ROW,COL"
        match = re.fullmatch(pattern, value.replace(" ", ""), re.ASCII)
        if not match:
            raise OptionError(
                f"{value!r} is not a {what}",
                where=spelling(param),
                hint=f"use {use}, counted from 0",
            )
        return tuple(_positions(text) for text in match.groups() if text)


def _positions(text: str) -> int | slice:
    if ":" not in text:
        return int(text)
    start, stop = (int(end) if end.strip("-") else None for end in text.split(":"))
    return slice(start, stop)


TYPES: dict[type, Callable[[Any], click.ParamType[object]]] = {
    options.Flag: lambda kind: click.BOOL,
    options.Choice: lambda kind: click.Choice(kind.words),
    options.Whole: lambda kind: click.IntRange(kind.least, kind.most),
    options.Real: lambda kind: click.FloatRange(0, 1, min_open=True) if kind.share else click.FLOAT,
    options.Name: lambda kind: NameType(kind.shown, KNOWN.get(kind.known)),
    options.Layer: lambda kind: NameType(kind.shown, layers),
    options.Size: lambda kind: SizeType(kind.shown),
    options.Scheme: lambda kind: SchemeType(kind.shown),
    options.Unit: lambda kind: UnitType(kind.boxes),
    options.Numbers: lambda kind: NumbersType(kind.hint),
    options.Path: lambda kind: click.Path(path_type=Path),
    options.Folder: lambda kind: FolderType(),
    options.Input: lambda kind: ShapeType("NAME=SHAPE"),
}


def type_of(kind: options.Kind) -> click.ParamType[object]:
    """Return click's type for a kind of option."""
    return TYPES[type(kind)](kind)
