"""Rings: one is COCO's own figure, a perfect detector has 1 in each, and what is lost near the border is lost there."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from padviz.errors import OptionError
from padviz.scoring.matching import FREE, match
from padviz.scoring.rings import COCO, depths, rings_of
from padviz.scoring.scenes import Boxes, Scenes, boxes
from tests.scoring.made import as_coco, perfect, scenes
from tests.sweeps import SLOW

FILES = {
    "perfect": perfect(scenes(0)),
    "noisy": scenes(1, false=3),
    "crowded": scenes(2, each=12, crowd=0.3),
    "more than a hundred in an image": scenes(3, images=2, categories=1, each=90, false=2),
}


@pytest.mark.parametrize("name", FILES)
def test_one_ring_is_what_pycocotools_has(name: str) -> None:
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    instances, results = as_coco(FILES[name])
    with contextlib.redirect_stdout(io.StringIO()):
        there = coco.COCO()
        there.dataset = instances
        there.createIndex()
        judged = cocoeval.COCOeval(there, there.loadRes(results), "bbox")
        judged.evaluate()
        judged.accumulate()
    precision = judged.eval["precision"][:, :, :, 0, 2]
    (ring,) = rings_of(FILES[name], 1, ious=COCO).rings
    for k, threshold in enumerate(COCO):
        assert ring.ap[f"{100 * threshold:g}"].value == pytest.approx(precision[k][precision[k] > -1].mean(), abs=1e-9)
    assert ring.ap["mean"].value == pytest.approx(precision[precision > -1].mean(), abs=1e-9)


def test_the_figures_of_a_fixed_set_stay() -> None:
    (ring,) = rings_of(FILES["noisy"], 1).rings
    assert ring.objects == 480
    assert {name: round(figure.value or 0, 4) for name, figure in ring.ap.items()} == NOISY


NOISY = {"50": 0.4904, "75": 0.113, "mean": 0.1979}  # as pycocotools has them, too


@given(seed=st.integers(0, 1000), rings=st.integers(1, 6))
@settings(deadline=None, max_examples=15)
def test_a_perfect_detector_has_one_in_every_ring(seed: int, rings: int) -> None:
    for ring in rings_of(perfect(scenes(seed, images=10, false=0, noise=0, crowd=0.1)), rings).rings:
        if ring.objects:
            assert (ring.recall.value, ring.recall.low, ring.recall.high) == (1, 1, 1)
            assert all(figure.value == pytest.approx(1, abs=1e-12) for figure in ring.ap.values())
        else:
            assert ring.recall.value is None
            assert ring.ap["mean"].value is None


def test_a_detector_that_misses_the_outermost_ring_loses_there_alone() -> None:
    scored = rings_of(scenes(5, noise=0, false=0, seen=lambda depth: depth >= 0.25))
    outermost, *inner = scored.rings
    assert outermost.recall.value == outermost.ap["mean"].value == 0
    assert all(ring.recall.value == ring.ap["mean"].value == 1 for ring in inner)
    assert scored.recall_apart == scored.ap_apart["mean"] == (-1, -1, -1)


def test_no_detection_takes_an_object_for_one_of_another_ring() -> None:
    """The surer of two lies on the inner object, and overlaps the outer one, which is found by the other."""
    objects = boxes([0, 0], [0, 0], [[6, 40, 20, 20], [16, 40, 20, 20]])
    detections = boxes([0, 0], [0, 0], [[15, 40, 20, 20], [6, 40, 20, 20]], [0.9, 0.8])
    two = Scenes(np.array([[100, 100]]), ("c",), objects, detections)
    (outer, inner) = rings_of(two, pixels=[20], ious=[0.3]).rings
    assert (outer.objects, inner.objects) == (1, 1)
    assert outer.ap["30"].value == inner.ap["30"].value == 1


@given(seed=st.integers(0, 1000), rings=st.integers(1, 5))
@settings(deadline=None, max_examples=15)
def test_each_object_and_each_find_is_of_one_ring(seed: int, rings: int) -> None:
    made = scenes(seed, images=8, crowd=0.1)
    scored = rings_of(made, rings)
    assert sum(ring.objects for ring in scored.rings) == scored.objects
    found = match(made.objects, made.detections, [0.5]).found[0]
    finds = (found != FREE) & ~made.objects.crowd[found]
    assert sum(round((ring.recall.value or 0) * ring.objects) for ring in scored.rings) == finds.sum()


@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=10)
def test_images_turned_over_and_enlarged_have_the_same_rings(seed: int) -> None:
    made = scenes(seed, images=8)

    def turned(each: Boxes) -> Boxes:
        height, width = made.sizes[each.image].T
        left, top, w, h = each.box.T
        return replace(each, box=2 * np.column_stack([height - top - h, width - left - w, h, w]))

    other = Scenes(2 * made.sizes[:, ::-1], made.categories, turned(made.objects), turned(made.detections))
    assert np.allclose(depths(made.objects, made.sizes, True), depths(other.objects, other.sizes, True))
    one, two = (rings_of(each, 3) for each in (made, other))
    assert [ring.objects for ring in one.rings] == [ring.objects for ring in two.rings]
    for name in one.ap_apart:
        ours, theirs = ([ring.ap[name].value for ring in each.rings] for each in (one, two))
        assert ours == pytest.approx(theirs, abs=1e-9)


@SLOW
def test_intervals_hold_what_a_detector_was_made_to_lose() -> None:
    """200 sets of 100 images, against one of 10,000."""

    def seen(depth: Any) -> Any:
        return np.where(depth < 0.5, 0.6, 0.8)

    def figures(of: Any) -> list[Any]:
        return [*(ring.recall for ring in of.rings), of.recall_apart, of.ap_apart["50"], of.ap_apart["mean"]]

    truth = [each.value for each in figures(rings_of(scenes(999, images=10_000, seen=seen), 2))]
    held = np.zeros(len(truth))
    for seed in range(200):
        some = figures(rings_of(scenes(seed, images=100, seen=seen), 2))
        held += [each.low <= value <= each.high for each, value in zip(some, truth, strict=True)]
    assert truth[2] == pytest.approx(-0.2, abs=0.03)
    assert (held >= 200 * 0.95 - 3 * (200 * 0.95 * 0.05) ** 0.5).all(), held  # as chance allows


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"rings": 0}, "rings: 0 rings are none"),
        ({"pixels": [16, 8]}, "px: the ends of rings do not grow"),
        ({"pixels": [0]}, "px: the ends of rings do not grow"),
        ({"ious": [0.5, 1.5]}, "iou: 1.5 is no overlap"),
        ({"ious": [0]}, "iou: 0 is no overlap"),
    ],
)
def test_rings_that_make_no_sense_are_refused(settings: Any, line: str) -> None:
    with pytest.raises(OptionError, match=line):
        rings_of(FILES["noisy"], **settings)


def test_a_set_without_detections_finds_nothing() -> None:
    nothing = boxes([], [], [], [])
    made = scenes(4)
    for ring in rings_of(Scenes(made.sizes, made.categories, made.objects, nothing)).rings:
        assert ring.recall.value == ring.ap["mean"].value == 0
    empty = rings_of(Scenes(made.sizes, made.categories, nothing, made.detections))
    assert [ring.objects for ring in empty.rings] == [0, 0, 0, 0]
    assert empty.recall_apart.value is None
