"""Run a network on two processes that each hold half of an image, and compare with the whole image.

    python examples/two_processes.py

Each process runs the module once. Layers send each other the rows of their halo, norms their sums,
by torch.distributed (gloo here; on GPUs nccl). Only `fetch` and `collect` know of processes.
"""

import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn

from padviz.cutting.by_layer import SharedMap, Team, run
from padviz.cutting.shards import owned

PROCESSES = 2


class Processes(Team):
    """A team of processes, of which each has one part of every map."""

    def __init__(self) -> None:
        super().__init__(dist.get_world_size())
        self.mine = [dist.get_rank()]
        self.sent = 0

    def fetch(
        self, cut: SharedMap, wanted: Sequence[Sequence[tuple[int, int]]]
    ) -> dict[int, list[Tensor]]:
        """Send the rows that others want of this part, and receive those that this one wants."""
        (rank,), waiting = self.mine, []
        part, first = cut.parts[rank], cut.edges[rank][0]
        found: list[list[Tensor]] = []
        for k, spans in enumerate(wanted):
            for lo, hi in spans:
                pieces = []
                for owner, (start, end) in enumerate(cut.edges):
                    a, b = max(lo, start), min(hi, end)
                    if a >= b or rank not in (k, owner):
                        continue
                    if owner == rank:
                        rows = part.narrow(cut.along, a - first, b - a).contiguous()
                        if k != rank:
                            waiting.append(dist.isend(rows, k))
                            self.sent += rows.numel() * rows.element_size()
                    else:
                        rows = part.new_empty(
                            [*part.shape[: cut.along], b - a, *part.shape[cut.along + 1 :]]
                        )
                        waiting.append(dist.irecv(rows, owner))
                    pieces.append(rows)
                if k == rank:
                    found.append(pieces or [part.narrow(cut.along, 0, 0)])
        for each in waiting:
            each.wait()
        return {rank: [torch.cat(pieces, cut.along) for pieces in found]}

    def collect(self, values: Mapping[int, Any]) -> list[Any]:
        """Exchange small values, such as sums."""
        gathered: list[Any] = [None] * self.n
        dist.all_gather_object(gathered, values[self.mine[0]])
        return gathered


def network() -> nn.Module:
    """Return a small decoder with norms, the same in each process."""
    torch.manual_seed(0)
    up = (
        nn.Upsample(scale_factor=2),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.GroupNorm(4, 16),
        nn.SiLU(),
    )
    return (
        nn.Sequential(nn.Conv2d(4, 16, 3, padding=1), *up, nn.ConvTranspose2d(16, 3, 4, 2, 1))
        .double()
        .eval()
    )


def decode(rank: int, meeting: str) -> None:
    """Run one process: of the latents it has its own rows, and makes its own rows of the image."""
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=PROCESSES
    )
    latents = torch.rand(
        1, 4, 33, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    lo, hi = owned(latents.shape[2], PROCESSES)[rank]
    team = Processes()
    made = run(network(), SharedMap.of({rank: latents[:, :, lo:hi]}, 2, latents.shape[2], team))
    first, end = made.edges[rank]
    with torch.no_grad():
        whole = network()(latents)
    apart = float((whole[:, :, first:end] - made.parts[rank]).abs().max())
    print(
        f"process {rank}: rows {first} to {end - 1}, sent {team.sent} bytes, differs "
        f"from the whole by {apart:.1e}"
    )
    assert apart < 1e-12
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(decode, (f"{folder}/meeting",), PROCESSES)  # type: ignore[attr-defined, no-untyped-call]
