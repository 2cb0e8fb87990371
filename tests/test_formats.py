"""The law of formats: the table, JSON, CSV, Markdown and the card of one run state the same numbers."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from padviz.counting.shares.summary import Rim
from padviz.exports.cards import FIGURES
from padviz.exports.record import records, result_of
from padviz.geometry.one_layer import illustrate
from padviz.reports.tables import by_axis
from padviz.sources.toml.write import to_toml
from tests.cli.test_cli import run
from tests.sweeps import every_third
from tests.test_turning import CHOSEN, laid

NUMBER = re.compile(r"[+-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?: ?%)?")


@pytest.fixture(params=every_third(CHOSEN))
def asked(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A network and its size, as a command is asked for them."""
    monkeypatch.chdir(tmp_path)
    steps, (height, width) = CHOSEN[request.param]
    Path("net.toml").write_text(to_toml(laid(steps, (height, width))))
    return ["net.toml", "--size", f"{height}x{width}"]


def said(command: str, asked: list[str], *args: str, format_: str = "") -> str:
    result = run(command, *asked, *args, *(["--format", format_] if format_ else []))
    assert result.exit_code == 0, result.stderr
    return result.stdout


def rows_of(text: str) -> list[dict[str, str]]:
    found = csv.DictReader(io.StringIO(text))
    return [{key: cell.removeprefix("'") for key, cell in row.items()} for row in found]


def states(text: str, value: float | None) -> bool:
    """Whether a text is that number, rounded to as many digits as it has.

    >>> states("36.0 %", 0.36028), states("0.037", 0.03704), states("1,234", 1234), states("0.04", 0.03)
    (True, True, True, False)
    """
    if value is None:
        return text == ""
    plain = Decimal(text.rstrip(" %").replace(",", ""))
    step = Decimal((0, (1,), plain.as_tuple().exponent))  # type: ignore[arg-type]
    exact = Decimal(value) * (100 if text.endswith("%") else 1)
    return abs(exact - plain) <= step * Decimal("0.5000001")


def line(text: str, *start: str) -> str:
    """What a table, or a card, says in the one line that begins with these words."""
    found = [each for each in map(str.split, text.splitlines()) if each[: len(start)] == [*start]]
    assert len(found) == 1, (start, text)
    return " ".join(found[0][len(start) :])


def line_of(text: str, name: str) -> str:
    """The one line that begins with a name, with its gaps."""
    (found,) = [each.strip() for each in text.splitlines() if each.split()[:1] == [name]]
    return found


def numbers(text: str) -> list[str]:
    return NUMBER.findall(text)


def all_state(texts: list[str], values: list[float | None]) -> None:
    """All of these texts state all of these values, in this order."""
    assert len(texts) == len(values), (texts, values)
    assert [pair for pair in zip(texts, values, strict=True) if not states(*pair)] == []


