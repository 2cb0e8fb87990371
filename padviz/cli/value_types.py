"""What the values of options are: sizes, units, paths, numbers; each refused in one line where it makes no sense."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from padviz.errors import OptionError

Pixels = tuple[int, int]  # height and width
Names = tuple[str, ...]


class NumbersType(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """One number, or one for each channel, between commas."""

    name = "X[,Y,Z]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            return value if isinstance(value, tuple) else tuple(float(part) for part in value.split(","))
        except ValueError:
            where = param.opts[0] if param else ""
            raise OptionError(f"{value!r} is no number", where=where, hint="use one, or one for each channel") from None


class SizeType(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """N for a square, or HxW."""

    name = "N|HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([1-9]\d{0,8})(?:[xX]([1-9]\d{0,8}))?", value, re.ASCII)
        pixels = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        from padviz.network.network import LARGEST

        if not 0 < min(pixels) <= max(pixels) <= LARGEST:
            hint = f"use pixels from 1 to {LARGEST}, as 224 or 240x320"
            if "," in value and param is not None and param.multiple:
                hint = "for several, repeat it: --size 224 --size 225"
            where = param.opts[0] if param is not None and param.opts else "--size"
            raise OptionError(f"{value!r} is not a size", where=where, hint=hint)
        return pixels


class PathType(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A path to write to."""

    name = "FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if "\0" in str(value):
            raise OptionError(f"{value!r} holds a null byte, as no path can", where="-o", hint="choose another")
        return Path(value)


class UnitType(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """ROW,COL of one unit, or R0:R1,C0:C1 of a box."""

    name = "ROW,COL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        part = r"(-?\d{1,9}|(?:-?\d{1,9})?:(?:-?\d{1,9})?)"
        match = re.fullmatch(f"{part},{part}", value.replace(" ", ""), re.ASCII) if isinstance(value, str) else value
        if not match:
            raise OptionError(
                f"{value!r} is not a unit", where="--unit", hint="use ROW,COL or R0:R1,C0:C1, counted from 0"
            )
        return tuple(_positions(text) for text in match.groups()) if isinstance(value, str) else value


def _positions(text: str) -> int | slice:
    if ":" not in text:
        return int(text)
    start, stop = (int(end) if end.strip("-") else None for end in text.split(":"))
    return slice(start, stop)
