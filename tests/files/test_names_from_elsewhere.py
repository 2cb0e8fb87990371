"""Names of layers, files and networks come from elsewhere: nothing of them steers a terminal or starts a formula."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from padviz.errors import PadvizError, printable
from padviz.reports.documents import marked, to_csv, to_json
from padviz.reports.rendering import escaped
from padviz.reports.tables import to_facts, to_table, wrapped
from tests.cli.test_cli import run

STEERING = ["\x1b", "\x07", "\x9b", "\x7f", "\0", "\r", "\n", "\t", *map(chr, range(0x202A, 0x202F))]
STEERING += [*map(chr, range(0x2066, 0x206A)), "\u200b", "\u200e", "\u200f", "\u2028", "\u2029", "\ufeff", "\udcff"]

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize("c", STEERING, ids=ascii)
def test_every_writer_writes_out_what_steers(c: str) -> None:
    assert printable(c) == repr(c)[1:-1] == printable(printable(c))
    name = f"a{c}b"
    texts = str(PadvizError(name, where=name, hint=name)), to_csv(["n"], [[name]]), marked(name)
    texts += to_table(["n"], [[name]]), to_facts([("n", name)]), wrapped(name), escaped(name)
    for text in texts:
        assert text.replace("\n", "").isprintable()
        assert repr(name)[1:-1] in text or (text == escaped(name) and c in "\r\n")
    assert json.loads(to_json({"n": name})) == {"n": name}
    assert all(line.isprintable() for line in to_json({"n": name}).split("\n"))


@pytest.mark.parametrize("cell", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "-a", "+", "=", "-1 x 2", "-1e", "+1-2"])
def test_no_cell_starts_a_formula(cell: str) -> None:
    assert [*csv.reader([to_csv(["n"], [[cell]]).split("\n")[1]])] == [["'" + cell]]
    assert to_csv(["n"], [["\t" + cell]]).split("\n")[1] == repr("\t" + cell)[1:-1]


@pytest.mark.parametrize("cell", [-1, -0.5, -1e300, 9**99, "-1", "-0.5", "+3", "-1e-07", "conv", "a=b", "/conv", ""])
def test_numbers_and_names_stay_as_they_are(cell: Any) -> None:
    assert [*csv.reader([to_csv(["n", "m"], [[cell, 0]]).split("\n")[1]])] == [[str(cell), "0"]]


def starts_a_formula(cell: str) -> bool:
    return cell.startswith(("=", "+", "-", "@")) and not re.fullmatch(r"-[\d.]+", cell)


def steered() -> str:
    """A network that has all of them in its names, which leans, whose size is fixed, and its file's name."""
    safe = "".join(c for c in STEERING if c not in "\0\udcff")
    layer, title = (json.dumps(name + safe).replace("\x7f", "\\u007f") for name in ("=c", "=t"))
    file = "=f" + safe.replace("\n", "") + "\udcff.toml"
    lines = f'title = {title}\nsize = 16\nfixed = ["width"]\n'
    step = f'{{op = "conv", name = {layer}, kernel = 3, stride = 2, padding = 1}}, {{op = "maxpool", kernel = 2}}'
    Path(file).write_text(lines + f"layers = [{step}]\n", encoding="utf-8")
    return file


COMMANDS = [
    ["usage"], ["usage", "--format", "json"], ["uneven", "--all"], ["uneven", "--size", "17"],
    *(["uneven", "--format", each] for each in ("csv", "markdown", "github", "json")),
    ["sizes"], ["sizes", "--size", "16:16"], ["uneven", "--taps"], ["uneven", "--taps", "--format", "csv"],
    ["coverage"], ["coverage", "--format", "csv"], ["tiles"], ["layers"], ["layers", "--format", "json"],
    ["diff", "--same"], ["diff", "x\x1b"], ["compare", "--padding", "zero,reflect"], ["convert"],
    ["uneven", "--no\x1b[31m\u202e"], ["usage", "--layer", "\x1b[31m\u202e"], ["usage", "-o", "\x1b.\x07"],
    *(["usage", option, "\x9b"] for option in ("--padding", "--format", "--size", "--unit", "--cmap")),
    ["layers", "-o", "no\x1b/x.png"], ["export", "--what", "\x1b", "-o", "out"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=ascii)
def test_no_command_says_what_steers(command: list[str]) -> None:
    result = run(*command[:1], steered(), *command[1:])
    assert result.exit_code in (0, 2, 3)
    assert result.exit_code == 0 or not {"json", "csv"} & {*command}
    for line in (result.stdout + result.stderr).split("\n"):
        assert line.isprintable()
    if "json" in command:
        json.loads(result.stdout)
    if "csv" in command:
        cells = [cell for row in csv.reader(io.StringIO(result.stdout)) for cell in row]
        assert cells
        assert not any(map(starts_a_formula, cells))


def test_click_says_nothing_that_steers() -> None:
    for args in (["\x1b[31m"], ["--\x9b"], ["kernel", "--stride", "\x1b"], ["usage", "vgg11", "more\u202e"]):
        result = run(*args)
        assert result.exit_code == 2
        assert result.stderr.removesuffix("\n").isprintable()
