"""Print, write and draw the result of a command: -o, --format and --overwrite, default file names,
progress.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import click

from padviz import options
from padviz.cli import session
from padviz.cli.building import of_command, option_of
from padviz.cli.value_types import DECLARED, Pixels
from padviz.errors import OptionError
from padviz.files.output import check_output
from padviz.options import Command
from padviz.reports.report import PICTURES, ROWS, SUFFIXES

if TYPE_CHECKING:
    from padviz.analyses.result import Result, Row
    from padviz.reports.report import Report

DRAWING = (options.DPI, options.WIDTH, options.THEME)
TEXTS = {SUFFIXES[format_]: format_ for format_ in ROWS}
STDOUT = Path("-")
LONGEST = 120  # characters of a default name before -WHAT.png
UNNAMED = (
    "size",
    "model",
    "format",
    "o",
    "overwrite",
    "no-picture",
    "open",
    "resume",
    "neutral",
    "shape",
)
BARE = (
    "padding",
    "layer",
    "pooling",
    "scale",
    "cmap",
    "theme",
    "weights",
    "stimulus",
)  # values clear by themselves


@contextmanager
def progress(what: str, *, lasting: bool = False) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on stderr, called with the work done and all of it; yield None unless stderr is a
    terminal.
    """
    if not sys.stderr.isatty() or session.is_quiet():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        *([TextColumn(what)] if what else []),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    bar = Progress(*columns, console=Console(stderr=True), transient=not lasting)
    task = bar.add_task("", total=None, rate="")

    def on_progress(done: int, total: int) -> None:
        bar.start()
        speed = bar.tasks[0].speed
        bar.update(
            task, completed=done, total=total or None, rate=f"{speed:.1f} a second" if speed else ""
        )

    streams = sys.stdout, sys.stderr
    try:
        yield on_progress
    finally:
        # Where a terminal is dumb, a bar that never began leaves an empty line.
        if bar.live.is_started:
            bar.stop()
        # A bar that began while a module was kept quiet would bring that silence back.
        sys.stdout, sys.stderr = streams


def default_path(
    what: str, names: Iterable[str], sizes: Iterable[Pixels | None], suffix: str = ".png"
) -> Path:
    """Return MODEL-SIZE[-...]-WHAT.png, from networks, sizes and the options given to the running
    command.

    Different requests get different names, so that the same one replaces its own picture.
    """
    from padviz.reports.tables import pixels

    parts = [*names, *(pixels(size) for size in sizes if size), *_given_options()]
    whole = "-".join(re.sub(r"[^\w.+,-]+", "_", part) for part in parts)
    if len(whole) > LONGEST:
        whole = f"{whole[:LONGEST]}~{crc32(whole.encode()):08x}"
    return Path(f"{whole}-{what}{suffix}")


def _given_options() -> Iterator[str]:
    """Write the options that were given and differ from their defaults, in the order of help."""
    context = click.get_current_context()
    for param in context.command.params:
        name = param.opts[0].lstrip("-")
        value = session.state().reading.get(param.name or "", context.params.get(param.name or ""))
        default = (
            context.get_parameter_source(param.name or "") is click.core.ParameterSource.DEFAULT
        )
        if (
            not isinstance(param, click.Option)
            or name in UNNAMED
            or default
            or value == param.get_default(context)
        ):
            continue
        if param.is_flag:
            yield name
        elif name in BARE:
            yield from (
                _in_name(name, item) for item in (value if isinstance(value, tuple) else (value,))
            )
        else:
            yield f"{name}_{_in_name(name, value)}"


def _in_name(name: str, value: Any) -> str:
    """Write the value of an option as part of a file name.

    >>> (_in_name("padding", "zero/circular"), _in_name("unit", (0, slice(1, 3))),
    ...  _in_name("mean", (0.5, 0.25)))
    ('zero+circular', '0,1:3', '0.5,0.25')
    >>> _in_name("weights", "runs/best.pth"), _in_name("padding", None)
    ('runs+best.pth', 'declared')
    """
    from padviz.counting.shares.summary import unit_text

    if name == "unit":
        return unit_text(value)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if value is None:
        return DECLARED
    return str(value).replace("/", "+")


