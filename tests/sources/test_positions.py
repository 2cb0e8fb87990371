"""Positions that move, and what mixes them: windows, grids and rolls, tokens, recurrences, queries apart."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.swin_transformer import (
    PatchMergingV2,
    SwinTransformer,
    SwinTransformerBlockV2,
)

import padviz
from tests.torch_attention import (
    After,
    Attending,
    attended,
    check_supports,
    in_windows,
    whole,
    windows,
)
from tests.torch_calls import count, to_onnx


class Swin(nn.Module):
    """What a small Swin makes, with channels first."""

    def __init__(self, version: int) -> None:
        super().__init__()
        parts = (
            {"block": SwinTransformerBlockV2, "downsample_layer": PatchMergingV2}
            if version == 2
            else {}
        )
        net = SwinTransformer([4, 4], 8, [2, 2], [2, 2], window_size=[4, 4], **parts)  # type: ignore[arg-type]
        self.net = net.features

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


@pytest.mark.parametrize("size", [(64, 96), (52, 92)])  # the second is no multiple of windows
@pytest.mark.parametrize("version", [1, 2])
def test_networks_see_and_count_what_their_own_forwards_do(
    version: int, size: tuple[int, int]
) -> None:
    module = Swin(version)
    network = padviz.load(module, size=size)
    check_supports(module, network, size)
    expected, _ = count(module.double(), size, counting=Attending())
    np.testing.assert_array_equal(padviz.usage(network, size).counts, expected)


def merged_patches(x: Tensor) -> Tensor:
    """Blocks of 2 x 2 positions as channels, as Swin merges them: (n, rows, columns, channels)."""
    n, c, h, w = x.shape
    return (
        x.permute(0, 2, 3, 1)
        .reshape(n, h // 2, 2, w // 2, 2, c)
        .permute(0, 1, 3, 4, 2, 5)
        .flatten(3)
    )


def test_a_norm_over_places_of_a_block_leaves_each_block_alone(tmp_path: Path) -> None:
    def merged(x: Tensor) -> Tensor:
        return functional.linear(
            functional.layer_norm(merged_patches(x), [32]), torch.rand(5, 32).to(x)
        )

    module = After(lambda x: merged(x).permute(0, 3, 1, 2))
    network = padviz.load(module, size=(24, 32))
    check_supports(module, network, (24, 32))
    padviz.tiles(network, 96, 48)
    path = to_onnx(
        module.float(), tmp_path / "net.onnx", torch.rand(1, 3, 24, 32), opset_version=17
    )
    assert not any(layer.everywhere for layer in padviz.load(path, size=(24, 32)).layers)


def test_a_norm_over_blocks_that_are_put_back_is_not_local() -> None:
    def put_back(x: Tensor) -> Tensor:
        return whole(functional.layer_norm(windows(x).movedim(1, -1), [4, 4, 8]).movedim(-1, 1))

    with pytest.raises(padviz.PadvizError, match=r"no tiles are exact: layer_norm \(layer norm\)"):
        padviz.tiles(After(lambda x: functional.avg_pool2d(put_back(x), 1, 2)), 96, 48)


def in_a_grid(x: Tensor, side: int = 4) -> Tensor:
    """Attention of positions that are as far apart as `side` of them leave, as in MaxViT."""
    n, c, h, w = x.shape
    grid = x.view(n, c, side, h // side, side, w // side).permute(0, 3, 5, 2, 4, 1)
    seen = attended(grid.flatten(3, 4)).unflatten(3, (side, side))
    return seen.permute(0, 5, 3, 1, 4, 2).reshape(x.shape)


def rolled(
    x: Tensor, hide: Callable[[Tensor, Tensor], Tensor] = torch.add, side: int = 4
) -> Tensor:
    """Attention in windows of a rolled image, with what hides positions that are no neighbours in the image itself."""
    rows, cols = (
        (torch.arange(n) >= n - moved).int() for n, moved in zip(x.shape[2:], (3, 2), strict=True)
    )
    sides = windows((2 * rows[:, None] + cols)[None, None], side).flatten(4)[:, 0]
    hidden = sides.unsqueeze(-1) != sides.unsqueeze(-2)

    def attend(tokens: Tensor) -> Tensor:
        return hide(tokens @ tokens.transpose(-1, -2) / 100, hidden).softmax(-1) @ tokens

    return torch.roll(in_windows(torch.roll(x, (-3, -2), (2, 3)), attend, side), (3, 2), (2, 3))


def added(scores: Tensor, hidden: Tensor) -> Tensor:
    return scores + hidden * -100.0


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "roll": lambda x: torch.roll(x, (5, -3), (2, 3)),
    "rows from the front put behind": lambda x: torch.cat([x[:, :, 7:], x[:, :, :7]], 2),
    "a mirrored slice of mirrored rows as padding": lambda x: torch.cat(
        [x, x.flip(3)[..., 1:4]], 3
    ),
    "the first rows repeated behind a crop": lambda x: torch.cat(
        [x[:, :, 1:2], x[:, :, 1:2], x[:, :, 1:]], 2
    ),
    "zeros behind a crop on both axes": lambda x: torch.cat(
        [x[:, :, 2:, 1:], torch.zeros_like(x[:, :, :3, 1:])], 2
    ),
    "rows picked as padding": lambda x: x[:, :, [1, 0, *range(x.shape[2]), -1]],
    "places of windows in another order": lambda x: (
        windows(x)
        .flatten(4)[..., [*range(15, -1, -2), *range(0, 15, 2)]]
        .permute(0, 1, 4, 2, 3)
        .flatten(1, 2)
    ),
    "softmax in rows of windows": lambda x: whole(windows(x).softmax(4)),
    "linear in windows": lambda x: in_windows(
        x, lambda t: functional.linear(t.mT, torch.rand(16, 16).to(t)).mT
    ),
    "attention in windows": in_windows,
    "attention in windows of images": lambda x: in_windows(functional.max_pool2d(in_windows(x), 2)),
    "attention in a grid": in_a_grid,
    "attention in windows that wrap": lambda x: rolled(x, lambda scores, hidden: scores),
    "a mask that is added": lambda x: rolled(x, added),
    "a mask that picks": lambda x: rolled(
        x, lambda scores, hidden: torch.where(hidden, -torch.inf, scores)
    ),
    "a mask that picks in bfloat16": lambda x: rolled(
        x, lambda scores, hidden: torch.where(hidden, torch.tensor(-torch.inf).bfloat16(), scores)
    ),
}


@pytest.mark.parametrize("size", [(8, 32), (24, 8)])
def test_a_single_window_of_a_rolled_map_is_cut_as_others_are(size: tuple[int, int]) -> None:
    module = After(lambda x: rolled(x, added, 8))
    check_supports(module, padviz.load(module, size=size), size)


def test_a_mask_that_windows_do_not_have_is_refused() -> None:
    def masked(tokens: Tensor) -> Tensor:
        mask = torch.zeros(16, 16)
        mask[:, 3] = -100
        return (tokens @ tokens.mT + mask).softmax(-1) @ tokens

    with pytest.raises(padviz.PadvizError, match="masks attention in another way than windows do"):
        padviz.usage(padviz.load(After(lambda x: in_windows(x, masked)), size=(24, 32)))


def test_maxima_that_are_put_back_may_go_to_all_places_of_their_window() -> None:
    """Which of them, the maxima decide: each place is asked by images of which it has the largest."""

    def put_back(x: Tensor) -> Tensor:
        maxima, places = functional.max_pool2d(x[:, :, :, 1:], 2, return_indices=True)
        return functional.max_unpool2d(maxima, places, 2, output_size=x[:, :, :, 1:].shape)

    network = padviz.load(After(put_back), size=(8, 10))
    for unit, seen in {
        (0, 0): (slice(0, 3), slice(0, 4)),
        (7, 7): (slice(5, 8), slice(6, 10)),
    }.items():
        expected = np.zeros((8, 10), dtype=bool)
        expected[seen] = True
        np.testing.assert_array_equal(
            padviz.usage(network, (8, 10), unit=unit).counts > 0, expected
        )
    assert padviz.usage(network, (8, 10), unit=(0, 8)).max == 0  # no window had it


def test_halves_of_one_layer_whose_positions_are_mixed_count_as_two_layers() -> None:
    mix = nn.Linear(64, 64)

    def mixed(x: Tensor) -> Tensor:
        return mix(x.flatten(2)).unflatten(2, (8, 8))

    def counts(function: Callable[[Tensor], Tensor]) -> np.ndarray:
        return padviz.usage(padviz.load(After(function), size=(8, 8)), 8).counts

    twice = counts(lambda x: torch.mul(*(mixed(half) for half in x.chunk(2, 1))))
    np.testing.assert_array_equal(counts(lambda x: torch.mul(*mixed(x).chunk(2, 1))), twice)
    assert (
        counts(lambda x: torch.mul(x[:, :4], mixed(x[:, 4:]))).tolist()
        == (counts(torch.relu) + twice // 2).tolist()
    )


def test_a_roll_and_blocks_of_the_same_rows_are_two_layers() -> None:
    module = After(
        lambda x: torch.cat(
            [functional.pixel_unshuffle(x, 2), functional.avg_pool2d(x.roll((2, 2), (2, 3)), 2)], 1
        )
    )
    check_supports(module, padviz.load(module, size=(16, 24)), (16, 24))


SIZE = (24, 32)


def beside_a_token(x: Tensor) -> Tensor:
    """Attention of all positions with a token beside them, which is taken away, then a window."""
    token, tokens = torch.ones(1, 1, 8).to(x), x.flatten(2).mT
    return smoothed(attended(torch.cat([token, tokens], 1))[:, 1:], x)


def and_a_token_behind(x: Tensor) -> Tensor:
    """Attention of all positions with a token behind them, which is added to a window over each."""
    count = x.shape[2] * x.shape[3]
    tokens = attended(torch.cat([x.flatten(2).mT, torch.ones(1, 1, 8).to(x)], 1))
    return smoothed(tokens[:, :count], x) + tokens[:, count:].mT[..., None]


def smoothed(tokens: Tensor, x: Tensor) -> Tensor:
    return functional.avg_pool2d(tokens.mT.reshape(x.shape), 3, 1, 1)


def written(tokens: Tensor, mask: Tensor) -> Tensor:
    return (tokens @ tokens.mT / 100 + mask).softmax(-1) @ tokens


def called(tokens: Tensor, mask: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(
        tokens, tokens, tokens, mask.to(tokens), scale=0.01
    )


def in_one_window(x: Tensor, attend: Callable[[Tensor, Tensor], Tensor] = written) -> Tensor:
    """Attention in a rolled image that is one window, whose parts do not see each other."""
    rows, cols = (torch.arange(n) for n in x.shape[2:])
    sides = ((rows >= x.shape[2] - 3).int() * 2)[:, None] + (cols >= x.shape[3] - 2).int()
    tokens, parts = torch.roll(x, (-3, -2), (2, 3)).flatten(2).mT, sides.flatten()
    seen = attend(tokens, (parts[:, None] != parts) * -100.0)
    return torch.roll(seen.mT.reshape(x.shape), (3, 2), (2, 3))


OUTLOOK = torch.rand(9 * 9, 8) - 0.5


def outlook(x: Tensor) -> Tensor:
    """Attention in windows that overlap, by scores that are made of their centres, as in VOLO."""
    windows = functional.unfold(x, 3, padding=1, stride=2).unflatten(1, (8, 9)).permute(0, 3, 2, 1)
    centres = functional.avg_pool2d(x, 2).flatten(2).mT
    scores = functional.linear(centres, OUTLOOK.to(x)).unflatten(2, (9, 9)).softmax(-1)
    seen = (scores @ windows).permute(0, 3, 2, 1).flatten(1, 2)
    return functional.fold(seen, x.shape[2:], 3, padding=1, stride=2)


def over_runs(x: Tensor) -> Tensor:
    """Attention of all positions to runs of them, each pooled, as in Next-ViT."""
    tokens = x.flatten(2)
    runs = functional.avg_pool1d(tokens, 16).tanh().mT
    return functional.scaled_dot_product_attention(tokens.mT, runs, runs).mT.reshape(x.shape)


class Recurrence(nn.Module):
    """A recurrence along rows, both ways, or its last states beside each of its steps."""

    def __init__(self, kind: type[nn.RNNBase], layers: int = 1, last: bool = False) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 8, 3, 2, 1), last
        self.down = kind(8, 4, layers, bidirectional=True, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        down, states = self.down(x.permute(0, 3, 2, 1).flatten(0, 1))
        return x + (
            states.permute(0, 2, 1).reshape(1, 8, 1, -1)
            if self.last
            else down.permute(2, 1, 0)[None]
        )


def by_relative_positions(x: Tensor) -> Tensor:
    """Attention of pooled positions, with terms that queries make for each row and column, as in MViT."""
    queries, keys = functional.avg_pool2d(x, 2), functional.avg_pool2d(x, 4)
    n, c, h, w = queries.shape
    high, wide = keys.shape[2:]
    scores = queries.flatten(2).mT @ keys.flatten(2) / 100
    rows = torch.einsum("nchw,kc->nhwk", queries / 100, torch.rand(high, 8).to(x)).unsqueeze(-1)
    columns = torch.einsum("nchw,kc->nhwk", queries / 100, torch.rand(wide, 8).to(x)).unsqueeze(-2)
    scores[:, 0:] = (scores.view(n, h, w, high, wide) + rows + columns).view(scores.shape)
    seen = scores.softmax(-1) @ keys.flatten(2).mT
    return (seen + queries.flatten(2).mT).mT.reshape(n, c, h, w)


def cells(x: Tensor) -> Tensor:
    return windows(x).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


def whole_of(x: Tensor, rows: int) -> Tensor:
    """The map of so many rows of windows that such a batch is."""
    return whole(x.unflatten(0, (1, rows, -1)).permute(0, 3, 1, 2, 4, 5))


def by_queries_pooled_in_windows(x: Tensor) -> Tensor:
    """Attention in windows whose queries are pooled as images, as in SAM 2, and a window over it."""
    own = cells(x)
    queries = functional.max_pool2d(own, 2)
    seen = attended(own.flatten(2).mT, queries.flatten(2).mT).mT.reshape(queries.shape)
    return functional.avg_pool2d(whole_of(seen, x.shape[2] // 4), 3, 1, 1)


def near_in_windows(x: Tensor) -> Tensor:
    return functional.conv2d(cells(x), torch.rand(8, 8, 3, 3).to(x), padding=1)


def by_queries_convolved_in_windows(x: Tensor, keys: bool = False) -> Tensor:
    """Attention in windows whose queries, or keys, see their neighbours there, as in EfficientViT."""
    near, own = (y.flatten(2).mT / 100 for y in (near_in_windows(x), cells(x)))
    scores = own @ near.mT if keys else near @ own.mT
    return whole_of((scores.softmax(-1) @ own).mT.unflatten(2, (4, 4)), x.shape[2] // 4)


def by_heads_beside_windows(x: Tensor) -> Tensor:
    """Attention in windows whose batch has the heads of each beside one another, as in SAM."""
    tokens = cells(x).flatten(2).mT
    n = len(tokens)
    heads = tokens.repeat(1, 1, 3).view(n, 16, 3, 2, 4).permute(2, 0, 3, 1, 4)
    seen = functional.scaled_dot_product_attention(*heads.reshape(3, 2 * n, 16, 4).unbind())
    seen = seen.view(n, 2, 16, 4).transpose(1, 2).reshape(tokens.shape)
    return whole_of(seen.mT.unflatten(2, (4, 4)), x.shape[2] // 4)


def along_columns(x: Tensor) -> Tensor:
    return x.permute(0, 3, 2, 1)


FUNCTIONS |= {
    "attention along columns": lambda x: along_columns(attended(along_columns(x))),
    "tokens in front that meet positions": beside_a_token,
    "a token behind positions": and_a_token_behind,
    "all positions in another order": lambda x: functional.avg_pool2d(
        attended(x.flatten(2).mT).reshape(x.shape), 3, 1, 1
    ),
    "one window that is rolled": in_one_window,
    "one window that is rolled, in a call": lambda x: in_one_window(x, called),
    "windows that are put back": outlook,
    "runs that are pooled": over_runs,
    "terms of relative positions, written over scores": by_relative_positions,
    "queries that are pooled in windows": by_queries_pooled_in_windows,
    "queries that are convolved in windows": by_queries_convolved_in_windows,
    "keys that are convolved in windows": lambda x: by_queries_convolved_in_windows(x, keys=True),
    "heads beside windows in a batch": by_heads_beside_windows,
    "a convolution of one tap of rows as a batch": lambda x: functional.conv2d(
        x.permute(2, 1, 0, 3), torch.rand(8, 8, 1, 1).to(x)
    ).permute(2, 1, 0, 3),
}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "an LSTM along rows": lambda: Recurrence(nn.LSTM),
    "a GRU of two layers along rows": lambda: Recurrence(nn.GRU, layers=2),
    "last states along rows": lambda: Recurrence(nn.GRU, last=True),
}


@pytest.mark.parametrize("name", [*FUNCTIONS, *NETWORKS])
def test_single_units_see_what_their_gradients_say(name: str) -> None:
    module = After(FUNCTIONS[name]) if name in FUNCTIONS else NETWORKS[name]()
    check_supports(module, padviz.load(module, size=SIZE), SIZE)


HEADS = torch.nn.MultiheadAttention(8, 2, batch_first=True)


def by_heads(x: Tensor, **options: Tensor) -> Tensor:
    tokens = x.flatten(2).mT
    return HEADS.to(tokens)(tokens, tokens, tokens, need_weights=False, **options)[0]


def in_order(tokens: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(tokens, tokens, tokens, is_causal=True)


def runs(x: Tensor) -> Tensor:
    return functional.avg_pool1d(x.flatten(2), 2)


REFUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "pools flattened positions other than": lambda x: functional.avg_pool1d(x.flatten(2), 3, 1, 1),
    "pools runs of positions that leave": lambda x: functional.avg_pool1d(x.flatten(2), 5).repeat(
        1, 1, 6
    )[..., :768],
    "folds windows whose": lambda x: functional.fold(
        functional.unfold(x, 3, padding=1), (24, 32), 3, padding=1
    ).flatten(2),
    "mixes runs of positions": lambda x: runs(x).softmax(2).repeat(1, 1, 2),
    "attends from runs": lambda x: (runs(x).mT @ x.flatten(2)).softmax(2) @ x.flatten(2).mT,
    "conv1d reads mixed": lambda x: functional.conv1d(
        runs(x), torch.ones(16, 8, 3).to(x), padding=1
    ),
    "masks positions": lambda x: in_order(x.flatten(2).mT),
    "masks positions from": lambda x: by_heads(x, attn_mask=torch.eye(768, dtype=torch.bool)),
    "adaptive_avg_pool1d reads": lambda x: functional.adaptive_avg_pool1d(x.flatten(2), 768),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_followed_is_refused(name: str) -> None:
    with pytest.raises(padviz.PadvizError, match=rf"{name}.*; `layer` \w+ stops before it"):
        padviz.usage(padviz.load(After(lambda x: x + REFUSED[name](x).sum(-1).sum(-1)), size=SIZE))


def test_what_is_convolved_in_windows_is_refused_but_where_it_asks() -> None:
    def seen(x: Tensor) -> Tensor:
        return whole_of(
            attended(near_in_windows(x).flatten(2).mT).mT.unflatten(2, (4, 4)), x.shape[2] // 4
        )

    with pytest.raises(padviz.PadvizError, match="conv2d convolves inside of windows"):
        padviz.usage(padviz.load(After(seen), size=(24, 32)), (24, 32))
