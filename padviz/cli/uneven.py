"""`padviz uneven`: the layers that read their padding on one side, and the sizes that cure it."""

from __future__ import annotations

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels
from padviz.cli.vocabulary import Command, given, models, option
from padviz.errors import OptionError

CHECKS = ("convolutions", "all", "remainders")  # each fails where those before it do


@click.command(name="uneven", cls=Command)
@models
@given("sizes padding same layers all taps")
@option("check", type=click.Choice(CHECKS), metavar="[convolutions|all|remainders]")
@reported("uneven", draws=True)
def command(
    models: Names,
    sizes: tuple[Pixels, ...],
    padding: str | None,
    same: bool,
    layers: Names,
    all_: bool,
    taps: bool,
    check: str | None,
    to: To,
) -> None:
    """List the layers of MODEL whose padding is read more on one side than on the other.

    A strided window may stop short of its far padding; often one more pixel of input cures it. Only convolutions
    have weights that can be skewed; pools have none. What skews them is the offset of the sampling grid from the
    image's centre, which uneven padding is a sign of.

    --check exits with 1 if a convolution is uneven; --check all if any window is; --check remainders also if there are
    stride remainders, rows or columns that no window reads.

    --taps counts, for each tap of each window, the units that read a real pixel with it. In an uneven layer some taps
    read more pixels than those opposite. Imbalance, height x width, is what the bottom (right) half of the taps reads
    more than the top (left) half, in percent of both.

    \b
    Example:
      padviz uneven resnet50 --size 224
      padviz uneven resnet50 --size 225 --check remainders
      padviz uneven resnet18 --size 224 --taps -o taps.png
      padviz uneven resnet50 mobilenet_v1 --size 224,225 --format markdown
    """
    from padviz.figures.windows import ledger_bars
    from padviz.geometry.ledger import ledger
    from padviz.network.targets import cut
    from padviz.reports.windows.uneven import report_of

    if taps and (all_ or check or to.format == "github" or len(models) * len(sizes or (1,)) > 1):
        hint = "leave out --all, --check and --format github"
        raise OptionError("counts for one network at one size", where="--taps", hint=hint)
    if taps:
        return _taps(models[0], sizes[0] if sizes else None, padding, same, layers, to)
    if to.beside and len(models) * len(sizes or (1,)) > 1:
        what = "a picture holds one network at one size"
        raise OptionError(what, where="-o", hint="padviz export MODEL... --what uneven makes one of each")
    read = [(model, size, options.load_as(model, size, same, padding)) for model in models for size in sizes or (None,)]
    parts = [(model, size, cut(network, layers)) for model, size, network in read]
    results = [(model, network, ledger(network, size)) for model, size, network in parts]
    _, network, first_ledger = results[0]
    to.show(report_of(results, all_, check), lambda: ledger_bars.padding(first_ledger, network.title))


def _taps(model: str, size: Pixels | None, padding: str | None, same: bool, layers: Names, to: To) -> None:
    from padviz.figures.maps import panels
    from padviz.geometry.tap_exposure import tap_exposure
    from padviz.network.targets import cut
    from padviz.reports.windows.taps import report_of

    network = options.load_as(model, size, same, padding)
    pixels = network.pixels(size)
    wanted = options.known_layers(network, layers)
    rows = tap_exposure(cut(network, layers), pixels)
    rows = tuple(row for row in rows if row.layer in wanted and (layers or row.grid.size > 1))
    if not rows:
        what = f"{', '.join(layers)} has no taps" if layers else "has no window with several taps"
        raise OptionError(what, where=network.name, hint="convolutions and pools have; padviz layers MODEL lists them")
    title = f"{network.title}, {' × '.join(map(str, pixels))}"
    to.show(report_of(rows, network, pixels, to.files), lambda: panels.taps(rows, title))
