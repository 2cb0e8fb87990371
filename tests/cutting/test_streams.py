"""Streams: what is kept and made between chunks, against a slow count of taps and against networks that are run."""

import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import ceil, gcd
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import padviz
from padviz.cutting.streams import stream_of
from padviz.errors import PadvizError
from padviz.geometry.reaching.shifts import alignment_on
from padviz.network.layer import Layer
from padviz.network.network import Network
from padviz.network.resize import Resize
from padviz.sources.toml.load import parse
from tests import naive
from tests.cutting.test_drawn_plans import run
from tests.signals import SIGNALS, Tcn, positive
from tests.strategies import networks
from tests.sweeps import examples

COPYING = ("replicate", "reflect", "symmetric")
FAR_SIDE, FOLLOWS = "circular padding, which reads the far side", "it follows the signal's length"
LONG = 120  # samples of a signal whose end is far away


def outputs(step: Any, n: int, like: int | None) -> int:
    """How many outputs a step makes of n rows; none where it does not take so few."""
    if step["op"] in (*naive.MERGES, "identity"):
        return n
    try:
        return naive.outputs_of({**step, "mode": "zero"}, 0, n, like) if n and like != 0 else 0
    except (AssertionError, IndexError):
        return 0


def taps(step: Any, n: int, like: int | None) -> list[list[int]]:
    """The rows that each output reads of n rows; padding may read none."""
    if step["op"] in (*naive.MERGES, "identity"):
        return [[row] for row in range(n)]
    return [[row for row, _ in each if row is not None] for each in naive.reads(step, 0, n, like)]


# what each layer made by then, and what it keeps of each input
Moment = dict[str, tuple[int, list[int]]]


