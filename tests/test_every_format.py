"""The law of formats, walked over all commands: every format of a report states the same numbers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from padviz.cli.group import COMMANDS, cli
from padviz.reports.rendering import ROWS, to_text
from padviz.reports.report import SUFFIXES, Column, Facts, Heading, Lines, Report, Table, Verbatim, formats_of
from padviz.sources.toml.write import to_toml
from padviz.version import SCHEMAS
from tests.cli.test_cli import run
from tests.cli.test_cli_foreign import plain
from tests.scoring.made import coco_files, scenes
from tests.snippets import seeing_file
from tests.test_formats import NUMBER, states
from tests.test_turning import CHOSEN, laid
from tests.trained.test_trying import folder

WALK = {
    "audit": "net.toml", "compare": "net.toml --padding zero,symmetric", "coverage": "net.toml",
    "detect": "seeing.onnx --size 48x64 --padding trained,circular",
    "diff": "vgg11 vgg13 --size 64", "filters": "model.onnx --size 32x48",
    "kernel": "--size 4x5 --padding zero,partial --pixel 0,1", "layers": "net.toml", "layers ": "",
    "repad": "model.onnx --size 32x48 --padding reflect", "responses": "model.onnx --size 32x48 -n 2",
    "rings": "vgg11 --gt gt.json --pred pred.json --rings 3 --size 96x128 --by-class",
    "seen": "model.onnx --images photos -n 2 --size 32x48 --patch 4 --grid 5", "sizes": "net.toml --size 9:60",
    "uneven --taps": "net.toml", "tiles": "unet_padded --size 1024x1536 --tile 512 --for monai",
    "trial": "model.onnx --images photos -n 4 --padding circular --size 225",
    "uneven": "net.toml --all", "usage": "net.toml",
}  # fmt: skip
ASIDE = {"explore", "export", "convert"}  # which make pages, folders and descriptions
MAKES_A_PICTURE = ("usage", "compare", "coverage", "detect", "repad")  # -o names what is made beside
NETWORK = "parted on both axes"


def prepared(command: str) -> list[str]:
    """A command line, whose files are written where it is run."""
    steps, size = CHOSEN[NETWORK]
    line = WALK[command]
    if "net.toml" in line:
        Path("net.toml").write_text(to_toml(laid(steps, size)))
    if "model.onnx" in line:
        plain("model.onnx")
    if "seeing.onnx" in line:
        seeing_file("seeing.onnx")
    if "gt.json" in line:
        coco_files(scenes(0, images=12))
    if "photos" in line:
        folder(Path("photos"), 3, 260, 280)
    return [*command.split(), *line.split()]


@pytest.fixture(scope="module", params=WALK)
def report(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    """What a command reports, which runs once for all tests here."""
    caught: list[Report] = []

    def catching(report: Report, format_: str) -> str:
        caught.append(report)
        return to_text(report, format_)

    with pytest.MonkeyPatch.context() as here:
        here.chdir(tmp_path_factory.mktemp(request.param))
        here.delenv("COLUMNS", raising=False)  # as the command that runs has none
        with here.context() as inside:
            inside.setattr("padviz.reports.rendering.to_text", catching)
            result = run(*prepared(request.param))
        assert result.exit_code == 0, result.stderr
        assert result.stdout == f"{to_text(caught[0], 'table')}\n"
        yield caught[0]


def test_the_walk_has_all_commands() -> None:
    assert {each.split()[0] for each in WALK} == {*COMMANDS} - ASIDE
    assert {*COMMANDS} - ASIDE <= SCHEMAS.keys()
    for name in {*COMMANDS} - ASIDE:
        command = cli.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        (option,) = [each for each in command.params if each.name == "format_"]
        assert tuple(option.type.choices) == formats_of(name)  # type: ignore[attr-defined]
        assert {"table", "json", "csv", "markdown"} <= {*option.type.choices}  # type: ignore[attr-defined]
        assert ("check" in {each.name for each in command.params}) == ("github" in formats_of(name))


def leaves(value: Any) -> Iterator[float]:
    """All numbers in what JSON holds, and those in its texts."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from leaves(each)
    elif isinstance(value, int | float):
        yield value
    elif isinstance(value, str):
        yield from (number for text in NUMBER.findall(value) for number in [float(text.rstrip(" %").replace(",", ""))])


def known(report: Report) -> list[float]:
    """The numbers of JSON, and what is worked out of two of them: the least share, mean E, totals, sides of grids."""
    facts = json.loads(to_text(report, "json"))
    found = [*leaves(facts)]
    for layer in facts.get("layers", ()):
        if isinstance(layer, dict) and layer.get("full"):
            found.append(layer["min"] / layer["full"])
        if isinstance(layer, dict) and "grid" in layer:
            found += [len(layer["grid"]), len(layer["grid"][0])]
        if isinstance(layer, dict) and isinstance(energy := layer.get("energy"), dict):
            found.append(sum(energy.values()) / 4)
    of_classes = facts.get("classes") if report.name == "rings" else None
    found += [sum(ring["objects"] for ring in rings) for rings in (of_classes or {}).values()]
    return found


