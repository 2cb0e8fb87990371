"""A description of a network as a text: what `convert` makes."""

from __future__ import annotations

from html import escape
from pathlib import Path

from padviz.analyses.result import LINES

SHOWN = 20  # lines in a notebook; the rest is folded


class Description(str):
    """A text in TOML, to print, to save and to load again.

    >>> text = Description("size = 224\\n" * 30)
    >>> len(repr(text).split("\\n")), "<details>" in text._repr_html_()
    (10, True)
    """

    __slots__ = ()

    def save(self, path: str | Path) -> None:
        """Write it to a file, which is whole or not there at all."""
        from padviz.files.atomic import atomic_path

        with atomic_path(Path(path)) as temporary:
            temporary.write_text(f"{self.rstrip()}\n", encoding="utf-8")

    def _repr_html_(self) -> str:
        lines = escape(self).split("\n")
        opening, rest = ("\n".join(lines[part]) for part in (slice(SHOWN), slice(SHOWN, None)))
        more = f"<details><summary>more lines</summary><pre>{rest}</pre></details>"
        return f"<pre>{opening}</pre>{more * bool(rest)}"

    def __repr__(self) -> str:
        lines = self.split("\n")
        more = [f"... {len(lines) - LINES + 1} more lines: print(description)"] * (len(lines) > LINES)
        return "\n".join([*lines[: LINES - len(more)], *more])
