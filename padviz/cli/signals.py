"""Ctrl-C and SIGTERM end padviz at any moment: by an exception, and where other people's code swallows it, without."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from importlib.machinery import ExtensionFileLoader
from typing import Any

from padviz.errors import Ended

HANDLED = (signal.SIGINT, signal.SIGTERM)
LOADING = {ExtensionFileLoader.create_module.__code__, ExtensionFileLoader.exec_module.__code__}
GRACE = 1.5  # seconds until the process ends without an exception
LEFT: list[str] = []  # what a command that was interrupted leaves, in words
SAYING = _thread.allocate_lock()  # taken by who says that padviz was interrupted


def handle_signals() -> None:
    """Let a signal raise `Ended` in the main thread from here on; one that the caller ignores stays ignored."""
    for number in HANDLED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    arrived, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    _thread.start_new_thread(_watch, (arrived,))
    sys.unraisablehook, sys.excepthook = _unraisable, _escaped


def release_signals() -> None:
    """Let a signal end the process at once from here on: nothing is left to say or to save."""
    for number in HANDLED:
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_DFL)


def code_of(code: int) -> int:
    """Choose the exit code: that of the signal where there was one, whatever became of its exception."""
    return 128 + Ended.received if Ended.received else code


def say_interrupted(code: int) -> None:
    """Say that Ctrl-C ended padviz, once: the main thread, or the one that waits for it, whichever ends first."""
    if code == 130 and SAYING.acquire(blocking=False) and sys.stderr is not None:
        sys.stderr.write("; ".join(["padviz: interrupted", *LEFT]) + "\n")
        sys.stderr.flush()


def _end(number: int, frame: Any) -> None:
    Ended.received = Ended.received or number
    if _loads_compiled(frame):
        _thread.start_new_thread(_again, ())  # once more, later
        return
    raise Ended(number)


def _loads_compiled(frame: Any) -> bool:
    """Tell whether a compiled module is being loaded: an exception there may end the process by SIGABRT."""
    while frame is not None:
        if frame.f_code in LOADING:
            return True
        frame = frame.f_back
    return False


def _watch(arrived: int) -> None:
    """Wait for a signal, give the exception its time, and end what still runs."""
    while (number := os.read(arrived, 1)[0]) not in HANDLED or signal.getsignal(number) is not _end:
        pass
    time.sleep(GRACE)
    try:
        say_interrupted(128 + number)
    finally:
        os._exit(128 + number)


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """Send a signal again, later, where Python can only print its exception, as in callbacks of weak references."""
    if what.exc_type is Ended:
        _thread.start_new_thread(_again, ())
    else:
        sys.__unraisablehook__(what)


def _escaped(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """End with the code of a signal that comes while the process ends."""
    if issubclass(kind, Ended):
        os._exit(128 + Ended.received)
    sys.__excepthook__(kind, error, trace)


def _again() -> None:
    time.sleep(0.01)
    _thread.interrupt_main(signal.Signals(Ended.received))
