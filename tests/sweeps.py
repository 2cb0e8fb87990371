"""Sweeps over networks that are much alike: `make test` runs some of each family, `make soak` the rest (`-m sweep`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(names: Iterable[str], rest: str) -> list[Any]:
    """All names as parameters, of which those in `rest` wait for `make soak`: others of their families stand for them.

    A name that is new is in no `rest`, and so runs in `make test`.
    """
    known, left = [*names], rest.split()
    assert set(left) <= set(known), f"no such names: {sorted(set(left) - set(known))}"
    return [pytest.param(name, marks=pytest.mark.sweep) if name in left else name for name in known]


def asked(test: Any) -> set[str]:
    """The names that a test is run with, by `make test` or by `make soak`."""
    (given,) = (mark.args[1] for mark in test.pytestmark if mark.name == "parametrize" and mark.args[0] == "name")
    return {each if isinstance(each, str) else str(each.values[0]) for each in given}
