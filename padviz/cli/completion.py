"""`padviz completion`: the script by which a shell completes what is typed."""

from __future__ import annotations

import click

from padviz.cli.vocabulary import Command

SHELLS = ("bash", "zsh", "fish")


@click.command(name="completion", cls=Command)
@click.argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
def command(shell: str) -> None:
    """Print a script for your shell, which then completes commands, options, networks, schemes and layers.

    In ~/.bashrc or ~/.zshrc, eval what it prints: eval "$(padviz completion bash)". For fish, write it to
    ~/.config/fish/completions/padviz.fish.

    \b
    Example:
      padviz completion bash
      padviz completion fish
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    root = click.get_current_context().find_root()
    assert made is not None  # click has all of SHELLS
    click.echo(made(root.command, {}, "padviz", "_PADVIZ_COMPLETE").source())
