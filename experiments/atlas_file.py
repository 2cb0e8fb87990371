"""Packs the rows of the atlas into the file that the package has, and draws their rims.

python -m experiments.atlas_file .bench/atlas.jsonl padviz/advice/atlas.json -o docs/rims.png
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from msgspec.structs import astuple

from experiments.atlas_networks import LISTS
from padviz.advice.atlas import AtlasRow

Row = dict[str, Any]
DISTRIBUTIONS = {"smp": "segmentation-models-pytorch"}
OUTCOMES = ("read", "patches", "refused", "stopped")
LABELLED = (
    "vgg16 vgg19 resnet18 resnet50 resnet152 mobilenet_v2 efficientnet_b0 efficientnet_b7 "
    "densenet121 inception_v3 convnext_tiny resnetblur50 repvgg_a0 hrnet_w18 nasnetalarge "
    "yolov8n yolov3 regnety_016 unet_padded"
)


def packed(lines: list[Row]) -> list[AtlasRow]:
    """Return one row for each geometry, the narrowest rim first, with the names that share it."""
    order = {library: i for i, library in enumerate(LISTS)}
    lines = sorted(lines, key=lambda line: (order[line["library"]], line["name"]))
    by_key: dict[str, list[Row]] = {}
    rules: dict[tuple[str, str], Row] = {}
    for line in lines:
        if line["outcome"] == "sizes":
            rules[line["library"], line["name"]] = line
        elif line["outcome"] == "read":
            by_key.setdefault(line["key"], []).append(line)
    rows = []
    for alike in by_key.values():
        figures, sizes = next(line for line in alike if "size" in line), {}
        names: dict[str, list[str]] = {}
        for line in alike:
            names.setdefault(line["library"], []).append(line["name"])
            sizes = sizes or rules.get((line["library"], line["name"]), {})
        rows.append(
            AtlasRow(
                names=names,
                family=alike[0]["family"],
                size=_on_both(figures["size"]),
                rim=figures["rim"] and [_on_both(figures["rim"][side::2]) for side in (0, 1)],
                starved=figures["starved"],
                overused=figures["overused"],
                uneven=len(figures["uneven"]),
                uneven_pools=len(figures["uneven_pools"]),
                strides=[_short(n) for n in figures["strides"]],
                offset=_offset(figures),
                field=figures["field"] and _on_both(figures["field"]),
                context=figures["context"]
                and [_on_both(figures["context"][side::2]) for side in (0, 1)],
                no_context=_reason(figures["no_context"]),
                accepted=sizes.get("accepted"),
                balanced=sizes.get("balanced"),
            )
        )
    rows.sort(key=lambda row: (row.rim is None, sum(row.rim or []), row.name))
    return rows


def _short(n: float | None) -> float | None:
    """Write a whole number as one.

    >>> _short(32.0), _short(0.125), _short(None)
    (32, 0.125, None)
    """
    return int(n) if n is not None and n == int(n) else n


def _on_both(pair: Sequence[Any]) -> Any:
    """Return what two axes have in common."""
    first, second = pair
    assert first == second, f"the axes differ: {pair}"
    return first


def _offset(figures: Row) -> float | None:
    if figures["offset"] is None or figures["no_offset"]:
        return None
    return _short(_on_both(figures["offset"]))


def _reason(why: str | None) -> str | None:
    """Return why no tile is exact, without the layers of one network.

    >>> _reason("FPN: no tiles are exact: up (a resize that follows); try `norms` shared")
    'a resize that follows'
    >>> _reason("gate")
    'gate'
    """
    if why is None:
        return None
    layer, opened, rest = why.partition(" (")
    if opened:
        return rest.partition(")")[0]
    if why.startswith("cannot be read at"):
        return "it takes one size"
    return layer


def libraries(lines: list[Row]) -> dict[str, Row]:
    """Return of each library its version, and how many of its networks were read, refused ..."""
    about = {}
    for library in LISTS:
        of_library = [line for line in lines if line["library"] == library]
        counts = Counter(line["outcome"] for line in of_library)
        if not counts:
            continue
        try:
            version = metadata.version(DISTRIBUTIONS.get(library, library))
        except metadata.PackageNotFoundError:
            version = ""
        about[library] = {"version": version} | {name: counts[name] for name in OUTCOMES}
    return about


def text_of(lines: list[Row]) -> str:
    """Write the file: a line for each geometry, and one for each network that was not read."""
    rows = packed(lines)
    head: Row = {"libraries": libraries(lines), "columns": [*AtlasRow.__struct_fields__]}
    head["sizes"] = "rules from 64 to 256: of the layers, and of the network read at " + ", ".join(
        map(str, next((line["readings"] for line in lines if "readings" in line), []))
    )
    not_read = [
        [line["library"], line["name"], line["outcome"], line["why"]]
        for line in lines
        if line["outcome"] in ("refused", "stopped")
    ]
    texts = [_text(row) for row in rows]
    missing = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in not_read]
    return (
        json.dumps(head)[:-1]
        + ',\n"rows": [\n'
        + ",\n".join(texts)
        + '\n],\n"not_read": [\n'
        + ",\n".join(missing)
        + "\n]}\n"
    )


def _text(row: AtlasRow) -> str:
    """Write a row up to its last figure."""
    values = [*astuple(row)]
    while values[-1] is None:
        values.pop()
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def draw(rows: list[AtlasRow], path: Path) -> None:
    """One line a geometry: a dot for the first side, one for the last, and a line between them."""
    from matplotlib.ticker import MultipleLocator

    from padviz.figures.canvas import new_figure, save

    rows = [row for row in rows if row.rim is not None]
    height = 900
    figure = new_figure(900, height)
    axes = figure.add_axes((0.16, 0.07, 0.81, 0.88))
    sides = [row.rim or [0, 0] for row in rows]
    wider = sum(below > above for above, below in sides)
    axes.set_title(
        f"{wider} of {len(rows)} geometries have a wider rim below than above", fontsize=12
    )
    axes.hlines(
        range(len(rows)),
        [min(pair) for pair in sides],
        [max(pair) for pair in sides],
        color="0.85",
        linewidth=0.5,
        zorder=1,
    )
    for at, name, colour in ((0, "above", "#2f62b5"), (1, "below", "#d97706")):
        axes.scatter(
            [pair[at] for pair in sides],
            range(len(rows)),
            color=colour,
            s=4,
            linewidth=0,
            zorder=3 - at,
            label=name,
        )
    for at in (len(rows) // 4, len(rows) // 2, 3 * len(rows) // 4):
        axes.axhline(at, color="0.6", linewidth=0.6, linestyle=":")
    labelled: dict[str, int] = {}
    for i, row in enumerate(rows):
        for name in LABELLED.split():
            if any(name in names for names in row.names.values()):
                labelled.setdefault(name, i)
    apart: dict[int, str] = {}
    for name, i in sorted(labelled.items(), key=lambda pair: pair[1]):
        if not apart or i - max(apart) > len(rows) // 80:  # else names would lie on each other
            apart[i] = name
    axes.set_yticks([*apart], [*apart.values()], fontsize=7)
    axes.set_ylim(len(rows) + 0.5, -1.5)
    axes.set_xlim(0, None)
    axes.xaxis.set_major_locator(MultipleLocator(32))
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="0.92")
    axes.set_xlabel(
        f"rim above and below in px, of {len(rows)} geometries at their default sizes; "
        "dotted: quartiles of the mean"
    )
    axes.xaxis.label.set_size(8)
    axes.legend(loc="upper right", fontsize=8, frameon=False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    save(figure, path)


def main() -> None:
    """Pack, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.rows.read_text().splitlines()]
    options.file.write_text(text_of(lines))
    if options.output:
        draw(packed(lines), options.output)


if __name__ == "__main__":
    main()
