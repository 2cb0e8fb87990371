"""Remedies: each figure is that of the changed network, counted anew; changes are those that a person would make."""

import inspect
import re
from dataclasses import replace
from functools import cache
from math import inf, prod
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins
from torch import nn

import padviz
from padviz.advice import changes as tried
from padviz.advice.changes import (
    TRIED,
    Change,
    changes,
    cropped_outputs,
    even_pads,
    pooled_strides,
    wraps,
)
from padviz.advice.evidence import EVIDENCE
from padviz.advice.remedies import NEEDS, MapOutcome, Remedy, map_outcome
from padviz.advice.verdict import examine
from padviz.analyses.audit import _edit
from padviz.counting.walking import walks
from padviz.errors import PadvizError
from padviz.geometry.balance.case import Case, limits, with_strides_pooled
from padviz.network.network import Network, as_size
from padviz.network.rewrites import with_padding
from padviz.network.targets import upto
from padviz.sources.toml.load import parse
from tests.strategies import networks


def remedies(network: Network, size: int | tuple[int, int]) -> list[Remedy]:
    return padviz.audit(network, size).remedies


def network(*layers: dict[str, Any]) -> Network:
    return parse({"layers": list(layers)}, "net")


def outcome_of(
    network: Network, size: Any, padding: str | None = None, heads: str = "sum"
) -> MapOutcome:
    return map_outcome(
        Case(network, as_size(size)), padviz.usage(network, size, padding, heads=heads)
    )


def test_resnet_50_at_224() -> None:
    found = padviz.audit(padviz.load("resnet50"), 224)
    assert found.uneven_convolutions == [
        "conv1",
        "layer2.0.conv2",
        "layer3.0.conv2",
        "layer4.0.conv2",
    ]
    assert found.uneven_pools == ["maxpool"]
    assert found.verdict == "lopsided rim"
    assert found.best == "nothing without training"
    assert [each.what for each in found.remedies][:3] == [
        "partial padding",
        "225 x 225 px",
        "replicate padding",
    ]
    assert [each.outcome.uneven_convolutions for each in found.remedies[:3]] == [4, 0, 4]
    assert {each.price for each in found.remedies if wraps(each.padding)} == {
        "suits only images that wrap"
    }
    (pooled,) = [each for each in found.remedies if each.kind == "pool"]
    assert pooled.price == "costs 1.57x the multiply-adds"
    both = next(each for each in found.remedies if each.what == "225x225 + reflect")
    assert (both.kind, both.needs, both.as_is, both.trained) == ("both", "fine-tune", None, None)
    assert both.edit == ["Resize((225, 225))", 'padviz.repad(module, "reflect")']
    assert found.offset_by == {
        "layer4.0.conv2": [-8, -8],
        "layer3.0.conv2": [-4, -4],
        "layer2.0.conv2": [-2, -2],
        "maxpool": [-1, -1],
        "conv1": [-0.5, -0.5],
    }
    best = next(each for each in found.remedies if each.kind == "size")
    assert (best.what, best.edit[0], best.needs) == (
        "225 x 225 px",
        "Resize((225, 225))",
        "fine-tune",
    )
    assert best.outcome.macs == 4_624_665_792
    assert found.outcome.macs == 4_087_136_256
    assert best.macs_ratio == 4_624_665_792 / 4_087_136_256
    assert (
        best.outcome.uneven_convolutions,
        best.outcome.uneven_pools,
        best.outcome.remainders,
    ) == (0, 0, 0)


def assert_alike(one: Any, other: Any) -> None:
    """Fair shares of a map that may have been counted in floats: the numbers of pixels are exact."""
    for figure in ("period", "starved", "overused", "unused", "ripple", "skew"):
        assert getattr(one, figure) == getattr(other, figure), figure
    figures = [
        [each.min, each.max, *each.rings, *to_builtins(each.corners).values()]
        for each in (one, other)
    ]
    assert figures[0] == pytest.approx(figures[1], rel=1e-12)


