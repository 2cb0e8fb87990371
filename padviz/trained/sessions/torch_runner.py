"""PyTorch modules, run as they are; every convolution's output is reduced the moment it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from copy import deepcopy
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from padviz.errors import DescriptionError, OptionError, nearest, printable
from padviz.network.network import Size, in_words
from padviz.sources.torch.arguments import tensors_in
from padviz.sources.torch.call import Modules
from padviz.sources.torch.load import called, line_of
from padviz.trained.sessions.running import (
    LINES,
    Images,
    Reduced,
    check_room,
    has_borders,
    middle,
    middle_weights,
    outermost,
)

Within = Callable[[], AbstractContextManager[Any]]


class TorchRunner:
    """A module in evaluation mode; its forward runs `within` what replaces its padding."""

    batch: int | None = None

    def __init__(
        self, module: nn.Module, where: str, name: str, size: Size, channels: int = 3, within: Within = nullcontext
    ) -> None:
        check_room(where, 1, channels, size)
        self.channels = channels
        self.module, self.where, self.name, self.size, self.within = module, where, name, size, within
        self.output: str | None = None
        self.like = next(
            (parameter for parameter in module.parameters() if parameter.is_floating_point()), torch.empty(0)
        )

    def responses(self, images: Images) -> list[Reduced]:
        """Reduce every convolution's output."""
        seen = _Seen(self.module)
        self._run(images, seen.modules, seen)
        if not seen.maps:
            raise DescriptionError("no convolution makes a map of 3 x 3 or more", where=self.where, hint="try `size`")
        return seen.maps

    def twin(self, module: nn.Module) -> TorchRunner:
        """Make what runs a copy of the module that differs in its weights alone."""
        return TorchRunner(module, self.where, self.name, self.size, self.channels, self.within)

    def outputs(self, images: Images) -> dict[str, NDArray[Any]]:
        """Name the tensors that the module returns, or that the module inside of it that was asked for does."""
        if self.output is None:
            output = self._run(images)
        else:
            kept: list[Any] = []
            handle = self.module.get_submodule(self.output).register_forward_hook(
                lambda module, args, output: kept.append(output)
            )
            try:
                self._run(images)
            finally:
                handle.remove()
            output = kept[-1] if kept else None
        return _arrays(_named(output, self.output or "output"))

    def maps(self, images: NDArray[np.floating[Any]], inside: Collection[str]) -> dict[str, NDArray[Any]]:
        """Name the tensors that modules inside return when they first run, and those of the whole if it ends.

        It is left once all of them ran, since what follows may not take an image of that size.
        """
        maps: dict[str, NDArray[Any]] = {}

        def keep(name: str, output: Any) -> None:
            first = next(iter(_arrays(_named(output, name)).values()), None)
            if first is not None and name not in maps:
                maps[name] = first.copy()  # what follows may write into it
            if maps.keys() >= {*inside}:
                raise _AllRan

        with ExitStack() as stack:
            stack.enter_context(suppress(_AllRan))
            for name in inside:
                handle = self.module.get_submodule(name).register_forward_hook(
                    lambda module, args, output, name=name: keep(name, output)
                )
                stack.callback(handle.remove)
            maps |= _arrays(_named(self._run(images), "output"))
        return maps

    def with_output(self, name: str) -> None:
        """Look at what a module inside makes; or at one of the outputs, by its name."""
        inside = [path for path, _ in self.module.named_modules() if path]
        if name not in inside:
            raise OptionError(f"no module inside is called {name!r}", option="layer", hint=nearest(name, inside))
        self.output = name

    def _run(self, images: NDArray[np.floating[Any]], *modes: AbstractContextManager[Any]) -> Any:
        read = torch.from_numpy(np.ascontiguousarray(images)).to(self.like)

        def forward() -> Any:
            with ExitStack() as stack:
                for mode in (torch.no_grad(), self.within(), *modes):
                    stack.enter_context(mode)
                return self.module(read)

        def failed(error: BaseException) -> DescriptionError:
            what = f"its forward fails on {in_words(images.shape)}: {line_of(error)}"
            return DescriptionError(what, where=self.where, hint="try another `size`")

        return called(forward, failed)


class _AllRan(BaseException):
    """Leaves a forward behind the last module that is looked at: other people's code takes it for no error."""


class _Seen(TorchFunctionMode):
    """Sees what convolutions make, whoever calls them, and keeps their means: what follows may write into the map."""

    def __init__(self, root: nn.Module) -> None:
        super().__init__()
        self.maps: list[Reduced] = []
        self.modules = Modules(root, always=True)
        self.calls: Counter[str] = Counter()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = function(*args, **(kwargs or {}))
        if function is torch.conv2d and output.dim() == 4:
            name = printable(self.modules.path or "conv2d")
            self.calls[name] += 1
            if output.is_complex():
                what = "makes complex numbers, which have no mean response"
                raise DescriptionError(what, where=name, hint="use a network with real weights")
            if has_borders(*output.shape[2:]):
                layer = f"{name}#{self.calls[name]}" if self.calls[name] > 1 else name
                self.maps.append(reduced(layer, output.detach().float().contiguous()))
        return output


def reduced(layer: str, maps: Tensor) -> Reduced:
    """Reduce maps, of shape (images, channels, height, width), to what is kept of them."""
    count, channels, height, width = maps.shape
    down, along = middle(height), middle(width)
    band = maps[:, :, down]
    if height > 4 * LINES:
        rows = torch.cat([maps[:, :, part, along].mean(3) for part in outermost(height)], 2)
    else:  # a product with the whole map is faster than means of a few numbers each
        rows = (maps.view(-1, width) @ _weights(width).to(maps)).view(count, channels, height)
    total = maps.new_full((count, 1, channels), 1 / channels) @ maps.view(count, channels, -1)
    within = band[..., along].cpu().numpy()
    squares = np.einsum("nchw,nchw->nc", within, within)
    square = float(squares.sum(dtype=np.float64)) / within[0].size
    by_row, by_column, by_place = (means.cpu().numpy() for means in (rows, band.mean(2), total))
    return Reduced(layer, by_row, by_column, square, by_place.reshape(count, height, width))


@lru_cache(maxsize=32)
def _weights(n: int) -> Tensor:
    return torch.from_numpy(middle_weights(n)[0])


def with_permuted_weights(module: nn.Module, rng: np.random.Generator) -> nn.Module:
    """Copy a module, and permute the weights of each convolution."""
    copied = deepcopy(module)
    for parameter in copied.parameters():
        if parameter.dim() == 4:
            order = torch.from_numpy(rng.permutation(parameter.numel())).to(parameter.device)
            parameter.data = parameter.data.flatten().index_select(0, order).reshape(parameter.shape)
    return copied


def in_double(module: nn.Module) -> nn.Module:
    """Copy a module, with all that is a float in it in double precision."""
    return deepcopy(module).double()


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Make arrays of tensors: of single precision, but for those of double and for complex ones."""
    kept = (torch.float64, torch.complex64, torch.complex128)
    detached = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
    return {name: (tensor if tensor.dtype in kept else tensor.float()).numpy() for name, tensor in detached.items()}


def _named(output: Any, name: str) -> dict[str, Tensor]:
    """Name the tensors that a module returns, by the keys or the numbers that it has for them."""
    if isinstance(output, Tensor):
        return {name: output}
    if isinstance(output, Mapping):
        return {str(key): tensor for key, part in output.items() for tensor in _named(part, str(key)).values()}
    tensors = tensors_in(output)
    return {f"{name}.{i}" if len(tensors) > 1 else name: tensor for i, tensor in enumerate(tensors)}
