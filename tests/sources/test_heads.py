"""Where counting stops: before heads that read a flattened map as an image, and at grids of patches before tokens."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.network.targets import last_maps
from tests.cli.test_cli import run
from tests.sources.test_onnx_exports import SINCE_2_5
from tests.sweeps import SLOW
from tests.yolo import YoloV8, exported

SIZE = (64, 96)
SOURCES = ["old", pytest.param("new", marks=[SINCE_2_5, SLOW]), "module", "raw"]


@pytest.fixture(scope="module")
def yolo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("yolo"), size=SIZE)


@pytest.fixture(scope="module", params=SOURCES)
def network(request: pytest.FixtureRequest, yolo: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    if request.param in ("module", "raw"):
        return padviz.load(YoloV8(request.param == "raw"), size=SIZE)
    path = yolo if request.param == "old" else exported(tmp_path_factory.mktemp("yolo"), "new", SIZE)
    return padviz.load(path, size=SIZE)


@pytest.fixture(scope="module")
def expected() -> list[np.ndarray]:
    """Counts of the network as it is up to each of its three levels, which nothing has to be cut off from."""

    class Level(YoloV8):
        def __init__(self, at: int) -> None:
            super().__init__()
            self.at = at

        def forward(self, x: Tensor) -> Tensor:
            kept: list[Tensor] = []
            self.detect.forward = lambda maps: (None, kept.extend(maps))  # type: ignore[method-assign]
            super().forward(x)
            x = kept[self.at]
            return torch.cat((self.detect.cv2[self.at](x), self.detect.cv3[self.at](x)), 1)

    return [padviz.usage(Level(at), SIZE).counts for at in range(3)]


def test_a_detector_is_cut_where_its_levels_are_flattened(network: padviz.Network, expected: list[np.ndarray]) -> None:
    lasts = last_maps(network)
    assert (network.targets, len(lasts)) == ((), 3)
    assert not any(last.endswith("output") for last in lasts)
    (note,) = network.notes
    skipped = (
        r"\S*(dfl/conv\S*|Conv_\d+) and what follows: it reads a flattened map as an image"
        "|detect.cat and what follows: it joins the positions of several maps"
    )
    assert re.fullmatch(f"analysed up to the heads {', '.join(map(re.escape, lasts))}; skipped ({skipped})", note)
    for counts, last in zip(expected, lasts, strict=True):
        found = padviz.usage(network, SIZE, layer=last)
        assert found.notes == (note,)
        assert found.summary().notes == [note]
        np.testing.assert_array_equal(found.counts, counts)


def test_what_lies_behind_a_cut_is_an_error_that_names_it(network: padviz.Network) -> None:
    for name, why in network.gone.items():
        with pytest.raises(padviz.PadvizError) as error:
            padviz.usage(network, layer=name)
        assert str(error.value) == f"{network.name}: {name} {why}"
        assert error.value.what.endswith(f"the network was analysed up to the heads {', '.join(last_maps(network))}")
    if network.source.endswith(".onnx"):
        assert any("it follows" in why for why in network.gone.values())
        assert any("reads a flattened map" in why for why in network.gone.values())


@pytest.mark.parametrize(
    "line",
    ["layers --size 64x96", "sizes --size 64:96", "convert -o net.toml", "audit --layer /detect/Concat_1 --size 64x96"],
)
def test_commands_cut_it_and_say_so_once(line: str, yolo: Path, elsewhere: None) -> None:
    command, *more = line.split()
    result = run(command, str(yolo), *more)
    assert result.exit_code == 0, result.output
    lines = [each for each in result.stderr.splitlines() if "skipped" in each]
    assert lines == [
        "padviz: yolo-old: analysed up to the heads /detect/Concat, /detect/Concat_1, /detect/Concat_2; "
        "skipped /detect/dfl/conv/Conv and what follows: it reads a flattened map as an image"
    ]


NOTE = "counting stops at {}, the grid of patches before attention"


class Tokens(nn.Module):
    """A grid of patches, a token beside them or their mean alone, and what becomes of both."""

    def __init__(self, then: Callable[[Tensor], Tensor], token: bool = True) -> None:
        super().__init__()
        self.grid, self.then, self.token = nn.Conv2d(3, 8, 4, 4), then, token

    def forward(self, x: Tensor) -> Tensor:
        x = self.grid(x).flatten(2).transpose(1, 2)
        x = torch.cat([torch.zeros(1, 1, 8), x], 1) if self.token else x.mean(1, keepdim=True)
        return self.then(x)[:, 0]


def written(x: Tensor) -> Tensor:
    return (x @ x.transpose(1, 2)).softmax(-1) @ x


MODULES: dict[str, tuple[nn.Module, bool]] = {  # and whether counting stops at the grid
    "written": (Tokens(written), True),
    "summed": (
        Tokens(lambda x: torch.einsum("bij,bjc->bic", torch.einsum("bic,bjc->bij", x, x).softmax(2), x)), True
    ),
    "batched": (Tokens(lambda x: torch.bmm(functional.softmax(torch.bmm(x, x.transpose(1, 2)), -1), x)), True),
    "called": (Tokens(lambda x: functional.scaled_dot_product_attention(x, x, x)), True),
    "nothing": (Tokens(lambda x: x.relu()), False),
    "softmax first": (Tokens(lambda x: x.softmax(-1) @ x.transpose(1, 2) @ x), False),
    "weights": (Tokens(lambda x: (x @ torch.ones(8, 8)).softmax(-1) @ torch.ones(8, 8)), False),
    "pooled vectors": (Tokens(written, token=False), False),
}  # fmt: skip


def file_of(module: nn.Module, folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = torch.zeros(1, 3, 32, 32)
        torch.onnx.export(module, (image,), path := folder / "net.onnx", dynamo=False, opset_version=14)
    return path


@pytest.mark.parametrize("name", MODULES)
def test_attention_is_told_by_its_steps(name: str, tmp_path: Path) -> None:
    module, stops = MODULES[name]
    for net in (padviz.load(module, size=(32, 32)), padviz.load(file_of(module, tmp_path))):
        assert net.notes == ((NOTE.format(net.targets[0]),) if stops else ())


@pytest.mark.parametrize("pooled", [False, True])
def test_a_last_norm_over_positions_is_left_out_before_pooling_and_without(pooled: bool) -> None:
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(1, 4), *[nn.AdaptiveAvgPool2d(1)] * pooled]
    assert padviz.load(nn.Sequential(*layers), 16).targets == ("0",)
