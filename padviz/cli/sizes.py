"""`padviz sizes`: the input sizes at which no padding is read unevenly."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from padviz.cli import options
from padviz.cli.progress import progress
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels
from padviz.cli.vocabulary import Command, given, model
from padviz.errors import OptionError, PadvizError

if TYPE_CHECKING:
    from padviz.network.network import Network


@click.command(name="sizes", cls=Command)
@model
@given("sizes padding same layers axis")
@reported("sizes")
def command(
    model: str, sizes: tuple[Pixels, ...], padding: str | None, same: bool, layers: Names, axis: str, to: To
) -> None:
    """List the balanced sizes of MODEL: all, those without stride remainders, their rules, and multiply-adds (macs).

    --size are those to look at, 64:1024 by default: squares, or with --axis one side.

    \b
    Example:
      padviz sizes resnet50 --size 64:1024
    """
    from padviz.geometry.balance.balanced_sizes import balanced_sizes
    from padviz.reports.windows.sizes import report_of

    sides = _sides(model, sizes)
    network = _read(model, sizes, same, padding, layers)
    with progress("reading at each size") as on_read:
        sizes_found = balanced_sizes(network, sides[0], sides[-1], axis, {*sides}, on_read)
    to.show(report_of(network, sizes_found))


def _sides(model: str, sizes: tuple[Pixels, ...]) -> list[int]:
    """List the sides to look at, in order."""
    for size in sizes:
        if len({*size}) > 1:
            what = f"{'x'.join(map(str, size))} is not square"
            raise OptionError(what, where="--size", hint="look at one side alone, with --axis height or width")
    if len(sizes) == 1:
        (side,) = {*sizes[0]}
        hint = f"write 64:448 for a range, or padviz uneven {model} --size {side}"
        raise OptionError(f"{side} is one size", where="--size", hint=hint)
    return sorted(size[0] for size in sizes) or [*range(64, 1025)]


def _read(model: str, sizes: tuple[Pixels, ...], same: bool, padding: str | None, layers: Names) -> Network:
    """Read the network at the first or last size that it takes; it may take others, and not those."""
    for size in dict.fromkeys(sizes[:1] + sizes[-1:]):
        with suppress(PadvizError):
            return options.load_as(model, size, same, padding, layers)
    return options.load_as(model, None, same, padding, layers)
