"""Rings: one is COCO's own figure, what is lost near the border is lost there; intervals hold the truth."""

import contextlib
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padviz
from padviz.analyses.rings import finding
from padviz.counting.shares.summary import percent
from padviz.errors import OptionError
from padviz.intervals import Estimate, excludes_zero, mean, share
from padviz.scoring.detections import COCO, at_border, by_class, depths, rings_of_boxes
from padviz.scoring.matching import FREE, Boxes, Scenes, boxes, match, select
from padviz.scoring.reading.formats import read_scenes
from padviz.scoring.rings import INNERMOST, OTHERS, OUTERMOST, Difference, Rings
from padviz.trained.trying.seen import edge_of, estimates, unit_ranks
from tests.scoring.made import as_coco, coco_files, perfect, scenes
from tests.sweeps import MANY, REST, examples
from tests.trained.known import ends_of, known

FILES = {
    "perfect": perfect(scenes(0)),
    "noisy": scenes(1, false=3),
    "crowded": scenes(2, each=12, crowd=0.3),
    "more than a hundred in an image": scenes(3, images=2, categories=1, each=90, false=2),
}


@pytest.mark.parametrize("name", FILES)
def test_one_ring_is_what_pycocotools_has(name: str) -> None:
    coco, cocoeval = (
        pytest.importorskip("pycocotools.coco"),
        pytest.importorskip("pycocotools.cocoeval"),
    )
    instances, results = as_coco(FILES[name])
    with contextlib.redirect_stdout(io.StringIO()):
        there = coco.COCO()
        there.dataset = instances
        there.createIndex()
        judged = cocoeval.COCOeval(there, there.loadRes(results), "bbox")
        judged.evaluate()
        judged.accumulate()
    precision = judged.eval["precision"][:, :, :, 0, 2]
    (ring,) = rings_of_boxes(FILES[name], 1, ious=COCO).rings
    for k, threshold in enumerate(COCO):
        assert ring.figures[f"AP{100 * threshold:g}"].value == pytest.approx(
            precision[k][precision[k] > -1].mean(), abs=1e-9
        )
    assert ring.figures["AP"].value == pytest.approx(precision[precision > -1].mean(), abs=1e-9)


@given(seed=st.integers(0, 1000), rings=st.integers(1, 6))
@examples(15)
def test_a_perfect_detector_has_one_in_every_ring(seed: int, rings: int) -> None:
    for ring in rings_of_boxes(
        perfect(scenes(seed, images=10, false=0, noise=0, crowd=0.1)), rings
    ).rings:
        if ring.count:
            assert ring.figures["recall"].value == 1
            assert ring.figures["recall"].high in (
                1,
                None,
            )  # no interval, where few images have them
            assert all(
                figure.value == pytest.approx(1, abs=1e-12) for figure in ring.figures.values()
            )
        else:
            assert {figure.value for figure in ring.figures.values()} == {None}


def test_a_detector_that_misses_the_outermost_ring_loses_there_alone() -> None:
    scored = rings_of_boxes(scenes(5, noise=0, false=0, seen=lambda depth: depth >= 0.25), 3)
    outermost, *inner = scored.rings
    assert {figure.value for figure in outermost.figures.values()} == {0}
    assert {figure.value for ring in inner for figure in ring.figures.values()} == {1}
    assert difference(scored, "AP", OUTERMOST) == (-1, -1, -1)
    assert difference(scored, "recall", OUTERMOST).value == -1
    assert ends_of(difference(scored, "recall", OUTERMOST))[1] < -0.9


def test_no_detection_takes_an_object_for_one_of_another_ring() -> None:
    """The surer of two lies on the inner object, and overlaps the outer one, which is found by the other."""
    objects = boxes([0, 0], [0, 0], [[6, 40, 20, 20], [16, 40, 20, 20]])
    detections = boxes([0, 0], [0, 0], [[15, 40, 20, 20], [6, 40, 20, 20]], [0.9, 0.8])
    two = Scenes(np.array([[100, 100]]), ("c",), objects, detections)
    found = rings_of_boxes(two, pixels=[20], ious=[0.3]).rings
    assert [(ring.count, ring.figures["AP30"].value) for ring in found] == [(1, 1), (1, 1)]


