"""Positions that move, and windows of them: attention in windows and grids, images that are rolled for that."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2

import padviz
from tests.torch_attention import After, Attending, attended, check_supports, in_windows, whole, windows
from tests.torch_calls import count


class Swin(nn.Module):
    """What a small Swin makes, with channels first."""

    def __init__(self, version: int) -> None:
        super().__init__()
        parts = {"block": SwinTransformerBlockV2, "downsample_layer": PatchMergingV2} if version == 2 else {}
        net = SwinTransformer([4, 4], 8, [2, 2], [2, 2], window_size=[4, 4], **parts)  # type: ignore[arg-type]
        self.net = net.features

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


@pytest.mark.parametrize("size", [(64, 96), (52, 92)])  # the second is no multiple of windows
@pytest.mark.parametrize("version", [1, 2])
def test_networks_see_and_count_what_their_own_forwards_do(version: int, size: tuple[int, int]) -> None:
    module = Swin(version)
    network = padviz.load(module, size=size)
    check_supports(module, network, size)
    expected, _ = count(module.double(), size, counting=Attending())
    np.testing.assert_array_equal(padviz.usage(network, size).counts, expected)


def merged_patches(x: Tensor) -> Tensor:
    """Blocks of 2 x 2 positions as channels, as Swin merges them: (n, rows, columns, channels)."""
    n, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).reshape(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 4, 2, 5).flatten(3)


def test_a_norm_over_places_of_a_block_leaves_each_block_alone(tmp_path: Path) -> None:
    def merged(x: Tensor) -> Tensor:
        return functional.linear(functional.layer_norm(merged_patches(x), [32]), torch.rand(5, 32).to(x))

    module = After(lambda x: merged(x).permute(0, 3, 1, 2))
    network = padviz.load(module, size=(24, 32))
    check_supports(module, network, (24, 32))
    padviz.tiles(network, 96, 48)
    module, image = module.float(), torch.rand(1, 3, 24, 32)
    torch.onnx.export(module, (image,), path := tmp_path / "net.onnx", opset_version=17, dynamo=False)
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


def rolled(x: Tensor, hide: Callable[[Tensor, Tensor], Tensor] = torch.add, side: int = 4) -> Tensor:
    """Attention in windows of a rolled image, with what hides positions that are no neighbours in the image itself."""
    rows, cols = ((torch.arange(n) >= n - moved).int() for n, moved in zip(x.shape[2:], (3, 2), strict=True))
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
    "a mirrored slice of mirrored rows as padding": lambda x: torch.cat([x, x.flip(3)[..., 1:4]], 3),
    "rows picked as padding": lambda x: x[:, :, [1, 0, *range(x.shape[2]), -1]],
    "places of windows in another order": lambda x: (
        windows(x).flatten(4)[..., [*range(15, -1, -2), *range(0, 15, 2)]].permute(0, 1, 4, 2, 3).flatten(1, 2)
    ),
    "softmax in rows of windows": lambda x: whole(windows(x).softmax(4)),
    "linear in windows": lambda x: in_windows(x, lambda t: functional.linear(t.mT, torch.rand(16, 16).to(t)).mT),
    "attention in windows": in_windows,
    "attention in windows of images": lambda x: in_windows(functional.max_pool2d(in_windows(x), 2)),
    "attention in a grid": in_a_grid,
    "attention in windows that wrap": lambda x: rolled(x, lambda scores, hidden: scores),
    "a mask that is added": lambda x: rolled(x, added),
    "a mask that picks": lambda x: rolled(x, lambda scores, hidden: torch.where(hidden, -torch.inf, scores)),
    "a mask that picks in bfloat16": lambda x: rolled(
        x, lambda scores, hidden: torch.where(hidden, torch.tensor(-torch.inf).bfloat16(), scores)
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_see_what_their_gradients_say(name: str) -> None:
    module = After(FUNCTIONS[name])
    check_supports(module, padviz.load(module, size=(24, 32)), (24, 32))


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
    for unit, seen in {(0, 0): (slice(0, 3), slice(0, 4)), (7, 7): (slice(5, 8), slice(6, 10))}.items():
        expected = np.zeros((8, 10), dtype=bool)
        expected[seen] = True
        np.testing.assert_array_equal(padviz.usage(network, (8, 10), unit=unit).counts > 0, expected)
    assert padviz.usage(network, (8, 10), unit=(0, 8)).max == 0  # no window had it


def test_halves_of_one_layer_whose_positions_are_mixed_count_as_two_layers() -> None:
    mix = nn.Linear(64, 64)

    def mixed(x: Tensor) -> Tensor:
        return mix(x.flatten(2)).unflatten(2, (8, 8))

    def counts(function: Callable[[Tensor], Tensor]) -> np.ndarray:
        return padviz.usage(padviz.load(After(function), size=(8, 8)), 8).counts

    twice = counts(lambda x: torch.mul(*(mixed(half) for half in x.chunk(2, 1))))
    np.testing.assert_array_equal(counts(lambda x: torch.mul(*mixed(x).chunk(2, 1))), twice)
    assert counts(lambda x: torch.mul(x[:, :4], mixed(x[:, 4:]))).tolist() == (counts(torch.relu) + twice // 2).tolist()


def test_a_roll_and_blocks_of_the_same_rows_are_two_layers() -> None:
    module = After(
        lambda x: torch.cat([functional.pixel_unshuffle(x, 2), functional.avg_pool2d(x.roll((2, 2), (2, 3)), 2)], 1)
    )
    check_supports(module, padviz.load(module, size=(16, 24)), (16, 24))
