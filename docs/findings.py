"""Three findings of the atlas, from its file, written into docs/evidence/atlas.md.

`python docs/findings.py` writes them. Each headline stands on figures that are checked here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from padviz.advice.atlas import AtlasRow, atlas
from padviz.advice.evidence import APART, is_lopsided

HERE = Path(__file__).parent
PAGE = HERE / "evidence" / "atlas.md"
MARKS = "<!-- findings -->\n", "\n<!-- /findings -->"
SIDE = 224
MANY = 4  # geometries of a family that is named
# whose stages begin with a convolution that is as wide as its stride
PATCHED = ("convnext", "convnextv2", "fasternet", "convmixer")
# a name of an anti-aliased network without which it is that of the plain one
ALIASED = ("_aa", "aa", "blur")
DILATED = {
    "fcn_resnet50": "resnet50",
    "fcn_resnet101": "resnet101",
}


def lopsided(row: AtlasRow) -> bool:
    """Whether an audit calls the rim lopsided."""
    return row.depths is not None and is_lopsided(row.depths)


def of_side(side: int) -> list[AtlasRow]:
    """Return the geometries with a rim whose default size is a square of that side."""
    return [row for row in atlas() if row.rim is not None and row.size == side]


def by_family(rows: Sequence[AtlasRow]) -> dict[str, list[AtlasRow]]:
    families = defaultdict(list)
    for row in rows:
        families[row.family].append(row)
    return {name: families[name] for name in sorted(families) if len(families[name]) >= MANY}


def share(rows: Sequence[AtlasRow]) -> str:
    part = sum(map(lopsided, rows))
    return f"{part} of {len(rows)}"


def families() -> str:
    """Which families are lopsided at 224 px."""
    groups: dict[str, list[str]] = {"all": [], "some": [], "none": []}
    for name, members in by_family(of_side(SIDE)).items():
        number = sum(map(lopsided, members))
        if number == 0:
            groups["none"].append(f"{name} ({len(members)})")
        elif number == len(members):
            groups["all"].append(f"{name} ({number})")
        else:
            groups["some"].append(f"{name} ({number} of {len(members)})")
    rows = [f"| {kind} | {', '.join(names)} |" for kind, names in groups.items()]
    lines = [
        f"### At {SIDE} px, {share(of_side(SIDE))} geometries have a lopsided rim",
        "",
        f"An audit calls a rim lopsided where its sides differ by more than {APART} px, and by more than",
        f"a quarter of the wider one. These are the families with at least {MANY} geometries at this size.",
        "",
        "| lopsided | families |",
        "|---|---|",
        *rows,
    ]
    return "\n".join(lines)


def named() -> dict[str, AtlasRow]:
    """Return the row of each name in timm and torchvision."""
    return {
        name: row
        for row in reversed(atlas())
        for library in ("torchvision", "timm")
        for name in row.names.get(library, [])
    }


def pairs(names: dict[str, str]) -> list[str]:
    """Return the lines of a table: a network, and the one that it is compared with."""
    rows = named()
    lines = [
        "| network | rim | uneven | grid offset | without it | rim | uneven | grid offset |",
        "|---|---|--:|--:|---|---|--:|--:|",
    ]
    for name, plain in sorted(names.items()):
        cells = []
        for one in (name, plain):
            row = rows[one]
            offset = "not known" if row.offset is None else f"{row.offset:g} px"
            rim = ", ".join(map(str, row.rim or []))
            cells.append(
                f"{one}, {row.size} px | {rim} | {row.uneven + row.uneven_pools} | {offset}"
            )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def aliased() -> dict[str, str]:
    """Return anti-aliased networks and the plain ones that have another geometry."""
    rows = {name: row for name, row in named().items() if row.rim}
    found = {}
    for name in rows:
        for mark in ALIASED:
            plain = name.replace(mark, "", 1)
            if mark in name and plain in rows and rows[plain] is not rows[name]:
                found[name] = plain
                break
    # one name of each pair of geometries
    unique = {
        (id(rows[name]), id(rows[plain])): (name, plain)
        for name, plain in sorted(found.items(), reverse=True)
    }
    return dict(unique.values())


def anti_aliasing() -> str:
    names, rows = aliased(), named()
    pools = [name for name in names if "blur" not in name]
    blurs = [name for name in names if "blur" in name]
    assert not any(lopsided(rows[name]) for name in pools)
    assert all(lopsided(rows[name]) for name in blurs)
    words = (
        f"### Anti-aliasing by an average pool evens the rim, a blur does not\n\nNone of {len(pools)} networks with"
        f" average pools is lopsided, and all {len(blurs)} with blurs are. Without either,"
        f" {share([rows[plain] for plain in {*names.values()}])} are. Uneven counts convolutions and pools."
    )
    return "\n".join([words, "", *pairs(names)])


def stages() -> str:
    rows = named()
    patched = [row for row in of_side(SIDE) if row.family in PATCHED]
    others = [row for row in of_side(SIDE) if row.family not in PATCHED]
    assert not any(map(lopsided, patched))
    for name, plain in DILATED.items():
        assert rows[name].uneven < rows[plain].uneven
        assert abs(rows[name].offset or 0) < abs(rows[plain].offset or 0)
    words = (
        f"### Stages that begin with patches are even, and dilated stages are less uneven than strided ones\n\nOf"
        f" {', '.join(PATCHED)} at {SIDE} px, {share(patched)} geometries are lopsided. Of all others, {share(others)} are."
        f" Two stages of FCN are dilated in place of strided:"
    )
    return "\n".join([words, "", *pairs(DILATED)])


def findings() -> str:
    return "\n\n".join((families(), anti_aliasing(), stages()))


def written(page: str, text: str) -> str:
    """Return the page with the findings between its marks."""
    before, rest = page.split(MARKS[0])
    return before + MARKS[0] + text + MARKS[1] + rest.split(MARKS[1])[1]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), findings()))