@given(seed=st.integers(0, 1000), rings=st.integers(1, 5))
@examples(15)
def test_each_object_and_each_find_is_of_one_ring(seed: int, rings: int) -> None:
    made = scenes(seed, images=8, crowd=0.1)
    scored = rings_of_boxes(made, rings)
    assert (
        sum(ring.count for ring in scored.rings)
        == scored.count
        == made.objects.crowd.size - made.objects.crowd.sum()
    )
    found = match(made.objects, made.detections, [0.5]).found[0]
    finds = (found != FREE) & ~made.objects.crowd[found]
    recalls = [
        (known(ring.figures["recall"].value), ring.count) for ring in scored.rings if ring.count
    ]
    assert sum(round(recall * count) for recall, count in recalls) == finds.sum()


@given(seed=st.integers(0, 1000))
@examples(10)
def test_images_turned_over_and_enlarged_have_the_same_rings(seed: int) -> None:
    made = scenes(seed, images=8)

    def turned(each: Boxes) -> Boxes:
        height, width = made.sizes[each.image].T
        left, top, w, h = each.box.T
        return replace(each, box=2 * np.column_stack([height - top - h, width - left - w, h, w]))

    other = Scenes(
        2 * made.sizes[:, ::-1], made.categories, turned(made.objects), turned(made.detections)
    )
    assert np.allclose(
        depths(made.objects, made.sizes, True), depths(other.objects, other.sizes, True)
    )
    one, two = (rings_of_boxes(each, 3) for each in (made, other))
    assert [ring.count for ring in one.rings] == [ring.count for ring in two.rings]
    for name in one.rings[0].figures:
        ours, theirs = (
            [ring.figures[name].value for ring in scored.rings] for scored in (one, two)
        )
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_rings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(OptionError, match="rings: 0: must be an integer, 1 to 12"):
        rings_of_boxes(FILES["noisy"], 0)
    with pytest.raises(OptionError, match="seed: -1: must be an integer, at least 0"):
        rings_of_boxes(FILES["noisy"], seed=-1)


def test_what_is_of_few_objects_or_images_has_no_interval_and_no_side_of_them_is_compared() -> None:
    found = rings_of_boxes(scenes(0, images=20), pixels=[4, 12, 24])
    parts = [(ring.count, ring.figures["recall"]) for ring in found.rings]
    parts += [(side.count, side.figure) for side in found.rings[0].sides.values()]
    assert {count < 20 for count, _ in parts} == {True, False}
    for count, recall in parts:
        assert recall.value is not None
        assert (recall.low is None) == (count < 20)
    few = {f"{name} border" for name, side in found.rings[0].sides.items() if side.count < 20}
    opposite = [
        row
        for row in found.differences
        if row.other.removesuffix(" border") in found.rings[0].sides
    ]
    assert len(opposite) == 2
    for row in opposite:
        assert (row.difference.low is None) == bool(few & {row.one, row.other})
    made = scenes(0, each=60)
    rings = rings_of_boxes(
        replace(made, objects=select(made.objects, made.objects.image < 9))
    ).rings
    assert {figure.low for ring in rings for figure in ring.figures.values()} == {None}


@given(seed=st.integers(0, 1000), images=st.integers(1, 20), rings=st.integers(1, 12))
@examples(15)
def test_rings_of_few_objects_are_joined(seed: int, images: int, rings: int) -> None:
    made = scenes(seed, images=images, each=6)
    found = rings_of_boxes(made, rings)
    inner = [ring.first for ring in found.rings[1:]]
    assert {*inner} <= {0.5**k for k in range(1, rings)}
    assert len(found.rings) == 1 or min(ring.count for ring in found.rings) >= 20
    deep = depths(made.objects, made.sizes, True)
    if not inner:  # nowhere can they be parted
        assert all(min((deep < 0.5**k).sum(), (deep >= 0.5**k).sum()) < 20 for k in range(1, rings))


def test_a_set_without_detections_finds_nothing() -> None:
    nothing, made = boxes([], [], [], []), scenes(4)
    for ring in rings_of_boxes(replace(made, detections=nothing)).rings:
        assert {figure.value for figure in ring.figures.values()} == {0}
    empty = rings_of_boxes(replace(made, objects=nothing))
    assert [ring.count for ring in empty.rings] == [0]
    assert {row.difference.value for row in empty.differences} == {None}