@pytest.mark.parametrize("name", ["resnet50", "unet_padded"])
def test_the_figures_are_those_of_the_map_counted_anew(name: str) -> None:
    found = padviz.audit(name, 224)
    assert found.remedies
    assert found.outcome.rim
    tried = changes(Case(padviz.load(name), (224, 224)), max(found.outcome.rim.depths))
    made = {change.what: change for change in tried}
    for remedy in found.remedies:
        change = made[remedy.what]
        summary = padviz.usage(change.case.network, change.case.size, change.padding).summary()
        after = remedy.outcome
        assert (after.rim, after.overused_rim) == (summary.rim, summary.overused_rim)
        assert_alike(after.share, summary.share)
        assert after.size == [*change.case.size]


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


def test_a_pooled_layer_that_is_the_target_is_its_pool_and_a_stride_that_no_pool_of_two_makes_stays() -> (
    None
):
    step = {"op": "conv", "name": "a", "kernel": 3, "stride": 2, "padding": 1}
    made = with_strides_pooled(network(step), ("a",))
    assert made is not None
    assert made.targets == ("a.pool",)
    assert padviz.usage(made, 8).target.shape == [4, 4]
    assert with_strides_pooled(network({**step, "stride": 3}), ("a",)) is None
    assert with_strides_pooled(network({**step, "padding": "same_upper"}), ("a",)) is None


LOPSIDED = {"op": "conv", "name": "a", "kernel": 4, "stride": 2, "padding": [[0, 2], [0, 2]]}
ODD = {"op": "conv", "name": "b", "kernel": 3, "stride": 2, "padding": 1}
TWO = {"op": "conv", "name": "a", "kernel": 2, "dilation": 3, "padding": 3}


def test_pads_share_out_evenly_where_their_number_is_even_though_another_window_stays_uneven() -> (
    None
):
    for layers, uneven, left in (([LOPSIDED], ["a"], []), ([LOPSIDED, ODD], ["a", "b"], ["b"])):
        before = network(*layers)
        (change,) = even_pads(Case(before, (224, 224)))
        edit = ("padviz repad MODEL.onnx --even -o even.onnx", "a: padding=(1, 1)")
        assert (change.what, change.edit) == ("even pads", edit)
        assert [row.layer for row in padviz.uneven(before, 224).uneven] == uneven
        assert [row.layer for row in padviz.uneven(change.case.network, 224).uneven] == left
        assert "even pads" in [each.what for each in remedies(before, 224)]
        assert any("no padding" in each for each in limits(Case(before, (224, 224)))) == bool(left)
    assert not [*even_pads(Case(network(ODD), (224, 224)))]
    line = (
        "At 224 x 224 no padding makes b even: its 112 units read 1 row of padding, an odd number."
    )
    assert line in limits(Case(network(ODD), (224, 224)))


# For each kind of remedy a network and a size at which it helps, and the words of `audit` on what is tried.
HELPS: dict[str, tuple[Network, int, str]] = {
    "size": (network(ODD), 64, "balanced sizes"),
    "larger": (padviz.load("vgg11"), 64, "a larger image"),
    "margin": (padviz.load("vgg11"), 224, "a margin around the image"),
    "padding": (padviz.load("vgg11"), 64, "padding schemes"),
    "both": (padviz.load("resnet18"), 224, "combined"),
    "pads": (network(LOPSIDED), 224, "pads that make uneven windows even"),
    "pool": (padviz.load("resnet18"), 64, "strides of uneven convolutions moved into pools"),
    "crop": (network({**TWO, "mode": "replicate"}), 16, "a cropped output"),
}


def test_each_kind_of_change_has_a_case_and_every_generator_is_asked() -> None:
    assert HELPS.keys() == {*get_args(get_type_hints(Change)["kind"])}
    generators = {
        name
        for name, function in inspect.getmembers(tried, inspect.isfunction)
        if function.__module__ == tried.__name__
        and "Iterator[Change]" in str(function.__annotations__.get("return"))
    }
    assert generators - {"changes"} <= {*changes.__code__.co_names}


