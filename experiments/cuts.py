"""What goes wrong where a network is cut: tiles with norms of their own, chunks that restart, and a seam on a globe.

    python -m experiments.cuts docs/latent-tiles.png docs/audio-chunks.png docs/longitude-0.png

The networks are those of examples/networks.py in double precision. What is drawn is tuned to show the error: orthogonal
weights, and inputs that drift or wave smoothly. The same errors of networks as PyTorch builds them, on noise, are
measured beside it: SEEDS of them. Differences are in standard deviations of the output (sd).
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

import padviz
from examples.networks import Globe, codec_decoder, latent_decoder

LATENTS, TILE, PER_LATENT = (
    64,
    50,
    8,
)  # two tiles a side: each keeps 32 latents, and has 18 of context
FRAMES, CHUNK, RATE, PER_FRAME = 75, 15, 24_000, 320
ROWS, TURN = 88, 8
SEEDS = range(1, 6)  # of networks as PyTorch builds them
Map = NDArray[Any]


class Decoded(NamedTuple):
    """An image decoded whole, and with norms per tile; the latter's error, and its mean step at seams; shared norms."""

    whole: Map
    per_tile: Map
    error: Map
    rms: float
    step: float
    shared: float


class Played(NamedTuple):
    """A signal decoded whole, and in chunks that restart: wrong from `before` to `after` a boundary, in ms."""

    whole: Map
    restarted: Map
    worst: float
    before: float
    after: float
    stream: float


class Turned(NamedTuple):
    """A globe's map, and by longitude how far that of the turned globe differs. Longitude 0 is in the middle."""

    values: Map
    apart: Map


def main() -> None:
    """Draw the three pictures, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, nargs=3)
    pictures = parser.parse_args().pictures
    image, signal, globes = decoded(), played(), {width: turned(width) for width in (180, 184)}
    noise = [decoded_noise(seed) for seed in SEEDS]
    print(
        f"norms per tile: {image.rms:.2f} sd rms, steps of {image.step:.2f} sd; shared: {image.shared:.1g} sd"
    )
    print(f"as built, on noise: {min(noise):.3f} to {max(noise):.3f} sd rms")
    print(
        f"chunks: {signal.worst:.1f} sd, {signal.before:.1f} ms before to {signal.after:.1f} ms after a boundary;"
    )
    print(f"a stream: {signal.stream:.1g} sd")
    turns = []
    for width, globe in globes.items():
        built = [turned_noise(width, seed) for seed in SEEDS]
        print(f"{width} columns, turned: {globe.apart.max():.2g} sd")
        print(f"as built, on noise: {min(built):.2g} to {max(built):.2g} sd")
        turns += built
    drawn = draw_decoded(image, max(noise)), draw_played(signal), draw_turned(globes, max(turns))
    for figure, picture in zip(drawn, pictures, strict=True):
        save(figure, picture)


def weighted(model: nn.Module, seed: int) -> nn.Module:
    """Give a model orthogonal weights, which keep a signal's size; transposed convolutions interpolate linearly."""
    torch.manual_seed(seed)
    for each in model.double().requires_grad_(False).modules():
        if isinstance(each, nn.Conv1d | nn.Conv2d):
            nn.init.orthogonal_(each.weight)
        elif isinstance(each, nn.ConvTranspose1d):
            ramp = 1 - ((torch.arange(*each.kernel_size) + 0.5) / each.stride[0] - 1).abs()
            each.weight.copy_(
                2**0.5 * nn.init.orthogonal_(each.weight[..., 0].clone())[..., None] * ramp
            )
        if isinstance(getattr(each, "bias", None), Tensor):
            nn.init.zeros_(each.bias)
    return model


