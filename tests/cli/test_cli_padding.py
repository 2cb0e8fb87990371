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

import msgspec
import pytest
from msgspec import Struct
from PIL import Image

import padviz
from padviz.counting.coverage import coverages
from padviz.reports.rendering import escaped
from padviz.reports.windows.uneven import REPORTED, grid
from padviz.sources.toml.build import parse
from tests.cli.test_cli import run, told

pytestmark = pytest.mark.usefixtures("elsewhere")


class Axis(Struct, forbid_unknown_fields=True):
    input: int
    output: int
    kernel: int
    stride: int
    dilation: int
    declared: tuple[int, int]
    consumed: tuple[int, int]
    remainder: int
    skipped: int
    overhang: int
    circular: bool
    wraps: bool
    offset: float | None
    offset_added: float | None


class Layer(Struct, forbid_unknown_fields=True):
    layer: str
    kind: str
    convolution: bool
    uneven: bool
    height: Axis
    width: Axis


class Suggestion(Struct, forbid_unknown_fields=True):
    size: tuple[int, int]
    work: float
    remainder: bool
    macs: int | None
    macs_ratio: float | None


class Nearest(Struct, forbid_unknown_fields=True):
    below: Suggestion | None
    above: Suggestion | None
    odd_window: str | None


class Reported(Struct, forbid_unknown_fields=True):
    metric: str
    at_224: float
    at_225: float
    source: str


class Entry(Struct, forbid_unknown_fields=True):
    network: str
    size: tuple[int, int]
    balanced: bool
    uneven_convolutions: int
    uneven_pools: int
    remainders: int
    layers: list[Layer]
    nearest_balanced: Nearest
    reported: Reported | None = None


class Uneven(Struct, forbid_unknown_fields=True):
    schema_version: int
    results: list[Entry]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# uneven


def test_uneven_says_culprits_reason_and_cure_on_one_screen() -> None:
    result = run("uneven", "resnet50", "--size", "224")
    assert (result.exit_code, result.stderr) == (0, "")
    for text in (
        "conv1", "7/2/1", "3+3", "3+2", "reads\n", "3 top/left, 2 bottom/right", "layer4.0.conv2",
        "Uneven: 5 of the 21 windows", "4 convolutions, 1 pool", "maxpool*", "* a pool ",
        "193 (0.85x multiply-adds)", "225 (1.13x multiply-adds); conv",
        "75.65 %", "76.01 %", "ICLR 2021",
    ):  # fmt: skip
        assert text in result.stdout
    assert "layer1.0.conv2" not in result.stdout
    assert len(result.stdout.splitlines()) <= 24
    even = run("uneven", "resnet50", "--size", "225").stdout
    assert "Balanced: none of the 21 windows" in even
    assert "a pool" not in even
    assert "layer1.0.conv2" in run("uneven", "resnet50", "--all").stdout


def test_uneven_says_which_axis() -> None:
    text = run("uneven", "resnet18", "--size", "225x224").stdout
    assert "3 left, 2 right" in text
    assert "bottom" not in text
    assert "width" in text


def test_uneven_json_follows_its_schema() -> None:
    result = run("uneven", "resnet50", "vgg11", "--size", "224", "--size", "225x300", "--format", "json")
    found = msgspec.json.decode(result.stdout, type=Uneven)
    assert found.schema_version == 2
    assert [(each.network, each.size) for each in found.results] == [
        ("resnet50", (224, 224)), ("resnet50", (225, 300)), ("vgg11", (224, 224)), ("vgg11", (225, 300)),
    ]  # fmt: skip
    first = found.results[0]
    assert not first.balanced
    assert first.remainders == 3
    conv1 = first.layers[0].height
    assert first.layers[0].uneven
    assert (first.uneven_convolutions, first.uneven_pools) == (4, 1)
    assert [layer.layer for layer in first.layers if layer.uneven and not layer.convolution] == ["maxpool"]
    assert (conv1.declared, conv1.consumed, conv1.output) == ((3, 3), (3, 2), 112)
    work, ratio = (pytest.approx(figure, abs=1e-4) for figure in (1.0466, 1.1315))
    assert first.nearest_balanced.above == Suggestion((225, 225), work, False, 4_624_665_792, ratio)
    assert first.reported is not None
    assert (first.reported.at_224, first.reported.at_225) == (75.65, 76.01)
    assert found.results[2].reported is None
    ledger = padviz.uneven("resnet50", 224)
    assert [row.layer for row in first.layers] == [row.layer for row in ledger.layers]


