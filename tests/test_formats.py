"""Laws over all commands: every format states the same numbers of the same things, and results have one shape."""

import csv
import io
import json
import os
import pickle
import pty
import re
import subprocess
import sys
import termios
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from html.parser import HTMLParser
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import padviz
from padviz.cli.group import COMMANDS, cli
from padviz.cli.showing import show
from padviz.exports.sidecars import sidecars
from padviz.reports.rendering import ROWS, to_html, to_text
from padviz.reports.report import SUFFIXES, Column, Facts, Heading, Lines, Report, Table, Verbatim
from padviz.reports.tables import FIGURE, FOLDED, readable
from padviz.sources.toml.write import to_toml
from tests.cli.test_cli import APART, run
from tests.cli.test_cli_foreign import plain
from tests.figures import made_up
from tests.scoring.made import coco_files, scenes
from tests.snippets import seeing_file
from tests.sweeps import REST
from tests.trained.test_trying import folder
from tests.turning import CHOSEN, laid

NUMBER = re.compile(r"[+-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?: ?%)?")
WALK = {
    "audit": "net.toml", "check": "vgg11 --size 64 --context 80 --rim 60 --even",
    "compare": "net.toml --padding zero,symmetric", "coverage": "net.toml",
    "detect": "seeing.onnx --size 48x64 --padding trained,circular",
    "diff": "vgg11 vgg13 --size 64", "filters": "model.onnx --size 32x48",
    "kernel": "--size 4x5 --padding zero,partial --pixel 0,1", "layers": "net.toml", "networks": "",
    "rules": "", "verify": "model.onnx --size 32x48",
    "repad": "model.onnx --size 32x48 --padding reflect", "responses": "model.onnx --size 32x48 -n 2",
    "run-tiles": "seeing.onnx image.npy --tile 32 -o output.npy",
    "rings": "vgg11 --gt gt.json --pred pred.json --rings 3 --size 96x128 --by-class",
    "seen": "model.onnx --images photos -n 2 --size 32x48 --patch 4 --grid 5",
    "seams": "whole.npy tiled.npy",
    "shards": "unet_padded --size 512 --shards 4", "stream": "tests.signals:Tcn --chunk 64",
    "keeps": "unet_padded --size 1024 --tile 256",
    "sizes": "net.toml --size 9:60", "taps": "net.toml",
    "tiles": "unet_padded --size 1024x1536 --tile 512 --for monai",
    "trial": "model.onnx --images photos -n 4 --padding circular --size 225",
    "uneven": "net.toml --all", "usage": "net.toml",
}  # fmt: skip
FUNCTIONS: dict[str, Callable[[], padviz.Result[Any]]] = {  # whose results no command shows
    "costs": lambda: padviz.costs("resnet50", 224),
    "fields": lambda: padviz.fields("resnet50", 224),
}
UNDRAWN = (
    "costs",
    "rules",
    "run-tiles",
    "verify",
    "networks",
    "shards",
    "stream",
    "keeps",
)  # beside the commands whose -o takes no picture
ASIDE = {"explore", "export", "convert"}  # which make pages, folders and descriptions
FIRST = "parted on both axes"
SCHEMAS = Path(__file__).parents[1] / "docs/reference/schemas"
ASKED = [pytest.param((command, FIRST), id=command) for command in WALK] + [
    pytest.param((command, name), id=f"{command}, {name}", marks=REST)
    for command, line in WALK.items()
    for name in CHOSEN
    if name != FIRST and "net.toml" in line
]


def prepared(command: str, network: str = FIRST) -> list[str]:
    line = WALK[command]
    if "net.toml" in line:
        Path("net.toml").write_text(to_toml(laid(*CHOSEN[network])))
    if "model.onnx" in line:
        plain("model.onnx")
    if "seeing.onnx" in line:
        seeing_file("seeing.onnx")
    if "gt.json" in line:
        coco_files(scenes(0, images=12))
    if "whole.npy" in line:
        made_up.seam_files()
    if "image.npy" in line:
        np.save("image.npy", np.random.default_rng(0).random((3, 48, 64), np.float32))
    if "photos" in line:
        folder(Path("photos"), 3, 260, 280)
    return [*command.split(), *line.split()]


class Ran(NamedTuple):
    command: str
    report: Report
    result: padviz.Result[Any] | None


