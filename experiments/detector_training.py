"""The small detectors of experiments/detector.py: what they are, how they are trained, and what they find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from detector_scenes import Pictures
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.scoring.matching import Scenes, boxes

IMAGES, TEST, STEPS, BATCH, RATE = 3200, 400, 200, 24, 0.004
FOUND = 30  # detections of an image


@dataclass(frozen=True)
class Task:
    """A detector, by the channels and residual blocks behind each stride of 2, and what it trains on."""

    name: str
    stages: tuple[tuple[int, int], ...]
    arms: tuple[str, ...] = ()  # all, where none is named
    size: int = 96
    inside: int = 0  # px from the border that digits of the training keep

    @property
    def stride(self) -> int:
        """Px of a cell of the map."""
        return int(2 ** len(self.stages))


@dataclass(frozen=True)
class Arm:
    """One way to pad, and how many px larger the image is."""

    name: str
    scheme: str | None
    larger: int = 0


FINE, COARSE = ((16, 0), (32, 2)), ((16, 0), (32, 1), (48, 2), (64, 3))
FEW = ("zero", "reflect", "partial")
TASKS = (
    Task("stride 4", FINE),
    Task("stride 16", COARSE, FEW),
    Task("stride 32", ((8, 0), (24, 0), (48, 1), (64, 2), (96, 2)), FEW[:2], size=160),
    Task("stride 4, rim unseen", FINE, inside=16),
    Task("stride 16, rim unseen", COARSE, FEW, inside=16),
)
ARMS = (
    Arm("zero", None),
    Arm("reflect", "reflect"),
    Arm("symmetric", "symmetric"),
    Arm("partial", "partial"),
    Arm("circular", "circular"),
    Arm("zero, 1 px larger", None, 1),
)


@dataclass(frozen=True)
class Extent:
    """How much is trained, and tested."""

    steps: int = STEPS
    images: int = IMAGES
    test: int = TEST

    @classmethod
    def of(cls, steps: int) -> Extent:
        """Make as many scenes as so few steps ask for."""
        return cls(steps, min(IMAGES, BATCH * steps), min(TEST, 4 * steps))


@dataclass(frozen=True)
class Run:
    """What one detector finds of digits that none was trained on: AP in %, by overlap, and by ring at .5."""

    task: str
    arm: str
    seed: int
    ap: list[float]
    rings: list[float]


class Block(nn.Module):
    """Two convolutions that add to what they read."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(convolution(channels, channels), convolution(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def convolution(a: int, b: int, stride: int = 1) -> nn.Module:
    """Convolve by 3 x 3 with batch normalisation."""
    return nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())


def network(task: Task) -> nn.Sequential:
    """Build a detector with a head of five: score, size and place of a centre in each cell."""
    channels, layers = 1, []
    for width, blocks in task.stages:
        layers += [convolution(channels, width, 2), *(Block(width) for _ in range(blocks))]
        channels = width
    head = nn.Conv2d(channels, 5, 1)
    nn.init.constant_(head.bias[:1], -4.0)  # few cells are centres
    return nn.Sequential(*layers, head)


def targets(box: Tensor, cells: int, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a heat map of centres (n, cells, cells), and list the cells of centres and what is to be said there."""
    centre = (box[..., :2] + box[..., 2:] / 2) / stride
    cell = centre.long().clamp(0, cells - 1)
    apart = torch.arange(cells) - cell[..., None]  # (n, digits, 2, cells), columns first
    heat = torch.exp(
        -((apart[:, :, 0, None] ** 2 + apart[:, :, 1, :, None] ** 2) * (stride / 4) ** 2)
    ).amax(1)
    image = torch.arange(len(box))[:, None].expand_as(cell[..., 0])
    where = torch.stack((image, cell[..., 1], cell[..., 0]), -1).flatten(0, 1)
    said = torch.cat((torch.log(box[..., 2:] / 10), (centre - cell) * (stride / 4)), -1)
    return heat, where, said.flatten(0, 1).float()


def loss_of(out: Tensor, heat: Tensor, where: Tensor, said: Tensor) -> Tensor:
    """Focal loss of the heat map, and absolute errors of size and place at centres."""
    score = out[:, 0].sigmoid().clamp(1e-4, 1 - 1e-4)
    true = heat == 1
    hits = ((1 - score) ** 2 * score.log())[true].sum()
    rest = ((1 - heat) ** 4 * score**2 * (1 - score).log())[~true].sum()
    k, row, column = where.T
    return -(hits + rest) / len(where) + (out[k, 1:, row, column] - said).abs().mean()


def trained(task: Task, arm: Arm, seed: int, scenes: Pictures, steps: int = STEPS) -> nn.Module:
    """Train one network, on scenes under flips and transposes."""
    torch.manual_seed(seed)
    net, size = network(task), scenes.pixels.shape[1]
    net = padviz.repad(net, arm.scheme, size=size) if arm.scheme else net
    net = net.to(memory_format=torch.channels_last)
    rng, pixels, box = (
        np.random.default_rng(seed),
        torch.from_numpy(scenes.pixels),
        torch.from_numpy(scenes.box),
    )
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
    for _ in range(steps):
        at, turn = rng.integers(len(pixels), size=BATCH), int(rng.integers(8))
        out = net(turned(pixels[at][:, None], turn))
        heat, where, said = targets(turned_boxes(box[at], turn, size), out.shape[2], task.stride)
        optimiser.zero_grad()
        loss_of(out, heat, where, said).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return net.eval()


def turned(x: Tensor, turn: int) -> Tensor:
    """Flip and transpose images (n, channels, rows, columns)."""
    x = x.transpose(2, 3) if turn & 4 else x
    return x.flip([axis for axis, bit in ((2, 1), (3, 2)) if turn & bit])


def turned_boxes(box: Tensor, turn: int, size: int) -> Tensor:
    """Flip and transpose boxes with their images."""
    left, top, width, height = box[..., [1, 0, 3, 2] if turn & 4 else [0, 1, 2, 3]].unbind(-1)
    left = size - left - width if turn & 2 else left
    top = size - top - height if turn & 1 else top
    return torch.stack((left, top, width, height), -1)


def found_in(net: nn.Module, of: Pictures, stride: int) -> Scenes:
    """Detect digits: the surest cells of the heat map, and of fine ones the peaks."""
    with torch.no_grad():
        out = torch.cat([net(part[:, None]) for part in torch.from_numpy(of.pixels).split(50)])
    score = out[:, 0].sigmoid()
    if stride < 8:
        score = score * (functional.max_pool2d(score[:, None], 3, 1, 1)[:, 0] == score)
    values, at = score.flatten(1).topk(min(FOUND, score[0].numel()))
    rows, columns = at // score.shape[2], at % score.shape[2]
    image = torch.arange(len(out))[:, None].expand_as(at)
    width, height, x, y = out[image, 1:, rows, columns].unbind(-1)
    wide, tall = (10 * side.clamp(-1, 1).exp() for side in (width, height))
    left, top = columns * stride + 4 * x - wide / 2, rows * stride + 4 * y - tall / 2
    box = torch.stack((left, top, wide, tall), -1).reshape(-1, 4).double().numpy()
    detections = boxes(
        image.reshape(-1).numpy(), np.zeros(len(box)), box, values.reshape(-1).numpy()
    )
    (n, each, _), size = of.box.shape, of.pixels.shape[1]
    objects = boxes(np.repeat(np.arange(n), each), np.zeros(n * each), of.box.reshape(-1, 4))
    return Scenes(np.full((n, 2), size), ("digit",), objects, detections)
