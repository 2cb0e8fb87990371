"""Single functions of PyTorch as layers, modules that must stay as they are, and modules that make no network."""

import re
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

import padviz
from padviz.network.operations import Op, Window, place
from padviz.network.resize import Resize
from padviz.network.targets import last_maps
from padviz.nn import padded_conv2d
from padviz.sources.torch.call import RESIZES, SLIDING
from padviz.sources.torch.functions import ALONE
from padviz.sources.torch.load import load_module
from padviz.sources.torch.windows import TABLE as WINDOWS_TABLE
from tests.torch_attention import After, whole, windows
from tests.torch_calls import count

ONES = torch.ones(8, 8, 3, 3)


COUNTED: dict[str, Callable[[Tensor], Any]] = {
    "conv2d": lambda x: functional.conv2d(x, ONES, stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
    "conv2d same": lambda x: functional.conv2d(x, torch.ones(8, 8, 4, 3), padding="same"),
    "conv_transpose2d": lambda x: functional.conv_transpose2d(
        x, torch.ones(8, 4, 4, 3), None, 2, 1, (1, 0)
    ),
    "avg_pool2d": lambda x: functional.avg_pool2d(x, (3, 2), padding=(1, 0)),
    "adaptive": lambda x: functional.conv2d(functional.adaptive_avg_pool2d(x, (5, 4)), ONES),
    "repeat rows": lambda x: functional.conv2d(
        x.repeat_interleave(2, dim=2, output_size=2 * x.shape[2]), ONES
    ),
    "repeat channels": lambda x: functional.conv2d(
        x.repeat_interleave(2, dim=1), torch.ones(4, 16, 3, 2)
    ),
    "nearest by half": lambda x: functional.interpolate(x, scale_factor=(1.5, 0.5)),
    "nearest-exact": lambda x: functional.interpolate(x, size=(17, 40), mode="nearest-exact"),
    "align_corners": lambda x: functional.interpolate(
        x, size=(17, 40), mode="bilinear", align_corners=True
    ),
    "skip": lambda x: x + functional.interpolate(functional.max_pool2d(x, 2), x.shape[2:]),
    "pixel_unshuffle": lambda x: functional.pixel_unshuffle(x, 2),
    "focus": lambda x: torch.cat([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)], 1),
    "stack": lambda x: torch.stack([x, functional.avg_pool2d(x, 3, 1, 1)], 1).sum(1),
    "shuffle": lambda x: x.view(1, 2, 4, *x.shape[2:]).transpose(1, 2).reshape(x.shape),
    "channels last": lambda x: functional.linear(x.permute(0, 2, 3, 1), torch.ones(4, 8)).permute(
        0, 3, 1, 2
    ),
    "spatial attention": lambda x: (
        x * functional.conv2d(x.mean(1, keepdim=True), torch.ones(1, 1, 3, 3), padding=1)
    ),
    "in place": lambda x: functional.relu(functional.max_pool2d(x, 3, 1, 1).add_(x), inplace=True),
    "product of chunks": lambda x: torch.mul(*x.chunk(2, 1)),
    "a slice that gates another": lambda x: x[:, :4] * torch.sigmoid(x[:, 4:].relu()),
    "sum of unbound halves": lambda x: torch.add(*x.unflatten(1, (2, 4)).unbind(1)),
    "product of picked halves": lambda x: (
        x.unflatten(1, (2, 4))[:, 0] * x.unflatten(1, (2, 4))[:, -1]
    ),
    "channels in the opposite order": lambda x: (
        x + functional.max_pool2d(torch.flip(x, [1]).flip(1), 3, 1, 1)
    ),
}


@pytest.mark.parametrize("size", [(24, 32), (26, 30)], ids=str)
@pytest.mark.parametrize("name", COUNTED)
def test_functions_count_as_in_their_own_forward(name: str, size: tuple[int, int]) -> None:
    module = After(COUNTED[name])
    network = padviz.load(module, size=size)
    expected, _ = count(module, size)
    found = padviz.usage(network, size)
    np.testing.assert_array_equal(found.counts, expected.astype(np.int64))


def tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def grouped(x: Tensor) -> Tensor:
    groups = x.reshape(x.shape[0], 4, -1)
    deviation = groups - groups.mean(2, keepdim=True)
    return (deviation / deviation.square().mean(2, keepdim=True).sqrt()).reshape(x.shape)


def pooled(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 3, 1, 1)


def itself(x: Tensor) -> Tensor:
    return x


def looked_up(x: Tensor) -> Tensor:
    """The nearest vectors of a codebook, where no gradient goes."""
    book, z = torch.rand(16, 8), pooled(x).permute(0, 2, 3, 1)
    return (
        functional.embedding(torch.cdist(z.reshape(-1, 8), book).argmin(1), book)
        .view(z.shape)
        .permute(0, 3, 1, 2)
    )


SAME: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "windows": (lambda x: whole(functional.linear(windows(x).movedim(1, -1), ONES[..., 0, 0]).movedim(-1, 1)), itself),
    "windows of two maps": (lambda x: whole(windows(x) + windows(pooled(x))), lambda x: x + pooled(x)),
    "transposed": (
        lambda x: x.transpose(2, 3).flatten(2).unflatten(2, (x.shape[3], x.shape[2])).transpose(2, 3), itself
    ),
    "one channel, by its number and as a slice": (lambda x: x[:, 2].unsqueeze(1) * x[:, 2:3].sigmoid(), itself),
    "a group norm that is written out": (grouped, itself),
    "the nearest of a codebook": (looked_up, pooled),
    "a cast to bytes": (lambda x: (x * 255).byte().to(x.dtype), itself),
    "a sum along channels": (lambda x: torch.cumsum(x, 1), itself),
    "a remainder by two": (lambda x: (x % 2 + x // 2).long() & 3, itself),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_what_is_arranged_anew_and_back_is_the_same_map(name: str) -> None:
    there, plain = (
        load_module(After(lambda x, f=f: functional.max_pool2d(f(x), 3)), size=(24, 32))
        for f in SAME[name]
    )
    if name != "a group norm that is written out":  # which becomes gates
        assert there.layers == plain.layers
    np.testing.assert_array_equal(padviz.usage(there).counts, padviz.usage(plain).counts)


MARKED = "log10 exp2 sinh cosh tan atan trunc frac isnan isfinite lgamma sgn logical_not"  # by PyTorch, as pointwise


@pytest.mark.parametrize("name", [*MARKED.split(), "arctan", "logsigmoid", "int"])
def test_what_acts_on_each_position_alone_is_no_layer(name: str) -> None:
    function = next(
        f for home in (functional, torch, Tensor) if callable(f := getattr(home, name, None))
    )
    network = load_module(After(lambda x: functional.max_pool2d(function(x), 3)), size=(24, 32))
    assert [layer.name for layer in network.layers] == ["input", "conv", "max_pool"]


def _joined_windows(x: Tensor) -> Tensor:
    """Windows of a map and of its ReLU, joined before they become layers."""
    x = windows(x, 2)
    x = torch.cat([x, x.relu()], 1)
    return functional.max_pool2d(x.permute(0, 1, 4, 5, 2, 3).flatten(1, 3), 2)


def _joined_vectors(x: Tensor) -> Tensor:
    first, second = x.mean((2, 3)).chunk(2, 1)
    vector = torch.cat([first.relu(), second], 1)
    return torch.cat([x, x * vector[..., None, None]], 1)


@pytest.mark.parametrize(
    ("function", "name"), [(_joined_windows, "reshape"), (_joined_vectors, "cat_2")]
)
def test_names_count_no_layers_that_were_tried(function: Any, name: str) -> None:
    assert name in padviz.load(After(function), size=8).index


WHOLE = (
    "and",
    "or",
    "xor",
    "invert",
    "lshift",
    "rshift",
    "rlshift",
    "rrshift",
)  # functions of whole numbers
TWO = r"^channel_|^fill|^floor_|^local_|pow$|mul|mod$|div|shift$|^and$|^or$|^xor$"  # functions that read a 2 besides
BESIDE: dict[str, tuple[Any, ...]] = {  # or other arguments
    **dict.fromkeys(("alpha_dropout", "dropout", "feature_dropout", "native_dropout"), (0.5, False)),
    **dict.fromkeys(("to", "type"), (torch.float64,)),
    "arctan2": (torch.tensor(2.0),), "type_as": (torch.tensor(2.0),), "prelu": (torch.ones(4),),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted({*ALONE.split()} - {"cuda", "data", "log_sigmoid"}))
def test_a_function_that_is_said_to_act_alone_does(name: str) -> None:
    """A change at one position shows there and nowhere else."""
    homes, names = (functional, Tensor, torch), (name, f"{name}_", f"__{name}__")
    function = next(
        f for home in homes for each in names if callable(f := getattr(home, each, None))
    )

    def made(middle: float) -> Tensor:
        image = torch.full((1, 4, 3, 3), 0.25)
        image[..., 1, 1] = middle
        image = (image * 8).int() if name in WHOLE else image + (name == "arccosh")
        out = function(image, *BESIDE.get(name, (2,) if re.search(TWO, name) else ()))
        return torch.as_tensor(out[0] if isinstance(out, tuple) else out)

    changes = made(0.25) != made(0.75)
    assert changes.shape == (1, 4, 3, 3) or name == "requires_grad"
    assert changes.any(1).nonzero().tolist() in ([], [[0, 1, 1]])


def test_rows_among_channels_are_seen_at_once() -> None:
    module = After(lambda x: functional.conv1d(x.flatten(1, 2), torch.ones(4, 8 * 24, 3)))
    counts = padviz.usage(load_module(module, size=(24, 32)), unit=(0, 5)).counts
    assert np.flatnonzero(counts.any(axis=0)).tolist() == [4, 5, 6, 7, 8]
    assert counts[:, 6].min() > 0


@pytest.mark.parametrize(
    ("function", "kind", "op"),
    [
        (lambda x: functional.pixel_shuffle(x, 2), "resize", Resize(scale=Fraction(2))),
        (lambda x: functional.lp_pool2d(x, 2, 3, 2), "avgpool", Window(3, 2)),
        (lambda x: functional.max_pool2d(x, 3, 1, 1, 2), "maxpool", Window(3, 1, 2, (1, 1))),
        (lambda x: functional.unfold(x, 3, padding=1), "conv", Window(3, padding=(1, 1))),
        (
            lambda x: functional.interpolate(x, size=(12, 16), mode="bicubic"),
            "resize",
            Resize(scale=Fraction(1, 2), mode="cubic"),
        ),
    ],
)
def test_functions_become_layers(function: Callable[[Tensor], Any], kind: str, op: Op) -> None:
    layer = load_module(After(function), size=(24, 32)).layers[-1]
    assert (layer.kind, layer.ops) == (kind, (op, op))


def test_padding_of_another_mode_belongs_to_its_convolution() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.ReflectionPad2d(2)
    )
    network = padviz.load(module)
    assert [layer.name for layer in network.layers] == ["input", "0", "1"]
    assert network.layers[1].ops[0] == Window(3, padding=(1, 1), mode="reflect")
    assert network.layers[2].ops[0] == Window(1, padding=(2, 2), mode="reflect")


@pytest.mark.parametrize("ends", [(1, -2, 0, 0), (-1, 2, -2, 0), (0, 3, -2, -1), (-1, 0, 1, 1)])
def test_rows_that_a_pad_crops_are_no_padding_of_the_convolution_after_it(
    ends: tuple[int, ...],
) -> None:
    weight = torch.ones(1, 3, 3, 3)
    network = padviz.load(
        Doing(lambda x: functional.conv2d(functional.pad(x, ends), weight, padding=1)), 12
    )
    (window,) = padviz.uneven(network, 12).layers
    for axis, (before, after) in {"width": ends[:2], "height": ends[2:]}.items():
        assert window.axes[axis].used == (max(before, 0) + 1, max(after, 0) + 1)
    assert (padviz.usage(network, 12, "zero").counts == padviz.usage(network, 12).counts).all()


def joined(x: Tensor) -> Tensor:
    """The positions of two maps, side by side."""
    return torch.cat([x.flatten(2), functional.max_pool2d(x, 2).flatten(2)], 2)


def scaled(x: Tensor) -> Tensor:
    x[:, :, ::2] *= 3
    return x


UNKNOWN: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "flip": (lambda x: x.flip(1, 3), "flip: flip mirrors rows or columns; "),
    "cdist of two maps": (
        lambda x: torch.cdist(tokens(x), tokens(x)), "cdist is not known, and moves positions or joins them"
    ),
    "grid_sample": (lambda x: functional.grid_sample(x, torch.zeros(1, 4, 4, 2)), "function grid_sample is not known"),
    "mixed up": (lambda x: x.view(1, 8, x.shape[3], x.shape[2]).sqrt(), "mixes rows and columns up"),
    "beside": (lambda x: torch.cat([x, functional.max_pool2d(x, 3, 1, 1)], 2), "concatenates different maps"),
    "part": (lambda x: (x[:, :2].add_(functional.max_pool2d(x, 3, 1, 1)[:, :2]), x)[1], "part of a tensor in place"),
    "softmax along whichever dimension": (lambda x: functional.softmax(x), "softmax runs along an unknown dimension"),
    "rows that one map lacks": (
        lambda x: torch.einsum("aic,ajc->aij", x.mean(2)[0].unsqueeze(2), x[0, :, :8].permute(1, 2, 0)),
        "multiplies maps of different rows or columns",
    ),
    "a sum of scores": (
        lambda x: functional.conv2d((tokens(x) @ tokens(x).mT).sum(2).view(1, 1, 24, 32), ONES[:1, :1]),
        "reads attention scores as an image",
    ),
    "a sum along rows": (lambda x: torch.cumsum(x, 2), "cumsum sums up rows or columns"),
    "columns that are emptied": (lambda x: (x.__setitem__((..., slice(2)), 0), x)[1], "stops before it"),
    "columns that are rewritten": (lambda x: (x[..., 1:].copy_(x[..., :-1].clone()), x)[1], "stops before it"),
    "rows that are scaled": (scaled, "stops before it"),
    "rows that are scaled in place": (lambda x: (x[:, :, 2:7].mul_(2), x)[1], "mul changes a part of a tensor"),
    "a column that is set": (lambda x: (x[..., 3].__setitem__(..., 0.5), x)[1], "setitem changes a part of a tensor"),
    "rows that are activated in place": (
        lambda x: (functional.relu_(x[:, :, 2:7]), x)[1], "relu changes a part of a tensor"
    ),
    "one half of the columns gating the other": (lambda x: functional.glu(x, 3), "one half of the rows or columns"),
    "a part of what is joined": (
        lambda x: functional.conv2d(joined(x)[:, :, : x[0, 0].numel()].reshape(x.shape), ONES), "stops before it"
    ),
    "what is joined, resized": (
        lambda x: functional.interpolate(joined(x).unsqueeze(2), scale_factor=2), "stops before it"
    ),
    "one row of all positions": (
        lambda x: functional.conv2d(x.flatten(2).unsqueeze(2), ONES, padding=1), "stops before it"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_is_an_error_with_ways_out(name: str) -> None:
    function, says = UNKNOWN[name]
    network = load_module(After(function), size=(24, 32))
    assert network.notes == ()  # it is no head
    with pytest.raises(padviz.PadvizError, match=says) as error:
        padviz.usage(network)
    assert re.search(r"`layer` \w+ stops before it", str(error.value))
    assert padviz.usage(network, layer="conv").max == 9


TARGETS: dict[str, tuple[Callable[[Tensor], Any], tuple[str, ...]]] = {  # and the last maps of each
    "an unknown function in a head": (lambda x: torch.histc(x.mean((2, 3)), 4), ("conv",)),
    "classes that are picked": (
        lambda x: functional.one_hot(x.argmax(1), 5).permute(0, 3, 1, 2).to(x.dtype), ("conv",)
    ),
    "several": (
        lambda x: {"all": x, "half": [functional.max_pool2d(x, 2)], "label": x.mean()}, ("conv.output", "max_pool")
    ),
    "an angle of two maps": (lambda x: torch.atan2(x, pooled(x)), ("atan2",)),
    "one of them flattened": (lambda x: (functional.max_pool2d(x, 2), x.flatten(1)), ("max_pool",)),
    "gated by a vector's norm": (lambda x: x / torch.linalg.vector_norm(x, 2, (2, 3), keepdim=True), ("div",)),
}  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_last_maps_and_gates_are_found(name: str) -> None:
    function, lasts = TARGETS[name]
    network = load_module(After(function), size=(24, 32))
    assert network.targets == (() if len(lasts) > 1 else lasts)
    assert set(last_maps(network)) == {*lasts}
    assert network.gates == (lasts if name.startswith("gated") else ())


def test_an_unknown_function_can_be_called_neutral() -> None:
    assert padviz.load(After(torch.lgamma), neutral=["lgamma"], size=(24, 32)).targets == ("conv",)


@pytest.mark.parametrize("broken", [False, True])
def test_the_module_is_left_alone(broken: bool) -> None:
    """Neither its tensors, modes and hooks, nor what it counts when it is called."""

    class Marks(nn.Sequential):
        calls = int(broken)

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            if self.calls > 1:
                raise RuntimeError("called twice")
            return super().forward(x) * self.plain

    def state() -> Any:
        tensors = module.state_dict(keep_vars=True).items()
        kept = {
            name: (id(tensor), tensor.tolist(), tensor.requires_grad) for name, tensor in tensors
        }
        modes = [(each.training, [*each._forward_hooks]) for each in module.modules()]
        everywhere = nn.modules.module
        return (
            kept,
            modes,
            module.calls,
            [*everywhere._global_forward_hooks, *everywhere._global_forward_pre_hooks],
        )

    module = Marks(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).train()
    module.plain = torch.ones(8, 1, 1)
    module[0].requires_grad_(False).eval().register_forward_hook(lambda *args: None)
    before = state()
    if broken:
        with pytest.raises(padviz.PadvizError, match="RuntimeError: called twice"):
            padviz.load(module)
    else:
        assert padviz.load(module).targets == ("0",)
    assert state() == before


class Doing(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *images: Tensor) -> Any:
        return self.function(*images)


class Doubles(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.cat([x, x], 1))


NONE: dict[str, tuple[nn.Module, str]] = {
    "too many channels": (
        Doubles(11, 4, 3), r"on 11 x 224 x 224: .*a convolution of 11 channels is given 22 \(.*, line \d+\); .*say its channels"
    ),
    "two images": (Doing(lambda x, y: x + y), "Doing: its forward fails on 3 x 224 x 224: TypeError: .*missing 1 requ"),
    "no map": (Doing(lambda x: {"a": "text", 3: None}), "Doing: no output is made of a spatial layer"),
    "values": (Doing(lambda x: x if x.sum() > 0 else -x), "Doing: bool takes a branch by the values of the image"),
    "targets": (
        nn.Sequential(OrderedDict(backbone=nn.Conv2d(3, 3, 3), losses=nn.Linear(5, 6))),
        r"forward fails.*attribute \.backbone may be",
    ),
    "a predictor": (torch.jit.trace(nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 9, 9)), r"and not a torch\.nn\.Module"),
}  # fmt: skip


@pytest.mark.parametrize("name", NONE)
def test_modules_that_make_no_network_get_one_line(name: str) -> None:
    module, says = NONE[name]
    with pytest.raises(padviz.PadvizError, match=says) as error:
        padviz.load(module)
    assert "\n" not in str(error.value)


def test_numbers_that_follow_a_size_are_kept_in_no_cache() -> None:
    """What partial convolution weighs by is asked of caches that all networks share."""

    def same(x: Any) -> Any:
        rows, cols = (max((-(-n // 7) - 1) * 7 + 9 - n, 0) for n in x.shape[-2:])
        pads = ((rows // 2, rows - rows // 2), (cols // 2, cols - cols // 2))
        return padded_conv2d(
            x, torch.ones(1, 3, 9, 9), stride=7, pads=pads, schemes=("partial", "partial")
        )

    assert padviz.load(Doing(same), size=(61, 61)).layers[1].ops[0] == Window(
        9, 7, padding=(2, 2), mode="partial"
    )
    assert {type(n) for n in place(Window(9, 7, padding=(2, 2)), 61)} == {int}


def test_merges_of_linear_layers_are_followed_once_each() -> None:
    """Thirty residual blocks of layers over tokens: following both branches of each would take 2^30 steps."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.over = nn.Linear(64, 64)

        def forward(self, x: Tensor) -> Tensor:
            return x + x * self.over(x.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]

    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.blocks = (
                nn.Conv2d(3, 8, 4, 4),
                nn.Sequential(*(Block() for _ in range(30))),
            )

        def forward(self, x: Tensor) -> Tensor:
            return self.blocks(self.stem(x).flatten(2).transpose(1, 2))  # type: ignore[no-any-return]

    assert len(padviz.load(Mixer(), 32).layers) > 30


# These read no windows of a map's neighbours, or make a map of a vector in a way of their own.
OTHER_LAYERS = {"fold", "max_unpool", "pixel_unshuffle", "repeat_interleave"}


def test_each_window_is_known_to_slide() -> None:
    """A vector that was spread over a map is followed through windows only if they are known to slide."""
    names = {name for names in WINDOWS_TABLE for name in names.split()}
    assert names - SLIDING - RESIZES == OTHER_LAYERS


def relative(logits: Tensor, height: int, width: int) -> Tensor:
    """Relative positions of attention, shifted by pads of flattened rows, as BoTNet has them."""
    padded = functional.pad(logits.reshape(-1, width, 2 * width - 1), [0, 1]).flatten(1)
    padded = functional.pad(padded, [0, width - 1]).reshape(-1, width + 1, 2 * width - 1)
    shifted = padded[:, :width, width - 1 :].reshape(-1, height, 1, width, width)
    return shifted.expand(-1, -1, height, -1, -1).permute(0, 1, 3, 2, 4)


def attending(places: bool) -> nn.Module:
    def run(x: Tensor) -> Tensor:
        _, _, h, w = x.shape
        heads = x.reshape(2, 4, h * w).mT
        scores = heads @ heads.mT
        if places:
            logits = heads.reshape(2, h, w, 4) @ torch.ones(4, 2 * w - 1)
            scores = scores + relative(logits, h, w).reshape(2, h * w, h * w)
        return (scores.softmax(-1) @ heads).mT.reshape(x.shape)

    return After(run)


def test_pads_of_vectors_in_attention_make_no_map() -> None:
    counts = [padviz.usage(attending(places), 8).counts for places in (True, False)]
    np.testing.assert_array_equal(*counts)
