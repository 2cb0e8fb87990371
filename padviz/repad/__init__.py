"""Padding replaced for real: `padviz.repad(module, "reflect")` in PyTorch, and `padviz repad` for ONNX files.

The room has the name of its function, so that it can be called; `torch_module/repadding.py` documents it.

>>> import padviz
>>> from torch import nn
>>> padviz.repad(nn.Conv2d(3, 8, 3, padding=1), "circular").repadded.changed
('',)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


class _Room(ModuleType):
    def __call__(
        self,
        module: nn.Module,
        padding: str,
        layers: str | Iterable[str] | None = None,
        *,
        size: int | Sequence[int] | None = None,
        share: bool = True,
    ) -> nn.Module:
        """See `padviz.repad.torch_module.repadding.repad`."""
        from padviz.repad.torch_module.repadding import repad

        return repad(module, padding, layers, size=size, share=share)


sys.modules[__name__].__class__ = _Room