def test_usage_and_its_card(asked: list[str]) -> None:
    table = said("usage", asked, "-o", "map.npz", "--overwrite")
    facts = json.loads(said("usage", asked, "-o", "map.npz", "--overwrite", format_="json"))
    share = facts["share"]
    for name in ("max", "min", "mean", "centre"):
        all_state([line(table, "paths,", name)], [facts[name]])
    for name in ("starved", "overused"):
        all_state(numbers(line(table, name))[:1], [share[name]])
    ends = [share["least"], share["most"], share["corners"]["top_left"], share["corners"]["bottom_right"]]
    all_state(numbers(line(table, "fair", "shares")), ends)
    skewed = {"skew of shares": share["skew"], "skew of usage": facts["skew"]}
    for name, axes in {**skewed, "asymmetry": facts["asymmetry"]}.items():
        all_state(numbers(line(table, *name.split())), [axes["height"], axes["width"]])
    depths = {each for side in facts["rim"].values() for each in side} - {0}
    if depths:
        assert {int(each) for each in numbers(line(table, "rim"))} == depths
    (sheet,) = rows_of(said("usage", asked, "-o", "map.npz", "--overwrite", format_="csv"))
    run("export", *asked, "-o", "out", "--format", "json", "--jobs", "1")
    (listed,) = rows_of(Path("out/index.csv").read_text())
    pairs = {"height": ("top", "bottom"), "width": ("left", "right")}
    for row in (sheet, listed):
        assert [row[f"rim_{side}"] for axis in pairs for side in pairs[axis]] == [
            str(depth) for axis in pairs for depth in facts["rim"][axis]
        ]
        for name, of in (("asymmetry", facts["asymmetry"]), ("skew", facts["skew"]), ("share_skew", share["skew"])):
            assert [float(row[f"{name}_{axis}"]) for axis in pairs] == [of[axis] for axis in pairs]
        for name in ("min", "max", "mean", "marginalised", "starved", "overused", "unused"):
            assert float(row[name]) == {**share, **facts}[name]
        assert [float(row["least_share"]), float(row["most_share"])] == [share["least"], share["most"]]
        assert [int(row["height"]), int(row["width"])] == facts["size"]
    (record,) = records(Path("out"))
    assert {key: record.figures[key] for key in facts if key not in ("files", "padding")} == {
        key: each for key, each in facts.items() if key not in ("files", "padding")
    }
    shown = dict(FIGURES["usage"](result_of(record)))
    assert shown["rim"] == f"{short(facts['rim'])} px"
    all_state(
        [shown["starved"], shown["overused"], shown["paths, max"]], [share["starved"], share["overused"], facts["max"]]
    )
    all_state(numbers(shown["fair shares"]), [share["least"], share["most"]])
    all_state([shown["asymmetry"]], [max(facts["asymmetry"].values())])
    all_state([shown[name] for name in skewed], [max(axes.values(), key=abs) for axes in skewed.values()])


def short(rim: dict[str, list[int]]) -> str:
    """The depths of a rim as cells have them: of both axes once where they are the same."""
    texts = [str(first) if first == last else f"{first}, {last}" for first, last in (rim["height"], rim["width"])]
    return texts[0] if texts[0] == texts[1] else " / ".join(texts)


def test_compare(asked: list[str]) -> None:
    given = ["--padding", "zero,symmetric", "-o", "c.png", "--overwrite"]
    table, sheet = said("compare", asked, *given), rows_of(said("compare", asked, *given, format_="csv"))
    facts = json.loads(said("compare", asked, *given, format_="json"))
    assert [row["padding"] for row in sheet] == facts["values"] == ["zero", "symmetric"]
    for row, found in zip(sheet, facts["results"], strict=True):
        share = found["share"]
        expected = [found["max"], *(share[key] for key in ("starved", "overused", "least", "most"))]
        expected += [share["corners"]["top_left"], max(found["asymmetry"].values())]
        expected += [max(share["skew"].values(), key=abs)]
        assert row.pop("rim") == short(found["rim"])
        assert [float(each) for each in [*row.values()][1:-1]] == expected
        cells = re.split(r"\s{2,}", line_of(table, row["padding"]))
        assert cells.pop(2) == short(found["rim"])
        all_state(cells[1:], expected)


