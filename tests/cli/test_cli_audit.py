"""`padviz audit`: one screen, and every format read back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

import padviz
from padviz.cli import cli
from tests.cli.test_cli import APART, run, told

SCREENS = [
    ("resnet50", "224"), ("mobilenet_v2", "224"), ("unet_padded", "500"), ("ssd300_vgg16", "300"),
    ("inception_v3", "299"), ("vgg19", "224"), ("resnet50", "65536"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "size"), SCREENS)
def test_one_network_takes_one_screen_of_80_columns(name: str, size: str) -> None:
    result = CliRunner(**APART, env={"COLUMNS": "80"}).invoke(cli, ["audit", name, "--size", size])
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 50
    assert result.stdout.startswith(padviz.load(name).title)


def test_the_screen_says_what_is_wrong_and_what_to_change() -> None:
    screen = " ".join(run("audit", "resnet50", "--size", "224").stdout.split())
    assert "Uneven and foveated. 45% of the pixels get less than half" in screen
    assert "uneven, learned conv1, layer2.0.conv2, layer3.0.conv2 and 1 more uneven, rigid maxpool" in screen
    assert re.search(r"225 x 225 px 0 28\.1% 0\.0% 1\.13 x nothing", screen)
    assert "225 x 225 px: CenterCrop(225)" in screen
    assert "No pads make conv1 even: its 112 units read 5 rows of padding in all." in screen


def test_several_make_a_row_each() -> None:
    result = run("audit", "vgg19", "resnet18", "--size", "224", "--size", "225")
    rows = [line.split() for line in result.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["vgg19", "vgg19", "resnet18", "resnet18"]
    assert [row[3] for row in rows] == ["224", "225", "224", "225"]


def test_json_has_the_figures_of_python() -> None:
    found = json.loads(run("audit", "resnet18", "--size", "224", "--format", "json").stdout)
    (entry,) = found["results"]
    assert found["schema_version"] == 1
    best = padviz.remedies("resnet18", 224)[0]
    assert entry["remedies"][0]["edit"] == ["CenterCrop(225)"] == best.edit
    assert entry["remedies"][0]["outcome"]["share"]["starved"] == best.outcome.share.starved
    assert entry["learned"][0] == "conv1"


def test_markdown_is_printed_and_written_alike() -> None:
    printed = run("audit", "vgg11", "resnet18", "--size", "64", "--format", "markdown", "-o", "report.md")
    assert printed.exit_code == 0
    assert Path("report.md").read_text() == printed.stdout
    assert printed.stdout.count("### ") == 2
    assert "| today |" in printed.stdout


def test_a_picture_shows_today_beside_the_remedies() -> None:
    assert run("audit", "resnet18", "--size", "96", "-o", "report.png").exit_code == 0
    with Image.open("report.png") as picture:
        picture.load()
        assert picture.width > 900
    assert run("audit", "resnet18", "--size", "96", "-o", "report.json").exit_code == 0
    assert json.loads(Path("report.json").read_text())["results"][0]["network"] == "resnet18"


def test_a_layer_is_judged_alone() -> None:
    found = json.loads(run("audit", "resnet18", "--size", "224", "--layer", "layer1.1", "--format", "json").stdout)
    assert found["results"][0]["target"] == ["layer1.1"]
    assert found["results"][0]["learned"] == ["conv1"]


REFUSED = [
    (["vgg1"], "no network is called 'vgg1'"),
    (["vgg11", "--size", "0"], "--size: '0' is not a size"),
    (["vgg11", "--size", "1000001"], "--size: 1000001 is not one or two numbers"),
    (["vgg11", "--size", "3"], "its height is 3|the input's height is 3"),
    (["vgg11", "--layer", "nope"], "no layer is called 'nope'"),
    (["vgg11", "resnet18", "-o", "a.png"], "-o: a picture holds one network at one size"),
    (["vgg11", "-o", "a.npz"], "-o: 'a.npz' has no suffix that says what to write; use .png"),
    (["vgg11", "-o", "there.md"], "-o: 'there.md' exists; add --overwrite"),
    (["vgg11", "-o", "no/such.md"], "folder 'no' does not exist"),
    (["vgg11", "--format", "csv"], "'csv' is not one of"),
    ([], "missing argument"),
]


@pytest.mark.parametrize(("args", "says"), REFUSED)
def test_bad_input_is_one_line_and_leaves_nothing(args: list[str], says: str) -> None:
    Path("there.md").write_text("kept")
    assert re.search(says, told("audit", *args))
