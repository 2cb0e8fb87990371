"""What is tried on a trained network, and on which pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from padviz.axis.padding_modes import OTHER
from padviz.errors import OptionError, PadvizError
from padviz.geometry.balance.nearest import nearest_balanced
from padviz.network.network import Size, as_size
from padviz.progress import Progress
from padviz.trained.sessions.inputs import normalisation
from padviz.trained.sessions.runners import runner_of
from padviz.trained.sessions.running import Runner
from padviz.trained.trying.crops import Frame, crops_of, resized_frame
from padviz.trained.trying.trial import Trial, Trying, Variant, doubts, room_of, rows_of
from padviz.trained.weights.trained_network import Trained

Repad = Callable[[Trained, str], tuple[Runner, list[str]]]  # what runs it under a scheme, and notes on what stays


@dataclass(frozen=True)
class Pictures:
    """What a network is run on, as in `padviz.trial`: crops of photographs, or noise where that is asked for."""

    images: str | Path | None
    n: int
    noise: bool = False
    seed: int = 0
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def __post_init__(self) -> None:
        """Refuse to answer from noise unless that is asked for."""
        if self.images is None and not self.noise:
            what = "noise tells little about what a network does to photographs"
            raise OptionError(what, option="images", hint="name a folder of them, or add `noise`")
        if self.images is not None and self.noise:
            raise OptionError("has no use beside `images`", option="noise", hint="leave out one of them")


def try_all(
    trained: Trained,
    sizes: int | Sequence[int | Size] | None,
    padding: str | Sequence[str] | None,
    pictures: Pictures,
    repad: Repad,
    on_progress: Progress | None,
) -> Trial:
    """Run a trained network as it is, and with each change, on the same crops."""
    own, notes = runner_of(trained), [*trained.notes]
    variants = [Variant("shift", own, Frame(1, 1, *own.size)), *_variants(trained, sizes, padding, repad, notes)]
    if len(variants) == 1:
        raise OptionError("leaves nothing to try", option="padding", hint="name a scheme, or a `size`")
    crops = crops_of(pictures.images, own.size, pictures.n, room_of(own, variants), own.channels, pictures.seed)
    normal = normalisation(own.channels, pictures.mean, pictures.std)
    trying = Trying(own, variants, normal, added_up(pictures.n * (1 + len(variants)), on_progress))
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


def _variants(
    trained: Trained,
    sizes: int | Sequence[int | Size] | None,
    padding: str | Sequence[str] | None,
    repad: Repad,
    notes: list[str],
) -> Iterator[Variant]:
    """Yield the changes to try: those asked for, or what is tried by itself as far as the network takes it."""
    required = sizes is not None or padding is not None
    if required:
        wanted = [as_size(size) for size in ([sizes] if isinstance(sizes, int) else sizes or ())]
    else:
        wanted = [near.size for near in nearest_balanced(trained.network, trained.size) if near]
        notes += [] if wanted else [f"no balanced size near {trained.size[0]} x {trained.size[1]} that it takes"]
    for size in dict.fromkeys(wanted):
        yield from _of_size(trained, size, required, notes)
    schemes = [padding] if isinstance(padding, str) else padding or (() if required else OTHER)
    for scheme in dict.fromkeys(schemes):
        try:
            runner, stays = repad(trained, scheme)
        except PadvizError as error:
            if required:
                raise
            notes.append(f"{scheme} padding is not tried: {error.what}")
            continue
        notes += stays
        yield Variant("padding", runner, Frame(0, 0, *trained.size), padding=scheme, required=required)


def _of_size(trained: Trained, size: Size, required: bool, notes: list[str]) -> Iterator[Variant]:
    """Try another size, by another crop of the scene and by resizing."""
    if size == trained.size:
        raise OptionError(f"{size[0]} x {size[1]} is what it was trained at", option="size", hint="try another")
    try:
        runner = runner_of(replace(trained, size=size))
    except PadvizError as error:
        if required:
            raise
        notes.append(f"{size[0]} x {size[1]} px is not tried: {error.what}")
        return
    yield Variant("size", runner, resized_frame(trained.size, size), "crop", required=required)
    yield Variant("size", runner, Frame(0, 0, *trained.size), "resize", required=required)


def added_up(whole: int, on_progress: Progress | None) -> Callable[[int], None]:
    """Add up work done, and report it."""
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if on_progress:
            on_progress(done, whole)

    return advance
