"""The builder of the atlas: rows are kept as they are made, and equal geometries are one row."""

import json
from pathlib import Path
from typing import Any

import pytest

import padviz
from experiments import atlas, atlas_file
from experiments.atlas_networks import Entry, entries
from padviz.advice.atlas import AtlasRow
from padviz.sources.toml.load import parse
from tests.sweeps import SLOW

RESNETS = [
    Entry("padviz", "resnet18", "resnet", (224, 224)),
    Entry("timm", "resnet18", "resnet", (224, 224)),
    Entry("torchvision", "resnet18", "resnet", (224, 224)),
]
OTHERS = [
    Entry("timm", "vit_tiny_patch16_224", "vit", (224, 224)),
    Entry("timm", "halonet26t", "halonet", (256, 256)),
    Entry("timm", "no_such_network", "no", (224, 224)),
]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    path = tmp_path_factory.mktemp("atlas") / "atlas.jsonl"
    atlas.run(path, [*RESNETS, *OTHERS], atlas.row_of, set(), 1)
    atlas.run(path, RESNETS[1:2], atlas.sizes_of, set(), 1)
    atlas.run(path, RESNETS[1:2], atlas.asked_of, set(), 1)
    return atlas.kept(path)


@SLOW
def test_networks_of_equal_layers_are_one_row_with_all_names(lines: list[dict[str, Any]]) -> None:
    (row,) = atlas_file.packed(lines)
    summary = padviz.usage("resnet18").summary()
    assert row.names == {"padviz": ["resnet18"], "timm": ["resnet18"], "torchvision": ["resnet18"]}
    assert (row.size, row.depths) == (224, summary.rim)
    assert row.starved == round(summary.share.starved, 4)
    audit = padviz.audit("resnet18", 224)
    assert row.uneven == len(audit.uneven_convolutions)
    assert ([row.field] * 2, [row.offset] * 2) == (audit.reach.field, audit.offset)
    assert row.strides == [32]
    context = padviz.tiles("resnet18", 224).contexts[0]
    assert [row.context] * 2 == [[axis.before, axis.after] for axis in context]
    assert (row.accepted, row.balanced) == ("every size", "32*i + 1")


@SLOW
def test_what_is_not_read_says_why(lines: list[dict[str, Any]]) -> None:
    outcome = {line["name"]: line["outcome"] for line in lines}
    assert outcome["vit_tiny_patch16_224"] == "patches"
    assert outcome["halonet26t"] == outcome["no_such_network"] == "refused"
    why = {line["name"]: line.get("why", "") for line in lines}
    assert "unfold" in why["halonet26t"]
    assert "cannot be built" in why["no_such_network"]


@SLOW
def test_one_of_each_family_is_asked(lines: list[dict[str, Any]]) -> None:
    (asked,) = [line for line in lines if line["outcome"] == "asked"]
    assert (asked["name"], asked["holds"]) == ("resnet18", True)


@SLOW
def test_the_file_holds_what_was_read(lines: list[dict[str, Any]]) -> None:
    told = json.loads(atlas_file.text_of(lines))
    assert told["columns"] == [*AtlasRow.__struct_fields__]
    assert [row[0] for row in told["rows"]] == [atlas_file.packed(lines)[0].names]
    assert told["libraries"]["timm"]["refused"] == len(told["not_read"]) == 2
    assert told["libraries"]["timm"]["patches"] == 1


def test_networks_are_alike_whatever_their_layers_are_called_and_what_is_merged_first() -> None:
    keys = {
        atlas.geometry(parse(two_branches(*order), "net"))
        for order in (("a", "b"), ("b", "a"), ("c", "d"))
    }
    assert len(keys) == 1
    wider = two_branches("a", "b")
    wider["layers"][0]["kernel"] = 5
    assert atlas.geometry(parse(wider, "net")) not in keys


def two_branches(first: str, second: str) -> dict[str, Any]:
    """Return a description of a wide and a narrow window on the image, which are added."""
    windows = {"a": 3, "b": 1, "c": 3, "d": 1}
    layers: list[dict[str, Any]] = [
        {"op": "conv", "name": name, "kernel": windows[name], "from": "input"}
        for name in (first, second)
    ]
    return {"layers": [*layers, {"op": "add", "name": "sum", "from": [first, second]}]}


def spin(entry: Entry, known: set[str]) -> dict[str, Any]:
    while True:
        pass


def hoard(entry: Entry, known: set[str]) -> dict[str, Any]:
    return {"outcome": "read", "held": len(bytearray(2 * atlas.MEMORY))}


@SLOW
def test_what_takes_too_long_or_too_much_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas, "SECONDS", 1)
    monkeypatch.setattr(atlas, "MEMORY", 2**30)
    long, large = (atlas.apart(make, RESNETS[0], set()) for make in (spin, hoard))
    assert (long["outcome"], large["outcome"]) == ("stopped", "stopped")
    assert "GB" in large["why"]


def test_a_line_that_was_cut_off_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "atlas.jsonl"
    path.write_text('{"library": "padviz", "name": "vgg11", "outcome": "patches"}\n{"library": "pa')
    assert [line["name"] for line in atlas.kept(path)] == ["vgg11"]


@SLOW
def test_one_network_of_each_family_comes_first() -> None:
    listed = entries(["padviz", "timm"])
    families = [entry.family for entry in listed]
    first = len({*families})
    assert len({*families[:first]}) == first
    assert len(listed) == len({(entry.library, entry.name) for entry in listed})


@SLOW
def test_the_picture_has_a_line_for_each_row(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    atlas_file.draw(atlas_file.packed(lines), tmp_path / "rims.png")
    assert (tmp_path / "rims.png").stat().st_size > 5000
