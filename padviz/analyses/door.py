"""What the command of an analysis takes and says beside what its public function does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from padviz.reports.report import Report


@dataclass(frozen=True)
class Door:
    """How the command of an analysis is made of its public function: `padviz NAME` calls `padviz.NAME`.

    Its `options` are words of the one table of the command line, where a plural takes several values; they have the
    names of the function's parameters. `cmap` and `scale` go to the picture unless the function takes them.

    Attributes
    ----------
    function : callable
        Returns a `Result`, which is printed, drawn and written.
    help : str
        What --help says, with examples.
    options : str
        Names of the table of options, between blanks.
    model : str
        What is named before the options: "one" network, "several", "optional", "none", a "trained" one that is run, or
        one whose "weights" are read.
    picture : str
        "always" where a picture is drawn unless figures alone are asked for, "asked" where -o names one, or "".
    counts : bool
        Whether -o takes exact counts.
    presets : mapping
        Arguments of the function, where the command has other defaults than the function.
    counting : str
        What its progress counts.
    instead : mapping
        Functions by the flag that asks for one in place of `function`; "" stands for no MODEL.
    check : sequence of str
        What --check may be followed by.
    refuse : callable, optional
        Raises where options do not go together. It gets what was given by name; and as `pairs` the networks, each with
        a size.
    together : callable, optional
        Makes one report of several results, or of one that is checked.
    failed : callable, optional
        Makes a row in place of a result, of a network that does not take one of several sizes: (network, size, error).
    """

    function: Callable[..., Any]
    help: str
    options: str
    model: Literal["one", "several", "optional", "none", "trained", "weights"] = "one"
    picture: Literal["always", "asked", ""] = "asked"
    counts: bool = False
    presets: Mapping[str, object] = field(default_factory=dict)
    counting: str = ""
    instead: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    check: Sequence[str] = ()
    refuse: Callable[[Mapping[str, object]], None] | None = None
    together: Callable[..., Report] | None = None
    failed: Callable[..., Any] | None = None

    def chosen(self, asked: Mapping[str, object], model: str | None) -> Callable[..., Any]:
        """Choose the function that the options ask for."""
        flags = [flag for flag in self.instead if flag in asked or (not flag and model is None)]
        return self.instead[flags[0]] if flags else self.function
