"""`padviz rings`: what the two files hold, in rings; each mistake one line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padviz
from tests.cli.test_cli import run
from tests.scoring.made import as_coco, coco_files, scenes

pytestmark = pytest.mark.usefixtures("elsewhere")
ASKED = ["rings", "--gt", "gt.json", "--pred", "pred.json"]


def seen(depth: Any) -> Any:
    return np.where(depth < 0.25, 0.4, 0.9)


def test_the_first_sentence_answers() -> None:
    coco_files(scenes(1, images=100, seen=seen))
    result = run(*ASKED)
    words = " ".join(result.stdout.split())
    assert result.exit_code == 0
    assert words.startswith("100 images, 800 objects, ")
    assert "Outermost minus innermost: recall -" in words
    assert "Position need not be why" in words
    coco_files(scenes(1, images=100))
    assert "Recall does not differ measurably" in " ".join(run(*ASKED).stdout.split())
    assert "there is one ring, so nothing to compare." in run(*ASKED, "--rings", "1").stdout


def test_json_has_what_python_has() -> None:
    coco_files(scenes(2, seen=seen))
    facts = json.loads(run(*ASKED, "--px", "8,16,32", "--iou", ".2,.5", "--format", "json").stdout)
    scored = padviz.rings("gt.json", "pred.json", px=[8, 16, 32], iou=[0.2, 0.5])
    assert [(ring["first"], ring["last"]) for ring in facts["rings"]] == [(0, 8), (8, 16), (16, 32), (32, None)]
    assert [ring["objects"] for ring in facts["rings"]] == [ring.objects for ring in scored]
    assert [ring["recall"]["value"] for ring in facts["rings"]] == [ring.recall.value for ring in scored]
    assert [*facts["rings"][0]["ap"]] == ["20", "50", "mean"]
    rows = [*csv.DictReader(io.StringIO(run(*ASKED, "--format", "csv").stdout))]
    assert len(rows) == 4
    assert float(rows[0]["ap_mean_value"]) < float(rows[3]["ap_mean_value"])


def changed(change: str) -> None:
    """Write the two files, changed by a line of Python."""
    gt, pred = as_coco(scenes(0, images=6))
    exec(change, {"gt": gt, "pred": pred, "nan": float("nan")})
    Path("gt.json").write_text(json.dumps(gt))
    Path("pred.json").write_text(json.dumps(pred))


MISTAKES = {
    "pred[3]['image_id'] = 77": "pred.json: image_id 77 is not among those of the objects; correct it",
    "gt['annotations'][2]['category_id'] = 9": "gt.json: category_id 9 is not among those of the objects; correct it",
    "gt['annotations'][4]['bbox'][2] = 0": "gt.json: annotation 5 of image ",
    "gt['annotations'][4]['bbox'][0] = 500": "gt.json: annotation 5 of image ",
    "pred[1]['bbox'][3] = -2": "pred.json: detection 1, of image ",
    "pred[1]['score'] = nan": "pred.json: is not COCO's results, as JSON (",
    "pred[1]['bbox'].pop()": "pred.json: is not COCO's results, as JSON (",
    "del pred[0]['score']": "pred.json: is not COCO's results, as JSON (",
    "gt.pop('images')": "gt.json: is not COCO's instances, as JSON (",
    "gt['images'].clear()": "gt.json: has no images; give the path of COCO's instances",
    "gt['images'][0]['width'] = 0": "gt.json: image 0 has no pixels",
}


@pytest.mark.parametrize("change", MISTAKES)
def test_files_that_make_no_sense_are_one_line(change: str) -> None:
    changed(change)
    result = run(*ASKED, "-o", "rings.json")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"padviz: {MISTAKES[change]}")
    assert result.stderr.count("\n") == 1
    assert not Path("rings.json").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("--pred pred.json", "missing option '--gt'; see padviz rings --help"),
        ("--gt none.json --pred pred.json", "none.json: no such file; give the path of COCO's instances, as JSON"),
        ("--gt gt.json --pred gt.json", "gt.json: is not COCO's results, as JSON (Expected `array`, got `object`)"),
        ("--gt gt.json --pred pred.json --px 32,16", "--px: the ends of rings do not grow; use 16,32,64"),
        ("--gt gt.json --pred pred.json --iou 2", "--iou: 2 is no overlap; use .2,.5,.75"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_works(options: str, line: str) -> None:
    coco_files(scenes(0, images=4))
    result = run("rings", *options.split())
    assert result.exit_code == 2
    assert result.stderr.replace("`", "").startswith(f"padviz: {line}".replace("`", "")), result.stderr


def test_a_file_that_is_too_large_is_not_read() -> None:
    coco_files(scenes(0, images=4))
    with open("gt.json", "ab") as file:
        file.truncate(2 << 30)
    result = run(*ASKED)
    assert result.exit_code == 2
    assert result.stderr.startswith("padviz: gt.json: has more than 1073741824 bytes, too many for COCO's instances")


def test_a_network_and_classes_stand_beside_and_a_picture_is_drawn() -> None:
    coco_files(scenes(3, seen=seen))
    asked = [*ASKED, "vgg11", "--size", "96x128", "--by-class"]
    for suffix in ("png", "svg", "pdf"):
        result = run(*asked, "-o", f"rings.{suffix}")
        assert result.stdout == run(*asked).stdout
        assert Path(f"rings.{suffix}").stat().st_size > 5000
    facts = json.loads(run(*asked, "--format", "json").stdout)
    assert facts["beside"]["network"] == "vgg11"
    assert facts["beside"]["size"] == [96, 128]
    assert [*facts["classes"]] == ["c0", "c1"]
    words = " ".join(run(*asked).stdout.split())
    assert "vgg11 where objects are" in words
    assert "Fair share and being found: Spearman +" in words
    assert "it does not say why" in words
    result = run(*ASKED, "--size", "64")
    assert result.stderr == "padviz: --size: is that of a network; name MODEL, or leave it out\n"


def test_tables_fit_80_columns() -> None:
    coco_files(scenes(3, images=150, each=40, seen=seen))
    for asked in (ASKED, [*ASKED, "vgg11", "--size", "96x128", "--by-class"], [*ASKED, "--px", "100,200,1000"]):
        lines = run(*asked, "--iou", ".2,.5,.75").stdout.splitlines()
        tables = [line for k, line in enumerate(lines) if line.startswith(" ")]
        assert len(tables) > 12
        assert max(map(len, tables)) <= 80


def test_a_picture_is_titled_by_what_is_found() -> None:
    """And its grid is shaped as the images are, with cells of few objects hatched, and no bar where no interval is."""
    figures = {}
    for name, images in (("many", 100), ("one", 1)):
        coco_files(scenes(1, images=images, each=20, seen=seen))
        figures[name] = padviz.rings("gt.json", "pred.json", "vgg11", (96, 128), rings=2).plot().figure
    for figure in figures.values():
        box = figure.axes[1].get_window_extent()
        assert box.width / box.height == pytest.approx(128 / 96, rel=0.01)
    many, one = ([text.get_text() for text in figure.texts] for figure in figures.values())
    outer, _ = padviz.rings("gt.json", "pred.json", rings=2)
    assert one[0].startswith(f"Recall: {100 * outer.recall.value:.1f} % in the outermost ring, ")
    assert many[0].startswith("Recall: ")
    assert many[1].startswith("100 images, 2,000 objects, ")
    assert "no interval" in one[2]
    assert "no interval" not in many[2]
    hatched = [patch for patch in figures["one"].axes[1].patches if patch.get_hatch()]
    assert len(hatched) == 36
    assert not [patch for patch in figures["many"].axes[1].patches if patch.get_hatch()]
    bars = {name: figure.axes[0].containers[0].lines[2][0].get_segments() for name, figure in figures.items()}
    assert all(np.ptp(bar[:, 1]) == 0 for bar in bars["one"])
    assert all(np.ptp(bar[:, 1]) > 0 for bar in bars["many"])
