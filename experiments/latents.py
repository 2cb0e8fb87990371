"""What tiles do to the decoders of diffusers: whole, by `enable_tiling`, and by padviz, in one table of Markdown.

    pip install diffusers
    python -m experiments.latents            # 96 x 96 latents: some minutes on two cores
    OMP_NUM_THREADS=1 python -m experiments.latents --latents 72 --model AutoencoderKL    # for times

Weights are random, since this downloads none: `drift` are orthogonal ones, with latents that drift from edge to edge,
which show errors at their largest; `noise` are as PyTorch draws them, with latents of torch.randn. Each row runs in a
process of its own, in float32. Its peak is that of the process, less what it held before it decoded, and its time that
of all its threads; both are shown over those of the whole. The error is the largest difference from the whole, over the
standard deviation (sd) of the whole, and PSNR is over the whole's range.
"""

from __future__ import annotations

import argparse
import multiprocessing
import warnings
from collections.abc import Callable
from functools import partial
from math import inf, log10
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch import multiprocessing as torch_processes
from torch.nn import functional

import padviz
from examples.two_processes import Processes
from padviz.cutting.by_layer import run
from padviz.cutting.parts import Runner, SharedMap

SEED = 0
WEIGHTS = ("drift", "noise")
Decoding = Callable[[], Tensor]


