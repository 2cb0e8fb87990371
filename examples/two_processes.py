"""Run a network on two processes that each hold half of an image, and compare with the whole image.

    python examples/two_processes.py

Each process runs the module once. Layers send each other the rows of their halo, norms their sums,
by torch.distributed (gloo here; on GPUs nccl). Only the team knows of processes.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn

from padviz.cutting.by_layer import run
from padviz.cutting.nodes import Node, Team
from padviz.cutting.parts import Runner, SharedMap
from padviz.cutting.shards import owned

PROCESSES = 2


class Processes(Team):
    """A team of processes, of which each stores its own rows of every map."""

    def __init__(self) -> None:
        self.n, self.rank = dist.get_world_size(), dist.get_rank()
        self.sent = 0

    def mine(self, node: Node) -> Sequence[int]:
        """Return the part that this process makes: the whole of what is not cut."""
        return [self.rank] if node.cut else [0]

    def rows(
        self,
        x: Tensor,
        n: int,
        dim: int,
        wanted: Callable[[int], Sequence[tuple[int, int]]],
        k: int,
    ) -> Tensor:
        """Send the rows that others want of this part, and receive those that this one wants."""
        edges = owned(n, self.n)
        first, _ = edges[self.rank]
        pieces, waiting = [], []
        for reader in range(self.n):
            for lo, hi in wanted(reader):
                for owner, (start, stop) in enumerate(edges):
                    a, b = max(lo, start), min(hi, stop)
                    if a >= b or self.rank not in (reader, owner):
                        continue
                    if owner == self.rank:
                        rows = x.narrow(dim, a - first, b - a).contiguous()
                        if reader != self.rank:
                            waiting.append(dist.isend(rows, reader))
                            self.sent += rows.numel() * rows.element_size()
                    else:
                        rows = x.new_empty([*x.shape[:dim], b - a, *x.shape[dim + 1 :]])
                        waiting.append(dist.irecv(rows, owner))
                    if reader == self.rank:
                        pieces.append(rows)
        for request in waiting:
            request.wait()
        return torch.cat([x.narrow(dim, 0, 0), *pieces], dim)

    def keep(
        self, node: Node, whole: Tensor | None, k: int, value: Tensor, empty: object
    ) -> Tensor:
        """Keep the rows of this process."""
        return value

    def whole(self, node: Node) -> Tensor:
        """Fetch all rows that the others have."""
        assert node.stored is not None
        if not node.cut:
            return node.stored
        (dim,) = node.cut
        n = node.shape[dim]
        return self.rows(node.stored, n, dim, lambda _: [(0, n)], self.rank)

    def adopt(self, node: Node, whole: Tensor) -> Tensor:
        """Take the rows of this process from a map that all have."""
        for dim, (first, end) in node.box(self.rank).items():
            whole = whole.narrow(dim, first, end - first)
        return whole

    def collect(self, values: Mapping[int, Any]) -> list[Any]:
        """Exchange small values, such as sums."""
        gathered: list[Any] = [None] * self.n
        dist.all_gather_object(gathered, values[self.rank])
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
    team = Processes()
    runner = Runner([PROCESSES], behind=2, home=latents.device, team=team)
    with torch.no_grad():
        image = run(network(), runner.cut(latents, [2]))
        assert isinstance(image, SharedMap)
        runner.store(image.node)
        rows = image.node.stored
        whole = network()(latents)
    first, end = owned(image.shape[2], PROCESSES)[rank]
    apart = float((whole[:, :, first:end] - rows).abs().max())
    print(
        f"process {rank}: rows {first} to {end - 1}, sent {team.sent} bytes, differs "
        f"from the whole by {apart:.1e}"
    )
    assert apart < 1e-12
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(decode, (f"{folder}/meeting",), PROCESSES)  # type: ignore[attr-defined, no-untyped-call]
