"""Multiply-adds in the commands, and window positions where a description does not say its channels."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import padviz
from padviz.geometry.costs import COUNTED
from tests.cli.test_cli import run

STEP = '{op = "conv", name = "a", kernel = 3, padding = 1, stride = 2'


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("silent.toml").write_text(f"size = 12\nlayers = [{STEP}}}]")
    Path("told.toml").write_text(f"size = 12\nlayers = [{STEP}, out = 8}}]")
    Path("pools.toml").write_text('size = 12\nlayers = [{op = "maxpool", kernel = 3, stride = 2, padding = 1}]')


def test_layers_ends_with_the_sum() -> None:
    assert run("layers", "told.toml").stdout.endswith(f"Multiply-adds (macs): 7,776; {COUNTED}.\n")
    assert re.search(r"layer1\.0 +add +56 +56 +19 +-1\.5\n", run("layers", "resnet50").stdout)
    unknown = run("layers", "silent.toml").stdout
    assert unknown.endswith("Multiply-adds (macs): not known, since a does not say its channels.\n")
    assert "macs\n" not in unknown.partition("Multiply")[0]
    found = json.loads(run("layers", "silent.toml", "--format", "json").stdout)
    assert (found["macs"], found["macs_unknown"], found["layers"][0]["macs"]) == (None, "a", None)
    assert run("layers", "silent.toml", "--format", "csv").stdout.endswith("\na,conv,3,2,1,1+1,12,6,,3,2,1,0,-0.5,\n")
    full = json.loads(run("layers", "vgg11", "--padding", "full", "--format", "json").stdout)["macs"]
    assert full > padviz.costs("vgg11").macs


def test_layers_counts_up_to_the_layer_that_is_named() -> None:
    found = json.loads(run("layers", "vgg11", "--layer", "features.3", "--format", "json").stdout)
    assert found["macs"] == sum(cost.macs for cost in padviz.costs("vgg11").layers[:3])


def test_uneven_says_what_its_sizes_cost() -> None:
    assert "11 (1.00x multiply-adds), 13 (1.36x multiply-adds); conv" in run("uneven", "told.toml").stdout
    text = run("uneven", "silent.toml").stdout
    assert "13 (1.36x window positions); a does not say its channels, so multiply-adds are not known." in text
    assert "13 (1.36x window positions); nothing multiplies." in run("uneven", "pools.toml").stdout
    facts = {}
    for name in ("told", "silent", "pools"):
        text = run("uneven", f"{name}.toml", "--format", "json").stdout
        facts[name] = json.loads(text)["results"][0]["nearest_balanced"]["above"]
    assert (facts["told"]["macs"], facts["told"]["macs_ratio"]) == (49 * 9 * 24, pytest.approx(49 / 36))
    assert (facts["silent"]["macs"], facts["silent"]["macs_ratio"]) == (None, None)
    assert (facts["pools"]["macs"], facts["pools"]["macs_ratio"]) == (0, None)
    assert [each["work"] for each in facts.values()] == [pytest.approx(49 / 36)] * 3


def test_sizes_have_their_multiply_adds() -> None:
    costs = {n: padviz.costs("resnet50", n).macs for n in (65, 97, 129)}
    text = run("sizes", "resnet50", "--size", "64:140").stdout
    assert f"macs          {costs[65]:,} at 65, {costs[129]:,} at 129\n" in text
    assert json.loads(run("sizes", "resnet50", "--size", "64:140", "--format", "json").stdout)["macs"] == [
        *costs.values()
    ]
    rows = run("sizes", "resnet50", "--size", "64:140", "--format", "csv").stdout.split()
    assert rows == ["size,remainder,macs", *(f"{n},0,{macs}" for n, macs in costs.items())]
    for options in (["resnet50", "--axis", "height"], ["silent.toml"]):
        found = json.loads(run("sizes", *options, "--size", "64:120", "--format", "json").stdout)
        assert found["balanced"]
        assert found["macs"] is None
        assert "macs" not in run("sizes", *options, "--size", "64:120").stdout
    assert json.loads(run("sizes", "resnet18", "--size", "66:90", "--format", "json").stdout)["macs"] == []