@pytest.fixture(scope="module", params=[*ASKED, *((name, "") for name in FUNCTIONS)], ids=" ".join)
def ran(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """What a command reports, and its result, which runs once for all tests here."""
    caught: list[Report] = []
    results: list[padviz.Result[Any]] = []
    command, network = request.param
    if command in FUNCTIONS:
        result = FUNCTIONS[command]()
        yield Ran(command, result._report, result)
        return

    def catching(report: Report, format_: str, width: int) -> str:
        caught.append(report)
        return to_text(report, format_, width)

    def showing(result: padviz.Result[Any], *args: Any, **look: Any) -> None:
        results.append(result)
        show(result, *args, **look)

    with pytest.MonkeyPatch.context() as here:
        here.chdir(tmp_path_factory.mktemp("formats"))
        here.delenv("COLUMNS", raising=False)  # as the command that runs has none
        with here.context() as inside:
            inside.setattr("padviz.reports.rendering.to_text", catching)
            for home in ("running", "by_hand"):
                inside.setattr(f"padviz.cli.{home}.show", showing)
            done = run(*prepared(command, network))
        assert done.exit_code == (command == "seams"), done.stderr
        assert done.stdout == f"{to_text(caught[0], 'table')}\n"
        yield Ran(command, caught[0], next(iter(results), None))


@pytest.fixture(scope="module")
def report(ran: Ran) -> Report:
    return ran.report


@pytest.fixture(scope="module")
def result(ran: Ran) -> padviz.Result[Any]:
    if ran.result is None:
        pytest.skip("repad makes a file")
    return ran.result


def test_the_walk_has_all_commands() -> None:
    assert {each.split()[0] for each in WALK} == {*COMMANDS} - ASIDE
    for name in {*COMMANDS} - ASIDE:
        command = cli.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        (option,) = [each for each in command.params if each.opts[0] == "--format"]
        assert {"table", "json", "csv", "markdown"} <= {*option.type.choices}  # type: ignore[attr-defined]
        assert (name == "check") == ("github" in option.type.choices)


def test_json_is_as_the_schema_of_the_command_says(ran: Ran) -> None:
    """Of rows and of what they are about, in the file that the docs have, which `make schemas` writes."""
    if ran.command in FUNCTIONS:
        return
    name = ran.report.name
    schema = json.loads(Path(SCHEMAS, f"{name}.json").read_text())
    facts = json.loads(to_text(ran.report, "json"))
    jsonschema.validate(facts, schema)
    facts["rows"].append({"no key of it": 1})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(facts, schema)


def test_the_schemas_of_the_docs_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "docs/schemas.py", "--check"], cwd=SCHEMAS.parents[2], capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert {path.stem for path in SCHEMAS.glob("*.json")} == {*WALK}


# numbers, by the keys that lead to them in JSON and the texts beside them
Known = dict[frozenset[str], set[Decimal]]


def states(text: str, value: Decimal) -> bool:
    """Whether a text is that number, rounded to as many digits as it has.

    >>> states("36.0 %", Decimal("0.36028")), states("1,234", Decimal(1234)), states("0.04", Decimal("0.03"))
    (True, True, False)
    """
    plain = Decimal(text.rstrip(" %").replace(",", ""))
    step = Decimal((0, (1,), plain.as_tuple().exponent))  # type: ignore[arg-type]
    return abs(value * (100 if text.endswith("%") else 1) - plain) <= step * Decimal("0.5000001")


def leaves(value: Any, words: frozenset[str] = frozenset()) -> Iterator[tuple[frozenset[str], Any]]:
    """All numbers in what JSON holds, those in its texts, and how long its lists are."""
    if isinstance(value, dict):
        beside = words | {each for each in value.values() if isinstance(each, str)}
        for key, each in value.items():
            yield from leaves(each, beside | {key, *key.split("_")})
    elif isinstance(value, list):
        yield words, len(value)
        beside = words | {text for text in value if isinstance(text, str)}
        for each, side in zip(
            value, _sides(words) if len(value) == 2 else [()] * len(value), strict=True
        ):
            yield from leaves(each, beside | {*side} if isinstance(each, int | float) else beside)
    elif isinstance(value, str):
        yield from (
            (words, float(number.rstrip(" %").replace(",", ""))) for number in NUMBER.findall(value)
        )
    elif value is not None:
        yield words, value if isinstance(value, float) else int(value)


def _sides(words: frozenset[str]) -> Sequence[Sequence[str]]:
    """What two numbers are: those of both axes, or what is before and after on one."""
    if "height" in words:
        return (("top", "before"), ("bottom", "after"))
    return (
        (("left", "before"), ("right", "after")) if "width" in words else (("height",), ("width",))
    )


