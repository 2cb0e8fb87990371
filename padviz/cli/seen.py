"""`padviz seen`: whether the count is what a trained network sees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.progress import progress, told_where_interrupted

if TYPE_CHECKING:
    from padviz.trained.trying.seen import Seen

SCHEMA_VERSION = 1


@click.command(name="seen", short_help="Where a trained network sees, beside what its geometry says.")
@options.trained
@click.option("--images", metavar="FOLDER", help="Photographs like those of the training.")
@options.size
@click.option("--patch", type=click.IntRange(1), default=24, show_default=True, help="Side of the patch in pixels.")
@click.option("--grid", type=click.IntRange(1), default=11, show_default=True, help="Places of it along each side.")
@click.option("-n", "count", type=click.IntRange(1), default=16, show_default=True, help="How many crops.")
@options.seed
@options.mean
@options.std
@click.option("--noise", is_flag=True, help="Run on noise in place of photographs, which tells little.")
@options.format_of("table", "json", "csv", "markdown")
@options.output("Draw what is seen beside usage to a picture (.png .svg .pdf).")
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted.")
@options.overwrite
def command(
    model: str,
    weights: str | None,
    images: str | None,
    size: tuple[int, int] | None,
    patch: int,
    grid: int,
    count: int,
    seed: int,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    noise: bool,
    format_: str,
    output: Path | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """Lay a neutral patch over crops of photographs, place by place, and compare the change of MODEL's output to usage.

    Seen is the root mean square change of the output over crops. Spearman's rank correlation sets it against usage
    under the patch, and, as the yardstick, against the plain distance to the border. Edge over inside is the mean of
    the outermost places over that of the middle half. Intervals are of 95 %, over pictures. Ctrl-C saves what is done;
    `--resume` continues from it.

    \b
    Example:
      padviz seen model.onnx --images photos -o seen.png
      padviz seen model.onnx --images photos --patch 32 --grid 7 --format json
    """
    from padviz.api.trying import seen
    from padviz.figures.canvas import PICTURE_SUFFIXES

    if output is not None:
        options.checked_output(output, PICTURE_SUFFIXES, overwrite)
    trained = options.read_trained(model, size, weights)
    path = output or options.default_picture(trained.network, trained.size, None, "seen")
    kept = options.kept_beside(path, resume, overwrite)
    with told_where_interrupted(), progress("places") as told:
        found = seen(
            trained,
            images,
            patch,
            grid,
            count,
            noise=noise,
            seed=seed,
            mean=mean,
            std=std,
            unfinished=kept,
            resume=resume,
            on_progress=told,
        )
    for note in found.notes:
        options.say(note)
    if output is not None:
        from padviz.figures.canvas import save
        from padviz.figures.trained import seeing

        save(seeing.beside(found), output)
    click.echo(_text(found, format_, output))
    kept.unlink(missing_ok=True)  # all that is made of it is there


def _text(found: Seen, format_: str, output: Path | None) -> str:
    from padviz.reports import documents, tables
    from padviz.trained.trying.seen import seen_facts
    from padviz.trained.trying.wording import explained

    if format_ == "json":
        head = {"schema_version": SCHEMA_VERSION, "answer": explained(found), **seen_facts(found)}
        return documents.to_json({**head, "files": [str(output)] if output else []})
    if format_ == "csv":
        rows = [
            (top, left, found.values[i, j].item(), found.usage[i, j].item(), found.distance[i, j].item())
            for i, top in enumerate(found.tops)
            for j, left in enumerate(found.lefts)
        ]
        return documents.to_csv(("top", "left", "seen", "usage", "distance"), rows)
    columns, figures = ("", "seen", "usage"), _figures(found)
    if format_ == "markdown":
        return f"{explained(found)}\n\n{documents.to_markdown(columns, figures)}"
    pictures = f"{found.pictures} picture{'' if found.pictures == 1 else 's'} in {found.images}"
    places = f"a patch of {found.patch} px at {len(found.tops)} x {len(found.lefts)} places"
    title = f"{found.title}, {found.size[0]} x {found.size[1]}; {places}; {found.count} crops of {pictures}"
    return f"{tables.wrapped(explained(found))}\n\n{tables.to_table(columns, figures, title)}"


def _figures(found: Seen) -> list[tuple[Any, ...]]:
    """The figures of both maps."""
    from padviz.trained.trying.wording import with_ends

    return [
        ("Spearman with usage", with_ends(found.by_usage), None),
        ("Spearman with distance to the border", with_ends(found.by_distance), None),
        ("usage's minus distance's", with_ends(found.gain), None),
        ("edge over inside", with_ends(found.edge), f"{found.edge_usage:.2f}"),
    ]
