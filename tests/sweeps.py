"""Which tests run when: `make test` runs a part that stands for all, `make test-slow` and `make soak` the rest."""

import os
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

# Networks of the zoo that are deeper or wider than others of their family, and of the same windows.
DEEPER = "densenet201 resnet34 resnet101 resnet152 resnext50_32x4d vgg13 vgg16 wide_resnet50_2"
# And those that another family has windows like: one of a kind is left.
ALIKE = f"{DEEPER} inception_v3 mobilenet_v1 mobilenet_v3_large squeezenet1_1 vgg11"
REST = pytest.mark.sweep  # of single cases
# kills, signals, training, PyTorch's new exporter, and what takes long that others stand for
SLOW = pytest.mark.slow

MANY = os.environ.get("HYPOTHESIS_PROFILE") == "many"  # of `make soak`


def examples(few: int) -> settings:
    """Some examples of a law in `make test`, the same each time; ten times as many in `make soak`, drawn anew."""
    return settings(max_examples=10 * few if MANY else few, deadline=None, derandomize=not MANY)


def sampled(names: Iterable[str], rest: str, slow: str = "") -> list[Any]:
    """All names as parameters, of which those in `rest` wait for `make soak`: others of their families stand for them.

    Those in `slow` run in `make test-slow`. A name that is new is in neither, and so runs in `make test`.
    """
    known, marks = [*names], dict.fromkeys(rest.split(), REST) | dict.fromkeys(slow.split(), SLOW)
    assert set(marks) <= set(known), f"no such names: {sorted(set(marks) - set(known))}"
    return [pytest.param(name, marks=marks[name]) if name in marks else name for name in known]


def every_third(names: Iterable[Any]) -> list[Any]:
    """All names as parameters, of which each third runs in `make test`, and the others in `make test-slow`."""
    return [pytest.param(name, marks=SLOW if i % 3 else ()) for i, name in enumerate(names)]


def thirds(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    """All pairs as parameters, of which `make test` runs a third: each of the first with some of the second."""
    firsts = [each if isinstance(each, tuple) else (each,) for each in first]
    return [
        pytest.param(*one, other, marks=REST if (i + j) % 3 else (), id=f"{one[0]}-{other}")
        for j, other in enumerate(second)
        for i, one in enumerate(firsts)
    ]


def asked(test: Any) -> set[str]:
    """The names that a test is run with, by `make test` or by `make soak`."""
    (given,) = (
        mark.args[1]
        for mark in test.pytestmark
        if mark.name == "parametrize" and mark.args[0] == "name"
    )
    return {each if isinstance(each, str) else str(each.values[0]) for each in given}