def test_uneven(asked: list[str]) -> None:
    table, sheet = said("uneven", asked, "--all"), rows_of(said("uneven", asked, "--all", format_="csv"))
    marked = said("uneven", asked, "--all", format_="markdown")
    (facts,) = json.loads(said("uneven", asked, "--all", format_="json"))["results"]
    listed = {(layer["layer"], axis): layer[axis] for layer in facts["layers"] for axis in ("height", "width")}
    uneven = {layer["layer"]: layer for layer in facts["layers"]}
    assert [(row["layer"], row["axis"]) for row in sheet] == [*listed]
    for row in sheet:
        found, layer = listed[row["layer"], row["axis"]], uneven[row["layer"]]
        plain = ("input", "output", "kernel", "stride", "dilation", "remainder", "skipped", "overhang")
        assert [int(row[key]) for key in plain] == [found[key] for key in plain]
        for key in ("declared", "consumed"):
            assert [int(row[f"{key}_before"]), int(row[f"{key}_after"])] == found[key]
        reads = found["consumed"][0], found["consumed"][1] + found["overhang"]
        assert row["uneven"] == str(int(reads[0] != reads[1] and not found["circular"]))
        assert row["offset"] == ("" if found["offset"] is None else str(found["offset"]))
        assert (row["kind"], row["convolution"]) == (layer["kind"], str(int(layer["convolution"])))
        same = layer["height"] == {
            **layer["width"],
            **{key: layer["height"][key] for key in ("offset", "offset_added", "rim_added")},
        }
        shape = f"{found['kernel']}/{found['stride']}/{found['dilation']}"
        pads = ("+".join(map(str, found[key])) for key in ("declared", "consumed"))
        lost = [str(found[key]) for key in ("remainder", "skipped", "overhang") if found[key]]
        added = [layer[axis]["offset_added"] for axis in (("height", "width") if same else (row["axis"],))]
        moved = [] if all(each is None for each in added) else by_axis(added).split()
        rims = [layer[axis]["rim_added"] for axis in (("height", "width") if same else (row["axis"],) * 2)]
        assert [row["rim_added_before"], row["rim_added_after"]] == [*map(str, found["rim_added"] or ("", ""))]
        rim = Rim(*rims).short.split() if all(rims) else []
        cells = [shape, *([] if same else [row["axis"]]), *pads, *lost, *moved, *rim]
        for text in (table, marked.replace("|", " ")):
            (own,) = [
                each
                for each in text.splitlines()
                if each.split()[:1] == [row["layer"]] and (same or row["axis"] in each.split())
            ]
            words = [word for word in own.split()[1:] if word not in ("(pool)",)]
            assert words[1 : 1 + len(cells)] == cells
            if row["uneven"] == "1":
                assert [int(each) for each in numbers(" ".join(words[1 + len(cells) :]))] == [*reads]


def test_coverage(asked: list[str]) -> None:
    given = ["-o", "c.npz", "--overwrite"]
    table, (row,) = said("coverage", asked, *given), rows_of(said("coverage", asked, *given, format_="csv"))
    (found,) = json.loads(said("coverage", asked, *given, format_="json"))["layers"]
    assert row == {key: str(each) for key, each in found.items()}
    least = found["min"] / found["full"]
    shown = [found["height"], found["width"], found["full"], least]
    all_state(
        numbers(line(table, row["layer"])), [*shown, *(found[f"share_{key}"] for key in ("mean", "centre", "corner"))]
    )


def test_taps(asked: list[str]) -> None:
    asked = [*asked, "--taps"]
    table, sheet = said("uneven", asked), rows_of(said("uneven", asked, format_="csv"))
    layers = json.loads(said("uneven", asked, format_="json"))["layers"]
    for row, found in zip(sheet, layers, strict=True):
        grid = [each for reads in found["grid"] for each in reads]
        shape = [len(found["grid"]), len(found["grid"][0])]
        assert row["taps"] == f"{shape[0]} x {shape[1]}"
        assert [int(row[key]) for key in ("units", "least", "most")] == [found["units"], min(grid), max(grid)]
        both = [found["imbalance"]["height"], found["imbalance"]["width"]]
        assert [float(row["top_bottom"]), float(row["left_right"])] == both
        counted: list[float | None] = [*shape, found["units"], min(grid), max(grid)]
        imbalance = both[:1] if both[0] == both[1] else both
        all_state(numbers(line(table, row["layer"]).partition(" ")[2]), [*counted, *imbalance])


def test_layers(asked: list[str]) -> None:
    table, sheet = said("layers", asked), rows_of(said("layers", asked, format_="csv"))
    layers = json.loads(said("layers", asked, format_="json"))["layers"]
    for row, found in zip(sheet, layers, strict=True):
        assert row["macs"] == ("" if found["macs"] is None else str(found["macs"]))
        pairs = {key: each for key, each in found.items() if isinstance(each, list)}
        for key in ("size", "stride", "padding", "centre", "offset"):
            pairs[f"field_{key}"] = [found["field"][axis][key] for axis in ("height", "width")]
        for key, pair in pairs.items():
            tall, wide = ("+".join(map(str, each)) if isinstance(each, list) else _short(each) for each in pair)
            assert row[key].strip() == (tall if tall == wide else f"{tall} x {wide}").strip()
        shape = "/".join(row[key] for key in ("kernel", "stride", "dilation")) if row["kernel"] else ""
        macs = row["macs"].removeprefix("0") if row["macs"] == "0" else row["macs"]
        shown = [row["kind"], shape, *(row[key] for key in ("padding", "input", "output")), macs]
        shown += [row[key] for key in ("field_size", "field_offset", "parts_at")]
        words = [_bare(word) for cell in shown for word in cell.split()]
        assert [*map(_bare, line(table, row["layer"]).split())] == words