def simulated(steps: Any, chunk: int, length: int) -> Iterator[Moment]:
    """Count tap by tap what a stream makes and keeps after each chunk, up to half of a long signal."""
    far: dict[str, list[list[int]]] = {}
    sizes = {"input": length}
    for step, inputs in zip(steps, naive.sources(steps), strict=True):
        far[step["name"]] = taps(step, sizes[inputs[0]], sizes.get(step.get("like")))
        sizes[step["name"]] = len(far[step["name"]])
    for there in range(chunk, length // 2, chunk):
        made, ends = {"input": there}, {"input": there}
        found: Moment = {"input": (there, [])}
        for step, inputs in zip(steps, naive.sources(steps), strict=True):
            name, like = step["name"], ends.get(step.get("like"))
            entering, ready, m = (
                min(ends[each] for each in inputs),
                min(made[each] for each in inputs),
                0,
            )
            ends[name] = outputs(step, entering, like)
            while m < ends[name] and ready and all(row < ready for row in far[name][m]):
                m += 1
            made[name], next_ones = m, far[name][m : m + 40]
            # what it reads if the signal ends here
            if step.get("mode") in COPYING and entering > 4:
                next_ones = [*next_ones, *taps(step, entering, like)[m:]]
            first = min((row for each in next_ones for row in each), default=there)
            found[name] = m, [max(0, made[each] - first) for each in inputs]
        yield found


def of_signals(steps: Any, size: Any) -> Network:
    """The first axis of a network of images."""
    network = parse({"layers": steps, "size": list(size)}, "drawn")
    return replace(
        network,
        size=size[:1],
        layers=tuple(replace(each, ops=each.ops[:1]) for each in network.layers),
    )


@given(
    drawn=networks(modes=["zero", *COPYING], scales=[2, [1.5, 0.5], 0.5]), chunk=st.integers(1, 7)
)
@examples(25)
def test_layers_keep_and_make_what_a_slow_count_of_taps_does(drawn: Any, chunk: int) -> None:
    steps, size = drawn
    for step in steps:
        if isinstance(step.get("padding"), str) and "mode" in step:
            step["mode"] = "zero"
    network = of_signals(steps, size)
    try:
        stream = stream_of(network, chunk)
    except PadvizError as error:
        why = re.search(r"cannot be streamed: .*\((.*)\)|repeat", str(error))
        assert why is not None
        assert why[1] in (
            None,
            "gate",
            "adaptive pooling",
            "global pooling",
            "grid attention",
            FAR_SIDE,
            FOLLOWS,
        )
        return
    step, strides = alignment_on(network, 0, size[0])
    if step > LONG:
        return
    length = size[0] + -(-LONG // step) * step
    moments = [*simulated(steps, chunk, length)]
    period = step // gcd(step, chunk)
    for layer, stride in zip(stream.layers, strides[1:], strict=True):
        made = [moment[layer.layer][0] for moment in moments]
        keeps = [
            max(own) for own in zip(*(moment[layer.layer][1] for moment in moments), strict=True)
        ]
        assert (layer.layer, layer.keeps) == (layer.layer, tuple(keeps))
        news = [b - a for a, b in pairwise(made)][-period:]
        assert layer.makes == (min(news), max(news))
        assert layer.lag == max(
            0,
            max(
                ceil(moment["input"][0] - m * stride)
                for moment, m in zip(moments, made, strict=True)
            ),
        )


@pytest.mark.parametrize("chunk", [1, 7, 16])
@pytest.mark.parametrize("name", SIGNALS)
def test_the_lag_is_how_far_outputs_that_nothing_changes_end_before_the_chunk(
    name: str, chunk: int
) -> None:
    make, channels, (size, _) = SIGNALS[name]
    module = positive(make)
    stream = padviz.stream(module, chunk, size)
    stride = padviz.fields(module, size)[-1].length.stride
    assert stride is not None
    signals = torch.rand(2, channels, 5 * size, dtype=torch.float64)
    lag = 0.0
    for there in range(3 * size // chunk * chunk, 4 * size, chunk):
        signals[1, :, :there] = signals[0, :, :there]
        one, other = run(module, signals[:1]), run(module, signals[1:])
        alike = (one == other).all(1)[0].numpy()
        lag = max(lag, there - float(stride * (len(alike) if alike.all() else alike.argmin())))
        signals[1, :, there:] += 1
    assert stream.lag == ceil(lag)


def test_what_cannot_be_streamed_is_named() -> None:
    def refused(*layers: nn.Module) -> str:
        with pytest.raises(PadvizError, match="cannot be streamed") as error:
            padviz.stream(nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), *layers), 8, 64)
        return re.sub(r".*cannot be streamed: |; name an earlier.*", "", str(error.value))

    assert refused(nn.InstanceNorm1d(4)) == "1 (instance norm)"
    assert refused(nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular")) == f"1 ({FAR_SIDE})"
    assert refused(nn.AdaptiveAvgPool1d(8), nn.Conv1d(4, 1, 3)) == "1 (adaptive pooling)"
    assert refused(nn.Upsample(size=96), nn.Conv1d(4, 1, 3)).startswith(
        "Sequential, 1 (it is another"
    )
    assert (
        refused(nn.Upsample(scale_factor=2, mode="linear", align_corners=True), nn.Conv1d(4, 1, 3))
        == f"1 ({FOLLOWS})"
    )
    # whose rate is 3/2 at 3, 67, 131 samples
    wide = Resize(scale=Fraction(3, 2), mode="linear", grid="align_corners")
    layers = Layer("input", "input", ()), Layer("wide", "resize", (0,), (wide,))
    with pytest.raises(PadvizError, match=re.escape(f"wide ({FOLLOWS})")):
        stream_of(Network("wide", layers, ("wide",), size=(3,)), 2)
    with pytest.raises(
        PadvizError, match="its input has height x width, and streams are of signals"
    ):
        padviz.stream("vgg11", 8)
    for chunk in (0, -1):
        with pytest.raises(PadvizError, match=f"chunk: {chunk}: must be an integer, at least 1"):
            padviz.stream(Tcn(), chunk)


def test_a_signal_in_one_chunk_keeps_nothing_and_reflection_in_front_waits_for_its_rows() -> None:
    for chunk, kept in ((63, 14), (64, 0), (100, 0)):
        found = padviz.stream(Tcn(), chunk, 64)
        assert (found.kept, found.heads[0].makes) == (kept, (chunk,) * 2 if kept else (64, 64))
    pointwise = padviz.stream(
        nn.Sequential(nn.Conv1d(1, 4, 1), nn.ReLU(), nn.Conv1d(4, 1, 1)), 5, 64
    )
    assert (pointwise.kept, pointwise.lag) == (0, 0)
    reflected = padviz.stream(nn.Sequential(nn.ReflectionPad1d((6, 0)), nn.Conv1d(1, 1, 3)), 2, 64)
    assert [layer.keeps for layer in reflected.layers] == [(6,), (2,)]  # rows 0 to 6 make the first
    assert reflected.lag == 6
    behind = padviz.stream(nn.Sequential(nn.ReflectionPad1d((0, 3)), nn.Conv1d(1, 1, 3)), 5, 64)
    assert [layer.keeps for layer in behind.layers] == [
        (4,),
        (2,),
    ]  # which are read again if the signal ends


def test_upsampling_drops_what_kept_samples_made_before_and_what_is_to_come() -> None:
    up = padviz.stream(nn.ConvTranspose1d(1, 1, 8, 4, padding=2), 5, 64).layers[0]
    assert (up.keeps, up.makes, up.lag, up.drops) == ((1,), (20, 20), 1, (4, 4))
    weight = torch.rand(1, 1, 8, dtype=torch.float64)
    signal = torch.rand(1, 1, 64, dtype=torch.float64)
    whole = functional.conv_transpose1d(signal, weight, stride=4, padding=2)
    made = functional.conv_transpose1d(signal[..., 19:25], weight, stride=4)[..., 4:-4]
    assert torch.allclose(made, whole[..., 4 * 20 - 2 : 4 * 25 - 2])


@pytest.mark.parametrize("chunk", [7, 16])
@pytest.mark.parametrize("name", sorted(SIGNALS))
def test_a_stream_that_runs_makes_what_is_planned(name: str, chunk: int) -> None:
    make, channels, (size, _) = SIGNALS[name]
    module = positive(make)
    plan, running = padviz.stream(module, chunk, size), padviz.streamed(module, chunk)
    made = [
        running(torch.rand(1, channels, chunk, dtype=torch.float64)).shape[-1]
        for _ in range(4 * size // chunk)
    ]
    ends = [
        alignment_on(padviz.load(module, size), 0, size).strides[-1] * sum(made[:k])
        for k in range(1, len(made) + 1)
    ]
    steady = made[len(made) // 2 :]
    assert plan.heads[0].makes == (min(steady), max(steady))
    assert plan.lag == ceil(max(k * chunk - end for k, end in enumerate(ends, start=1)))


class Remembering(nn.Module):
    """Adds the first signal that it met."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1)
        self.first: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        if self.first is None:
            self.first = x
        return x + self.first


def test_a_forward_that_fails_on_noise_says_why() -> None:
    says = "does not run on noise of 1 x 1 x .* (RuntimeError: .* broadcast.*try its forward"
    with pytest.raises(PadvizError, match=says.replace("(", "[(]")):
        padviz.streamed(Remembering(), 16)
