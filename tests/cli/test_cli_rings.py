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
    assert "Outermost ring against innermost: recall -" in words
    assert "Position need not be why" in words
    coco_files(scenes(1, images=100))
    assert "recall does not differ measurably" in " ".join(run(*ASKED).stdout.split())
    assert "There is one ring, so nothing to compare." in run(*ASKED, "--rings", "1").stdout


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
        file.truncate(3 << 30)
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
