"""Thresholds at equality, and the table of evidence that remedies are ranked by."""

import re
from math import hypot, isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

import padviz
from padviz.advice.changes import TRIED, cropped_outputs, larger_image
from padviz.advice.evidence import (
    EVIDENCE,
    FOUR,
    LESS,
    MORE,
    NARROW,
    WIDE,
    Evidence,
    Points,
    size_parts,
    standing,
    told_apart,
)
from padviz.advice.remedies import FOVEATED, GAIN, MapOutcome, helps
from padviz.advice.suggestions import faults_of
from padviz.advice.wording import border
from padviz.counting.count import coverage
from padviz.counting.shares.summary import Rim
from padviz.geometry.balance.case import Case
from padviz.geometry.receptive_fields import receptive_fields
from padviz.network.network import Network
from padviz.sources.toml.load import parse
from tests.advice.test_remedies import outcome_of


def net(**layer: Any) -> Network:
    return parse({"layers": [{"op": "conv", "name": "l0", **layer}], "size": 64}, "net")


@pytest.mark.parametrize(("starved", "fine"), [(1 / 3, True), (0.34, False)])
def test_a_third_of_the_image_may_be_starved_and_no_more(starved: float, fine: bool) -> None:
    figures = padviz.audit(padviz.load("vgg19"), 224).outcome
    assert figures.rim is not None
    shown = replace(figures, share=replace(figures.share, starved=starved))
    grid = receptive_fields(padviz.load("vgg19"), (224, 224))[-1]
    assert faults_of(shown, standing(figures.rim, [32]), grid, True).border != fine


def test_two_thirds_of_the_image_are_not_foveated_and_more_are() -> None:
    figures = padviz.audit(padviz.load("vgg19"), 224).outcome
    assert figures.rim is not None
    for starved, foveated in ((2 / 3, False), (0.67, True)):
        share = replace(figures.share, starved=starved)
        said = border(
            replace(figures, share=share),
            standing(figures.rim, [32]),
            compared=True,
            reads_padding=True,
        )
        assert ("% of this image is starved (foveated)." in said) == foveated


@pytest.mark.parametrize(
    ("sides", "lopsided"),
    [
        ([0, 4], False),
        ([0, 5], True),
        ([5, 0], True),
        ([30, 40], False),
        ([29, 40], True),
        ([12, 16], False),
    ],
)
def test_a_rim_is_lopsided_by_more_than_four_pixels_and_a_quarter(
    sides: list[int], lopsided: bool
) -> None:
    assert standing(Rim(sides, [7, 7]), [None]).lopsided == lopsided


def test_a_rim_is_narrow_up_to_a_threshold_and_wide_from_another_on() -> None:
    depths = {NARROW: "narrow", NARROW + 1: "typical", WIDE - 1: "typical", WIDE: "wide"}
    for mean, word in depths.items():
        found = standing(Rim([0, 2 * mean], [mean, mean]), [None])
        assert (found.mean, found.width) == (mean, word)


def test_a_grid_is_off_centre_from_one_pixel_on() -> None:
    for pads, off in (([1, 0], False), ([2, 0], True), ([0, 2], True), ([1, 1], False)):
        found = padviz.audit(net(kernel=[3, 1], padding=[pads, [0, 0]]), (20, 12))
        assert abs(found.offset[0]) == abs(pads[0] - pads[1]) / 2
        assert ("1 px" in found.symmetry) == off


def test_a_field_as_large_as_the_image_does_not_exceed_it() -> None:
    for rows, exceeds in ((10, False), (9, False), (8, True)):
        found = padviz.audit(net(kernel=[9, 3], padding=[4, 1]), (rows, 30)).reach
        assert (found.field, found.exceeds) == ([9, 3], exceeds)


