"""`padviz uneven`: the layers that read their padding on one side, and the sizes that cure it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.value_types import SizeType
from padviz.errors import OptionError, SizeError, printable

if TYPE_CHECKING:
    from padviz.geometry.balance.nearest import Suggestion
    from padviz.geometry.ledger import AxisPadding, LayerPadding, Ledger
    from padviz.network.network import Network, Size

SCHEMA_VERSION = 1
SOURCE = "Alsallakh et al., ICLR 2021"
REPORTED = {  # ImageNet top-1 accuracy in percent of networks trained and tested at 224 and at 225
    "mobilenet_v1": (68.19, 68.80),
    "resnet18": (69.93, 70.27),
    "resnet34": (73.30, 73.72),
    "resnet50": (75.65, 76.01),
    "resnet101": (77.37, 77.67),
}
CHECKS = ("learned", "all", "drops")  # each fails where those before it do
COLUMNS = ("layer", "kind", "k/s/d", "axis", "input", "pads", "used", "drop", "skip", "over", "reads")
FLAT = (
    "network", "height", "width", "layer", "kind", "learned", "axis", "uneven",
    "input", "output", "kernel", "stride", "dilation",
    "declared_before", "declared_after", "consumed_before", "consumed_after", "dropped", "skipped", "overhang",
    "offset",
)  # fmt: skip


@click.command(
    name="uneven", cls=options.WithCheck, short_help="Layers that read their padding on one side only, and the cure."
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.neutral
@click.option("--size", "sizes", type=SizeType(), multiple=True, help="Input size; may be given several times.")
@options.upto
@options.same
@options.format_of("table", "json", "csv", "markdown", "github")
@click.option("--all", "all_", is_flag=True, help="Every window with padding or a stride, not only the uneven ones.")
@click.option(
    "--check",
    type=click.Choice(CHECKS),
    metavar="[=learned|all|drops]",
    help="Exit with 1, for CI, if a learned window is uneven; =all: or any window; =drops: or rows are dropped.",
)
@options.output("Write the result to a file (.txt .json .csv .md); or draw it (.png .svg .pdf) beside what is printed.")
@options.overwrite
def command(
    models: tuple[str, ...],
    sizes: tuple[tuple[int, int], ...],
    layers: tuple[str, ...],
    same: bool,
    format_: str,
    all_: bool,
    check: str | None,
    output: Path | None,
    overwrite: bool,
) -> None:
    """List the layers of MODEL whose padding is read more on one side than on the other.

    A strided window may stop short of its far padding; often one more pixel of input cures it. Only learned windows,
    which have weights, can grow askew: pools are rigid. What skews them is the offset of the sampling grid from the
    image's centre, which uneven padding is a sign of.

    \b
    Example:
      padviz uneven resnet50 --size 224
      padviz uneven resnet50 --size 225 --check=drops
      padviz uneven resnet50 mobilenet_v1 --size 224 --size 225 --format markdown
    """
    from padviz.figures.canvas import PICTURE_SUFFIXES
    from padviz.geometry.ledger import ledger

    drawn = output is not None and output.suffix.lower() in PICTURE_SUFFIXES
    format_ = options.format_for(output, format_, overwrite, PICTURE_SUFFIXES)
    if drawn and len(models) * len(sizes or (1,)) > 1:
        what = "a picture holds one network at one size"
        raise OptionError(what, where="-o", hint="padviz export MODEL... --what uneven makes one of each")
    read = [(model, size, options.load_as(model, size, same)) for model in models for size in sizes or (None,)]
    if len(sizes) > 1:
        for _, _, network in read[:: len(sizes)]:
            options.warn_if_baked(network)
    parts = [(model, size, options.cut(network, layers)) for model, size, network in read]
    results = [(model, network, ledger(network, size)) for model, size, network in parts]
    text = {"json": _json, "csv": _csv, "markdown": _markdown, "github": _github(check), "table": _table}[format_]
    if output is not None and drawn:
        from padviz.figures.canvas import save
        from padviz.figures.windows import ledger_bars

        save(ledger_bars.padding(results[0][2], results[0][1].title), output)
    options.put(text(results, all_), None if drawn else output, overwrite)
    if check and any(_fails(found, check) for _, _, found in results):
        raise SystemExit(1)


Result = tuple[str, "Network", "Ledger"]


def _fails(found: Ledger | LayerPadding, check: str) -> bool:
    """Whether a network, or one of its windows, is what --check looks for."""
    from padviz.geometry.ledger import LayerPadding

    if not isinstance(found, LayerPadding):
        return any(_fails(layer, check) for layer in found.layers)
    return (found.uneven and (found.learned or check != "learned")) or (found.drops and check == "drops")


def _table(results: list[Result], all_: bool) -> str:
    from padviz.reports import tables

    parts = []
    for _, network, found in results:
        title = f"{network.title}, {_by(found.size)}"
        listed = _listed(found, all_)
        rows = [row for layer in listed for row in _rows(layer, all_, options.RIGID)]
        head = tables.to_table(COLUMNS, rows, title) if rows else tables.wrapped(title)
        note = [] if all(layer.learned for layer in listed) else [options.RIGID_NOTE]
        parts.append("\n\n".join([head, "\n".join(map(tables.wrapped, [*note, *_verdict(network, found)]))]))
    return "\n\n\n".join(parts)


def _markdown(results: list[Result], all_: bool) -> str:
    from padviz.reports import documents

    parts = []
    for _, network, found in results:
        rows = [row for layer in _listed(found, all_) for row in _rows(layer, all_, " (rigid)")]
        table = [documents.to_markdown(COLUMNS, rows)] if rows else []
        verdict = map(printable, _verdict(network, found))
        parts.append("\n\n".join([printable(f"### {network.title}, {_by(found.size)}"), *table, *verdict]))
    return "\n\n".join(parts)


def _csv(results: list[Result], all_: bool) -> str:
    from padviz.geometry.receptive_fields import grid_offsets
    from padviz.reports import documents

    rows = []
    for _, network, found in results:
        offsets = grid_offsets(network, found.size)
        for layer in _listed(found, all_):
            pair = offsets.get(layer.layer, (None, None))
            for axis, row, offset in (("height", layer.height, pair[0]), ("width", layer.width, pair[1])):
                shape = row.input, row.output, row.kernel, row.stride, row.dilation, *row.declared, *row.consumed
                lost = row.dropped, row.skipped, row.overhang
                head = found.network, *found.size, layer.layer, layer.kind, int(layer.learned), axis, int(row.uneven)
                rows.append((*head, *shape, *lost, offset))
    return documents.to_csv(FLAT, rows)


def _json(results: list[Result], all_: bool) -> str:
    from padviz.geometry.balance.nearest import nearest_even, odd_window
    from padviz.geometry.ledger import ledger_facts
    from padviz.reports import documents

    listed: list[dict[str, Any]] = []
    for _, network, found in results:
        below, above = (_suggested(each) for each in nearest_even(network, found.size))
        odd = odd_window(network, found.size) if below is above is None else None
        entry = _with_offsets(ledger_facts(found), network, found.size)
        entry["nearest_even"] = {"below": below, "above": above, "odd_window": odd}
        if reported := _reported(network):
            entry["reported"] = reported
        listed.append(entry)
    return documents.to_json({"schema_version": SCHEMA_VERSION, "results": listed})


def _with_offsets(facts: dict[str, Any], network: Network, size: Size) -> dict[str, Any]:
    """A ledger for JSON with the grid offset of each layer on each axis."""
    from padviz.geometry.receptive_fields import grid_offsets

    offsets = grid_offsets(network, size)
    for layer in facts["layers"]:
        for axis, offset in zip(("height", "width"), offsets.get(layer["layer"], (None, None)), strict=True):
            layer[axis]["offset"] = offset
    return facts


def _github(check: str | None) -> Any:
    def annotations(results: list[Result], all_: bool) -> str:
        lines = []
        for model, network, found in results:
            place = f"file={_escaped(model, property_=True)}," if model.endswith(".toml") else ""
            for layer in found.layers:
                if not layer.uneven and not (check == "drops" and layer.drops):
                    continue
                level = "error" if check and _fails(layer, check) else "warning"
                said = "Uneven padding" if layer.uneven else "Dropped rows"
                title = _escaped(f"{said} in {found.network} at {_by(found.size)}", property_=True)
                kind = layer.kind if layer.learned else f"{layer.kind}, rigid"
                what = _escaped(f"{layer.layer} ({kind}) {_shows(layer)}")
                lines.append(f"::{level} {place}title={title}::{what}")
            title = _escaped(f"{found.network} at {_by(found.size)}", property_=True)
            lines.append(f"::notice {place}title={title}::{_escaped(' '.join(_verdict(network, found)))}")
        return "\n".join(lines)

    return annotations


def _escaped(text: str, property_: bool = False) -> str:
    """Escape what a workflow command would misread, and then what a terminal would."""
    pairs = [("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), *([(":", "%3A"), (",", "%2C")] if property_ else [])]
    for plain, escape in pairs:
        text = text.replace(plain, escape)
    return printable(text)


def _listed(found: Ledger, all_: bool) -> tuple[LayerPadding, ...]:
    return found.layers if all_ else found.uneven


def _rows(layer: LayerPadding, all_: bool = False, rigid: str = "") -> list[tuple[Any, ...]]:
    """One row for both axes where they agree, else one for each that matters; rigid kinds are marked."""
    axes = [("height", layer.height, "top", "bottom"), ("width", layer.width, "left", "right")]
    if layer.height == layer.width:
        axes = [("", layer.height, "top/left", "bottom/right")]
    elif layer.uneven and not all_:
        axes = [each for each in axes if each[1].uneven]
    kind = layer.kind if layer.learned else layer.kind + rigid
    return [(layer.layer, kind, *_cells(axis, row), _how(row, *sides)) for axis, row, *sides in axes]


def _cells(axis: str, row: AxisPadding) -> tuple[Any, ...]:
    shape = f"{row.kernel}/{row.stride}/{row.dilation}"
    pads, reads = ("+".join(map(str, pair)) for pair in (row.declared, row.consumed))
    return shape, axis, row.input, pads, reads, row.dropped or None, row.skipped or None, row.overhang or None


def _how(row: AxisPadding, before: str, after: str) -> str:
    first, second = row.consumed[0], row.consumed[1] + row.overhang
    return f"{first} {before}, {second} {after}" if row.uneven else ""


def _shows(layer: LayerPadding) -> str:
    if not layer.uneven:
        return f"drops {layer.height.dropped} at the bottom, {layer.width.dropped} at the right"
    return "reads " + "; ".join(row[-1] for row in _rows(layer) if row[-1])


def _verdict(network: Network, found: Ledger) -> list[str]:
    """Sentences: how many layers are uneven, what to do, what it costs, what it brought."""
    count, windows = len(found.uneven), len(found.layers)
    lines = [f"Even: none of the {windows} windows that pad or stride reads more padding on one side."]
    if count:
        split = (len(found.uneven_learned), "learned"), (len(found.uneven_rigid), "rigid")
        each = ", ".join(f"{n} {word}" for n, word in split if n)
        lines = [f"Uneven: {count} of the {windows} windows that pad or stride read more padding on one side: {each}."]
    if found.drops:
        names = [layer.layer for layer in found.layers if layer.drops]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(f"Rows or columns at the far edge are dropped by {names[0]}{more}.")
    lines += _grid(network, found.size)
    lines.append(_cure(network, found))
    if reported := _reported(network):
        line = "Reported for training and testing at 224 and 225: ImageNet top-1 {at_224:.2f} % and {at_225:.2f} %"
        lines.append(line.format(**reported) + f" ({SOURCE}).")
    return lines


def _grid(network: Network, size: Size) -> list[str]:
    """Where the units of the last maps are centred, and what went with that."""
    from padviz.geometry.receptive_fields import grid_in_words, receptive_fields
    from padviz.network.targets import names_of

    try:
        rows = {row.layer: row for row in receptive_fields(network, size)}
    except SizeError:
        return []
    names = [name for name in names_of(None, network, every=True) if name in rows]
    last = f", the last of {len(names)} maps" if len(names) > 1 else ""
    said = [f"Grid offset of {name}{last}: {grid_in_words(rows[name])}." for name in names[-1:]]
    off = any(offset for name in names[-1:] for offset in rows[name].offsets)
    return [*said, "In a controlled experiment strided filters were skewed to the other side."] if off else said


def _cure(network: Network, found: Ledger) -> str:
    """The nearest balanced sizes, or why there is none."""
    from padviz.geometry.balance.nearest import nearest_even, odd_window

    near = [each for each in nearest_even(network, found.size) if each]
    if near:
        return _priced(network, found.size, near)
    if found.even:
        return "No other balanced size is near."
    if odd := odd_window(network, found.size):
        return f"No balanced size is near: {odd} reads an odd number of padded rows at each, which no pads can halve."
    return "No balanced size is near."


def _priced(network: Network, size: Size, near: list[Suggestion]) -> str:
    """The nearest balanced sizes with their multiply-adds over those of the size asked about, or window positions."""
    from padviz.geometry.costs import COUNTED, costs
    from padviz.network.baked import declared

    known = all(each.macs_ratio is not None for each in near)
    what = "multiply-adds" if known else "window positions"
    sizes = []
    for each in near:
        ratio = each.macs_ratio if known else each.work
        drops = ", drops rows" if each.drops else ""
        sizes.append(f"{options.pixels(each.size)} ({ratio:.3g} times the {what}{drops})")
    unknown = costs(network, size).unknown
    why = f"{unknown} does not say its channels, so multiply-adds are not known" if unknown else "nothing multiplies"
    anew = f" But {said}." if (said := declared(network)) else ""
    return f"Nearest balanced sizes: {', '.join(sizes)}; {COUNTED if known else why}.{anew}"


def _reported(network: Network) -> dict[str, Any] | None:
    if network.name not in REPORTED or options.PART in network.title:
        return None
    before, after = REPORTED[network.name]
    return {"metric": "ImageNet top-1, percent", "at_224": before, "at_225": after, "source": SOURCE}


def _suggested(suggestion: Suggestion | None) -> dict[str, Any] | None:
    return None if suggestion is None else asdict(suggestion)


def _by(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
