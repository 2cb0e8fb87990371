"""What changes do to a trained network as it is, and where it sees: each function reads it, and calls a room."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from padviz.api.trained import Progress, as_trained, kept_padding, repadded
from padviz.axis.padding_modes import OTHER
from padviz.errors import OptionError, PadvizError
from padviz.network.network import Size, as_size

if TYPE_CHECKING:
    from torch import nn

    from padviz.trained.trying.seen import Seen
    from padviz.trained.trying.trial import Trial, Variant
    from padviz.trained.weights.trained_network import Trained


def trial(
    network: str | Path | nn.Module | Trained,
    images: str | Path | None = None,
    sizes: int | Sequence[int | Size] | None = None,
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
) -> Trial:
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
    sizes : int, or a list of int and (height, width), optional
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
    Trial
        With `.rows`, of which `.row(size=225)` and `.row(padding="reflect")` find one, and `.plot()`.

    Raises
    ------
    PadvizError
        For a network, folder, size or scheme that cannot be used.

    Notes
    -----
    Intervals are of 95 %, by a bootstrap over pictures. A picture is scaled such that 8/7 of the frame, or all that the
    changes need, covers it (256 px of 224, as networks are usually tested), and never enlarged.

    Examples
    --------
    >>> import padviz, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU())
    >>> found = padviz.trial(net, noise=True, n=4, trained_at=16, padding="circular")
    >>> found.kind, [row.name for row in found.rows], found.rows[1].figures["correlation"].mean > 0.5
    ('map', ['a shift by one pixel', 'circular padding'], True)
    """
    from padviz.trained.sessions.inputs import normalisation
    from padviz.trained.sessions.of_model import runner_of
    from padviz.trained.trying.crops import Frame, crops_of
    from padviz.trained.trying.trial import Trial, Trying, Variant, doubts, room_of, rows_of

    _check_images(images, noise)
    trained = as_trained(network, None if trained_at is None else as_size(trained_at), weights)
    own, notes = runner_of(trained), [*trained.notes]
    variants = [Variant("shift", own, Frame(1, 1, *own.size)), *_variants(trained, sizes, padding, notes)]
    if len(variants) == 1:
        raise OptionError("leaves nothing to try", option="padding", hint="name a scheme, or a `size`")
    crops = crops_of(images, own.size, n, room_of(own, variants), own.channels, seed)
    trying = Trying(own, variants, normalisation(own.channels, mean, std), _told(n * (1 + len(variants)), on_progress))
    trying.run(crops)
    output, rows = trying.output, tuple(rows_of(trying))
    assert output
    return Trial(
        trained.network.name,
        trained.network.title,
        trained.size,
        crops.name,
        len(trying.pictures),
        len({*trying.pictures}),
        output.name,
        output.kind,
        rows,
        (*notes, *crops.notes, *doubts(trying, rows[0])),
    )


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
) -> Seen:
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
    Seen
        With `.values` and `.usage` by place, `.by_usage` and `.by_distance`, and `.plot()`.

    Raises
    ------
    PadvizError
        For a network, folder, patch or grid that cannot be used.

    Notes
    -----
    Intervals are of 95 %, by a bootstrap over pictures. The output is that of the first classes, or the first map.

    Examples
    --------
    >>> import padviz, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 1, 3, padding=1))
    >>> padviz.seen(net, noise=True, patch=4, grid=5, n=2, size=16).values.shape
    (5, 5)
    """
    from padviz.counting.usage import usage
    from padviz.files.unfinished import Unfinished, keeping
    from padviz.trained.sessions.inputs import normalisation
    from padviz.trained.sessions.of_model import runner_of
    from padviz.trained.trying import seen as rooms
    from padviz.trained.trying.crops import Frame, crops_of
    from padviz.trained.trying.intervals import few

    _check_images(images, noise)
    trained = as_trained(network, None if size is None else as_size(size), weights)
    at = rooms.places_of(trained.size, patch, grid)
    counts = usage(trained.network, trained.size, heads="share")
    runner = runner_of(trained)
    crops = crops_of(images, trained.size, n, Frame(0, 0, *trained.size), runner.channels, seed)
    places = np.array([(top, left) for top in at[0] for left in at[1]])
    asked = f"seen {trained.where} {weights} {trained.size} {crops.name} {n} {patch} {grid} {seed} {mean} {std}"
    kept = Unfinished(unfinished, asked, n * len(places), resume)
    normal, told = normalisation(runner.channels, mean, std), _told(n * len(places), on_progress)
    looking = rooms.Looking(runner, patch, places, normal, told)
    with keeping(kept):
        output, squares, pictures = looking.run(crops, kept)
    rooms.check_reacts(squares, grid, trained.where)
    by_place = rooms.usage_at(counts, patch, *at), rooms.distance_at(trained.size, patch, *at)
    found = rooms.estimates(squares, pictures, *by_place)
    return rooms.Seen(
        trained.network.name,
        trained.network.title,
        trained.size,
        crops.name,
        len(pictures),
        len({*pictures.tolist()}),
        output,
        patch,
        *at,
        found[0],
        *by_place,
        *found[1:],
        rooms.edge_of(by_place[0]),
        (*trained.notes, *crops.notes, *few(pictures)),
    )


def _variants(
    trained: Trained, sizes: int | Sequence[int | Size] | None, padding: str | Sequence[str] | None, notes: list[str]
) -> Iterator[Variant]:
    """The changes to try: those that are asked for, or what is tried by itself as far as the network takes it."""
    from padviz.geometry.balance.nearest import nearest_even
    from padviz.trained.trying.crops import Frame
    from padviz.trained.trying.trial import Variant

    asked = sizes is not None or padding is not None
    if asked:
        wanted = [as_size(each) for each in ([sizes] if isinstance(sizes, int) else sizes or ())]
    else:
        wanted = [near.size for near in nearest_even(trained.network, trained.size) if near]
        notes += [] if wanted else [f"no balanced size near {trained.size[0]} x {trained.size[1]} that it takes"]
    for size in dict.fromkeys(wanted):
        yield from _of_size(trained, size, asked, notes)
    schemes = [padding] if isinstance(padding, str) else padding or (() if asked else OTHER)
    for scheme in dict.fromkeys(schemes):
        try:
            runner, left = repadded(trained, scheme)
        except PadvizError as error:
            if asked:
                raise
            notes.append(f"{scheme} padding is not tried: {error.what}")
            continue
        notes += kept_padding(scheme, left)
        yield Variant("padding", runner, Frame(0, 0, *trained.size), padding=scheme, asked=asked)


def _of_size(trained: Trained, size: Size, asked: bool, notes: list[str]) -> Iterator[Variant]:
    """Another size, by another crop of the scene and by resizing."""
    from padviz.trained.sessions.of_model import runner_of
    from padviz.trained.trying.crops import Frame, resized_frame
    from padviz.trained.trying.trial import Variant

    if size == trained.size:
        raise OptionError(f"{size[0]} x {size[1]} is what it was trained at", option="size", hint="try another")
    try:
        runner = runner_of(replace(trained, size=size))
    except PadvizError as error:
        if asked:
            raise
        notes.append(f"{size[0]} x {size[1]} px is not tried: {error.what}")
        return
    yield Variant("size", runner, resized_frame(trained.size, size), "crop", asked=asked)
    yield Variant("size", runner, Frame(0, 0, *trained.size), "resize", asked=asked)


def _told(whole: int, on_progress: Progress | None) -> Callable[[int], None]:
    """What adds up work done, and tells of it."""
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        if on_progress:
            on_progress(done, whole)

    return told


def _check_images(images: str | Path | None, noise: bool) -> None:
    """Refuse to answer from noise unless that is asked for."""
    if images is None and not noise:
        what = "noise tells little about what a network does to photographs"
        raise OptionError(what, option="images", hint="name a folder of them, or add `noise`")
    if images is not None and noise:
        raise OptionError("has no use beside `images`", option="noise", hint="leave out one of them")
