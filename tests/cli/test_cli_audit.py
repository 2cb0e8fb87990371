"""`padviz audit`: one screen, and every format read back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import padviz
from padviz.cli import cli
from tests.cli.test_cli import APART, run
from tests.cli.test_cli_foreign import plain
from tests.wheels import real_file

SCREENS = [
    ("unet", "572"), ("ssd300_vgg16", "300"), ("resnet50", "65536")
]  # fmt: skip


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "size"), SCREENS)
def test_one_network_takes_one_screen_of_80_columns(name: str, size: str) -> None:
    screen_of(name, padviz.load(name).title, "--size", size)


def test_so_does_a_detector_with_three_heads() -> None:
    pytest.importorskip("torch")
    from tests.yolo import exported

    path = exported(Path(), size=(640, 640), opened=False)
    screen = screen_of(str(path), "yolo-old, 640 x 640, to /detect/Concat, /detect/Concat_1,", "--heads", "share")
    assert "No balanced size is near." in screen
    without = run("audit", str(path))
    assert without.exit_code == 0
    assert "have the same weight; --heads sum adds them, --layer names some\n" in without.stderr


def test_so_does_a_real_text_detector() -> None:
    path = real_file("ch_PP-OCRv4_det_infer")
    screen = screen_of(str(path), "ch_PP-OCRv4_det_infer, 640 x 640", "--size", "640")
    assert "Every unit depends on padding: p2o.Mul.110 (gate) makes every position depend on all" in screen
    assert "receptive field" not in screen


def screen_of(model: str, title: str, *options: str) -> str:
    result = CliRunner(**APART, env={"COLUMNS": "80"}).invoke(cli, ["audit", model, *options])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 48
    assert lines[0].startswith(title)
    return " ".join(result.stdout.split())


def test_what_speaks_against_a_remedy_is_said_and_it_comes_last() -> None:
    prices = [each.price for each in padviz.audit("vgg19", 225).remedies]
    free = prices.count(None)
    assert prices[:free] == [None] * free
    assert None not in prices[free:]
    assert "only has fewer stride remainders" in prices
    rows = run("audit", "vgg19", "--size", "225", "--format", "markdown").stdout
    assert "whole image; only has fewer stride remainders |" in rows


def test_what_the_screen_leaves_out_is_counted() -> None:
    screen = run("audit", "resnet50", "--size", "224").stdout
    listed = {int(i) for i in re.findall(r"^  ? ?(\d+) \S", screen, re.MULTILINE)}
    left = len(padviz.audit("resnet50", 224).remedies) - max(listed)
    assert re.findall(r"^And (\d+) further remedies: --format json$", screen, re.MULTILINE) == [str(left)]


def test_what_pads_nothing_is_offered_nothing_and_told_why() -> None:
    screen = " ".join(run("audit", "unet").stdout.split())
    assert "Advice Nothing to do: no unit reads padding. Accuracy No padding is read; what else the rim costs" in screen
    assert "No convolution pads, so no padding scheme changes anything." in screen
    assert "Border No unit reads padding; the outer 92 px on all sides are context" in screen
    assert "starved" not in screen


def test_what_is_not_there_is_not_explained_or_told() -> None:
    Path("small.toml").write_text(
        'size = 32\nlayers = [{op = "conv", name = "a", kernel = 3, stride = 2, padding = 1},'
        ' {op = "adaptive", name = "b", output = 3}]'
    )
    screen = " ".join(run("audit", "small.toml").stdout.split())
    assert "Border Fair shares are not defined: small, b: its adaptive pooling makes" in screen
    assert "uneven: convolutions; measured: points of small networks, as is and at worst once trained" in screen
    assert "fair shares: see Border; macs: unknown where a layer does not say its channels." in screen
    assert "outer" not in screen
    assert "Blank: no fair shares" in run("audit", "small.toml", "vgg11", "--size", "64").stdout


def test_several_make_a_row_each() -> None:
    result = run("audit", "vgg19", "resnet18", "--size", "224", "--size", "225")
    rows = [re.split(r"  +", line.strip()) for line in result.stdout.splitlines()[2:-1]]
    assert [row[:3] for row in rows] == [
        ["vgg19", "224", "symmetric, narrow rim"],
        ["vgg19", "225", "symmetric, narrow rim"],
        ["resnet18", "224", "lopsided, typical rim"],
        ["resnet18", "225", "symmetric, narrow rim"],
    ]
    assert [row[-1] for row in rows] == ["nothing to do", *["none, else partial"] * 2, "nothing to do"]


def test_sizes_of_rows_are_height_by_width() -> None:
    table = run("audit", "vgg11", "--size", "64x96", "--size", "32x300").stdout
    assert [line.split()[:2] for line in table.splitlines()[2:-1]] == [["vgg11", "64x96"], ["vgg11", "32x300"]]


def test_one_that_cannot_run_is_a_row_with_the_reason() -> None:
    options = ["audit", "unet", "--size", "64", "--size", "572", "--size", "64"]
    rows = run(*options).stdout.splitlines()[2:-1]
    assert [row.split()[:3] for row in rows] == [["unet", "64", "cannot"], ["unet", "572", "no"]]
    assert "cannot run: unet, " in rows[0]
    bad, good = json.loads(run(*options, "--format", "json").stdout)["results"]
    assert (bad["size"], good["size"], good["verdict"]) == ([64, 64], [572, 572], "no padding read")
    assert bad["error"].startswith("cannot run: unet, ")
    assert run(*options, "--format", "markdown").stdout.startswith("### U-Net, 64 x 64: cannot run: unet, ")


def test_what_is_named_twice_is_judged_once() -> None:
    result = run("audit", "vgg11", "vgg11", "--size", "64", "--size", "64", "-o", "one.png")
    assert result.stdout.startswith("VGG-11, 64 x 64")
    assert result.stdout.endswith("\n\nfile  one.png\n")


def test_the_size_of_a_file_that_leaves_it_open_is_said() -> None:
    result = run("audit", plain())
    says = "the file leaves its input size open; this is at 224 x 224, {} says another"
    assert result.stderr == f"padviz: net: {says.format('--size')}\n"
    noted = json.loads(run("audit", "net.onnx", "--format", "json").stdout)["results"][0]["notes"]
    assert noted == [says.format("`size`")]
    assert "open" not in run("audit", "net.onnx", "--size", "64").stderr
    assert padviz.load("net.onnx").declared == (0, 0)


def test_a_layer_is_judged_alone() -> None:
    found = json.loads(run("audit", "resnet18", "--size", "224", "--layer", "layer1.1", "--format", "json").stdout)
    assert found["results"][0]["target"] == ["layer1.1"]
    assert found["results"][0]["uneven_convolutions"] == ["conv1"]


def test_remedies_that_share_a_line_have_one_command_whatever_the_scheme() -> None:
    screen = " ".join(run("audit", plain(), "--size", "64").stdout.split())
    command = 'padviz repad net.onnx --padding SCHEME -o repadded.onnx or padviz.repad(module, "SCHEME")'
    numbers = re.search(rf" (\d), (\d) {re.escape(command)}", screen)
    assert numbers is not None
    assert all(re.search(rf" {i} \S+ padding ", screen) for i in numbers.groups())
