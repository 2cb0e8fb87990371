"""`padviz tiles` and `padviz audit`: what JSON holds is what can be planned; says.txt has their words."""

import json
import re
from pathlib import Path

import pytest

import padviz
from tests.cli.test_cli import ONE, run
from tests.cli.test_cli_figures import facts
from tests.cli.test_cli_foreign import plain

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_sizes_of_tiles_are_told_where_none_is_asked_for() -> None:
    sizes = facts("tiles unet_padded")["sizes"]
    assert sizes[0] == {"tile": [208, 208], "keeps": [16, 16], "cost": 169.0}
    for row, times in zip(sizes[1:], (4, 2, 1.5, 1.25), strict=True):
        plan = padviz.tiles("unet_padded", 16 * 4096, row["tile"])
        assert [*plan.tile] == row["tile"]
        assert [line.starts[1] for line in plan.lines] == row["keeps"]
        assert row["cost"] <= times < row["tile"][0] ** 2 / (row["keeps"][0] - 16) ** 2 + 0.1
    assert facts("tiles efficientnet_b0")["sizes"] == []


@pytest.mark.parametrize(("size", "tiles"), [("64", [3, 4, 7, 11, 19]), ("4x64", [3, 4]), ("2x64", [])])
def test_an_image_has_tiles_that_fit_into_it(size: str, tiles: list[int]) -> None:
    Path("one.toml").write_text(ONE)
    assert [row["tile"][0] for row in facts(f"tiles one.toml --size {size}")["sizes"]] == tiles


def test_a_plan_is_verified_on_the_network_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = "nn.Conv2d(1, 4, 3, padding=1), {}, nn.Conv2d(4, 2, 3, 2, padding=1)"
    text = "from torch import nn\nplain = nn.Sequential({})\nnormed = nn.Sequential({})\n"
    Path("laid.py").write_text(text.format(layers.format("nn.ReLU()"), layers.format("nn.InstanceNorm2d(4)")))
    monkeypatch.syspath_prepend(".")
    result = run("tiles", "laid:plain", "--size", "640", "--tile", "64", "--verify")
    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    where = r"Verified: checked at 10 x 10 px of noise in 9 tiles of 6 x 6, the smallest image with three tiles a side,"
    differ = r"whole and tiled differ by \S+ of the largest number \(float64; up to 1e-12 is rounding\)"
    assert re.search(rf"{where} {differ}; with one unit less of context by 0\.\d+\.", words), result.stdout
    wrong = run("tiles", "laid:normed", "--verify", "--ignore-norms", "--format", "json")
    assert wrong.exit_code == 1
    verified = json.loads(wrong.stdout)["verified"]
    assert not verified["holds"]
    assert verified["difference"] > verified["tolerance"] == 1e-12
    assert verified["one_less"].keys() == {"top", "bottom", "left", "right"}


def test_chunks_that_ignore_a_norm_are_called_inexact(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = "nn.Conv1d(1, 4, 3, padding=1), nn.GroupNorm(1, 4), nn.Conv1d(4, 1, 3, padding=1)"
    Path("normed.py").write_text(f"from torch import nn\nnet = nn.Sequential({layers})\n")
    monkeypatch.syspath_prepend(".")
    words = " ".join(run("tiles", "normed:net", "--size", "256", "--chunk", "64", "--ignore-norms").stdout.split())
    assert re.search(r"Each chunk reads 68 input samples: .* Not exact: 1 \(group norm\) counted as if", words), words


PARTING = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.up = nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(4), nn.ConvTranspose2d(2, 2, 4, 4)
        self.last = nn.Conv2d(4, 1, 3, padding=1)
    def forward(self, x):
        y = self.a(x)
        return self.last(torch.cat([y, self.up(self.b(y))], 1))
net = Net()
"""


def test_an_image_whose_maps_part_is_told_to_which_size_to_pad_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("parting.py").write_text(PARTING)
    monkeypatch.syspath_prepend(".")
    line = "--size: the network does not take 501 x 506, where its maps part; pad the image to 504 x 508"
    for more in ("--tile 256 --for monai", "--tile 256 --verify", ""):
        result = run("tiles", "parting:net", "--size", "501x506", *more.split())
        assert (result.exit_code, result.stderr) == (2, f"padviz: {line}\n")
        assert run("tiles", "parting:net", "--size", "504x508", *more.split()).exit_code == 0


def test_what_the_screen_leaves_out_is_counted() -> None:
    text = run("audit", "resnet50", "--size", "224").stdout
    listed = max(int(i) for i in re.findall(r"^ {0,2}(\d+) \S", text, re.MULTILINE))
    assert f"\nAnd {len(padviz.audit('resnet50', 224).remedies) - listed} further remedies: --format json\n" in text


def test_a_second_scheme_is_made_as_the_first_and_python_is_told_in_its_own_words() -> None:
    text = " ".join(run("audit", plain(), "--size", "64").stdout.split())
    command = r'padviz repad net.onnx --padding (\w+) -o \1.onnx or padviz.repad\(module, "\1"\)'
    first, scheme = re.search(rf" (\d) {command.replace('1', '2')}", text).groups()  # type: ignore[union-attr]
    second = re.search(rf" (\d) as {first}, with ([\w/]+)", text)
    assert second is not None
    assert all(f" {i} {name} padding " in text for i, name in ((first, scheme), second.groups()))
    says = "the file does not fix its input size: using 224 x 224; set another with `size`"
    assert facts("audit net.onnx")["results"][0]["notes"] == [says]
    assert "open" not in run("audit", "net.onnx", "--size", "64").stderr
