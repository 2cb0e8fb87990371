"""`padviz repad`: the cure applied to an ONNX file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.axis.padding_modes import MODES, in_a_sentence
from padviz.cli import options
from padviz.errors import OptionError

if TYPE_CHECKING:
    from padviz.counting.count_map import CountMap
    from padviz.repadding.onnx.file import Repadded
    from padviz.repadding.plan import Change

SCHEMA_VERSION = 1
NAMED = 3  # layers of a line
SHOWN = 12  # layers that are left alone, in a table


@click.command(
    name="repad",
    cls=options.ChangesLayers,
    short_help="Replace what the padding of an ONNX file's convolutions reads; verified.",
)
@options.model
@options.size
@click.option(
    "--padding",
    metavar="MODE",
    help=f"What padding is to read: {in_a_sentence(MODES)}; or HEIGHT/WIDTH.",
)
@click.option(
    "--even", is_flag=True, help="Make uneven learned windows even instead: by pads, or by pools for strides."
)
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="Change this layer only; may be repeated.")
@click.option("--except", "without", multiple=True, metavar="NAME", help="Leave this layer as it is; may be repeated.")
@click.option("--check", is_flag=True, help="Exit with 1 if a layer that pads is left alone.")
@options.format_of("table", "json")
@options.output("ONNX file to write. Without it, only the report is made.")
@options.overwrite
def command(
    model: str,
    size: tuple[int, int] | None,
    padding: str | None,
    even: bool,
    layers: tuple[str, ...],
    without: tuple[str, ...],
    check: bool,
    format_: str,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Write MODEL, an ONNX file, with other padding: weights, names and all else stay as they are.

    The result is read again before it is written: usage of it must be what `padviz usage MODEL --padding MODE` counts,
    in every pixel. What cannot be changed is left alone, and the report says why. With --even, the pads of uneven
    convolutions are shared out evenly; where no pads can do that, their strides move into average pools of 2 x 2. Pools
    stay as they are, and the report names those that are uneven.

    \b
    Example:
      padviz repad model.onnx --padding reflect -o reflect.onnx
      padviz repad model.onnx --padding zero/circular -o wrapped.onnx
      padviz repad model.onnx --even --size 224 -o even.onnx
    """
    from padviz.repadding.onnx.file import check_asked, repad_file

    if not model.lower().endswith(".onnx"):
        other = "" if even else "; in Python, padviz.repad(module, scheme); padviz convert writes descriptions"
        hint = f"export it to .onnx{other}"
        raise OptionError("is not an ONNX file", where=model, hint=hint)
    check_asked(padding, even)
    if even and layers + without:
        raise OptionError("takes all uneven windows", where="--even", hint="leave --layer and --except out")
    if output is not None:
        options.checked_output(output, (".onnx",), overwrite)
    found = repad_file(model, padding, None, size, layers, without, even=even, neutral=options.neutral_ops())
    options.warn_if_baked(found.source, found.plan.size)
    if output is None:
        options.say("nothing is written; -o FILE.onnx says where to")
    else:
        found.save(output, overwrite=overwrite)
    click.echo(_json(found, padding, output) if format_ == "json" else _table(found, padding, output))
    if check and found.left:
        click.get_current_context().exit(1)


def _maps(found: Repadded) -> list[CountMap]:
    """Usage by the last maps, before and after."""
    from padviz.counting.usage import usage
    from padviz.network.targets import names_of

    both = [found.source, *([] if len(found.maps) == 1 else [found.network])]
    counted = [usage(each, found.plan.size, layer=names_of(None, each, every=True)) for each in both]
    return counted if len(counted) == 2 else [*counted, *found.maps]  # one map was counted to be verified


def _uneven(found: Repadded) -> list[str]:
    """The windows that still read their padding unevenly."""
    from padviz.geometry.ledger import ledger

    return [each.layer for each in ledger(found.network, found.plan.size).uneven]


def _json(found: Repadded, padding: str | None, path: Path | None) -> str:
    from msgspec import to_builtins

    from padviz.reports import documents

    before, after = _maps(found)
    return documents.to_json(
        {
            "schema_version": SCHEMA_VERSION,
            "network": found.source.name,
            "size": [*found.plan.size],
            "padding": padding,
            "changed": [_row(change) for change in found.plan.changes],
            "left": [{"layer": each.layer, "why": each.why} for each in found.left],
            "uneven": _uneven(found),
            "before": to_builtins(before.summary()),
            "after": to_builtins(after.summary()),
            "files": [str(path)] if path else [],
        }
    )


