"""Patterns of unclear English against tests/words.toml: `python -m tests.words`, `--list` shows them, `--lower` lowers.

Counted are the README, the docs, the help of commands and options, the messages, and the docstrings.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator

import click

from tests.budget import ROOT, Counts, compared, lowered

WORDS = ROOT / "tests" / "words.toml"
HEAD = """# Unclear English by place: words that say nothing in front, riddles, and sentences of more than 30 words.
# `make check` fails above these numbers; `python -m tests.words --list` shows each, and `--lower` lowers them.
"""
OPENINGS = re.compile(r"(Say|Tell|Lay|Let|Give|Take|Put|Make|Find|Name(?! of))\b")
RIDDLES = re.compile(
    r"\b(what is no|is no number|so many|is told|are told|asks for|dearer|of which there|as many as|which is told"
    r"|so do(es)?(?=[,.;])|than which|told apart)\b",
    re.IGNORECASE,
)
LONGEST = 30  # words of a sentence
Found = Iterator[tuple[str, str, str]]  # the place, the pattern, and the text that has it


def sentences(markdown: str) -> Iterator[str]:
    """Yield the sentences of a page, without code, links and tables.

    >>> [*sentences("# Title\\n\\nOne `x.y` line,\\nwrapped. Another.\\n\\n    code. here\\n\\n- item\\n- [one](a.md)")]
    ['Title', 'One ` line, wrapped.', 'Another.', 'item', 'one']
    """
    text = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^( {4}|>|\||<!--).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"`+[^`]+`+", "`", re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text))
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*#]|\d+\.) )", text):
        line = re.sub(r"^\s*(?:[-*#]+|\d+\.) ", "", " ".join(block.split()))
        yield from (part for part in re.split(r"(?<=[.!?]) (?=[A-Z`*])", line.strip("*_ ")) if part)


def in_text(place: str, text: str, opens: bool = False) -> Found:
    """Yield what is unclear in a text; `opens` where its first word should be the verb of an act."""
    if opens and OPENINGS.match(text):
        yield place, "openings", text.split("\n")[0]
    for sentence in sentences(text):
        yield from ((place, "riddles", sentence) for _ in RIDDLES.finditer(sentence))
        if len(sentence.split()) > LONGEST:
            yield place, "long_sentences", sentence


def in_pages() -> Found:
    yield from in_text("readme", (ROOT / "README.md").read_text(encoding="utf-8"))
    pages = [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md")),
    ]
    for path in pages:
        if "_build" not in path.parts:
            yield from in_text("docs", path.read_text(encoding="utf-8"))


def in_help() -> Found:
    """Yield what is unclear in the help of each command and option."""
    from padviz.cli import cli

    group = click.Context(cli)
    for name in cli.list_commands(group):
        command = cli.get_command(group, name)
        assert command is not None
        texts = [
            command.help or "",
            *(getattr(param, "help", "") or "" for param in command.params),
        ]
        for text in texts:
            yield from in_text("help", text.partition("\b")[0], opens=True)


def in_code() -> Found:
    """Yield what is unclear in docstrings, of public and of private names, and in the other strings."""
    for path in sorted((ROOT / "padviz").rglob("*.py")):
        docstrings = set()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (
                text := ast.get_docstring(node)
            ):
                docstrings.add(id(node.body[0].value))  # type: ignore[attr-defined]
                public = not getattr(node, "name", "").startswith("_")
                prose = re.sub(r"^>>> .*?(?:\n\s*\n|\Z)", "", text, flags=re.DOTALL | re.MULTILINE)
                yield from in_text(
                    "public_docstrings" if public else "private_docstrings", prose, opens=True
                )
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in docstrings
            ):
                yield from (
                    ("messages", "riddles", node.value) for _ in RIDDLES.finditer(node.value)
                )


def main() -> int:
    found = [*in_pages(), *in_help(), *in_code()]
    places = dict.fromkeys(
        ("readme", "docs", "help", "messages", "public_docstrings", "private_docstrings")
    )
    patterns = "openings", "riddles", "long_sentences"
    now: Counts = {
        pattern: {place: sum(each[:2] == (place, pattern) for each in found) for place in places}
        for pattern in patterns
    }
    most = tomllib.loads(WORDS.read_text())
    if sys.argv[1:] == ["--lower"]:
        WORDS.write_text(lowered(now, most, HEAD))
        most = tomllib.loads(WORDS.read_text())
    if sys.argv[1:2] == ["--list"]:
        for place, pattern, text in found:
            print(f"{place}, {pattern}: {text}")
    above, below = compared(now, most)
    for line in below:
        print(f"below  {line}; python -m tests.words --lower")
    for line in above:
        print(f"ABOVE  {line}; python -m tests.words --list")
    print(
        ", ".join(f"{sum(places.values())} {pattern}" for pattern, places in now.items()),
        "of unclear English",
    )
    return bool(above)


if __name__ == "__main__":
    sys.exit(main())
