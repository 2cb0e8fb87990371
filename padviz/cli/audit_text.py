"""What `padviz audit` prints: one screen for a network, a row for each of several, Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from padviz.advice.measured import AS_IS
from padviz.advice.remedies import Judged, Outcome, Remedy, worse
from padviz.advice.verdict import Audit
from padviz.cli import options
from padviz.counting.shares.summary import percent
from padviz.errors import SizeError, printable
from padviz.reports import documents, tables

if TYPE_CHECKING:
    from padviz.trained.trying.trial import Trial

SHOWN = {"both": 2, "padding": 2, "size": 2}  # remedies of a kind on a screen, which has all others
NAMED = 4  # layers of a line
UNEVEN = 8  # windows to mend, which are what the reader came for
UNITS = ("", "K", "M", "G", "T", "P")
COLUMNS = ("remedy", "uneven", "starved", "overused", "rim", "macs")
LEGEND = {
    "uneven": "convolutions",
    "rim": "starved px at the first and last side",
    "elsewhere": "points of accuracy, of a small network as it is (yours: --images FOLDER)",
}


@dataclass(frozen=True)
class Failed:
    """A network, one of several, that cannot run at a size, and why."""

    network: str
    title: str
    size: tuple[int, int]
    error: SizeError

    @property
    def why(self) -> str:
        """The reason in a line."""
        return options.spelled(f"cannot run: {self.error.where}: {self.error.what}")


def to_rows(found: list[Audit | Failed]) -> str:
    """One row for each network and size."""
    columns = ("network", "size", "verdict", "uneven", "starved", "overused", "rim", "best remedy")
    rows: list[tuple[Any, ...]] = []
    for each in found:
        size = options.pixels((each.size[0], each.size[1]))
        if not isinstance(each, Audit):
            rows.append((each.network, size, each.why, *[None] * 5))
            continue
        best = each.remedies[0].what if each.remedies else None
        rows.append((each.network, size, each.verdict, *_cells(each.outcome), best))
    return tables.to_table(columns, rows)


def to_screen(found: Audit, tried: Trial | None) -> str:
    """All of one network, on one screen."""
    title = f"{found.title}, {_by(found.size)}, to {_names(found.target)}"
    title += f", {_plain(found.outcome)} multiply-adds" if found.outcome.macs else ""
    answer = [("Border", found.border), ("Symmetry", found.symmetry), ("Padding", found.padding)]
    parts = [tables.wrapped(title), tables.to_facts([*answer, *_facts(found)])]
    parts.append(_compared(found, tried) if found.remedies else "No remedy that was tried helps.")
    parts.append("\n".join(map(tables.wrapped, found.cannot)))
    return "\n\n".join(part for part in parts if part)


def to_markdown(found: list[Audit | Failed], tried: Trial | None) -> str:
    """A heading, the verdict and all remedies of each network."""
    parts = []
    for each in found:
        if not isinstance(each, Audit):
            parts.append(printable(f"### {each.title}, {_by([*each.size])}: {each.why}"))
            continue
        parts.append(printable(f"### {each.title}, {_by(each.size)}: {each.verdict}"))
        parts.append(printable("\n".join(f"- {said}" for said in (each.border, each.symmetry, each.padding))))
        rows = [("today", *_cells(each.outcome), "", "", "", "")]
        for remedy in each.remedies:
            made = "; ".join([*remedy.edit, *_besides(each.outcome, remedy)])
            rows.append((remedy.what, *_effect(remedy, tried), remedy.needs, made))
        parts.append(documents.to_markdown((*COLUMNS, _last(tried), "needs", "edit"), rows))
        parts += map(printable, each.cannot)
    return "\n\n".join(parts)


def _compared(found: Audit, tried: Trial | None) -> str:
    """The remedies beside today's figures, by what they need, and how each is made."""
    shown = [*_shown(found.remedies)]
    rows: list[tuple[Any, ...]] = [("  today", *_cells(found.outcome), None, None)]
    for group, remedies in groupby(enumerate(shown, 1), key=lambda each: _group(each[1])):
        rows.append((group, *[None] * 6))
        rows += [(f"{i} {remedy.what}", *_effect(remedy, tried)) for i, remedy in remedies]
    columns = *COLUMNS, _last(tried)
    lines = [tables.to_table(columns, rows), tables.wrapped(_legend(columns, rows, tried)), ""]
    lines += [tables.wrapped(line, 2) for line in _edited(found.outcome, shown)]
    if len(shown) < len(found.remedies):
        lines.append(f"And {len(found.remedies) - len(shown)} further remedies: --format json")
    return "\n".join(lines)


