"""The probe that asks networks: it finds what padviz reads wrongly, and holds what it reads right."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from tests.asking import ask
from tests.sources.test_random_modules import drawn
from tests.sweeps import REST, every_third
from tests.torch_calls import to_onnx
from tests.zoo.building import Entry, build, entries, load_library


class Two(nn.Module):
    """Two convolutions, and a function of what the first gives in between."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.b(self.between(self.a(x)))
        return output


def rows_stacked(x: Tensor) -> Tensor:
    return torch.stack([x[:, :, i] for i in range(x.shape[2])], 2)


# what a module does, what padviz read instead, and what the probe says of it
WRONG: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], str]] = {
    "rows that are stacked, read as channels": (
        rows_stacked,
        lambda x: x[:, :, :1],
        "the map of b has shape (1, 4, 20, 24); padviz says (1, 24)",
    ),
    "a gradient, read as elementwise": (
        lambda x: torch.gradient(x, dim=3)[0],
        torch.relu,
        "unit (0, 0) of b changes with pixel (0, 3); padviz says that it reads only height 0 to 2 and width 0 to 2",
    ),
    "dilated rows, read as all between": (
        lambda x: functional.avg_pool2d(x, 11, 1, 5),
        lambda x: functional.conv2d(x, x.new_ones(4, 4, 2, 2), padding=5, dilation=10),
        "unit (0, 0) of b changes with pixel (0, 0); padviz says that it reads only height 4 to 7 and width 4 to 7",
    ),
    "an image, read as zeros": (
        lambda x: x,
        lambda x: functional.pad(x, (0, 0, 40, 0))[:, :, :20],
        "unit (0, 0) of b changes with pixel (0, 0); padviz says that it reads nothing",
    ),
    "an upper neighbour, read as a lower one": (
        lambda x: functional.pad(x, (0, 0, 1, 0))[:, :, :-1],
        lambda x: functional.pad(x, (0, 0, 0, 1))[:, :, 1:],
        "unit (19, 12) of b changes with pixel (16, 10); padviz says",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_read_wrongly_is_found(name: str) -> None:
    does, says, words = WRONG[name]
    network = padviz.load(Two(says), size=(20, 24))
    for kind in (torch.float32, torch.float64):
        found = ask(Two(does).to(kind), (20, 24), network)
        assert not found.holds
        assert words in found.finding


def test_a_resize_that_rounds_otherwise_is_found(tmp_path: Path) -> None:
    """PyTorch takes another row than exact numbers do, in float32 alone."""
    path = tmp_path / "exact.toml"
    path.write_text(
        'size = 24\n[[layers]]\nop = "conv"\nname = "0"\n[[layers]]\nop = "resize"\nname = "1"\nsize = 152\n'
    )
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Upsample(size=(152, 152)))
    network = padviz.load(path)
    assert not ask(module, 24, network, drawn=50).holds
    assert ask(module.double(), 24, network, drawn=50).holds


def test_what_mixes_all_positions_shows_nothing() -> None:
    asked = ask(Two(nn.GroupNorm(2, 4)), (20, 24))
    assert (asked.holds, asked.counts) == (True, {"whole": 1})
    assert asked.rows[-1].words == "nothing to show: between mixes all positions"


def test_what_is_random_is_not_judged() -> None:
    asked = ask(Two(lambda x: x + torch.rand(1)), (20, 24))
    assert [row.verdict for row in asked.rows] == ["not judged"]


def test_what_is_hidden_is_not_seen() -> None:
    asked = ask(Two(lambda x: x * 0), (20, 24))
    assert (asked.holds, {*asked.counts}) == (True, {"unseen"})
    asked = ask(Two(lambda x: functional.conv2d(x, torch.eye(4)[..., None, None])), (20, 24))
    assert {*asked.counts} == {"holds"}


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), nn.SiLU())
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.end = nn.Conv2d(16, 2, 3, padding=1)

    def forward(self, x: Tensor) -> dict[str, Tensor | list[Tensor]]:
        skip = self.down(x)
        deep = self.deep(functional.max_pool2d(skip, 2))
        y = self.end(torch.cat([skip, self.up(deep)], 1))
        wide = functional.interpolate(y, scale_factor=2, mode="bilinear")
        return {"y": y, "more": [wide, deep.permute(0, 2, 3, 1)], "logits": y.mean((2, 3))}


MODULES: dict[str, Callable[[], nn.Module]] = {
    "U-Net": UNet,
    "pools that clip": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 4, stride=2, padding=1),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.ReplicationPad2d((2, 0, 1, 3)),
        nn.Conv2d(4, 4, (1, 3), dilation=2, padding_mode="circular", padding=(0, 2)),
    ),
    "slices and blocks": lambda: nn.Sequential(
        Two(lambda x: x[:, :, 1:, ::2]), nn.PixelShuffle(2), nn.Conv2d(1, 1, 3)
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_and_their_files_do_what_padviz_says(name: str, tmp_path: Path) -> None:
    size = (22, 36)
    module = MODULES[name]().eval()
    file = to_onnx(module, tmp_path / "file.onnx", torch.zeros(1, 3, *size))
    for model in (module, module.double(), file):
        asked = ask(model, size)
        assert asked.holds, asked.finding
        assert set(asked.counts) <= {"holds", "unseen"}
        assert asked.counts["holds"] > 3


def test_signals_do_what_padviz_says() -> None:
    module = nn.Sequential(
        nn.Conv1d(2, 4, 5, 2, 4, 2), nn.ConstantPad1d((4, -3), 0), nn.ConvTranspose1d(4, 2, 4, 2, 1)
    )
    network = padviz.load(module, (61,), shape={"input": (1, 2, "L")})
    asked = ask(module, (61,), network)
    assert (asked.holds, {*asked.counts}) == (True, {"holds"})


@pytest.mark.parametrize("seed", every_third(range(40)))
def test_random_modules_do_what_padviz_says(seed: int) -> None:
    steps, size = drawn(seed)
    asked = ask(nn.Sequential(*(spelled for spelled, _ in steps)), size)
    assert asked.holds, asked.finding


QUICK = [each for each in entries() if each.quick]


@REST
@pytest.mark.parametrize("entry", QUICK, ids=lambda each: f"{each.library}-{each.name}")
def test_networks_of_libraries_do_what_padviz_says(entry: Entry) -> None:
    load_library(entry)
    for size in entry.sizes:
        asked = ask(with_random_vectors(build(entry)), size)
        assert asked.holds, asked.finding


def with_random_vectors(module: nn.Module) -> nn.Module:
    """Norms and scales that hide no branch, as those of zero do, with which training begins."""
    for weight in module.parameters():
        if weight.ndim == 1:
            nn.init.uniform_(weight, 0.5, 1.5)
    return module
