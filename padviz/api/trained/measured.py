"""What training made of a network: each function reads it with its weights, once, and calls a room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from padviz.api.results.asked import names
from padviz.api.results.result import Result
from padviz.api.trained.repadded import runners_of
from padviz.trained.border_responses import BorderResponse, BorderResponses
from padviz.trained.detecting.detectability import Detectability, PositionMap
from padviz.trained.mean_filters import MeanFilter, MeanFilters
from padviz.trained.weights.reading import as_trained

if TYPE_CHECKING:
    from torch import nn

    from padviz.trained.weights.trained_network import Trained

Progress = Callable[[int, int], None]  # what is done, and all of it


class ResponsesResult(Result[BorderResponse], BorderResponses):
    """Border responses: `.verdict`, a sentence, and `.rows`, for each padding and convolution."""


class FiltersResult(Result[MeanFilter], MeanFilters):
    """Mean filters: `.rows`, one for each convolution of several taps."""


class DetectResult(Result[PositionMap], Detectability):
    """Scores by position: `.maps`, one for each padding."""


def responses(
    network: str | Path | nn.Module | Trained,
    size: int | Sequence[int] | None = None,
    padding: str | Sequence[str] | None = None,
    inputs: str | Path = "noise",
    n: int = 16,
    *,
    layer: str | Sequence[str] | None = None,
    weights: str | Path | None = None,
    seed: int = 0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    shuffled: bool = True,
    on_progress: Progress | None = None,
) -> ResponsesResult:
    """Run a trained network, and measure what every convolution makes at the border, side by side.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Trained
        The path of an ONNX file, a module with its weights, the name of what makes one, or what was read of it.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    padding : str or sequence of str, optional
        Schemes to replace the padding of every convolution by, besides the padding that it has.
    inputs : "noise", "blank", or the path of a folder of pictures
        Noise has random pixels, from 0 to 1; a blank is the mean pixel everywhere.
    n : int
        The number of inputs.
    layer : str or sequence of str, optional
        Only these layers.
    weights : str or Path, optional
        A file of weights for a module, or the name of weights that a factory takes.
    seed : int
        Of the noise, and of the order that weights are shuffled into.
    mean, std : sequence of float, optional
        What pixels from 0 to 1 are normalised by, as when the network was trained; ImageNet's by default.
    shuffled : bool
        Measure the network with its weights shuffled within each convolution, too: what geometry makes by itself.
    on_progress : callable, optional
        Told of the inputs that were run, under all paddings, and of how many there are.

    Returns
    -------
    ResponsesResult
        With `.verdict`, a sentence, `.rows`, for each padding and convolution, and `.plot()`; the padding of rows with
        shuffled weights is "shuffled".

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Notes
    -----
    E of a side is sqrt(max(0, mean over channels of D1 D2)) / S: D1 and D2 are the outermost line minus the interior,
    as means over two disjoint halves of the inputs, and S is the root mean square of the interior. One input, unless
    it is a blank, has no E.
    Source: Alsallakh et al., ICLR 2021: its line artifacts in feature maps.

    Examples
    --------
    >>> import torch
    >>> conv = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
    >>> energy = responses(torch.nn.Sequential(conv), 32, n=4)
    >>> energy.rows[0].layer, energy.rows[0].shape, energy.mean(None) < 0.5
    ('0', (32, 32), True)
    """
    from padviz.figures.trained import responses as drawing
    from padviz.reports.trained.responses import report_of
    from padviz.trained.responding import respond
    from padviz.trained.sessions.inputs import Inputs

    trained = as_trained(network, size, weights)
    images = Inputs(str(inputs), n, seed, mean, std)
    measured = respond(trained, *runners_of(trained, padding), images, shuffled, on_progress)
    measured = measured.only(names(layer)) if layer else measured
    draw, axes = partial(drawing.panels, measured), partial(drawing.plot, measured)
    return ResponsesResult.made_of(measured, measured.rows, partial(report_of, measured), draw, axes)


def filters(
    network: str | Path | nn.Module | Trained,
    size: int | Sequence[int] | None = None,
    layer: str | Sequence[str] = (),
    *,
    weights: str | Path | None = None,
) -> FiltersResult:
    """Average the filters of every convolution of a trained network, and measure how they are skewed.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Trained
        The path of an ONNX file, a module with its weights, the name of what makes one, or what was read of it.
    size : int or (height, width), optional
        Input size in pixels, which grid offsets and padding depend on; the network's own by default.
    layer : str or sequence of str
        Only these layers.
    weights : str or Path, optional
        A file of weights for a module, or the name of weights that a factory takes.

    Returns
    -------
    FiltersResult
        With a `MeanFilter` for each convolution of several taps in `.rows`; arrays of shape (kernel height, width).

    Raises
    ------
    PadvizError
        For what cannot be read, has no such weights, or weights that do not fit.

    Notes
    -----
    D, the skew, is the same whether a batch normalisation is folded into the weights or not: each channel is measured
    by itself, and those that folding makes vanish are left out. In networks that were trained to test it, the sign of D
    went with the offset of the sampling grid from the image's centre, larger weights away from it, not with the zeros.
    In one pretrained network it went with it on 28 of 34 axes, but D is positive on 34 of 34: "always positive"
    explains more, and where offsets turn, the offset is wrong on 6 of 6.
    Source: Alsallakh et al., ICLR 2021: mean filters; the measure D is ours.

    Examples
    --------
    >>> import torch
    >>> module = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1)
    >>> with torch.no_grad():
    ...     module.weight[:] = torch.tensor([[1.0, 1, 1], [1, 1, 1], [2, 2, 2]])
    >>> (row,) = filters(module, 32).rows
    >>> row.height.skew, row.width.skew, row.height.offset, row.height.consumed
    (0.25, 0.0, -0.5, (1, 0))
    """
    from padviz.figures.trained import mean_filters as drawing
    from padviz.reports.trained.filters import report_of
    from padviz.trained.mean_filters import filters_of

    found = filters_of(as_trained(network, size, weights), names(layer))
    draw, axes = partial(drawing.filters, found), partial(drawing.plot, found)
    return FiltersResult.made_of(found, found.rows, partial(report_of, found), draw, axes)


def detect(
    network: str | Path | nn.Module | Trained,
    stimulus: str | None = None,
    size: int | Sequence[int] | None = None,
    padding: str | Sequence[str] | None = None,
    *,
    weights: str | Path | None = None,
    height: int | None = None,
    contrast: float | None = None,
    step: int | None = None,
    layer: str | None = None,
    class_: int | None = None,
    threshold: bool = False,
    image: str | Path | None = None,
    shift: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    bgr: bool = False,
    unfinished: Path | None = None,
    resume: bool = False,
    on_progress: Progress | None = None,
) -> DetectResult:
    """Move a stimulus over a neutral background, and score how well a trained network sees it at each position.

    A detector's score is the peak of its map within half the stimulus's height of it; a classifier's is p / (p + q),
    with the probability p of the class and q of the best other one. From .5 on, something is seen. Unless they are
    given, height, class and contrast are chosen such that the median score of the network as it is comes near .5. The
    background alone is scored, too: where no score is more than .01 from that, nothing reacts, and that is an error.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Trained
        The path of an ONNX file, a module with its weights, the name of what makes one, or what was read of it.
    stimulus : str, optional
        "text:WORD", "sample", which is a pattern of rings, or the path of a picture; "sample" by default.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    padding : str or sequence of str, optional
        Schemes to replace the padding of every convolution by, besides the padding that it has.
    weights : str or Path, optional
        A file of weights for a module, or the name of weights that a factory takes.
    height : int, optional
        Of the stimulus, in pixels.
    contrast : float, optional
        Of the stimulus: 1 is as it is, and 0 the background.
    step : int, optional
        Pixels from one position to the next; the least one, from 8 on, that makes at most 400 positions by default.
    layer : str, optional
        The output to look at, or a tensor or module inside; the first that is a map or class scores by default.
    class_ : int, optional
        The class to look for.
    threshold : bool
        Find the least contrast at each position with a score of .5, in place of the score. Without it that is done
        where scores tell positions apart at no contrast, and `.notes` say why.
    image : str or Path, optional
        A picture, larger than the frame by `shift`, that moves under it in place of a stimulus.
    shift : int, optional
        How far the picture moves, in pixels, up to the image's larger side; 32 by default.
    mean, std : sequence of float, optional
        What pixels from 0 to 1 are normalised by, ImageNet's by default; the background is the mean.
    bgr : bool
        Feed blue, green, red; `mean` and `std` stay in the order red, green, blue.
    unfinished : Path, optional
        A file that keeps the scores, to the last one: remove it once what is made of them is stored.
    resume : bool
        Go on where an earlier call with the same options was interrupted, with what `unfinished` keeps.
    on_progress : callable, optional
        Told of the positions that are done, and of how many there are.

    Returns
    -------
    DetectResult
        With `.maps`, one for each padding, of scores by position, and `.plot()`.

    Raises
    ------
    PadvizError
        For a network, stimulus, size or option that cannot be used.

    Notes
    -----
    Source: Alsallakh et al., ICLR 2021: its blind spots of a detector.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(1)
    >>> peaks = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.Sigmoid())
    >>> detect(peaks, size=32, height=8).maps[0].values.shape
    (4, 4)
    """
    from padviz.figures.trained import detection
    from padviz.files.unfinished import Keeping
    from padviz.reports.trained.detect import report_of
    from padviz.trained.detecting.asking import seek
    from padviz.trained.detecting.question import Question

    question = Question(stimulus, height, contrast, step, layer, class_, threshold, image, shift, mean, std, bgr)
    trained = as_trained(network, size, weights)
    question.check(trained.size)
    keeping = Keeping(unfinished, resume, f"{trained.where} {weights}")
    scores = seek(trained, *runners_of(trained, padding), question, keeping, on_progress)
    draw, axes = partial(detection.positions, scores), partial(detection.plot, scores)
    return DetectResult.made_of(scores, scores.maps, partial(report_of, scores, ()), draw, axes, pictured=True)
