"""What is copied, put into a batch, convolved along channels, or by computed kernels: modules and their files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from tests.sources.test_onnx_ops import model_of
from tests.torch_attention import After, check_supports
from tests.torch_calls import conv, counted, to_onnx

SIZE, OTHER = (12, 16), (20, 18)
Function = Callable[[Tensor], Tensor]


def rand(x: Tensor, *shape: int) -> Tensor:
    return torch.rand(shape).to(x)


def strips(x: Tensor) -> tuple[Tensor, Tensor]:
    return functional.adaptive_avg_pool2d(x, (None, 1)), functional.adaptive_avg_pool2d(
        x, (1, None)
    )


def bottleneck(x: Tensor) -> Tensor:
    """A fully connected layer that makes an image again."""
    made = functional.linear(x.flatten(1), rand(x, 2 * 12 * 16, 8 * 12 * 16))
    return functional.conv2d(made.view(1, 2, 12, 16), rand(x, 3, 2, 3, 3), padding=1)


SPREAD: dict[str, Function] = {
    "expand_as": lambda x: x * sum(each.expand_as(x) for each in strips(x)).sigmoid(),
    "expand": lambda x: x + strips(x)[0].expand(-1, -1, -1, x.shape[3]),
    "repeat": lambda x: x + strips(x)[1].repeat(1, 1, x.shape[2], 1),
    "repeat channels": lambda x: functional.conv2d(x.repeat(1, 2, 1, 1), rand(x, 2, 16, 3, 3)),
    "broadcast": lambda x: x * sum(strips(x)).sigmoid(),
    "a vector": lambda x: x + functional.conv2d(
        functional.adaptive_avg_pool2d(x, 1).expand_as(x), rand(x, 8, 8, 1, 1)
    ),
}  # fmt: skip


def both(join: Callable[[Tensor, Tensor], Tensor], then: Function) -> Function:
    """A convolution of a batch of two, of which a function takes what it needs."""
    return lambda x: then(
        functional.conv2d(join(x, torch.ones_like(x)), rand(x, 4, 8, 3, 3), None, 2, 1)
    )


def behind(x: Tensor, other: Tensor) -> Tensor:
    return torch.cat([other, x])


def smooth(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, 1, 1)


BATCHES: dict[str, Function] = {
    "in front": both(lambda x, other: torch.cat([x, other]), lambda two: two.chunk(2)[0]),
    "behind": both(behind, lambda two: two[1:]),
    "stacked": both(
        lambda x, other: torch.stack([other[0], x[0]]), lambda two: two.unbind(0)[1][None]
    ),
    "beside a constant": both(behind, lambda two: smooth(two[:1]) + two[1:]),
    "as channels": both(
        behind, lambda two: functional.conv2d(two.flatten(0, 1)[None], rand(two, 2, 8, 3, 3))
    ),
}


def frames(x: Tensor, *kernel: int, **options: int) -> Tensor:
    return functional.conv3d(x[:, :, None], rand(x, 8, 8, *kernel), **options)


AMONG_CHANNELS: dict[str, Function] = {
    "each row": lambda x: functional.conv2d(
        x.transpose(1, 2), rand(x, x.shape[2], 1, 3, 5), padding=(1, 2), groups=x.shape[2]
    ).transpose(1, 2),
    "along channels": lambda x: functional.conv3d(
        x[:, None], rand(x, 2, 1, 4, 1, 3), None, (2, 1, 2), (1, 0, 1)
    ).flatten(1, 2),
    "a padded frame": lambda x: frames(x, 3, 3, 3, padding=1).squeeze(2),
    "pooled with channels": lambda x: functional.avg_pool2d(x.transpose(1, 2), (2, 3), (2, 2)).transpose(1, 2),
    "columns in the batch": lambda x: functional.conv2d(
        x.permute(0, 3, 2, 1).flatten(0, 1)[:, None], rand(x, 1, 1, 3, 8), padding=(1, 0)
    ).unflatten(0, (1, x.shape[3]))[:, :, 0].permute(0, 3, 2, 1),
}  # fmt: skip


def correlated(x: Tensor) -> Tensor:
    """Correlations of each position with a constant map, pooled and sampled at places that each position makes."""
    n, c, h, w = x.shape
    found = (x.flatten(2).mT @ rand(x, c, 24)).reshape(n * h * w, 1, 4, 6)
    pooled = functional.avg_pool2d(functional.max_pool2d(found, (1, 2)), 2, 1)
    places = x[:, :2].permute(0, 2, 3, 1).reshape(n * h * w, 1, 1, 2).sigmoid() + torch.zeros(
        1, 2, 2, 2
    ).to(x)
    sampled = functional.grid_sample(pooled, places, align_corners=True)
    return functional.avg_pool2d(sampled.view(n, h, w, 4).permute(0, 3, 1, 2), 3, 2, 1)


def warped(x: Tensor) -> Tensor:
    """A constant image that is sampled where the map says."""
    return functional.grid_sample(
        rand(x, 1, 3, 9, 9), x[:, :2].tanh().permute(0, 2, 3, 1), align_corners=True
    )


FILES = SPREAD | BATCHES | {"a padded frame": AMONG_CHANNELS["a padded frame"]}
FUNCTIONS = SPREAD | BATCHES | AMONG_CHANNELS | {"correlated": correlated, "warped": warped}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_single_units_see_what_their_gradients_say(name: str) -> None:
    module = After(FUNCTIONS[name])
    network = padviz.load(module, size=SIZE)
    for size in (SIZE, OTHER):
        check_supports(module, network, size)


def test_what_a_fully_connected_layer_makes_sees_everything() -> None:
    module = After(bottleneck)
    check_supports(module, padviz.load(module, size=SIZE), SIZE)


def exported(module: nn.Module, folder: Path, size: tuple[int, ...] = (3, *SIZE)) -> Path:
    return to_onnx(module, folder / "net.onnx", torch.rand(1, *size), opset_version=17)


@pytest.mark.parametrize("name", FILES)
def test_files_count_as_their_modules(name: str, tmp_path: Path) -> None:
    module = After(FILES[name])
    file, plain = (padviz.usage(each, SIZE).counts for each in (exported(module, tmp_path), module))
    np.testing.assert_array_equal(file, plain)


def coordinates(x: Tensor) -> Tensor:
    """Coordinate attention: pooled rows and pooled columns as one dimension."""
    rows, columns = strips(x)
    both = functional.relu(torch.cat([rows, columns.transpose(2, 3)], 2))
    return (
        x * both[:, :, : x.shape[2]].sigmoid() * both[:, :, x.shape[2] :].transpose(2, 3).sigmoid()
    )


def patches(x: Tensor) -> Tensor:
    """Patches as a batch, each convolved with its own padding."""
    n, c, h, w = x.shape
    parts = x.view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, c, 4, 4)
    return functional.conv2d(parts, rand(x, 8, 8, 3, 3), padding=1)


REFUSED: dict[str, tuple[Function, str]] = {
    "coordinate attention": (
        coordinates,
        "concatenates rows with columns, as coordinate attention does",
    ),
    "patches": (
        patches,
        "convolves inside of windows, each padded by itself|reads parts of an image as a batch",
    ),
    "a slice of several maps": (
        both(lambda x, _: torch.cat([x, smooth(x)]), lambda two: two[:1]),
        r"picks some of a batch of several maps; `layer` conv\w* stops before it",
    ),
    "several frames of one": (
        lambda x: frames(x, 1, 1, 1, padding=1)[:, :, 1],
        "makes several positions of one along an axis that the image lacks",
    ),
    "rows as channels": (
        lambda x: functional.conv2d(x.transpose(1, 2), rand(x, 4, 12, 3, 3)).transpose(1, 2),
        "conv2d reads height or width as channels; `layer` conv stops",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_followed_is_refused_by_name(name: str, tmp_path: Path) -> None:
    function, said = REFUSED[name]
    module = After(function)
    sources = (
        [module, exported(module, tmp_path)]
        if name in ("coordinate attention", "patches")
        else [module]
    )
    for source in sources:
        with pytest.raises(padviz.PadvizError, match=said):
            padviz.usage(source, SIZE)


# of a map, the vector of its means, and a layer that makes 8 x 72
Made = Callable[[Tensor, Tensor, nn.Linear], Tensor]


KERNELS: dict[str, Made] = {
    "depthwise": lambda y, v, lin: functional.conv2d(
        y, lin(v).view(8, 1, 3, 3), padding=1, groups=8
    ),
    "linear": lambda y, v, lin: functional.linear(y.permute(0, 2, 3, 1), lin(v)[0, :64].view(8, 8)),
    "codebook": lambda y, v, lin: functional.embedding(y.argmax(1), lin(v).view(8, 9)).permute(
        0, 3, 1, 2
    ),
    "bias": lambda y, v, lin: functional.conv2d(y, lin.weight[:8].view(8, 8, 1, 1), lin(v)[0, :8]),
}


class Computed(nn.Module):
    def __init__(self, made: Made) -> None:
        super().__init__()
        self.conv, self.lin, self.made = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 72), made

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.made(y, y.mean((2, 3)), self.lin)


@pytest.mark.parametrize("name", KERNELS)
def test_no_tile_is_exact_where_a_kernel_is_computed(name: str) -> None:
    module = Computed(KERNELS[name]).double()
    image = torch.rand(1, 3, 24, 32, dtype=torch.float64, requires_grad=True)
    module(image)[..., 5].sum().backward()
    assert image.grad is not None
    assert image.grad[0, 0].all()  # it is global indeed
    with pytest.raises(PadvizError, match=r"no tiles are exact: .*(gate|global pooling)"):
        padviz.tiles(module, 96, 48)


def test_a_computed_kernel_counts_as_any_other() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = conv(padding=1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            ones = y.detach().mean((2, 3)).mul(0).add(1) if x.requires_grad else y.mean((2, 3))
            return functional.conv2d(y, ones.view(1, 1, 1, 1).expand(1, 1, 3, 3), padding=1)

    network = padviz.load(Twice(), size=(12, 16))
    assert network.gates == ("conv.gate",)
    assert (padviz.usage(network, size=(12, 16)).counts == counted(Twice(), (12, 16))).all()


def test_a_vector_that_becomes_an_image_needs_no_batch() -> None:
    def layers(*shape: int) -> list[tuple[object, ...]]:
        image = Computed(
            lambda y, v, lin: functional.conv2d(
                lin(v).view(shape), lin.weight.view(8, 8, 3, 3), padding=1
            )
        )
        return [
            (layer.name, layer.ops, layer.channels) for layer in padviz.load(image, size=24).layers
        ]

    assert layers(8, 3, 3) == layers(1, 8, 3, 3)


BY_VALUES: dict[str, tuple[Made, str]] = {
    "a map": (
        lambda y, v, lin: functional.conv2d(y[:, :1], y[0, :, None, :3, :3]),
        "conv2d has a kernel computed from a feature map",
    ),
    "picked": (
        lambda y, v, lin: y[:, v[0].topk(3).indices],
        "picks channels by the values of a map",
    ),
}


@pytest.mark.parametrize("name", BY_VALUES)
def test_kernels_and_channels_by_the_values_of_a_map_are_refused(name: str) -> None:
    made, says = BY_VALUES[name]
    with pytest.raises(PadvizError, match=says):
        padviz.usage(Computed(made), size=24)


def test_a_graphs_computed_kernel_is_a_gate(tmp_path: Path) -> None:
    body = """a = Conv <pads = [1, 1, 1, 1]> (x, w3x3)\n p = GlobalAveragePool (a)\n k = Conv (p, f1x1x9)
 w = Reshape (k, [1, 1, 3, 3])\n y = Conv <pads = [1, 1, 1, 1]> (a, w)"""
    onnx.save(model_of(body, 17), path := tmp_path / "net.onnx")
    network, twice = (
        padviz.load(path, size=(24, 32)),
        nn.Sequential(conv(padding=1), conv(padding=1)),
    )
    with pytest.raises(PadvizError, match=r"no tiles are exact: .*(gate|global pooling)"):
        padviz.tiles(network, 96, 48)
    assert (padviz.usage(network, size=24).counts == counted(twice, (24, 24))).all()


class Gated(nn.Module):
    """A layer over the positions of a map, whose halves, or those of two layers, gate each other."""

    def __init__(self, hidden: int, gate: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.both, self.out = (
            nn.Conv2d(3, 8, 3, padding=1),
            nn.Linear(64, 2 * hidden),
            nn.Linear(hidden, 64),
        )
        self.one, self.other, self.gate = nn.Linear(64, hidden), nn.Linear(64, hidden), gate

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y + self.out(self.gate(self, y.flatten(2))).view_as(y)


GATED: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "two layers": lambda net, tokens: net.one(tokens) * net.other(tokens).sigmoid(),
    "halves": lambda net, tokens: (lambda one, other: one * other.sigmoid())(
        *net.both(tokens).chunk(2, -1)
    ),
    "slices": lambda net, tokens: (
        net.both(tokens)[..., : net.one.out_features]
        * net.both(tokens)[..., net.one.out_features :].tanh()
    ),
    "glu": lambda net, tokens: functional.glu(net.both(tokens)),
}


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("hidden", [64, 60, 128])
def test_a_gated_layer_over_positions_has_one_count_in_every_spelling(
    name: str, hidden: int, tmp_path: Path
) -> None:
    module = Gated(hidden, GATED[name])
    sources = [module, *([exported(module, tmp_path, (3, 8, 8))] if hidden == 64 else [])]
    for source in sources:
        # each position itself, and all of them twice
        assert padviz.usage(source, 8).max == 9 * (1 + 2 * 64)


@pytest.mark.parametrize("hidden", [64, 60])
def test_a_layer_over_positions_sees_each_once_whatever_its_hidden_size(hidden: int) -> None:
    module = Gated(hidden, lambda net, tokens: net.one(tokens).relu())
    assert padviz.usage(module, 8).max == 9 * (1 + 64)


class Read(nn.Module):
    """Rows that were joined to channels, read one after the other."""

    def __init__(self, kind: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.conv, self.read = nn.Conv2d(3, 4, 3, padding=1), kind(4 * 12, 6)

    def forward(self, x: Tensor) -> Any:
        return self.read(self.conv(x).flatten(1, 2).permute(2, 0, 1))[0]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_file_refuses_a_recurrence_as_its_module_does(
    kind: Callable[..., nn.Module], tmp_path: Path
) -> None:
    for source in (Read(kind), exported(Read(kind), tmp_path)):
        with pytest.raises(
            PadvizError, match=r"sees only what comes before each position; `layer` .* stops"
        ):
            padviz.usage(source, SIZE)


def separable(x: Tensor) -> Tensor:
    """Separable attention over patches, as MobileViTv2 has it: the places in a patch, and the patches, as an image."""
    n, c, h, w = x.shape
    patches = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(n, c, 4, -1)
    scores, keys, values = functional.conv2d(patches, rand(x, 1 + 2 * c, c, 1, 1)).split(
        [1, c, c], 1
    )
    context = (keys * scores.softmax(-1)).sum(-1, keepdim=True)
    made = functional.conv2d(values.relu() * context.expand_as(values), rand(x, c, c, 1, 1))
    return made.reshape(n, c, 2, 2, h // 2, w // 2).permute(0, 1, 4, 2, 5, 3).reshape(x.shape)


def test_patches_as_an_image_are_gated_by_their_context() -> None:
    network = padviz.load(After(separable), size=SIZE)
    assert len(network.gates) == 1
    wanted = counted(nn.Sequential(conv(padding=1)), SIZE)
    np.testing.assert_array_equal(padviz.usage(network, SIZE).counts, wanted)


def test_blocks_as_wide_as_the_map_are_channels() -> None:
    """A convolution of one tap, behind blocks of 2 x 2 that leave one column, makes as many channels as it reads."""

    def blocks(x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        parts = (
            x[:, :1]
            .reshape(n, 1, h // 2, 2, w // 2, 2)
            .permute(0, 1, 3, 5, 2, 4)
            .reshape(n, 4, h // 2, w // 2)
        )
        return functional.conv2d(parts, rand(x, 4, 4, 1, 1))

    for size in ((8, 6), (8, 2)):
        wanted = counted(nn.Sequential(conv(padding=1), nn.AvgPool2d(2, divisor_override=1)), size)
        np.testing.assert_array_equal(padviz.usage(After(blocks), size).counts, wanted)


@pytest.mark.parametrize("op", ["Concat", "Add"])
def test_a_file_joins_no_channels_of_other_sizes(op: str, tmp_path: Path) -> None:
    body = f"a = Conv (x, w3x3)\n b = Conv (x, w3x5)\n y = {op} {'<axis = 1>' if op == 'Concat' else ''} (a, b)"
    onnx.save(model_of(body, 17), path := tmp_path / "net.onnx")
    network = padviz.load(path, size=8)
    if op == "Add":  # a column of one is broadcast
        assert padviz.usage(network, (8, 5)).max > 0
    with pytest.raises(PadvizError):
        padviz.usage(network, (8, 5) if op == "Concat" else (8, 6))
