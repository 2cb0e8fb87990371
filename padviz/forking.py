"""Forks while other threads work: a child has no such threads, and would wait for ever for the locks that they hold."""

from __future__ import annotations

import functools
import gc
import os
import sys
import time
from _thread import RLock, get_ident
from importlib import _bootstrap as bootstrap
from typing import Any

LONGEST = 10.0  # seconds to wait for what other threads import
HELD: list[Any] = []  # locks that are released once it is forked


def register() -> None:
    """From here on, a fork waits for other threads that import modules, or compile for numba."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)


def _before() -> None:
    if compiling := sys.modules.get("numba.core.compiler_lock"):  # before imports: who compiles may import
        compiling.global_compiler_lock.acquire()
        HELD.append(compiling.global_compiler_lock)
    until = time.monotonic() + LONGEST
    while _others_import() and time.monotonic() < until:
        time.sleep(0.001)


def _others_import() -> bool:
    """Whether other threads are importing modules."""
    locks = [made() for made in [*getattr(bootstrap, "_module_locks", {}).values()]]
    return any(getattr(lock, "owner", None) not in (None, get_ident()) for lock in locks)


def _after() -> None:
    while HELD:
        HELD.pop().release()


def _after_in_child() -> None:
    """Let go of what other threads held: Python 3.11 works each cached property out under a lock of its own."""
    _after()
    for found in gc.get_objects() if sys.version_info < (3, 12) else ():
        if type(found) is functools.cached_property:
            vars(found)["lock"] = RLock()
