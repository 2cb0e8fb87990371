"""`padviz tiles`: the context of tiles, and plans of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import click

from padviz.cli import options
from padviz.cli.showing import To, outputs
from padviz.cli.value_types import Names, Pixels
from padviz.cli.vocabulary import Command, given, model
from padviz.errors import OptionError


@click.command(name="tiles", cls=Command)
@model
@given("size padding same layers tile chunk object for level ignore-norms verify weights", object=0)
@outputs("asked")
def command(
    model: str,
    size: Pixels | None,
    padding: str | None,
    same: bool,
    layers: Names,
    tile: Pixels | None,
    chunk: int | None,
    object_: int | None,
    for_: str | None,
    level: float | None,
    ignore_norms: bool,
    verify: bool,
    weights: str | None,
    to: To,
) -> None:
    """Compute the context tiles need so that the stitched output equals the output for the whole image.

    An output unit is exact if it sees the same pixels and padding as in the whole image, at the same stride phase. With
    --size (of the image) and --tile, the fewest tiles that keep every unit exact are planned, each as large as --tile,
    or up to one step of the alignment smaller so that the last one ends with the image. Without --tile, tile sizes up
    to --size are listed with their costs. With --level, the context is reduced to hold that share of each unit's paths.
    With --for, the call of a library is printed, and whether it is exact. With --verify, MODEL, a module or an ONNX
    file, runs on noise, at the smallest image with three tiles a side unless --size and --tile are given.

    For signals, --chunk lists the samples that each chunk of a stream must read again, and the units to drop.

    \b
    Example:
      padviz tiles unet_padded --size 2048x1536 --tile 512
      padviz tiles unet_padded --size 1024 --tile 512 --for monai
      padviz tiles model.onnx --size 1024 --tile 256 --verify
    """
    from padviz.analyses.asked import asked as asked_for
    from padviz.analyses.tiles import Planned, report_of, verify_tiles, words_of
    from padviz.cutting.chunks import chunks_of
    from padviz.cutting.context import contexts_of
    from padviz.cutting.handover import handover
    from padviz.cutting.plan import globals_of, ignored_of, padded_to_fit, plan_tiles, tile_sizes
    from padviz.figures.canvas import save
    from padviz.figures.windows import tiles as figures
    from padviz.network.targets import output_layers, upto
    from padviz.sources import load

    if not (size and tile):
        _check_plan_options({"--tile": tile, "--for": for_, "--level": level, "-o": to.beside})
    if weights and not verify:
        raise OptionError("goes with --verify", where="--weights", hint="add it, or leave out the weights")
    if verify and (same or padding):
        raise OptionError("runs the network as it is", where="--verify", hint="leave out --same and --padding")
    with padded_to_fit(partial(load, model, None, options.reading()), size):
        trained = options.read_trained(model, size, weights) if verify else None
        whole = trained.network if trained else asked_for(options.loaded(model, size), size, padding, same)[0]
    network, image = upto(whole, output_layers(layers or None, whole)), whole.pixels(size)
    without = globals_of(network) if ignore_norms else frozenset()
    plan = plan_tiles(network, image, network.pixels(tile), object_ or 0, without, level) if tile else None
    contexts = plan.contexts if plan else contexts_of(network, image, without)
    recipe = handover(plan, for_) if plan and for_ else None
    verified = verify_tiles(trained, size, layers or None, ignore_norms=ignore_norms) if trained else None
    chunks = chunks_of(replace(network, size=image), chunk, without) if chunk else None
    listing = not (plan or chunks or any(context.barrier for pair in contexts for context in pair))
    sizes = tile_sizes(network, image, without) if listing else []
    if size:  # of this image, and no larger one
        sizes = [row for row in sizes if all(n <= most for n, most in zip(row.tile, image, strict=True))]
    ignored, asked = ignored_of(network, without), image if size and listing else ()
    more = Planned(plan, recipe, verified, sizes, asked, ignored, chunks)
    report = report_of(network, contexts, more)
    if plan and to.beside and to.path:
        save(figures.tiles(plan, words_of(plan)), to.path)
    to.show(report)


def _check_plan_options(given: dict[str, object]) -> None:
    """Reject options of a plan when there is none."""
    for where in [option for option, value in given.items() if value]:
        what = "draws the plan of an image" if where == "-o" else "plans tiles of an image"
        raise OptionError(what, where=where, hint="add --size and --tile, as --size 2048 --tile 512")
