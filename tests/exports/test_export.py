"""`padviz export`: what it makes, keeps, refuses, and survives."""

import csv
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from PIL import Image

import padviz
from padviz.exports import batch, sidecars
from padviz.exports.cards import card_of
from padviz.exports.items import expand
from padviz.exports.manifest import Manifest, Maps, read_manifest
from padviz.exports.sidecars import Look, digest_item
from padviz.reports.rendering import to_json
from tests.cli.test_cli import ONE, run

ROOT = Path(__file__).parents[2]


pytestmark = pytest.mark.usefixtures("elsewhere")


def exported(*args: str, jobs: int = 1) -> dict[str, int]:
    result = run("export", *args, "-o", "out", "--jobs", str(jobs))
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return tally(result.stdout)


def tally(stdout: str) -> dict[str, int]:
    return {name: int(value) for name, value in map(str.split, stdout.splitlines()[:3])}


def everything_is_whole(folder: Path) -> None:
    for path in [path for path in folder.rglob("*") if "/." not in str(path)]:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                picture.load()
        elif path.suffix == ".npz":
            padviz.read_counts(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        else:
            assert path.is_dir() or path.name in ("index.csv", "index.html"), path


def test_the_product_of_what_is_named_is_made_and_listed() -> None:
    asked = (
        "--size",
        "64,96x128",
        "--padding",
        "declared,reflect",
        "--what",
        "usage,coverage,uneven,taps",
    )
    assert exported("vgg11", "resnet18", *asked, "--format", "png,npz", jobs=2) == {
        "made": 24,
        "kept": 0,
        "failed": 0,
    }
    everything_is_whole(Path("out"))
    items = {
        item["item"]["name"]: item
        for item in json.loads(Path("out/index.json").read_text())["items"]
    }
    assert len(items) == 24
    assert {
        "vgg11-64-usage",
        "vgg11-96x128-reflect-coverage",
        "resnet18-64-uneven",
        "resnet18-96x128-taps",
    } < {*items}
    for name, item in items.items():
        assert all((Path("out") / file).is_file() for file in item["files"])
        assert item == json.loads((Path("out") / f"{name}.json").read_text())
    counts, cover = (of("vgg11", (96, 128), "reflect") for of in (padviz.usage, padviz.coverage))
    assert (padviz.read_counts("out/vgg11-96x128-reflect-usage.npz") == counts.counts).all()
    assert items["vgg11-96x128-reflect-usage"]["rows"][0]["max"] == counts.max
    (shown,) = items["vgg11-96x128-reflect-coverage"]["rows"]
    assert (shown["max"], shown["full"], shown["min"]) == (cover.max, cover.full, cover.min)
    rows = {
        row["name"]: row for row in csv.DictReader(Path("out/index.csv").read_text().splitlines())
    }
    assert [*rows] == [*items]
    uneven = rows["resnet18-64-uneven"]
    counted = int(uneven["uneven_convolutions"]) + int(uneven["uneven_pools"])
    assert (counted, uneven["starved"]) == (len(padviz.uneven("resnet18", 64).uneven), "")
    html = Path("out/index.html").read_text()
    assert all(name in html for name in items)
    assert f"<tr><td>starved</td><td>{100 * counts.summary().share.starved:.1f} %</td></tr>" in html
    assert not Path("out/.partial").exists()


def test_a_scheme_for_each_axis_has_a_name_of_its_own() -> None:
    asked = ("--size", "64", "--padding", "zero,zero/circular,circular/zero,zero/zero")
    assert exported("vgg11", *asked) == {"made": 3, "kept": 0, "failed": 0}
    items = [item["item"] for item in json.loads(Path("out/index.json").read_text())["items"]]
    assert {item["name"]: item["paddings"] for item in items} == {
        "vgg11-64-zero-usage": ["zero"],
        "vgg11-64-zero+circular-usage": ["zero/circular"],
        "vgg11-64-circular+zero-usage": ["circular/zero"],
    }


def test_what_is_finished_is_kept_and_what_changed_or_is_not_whole_is_made_again() -> None:
    Path("one.toml").write_text(ONE)
    asked = ("vgg11", "one.toml", "--size", "64,96")
    assert exported(*asked) == {"made": 4, "kept": 0, "failed": 0}
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.png")}
    assert exported(*asked) == {"made": 0, "kept": 4, "failed": 0}
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.png")} == before
    Path("one.toml").write_text(ONE.replace("kernel = 3", "kernel = 5"))
    Path("out/vgg11-96-usage.png").unlink()
    for name in ("out/vgg11-64-usage.png", "out/thumbs/one-96-usage.png"):
        Path(name).write_bytes(Path(name).read_bytes()[:100])
    assert exported(*asked) == {"made": 4, "kept": 0, "failed": 0}
    everything_is_whole(Path("out"))
    assert json.loads(Path("out/one-64-usage.json").read_text())["rows"][0]["max"] == 25
    assert exported(*asked, "--format", "png,npz")["made"] == 4  # other files are asked for
    Path("out/one-64-usage.json").write_text("{")
    Path("out/thumbs/vgg11-64-usage.png").write_bytes(b"cut off")
    Path("out/notes.json").write_text("[1]")  # somebody's own
    assert exported(*asked, "--format", "png,npz") == {"made": 2, "kept": 2, "failed": 0}
    assert len(json.loads(Path("out/index.json").read_text())["items"]) == 4
    assert exported(*asked)["made"] == 4
    assert not [*Path("out").glob("*.npz")]  # of what was asked for before


SIGNAL = """
from torch import nn
net = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.Conv1d(4, 4, 3, stride=2, padding=1))
"""


def test_maps_of_signals_are_listed_and_kept() -> None:
    Path("signal_net.py").write_text(SIGNAL)
    asked = ("signal_net:net", "--size", "64", "--what", "usage,coverage,uneven")
    assert exported(*asked) == {"made": 3, "kept": 0, "failed": 0}
    assert exported(*asked) == {"made": 0, "kept": 3, "failed": 0}
    assert len(json.loads(Path("out/index.json").read_text())["items"]) == 3


@contextmanager
def stuck(name: str) -> Iterator[None]:
    """No file of that name can be moved into its place."""
    move = os.replace

    def full(source: Path, to: Path) -> None:
        if Path(to).name == name:
            raise OSError(28, "No space left on device")
        move(source, to)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "replace", full)
        yield


