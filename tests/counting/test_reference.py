"""Reference values: published geometry, worked out once and checked."""

import pytest

import padviz
from tests import naive
from tests.geometry.test_padding import steps_of
from tests.sweeps import SLOW


def test_vgg19_at_512() -> None:
    found = padviz.usage("vgg19", 512)
    corner = 6998130578404
    assert found.max == 9**16 == 1853020188851841
    assert found.counts[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [corner] * 4
    assert (found.counts == found.counts[::-1]).all()
    assert (found.counts == found.counts[:, ::-1]).all()


@pytest.mark.parametrize(
    ("padding", "ratio"),
    [("reflect", "1.205942"), ("partial", "1.124046"), ("symmetric", "1.000000"), ("circular", "1.000000")],
)
def test_vgg19_bright_band(padding: str, ratio: str) -> None:
    found = padviz.usage("vgg19", 512, padding=padding)
    inside = found.counts[256, 256]
    assert float(inside) == pytest.approx(9**16, rel=1e-12)
    assert f"{float(found.max) / float(inside):.6f}" == ratio
    if padding in ("symmetric", "circular"):
        assert found.min == found.max == 9**16


@pytest.mark.parametrize(
    ("name", "size", "bits"),
    [("resnet152", (64, 96), 155), pytest.param("densenet201", (224, 224), 326, marks=SLOW)],
)
def test_deep_networks_equal_python_ints(name: str, size: tuple[int, int], bits: int) -> None:
    """Every pixel, where the maxima are far beyond 64 bits."""
    expected = naive.usage(steps_of(name), size, [*padviz.load(name).targets])
    for engine in ("numpy", "numba"):
        found = padviz.usage(name, size, engine=engine)
        assert found.counts.dtype == object
        assert found.counts.tolist() == expected
        assert found.max.bit_length() == bits  # type: ignore[union-attr]
        assert all(type(count) is int for count in found.counts.flat)
    assert padviz.usage("resnet152", 224).max.bit_length() == 165  # type: ignore[union-attr]
