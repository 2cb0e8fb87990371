"""`padviz responses`: what a trained network's convolutions make at the border."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.axis.padding_modes import RUNNING_ON
from padviz.cli import options
from padviz.cli.progress import progress

if TYPE_CHECKING:
    from padviz.trained.border_responses import BorderResponse, BorderResponses

SCHEMA_VERSION = 1


@click.command(name="responses", short_help="What a trained network's convolutions make at the border: line artifacts.")
@options.trained
@options.size
@options.schemes(RUNNING_ON)
@options.inputs
@click.option("-n", "count", type=click.IntRange(1), default=16, show_default=True, help="How many inputs.")
@options.seed
@options.mean
@options.std
@click.option("--shuffled/--no-shuffled", default=True, help="Run it with shuffled weights, too; the default.")
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="Only this layer; may be given several times.")
@options.format_of("table", "json", "csv")
@options.output("Draw mean responses and their profiles to a picture (.png .svg .pdf).")
@options.overwrite
def command(
    model: str,
    size: tuple[int, int] | None,
    weights: str | None,
    padding: list[str],
    inputs: str,
    count: int,
    seed: int,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    shuffled: bool,
    layers: tuple[str, ...],
    format_: str,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Run MODEL, a trained network, and compare what its convolutions make at the border with what they make inside.

    E is the outermost line minus the interior, over what is usual in the interior. E .5: the border line is off by half
    of what the interior usually is. Compare E only within a network, at one normalisation and kind of input; below .02
    it is noise at 16 inputs. It is measured as trained, with each of --padding in place of that, and as trained with
    the weights shuffled within each layer: what geometry makes by itself. Circular padding leaves convolutions no
    border, and shows the noise; padded pools keep theirs. Aware is the share of channels with a border line of their
    own.

    Check --mean and --std where responses says that a convolution hardly reacts: E may double by wrong ones.

    \b
    Example:
      padviz responses model.onnx -o responses.png
      padviz responses model.onnx --padding circular --inputs blank --format json
    """
    from padviz.api.trained import border_responses
    from padviz.figures.canvas import PICTURE_SUFFIXES

    if output is not None:
        options.checked_output(output, PICTURE_SUFFIXES, overwrite)
    trained = options.read_trained(model, size, weights)
    about: dict[str, Any] = {"seed": seed, "mean": mean, "std": std, "shuffled": shuffled}
    with progress("images") as told:
        found = border_responses(trained, size, padding, inputs, count, **about, on_progress=told)
    found = found.only(layers) if layers else found
    for note in found.notes:
        options.say(note)
    if output is not None:
        from padviz.figures.canvas import save
        from padviz.figures.trained import responses

        save(responses.panels(found), output)
    click.echo(_text(found, format_, output))


def _text(found: BorderResponses, format_: str, output: Path | None) -> str:
    from padviz.reports import documents, tables
    from padviz.trained.border_responses import READING, response_facts

    if format_ == "json":
        head = {"schema_version": SCHEMA_VERSION, **response_facts(found)}
        return documents.to_json({**head, "files": [str(output)] if output else []})
    if format_ == "csv":
        flat = [_flat(row) for row in found.rows]
        return documents.to_csv([*flat[0]], [[*row.values()] for row in flat])
    shown = [options.named(padding) for padding in found.paddings]
    by_layer: dict[str, list[BorderResponse]] = {}
    for row in found.rows:
        by_layer.setdefault(row.layer, []).append(row)
    rows: list[tuple[Any, ...]]
    rows = [(name, _by(each[0]), *map(_cell, each), _share(each[0])) for name, each in by_layer.items()]
    rows.append(("mean", None, *(found.mean(padding) for padding in found.paddings), None))
    inputs = "1 input" if found.count == 1 else f"{found.count} inputs"
    title = f"{found.title}, {found.size[0]} x {found.size[1]}, {inputs} ({found.inputs}): E at the border"
    table = tables.to_table(("layer", "map", *shown, "aware"), rows, title)
    return "\n\n".join([found.verdict, table, READING])


def _flat(row: BorderResponse) -> dict[str, Any]:
    """A row as CSV has it: a column for each figure."""
    from padviz.trained.border_responses import row_facts

    flat: dict[str, Any] = {}
    for key, value in row_facts(row).items():
        if isinstance(value, dict):
            flat |= {f"{key}_{side}": figure for side, figure in value.items()}
        else:
            flat[key] = "x".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _cell(row: BorderResponse) -> Any:
    """E of a layer over its sides; what is wrong with it in place of that."""
    return row.note or ("-" if row.energy.mean is None else row.energy.mean)


def _share(row: BorderResponse) -> str | None:
    return None if row.aware is None else f"{row.aware:.0%}"


def _by(row: BorderResponse) -> str:
    return f"{row.channels} x {row.shape[0]} x {row.shape[1]}"
