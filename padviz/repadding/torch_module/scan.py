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
    """The functions that pad, or may, which the forward of a class names, or functions of its own that it calls.

    >>> from torch import nn
    >>> [sorted(calls_of(kind)) for kind in (nn.ZeroPad2d, nn.Unfold, nn.ReLU, nn.Sequential)]
    [['pad'], ['unfold'], [], []]
    """
    ahead: list[Any] = [inspect.unwrap(kind.forward)]
    seen: set[Any] = set()
    found: set[str] = set()
    while ahead and len(seen) < MOST:
        function = ahead.pop()
        if function in seen or not isinstance(function, FunctionType):
            continue
        seen.add(function)
        names = {*_names(function.__code__)}
        found |= names & CALLS
        ahead += [own for name in names if (own := _own(kind, function, name)) is not None]
    return frozenset(found)


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function uses, and the functions within it."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)


def _own(kind: type, function: FunctionType, name: str) -> Any:
    """A method, or a function of another library than PyTorch, that a name means."""
    found = inspect.getattr_static(kind, name, None) or function.__globals__.get(name)
    found = inspect.unwrap(found) if callable(found) else None
    home = getattr(found, "__module__", None) or "torch"
    return None if home.partition(".")[0] == "torch" else found