def _bare(word: str) -> str:
    return word.replace(",", "")


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def test_sizes(asked: list[str]) -> None:
    given = [asked[0], "--size", "9:60"]
    table, sheet = said("sizes", given), rows_of(said("sizes", given, format_="csv"))
    facts = json.loads(said("sizes", given, format_="json"))
    assert [int(row["size"]) for row in sheet] == facts["balanced"]
    assert [int(row["size"]) for row in sheet if row["remainder"] == "0"] == facts["balanced_without_remainder"]
    assert [row["macs"] for row in sheet] == [str(each) for each in facts["macs"] or []] or not facts["macs"]
    assert numbers(line(table, "balanced"))[:2] == [str(len(facts["balanced"])), "52"]
    assert numbers(line(table, "no", "remainder"))[:2] == [str(len(facts["balanced_without_remainder"])), "52"]
    runs = [each.split()[1:] for each in table.splitlines() if each.split()[:1] == ["sizes"]]
    for words, sizes in zip(runs, (facts["balanced"], facts["balanced_without_remainder"]), strict=True):
        spans = [[*map(int, word.split("-"))] for word in words if word != "none"]
        assert [n for span in spans for n in range(span[0], span[-1] + 1)] == sizes


@pytest.mark.parametrize("scheme", ["zero", "symmetric", "zero/circular", "partial"])
@pytest.mark.parametrize("size", [(4, 7), (7, 4), (8, 16)])
def test_kernel_prints_the_grids_of_one_layer(scheme: str, size: tuple[int, int]) -> None:
    shown = illustrate(3, 2, 1, size, scheme)
    given = ["--kernel", "3", "--stride", "2", "--size", f"{size[0]}x{size[1]}", "--padding", scheme]
    for pixel in (None, (3, 1)):
        text = said("kernel", given, *(["--pixel", f"{pixel[0]},{pixel[1]}"] if pixel else []))
        assert numbers(text.splitlines()[0])[:4] == ["3", "3", "2", "1"]
        grids = [shown.padded, shown.uses, *([shown.taps(*pixel)] if pixel else [])]
        printed = [each.split() for each in text.splitlines()[3:]]
        assert len(printed) == max(map(len, grids))
        for i, words in enumerate(printed):
            assert words == [str(cell) for grid in grids if i < len(grid) for cell in grid[i]]


def test_audit(asked: list[str]) -> None:
    """Wherever the report has them, the figures of the network and of each remedy are those of JSON."""
    (found,) = json.loads(said("audit", asked, format_="json"))["results"]
    marked = [
        [cell.strip() for cell in each.strip("|").split("|")]
        for each in said("audit", asked, format_="markdown").splitlines()
        if each.startswith("| ")
    ]
    head, today, *remedies = marked
    screen = said("audit", asked)
    outcomes = {"today": found["outcome"]} | {each["what"]: each["outcome"] for each in found["remedies"]}
    assert [today[0], *(row[0] for row in remedies)] == [*outcomes]
    ratios = {each["what"]: each["macs_ratio"] for each in found["remedies"]}
    for cells in (today, *remedies):
        row, after = dict(zip(head, cells, strict=True)), outcomes[cells[0]]
        share = after["share"]
        all_state(
            [row["uneven"], row["starved"], row["overused"]],
            [after["uneven_convolutions"], share["starved"], share["overused"]],
        )
        assert row["rim"] == short(after["rim"])
        if ratios.get(cells[0]) is not None:
            all_state([row["macs"].rstrip("x")], [ratios[cells[0]]])
        own = [each for each in screen.splitlines() if re.match(rf"\s+(\d+ )?{re.escape(cells[0])}  ", each)]
        for each in own:
            told = re.split(r"\s{2,}", each.split(cells[0])[1].strip())
            assert told[:4] == [row[key] for key in ("uneven", "starved", "overused", "rim")]
    assert any(each.split()[:1] == ["today"] for each in screen.splitlines()) == bool(remedies)
