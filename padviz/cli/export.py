"""`padviz export`: many maps in one go, with an index and a gallery."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.showing import output_to
from padviz.cli.value_types import KEPT, Names, Pixels, complete_model, listed
from padviz.cli.vocabulary import PLURALS, Command, given, read
from padviz.errors import OptionError

if TYPE_CHECKING:
    from padviz.exports.batch import ItemOutcome

SAID = 20  # errors written out at the end
UNSAID = "ignore:resource_tracker:UserWarning"  # joblib cleans up after an export that was ended, and warns of it


@click.command(name="export", cls=Command)
@click.argument("models", nargs=-1, required=True, metavar="MANIFEST.toml|MODEL...", shell_complete=complete_model)
@read
@given("sizes paddings layers what jobs allow-modules cmap dpi width theme")
@click.option("--format", "format_", default="png", show_default=True, help="Files: png, npz, json.")
@output_to(shown="DIR", required=True)
def command(
    models: Names,
    sizes: tuple[Pixels, ...],
    jobs: int | None,
    format_: str,
    allow_modules: bool,
    cmap: str | None,
    dpi: int | None,
    width: int | None,
    theme: str | None,
    output: str,
    **lists: tuple[Any, ...],
) -> None:
    """Make every combination of what is named, one file each, into DIR, with index.html to look at.

    Instead of models, a manifest names what to draw. What an earlier run finished, from the same networks and
    options, is kept. What fails is listed at the end, and the exit code is then 3.

    \b
    Example:
      padviz export resnet18 vgg11 --size 64:128:32 --padding zero,reflect -o maps
      padviz export resnet50 --size 224,225 --what usage,uneven,taps --format png,npz -o audit
    """
    from padviz.exports.run import export

    _checked_folder(output)
    unsaid = [rule for rule in os.environ.get("PYTHONWARNINGS", "").split(",") if rule not in ("", UNSAID)]
    os.environ["PYTHONWARNINGS"] = ",".join([*unsaid, UNSAID])
    lists |= {"sizes": sizes, "paddings": tuple(padding or KEPT for padding in lists["paddings"])}
    asked: dict[str, Any] = {PLURALS.get(name, name): [*values] for name, values in lists.items() if values}
    look: dict[str, Any] = {
        "format_": listed(format_),
        "cmap": cmap,
        "dpi": dpi,
        "width": width,
        "theme": theme,
    }
    look |= {"allow_modules": allow_modules, "on_note": options.say_once}
    look |= options.asked_to_read()
    with _progress() as on_outcome:
        outcomes = export(models, output, **look, jobs=jobs or -1, on_outcome=on_outcome, **asked)
    _report(outcomes, Path(output))


def _checked_folder(folder: str) -> None:
    try:
        if not folder or "\0" in folder or (os.path.lexists(folder) and not os.path.isdir(folder)):
            raise OptionError(f"{folder!r} is no folder", where="-o", hint="name one; it is made if need be")
        Path(folder, "index.html").exists()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"{folder[:60]!r} cannot be used ({reason})", where="-o", hint="name another") from None


@contextmanager
def _progress() -> Iterator[Callable[[ItemOutcome, int], None] | None]:
    """Draw a bar with rate and time left on stderr; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    columns = (BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn(elapsed_when_finished=True))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None, rate="")

        def on_outcome(outcome: ItemOutcome, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, advance=1, total=total, rate=f"{speed:.1f} a second" if speed else "")

        yield on_outcome


def _report(outcomes: Sequence[ItemOutcome], folder: Path) -> None:
    """Say what was done, and end with 3 if something failed."""
    from padviz.pages.html import natural
    from padviz.reports import tables

    states = [outcome.state for outcome in outcomes]
    facts: list[tuple[str, Any]] = [(state, states.count(state)) for state in ("made", "kept", "failed")]
    click.echo(tables.to_facts([*facts, ("gallery", str(folder / "index.html"))]))
    failed = sorted(
        (outcome for outcome in outcomes if outcome.state == "failed"), key=lambda outcome: natural(outcome.name)
    )
    for outcome in failed[:SAID]:
        options.say(f"{outcome.name}: {outcome.error}")
    if len(failed) > SAID:
        options.say(f"and {len(failed) - SAID} more, all of them in {folder / 'index.json'}")
    if failed:
        raise SystemExit(3)
