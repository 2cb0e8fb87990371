"""The command line: one file per command, named as the command. `group` finds them, `signals` ends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from padviz.cli.group import cli as cli


def __getattr__(name: str) -> Any:
    """Click is loaded with the group, after signals are handled."""
    if name != "cli":
        raise AttributeError(f"module 'padviz.cli' has no attribute {name!r}")
    from padviz.cli.group import cli

    return cli
