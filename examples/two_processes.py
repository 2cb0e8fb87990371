"""Run a network on two processes that each hold half of an image, and compare with the whole image.

    python examples/two_processes.py

Each process runs the module once. Layers send each other the rows that they read of the other half,
norms their sums, and attention its keys and values, by torch.distributed (gloo here; on GPUs nccl).
Only the team knows of processes.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn
from torch.nn import functional

from padviz.cutting.by_layer import run
from padviz.cutting.nodes import Node, Team
from padviz.cutting.parts import Runner, SharedMap
from padviz.cutting.shards import owned

PROCESSES = 2
Span = tuple[int, int]
T = TypeVar("T")


class Processes(Team):
    """A team of processes, of which each stores its own rows of every map."""

    def __init__(self) -> None:
        self.n, self.rank = dist.get_world_size(), dist.get_rank()
        self.sent = 0

    def mine(self, node: Node) -> Sequence[int]:
        """Return the parts that this process makes: the whole of what is not cut."""
        count = prod(node.cut.values())
        if not node.cut:
            return [0]
        return range(self.rank * count // self.n, (self.rank + 1) * count // self.n)

    def rows(
        self, x: Tensor, n: int, dim: int, wanted: Callable[[int], Sequence[Span]], k: int
    ) -> Tensor:
        """Send the rows that the others want now, and receive those that this process wants."""
        spans = wanted(k)
        reads_all = [*spans] == [(0, n)]
        if reads_all and hasattr(x, "all_rows"):
            return x.all_rows  # type: ignore[no-any-return]  # they were fetched before

        edges = owned(n, self.n)
        first, _ = edges[self.rank]
        pieces, waiting = [], []
        for reader, its_spans in enumerate(self._exchanged(spans)):
            for lo, hi in its_spans:
                for owner, (start, stop) in enumerate(edges):
                    a, b = max(lo, start), min(hi, stop)
                    if a >= b or self.rank not in (reader, owner):
                        continue
                    if owner == self.rank:
                        rows = x.narrow(dim, a - first, b - a).contiguous()
                        if reader != self.rank:
                            waiting.append(dist.isend(rows, reader))
                            self.sent += rows.nbytes
                    else:
                        rows = x.new_empty([*x.shape[:dim], b - a, *x.shape[dim + 1 :]])
                        waiting.append(dist.irecv(rows, owner))
                    if reader == self.rank:
                        pieces.append(rows)
        for request in waiting:
            request.wait()
        result = torch.cat([x.narrow(dim, 0, 0), *pieces], dim)
        if reads_all:
            x.all_rows = result  # type: ignore[attr-defined]
        return result

    def keep(
        self, node: Node, whole: Tensor | None, k: int, value: Tensor, empty: object
    ) -> Tensor:
        """Keep the rows of this process, whose parts follow each other."""
        if whole is None:
            return value
        (dim,) = node.cut
        return torch.cat([whole, value], dim)

    def part(self, node: Node, k: int) -> Tensor:
        """Return part k of what this process keeps."""
        assert node.stored is not None
        ((dim, (lo, hi)),) = node.box(k).items()
        first, _ = owned(node.shape[dim], self.n)[self.rank]
        return node.stored.narrow(dim, lo - first, hi - lo)

    def whole(self, node: Node) -> Tensor:
        """Fetch all rows that the others have."""
        assert node.stored is not None
        if not node.cut:
            return node.stored
        (dim,) = node.cut
        n = node.shape[dim]
        return self.rows(node.stored, n, dim, lambda _: [(0, n)], 0)

    def adopt(self, node: Node, whole: Tensor) -> Tensor:
        """Take the rows of this process from a map that all have."""
        for dim in node.cut:
            lo, hi = owned(node.shape[dim], self.n)[self.rank]
            whole = whole.narrow(dim, lo, hi - lo)
        return whole

    def collect(self, values: Mapping[int, T]) -> list[T]:
        """Exchange small values, such as sums."""
        return [value for part in self._exchanged(values) for value in part.values()]

    def _exchanged(self, value: T) -> list[T]:
        """Return what each process has."""
        values = [value] * self.n
        dist.all_gather_object(values, value)
        return values


class Attention(nn.Module):
    """Attention over all positions, as decoders have it in their middle."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, n)
        self.inputs, self.output = nn.Linear(n, 3 * n), nn.Linear(n, n)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.inputs(tokens).chunk(3, -1)
        seen = self.output(functional.scaled_dot_product_attention(q, k, v))
        return x + seen.transpose(1, 2).reshape(x.shape)  # type: ignore[no-any-return]


def network() -> nn.Module:
    """Return a small decoder with norms and attention, the same in each process."""
    torch.manual_seed(0)
    up = (
        nn.Upsample(scale_factor=2),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.GroupNorm(4, 16),
        nn.SiLU(),
    )
    first, last = nn.Conv2d(4, 16, 3, padding=1), nn.ConvTranspose2d(16, 3, 4, 2, 1)
    return nn.Sequential(first, Attention(16), *up, last).double().eval()


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
