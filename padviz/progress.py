"""How long work tells its progress."""

from __future__ import annotations

from collections.abc import Callable

# takes how many steps are done, and how many there are, or 0 where that is not known
Progress = Callable[[int, int], None]


def counter(total: int, on_progress: Progress | None) -> Callable[[int], None]:
    """Return a function that adds up the steps done, and reports them.

    >>> advance = counter(9, print)
    >>> advance(2), advance(3)
    2 9
    5 9
    (None, None)
    """
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if on_progress:
            on_progress(done, total)

    return advance