def _table(found: Repadded, padding: str | None, path: Path | None) -> str:
    """What was changed, what was left alone and why, and the figures before and after."""
    from padviz.reports import tables

    height, width = found.plan.size
    facts: list[tuple[str, Any]] = [("network", f"{found.source.title}, {height} x {width} pixels")]
    if padding:
        facts.append(("padding", f"{_was(found.plan.changes)} to {padding}" if found.changed else f"{padding} already"))
        names = f": {_names(found.changed)}" if found.changed else ""
        facts.append(("changed", f"{len(found.changed)} of {found.plan.pads} layers that pad{names}"))
        facts.append(("left alone", f"{len(found.left)}" if found.left else "none"))
    else:
        facts.append(("changed", f"{len(found.changed)}: {_names(map(_edit, found.plan.changes))}"))
        uneven = _uneven(found)
        facts.append(("uneven", f"{_names(uneven)}: pools have no weights, and stay as they are" if uneven else "none"))
        facts += _phases(found)
    facts.append(("verified", f"usage by {_names(found.plan.targets)} is what was asked for, in every pixel"))
    parts = [tables.to_facts([*facts, *([("file", str(path))] if path else [])])]
    if found.left:
        rows = [(each.layer, each.why) for each in found.left[:SHOWN]]
        parts.append(tables.to_table(("left alone", "why"), rows))
        if len(found.left) > SHOWN:
            parts.append(f"and {len(found.left) - SHOWN} more: --format json")
    parts.append(tables.to_table(("figure", "before", "after"), _figures(*_maps(found))))
    return "\n\n".join(parts)


def _phases(found: Repadded) -> list[tuple[str, str]]:
    """What an edit does to where the last map's units lie over the image."""
    from padviz.geometry.receptive_fields import grid_offsets
    from padviz.network.targets import last_maps

    lines, unknown = [], (None, None)
    before, after = (grid_offsets(network, found.plan.size) for network in (found.source, found.network))
    for one, other in zip(last_maps(found.source), found.plan.targets, strict=True):
        pairs = zip(("height", "width"), before.get(one, unknown), after.get(other, unknown), strict=True)
        said = ", ".join(f"from {_pixels(a)} to {_pixels(b)} px in {axis}" for axis, a, b in pairs)
        lines.append(("phase", f"units of {one} lie off the image's centre: {said}, in the mean"))
    return lines[:NAMED]


def _figures(before: CountMap, after: CountMap) -> list[tuple[str, Any, Any]]:
    """The figures of two maps side by side, as `padviz usage` has them."""
    from padviz.counting.shares.summary import percent

    was, now = before.summary(), after.summary()
    rows: list[tuple[str, Any, Any]] = []
    one, other = was.share, now.share
    if one is not None and other is not None:
        rows += [
            *([("rim, px", was.rim.short, now.rim.short)] if was.rim and now.rim else []),
            ("starved", percent(one.starved), percent(other.starved)),
            ("overused", percent(one.overused), percent(other.overused)),
            ("least share", _short(one.least), _short(other.least)),
            ("largest share", _short(one.most), _short(other.most)),
            ("first corner", _short(one.corners.top_left), _short(other.corners.top_left)),
            ("last corner", _short(one.corners.bottom_right), _short(other.corners.bottom_right)),
            ("lean, height", f"{one.lean.height:+z.3f}", f"{other.lean.height:+z.3f}"),
            ("lean, width", f"{one.lean.width:+z.3f}", f"{other.lean.width:+z.3f}"),
        ]
    return [*rows, ("paths, max", was.max, now.max), ("paths, min", was.min, now.min)]


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _pixels(offset: Any) -> str:
    return "none" if offset is None else f"{offset:+g}"


def _row(change: Change) -> dict[str, Any]:
    """A layer that was changed, as JSON has it."""
    return {
        "layer": change.name,
        "kind": change.before.kind,
        "input": [*change.entering],
        "was": [_said(op) for op in change.before.ops],
        "now": [_said(op) for op in change.after.ops],
        "pooled": change.pooled,
    }


def _said(op: Any) -> dict[str, Any]:
    """What a window's padding is, on one axis."""
    return {key: getattr(op, key, None) for key in ("mode", "padding", "stride")}


def _edit(change: Change) -> str:
    """How one layer was made even."""
    if change.pooled:
        return f"{change.name} (stride 1, then an average of 2 x 2)"
    before, after = (" x ".join("+".join(map(str, op.padding)) for op in layer.ops) for layer in _both(change))
    return f"{change.name} (pads {before} to {after})"


def _both(change: Change) -> tuple[Any, Any]:
    return change.before, change.after


def _was(changes: Iterable[Change]) -> str:
    """The schemes that layers had which were changed."""
    modes = {getattr(op, "mode", None) for change in changes for op in change.before.ops}
    return ", ".join(sorted(mode for mode in modes if mode)) or "as it was"


def _names(names: Iterable[str]) -> str:
    named = [*names]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(named[:NAMED]) + more
