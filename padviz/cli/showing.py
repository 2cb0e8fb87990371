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
from padviz.reports.report import FINDINGS, PICTURES, ROWS, SUFFIXES

if TYPE_CHECKING:
    from padviz.analyses.result import Result
    from padviz.reports.report import Report


def output_to(suffixes: Sequence[str] = (), *, shown: str = "FILE", required: bool = False) -> Decorator:
    """Make the option -o, the path of a file, or of a folder."""
    words = TABLE["output"].help.format(" ".join(suffixes)) if suffixes else "Folder to write to."
    type_ = PathType() if suffixes else None
    return click.option("-o", "output", type=type_, metavar=shown, required=required, help=words)


@dataclass(frozen=True)
class To:
    """Where a report goes, and in which format; what else -o names, a picture or counts, is made beside it.

    Where it is not `textual`, -o names a picture, which is drawn unless figures alone are asked for.
    """

    format: str
    path: Path | None
    overwrite: bool
    beside: bool = False
    pictured: bool = True
    textual: bool = True

    @property
    def files(self) -> list[str]:
        """What is made beside the report."""
        return [str(self.path)] if self.beside else []

    def drawn(self, default: Path | None) -> Path | None:
        """Say where a picture goes: where -o says, or by default unless figures alone are asked for."""
        if self.textual:
            return self.path if self.beside else None
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

    def show(self, report: Report) -> None:
        """Print or write the report, and end with its exit code."""
        from padviz.reports.rendering import to_text

        text = to_text(replace(report, files=self.files) if self.beside else report, self.format)
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


def outputs(picture: str = "", others: tuple[str, ...] = (), checks: bool = False) -> Decorator:
    """Add the options that say what becomes of a report, and hand them on as one value, `to`.

    -o takes a text, and a `picture` that is "asked" for. Where one is "always" drawn, or `others` are made beside the
    report, it takes those alone.
    """
    beside, formats = (PICTURES if picture else ()) + others, FINDINGS if checks else ROWS
    texts = () if picture == "always" or others else formats
    known = (*dict.fromkeys(SUFFIXES[format_] for format_ in texts), *beside)
    words = "overwrite" + " dpi width theme" * bool(picture) + " no-picture" * (picture == "always")

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_to(
            format_: str,
            output: Path | None,
            overwrite: bool,
            dpi: int | None = None,
            width: int | None = None,
            theme: str | None = None,
            no_picture: bool = False,
            **settings: Any,
        ) -> None:
            to = To(format_, output, overwrite, pictured=not no_picture, textual=picture != "always").checked(
                beside, texts
            )
            if no_picture and output and output.suffix.lower() in PICTURES:
                hint = "leave one of them out"
                raise OptionError(f"-o {str(output)!r} is a picture", where="--no-picture", hint=hint)
            if not (dpi or width or theme):
                return command(to=to, **settings)
            from padviz.figures.canvas import drawing_options

            with drawing_options(dpi, width, theme):
                command(to=to, **settings)

        choice = option("format", type=click.Choice(formats), default="table", metavar=None)
        return choice(output_to(known)(given(words)(with_to)))

    return decorate


def put(text: str, path: Path | None, overwrite: bool) -> None:
    """Print a text, or write it to the file named with -o."""
    if path is None:
        click.echo(text)
        return
    from padviz.files.atomic import atomic_path

    with atomic_path(checked_output(path, None, overwrite)) as temporary:
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


def show(
    result: Result[Any],
    to: To,
    path: Path | None = None,
    report: Report | None = None,
    kept: Path | None = None,
    **look: Any,
) -> None:
    """Say the notes on a result, draw it to `path`, or write its counts there, and print or write its report.

    What is `kept` of a long run is removed once all that is made of it is there.
    """
    options.say_all(result._shown.notes)
    report = report or result._report
    if path:
        try:
            result.save(path, overwrite=True, **look)
        except OptionError as error:
            if kept is None or not kept.exists():
                raise
            hint = f"make room there, and add `resume`: {kept.name} has all that is done"
            raise OptionError(error.what, where=error.where, hint=hint) from None
    if path:
        report = replace(report, files=[str(path)])
    to.show(report)
    if kept:
        kept.unlink(missing_ok=True)
