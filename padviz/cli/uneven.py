"""`padviz uneven`: the layers that read their padding on one side, and the sizes that cure it."""

from __future__ import annotations

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels, SizeType
from padviz.errors import OptionError

CHECKS = ("learned", "all", "drops")  # each fails where those before it do


@click.command(
    name="uneven", cls=options.WithCheck, short_help="Layers that read their padding on one side only, and the cure."
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.neutral
@click.option("--size", "sizes", type=SizeType(), multiple=True, help="Input size; may be given several times.")
@options.upto
@options.same
@click.option("--all", "every", is_flag=True, help="Every window with padding or a stride, not only the uneven ones.")
@click.option(
    "--check",
    type=click.Choice(CHECKS),
    metavar="[=learned|all|drops]",
    help="Exit with 1, for CI, if a learned window is uneven; =all: or any window; =drops: or rows are dropped.",
)
@reported("uneven", "the ledger")
def command(
    models: Names, sizes: tuple[Pixels, ...], layers: Names, same: bool, every: bool, check: str | None, to: To
) -> None:
    """List the layers of MODEL whose padding is read more on one side than on the other.

    A strided window may stop short of its far padding; often one more pixel of input cures it. Only learned windows,
    which have weights, can grow askew: pools are rigid. What skews them is the offset of the sampling grid from the
    image's centre, which uneven padding is a sign of.

    \b
    Example:
      padviz uneven resnet50 --size 224
      padviz uneven resnet50 --size 225 --check=drops
      padviz uneven resnet50 mobilenet_v1 --size 224 --size 225 --format markdown
    """
    from padviz.figures.windows import ledger_bars
    from padviz.geometry.ledger import ledger
    from padviz.network.targets import cut
    from padviz.reports.windows.uneven import report_of

    if to.beside and len(models) * len(sizes or (1,)) > 1:
        what = "a picture holds one network at one size"
        raise OptionError(what, where="-o", hint="padviz export MODEL... --what uneven makes one of each")
    read = [(model, size, options.load_as(model, size, same)) for model in models for size in sizes or (None,)]
    if len(sizes) > 1:
        for _, _, network in read[:: len(sizes)]:
            options.warn_if_baked(network)
    parts = [(model, size, cut(network, layers)) for model, size, network in read]
    results = [(model, network, ledger(network, size)) for model, size, network in parts]
    _, network, first_ledger = results[0]
    to.show(report_of(results, every, check), lambda: ledger_bars.padding(first_ledger, network.title))
