"""What `padviz check` finds: case networks, and laws that hold each expectation against the counts themselves."""

import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

import padviz
from padviz.analyses.rules import RULES
from padviz.cutting.context import contexts_of
from padviz.errors import PadvizError
from padviz.geometry.reaching.shifts import alignment_on
from padviz.network.operations import Window
from padviz.network.targets import upto
from padviz.sources.toml.load import parse
from tests import naive
from tests.cutting.smallest_tiles import in_smallest_tiles
from tests.strategies import networks

CASES: dict[str, Any] = tomllib.loads(Path(__file__).with_name("cases.toml").read_text())


def read(case: dict[str, Any], layers: str = "layers") -> padviz.Network:
    described = {key: case[key] for key in ("fixed", "target") if key in case}
    return parse({"size": case.get("size", 16), "layers": case[layers], **described}, "net")


@pytest.mark.parametrize("name", CASES)
def test_a_network_fails_where_it_should(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # which would fold what is found
    case = CASES[name]
    asked = dict(case.get("asked", {}))
    if "original" in case:
        asked["same_as"] = read(case, "original")
    found = padviz.check(read(case), **asked)
    rows = [
        f"{row.state} {row.expectation} {row.layer} {row.axis}: {row.found}"
        for row in found
        if row.state != "holds"
    ]
    assert rows == case.get("found", [])
    assert bool(found) == all(row.startswith("note") for row in rows)
    assert all(line in str(found) for line in (row.partition(": ")[2] for row in rows))


def test_an_original_that_cannot_be_read_is_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "original.toml"
    with pytest.raises(padviz.PadvizError, match="no such file"):
        padviz.check("vgg11", same_as=path)
    path.write_text("layers = 3")
    (row,) = padviz.check("vgg11", same_as=path)
    assert (row.state, row.expectation) == ("not judged", "same_as")


def test_each_expectation_and_rule_is_seen_to_hold_and_to_fail() -> None:
    failing = Counter(row.split()[1] for case in CASES.values() for row in case.get("found", ()))
    assert {*failing} >= {
        "wraps",
        "context",
        "causal",
        "same_as",
        "even",
        "any_size",
        "accepts",
        "unstretched",
        "rim",
        *RULES,
    }
    held = {
        name for case in CASES.values() if not case.get("found") for name in case.get("asked", {})
    }
    assert held >= {
        "wraps",
        "context",
        "causal",
        "same_as",
        "even",
        "any_size",
        "accepts",
        "unstretched",
        "rim",
    }


@given(data=st.data(), axis=st.sampled_from([0, 1]))
def test_a_width_wraps_iff_each_units_usage_shifts_with_it(data: Any, axis: int) -> None:
    modes = data.draw(st.sampled_from([["circular"], ["circular", "zero"]]))
    laid, size = data.draw(networks(most=4, modes=modes))
    net = parse({"layers": laid}, "net")
    assume(not net.gates)
    name = net.axes[axis]
    try:
        found = padviz.check(net, size, wraps=name)
        step, strides = alignment_on(net, axis, size[axis])
    except PadvizError:
        assume(False)
    target = net.targets[0]
    units = step / strides[net.index[target]]
    assume(step < size[axis] and len(net.targets) == 1)  # at a whole turn any map repeats
    shapes = naive.all_reads(laid, size)[1]
    shape = shapes[target]
    rows = [along(net, size, axis, unit) for unit in range(shape[axis])]
    turned = units.denominator == 1 and all(
        (np.roll(row, step) == rows[(unit + int(units)) % len(rows)]).all()
        for unit, row in enumerate(rows)
    )
    if found:
        counts = padviz.usage(net, size).counts
        assert (np.roll(counts, step, axis) == counts).all()
        assert turned
    # Branches may make up for each other, and so may rows of a map that a window goes around.
    elif (
        np.any(rows)
        and min(shape[axis] for shape in shapes.values()) > widest(net)
        and not any(layer.kind in ("add", "concat") for layer in net.layers)
    ):
        assert not turned, found


def widest(net: padviz.Network) -> int:
    """Return how many rows the widest window of a network spans."""
    windows = [op for layer in net.layers for op in layer.ops if isinstance(op, Window)]
    return max((op.dilation * (op.kernel - 1) + 1 for op in windows), default=1)


def along(net: padviz.Network, size: tuple[int, int], axis: int, unit: int) -> Any:
    """How often the rows of an axis are used by the units of one row."""
    box = (unit, slice(None)) if axis == 0 else (slice(None), unit)
    return np.round(padviz.usage(net, size, unit=box).counts.sum(axis=1 - axis), 6)


class Along(nn.Module):
    """A function of a map, then a window over its width."""

    def __init__(self, function: Callable[[Tensor], Tensor], window: nn.Module) -> None:
        super().__init__()
        self.function, self.window = function, window

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.window(self.function(x))
        return made


def around(x: Tensor) -> Tensor:
    return nn.functional.pad(x, (1, 1, 0, 0), mode="circular")


def wide(**options: Any) -> nn.Module:
    return nn.Conv2d(2, 2, (1, 3), **options)


FOLLOWED: dict[str, tuple[Any, nn.Module, bool]] = {
    "a norm of each column": (lambda x: around(nn.functional.instance_norm(x)), wide(), True),
    "a norm of some columns twice": (
        lambda x: nn.functional.instance_norm(around(x)),
        wide(),
        False,
    ),
    "a gate of some columns twice": (
        lambda x: (y := around(x)) * y.mean((2, 3), keepdim=True),
        wide(),
        False,
    ),
    "softmax": (lambda x: around(x.softmax(-1)), wide(), True),
    "softmax, zeros": (lambda x: x.softmax(-1), wide(padding=(0, 1)), False),
    "softmax, a stride that fits": (lambda x: around(x.softmax(-1)), wide(stride=(1, 2)), True),
    "softmax, a valid stride": (lambda x: x.softmax(-1), wide(stride=(1, 2)), False),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_width_wraps_iff_the_output_of_a_shifted_image_is_the_shifted_output(name: str) -> None:
    torch.manual_seed(0)
    function, window, wraps = FOLLOWED[name]
    module = Along(function, window).double().eval()
    image = torch.rand(1, 2, 4, 16, dtype=torch.float64)
    with torch.no_grad():
        output, other = module(image), module(image.roll(2, -1))
    units = round(2 * output.shape[-1] / 16)
    assert torch.allclose(other, output.roll(units, -1), rtol=0, atol=1e-12) == wraps
    assert bool(padviz.check(module, (4, 16), wraps="width")) == wraps


@given(data=st.data())
def test_a_network_is_causal_iff_no_unit_uses_a_row_ahead(data: Any) -> None:
    laid, size = data.draw(networks(most=3))
    for step in laid:
        if "kernel" in step and step["op"] == "conv" and data.draw(st.booleans()):
            kernel, dilation = (
                naive.axis_of(step.get(key, 1), 0) for key in ("kernel", "dilation")
            )
            step["padding"] = [[(kernel - 1) * dilation, 0], [1, 1]]
            step["mode"] = "zero"
    net = parse({"layers": laid}, "net")
    try:
        found = padviz.check(net, size, causal=net.axes[0])
        stride = alignment_on(net, 0, size[0]).strides[net.index[net.targets[0]]]
        shape = padviz.usage(net, size).target.shape
    except PadvizError:
        assume(False)
    assume(len(net.targets) == 1 and found.rows[0].state != "not judged")
    ahead = [
        row >= (unit + 1) * stride
        for unit in range(shape[0])
        for row in np.flatnonzero(along(net, size, 0, unit)).tolist()
    ]
    if found or not any(layer.whole(0) for layer in net.layers):  # of which usage leaves a part out
        assert bool(found) != any(ahead), found


@pytest.mark.parametrize(
    ("layers", "age"),
    [
        ([nn.ConstantPad1d((255, 0), 0), nn.Conv1d(1, 1, 256, stride=128)], 127),
        (
            [
                nn.ConstantPad1d((3, 0), 0),
                nn.Conv1d(1, 1, 4, stride=2),
                nn.ConvTranspose1d(1, 1, 2, 2),
            ],
            1,
        ),
        ([nn.ConstantPad1d((7, 0), 0), nn.Conv1d(1, 1, 3)], 5),
        ([nn.ConstantPad1d((2, 0), 0), nn.Conv1d(1, 1, 3)], 0),
    ],
)
def test_a_causal_network_says_how_late_a_sample_reaches_its_output(
    layers: list[nn.Module], age: int
) -> None:
    module, n = nn.Sequential(*layers), 512
    found = padviz.check(module, n, causal=True)
    assert [row.state for row in found] == ["holds"]
    assert found[0].found == (f"up to {age} input samples late" if age else "")
    signal = torch.zeros(1, 1, n, requires_grad=True)
    output = module(signal)
    stride, oldest = round(n / output.shape[-1]), 0
    for unit in range(n // stride // 2, n // stride):
        (seen,) = torch.autograd.grad(output[0, 0, unit], signal, retain_graph=True)
        oldest = max(oldest, (unit + 1) * stride - 1 - int(seen.flatten().nonzero().max()))
    assert oldest == age
    assert f"causal holds{f' ({found[0].found})' if age else ''}." in str(found)


LAYERS: list[Any] = [
    lambda: [nn.Conv2d(1, 2, 5, padding=2), nn.MaxPool2d(2), nn.Conv2d(2, 2, 3, padding=1)],
    lambda: [nn.Conv2d(1, 2, 3, 2, 1), nn.Conv2d(2, 2, (3, 5), padding=(1, 2))],
    lambda: [nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 2, 2, 2), nn.Conv2d(2, 2, 3, padding=1)],
    lambda: [
        nn.Conv2d(1, 2, 3, padding=2, dilation=2),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(2, 1, 3),
    ],
]


@pytest.mark.parametrize("layers", LAYERS)
def test_stitched_equals_whole_at_the_least_context_and_differs_below(layers: Any) -> None:
    torch.manual_seed(0)
    module, size = nn.Sequential(*layers()), 64
    net = padviz.load(module, size)
    least = max(
        max(own.before, own.after) for head in contexts_of(net, (size, size)) for own in head
    )
    verified = in_smallest_tiles(module, size)
    assert padviz.check(net, size, context=least)
    assert not padviz.check(net, size, context=least - 1)
    assert verified.holds
    assert min(verified.one_less.values()) > 1e-12


@given(data=st.data())
def test_a_network_is_the_same_iff_each_tap_reads_the_same(data: Any) -> None:
    laid, size = data.draw(networks(most=3))
    kind = data.draw(st.sampled_from(["conv", "up"]))
    end = {"name": "end", "from": laid[-1]["name"]}
    drawn = st.fixed_dictionaries(
        {
            "padding": st.integers(1, 2),
            "dilation": st.integers(1, 2),
            "mode": st.sampled_from(["zero", "replicate"]),
        }
        if kind == "conv"
        else {"grid": st.sampled_from(["half_pixel", "asymmetric"])}
    )
    same = (
        {"op": "conv", "kernel": 3}
        if kind == "conv"
        else {"op": "resize", "scale": 2, "mode": "linear"}
    )
    ends = [{**end, **same, **data.draw(drawn)} for _ in range(2)]
    one, two = (parse({"layers": [*laid, last]}, "net") for last in ends)
    found = padviz.check(one, size, same_as=two)
    assume(found.rows[0].state != "not judged")
    entering = naive.all_reads(laid, size)[1][laid[-1]["name"]]
    first, second = (
        [naive.reads(last, axis, n) for axis, n in enumerate(entering)] for last in ends
    )
    assert bool(found) == (first == second), found
    assert bool(found) == (not padviz.diff(one, two, size))


@given(network=networks())
def test_a_network_is_even_iff_its_naive_ledger_is(network: Any) -> None:
    laid, size = network
    net = parse({"layers": laid}, "net")
    convs = {step["name"] for step in laid if step["op"] == "conv"}
    assume(not any(step["op"] == "pad" or step.get("mode") == "circular" for step in laid))
    rows = [
        row
        for axis in (0, 1)
        for name, row in naive.ledger(laid, axis, size[axis]).items()
        if name in convs
    ]
    assert bool(padviz.check(net, size, even=True)) == naive.is_even(dict(enumerate(rows)))  # type: ignore[arg-type]


@given(network=networks(), lowest=st.integers(1, 12))
def test_any_size_holds_iff_a_map_can_be_counted_at_each(network: Any, lowest: int) -> None:
    laid, _ = network
    net = parse({"layers": laid}, "net")
    # usage does not read what leads nowhere
    assume(len(upto(net, net.targets).layers) == len(net.layers))
    refused = []
    for n in range(lowest, lowest + 5):
        try:
            padviz.usage(net, n)
        except PadvizError:
            refused.append(n)
    found = padviz.check(net, 14, any_size=(lowest, lowest + 4))
    if found.rows[0].expectation == "any_size":
        assert bool(found) == (not refused)
        assert sum(row.figure for row in found) == len(refused)


class Joins(nn.Module):
    """Joins maps along rows where the height is odd, which padviz does not follow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.fft.fft2(y).real if x.shape[2] % 2 else y


def test_sizes_that_padviz_cannot_read_are_not_judged() -> None:
    network = padviz.load(Joins(), 16)
    assert [row.state for row in padviz.check(network, 16, accepts="2*i")] == ["holds"]
    (row,) = padviz.check(network, 16, accepts="3*i")
    assert (row.state, row.axis, row.found) == (
        "not judged",
        "height",
        "160 of 320 sizes are not known",
    )
    (row,) = padviz.check(network, 16, any_size=(16, 19))
    assert (row.state, row.figure) == ("not judged", 2)
    assert row.found.startswith("not known at 17 x 17 and 1 more: ")


@pytest.mark.parametrize("name", ["vgg11", "resnet18", "unet_padded"])
def test_a_rim_holds_at_its_own_depth_and_not_a_pixel_below(name: str) -> None:
    rim = padviz.usage(name, 224).summary().rim
    assert rim
    assert padviz.check(name, 224, rim=max(rim.depths))
    assert not padviz.check(name, 224, rim=max(rim.depths) - 1)


class Ocean(nn.Module):
    """A stand-in of an ocean emulator: a U-Net whose width goes round the globe, with two pools."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(1 if not i else 2, 2, 3) for i in range(3))
        self.ups = nn.ModuleList(nn.Conv2d(4, 2, 3) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.turned(self.convs[0], x)
        skips = [x]
        for conv in self.convs[1:]:
            x = self.turned(conv, nn.functional.max_pool2d(x, 2))
            skips.append(x)
        x = skips.pop()
        for up in self.ups:
            x = nn.functional.interpolate(x, scale_factor=2.0)
            skip = skips.pop()
            x = nn.functional.pad(
                x, (0, skip.shape[-1] - x.shape[-1], 0, skip.shape[-2] - x.shape[-2])
            )
            x = self.turned(up, torch.cat([x, skip], 1))
        return x

    def turned(self, conv: nn.Module, x: Tensor) -> Tensor:
        made: Tensor = conv(
            nn.functional.pad(nn.functional.pad(x, (1, 1, 0, 0), mode="circular"), (0, 0, 1, 1))
        )
        return made


def test_an_ocean_emulator_fails_with_both_causes_and_holds_once_mended() -> None:
    found = padviz.check(Ocean(), (64, 90), wraps="width")
    causes = [row.found for row in found]
    assert causes == ["reads 0+1 rows of zero padding", "22 units from 45 rows"], found
    assert "use a width of 88 or 92" in str(found)
    assert [row.state for row in padviz.check(Ocean(), (64, 88), wraps="width")] == ["holds"]
    rules = {row.expectation: row.state for row in padviz.check(Ocean(), (64, 90))}
    assert rules["broken-wrap"] == rules["unequal-skip"] == "fails"
    assert padviz.check(Ocean(), (64, 88))


class Windowed(nn.Module):
    """A network of stride 2 that takes maps of whole windows only."""

    def __init__(self, windows: list[int]) -> None:
        super().__init__()
        self.conv, self.windows = nn.Conv2d(1, 1, 2, 2), windows

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(x)
        assert all(n // 12 in self.windows and n % 12 == 0 for n in made.shape[2:]), (
            "no whole windows"
        )
        return made


def test_a_network_of_windows_is_not_of_a_fixed_size() -> None:
    """96 + 64 px make no whole windows of 12, twice 96 px do."""
    rows = {row.expectation: row for row in padviz.check(Windowed([4, 8]), 96)}
    assert rows["fixed-size"].state == "holds"
    rows = {row.expectation: row for row in padviz.check(Windowed([4]), 96)}
    assert rows["fixed-size"].state == "fails"
    assert rows["fixed-size"].wanted == "reads 160 x 160 or 192 x 192 or 98 x 98"
    assert "no whole windows" in rows["fixed-size"].found


def test_an_assertion_prints_what_failed() -> None:
    found = padviz.check("resnet50", 224, even=True)
    with pytest.raises(
        AssertionError, match=r"layer2.0.conv2.*equal padding.*1 before, 0 after.*193 or 225"
    ):
        assert found, str(found)
    assert repr(found) == (
        "<resnet50, 224 x 224: 8 fail: even fails at conv1 (height): wanted equal padding, found 3 before, 2 after; "
        "use 193 or 225 px; and 7 more>"
    )
    assert (found[0].expectation, found[0].layer, found[0].axis, found[0].figure) == (
        "even",
        "conv1",
        "height",
        1,
    )


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"wraps": "widht"}, "wraps: the input has no axis 'widht'; did you mean width?"),
        ({"wraps": "length"}, "wraps: the input has no axis 'length'; use height or width"),
        ({"causal": "time"}, "causal: the input has no axis 'time'"),
        ({"causal": True}, "causal: an image has no time axis; in Python"),
        ({"causal": 1}, "causal: 1: must be true or false"),
        ({"context": -1}, "context: -1: must be an integer, at least 0"),
        ({"context": True}, "context: True: must be an integer, at least 0"),
        ({"context": False}, "context: False: must be an integer, at least 0"),
        ({"rim": True}, "rim: True: must be an integer, at least 0"),
        ({"any_size": False}, "any_size: False are no sizes"),
        ({"rim": 2.5}, "rim: 2.5: must be an integer"),
        ({"even": "yes"}, "even: 'yes': must be true or false"),
        ({"any_size": 64}, "any_size: 64 are no sizes"),
        ({"any_size": "64:32"}, "any_size: '64:32' is an empty range"),
        ({"size": (1, 2, 3)}, "vgg11: 1 x 2 x 3 has 3 numbers"),
        ({"size": 0}, "size: 0 is not one to three numbers"),
    ],
)
def test_what_makes_no_sense_is_an_error(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(padviz.PadvizError) as error:
        padviz.check(**{"model": "vgg11", "size": 64} | asked)
    assert says in str(error.value)


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("no")


def test_what_cannot_be_read_is_not_judged_and_never_true() -> None:
    found = padviz.check(Broken(), 64, even=True)
    assert [row.state for row in found] == ["not judged"]
    assert not found


@pytest.mark.parametrize("model", ["nope", "no.toml", Path("no.onnx")])
def test_what_is_not_there_is_an_error(model: str | Path) -> None:
    with pytest.raises(padviz.PadvizError, match=r"no network is called|no such file"):
        padviz.check(model, 64, even=True)
