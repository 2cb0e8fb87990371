"""Networks of signals and of volumes, as they are published, in small."""

from collections.abc import Callable
from math import ceil

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm


class Causal(nn.Conv1d):
    """A convolution that reads nothing of what is to come."""

    def forward(self, x: Tensor) -> Tensor:
        (kernel,), (stride,), (dilation,) = self.kernel_size, self.stride, self.dilation
        return super().forward(functional.pad(x, ((kernel - 1) * dilation + 1 - stride, 0)))


class Tcn(nn.Module):
    """Gated causal convolutions of growing dilation, each added to what it read."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(1, 4, 1), nn.Conv1d(4, 2, 1)
        self.inner = nn.ModuleList(Causal(4, 4, 3, dilation=2**k) for k in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for inner in self.inner:
            made = inner(x)
            x = x + torch.tanh(made) * torch.sigmoid(made)
        return self.last(x)  # type: ignore[no-any-return]


class Unit(nn.Sequential):
    """A residual unit that trims what it adds to, where its convolution cuts the ends off."""

    def __init__(self, channels: int, dilation: int, padding: int) -> None:
        wide = weight_norm(nn.Conv1d(channels, channels, 3, dilation=dilation, padding=padding))
        super().__init__(nn.ELU(), wide, nn.ELU(), weight_norm(nn.Conv1d(channels, channels, 1)))

    def forward(self, x: Tensor) -> Tensor:
        made = super().forward(x)
        trim = (x.shape[-1] - made.shape[-1]) // 2
        return (x[..., trim:-trim] if trim else x) + made  # type: ignore[no-any-return]


def encoder() -> nn.Module:
    """Encode as codecs do: strides of 2 and 4."""
    layers: list[nn.Module] = [weight_norm(nn.Conv1d(1, 4, 7, padding=3))]
    for channels, stride in ((4, 2), (8, 4)):
        down = nn.Conv1d(channels, 2 * channels, 2 * stride, stride, padding=ceil(stride / 2))
        layers += [Unit(channels, 3, 3), nn.ELU(), weight_norm(down)]
    return nn.Sequential(*layers, weight_norm(nn.Conv1d(16, 8, 3, padding=1)))


def decoder() -> nn.Module:
    """Decode as codecs do: 8 samples of each frame, and no padding within the units."""
    layers: list[nn.Module] = [weight_norm(nn.Conv1d(8, 16, 7, padding=3))]
    for channels, stride in ((16, 4), (8, 2)):
        up = nn.ConvTranspose1d(
            channels, channels // 2, 2 * stride, stride, padding=ceil(stride / 2)
        )
        layers += [nn.ELU(), weight_norm(up), Unit(channels // 2, 3, 0)]
    return nn.Sequential(*layers, nn.ELU(), weight_norm(nn.Conv1d(4, 1, 7, padding=3)), nn.Tanh())


class CausalDecoder(nn.Module):
    """Decode without look-ahead: what a transposed convolution makes too much of is trimmed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.up, self.last = (
            Causal(8, 8, 7),
            nn.ConvTranspose1d(8, 4, 8, 4),
            Causal(4, 1, 7),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.last(functional.elu(self.up(functional.elu(self.first(x)))[..., :-4]))  # type: ignore[no-any-return]


class Demucs(nn.Module):
    """A U-Net of gated strided convolutions, with a recurrence in its middle where that is asked for."""

    def __init__(self, recurrent: bool = False) -> None:
        super().__init__()
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for n, m in ((1, 4), (4, 8)):
            self.down.append(
                nn.Sequential(
                    nn.Conv1d(n, m, 8, 4, 2), nn.ReLU(), nn.Conv1d(m, 2 * m, 1), nn.GLU(1)
                )
            )
            gated = nn.Conv1d(m, 2 * m, 3, padding=1), nn.GLU(1)
            self.up.insert(0, nn.Sequential(*gated, nn.ConvTranspose1d(m, n, 8, 4, 2)))
        self.lstm = nn.LSTM(8, 8) if recurrent else None

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for down in self.down:
            x = down(x)
            kept.append(x)
        if self.lstm is not None:
            x = self.lstm(x.permute(2, 0, 1))[0].permute(1, 2, 0)
        for up in self.up:
            x = up(x + kept.pop())
        return x


class Volumes(nn.Module):
    """A small U-Net of volumes, whose first axis, the frames, has no stride."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner = nn.Conv3d(1, 4, 3, padding=1), nn.Conv3d(4, 4, 3, (1, 2, 2), 1)
        self.pool, self.up = nn.MaxPool3d((1, 2, 1)), nn.ConvTranspose3d(4, 4, (1, 4, 2), (1, 4, 2))
        self.last = nn.Conv3d(8, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        up = self.up(self.pool(torch.relu(self.inner(x))))
        return self.last(torch.cat([x, up], 1))  # type: ignore[no-any-return]


class CausalVideo(nn.Module):
    """An encoder of videos: frames are padded in front alone, by the first one again, and halved in time and space."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            (nn.Conv3d(3, 4, 3), nn.Conv3d(4, 4, 3, (2, 2, 2)), nn.Conv3d(4, 2, 3))
        )

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = functional.silu(conv(functional.pad(x, (1, 1, 1, 1, 2, 0), mode="replicate")))
        return x


SIGNALS: dict[
    str, tuple[Callable[[], nn.Module], int, tuple[int, int]]
] = {  # what makes it, its channels, two sizes
    "TCN": (Tcn, 1, (40, 57)),
    "codec's encoder": (encoder, 1, (160, 208)),
    "codec's decoder": (decoder, 8, (30, 41)),
    "causal decoder": (CausalDecoder, 8, (20, 33)),
    "Demucs": (Demucs, 1, (128, 176)),
}
VOLUMES: dict[str, tuple[Callable[[], nn.Module], int, tuple[tuple[int, ...], tuple[int, ...]]]] = {
    "U-Net": (Volumes, 1, ((7, 12, 14), (9, 16, 10))),
    "causal encoder": (CausalVideo, 3, ((9, 10, 12), (13, 9, 11))),
}


def positive(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """Make a network in double precision with random weights above 0, so that no two paths cancel."""
    torch.manual_seed(seed)
    module = make().double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(0.02, 0.2)
    return module