class To(NamedTuple):
    """Where a report goes, and in which format.

    `other_file` is true if -o names a picture, counts or a network; then the report is printed.
    `pictured` is true if a picture is drawn without -o, and `printed` with `-o -`.
    """

    format: str
    path: Path | None
    overwrite: bool
    other_file: bool = False
    pictured: bool = False
    printed: bool = False

    def drawn(self, default: Path | None) -> Path | None:
        """Return the path of the picture or of counts, if one is to be written."""
        if self.other_file:
            return self.path
        return default if self.pictured else None

    def check(self, path: Path) -> None:
        """Reject a file that cannot or should not be written: one of -o, or of a default name."""
        check_output(path, self.overwrite, named=path == self.path)

    def show(self, report: Report) -> None:
        """Print or write the report, and exit with its code; the first finding and their number go
        to stderr.
        """
        from padviz.reports.rendering import to_text
        from padviz.reports.tables import UNLIMITED, terminal_width

        written = None if self.other_file else self.path
        width = UNLIMITED if written else terminal_width()
        text = to_text(
            report._replace(files=[str(self.path)]) if self.other_file else report,
            self.format,
            width,
        )
        put(text, written, self.overwrite)
        if not report.code:
            return
        errors = [finding for finding in report.findings if finding.level == "error"]
        failing = f"{errors[0].title}: {errors[0].text}" if errors else "the outputs differ"
        more = ""
        if len(errors) > 1:
            more = f" ({len(errors)} findings in all)"
        session.say(f"{failing}{more}: exit code {report.code}")
        raise SystemExit(report.code)


def output_options(command: Command) -> list[click.Option]:
    """Return -o, and what goes with it."""
    output = []
    if command.formats:
        kind = click.Choice(command.formats)
        output.append(
            option_of(
                of_command(options.FORMAT),
                type=kind,
                default="table",
                show_default=True,
                metavar=None,
            )
        )
    suffixes = suffixes_of(command)
    if suffixes:
        words = options.OUTPUT.help.format(" ".join(suffixes))
        output.append(option_of(of_command(options.OUTPUT), metavar="FILE", help=words))
        output.append(option_of(of_command(options.OVERWRITE)))
    if PICTURES[0] in command.files:
        output += [option_of(of_command(option)) for option in DRAWING]
        output += [option_of(of_command(options.NO_PICTURE))] if command.always else []
    return output


def suffixes_of(command: Command) -> tuple[str, ...]:
    """Return what -o takes: texts too, unless a file of another kind is what the command is for."""
    apart = command.always or any(suffix not in PICTURES for suffix in command.files)
    if not apart:
        texts = tuple(SUFFIXES[format_] for format_ in command.formats if format_ in ROWS)
    else:
        texts = ()
    return (*texts, *command.files)


def directed(command: Command, values: Mapping[str, Any]) -> To:
    """Return where the report goes, and in which format."""
    format_, path, overwrite = (
        values.get("format", ""),
        values.get("o"),
        values.get("overwrite", False),
    )
    if path is None:
        pictured = (
            command.always and not values.get("no_picture") and format_ not in ("json", "csv")
        )
        return To(format_, None, overwrite, pictured=pictured)
    if path == STDOUT:
        return To(format_, None, overwrite, printed=True)
    suffix = checked_suffix(path, suffixes_of(command))
    check_output(path, overwrite)
    if values.get("no_picture") and suffix in PICTURES:
        what = f"-o {str(path)!r} is a picture"
        raise OptionError(what, where="--no-picture", hint="leave one of them out")
    if suffix in command.files:
        return To(format_, path, overwrite, other_file=True)
    if (
        click.get_current_context().get_parameter_source("format")
        == click.core.ParameterSource.DEFAULT
    ):
        format_ = TEXTS[suffix]
    elif SUFFIXES[format_] != suffix:
        what = f"{str(path)!r} does not fit --format {format_}"
        raise OptionError(what, where="-o", hint=f"use {SUFFIXES[format_]}, or leave --format out")
    return To(format_, path, overwrite)


def put(text: str, path: Path | None, overwrite: bool) -> None:
    if path is None:
        click.echo(text)
        return
    from padviz.files.atomic import atomic_path

    check_output(path, overwrite)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def checked_suffix(path: Path, suffixes: tuple[str, ...]) -> str:
    """Return the suffix of a file, which must be one of these."""
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        wrong = f"ends in {suffix}, which is not written here" if suffix else "has no suffix"
        raise OptionError(f"{str(path)!r} {wrong}", where="-o", hint=f"use {' '.join(suffixes)}")
    return suffix


def show(
    result: Result[Row],
    to: To,
    path: Path | None = None,
    report: Report | None = None,
    unfinished: Path | None = None,
    **look: Any,
) -> None:
    """Print the notes on a result, write its picture or counts to `path`, and print or write its
    report.

    The file of an `unfinished` run is removed once everything is written.
    """
    for note in result._shown.notes:
        session.say_once(note)
    report = report or result._report
    if path:
        try:
            to.check(path)  # others may have written there since
            result.save(path, overwrite=True, **look)
        except OptionError as error:
            if unfinished is None or not unfinished.exists():
                raise
            hint = f"make room there, and add `resume`: {unfinished.name} has the finished work"
            raise OptionError(error.what, where=error.where, hint=hint) from None
        report = report._replace(files=[str(path)])
    to.show(report)
    if unfinished:
        unfinished.unlink(missing_ok=True)
