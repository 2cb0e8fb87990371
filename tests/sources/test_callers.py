"""What a caller interrupts us with, as by an alarm, reaches the caller, whatever code of other people runs."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import padviz
from padviz.errors import DescriptionError, PadvizError, let_through
from padviz.files.opened import opened


class Late(Exception):
    """An error, as most time-outs are."""


class Cancelled(BaseException):
    """None, as others are."""


class Alarm:
    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def ring(self, *_: Any) -> None:
        raise self.kind("late")

    __call__ = ring


HANDLERS: dict[str, Callable[[Alarm], Any]] = {
    "method": lambda alarm: alarm.ring,
    "object": lambda alarm: alarm,
    "partial": lambda alarm: partial(alarm.ring, None),
    "function": lambda alarm: lambda *_: alarm.ring(),
}


@pytest.fixture(params=[(Late, "method"), (TimeoutError, "object"), (ValueError, "partial"), (Cancelled, "function")])
def kind(request: pytest.FixtureRequest) -> Iterator[type[BaseException]]:
    kind, handler = request.param
    before = signal.signal(signal.SIGALRM, HANDLERS[handler](Alarm(kind)))
    yield kind
    signal.signal(signal.SIGALRM, before)


def wait() -> None:
    signal.raise_signal(signal.SIGALRM)
    time.sleep(0)


class Slow(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        wait()
        return super().forward(x)


class Copied(nn.Conv2d):
    def __deepcopy__(self, memo: Any) -> Any:
        wait()


def test_an_alarm_in_a_forward_is_the_callers(kind: type[BaseException]) -> None:
    with pytest.raises(kind, match="late"):
        padviz.load(Slow(3, 4, 3))
    with pytest.raises(kind, match="late"):
        padviz.load(Copied(3, 4, 3))
    with pytest.raises(kind, match="late"):
        padviz.repad(Copied(3, 4, 3, padding=1), "reflect")


@pytest.mark.parametrize("text", ["wait()\nnet = nn.Conv2d(3, 4, 3)", "def net():\n    wait()"])
def test_an_alarm_while_a_module_is_imported_or_made_is_the_callers(
    text: str, kind: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"alarming_{kind.__name__}_{len(text)}"
    (tmp_path / f"{name}.py").write_text(f"from torch import nn\nfrom tests.sources.test_callers import wait\n{text}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match="late"):
        padviz.load(f"{name}:net")


def test_an_alarm_while_a_file_is_read_is_the_callers(kind: type[BaseException], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(kind, match="late"), opened(tmp_path / "file", "a file"):
        wait()


def test_an_alarm_in_a_run_is_the_callers(kind: type[BaseException]) -> None:
    with pytest.raises(kind, match="late"):
        padviz.responses(SlowOnce(3, 4, 3, padding=1), size=16, n=2)


class SlowOnce(nn.Conv2d):
    """Slow with data alone."""

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_meta:
            wait()
        return super().forward(x)


def test_what_is_thrown_into_a_thread_is_its_callers() -> None:
    begun, found = threading.Event(), []

    class Waiting(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            begun.set()
            until = time.monotonic() + 20
            while time.monotonic() < until:
                pass
            return x

    def load() -> None:
        try:
            padviz.load(Waiting(3, 4, 3))
        except BaseException as error:
            found.append(type(error))

    thread = threading.Thread(target=load)
    thread.start()
    assert begun.wait(20)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Cancelled))
    thread.join()
    assert found == [Cancelled]


@pytest.mark.parametrize("error", [SystemExit(2), Cancelled(), RuntimeError(), TimeoutError()])
def test_what_the_code_raises_itself_is_its_own(error: BaseException) -> None:
    class Raising(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            raise error

    with pytest.raises(DescriptionError, match="its forward fails"):
        padviz.load(Raising(3, 4, 3))


def test_errors_of_padviz_are_let_through() -> None:
    with pytest.raises(DescriptionError, match="what"):
        let_through(DescriptionError("what"))


def test_a_call_with_other_arguments_is_not_followed() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), Odd(), nn.Conv2d(4, 4, 3))
    with pytest.raises(PadvizError, match="max_pool2d is called in a way that padviz does not follow"):
        padviz.usage(module, 16)


class Odd(nn.Module):
    """A function of ours that takes one more argument than PyTorch's has."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.overrides.handle_torch_function(max_pool2d, (x,), x, 2, newer=True)  # type: ignore[no-any-return]


def max_pool2d(x: Tensor, kernel: int, newer: bool = False) -> Tensor:
    return nn.functional.max_pool2d(x, kernel)
