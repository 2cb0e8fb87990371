"""A warning fails a test where padviz raises it or makes a library raise it, and not where others tell each other."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from padviz.engine import apply
from padviz.engine.limbs import to_limbs

WARN = "import warnings\nwarnings.warn('old', DeprecationWarning)"


@pytest.mark.parametrize("module", ["padviz", "padviz.figures.maps.heatmap"])
def test_a_warning_that_padviz_raises_is_an_error(module: str) -> None:
    with pytest.raises(DeprecationWarning, match="old"):
        exec(WARN, {"__name__": module})
    with pytest.raises(DeprecationWarning, match="old"):
        warnings.warn_explicit("old", DeprecationWarning, apply.__file__, 1)  # as compiled code does


def test_a_warning_that_padviz_makes_a_library_raise_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def stack(*args: Any) -> None:
        warnings.warn("old", DeprecationWarning, stacklevel=2)

    monkeypatch.setattr(np, "stack", stack)
    with pytest.raises(DeprecationWarning, match="old"):
        to_limbs(np.array([[1]]), 2)


@pytest.mark.parametrize("module", ["padvizier", "tests.padviz", "/padviz/.venv/lib/site-packages/torch/jit"])
def test_a_warning_of_others_is_none(module: str) -> None:
    with warnings.catch_warnings(record=True) as seen:
        exec(WARN, {"__name__": module})
    assert [str(warning.message) for warning in seen] == ["old"]


def test_an_error_that_nobody_catches_is_one() -> None:
    with pytest.raises(pytest.PytestWarning):
        warnings.warn(pytest.PytestUnraisableExceptionWarning("in a finalizer"), stacklevel=1)