def worked_out(facts: Any) -> Iterator[tuple[frozenset[str], Any]]:
    """What is worked out of two numbers of JSON: the range of a grid, mean E, totals, remainders."""
    for row in facts["rows"]:
        texts = {each for each in row.values() if isinstance(each, str)}
        words = frozenset(texts | {word for key in row for word in (key, *key.split("_"))})
        if row.get("energy_top") is not None:
            energies = [row[f"energy_{side}"] for side in ("top", "bottom", "left", "right")]
            yield words, sum(energies) / 4
    counts: dict[str, int] = defaultdict(int)
    for row in facts["rows"] if facts["command"] == "rings" else ():
        if row["part"] == "class" and row["figure"] == "recall":
            counts[row["class"]] += row["count"]
    for name, count in counts.items():
        yield frozenset((name, "objects")), count


def known(facts: Any) -> Known:
    found: Known = defaultdict(set)
    for words, value in (*leaves(facts), *worked_out(facts)):
        found[words].add(Decimal(repr(value)))
    return found


@pytest.fixture(scope="module")
def facts(report: Report) -> Known:
    return known(json.loads(to_text(report, "json")))


ALSO = {  # what else a column may be called in JSON
    "mean D": ("skew",),
    "k/s": ("kernel", "stride"),
    "a": ("asymmetry",),
    "first": ("one_value",),
    "second": ("other_value",),
}
IN_POINTS = ("difference", "interval")  # of two shares
# Places, code, and what is counted or compared.
WORKED_OUT = ("row", "column", "left", "top", "edit", "uneven", "D above 0")


def unstated(
    facts: Known, columns: Sequence[str], row: Sequence[str], exact: bool
) -> list[tuple[str, str]]:
    """The numbers of a row that JSON does not have by the words of their columns, nearest to what the row is about."""
    there = frozenset().union(*facts)
    about, found = there & {cell for cell in row if not NUMBER.fullmatch(cell)}, []
    for column, cell in zip(columns, row, strict=True):
        numbers = NUMBER.findall(cell) if cell not in about and column not in WORKED_OUT else []
        values: set[Decimal] = set()
        for name in (column, *ALSO.get(column, ())) if numbers else ():
            wanted = there & {*re.split(r"[_ ,]+", name)}
            named = [words for words in facts if wanted <= words]
            nearest = max((len(about & words) for words in named), default=0)
            values.update(*(facts[words] for words in named if len(about & words) == nearest))
        for number in numbers:
            if exact:
                stated = number != cell or Decimal(number) in values
            else:
                scales = (1, 100) if "%" in cell or column in IN_POINTS else (1,)
                stated = any(states(number, value * scale) for value in values for scale in scales)
            found += [] if stated else [(column, cell)]
    return found


def test_csv_states_what_json_does(report: Report, facts: Known) -> None:
    head, *rows = csv.reader(io.StringIO(to_text(report, "csv")))
    assert rows or report.name == "sizes"
    assert len({*head}) == len(head)
    assert {len(row) for row in rows} <= {len(head)}
    assert all(re.fullmatch(r"[a-z0-9_]+|", key) for key in head)
    assert [wrong for row in rows for wrong in unstated(facts, head, row, exact=True)] == []


