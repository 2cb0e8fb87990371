"""`padviz audit`: does it treat the border fairly, and what could be changed?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.value_types import SizeType
from padviz.errors import OptionError, SizeError, printable

if TYPE_CHECKING:
    from padviz.advice.remedies import Outcome, Remedy
    from padviz.advice.verdict import Audit
    from padviz.network.network import Network

SCHEMA_VERSION = 1
SCHEMES = 3  # padding schemes of a screen, which has all other remedies
NAMED = 4  # layers of a line
UNEVEN = 8  # convolutions to mend, which are what the reader came for
UNITS = ("", "K", "M", "G", "T", "P")
EDITED = 8  # layers whose edit is the same
REPORTS = (".png", ".svg", ".pdf", ".md", ".json")
COLUMNS = ("remedy", "uneven", "starved", "overused", "shares", "macs", "asks for")
LEGEND = {
    "uneven": "convolutions that read more padding on one side",
    "shares": "the least and the largest fair share",
    "macs": "multiply-adds over today's",
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


@click.command(
    name="audit", short_help="Does it treat the border fairly? The verdict, and remedies with their effects."
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.neutral
@click.option("--size", "sizes", type=SizeType(), multiple=True, help="Input size; may be given several times.")
@options.layers
@options.heads
@options.format_of("table", "json", "markdown")
@options.output("Write a report: .md, .json, or a picture (.png .svg .pdf) of the map beside its remedies'.")
@options.overwrite
def command(
    models: tuple[str, ...],
    sizes: tuple[tuple[int, int], ...],
    layers: tuple[str, ...],
    heads: str,
    format_: str,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Judge whether MODEL treats the border of an image fairly, and list what could be changed, best first.

    A pixel is starved that gets less than half of the paths that one far from all borders has, and overused that
    gets more than 1.5 times as many. Every remedy is counted exactly, none is guessed. First comes what asks least
    of a trained network; then what leaves fewer windows uneven, drops no rows, overuses no pixel more than four
    times, starves or overuses fewer, and costs less; of even sizes, the nearest. Padding that wraps around comes last
    of what asks for fine-tuning; last of all a cure that leaves more pixels starved or overused, and a size that only
    avoids dropped rows. Several models, or sizes, make a table with one row each.

    \b
    Example:
      padviz audit resnet50 --size 224
      padviz audit resnet50 mobilenet_v2 vgg19 --size 224 --size 512
    """
    from padviz.advice.verdict import audit

    if output is not None:
        options.checked_output(output, REPORTS, overwrite)
        if output.suffix.lower() not in (".md", ".json") and len({*models}) * len({*sizes} or {1}) > 1:
            raise OptionError("a picture holds one network at one size", where="-o", hint="name one, or use .md")
    asked = [(model, size) for model in dict.fromkeys(models) for size in dict.fromkeys(sizes or (None,))]
    networks = [(options.load_as(model, size), size) for model, size in asked]
    found: list[Audit | Failed] = []
    for network, size in networks:
        if size is None:
            options.warn_if_assumed(network)
        try:
            found.append(audit(network, size, layers or None, heads))
        except SizeError as error:
            if len(networks) == 1 or size is None:
                raise
            found.append(Failed(network.name, network.title, size, error))
    if all(isinstance(each, Failed) for each in found):
        raise next(each.error for each in found if isinstance(each, Failed))
    text = {"table": _table, "json": _json, "markdown": _markdown}
    if output is not None and output.suffix.lower() in (".md", ".json"):
        report = text["markdown" if output.suffix.lower() == ".md" else "json"](found)
        options.put(report, output, overwrite)
    elif output is not None:
        (drawn,) = [each for each in found if not isinstance(each, Failed)]
        _draw(networks[0][0], drawn, output)
    click.echo(text[format_](found))
    if output is not None and format_ == "table":
        click.echo(f"\nfile  {printable(output)}")


def _json(found: list[Audit | Failed]) -> str:
    from msgspec import to_builtins

    from padviz.files import documents

    listed = [
        {"network": each.network, "title": each.title, "size": [*each.size], "error": each.why}
        if isinstance(each, Failed)
        else to_builtins(each)
        for each in found
    ]
    return documents.to_json({"schema_version": SCHEMA_VERSION, "results": listed})


def _table(found: list[Audit | Failed]) -> str:
    first = found[0]
    return _rows(found) if len(found) > 1 or isinstance(first, Failed) else _screen(first)


def _rows(found: list[Audit | Failed]) -> str:
    """One row for each network and size."""
    from padviz.files import tables

    columns = ("network", "size", "verdict", "uneven", "starved", "overused", "best remedy")
    rows = []
    for each in found:
        size = options.pixels((each.size[0], each.size[1]))
        if isinstance(each, Failed):
            rows.append((each.network, size, each.why, None, None, None, None))
            continue
        best = each.remedies[0].what if each.remedies else None
        rows.append((each.network, size, each.verdict.replace(" and ", ", "), *_cells(each.outcome)[:3], best))
    return tables.to_table(columns, rows)


