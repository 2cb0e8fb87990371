"""Shards: what each owns, reads and fetches against every tap, and layers run in parts."""

from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import padviz
from padviz.cutting.shards import ShardedLayer, owned, shards_of, trims_of
from padviz.network.layer import Channels, Layer
from padviz.network.network import Network
from padviz.network.operations import Adaptive, Blocks, Transposed, Window, place
from padviz.network.resize import Resize
from padviz.sources.toml.load import parse
from tests import naive
from tests.strategies import networks
from tests.sweeps import examples


def rows_in(spans: Any) -> list[int]:
    return [row for first, stop in spans for row in range(first, stop)]


@given(drawn=networks(), axis=st.sampled_from((0, 1)), n=st.integers(1, 5))
@examples(60)
def test_shards_fetch_what_their_taps_read_and_others_own(drawn: Any, axis: int, n: int) -> None:
    steps, size = drawn
    network = parse({"layers": steps, "size": list(size)}, "drawn")
    reads, sizes = naive.all_reads(steps, size)
    found = shards_of(network, axis, size, n)
    for step, inputs, layer in zip(steps, naive.sources(steps), found.layers, strict=True):
        rows, m = sizes[inputs[0]][axis], sizes[step["name"]][axis]
        assert (layer.layer, layer.rows) == (step["name"], m)
        assert rows_in(part.owns for part in layer.parts) == [*range(m)]
        assert n > 1 or layer.fetched == 0
        if layer.exchange:
            assert step["op"] in ("gate", "adaptive")
            assert layer.fetched == 0
            continue
        for k, part in enumerate(layer.parts):
            assert part.owns == (k * m // n, (k + 1) * m // n)
            mine = range(k * rows // n, (k + 1) * rows // n)
            taps = [
                reads[step["name"]][axis][unit] if reads[step["name"]] else [(unit, 1)]
                for unit in range(*part.owns)
            ]
            wanted = {row for each in taps for row, _ in each if row is not None}
            assert rows_in(run[1:] for run in part.fetches) == sorted(wanted - {*mine})
            for owner, first, stop in part.fetches:
                assert owner * rows // n <= first < stop <= (owner + 1) * rows // n
            if step["op"] in (*naive.MERGES, "identity"):
                assert not part.fetches


def in_parts(op: Any, n: int, shards: int, run: Any) -> None:
    """Hold what a layer makes of its parts against the whole: `run` applies it to rows that are padded already."""
    kind = "conv" if isinstance(op, Window) else "resize"
    network = Network(
        "one", (Layer("input", "input", ()), Layer("it", kind, (0,), (op,))), ("it",), size=(n,)
    )
    layer = shards_of(network, 0, (n,), shards).layers[0]
    x = torch.rand(1, 1, n, dtype=torch.float64)
    before, after = place(op, n)[:2] if isinstance(op, Window) else (0, 0)
    whole = run(functional.pad(x, (before, after)))
    if isinstance(op, Transposed):
        whole = functional.pad(whole, (-op.padding[0], op.output_padding - op.padding[1]))
    for k, part in enumerate(layer.parts):
        first, stop = part.owns
        start, end = part.window
        if first == stop or (isinstance(op, Transposed) and start == end):
            continue
        rows = torch.zeros(1, 1, end - start, dtype=torch.float64)
        for low, high in (owned(n, shards)[k], *(run[1:] for run in part.fetches)):
            low, high = max(low, start), min(high, end)
            rows[..., low - start : max(low, high) - start] = x[..., low : max(low, high)]
        made = run(rows)
        assert part.trims is not None
        made = functional.pad(made, [-trim for trim in part.trims])
        assert torch.allclose(made, whole[..., first:stop], atol=1e-12), part


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [17, 24])
def test_layers_run_in_parts_make_the_whole(n: int, shards: int) -> None:
    weight = torch.rand(1, 1, 4, dtype=torch.float64)
    for stride, dilation, pads in (
        (1, 1, (1, 2)),
        (2, 1, (0, 1)),
        (1, 3, (4, 5)),
        (3, 2, (6, 0)),
        (2, 1, (-1, -2)),
    ):
        op = Window(4, stride, dilation, pads)
        in_parts(
            op,
            n,
            shards,
            lambda x, s=stride, d=dilation: functional.conv1d(x, weight, None, s, 0, d),
        )
    for stride, pad, more in ((1, 0, 0), (2, 1, 0), (2, 1, 1), (4, 0, 0), (3, 1, 2), (6, 0, 0)):
        up = Transposed(4, stride, 1, (pad, pad), more)
        in_parts(
            up, n, shards, lambda x, s=stride: functional.conv_transpose1d(x, weight, stride=s)
        )
    for mode in ("nearest", "linear"):
        resize = Resize(scale=Fraction(3), mode=mode)
        in_parts(
            resize,
            n,
            shards,
            lambda x, mode=mode: functional.interpolate(x, scale_factor=3, mode=mode),
        )
    assert trims_of(Resize(scale=Fraction(3, 2)), 8, 12, (2, 4), (3, 6)) is None
    assert trims_of(Resize(size=3, mode="linear", align_corners=True), 2, 3, (0, 2), (0, 3)) is None
    # reads from the row behind on
    late = Resize(scale=Fraction(1), grid="tf_half_pixel_for_nn", rounding="ceil")
    assert trims_of(late, 8, 8, (3, 5), (2, 4)) is None


class Attends(nn.Module):
    """Attention along the width, or over all positions."""

    def __init__(self, lines: bool) -> None:
        super().__init__()
        self.conv, self.attend, self.lines = (
            nn.Conv2d(2, 8, 3, padding=1),
            nn.MultiheadAttention(8, 2, batch_first=True),
            lines,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x).permute(0, 2, 3, 1)
        tokens = x.flatten(0, 1) if self.lines else x.flatten(1, 2)
        return self.attend(tokens, tokens, tokens)[0].reshape(x.shape).permute(0, 3, 1, 2)


def needing(module: nn.Module, axis: str = "height") -> list[tuple[str, str, int]]:
    found = padviz.shards(module, 4, 16, axis)
    return [(layer.why, layer.exchange, layer.fetched) for layer in found if layer.exchange]


def test_norms_exchange_sums_and_attention_everything() -> None:
    norms = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 1, 3))
    assert needing(norms) == [("group norm", "sums", 0)]
    assert needing(Attends(lines=False)) == [("attention", "rows", 3 * 16)]
    assert needing(Attends(lines=True)) == []
    assert needing(Attends(lines=True), "width") == [("attention", "rows", 3 * 16)]
    assert padviz.shards(norms, 4, 16).overlap == 3 * 16  # of the whole image
    assert [row.why for row in padviz.shards("efficientnet_b0", 2, 224) if row.exchange] == [
        "gate"
    ] * 16


