"""`padviz trial`: what each remedy does to a trained network as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.axis.padding_modes import OTHER
from padviz.cli import options
from padviz.cli.progress import progress
from padviz.cli.value_types import SizeType

if TYPE_CHECKING:
    from padviz.trained.trying.trial import Trial, TrialRow

SCHEMA_VERSION = 1
HEADINGS = {"kept": "top-1 kept", "kl": "KL", "relative": "change", "correlation": "correlation"}


@click.command(name="trial", short_help="What each remedy does to a trained network as it is, before any training.")
@options.trained
@click.option("--images", metavar="FOLDER", help="Photographs like those of the training.")
@click.option("--size", "sizes", type=SizeType(), multiple=True, help="Input size to try; may be given several times.")
@options.schemes(OTHER)
@click.option("-n", "count", type=click.IntRange(1), default=64, show_default=True, help="How many crops.")
@click.option("--trained-at", type=SizeType(), help="Input size of the training; the network's own by default.")
@options.seed
@options.mean
@options.std
@click.option("--noise", is_flag=True, help="Run on noise in place of photographs, which tells little.")
@options.format_of("table", "json", "csv", "markdown")
@options.output("Draw what each change does to a picture (.png .svg .pdf).")
@options.overwrite
def command(
    model: str,
    weights: str | None,
    images: str | None,
    sizes: tuple[tuple[int, int], ...],
    padding: list[str],
    count: int,
    trained_at: tuple[int, int] | None,
    seed: int,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    noise: bool,
    format_: str,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Run MODEL, a trained network, on crops of photographs before and after each change, and compare its answers.

    Of a classifier, the table has the share of crops whose best class is kept, and the mean KL divergence; of other
    outputs, their change relative to their norm, and the correlation. A shift by one pixel, down and right, is the
    yardstick. Intervals are of 95 %, over pictures. A size is made by a larger or smaller crop of the same scene, and
    by resizing. By default the nearest balanced sizes and all of --padding are tried, else what is named.

    \b
    Example:
      padviz trial model.onnx --images photos
      padviz trial model.onnx --images photos --size 225 --padding reflect,partial -o trial.png
    """
    from padviz.api.trying import trial
    from padviz.figures.canvas import PICTURE_SUFFIXES

    if output is not None:
        options.checked_output(output, PICTURE_SUFFIXES, overwrite)
    named = click.get_current_context().get_parameter_source("padding") is not click.core.ParameterSource.DEFAULT
    trained = options.read_trained(model, trained_at, weights)
    with progress("images") as told:
        found = trial(
            trained,
            images,
            sizes or None,
            padding if named else None,
            count,
            noise=noise,
            seed=seed,
            mean=mean,
            std=std,
            on_progress=told,
        )
    for note in found.notes:
        options.say(note)
    if output is not None:
        from padviz.figures.canvas import save
        from padviz.figures.trained import trials

        save(trials.dots(found), output)
    click.echo(_text(found, format_, output))


def _text(found: Trial, format_: str, output: Path | None) -> str:
    from padviz.reports import documents, tables
    from padviz.trained.trying.trial import trial_facts
    from padviz.trained.trying.wording import answer, needs

    if format_ == "json":
        head = {"schema_version": SCHEMA_VERSION, "answer": answer(found), **trial_facts(found)}
        return documents.to_json({**head, "files": [str(output)] if output else []})
    if format_ == "csv":
        flat = [_flat(row, [*found.shift.figures]) for row in found.rows]
        return documents.to_csv([*flat[0]], [[*row.values()] for row in flat])
    columns, rows = _table(found)
    said = [answer(found), *needs(found)]
    if format_ == "markdown":
        return "\n\n".join([said[0], documents.to_markdown(columns, rows), *said[1:]])
    pictures = f"{found.pictures} picture{'' if found.pictures == 1 else 's'} in {found.images}"
    title = (
        f"{found.title}, {found.size[0]} x {found.size[1]}; {found.count} crops of {pictures}; against it as trained"
    )
    table = tables.to_table(columns, rows, title)
    return "\n\n".join([tables.wrapped(said[0]), table, "\n".join(map(tables.wrapped, said[1:]))]).rstrip()


def _table(found: Trial) -> tuple[list[str], list[list[Any]]]:
    """Headings, and a row for each change."""
    from padviz.trained.trying.wording import against, cell

    names = [*found.shift.figures]
    rows = [
        [row.name, *(cell(name, row.figures.get(name)) for name in names), against(row), row.note] for row in found.rows
    ]
    return ["change", *(HEADINGS[name] for name in names), "minus the shift's, points", "not compared"], rows


def _flat(row: TrialRow, names: list[str]) -> dict[str, Any]:
    """A row as CSV has it: a column for each figure and each end of its interval."""
    from padviz.trained.trying.trial import row_facts

    flat = row_facts(row)
    figures = {name: flat.pop(name, None) for name in names} | {"against_shift": flat.pop("against_shift")}
    flat["size"] = options.pixels(row.size)
    for name, each in figures.items():
        flat[name] = each and each["mean"]
        flat |= {f"{name}_{end}": each and each[end] for end in ("low", "high")}
    return flat
