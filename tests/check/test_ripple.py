"""Checkerboards: what is found of a transposed convolution, and what each of its changes does, is what PyTorch does."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import padviz
from padviz.sources.toml.load import parse
from tests.sweeps import examples

torch = pytest.importorskip("torch")
ROWS = 60


def counts(weights: Any, **options: int) -> Any:
    """The number of taps of each unit, far from both ends."""
    rows = torch.ones(1, 1, ROWS, dtype=torch.float64)
    return torch.nn.functional.conv_transpose1d(rows, weights[None, None].double(), **options)[0, 0]


def inside(row: Any) -> Any:
    third = len(row) // 3
    return row[third:-third]


def ripple(rule: str = "transposed-ripple", **options: int) -> Any:
    names = {"kernel": options["kernel"], "stride": options["stride"]}
    layer = {"op": "convtranspose", "name": "up", **names, "padding": options.get("padding", 0)}
    layer |= {key: options[key] for key in ("dilation", "output_padding") if key in options}
    found = padviz.check(parse({"layers": [layer]}, "net"), ROWS, all_=True)
    return [row for row in found if row.expectation == rule]


@given(
    kernel=st.integers(1, 7),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    padding=st.integers(0, 2),
    more=st.integers(0, 3),
)
@examples(60)
def test_the_counts_and_the_changes_are_those_of_pytorch(
    kernel: int, stride: int, dilation: int, padding: int, more: int
) -> None:
    options = {"stride": stride, "dilation": dilation, "padding": padding}
    options["output_padding"] = min(more, max(stride, dilation) - 1)
    if 2 * padding > dilation * (kernel - 1):
        options["padding"] = 0
    whole = counts(torch.ones(kernel), **options)
    taps = inside(whole)
    findings = ripple(kernel=kernel, **options)
    assert bool(findings) == bool(taps.min() != taps.max())
    for found in findings:
        said = (
            f"kernel {kernel}, stride {stride}: {int(taps.min())} to {int(taps.max())} taps a unit"
        )
        assert (found.layer, found.state, found.found) == ("up", "note", said)
        cure = re.match(
            r"kernel_size=(\d+), padding=(\d+), output_padding=(\d+); or resize", found.change
        )
        if cure:
            size, padded, added = map(int, cure.groups())
            mended = options | {"padding": padded, "output_padding": added}
            even = counts(torch.ones(size), **mended)
            assert len(even) == len(whole)
            assert inside(even).min() == inside(even).max() == -(-kernel // stride)
        else:
            assert inside(counts(torch.ones(stride), **options | {"padding": 0})).min() == 0
        divide = re.search(r"divide taps by ([\d, ]+)$", found.change)
        assert bool(divide) == bool(taps.min() > 0)
        if divide:
            by = torch.tensor([*map(int, divide[1].split(", "))], dtype=torch.float64)
            even = inside(counts(1 / by, **options))
            assert float(even.max() - even.min()) < 1e-12


def test_a_decoder_of_kernel_3_and_stride_2_is_named_with_its_cure_and_one_of_kernel_4_is_not() -> (
    None
):
    (high, wide) = ripple(kernel=3, stride=2, padding=1, output_padding=1)
    assert (high.axis, wide.axis) == ("height", "width")
    assert high.change == (
        "kernel_size=4, padding=1, output_padding=0; or resize, then a convolution; at the start, "
        "divide taps by 2, 1, 2"
    )
    assert not ripple(kernel=4, stride=2, padding=1)


def test_a_kernel_cannot_even_out_a_dilation_that_steps_over_units() -> None:
    (found, _) = ripple(kernel=4, stride=2, dilation=2)
    assert found.found == "kernel 4, stride 2: 0 to 4 taps a unit"
    assert found.change == "resize, then a convolution"


@given(
    kernel=st.integers(1, 7),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    padding=st.integers(0, 6),
    more=st.integers(0, 3),
)
@examples(60)
def test_rows_at_the_border_with_fewer_taps_are_those_of_pytorch(
    kernel: int, stride: int, dilation: int, padding: int, more: int
) -> None:
    options = {"stride": stride, "dilation": dilation, "padding": padding}
    options["output_padding"] = min(more, max(stride, dilation) - 1)
    found = ripple("transposed-border", kernel=kernel, **options)
    taps = counts(torch.ones(kernel), **options)
    inner = inside(taps)
    middle = (len(taps) - len(inner)) // 2
    # A row far from both ends that lies at the same place among those of a stride.
    places = torch.arange(len(taps)) - middle
    fewer = (taps < inner[places % stride]).nonzero()[:, 0]
    before = max([1 + int(row) for row in fewer if row < len(taps) / 2], default=0)
    after = max([len(taps) - int(row) for row in fewer if row > len(taps) / 2], default=0)
    said = {f"fewer in {before} + {after} rows"} if before or after else set()
    assert {each.found for each in found} == said
