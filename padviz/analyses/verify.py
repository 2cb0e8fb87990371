"""Whether a network does what padviz says of it: asked by running the network itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np

from padviz.analyses.asked import Pixels, TrainedSource, repadded
from padviz.analyses.result import Result
from padviz.analyses.tiles import check_norms
from padviz.errors import OptionError, PadvizError
from padviz.geometry.reaching.near_padding import near_padding
from padviz.geometry.sizing.nearest import near_sizes_named
from padviz.network.network import Network, Size, as_size, in_words
from padviz.network.sizes import sizes_of_each
from padviz.network.targets import up_to_outputs
from padviz.options import (
    LAYERS,
    NORMS,
    SEED,
    SHARDS,
    SIZE,
    STREAM,
    THOROUGH,
    TILE,
    TRAINED_MODEL,
    WEIGHTS,
    Command,
)
from padviz.phrases import counted, some_names
from padviz.progress import Progress
from padviz.reports.report import Heading, Lines, Report
from padviz.reports.rows import about, rows_of
from padviz.sources import is_module
from padviz.trained.asking import Answer, Verified, ask, positions
from padviz.trained.cut_runs import Cut, compare_cut
from padviz.trained.networks.reading import as_trained, runner_of
from padviz.trained.networks.running import outputs_of
from padviz.trained.networks.trained_network import Trained

OTHER_PADDING = "replicate"  # whose rows differ from those of zeros


class VerifyResult(Result[Answer], Verified):
    """What the network said, printed and saved as the command does."""


def verify(
    network: Annotated[TrainedSource, TRAINED_MODEL],
    size: Annotated[Pixels, SIZE] = None,
    layer: Annotated[str | Sequence[str] | None, LAYERS] = None,
    *,
    tile: Annotated[Pixels, TILE] = None,
    norms: Annotated[str | None, NORMS] = None,
    shards: Annotated[int | None, SHARDS] = None,
    stream: Annotated[int | None, STREAM] = None,
    weights: Annotated[str | Path | None, WEIGHTS] = None,
    thorough: Annotated[bool, THOROUGH] = False,
    seed: Annotated[int, SEED] = 0,
    on_progress: Progress | None = None,
) -> VerifyResult:
    """Run a network on noise, and compare it with what padviz says: sizes of maps, and which
    pixels some units read.

    A module or a file runs as it is, in the type of its weights. With `tile`, `shards` or `stream`
    the network runs whole and cut instead, at two sizes, and the outputs are compared. A module
    runs in its own type in inference mode, and in float64 without gradients.

    Parameters
    ----------
    network, weights
        As for `filters`.
    size : int or (height, width), optional
        Size of the noise in pixels; the network's own by default.
    layer : str or sequence of str, optional
        Layers whose units are asked; by default the last maps. Where all units of one read the
        whole image, those of the last layer before it that do not are asked.
    tile : int or (height, width), optional
        The largest tile. Outputs of tiles must equal those of the whole image.
    norms : str, optional
        Of tiles, as for `tiles`; "per-tile" shows the difference that norms, gates and attention
        make.
    shards : int, optional
        The number of shards, as for `padviz.sharded`.
    stream : int, optional
        Samples of a chunk, as for `padviz.streamed`.
    thorough : bool
        Whether units of all layers are asked, of modules in float64 too; of cuts, whether both
        types run in inference mode and without gradients.
    seed : int
        Of the noise, and of two units beside those in a corner, on two sides and in the middle.
    on_progress : callable, optional
        Called with (runs done, 0); of cuts, with runs of parts.

    Returns
    -------
    VerifyResult, a `Verified`
        `.holds` says whether nothing differs and some unit was verified; the rows are the answers.

    Raises
    ------
    PadvizError
        For a network or size that cannot be used, and for what cannot be run.

    Examples
    --------
    >>> import torch
    >>> found = verify(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5, padding=2)), 64)
    >>> found.holds, found[1].unit, found[1].verdict
    (True, [0, 0], 'holds')
    """
    check_norms(norms)
    if norms is not None and tile is None:
        raise OptionError("is for tiles", option="norms", hint="add `tile`")
    named = {"tile": tile, "shards": shards, "stream": stream}
    with near_sizes_named(
        lambda: as_trained(network, None, weights).network, None if size is None else as_size(size)
    ):
        trained = as_trained(network, size, weights)
    cuts = [name for name, part in named.items() if part is not None]
    if len(cuts) > 1:
        what = f"does not go with `{cuts[0]}`"
        raise OptionError(what, option=cuts[1], hint="use one of them")
    if cuts:
        kept = up_to_outputs(layer, trained.network)
        sides = None if tile is None else kept.pixels(tile, "tile")
        cut = Cut(sides, norms, shards, stream)
        verified = compare_cut(trained, kept, cut, thorough, seed, on_progress)
    else:
        verified = ask(trained, layer, thorough, seed, on_progress)
        if layer is None and verified.holds and len(trained.size) == 2:
            verified.answers.extend(_free_of_padding(trained, seed, verified.tolerance))
    report = partial(report_of, trained.network, verified)
    return VerifyResult.made_of(verified, verified.answers, report, notes=trained.notes)


def _free_of_padding(trained: Trained, seed: int, tolerance: float) -> Iterator[Answer]:
    """Run an image network with another padding, too.

    Units of its outputs that padding does not reach must be the same.
    """
    network, size = trained.network, trained.size
    names, as_it_is = [*network.aliases], None
    if not is_module(trained.model):
        # A file's aliases are all of its tensors, and it may be exported for another size.
        as_it_is = trained.model.sized(size)
        names = [output.name for output in trained.model.graph.output]
    free = _inner_units(network, size)
    names = [name for name in names if network.aliases.get(name) in free]
    if not names:
        return
    try:
        other, _ = repadded(trained, OTHER_PADDING)
    except PadvizError:  # what cannot be repadded is not asked
        return
    noise = np.random.default_rng(seed).standard_normal((1, trained.channels, *size))
    runners = runner_of(trained, as_it_is), other
    outputs = [outputs_of(runner, noise.astype(np.float32)) for runner in runners]
    for name in names:
        layer = network.aliases[name]
        units = _units_of(network, layer, size)
        first, second = (positions(maps[name], units) for maps in outputs)
        # Where nothing changes at all, nothing is seen.
        if first is None or second is None or np.array_equal(first, second):
            continue
        change = np.abs(first - second)[(slice(None), *free[layer])].max()
        if change <= tolerance * np.abs(first).max():
            yield Answer(layer, "padding", None, "holds")
        else:
            words = f"changes with {OTHER_PADDING} padding where padviz says that none is read"
            yield Answer(layer, "padding", None, "wrong", words)


def _inner_units(network: Network, size: Size) -> dict[str, tuple[slice, ...]]:
    """Return the units of each layer that padding does not reach; layers without any are left
    out.
    """
    free = {}
    for row in near_padding(network, size):
        ends = zip(row.axes.values(), _units_of(network, row.layer, size), strict=True)
        inside = tuple(slice(before, n - after) for (before, after), n in ends)
        if not row.barrier and all(part.start < part.stop for part in inside):
            free[row.layer] = inside
    return free


def _units_of(network: Network, layer: str, size: Size) -> Size:
    """Return the size of a layer's map."""
    return tuple(along[network.index[layer]] for along in sizes_of_each(network, size))


