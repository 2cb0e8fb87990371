"""Three findings of the atlas, from its file: `python docs/findings.py` writes them into docs/evidence/atlas.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from padviz.advice.atlas import AtlasRow, atlas
from padviz.advice.evidence import APART, PART

HERE = Path(__file__).parent
PAGE = HERE / "evidence" / "atlas.md"
MARKS = "<!-- findings -->\n", "\n<!-- /findings -->"
SIDE = 224
MANY = 4  # geometries of a family that is named
# whose stages begin with a convolution that is as wide as its stride
PATCHED = ("convnext", "convnextv2", "fasternet", "convmixer")
# a name of an anti-aliased network without which it is that of the plain one
ALIASED = ("_aa", "aa", "blur")
DILATED = {"fcn_resnet50": "resnet50", "deeplabv3_resnet50": "resnet50", "fcn_resnet101": "resnet101", "deeplabv3_resnet101": "resnet101"}


def lopsided(row: AtlasRow) -> bool:
    """Whether an audit calls the rim lopsided."""
    top, bottom, left, right = row.rim or [0] * 4
    return any(abs(a - b) > max(APART, PART * max(a, b)) for a, b in ((top, bottom), (left, right)))


def of_side(side: int) -> list[AtlasRow]:
    """Return the geometries with a rim whose default size is a square of that side."""
    return [row for row in atlas() if row.rim is not None and row.size == [side, side]]


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
    rows = of_side(SIDE)
    groups: dict[str, list[str]] = {"all": [], "some": [], "none": []}
    for name, members in by_family(rows).items():
        number = sum(map(lopsided, members))
        kind = "none" if number == 0 else "all" if number == len(members) else "some"
        groups[kind].append(f"{name} ({number} of {len(members)})" if kind == "some" else f"{name} ({number or len(members)})")
    return (
        f"**At {SIDE} px, {share(rows)} geometries have a lopsided rim**, as an audit defines it: opposite sides differ by"
        f" more than {APART} px and by more than a quarter of the wider one. Of families with at least {MANY} geometries at"
        f" this size, all are in {', '.join(groups['all'])}; some are in {', '.join(groups['some']) or 'no family'}; none"
        f" are in {', '.join(groups['none'])}."
    )


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
            offset = "not known" if row.offset is None else f"{abs(row.offset[0] or 0):g} px"
            rim = ", ".join(map(str, row.rim or []))
            cells.append(f"{one}, {row.size[0]} px | {rim} | {row.uneven + row.uneven_pools} | {offset}")
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
    unique = {(id(rows[name]), id(rows[plain])): (name, plain) for name, plain in sorted(found.items(), reverse=True)}
    return dict(unique.values())


def anti_aliasing() -> str:
    names = aliased()
    rows = named()
    evened = [name for name, plain in names.items() if lopsided(rows[plain]) and not lopsided(rows[name])]
    kept = [name for name in names if lopsided(rows[name])]
    words = (
        f"**Anti-aliasing evens the rim where the stride moves from a convolution to an average pool.** Of {len(names)} pairs"
        f" of geometries, it does in {len(evened)} ({', '.join(sorted(evened))}); {len(kept)} stay lopsided"
        f" ({', '.join(sorted(kept)) or 'none'}). The sides of the rim are above, below, left, right."
    )
    return "\n".join([words, "", *pairs(names)])


def stages() -> str:
    patched = [row for row in of_side(SIDE) if row.family in PATCHED]
    others = [row for row in of_side(SIDE) if row.family not in PATCHED]
    words = (
        f"**Stages that begin with patches keep the rim even, and wide; dilated stages keep it even more lopsided than it"
        f" looks.** Of {', '.join(PATCHED)} at {SIDE} px, {share(patched)} geometries are lopsided; of all others,"
        f" {share(others)}."
    )
    return "\n".join([words, "", *pairs({name: plain for name, plain in DILATED.items() if name in named()})])


def findings() -> str:
    return "\n\n".join((families(), anti_aliasing(), stages()))


def written(page: str, text: str) -> str:
    """Return the page with the findings between its marks."""
    before, rest = page.split(MARKS[0])
    return before + MARKS[0] + text + MARKS[1] + rest.split(MARKS[1])[1]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), findings()))
