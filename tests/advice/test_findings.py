"""What the docs find in the atlas follows from its file."""

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def test_findings_are_those_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS)
    import findings

    assert (
        f"{findings.MARKS[0]}{findings.findings()}{findings.MARKS[1]}" in findings.PAGE.read_text()
    )
    monkeypatch.delitem(sys.modules, "findings")
