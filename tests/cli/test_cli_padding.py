"""The commands about padding: each format read back, each refusal, exit codes, widths and colours."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from padviz.cli import cli
from padviz.reports.rendering import escaped
from padviz.reports.windows.uneven import grid
from padviz.sources.toml.build import parse
from tests.cli.test_cli import APART, run

pytestmark = pytest.mark.usefixtures("elsewhere")


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# uneven


@pytest.mark.parametrize("format_", ["table", "json", "csv", "markdown", "github"])
def test_check_exits_with_1_whatever_the_format(format_: str) -> None:
    assert run("uneven", "resnet18", "--size", "224", "--check", "--format", format_).exit_code == 1
    assert run("uneven", "resnet18", "--size", "225", "--check", "--format", format_).exit_code == 0
    assert run("uneven", "resnet18", "--size", "224", "--format", format_).exit_code == 0
    assert run("uneven", "resnet18", "vgg11", "--size", "225", "--size", "226", "--check").exit_code == 1


POOL = 'layers = [{op = "maxpool", name = "p", kernel = 3, stride = 2, padding = 1}]\n'


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--check", "resnet50"], 1),
        (["resnet50", "--check"], 1),
        (["--check", "resnet50", "--size", "225"], 0),
        (["resnet50", "--check=convolutions"], 1),
        (["pool.toml", "--size", "8", "--check"], 0),
        (["pool.toml", "--size", "8", "--check=convolutions"], 0),
        (["--check=all", "pool.toml", "--size", "8"], 1),
        (["--check=remainders", "pool.toml", "--size", "8"], 1),
        (["pool.toml", "--size", "9", "--check=all"], 0),
        (["vgg16", "--size", "225", "--check=all"], 0),
        (["vgg16", "--size", "225", "--check=remainders"], 1),
        (["vgg16", "--size", "224", "--check=remainders"], 0),
        (["--check", "--", "vgg16"], 0),
    ],
)
def test_what_check_fails_on(args: list[str], code: int) -> None:
    Path("pool.toml").write_text(POOL)
    result = run("uneven", *args)
    assert (result.exit_code, result.stderr.count("exit code 1\n")) == (code, code)


def test_github_errors_are_what_check_fails_on() -> None:
    def levels(*args: str) -> list[str]:
        lines = run("uneven", *args, "--format", "github").stdout.splitlines()
        return [line.split()[0].lstrip(":") + " " + line.split("::")[-1].split()[0] for line in lines[:-1]]

    layers = ["conv1", "layer2.0.conv1", "layer3.0.conv1", "layer4.0.conv1"]
    convolutions = levels("resnet18", "--size", "224", "--check")
    assert [line for line in convolutions if "maxpool" not in line] == [f"error {layer}" for layer in layers]
    assert "warning maxpool" in convolutions
    assert "error maxpool" in levels("resnet18", "--size", "224", "--check=all")
    assert levels("vgg16", "--size", "225", "--check=all") == []
    assert levels("vgg16", "--size", "225", "--check=remainders") == ["error features.4"]


def test_github_annotations() -> None:
    text = run("uneven", "resnet18", "--size", "224", "--format", "github").stdout.splitlines()
    assert text[0] == ("::warning title=Uneven padding in resnet18 at 224 x 224::conv1 (conv) reads 3 before, 2 after")
    assert text[-1].startswith("::notice title=resnet18 at 224 x 224::Uneven: 5 of the ")
    assert "69.93 %25" in text[-1]
    assert run("uneven", "resnet18", "--check", "--format", "github").stdout.startswith("::error title=")
    step = '{op = "conv", name = "x\\n::error::y", kernel = 3, stride = 2, padding = 1}'
    Path("a,b.toml").write_text(f"layers = [{step}]")
    lines = run("uneven", "a,b.toml", "--format", "github").stdout.splitlines()
    assert lines[0].startswith("::warning file=a%2Cb.toml,title=")
    assert "x%0A::error::y (conv) reads 1 before" in lines[0]
    assert len(lines) == 2
    assert escaped("50%,\r\n:", property_=True) == "50%25%2C%0D%0A%3A"
    assert escaped("50%,:") == "50%25,:"
    assert run("uneven", "resnet18", "--format", "github", "-o", "x.txt").exit_code == 0
    assert Path("x.txt").read_text().startswith("::")


def test_markdown_takes_no_name_for_markup() -> None:
    steps = '{op = "conv", name = "a*`<b|", kernel = 3, stride = 2, padding = 1}'
    Path("marked.toml").write_text(f"size = 224\nlayers = [{steps}]")
    assert r"| a\*\`\<b\| | conv |" in run("uneven", "marked.toml", "--format", "markdown").stdout


@pytest.mark.parametrize("size", ["225", "193x257"])
def test_what_is_balanced_is_told_no_other_size(size: str) -> None:
    said = run("uneven", "resnet50", "--size", size).stdout
    assert "Balanced: none of the 21" in said
    assert "alanced size" not in said


def test_balanced_sizes_with_remainders_are_said_and_where_there_is_none_why() -> None:
    text = run("uneven", "vgg16", "--size", "225").stdout
    assert re.search(r"Nearest balanced sizes: 224 \([^)]*\), 256 \(", text)
    assert "Nearest balanced sizes: 33 (" in run("uneven", "resnet50", "--size", "32").stdout
    conv = 'layers = [{{op = "conv", name = "c", kernel = {}, stride = {}, padding = {}}}]\nsize = 9\n{}'
    for shape, says in (
        (
            (2, 1, "[[1, 0], [1, 0]]", ""),
            "near: c reads an odd number of padded rows at each, which no pads can halve.",
        ),
        ((3, 1, "[[2, 0], [2, 0]]", ""), "No balanced size is near."),
    ):
        Path("net.toml").write_text(conv.format(*shape))
        assert says in " ".join(run("uneven", "net.toml").stdout.split())
    Path("net.toml").write_text(conv.format(2, 1, "[[1, 0], [1, 0]]", ""))
    (entry,) = json.loads(run("uneven", "net.toml", "--format", "json").stdout)["results"]
    assert entry["nearest_balanced"] == {"below": None, "above": None, "odd_window": "c"}
    assert "why none      c reads an odd number of padded rows at each" in run("sizes", "net.toml").stdout
    assert "why none" not in run("sizes", "resnet18").stdout


def test_the_offset_of_several_maps_is_that_of_the_last() -> None:
    """A controlled experiment is told of where the last one is off the centre, and not where another one is."""
    conv = {"op": "conv", "kernel": 3, "padding": 1, "from": "input"}
    for strides, offset in (((2, 1), "0 px"), ((1, 2), "-0.5 px")):
        layers = [{**conv, "name": name, "stride": stride} for name, stride in zip("ab", strides, strict=True)]
        network = replace(parse({"layers": layers, "size": 32}, "net"), targets=())
        first, *told = grid(network, (32, 32))
        assert first.startswith(f"Sampling-grid offset of b, the last of 2 maps: height {offset}, width {offset}")
        assert len(told) == (offset != "0 px")


# taps


def test_taps() -> None:
    result = run("uneven", "--taps", "resnet18", "--size", "224", "-o", "taps.png", "--format", "json")
    found = json.loads(result.stdout)
    layers = {layer["layer"]: layer for layer in found["layers"]}
    last = layers["layer4.0.conv1"]
    assert last["grid"] == [[36, 42, 42], [42, 49, 49], [42, 49, 49]]
    assert (last["units"], last["uneven"], last["convolution"]) == (49, True, True)
    assert not layers["maxpool"]["convolution"]
    assert last["imbalance"]["width"] == pytest.approx(20 / 260)
    assert layers["layer4.0.conv2"]["imbalance"] == {"height": 0.0, "width": 0.0}
    assert found["files"] == ["taps.png"]
    with Image.open("taps.png") as picture:
        picture.verify()
    table = run("uneven", "--taps", "resnet18").stdout
    assert "+7.69 %" in table
    assert "maxpool*" in table
    assert "* a pool " in table
    assert "a pool" not in run("uneven", "--taps", "resnet18", "--layer", "conv1").stdout
    assert "uneven" in table
    rows = rows_of(run("uneven", "--taps", "resnet18", "--layer", "layer2.0.downsample.0", "--format", "csv").stdout)
    assert [row["layer"] for row in rows] == ["layer2.0.downsample.0"]


# layers


def test_layers_have_receptive_fields() -> None:
    table = run("layers", "vgg16", "--size", "224").stdout
    assert re.split(" {2,}| (?=[0-9])", table.splitlines()[-3])[-2:] == ["212", "0"]
    found = json.loads(run("layers", "unet", "--layer", "out", "-o", "fields.svg", "--format", "json").stdout)
    assert found["layers"][-1]["field"]["height"] == {
        "size": 204, "stride": 1.0, "padding": None, "centre": None, "offset": 0.0, "whole": False
    }  # fmt: skip
    assert found["layers"][-1]["parts_at"] is None
    assert Path("fields.svg").read_text().startswith("<?xml")
    Path("net.toml").write_text('layers = [{op = "conv", name = "c", kernel = [3, 5]}, {op = "global", name = "g"}]')
    rows = rows_of(run("layers", "net.toml", "--size", "20", "--format", "csv").stdout)
    assert [row["field_size"] for row in rows] == ["3 x 5", "whole input"]


# terminals


def terminal(width: int, *args: str, **environment: str) -> str:
    """What a command prints on a terminal of that width."""
    leader, follower = pty.openpty()
    settings: dict[str, Any] = {**os.environ, "COLUMNS": str(width), "TERM": "xterm-256color", **environment}
    with subprocess.Popen([sys.executable, "-m", "padviz", *args], stdout=follower, env=settings) as process:
        os.close(follower)
        text = b""
        try:
            while part := os.read(leader, 65536):
                text += part
        except OSError:
            pass  # the end of a terminal
        os.close(leader)
        assert process.wait() == 0
    return text.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("command", [["layers"], ["uneven", "--taps"], ["uneven", "--all"]])
def test_figures_are_never_cut(command: list[str]) -> None:
    """Long names fold; where that is not enough, a table is wider than a narrow terminal."""

    def figures(width: int) -> list[str]:
        asked = [command[0], "densenet121", *command[1:], "--size", "641x383"]
        text = CliRunner(**APART, env={"COLUMNS": str(width)}).invoke(cli, asked).stdout
        return re.findall(r"[0-9]+ x [0-9]+|[0-9]+\+[0-9]+|[+-][0-9.]+ %", text)

    assert figures(60) == figures(200)
    assert len(figures(60)) > 50


def test_no_colours_where_they_are_not_wanted() -> None:
    assert "\x1b[" not in run("uneven", "resnet50").stdout
    plain = terminal(100, "uneven", "resnet50", NO_COLOR="1").replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert "\x1b[" not in plain
