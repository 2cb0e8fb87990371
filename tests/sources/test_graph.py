"""Traces, and where a network ends."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

import padviz
from padviz.axis.operations import Transposed, Window
from padviz.axis.resize import Resize
from padviz.errors import DescriptionError, SizeError
from padviz.network.network import Network, Size
from padviz.sources.toml.build import parse
from padviz.sources.tracing.foreign import Foreign
from padviz.sources.tracing.last_maps import finish
from padviz.sources.tracing.trace import Trace

Tracer = Callable[[Size], Trace]


def traced(lay: Callable[[Trace, Size], int | list[int]], size: Size = (64, 64)) -> Network:
    def tracer(at: Size) -> Trace:
        trace = Trace("net", at)
        ends = lay(trace, at)
        trace.ends.update([ends] if isinstance(ends, int) else ends)
        return trace

    return Foreign(tracer, "net").at(size)


def conv(trace: Trace, name: str, at: int, kernel: int = 3, stride: int = 1, pad: int = 1) -> int:
    window = Window(kernel, stride, padding=(pad, pad))
    return trace.add(name, "conv", (at,), (window, window))


def test_names_are_made_unique() -> None:
    trace = Trace("net", (8, 8))
    names = [trace.layers[conv(trace, name, 0)].name for name in ("a", "a", "a_2", "input", "")]
    assert names == ["a", "a_2", "a_2_2", "input_2", "conv_5"]


@pytest.mark.parametrize(
    "op", [Window(5000), Window(3, 200_000), Window(3, dilation=0), Transposed(3, 0), Window(3, padding=(0, 10**9))]
)
def test_absurd_figures_are_refused(op: Window) -> None:
    with pytest.raises(DescriptionError, match="net, c: its"):
        Trace("net", (8, 8)).add("c", "conv", (0,), (op, op))


def test_errors_name_the_file_the_layer_and_the_size() -> None:
    trace = Trace("net", (8, 9))
    with pytest.raises(SizeError, match="net, c: its input has 8 rows and its window spans 11; the input is 8 x 9"):
        conv(trace, "c", 0, 11, pad=0)
    small = conv(trace, "small", 0, pad=0)
    with pytest.raises(SizeError, match="net, m: its branches disagree in size: input has 8 x 9, small has 6 x 7"):
        trace.merge("m", "add", (0, small))


def test_a_map_with_a_pooled_vector_is_a_gate_and_two_maps_merge() -> None:
    trace = Trace("net", (8, 8))
    first, second = conv(trace, "a", 0), conv(trace, "b", 0)
    vector = trace.add("squeeze", "conv", (trace.add("pool", "global", (first,)),), (Window(1), Window(1)))
    assert trace.pooled[vector]
    assert not trace.pooled[first]
    gate = trace.layers[trace.merge("g", "multiply", (vector, first))]
    assert (gate.kind, gate.inputs) == ("gate", (first,))
    both = trace.layers[trace.merge("h", "multiply", (first, vector, second))]
    assert both.kind == "gate"
    assert trace.layers[both.inputs[0]].inputs == (first, second)
    added = trace.layers[trace.merge("s", "add", (first, vector))]
    assert added.kind == "add"
    assert [trace.layers[i].kind for i in added.inputs] == ["conv", "resize"]
    twice = trace.layers[trace.merge("t", "add", (first, first))]
    assert (twice.kind, twice.inputs) == ("add", (first, first))
    assert trace.merge("alone", "concat", (first,)) == first
    assert trace.pooled[trace.merge("vectors", "add", (vector, vector))]


def test_attention_sees_everything_from_everywhere() -> None:
    def lay(trace: Trace, size: Size) -> int:
        at = conv(trace, "a", 0, 1, pad=0)
        return trace.mix("attention", at, at)

    counts = padviz.usage(traced(lay), (5, 7)).counts
    assert (counts == 35).all()


def test_the_target_is_the_last_map_before_pooling_and_heads() -> None:
    def lay(trace: Trace, size: Size) -> int:
        last = conv(trace, "last", conv(trace, "first", 0))
        conv(trace, "unused", 0)
        pooled = trace.add("avg", "avgpool", (last,), [*map(Window, size)])
        vector = trace.add("gap", "global", (pooled,))
        return conv(trace, "head", vector, 1, pad=0)

    net = traced(lay)
    assert net.targets == ("last",)
    assert [layer.name for layer in net.layers] == ["input", "first", "last"]


def test_a_map_that_only_a_vector_reads_goes_on_where_the_vector_is_spread_again() -> None:
    def lay(trace: Trace, size: Size) -> int:
        first = conv(trace, "first", 0)
        return conv(trace, "last", trace.spread("up", trace.add("gap", "global", (first,)), first))

    assert traced(lay).targets == ("last",)


def test_several_last_maps_share_where_none_is_named() -> None:
    net = traced(lambda trace, size: [conv(trace, "a", 0), conv(trace, "b", 0, stride=2)])
    assert net.targets == ()
    assert (padviz.usage(net, 32).counts == padviz.usage(net, 32, layer=["a", "b"], heads="share").counts).all()
    assert padviz.usage(net, 32, layer="b").max > 0
    assert not padviz.uneven(net, 32).balanced


def test_a_description_may_leave_the_target_open() -> None:
    layers = [{"op": "conv", "name": "a", "kernel": 3}, {"op": "conv", "name": "b", "kernel": 3, "from": "input"}]
    net = parse({"layers": layers, "target": []}, "open")
    assert padviz.usage(net, 32).summary().target.layer == ["a", "b"]


def test_what_is_not_known_is_an_error_where_a_target_depends_on_it() -> None:
    def lay(trace: Trace, size: Size) -> int:
        at = conv(trace, "before", 0)
        odd = trace.unknown("odd", (at,), "Foo (opset 13)", "Foo")
        return trace.merge("m", "add", (at, conv(trace, "after", odd)))

    net = traced(lay)
    message = r"net, m: Foo .opset 13. is not known; .*neutral=..Foo... treats it .* `layer` before stops"
    for run in (padviz.usage, padviz.uneven, padviz.fields):
        with pytest.raises(DescriptionError, match=message.replace("m:", "(m|odd):")):
            run(net, 32)
    with pytest.raises(DescriptionError):
        padviz.sizes(net)
    assert padviz.usage(net, 32, layer="before").max == 9


def test_what_is_not_known_in_a_head_is_no_error() -> None:
    def lay(trace: Trace, size: Size) -> int:
        vector = trace.add("gap", "global", (conv(trace, "last", 0),))
        return trace.add("fc", "conv", (trace.unknown("odd", (vector,), "Foo", "Foo"),), (Window(1), Window(1)))

    assert traced(lay).targets == ("last",)


def test_a_resize_follows_a_layer_or_a_scale() -> None:
    def lay(trace: Trace, size: Size) -> int:
        skip = conv(trace, "skip", 0, stride=2)
        deep = conv(trace, "deep", skip, stride=2)
        height, width = trace.sizes[skip]
        up = trace.add("up", "resize", (deep,), (Resize(height, linear=True), Resize(width, linear=True)))
        merged = trace.merge("m", "concat", (skip, up))
        height, width = trace.sizes[merged]
        return trace.add("double", "resize", (merged,), (Resize(height * 2), Resize(width * 3)))

    net = traced(lay)
    up, double = net.find("up"), net.find("double")
    assert net.layers[up.like or 0].name == "skip"
    assert up.ops[0] == Resize(linear=True)
    assert (double.like, double.ops) == (None, (Resize(scale=Fraction(2)), Resize(scale=Fraction(3))))


def test_idle_pads_and_crops_are_left_out() -> None:
    def lay(trace: Trace, size: Size) -> int:
        at = trace.add("nothing", "pad", (0,), (Window(1), Window(1)))
        small = conv(trace, "small", at, stride=2)
        up = trace.add("up", "convtranspose", (small,), (Transposed(2, 2), Transposed(2, 2)))
        crops = [Window(1, padding=(0, n - m)) for n, m in zip(trace.sizes[0], trace.sizes[up], strict=True)]
        return trace.merge("m", "add", (0, trace.add("crop", "crop", (up,), crops)))

    net = traced(lay)
    assert "nothing" not in net.index
    assert "crop" not in net.index
    assert net.at((33, 35)).find("crop").ops[0] == Window(1, padding=(0, -1))


def test_finish_needs_a_map() -> None:
    with pytest.raises(DescriptionError, match="no output is made of a spatial layer"):
        finish(Trace("net", (4, 4)))