@pytest.mark.parametrize("rows", range(2, 8))
def test_an_output_is_cropped_to_the_units_that_read_no_padding(rows: int) -> None:
    """Where one axis is padded alone, all of the other is kept; where each unit reads padding, nothing is proposed."""
    network, size = net(kernel=[3, 1], padding=[[2, 1], [0, 0]]), (rows, 12)
    found = coverage(network, size)
    free = np.argwhere(found.counts == found.full)
    changes = [*cropped_outputs(Case(network, size))]
    assert bool(changes) == bool(len(free))
    for change in changes:
        cut = change.case.network
        seen = coverage(cut, size, layer="l0.cropped")
        assert seen.counts.size == len(free)
        assert (seen.counts == found.full).all()
        assert change.edit == ("l0: y[..., 2:-1, :]",)
        box = tuple(
            slice(first, last + 1)
            for first, last in zip(free.min(axis=0), free.max(axis=0), strict=True)
        )
        assert (
            padviz.usage(cut, size).counts == padviz.usage(network, size, unit=box).counts
        ).all()


def judged(
    starved: float = 0.0, overused: float = 0.0, least: float = 1.0, most: float = 1.0, **more: Any
) -> MapOutcome:
    plain = outcome_of(net(kernel=[3, 1]), (40, 12))
    share = replace(plain.share, starved=starved, overused=overused, min=least, max=most)
    return replace(plain, share=share, **more)


LOW = {"starved": 1.0, "least": 0.04, "most": 0.32}
JUDGED: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    # A gain as small as is asked for is none.
    ("padding", {"starved": GAIN}, {}, False),
    ("padding", {"starved": 2 * GAIN}, {}, True),
    ("padding", {"starved": GAIN, "overused": GAIN}, {}, True),
    ("padding", {"starved": 0.5}, {"overused": 0.5}, False),
    # A larger image must spare a tenth.
    ("larger", {"starved": 0.5}, {"starved": 0.45}, False),
    ("larger", {"starved": 0.5}, {"starved": 0.44}, True),
    ("larger", {"starved": 0.5}, {"starved": 0.44, "most": 0.4}, False),
    # Fewer dropped rows are a gain of sizes alone.
    ("size", {"remainders": 2}, {"remainders": 1}, True),
    ("size", {"remainders": 1}, {"remainders": 1}, False),
    ("padding", {"remainders": 2}, {"remainders": 1}, False),
    # Half a cure that drops more is none, a whole one is; and none starves more.
    ("pads", {"uneven_convolutions": 2}, {"uneven_convolutions": 1}, True),
    ("pads", {"uneven_convolutions": 2}, {"uneven_convolutions": 1, "remainders": 1}, False),
    ("pads", {"uneven_convolutions": 2}, {"remainders": 1}, True),
    ("pool", {"uneven_convolutions": 2}, {"uneven_convolutions": 1, "starved": 0.1}, False),
    ("pool", {"uneven_convolutions": 2}, {"starved": 0.1}, False),
    # Where all shares are low, a tenth must be so no longer.
    ("padding", LOW, {**LOW, "least": 0.3}, False),
    ("padding", LOW, {"overused": 0.9}, False),
    ("padding", LOW, {"overused": 0.89}, True),
]


@pytest.mark.parametrize(("kind", "before", "after", "expected"), JUDGED)
def test_what_helps(
    kind: str, before: dict[str, Any], after: dict[str, Any], expected: bool
) -> None:
    assert helps(kind, judged(**before), judged(**after)) == expected
    assert judged(**before).low == (before is LOW)
    assert not judged(most=0.5).low


@pytest.mark.parametrize("size", [(24, 40), (9, 40), (24, 5), (4, 6), (3, 40), (300, 520)])
def test_the_outer_ring_is_as_wide_as_the_period_on_each_axis(size: tuple[int, int]) -> None:
    strided = net(kernel=[3, 4], stride=[2, 4], padding=[1, 2])
    found, counts = outcome_of(strided, size), padviz.usage(strided, size).counts
    assert found.ring_px == [2, 4]
    inside = counts[
        tuple(slice(ring, max(n - ring, ring)) for ring, n in zip(found.ring_px, size, strict=True))
    ]
    share = 1 - inside.sum() / counts.sum()
    assert found.ring == pytest.approx(share / (1 - inside.size / counts.size))


