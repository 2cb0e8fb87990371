"""Exports of networks with their weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from padviz.exports.items import expand
from padviz.exports.manifest import read_manifest
from tests.cli.test_cli import run, told
from tests.cli.test_cli_filters import NET, network
from tests.cli.test_cli_foreign import plain
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
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("filtered_net.py").write_text(NET)
    torch.save(network().state_dict(), "w.pth")


def tally(*args: str) -> list[int]:
    result = run("export", *args, "-o", "out", "--jobs", "1")
    assert (result.exit_code, result.stderr) == (0, "")
    return [int(line.split()[1]) for line in result.stdout.splitlines()[:3]]


def test_filters_are_exported_and_made_anew_when_weights_change() -> None:
    Path("m.toml").write_text(MANIFEST)
    assert tally("m.toml", "--allow-modules") == [2, 0, 0]
    record = json.loads(Path("out/net-33-filters.json").read_text())
    first = record["figures"]["layers"][0]
    assert (first["height"]["offset"], first["strided"]) == (0, True)
    assert Path("out/net-32-filters.png").stat().st_size > 5000
    assert "D +" in (page := Path("out/index.html").read_text()) or "D -" in page
    assert tally("m.toml", "--allow-modules") == [0, 2, 0]
    torch.manual_seed(1)
    torch.save(network().state_dict(), "w.pth")
    assert tally("m.toml", "--allow-modules") == [2, 0, 0]
    assert json.loads(Path("out/net-33-filters.json").read_text())["figures"]["layers"][0] != first


def test_onnx_files_need_no_manifest() -> None:
    plain("net.onnx")
    assert tally("net.onnx", "--what", "filters,uneven", "--size", "40") == [2, 0, 0]


def test_mistakes_are_told() -> None:
    Path("m.toml").write_text(MANIFEST.replace("filters", "usage"))
    said = told("export", "m.toml", "--allow-modules", "-o", "out")
    assert said == "padviz: m.toml, weights: usage are of geometry alone; leave it out, or ask for filters, responses\n"
    Path("m.toml").write_text(MANIFEST.replace("w.pth", "none.pth"))
    result = run("export", "m.toml", "--allow-modules", "-o", "out", "--jobs", "1")
    assert result.exit_code == 3
    assert "none.pth: no such file; give the path of a .safetensors or .pth file" in result.stderr
    result = run("export", "vgg11", "--what", "filters", "-o", "out", "--jobs", "1")
    assert result.exit_code == 3
    assert "vgg11: a description has no weights" in result.stderr


def test_the_manifest_of_trained_networks_names_what_is_fetched() -> None:
    manifest = read_manifest(ROOT / "configs/exports/trained.toml")
    named = {name for maps in manifest.maps for name in (*maps.models, maps.weights) if "." in name and ":" not in name}
    assert named <= {*WEIGHTS, *(f"{name}.onnx" for name in FILES)}
    assert len(named) == 5
    items = expand(read_manifest(ROOT / "configs/exports/trained.toml").__class__(maps=manifest.maps[:1]), Path("x"))
    assert [(item.what, item.trained is not None) for item in items] == [("filters", True)]


def test_responses_under_several_paddings_are_one_picture() -> None:
    Path("m.toml").write_text(MANIFEST.replace('"filters"', '"responses"').replace("[32, 33]", "[32]"))
    assert tally("m.toml", "--allow-modules") == [1, 0, 0]
    record = json.loads(Path("out/net-32-responses.json").read_text())
    assert [each["padding"] for each in record["figures"]["means"]] == [None, "reflect", "symmetric", "circular"]
    assert len(record["figures"]["layers"]) == 4 * len({each["layer"] for each in record["figures"]["layers"]})
    assert "E, circular" in Path("out/index.html").read_text()
    assert Path("out/net-32-responses.png").stat().st_size > 5000
