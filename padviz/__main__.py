"""`python -m padviz`, and the command: signals are handled before anything else is loaded."""

from __future__ import annotations

import os
import sys

from padviz.cli.signals import code_of, handle_signals, release_signals, say_interrupted
from padviz.errors import Ended


def main() -> None:
    """Run the command line; the exit code is the signal's where one came, even while libraries load."""
    code = 0
    try:
        handle_signals()
        from padviz.cli.group import cli

        cli(prog_name="padviz")
    except SystemExit as ending:
        code = int(ending.code or 0)
    except (Ended, KeyboardInterrupt, ImportError):
        if not code_of(0):
            raise
        say_interrupted(code_of(0))
    release_signals()
    if Ended.received:  # a library that was interrupted while it loaded may crash where it is taken down
        os._exit(code_of(code))
    sys.exit(code)


if __name__ == "__main__":
    main()