def _screen(found: Audit) -> str:
    """All of one network, on one screen."""
    from padviz.files import tables

    title = f"{found.title}, {_by(found.size)}, to {_names(found.target)}"
    title += f", {_plain(found.outcome)} multiply-adds" if found.outcome.macs else ""
    verdict = f"{found.verdict[:1].upper()}{found.verdict[1:]}. {' '.join(found.sentences)}"
    parts = [tables.wrapped(title), tables.wrapped(verdict)]
    parts.append(tables.to_facts(_facts(found)))
    if found.remedies:
        parts.append(_compared(found))
    else:
        parts.append("Nothing that was tried treats the border more fairly.")
    parts.append("\n".join(map(tables.wrapped, found.cannot)))
    return "\n\n".join(part for part in parts if part)


def _compared(found: Audit) -> str:
    """The remedies beside today's figures, and how each is made."""
    from padviz.files import tables

    shown = _shown(found.remedies)
    rows = [(f"{i} {remedy.what}", *_effect(remedy)) for i, remedy in enumerate(shown, 1)]
    today = ("  today", *_cells(found.outcome), None, None)
    lines = [tables.to_table(COLUMNS, [today, *rows]), tables.wrapped(_legend([today, *rows])), ""]
    lines += [tables.wrapped(line, 2) for line in _edited(found.outcome, shown)]
    return "\n".join([*lines, *map(tables.wrapped, _beyond(found, shown))])


def _legend(rows: list[tuple[Any, ...]]) -> str:
    """What the columns count that have something in them."""
    filled = {name for row in rows for name, cell in zip(COLUMNS, row, strict=True) if cell not in (None, "")}
    return "; ".join(f"{name}: {what}" for name, what in LEGEND.items() if name in filled) + "."


def _besides(before: Outcome, remedy: Remedy) -> list[str]:
    """What a remedy does that the columns do not show, or that speaks against it."""
    from padviz.advice.remedies import worse

    after, said = remedy.outcome, []
    if worse(before, after):
        said.append("but more pixels are starved or overused")
    if after.drops != before.drops:
        many = {0: "drops no", 1: "1 layer drops"}.get(after.drops, f"{after.drops} layers drop")
        said.append(f"{many} rows")
    return said


def _beyond(found: Audit, shown: list[Remedy]) -> list[str]:
    """What the screen leaves out."""
    from padviz.advice.changes import wraps

    said = []
    others = [remedy for remedy in found.remedies if remedy not in shown]
    names = [*map(_scheme, others)]
    wrapping = [name for name in names if wraps(name)]
    plain = [name for name in names if name not in wrapping]
    if wrapping:
        wrap = "these wrap" if len(wrapping) > 1 else "it wraps"
        plain.append(f"{', '.join(wrapping)} ({wrap} around: for panoramas and textures)")
    if plain:
        said.append(f"Further padding, in --format json: {'; '.join(plain)}.")
    if shown[0].kind == "size" and any(remedy.kind == "padding" for remedy in shown):
        height, width = shown[0].outcome.size
        said.append(f"What padding does at an even size: --size {options.pixels((height, width))}.")
    return said


def _shown(remedies: list[Remedy]) -> list[Remedy]:
    """All but the padding schemes that help least."""
    schemes = [remedy for remedy in remedies if remedy.kind == "padding"][:SCHEMES]
    return [remedy for remedy in remedies if remedy.kind != "padding" or remedy in schemes]


def _edited(before: Outcome, shown: list[Remedy]) -> list[str]:
    """How each remedy that is shown is made, with its number: padding schemes stand together that differ in no more."""
    alike: dict[str, list[int]] = {}
    texts = ["; ".join([_edit(remedy), *_besides(before, remedy)]) for remedy in shown]
    for i, remedy in enumerate(shown):
        alike.setdefault(_with_any(texts[i], remedy) if remedy.kind == "padding" else texts[i], []).append(i)
    lines = []
    for text, at in alike.items():
        numbers, schemes = ", ".join(str(i + 1) for i in at), ", ".join(_scheme(shown[i]) for i in at)
        lines.append(f"{numbers} {text}; SCHEME: {schemes}" if len(at) > 1 else f"{numbers} {texts[at[0]]}")
    return lines


def _with_any(text: str, remedy: Remedy) -> str:
    """How a padding scheme is made, without saying which it is."""
    scheme = _scheme(remedy)
    text = text.replace(f'"{scheme}"', '"SCHEME"')
    return text.replace(f"--padding {scheme} -o {scheme.replace('/', '-')}.onnx", "--padding SCHEME -o repadded.onnx")


def _scheme(remedy: Remedy) -> str:
    return remedy.what.removesuffix(" padding")


