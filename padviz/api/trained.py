"""What training made of a network: each function reads it with its weights, once, and calls a room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padviz.network.network import as_size
from padviz.trained.reading import read

if TYPE_CHECKING:
    from torch import nn

    from padviz.trained.border_responses import BorderResponses
    from padviz.trained.network import Trained
    from padviz.trained.sessions.running import Runner

Progress = Callable[[int, int], None]  # what is done, and all of it


def border_responses(
    network: str | Path | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | Sequence[str] | None = None,
    inputs: str | Path = "noise",
    n: int = 16,
    *,
    weights: str | Path | None = None,
    seed: int = 0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    on_progress: Progress | None = None,
) -> BorderResponses:
    """Run a trained network, and measure what every convolution makes at the border, side by side.

    Parameters
    ----------
    network : str, Path or torch.nn.Module
        The path of an ONNX file, a module with its weights, or the name of what makes one.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    padding : str or sequence of str, optional
        Schemes to replace the padding of every convolution by, besides the padding that it has.
    inputs : "noise", "blank", or the path of a folder of pictures
        Noise is standard normal, and a blank 0, where the network reads them.
    n : int
        The number of inputs.
    weights : str or Path, optional
        A file of weights for a module, or the name of weights that a factory takes.
    seed : int
        Of the noise.
    mean, std : sequence of float, optional
        What pictures, with pixels from 0 to 1, are normalised by; ImageNet's by default.
    on_progress : callable, optional
        Told of the inputs that were run, under all paddings, and of how many there are.

    Returns
    -------
    BorderResponses
        With `.rows`, for each padding and convolution, and `.plot()`.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Notes
    -----
    E of a side is sqrt(max(0, mean over channels of D1 D2)) / S: D1 and D2 are the outermost line minus the interior,
    as means over two disjoint halves of the inputs, and S is the root mean square of the interior.
    Source: Alsallakh et al., ICLR 2021: its line artifacts in feature maps.

    Examples
    --------
    >>> import torch
    >>> conv = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
    >>> found = border_responses(torch.nn.Sequential(conv), 32, n=4)
    >>> found.rows[0].layer, found.rows[0].shape, found.mean(None) < 0.5
    ('0', (32, 32), True)
    """
    from padviz.trained.border_responses import BorderResponses, border_responses
    from padviz.trained.sessions.inputs import images_of

    trained = read(network, None if size is None else as_size(size), weights)
    runners = runners_of(trained, padding)
    first = runners[0][1]
    images = images_of(inputs, n, trained.size, first.channels, seed, mean, std)
    told = _over(len(runners), on_progress)
    rows = [row for scheme, runner in runners for row in border_responses(runner, images, scheme, told)]
    schemes = tuple(scheme for scheme, _ in runners)
    about = trained.network.name, trained.network.title, trained.size
    return BorderResponses(*about, schemes, str(inputs), len(images), tuple(rows))


def runners_of(trained: Trained, padding: str | Sequence[str] | None) -> list[tuple[str | None, Runner]]:
    """The network as it is, and with each padding in place of its own."""
    from padviz.trained.sessions.running import runner_of

    about: tuple[Any, ...] = trained.where, trained.network.name, trained.size
    return [(None, runner_of(trained.model, *about))]


def _over(parts: int, on_progress: Progress | None) -> Progress | None:
    """Progress over all parts, of which each tells its own."""
    done = 0

    def told(more: int, count: int) -> None:
        nonlocal done
        done += more
        if on_progress:
            on_progress(done, parts * count)

    return told
