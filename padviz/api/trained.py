"""What training made of a network: each function reads it with its weights, once, and calls a room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from padviz.errors import OptionError
from padviz.network.network import as_size
from padviz.sources import is_module
from padviz.trained.weights.reading import read

if TYPE_CHECKING:
    from torch import nn

    from padviz.repadding.plan import Left
    from padviz.trained.border_responses import BorderResponses
    from padviz.trained.detecting.detectability import Detectability
    from padviz.trained.sessions.running import Runner
    from padviz.trained.weights.trained_network import Trained

AXES = ("height", "width")
Progress = Callable[[int, int], None]  # what is done, and all of it
Runners = list[tuple[str | None, "Runner"]]
Notes = tuple[str, ...]


def border_responses(
    network: str | Path | nn.Module | Trained,
    size: int | Sequence[int] | None = None,
    padding: str | Sequence[str] | None = None,
    inputs: str | Path = "noise",
    n: int = 16,
    *,
    weights: str | Path | None = None,
    seed: int = 0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    shuffled: bool = True,
    on_progress: Progress | None = None,
) -> BorderResponses:
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
    BorderResponses
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
    >>> found = border_responses(torch.nn.Sequential(conv), 32, n=4)
    >>> found.rows[0].layer, found.rows[0].shape, found.mean(None) < 0.5
    ('0', (32, 32), True)
    """
    from padviz.trained.border_responses import NONE, BorderResponses, border_responses, faint
    from padviz.trained.sessions.inputs import BLANK, images_of

    trained = as_trained(network, size, weights)
    runners, notes = runners_of(trained, padding)
    first = runners[0][1]
    images = images_of(inputs, n, trained.size, first.channels, seed, mean, std)
    if shuffled:
        runners, notes = _with_shuffled(trained, seed, runners, notes)
    notes = (*notes, *_few(str(inputs), len(images), n))
    told = _over(len(runners), on_progress)
    rows = [row for scheme, runner in runners for row in border_responses(runner, images, scheme, told)]
    if inputs != BLANK and (note := faint(first, images, rows)):
        notes = (*notes, note)
    if len(images) == 1 and inputs != BLANK:
        rows = [replace(row, energy=NONE, profiles=()) for row in rows]
    schemes = tuple(scheme for scheme, _ in runners)
    about = trained.network.name, trained.network.title, trained.size
    return BorderResponses(*about, schemes, str(inputs), len(images), tuple(rows), notes)


