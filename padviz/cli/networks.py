"""`padviz networks`: the zoo."""

from __future__ import annotations

import click

from padviz.cli.showing import To, reported
from padviz.cli.vocabulary import Command


@click.command(name="networks", cls=Command)
@reported("networks")
def command(to: To) -> None:
    """List the zoo: names to use as MODEL, default sizes, and where each description comes from.

    \b
    Example:
      padviz networks
    """
    from padviz.reports.windows.layers import networks
    from padviz.sources.toml.load import load_config, zoo

    to.show(networks([*map(load_config, zoo())]))
