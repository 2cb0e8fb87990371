"""`padviz tiles`: the answer first, then context, lattice and the call to paste; each mistake one line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import padviz
from tests.cli.test_cli import run

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("unet", "92 px of context on each side; tiles start on multiples of 16."),
        ("vgg11 --layer features.0", "1 px of context on each side; tiles start anywhere."),
        ("resnet50", "224 px of context before and 192 px after; tiles start on multiples of 32."),
        (
            "unet_padded --size 1024x2048 --tile 512x1024",
            "94 px of context on each side; tiles start on multiples of 16: tiles of 512 x 1024 keep 320 x 832; "
            "3 x 3 tiles cover height 1024 x width 2048; 2.25 times the pixels.",
        ),
        (
            "efficientnet_b0",
            "No tiles are exact: features.1.0.block.1 (gate). Without it: 448 px of context before and 416 px after; "
            "tiles start on multiples of 32.",
        ),
    ],
)
def test_the_first_sentence_answers(command: str, answer: str) -> None:
    assert answer in " ".join(run("tiles", *command.split()).stdout.split())


def test_norms_are_ignored_where_that_is_asked_for() -> None:
    asked = ["tiles", "efficientnet_b0", "--size", "2048", "--tile", "1024"]
    assert "no tiles are exact: features.1.0.block.1 (gate)" in run(*asked).stderr
    ignoring = " ".join(run(*asked, "--ignore-norms").stdout.split())
    assert "keep 160 x 160; 8 x 8 tiles cover height 2048 x width 2048" in ignoring
    assert "Not exact: features.1.0.block.1 (gate) and 15 more counted as if each position were by itself" in ignoring
    facts = json.loads(run(*asked, "--ignore-norms", "--format", "json").stdout)
    assert facts["ignored"][0] == {"layer": "features.1.0.block.1", "why": "gate"}
    call = run(*asked, "--ignore-norms", "--for", "python").stdout
    assert "python, not exact: features.1.0.block.1 (gate) sees the tile alone" in call


def test_a_level_below_one_plans_with_less_context_and_says_so() -> None:
    asked = ["tiles", "unet_padded", "--size", "1024", "--tile", "512", "--level", ".99"]
    text = " ".join(run(*asked).stdout.split())
    assert "Not exact: 56 px of context on each side, from which 99 % of the paths of each unit come" in text
    assert "keep 400 x 400; 3 x 3 tiles" in text
    assert "monai, not exact: tiles see 99 % of the paths of each unit" in run(*asked, "--for", "monai").stdout


def test_sizes_of_tiles_are_told_where_none_is_asked_for() -> None:
    facts = json.loads(run("tiles", "unet_padded", "--format", "json").stdout)
    assert facts["sizes"][0] == {"tile": [208, 208], "keeps": [16, 16], "cost": 169.0}
    for row, times in zip(facts["sizes"][1:], (4, 2, 1.5, 1.25), strict=True):
        plan = padviz.tiles("unet_padded", 16 * 4096, row["tile"])
        assert [*plan.tile] == row["tile"]
        assert [line.starts[1] for line in plan.lines] == row["keeps"]
        assert row["cost"] <= times < row["tile"][0] ** 2 / (row["keeps"][0] - 16) ** 2 + 0.1
    assert json.loads(run("tiles", "efficientnet_b0", "--format", "json").stdout)["sizes"] == []


@pytest.mark.parametrize(
    ("size", "said", "tiles"),
    [
        ("1024", "Tile sizes for an image of height 1024 x width 1024: --tile plans one", [208, 384, 656]),
        ("208x512", "Tile sizes for an image of height 208 x width 512: --tile plans one", [208]),
        ("96x512", "No tile is smaller than an image of height 96 x width 512: run it whole.", []),
    ],
)
def test_an_image_has_tiles_that_fit_into_it(size: str, said: str, tiles: list[int]) -> None:
    asked = ["tiles", "unet_padded", "--size", size]
    assert said in run(*asked).stdout
    assert [row["tile"][0] for row in json.loads(run(*asked, "--format", "json").stdout)["sizes"]] == tiles


def test_a_network_that_sees_more_than_is_counted_has_a_plan_without_grades() -> None:
    facts = json.loads(run("tiles", "densenet201", "--size", "100000", "--tile", "5000", "--format", "json").stdout)
    assert facts["contexts"][0]["height"]["before_99"] is None
    assert facts["plan"]["tiles"] > 100


def test_the_call_of_a_library_can_be_pasted() -> None:
    text = run("tiles", "unet_padded", "--size", "1024", "--tile", "512", "--for", "torchio").stdout
    assert "torchio, exact" in text
    assert "import torchio" in text
    assert "torchio.GridSampler(subject, (512, 512, 1), (192, 192, 0))" in text
    assert run("tiles", "unet_padded", "--size", "1024", "--tile", "512", "--for", "TorchIO").stdout == text


def test_a_plan_is_verified_on_the_network_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("more", ["--tile 256 --for monai", "--tile 256 --verify", ""])
def test_an_image_whose_maps_part_is_told_to_which_size_to_pad_it(more: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("parting.py").write_text(PARTING)
    monkeypatch.syspath_prepend(".")
    result = run("tiles", "parting:net", "--size", "501x506", *more.split())
    line = "--size: the network does not take 501 x 506, where its maps part; pad the image to 504 x 508"
    assert result.stderr == f"padviz: {line}\n"
    assert result.exit_code == 2
    assert run("tiles", "parting:net", "--size", "504x508", *more.split()).exit_code == 0
    with pytest.raises(padviz.PadvizError, match=r"size: the network does not take 501 x 501, .* to 504 x 504"):
        padviz.tiles("parting:net", 501, 256)
    with pytest.raises(padviz.PadvizError, match=r"size: the network does not take 501 x 501, .* to 504 x 504"):
        padviz.verify_tiles("parting:net", 501)


def test_the_arguments_of_python_are_called_as_they_are_there() -> None:
    asked = ["tiles", "unet_padded", "--size", "1024", "--tile", "512", "--format", "json"]
    recipe = json.loads(run(*asked, "--for", "python").stdout)["recipe"]
    assert recipe["exact"] is True
    assert padviz.tiles("unet_padded", **recipe["arguments"]).image == (1024, 1024)
    assert json.loads(run(*asked, "--for", "sahi").stdout)["recipe"]["exact"] is False


def test_a_plan_is_drawn_beside_what_is_printed() -> None:
    asked = ["tiles", "unet_padded", "--size", "1024", "--tile", "512"]
    assert run(*asked, "-o", "plan.png").stdout == f"{run(*asked).stdout}\nfile  plan.png\n"
    assert Path("plan.png").stat().st_size > 5000