class Decoder(nn.Module):
    """The decoder of an autoencoder, as a module from latents to images."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor) -> Tensor:
        return self.vae.decode(z).sample  # type: ignore[no-any-return]


class Unquantized(Decoder):
    """The same of a model that would first replace latents by those of its codebook."""

    def forward(self, z: Tensor) -> Tensor:
        return self.vae.decode(z, force_not_quantize=True).sample  # type: ignore[no-any-return]


class Row(NamedTuple):
    """What one way to decode took, its image, and the bytes that processes sent each other."""

    image: Tensor
    seconds: float
    peak: int
    sent: int = 0


def autoencoder_kl(width: int) -> Decoder:
    """Build Stable Diffusion's autoencoder at `width` channels in place of 128: 4 latents for 8 x 8 px, attention in
    the middle.
    """
    from diffusers import AutoencoderKL

    levels = 4
    return Decoder(
        AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=(width, 2 * width, 4 * width, 4 * width),
            layers_per_block=2,
            latent_channels=4,
            norm_num_groups=min(32, width),
            sample_size=512,
        )
    )


def autoencoder_tiny(width: int) -> Decoder:
    """Build the small decoder TAESD, which has neither norms nor attention, at its own width of 64."""
    from diffusers import AutoencoderTiny

    return Decoder(AutoencoderTiny())


def vq_model(width: int) -> Decoder:
    """Build a VQ autoencoder with attention in the middle: 3 latents for 4 x 4 px."""
    from diffusers import VQModel

    levels = 3
    return Unquantized(
        VQModel(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=(width, 2 * width, 4 * width),
            layers_per_block=2,
            latent_channels=3,
            norm_num_groups=min(32, width),
        )
    )


MODELS: dict[str, tuple[Callable[[int], Decoder], int]] = {
    "AutoencoderKL": (autoencoder_kl, 4),
    "AutoencoderTiny": (autoencoder_tiny, 4),
    "VQModel": (vq_model, 3),
}


def whole(decoder: Decoder, z: Tensor, peak: int) -> Decoding:
    return partial(decoder, z)


def enable_tiling(decoder: Decoder, z: Tensor, peak: int) -> Decoding:
    """Decode in the tiles of diffusers, which overlap and are blended."""
    decoder.vae.enable_tiling()
    return partial(decoder, z)


def shared_tiles(decoder: Decoder, z: Tensor, peak: int) -> Decoding:
    """Decode in 2 x 2 tiles whose norms and attention see all of them."""
    size = z.shape[-1]
    plan = padviz.tiles(decoder, size, tile=size // 2, norms="shared").plan
    return partial(padviz.tiled, decoder, z, plan)


def half_memory(decoder: Decoder, z: Tensor, peak: int) -> Decoding:
    """Decode in 4 x 4 tiles, in half of the memory that the whole takes."""
    size = z.shape[-1]
    most = peak // 2_000_000
    plan = padviz.tiles(decoder, size, tile=size // 4, norms="shared", memory=most).plan
    return partial(padviz.tiled, decoder, z, plan)


def plain_tiles(decoder: Decoder, z: Tensor, peak: int) -> Decoding:
    """Decode in tiles with as much context as makes them exact, one after another."""
    plan = padviz.tiles(decoder, z.shape[-1], tile=64).plan
    return partial(padviz.tiled, decoder, z, plan)


WAYS = {way.__name__: way for way in (whole, enable_tiling, shared_tiles, half_memory, plain_tiles)}


def drawn(name: str, weights: str, latents: int, width: int) -> tuple[Decoder, Tensor]:
    """Return a decoder and latents, the same at each call."""
    make, channels = MODELS[name]
    torch.manual_seed(SEED)
    decoder = make(width).eval().requires_grad_(False)
    noise = torch.randn(1, channels, latents, latents, generator=torch.Generator().manual_seed(1))
    if weights == "noise":
        return decoder, noise
    for module in decoder.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.orthogonal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    spots = functional.interpolate(
        noise[..., :6, :6], (latents, latents), mode="bicubic", align_corners=True
    )
    ramp = torch.linspace(-2, 2, latents)
    down, right = noise[..., :1, 6:7], noise[..., :1, 7:8]
    return decoder, down * ramp[:, None] + right * ramp + 0.5 * spots


def memory(field: str) -> int:
    """Return a figure of this process in bytes: VmRSS now, VmHWM at its peak."""
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith(field)
    )
    return int(line.split()[1]) * 1024


def decoded(name: str, weights: str, way: str, latents: int, width: int, peak: int) -> Row | str:
    """Decode in one way, where the whole takes `peak` bytes; return why not if there are no such
    tiles.
    """
    warnings.simplefilter("ignore")
    decoder, z = drawn(name, weights, latents, width)
    with torch.no_grad():
        decoder(z[..., :8, :8])  # so that libraries are loaded
        try:
            decode = WAYS[way](decoder, z, peak)
        except (NotImplementedError, padviz.PadvizError) as error:
            return f"none: {error}"
        before, start = memory("VmRSS"), process_time()
        image = decode()
        return Row(image, process_time() - start, memory("VmHWM") - before)


def in_processes(name: str, weights: str, latents: int, width: int) -> Row:
    """Decode in two processes, each with half of the latents; seconds are those of both."""
    with TemporaryDirectory() as folder:
        drawing = name, weights, latents, width
        torch_processes.spawn(one_of_two, (folder, *drawing), 2)  # type: ignore[attr-defined, no-untyped-call]
        rows = [Row(*torch.load(Path(folder, str(rank)))) for rank in range(2)]
    return Row(
        torch.cat([row.image for row in rows], 2),
        sum(row.seconds for row in rows),
        max(row.peak for row in rows),
        sum(row.sent for row in rows),
    )


def one_of_two(rank: int, folder: str, name: str, weights: str, latents: int, width: int) -> None:
    """Decode one half, and write what it took into a folder."""
    warnings.simplefilter("ignore")
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    decoder, z = drawn(name, weights, latents, width)
    with torch.no_grad():
        decoder(z[..., :8, :8])
        before, start, team = memory("VmRSS"), process_time(), Processes()
        runner = Runner([2], 2, z.device, team=team)
        image = run(decoder, runner.cut(z, [2]))
        assert isinstance(image, SharedMap)
        runner.store(image.node)
        row = Row(image.node.stored, process_time() - start, memory("VmHWM") - before, team.sent)
    torch.save([*row], Path(folder, str(rank)))
    distributed.destroy_process_group()


def decibels(image: Tensor, reference: Tensor) -> float:
    """Return the PSNR over the range of the reference."""
    error = (image.double() - reference).square().mean()
    if error == 0:
        return inf
    return 20 * log10(reference.max() - reference.min()) - 10 * log10(error)


def main() -> None:
    """Print the table, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=int, default=96)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--model", choices=MODELS, action="append")
    parser.add_argument("--weights", choices=WEIGHTS, action="append")
    parser.add_argument("--way", choices=[*WAYS, "in_processes"], action="append")
    given = parser.parse_args()
    print("| decoder | weights | way | PSNR | largest error | peak | time |")
    print("|---|---|---|--:|--:|--:|--:|")
    spawn = multiprocessing.get_context("spawn")
    for name in given.model or MODELS:
        for weights in given.weights or WEIGHTS:
            reference, first = torch.empty(0), Row(torch.empty(0), 0, 0)
            for way in given.way or [*WAYS, "in_processes"]:
                row: Row | str
                if way == "in_processes":
                    row = in_processes(name, weights, given.latents, given.width)
                else:
                    with spawn.Pool(1) as pool:
                        drawing = name, weights, way, given.latents, given.width
                        row = pool.apply(decoded, (*drawing, first.peak))
                if isinstance(row, str):
                    print(f"| {name} | {weights} | {way} | {row} | | | |", flush=True)
                    continue
                if way == "whole":
                    reference, first = row.image.double(), row
                error = float((row.image - reference).abs().max() / reference.std())
                quality = f"{decibels(row.image, reference):.1f} dB | {error:.2g} sd"
                peak = f"{row.peak / 1e6:,.0f} MB, {row.peak / first.peak:.2f}x"
                time = f"{row.seconds:.1f} s, {row.seconds / first.seconds:.2f}x"
                if row.sent:
                    time += f", sent {row.sent / 1e6:.1f} MB"
                print(f"| {name} | {weights} | {way} | {quality} | {peak} | {time} |", flush=True)


if __name__ == "__main__":
    main()
