"""What changes do to a trained network as it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from padviz.analyses.asked import TrainedSource, repadded, schemes
from padviz.analyses.result import Result
from padviz.network.network import Size, in_words
from padviz.options import (
    IMAGES,
    MEAN,
    NOISE,
    PADDINGS,
    RUN_MODEL,
    SEED,
    SIZES,
    STD,
    TRAINED_AT,
    WEIGHTS,
    Command,
    N,
)
from padviz.phrases import counted
from padviz.progress import Progress
from padviz.reports.documents import picked
from padviz.reports.report import Column, Heading, Lines, Report, Table
from padviz.reports.tables import pixels
from padviz.trained.images import to_crop
from padviz.trained.networks.reading import as_trained
from padviz.trained.trying.seen import Seen
from padviz.trained.trying.trial import Trial, TrialRow, try_changes
from padviz.trained.trying.wording import against, answer, cell, needs


class TrialResult(Result[TrialRow], Trial):
    """What changes do: `.rows`, of which `.row(size=225)` and `.row(padding="reflect")`
    find one.
    """


def trial(
    network: Annotated[TrainedSource, RUN_MODEL],
    images: Annotated[str | Path | None, IMAGES] = None,
    size: Annotated[int | Size | Sequence[int | Size] | None, SIZES] = None,
    padding: Annotated[str | Sequence[str] | None, PADDINGS] = None,
    n: Annotated[int, N] = 64,
    *,
    trained_at: Annotated[int | Size | None, TRAINED_AT] = None,
    weights: Annotated[str | Path | None, WEIGHTS] = None,
    noise: Annotated[bool, NOISE] = False,
    seed: Annotated[int, SEED] = 0,
    mean: Annotated[Sequence[float] | None, MEAN] = None,
    std: Annotated[Sequence[float] | None, STD] = None,
    on_progress: Progress | None = None,
) -> TrialResult:
    """Measure what other sizes and padding schemes do to a trained network as it is.

    Each change is run on the same crops of pictures, and its outputs are compared with those of the
    network as trained. The baseline is a shift of the crops by one pixel, down and right. A size is
    made by a larger or smaller crop of the scene, and by resizing. By default the nearest balanced
    sizes and all schemes that keep sizes are tried.

    Parameters
    ----------
    network, weights, mean, std, on_progress
        As for `responses`.
    images : str or Path
        A folder of photographs like those of the training.
    size : int, or a list of int and (height, width), optional
        Input sizes to try, in pixels.
    padding : str or sequence of str, optional
        Schemes to try in place of the padding of every convolution.
    n : int
        The number of crops, shared out among the pictures.
    trained_at : int or (height, width), optional
        Training image size in pixels; the network's own by default.
    noise : bool
        Use noise as input (least informative).
    seed : int
        Of the crops or the noise.

    Returns
    -------
    TrialResult
        With `.rows`, of which `.row(size=225)` and `.row(padding="reflect")` find one, and
        `.plot()`.

    Raises
    ------
    PadvizError
        For a network, folder, size or scheme that cannot be used.

    Notes
    -----
    Intervals are of 95 %, over pictures. There are none below 10, or where fewer than 3 change. A
    picture is scaled
    such that 8/7 of the frame, or all that the changes need, covers it (256 px of 224, as networks
    are usually tested),
    and never enlarged.

    Examples
    --------
    >>> import padviz, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU())
    >>> tried = padviz.trial(net, noise=True, n=4, trained_at=16, padding="circular")
    >>> (tried.kind, [row.name for row in tried.rows],
    ...  tried.rows[1].figures["correlation"].value > 0.5)
    ('map', ['a shift by one pixel', 'circular padding'], True)
    >>> tried.rows[0].against_shift  # the baseline itself
    {}
    """
    from padviz.figures.trained import intervals

    inputs = to_crop(images, n, noise, seed, mean, std)
    trained = as_trained(network, trained_at, weights)
    tried_schemes = None
    if padding is not None:
        tried_schemes = schemes(padding)
    tried = try_changes(trained, size, tried_schemes, inputs, repadded, on_progress)
    shown = (
        partial(report_of, tried),
        partial(intervals.dots, tried),
        partial(intervals.plot_dots, tried),
    )
    return TrialResult.made_of(tried, tried.rows, *shown, pictured=True, notes=tried.notes)


HEADINGS = {"kept": "top-1 kept", "kl": "KL", "relative": "change", "correlation": "correlation"}


def report_of(tried: Trial) -> Report:
    sentence, heading = (
        answer(tried),
        f"{about(tried, f'{tried.count} crops')}, compared with the network as trained",
    )
    sheet = [_flat(row, [*tried.shift.figures]) for row in tried.rows]
    figures, points = (
        map(_figure, tried.shift.figures),
        Column("against_shift", "minus shift, points", of=against),
    )
    table = Table(
        (Column("name", "change"), *figures, points, Column("note", "not compared")), tried.rows
    )
    screen = [Lines([sentence]), Heading(heading), table, Lines(needs(tried))]
    facts = {"answer": sentence, **trial_facts(tried)}
    return Report("trial", facts, [screen], Table([*map(Column, sheet[0])], sheet))


def about(outcome: Trial | Seen, what: str) -> str:
    pictures = "noise"
    if outcome.images != "noise":
        pictures = f"{counted(outcome.pictures, 'photograph')} in {outcome.images}"
    return f"{outcome.title}, {in_words(outcome.size)}; {what} of {pictures}"


def _figure(name: str) -> Column:
    return Column(name, HEADINGS[name], partial(cell, name), lambda row: row.figures.get(name))


def trial_facts(tried: Trial) -> dict[str, object]:
    rows = []
    for row in tried.rows:
        about = {"change": row.kind, **picked(row, "size how padding")}
        rows.append({**about, **row.figures, **picked(row, "against_shift needs note")})
    return {
        **picked(tried, "network size images count pictures output"),
        "rows": rows,
        **picked(tried, "notes"),
    }


def _flat(row: TrialRow, names: Sequence[str]) -> dict[str, object]:
    figures = {name: row.figures.get(name) for name in names}
    figures |= {f"{name}_against_shift": row.against_shift.get(name) for name in names}
    cells = {"change": row.kind, "size": pixels(row.size), **picked(row, "how padding needs note")}
    for name, value in figures.items():
        cells |= {
            name: value and value.value,
            f"{name}_low": value and value.low,
            f"{name}_high": value and value.high,
        }
    return cells


COMMAND = Command(
    trial,
    """Run MODEL, a trained network, on crops of photographs before and after each change, and
compare its answers.

    For a classifier, the table has the share of crops that keep their top-1 class, and the mean KL
    divergence. For other outputs it has the change relative to their norm, and the correlation. The
    baseline is a shift by one pixel, down and right. 95 % intervals over images need at least 10.

    Another size is tried on a larger or smaller crop of the same scene, and by resizing. Without
    --size and --padding, the nearest balanced sizes and all schemes are tried.

    \b
    Example:
      padviz trial model.onnx --images photos
      padviz trial model.onnx --images photos --size 225 --padding reflect,partial -o trial.png
    """,
    counting="images",
)
