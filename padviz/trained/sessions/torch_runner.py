"""PyTorch modules, run as they are; every convolution's output is reduced the moment it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from copy import deepcopy
from functools import lru_cache, partial
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
from padviz.sources.torch.load import line_of, run_foreign
from padviz.trained.sessions.running import (
    LINES,
    Images,
    Outputs,
    Reduced,
    check_room,
    has_borders,
    middle,
    middle_weights,
)

Within = Callable[[], AbstractContextManager[object]]


class TorchRunner:
    """A module in evaluation mode; its forward runs `within` what replaces its padding."""

    batch: int | None = None

    def __init__(self, module: nn.Module, where: str, size: Size, channels: int, within: Within = nullcontext) -> None:
        check_room(where, 1, channels, size)
        self.module, self.where, self.size, self.channels, self.within = module, where, size, channels, within
        self.output: str | None = None
        floats = (parameter for parameter in module.parameters() if parameter.is_floating_point())
        self.like = next(floats, torch.empty(0))  # images take its type and device

    def responses(self, images: Images) -> list[Reduced]:
        """Reduce every convolution's output."""
        recorder = _Responses(self.module)
        self._run(images, recorder.modules, recorder)
        return recorder.maps

    def twin(self, module: nn.Module) -> TorchRunner:
        """Return a runner of a copy of the module that differs only in its weights."""
        return TorchRunner(module, self.where, self.size, self.channels, self.within)

    def outputs(self, images: Images) -> Outputs:
        """Return the outputs of the module, or of the module inside that `with_output` named."""
        if self.output is None:
            return _named_arrays(self._run(images), "output")
        returned: list[object] = []
        with self._watch(self.output, returned.append):
            self._run(images)
        return _named_arrays(returned[-1] if returned else None, self.output)

    def maps(self, images: NDArray[np.floating], inside: Collection[str]) -> Outputs:
        """Return the tensors that modules inside return when they first run, and those of the whole if it ends.

        It stops once all of them ran, since what follows may not take an image of that size.
        """
        maps: Outputs = {}

        def keep(name: str, output: object) -> None:
            first = next(iter(_named_arrays(output, name).values()), None)
            if first is not None and name not in maps:
                maps[name] = first.copy()  # what follows may write into it
            if maps.keys() >= {*inside}:
                raise _AllRan

        with ExitStack() as stack:
            stack.enter_context(suppress(_AllRan))
            for name in inside:
                stack.enter_context(self._watch(name, partial(keep, name)))
            maps |= _named_arrays(self._run(images), "output")
        return maps

    def with_output(self, name: str) -> None:
        """Return the result of a module inside from now on."""
        inside = [path for path, _ in self.module.named_modules() if path]
        if name not in inside:
            raise OptionError(f"no module inside is called {name!r}", option="layer", hint=nearest(name, inside))
        self.output = name

    def _watch(self, name: str, keep: Callable[[object], None]) -> AbstractContextManager[object]:
        """Pass the result of a module inside to `keep`."""
        module = self.module.get_submodule(name)
        return module.register_forward_hook(lambda module, args, output: keep(output))

    def _run(self, images: NDArray[np.floating], *modes: AbstractContextManager[object]) -> object:
        read = torch.from_numpy(np.ascontiguousarray(images)).to(self.like)

        def forward() -> object:
            with ExitStack() as stack:
                for mode in (torch.no_grad(), self.within(), *modes):
                    stack.enter_context(mode)
                return self.module(read)

        def failed(error: BaseException) -> DescriptionError:
            what = f"its forward fails on {in_words(images.shape)}: {line_of(error)}"
            return DescriptionError(what, where=self.where, hint="try another `size`")

        return run_foreign(forward, failed)


class _AllRan(BaseException):
    """Ends a forward after the last module that is watched; no `except Exception` of a model catches it."""


class _Responses(TorchFunctionMode):
    """While active, reduces the output of every convolution, before later operations may write into it."""

    def __init__(self, root: nn.Module) -> None:
        super().__init__()
        self.maps: list[Reduced] = []
        self.modules = Modules(root, always=True)
        self.calls: Counter[str] = Counter()

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func is torch.conv2d and output.dim() == 4:
            name = printable(self.modules.path or "conv2d")
            self.calls[name] += 1
            if output.is_complex():
                what = "returns complex numbers, which have no mean response"
                raise DescriptionError(what, where=name, hint="use a network with real weights")
            if has_borders(*output.shape[2:]):
                layer = f"{name}#{self.calls[name]}" if self.calls[name] > 1 else name
                self.maps.append(reduce_maps(layer, output.detach().float().contiguous()))
        return output


def reduce_maps(layer: str, maps: Tensor) -> Reduced:
    """Reduce maps of shape (images, channels, height, width)."""
    count, channels, height, width = maps.shape
    down, along = middle(height), middle(width)
    band = maps[:, :, down]
    if height > 4 * LINES:
        rows = torch.cat([maps[:, :, part, along].mean(3) for part in (slice(LINES), slice(-LINES, None))], 2)
    else:  # a product with the whole map is faster than means of a few numbers each
        rows = (maps.view(-1, width) @ _middle_weights(width).to(maps)).view(count, channels, height)
    total = maps.new_full((count, 1, channels), 1 / channels) @ maps.view(count, channels, -1)
    within = band[..., along].cpu().numpy()
    squares = np.einsum("nchw,nchw->nc", within, within)
    square = float(squares.sum(dtype=np.float64)) / within[0].size
    by_row, by_column, by_place = (means.cpu().numpy() for means in (rows, band.mean(2), total))
    return Reduced(layer, by_row, by_column, square, by_place.reshape(count, height, width))


@lru_cache(maxsize=32)
def _middle_weights(n: int) -> Tensor:
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
    """Copy a module to double precision."""
    return deepcopy(module).double()


def _named_arrays(output: object, name: str) -> Outputs:
    """Convert the tensors that a module returns to arrays, of single precision unless they are double or complex."""
    wide = (torch.float64, torch.complex64, torch.complex128)
    detached = {key: tensor.detach().cpu() for key, tensor in _named(output, name).items()}
    return {key: (tensor if tensor.dtype in wide else tensor.float()).numpy() for key, tensor in detached.items()}


def _named(output: object, name: str) -> dict[str, Tensor]:
    """Name the tensors that a module returns, by their keys or numbers."""
    if isinstance(output, Tensor):
        return {name: output}
    if isinstance(output, Mapping):
        return {str(key): tensor for key, part in output.items() for tensor in _named(part, str(key)).values()}
    tensors = tensors_in(output)
    return {f"{name}.{i}" if len(tensors) > 1 else name: tensor for i, tensor in enumerate(tensors)}