def test_the_tilt_is_the_largest_difference_of_opposite_rims_and_none_where_there_is_no_rim() -> (
    None
):
    found = outcome_of(padviz.load("vgg11"), 64)
    assert replace(found, rim=Rim([3, 9], [7, 4])).tilt == 6
    assert replace(found, rim=None).tilt == 0


def test_a_layer_that_was_chosen_is_compared_with_no_network() -> None:
    chosen, last = (
        padviz.audit(padviz.load("vgg11"), 224, layer) for layer in ("features.3", None)
    )
    assert chosen.standing is not None
    assert ("known" in chosen.border, "known" in last.border) == (False, True)


DOCS = Path(__file__).parent.parent.parent / "docs" / "evidence"
HEAD = """\
| change | as is | new batch-norm statistics | 1 epoch | 3 epochs | from scratch | detector | rim unseen | source |
|---|--:|--:|--:|--:|--:|--:|--:|---|
"""


def rows(page: str, name: str) -> list[list[str]]:
    text = (
        (DOCS / page)
        .read_text()
        .partition(f"<!-- {name} -->\n")[2]
        .partition(f"<!-- /{name} -->")[0]
    )
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if "|" in line
    ][2:]


def cell(points: Points) -> str:
    return (
        ""
        if points is None
        else f"{points[0]:+.1f}" + ("" if isnan(points[1]) else f" ± {points[1]:.1f}")
    )


def test_the_page_shows_the_table() -> None:
    shown = HEAD
    for change, row in EVIDENCE.items():
        points = [
            cell(each) for each in (row.as_is, row.batch_norm, row.epoch, row.epochs, row.anew)
        ]
        ap = [", ".join(map(cell, heads)) for heads in (row.detector, row.unseen)]
        shown += " | ".join(["|", change, *points, *ap, row.source, "|"])[2:-2] + "\n"
    page = (DOCS / "limits.md").read_text()
    assert re.sub(" +", " ", shown) in re.sub(" +", " ", page), shown


@pytest.mark.parametrize(
    ("change", "padding"),
    [
        (MORE, "zero, 1 px larger"),
        *((scheme, scheme) for scheme in ("partial", "circular", "symmetric", "reflect")),
    ],
)
def test_detectors_are_those_of_the_experiment(change: str, padding: str) -> None:
    cells = {
        (task, arm): cells[1].partition(" ± ")
        for task, arm, *cells in rows("limits.md", "detector")
    }
    found = {
        place: (float(mean), float(width or "nan")) for place, (mean, _, width) in cells.items()
    }
    for where, shown in (
        ("", EVIDENCE[change].detector),
        (", rim unseen", EVIDENCE[change].unseen),
    ):
        tasks = [
            f"stride {stride}{where}"
            for stride in (4, 16, 32)
            if (f"stride {stride}{where}", padding) in found
        ]
        pairs = [(found[task, padding], found[task, "zero"]) for task in tasks]
        assert [points for points, _ in shown] == pytest.approx(
            [one[0] - zero[0] for one, zero in pairs], abs=0.051
        )
        assert [width for _, width in shown] == pytest.approx(
            [hypot(one[1], zero[1]) for one, zero in pairs], abs=0.051
        )


@pytest.mark.parametrize(
    ("change", "arm"),
    [
        (MORE, "33 zero"),
        ("circular", "32 circular"),
        ("reflect", "32 mirrored"),
        ("pooled strides", "32 pooled"),
    ],
)
def test_what_was_trained_anew_is_that_of_the_experiment(change: str, arm: str) -> None:
    accuracy = {row[0]: float(row[3].split(" ")[0]) for row in rows("experiment.md", "experiment")}
    anew = EVIDENCE[change].anew
    assert anew is not None
    assert anew[0] == pytest.approx(accuracy[arm] - accuracy["32 zero"])


