"""Each question is answered by its command, and where the cause is mended the command does not name it. What padviz
says of the network of a question is asked of the network, too.
"""

import re
from pathlib import Path

import pytest

from tests.questions.not_answered import NOT_ANSWERED
from tests.questions.page import PAGE, page, questions
from tests.questions.question import GROUPS, Question, printed, unwrapped
from tests.sweeps import SLOW

QUESTIONS = [*questions().values()]
NAMED = pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: str(question.number))


@NAMED
def test_a_question_is_answered(question: Question, tmp_path: Path) -> None:
    output = unwrapped(printed(question, tmp_path))
    for line in question.answer:
        assert unwrapped(line) in output
    if question.truth:
        for part in question.truth(tmp_path):
            assert part in unwrapped(" ".join(question.answer))


@NAMED
def test_a_mended_network_is_not_blamed(question: Question, tmp_path: Path) -> None:
    answer = unwrapped(" ".join(question.answer))
    output = unwrapped(printed(question, tmp_path, mended=True))
    assert question.cause
    for part in question.cause:
        assert part in answer
        assert part not in output


def asking(question: Question) -> list[str]:
    """List the commands that ask the networks of a question whether padviz reads them rightly, at its size if that is
    small and even.
    """
    found: dict[str, str] = {}
    for command in question.commands:
        small = re.search(r" --size \d?[02468](x\d?[02468]){0,2}\b", command)
        size = small.group() if small else ""
        if not small and re.search("decoder:|restorer:", command):  # which take long
            size = " --size 64"
        for model in re.findall(r"\S+:\S+|\S+\.onnx", command):
            weights = " --weights random" if ":" in model else ""
            found[model] = f"padviz verify {model}{weights}{size}"
    return [*found.values()]


@SLOW
@NAMED
def test_networks_do_what_padviz_says(question: Question, tmp_path: Path) -> None:
    if commands := asking(question):
        output = printed(question, tmp_path, commands=commands)
        # Weights are drawn, which may hide all that a unit reads.
        said = output.count("Verified: ") + output.count("Not verified: ")
        refused = question.number == 10  # at all sizes but one
        assert refused or said == len(commands), output


def test_each_question_has_one_place() -> None:
    numbers = [question.number for question in [*QUESTIONS, *NOT_ANSWERED]]
    assert sorted(numbers) == sorted({*numbers})
    assert {question.group for question in [*QUESTIONS, *NOT_ANSWERED]} <= {*GROUPS}


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "python -m tests.questions.page writes it"
