"""What goes on by values, and modules against PyTorch itself: windows, writes in place, padding by their own rules."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError, SizeError
from padviz.network.axis_maps import axis_map
from padviz.network.operations import Window, out_size
from padviz.network.targets import last_maps
from padviz.sources.toml.write import to_toml
from tests import naive
from tests.test_laws import dense
from tests.torch_attention import After
from tests.torch_calls import conv, counted, sum_pool, to_onnx

SIZE = (24, 41)


class Points(nn.Module):
    """A detector of points: their scores and, made after the points are picked, their descriptors."""

    def __init__(self, picked: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.body, self.scores, self.words, self.picked = (
            conv(stride=2),
            conv(padding=1),
            conv(5, padding=2),
            picked,
        )

    def forward(self, x: Tensor) -> Any:
        x = self.body(x)
        points = self.picked(self.scores(x).sigmoid())
        return points, self.words(x)


def places(scores: Tensor) -> Tensor:
    return torch.nonzero(scores[0, 0] > 0.5).float()


def suppressed(scores: Tensor) -> Tensor:
    points = places(scores)
    return points[torchvision.ops.nms(torch.cat([points, points + 1], 1), points[:, 0], 0.5)]


def sampled(scores: Tensor) -> Tensor:
    found = functional.grid_sample(scores, places(scores)[None, None])
    return functional.conv2d(found, torch.ones(1, 1, 3, 3), padding=1)


PICKED: dict[str, Callable[[Tensor], Any]] = {
    "nonzero": places,
    "mask": lambda scores: scores[scores > 0.5],
    "masked_select": lambda scores: scores.masked_select(scores > 0.5),
    "unique": lambda scores: torch.unique(scores, return_inverse=True, return_counts=True),
    "suppressed": suppressed,
    "topk": lambda scores: scores.flatten(1).topk(3)[1],
    "sampled": sampled,
}


@pytest.mark.parametrize("name", PICKED)
def test_what_picks_positions_by_their_values_is_skipped(name: str) -> None:
    network = padviz.load(Points(PICKED[name]), 32)
    assert last_maps(network) == ("scores", "words")
    (note,) = network.notes
    assert note.startswith("analysed up to the heads scores, words; skipped ")
    assert note.endswith("picks positions by their values")
    for head in ("scores", "words"):
        alone = nn.Sequential(conv(stride=2), getattr(Points(PICKED[name]), head))
        np.testing.assert_array_equal(
            padviz.usage(network, SIZE, layer=head).counts, counted(alone, SIZE)
        )


READS: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda x: x.max().item(),
    "tolist": lambda x: x.flatten().tolist(),
    "numpy": lambda x: x.cpu().numpy(),
    "an index": lambda x: torch.arange(99)[x.mean().long()],
    "caught": lambda x: [x.mean().item() for _ in range(2)],
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_forward_ends_where_it_reads_the_values_of_a_map(read: Callable[[Tensor], Any]) -> None:
    network = padviz.load(Reading(read), 32)
    assert network.targets == ("b",)
    assert network.notes[0].startswith("analysed up to the head b; skipped ")
    assert network.notes[0].endswith("and what follows: it reads the values of a map")
    np.testing.assert_array_equal(
        padviz.usage(network, SIZE).counts, counted(Reading(lambda x: x), SIZE)
    )


class Reading(nn.Module):
    """Two convolutions, and what reads their map; before a third one if it is `early`."""

    def __init__(self, read: Callable[[Tensor], Any], early: bool = False) -> None:
        super().__init__()
        self.a, self.b, self.read, self.early = (
            conv(5, padding=2),
            conv(padding=1, stride=2),
            read,
            early,
        )
        self.c = conv(padding=1) if early else nn.Identity()

    def forward(self, x: Tensor) -> Any:
        try:
            x = self.b(self.a(x))
            return self.c(x / self.read(x)) if self.early else self.read(x)
        except Exception:
            return x


def test_what_reads_values_before_the_last_convolution_is_an_error_that_names_it() -> None:
    early = Reading(lambda x: x.max().item(), early=True)
    with pytest.raises(
        PadvizError,
        match=r"item reads the values of a map, and c has not run by then; `layer` b stops",
    ):
        padviz.usage(early, 32)
    np.testing.assert_array_equal(
        padviz.usage(early, 32, layer="b").counts, counted(Reading(lambda x: x), (32, 32))
    )


Body = Callable[[nn.Module, Tensor], Any]


def until_small(measure: Callable[[Tensor], Any]) -> Body:
    """Run a layer until what it changes is small."""

    def run(module: Any, x: Tensor) -> Tensor:
        x = module.a(x)
        for _ in range(9):
            before, x = x, module.b(x)
            if measure(x - before) < 1e-3:
                break
        return x

    return run


LOOPS: dict[str, Body] = {
    "bool": until_small(lambda x: x.abs().max()),
    "float": until_small(lambda x: float(x.norm())),
    "item": until_small(lambda x: x.abs().amax().item()),
    "numpy": until_small(lambda x: np.abs(x.numpy()).max()),
    "once more": lambda module, x: y if (y := module.b(module.a(x))).mean() > 0 else module.b(y),
}


class Steps(nn.Module):
    def __init__(self, body: Body) -> None:
        super().__init__()
        self.a, self.b, self.body = conv(3, padding=1), conv(5, padding=2), body

    def forward(self, x: Tensor) -> Any:
        return self.body(self, x)


@pytest.mark.parametrize("name", LOOPS)
def test_layers_that_run_as_often_as_values_say_are_refused(name: str) -> None:
    with pytest.raises(
        PadvizError, match=r"by the values of a map|reads the values of a map"
    ) as error:
        padviz.usage(Steps(LOOPS[name]), 16)
    assert "and b runs again behind it, as often as they say; `layer` " in str(error.value)
    assert padviz.usage(Steps(LOOPS[name]), 16, layer="b").max > 0


ENDS: dict[str, Body] = {
    "a test": lambda module, x: y if (y := module.b(module.a(x))).mean() > 0 else y.relu(),
    "a number": lambda module, x: (y := module.b(module.a(x)), y.max().item()),
    "a loop over numbers": lambda module, x: [
        2 * n for n in module.b(module.a(x)).flatten().tolist()
    ],
}


@pytest.mark.parametrize("name", ENDS)
def test_what_is_only_returned_behind_values_is_skipped(name: str) -> None:
    network = padviz.load(Steps(ENDS[name]), 16)
    assert network.targets == ("b",)
    assert "analysed up to the head b; skipped " in network.notes[0]


def test_a_branch_by_the_values_of_the_image_is_refused_with_what_to_do() -> None:
    with pytest.raises(PadvizError) as error:
        padviz.load(Steps(lambda module, x: x if x.mean() > 0 else module.a(x)), 16)
    branch = "bool takes a branch by the values of the image; write the branch to count as a module of its own"
    assert str(error.value) == f"Steps: {branch}, without the test"


NUMBERS: dict[str, Body] = {
    "a loss": lambda module, x: functional.mse_loss(module.b(module.a(x)), x),
    "a number": lambda module, x: torch.ops.aten.dist(module.b(module.a(x)), x),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_an_unknown_function_that_returns_one_number_is_no_map(name: str) -> None:
    network = padviz.load(Steps(NUMBERS[name]), 16)
    assert network.targets == ("b",)
    wanted = counted(Steps(lambda module, x: module.b(module.a(x))), (16, 16))
    np.testing.assert_array_equal(padviz.usage(network, 16).counts, wanted)


def test_complex_numbers_are_two_channels() -> None:
    def body(module: Any, x: Tensor) -> Tensor:
        y = module.a(x)
        pairs = torch.view_as_complex(torch.stack([y, y], -1))
        return module.b(torch.view_as_real(2 * pairs)[..., 0])

    wanted = counted(Steps(lambda module, x: module.b(module.a(x))), (16, 16))
    assert (padviz.usage(Steps(body), 16).counts % wanted == 0).all()


def test_neutral_is_only_advised_where_it_helps() -> None:
    with pytest.raises(
        PadvizError, match=r"function tensordot is not known, and makes .* of 1 x 1 x 16 x 16"
    ) as error:
        padviz.usage(Steps(lambda module, x: torch.tensordot(y := module.a(x), y, ([3], [3]))), 16)
    assert "neutral" not in str(error.value)


SIZES = [(16, 16), (20, 33)]


class Deciding(nn.Module):
    """Two convolutions, and what a function of the module and its map makes between them."""

    def __init__(self, between: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.between = conv(5, padding=2), conv(padding=1), between
        self.register_buffer("strides", torch.tensor([2.0, 4.0]))
        self.times = torch.tensor(3)
        self.register_buffer("seen", torch.zeros(1, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.between(self, self.a(x)))


def each_time(module: Deciding, x: Tensor) -> Tensor:
    for _ in range(module.times):
        x = module.a(x)
    return x


def once_more(module: Deciding, x: Tensor) -> Tensor:
    module.seen += 1
    return module.a(x) if module.seen > 0 else x


def in_grids(module: Deciding, x: Tensor) -> Tensor:
    rows = torch.arange(2, device=x.device, dtype=x.dtype)
    grid = torch.stack(torch.meshgrid(rows, rows, indexing="ij")) * x.new_full(
        (1,), module.strides[1]
    )
    assert grid.max().item() == 4
    return x[:, :, int(grid[0, 1, 1]) :]


def filled(module: Deciding, x: Tensor) -> Tensor:
    whole = torch.zeros(x.shape, dtype=x.dtype)
    whole[:] = x
    return whole


def shifted(module: Deciding, x: Tensor) -> Tensor:
    whole = torch.zeros_like(x)
    whole[:, :, 1:, :] = x[:, :, :-1, :]
    return whole + x


def to_whole_strides(module: Deciding, x: Tensor) -> Tensor:
    """Pad as codecs do: by tensors, and by the length that the map has."""
    frames = torch.ceil((x.shape[3] - module.times) / module.times + 1).to(torch.int64)
    return functional.pad(x, (module.times // 2, frames * module.times - x.shape[3], 0, 1))


DECIDED: dict[str, Callable[[Deciding, Tensor], Tensor]] = {
    "item": lambda module, x: x[:, :, module.strides[1].item() // 1 == 4 :],
    "numpy": lambda module, x: x[:, :, : -int(module.strides.numpy().max())],
    "range": each_time,
    "in place": once_more,
    "grids": in_grids,
    "padding": to_whole_strides,
    "into zeros": filled,
    "a row further": shifted,
    "moved": lambda module, x: x[:, :, int(module.strides.to(x.device).to(x)[0].cpu()) :],
    "a type": lambda module, x: x[:, :, module.times.type_as(x).int() :],
}


@pytest.mark.parametrize("name", DECIDED)
def test_what_a_forward_makes_of_small_constants_is_followed(name: str) -> None:
    module = Deciding(DECIDED[name])
    before = {key: value.clone() for key, value in module.state_dict().items()}
    network = padviz.load(module)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    for size in SIZES:
        np.testing.assert_array_equal(
            padviz.usage(network, size).counts, counted(Deciding(DECIDED[name]), size)
        )


def written_by_weights(module: Deciding, x: Tensor) -> Tensor:
    kept = torch.zeros(3, 3)
    kept[:] = module.b.weight[0, 0]
    return x[:, :, int(kept[0, 0]) :]


@pytest.mark.parametrize(
    "between",
    [written_by_weights, lambda module, x: x[:, :, int(module.b.weight[0, 0, 0, 0]) :]],
    ids=["copied", "read"],
)
def test_no_weight_decides(between: Callable[[Any, Tensor], Tensor]) -> None:
    with pytest.raises(PadvizError, match=r"^Deciding: its forward fails on .* weights"):
        padviz.usage(Deciding(between), 16)


SHAPES = [(k, s, p) for k, s in product(range(1, 7), range(1, 7)) for p in range(k // 2 + 1)]


@pytest.mark.parametrize("n", range(1, 8))
def test_ceil_rounding_takes_the_inputs_that_pytorch_takes(n: int) -> None:
    longer = 0
    for kernel, stride, pad in SHAPES:
        window = Window(kernel, stride, padding=(pad, pad), ceil=True)
        image = torch.zeros((1, 1, n, n), dtype=torch.float64, requires_grad=True)
        try:
            functional.max_pool2d(image, kernel, stride, pad, ceil_mode=True)
            made = sum_pool(image, kernel, stride, pad, ceil_mode=True)
        except RuntimeError:
            with pytest.raises(SizeError):
                out_size(window, n)
            continue
        longer += n + 2 * pad < kernel
        assert out_size(window, n) == made.shape[-1]
        made.sum().backward()
        assert image.grad is not None
        rows = dense(axis_map(window, n)).sum(axis=0)
        np.testing.assert_array_equal(np.outer(rows, rows), image.grad[0, 0].numpy())
        step = {
            "op": "maxpool",
            "name": "p",
            "kernel": kernel,
            "stride": stride,
            "padding": pad,
            "ceil": True,
        }
        assert naive.usage([step], (n, n), ["p"]) == np.outer(rows, rows).tolist()
    assert longer or n > 5


WRITTEN = {
    "GELU": lambda y: 0.5 * y * (1 + torch.tanh(0.8 * (y + 0.044715 * y**3))),
    "Snake": lambda y: y + torch.sin(y) ** 2,
    "Mish": lambda y: y * torch.tanh(torch.log(1 + torch.exp(y))),
    "picked": lambda y: torch.where(y > 0, y, 0.1 * y),
    "twice": lambda y: y + y,
    "layer norm": lambda y: (
        (y - y.mean(1, keepdim=True)) / (y - y.mean(1, keepdim=True)).square().mean(1, keepdim=True)
    ),
    "einsum": lambda y: torch.einsum("nchw,nchw->nchw", y, y.exp()),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRITTEN)
def test_a_function_of_one_map_counts_it_once_in_every_format(name: str, tmp_path: Path) -> None:
    ones = torch.ones(8, 8, 3, 3)
    module = After(lambda y: y + functional.conv2d(WRITTEN[name](y), ones, padding=1)).eval()
    image = torch.rand(1, 3, 12, 12)
    to_onnx(module, tmp_path / "net.onnx", image, opset_version=13)
    program = torch.export.export(module, (image,)).module()
    for source in (module, tmp_path / "net.onnx", program):
        assert padviz.usage(source, 12).max == 9 + 81


def test_what_is_computed_from_the_size_is_converted_for_that_size_alone(tmp_path: Path) -> None:
    ones = torch.ones(8, 8, 3, 3)
    module = After(
        lambda y: functional.conv2d(
            functional.adaptive_avg_pool2d(y, max(y.shape[-1] // 4, 3)), ones
        )
    )
    network = padviz.load(module, 64)
    (tmp_path / "net.toml").write_text(to_toml(network))
    says = "# Read at 64 x 64, and fixed to it: at 96 x 96 adaptive_avg_pool differs."
    assert to_toml(network).startswith(says)
    assert padviz.usage(tmp_path / "net.toml").max == padviz.usage(network).max
    with pytest.raises(
        PadvizError, match="its height cannot be 100: the description holds at 64 x 64"
    ):
        padviz.usage(tmp_path / "net.toml", 100)
    assert padviz.usage(network, 100).max > 0
    plain = to_toml(padviz.load(nn.Sequential(conv(padding=1)), 64))
    assert plain.startswith("# Read at 64 x 64; the layers were the same at 65 x 65, 66 x 66, ")
    assert "fixed" not in plain


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(2, 2), (3, 5), (1, 3)])
def test_a_resize_that_leaves_an_axis_as_long_copies_it_unless_cubic(
    mode: str, size: tuple[int, int]
) -> None:
    """PyTorch copies it whatever the scale is; a cubic one reads its neighbours."""
    module = Steps(
        lambda module, x: functional.interpolate(module.a(x), scale_factor=1.25, mode=mode)
    )
    identity = torch.eye(size[0] * size[1]).view(-1, 1, *size)
    made = functional.interpolate(identity, scale_factor=1.25, mode=mode)
    reads = (made.flatten(1).abs() > 1e-6).sum(1).view(size)
    padded = functional.conv2d(
        reads[None, None].double(), torch.ones(1, 1, 3, 3).double(), padding=1
    )
    np.testing.assert_array_equal(padviz.usage(module, size).counts, padded[0, 0].numpy())


OUTSIDE: dict[str, Body] = {
    "a list": lambda module, x: module.a(x)[:, :, [5, 6, 7]],
    "a tensor": lambda module, x: module.a(x).index_select(3, torch.arange(4, 8)),
    "one row": lambda module, x: module.a(x)[:, :, [7]],
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_rows_that_a_smaller_map_lacks_are_refused(name: str) -> None:
    network = padviz.load(Steps(OUTSIDE[name]), 8)
    assert padviz.usage(network, 8).max > 0
    with pytest.raises(PadvizError, match="picks 7 of 7 positions"):
        padviz.usage(network, 7)