def unknown(texts: list[str], values: list[float]) -> list[str]:
    """The numbers in some texts that none of the values rounds to; in percent, where a text has any."""
    return [
        number
        for text in texts
        for number in NUMBER.findall(text)
        if not any(states(number, each) or ("%" in text and states(number, each * 100)) for each in values)
    ]


def test_csv_states_what_json_does(report: Report) -> None:
    head, *rows = csv.reader(io.StringIO(to_text(report, "csv")))
    assert rows
    assert len({*head}) == len(head)
    assert {len(row) for row in rows} == {len(head)}
    assert all(re.fullmatch(r"[a-z0-9_]+|", key) for key in head)
    values = known(report)
    exact = {Decimal(each) if isinstance(each, int) else Decimal(repr(each)) for each in values}
    for key, cell in [(key, cell) for row in rows for key, cell in zip(head, row, strict=True)]:
        if NUMBER.fullmatch(cell) and key not in ("row", "column", "remainder", "convolution", "uneven", "norm"):
            assert Decimal(cell) in exact or len(exact) < 2, (key, cell)


def cells(markdown: str) -> list[list[str]]:
    """The cells of all tables of a page, row by row, without what keeps markup apart."""
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    return [[re.sub(r"\\(.)", r"\1", cell).strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_paper_states_what_json_does(report: Report) -> None:
    rows = [row[1:] for row in cells(to_text(report, "markdown"))]
    assert unknown([cell for row in rows for cell in row], known(report)) == []


class Tables(HTMLParser):
    """The cells of all tables of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.shown = self.folded = 0
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.folded += tag == "details"
        self.inside &= tag != "summary"  # how a long cell opens
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True
        self.shown += tag == "td" and not self.folded and len(self.rows[-1]) == 1

    def handle_endtag(self, tag: str) -> None:
        self.inside = (self.inside and tag not in ("td", "th")) or tag == "summary"
        self.folded -= tag == "details" and self.inside  # a long cell alone

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data.strip()


def test_a_notebook_has_the_tables_of_paper(report: Report) -> None:
    found = Tables(to_text(report, "html"))
    expected = cells(to_text(report, "markdown"))
    own = [row for row in found.rows if len(row) > 2 or row in expected]
    heads = [row for i, row in enumerate(own) if row not in own[:i]]
    assert [row for row in expected if row not in heads] == []
    assert found.shown <= ROWS * max(1, to_text(report, "html").count("<table>"))


def test_paper_has_the_numbers_of_the_screen(report: Report) -> None:
    paper = {*NUMBER.findall(to_text(report, "markdown").replace("\\", ""))}
    lines = [line for line in to_text(report, "table").splitlines() if not line.startswith("* ")]
    said = {number for line in lines for number in NUMBER.findall(line)}
    assert report.paper or said - paper == set()


@pytest.mark.parametrize("command", [each for each in WALK if each not in MAKES_A_PICTURE])
def test_texts_are_written_as_they_are_printed(command: str, elsewhere: None) -> None:
    """Each format by a third of the commands: what writes it is one."""
    format_ = ("json", "csv", "markdown")[[*WALK].index(command) % 3]
    asked, name = prepared(command), f"x{SUFFIXES[format_]}"
    assert run(*asked, "-o", name).exit_code == 0
    assert Path(name).read_text() == run(*asked, "--format", format_).stdout


def test_a_name_is_no_markup_in_a_notebook() -> None:
    name = "<img src=x onerror=alert(1)>&\x1b[31m"
    blocks = [
        Heading(name),
        Facts([(name, name)]),
        Table([Column(name)], [{name: name}], name),
        Lines([name]),
        Verbatim(name),
    ]
    text = to_text(Report("layers", {}, [blocks]), "html")
    assert "<img" not in text
    assert text.count("&lt;img") == 8
    assert text.count("\x1b") == 0


def test_long_tables_are_folded_in_a_notebook() -> None:
    for count, folded in ((ROWS, 0), (ROWS + 1, 1)):
        table = Table([Column("n")], [{"n": i} for i in range(count)])
        text = to_text(Report("layers", {}, [[table]]), "html")
        assert text.count("<details>") == folded
        assert ("<summary>1 more row</summary>" in text) == bool(folded)
        assert re.findall(r"<td>(\d+)</td>", text) == [*map(str, range(count))]


def test_differences_are_annotated() -> None:
    for check, level in (([], "warning"), (["--check"], "error")):
        result = run("diff", "vgg11", "vgg13", "--size", "64", "--format", "github", *check)
        assert result.exit_code == len(check)
        lines = result.stdout.splitlines()
        assert {line.partition(" ")[0] for line in lines} == {f"::{level}"}
        assert lines[0] == f"::{level} title=VGG-11 and VGG-13%2C 64 x 64::features.2: kind, both: maxpool and conv"