def random(seed: int, *shape: int) -> Tensor:
    """Return normal noise, the same at each call."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


def decoded() -> Decoded:
    """Decode latents that drift across the image, with orthogonal weights: whole, and in four tiles."""
    model, ramp = weighted(latent_decoder(), 1), torch.linspace(-2, 2, LATENTS).double()
    down, right = random(5, 2, 4, 1, 1)
    drift = down * ramp[:, None] + right * ramp
    spots = functional.interpolate(
        random(1, 1, 4, 6, 6), (LATENTS, LATENTS), mode="bicubic", align_corners=True
    )
    latents = drift + 0.5 * spots
    whole, per_tile = in_tiles(model, latents)
    error = (per_tile - whole) / whole.std()
    seam = LATENTS * PER_LATENT // 2
    steps = torch.cat(
        [error[..., seam, :] - error[..., seam - 1, :], error[..., seam] - error[..., seam - 1]]
    )
    shared = padviz.tiled(model, latents, padviz.tiles(model, LATENTS, TILE, norms="shared").plan)
    off_most = float(((shared - whole) / whole.std()).abs().max())
    maps = (each[0, 0].numpy() for each in (whole, per_tile, error))
    return Decoded(*maps, rms_of(error), float(steps.abs().mean()), off_most)


def decoded_noise(seed: int) -> float:
    """Return the rms error of norms per tile for the decoder as PyTorch builds it, on noise."""
    torch.manual_seed(seed)
    model = latent_decoder().double().requires_grad_(False)
    whole, per_tile = in_tiles(model, random(seed, 1, 4, LATENTS, LATENTS))
    return rms_of((per_tile - whole) / whole.std())


def in_tiles(model: nn.Module, latents: Tensor) -> tuple[Tensor, Tensor]:
    """Decode latents whole, and in four tiles with norms of their own."""
    plan = padviz.tiles(model, LATENTS, TILE, norms="per-tile").plan
    return model(latents), padviz.tiled(model, latents, plan)


def rms_of(error: Tensor) -> float:
    return float(error.square().mean().sqrt())


def played() -> Played:
    """Decode frames of a codec: whole, as a stream, and in chunks that each begin and end with zero padding."""
    model = weighted(codec_decoder(), 4)
    frames = functional.interpolate(random(1, 1, 8, 38), FRAMES, mode="linear")
    whole, chunks, stream = (
        model(frames).flatten(),
        frames.split(CHUNK, -1),
        padviz.streamed(model, CHUNK),
    )
    joined = torch.cat([*map(stream, chunks), stream.flush()], -1).flatten()
    restarted = torch.cat([*map(model, chunks)], -1).flatten()
    error = (restarted - whole).abs() / whole.std()
    boundary, half = CHUNK * PER_FRAME, CHUNK * PER_FRAME // 2
    wrong = torch.nonzero(error[boundary - half : boundary + half] > 1e-9) - half
    before, after = -float(wrong.min()) / RATE * 1000, float(wrong.max() + 1) / RATE * 1000
    off = float((joined - whole).abs().max() / whole.std())
    return Played(whole.numpy(), restarted.numpy(), float(error.max()), before, after, off)


def turned(width: int) -> Turned:
    """Turn smooth waves under a U-Net with orthogonal weights, doubled where it reads what it upsampled."""
    model = weighted(Globe(), 2)
    for up in model.up:  # its first third reads the skip
        weight = up[0].weight
        weight[:, weight.shape[1] // 3 :] *= 2
    longitude = torch.arange(width).double() * 2 * torch.pi / width
    latitude = torch.linspace(-3, 3, ROWS).double()[:, None]
    waves = enumerate(random(4, 20, 3))
    globe = (
        sum(a * torch.cos(k % 5 * longitude + 3 * b + c * latitude) for k, (a, b, c) in waves) / 4
        + 0.5
    )
    values, apart = under_turns(model, torch.as_tensor(globe)[None, None])
    return Turned(*(each.roll(width // 2, -1).numpy() for each in (values, apart)))


def turned_noise(width: int, seed: int) -> float:
    """Return the largest change of the U-Net as PyTorch builds it, on noise."""
    torch.manual_seed(seed)
    model = Globe().double().requires_grad_(False)
    return float(under_turns(model, random(seed, 1, 1, ROWS, width))[1].max())


def under_turns(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output, and by longitude how far it changes if the globe is turned by the total stride."""
    values, again = model(x)[0, 0], model(x.roll(TURN, -1))[0, 0].roll(-TURN, -1)
    return values, ((again - values) / values.std()).abs().amax(0)