def test_a_move_that_fails_half_way_leaves_the_item_unfinished() -> None:
    Path("one.toml").write_text(ONE)
    exported("one.toml", "--size", "9")
    Path("one.toml").write_text(ONE.replace("kernel = 3", "kernel = 5"))
    with stuck("one-9-usage.png"):
        result = run("export", "one.toml", "--size", "9", "-o", "out", "--jobs", "1")
    assert result.exit_code == 3
    assert result.stderr == "padviz: one-9-usage: cannot be written (No space left on device)\n"
    assert exported("one.toml", "--size", "9") == {"made": 1, "kept": 0, "failed": 0}


def test_a_network_whose_own_size_changed_is_compared_again() -> None:
    Path("one.toml").write_text(f"size = 9\n{ONE}")
    Path("all.toml").write_text(
        '[[compare]]\nname = "c"\nmodels = ["one.toml"]\npaddings = ["zero", "reflect"]'
    )
    exported("all.toml")
    Path("one.toml").write_text(f"size = 12\n{ONE}")
    assert exported("all.toml") == {"made": 1, "kept": 0, "failed": 0}
    assert json.loads(Path("out/c.json").read_text())["item"]["sizes"] == ["12x12"]


def test_an_index_that_cannot_be_written_does_not_lose_the_tally() -> None:
    with stuck("index.csv"):
        result = run("export", "vgg11", "--size", "64", "-o", "out", "--jobs", "1")
    assert (result.exit_code, tally(result.stdout)) == (3, {"made": 1, "kept": 0, "failed": 1})
    why = "cannot be written (No space left on device); choose another place"
    assert result.stderr == f"padviz: index: out/index.csv: {why}\n"


def test_a_card_gives_the_rim_of_an_image_that_is_not_all_rim() -> None:
    cards = [
        card_of("usage", json.loads(to_json(padviz.usage("resnet50", size)._report)))
        for size in (64, 224)
    ]
    assert [dict(card.facts)["rim, px"] for card in cards] == ["none: all is rim", "14, 34"]


def test_a_digest_depends_on_network_options_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def prints(**lists: list[str]) -> set[str]:
        items = expand(Manifest(maps=[Maps(["vgg11", "vgg13"], [64, 65], **lists)]))
        return {
            digest_item(item, look) for item in items for look in (Look(), Look(cmap="viridis"))
        }

    first = prints()
    assert (len(first), prints()) == (8, first)
    for lists in ({"paddings": ["zero"]}, {"layers": ["features.0"]}, {"what": ["coverage"]}):
        assert not prints(**lists) & first
    monkeypatch.setattr(sidecars, "__version__", "0.0.0")
    assert not prints() & first


def test_many_maps_go_to_processes_by_size() -> None:
    items = expand(
        Manifest(
            maps=[
                Maps(
                    ["vgg11", "vgg13", "vgg16", "vgg19"],
                    ["64:96:8"],
                    ["zero", "reflect", "circular"],
                )
            ]
        )
    )
    pairs = [(item, item.name) for item in items]
    grouped = [*batch.groups(pairs)]
    assert sorted(name for group in grouped for _, name in group) == sorted(
        name for _, name in pairs
    )
    assert {len({str(item.about["sizes"]) for item, _ in group}) for group in grouped} == {1}
    assert max(map(len, grouped)) <= batch.GROUP
    assert [*map(len, batch.groups(pairs[:9]))] == [1] * 9


