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
def pads_itself(kind: Any) -> bool:
    """Whether the forward of a class names a function that pads, or a function of its own does that it calls.

    >>> from torch import nn
    >>> pads_itself(nn.ZeroPad2d), pads_itself(nn.ReLU), pads_itself(nn.Sequential)
    (True, False, False)
    """
    ahead: list[Any] = [inspect.unwrap(kind.forward)]
    seen: set[Any] = set()
    while ahead and len(seen) < MOST:
        function = ahead.pop()
        if function in seen or not isinstance(function, FunctionType):
            continue
        seen.add(function)
        names = {*_names(function.__code__)}
        if names & CALLS:
            return True
        ahead += [found for name in names if (found := _own(kind, function, name)) is not None]
    return False


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