@pytest.mark.parametrize("kind", HELPS)
def test_each_kind_of_remedy_is_documented_and_has_evidence_edits_and_a_sentence(kind: str) -> None:
    made, size, words = HELPS[kind]
    assert words in " ".join((padviz.audit.__doc__ or "").split())
    for change in changes(Case(made, (size, size))):
        # None in `parts` says that nobody has measured it. What works with today's weights needs no measurement.
        assert change.parts or change.needs == "today's weights"
        assert {*change.parts} <= {*EVIDENCE, None}
        assert change.edit
        assert all(change.edit)
    remedy = next(remedy for remedy in remedies(made, size) if remedy.kind == kind)
    sentence = _edit(remedy)
    assert len(sentence.split()) > 1
    # Without a sentence for its kind, an edit that is not of the form `LAYER: what to do` ends in an empty name.
    assert not re.search(r": *(;|$)", sentence)


def test_images_are_cropped_to_what_is_smaller_and_resized_to_what_is_larger() -> None:
    sizes = [
        each for each in changes(Case(padviz.load("resnet50"), (224, 224))) if each.kind == "size"
    ]
    assert [each.edit for each in sizes] == [
        ("CenterCrop(193)", "or Resize((193, 193)) for the whole image"),
        ("Resize((225, 225))", "or CenterCrop(225) of larger images"),
    ]


def test_a_file_that_says_the_size_of_its_input_is_exported_anew() -> None:
    asked = "export the file again at 225 x 225, or with an open input size"
    fixed = replace(padviz.load("resnet50"), declared=(224, 224))
    assert {
        asked in each.edit
        for each in changes(Case(fixed, (224, 224)))
        if each.case.size == (225, 225)
    } == {True}
    high = replace(fixed, declared=(225, 0))
    edits = {
        each.case.size: each.edit[0]
        for each in changes(Case(high, (225, 224)))
        if each.kind == "size"
    }
    assert edits == {(225, 193): "CenterCrop((225, 193))", (225, 225): "Resize((225, 225))"}


def test_padding_is_replaced_by_what_does_it() -> None:
    for name, first in (
        ("", 'padviz.repad(module, "zero/circular")'),
        ("a b.onnx", "padviz repad 'a b.onnx' --padding"),
    ):
        made = replace(padviz.load("vgg11"), source=name)
        (edit,) = [
            each.edit for each in changes(Case(made, (224, 224))) if each.padding == "zero/circular"
        ]
        assert edit[0].startswith(first)
        assert any("-o zero-circular.onnx" in each for each in edit)
        assert 'anew: padviz.nn.PaddedConv2d(..., scheme="zero/circular")' in edit


def test_circular_padding_is_not_advised_where_a_pad_before_a_pool_stays() -> None:
    """Its rows are never taken, so no padding replaces them, and the network as a whole does not wrap."""
    pool = nn.Sequential(nn.ConstantPad2d((0, 1, 0, 1), -torch.inf), nn.MaxPool2d(3, 2))
    found = padviz.audit(nn.Sequential(nn.Conv2d(3, 4, 5, 2, 2), pool), 64)
    prices = {each.price for each in found.remedies if wraps(each.padding)}
    assert prices == {"suits only images that wrap"}


def test_no_change_that_leaves_every_pixel_starved_is_a_remedy_for_that() -> None:
    net = padviz.load("ssd300_vgg16")
    found = padviz.audit(net, 320)
    assert found.outcome.low
    assert {each.kind for each in found.remedies} == {"size", "pool", "margin"}
    (around,) = [each for each in found.remedies if each.kind == "margin"]
    assert around.outcome.unfair < 0.9
    assert found.now.endswith(
        "nothing that was tried helps enough (192 px of margin: costs 4.84x the multiply-adds)."
    )
    larger = next(each for each in found.remedies if each.what == "336 x 336 px")
    assert larger.price == "leaves 100.0 % starved or overused"
    assert found.training == "Nothing that was tried is worth training for."
    small = padviz.audit(padviz.load("resnet18"), 65)
    assert small.outcome.low
    assert small.remedies[0].outcome.unfair < 0.9
    assert not padviz.audit(padviz.load("resnet50"), 224).outcome.low


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "alexnet", "unet_padded"])
@pytest.mark.parametrize("size", [64, 224])
def test_evidence_ranks_first_and_no_remedy_leaves_more_unfair_or_a_much_smaller_image(
    name: str, size: int
) -> None:
    found = padviz.audit(padviz.load(name), size)
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
        if each.outcome.size != [size, size] and (each.macs_ratio or 0) > 1.2:
            assert each.price is not None


