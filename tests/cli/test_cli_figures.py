"""What JSON, CSV and exit codes of commands hold, where it is more than a format of what Python returns."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import padviz
from padviz.errors import PadvizError
from padviz.figures.maps import panels
from tests.cli.test_cli import run
from tests.figures.kinds import clipped

pytestmark = pytest.mark.usefixtures("elsewhere")
TCN = "tests.signals:Tcn"


def facts(line: str) -> Any:
    result = run(*line.split(), "--format", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


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
    assert run("uneven", "resnet18", "--format", "github", "-o", "x.txt").exit_code == 0
    assert Path("x.txt").read_text().startswith("::")


def test_an_audit_has_a_size_that_cannot_run_in_a_row_of_its_own() -> None:
    line = "audit unet --size 64 --size 572 --size 64"
    rows = run(*line.split()).stdout.splitlines()[2:-1]
    assert [row.split()[:3] for row in rows] == [["unet", "64", "cannot"], ["unet", "572", "no"]]
    bad, good = facts(line)["results"]
    assert (bad["size"], good["size"], good["verdict"]) == ([64, 64], [572, 572], "no padding read")
    assert bad["error"].startswith("cannot run: unet, ")
    assert run(*line.split(), "--format", "markdown").stdout.startswith("### U-Net, 64 x 64: cannot run: unet, ")


@pytest.mark.parametrize(
    ("models", "says"), [(["vgg11", "vgg19"], "to each last feature map"), (["vgg19", "vgg19"], "to features.36")]
)
def test_a_caption_names_the_target_only_where_all_maps_share_it(models: list[str], says: str) -> None:
    figure = panels.compared([(model, padviz.usage(model, 64)) for model in models], "model")
    assert says in " ".join(text.get_text() for text in figure.texts)


@pytest.mark.parametrize(("scale", "shared"), [("counts", True), ("each", False)])
def test_one_scale_or_one_for_each_panel(scale: str, shared: bool) -> None:
    maps = [padviz.usage("vgg11", 96, padding=padding) for padding in ("zero", "reflect")]
    items = [("zero", maps[0]), ("reflect", maps[1]), ("valid", PadvizError("is too small", where="vgg11, x"))]
    figure = panels.compared(items, "padding", scale)
    zero, reflect = (ax.images[0].get_array() for ax in figure.axes[:2])
    assert reflect.max() == pytest.approx(1)
    assert zero.max() == pytest.approx(maps[0].max / maps[1].max if shared else 1)
    assert "cannot run: vgg11, x: is" in figure.axes[2].texts[0].get_text()
    assert not clipped(figure)


def test_usage_of_a_signal_has_the_axis_that_there_is() -> None:
    figures = facts(f"usage {TCN} --size 400")
    assert (figures["size"], figures["target"]["shape"]) == ([400], [400])
    assert figures["rim"] == {"length": [0, 4]}
    assert figures["corners"].keys() == {"first", "last"}
    assert figures["share"]["skew"].keys() == figures["skew"].keys() == figures["asymmetry"].keys() == {"length"}
    printed = run("usage", TCN, "--size", "400", "--format", "csv").stdout
    (cells,) = csv.DictReader(io.StringIO(printed))
    assert (cells["length"], cells["rim_first"], cells["rim_last"]) == ("400", "0", "4")
    (layer,) = facts(f"coverage {TCN} --size 400")["layers"]
    assert layer["length"] == 400
    for names in (cells.keys(), layer.keys()):
        assert not any(name in key for key in names for name in ("height", "width", "top", "left"))
    first, last = facts(f"compare {TCN} --size 100,400")["results"]
    assert (first["size"], first["rim"], last["size"]) == ([100], {"length": [0, 4]}, [400])


def test_no_colours_where_they_are_not_wanted() -> None:
    assert "\x1b[" not in run("uneven", "resnet50").stdout
    leader, follower = pty.openpty()
    settings: dict[str, Any] = {**os.environ, "COLUMNS": "100", "TERM": "xterm-256color", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "padviz", "uneven", "resnet50"]
    with subprocess.Popen(command, stdout=follower, env=settings) as process:
        os.close(follower)
        text = b""
        try:
            while part := os.read(leader, 65536):
                text += part
        except OSError:
            pass  # the end of a terminal
        os.close(leader)
        assert process.wait() == 0
    assert b"\x1b[" not in text.replace(b"\x1b[1m", b"").replace(b"\x1b[0m", b"")
