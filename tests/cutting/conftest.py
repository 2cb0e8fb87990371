"""The modes in which people run networks."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import pytest
import torch

MODES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "gradients": torch.enable_grad,
    "autocast": partial(torch.autocast, "cpu", torch.bfloat16),
}


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a test in each mode; autocast leaves float64 as it is."""
    with MODES[request.param]():
        yield
