"""The pages of docs/ are true: their commands print what they show, and their Python runs; every page is reached."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import padviz
from padviz.cli import cli
from tests.cli.test_cli import APART
from tests.floors import FLOORS
from tests.links import broken
from tests.snippets import REFERENCE, Shown, agrees, fenced, prepare, said, shown

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {str(path.relative_to(DOCS)): path for path in sorted([*DOCS.rglob("*.md"), *DOCS.rglob("*.rst")])}
TEXTS = {name: path.read_text() for name, path in PAGES.items() if "_build" not in name}
SHOWN = {"README.md": (DOCS.parent / "README.md").read_text(), **TEXTS}
COMMANDS = [pytest.param(each, id=f"{name}: {each.command}") for name, text in SHOWN.items() for each in shown(text)]
ALONE = {name: text for name, text in TEXTS.items() if name not in REFERENCE}
PYTHON = [pytest.param(name, block, id=name) for name, text in ALONE.items() for block in fenced(text, "python")]
CHECKED = doctest.NORMALIZE_WHITESPACE
WIDE = 88  # characters of code that fit a page of the site beside its two bars

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize("each", COMMANDS)
def test_commands_print_what_is_shown(each: Shown) -> None:
    prepare(each.command)
    result = CliRunner(**APART, env={"COLUMNS": "80"}).invoke(cli, shlex.split(each.command), prog_name="padviz")
    assert (result.exit_code, said(result.stderr)) == (0, [])
    assert agrees(result.stdout, each.output), result.stdout


@pytest.mark.parametrize(("name", "block"), PYTHON)
def test_python_runs(name: str, block: str) -> None:
    exec(compile(block, name, "exec"), {})


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if "```pycon" in text])
def test_sessions_answer_what_is_shown(name: str) -> None:
    names: dict[str, Any] = {}
    for block in fenced(TEXTS[name], "pycon"):
        session = doctest.DocTestParser().get_doctest(block, names, name, None, None)
        said: list[str] = []
        failed, _ = doctest.DocTestRunner(optionflags=CHECKED).run(session, out=said.append, clear_globs=False)
        names.update(session.globs)
        assert not failed, "".join(said)


def test_what_is_shown_is_held_against_what_is_printed() -> None:
    printed = "one\ntwo  \nthree\n"
    assert all(
        agrees(printed, each) for each in ("one\ntwo\nthree", "one\n...", "...\nthree", "...", "one\n...\nthree")
    )
    assert not any(
        agrees(printed, each) for each in ("one\ntwo", "two\n...", "...\ntwo", "one\n...\ntwo", "one.two.three")
    )


def test_every_page_begins_with_its_answer() -> None:
    """A heading, then the answer in bold, or, of a reference or a tutorial, a sentence of what there is."""
    for name, text in TEXTS.items():
        if name.startswith(("howto/", "theory/", "evidence/")):
            assert re.match(r"# .+\n\n\*\*.+", text), name
        if name.startswith("howto/"):
            assert text.split("\n")[0].endswith("?"), name


def test_the_front_page_lists_every_page_by_its_title() -> None:
    """Its lists are the tables of contents (docs/conf.py)."""
    listed = {path: title for title, path in re.findall(r"^- \[(.*)\]\((.*?)\)", TEXTS["index.md"], re.MULTILINE)}
    titles = {name: text.partition("\n")[0].removeprefix("# ") for name, text in TEXTS.items() if name != "index.md"}
    assert listed == titles


def test_terms_are_links_where_they_are_named_first() -> None:
    terms = [title.lower() for title in re.findall(r"^## (.*)$", TEXTS["glossary.md"], re.MULTILINE)]
    for name, text in TEXTS.items():
        if name.startswith(("howto/", "tutorial")):
            assert not re.search(rf"(?i)(?<!\[)\*({'|'.join(terms)})\*", text), name


def test_code_is_no_wider_than_a_page() -> None:
    for name, text in TEXTS.items():
        lines = "".join(re.findall(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)).split("\n")
        assert [line for line in lines if len(line) > WIDE] == [], name


def test_pages_speak_of_commands_and_names_that_there_are() -> None:
    from padviz.cli.group import COMMANDS as THERE

    every = "\n".join(TEXTS.values())
    assert {*re.findall(r"`padviz ([a-z]\w*)", every)} <= {*THERE}
    assert {*re.findall(r"`padviz\.(\w+)", every)} <= {*padviz.__all__, "nn"}


def test_floors_are_shown_as_they_are() -> None:
    (shown,) = fenced(TEXTS["design.md"], "text")
    rooms = [[room for room in floor if not room.startswith("__")] for floor in reversed(FLOORS)]
    assert shown.split("\n")[:-1] == ["  ".join(floor) for floor in rooms if floor]


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text('<a href="sub/b.html#there">b</a><a href="#no">c</a><img src="x.png">')
    (tmp_path / "sub" / "b.html").write_text('<p id="there"></p><a href="../a.html">a</a><a href="b.html#gone">b</a>')
    assert broken(tmp_path) == ["a.html: #no", "a.html: x.png", "sub/b.html: b.html#gone"]
