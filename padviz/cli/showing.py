"""What a command prints, writes and draws: --format, -o and --overwrite, in one place."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.value_types import PathType
from padviz.cli.vocabulary import TABLE, Decorator, given, option
from padviz.errors import OptionError
from padviz.reports.report import PICTURES, SUFFIXES, formats_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from padviz.reports.report import Report


def output_to(suffixes: Sequence[str] = (), *, shown: str = "FILE", required: bool = False) -> Decorator:
    """Make the option -o, the path of a file, or of a folder."""
    words = TABLE["output"].help.format(" ".join(suffixes)) if suffixes else "Folder to write to."
    type_ = PathType() if suffixes else None
    return click.option("-o", "output", type=type_, metavar=shown, required=required, help=words)


@dataclass(frozen=True)
class To:
    """Where a report goes, and in which format; what else -o names, a picture or counts, is made beside it."""

    format: str
    path: Path | None
    overwrite: bool
    beside: bool = False
    pictured: bool = True

    @property
    def files(self) -> list[str]:
        """What is made beside the report."""
        return [str(self.path)] if self.beside else []

    def drawn(self, default: Path) -> Path | None:
        """Say where a picture goes that is drawn unless figures alone are asked for: where -o says, or by default."""
        if self.path is not None or not self.pictured or self.format in ("json", "csv"):
            return self.path
        return default

    def checked(self, suffixes: tuple[str, ...], texts: tuple[str, ...] = ()) -> To:
        """Refuse a file that is neither one of those nor a text of those formats; a text's suffix says its format."""
        if self.path is None:
            return self
        known = {SUFFIXES[format_]: format_ for format_ in texts if format_ != "github"}
        suffix = checked_output(self.path, (*known, *suffixes), self.overwrite).suffix.lower()
        if suffix in suffixes:
            return replace(self, beside=True)
        chosen = click.get_current_context().get_parameter_source("format_") is not click.core.ParameterSource.DEFAULT
        if chosen and SUFFIXES[self.format] != suffix:
            what = f"{str(self.path)!r} does not fit --format {self.format}"
            raise OptionError(what, where="-o", hint=f"use {SUFFIXES[self.format]}, or leave --format out")
        return self if chosen else replace(self, format=known[suffix])

    def show(self, report: Report, draw: Callable[[], Figure] | None = None) -> None:
        """Draw what -o asks for, print or write the report, and end with its exit code."""
        from padviz.reports.rendering import to_text

        text = to_text(replace(report, files=self.files) if self.beside else report, self.format)
        if self.path is not None and self.beside and draw:
            from padviz.figures.canvas import save

            save(draw(), self.path)
        put(text, None if self.beside else self.path, self.overwrite)
        if report.code:
            options.say(f"{_failing(report)}: exit code {report.code}")
            raise SystemExit(report.code)


def _failing(report: Report) -> str:
    """Say what fails a check: the first finding, and how many more there are."""
    errors = [finding for finding in report.findings if finding.level == "error"]
    if not errors:
        return "what was verified does not hold"
    more = f" ({len(errors)} findings in all)" if len(errors) > 1 else ""
    return f"{errors[0].title}: {errors[0].text}{more}"


def looking(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how large a picture is, and its theme, to a command that draws one."""

    @wraps(command)
    def with_look(dpi: int | None, width: int | None, theme: str | None, **settings: Any) -> None:
        if not (dpi or width or theme):
            return command(**settings)
        from padviz.figures.canvas import asking

        with asking(dpi, width, theme):
            command(**settings)

    return given("dpi width theme")(with_look)


def drawing(name: str, others: tuple[str, ...] = ()) -> Decorator:
    """Add the options of a command that draws a picture by default; -o takes it, or `others` in its place."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_to(to: To, no_picture: bool, **settings: Any) -> None:
            if no_picture and to.path and to.path.suffix.lower() in PICTURES:
                hint = "leave one of them out"
                raise OptionError(f"-o {str(to.path)!r} is a picture", where="--no-picture", hint=hint)
            command(to=replace(to, pictured=not no_picture), **settings)

        return reported(name, suffixes=PICTURES + others)(given("no-picture")(with_to))

    return decorate


def reported(name: str, draws: bool = False, *, suffixes: tuple[str, ...] | None = None) -> Decorator:
    """Add the options of a command that reports, and hand them on as one value, `to`.

    -o takes a text, and a picture of what it draws; or those `suffixes`, where it names what is made beside the report.
    """
    formats, pictures = formats_of(name), PICTURES if draws else ()
    texts = tuple(dict.fromkeys(SUFFIXES[format_] for format_ in formats))
    format_ = option("format", type=click.Choice(formats), default="table", metavar=None)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_to(format_: str, output: Path | None, overwrite: bool, **settings: Any) -> None:
            to = To(format_, output, overwrite)
            to = to.checked(pictures, formats) if suffixes is None else to.checked(suffixes) if suffixes else to
            command(to=to, **settings)

        drawn = looking(with_to) if draws or (suffixes and PICTURES[0] in suffixes) else with_to
        return format_(output_to(suffixes or (*texts, *pictures))(given("overwrite")(drawn)))

    return decorate


def put(text: str, path: Path | None, overwrite: bool) -> None:
    """Print a text, or write it to the file named with -o."""
    if path is None:
        click.echo(text)
        return
    from padviz.files.atomic import aside

    with aside(checked_output(path, None, overwrite)) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def checked_output(path: Path, suffixes: tuple[str, ...] | None, overwrite: bool) -> Path:
    """Refuse a file that cannot or should not be written, before any work is done."""
    suffix = path.suffix.lower()
    if suffixes is not None and suffix not in suffixes:
        wrong = f"ends in {suffix}, which is not written here" if suffix else "has no suffix"
        raise OptionError(f"{str(path)!r} {wrong}", where="-o", hint=f"use {' '.join(suffixes)}")
    try:
        if path.parent.exists() and not path.parent.is_dir():
            raise OptionError(f"{str(path.parent)!r} is a file, not a folder", where="-o", hint="choose another")
        if not path.parent.is_dir():
            what = f"folder {str(path.parent)!r} does not exist"
            raise OptionError(what, where="-o", hint="create it, or choose another")
        if path.is_dir():
            raise OptionError(f"{str(path)!r} is a folder", where="-o", hint="name a file")
        if os.path.lexists(path) and not overwrite:
            raise OptionError(f"{str(path)!r} exists", where="-o", hint="add --overwrite to replace it")
    except OSError as error:
        what = f"{str(path)!r} cannot be used ({error.strerror})"
        raise OptionError(what, where="-o", hint="choose another") from None
    return path
