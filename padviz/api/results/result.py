"""What public functions return: a value, its rows, and all that the command of that name shows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from padviz.errors import DescriptionError, OptionError
from padviz.reports.report import COUNTS, PICTURES, SUFFIXES, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Value = TypeVar("Value")
LINES = 10  # of what Python prints
TEXTS = {suffix: format_ for format_, suffix in SUFFIXES.items() if format_ != "github"}


@dataclass(frozen=True, eq=False, repr=False)
class Result(Generic[Value]):
    """A value and its rows; printed, saved, drawn, and shown in a notebook as the command does.

    All that the value has, as the `counts` of a map, its result has too. A result counts, indexes and iterates over
    its rows, which are frozen.

    Examples
    --------
    >>> import padviz
    >>> found = padviz.uneven("resnet18", 224)
    >>> found.balanced, found[0].layer, len(found)
    (False, 'conv1', 5)
    >>> found.to_rows()[0]["consumed_after"]
    2
    """

    value: Value
    _rows: Sequence[Any]
    _reported: Callable[[], Report]
    _draw: Callable[..., Figure] | None = None
    _axes: Callable[..., Axes] | None = None
    _pictured: bool = False  # in a notebook

    @property
    def __array__(self) -> Any:
        """What gives NumPy the counts, if it is a map."""
        return self.value.__array__  # type: ignore[attr-defined]

    def to_rows(self) -> list[dict[str, Any]]:
        """List the rows as dicts of plain values; the keys are those of the command's CSV."""
        from padviz.reports.documents import plain
        from padviz.reports.rendering import sheet_of

        return [plain(record) for record in sheet_of(self._report).records]

    def to_pandas(self) -> Any:
        """Make a pandas DataFrame of `to_rows`.

        Raises
        ------
        DescriptionError
            If pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError:
            raise DescriptionError("needs pandas", where="to_pandas", hint="pip install pandas") from None
        return pandas.DataFrame(self.to_rows())

    def save(
        self, path: str | Path, *, dpi: int | None = None, width: int | None = None, theme: str | None = None
    ) -> None:
        """Write the report (.txt .json .csv .md), a picture (.png .svg .pdf), or the exact counts of a map.

        Counts are .npy .npz .csv, as with the command's -o. `dpi`, or `width` in pixels, says how large a picture is,
        and the `theme` is "light" or "dark".

        Raises
        ------
        OptionError
            For another suffix, or a path that cannot be written.
        """
        path = Path(path)
        suffix, counted = path.suffix.lower(), COUNTS if self._counted else ()
        if suffix in counted:
            from padviz.reports.counts import write_counts

            counts: Any = self.value
            write_counts(counts, path)
        elif suffix in TEXTS:
            from padviz.files.atomic import aside
            from padviz.reports.rendering import to_text

            with aside(path) as temporary:
                temporary.write_text(to_text(self._report, TEXTS[suffix]) + "\n", encoding="utf-8")
        elif suffix in PICTURES and self._draw:
            from padviz.figures.canvas import asking, save

            with asking(dpi, width, theme):
                save(self._draw(), path)
        else:
            known = dict.fromkeys((*TEXTS, *counted, *(PICTURES if self._draw else ())))
            raise OptionError(
                f"{suffix or 'no suffix'} is not written here", where=str(path), hint=f"use {' '.join(known)}"
            )

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the command's picture, or one part of it into `ax`; `options` are those of the command, as `cmap`.

        A new figure has the `dpi`, the `width` and the `theme` that are named, as with `save`.

        In a notebook, and where pyplot is in use, a new figure is pyplot's, which `plt.show()` shows.

        Raises
        ------
        OptionError
            If the command draws no picture.
        """
        from padviz.figures.canvas import asking, pasted, shown, wear

        look = {name: options.pop(name, None) for name in ("dpi", "width", "theme")}
        if self._draw is None:
            raise OptionError("has no picture", where=self._report.name, hint="print it, or save it as .txt or .json")
        if ax is not None and self._axes is None:
            return pasted(self._draw(**options), ax)
        with shown(), asking(**look):
            axes = self._axes(ax, **options) if self._axes else self._draw(**options).axes[0]
            if ax is None:
                wear(axes.figure)  # type: ignore[arg-type]
            return axes

    @cached_property
    def _report(self) -> Report:
        return self._reported()

    @property
    def _counted(self) -> bool:
        """Whether the value is a map of counts."""
        return hasattr(self.value, "tally")

    def _repr_html_(self) -> str:
        from padviz.reports.rendering import to_html

        if not self._pictured or self._draw is None:
            return to_html(self._report)
        from padviz.figures.canvas import png

        return to_html(self._report, png(self._draw()))

    def __repr__(self) -> str:
        from padviz.reports.rendering import to_screen

        lines = [line for line in to_screen(self._report).split("\n") if line.strip()]
        more = f"... {len(lines) - LINES + 1} more lines: print(result)" if len(lines) > LINES else ""
        return "\n".join([*lines[: LINES - 1], more] if more else lines)

    def __str__(self) -> str:
        from padviz.reports.rendering import to_screen

        return to_screen(self._report)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.value, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self.value)})

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, Result) else other))

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, at: Any) -> Any:
        return self._rows[at]