def _group(remedy: Remedy) -> str:
    """What a remedy needs of a trained network."""
    return f"{remedy.needs}{', priced' if remedy.price else ''}"


def _shown(remedies: list[Remedy]) -> Iterator[Remedy]:
    """The first of each kind, and what has a price only where nothing of its kind has none."""
    left, free = dict(SHOWN), {remedy.kind for remedy in remedies if not remedy.price}
    for remedy in remedies:
        left[remedy.kind] = left.get(remedy.kind, 1) - 1
        if left[remedy.kind] >= 0 and not (remedy.price and remedy.kind in free):
            yield remedy


def _legend(columns: tuple[str, ...], rows: list[tuple[Any, ...]], tried: Trial | None) -> str:
    """What the columns count that have something in them."""
    filled = {name for row in rows for name, cell in zip(columns, row, strict=True) if cell not in (None, "")}
    told = dict(LEGEND)
    if tried and tried.shift.main:
        what = "answers kept as it is" if tried.kind == "classes" else "of the output's norm, as it is"
        told[_last(tried)] = (
            f"{what} ({tried.count} crops; {percent(tried.shift.main.mean)} under a shift by one pixel)"
        )
    return "; ".join(f"{name}: {what}" for name, what in told.items() if name in filled) + "."


def _last(tried: Trial | None) -> str:
    """The column of what was measured."""
    return "elsewhere" if tried is None else "top-1 kept" if tried.kind == "classes" else "changed"


def _edited(before: Outcome, shown: list[Remedy]) -> list[str]:
    """How each remedy is made, with its number: those that differ in nothing but the scheme stand together."""
    alike: dict[str, list[int]] = {}
    texts = ["; ".join([_edit(remedy), *_besides(before, remedy)]) for remedy in shown]
    for i, remedy in enumerate(shown):
        alike.setdefault(_with_any(texts[i], remedy), []).append(i)
    lines = []
    for text, at in alike.items():
        numbers = ", ".join(str(i + 1) for i in at)
        lines.append(f"{numbers} {text if len(at) > 1 else texts[at[0]]}")
    return lines


def _with_any(text: str, remedy: Remedy) -> str:
    """How a remedy is made, without saying which padding scheme it takes."""
    if not (scheme := remedy.padding):
        return text
    text = text.replace(f'"{scheme}"', '"SCHEME"')
    return text.replace(f"--padding {scheme} -o {scheme.replace('/', '-')}.onnx", "--padding SCHEME -o repadded.onnx")


def _edit(remedy: Remedy) -> str:
    """How a remedy is made, in a sentence: layers that are edited alike stand together."""
    if remedy.kind == "both":
        return " and ".join(remedy.edit)
    if remedy.kind == "padding":
        return " or ".join(remedy.edit[:2])
    if remedy.kind in ("size", "larger"):
        return "; ".join([*remedy.edit[:-2], " ".join(remedy.edit[-2:])])
    if remedy.kind == "pads":
        return f"{remedy.edit[0]}; or {', '.join(remedy.edit[1:])}"
    alike: dict[str, list[str]] = {}
    for edit in remedy.edit:
        layer, _, how = edit.rpartition(": ")
        alike.setdefault(how, []).append(layer)
    return "; ".join(f"{how}: {_names(layers)}" for how, layers in alike.items())


