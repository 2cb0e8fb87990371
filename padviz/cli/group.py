"""The group of all commands; errors become messages here."""

from __future__ import annotations

import gc
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from padviz import GROUPS
from padviz.cli import session
from padviz.errors import Ended, PadvizError, UnknownName, nearest, printable, typed
from padviz.network.padding_modes import SCHEMES
from padviz.version import __version__

COMMANDS = {name: words for group in GROUPS.values() for name, words in group.items()}
CODES = {
    "0": "Done.",
    "1": "Findings of check; networks differ: verify, seams, diff --run.",
    "2": "Bad input: one line with the error and what to type.",
    "3": "Partly done: items of an export failed, or not judged by check.",
    "70": "A fault of padviz: please report it; PADVIZ_TRACEBACK=1 shows where.",
    "130, 143": "Interrupted by Ctrl-C, or ended by another process.",
    "141": "Whatever read the output has ended, as in padviz ... | head.",
}
OTHERS = {  # options of other programs or earlier versions
    "--range": "use --size",
    "--output": "use -o for a file, --layer for a map",
    "--margin": "use padviz tiles MODEL",
    "--json": "use --format json",
    "--explain": "use padviz rules RULE",
    "--overlap": "leave it out: padviz tiles computes it",
    "--silent": "use -q",
    "--verbose": "leave it out: nothing more is printed",
}


class _Group(click.Group):
    """Loads the module of a command on demand; prints errors on one line."""

    running: click.Command | None = None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([*group.items()])
        from padviz.network.padding_modes import SCHEMES

        with formatter.section("Padding schemes"):
            formatter.write_dl([(name, scheme.explained) for name, scheme in SCHEMES.items()])
        with formatter.section("Exit codes"):
            formatter.write_dl([*CODES.items()])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        from padviz.cli.by_hand import RUNNERS
        from padviz.cli.running import command_of, run_analysis

        return command_of(name, RUNNERS.get(name, run_analysis))

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        with _broken_pipe_handled():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        with _broken_pipe_handled():
            try:
                result = super().invoke(ctx)
            except SystemExit:  # a failed check is an answer too
                session.say_notes()
                raise
            session.say_notes()
            return result

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] == "help":
            # `help NAME` is `NAME --help`, and `help` alone shows all commands.
            named = [arg for arg in args[1:] if not arg.startswith("-")]
            if not named:
                click.echo(ctx.get_help())
                ctx.exit()
            args = [named[0], "--help"]
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            hint = (
                _as_command(args[0]) or nearest(args[0], COMMANDS, 1) or "padviz --help lists them"
            )
            raise UnknownName(f"no command {args[0]!r}", hint=hint)
        name, self.running, rest = super().resolve_command(ctx, args)
        return name, self.running, rest

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        kwargs["standalone_mode"] = False
        gc.set_threshold(100_000)  # imports create many objects and little garbage
        os.environ["MPLBACKEND"] = "agg"  # no command opens a window
        _ignore_local_settings()
        _robust_streams()
        warnings.formatwarning = _warning
        try:
            code = super().main(*args, **kwargs)
            sys.stdout.flush()
        except PadvizError as error:
            code = _say(session.spelled(error, self.running))
        except click.NoSuchOption as error:
            code = _say(_unknown(error))
        except click.UsageError as error:
            called = f"padviz {self.running.name}" if self.running else "padviz"
            path = called
            if error.ctx:
                path = error.ctx.command_path
            code = _say(f"{_sentence(error)}; see {path} --help")
        except click.ClickException as error:
            code = _say(_sentence(error))
        except MemoryError:
            code = _say("there is not enough memory for a map of this size; use a smaller --size")
        except (KeyboardInterrupt, click.Abort):
            code = 130
        except Ended as ended:
            code = _say_ended(ended)
        except OSError as error:
            code = _unwritable(error)
        except Exception as error:
            if os.environ.get("PADVIZ_TRACEBACK"):
                raise
            what = " ".join(f"{type(error).__name__}: {error}".split())
            code = _say(f"unexpected {what}; PADVIZ_TRACEBACK=1 shows where", 70)
        sys.exit(code if isinstance(code, int) else 0)


def _as_command(name: str) -> str:
    """Return a hint if a network was typed for a command, else ""."""
    from padviz.network.network import FILES
    from padviz.sources.toml.load import zoo

    network = (
        name.lower().endswith((*FILES, ".toml"))
        or ":" in name
        or name.lower().replace("-", "") in zoo()
    )
    return f"name a command first: padviz audit {typed(name)}" if network else ""