def test_bins_of_a_pool_are_read_from_the_shards_that_own_them() -> None:
    layers = (
        Layer("input", "input", ()),
        Layer("pool", "adaptive", (0,), (Adaptive(3),)),
        Layer("mix", "mixing", (1,), (Blocks(2),)),
    )
    found = shards_of(Network("pooled", layers, ("mix",), size=(10,)), 0, (10,), 2)
    assert [part.window for part in found.layers[0].parts] == [(0, 4), (3, 10)]
    assert [part.fetches for part in found.layers[1].parts] == [((1, 1, 2),), ((0, 0, 1),)]


def layer_of(found: Any, name: str) -> ShardedLayer:
    return next(layer for layer in found.layers if layer.layer == name)


def test_bytes_are_rows_times_channels_times_the_other_axes() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(8, 5, 1),
        nn.PixelShuffle(1),
        nn.AvgPool2d(3, 1, 1),
    )
    found = padviz.shards(module, 2, (16, 10))
    assert (found[0].fetched, found[0].bytes) == (2, 2 * 10 * 3 * 4)
    assert ((found[1].before, found[1].after), found[1].bytes) == (
        (1, 0),
        1 * 10 * 8 * 4,
    )  # as the convolutions around it have
    assert (found[-1].kind, found[-1].bytes) == ("avgpool", 2 * 5 * 5 * 4)
    assert (found.exchanges, found.bytes) == (3, 240 + 320 + 200)
    around = padviz.tiles(module, (48, 32), (24, 32)).contexts[0][0]
    assert (found.overlap, found.overlap_bytes) == (
        rows := min(around.before, 8) + min(around.after, 8),
        rows * 10 * 3 * 4,
    )


def test_channels_that_convolutions_disagree_on_are_unknown() -> None:
    def layer(
        name: str, kind: Any, *inputs: int, op: Any = None, channels: Channels | None = None
    ) -> Layer:
        return Layer(name, kind, inputs, (op,), channels=channels)

    conv, pool = Window(3, padding=(1, 1)), Window(3, padding=(1, 1))
    layers = (
        layer("input", "input"),
        layer("a", "conv", 0, op=conv, channels=Channels(1, 8)),
        # of 8 channels in front, of 4 behind: something halves them between
        layer("pool", "maxpool", 1, op=pool),
        layer("b", "conv", 2, op=conv, channels=Channels(4, 6)),
        layer("both", "concat", 1, 3),
        layer("last", "maxpool", 4, op=pool),
    )
    found = shards_of(Network("halved", layers, ("last",), size=(8,)), 0, (8,), 2)
    assert [row.bytes for row in found.layers] == [8, None, 32, 0, 2 * 14 * 4]


@pytest.mark.parametrize("name", ["vgg11", "resnet18", "unet_padded"])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_boundaries_at_multiples_are_those_before_over_the_stride(name: str, n: int) -> None:
    network = padviz.load(name)
    multiple = padviz.shards(name, n, 256).multiple
    assert multiple is not None
    for size, straight in (
        (multiple, True),
        (3 * multiple, True),
        (3 * multiple + multiple // n, False),
    ):
        found = shards_of(network, 0, (size, 64), n)
        spans = [owned(size, n), *([part.owns for part in layer.parts] for layer in found.layers)]
        strides = [size // spans[i][-1][1] for i in range(len(spans))]
        assert straight == all(
            stop * k == end
            for own, k in zip(spans, strides, strict=True)
            for (_, stop), (_, end) in zip(own, spans[0], strict=True)
        )


def test_valid_convolutions_skew_boundaries_at_any_size_and_thin_shards_own_nothing() -> None:
    found = padviz.shards("unet", 4, 572)
    assert (found.multiple, found.skewed) == (None, "down1.conv1")
    thin = padviz.shards(nn.Sequential(nn.Conv1d(1, 1, 5, padding=2)), 9, 4)
    assert [part.owns[1] - part.owns[0] for part in thin[0].parts] == [0, 0, 1, 0, 1, 0, 1, 0, 1]
    assert [run.owner for run in thin[0].parts[4].fetches] == [2, 6, 8]
    for n in (0, -1):
        with pytest.raises(
            padviz.PadvizError, match=rf"shards: {n}: must be an integer, 1 to 1,024"
        ):
            padviz.shards("vgg11", n, 64)
    with pytest.raises(
        padviz.PadvizError, match="axis: the input has height x width, not depth; name one of them"
    ):
        padviz.shards("vgg11", 2, 64, "depth")
