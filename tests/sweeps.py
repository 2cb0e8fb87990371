"""Sweeps over what is much alike: `make test` runs a part that stands for all, `make soak` the rest (`-m sweep`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

# Networks of the zoo that are deeper or wider than others of their family, and of the same windows.
DEEPER = "densenet201 resnet34 resnet101 resnet152 resnext50_32x4d vgg13 vgg16 wide_resnet50_2"
REST = pytest.mark.sweep  # of single cases


def sampled(names: Iterable[str], rest: str) -> list[Any]:
    """All names as parameters, of which those in `rest` wait for `make soak`: others of their families stand for them.

    A name that is new is in no `rest`, and so runs in `make test`.
    """
    known, left = [*names], rest.split()
    assert set(left) <= set(known), f"no such names: {sorted(set(left) - set(known))}"
    return [pytest.param(name, marks=REST) if name in left else name for name in known]


def asked(test: Any) -> set[str]:
    """The names that a test is run with, by `make test` or by `make soak`."""
    (given,) = (mark.args[1] for mark in test.pytestmark if mark.name == "parametrize" and mark.args[0] == "name")
    return {each if isinstance(each, str) else str(each.values[0]) for each in given}