def test_what_was_measured_under_zeros_says_nothing_of_other_padding() -> None:
    made = network({"op": "conv", "name": "a", "kernel": 9, "padding": 4, "mode": "replicate"})
    schemes = [each for each in remedies(made, 32) if each.kind == "padding"]
    assert {(each.as_is, each.trained) for each in schemes} == {(None, None)}


def test_a_network_that_pads_nothing_gets_no_larger_image() -> None:
    conv, pool = (
        {"op": "conv", "kernel": 3},
        {"op": "maxpool", "kernel": 2, "stride": 2, "ceil": True},
    )
    made = network(
        {**conv, "name": "a"}, {**pool, "name": "b"}, {**conv, "name": "c"}, {**conv, "name": "d"}
    )
    assert "larger" not in {each.kind for each in remedies(made, 48)}


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
            reads = [
                [(row.height.used, row.width.used) for row in rows] for rows in (before, after)
            ]
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


def test_a_crop_is_a_remedy_where_it_starves_fewer_than_were_overused() -> None:
    made = network({**TWO, "mode": "replicate"})
    (crop,) = [each for each in remedies(made, 16) if each.kind == "crop"]
    assert (crop.edit, crop.needs) == (["a: y[..., 3:-3, 3:-3]"], "today's weights")
    before = outcome_of(made, 16).share
    assert before is not None
    assert crop.outcome.share is not None
    assert (before.overused * 256, before.starved, crop.outcome.share.starved * 256) == (60, 0, 36)
    assert not any("Cropping" in each for each in padviz.audit(made, 16).cannot)


def test_what_a_crop_that_helps_nobody_would_do_is_said() -> None:
    starved = network({"op": "conv", "name": "a", "kernel": 9, "padding": 4})
    assert not any(each.kind == "crop" for each in remedies(starved, 64))
    (said,) = padviz.audit(starved, 64).cannot
    # what 56 windows of 9 taps read
    ramp = np.minimum(np.minimum(np.arange(1, 65), np.arange(64, 0, -1)), 9)
    lost = (2 * np.outer(ramp, ramp) < 81).mean()
    does = f"starves {100 * lost:.1f} % of the pixels"
    assert said == f"Cropping to the units that read no padding {does} (a: y[..., 4:-4, 4:-4])."


def test_no_crop_where_padding_reaches_every_unit_or_head_or_one_sees_all() -> None:
    assert not [*cropped_outputs(Case(padviz.load("efficientnet_b0"), (224, 224)))]
    several = upto(padviz.load("ssd300_vgg16"), ("backbone.features.21", "backbone.extra.1.2"))
    assert not [*cropped_outputs(Case(several, (300, 300)))]
    assert padviz.audit(several, 300).padding.startswith(
        "All 10 x 10 units of backbone.extra.1.2 depend on padding"
    )


@pytest.mark.parametrize("size", [(96, 96), (80, 130)])
def test_no_larger_image_is_asked_for_where_hardly_a_pixel_is_starved(
    size: tuple[int, int],
) -> None:
    one = network({"op": "conv", "name": "a", "kernel": 3, "padding": 1})
    assert 0 < outcome_of(one, size).unfair < 0.0005  # at corners
    assert remedies(one, size) == []


