"""Every file in cases/ is a network and the grids that it must give, from both kernels and the naive twin."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

import padviz
from padviz.sources.toml.load import parse

CASES = sorted((Path(__file__).parent / "cases").glob("*.toml"))
GRIDS = [(path, scheme) for path in CASES for scheme in tomllib.loads(path.read_text())["usage"]]


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize(
    ("path", "scheme"), GRIDS, ids=[f"{path.stem}-{scheme}" for path, scheme in GRIDS]
)
def test_usage_grid(path: Path, scheme: str, engine: str) -> None:
    case = tomllib.loads(path.read_text())
    network = parse({"layers": case["layers"]}, path.stem)
    padding = None if scheme == "declared" else scheme
    found = padviz.usage(network, case["size"], padding=padding, engine=engine)
    expected = case["usage"][scheme]
    if scheme == "partial":
        np.testing.assert_allclose(found.counts, expected, rtol=1e-12)
    else:
        assert found.counts.dtype == np.int64
        assert found.counts.tolist() == expected