def _besides(before: Outcome, remedy: Remedy) -> list[str]:
    """What a remedy does that the columns do not show, or that speaks against it."""
    after, said = remedy.outcome, []
    if remedy.price and not remedy.price.startswith("costs"):  # which the column says
        said.append(remedy.price)
    if worse(before, after) and not (remedy.price or "").startswith("more"):
        said.append("more pixels are starved or overused")
    if after.drops > before.drops:
        said.append(f"leaves {after.drops} stride remainder{'s' if after.drops > 1 else ''}")
    return said


def _facts(found: Audit) -> list[tuple[str, Any]]:
    """The figures that the verdict stands on."""
    share = found.outcome.share
    facts: list[tuple[str, Any]] = [("no training", _without_training(found.remedies))] if found.remedies else []
    if share:
        corners = [_share(each) for each in (share.corners.top_left, share.corners.bottom_right) if each is not None]
        at = f"; first and last corner {corners[0]} and {corners[1]}" if len(corners) == 2 else ""
        facts.append(("fair shares", f"{_share(share.least)} to {_share(share.most)} (1 is fair){at}"))
    kinds = {"convolutions": found.learned[NAMED:], "pools": found.rigid}
    uneven = [f"{kind} {_names(names, UNEVEN)}" for kind, names in kinds.items() if names]
    if uneven:
        facts.append(("also uneven", "; ".join(uneven)))
    if found.dropping:
        many = f"{len(found.dropping)} layers leave" if len(found.dropping) > 1 else "1 layer leaves"
        facts.append(("remainders", f"{many} rows or columns unread, first {found.dropping[0]}"))
    return facts


def _without_training(remedies: list[Remedy]) -> str:
    """What works with today's weights."""
    first = next((each for each in remedies if each.needs == "today's weights"), None)
    if first is None or first.outcome.share is None:
        return "nothing that was tried works with today's weights"
    times = f" at {first.macs_ratio:.2f}x multiply-adds" if first.macs_ratio and first.macs_ratio != 1 else ""
    return f"{first.what}{times} leaves {percent(first.outcome.share.starved)} starved"


def _cells(outcome: Judged) -> tuple[Any, ...]:
    share = outcome.share
    if share is None:
        return outcome.uneven_learned, None, None, None
    return (
        outcome.uneven_learned,
        percent(share.starved),
        percent(share.overused),
        outcome.rim.short if outcome.rim else None,
    )


def _effect(remedy: Remedy, tried: Trial | None) -> tuple[Any, ...]:
    """What a remedy does and costs, and what was measured of it, or of its like."""
    times = f"{remedy.macs_ratio:.2f}x" if remedy.macs_ratio else ""
    return *_cells(remedy.outcome), times, _measured(remedy, tried)


def _measured(remedy: Remedy, tried: Trial | None) -> str | None:
    """What a remedy did to this trained network, or to another one."""
    if tried is None:
        lost = AS_IS.get(remedy.padding or "") if remedy.kind == "padding" else None
        return f"{lost:+.1f}" if lost else None
    size = (remedy.outcome.size[0], remedy.outcome.size[1])
    for row in tried.changes:
        same = row.padding == remedy.padding if remedy.kind == "padding" else row.size == size and row.how == "crop"
        if same and remedy.kind != "both" and row.main and row.kind == ("padding" if remedy.padding else "size"):
            return percent(row.main.mean)
    return None


def _share(value: float) -> str:
    """A fair share to two digits, to three above 10, and to one below a thousandth.

    >>> [_share(n) for n in (0.0, 3e-7, 0.00043, 0.0152, 0.968, 1.0, 20.72)]
    ['0', '3e-07', '0.0004', '0.015', '0.97', '1', '20.7']
    """
    digits = 1 if value < 0.001 else 2 if value < 10 else 3
    return f"{value:.{digits}g}"


def _plain(outcome: Judged) -> str:
    """Multiply-adds to three digits."""
    if not outcome.macs:
        return ""
    power = min((len(str(outcome.macs)) - 1) // 3, len(UNITS) - 1)
    return f"{outcome.macs / 1000**power:.3g} {UNITS[power]}".rstrip()


def _names(names: list[str], most: int = NAMED) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "none"


def _by(size: list[int]) -> str:
    return f"{size[0]} x {size[1]}"
