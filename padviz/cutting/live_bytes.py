"""The bytes of the tensors that are alive in a run without data, and those of the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod
from os import sysconf
from pathlib import Path
from typing import Any
from weakref import finalize

import torch
from torch import Tensor

from padviz.cutting.cut_map import (
    CutMap,
    OpOverload,
    TorchDispatchMode,
    aten,
    select_conv_backend,
    tree_leaves,
)
from padviz.sources.torch.tensors import place


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that calls make, `now` and at the `peak`.

    >>> import torch
    >>> with LiveBytes() as live, torch.device("meta"):
    ...     x = torch.empty(100, dtype=torch.uint8)
    ...     y = x + 1
    ...     del x
    >>> live.now, live.peak
    (100, 200)
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.places = set[int]()

    def __torch_dispatch__(
        self,
        function: OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if any(issubclass(kind, CutMap) for kind in types):
            return NotImplemented  # the map makes its parts by calls of its own
        result = function(*args, **(kwargs or {}))
        is_view = any(value.alias_info for value in function._schema.returns)
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and not is_view and place(leaf) not in self.places:
                self._add(leaf)
        inside = 0
        if function.overloadpacket in (aten.convolution, aten._convolution):
            inside = _of_convolution(result, *args[:9])
        elif function is aten._scaled_dot_product_flash_attention_for_cpu.default:
            inside = _of_attention(*args[:2])
        self.peak = max(self.peak, self.now + inside)
        return result

    def _add(self, x: Tensor) -> None:
        memory = x.untyped_storage()
        self.places.add(place(x))
        self.now += memory.nbytes()
        self.peak = max(self.peak, self.now)
        finalize(memory, self._freed, place(x), memory.nbytes())

    def _freed(self, place: int, size: int) -> None:
        self.places.remove(place)
        self.now -= size


def _of_convolution(result: Tensor, x: Tensor, weight: Tensor, bias: object, *given: Any) -> int:
    """Return a bound of the bytes that a convolution takes on a CPU beside its map, weights and
    result.
    """
    groups: int
    stride, _, dilation, transposed, _, groups = given
    one = torch.zeros((), dtype=x.dtype, device="cpu")
    kernel = select_conv_backend(one.expand(x.shape), one.expand(weight.shape), None, *given, None)
    copied = 0
    if not x.is_contiguous():
        copied = x.nbytes
    # PyTorch's own kernels copy the values under each tap, group by group.
    many, few = x, result
    if transposed:
        many, few = result, x
    taps = prod(weight.shape[2:])
    columns = many.nbytes // prod(many.shape[2:]) * prod(few.shape[2:]) * taps // groups
    if "Slow" in kernel.name:
        return copied + max(columns, (groups > 1) * result.nbytes)
    # oneDNN copies maps and weights into blocks of 16 channels, maps twice in some kernels, ...
    made = _in_blocks(result, 1)
    in_blocks = _in_blocks(x, 1) + made
    pointwise_with_a_stride = taps == 1 and max(stride) > 1
    if transposed or pointwise_with_a_stride:
        in_blocks *= 2
    else:
        in_blocks -= result.nbytes  # which is made when the copies of what is read are freed
    # ... each further thread takes the pixels that are read with a stride, ...
    threads = torch.get_num_threads()
    if pointwise_with_a_stride:
        pixels = _in_blocks(x, 1) // prod(x.shape[2:]) * prod(few.shape[2:])
        in_blocks += (threads - 1) * (pixels + 2**16)
    # ... and where no kernel is for these blocks, each copies the values under each tap of a group.
    of_each_channel = groups == x.shape[1] == result.shape[1]
    if (groups > 1 and not of_each_channel) or (transposed and max(dilation) > 1):
        at_once = min(threads, groups * x.shape[0])
        in_blocks = max(in_blocks, at_once * columns + result.nbytes)
    weights = _in_blocks(weight, 0, 1) + 4 * result.shape[1] + 192  # with the bias
    return copied + max(in_blocks + weights, made)


def _in_blocks(x: Tensor, *dims: int) -> int:
    sizes = [*x.shape]
    for dim in dims:
        sizes[dim] = ceil(sizes[dim] / 16) * 16
    return int(prod(sizes) * x.itemsize)


def _of_attention(query: Tensor, key: Tensor) -> int:
    """Return the bytes of the scores that attention has at once on a CPU: of 256 queries and 512
    keys at most, for each thread.
    """
    rows, columns = min(query.shape[-2], 256), min(key.shape[-2], 512)
    return torch.get_num_threads() * rows * (columns + query.shape[-1] + 2) * max(4, query.itemsize)


def resident_bytes() -> int:
    """Return the main memory of this process; 0 where the system does not report it.

    >>> resident_bytes() >= 0
    True
    """
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages) * sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
