"""`padviz repad` writes what pads as it was asked; `padviz rings` says what two files hold, a mistake in one line."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torchvision import models

import padviz
from padviz.scoring.matching import Scenes, select
from tests.cli.test_cli import run, told
from tests.cli.test_cli_foreign import conv, mystery, plain, saved
from tests.repadding.test_onnx_file import one_dimensional
from tests.scoring.made import as_coco, coco_files, mistakes, scenes
from tests.sources.test_onnx_ops import bright_pixels, model_of
from tests.torch_calls import to_onnx

SIZE = ["--size", "96x128"]
ONES = [1, 1, 1, 1]


@pytest.fixture(autouse=True)
def _elsewhere(elsewhere: None) -> None:
    plain()


def said(*args: str) -> str:
    result = run("repad", *args)
    nothing = "" if "-o" in args else "padviz: nothing is written; add -o FILE.onnx\n"
    assert (result.exit_code, result.stderr) == (0, nothing)
    return " ".join(result.stdout.split())


def test_a_file_is_written_that_pads_so_and_is_verified_at_two_sizes() -> None:
    text = said("net.onnx", "--padding", "symmetric/circular", *SIZE, "-o", "out.onnx")
    assert text.startswith("network net, 96 x 128 pixels padding zero to symmetric/circular")
    assert "could not change none" in text
    assert "in every pixel, at 96 x 128 and 144 x 192" in text
    counts = padviz.usage("out.onnx", (96, 128)).counts
    np.testing.assert_array_equal(
        counts, padviz.usage("net.onnx", (96, 128), "symmetric/circular").counts
    )


def test_a_layer_that_is_left_alone_is_named() -> None:
    one_dimensional(Path("line.onnx"))
    chosen = ["line.onnx", "--padding", "reflect", "--size", "12x16"]
    assert "it is one-dimensional" in said(*chosen)
    assert "it is one-dimensional" not in said(*chosen, "--except", "y")


def test_layers_are_no_way_around_what_is_not_known() -> None:
    mystery()
    for words in (["--padding", "reflect"], ["--even"]):
        line = told("repad", "net.onnx", *words)
        assert "--neutral own.Mystery treats it as elementwise" in line
        assert "--layer" not in line
    line = told("repad", "net.onnx", "--padding", "reflect", "--neutral", "own.Mystery")
    assert line == "padviz: net: nothing can be changed: none of the selected convolutions pads\n"


def written(path: str, body: str, size: tuple[int, int] | None = (8, 10)) -> None:
    model = model_of(body, 17)
    for dim, n in zip(
        model.graph.input[0].type.tensor_type.shape.dim[2:], size or (), strict=False
    ):
        dim.ClearField("dim_param")
        dim.dim_value = n
    onnx.save(model, path)


LAST = "\n y = Conv <pads = [1, 1, 1, 1]> (a, w3x3)"


def padded(before: list[int], own: list[int]) -> str:
    return f"""p = Constant <value_ints = [0, 0, {before[0]}, {before[1]}, 0, 0, {before[2]}, {before[3]}]> ()
 q = Pad (x, p)
 a = Conv <pads = {own}, strides = [2, 2]> (q, w4x4){LAST}"""


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            f"a = Conv <pads = [0, 0, 2, 2], strides = [2, 2]> (x, w4x4){LAST}",
            "changed 1: a (pads 0+2 x 0+2 to 1+1 x 1+1) uneven none phase units of y lie off the image's centre: from "
            "+1 to +0 px in height, from +1 to +0 px in width",
        ),
        (padded([1, 1, 0, 0], [0, 0, 3, 3]), "a (pads 1+3 x 1+3 to 2+2 x 2+2)"),
    ],
)
def test_even_shares_pads_out(body: str, says: str) -> None:
    """Two rows of padding, both on the far side; and some by a Pad before the window, some by itself."""
    written("far.onnx", body)
    text = said("far.onnx", "--even", "-o", "even.onnx")
    assert says in text
    assert "is what was asked for, in every pixel, at" not in text
    assert padviz.uneven("even.onnx", (8, 10)).balanced
    counts = padviz.usage("even.onnx", (8, 10)).counts
    np.testing.assert_array_equal(counts, bright_pixels(onnx.load("even.onnx"), (8, 10)))


def test_even_takes_no_rows_from_a_pad_before() -> None:
    written("more.onnx", padded([0, 0, 2, 2], [0, 0, 0, 0]))
    line = "padviz: more: nothing can be changed: a: a pad before it has more rows than it should\n"
    assert told("repad", "more.onnx", "--even") == line


def test_even_moves_strides_into_pools() -> None:
    nodes = [
        conv("a", "image", pads=ONES, strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["r"], name="r"),
    ]
    nodes += [conv("b", "r", pads=ONES, strides=[2, 2]), conv("s", "r", 1, strides=[2, 2])]
    nodes.append(helper.make_node("Add", ["b", "s"], ["sum"], name="sum"))
    saved(nodes, ["sum"], "two.onnx", (32, 48))
    text = said("two.onnx", "--even", "-o", "even.onnx")
    assert (
        "changed 3: a (stride 1, then an average of 2 x 2), b (stride 1, then an average of 2 x 2)"
        in text
    )
    assert "from -1.5 to +0 px in height" in text
    assert padviz.uneven("even.onnx", (32, 48)).balanced
    model, before = onnx.load("even.onnx"), onnx.load("two.onnx")
    assert model.graph.initializer == before.graph.initializer
    pooled = ["Conv", "AveragePool"]
    assert [node.op_type for node in model.graph.node] == [*pooled, "Relu", *pooled * 2, "Add"]


def test_exports_of_torchvision_are_made_even() -> None:
    size, pools = (96, 160), ["/maxpool/MaxPool"]
    to_onnx(models.resnet18(weights=None), Path("real.onnx"), torch.zeros(1, 3, *size))
    why = f"{pools[0]}: pools have no weights, and stay as they are"
    assert f" uneven {why} " in f"{said('real.onnx', '--even', '-o', 'even.onnx')} "
    assert [each.layer for each in padviz.uneven("even.onnx", size).uneven] == pools
    found = json.loads(said("real.onnx", "--even", "--format", "json"))
    assert (found["uneven"], len(found["rows"])) == (pools, 7)
    assert {row["pooled"] for row in found["rows"]} == {True}


def test_convert_writes_descriptions_that_pad_so() -> None:
    for scheme in ("reflect", "zero/circular", "partial"):
        assert (
            run(
                "convert", "unet_padded", "--padding", scheme, "-o", "net.toml", "--overwrite"
            ).exit_code
            == 0
        )
        wanted = padviz.usage("unet_padded", 100, scheme).counts
        np.testing.assert_array_equal(padviz.usage("net.toml", 100).counts, wanted)


pytestmark = pytest.mark.usefixtures("elsewhere")
ASKED = ["rings", "--gt", "gt.json", "--pred", "pred.json"]


def seen(depth: Any) -> Any:
    return np.where(depth < 0.25, 0.4, 0.9)


def test_the_first_sentence_answers() -> None:
    coco_files(scenes(1, images=100, seen=seen))
    words = " ".join(run(*ASKED).stdout.split())
    assert words.startswith("100 images, 800 objects, ")
    assert " Recall is lower in the outermost ring (" in words
    assert "Position may not be the cause" in words
    coco_files(scenes(1, images=100))
    assert (
        "Recall and AP do not differ measurably between the outermost and the innermost ring."
        in " ".join(run(*ASKED).stdout.split())
    )
    assert "only one ring, so nothing to compare." in run(*ASKED, "--rings", "1").stdout


def changed(change: str) -> None:
    gt, pred = as_coco(scenes(0, images=6))
    exec(change, {"gt": gt, "pred": pred, "nan": float("nan")})
    Path("gt.json").write_text(json.dumps(gt))
    Path("pred.json").write_text(json.dumps(pred))


TAKEN = {
    "",  # and a byte order mark
    "[row.update(iscrowd=bool(row['iscrowd'])) for row in gt['annotations']]",
    "[row.update(image_id=float(row['image_id'])) for row in gt['annotations'] + pred]",
    "[row.update(width=float(row['width']), height=float(row['height'])) for row in gt['images']]",
}


LEFT_OUT = {
    "pred[1]['bbox'][3] = -2": "pred.json: 1 detection left out",
    "gt['annotations'][4]['bbox'][2] = 0": "gt.json: 1 object left out",
    "gt['annotations'][4]['bbox'][0] = gt['annotations'][5]['bbox'][1] = 500": "gt.json: 2 objects left out",
}


@pytest.mark.parametrize("change", LEFT_OUT)
def test_a_box_without_area_or_outside_is_left_out_with_a_note(change: str) -> None:
    changed(change)
    result = run(*ASKED, "--rings", "1", "--format", "json")
    note = f"{LEFT_OUT[change]}: a box without area, or outside of its image"
    assert (result.exit_code, result.stderr) == (0, f"padviz: {note}\n")
    assert json.loads(result.stdout)["notes"] == [note]


@pytest.mark.parametrize(("change", "line"), mistakes(0))
def test_files_that_make_no_sense_are_one_line(change: str, line: str) -> None:
    changed(change)
    assert told(*ASKED, "-o", "rings.json").startswith(f"padviz: {line}")


@pytest.mark.parametrize("change", sorted(TAKEN))
def test_numbers_are_read_as_pandas_writes_them(change: str) -> None:
    coco_files(scenes(0, images=6))
    as_usual = run(*ASKED).stdout
    changed(change)
    for name in ("gt.json", "pred.json"):
        Path(name).write_bytes(b"\xef\xbb\xbf" * (not change) + Path(name).read_bytes())
    result = run(*ASKED)
    assert (result.exit_code, result.stdout) == (0, as_usual), result.stderr


def crowded() -> None:
    gt, pred = as_coco(scenes(0, images=2))
    gt["categories"] = [{"id": k, "name": f"c{k}"} for k in range(6000)]
    gt["annotations"] = [{**gt["annotations"][0], "id": k, "category_id": k} for k in range(6000)]
    Path("gt.json").write_text(json.dumps(gt))
    Path("pred.json").write_text(json.dumps([{**pred[0], "bbox": gt["annotations"][0]["bbox"]}]))


HOSTILE: dict[str, Callable[[], Any]] = {
    "gt.json: has objects of 6,000 classes, and 5,000 can be scored; merge some\n": crowded,
    "gt.json: is not COCO's ": lambda: Path("gt.json").write_text("[" * 1_000_000),
    "pred.json: is not COCO's ": lambda: Path("pred.json").write_text(
        '{"info": ' + "[" * 1_000_000
    ),
    "gt.json: has more than 1073741824 bytes, too many for COCO's instances": lambda: os.truncate(
        "gt.json", 2 << 30
    ),
}


@pytest.mark.parametrize("line", HOSTILE)
def test_files_that_are_too_large_or_deep_are_one_line(line: str) -> None:
    coco_files(scenes(0, images=4))
    HOSTILE[line]()
    assert told(*ASKED).startswith(f"padviz: {line}")


def test_a_network_and_classes_stand_beside_and_a_picture_is_drawn() -> None:
    coco_files(scenes(3, seen=seen))
    asked = [*ASKED, "vgg11", "--size", "96x128", "--by-class"]
    printed = run(*asked).stdout
    assert run(*asked, "-o", "rings.png").stdout == f"{printed}\nfile  rings.png\n"
    assert Path("rings.png").stat().st_size > 5000
    words = " ".join(printed.split())
    for part in (
        "recall AP fair share from padding",
        "Fair shares are those of vgg11 where objects are, with images scaled to 96 x 128",
        "Fair share and detection: Spearman +",
        "correlation does not show a cause",
    ):
        assert part in words
    words = " ".join(run(*ASKED, "resnet50", "--size", "32").stdout.split())
    assert "At 32 x 32 all fair shares of resnet50 are below 0.1" in words
    assert "Spearman" not in words


def test_a_picture_is_titled_by_what_is_found() -> None:
    """And there is no bar where no interval is."""
    texts, bars = [], []
    for images, each in ((100, 20), (1, 120)):
        coco_files(scenes(1, images=images, each=each, seen=seen))
        figure = padviz.rings("gt.json", "pred.json", "vgg11", (96, 128), rings=2).plot().figure
        texts.append("\n".join(text.get_text() for text in figure.texts))
        segments = figure.axes[0].containers[0].lines[2][0].get_segments()
        bars.append([float(np.ptp(bar[:, 1])) for bar in segments])
    many, one = texts
    assert one.startswith(
        "Not enough to compare: the outermost or the innermost ring has fewer than 20 objects or 10"
    )
    assert many.startswith("Recall is lower in the outermost ring (")
    assert "\nAP is lower in the outermost ring (" in many
    assert re.search(
        "^100 images, 2,000 objects, .*whiskers are 95 % intervals", many, re.MULTILINE
    )
    assert "\nFair share and detection: Spearman +" in many
    assert "\nfair share, vgg11 at 96 x 128" in many
    assert ("no interval" in one, "no interval" in many) == (True, False)
    assert min(bars[0]) > 0 == max(bars[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "x, y, w, h = row['bbox']; row['bbox'] = [max(x, 0), max(y, 0), x + w, y + h]",
            "height in pixels?",
        ),
        ("row['category_id'] = 3 - row['category_id']", "are classes counted as those of gt.json?"),
    ],
)
def test_results_of_which_hardly_any_matches_are_doubted(change: str, words: str) -> None:
    gt, pred = as_coco(scenes(0, images=30, false=0))
    for row in pred:
        exec(change, {"row": row})
    for name, content in (("gt", gt), ("pred", pred)):
        Path(f"{name}.json").write_text(json.dumps(content))
    result = run(*ASKED, "--rings", "2", "--format", "json")
    doubts = json.loads(result.stdout)["notes"]
    assert result.exit_code == 0
    assert result.stderr == f"padviz: {doubts[0]}\n"
    assert words in run(*ASKED, "--rings", "2").stdout.splitlines()[2]
    figure = padviz.rings("gt.json", "pred.json", rings=2).plot().figure
    assert words in " ".join(text.get_text() for text in figure.texts)
    coco_files(scenes(0, images=30))
    assert run(*ASKED).stderr == ""


def one_sided(share: float, images: int = 200) -> None:
    """Write files of a detector that misses so many of what is nearest to the right border."""
    made, rng = (
        scenes(5, images=images, noise=0, false=0, seen=lambda depth: 0.9),
        np.random.default_rng(0),
    )
    box = made.detections.box
    x, y = (box[:, :2] + box[:, 2:] / 2).T
    missed = (
        (np.minimum.reduce([x, y, 96 - y]) > 128 - x)
        & (128 - x < 12)
        & (rng.random(len(x)) < share)
    )
    coco_files(Scenes(made.sizes, made.categories, made.objects, select(made.detections, ~missed)))


def test_a_side_that_stands_out_comes_before_all_others_in_words_and_picture() -> None:
    one_sided(0.8)
    found = padviz.rings("gt.json", "pred.json")
    (odd,) = (row for row in found.differences if row.other == "other borders")
    assert odd.one == "right border"
    assert odd.difference.high < -0.4
    assert odd.first == found.rings[0].sides["right"].figure.value
    sides = {name: f"{100 * part.figure.value:.1f}" for name, part in found.rings[0].sides.items()}
    others = f"{100 * odd.second:.1f} %"
    title = f"Recall is lower near the right border ({sides['right']} %) than near the other borders ({others})"
    words = run(*ASKED).stdout
    assert words.splitlines()[3].startswith(f"{title}; ")
    assert found.plot().figure.texts[0].get_text() == title
    table = words.partition("Outermost ring by nearest side")[2].partition("Objects equally near")[
        0
    ]
    rows = [
        line.split() for line in table.splitlines() if line.split()[:1] and line.split()[0] in sides
    ]
    assert [row[0] for row in rows] == [*sides]
    assert [row[2] for row in rows] == [*sides.values()]
    assert "Objects equally near two sides count for neither." in words
    one_sided(0)
    rows = json.loads(run(*ASKED, "--format", "json").stdout)["rows"]
    assert "other borders" not in {row["other"] for row in rows}
    assert "near the" not in run(*ASKED).stdout.splitlines()[3]