def one_object(box: list[float], area: float | None = None) -> Rings:
    """The outermost ring of an image of 200 x 300 px with one object, which is found."""
    there = boxes([0], [0], [box], area=area and [area])
    return rings_of_boxes(
        Scenes(np.array([[200, 300]]), ("c",), there, boxes([0], [0], [box], [1.0])), 1
    )


def test_objects_within_a_pixel_of_a_border_are_cut() -> None:
    for box, uncut in (
        ([1, 50, 20, 20], 0),
        ([1.5, 50, 20, 20], 1),
        ([50, 0, 20, 20], 0),
        ([50, 179, 9, 20], 0),
    ):
        assert one_object(box).rings[0].uncut["all"].count == uncut


def test_what_is_said_first_counts_boxes_at_the_border_and_beyond_it() -> None:
    size, there = np.array([[200, 300]]), [[0, 50, 20, 20], [270, 90, 30, 30], [90, 90, 30, 30]]
    for shift, reached, beyond, differs in ((0, 2, 0, False), (3, 1, 0, False), (-3, 2, 1, True)):
        found = np.array(there, float)
        # The first detection stops short of the border, or reaches beyond it.
        found[0, 0] += shift
        found[0, 2] -= shift
        ones = np.zeros(3, int)
        scored = Scenes(size, ("c",), boxes(ones, ones, there), boxes(ones, ones, found, 1.0))
        said = at_border(scored)
        assert said.startswith(
            "2 of 3 objects touch the border (within 1 px); of the 2 found among them, the "
            f"detections of {reached} do. 0 objects and {beyond} detections reach beyond it"
        )
        assert ("only one file is cropped" in said) == differs