def _ignore_local_settings() -> None:
    """Ignore settings of libraries in the current folder, which may be anybody's."""
    for name in ("NUMBA_CACHE_DIR", "NUMBA_CACHE_LOCATOR_CLASSES"):
        # Without this, .numba_config.yaml may name a cache, which numba unpickles.
        os.environ.setdefault(name, "")
    if os.path.exists("matplotlibrc"):
        from padviz.figures.canvas import ignore_local_settings

        ignore_local_settings()


def _robust_streams() -> None:
    """Open closed streams on the null device, for child processes too, and escape what the terminal
    cannot show.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _broken_pipe_handled() -> Iterator[None]:
    """Exit with 141, as other programs do when their reader is gone; click would exit with 1."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        sys.exit(_unwritable(error))


def _unwritable(error: OSError) -> int:
    """Report a file or a stream that cannot be written; return the exit code."""
    if error.filename is not None:
        return _say(f"{error.filename}: cannot be used ({error.strerror})")
    if isinstance(error, FileNotFoundError):
        return _say("the current folder no longer exists; change to another")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would write again at exit
    if isinstance(error, BrokenPipeError):
        return 141
    return _say(f"stdout: cannot be written ({error.strerror})")


def _say(line: str, code: int = 2) -> int:
    if Ended.received:  # what was said of it is no error of the input
        return _say_ended(Ended.received)
    session.print_line(line)
    return code


def _say_ended(ended: Ended) -> int:
    if ended.code == 130:
        notes = map(session.spelled, getattr(ended, "__notes__", ()))
        session.print_line("; ".join(["interrupted", *notes]))
    return ended.code


def _warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Write warnings on one line, without the path of the code: those of libraries name
    their kind.
    """
    ours = category.__module__.startswith("padviz.")
    kind = "" if ours else f"{category.__name__}: "
    return f"padviz: {kind}{printable(' '.join(str(message).split()))}\n"


def _unknown(error: click.NoSuchOption) -> str:
    """Return the message for an unknown option, with what to type instead."""
    parameters = error.ctx.command.params if error.ctx else []
    arguments = [param for param in parameters if isinstance(param, click.Argument)]
    names: list[str] = []
    for param in parameters:
        if isinstance(param, click.Option):
            names += [spelling.lstrip("-") for spelling in param.opts]
    path, name = error.ctx.command_path if error.ctx else "padviz", error.option_name
    near = re.sub(
        r"(?<=mean )[\w-]+",
        lambda near: session.as_typed(near[0]),
        nearest(name.lstrip("-"), names, 1),
    )
    hint = OTHERS.get(name) or near or f"{path} --help lists them"
    for argument in arguments:
        if argument.name == name.lstrip("-"):
            shown = " ".join([str(param.metavar) for param in arguments])
            hint = f"{argument.metavar} is an argument: {path} {shown}"
    return f"no option {name}; {hint}"


def _sentence(error: click.ClickException) -> str:
    """Return the message of click on one line, in the style of padviz."""
    line = " ".join(error.format_message().split()).rstrip(".")
    if isinstance(error, click.UsageError) and error.ctx and "extra argument" in line:
        return _unexpected(line, error.ctx)
    if isinstance(error, click.MissingParameter) and isinstance(error.param, click.Option):
        line += f"; add {error.param.opts[0]} {error.param.metavar}"
    return line[:1].lower() + line[1:]


def _unexpected(line: str, context: click.Context) -> str:
    """Return the message for more arguments than a command takes: a second size, or any where it
    takes options alone.
    """
    parameters = context.command.params
    takes_arguments = any(isinstance(param, click.Argument) for param in parameters)
    second = re.search(r"\((\d+)\)", line)
    if second and takes_arguments and any("--size" in param.opts for param in parameters):
        n = second[1]
        return f"--size: got a second value, {n}; write {n}x{n} for a size, or 224,225 for several"
    line = line[:1].lower() + line[1:]
    scheme = line.rpartition("(")[2].removesuffix(")")
    if scheme in SCHEMES and any("--padding" in param.opts for param in parameters):
        return f"{line}; write --padding {scheme}"
    if takes_arguments:
        return line
    example = f"{parameters[0].opts[0]} {parameters[0].metavar}"
    return f"{line}; {context.info_name} takes options alone, as {example}"


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version")
@session.quiet_option()
@click.pass_context
def cli(ctx: click.Context) -> None:
    """How much of an image's border does a network neglect, and what can you change?

    MODEL is a built-in network (`padviz networks` lists them), an ONNX, .keras, .pt2 or TOML file,
    or a PyTorch module as package.module:NAME.

    N|HxW is 224 or 240x320 (height x width), in pixels. SCHEME is one of the schemes below, or two
    with a slash for height/width, e.g. zero/circular. Options with ",..." can be repeated, or take
    several values: 224,256. For sizes, 64:448:16 is a range with a step.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