def draw_decoded(made: Decoded, noise: float) -> Figure:
    """Draw the decoded image; `noise` is the error of decoders as they are built, on noise."""
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 4), layout="constrained")
    drawn = f"Drawn: latents that drift from edge to edge. On noise the error is at most {noise:.2f} sd."
    figure.supxlabel(drawn, fontsize=12)
    low, high = np.percentile(made.whole, [1, 99])
    for axis, values, title in zip(
        axes, made[:2], ("whole, or shared norms", "norms per tile"), strict=False
    ):
        axis.imshow(values, vmin=low, vmax=high)
        axis.set_title(title, fontsize=14)
    errors = axes[2].imshow(made.error, vmin=-1, vmax=1, cmap="RdBu_r")
    axes[2].set_title(f"error: {made.rms:.2f} sd", fontsize=14)
    figure.colorbar(errors, ax=axes[2], ticks=[-1, 0, 1], shrink=0.8).ax.tick_params(labelsize=12)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    return figure


def draw_played(made: Played) -> Figure:
    figure, axis = plt.subplots(figsize=(9.6, 3.4), layout="constrained")
    ms, at = np.arange(len(made.whole)) / RATE * 1000, 2 * CHUNK * PER_FRAME / RATE * 1000
    axis.axvspan(at - made.before, at + made.after, color="0.93")
    shown = abs(ms - at) < 90
    axis.plot(
        ms[shown], made.restarted[shown], color="tab:red", lw=2.5, label="chunks that restart"
    )
    axis.plot(ms[shown], made.whole[shown], color="black", lw=2, label="whole, or streamed")
    axis.set(xlim=(at - 90, at + 90), yticks=[])
    axis.set_xlabel(f"ms; two chunks meet at {at:.0f}", fontsize=13)
    axis.tick_params(labelsize=12)
    axis.legend(fontsize=13, loc="lower left")
    return figure


def draw_turned(globes: dict[int, Turned], noise: float) -> Figure:
    """Draw the globes; `noise` is the largest change of networks as they are built, on noise."""
    figure, axes = plt.subplots(
        2, 2, figsize=(9.6, 4.9), layout="constrained", sharex=True, height_ratios=(2, 1)
    )
    drawn = "Drawn: weights doubled where they read the upsampled map. "
    figure.supxlabel(
        f"{drawn}As built, on noise, the change is at most {noise:.2f} sd.", fontsize=12
    )
    most = max(globe.apart.max() for globe in globes.values())
    for (above, below), (width, globe) in zip(axes.T, globes.items(), strict=True):
        above.imshow(globe.values, extent=(-180, 180, -88, 88), aspect="auto")
        above.set_title(f"{width} columns", fontsize=14)
        above.set_yticks([])
        below.plot(np.arange(width) * 360 / width - 180, globe.apart, color="tab:red", lw=2)
        below.set(ylim=(-0.05 * most, 1.1 * most), xlim=(-180, 180), xticks=[-180, -90, 0, 90, 180])
        below.tick_params(labelsize=12)
        below.set_xlabel("longitude", fontsize=13)
    axes[1, 0].set_ylabel("change if\nturned (sd)", fontsize=12)
    return figure


def save(figure: Figure, picture: Path) -> None:
    """Write a PNG of 256 colours, a third as large as one of all."""
    drawn = BytesIO()
    figure.savefig(drawn, dpi=100)
    plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(256).save(picture, optimize=True)


if __name__ == "__main__":
    main()
