"""What changes do to a trained network as it is, and where it sees: each function reads it, and calls a room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from padviz.api.results.result import Result
from padviz.api.trained.repadded import repadded
from padviz.network.network import Size
from padviz.trained.trying.seen import Seen
from padviz.trained.trying.trial import Trial, TrialRow
from padviz.trained.weights.reading import as_trained

if TYPE_CHECKING:
    from torch import nn

    from padviz.trained.weights.trained_network import Trained

Progress = Callable[[int, int], None]  # what is done, and all of it


class TrialResult(Result[TrialRow], Trial):
    """What changes do: `.rows`, of which `.row(size=225)` and `.row(padding="reflect")` find one."""


class SeenResult(Result[Seen], Seen):
    """Where a network sees: `.values` and `.usage` by place, `.by_usage` and `.by_distance`."""


def trial(
    network: str | Path | nn.Module | Trained,
    images: str | Path | None = None,
    size: int | Size | Sequence[int | Size] | None = None,
    padding: str | Sequence[str] | None = None,
    n: int = 64,
    *,
    trained_at: int | Size | None = None,
    weights: str | Path | None = None,
    noise: bool = False,
    seed: int = 0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    on_progress: Progress | None = None,
) -> TrialResult:
    """Try what other sizes and padding schemes do to a trained network as it is, before anything is trained.

    Each change is run on the same crops of pictures, and its outputs are compared with those of the network as
    trained; a shift of the crops by one pixel, down and right, is the yardstick. A size is made in two ways: of a
    larger or smaller crop of the scene at the same scale, and by resizing. Unless sizes or schemes are named, the
    nearest balanced sizes below and above, and all padding schemes that keep the size of every map are tried.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Trained
        The path of an ONNX file, a module with its weights, the name of what makes one, or what was read of it.
    images : str or Path
        A folder of photographs like those of the training.
    size : int, or a list of int and (height, width), optional
        Input sizes to try, in pixels.
    padding : str or sequence of str, optional
        Schemes to try in place of the padding of every convolution.
    n : int
        The number of crops, shared out among the pictures.
    trained_at : int or (height, width), optional
        The input size that the network was trained at, in pixels; its own by default.
    weights : str or Path, optional
        A file of weights for a module, or the name of weights that a factory takes.
    noise : bool
        Run on noise in place of pictures, which tells little.
    seed : int
        Of the places of crops, or the noise.
    mean, std : sequence of float, optional
        What pixels from 0 to 1 are normalised by, as when the network was trained; ImageNet's by default.
    on_progress : callable, optional
        Told of the images that were run, and of how many there are.

    Returns
    -------
    TrialResult
        With `.rows`, of which `.row(size=225)` and `.row(padding="reflect")` find one, and `.plot()`.

    Raises
    ------
    PadvizError
        For a network, folder, size or scheme that cannot be used.

    Notes
    -----
    Intervals are of 95 %, over pictures; below 10 there are none. A picture is scaled such that 8/7 of the frame, or
    all that the changes need, covers it (256 px of 224, as networks are usually tested), and never enlarged.

    Examples
    --------
    >>> import padviz, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU())
    >>> tried = padviz.trial(net, noise=True, n=4, trained_at=16, padding="circular")
    >>> tried.kind, [row.name for row in tried.rows], tried.rows[1].figures["correlation"].value > 0.5
    ('map', ['a shift by one pixel', 'circular padding'], True)
    """
    from padviz.figures.trained import trials
    from padviz.reports.trained import trying
    from padviz.trained.trying.tried import Pictures, try_all

    pictures = Pictures(images, n, noise, seed, mean, std)
    trained = as_trained(network, trained_at, weights)
    tried = try_all(trained, size, padding, pictures, repadded, on_progress)
    draw, axes = partial(trials.dots, tried), partial(trials.plot, tried)
    return TrialResult.made_of(tried, tried.rows, partial(trying.trial, tried), draw, axes, pictured=True)


def seen(
    network: str | Path | nn.Module | Trained,
    images: str | Path | None = None,
    patch: int = 24,
    grid: int = 11,
    n: int = 16,
    *,
    size: int | Size | None = None,
    weights: str | Path | None = None,
    noise: bool = False,
    seed: int = 0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    unfinished: Path | None = None,
    resume: bool = False,
    on_progress: Progress | None = None,
) -> SeenResult:
    """Measure where a trained network sees: how much its output changes when a patch is laid at each place of a grid.

    The map stands beside that of usage at the same places, with the rank correlation between them; and, as the
    yardstick, with that of the plain distance to the border.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Trained
        The path of an ONNX file, a module with its weights, the name of what makes one, or what was read of it.
    images : str or Path
        A folder of photographs like those of the training.
    patch : int
        Side of the patch in pixels; it is the mean pixel all over.
    grid : int
        Places of the patch along each side, from border to border.
    n : int
        The number of crops, shared out among the pictures.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    weights, noise, seed, mean, std, on_progress
        As for `padviz.trial`.
    unfinished : Path, optional
        A file that keeps what is done, to the last value: remove it once what is made of it is stored.
    resume : bool
        Go on where an earlier call with the same options was interrupted, with what `unfinished` keeps.

    Returns
    -------
    SeenResult
        With `.values` and `.usage` by place, `.by_usage` and `.by_distance`, and `.plot()`.

    Raises
    ------
    PadvizError
        For a network, folder, patch or grid that cannot be used.

    Notes
    -----
    Intervals are of 95 %, by random halves of the pictures; below 10 there are none. Those of correlations are
    corrected for the noise that few pictures have. The output is that of the first classes, or the first map.

    Examples
    --------
    >>> import padviz, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 1, 3, padding=1))
    >>> padviz.seen(net, noise=True, patch=4, grid=5, n=2, size=16).values.shape
    (5, 5)
    """
    from padviz.figures.trained import seeing
    from padviz.files.unfinished import Keeping
    from padviz.reports.trained import trying
    from padviz.trained.trying.looked import look
    from padviz.trained.trying.tried import Pictures

    pictures = Pictures(images, n, noise, seed, mean, std)
    trained = as_trained(network, size, weights)
    keeping = Keeping(unfinished, resume, f"{trained.where} {weights}")
    found = look(trained, patch, grid, pictures, keeping, on_progress)
    draw, axes = partial(seeing.beside, found), partial(seeing.plot, found)
    return SeenResult.made_of(found, (found,), partial(trying.seen, found), draw, axes, pictured=True)
