"""Write docs/questions.md from the files of this folder: `python -m tests.questions.page`."""

import importlib
import re
from pathlib import Path

from tests.questions.not_answered import NOT_ANSWERED
from tests.questions.question import GROUPS, NotAnswered, Question

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "questions.md"
HEAD = """# Is your question here?

Each question was asked in public, of another project. We rebuilt the network from the facts of the thread as a small
one, which is in the `tests/questions` folder with a second network that has the cause fixed. A test runs each command
on both. On ours it prints the lines below; on the fixed one it no longer names the cause. Numbers are of ours: ask
about your own network.

"""


def questions() -> dict[str, Question]:
    """Return the questions in this folder by the names of their files, which begin with a number."""
    names = sorted(path.stem for path in HERE.glob("q[0-9]*.py"))
    return {name: importlib.import_module(f"tests.questions.{name}").QUESTION for name in names}


def linked(thread: str) -> str:
    repository, number = thread.split("#")
    return f"[{thread}](https://github.com/{repository}/issues/{number})"


def answered(name: str, question: Question) -> str:
    """Return the part of the page about the question in a file, in Markdown."""
    typed = "\n".join(f"$ {command}" for command in question.commands)
    lines = "\n".join(question.answer)
    threads = ", ".join(map(linked, question.threads))
    return (
        f"### {question.asked}\n\n```console\n{typed}\n...\n{lines}\n...\n```\n\n{question.do}\n\n"
        f"{threads}: {question.ended} The networks: `{name}.py`.\n"
    )


def refused(question: NotAnswered) -> str:
    threads = ", ".join(map(linked, question.threads))
    return f"### {question.asked}\n\n{question.reason}\n\n{threads}\n"


def page() -> str:
    """Return the whole page, in Markdown."""
    parts = [HEAD]
    every = questions()
    for group in GROUPS:
        of_group = [
            answered(name, question) for name, question in every.items() if question.group == group
        ]
        parts.append("\n".join([f"## {group}\n", *of_group]) + "\n")
    parts.append("## What padviz does not answer\n\n" + "\n".join(map(refused, NOT_ANSWERED)))
    return re.sub(r"\n{3,}", "\n\n", "".join(parts))


if __name__ == "__main__":
    PAGE.write_text(page())
