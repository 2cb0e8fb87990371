"""Tiles of 64 px whose norms see one tile each: a step every 64 px that context cannot mend."""

from pathlib import Path

from tests.questions.q17_norms_of_a_tiled_decoder import OF_POSITIONS
from tests.questions.question import Question

TILE, CONTEXT, SCALE = 8, 7, 8  # latents, latents, pixels of a latent


def decoded(tiled: bool, shared: bool, path: Path) -> None:
    """Decode a latent of 48 x 48 whole or in tiles, whose norms have the statistics of the tile or
    of the whole."""
    import numpy as np
    import torch
    from torch import Tensor, nn

    torch.manual_seed(0)
    space: dict[str, type[nn.Module]] = {}
    exec(OF_POSITIONS, space)
    network = space["Decoder"]().eval()
    statistics: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def normalised(norm: nn.Module, inputs: tuple[Tensor], _: Tensor) -> Tensor:
        groups = inputs[0].unflatten(1, (2, -1))
        if norm not in statistics or not shared:
            axes = (2, 3, 4)
            statistics[norm] = (
                groups.mean(axes, True),
                groups.var(axes, unbiased=False, keepdim=True),
            )
        mean, variance = statistics[norm]
        return ((groups - mean) / (variance + 1e-5).sqrt()).flatten(1, 2)

    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.register_forward_hook(normalised)
    noise = nn.functional.avg_pool2d(torch.randn(1, 4, 52, 52), 5, 1)
    latent = 3 * noise + torch.linspace(-1, 1, 48)
    with torch.no_grad():
        output = network(latent)
        for top in range(0, 48, TILE) if tiled else ():
            for left in range(0, 48, TILE):
                first, start = max(top - CONTEXT, 0), max(left - CONTEXT, 0)
                tile = latent[..., first : top + TILE + CONTEXT, start : left + TILE + CONTEXT]
                rows = slice((top - first) * SCALE, (top - first + TILE) * SCALE)
                columns = slice((left - start) * SCALE, (left - start + TILE) * SCALE)
                output[
                    ...,
                    top * SCALE : (top + TILE) * SCALE,
                    left * SCALE : (left + TILE) * SCALE,
                ] = network(tile)[..., rows, columns]
    np.save(path, output.numpy())


QUESTION = Question(
    number=18,
    group="Latent decoders",
    asked="The tiles of a decode are visible. Which period do the seams have, and is it the overlap or a norm?",
    threads=("invoke-ai/InvokeAI#6144", "numz/ComfyUI-SeedVR2_VideoUpscaler#19"),
    ended="the threads name no cause; larger tiles and a blended overlap are advised.",
    files={
        "whole.npy": lambda path: decoded(False, False, path),
        "tiled.npy": lambda path: decoded(True, False, path),
    },
    control={"tiled.npy": lambda path: decoded(True, True, path)},
    commands=("padviz seams whole.npy tiled.npy",),
    answer=(
        "Seams every 64 px on both axes. Errors hardly fade away from them, so context",
        "does not help: share the norms' statistics (padviz tiles MODEL --norms shared),",
        "or start tiles at multiples of the stride.",
    ),
    cause=("Seams every 64 px", "share the norms' statistics"),
    do="It is not the overlap. It is a norm if your tiles start on multiples of the stride, as ours do: then type "
    "the command that the answer names. For the threads the norm is our guess.",
    truth=lambda _: [f"every {TILE * SCALE} px"],
)