def test_uneven_csv_markdown_and_files() -> None:
    rows = rows_of(run("uneven", "resnet18", "--size", "224", "--format", "csv").stdout)
    assert len(rows) == 10
    assert rows[0] == {
        "network": "resnet18", "height": "224", "width": "224", "layer": "conv1", "kind": "conv", "convolution": "1",
        "axis": "height",
        "uneven": "1", "input": "224", "output": "112", "kernel": "7", "stride": "2", "dilation": "1",
        "declared_before": "3", "declared_after": "3", "consumed_before": "3", "consumed_after": "2",
        "remainder": "0", "skipped": "0", "overhang": "0", "wraps": "0", "offset": "-0.5", "offset_added": "-0.5",
    }  # fmt: skip
    result = run("uneven", "resnet18", "--size", "224", "--format", "markdown", "-o", "report.md")
    assert (result.exit_code, result.stdout) == (0, "")
    report = Path("report.md").read_text()
    assert report.startswith("### ResNet-18, 224 x 224\n\n| layer | kind |")
    assert "| maxpool | maxpool (pool) | 3/2/1 |  | 1+1 |" in report
    assert "| conv1 | conv | 7/2/1 |  | 3+3 | 3+2 |" in report
    assert "exists" in run("uneven", "resnet18", "-o", "report.md").stderr
    assert Path("report.md").read_text() == report
    assert run("uneven", "resnet18", "-o", "report.md", "--overwrite").exit_code == 0


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
    assert text[0] == (
        "::warning title=Uneven padding in resnet18 at 224 x 224::conv1 (conv) reads 3 top/left, 2 bottom/right"
    )
    assert text[-1].startswith("::notice title=resnet18 at 224 x 224::Uneven: 5 of the ")
    assert "69.93 %25" in text[-1]
    assert run("uneven", "resnet18", "--check", "--format", "github").stdout.startswith("::error title=")
    step = '{op = "conv", name = "x\\n::error::y", kernel = 3, stride = 2, padding = 1}'
    Path("a,b.toml").write_text(f"layers = [{step}]")
    lines = run("uneven", "a,b.toml", "--format", "github").stdout.splitlines()
    assert lines[0].startswith("::warning file=a%2Cb.toml,title=")
    assert "x%0A::error::y (conv) reads 1 top/left" in lines[0]
    assert len(lines) == 2
    assert escaped("50%,\r\n:", property_=True) == "50%25%2C%0D%0A%3A"
    assert escaped("50%,:") == "50%25,:"


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


def test_the_offset_of_several_maps_is_that_of_the_last() -> None:
    """A controlled experiment is told of where the last one is off the centre, and not where another one is."""
    conv = {"op": "conv", "kernel": 3, "padding": 1, "from": "input"}
    for strides, offset in (((2, 1), "0 px"), ((1, 2), "-0.5 px")):
        layers = [{**conv, "name": name, "stride": stride} for name, stride in zip("ab", strides, strict=True)]
        network = replace(parse({"layers": layers, "size": 32}, "net"), targets=())
        first, *told = grid(network, (32, 32))
        assert first.startswith(f"Sampling-grid offset of b, the last of 2 maps: height {offset}, width {offset}")
        assert len(told) == (offset != "0 px")


def test_same_shows_the_opposite_skew() -> None:
    near, far = (run("uneven", "mobilenet_v1", "--size", "224", *options).stdout for options in ((), ("--same",)))
    assert "1 top/left, 0 bottom/right" in near
    assert "0 top/left, 1 bottom/right" in far
    assert set(REPORTED) == {"mobilenet_v1", "resnet18", "resnet34", "resnet50", "resnet101"}
    assert all(0 < at_225 - at_224 < 1 for at_224, at_225 in REPORTED.values())


# sizes