def test_a_change_is_told_apart_by_one_experiment_that_no_other_contradicts() -> None:
    partial, nothing = EVIDENCE["partial"], Evidence()
    apart = [name for name, other in EVIDENCE.items() if told_apart(partial, other, "fine-tune")]
    assert apart == ["symmetric", "replicate", "reflect"]
    assert not told_apart(nothing, partial, "fine-tune")
    # No change is 0: an audit says that nothing measured helps accuracy.
    zero = Evidence(epoch=(0.0, 0.0), anew=(0.0, 0.0), detector=((0.0, 0.0),) * 3)
    for needs in ("fine-tune", "retrain"):
        assert not any(told_apart(change, zero, needs) for change in EVIDENCE.values())
    assert not told_apart(EVIDENCE[LESS], partial, "fine-tune")  # of which no interval is known
    one, other = Evidence(epoch=(2.0, 0.3)), Evidence(epoch=(1.5, 0.4))
    assert not told_apart(one, other, "fine-tune")  # at equality
    assert told_apart(one._replace(epoch=(2.1, 0.3)), other, "fine-tune")
    contradicted = one._replace(epoch=(3.0, 0.3), detector=((0.0, 1.0),))
    assert not told_apart(contradicted, other._replace(detector=((2.0, 1.0),)), "fine-tune")


def test_the_change_to_try_is_not_said_to_be_better_than_what_is_not_told_apart() -> None:
    found = padviz.audit(padviz.load("mobilenet_v2"), 224)
    assert (found.to_try, found.alike) == ("partial padding", ["225 x 225 px"])
    assert "225 x 225 px may do as well, as far as was measured." in found.training
    fine = padviz.audit(padviz.load("vgg19"), 224)
    assert (fine.to_try, fine.alike) == (None, [])


def test_even_windows_do_not_rank_first_where_most_of_the_image_stays_starved() -> None:
    found = padviz.audit(padviz.load("alexnet"), 96)
    assert found.outcome.share is not None
    assert found.outcome.share.starved > FOVEATED
    (size,) = [each for each in found.remedies if each.what == "95 x 95 px"]
    assert size.price == "leaves 98.2 % starved or overused"
    assert found.remedies[0].what == "partial padding"
    for each in found.remedies:
        idle = each.outcome.unfair > 0.9 * found.outcome.unfair
        assert (each.price is not None) or not idle


def test_only_the_steps_that_were_tried_are_measured() -> None:
    assert [size_parts({step}) for step in (1, -1, 4)] == [(MORE,), (LESS,), (FOUR,)]
    assert size_parts({2}) == size_parts({1, -1}) == (MORE, None)


def test_every_scheme_that_was_measured_is_tried() -> None:
    assert set(TRIED) > set(EVIDENCE) - {MORE, LESS, FOUR, "pooled strides"}


def test_the_answer_to_which_padding_has_the_same_figures() -> None:
    page = (DOCS.parent / "howto" / "which-padding.md").read_text()
    for scheme in ("circular", "symmetric", "reflect", "partial"):
        row = EVIDENCE[scheme]
        assert row.as_is is not None
        assert row.epoch is not None
        ap = [
            ", ".join(
                f"{points[0]:+.1f} (stride {stride})"
                for points, stride in zip(each, (4, 16, 32), strict=False)
            )
            for each in (row.detector, row.unseen)
        ]
        cells = " | ".join([f"{row.as_is[0]:+.1f}", f"{row.epoch[0]:+.1f}", *ap])
        assert re.search(rf"^\| `{scheme}`.* \| {re.escape(cells)} \|$", page, re.MULTILINE)


def test_a_network_that_resizes_its_image_gets_no_larger_one() -> None:
    network = padviz.load("torchvision.models.detection:retinanet_resnet50_fpn", size=640)
    assert [*larger_image(Case(network, (640, 640)))] == []
