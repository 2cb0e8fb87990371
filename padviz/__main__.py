"""`python -m padviz`, and the command: Ctrl-C and SIGTERM end it, and what it was writing is
removed.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # `python -m` searches the current folder first: a random.py in it must not run

import gc
import signal
from types import FrameType

from padviz.errors import Ended


def main() -> None:
    handle_signals()
    # few cycles arise in a command, and looking for them often takes a quarter of an audit
    gc.set_threshold(100_000)
    try:
        from padviz.cli.group import cli

        cli(prog_name="padviz")
    except Ended as ended:  # while libraries were imported
        sys.exit(ended.code)


def handle_signals() -> None:
    """Raise `Ended` where a signal comes; one that the caller ignores stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    Ended.received = Ended(number)
    raise Ended.received


if __name__ == "__main__":
    main()