def test_where_sizes_stand_among_remedies() -> None:
    def sizes(name: str, size: int) -> list[Remedy]:
        return [each for each in remedies(padviz.load(name), size) if each.kind == "size"]

    assert sizes("resnet18", 225) == []  # it is even already
    near, far = sizes("alexnet", 224)  # the nearest first, though a larger one has less of a border
    assert (near.what, far.what) == ("223 x 223 px", "255 x 255 px")
    assert far.outcome.unfair < near.outcome.unfair
    assert [each.price for each in sizes("vgg19", 225)] == [
        "leaves 27.6 % starved or overused",
        "costs 1.30x the multiply-adds",
    ]


NETS = {
    "mirrored": network(
        {"op": "conv", "name": "a", "kernel": 9, "padding": 4, "mode": "replicate"}
    ),
    "valid": network({"op": "conv", "name": "a", "kernel": [5, 1]}),
    "uneven pool": network(
        {"op": "maxpool", "name": "p", "kernel": 3, "stride": 2, "padding": 1},
        {"op": "adaptive", "name": "b", "output": 3},
    ),
    "adaptive": network(
        {"op": "conv", "name": "a", "kernel": 3, "padding": 1},
        {"op": "adaptive", "name": "b", "output": 3},
    ),
}


@cache
def audited(name: str, size: Any) -> Any:
    return padviz.audit(NETS[name] if name in NETS else padviz.load(name), size)


@pytest.mark.parametrize("line", Path(__file__).with_name("says.txt").read_text().splitlines()[1:])
def test_what_an_audit_says(line: str) -> None:
    name, size, part, says = line.split(" | ")
    height, _, width = size.partition("x")
    found = getattr(audited(name, (int(height), int(width or height))), part)
    assert re.match(says, found), found


def test_where_there_is_no_share_the_ring_is_of_32_px() -> None:
    found = audited("adaptive", 16).outcome
    assert (found.share, found.ring_px) == (None, [32, 32])


def test_of_several_targets_the_reach_is_that_of_the_one_that_sees_most() -> None:
    found = padviz.audit(
        padviz.load("ssd300_vgg16"), 300, ["backbone.extra.1.2", "backbone.features.21"]
    )
    assert (found.reach.layer, found.reach.field) == ("backbone.extra.1.2", [452, 452])
    assert found.padding.endswith(
        "the receptive field is 452 x 452 px, beyond the image; tiles need 214 px of context."
    )
    alone = padviz.audit(padviz.load("ssd300_vgg16"), 300, "backbone.features.21")
    assert (alone.reach.field, alone.reach.exceeds) == ([92, 92], False)


HEADS = [
    {"op": "conv", "name": "a", "kernel": 3, "stride": 2, "padding": 1},
    {"op": "conv", "name": "p3", "kernel": 3, "padding": 1},
    {"op": "conv", "name": "p5", "from": "a", "kernel": 5, "stride": 2, "padding": 2},
]


def test_heads_of_the_same_weight_are_judged_as_they_are_counted() -> None:
    made = parse({"layers": HEADS, "target": []}, "two")
    found = padviz.audit(made, 32, heads="share")
    assert (found.target, found.heads) == (["p3", "p5"], "share")
    assert found.outcome == outcome_of(made, 32, heads="share")
    assert found.outcome.skew == padviz.usage(made, 32, heads="share").summary().skew
    assert found.outcome.skew != padviz.audit(upto(made, ("p3", "p5")), 32).outcome.skew
    kept = examine(made, 32, heads="share", most=2).maps
    assert [what for what, _ in kept] == ["today", *(each.what for each in found.remedies[:2])]
    assert [counts.padding for _, counts in kept] == [
        None,
        *(each.padding for each in found.remedies[:2]),
    ]
    assert all(counts.weights for _, counts in kept)


@given(
    network=networks(), scheme=st.sampled_from([scheme for scheme in TRIED if not wraps(scheme)])
)
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
    monkeypatch.setattr(walks, "MOST_NUMBERS", prod(padviz.usage(made, 5000).tally.shape))
    crops = [said for said in padviz.audit(made, 5000).cannot if "Cropping" in said]
    assert len(crops) == 1
    assert "is not counted: its map of" in crops[0]
