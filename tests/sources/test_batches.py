"""Batches of the image and constants, positions that are a batch of their own, and optical flow, which has both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.optical_flow.raft import (
    RAFT,
    CorrBlock,
    FlowHead,
    MaskPredictor,
    MotionEncoder,
    RecurrentBlock,
    UpdateBlock,
)

import padviz
from tests.sources.test_moving import check_supports
from tests.sources.test_torch_functions import After

SIZES = ((24, 32), (32, 40))


class Both(nn.Module):
    """A convolution of a batch of two, of which a function takes what it needs."""

    def __init__(self, joined: Callable[[Tensor, Tensor], Tensor], then: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.joined, self.then = nn.Conv2d(3, 4, 3, 2, 1), joined, then

    def forward(self, x: Tensor) -> Tensor:
        return self.then(self.conv(self.joined(x, torch.ones_like(x))))


def behind(x: Tensor, other: Tensor) -> Tensor:
    return torch.cat([other, x])


BATCHES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "in front": (lambda x, other: torch.cat([x, other]), lambda both: both.chunk(2)[0]),
    "behind": (behind, lambda both: both[1:]),
    "stacked": (lambda x, other: torch.stack([other[0], x[0]]), lambda both: both.unbind(0)[1][None]),
    "in the middle": (lambda x, other: torch.cat([other, x, other]), lambda both: both[1:].split(1)[0]),
    "beside a constant": (behind, lambda both: functional.avg_pool2d(both[:1], 3, 1, 1) + both[1:]),
    "both at once": (behind, lambda both: functional.avg_pool2d(both, 3, 1, 1).sum(0, keepdim=True)),
    "as channels": (behind, lambda both: functional.conv2d(both.flatten(0, 1)[None], torch.rand(2, 8, 3, 3).to(both))),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", BATCHES)
def test_the_image_is_told_from_constants_in_its_batch(name: str, size: tuple[int, int]) -> None:
    module = Both(*BATCHES[name])
    check_supports(module, padviz.load(module, size=(24, 32)), size)


@pytest.mark.parametrize("name", BATCHES)
def test_batches_in_onnx_files_are_read_as_those_of_modules(name: str, tmp_path: Path) -> None:
    module, path = Both(*BATCHES[name]), tmp_path / "both.onnx"
    torch.onnx.export(module, (torch.zeros(1, 3, 24, 32),), path, dynamo=False)
    file, plain = (padviz.usage(padviz.load(source, size=(24, 32)), (24, 32)).counts for source in (path, module))
    assert (file == plain).all()


def test_what_is_made_of_the_constants_of_a_batch_is_no_map() -> None:
    with pytest.raises(padviz.PadvizError, match="no output is made of a spatial layer"):
        padviz.load(Both(behind, lambda both: functional.avg_pool2d(both[0], 3)[None]), size=(24, 32))


@pytest.mark.parametrize("pick", [lambda both: both[:1], lambda both: both.chunk(2)[1], lambda both: both.flip(0)])
def test_one_of_several_maps_in_a_batch_is_refused(pick: Callable[[Tensor], Tensor]) -> None:
    module = Both(lambda x, _: torch.cat([x, functional.avg_pool2d(x, 3, 1, 1)]), pick)
    with pytest.raises(padviz.PadvizError, match="picks some of a batch of several maps; `layer` conv stops before it"):
        padviz.usage(padviz.load(module, size=(24, 32)))


def correlated(x: Tensor) -> Tensor:
    """Correlations of each position with a constant map, pooled and sampled at places that each position makes."""
    n, c, h, w = x.shape
    found = (x.flatten(2).mT @ torch.rand(c, 24).to(x)).reshape(n * h * w, 1, 4, 6)
    pooled = functional.avg_pool2d(functional.max_pool2d(found, (1, 2)), 2, 1)
    places = x[:, :2].permute(0, 2, 3, 1).reshape(n * h * w, 1, 1, 2).sigmoid() + torch.zeros(1, 2, 2, 2).to(x)
    sampled = functional.grid_sample(pooled, places, align_corners=True)
    return functional.avg_pool2d(sampled.view(n, h, w, 4).permute(0, 3, 1, 2), 3, 2, 1)


def warped(x: Tensor) -> Tensor:
    """A constant image that is sampled where the map says."""
    return functional.grid_sample(torch.rand(1, 3, 9, 9).to(x), x[:, :2].tanh().permute(0, 2, 3, 1), align_corners=True)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("function", [correlated, warped])
def test_positions_that_are_a_batch_are_each_read_alone(
    function: Callable[[Tensor], Tensor], size: tuple[int, int]
) -> None:
    check_supports(After(function), padviz.load(After(function), size=(24, 32)), size)


def encoder(out: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, 2, 1), nn.Conv2d(6, out, 3, 2, 1))


class Flow(nn.Module):
    """Optical flow from the image to one of ones: one update, after which no gradient is hidden."""

    def __init__(self, mask: bool) -> None:
        super().__init__()
        correlations = CorrBlock(num_levels=2, radius=1)
        update = UpdateBlock(
            motion_encoder=MotionEncoder(
                in_channels_corr=correlations.out_channels, corr_layers=(6,), flow_layers=(6, 4), out_channels=8
            ),
            recurrent_block=RecurrentBlock(input_size=12, hidden_size=6, kernel_size=(3,), padding=(1,)),
            flow_head=FlowHead(in_channels=6, hidden_size=6),
        )
        masks = MaskPredictor(in_channels=6, hidden_size=8) if mask else None
        self.net = RAFT(
            feature_encoder=encoder(8), context_encoder=encoder(10), corr_block=correlations, update_block=update,
            mask_predictor=masks,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        (flow,) = self.net(x, torch.ones_like(x), num_flow_updates=1)
        return flow  # type: ignore[no-any-return]


@pytest.mark.parametrize("size", [(48, 64), (56, 40)], ids=str)
@pytest.mark.parametrize("mask", [False, True], ids=["interpolated", "by a mask"])
def test_optical_flow_reads_what_its_gradients_say(
    monkeypatch: pytest.MonkeyPatch, mask: bool, size: tuple[int, int]
) -> None:
    module = Flow(mask)
    network = padviz.load(module, size=size)
    monkeypatch.setattr(Tensor, "float", Tensor.double)  # its grid is of float32, and the gradients are not
    monkeypatch.setattr(functional, "relu", lambda x, inplace=False: functional.softsign(x))  # which hides nothing
    check_supports(module, network, size)
