"""What a version promises is kept: a change that breaks it is named, line by line."""

import pytest

import padviz
from padviz.cli.group import COMMANDS
from tests.api.promises import FILE, promises


def changes() -> tuple[list[str], list[str]]:
    """Return the promises that are gone, and those that are new."""
    promised, now = FILE.read_text().splitlines(), promises()
    return sorted({*promised} - {*now}), sorted({*now} - {*promised})


def test_what_is_promised_is_kept() -> None:
    gone, new = changes()
    assert gone == [], "these break what people wrote: say so in CHANGELOG.md, then `make promises`"
    assert new == [], "these are new: `make promises`"


def test_a_change_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def taps(net: object, size: int = 0) -> None: ...

    monkeypatch.setattr(padviz, "__all__", [name for name in padviz.__all__ if name != "seams"])
    monkeypatch.setattr(padviz, "taps", taps, raising=False)
    kept = {name: words for name, words in COMMANDS.items() if name != "keeps"}
    monkeypatch.setattr("tests.api.promises.COMMANDS", kept)
    gone, new = changes()
    assert {
        "python seams",
        "python taps, 0: network",
        "shell keeps",
        "shell keeps --tile takes a value",
    } <= {*gone}
    assert {line for line in new if line.startswith("python")} == {
        "python taps, 0: net",
        "python taps, 1: size = 0",
    }
    assert "python usage" not in gone
