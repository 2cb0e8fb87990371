"""A network run on a large image in a file, tile by tile, into another file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

from padviz.analyses.asked import Pixels, TrainedSource
from padviz.analyses.result import Result
from padviz.analyses.tiles import check_norms, words_of
from padviz.counting.shares.summary import percent
from padviz.cutting.context import barrier_of, output_contexts
from padviz.cutting.plan import LayerPlan, Plan, plan_by_layer, plan_tiles
from padviz.cutting.running import tiled, try_by_layer
from padviz.errors import OptionError
from padviz.files.atomic import atomic_path
from padviz.geometry.sizing.nearest import near_sizes_named
from padviz.network.network import Network, Size, in_words
from padviz.network.targets import up_to_outputs
from padviz.options import (
    IMAGE_FILE,
    LAYER,
    LEVEL,
    MEAN,
    MEMORY,
    NORMS,
    OUTPUT_FILE,
    OVERWRITE,
    SCRATCH,
    STD,
    TILE,
    TRAINED_MODEL,
    WEIGHTS,
    Command,
)
from padviz.progress import Progress
from padviz.reports.documents import picked
from padviz.reports.report import Heading, Lines, Report
from padviz.reports.rows import about, rows_of
from padviz.sources import is_module
from padviz.trained.image_files import ImageFile, OutputFile, check_written, open_image
from padviz.trained.networks.reading import (
    as_trained,
    input_type,
    map_runner,
    named_map,
    units_of,
)
from padviz.trained.networks.trained_network import Trained

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TilesRun:
    """What was written: `shape` and `dtype` of the output of a layer.

    `clipped` is the share of values that a picture has no room for. `plan` has the tiles.
    """

    network: Network
    image: str
    size: Size
    plan: Plan | LayerPlan
    output: str
    shape: tuple[int, ...]
    dtype: str
    clipped: float


class TilesRunResult(Result[TilesRun], TilesRun):
    """What was written, and the plan, printed as the command does."""


def run_tiles(
    network: Annotated[TrainedSource, TRAINED_MODEL],
    image: Annotated[str | Path | ImageFile, IMAGE_FILE],
    output: Annotated[str | Path, OUTPUT_FILE],
    tile: Annotated[Pixels, TILE],
    layer: Annotated[str | None, LAYER] = None,
    *,
    weights: Annotated[str | Path | None, WEIGHTS] = None,
    norms: Annotated[str | None, NORMS] = None,
    level: Annotated[float | None, LEVEL] = None,
    memory: Annotated[int | None, MEMORY] = None,
    scratch: Annotated[str | Path | None, SCRATCH] = None,
    mean: Annotated[Sequence[float] | None, MEAN] = None,
    std: Annotated[Sequence[float] | None, STD] = None,
    overwrite: Annotated[bool, OVERWRITE] = False,
    on_progress: Progress | None = None,
) -> TilesRunResult:
    """Run a network on the image of a file, tile by tile, and write the stitched output to another
    file.

    Parameters
    ----------
    network, weights
        As for `filters`. A module runs in evaluation mode.
    image : str or Path
        An .npy file of shape (channels, height, width) or (1, channels, height, width), which is
        mapped and run as it is; or a picture, whose pixels become float32 from 0 to 1.
    output : str or Path
        An .npy file; or a .png or .tif of 8 bits, in which values from 0 to 1 become 0 to 255, and
        integers stay as they are. It appears when it is complete.
    tile : int or (height, width)
        The largest tile that fits into memory.
    layer : str, optional
        The layer whose output is written; the network's last map by default.
    norms, level, memory
        As for `tiles`. By default a module of which no tile is exact shares norms.
    scratch : str or Path, optional
        A folder for the maps of shared norms, if they do not fit into memory.
    mean, std : sequence of float, optional
        Subtracted from, and divided out of, the pixels of a picture: 0 and 1 by default.
    overwrite : bool
        Whether an existing output is replaced.
    on_progress : callable, optional
        Called with (tiles done, number of tiles).

    Returns
    -------
    TilesRunResult, a `TilesRun`
        `.shape` and `.dtype` of the output, and the `.plan`.

    Raises
    ------
    PadvizError
        As for `tiles`; for files that cannot be read or written, and for an image that does not
        suit the network.

    Examples
    --------
    >>> import tempfile, numpy as np, torch
    >>> conv = torch.nn.Conv2d(3, 2, 3, padding=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     image, output = f"{folder}/image.npy", f"{folder}/output.npy"
    ...     np.save(image, np.ones((3, 40, 60), "float32"))
    ...     run_tiles(conv, image, output, tile=32).shape, np.load(output).shape
    ((2, 40, 60), (2, 40, 60))
    """
    path = Path(output)
    check_written(path, overwrite)
    opened = image if isinstance(image, ImageFile) else open_image(image)
    with near_sizes_named(lambda: as_trained(network, None, weights).network, opened.size):
        trained = as_trained(network, opened.size, weights)
    if is_module(trained.model):
        _check_devices(trained.model)
    values = opened.values(trained.channels, input_type(trained), mean, std)
    plan, name = _planned(trained, layer, tile, norms, level, memory)
    with atomic_path(path) as temporary:
        file = OutputFile(temporary, units_of(plan.network, plan.image), opened.batched)
        if isinstance(plan, LayerPlan):
            from padviz.trained.networks.torch_network import run_by_layer

            file[...] = run_by_layer(trained, values, plan, on_progress, scratch)
        else:
            run = map_runner(trained, plan.network, name)
            tiled(run, values, plan, out=file, on_progress=on_progress, scratch=scratch)
        saved = file.save()
    record = TilesRun(plan.network, opened.path, opened.size, plan, str(output), *saved)
    return TilesRunResult.made_of(
        record, (record,), partial(report_of, record), notes=_notes(record)
    )


def _check_devices(module: nn.Module) -> None:
    """Reject a module that is spread over devices, which takes no tile as a whole."""
    tensors = chain(module.named_parameters(), module.named_buffers())
    devices = {str(tensor.device): name for name, tensor in tensors}
    if len(devices) > 1:
        places = " and ".join(f"{device} ({name})" for device, name in devices.items())
        what = f"is on several devices: {places}"
        raise OptionError(what, option="network", hint="move it to one with module.to(device)")


def _planned(
    trained: Trained,
    layer: str | None,
    tile: Pixels,
    norms: str | None,
    level: float | None,
    memory: int | None,
) -> tuple[Plan | LayerPlan, str]:
    """Plan tiles for the map that is written, and return its name among those of the network."""
    check_norms(norms)
    name, target = named_map(trained, layer)
    network = up_to_outputs(target, trained.network)
    most = network.pixels(tile)
    # What a forward makes of the image's size is then made once, for the whole map.
    by_layer = norms is None and is_module(trained.model) and not (layer or level)
    if by_layer and barrier_of(network, output_contexts(network, trained.size)):
        norms = "shared"
    if norms != "shared":
        if memory is not None:
            raise OptionError("is for `norms` shared", option="memory", hint="leave it out")
        per_tile = norms == "per-tile"
        planned = plan_tiles(network, trained.size, most, ignore_norms=per_tile, level=level)
        return planned, name
    if layer or level:
        option = "layer" if layer else "level"
        raise OptionError("goes without shared norms", option=option, hint="leave one out")
    if not is_module(trained.model):
        what = "shared runs PyTorch modules alone"
        raise OptionError(what, option="norms", hint="name the module that was exported")
    return try_by_layer(trained.model, plan_by_layer(network, trained.size, most), memory), name


def _notes(run: TilesRun) -> tuple[str, ...]:
    if not run.clipped:
        return ()
    what = f"{percent(run.clipped)} of the values do not fit into a picture and are clipped"
    return (f"{run.output}: {what}; write an .npy file to keep them",)


class RunRow(TypedDict):
    """The output of an image that was run tile by tile, and the share of its values clipped."""

    layer: str
    image: str
    output: str
    shape: list[int]
    dtype: str
    clipped: float
    tile: list[int]
    tiles: int


def report_of(run: TilesRun) -> Report:
    tiles_run = len(run.plan) if isinstance(run.plan, Plan) else run.plan.tiles
    row: dict[str, object] = picked(run, "image output shape dtype clipped")
    row |= {"layer": run.network.targets[0], "tile": run.plan.tile, "tiles": tiles_run}
    facts = about(run.network.name, run.size, run.network.padding)
    written = f"{run.output}: {in_words(run.shape)}, {run.dtype}."
    screen = [Heading(run.network.title), Lines([*words_of(run.plan), written])]
    return Report("run-tiles", facts, [screen], rows_of([row], RunRow))


COMMAND = Command(
    run_tiles,
    """Run MODEL, a module or an ONNX file, on IMAGE tile by tile, and write the stitched output.

    IMAGE is an .npy file of shape (channels, height, width) or (1, channels, height, width), which
    is run as it is and read tile by tile; or a picture, whose pixels become float32 from 0 to 1,
    less --mean and over --std (0 and 1 by default).

    -o FILE.npy holds what MODEL returns. A .png or .tif has 8 bits: values from 0 to 1 become 0 to
    255, others are clipped, and integers stay as they are. The file appears when it is complete.

    Tiles are planned as by padviz tiles. --norms shared pools the statistics of norms over all
    tiles, for modules; their maps are held in main memory, --memory MB at most, or in a --scratch
    folder.

    \b
    Example:
      padviz run-tiles model.onnx photo.png --tile 512 -o output.png
    """,
    files=(),
)
