"""Settings that all tests share."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings

from tests.sweeps import MANY

settings.register_profile(
    "few", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("many", settings.get_profile("few"), max_examples=1000)
settings.register_profile("ci", settings.get_profile("few"), derandomize=True, print_blob=True)
settings.load_profile("many" if MANY else "ci" if os.environ.get("CI") else "few")

# which parallel tests inherit from a terminal: results print as in a pipe
os.environ.pop("COLUMNS", None)

# as in `nohup make test &`: children would ignore it too
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def environment_kept() -> Iterator[None]:
    """What a test sets in the environment ends with it: dask leaves one thread for the math of all that follows."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs in a folder of its own: what is left, made or changed there is seen, and nothing of other tests."""
    monkeypatch.chdir(tmp_path)