@given(seed=st.integers(0, 1000))
@examples(15)
def test_so_it_does_for_any_scenes(seed: int) -> None:
    of = scenes(seed, images=8, crowd=0.2)
    counts = [int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", at_border(of))]
    touch = beyond = 0
    for k in range(len(of.objects)):
        left, top, width, height = of.objects.box[k]
        high, wide = of.sizes[of.objects.image[k]]
        edge = min(left, top, wide - left - width, high - top - height)
        touch += not of.objects.crowd[k] and edge <= 1
        beyond += not of.objects.crowd[k] and edge < -1
    assert (counts[0], counts[1], counts[5]) == (touch, int((~of.objects.crowd).sum()), beyond)
    assert counts[4] <= counts[3] <= touch
    # A perfect detector reaches the border wherever its objects do, and as far beyond it.
    same = [int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", at_border(perfect(of)))]
    assert same[3] == same[4] == touch
    assert "crop both" not in at_border(perfect(scenes(seed, images=8)))


def test_the_boxes_at_the_border_come_before_any_accuracy(tmp_path: Path) -> None:
    coco_files(scenes(0), tmp_path)
    scored = padviz.rings(tmp_path / "gt.json", tmp_path / "pred.json")
    text = " ".join(str(scored).split())
    said = at_border(scenes(0))
    assert scored.touching == said
    assert text.index(said) < text.index(finding(scored))


def test_sizes_are_cocos_classes_by_the_area_of_the_file() -> None:
    for side, area, size in (
        (31, None, "small"),
        (32, None, "medium"),
        (97, None, "large"),
        (97, 1000, "small"),
    ):
        uncut = one_object([50, 50, side, side], area).rings[0].uncut
        assert {name: part.count for name, part in uncut.items() if part.count} == {
            "all": 1,
            size: 1,
        }


def coco_scenes(folder: Path, boxes: list[list[float]], **row: Any) -> Scenes:
    """Read COCO's files of an image that is 20 px wide and 40 px high, with these boxes as objects and detections."""
    rows = [{"image_id": 1, "category_id": 1, "bbox": box, **row} for box in boxes]
    instances = {
        "images": [{"id": 1, "width": 20, "height": 40}],
        "categories": [{"id": 1}],
        "annotations": rows,
    }
    for name, content in (
        ("gt.json", instances),
        ("pred.json", [each | {"score": 1} for each in rows]),
    ):
        (folder / name).write_text(json.dumps(content))
    return read_scenes(folder / "gt.json", folder / "pred.json", None, "coco")


def test_an_object_without_area_has_that_of_its_box(tmp_path: Path) -> None:
    boxes = [[2, 3, 5, 7], [1, 1, 4, 30]]
    assert coco_scenes(tmp_path, boxes).objects.area.tolist() == [35, 120]
    assert coco_scenes(tmp_path, boxes, area=9).objects.area.tolist() == [9, 9]


def test_boxes_outside_of_an_image_that_is_no_square_are_left_out(tmp_path: Path) -> None:
    inside = [[2, 30, 5, 7], [19, 39, 9, 9], [-4, -8, 5, 9], [15, -8, 3, 9]]
    outside = [
        [20, 5, 5, 7],
        [5, 40, 5, 7],
        [-5, 5, 5, 30],
        [5, -7, 30, 7],
        [5, 5, 0, 7],
        [5, 5, 7, 0],
    ]
    made = coco_scenes(tmp_path, inside + outside)
    assert made.objects.box.tolist() == made.detections.box.tolist() == inside
    assert [note.split(": ")[1] for note in made.notes] == [
        f"6 {what}s left out" for what in ("object", "detection")
    ]


def test_objects_are_of_the_side_that_is_nearest() -> None:
    for box, sides in (
        ([2, 90, 8, 8], ["left"]),
        ([90, 190, 8, 8], ["bottom"]),
        ([0, 0, 12, 12], []),
    ):
        found = one_object(box)
        named = [(k, name) for k, ring in enumerate(found.rings) for name in ring.sides]
        holding = [(k, name) for k, name in named if found.rings[k].sides[name].count]
        assert [name for _, name in holding] == sides
        assert all(found.rings[k].count for k, _ in holding)


def test_a_side_that_is_not_seen_differs_from_the_other() -> None:
    made = scenes(7, images=200, noise=0, false=0)
    seen = replace(made, detections=select(made.detections, made.detections.box[:, 0] > 20))
    scored = rings_of_boxes(seen)
    assert ends_of(difference(scored, "recall", "left border", "right border"))[1] < -0.3
    low, high = ends_of(difference(scored, "recall", "top border"))
    assert low < 0 < high


def test_classes_are_scored_as_if_each_were_alone() -> None:
    made = scenes(8, categories=3)
    both = rings_of_boxes(made, 2)
    classes = by_class(both, made)
    assert [*classes] == ["c0", "c1", "c2"]
    for k, ring in enumerate(both.rings):
        means = [known(classes[name][k].figures["AP"].value) for name in classes]
        assert ring.figures["AP"].value == pytest.approx(np.mean(means), abs=1e-12)
        assert ring.count == sum(rings[k].count for rings in classes.values())


def test_fair_shares_stand_beside_and_go_with_what_is_found_by_them() -> None:
    network = padviz.load("vgg11")
    share = padviz.usage(network, (96, 128)).share()
    made = scenes(9, images=150, noise=0, false=0)
    centre = (made.objects.box[:, :2] + made.objects.box[:, 2:] / 2).astype(int).T
    due = share[centre[1].clip(0, 95), centre[0].clip(0, 127)]
    there = replace(made, detections=select(perfect(made).detections, due > 0.9))
    beside, of_all = (
        rings_of_boxes(each, 3, network=network, size=(96, 128)) for each in (there, perfect(made))
    )
    assert beside.network
    assert of_all.network
    ring = np.searchsorted([1 / 4, 1 / 2], depths(made.objects, made.sizes, True), side="right")
    shares = [known(each.fair_share) for each in beside.rings]
    assert shares == pytest.approx([due[ring == k].mean() for k in range(3)])
    assert shares[0] < shares[-1]
    assert known(beside.rings[0].from_padding) > known(beside.rings[-1].from_padding)
    ranks = np.argsort(np.argsort(due, kind="stable"))
    assert beside.network.correlation.value == pytest.approx(
        np.corrcoef(ranks, due > 0.9)[0, 1], abs=0.05
    )
    assert ends_of(beside.network.correlation)[0] > 0.3
    assert of_all.network.correlation.value is None  # all are found


def test_no_side_stands_out_by_chance() -> None:
    """Of 20 detectors that are as good at all sides, one at most; a pair of sides that is worse is named."""
    fair = [
        rings_of_boxes(scenes(seed, images=40, seen=lambda depth: 0.7 + 0 * depth))
        for seed in range(20)
    ]
    assert sum(row.other == OTHERS for scored in fair for row in scored.differences) <= 1
    made = scenes(7, images=200, noise=0, false=0)
    far = (made.detections.box[:, :2] > 12).all(axis=1)
    scored = rings_of_boxes(replace(made, detections=select(made.detections, far)))
    assert [row.one for row in scored.differences if row.other == OTHERS] == [
        "left and top borders"
    ]


Ends = st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from([None, 0.01, 0.3]))


@given(rows=st.lists(Ends, min_size=5, max_size=5), odd=st.booleans())
@examples(60)
def test_what_the_sentence_says_follows_from_its_figures(rows: list[Any], odd: bool) -> None:
    """It names the first sides and all rings whose interval excludes 0, what is lower there, and both figures."""
    names = [
        ("recall", OUTERMOST, INNERMOST),
        ("AP", OUTERMOST, INNERMOST),
        ("recall", "left border", OTHERS),
    ]
    names += [("recall", "left border", "right border"), ("recall", "top border", "bottom border")]
    differences = []
    for name, (first, second, half) in zip(names, rows, strict=True):
        apart = first - second
        interval = (
            Estimate(apart, None, None)
            if half is None
            else Estimate(apart, apart - half, apart + half)
        )
        differences.append(Difference(*name, first, second, interval))
    if not odd:
        del differences[2]
    text = finding(replace(rings_of_boxes(scenes(0, false=0)), differences=tuple(differences)))

    def clause(row: Difference, at: str) -> str:
        word = "lower" if row.first < row.second else "higher"  # type: ignore[operator]
        here, there = (
            f"{at} {part} ({percent(known(value))})"
            for part, value in zip(row[1:3], row[3:5], strict=True)
        )
        return f"{row.figure} is {word} {here} than {there}"

    rings = [row for row in differences if row.other == INNERMOST]
    sides = [row for row in differences if row.other != INNERMOST]
    expected = [clause(row, "near the") for row in sides if excludes_zero(row.difference)][:1]
    expected += [clause(row, "in the") for row in rings if excludes_zero(row.difference)]
    if any(row.difference.low is None for row in rings):
        few = "fewer than 20 objects or 10 images"
        expected.append(f"not enough to compare: the outermost or the innermost ring has {few}")
    alike = [
        row.figure
        for row in rings
        if row.difference.low is not None and not excludes_zero(row.difference)
    ]
    if alike:
        do = "do" if len(alike) == 2 else "does"
        ends = "between the outermost and the innermost ring"
        expected.append(f"{' and '.join(alike)} {do} not differ measurably {ends}")
    assert text.lower() == f"{'; '.join(expected)}.".lower()


def difference(scored: Rings, figure: str, one: str, other: str | None = None) -> Estimate:
    """The first difference of a figure of one part, from another part if that is named."""
    rows = [row for row in scored.differences if (row.figure, row.one) == (figure, one)]
    return next(row.difference for row in rows if other in (None, row.other))


def test_boxes_that_are_loose_near_the_border_lower_ap_alone() -> None:
    made = scenes(1, images=150, noise=0, false=0)
    near = depths(made.detections, made.sizes, True) < 0.5
    box = made.detections.box * np.where(near[:, None], [1, 1, 1.3, 1], 1)
    words = finding(rings_of_boxes(replace(made, detections=replace(made.detections, box=box))))
    assert words.startswith("AP is lower in the outermost ring (")
    assert "; recall does not differ measurably" in words


@REST
def test_fair_detectors_are_seldom_called_unfair() -> None:
    """Two figures are compared, and four sides: 5 % each, some together."""
    lines = [finding(rings_of_boxes(scenes(seed, false=0))) for seed in range(200)]
    assert sum(not line.startswith("Recall and AP do not differ") for line in lines) <= 24


Held = Iterator[tuple[str, Estimate, float]]


def trial(seed: int) -> Held:
    """64 crops of 10, 13, 32 or 64 pictures: answers kept, and divergences, of crops that are alike in a picture."""
    rng = np.random.default_rng(seed)
    count = (10, 13, 32, 64)[seed % 4]
    at = np.arange(64) * count // 64
    for name, p in (("few kept", 0.6), ("most kept", 0.86)):
        likely = rng.beta(4 * p, 4 * (1 - p), count)
        draw = rng.random(64)
        shift = (draw < likely[at]).astype(float)
        change = (np.where(rng.random(64) < 0.5, draw, rng.random(64)) < 0.8 * likely[at]).astype(
            float
        )
        yield f"trial: {name}", share(np.bincount(at, shift), np.bincount(at), 0).figure, p
        yield f"trial: {name}, minus the shift's", mean(change - shift, at).figure, -0.2 * p
    for name, spread in (("KL", 0.5), ("KL, uneven", 1.0)):
        shared = rng.normal(0, 0.8 * spread, count)[at]
        shift, change = (np.exp(shared + rng.normal(0, 0.6 * spread, 64)) for _ in range(2))
        expected = float(np.exp(spread**2 / 2))
        yield f"trial: {name}", mean(shift, at).figure, expected
        yield f"trial: {name}, minus the shift's", mean(3 * change - shift, at).figure, 2 * expected
        yield f"trial: {name}, minus one that is alike", mean(change - shift, at).figure, 0.0


GRID = 11
DEEP = np.minimum(np.arange(GRID), GRID - 1 - np.arange(GRID))
DISTANCE = np.minimum(DEEP[:, None], DEEP[None]).astype(float)
USAGE = np.minimum(DEEP[:, None] + 0.5, 3) * np.minimum(DEEP[None] + 0.5, 3) / 9


def seen(seed: int) -> Held:
    """Maps of 10, 16 or 30 pictures: usage, changed at random once for all, and by noise in each picture."""
    rng = np.random.default_rng(seed)
    count, noise = (10, 16, 30)[seed % 3], (0.6, 1.0)[seed % 2]
    true = USAGE**0.5 * np.exp(np.random.default_rng(seed % 20).normal(0, 0.25, USAGE.shape))
    each = np.exp(rng.normal(0, 0.5, (count, 1)) + rng.normal(0, noise, (count, GRID**2)))
    _, *found = estimates((true**2).ravel() * each, np.arange(count), USAGE, DISTANCE)
    usage, distance = (float(unit_ranks(true) @ unit_ranks(by)) for by in (USAGE, DISTANCE))
    names = ("by usage", "by distance", "usage minus distance", "edge over inside")
    for name, figure, value in zip(
        names, found, (usage, distance, usage - distance, edge_of(true)), strict=True
    ):
        yield f"seen: {name}", figure, value


def made(seed: int, images: int) -> Any:
    return rings_of_boxes(
        scenes(
            seed, images=images, false=0.3, seen=lambda depth: np.where(depth < 0.25, 0.6, 0.95)
        ),
        3,
    )


def rings_figures(scored: Any) -> dict[str, Estimate]:
    ends = {"outermost": scored.rings[0], "innermost": scored.rings[-1]}
    found = {}
    for figure in ("recall", "AP50", "AP"):
        found[f"{figure}, apart"] = difference(scored, figure, OUTERMOST)
        found |= {f"{figure}, {name}": ring.figures[figure] for name, ring in ends.items()}
    return found


@cache
def truth() -> dict[str, float]:
    return {
        name: figure.value
        for name, figure in rings_figures(made(99_999, 4000 if MANY else 1500)).items()
    }


def rings(seed: int) -> Held:
    """20, 30 or 60 images, against far more; rings of .25, .5 and all of half the shorter side."""
    scored = made(seed, (20, 30, 60)[seed % 3])
    if len(scored.rings) == 3:
        yield from (
            (f"rings: {name}", figure, truth()[name])
            for name, figure in rings_figures(scored).items()
        )


@pytest.mark.parametrize("room", [trial, seen, rings])
@pytest.mark.parametrize("runs", [60, pytest.param(2000, marks=REST)])
def test_intervals_hold_the_truth(room: Callable[[int], Held], runs: int) -> None:
    found: dict[str, list[bool]] = defaultdict(list)
    for seed in range(runs):
        for name, figure, value in room(seed):
            if figure.low is not None and figure.high is not None:
                found[name].append(figure.low - 1e-9 <= value <= figure.high + 1e-9)
    chance = 3 * (0.05 * 0.95 / runs) ** 0.5
    shares = {name: float(np.mean(each)) for name, each in found.items()}
    assert shares
    assert {
        name: held
        for name, held in shares.items()
        if not 0.93 - chance <= held <= min(0.97 + chance, 1)
    } == {}