def _edit(remedy: Remedy, most: int = EDITED) -> str:
    """How a remedy is made, in a sentence: layers that are edited alike stand together."""
    if remedy.kind == "padding":
        return " or ".join(remedy.edit[:2])
    if remedy.kind == "size":
        return "; ".join(remedy.edit)
    alike: dict[str, list[str]] = {}
    for edit in remedy.edit:
        layer, _, how = edit.rpartition(": ")
        alike.setdefault(how, []).append(layer)
    return "; ".join(f"{how}: {_names(layers, most)}" for how, layers in alike.items())


def _facts(found: Audit) -> list[tuple[str, Any]]:
    """The figures that the verdict stands on."""
    share, reach = found.outcome.share, found.reach
    facts: list[tuple[str, Any]] = []
    if share:
        first, last = share.corners.top_left, share.corners.bottom_right
        corners = "" if None in (first, last) else f"; first corner {_share(first)}, last {_share(last)}"
        facts.append(("fair shares", f"{_share(share.least)} to {_share(share.most)} (1 is fair){corners}"))
    height, width = found.outcome.ring_px
    ring = f"{height} px" if height == width else f"{height} and {width} px"
    if 2 * height < found.size[0] and 2 * width < found.size[1]:
        facts.append((f"outer {ring}", f"used {found.outcome.ring:.2f} times as often as the average pixel"))
    kinds = {"convolutions": found.learned, "pools": found.rigid}
    uneven = [f"{kind} {_names(names, UNEVEN)}" for kind, names in kinds.items() if names]
    facts.append(("uneven", "; ".join(uneven) or "none"))
    facts.append(("drop rows", _names(found.dropping)))
    facts.append(("grid offset", found.grid))
    if reach.field:
        of = f", of {reach.layer}" if len(found.target) > 1 else ""
        facts.append(("receptive field", f"{_by(reach.field)} px{of}"))
    if reach.margin:
        facts.append(("padding reaches", _inwards(found)))
    if reach.why:
        facts.append(("padding reaches", f"everywhere: {reach.why}"))
    return facts


def _inwards(found: Audit) -> str:
    """How far the border reaches in, on each side."""
    margin = found.reach.margin or []
    if any(sum(pair) >= n for pair, n in zip(margin, found.size, strict=True)):
        return "all of the image"
    (top, bottom), (left, right) = margin
    if not any((top, bottom, left, right)):
        return "no pixel: every unit reads real pixels alone"
    return f"{top} px in from the top, {bottom} bottom, {left} left, {right} right"


def _markdown(found: list[Audit | Failed]) -> str:
    from padviz.files import documents

    parts = []
    for each in found:
        if isinstance(each, Failed):
            parts.append(printable(f"### {each.title}, {_by([*each.size])}: {each.why}"))
            continue
        parts.append(printable(f"### {each.title}, {_by(each.size)}: {each.verdict}"))
        parts.append(printable(" ".join(each.sentences)))
        rows = [("today", *_cells(each.outcome), "", "", "")]
        for remedy in each.remedies:
            edit = remedy.edit if remedy.kind == "padding" else [_edit(remedy, len(remedy.edit))]
            made = "; ".join([*edit, *_besides(each.outcome, remedy)])
            rows.append((remedy.what, *_effect(remedy), made))
        parts.append(documents.to_markdown((*COLUMNS, "edit"), rows))
        parts += map(printable, each.cannot)
    return "\n\n".join(parts)


def _draw(network: Network, found: Audit, path: Path) -> None:
    """The map as it is, beside those of the first remedies."""
    from padviz.advice.verdict import maps
    from padviz.figures import panels
    from padviz.figures.canvas import save

    save(panels.compared(maps(network, found, 3), "remedy", "share"), path)


def _cells(outcome: Outcome) -> tuple[Any, ...]:
    share = outcome.share
    if share is None:
        return outcome.uneven_learned, None, None, None
    between = f"{_share(share.least)}–{_share(share.most)}"
    return outcome.uneven_learned, f"{share.starved:.1%}", f"{share.overused:.1%}", between


def _share(value: float | None) -> str:
    """A fair share to two digits, to three above 10, and to one below a thousandth.

    >>> [_share(n) for n in (0.0, 3e-7, 0.00043, 0.0152, 0.968, 1.0, 20.72)]
    ['0', '3e-07', '0.0004', '0.015', '0.97', '1', '20.7']
    """
    digits = 1 if value and value < 0.001 else 2 if value and value < 10 else 3
    return f"{value or 0:.{digits}g}"


def _effect(remedy: Remedy) -> tuple[Any, ...]:
    """What a remedy does, costs, and asks for."""
    times = f"{remedy.macs_ratio:.2f}" if remedy.macs_ratio else ""
    return *_cells(remedy.outcome), times, remedy.asks.removesuffix(" anew")


def _plain(outcome: Outcome) -> str:
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
