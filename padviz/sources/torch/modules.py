"""Which module of a network runs, while its forward does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.modules import module as hooks


def is_conv(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.conv._ConvNd)


class Modules:
    """While active, a stack of the modules that run, with their paths in `root`; others are of the one that calls them.

    `left` is called with each module that ends, what it read and what it returned. One whose forward fails stays on the
    stack, to tell where that was, unless it is `always` taken off.
    """

    def __init__(self, root: nn.Module, left: Callable[..., None] | None = None, always: bool = False) -> None:
        self.names = {module: name for name, module in root.named_modules()}
        self.stack = [("", root)]
        self.left, self.always = left, always
        self.entered = {root}

    @property
    def path(self) -> str:
        """The path of the innermost module."""
        return self.stack[-1][0]

    @property
    def kind(self) -> str:
        """The name of its class."""
        return type(self.stack[-1][1]).__name__

    def left_out(self) -> str:
        """Name the first convolution that has not run; nothing if all have."""
        return next((name for module, name in self.names.items() if is_conv(module) and module not in self.entered), "")

    def __enter__(self) -> None:
        leaving = hooks.register_module_forward_hook(self._leaving, always_call=self.always)
        self.handles = [hooks.register_module_forward_pre_hook(self._entering), leaving]

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _entering(self, module: nn.Module, args: Any) -> None:
        self.entered.add(module)
        self.stack.append((self.names.get(module, self.path), module))

    def _leaving(self, module: nn.Module, args: Any, out: Any) -> None:
        if self.left:
            self.left(module, args, out)
        self.stack.pop()
