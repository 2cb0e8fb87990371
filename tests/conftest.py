"""Settings that all tests share."""

from __future__ import annotations

import os
import signal
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.sweeps import MANY

settings.register_profile("few", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("many", settings.get_profile("few"), max_examples=1000)
settings.register_profile("ci", settings.get_profile("few"), derandomize=True, print_blob=True)
settings.load_profile("many" if MANY else "ci" if os.environ.get("CI") else "few")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in `nohup make test &`: children would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)

TABLED = ("test_torch_module.py", "test_onnx_exports.py", "test_onnx_real.py", "test_zoo_torch.py")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs in a folder of its own: what is left, made or changed there is seen, and nothing of other tests."""
    monkeypatch.chdir(tmp_path)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Which foreign networks were compared with an independent count: by name, so that none is left out unseen."""
    found: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("passed", []):
        path, _, rest = report.nodeid.partition("::")
        name, _, which = rest.partition("[")
        if which and Path(path).name in TABLED:
            found.setdefault(name.removeprefix("test_").replace("_", " "), []).append(which.rstrip("]"))
    for name, which in found.items():
        terminalreporter.section(f"{name}: {len(which)}", sep="-")
        terminalreporter.write_line(textwrap.fill("  ".join(sorted(which)), 118, break_on_hyphens=False))
