"""Three networks whose geometry matters: on a globe, in a stream, in tiles."""

from torch import nn


def ocean() -> nn.Module:
    """The width goes round the globe."""
    around = {"padding": (0, 1), "padding_mode": "circular"}
    return nn.Sequential(nn.Conv2d(1, 8, 3, **around), nn.ReLU(), nn.Conv2d(8, 1, 3, **around))


def speech() -> nn.Module:
    """No output may wait for what is said next."""
    return nn.Sequential(
        nn.ConstantPad1d((4, 0), 0.0), nn.Conv1d(1, 8, 5), nn.ReLU(), nn.Conv1d(8, 1, 1)
    )


def slides() -> nn.Module:
    """Runs in tiles with 16 px of context."""
    down = [nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1)]
    return nn.Sequential(*down, nn.Upsample(scale_factor=2.0), nn.Conv2d(8, 1, 3, padding=1))