def test_one_that_fails_is_told_and_the_rest_is_done() -> None:
    result = run(
        "export",
        "resnet18",
        "vgg11",
        "--size",
        "224",
        "--padding",
        "valid,zero",
        "-o",
        "out",
        "--jobs",
        "2",
    )
    assert result.exit_code == 3
    assert tally(result.stdout) == {"made": 3, "kept": 0, "failed": 1}
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        "padviz: resnet18-224-valid-usage: resnet18, layer1.0: its branches disagree"
    )
    index = json.loads(Path("out/index.json").read_text())
    (failed,) = index["failed"]
    assert (failed["name"], failed["what"], failed["networks"]) == (
        "resnet18-224-valid-usage",
        "usage",
        ["resnet18"],
    )
    assert (failed["sizes"], failed["paddings"]) == (["224x224"], ["valid"])
    assert len(index["items"]) == 3
    assert "branches disagree" in Path("out/index.html").read_text()
    assert [
        row["error"] != "" for row in csv.DictReader(Path("out/index.csv").read_text().splitlines())
    ] == [False] * 3 + [True]


def test_many_failures_are_cut_short() -> None:
    result = run(
        "export", "resnet18", "--size", "60:82", "--padding", "valid", "-o", "out", "--jobs", "1"
    )
    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 21
    assert [line.split("-")[1] for line in result.stderr.splitlines()[:3]] == ["60", "61", "62"]
    assert result.stderr.splitlines()[-1] == "padviz: and 3 more, all of them in out/index.json"


MANY = """
title = "All <of> it"
[[maps]]
models = ["one.toml", "vgg11"]
sizes = ["32:64:32", [40, 50]]
[[compare]]
name = "depth"
models = ["vgg11"]
sizes = [64]
layers = ["features.3", "features.20"]
[[kernel]]
name = "k"
paddings = ["zero", "partial", "zero/partial", "zero/zero"]
pixel = [0, 0]
"""


def test_a_manifest_names_maps_comparisons_and_kernels() -> None:
    Path("nets").mkdir()
    Path("nets/one.toml").write_text(ONE)
    Path("nets/all.toml").write_text(MANY)
    assert exported("nets/all.toml") == {"made": 8, "kept": 0, "failed": 0}
    everything_is_whole(Path("out"))
    assert "<title>All &lt;of&gt; it</title>" in Path("out/index.html").read_text()
    assert json.loads(Path("out/depth.json").read_text())["values"] == ["features.3", "features.20"]
    cells = json.loads(Path("out/k.json").read_text())["rows"]
    first = [
        cell for cell in cells if (cell["grid"], cell["row"], cell["column"]) == ("uses", 0, 0)
    ]
    corners = {cell["padding"]: cell["value"] for cell in first}
    assert corners == {"zero": 4, "partial": "25/4", "zero/partial": 5}


def test_the_decks_manifest_expands() -> None:
    items = expand(read_manifest(ROOT / "configs/exports/deck.toml"))
    assert {item.analysis for item in items} == {
        "usage",
        "uneven",
        "taps",
        "coverage",
        "compare",
        "kernel",
    }


def test_names_are_cut_and_do_not_leave_the_folder() -> None:
    long = "n" * 100
    for name in (f"{long}a.toml", f"{long}b.toml", "..x .toml"):
        Path(name).write_text(ONE.replace('"c"', '"/../c d"'))
    exported("..x .toml", "--size", "9", "--layer", "/../c d")
    assert [path.name for path in Path("out").glob("*.png")] == ["x_-9-_.._c_d-usage.png"]
    assert exported(f"{long}a.toml", f"{long}b.toml", f"./{long}a.toml", "--size", "9")["made"] == 2


def test_taps_are_those_of_windows_with_several_unless_a_layer_is_named() -> None:
    layers = (
        '{op = "conv", name = "one", kernel = 1, stride = 2}',
        '{op = "conv", name = "line", kernel = [1, 3]}',
    )
    Path("net.toml").write_text(f"layers = [{', '.join(layers)}]")
    exported("net.toml", "--size", "9", "--what", "taps", "--layer", "one,line", "--format", "json")
    exported("net.toml", "--size", "9", "--what", "taps", "--format", "json")
    found = {path.stem: json.loads(path.read_text()) for path in Path("out").glob("net-*.json")}
    names = {stem: [layer["layer"] for layer in each["rows"]] for stem, each in found.items()}
    assert names == {"net-9-taps": ["line"], "net-9-line-taps": ["line"], "net-9-one-taps": ["one"]}


def test_a_terminal_gets_a_bar() -> None:
    master, slave = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "padviz",
        "export",
        "vgg11",
        "--size",
        "32:48:4",
        "--jobs",
        "1",
        "-o",
        "out",
    ]
    shown = b""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=slave) as process:
        os.close(slave)
        with suppress(OSError):  # the end of a terminal is an error
            while chunk := os.read(master, 4096):
                shown += chunk
    os.close(master)
    assert process.returncode == 0
    assert b"5/5" in shown
    assert b"a second" in shown


CODE = """
import sys
import _multiprocessing
class Full(_multiprocessing.SemLock):
    def __new__(cls, *args, **kwargs):
        raise OSError(28, "No space left on device")
_multiprocessing.SemLock = Full
from padviz.__main__ import main
sys.argv[1:] = ["export", "vgg11", "--size", "32", "-o", "maps"]
main()
"""


def test_where_no_process_can_be_started_one_line_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stderr.startswith(
        "padviz: pictures are made one after another, since no processes can be started ("
    )
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "maps" / "vgg11-32-usage.png").exists()
