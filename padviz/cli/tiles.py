"""`padviz tiles`: tiles without seams."""

from __future__ import annotations

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels, SizeType
from padviz.errors import OptionError

LEVELS = (0.99, 0.999)


@click.command(name="tiles", short_help="What tiles of an image must read so that no seam shows, and a plan of them.")
@options.model
@click.option("--image", type=SizeType(), help="Size of the image; the network's own by default.")
@click.option("--tile", type=SizeType(), help="The largest tile that fits into memory.")
@click.option(
    "--object", "objects", type=click.IntRange(0), default=0, help="Pixels of the largest object, for detectors."
)
@click.option(
    "--for", "library", metavar="LIB", help="Print the call for monai, torchio, realesrgan, toolbelt, python, ..."
)
@click.option("--ignore-norms", is_flag=True, help="Plan as if norms, gates and attention saw each position alone.")
@click.option(
    "--verify", is_flag=True, help="Run MODEL on noise, whole and tiled, and compare; exit code 1 where they differ."
)
@options.weights
@options.layers
@reported("tiles")
def command(
    model: str,
    image: Pixels | None,
    tile: Pixels | None,
    objects: int,
    library: str | None,
    ignore_norms: bool,
    verify: bool,
    weights: str | None,
    layers: Names,
    to: To,
) -> None:
    """Work out the context that tiles of an image need so that MODEL makes of them what it makes of the whole image.

    A unit of a tile is right if it reads the same pixels, at the same phase of every stride, and the same padding as in
    the whole image. With --image and --tile, the tiles are planned: as few as keep every unit right, as long as the
    image is modulo the lattice. With --for, the call of a library is printed, and whether it is exact. The context
    from which 99 % and 99.9 % of the paths come is shown beside the exact one. With --verify, MODEL, a module or an
    ONNX file, runs at the smallest image with three tiles a side.

    \b
    Example:
      padviz tiles unet_padded --image 2048x1536 --tile 512
      padviz tiles unet_padded --image 1024 --tile 512 --for monai
      padviz tiles model.onnx --image 1024 --tile 256 --verify
    """
    from padviz.api.tiles import verify_tiles
    from padviz.cutting.context import contexts_of
    from padviz.cutting.graded import both_graded
    from padviz.cutting.handover import handover
    from padviz.cutting.plan import globals_of, plan_tiles
    from padviz.network.targets import names_of, upto
    from padviz.reports.windows.tiles import report_of

    if (tile or library) and not (image and tile):
        where = "--for" if library else "--tile"
        raise OptionError(
            "plans tiles of an image", where=where, hint="add --image and --tile, as --image 2048 --tile 512"
        )
    if weights and not verify:
        raise OptionError("goes with --verify", where="--weights", hint="add it, or leave out the weights")
    trained = options.read_trained(model, image, weights) if verify else None
    whole = trained.network if trained else options.load_as(model, image)
    network, size = upto(whole, names_of(layers or None, whole, every=True)), image or whole.size
    without = globals_of(network) if ignore_norms else frozenset()
    plan = plan_tiles(network, image, tile, objects, without) if image and tile else None
    contexts = plan.contexts if plan else contexts_of(network, size, without)
    graded = {pair[0].layer: both_graded(network, size, pair, LEVELS) for pair in contexts}
    recipe = handover(plan, library) if plan and library else None
    verified = verify_tiles(trained, image, layers or None, ignore_norms=ignore_norms) if trained else None
    to.show(report_of(network, contexts, graded, LEVELS, plan, recipe, verified))
