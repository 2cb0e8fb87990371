"""Exports of networks with their weights."""

import inspect
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import padviz
from padviz.exports.manifest import read_manifest
from padviz.trained.images import Inputs
from tests.cli.test_cli import lay, run, told
from tests.cli.test_cli_trained import network
from tests.wheels import FILES, WEIGHTS

ROOT = Path(__file__).parents[2]
MANIFEST = """
[[maps]]
models = ["filtered_net:net"]
weights = "w.pth"
sizes = [32, 33]
what = ["filters"]
"""


@pytest.fixture(autouse=True)
def _files(elsewhere: None) -> None:
    lay("filtered_net.py")
    torch.save(network().state_dict(), "w.pth")


def tally(*args: str) -> list[int]:
    result = run("export", *args, "-o", "out", "--jobs", "1")
    assert (result.exit_code, result.stderr) == (0, "")
    return [int(line.split()[1]) for line in result.stdout.splitlines()[:3]]


def test_filters_are_exported_and_made_anew_when_weights_change() -> None:
    Path("m.toml").write_text(MANIFEST)
    assert tally("m.toml", "--allow-modules") == [2, 0, 0]
    record = json.loads(Path("out/net-33-filters.json").read_text())
    first = record["rows"][0]
    assert (first["axis"], first["offset"], record["filters"][0]["strided"]) == ("height", 0, True)
    assert Path("out/net-32-filters.png").stat().st_size > 5000
    (strided,) = [group for group in record["groups"] if group["strided"]]
    assert f"D {strided['skew']:+.3f}, {strided['axes']} axes" in Path("out/index.html").read_text()
    assert tally("m.toml", "--allow-modules") == [0, 2, 0]
    torch.manual_seed(1)
    torch.save(network().state_dict(), "w.pth")
    assert tally("m.toml", "--allow-modules") == [2, 0, 0]
    assert json.loads(Path("out/net-33-filters.json").read_text())["rows"][0] != first


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "m.toml --allow-modules",
            "none.pth: no such file; give the path of a .safetensors or .pth file",
        ),
        ("vgg11 --what filters", "vgg11: a description has no weights"),
        (
            "torchvision.models:alexnet --what filters",
            "torchvision.models:alexnet: makes a module with random weights; name it in a manifest, with weights = "
            '"DEFAULT", or the path of a file that fits',
        ),
    ],
)
def test_items_without_weights_fail(line: str, says: str) -> None:
    Path("m.toml").write_text(MANIFEST.replace("w.pth", "none.pth"))
    result = run("export", *line.split(), "-o", "out", "--jobs", "1")
    assert result.exit_code == 3
    assert says in result.stderr


def test_the_manifest_of_trained_networks_names_what_is_fetched() -> None:
    manifest = read_manifest(ROOT / "configs/exports/trained.toml")
    named = {
        name
        for maps in manifest.maps
        for name in (*maps.models, maps.weights)
        if "." in name and ":" not in name
    }
    assert len(named) == 5
    assert named <= {*WEIGHTS, *(f"{name}.onnx" for name in FILES)}


RUN = MANIFEST.replace('"filters"', '"responses"').replace("[32, 33]", "[32]")
SHOWN = """paddings = ["reflect"]
n = 3
seed = 5
mean = [0.1, 0.2, 0.3]
std = 0.5
"""


def figures() -> Any:
    return json.loads(Path("out/net-32-responses.json").read_text())


def test_responses_are_of_what_the_manifest_says_as_in_the_command() -> None:
    Path("m.toml").write_text(RUN + SHOWN)
    assert tally("m.toml", "--allow-modules") == [1, 0, 0]
    same = (
        "--size",
        "32",
        "--padding",
        "reflect",
        "-n",
        "3",
        "--seed",
        "5",
        "--mean",
        ".1,.2,.3",
        "--std",
        ".5",
    )
    command = ("responses", "filtered_net:net", "--weights", "w.pth", "--format", "json")
    told_ = json.loads(run(*command, *same).stdout)
    found = figures()
    del found["item"]
    assert found == told_ | {"files": ["net-32-responses.png"]}
    for key, value in (("n", "4"), ("seed", "6"), ("mean", "0.1"), ("std", "[0.5, 0.5, 0.4]")):
        line = next(line for line in SHOWN.splitlines() if line.startswith(f"{key} ="))
        Path("m.toml").write_text(RUN + SHOWN.replace(line, f"{key} = {value}"))
        assert tally("m.toml", "--allow-modules") == [1, 0, 0]
        assert figures() != found
    assert tally("m.toml", "--allow-modules") == [0, 1, 0]


def test_pictures_lie_beside_the_manifest_and_are_read_anew_when_they_change() -> None:
    Path("sub/pictures").mkdir(parents=True)
    for each in ("w.pth", "filtered_net.py"):
        Path("sub", each).write_bytes(Path(each).read_bytes())
    for i in (0, 1):
        Image.new("RGB", (32, 32), (9 * i, 40, 200)).save(f"sub/pictures/{i}.png")
    Path("sub/m.toml").write_text(RUN + 'images = "pictures"\n')
    assert tally("sub/m.toml", "--allow-modules") == [1, 0, 0]
    assert (figures()["count"], Path(figures()["images"]).name) == (2, "pictures")
    assert tally("sub/m.toml", "--allow-modules") == [0, 1, 0]
    Image.new("RGB", (32, 32), (9, 41, 200)).save("sub/pictures/1.png")
    assert tally("sub/m.toml", "--allow-modules") == [1, 0, 0]


def test_two_responses_of_one_name_are_refused() -> None:
    Path("m.toml").write_text(f"{RUN}{RUN}mean = 0.5\n")
    assert "two items would be called net-32-responses" in told(
        "export", "m.toml", "--allow-modules", "-o", "out2"
    )


def test_responses_are_by_default_of_the_inputs_that_the_function_takes() -> None:
    known = inspect.signature(padviz.responses).parameters
    for each in fields(Inputs):
        assert each.default == known[each.name].default
