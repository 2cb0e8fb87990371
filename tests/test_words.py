"""The counts of lines and of unclear English fail above their numbers, and say what is below."""

from tests.budget import compared
from tests.words import in_text


def test_counts_above_fail_and_counts_below_are_listed() -> None:
    above, below = compared({"padviz": {"axis": 3, "cli": 1}}, {"padviz": {"axis": 2, "cli": 2, "gone": 4}})
    assert above == ["padviz, axis: 3 of 2"]
    assert below == ["padviz, cli: 1 of 2", "padviz, gone: 0 of 4"]


def test_each_pattern_of_unclear_english_is_found_once() -> None:
    text = f"Say what is no image.\n\n    Say what is no code.\n\nA page has {'many ' * 28}words. It ends."
    assert [pattern for _, pattern, _ in in_text("docs", text, opens=True)] == ["openings", "riddles", "long_sentences"]
    assert not [*in_text("docs", "Names of layers are kept.", opens=True)]