def test_sizes() -> None:
    table = run("sizes", "resnet50").stdout
    assert "32*i + 1" in table
    assert "65 97 129" in table
    found = json.loads(run("sizes", "vgg16", "--size", "64:320", "--format", "json").stdout)
    assert list(found) == [
        "schema_version", "network", "range", "axis", "balanced", "balanced_without_remainder", "rule",
        "rule_without_remainder",
        "macs",
    ]  # fmt: skip
    assert found["range"] == [64, 320]
    assert found["balanced"] == list(range(64, 321))
    assert found["balanced_without_remainder"] == list(range(64, 321, 32))
    assert (found["rule"], found["rule_without_remainder"]) == ("every size", "32*i")
    rows = rows_of(run("sizes", "vgg16", "--size", "64:66", "--format", "csv", "--axis", "width").stdout)
    assert rows == [{"size": str(n), "remainder": str(int(n > 64)), "macs": ""} for n in (64, 65, 66)]
    none = run("sizes", "resnet18", "--size", "66:90").stdout
    assert "0 of 25 sizes" in none
    assert "none that holds" in none


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


# coverage


def test_coverage() -> None:
    names = ("features.9", "features.36")
    options = [each for name in names for each in ("--layer", name)]
    result = run("coverage", "vgg19", "--size", "224", *options, "--format", "json")
    found = json.loads(result.stdout)
    assert found["files"] == []
    assert run("coverage", "vgg19", "--size", "224", *options).exit_code == 0
    for row, counts in zip(found["layers"], coverages(padviz.load("vgg19"), 224, layers=names), strict=True):
        assert row["full"] == counts.full
        assert (row["max"], row["min"]) == (counts.max, counts.min)
        assert row["share_corner"] == counts.at(0, 0) / counts.full
    with Image.open("vgg19-224-features.9-features.36-coverage.png") as picture:
        assert picture.size[0] > picture.size[1]
    assert run("coverage", "resnet152", "--size", "64", "-o", "counts.npz").exit_code == 0
    assert (padviz.read_counts("counts.npz") == padviz.coverage("resnet152", 64).counts).all()
    assert run("coverage", "vgg11", "--size", "32", "--padding", "full").exit_code == 0
    assert run("coverage", "vgg11", "--size", "96", "--padding", "reflect").exit_code == 0
    assert Path("vgg11-96-reflect-coverage.png").exists()
    assert Path("vgg11-32-full-coverage.png").exists()
    assert "one --layer" in run("coverage", "vgg19", *options, "-o", "both.npz").stderr
    assert "one --layer" in run("coverage", "ssd300_vgg16", "-o", "heads.npz").stderr
    assert rows_of(run("coverage", "vgg11", "--format", "csv").stdout)[0]["layer"] == "features.20"


# diff


def test_diff() -> None:
    table = run("diff", "mobilenet_v1", "--size", "224", "--same").stdout
    assert "conv_dw_2" in table
    assert "padding read" in table
    assert "no difference" in run("diff", "mobilenet_v1", "--size", "225", "--same").stdout
    found = json.loads(run("diff", "resnet50", "resnet101", "--size", "224", "--format", "json").stdout)
    assert found["networks"] == ["resnet50", "resnet101"]
    assert found["differences"][0] == {
        "layer_a": None, "layer_b": "layer3.6.conv1", "axis": "both", "what": "layer", "a": "missing", "b": "present",
    }  # fmt: skip
    assert run("diff", "vgg16", "vgg16", "--check").exit_code == 0
    assert run("diff", "vgg16", "vgg13", "--check").exit_code == 1
    assert rows_of(run("diff", "vgg16", "vgg13", "--format", "csv").stdout)