def detectability(
    network: str | Path | nn.Module | Trained,
    stimulus: str | None = None,
    size: int | Sequence[int] | None = None,
    padding: str | Sequence[str] | None = None,
    *,
    weights: str | Path | None = None,
    height: int | None = None,
    contrast: float | None = None,
    step: int | None = None,
    output: str | None = None,
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
) -> Detectability:
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
    output : str, optional
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
    Detectability
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
    >>> peaks = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.Sigmoid())
    >>> detectability(peaks, size=32, height=8).maps[0].values.shape
    (4, 4)
    """
    from padviz.files.unfinished import Unfinished
    from padviz.trained.detecting.asking import answered
    from padviz.trained.detecting.detectability import Detectability
    from padviz.trained.detecting.outputs.inside import maps_inside
    from padviz.trained.detecting.question import Question

    question = Question(stimulus, height, contrast, step, output, class_, threshold, image, shift, mean, std, bgr)
    trained = as_trained(network, size, weights)
    question.check(trained.size)
    runners, notes = runners_of(trained, padding)
    about = f"{trained.where} {weights} {trained.size} {[scheme for scheme, _ in runners]} {question}"
    kept: list[Unfinished] = []

    def keep(count: int) -> Unfinished:
        kept.append(Unfinished(unfinished, about, count, resume))
        return kept[0]

    try:
        found = answered(runners, question, total_stride(trained), keep, on_progress, lambda: maps_inside(trained))
    except OptionError:  # of what was asked: nothing of it is worth keeping
        for each in kept:
            each.remove()
        raise
    except BaseException as error:
        for each in kept if unfinished else ():
            each.write()
            error.add_note(each.in_words())
        raise
    with suppress(OptionError):  # what cannot be kept can still be handed back
        kept[0].write()
    head = trained.network.name, trained.network.title, trained.size, found.name, found.shape, found.contrast
    picked = found.scorer.output, found.scorer.class_, found.tops, found.lefts, found.maps
    return Detectability(*head, *picked, bool(image), (*notes, *found.notes))


def as_trained(
    network: str | Path | nn.Module | Trained, size: int | Sequence[int] | None, weights: str | Path | None
) -> Trained:
    """What a person names, with its weights; or what was read already."""
    from padviz.trained.weights.trained_network import Trained

    return network if isinstance(network, Trained) else read(network, None if size is None else as_size(size), weights)


def total_stride(trained: Trained) -> tuple[int, int] | None:
    """The largest stride of any layer towards the image, on each axis: scores may repeat with it; None if not known."""
    from padviz.errors import PadvizError
    from padviz.geometry.receptive_fields import receptive_fields

    try:
        found = receptive_fields(trained.network, trained.size)
    except PadvizError:  # a head that cannot be followed can still be run
        return None
    strides = [[axis.stride for row in found if (axis := getattr(row, name)) and axis.stride] for name in AXES]
    height, width = (max((int(each) for each in sides), default=1) for sides in strides)
    return height, width


def runners_of(
    trained: Trained, padding: str | Sequence[str] | None
) -> tuple[list[tuple[str | None, Runner]], tuple[str, ...]]:
    """What runs the network as it is, and with each padding in place of its own; and notes on what is open or stays."""
    from padviz.trained.sessions.of_model import runner_of

    asked = dict.fromkeys([padding] if isinstance(padding, str) else padding or ())
    found: list[tuple[str | None, Runner]] = [(None, runner_of(trained))]
    notes = [*trained.notes]
    for scheme in asked:
        runner, left = repadded(trained, scheme)
        found.append((scheme, runner))
        notes += kept_padding(scheme, left)
    return found, tuple(notes)


def kept_padding(scheme: str, left: Sequence[Left]) -> list[str]:
    """What to say of the layers that keep their padding under a scheme."""
    more = f", and {len(left) - 1} more" if len(left) > 1 else ""
    return [f"{scheme}: {left[0].layer} keeps its padding ({left[0].why}){more}"] if left else []


def repadded(trained: Trained, scheme: str) -> tuple[Runner, Sequence[Left]]:
    """What runs the network with another padding: an edited copy of a graph, or a module while calls are replaced."""
    from padviz.repadding.plan import plan
    from padviz.trained.sessions.of_model import runner_of

    asked = plan(trained.network, scheme, trained.size)
    if not is_module(trained.model):
        from padviz.repadding.onnx.edits import edit

        model = trained.model.sized(trained.size)
        done = edit(model, trained.network, asked)
        return runner_of(trained, model), done.left
    from padviz.repadding.torch_module import padded_by

    return runner_of(trained, within=lambda: padded_by(scheme, keeping=True)), asked.left


def _with_shuffled(trained: Trained, seed: int, runners: Runners, notes: Notes) -> tuple[Runners, Notes]:
    """The runners, and one of the network with shuffled weights; or a note that it cannot be copied."""
    from padviz.trained.sessions.of_model import runner_of
    from padviz.trained.shuffling import SHUFFLED, shuffled

    made = shuffled(trained, seed)
    if made is None:
        return runners, (*notes, "the module cannot be copied, so nothing is known of shuffled weights")
    return [*runners, (SHUFFLED, runner_of(made))], notes


def _few(inputs: str, count: int, asked: int) -> list[str]:
    """What is to be said of inputs that are fewer than was asked for, or too few."""
    from padviz.trained.sessions.inputs import BLANK

    if inputs == BLANK:
        return []
    said = []
    if count < asked:
        said.append(f"{inputs} has {count} picture{'s' if count > 1 else ''}, and {asked} were asked for")
    if count == 1:
        said.append("one input has no two halves, so E is not known; use more")
    return said


def _over(parts: int, on_progress: Progress | None) -> Progress | None:
    """Progress over all parts, of which each tells its own."""
    done = 0

    def told(more: int, count: int) -> None:
        nonlocal done
        done += more
        if on_progress:
            on_progress(done, parts * count)

    return told
