"""Remedies: each figure is that of the changed network, counted anew; changes are those that a person would make."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from math import inf, prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_struct

import padviz
from padviz.advice import remedies as remedies_of
from padviz.advice import verdict as verdict_of
from padviz.advice.changes import TRIED, cropped_outputs, even_pads, pooled_strides, wraps
from padviz.advice.remedies import NEEDS, Attempt, Remedy, _rank, changes, helps, remedies
from padviz.advice.verdict import audit, examine
from padviz.counting.shares.summary import Rim
from padviz.counting.walking import walks
from padviz.errors import PadvizError
from padviz.geometry.balance import case as case_of
from padviz.geometry.balance import nearest as nearest_of
from padviz.geometry.balance.case import Case
from padviz.geometry.balance.even_pads import cannot
from padviz.geometry.balance.pooled_strides import with_strides_pooled
from padviz.geometry.reaching.near_padding import near_padding
from padviz.network.graph import ancestors
from padviz.network.network import Network
from padviz.network.rewrites import with_padding
from padviz.network.targets import upto
from padviz.sources.toml.build import parse
from padviz.sources.toml.write import to_toml
from tests.advice.judging import outcome_of
from tests.cli.test_cli import run
from tests.strategies import networks


def network(*layers: dict[str, Any]) -> Network:
    return parse({"layers": list(layers)}, "net")


def test_resnet_50_at_224() -> None:
    found = audit(padviz.load("resnet50"), 224)
    assert found.uneven_convolutions == ["conv1", "layer2.0.conv2", "layer3.0.conv2", "layer4.0.conv2"]
    assert found.uneven_pools == ["maxpool"]
    assert found.verdict == "lopsided, narrow rim"
    assert found.best == "nothing without training"
    assert [each.what for each in found.remedies][:3] == ["partial padding", "225 x 225 px", "circular padding"]
    both = next(each for each in found.remedies if each.what == "225x225 + reflect")
    assert (both.kind, both.needs, both.as_is, both.trained) == ("both", "fine-tune", None, None)
    assert both.edit == ["Resize((225, 225))", 'padviz.repad(module, "reflect")']
    assert both.outcome.share is not None
    assert (round(both.outcome.share.starved, 3), round(both.outcome.share.overused, 3)) == (0, 0.056)
    assert found.offset_by == {
        "layer4.0.conv2": [-8, -8],
        "layer3.0.conv2": [-4, -4],
        "layer2.0.conv2": [-2, -2],
        "maxpool": [-1, -1],
        "conv1": [-0.5, -0.5],
    }
    assert found.rim_by["layer4.1.conv2"] == Rim([1, 5], [1, 5])
    assert [*found.rim_by][:2] == ["layer4.2.conv2", "layer4.1.conv2"]
    best = next(each for each in found.remedies if each.kind == "size")
    assert (best.what, best.edit[0], best.needs) == ("225 x 225 px", "Resize((225, 225))", "fine-tune")
    assert best.outcome.macs == 4_624_665_792
    assert found.outcome.macs == 4_087_136_256
    assert best.macs_ratio == 4_624_665_792 / 4_087_136_256
    assert (best.outcome.uneven_convolutions, best.outcome.uneven_pools, best.outcome.remainders) == (0, 0, 0)


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2", "unet_padded"])
def test_the_figures_are_those_of_the_map_counted_anew(name: str) -> None:
    made = {change.what: change for change in changes(Case(padviz.load(name), (224, 224)))}
    found = remedies(padviz.load(name), 224)
    assert found
    for remedy in found:
        change = made[remedy.what]
        summary = padviz.usage(change.case.network, change.case.size, change.padding).summary()
        after = remedy.outcome
        assert (after.share, after.rim, after.overused_rim) == (summary.share, summary.rim, summary.overused_rim)
        assert after.size == [*change.case.size]


@pytest.mark.parametrize("scheme", TRIED)
def test_a_scheme_is_that_of_usage(scheme: str) -> None:
    found = outcome_of(padviz.load("resnet18"), 225, scheme)
    assert found.share == padviz.usage("resnet18", 225, scheme).summary().share


def test_strides_moved_into_pools_are_those_that_a_person_moves() -> None:
    torch = pytest.importorskip("torch")
    from torchvision.models import resnet18

    module = resnet18(weights=None)

    def pooled(conv: Any) -> Any:
        conv.stride = (1, 1)
        return torch.nn.Sequential(conv, torch.nn.AvgPool2d(2))

    module.conv1 = pooled(module.conv1)
    for layer in (module.layer2, module.layer3, module.layer4):
        layer[0].conv1 = pooled(layer[0].conv1)
        layer[0].downsample[0] = pooled(layer[0].downsample[0])
    (change,) = pooled_strides(Case(padviz.load("resnet18"), (224, 224)))
    assert change.what == "pool 7 strides"
    by_hand = padviz.usage(module, 224, layer="layer4.1")
    assert (padviz.usage(change.case.network, 224).counts == by_hand.counts).all()
    assert [row.layer for row in padviz.uneven(change.case.network, 224).uneven_convolutions] == []


def test_a_stride_that_no_pool_of_two_makes_stays() -> None:
    assert with_strides_pooled(network({"op": "conv", "name": "a", "kernel": 3, "stride": 3}), ("a",)) is None
    same = {"op": "conv", "name": "a", "kernel": 3, "stride": 2, "padding": "same_upper"}
    assert with_strides_pooled(network(same), ("a",)) is None


def test_a_pooled_layer_that_is_the_target_is_its_pool() -> None:
    made = with_strides_pooled(network({"op": "conv", "name": "a", "kernel": 3, "stride": 2, "padding": 1}), ("a",))
    assert made is not None
    assert made.targets == ("a.pool",)
    assert padviz.usage(made, 8).target.shape == [4, 4]


def test_pads_that_share_out_evenly_are_found_where_their_number_is_even() -> None:
    lopsided = network({"op": "conv", "name": "a", "kernel": 4, "stride": 2, "padding": [[0, 2], [0, 2]]})
    (change,) = even_pads(Case(lopsided, (224, 224)))
    assert change.edit == ("padviz repad model.onnx --even -o even.onnx", "a: padding=(1, 1)")
    assert padviz.uneven(change.case.network, 224).balanced
    assert not any("no pads" in each for each in cannot(Case(lopsided, (224, 224))))
    odd = network({"op": "conv", "name": "a", "kernel": 3, "stride": 2, "padding": 1})
    assert not [*even_pads(Case(odd, (224, 224)))]
    line = "At 224 x 224 no pads make a even: its 112 units read 1 row of padding in all, an odd number."
    assert line in cannot(Case(odd, (224, 224)))


def test_pads_make_even_what_they_can_where_another_window_stays_uneven() -> None:
    lopsided = {"op": "conv", "name": "a", "kernel": 4, "stride": 2, "padding": [[0, 2], [0, 2]]}
    odd = {"op": "conv", "name": "b", "kernel": 3, "stride": 2, "padding": 1}
    both = network(lopsided, odd)
    (change,) = even_pads(Case(both, (224, 224)))
    assert change.case.uneven
    assert (change.what, change.edit) == (
        "even pads",
        ("padviz repad model.onnx --even -o even.onnx", "a: padding=(1, 1)"),
    )
    assert [row.layer for row in padviz.uneven(both, 224).uneven] == ["a", "b"]
    assert [row.layer for row in padviz.uneven(change.case.network, 224).uneven] == ["b"]
    assert "even pads" in [each.what for each in remedies(both, 224)]


def test_images_are_cropped_to_what_is_smaller_and_resized_to_what_is_larger() -> None:
    sizes = [each for each in changes(Case(padviz.load("resnet50"), (224, 224))) if each.kind == "size"]
    assert [each.edit for each in sizes] == [
        ("CenterCrop(193)", "or Resize((193, 193)) for the whole image"),
        ("Resize((225, 225))", "or CenterCrop(225) of larger images"),
    ]


def test_a_file_that_says_the_size_of_its_input_is_exported_anew() -> None:
    asked = "export the file anew at 225 x 225, or with an open input size"
    fixed = replace(padviz.load("resnet50"), declared=(224, 224))
    assert {asked in each.edit for each in changes(Case(fixed, (224, 224))) if each.case.size == (225, 225)} == {True}
    high = replace(fixed, declared=(225, 0))
    edits = {each.case.size: each.edit[0] for each in changes(Case(high, (225, 224))) if each.kind == "size"}
    assert edits == {(225, 193): "CenterCrop((225, 193))", (225, 225): "Resize((225, 225))"}


def test_padding_is_replaced_by_what_does_it() -> None:
    for name, first in (
        ("", 'padviz.repad(module, "zero/circular")'),
        ("a b.onnx", "padviz repad 'a b.onnx' --padding"),
    ):
        made = replace(padviz.load("vgg11"), source=name)
        (edit,) = [each.edit for each in changes(Case(made, (224, 224))) if each.padding == "zero/circular"]
        assert edit[0].startswith(first)
        assert any("-o zero-circular.onnx" in each for each in edit)
        assert 'anew: padviz.nn.PaddedConv2d(..., scheme="zero/circular")' in edit


def test_no_change_that_leaves_every_pixel_starved_is_a_remedy_for_that() -> None:
    net = padviz.load("ssd300_vgg16")
    found = audit(net, 320)
    assert found.outcome.low
    assert {each.kind for each in found.remedies} == {"size", "pool"}
    even = "336 x 336 px makes every convolution even and leaves every pixel starved, 0.0 % overused (not measured)."
    assert found.advice.endswith(f"If you fine-tune: {even}")
    small = audit(padviz.load("resnet18"), 65)
    assert small.outcome.low
    assert small.remedies[0].outcome.unfair < 0.9
    assert not audit(padviz.load("resnet50"), 224).outcome.low


def test_what_has_a_price_is_never_advised() -> None:
    found = audit(padviz.load("inception_v3"), 128)
    assert found.best == "nothing helps"
    assert found.advice == "Nothing that was tried helps enough (139 x 139 px: costs 1.37x the multiply-adds)."


def test_half_a_cure_that_starves_more_or_drops_more_is_none() -> None:
    before = outcome_of(padviz.load("resnet50"), 224)
    assert before.share is not None
    starved = replace_struct(before.share, starved=before.share.starved + 0.1)
    fewer = replace_struct(before, uneven_convolutions=1)
    assert helps("pool", before, fewer)
    assert not helps("pool", before, replace_struct(fewer, share=starved))
    assert not helps("pool", before, replace_struct(fewer, remainders=before.remainders + 1))
    assert not helps("pool", before, replace_struct(fewer, share=starved, uneven_convolutions=0))


def test_a_network_without_padding_is_offered_no_scheme() -> None:
    kinds = {change.kind for change in changes(Case(padviz.load("unet"), (572, 572)))}
    assert "padding" not in kinds
    assert remedies(padviz.load("unet"), 572) == ()


AUDITED = ("resnet18", "vgg19", "mobilenet_v2", "alexnet", "googlenet", "densenet121", "inception_v3", "unet_padded")


@pytest.mark.parametrize("name", AUDITED)
@pytest.mark.parametrize("size", [32, 64, 96, 224, 640])
def test_evidence_ranks_first_and_no_remedy_leaves_more_unfair_or_a_much_smaller_image(name: str, size: int) -> None:
    try:
        found = audit(padviz.load(name), size)
    except PadvizError:
        assert size < 96  # too small for its windows
        return
    assert found.remedies
    places = [(each.price is not None, NEEDS.index(each.needs)) for each in found.remedies]
    assert places == sorted(places)
    for place in set(places):
        alike = [each for each, its in zip(found.remedies, places, strict=True) if its == place]
        known = [-inf if each.trained is None else each.trained for each in alike]
        assert known == sorted(known, reverse=True)
    for each in found.remedies:
        assert each.outcome.unfair <= found.outcome.unfair
        assert each.outcome.share is None or each.outcome.share.overused < 0.9
        assert all(m >= 0.85 * n for m, n in zip(each.outcome.size, (size, size), strict=True))


@pytest.mark.parametrize(
    ("name", "size", "advised"),
    [
        ("vgg19", 224, "Nothing to do: even, centred, and the rim is narrow."),
        ("unet", 572, "Nothing to do: no unit reads padding."),
        (
            "vgg19",
            64,
            "With today's weights: change nothing; what was measured cost a small network 4.5 to 30.3 points.",
        ),
        ("densenet121", 224, "With today's weights: change nothing; what was measured cost"),
    ],
)
def test_nothing_to_do_is_an_answer(name: str, size: int, advised: str) -> None:
    found = audit(padviz.load(name), size)
    assert found.best == ("nothing to do" if "to do" in advised else "nothing without training")
    assert found.advice.startswith(advised)


def test_what_was_measured_under_zeros_says_nothing_of_other_padding() -> None:
    made = network({"op": "conv", "name": "a", "kernel": 9, "padding": 4, "mode": "replicate"})
    schemes = [each for each in remedies(made, 32) if each.kind == "padding"]
    assert {(each.as_is, each.trained) for each in schemes} == {(None, None)}


def test_a_network_that_pads_nothing_gets_no_larger_image() -> None:
    conv, pool = {"op": "conv", "kernel": 3}, {"op": "maxpool", "kernel": 2, "stride": 2, "ceil": True}
    made = network({**conv, "name": "a"}, {**pool, "name": "b"}, {**conv, "name": "c"}, {**conv, "name": "d"})
    assert "larger" not in {each.kind for each in remedies(made, 48)}


@pytest.mark.parametrize(("name", "size"), [("vgg19", 225), ("alexnet", 224), ("resnet18", 100), ("densenet121", 224)])
def test_a_size_that_costs_much_more_never_stands_before_one_that_does_not(name: str, size: int) -> None:
    found = remedies(padviz.load(name), size)
    costly = [each.outcome.size != [size, size] and (each.macs_ratio or 0) > 1.2 for each in found]
    assert True in costly
    assert not costly[0]
    assert all(each.price is not None for each, dear in zip(found, costly, strict=True) if dear)


def test_only_a_size_of_the_same_phase_works_with_todays_weights() -> None:
    for name in ("resnet50", "vgg19", "mobilenet_v2"):
        net = padviz.load(name)
        made = [each for each in changes(Case(net, (224, 224))) if each.case.size != (224, 224)]
        assert {each.what for each in made if each.needs == "today's weights"} == {
            "256 x 256 px",
            *(["192 x 192 px"] if name == "vgg19" else []),
        }
        for each in made:
            before, after = (padviz.uneven(net, size).layers for size in (224, each.case.size))
            reads = [[(row.height.consumed, row.width.consumed) for row in rows] for rows in (before, after)]
            if each.needs == "today's weights":
                assert reads[0] == reads[1]


def test_a_larger_image_of_the_same_phase_has_the_same_rim() -> None:
    before, (larger,) = (
        outcome_of(padviz.load("resnet50"), (224, 160)),
        [each for each in remedies(padviz.load("resnet50"), (224, 160)) if each.kind == "larger"],
    )
    assert larger.outcome.size == [256, 192]
    assert (larger.outcome.rim, larger.outcome.overused_rim) == (before.rim, before.overused_rim)
    assert larger.outcome.unfair < before.unfair * 0.9
    assert "larger" not in {each.kind for each in remedies(padviz.load("resnet50"), 640)}


STEM = {"op": "conv", "name": "a", "kernel": 5, "padding": 2, "mode": "replicate"}
LAST = {"op": "conv", "name": "b", "kernel": 5, "stride": 2, "padding": 2, "mode": "replicate"}


def test_a_crop_of_the_output_leaves_the_units_that_read_no_padding() -> None:
    made = network(STEM, LAST)
    (change,) = cropped_outputs(Case(made, (20, 33)))
    touched = next(row for row in near_padding(made, (20, 33)) if row.layer == "b")
    (top, bottom), (left, right) = touched.height, touched.width
    assert change.edit == (f"b: y[..., {top}:-{bottom}, {left}:-{right}]",)
    assert padviz.usage(change.case.network, (20, 33)).target.shape == [10 - top - bottom, 17 - left - right]
    whole = padviz.coverage(made, (20, 33), "zero")
    kept = whole.counts[top:-bottom, left:-right]
    assert (kept == 625).all()
    assert (whole.counts[top - 1] < 625).all()
    box = (slice(top, -bottom), slice(left, -right))
    assert (padviz.usage(change.case.network, (20, 33)).counts == padviz.usage(made, (20, 33), unit=box).counts).all()


def test_a_crop_is_a_remedy_where_it_starves_fewer_than_were_overused() -> None:
    two = {"op": "conv", "name": "a", "kernel": 2, "dilation": 3, "padding": 3}
    made = network({**two, "mode": "replicate"})
    (crop,) = [each for each in remedies(made, 16) if each.kind == "crop"]
    assert (crop.edit, crop.needs) == (["a: y[..., 3:-3, 3:-3]"], "today's weights")
    before = outcome_of(made, 16).share
    assert before is not None
    assert crop.outcome.share is not None
    assert (before.overused * 256, before.starved, crop.outcome.share.starved * 256) == (60, 0, 36)
    assert not any("Cropping" in each for each in audit(made, 16).cannot)


def test_what_a_crop_that_helps_nobody_would_do_is_said() -> None:
    starved = network({**STEM, "kernel": 9, "padding": 4, "mode": "zero"})
    assert not any(each.kind == "crop" for each in remedies(starved, 64))
    (said,) = audit(starved, 64).cannot
    ramp = np.minimum(np.minimum(np.arange(1, 65), np.arange(64, 0, -1)), 9)  # what 56 windows of 9 taps read
    lost = (2 * np.outer(ramp, ramp) < 81).mean()
    does = f"starves {100 * lost:.1f} % of the pixels"
    assert said == f"Cropping to the units that read no padding {does} (a: y[..., 4:-4, 4:-4])."


def test_no_crop_where_padding_reaches_every_unit_or_head_or_one_sees_all() -> None:
    assert not [*cropped_outputs(Case(padviz.load("efficientnet_b0"), (224, 224)))]
    assert "(gate) makes every position depend on all" in audit(padviz.load("efficientnet_b0"), 224).padding
    several = upto(padviz.load("ssd300_vgg16"), ("backbone.features.21", "backbone.extra.1.2"))
    assert not [*cropped_outputs(Case(several, (300, 300)))]
    assert audit(several, 300).padding.startswith("All 10 x 10 units of backbone.extra.1.2 depend on padding")


def test_that_no_even_size_is_near_is_said() -> None:
    never = network({"op": "conv", "name": "a", "kernel": 2, "padding": [[1, 0], [1, 0]]})
    assert cannot(Case(never, (9, 9)))[0] == "No balanced size is near: a reads an odd number of padded rows at each."


@pytest.mark.parametrize("size", [(96, 96), (80, 130)])
def test_no_larger_image_is_asked_for_where_hardly_a_pixel_is_starved(size: tuple[int, int]) -> None:
    one = network({"op": "conv", "name": "a", "kernel": 3, "padding": 1})
    assert 0 < outcome_of(one, size).unfair < 0.0005  # at corners
    assert remedies(one, size) == ()


def test_a_size_that_only_drops_fewer_rows_comes_last() -> None:
    found = remedies(padviz.load("vgg19"), 225)
    assert found[0].kind == "padding"
    assert [each.what for each in found[-2:]] == ["224 x 224 px", "256 x 256 px"]
    assert found[-2].price == "only has fewer stride remainders"


def test_the_nearest_even_size_comes_first_though_a_larger_image_has_less_of_a_border() -> None:
    near, far = [each for each in remedies(padviz.load("alexnet"), 224) if each.kind == "size"]
    assert (near.what, far.what) == ("223 x 223 px", "255 x 255 px")
    assert far.outcome.unfair < near.outcome.unfair


def test_a_size_is_no_remedy_for_what_is_even_already() -> None:
    assert "size" not in {each.kind for each in remedies(padviz.load("resnet18"), 225)}


@pytest.mark.parametrize(
    ("name", "size", "verdict"),
    [
        ("vgg19", 224, "symmetric, narrow rim"),
        ("resnet50", 65536, "lopsided, narrow rim"),
        ("resnet50", 225, "symmetric, narrow rim"),
        ("mobilenet_v2", 224, "lopsided, typical rim"),
        ("densenet121", 224, "symmetric, wide rim"),
        ("inception_v3", 224, "symmetric, wide rim"),
        ("unet", 572, "no padding read"),
    ],
)
def test_the_verdict_in_a_few_words(name: str, size: int, verdict: str) -> None:
    assert audit(padviz.load(name), size).verdict == verdict


def test_overuse_is_told_of() -> None:
    mirrored = network({"op": "conv", "name": "a", "kernel": 9, "padding": 4, "mode": "replicate"})
    found = audit(mirrored, 16)
    assert found.verdict == "overused rim"
    assert found.border.endswith("the outer 1 px on all sides get more than 3/2 (overused), 14.1 % of this image.")


def test_a_network_that_reads_no_padding_starves_nobody() -> None:
    for made, size in ((padviz.load("unet"), 572), (network({"op": "conv", "name": "a", "kernel": [5, 1]}), (20, 30))):
        found = audit(made, size)
        said = " ".join((found.verdict, found.border, found.symmetry, found.padding))
        assert "starved" not in said
        assert found.border.startswith("No unit reads padding; the outer ")
        assert "rim" not in said
    assert "the outer 2 px above and below are context" in found.border


def test_a_grid_that_is_off_the_centre_is_said_where_no_window_is_uneven() -> None:
    found = audit(padviz.load("inception_v3"), 224)
    assert not found.uneven_convolutions
    assert "centred 10.5 px above and left of the image's centre" in found.symmetry
    assert "15.5 px above the image's centre" in audit(padviz.load("resnet50"), (224, 225)).symmetry
    assert "centred on the image" in audit(padviz.load("vgg19"), 224).symmetry


def test_where_there_is_no_share_the_verdict_stands_on_windows_alone() -> None:
    made = network({"op": "conv", "name": "a", "kernel": 3, "padding": 1}, {"op": "adaptive", "name": "b", "output": 3})
    found = audit(made, 16)
    assert found.verdict == "balanced windows"
    assert (found.outcome.share, found.outcome.ring_px) == (None, [32, 32])
    assert found.border == f"Fair shares are not defined: {found.outcome.share_reason}."


def test_the_outer_ring_is_that_of_the_whole_map() -> None:
    counts = padviz.usage("resnet50", (300, 512))
    values = counts.counts.astype(float)
    inside = values[32:-32, 32:-32]
    expected = (values.sum() - inside.sum()) / values.sum() / (1 - inside.size / values.size)
    assert counts.border_use((32, 32)) == pytest.approx(expected, rel=1e-9)
    assert np.isfinite(counts.border_use((300, 512)))


def test_reach_is_that_of_fields() -> None:
    found = audit(padviz.load("vgg16"), 512).reach
    assert found.field == [212, 212]
    assert not found.exceeds
    gated = audit(padviz.load("efficientnet_b0"), 224).reach
    assert gated.field is None
    assert gated.why is not None
    assert gated.why.startswith("features.1.0.block.1")


def test_of_several_targets_the_reach_is_that_of_the_one_that_sees_most() -> None:
    found = audit(padviz.load("ssd300_vgg16"), 300, ["backbone.extra.1.2", "backbone.features.21"])
    assert (found.reach.layer, found.reach.field) == ("backbone.extra.1.2", [452, 452])
    assert found.padding.endswith(
        "the receptive field is 452 x 452 px, beyond the image; tiles need 214 px of context."
    )
    alone = audit(padviz.load("ssd300_vgg16"), 300, "backbone.features.21")
    assert (alone.reach.field, alone.reach.exceeds) == ([92, 92], False)


HEADS = [
    {"op": "conv", "name": "a", "kernel": 3, "stride": 2, "padding": 1},
    {"op": "conv", "name": "p3", "kernel": 3, "padding": 1},
    {"op": "conv", "name": "p5", "from": "a", "kernel": 5, "stride": 2, "padding": 2},
]


def test_heads_of_the_same_weight_are_judged_as_they_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = parse({"layers": HEADS, "target": []}, "two")
    Path("two.toml").write_text(to_toml(made))
    found = audit(made, 32, heads="share")
    assert (found.target, found.heads) == (["p3", "p5"], "share")
    assert found.outcome == outcome_of(made, 32, heads="share")
    assert found.outcome.skew == padviz.usage(made, 32, heads="share").summary().skew
    assert found.outcome.skew != audit(upto(made, ("p3", "p5")), 32).outcome.skew
    assert found.remedies == [*padviz.audit(made, 32, heads="share").remedies]
    told = json.loads(run("audit", "two.toml", "--size", "32", "--heads", "share", "--format", "json").stdout)
    assert told["results"][0]["heads"] == "share"
    kept = examine(made, 32, heads="share", most=2).maps
    assert [counts.weights is None for _, counts in kept] == [False] * (1 + len(found.remedies[:2]))


@pytest.mark.parametrize(("name", "size"), [("resnet50", 224), ("mobilenet_v2", (193, 224)), ("unet_padded", 224)])
def test_an_audit_counts_nothing_twice(name: str, size: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network, asked = padviz.load(name), Counter[Any]()
    for module, what in ((remedies_of, "usage"), (verdict_of, "usage"), (case_of, "ledger"), (case_of, "costs")):
        monkeypatch.setattr(module, what, counted(what, getattr(module, what), asked))
    monkeypatch.setattr(nearest_of, "costs", counted("costs", nearest_of.costs, asked))
    found = examine(network, size, most=2)
    assert set(asked.values()) == {1}, asked
    assert [what for what, _ in found.maps] == ["today", *(each.what for each in found.audit.remedies[:2])]
    assert [each.padding for _, each in found.maps] == [None, *(each.padding for each in found.audit.remedies[:2])]


def counted(what: str, ask: Any, asked: Counter[Any]) -> Any:
    """A question that remembers what it was asked: a network by its layers, a size, a scheme."""

    def remembered(network: Network, *args: Any, **options: Any) -> Any:
        asked[what, network.layers, network.targets, *args] += 1
        return ask(network, *args, **options)

    return remembered


@given(network=networks(), scheme=st.sampled_from([scheme for scheme in TRIED if not wraps(scheme)]))
def test_schemes_that_do_not_wrap_change_no_ledger(network: Any, scheme: str) -> None:
    steps, size = network
    net = parse({"layers": steps}, "net")
    try:
        found = padviz.uneven(with_padding(net, scheme), size)
    except PadvizError:
        return  # a pad on its own, or too few rows
    assert found.layers == padviz.uneven(with_padding(net, "zero"), size).layers


def test_an_audit_says_which_crop_it_leaves_uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cropped keeps more rows apart than the map has, and may be more than is counted."""
    made = network(*({"op": "conv", "name": f"c{i}", "kernel": 3, "padding": 1} for i in range(8)))
    monkeypatch.setattr(walks, "MOST_NUMBERS", prod(padviz.usage(made, 5000).core.shape))
    crops = [said for said in audit(made, 5000).cannot if "Cropping" in said]
    assert len(crops) == 1
    assert "is not counted: its map of" in crops[0]


