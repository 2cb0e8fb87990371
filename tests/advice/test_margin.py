"""A margin around the image: its counts are those of the larger image, and its sentence follows from figures."""

import re
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given

import padviz
from padviz.advice.changes import Change, changes
from padviz.analyses.audit import AuditResult
from padviz.counting.shares.summary import Rim
from padviz.counting.walking.stable_rows import growth
from padviz.errors import PadvizError
from padviz.geometry.balance.case import Case
from padviz.network.network import Network
from padviz.network.rewrites import circular_axes, with_padding
from padviz.sources.toml.load import parse, zoo
from tests.advice.test_sentences import SIZES, audited
from tests.strategies import networks
from tests.sweeps import examples

NAMES = ["resnet18", "vgg11", "unet_padded", "mobilenet_v2", "inception_v3"]


def margins(network: Network, size: Any) -> list[Change]:
    case = Case(network, network.pixels(size))
    tried = changes(case, deepest(padviz.usage(network, size).rims or ()))
    return [change for change in tried if change.kind == "margin"]


def deepest(rims: Sequence[Rim]) -> int:
    return max([depth for rim in rims for depth in rim.depths], default=0)


def pixels_around(change: Change) -> tuple[int, int]:
    """The rows and columns that the edit of a margin adds on each side."""
    (pads,) = re.findall(r"pad\(images, \((.*)\)\)", change.edit[0])
    left, right, top, bottom = map(int, pads.split(", "))
    assert (left, top) == (right, bottom)
    return top, left


def is_the_middle_of_the_larger_map(network: Network, size: tuple[int, int]) -> None:
    for change in margins(network, size):
        if not any(circular_axes(network)):
            assert deepest(padviz.usage(change.case.network, size).rims or ()) == 0
        rows, cols = pixels_around(change)
        larger = size[0] + 2 * rows, size[1] + 2 * cols
        whole = padviz.usage(network, larger).counts
        inner = whole[rows : rows + size[0], cols : cols + size[1]]
        assert (padviz.usage(change.case.network, size).counts == inner).all()
        assert change.work == larger[0] * larger[1] / (size[0] * size[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(224, 160), (299, 299)])
