"""`padviz export`: many maps at once, with an index and a gallery."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.showing import output_to, progress
from padviz.cli.value_types import DECLARED, Names, Pixels, complete_model, split_commas
from padviz.cli.vocabulary import PLURALS, Command, given, read
from padviz.errors import OptionError

if TYPE_CHECKING:
    from padviz.exports.batch import ItemOutcome

MOST_ERRORS = 20  # printed at the end
IGNORED = "ignore:resource_tracker:UserWarning"  # joblib cleans up after an export that was ended, and warns


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
    **lists: tuple[object, ...],
) -> None:
    """Draw every combination of models and options into DIR, one file each, with index.html to browse.

    A manifest lists items instead of models. Items that an earlier run finished, with the same networks and
    options, are kept. Items that fail are listed at the end, and the exit code is then 3.

    \b
    Example:
      padviz export resnet18 vgg11 --size 64:128:32 --padding zero,reflect -o maps
      padviz export resnet50 --size 224,225 --what usage,uneven,taps --format png,npz -o audit
    """
    from padviz.exports.run import export

    _check_folder(output)
    filters = [rule for rule in os.environ.get("PYTHONWARNINGS", "").split(",") if rule not in ("", IGNORED)]
    os.environ["PYTHONWARNINGS"] = ",".join([*filters, IGNORED])
    lists |= {"sizes": sizes, "paddings": tuple(padding or DECLARED for padding in lists["paddings"])}
    arguments: dict[str, Any] = {PLURALS.get(name, name): [*values] for name, values in lists.items() if values}
    arguments |= {"cmap": cmap, "dpi": dpi, "width": width, "theme": theme, "allow_modules": allow_modules}
    arguments |= options.reading_arguments()
    with progress("", lasting=True) as on_progress:
        done = count(1)

        def on_outcome(outcome: ItemOutcome, total: int) -> None:
            if on_progress:
                on_progress(next(done), total)

        outcomes = export(
            models,
            output,
            format_=split_commas(format_),
            jobs=jobs or -1,
            on_outcome=on_outcome,
            on_note=options.say_once,
            **arguments,
        )
    _report(outcomes, Path(output))


def _check_folder(folder: str) -> None:
    try:
        if not folder or "\0" in folder or (os.path.lexists(folder) and not os.path.isdir(folder)):
            raise OptionError(f"{folder!r} is not a folder", where="-o", hint="name one, which is created if needed")
        Path(folder, "index.html").exists()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"{folder[:60]!r} cannot be used ({reason})", where="-o", hint="name another") from None


def _report(outcomes: Sequence[ItemOutcome], folder: Path) -> None:
    """Print the outcomes, and exit with 3 if an item failed."""
    from padviz.pages.html import natural
    from padviz.reports import tables

    states = [outcome.state for outcome in outcomes]
    facts: list[tuple[str, object]] = [(state, states.count(state)) for state in ("made", "kept", "failed")]
    click.echo(tables.to_facts([*facts, ("gallery", str(folder / "index.html"))]))
    failed = sorted(
        (outcome for outcome in outcomes if outcome.state == "failed"), key=lambda outcome: natural(outcome.name)
    )
    for outcome in failed[:MOST_ERRORS]:
        options.say(f"{outcome.name}: {outcome.error}")
    if len(failed) > MOST_ERRORS:
        options.say(f"and {len(failed) - MOST_ERRORS} more, all of them in {folder / 'index.json'}")
    if failed:
        raise SystemExit(3)