def test_heads_that_meet_nowhere_are_not_followed_from_layer_to_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty strided convolutions, and thirty of 1 x 1 that could be shortcuts beside them."""
    steps: list[Any] = [{"op": "conv", "name": "stem", "kernel": 3, "padding": 1}]
    shapes = ((3, 1), (1, 0)) * 30
    for i, (kernel, pad) in enumerate(shapes):
        step = {"op": "conv", "name": f"h{i}", "from": "stem", "kernel": kernel, "padding": pad, "stride": 2}
        steps.append(step)
    network = parse({"layers": steps, "target": [f"h{i}" for i in range(60)]}, "heads")
    followed: list[int] = []
    monkeypatch.setattr(
        "padviz.geometry.balance.pooled_strides.ancestors", lambda *asked: followed.append(1) or ancestors(*asked)
    )
    assert with_strides_pooled(network, tuple(f"h{i}" for i in range(0, 60, 2))) is not None
    assert len(followed) <= 2 * 30 * 30


def test_of_remedies_alike_those_that_drop_no_rows_come_first_however_many_the_others_drop() -> None:
    before = outcome_of(padviz.load("vgg11"), 64)
    change = next(changes(Case(padviz.load("resnet18"), (224, 224))))

    def attempt(remainders: int) -> Attempt:
        after = replace_struct(before, remainders=remainders)
        return Attempt(change, after, Remedy("size", "", [], "fine-tune", after, None, 1.0, None))

    none, one, two = (_rank(attempt(many), before) for many in range(3))
    assert none < one == two