# refusals


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["uneven"], ["missing argument 'MODEL...'", "padviz uneven --help"]),
        (["uneven", "resnt50"], ["did you mean resnet50"]),
        (["uneven", "vgg19", "--size", "8"], ["features.27"]),
        (["uneven", "vgg19", "--size", "x"], ["--size", "'x'"]),
        (["uneven", "vgg19", "--format", "xml"], ["--format"]),
        (["uneven", "vgg19", "--check=none"], ["--check", "'none'", "convolution"]),
        (["uneven", "vgg19", "-o", "no/report.md"], ["no", "does not exist"]),
        (["uneven", "vgg19", "-o", "report.npz"], ["report.npz", ".csv"]),
        (["uneven", "vgg19", "vgg11", "-o", "report.png"], ["-o", "one network at one size", "padviz export"]),
        (["uneven", "vgg19", "--size", "9", "--size", "8", "-o", "report.png"], ["-o", "one network at one size"]),
        (["sizes", "vgg19", "--size", "9"], ["vgg19", "takes no size from 9 to 9"]),
        (["sizes", "vgg19", "--size", "9:3"], ["--size: '9:3' is an empty range"]),
        (["sizes", "vgg19", "--size", "0:3"], ["--size: '0:3' is not a size"]),
        (["sizes", "vgg19", "--axis", "depth"], ["--axis"]),
        (["uneven", "--taps", "vgg19", "--layer", "features.99"], ["'features.99'"]),
        (["uneven", "--taps", "resnet18", "--layer", "layer1.0"], ["resnet18", "layer1.0 has no taps"]),
        (["sizes", "vgg19", "--size", "1:20"], ["vgg19", "takes no size from 1 to 20"]),
        (["uneven", "--taps", "vgg19", "--all"], ["--taps", "one network at one size", "leave out --all"]),
        (["uneven", "--taps", "vgg19", "vgg11"], ["--taps", "one network at one size"]),
        (["uneven", "--taps", "vgg19", "-o", "grids.npz"], ["-o", ".png"]),
        (["layers", "vgg19", "--layer", "x"], ["'x'"]),
        (["layers", "vgg19", "--size", "3"], ["features"]),
        (["coverage", "vgg19", "--layer", "x"], ["'x'"]),
        (["coverage", "vgg19", "--cmap", "plasmo"], ["--cmap", "plasma"]),
        (["diff", "vgg19"], ["MODEL_B", "--same"]),
        (["diff", "vgg19", "vgg20"], ["'vgg20'"]),
    ],
)
def test_bad_input_is_one_line(args: list[str], says: list[str]) -> None:
    line = told(*args)
    for text in says:
        assert text in line
    assert os.listdir() == []


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


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", [["uneven"], ["uneven", "--taps"], ["layers"]])
def test_tables_fit_the_terminal(command: list[str], width: int) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal(width, *command, "resnet50"))
    sentences = ("Nearest", "Reported", "Rows", "Uneven", "Multiply")
    wide = [line for line in text.splitlines() if len(line) > width and not line.startswith(sentences)]
    assert not wide
    assert "layer4.0.conv2" in text  # names stay whole


@pytest.mark.parametrize("command", [["layers"], ["uneven", "--taps"], ["uneven", "--all"]])
def test_figures_are_never_cut(command: list[str]) -> None:
    """Long names fold; where that is not enough, a table is wider than a narrow terminal."""

    def figures(width: int) -> list[str]:
        text = terminal(width, command[0], "densenet201", *command[1:], "--size", "641x383")
        return re.findall(r"[0-9]+ x [0-9]+|[0-9]+\+[0-9]+|[+-][0-9.]+ %", re.sub(r"\x1b\[[0-9;]*m", "", text))

    assert figures(60) == figures(200)
    assert len(figures(60)) > 50


def test_all_lists_both_axes() -> None:
    Path("net.toml").write_text(
        'layers = [{op = "conv", name = "c", kernel = 2, stride = 3, padding = [[0, 1], [1, 0]]}]\nsize = [20, 14]'
    )
    text = run("uneven", "net.toml", "--all").stdout
    assert "height" in text
    assert "width" in text
    assert "height" not in run("uneven", "net.toml").stdout.partition("Sampling-grid offset")[0]


def test_no_colours_where_they_are_not_wanted() -> None:
    assert "\x1b[" not in run("uneven", "resnet50").stdout
    plain = terminal(100, "uneven", "resnet50", NO_COLOR="1").replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert "\x1b[" not in plain


def test_the_ledger_is_drawn_beside_what_is_printed() -> None:
    result = run("uneven", "resnet18", "--size", "224", "-o", "ledger.png")
    assert result.exit_code == 0
    assert "Uneven: 5 of" in result.stdout
    with Image.open("ledger.png") as picture:
        picture.load()
