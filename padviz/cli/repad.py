"""`padviz repad`: the cure applied to an ONNX file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.errors import OptionError

if TYPE_CHECKING:
    from padviz.counting.count_map import CountMap
    from padviz.repad.onnx_file import Repadded
    from padviz.repad.plan import Change

SCHEMA_VERSION = 1
NAMED = 3  # layers of a line
SHOWN = 12  # layers that are left alone, in a table


@click.command(name="repad", short_help="Replace what the padding of an ONNX file's convolutions reads; verified.")
@options.model
@options.size
@click.option(
    "--padding",
    metavar="MODE",
    help="What padding is to read: zero, replicate, reflect, symmetric, circular or partial; or HEIGHT/WIDTH.",
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
    layers: tuple[str, ...],
    without: tuple[str, ...],
    check: bool,
    format_: str,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Write MODEL, an ONNX file, with other padding: weights, names and all else stay as they are.

    The result is read again before it is written: usage of it must be what `padviz usage MODEL --padding MODE` counts,
    in every pixel. What cannot be changed is left alone, and the report says why.

    \b
    Example:
      padviz repad model.onnx --padding reflect -o reflect.onnx
      padviz repad model.onnx --padding zero/circular --except conv1 -o wrapped.onnx
    """
    from padviz.repad.onnx_file import check_beside, repadded

    if not model.lower().endswith(".onnx"):
        hint = "export it to .onnx; in Python, padviz.repad(module, scheme); padviz convert writes descriptions"
        raise OptionError("is not an ONNX file", where=model, hint=hint)
    if padding is None:
        raise OptionError("none is named", option="padding", hint="say what padding is to read, as --padding reflect")
    if output is not None:
        options.checked_output(output, (".onnx",), overwrite)
    found = repadded(model, padding, size, layers, without, options.neutral_ops())
    options.warn_if_baked(found.source, found.plan.size)
    if output is not None:
        check_beside(found, Path(model), output)
        _write(found, output)
    else:
        options.say("nothing is written; -o FILE.onnx says where to")
    _show(found, padding, output, format_)
    if check and found.left:
        click.get_current_context().exit(1)


def _write(found: Repadded, path: Path) -> None:
    from padviz.files.atomic import aside

    with aside(path) as temporary:
        temporary.write_bytes(found.content)


def _show(found: Repadded, padding: str, path: Path | None, format_: str) -> None:
    """Print what was changed, what was left alone and why, and the figures before and after."""
    from msgspec import to_builtins

    from padviz.counting.usage import usage
    from padviz.files import documents, tables
    from padviz.network.targets import names_of

    network = found.source
    names = names_of(None, network, every=True)
    maps = [usage(each, found.plan.size, layer=names) for each in (network, found.network)]
    if format_ == "json":
        document = {
            "schema_version": SCHEMA_VERSION,
            "network": network.name,
            "size": [*found.plan.size],
            "padding": padding,
            "changed": [_row(change) for change in found.plan.changes],
            "left": [{"layer": each.layer, "why": each.why} for each in found.left],
            "before": to_builtins(maps[0].summary()),
            "after": to_builtins(maps[1].summary()),
            "files": [str(path)] if path else [],
        }
        click.echo(documents.to_json(document))
        return
    height, width = found.plan.size
    facts: list[tuple[str, Any]] = [
        ("network", f"{network.title}, {height} x {width} pixels"),
        ("padding", f"{_was(found.plan.changes)} to {padding}"),
        ("changed", f"{len(found.changed)} of {found.plan.pads} layers that pad: {_names(found.changed)}"),
        ("left alone", f"{len(found.left)}" if found.left else "none"),
        ("verified", f"usage by {_names(names)} is what was asked for, in every pixel"),
        *([("file", str(path))] if path else []),
    ]
    parts = [tables.to_facts(facts)]
    if found.left:
        rows = [(each.layer, each.why) for each in found.left[:SHOWN]]
        parts.append(tables.to_table(("left alone", "why"), rows))
        if len(found.left) > SHOWN:
            parts.append(f"and {len(found.left) - SHOWN} more: --format json")
    parts.append(tables.to_table(("figure", "before", "after"), _figures(*maps)))
    click.echo("\n\n".join(parts))


def _figures(before: CountMap, after: CountMap) -> list[tuple[str, Any, Any]]:
    """The figures of two maps side by side, as `padviz usage` has them."""
    was, now = before.summary(), after.summary()
    rows: list[tuple[str, Any, Any]] = []
    one, other = was.share, now.share
    if one is not None and other is not None:
        rows += [
            ("starved", f"{one.starved:.1%}", f"{other.starved:.1%}"),
            ("overused", f"{one.overused:.1%}", f"{other.overused:.1%}"),
            ("least share", _short(one.least), _short(other.least)),
            ("largest share", _short(one.most), _short(other.most)),
            ("first corner", _short(one.corners.top_left), _short(other.corners.top_left)),
            ("last corner", _short(one.corners.bottom_right), _short(other.corners.bottom_right)),
            ("lean, height", f"{one.lean.height:+.3f}", f"{other.lean.height:+.3f}"),
            ("lean, width", f"{one.lean.width:+.3f}", f"{other.lean.width:+.3f}"),
        ]
    return [
        *rows,
        ("paths, max", was.max, now.max),
        ("paths, min", was.min, now.min),
        ("below half", f"{was.marginalised:.1%}", f"{now.marginalised:.1%}"),
    ]


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _row(change: Change) -> dict[str, Any]:
    """A layer that was changed, as JSON has it."""
    return {
        "layer": change.name,
        "kind": change.before.kind,
        "input": [*change.entering],
        "was": [getattr(op, "mode", None) for op in change.before.ops],
        "now": [getattr(op, "mode", None) for op in change.after.ops],
    }


def _was(changes: Iterable[Change]) -> str:
    """The schemes that layers had which were changed."""
    modes = {getattr(op, "mode", None) for change in changes for op in change.before.ops}
    return ", ".join(sorted(mode for mode in modes if mode)) or "as it was"


def _names(names: Iterable[str]) -> str:
    named = [*names]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(named[:NAMED]) + more
