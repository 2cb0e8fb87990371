"""What changes do to a trained network as it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, NotRequired, TypedDict

from padviz.analyses.asked import TrainedSource, repadded, schemes
from padviz.analyses.result import Result
from padviz.intervals import Estimate
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
from padviz.reports.rows import about, rows_of
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
    >>> (tried.kind, [row.change for row in tried.rows],
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


class TrialResultRow(TypedDict):
    """The effect of a change, with 95 % intervals over pictures, and that minus a shift by 1 px.

    Scores of classes have `kept` and `kl`, others `relative` and `correlation`.
    """

    change: str
    kind: str
    size: list[int]
    how: str | None
    padding: str | None
    needs: str | None
    note: str | None
    kept: NotRequired[Estimate | None]
    kept_against_shift: NotRequired[Estimate | None]
    kl: NotRequired[Estimate | None]
    kl_against_shift: NotRequired[Estimate | None]
    relative: NotRequired[Estimate | None]
    relative_against_shift: NotRequired[Estimate | None]
    correlation: NotRequired[Estimate | None]
    correlation_against_shift: NotRequired[Estimate | None]


def report_of(tried: Trial) -> Report:
    sentence = answer(tried)
    crops = inputs_in_words(tried, f"{tried.count} crops")
    heading = Heading(f"{crops}, compared with the network as trained")
    figures, points = (
        map(_figure, tried.shift.figures),
        Column("against_shift", "minus shift, points", of=against),
    )
    table = Table((Column("change"), *figures, points, Column("note", "not compared")), tried.rows)
    screen = [Lines([sentence]), heading, table, Lines(needs(tried))]
    return Report("trial", trial_facts(tried), [screen], trial_rows(tried))


def inputs_in_words(outcome: Trial | Seen, what: str) -> str:
    pictures = "noise"
    if outcome.images != "noise":
        pictures = f"{counted(outcome.pictures, 'photograph')} in {outcome.images}"
    return f"{outcome.title}, {in_words(outcome.size)}; {what} of {pictures}"


def _figure(name: str) -> Column:
    return Column(name, HEADINGS[name], partial(cell, name), lambda row: row.figures.get(name))


def trial_facts(tried: Trial) -> dict[str, object]:
    figures = {"verdict": answer(tried), **picked(tried, "images count pictures output notes")}
    return about(tried.network, tried.size) | figures


def trial_rows(tried: Trial) -> Table:
    """Return the rows of JSON and CSV."""
    rows = []
    for row in tried.rows:
        figures = picked(row, "change kind size how padding needs") | {"note": row.note or None}
        for name in tried.shift.figures:
            figures[name] = row.figures.get(name)
            figures[f"{name}_against_shift"] = row.against_shift.get(name)
        rows.append(figures)
    return rows_of(rows, TrialResultRow)


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