def report_of(network: Network, verified: Verified) -> Report:
    """Report what a network said; it fails with 1 if that differs, or shows nothing."""
    facts = about(network.name, verified.size, network.padding)
    facts |= {"precision": verified.precision, "holds": verified.holds}
    screen = [Heading(network.title), Lines([*_lines(verified)])]
    code = 0 if verified.holds else 1
    return Report("verify", facts, [screen], rows_of(verified.answers, Answer), code=code)


def _lines(verified: Verified) -> Iterator[str]:
    """Yield the verdict, then what could not be seen or judged."""
    about = f"at {in_words(verified.size)}, {verified.precision}"
    finding = verified.finding
    shown = [each for each in verified.of("holds", "not seen") if each.asked != "padding"]
    asked = Counter(kind for kind, _ in {(each.asked, each.layer) for each in verified.answers})
    if finding is not None:
        yield f"Wrong: {_said(finding)} ({about})."
    elif not shown:
        yield f"Not verified: nothing shows it ({about})."
    elif shown[0].asked == "unit":
        layers = some_names(dict.fromkeys(unit.layer for unit in shown))
        said = f"{counted(len(shown), 'unit')} of {layers} read only what padviz says"
        if asked["padding"]:
            outputs = counted(asked["padding"], "output")
            said += f", and inner units of {outputs} are free of padding"
        yield f"Verified: the sizes of {counted(asked['size'], 'map')}; {said} ({about})."
    else:
        often = counted(len(shown), "comparison")
        yield f"Verified: {shown[0].asked} give the whole's output, in {often}."
        yield f"The first: {_said(shown[0])}."
    for verdict in ("not seen", "nothing to show", "not judged"):
        answers = verified.of(verdict)
        if answers:
            more = ""
            if len(answers) > 1:
                more = f"; and {len(answers) - 1} more"
            yield f"{verdict.capitalize()}: {_said(answers[0])}{more}."


def _said(answer: Answer) -> str:
    if answer.unit is None:
        return f"{answer.layer} {answer.words}"
    return f"unit {tuple(answer.unit)} of {answer.layer} {answer.words}"


COMMAND = Command(
    verify,
    """Run MODEL, a module or an ONNX file, on noise, and compare it with what padviz says of it.

    Every map must have the size that padviz lists. Pixels that a unit does not read must not change
    it, and the outermost ones that it reads must. What differs first is named. It exits with 1
    unless something is verified and nothing differs.

    --tile, --shards or --stream runs it whole and cut instead, and compares the outputs.

    \b
    Example:
      padviz verify model.onnx --size 224
      padviz verify torchvision.models:resnet18 --weights random --size 64
      padviz verify model.onnx --size 500 --tile 256
    """,
    files=(),
    counting="runs",
)
