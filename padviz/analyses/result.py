"""What public functions return, with all that their commands show of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import fields, is_dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast, overload

from padviz.errors import DescriptionError, OptionError
from padviz.reports.report import COUNTS, PICTURES, SUFFIXES, Report

if TYPE_CHECKING:
    from typing import Self

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from padviz.counting.count_map import CountMap

Row = TypeVar("Row", covariant=True)
Made = TypeVar("Made", bound="Result[object]")
LINES = 10  # of what Python prints
TEXTS = {suffix: format_ for format_, suffix in SUFFIXES.items() if format_ != "github"}


class Shown(NamedTuple, Generic[Row]):
    """How a result is shown: rows, report, and what draws its picture, in a notebook too if it is
    `pictured`.

    `notes` is what must be known of it, and `part` what a report of several results is made of.
    `png`, if there is one, returns the bytes of a PNG file of the picture in less time.
    """

    rows: Sequence[Row]
    report: Callable[[], Report]
    draw: Callable[..., Figure] | None = None
    axes: Callable[..., Axes] | None = None
    pictured: bool = False
    notes: Sequence[str] = ()
    part: object = None
    png: Callable[..., bytes] | None = None


class Result(Generic[Row]):
    """A result and its rows; printed, saved, drawn, and shown in a notebook as the command does.

    Those of most functions have figures as attributes, in a class of their own. A result counts,
    indexes and iterates over its rows, which are frozen.

    Examples
    --------
    >>> import padviz
    >>> found = padviz.uneven("resnet18", 224)
    >>> found.balanced, found[0].layer, len(found)
    (False, 'conv1', 5)
    >>> found.to_rows()[0]["used_after"]
    2
    """

    _shown: Shown[Row]

    @classmethod
    def made_of(
        cls,
        record: object,
        rows: Sequence[Row],
        report: Callable[[], Report],
        *drawn: Any,
        **more: Any,
    ) -> Self:
        """Return the result with all fields of a `record`; the rest is of `Shown`."""
        return _result(cls, _fields_of(record), Shown(rows, report, *drawn, **more))

    def __reduce__(self) -> tuple[object, ...]:
        return _result, (type(self), _fields_of(self), self._shown)

    def to_rows(self) -> list[dict[str, object]]:
        """Return the rows as dicts of plain values; the keys are those of the command's CSV."""
        from padviz.reports.rendering import whole_rows

        return whole_rows(self._report)[1]

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame of `to_rows`.

        Raises
        ------
        DescriptionError
            If pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError:
            raise DescriptionError(
                "needs pandas", where="to_pandas", hint="pip install pandas"
            ) from None
        return pandas.DataFrame(self.to_rows())

    def save(
        self,
        path: str | Path,
        *,
        overwrite: bool = False,
        dpi: int | None = None,
        width: int | None = None,
        theme: str | None = None,
        **options: object,
    ) -> None:
        """Write the report (.txt .json .csv .md), a picture (.png .svg .pdf), or the exact counts
        of a map.

        Counts are .npy .npz .csv, as with the command's -o. `dpi`, or `width` in pixels, says how
        large a picture is, and the `theme` is "light" or "dark"; other `options` are those of
        `plot`.

        Raises
        ------
        OptionError
            For another suffix, a path that cannot be written, or a file that exists, unless it is
            to `overwrite` that.
        """
        from padviz.files.atomic import atomic_path
        from padviz.files.output import check_output

        path = Path(path)
        check_output(path, overwrite)
        suffix, counted = path.suffix.lower(), COUNTS if hasattr(self, "tally") else ()
        if suffix in counted:
            from padviz.reports.counts import write_counts

            write_counts(cast("CountMap", self), path)
        elif suffix in TEXTS:
            from padviz.reports.rendering import to_text

            with atomic_path(path) as temporary:
                temporary.write_text(to_text(self._report, TEXTS[suffix]) + "\n", encoding="utf-8")
        elif suffix in PICTURES and self._shown.draw:
            from padviz.figures.canvas import drawing_options, save

            # a command has set them before
            with drawing_options(dpi, width, theme) if dpi or width or theme else nullcontext():
                if suffix == ".png" and self._shown.png:
                    picture = self._shown.png(**options)
                    with atomic_path(path) as temporary:
                        temporary.write_bytes(picture)
                else:
                    save(self._shown.draw(**options), path)
        else:
            known = dict.fromkeys((*TEXTS, *counted, *(PICTURES if self._shown.draw else ())))
            what = f"{suffix or 'no suffix'} is not written here"
            raise OptionError(what, where=str(path), hint=f"use {' '.join(known)}")

    def plot(
        self,
        ax: Axes | None = None,
        *,
        dpi: int | None = None,
        width: int | None = None,
        theme: str | None = None,
        **options: object,
    ) -> Axes:
        """Draw the command's picture, or one part of it into `ax`; `options` are those of the
        command, as `cmap`.

        A new figure has the `dpi`, the `width` and the `theme` that are named, as with `save`.

        In a notebook, and where pyplot is in use, a new figure is pyplot's, which `plt.show()`
        shows.

        Raises
        ------
        OptionError
            If the command draws no picture.
        """
        from padviz.figures.canvas import apply_theme, drawing_options, paste

        if self._shown.draw is None:
            raise OptionError(
                "has no picture",
                where=self._report.name,
                hint="print it, or save it as .txt or .json",
            )
        if ax is not None and self._shown.axes is None:
            return paste(self._shown.draw(**options), ax)
        with drawing_options(dpi, width, theme, interactive=True):
            if self._shown.axes:
                axes = self._shown.axes(ax, **options)
            else:
                axes = self._shown.draw(**options).axes[0]
            if ax is None:
                apply_theme(axes.figure)  # type: ignore[arg-type]
            return axes

    @cached_property
    def _report(self) -> Report:
        return self._shown.report()

    def _repr_html_(self) -> str:
        from padviz.reports.rendering import to_html

        if not self._shown.pictured or self._shown.draw is None:
            return to_html(self._report)
        from padviz.figures.canvas import rendered

        return to_html(self._report, rendered(self._shown.draw()))

    def __repr__(self) -> str:
        return opening(str(self), "result")

    def __str__(self) -> str:
        from padviz.reports.rendering import to_screen
        from padviz.reports.tables import terminal_width

        return to_screen(self._report, terminal_width())

    def __iter__(self) -> Iterator[Row]:
        return iter(self._shown.rows)

    def __len__(self) -> int:
        return len(self._shown.rows)

    @overload
    def __getitem__(self, at: int) -> Row: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Row]: ...

    def __getitem__(self, at: int | slice) -> Row | Sequence[Row]:
        return self._shown.rows[at]


def opening(text: str, name: str) -> str:
    """Return the first lines of a text that Python prints, blank ones left out, and how to print
    all.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    more = [f"... {len(lines) - LINES + 1} more lines: print({name})"]
    return "\n".join([*lines[: LINES - 1], *more] if len(lines) > LINES else lines)


def _fields_of(record: object) -> dict[str, object]:
    if is_dataclass(record):
        return {field.name: getattr(record, field.name) for field in fields(record)}
    return {}


def _result(cls: type[Made], figures: dict[str, object], shown: Shown[object]) -> Made:
    result = cls(**figures)
    object.__setattr__(result, "_shown", shown)  # what was found is frozen
    return result
