"""What JSON, CSV and exit codes of commands hold, where it is more than a format of what Python returns."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import padviz
from padviz.errors import PadvizError
from padviz.figures.maps import panels
from tests.cli.test_cli import ONE, lay, run
from tests.cli.test_cli_foreign import plain
from tests.figures.kinds import clipped

pytestmark = pytest.mark.usefixtures("elsewhere")
TCN = "tests.signals:Tcn"


def facts(line: str) -> Any:
    result = run(*line.split(), "--format", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_an_audit_has_a_size_that_cannot_run_in_a_row_of_its_own() -> None:
    line = "audit unet --size 64 --size 572 --size 64"
    rows = run(*line.split()).stdout.splitlines()[2:-1]
    assert [row.split()[:3] for row in rows] == [["unet", "64", "cannot"], ["unet", "572", "no"]]
    bad, good = facts(line)["results"]
    assert (bad["size"], good["size"], good["verdict"]) == ([64, 64], [572, 572], "no padding read")
    assert bad["error"].startswith("cannot run: unet, ")
    assert run(*line.split(), "--format", "markdown").stdout.startswith(
        "### U-Net, 64 x 64: cannot run: unet, "
    )


@pytest.mark.parametrize(
    ("models", "says"),
    [(["vgg11", "vgg19"], "to each last feature map"), (["vgg19", "vgg19"], "to features.36")],
)
def test_a_caption_names_the_target_only_where_all_maps_share_it(
    models: list[str], says: str
) -> None:
    figure = panels.compared([(model, padviz.usage(model, 64)) for model in models], "model")
    assert says in " ".join(text.get_text() for text in figure.texts)


@pytest.mark.parametrize(("scale", "shared"), [("counts", True), ("each", False)])
def test_one_scale_or_one_for_each_panel(scale: str, shared: bool) -> None:
    maps = [padviz.usage("vgg11", 96, padding=padding) for padding in ("zero", "reflect")]
    items = [
        ("zero", maps[0]),
        ("reflect", maps[1]),
        ("valid", PadvizError("is too small", where="vgg11, x")),
    ]
    figure = panels.compared(items, "padding", scale)
    zero, reflect = (ax.images[0].get_array() for ax in figure.axes[:2])
    assert reflect.max() == pytest.approx(1)
    assert zero.max() == pytest.approx(maps[0].max / maps[1].max if shared else 1)
    assert "cannot run: vgg11, x: is" in figure.axes[2].texts[0].get_text()
    assert not clipped(figure)


def test_usage_of_a_signal_has_the_axis_that_there_is() -> None:
    (row,) = facts(f"usage {TCN} --size 400")["rows"]
    assert (row["size"], row["target_shape"]) == ([400], [400])
    assert (row["rim_before"], row["rim_after"]) == (0, 4)
    printed = run("usage", TCN, "--size", "400", "--format", "csv").stdout
    (cells,) = csv.DictReader(io.StringIO(printed))
    assert (cells["size"], cells["rim_before"], cells["rim_after"]) == ("400", "0", "4")
    assert (
        {*row} == {*cells} >= {"corners_first", "corners_last", "skew_length", "share_skew_length"}
    )
    (layer,) = facts(f"coverage {TCN} --size 400")["rows"]
    assert layer["shape"] == [400]
    for names in (cells.keys(), layer.keys()):
        assert not any(name in key for key in names for name in ("height", "width", "top", "right"))
    first, last = facts(f"compare {TCN} --size 100,400")["rows"]
    assert (first["size"], first["rim_after"], last["size"]) == ([100], 4, [400])


def test_no_colours_where_they_are_not_wanted() -> None:
    assert "\x1b[" not in run("uneven", "resnet50").stdout
    leader, follower = pty.openpty()
    settings: dict[str, Any] = {
        **os.environ,
        "COLUMNS": "100",
        "TERM": "xterm-256color",
        "NO_COLOR": "1",
    }
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


@pytest.mark.parametrize(
    "line", ["check vgg11 --even", "compare vgg11", "uneven vgg11", "audit vgg11"]
)
def test_many_sizes_show_their_progress(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[int, int]] = []

    @contextmanager
    def recorded(*_: Any, **__: Any) -> Iterator[Any]:
        yield lambda done, total: shown.append((done, total))

    for module in ("by_hand", "running"):
        monkeypatch.setattr(f"padviz.cli.{module}.progress", recorded)
    result = run(*line.split(), "--size", "64:128:32")
    assert (result.exit_code, result.stderr) == (0, "")
    assert shown in (
        [(1, 3), (2, 3), (3, 3)],
        [(1, 3), (2, 3), (3, 3)] * 2,
    )  # reading, too, may be long


def test_sizes_of_tiles_are_told_where_none_is_asked_for() -> None:
    sizes = facts("tiles unet_padded")["sizes"]
    assert sizes[0] == {"tile": [208, 208], "keeps": [16, 16], "cost": 169.0}
    for row, times in zip(sizes[1:], (4, 2, 1.5, 1.25), strict=True):
        plan = padviz.tiles("unet_padded", 16 * 4096, row["tile"]).plan
        assert [*plan.tile] == row["tile"]
        assert [line.starts[1] for line in plan.lines] == row["keeps"]
        assert row["cost"] <= times < row["tile"][0] ** 2 / (row["keeps"][0] - 16) ** 2 + 0.1
    assert facts("tiles efficientnet_b0")["sizes"] == []


@pytest.mark.parametrize(
    ("size", "tiles"), [("64", [3, 4, 7, 11, 19]), ("4x64", [3, 4]), ("2x64", [])]
)
def test_an_image_has_tiles_that_fit_into_it(size: str, tiles: list[int]) -> None:
    Path("one.toml").write_text(ONE)
    assert [row["tile"][0] for row in facts(f"tiles one.toml --size {size}")["sizes"]] == tiles


def test_tiles_of_a_signal_are_verified_with_the_channels_that_are_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("mels.py").write_text(
        "from torch import nn\n\n\nclass Up(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.conv = nn.Conv1d(7, 2, 3, padding=1)\n"
        "    def forward(self, mel):\n        return self.conv(mel.relu())\n"
    )
    monkeypatch.syspath_prepend(".")
    result = run("verify", "mels:Up", "--shape", "mel=1x7xL", "--size", "200", "--stream", "48")
    assert (result.exit_code, "Verified" in result.stdout) == (0, True), result.output


def test_a_plan_is_verified_on_the_network_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = "nn.Conv2d(1, 4, 3, padding=1), {}, nn.Conv2d(4, 2, 3, 2, padding=1)"
    text = "from torch import nn\nplain = nn.Sequential({})\nnormed = nn.Sequential({})\n"
    Path("laid.py").write_text(
        text.format(layers.format("nn.ReLU()"), layers.format("nn.InstanceNorm2d(4)"))
    )
    monkeypatch.syspath_prepend(".")
    result = run("verify", "laid:plain", "--size", "64", "--tile", "24")
    words = " ".join(result.stdout.split())
    assert result.exit_code == 0
    assert "Verified: tiles give the whole's output, in 4 comparisons." in words, result.stdout
    assert "of its largest value; 0.0001 is rounding, at 64 x 64, float32." in words
    shared = "verify", "laid:normed", "--size", "64", "--tile"
    assert "no tiles are exact: 1 (instance norm)" in run(*shared, "32").stderr
    assert run(*shared, "32", "--norms", "shared").exit_code == 0
    assert "so nothing is compared" in run(*shared, "90", "--norms", "shared").stderr
    assert run("verify", "laid:normed", "--size", "64", "--shards", "3").exit_code == 0
    wrong = run(*shared, "32", "--norms", "per-tile", "--format", "json")
    assert wrong.exit_code == 1
    document = json.loads(wrong.stdout)
    assert not document["holds"]
    assert {row["verdict"] for row in document["rows"]} == {"wrong"}


def test_a_stream_through_a_norm_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = "nn.Conv1d(1, 4, 3, padding=1), nn.GroupNorm(1, 4), nn.Conv1d(4, 1, 3, padding=1)"
    Path("normed.py").write_text(f"from torch import nn\nnet = nn.Sequential({layers})\n")
    monkeypatch.syspath_prepend(".")
    refused = run("stream", "normed:net", "--size", "256", "--chunk", "64")
    assert refused.exit_code == 2
    assert "cannot be streamed: 1 (group norm); name an earlier --layer" in refused.stderr


def test_an_image_whose_maps_part_is_told_to_which_size_to_pad_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lay("parting.py")
    monkeypatch.syspath_prepend(".")
    for line in ("tiles --tile 256 --for monai", "verify", "tiles"):
        command, *more = line.split()
        result = run(command, "parting:net", "--size", "501x506", *more)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert "does not take 501 x 506" in result.stderr
        assert "Expected 501 in dimension 2 but got 500" in result.stderr
        assert (
            "; pad the image to 504 x 508 or crop it to 500 x 504: padviz sizes parting:net "
            in result.stderr
        )
        assert run(command, "parting:net", "--size", "504x508", *more).exit_code == 0


FIXED = """
from torch import nn
class Fixed(nn.Module):
    def forward(self, x):
        assert x.shape[-1] == 224, "the width must be 224"
        return nn.functional.avg_pool2d(x, 16, 16)
