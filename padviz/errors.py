"""The errors that padviz raises: one clear line each, saying where and what to do next."""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import ClassVar

LONGEST = 1000  # characters of each part: names in a file may be longer than a person reads


class PadvizError(Exception):
    """Something about the input is wrong; the message is one line meant for a person.

    Parameters
    ----------
    what : str
        What is wrong, without a full stop.
    where : str
        The file or layer it is about.
    hint : str
        The next step; an option that it asks for stands in backticks, which the command line makes
        "--option". Python says what is of `padviz.load` as a call of it.
    option : str
        The option it is about, in place of `where`.

    Examples
    --------
    >>> str(PadvizError("input is 3 rows, the window needs 7", where="conv1",
    ...     hint="use a larger size"))
    'conv1: input is 3 rows, the window needs 7; use a larger size'
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "", option: str = "") -> None:
        self.what = what
        self.where = where
        self.hint = hint
        self.option = option
        super().__init__(in_python(self.line(where or option)))

    def line(self, at: str) -> str:
        """Return the message with `at` in front, and options in backticks."""
        parts = (f"{at}: " if at else "", self.what, f"; {self.hint}" if self.hint else "")
        return "".join(
            text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
            for text in map(printable, parts)
        )


class Ended(BaseException):
    """Ctrl-C or SIGTERM on the command line: no `except Exception` of other libraries takes it for
    an error.

    `received` is the last one. A library that is being imported may make an ImportError of it all
    the same.
    """

    received: ClassVar[Ended | None] = None

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


class DescriptionError(PadvizError):
    """A network description that cannot be read or does not make sense."""


class NoSuchFile(DescriptionError):
    """A file that is named, and does not exist."""


class ForwardError(DescriptionError):
    """A forward of a module that raises, whose own words are quoted.

    `layers` ran before. The call that raised might run if the image had one of these `channels`.
    """

    layers: int = 0
    channels: tuple[int, ...] = ()


class SizeError(PadvizError):
    """A size that the network, or one of its layers, cannot take."""


class OptionError(PadvizError):
    """An option or argument with a value that cannot be used."""


class UnknownName(PadvizError):
    """A network or layer name that does not exist; the hint lists the nearest ones."""


def deprecated(old: str, new: str) -> None:
    """Warn the caller of a public function that a name of it goes in the next minor version.

    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     deprecated("usage(engine=)", "usage(by=)")
    >>> print(caught[0].message)
    usage(engine=) will go in the next minor version of padviz; use usage(by=)
    """
    message = f"{old} will go in the next minor version of padviz; use {new}"
    warnings.warn(message, DeprecationWarning, stacklevel=3)


def nearest(name: str, names: Iterable[str], most: int = 3) -> str:
    """Return a hint with the names closest to `name`, at most so many, or an empty string.

    >>> nearest("resnet5", ["resnet50", "vgg19"])
    'did you mean resnet50?'
    """
    import difflib

    close = difflib.get_close_matches(name, list(names), n=most, cutoff=0.5)
    return f"did you mean {', '.join(map(typed, close))}?" if close else ""


def typed(value: object) -> str:
    """Quote a value for a shell, in a line that is meant to be typed: names in files may hold
    commands.

    >>> typed("conv1"), typed("conv1; rm x")
    ('conv1', "'conv1; rm x'")
    """
    return shlex.quote(str(value))


# a value as `typed` writes it
LOADING = re.compile(r"""`(neutral|shape)` ((?:'[^']*'|"'"|[^\s,;'"])+)""")


def in_python(line: str) -> str:
    """Spell what the command line's --neutral, --shape and --input say as what `padviz.load` takes.

    >>> in_python("fails; `shape` t=1 gives it a number")
    'fails; padviz.load(network, shape={"t": 1}) gives it a number'
    >>> in_python("`shape` t=1x makes it a vector")
    'padviz.load(network, shape={"t": (1,)}) makes it a vector'
    >>> in_python("no rule; `neutral` a.B treats it as elementwise")
    'no rule; padviz.load(network, neutral=["a.B"]) treats it as elementwise'
    """
    return LOADING.sub(_loading, line)


def _loading(match: re.Match[str]) -> str:
    import json

    option, given = match[1], "".join(shlex.split(match[2]))
    if option == "neutral":
        return f"padviz.load(network, neutral=[{json.dumps(given, ensure_ascii=False)}])"
    name, _, value = given.rpartition("=")
    sides = [side if side.isdecimal() else f'"{side}"' for side in value.split("x") if side]
    shape = f"({', '.join(sides)}{',' * (len(sides) == 1)})" if "x" in value else value
    return f"padviz.load(network, shape={{{json.dumps(name, ensure_ascii=False)}: {shape}}})"


def check_integer(value: object, least: int, option: str, most: int | None = None) -> None:
    """Reject the value of an option unless it is an integer in a range.

    >>> check_integer(0, 1, "step")
    Traceback (most recent call last):
    ...
    padviz.errors.OptionError: step: 0: must be an integer, at least 1
    """
    # Python counts True as 1.
    integer = isinstance(value, Integral) and not isinstance(value, bool)
    number = int(value) if integer else least - 1  # type: ignore[call-overload]
    if number < least or (most is not None and number > most):
        bounds = f"at least {least}" if most is None else f"{least} to {most:,}"
        raise OptionError(f"{shortly(value)}: must be an integer, {bounds}", option=option)


def check_word(value: str | None, words: Sequence[str], option: str) -> None:
    """Reject the value of an option unless it is one of some words, or None.

    >>> check_word("x", ("share", "counts"), "scale")
    Traceback (most recent call last):
    ...
    padviz.errors.OptionError: scale: 'x': must be one of share, counts
    """
    if value is not None and value not in words:
        raise OptionError(f"{shortly(value)}: must be one of {', '.join(words)}", option=option)


def shortly(value: object) -> str:
    """Write a value as Python does, or its type alone where that is long.

    >>> shortly((1, 2)), shortly([0] * 99)
    ('(1, 2)', 'an object of type list')
    """
    text = repr(value)
    if len(text) < 60:
        return text
    return f"an object of type {type(value).__name__}"


def printable(text: object) -> str:
    r"""Escape a text from elsewhere to one line, with what would steer a terminal or reorder
    letters.

    >>> print(printable("conv\x1b[31m\n\u202e1"))
    conv\x1b[31m\n\u202e1
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
