"""Windows that slide along channels beside rows or columns, as those of DiCENet and ChannelNet do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import padviz
from tests.sources.test_moving import check_supports
from tests.sources.test_torch_functions import After


def by_rows(x: Tensor) -> Tensor:
    """Convolve channels and columns, each row by itself."""
    rows = x.transpose(1, 2)
    return functional.conv2d(rows, torch.rand(rows.shape[1], 1, 3, 5).to(x), padding=(1, 2), groups=rows.shape[1])


def along_channels(x: Tensor) -> Tensor:
    return functional.conv3d(x[:, None], torch.rand(2, 1, 4, 1, 3).to(x), None, (2, 1, 2), (1, 0, 1)).flatten(1, 2)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "each row": lambda x: by_rows(x).transpose(1, 2),
    "each column": lambda x: by_rows(x.mT).transpose(1, 2).mT,
    "along channels": along_channels,
    "one frame": lambda x: functional.conv3d(x[:, :, None], torch.rand(8, 8, 1, 3, 3).to(x))[:, :, 0],
    "a padded frame": lambda x: functional.conv3d(x[:, :, None], torch.rand(8, 8, 3, 3, 3).to(x), padding=1).squeeze(2),
    "a frame enlarged": lambda x: functional.interpolate(x[:, :, None], scale_factor=(1, 2, 2))[:, :, 0],
    "pooled with channels": lambda x: functional.avg_pool2d(x.transpose(1, 2), (2, 3), (2, 2)).transpose(1, 2),
    "resized with channels": lambda x: functional.interpolate(x.permute(0, 3, 1, 2), (9, 4), mode="bilinear").permute(
        0, 2, 3, 1
    ),
    "columns in the batch": lambda x: functional.conv2d(
        x.permute(0, 3, 2, 1).flatten(0, 1)[:, None], torch.rand(1, 1, 3, 8).to(x), padding=(1, 0)
    ).unflatten(0, (1, x.shape[3]))[:, :, 0].permute(0, 3, 2, 1),
}  # fmt: skip


@pytest.mark.parametrize("size", [(12, 16), (15, 10)], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_windows_along_channels_read_what_their_gradients_say(name: str, size: tuple[int, int]) -> None:
    module = After(FUNCTIONS[name])
    check_supports(module, padviz.load(module, size=size), size)


def test_one_frame_is_read_alike_by_a_module_and_its_file(tmp_path: Path) -> None:
    module = After(lambda x: functional.max_pool3d(FUNCTIONS["a padded frame"](x)[:, :, None], (1, 2, 2))[:, :, 0])
    torch.onnx.export(module, (torch.rand(1, 3, 12, 16),), path := tmp_path / "net.onnx", dynamo=False)
    assert (padviz.usage(path, size=(12, 16)).counts == padviz.usage(module, size=(12, 16)).counts).all()
    several = After(lambda x: functional.conv3d(x[:, :, None], torch.rand(8, 8, 1, 1, 1).to(x), padding=1)[:, :, 1])
    with pytest.raises(padviz.PadvizError, match="makes several positions of one along an axis that the image lacks"):
        padviz.usage(several, size=24)


def test_rows_that_are_mixed_as_channels_are_refused() -> None:
    module = After(lambda x: functional.conv2d(x.transpose(1, 2), torch.rand(4, 12, 3, 3).to(x)).transpose(1, 2))
    with pytest.raises(padviz.PadvizError, match="conv2d reads height or width as channels; `layer` conv stops"):
        padviz.usage(padviz.load(module, size=(12, 16)))