net = Fixed()
"""


def test_a_network_of_one_size_is_not_told_to_pad_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("fixed.py").write_text(FIXED)
    monkeypatch.syspath_prepend(".")
    result = run("tiles", "fixed:net", "--size", "250", "--tile", "128")
    assert result.exit_code == 2
    assert "the width must be 224" in result.stderr
    assert "branches" not in result.stderr
    assert "pad the image" not in result.stderr


def test_all_lists_every_remedy_and_the_screen_counts_them() -> None:
    remedies = padviz.audit("resnet50", 224).remedies
    text = run("audit", "resnet50", "--size", "224", "--all").stdout
    lines = re.findall(r"^ {0,2}(\d+) (?!x )\S", text, re.MULTILINE)
    assert [*map(int, lines)] == [*range(1, len(remedies) + 1)] * 2
    short = run("audit", "resnet50", "--size", "224").stdout
    assert f"--all shows what is behind this, and {len(remedies)} changes" in short


def test_a_second_scheme_is_made_as_the_first_and_python_is_told_in_its_own_words() -> None:
    text = " ".join(run("audit", plain(), "--size", "64", "--all").stdout.split())
    command = r'padviz repad net.onnx --padding (\w+) -o \1.onnx or padviz.repad\(module, "\1"\)'
    first, scheme = re.search(rf" (\d) {command.replace('1', '2')}", text).groups()  # type: ignore[union-attr]
    second = re.search(rf" (\d) as {first}, with ([\w/]+)", text)
    assert second is not None
    assert all(f" {i} {name} padding " in text for i, name in ((first, scheme), second.groups()))
    says = "the file does not fix its input size: using 224 x 224; set another with `size`"
    assert facts("audit net.onnx")["results"][0]["notes"] == [says]
    assert "open" not in run("audit", "net.onnx", "--size", "64").stderr
