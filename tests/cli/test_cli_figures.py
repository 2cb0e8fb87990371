"""What JSON, CSV and exit codes of commands hold, where it is more than a format of what Python returns."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import padviz
from padviz.errors import PadvizError
from padviz.figures.maps import panels
from tests.cli.test_cli import run
from tests.figures.kinds import clipped

pytestmark = pytest.mark.usefixtures("elsewhere")
TCN, VIDEO, DECODER = "tests.signals:Tcn", "tests.signals:CausalVideo", "tests.signals:decoder"


def facts(line: str) -> Any:
    result = run(*line.split(), "--format", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def rows_of(line: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(run(*line.split(), "--format", "csv").stdout)))


# checks


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


# multiply-adds


def test_sizes_and_layers_have_their_multiply_adds() -> None:
    costs = {n: padviz.costs("resnet50", n).macs for n in (65, 97, 129)}
    assert facts("sizes resnet50 --size 64:140")["macs"] == [*costs.values()]
    assert [row["macs"] for row in rows_of("sizes resnet50 --size 64:140")] == [*map(str, costs.values())]
    assert facts("sizes resnet50 --axis height --size 64:120")["macs"] is None
    assert facts("sizes resnet18 --size 66:90")["macs"] == []
    layers = padviz.costs("vgg11").layers
    assert facts("layers vgg11 --layer features.3")["macs"] == sum(cost.macs for cost in layers[:3])


STEP = '{op = "conv", name = "a", kernel = 3, padding = 1, stride = 2'
SAID = {  # a network, its multiply-adds at the size above, by how much more
    f"layers = [{STEP}, out = 8}}]": (49 * 9 * 24, pytest.approx(49 / 36)),
    f"layers = [{STEP}}}]": (None, None),
    'layers = [{op = "maxpool", kernel = 3, stride = 2, padding = 1}]': (0, None),
}


@pytest.mark.parametrize("text", SAID)
def test_a_larger_size_costs_windows_where_channels_are_not_known(text: str) -> None:
    Path("net.toml").write_text(f"size = 12\n{text}")
    above = facts("uneven net.toml")["results"][0]["nearest_balanced"]["above"]
    assert (above["macs"], above["macs_ratio"], above["work"]) == (*SAID[text], pytest.approx(49 / 36))


# taps, fields, layers that are looked at


def test_taps() -> None:
    found = facts("uneven --taps resnet18 --size 224 -o taps.png")
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
    rows = rows_of("uneven --taps resnet18 --layer layer2.0.downsample.0")
    assert [row["layer"] for row in rows] == ["layer2.0.downsample.0"]


def test_layers_have_receptive_fields() -> None:
    last = facts("layers unet --layer out -o fields.svg")["layers"][-1]
    assert last["field"]["height"] == {
        "size": 204, "stride": 1.0, "padding": None, "centre": None, "offset": 0.0, "whole": False
    }  # fmt: skip
    assert last["parts_at"] is None
    assert Path("fields.svg").read_text().startswith("<?xml")


def test_an_audit_judges_a_layer_alone_and_a_size_that_cannot_run_in_a_row_of_its_own() -> None:
    (found,) = facts("audit resnet18 --size 224 --layer layer1.1")["results"]
    assert (found["target"], found["uneven_convolutions"]) == (["layer1.1"], ["conv1"])
    line = "audit unet --size 64 --size 572 --size 64"
    rows = run(*line.split()).stdout.splitlines()[2:-1]
    assert [row.split()[:3] for row in rows] == [["unet", "64", "cannot"], ["unet", "572", "no"]]
    bad, good = facts(line)["results"]
    assert (bad["size"], good["size"], good["verdict"]) == ([64, 64], [572, 572], "no padding read")
    assert bad["error"].startswith("cannot run: unet, ")
    assert run(*line.split(), "--format", "markdown").stdout.startswith("### U-Net, 64 x 64: cannot run: unet, ")


# comparisons


def test_a_scheme_that_cannot_run_says_why_and_the_rest_goes_on() -> None:
    zero, valid, reflect = facts("compare resnet18 --padding zero,valid,reflect -o map.svg")["results"]
    assert valid["padding"] == "valid"
    assert "branches disagree" in valid["error"]
    assert (zero["max"], reflect["padding"]) == (padviz.usage("resnet18", 224).max, "reflect")


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


# networks of one axis and of three


def test_usage_of_a_signal_has_the_axis_that_there_is() -> None:
    figures = facts(f"usage {TCN} --size 400")
    assert (figures["size"], figures["target"]["shape"]) == ([400], [400])
    assert figures["rim"] == {"length": [0, 4]}
    assert figures["corners"].keys() == {"first", "last"}
    assert figures["share"]["skew"].keys() == figures["skew"].keys() == figures["asymmetry"].keys() == {"length"}
    (cells,) = rows_of(f"usage {TCN} --size 400")
    assert (cells["length"], cells["rim_first"], cells["rim_last"]) == ("400", "0", "4")
    (layer,) = facts(f"coverage {TCN} --size 400")["layers"]
    assert layer["length"] == 400
    for names in (cells.keys(), layer.keys()):
        assert not any(name in key for key in names for name in ("height", "width", "top", "left"))
    first, last = facts(f"compare {TCN} --size 100,400")["results"]
    assert (first["size"], first["rim"], last["size"]) == ([100], {"length": [0, 4]}, [400])


@pytest.mark.parametrize("size", ["60", "4000"])  # as a whole, and by its ends
def test_a_signal_is_drawn_as_a_line(size: str) -> None:
    assert run("usage", TCN, "--size", size, "--scale", "share", "-o", "x.png").exit_code == 0
    with Image.open("x.png") as picture:
        assert picture.width > 2 * picture.height


def test_fields_ledger_and_chunks_have_the_axes_that_there_are() -> None:
    field = facts(f"layers {TCN} --size 400")["layers"][-1]["field"]["length"]
    assert (field["size"], field["before"], field["after"]) == (15, 14, 0)
    ledger = facts(f"uneven {VIDEO} --size 9x10x12 --all")["results"][0]
    assert ledger["size"] == [9, 10, 12]
    assert ledger["layers"][0]["depth"]["consumed"] == [2, 0]
    assert ledger["layers"][0]["height"]["consumed"] == [1, 1]
    assert facts(f"sizes {VIDEO} --size 9:40 --axis height")["balanced"]
    chunks = facts(f"tiles {DECODER} --chunk 16 --size 40")["chunks"]
    assert (chunks["new"], chunks["read"] - chunks["again"]) == (16, 16)
    assert chunks["heads"][0]["units"] == 128
    played = chunks["heads"][0]["drop_first"] + chunks["heads"][0]["units"]  # of the 8 of each input sample
    assert chunks["look_ahead"] == ceil((27 * 8 - played) / 8) == 7


# terminals


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
