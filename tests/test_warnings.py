"""A warning fails a test where padviz raises it, and not where others do."""

import warnings

import pytest

WARN = "import warnings\nwarnings.warn('old', DeprecationWarning)"


@pytest.mark.parametrize("module", ["padviz", "padviz.figures.maps.heatmap", "/padviz/engine/apply"])
def test_a_warning_that_padviz_raises_is_an_error(module: str) -> None:
    with pytest.raises(DeprecationWarning, match="old"):
        exec(WARN, {"__name__": module})


@pytest.mark.parametrize("module", ["padvizier", "tests.padviz", "/padviz/.venv/lib/site-packages/torch/jit"])
def test_a_warning_of_others_is_none(module: str) -> None:
    with warnings.catch_warnings(record=True) as seen:
        exec(WARN, {"__name__": module})
    assert [str(warning.message) for warning in seen] == ["old"]
