"""What the command of an analysis takes and says beside what its public function does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from padviz.reports.report import Report


class Door(NamedTuple):
    """How the command of an analysis is made of its public function: `padviz NAME` calls `padviz.NAME`.

    The `options`, separated by spaces, are words of the command line's one table, and have the names of the function's
    parameters; a plural takes several values. `model` says what stands before them: "one" network, "several",
    "optional", "none", a "trained" one that is run, or one whose "weights" are read. `picture` is "always" where one is
    drawn unless figures alone are asked for, "asked" where -o names one, or "". With `counts`, -o takes exact counts.

    `counting` is what its progress counts. `instead` has functions by the flag that asks for one, "" for no MODEL.
    `check` lists the values of --check. `refuse` raises where options do not go together: it gets what was given by
    name, and the networks with their sizes as `pairs`. `together` makes one report of several results, or of one that
    is checked. `failed` makes a row for a network that does not take one of several sizes.
    """

    function: Callable[..., Any]
    help: str
    options: str
    model: Literal["one", "several", "optional", "none", "trained", "weights"] = "one"
    picture: Literal["always", "asked", ""] = "asked"
    counts: bool = False
    counting: str = ""
    instead: Mapping[str, Callable[..., Any]] = {}
    check: Sequence[str] = ()
    refuse: Callable[[Mapping[str, object]], None] | None = None
    together: Callable[..., Report] | None = None
    failed: Callable[..., Any] | None = None

    def flag(self, asked: Mapping[str, object], model: str | None) -> str | None:
        """Return which of the flags of `instead` is given, if any."""
        return next((flag for flag in self.instead if flag in asked or (not flag and model is None)), None)