def test_the_counts_are_those_of_the_middle_of_a_larger_image(
    name: str, size: tuple[int, int]
) -> None:
    network = padviz.load(name)
    if name == "unet_padded":
        size = (size[0] // 16 * 16, size[1] // 16 * 16)
    assert margins(network, size)
    is_the_middle_of_the_larger_map(network, size)


@given(network=networks(modes=["zero"]))
@examples(40)
def test_so_they_are_for_any_network(network: Any) -> None:
    steps, size = network
    try:
        made = parse({"layers": steps}, "net")
        rims = padviz.usage(made, size).rims
    except PadvizError:
        assume(False)
    if rims:
        is_the_middle_of_the_larger_map(made, made.pixels(size))


@pytest.mark.parametrize("name", NAMES)
def test_the_margin_is_the_least_of_whole_strides_that_leaves_no_rim(name: str) -> None:
    network, size = padviz.load(name), (320, 352)
    (change,) = margins(network, size)
    rims = padviz.usage(network, size).rims
    assert rims
    for axis, around in enumerate(pixels_around(change)):
        grows = growth(network, axis)
        assert grows
        assert deepest(rims) <= around < deepest(rims) + grows[0]
        assert around % grows[0] == 0
    left = padviz.usage(change.case.network, size).rims
    assert left
    assert not any((*left[0].depths, *left[1].depths))
    before, after = (padviz.uneven(each, size).uneven for each in (network, change.case.network))
    assert [row.layer for row in before] == [row.layer for row in after]


def test_a_rim_of_whole_strides_needs_no_more() -> None:
    conv = {"op": "conv", "kernel": 9, "padding": 4}
    made = parse({"layers": [{**conv, "name": name} for name in "abc"]}, "net")
    (change,) = margins(made, 64)
    assert pixels_around(change) == (deepest(padviz.usage(made, 64).rims or ()),) * 2


def test_no_margin_on_an_axis_that_wraps_nor_without_a_rim_nor_without_padding() -> None:
    vgg11 = padviz.load("vgg11")
    (half,) = margins(with_padding(vgg11, "zero/circular"), 224)
    assert (pixels_around(half), half.what) == ((32, 0), "32 x 0 px of margin")
    assert not margins(with_padding(vgg11, "circular"), 224)
    assert not margins(padviz.load("unet"), 572)


def module() -> tuple[Any, Any]:
    """A module of random weights, and PyTorch."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 1, 5, stride=n, padding=2) for n in (2, 1, 2, 1)]
    return torch.nn.Sequential(*layers).double(), torch


def test_torch_pads_as_the_edit_says_and_its_module_has_the_same_counts() -> None:
    made, torch = module()
    size = (48, 64)
    audit = padviz.audit(made, size)
    (remedy,) = [remedy for remedy in audit.remedies if remedy.kind == "margin"]
    (change,) = margins(padviz.load(made, size), size)
    call = re.search(r"torch\.nn\.functional\.pad\(images, \(.*?\)\)", remedy.edit[0])
    assert call
    images = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        for conv in made:
            conv.weight.fill_(1.0)
    made(eval(call[0], {"torch": torch, "images": images})).sum().backward()
    assert (images.grad[0, 0].numpy() == padviz.usage(change.case.network, size).counts).all()
    rows, cols = pixels_around(change)
    larger = padviz.audit(made, (size[0] + 2 * rows, size[1] + 2 * cols)).outcome
    assert remedy.outcome.macs == larger.macs


def test_units_outside_the_band_to_drop_are_those_of_any_surroundings() -> None:
    made, torch = module()
    size, stride, more = (96, 128), 4, 32
    said = padviz.audit(made, size).margin
    top, left = dropped(said, "above"), dropped(said, "left")
    bottom, right = dropped(said, "below"), dropped(said, "right")
    scene = torch.randn(1, 1, size[0] + 2 * more, size[1] + 2 * more, dtype=torch.float64)
    image = scene[..., more:-more, more:-more]
    with torch.no_grad():
        alone, within = made(image)[0, 0], made(scene)[0, 0]
    edge = more // stride
    changed = abs(alone - within[edge:-edge, edge:-edge]) > 1e-9
    free = ~changed.numpy()
    first, last = np.argwhere(free).min(axis=0), np.argwhere(free).max(axis=0) + 1
    assert free[first[0] : last[0], first[1] : last[1]].all()
    assert (top, left) == tuple(first * stride)
    assert (bottom, right) == tuple(np.array(size) - last * stride)


def dropped(said: str, side: str) -> int:
    """The pixels on a side within which units are said to depend on padding."""
    (band,) = re.findall(r"Units in the outer (.*) depend on padding", said)
    for depth, sides in re.findall(r"(\d+) px ((?:\w+ and )?\w+|on all sides)", band):
        if side in sides or "all sides" in band:
            return int(depth)
    return 0


def follows(audit: AuditResult) -> None:
    """What an audit says of a margin is what the counts of that remedy, and of today, are."""
    said, figures = audit.margin, audit.outcome
    remedies = [remedy for remedy in audit.remedies if remedy.kind == "margin"]
    assert ("None that was counted helps." in said) == (not remedies)
    assert ("drop their results" in said) <= ("Every unit depends" not in said)
    if audit.verdict == "no padding read":
        assert said == "None that was counted helps."
    for remedy in remedies:
        assert remedy.needs == "today's weights"
        assert remedy.as_is is remedy.trained is None
        after = remedy.outcome
        assert after.rim
        assert after.overused_rim
        assert {*after.rim.depths, *after.overused_rim.depths} == {0}
        widths = [int(n) for n in remedy.what.removesuffix(" px of margin").split(" x ")]
        larger = [n + 2 * m for n, m in zip(audit.size, [*widths, *widths][:2], strict=True)]
        work = prod(larger) / prod(audit.size)
        assert said.startswith(
            f"{remedy.what} ({work:.2f}x the pixels) move the image out of the rim: "
            f"{100 * after.unfair:.1f} % of it is starved or overused instead of "
            f"{100 * figures.unfair:.1f} %."
        )


@pytest.mark.parametrize("name", zoo())
def test_what_is_said_of_the_zoo_follows_from_its_figures(name: str) -> None:
    for size in (SIZES.get(name, 224), 640):
        follows(audited(name, size))


@given(network=networks())
@examples(40)
def test_so_it_does_for_any_network(network: Any) -> None:
    steps, size = network
    try:
        audit = padviz.audit(parse({"layers": steps}, "net"), size)
    except PadvizError:
        return
    follows(audit)


def test_a_margin_on_one_axis_alone_does_not_help_where_the_other_has_a_rim() -> None:
    pad = {"op": "pad", "name": "a", "padding": [[0, 0], [1, 1]], "mode": "circular"}
    conv = {"op": "conv", "kernel": [9, 1], "padding": [4, 0]}
    made = parse({"layers": [pad, {**conv, "name": "b"}, {**conv, "name": "c"}]}, "net")
    assert margins(made, 32)
    audit = padviz.audit(made, 32)
    assert audit.outcome.rim == Rim([1, 1], [0, 0])
    assert audit.outcome.overused_rim == Rim([0, 0], [1, 1])
    assert audit.margin.startswith("None that was counted helps.")
    follows(audit)


def test_a_wide_rim_needs_96_px_at_512_and_nearly_twice_the_pixels() -> None:
    audit = audited("convnext_tiny", 512)
    assert audit.margin.startswith(
        "96 px of margin (1.89x the pixels) move the image out of the rim: 4.6 % of it is starved "
        "or overused instead of 65.7 %."
    )
    assert "nothing that was tried helps enough with today's weights." in audit.now
    (around,) = [remedy for remedy in audit.remedies if remedy.kind == "margin"]
    assert around.price == "costs 1.89x the multiply-adds"


def test_a_margin_that_is_cheap_is_what_to_do_without_training() -> None:
    audit = audited("convnext_tiny", 2048)
    assert audit.best == "96 px of margin"
    assert audit.now.startswith(
        "96 px of margin works with today's weights, because the next, partial padding, needs more "
        "training: 0.3 % starved instead of 15.3 %, 1.20x"
    )
