"""Which modules pad by calls of their own, read from their code: for parts that no forward on an image reaches."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

CALLS = {"conv2d", "pad", "unfold"}
MOST = 200  # functions that are looked at for one class


@lru_cache(4096)
def calls_of(kind: Any) -> frozenset[str]:
    """Find the functions that pad, or may, which the forward of a class names, or functions of its own that it calls.

    >>> from torch import nn
    >>> [sorted(calls_of(kind)) for kind in (nn.ZeroPad2d, nn.Unfold, nn.ReLU, nn.Sequential)]
    [['pad'], ['unfold'], [], []]
    """
    ahead: list[Any] = [inspect.unwrap(kind.forward)]
    seen: set[Any] = set()
    calls: set[str] = set()
    while ahead and len(seen) < MOST:
        function = ahead.pop()
        if function in seen or not isinstance(function, FunctionType):
            continue
        seen.add(function)
        names = {*_names(function.__code__)}
        calls |= names & CALLS
        ahead += [own for name in names if (own := _own(kind, function, name)) is not None]
    return frozenset(calls)


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that a function uses, and the functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _own(kind: type, caller: FunctionType, name: str) -> Any:
    """Find a method, or a function of another library than PyTorch, that a name means."""
    function = inspect.getattr_static(kind, name, None) or caller.__globals__.get(name)
    function = inspect.unwrap(function) if callable(function) else None
    home = getattr(function, "__module__", None) or "torch"
    return None if home.partition(".")[0] == "torch" else function
