"""A decoder cut into rows for two devices: convolutions fetch a row, group norms need sums of all."""

from pathlib import Path

from tests.questions.q17_norms_of_a_tiled_decoder import OF_POSITIONS, OF_TRAINING
from tests.questions.question import Question


def rows_that_cross(folder: Path) -> list[str]:
    """Add up the rows on both sides of the cut that the convolutions read, as float32."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "decoder.py").read_text(), space)
    network = space["Decoder"]().eval()
    crossing: list[int] = []

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor], _: object) -> None:
        rows = module.kernel_size[0] // 2
        _, channels, _, width = inputs[0].shape
        if rows:
            crossing.append(2 * rows * channels * width * 4)

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    norms = sum(isinstance(module, torch.nn.GroupNorm) for module in network.modules())
    network(torch.rand(1, 4, 64, 64))
    size = f"{len(crossing)} exchanges, {sum(crossing) / 1000:.1f} kB"
    return [size, f"layers that need all shards: {norms}"]


QUESTION = Question(
    number=19,
    group="Latent decoders",
    asked="A decoder runs on several devices, each on some rows. What does each fetch, and is the image the same?",
    threads=("xdit-project/xDiT#750", "vllm-project/vllm-omni#3979"),
    ended="rows with an exchange at each convolution, or a whole tile for each device: that video is 39 dB from the undivided one.",
    files={"decoder.py": OF_POSITIONS},
    control={"decoder.py": OF_TRAINING},
    commands=("padviz shards decoder:Decoder --size 64 --shards 2",),
    answer=(
        "at any layer, a shard fetches at most 1 + 1 rows,",
        "before and after its own; 10 exchanges, 63.5 kB in all; layers that need all",
        "shards: 8.",
        " middle.norm      64       0      0       0  sums      group norm",
        " middle.first     64       1      1   4,096",
    ),
    cause=("shards: 8", "sums group norm"),
    do="Fetch these rows in front of each convolution, and add up the sums of the norms over all devices.",
    truth=rows_that_cross,
)