def tables_of(markdown: str) -> list[list[list[str]]]:
    """The cells of each table of a page, row by row, without what keeps markup apart."""
    blocks = [
        [line for line in block.splitlines() if line.startswith("| ")]
        for block in markdown.split("\n\n")
    ]
    return [
        [
            [re.sub(r"\\(.)", r"\1", cell).strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in lines
        ]
        for lines in blocks
        if lines
    ]


def test_paper_states_what_json_does(report: Report, facts: Known) -> None:
    page = to_text(report, "markdown")
    for head, *rows in tables_of(page):
        assert [wrong for row in rows for wrong in unstated(facts, head, row, exact=False)] == []
    for name, value in re.findall(r"^- ([^:\n]*): ([+-]?\d[\d.,]*(?: ?%)?)", page, re.MULTILINE):
        assert unstated(facts, [name], [value], exact=False) == []


class Tables(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.inside &= tag != "summary"  # how a long cell opens
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = (self.inside and tag not in ("td", "th")) or tag == "summary"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data.strip()


def test_a_notebook_has_the_tables_of_paper(report: Report) -> None:
    found = Tables(to_html(report))
    expected = []
    for head, *rows in tables_of(to_text(report, "markdown")):
        filled = [any(column) for column in zip(*rows, strict=True)] or [True] * len(head)
        expected += [[*compress(row, filled)] for row in (head, *rows)]
    own = [row for row in found.rows if len(row) > 2 or row in expected]
    assert [row for row in expected if row not in own] == []


def test_paper_has_the_numbers_of_the_screen(report: Report) -> None:
    paper = {*NUMBER.findall(to_text(report, "markdown").replace("\\", ""))}
    lines = [line for line in to_text(report, "table").splitlines() if not line.startswith("* ")]
    said = {number for line in lines for number in NUMBER.findall(line)}
    assert report.paper or said - paper == set()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_tables_fit_the_terminal_and_name_the_columns_that_do_not(
    report: Report, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    for colour in ("NO_COLOR", "FORCE_COLOR"):
        with monkeypatch.context() as here:
            here.setenv(colour, "1")
            for block in (block for part in report.screen for block in part):
                text = to_text(Report("layers", {}, [[block]]), "table", width)
                assert "\x1b" not in text
                # Code to paste is not folded.
                fits = max(width, 80) if isinstance(block, Verbatim) else width
                assert max(map(len, text.splitlines()), default=0) <= fits
                if isinstance(block, Table) and block.rows:
                    check_columns(block, text, width)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


MISSING = re.compile(
    r"Not shown in (\d+) columns: (.*)[.] Widen the terminal, or pipe to less -S[.]"
)


def check_columns(table: Table, text: str, width: int) -> None:
    """Check that all short words and figures of a column are shown, or it is named below the table."""
    named = MISSING.search(" ".join(text.split("\n")))
    missing = []
    if named:
        assert named[1] == str(width)
        missing = named[2].split(", ")
        assert {*missing} <= {*table.headings}
    shown = {*text.split()}
    for heading, column in zip(table.headings, zip(*table.cells(), strict=True), strict=True):
        cells = [readable(cell) for cell in column if cell not in (None, "")]
        if heading in missing or not cells:
            continue
        assert {*heading.split()} <= shown
        # A figure with its unit is on one line, and longer words fold.
        figures = [cell for cell in cells if FIGURE.match(cell) and len(cell) <= FOLDED]
        assert [figure for figure in figures if figure not in text] == []
        words = {word for cell in cells for word in cell.split() if len(word) <= FOLDED}
        assert words <= shown


# What people come for, in a narrow terminal.
KEPT = {
    "layers densenet201": "layer kind field",
    "uneven resnet50": "layer kind used offset rim",
    "audit resnet50 --all": "remedy uneven starved rim",
    "audit resnet50 vgg11": "network verdict starved",
    "compare resnet50 --padding zero,partial": "padding rim starved overused min",
    "taps resnet50": "layer kind kernel imbalance",
    "check resnet50": "state expectation layer found",
    "diff resnet50 resnet18": "layer what value other",
    "networks": "network title size source",
    "sizes resnet50 --size 220:260": "property rule count runs",
}


@pytest.mark.parametrize("command", KEPT)
def test_the_columns_that_people_come_for_are_the_last_to_go(command: str) -> None:
    text = CliRunner(**APART, env={"COLUMNS": "60"}).invoke(cli, command.split()).stdout
    assert max(map(len, text.splitlines())) <= 60
    headings = {*KEPT[command].split()}
    assert [line for line in text.splitlines() if headings <= {*line.split()}]


def test_a_file_has_all_columns_whatever_the_terminal(elsewhere: None) -> None:
    result = CliRunner(**APART, env={"COLUMNS": "60"}).invoke(
        cli, ["layers", "resnet50", "-o", "x.txt"]
    )
    assert result.exit_code == 0
    assert Path("x.txt").read_text() == run("layers", "resnet50").stdout


@pytest.mark.parametrize(
    ("width", "shown"), [(60, "field  stride"), (80, "stride  offset"), (200, "stride  offset")]
)
def test_a_real_terminal_shows_the_receptive_field(width: int, shown: str) -> None:
    screen = in_terminal(width, "layers", "resnet50", "--size", "224")
    headings = next(line for line in screen.splitlines() if line.startswith(" layer"))
    assert headings.endswith(shown)
    assert max(map(len, screen.splitlines())) <= width


def in_terminal(width: int, *command: str) -> str:
    """Return what padviz prints in a terminal of that many columns, with colours."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (50, width))
    settings = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    for name in ("COLUMNS", "NO_COLOR"):
        settings.pop(name, None)
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-m", "padviz", *command], stdout=slave, env=settings
    ) as process:
        os.close(slave)
        with suppress(OSError):  # the end of a terminal is an error
            while chunk := os.read(master, 4096):
                shown += chunk
    os.close(master)
    assert process.returncode == 0
    return shown.decode()


@pytest.mark.parametrize("command", ["sizes", "kernel", "layers"])
def test_texts_are_written_as_they_are_printed(command: str, elsewhere: None) -> None:
    asked = prepared(command)
    for format_ in ("json", "csv", "markdown"):
        name = f"x{SUFFIXES[format_]}"
        assert run(*asked, "-o", name).exit_code == 0
        assert Path(name).read_text() == run(*asked, "--format", format_).stdout


def test_records_the_list_and_the_card_of_an_export_state_what_a_command_does(
    elsewhere: None,
) -> None:
    asked = prepared("usage")[1:]
    facts = json.loads(run("usage", *asked, "--no-picture", "--format", "json").stdout)
    run("export", *asked, "-o", "out", "--format", "json", "--jobs", "1")
    (sidecar,) = sidecars(Path("out"))
    assert {key: sidecar.facts[key] for key in facts} == facts
    found = known(facts)
    head, *rows = csv.reader(io.StringIO(Path("out/index.csv").read_text()))
    assert [wrong for row in rows for wrong in unstated(found, head, row, exact=True)] == []
    for name, value in sidecar.card.facts:
        assert unstated(found, [name], [str(value)], exact=False) == []


def test_a_name_is_no_markup_in_a_notebook() -> None:
    name = "<img src=x onerror=alert(1)>&\x1b[31m"
    blocks = [
        Heading(name),
        Facts([(name, name)]),
        Table([Column(name)], [{name: name}], name),
        Lines([name]),
    ]
    text = to_html(Report("layers", {}, [[*blocks, Verbatim(name)]]))
    assert "<img" not in text
    assert text.count("&lt;img") == 8
    assert text.count("\x1b") == 0


def test_long_tables_are_folded_in_a_notebook() -> None:
    for count, folded in ((ROWS, 0), (ROWS + 1, 1)):
        table = Table([Column("n")], [{"n": i} for i in range(count)])
        text = to_html(Report("layers", {}, [[table]]))
        assert text.count("<details>") == folded
        assert ("<summary>1 more row</summary>" in text) == bool(folded)
        assert re.findall(r"<td>(\d+)</td>", text) == [*map(str, range(count))]


def test_rows_are_those_of_the_csv(result: padviz.Result[Any], tmp_path: Path) -> None:
    result.save(tmp_path / "x.md")
    result.save(tmp_path / "x.json")
    rows = result.to_rows()
    assert len(result) == len([*result])
    assert json.loads(json.dumps(rows)) == rows
    assert json.loads((tmp_path / "x.json").read_text())["schema_version"] > 0
    assert str(result).strip()
    if not hasattr(result, "tally"):  # of a map, .csv has the counts
        result.save(tmp_path / "x.csv")
        read = [*csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text()))]
        assert [[*row] for row in read] == [[*row] for row in rows]


def test_what_python_and_notebooks_print_is_short(result: padviz.Result[Any]) -> None:
    assert len(repr(result).splitlines()) <= 10
    html = result._repr_html_()
    shown = html.split("<details><summary>")[0] if "more row" in html else html
    assert shown.count("<tr") <= 2 * ROWS
    assert html.count("<img") == (result._shown.draw is not None and result._shown.pictured)


def test_a_picture_is_drawn_where_the_command_has_one(
    ran: Ran, result: padviz.Result[Any], tmp_path: Path
) -> None:
    command: Any = cli.get_command(None, ran.command.split()[0])  # type: ignore[arg-type]
    output = (
        next((option.help for option in command.params if option.opts[0] == "-o"), "")
        if command
        else ".png"
    )
    if ran.command in UNDRAWN or ".png" not in output:
        with pytest.raises(padviz.PadvizError, match="has no picture"):
            result.plot()
        with pytest.raises(
            padviz.PadvizError, match=r"png is not written here; use \.txt \.json \.csv \.md"
        ):
            result.save(tmp_path / "x.png")
        return
    ax = Figure().subplots()
    assert result.plot(ax) is ax
    assert ax.images or ax.lines or ax.collections or ax.patches
    result.save(tmp_path / "x.svg")


def test_results_are_pickled(result: padviz.Result[Any]) -> None:
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is type(result)
    assert str(again) == str(result)
