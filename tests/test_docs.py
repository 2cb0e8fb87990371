"""The README and docs/ are true: commands print what is shown, Python and TOML work, and every page is reached."""

import doctest
import gc
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import padviz
from padviz.cli.group import COMMANDS, cli
from padviz.sources.toml.load import parse
from tests.cli.test_cli import APART, run
from tests.floors import FLOORS
from tests.links import broken
from tests.snippets import agrees, fenced, prepare, said, shown
from tests.sweeps import REST, SLOW

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {
    str(path.relative_to(DOCS)): path
    for path in sorted([*DOCS.rglob("*.md"), *DOCS.rglob("*.rst")])
}
TEXTS = {name: path.read_text() for name, path in PAGES.items() if "_build" not in name}
SHOWN = {"README.md": (ROOT / "README.md").read_text(), **TEXTS}
del SHOWN["questions.md"]  # tests/questions holds it: its networks stand there
OUTPUTS: dict[str, list[str]] = {}  # of each command, what pages show of what it prints
for text in SHOWN.values():
    for command, output in shown(text):
        OUTPUTS.setdefault(command, []).extend([] if output is None else [output])
LONG = dict.fromkeys(
    ("compare resnet50", "compare vgg19 --size 512", "export vgg11 resnet18"), SLOW
)
LONG |= {
    "usage resnet50 --size 65536": SLOW,
    "export resnet50": REST,
    "audit resnet50 mobilenet_v2": REST,
}
LONG |= {
    "trial model.onnx --images photos --": REST,
    "seen model.onnx --images photos --patch 32 --grid 7 -n 30 -o": REST,
    "seen model.onnx": SLOW,
}
PRINTED = [
    pytest.param(
        command, marks=next((mark for long, mark in LONG.items() if command.startswith(long)), ())
    )
    for command in OUTPUTS
]
PYTHON = [(name, block) for name, text in SHOWN.items() for block in fenced(text, "python")]
CLUSTER = "tcp://scheduler:8786"

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize("command", PRINTED)
def test_commands_print_what_is_shown(command: str) -> None:
    prepare(command)
    result = CliRunner(**APART, env={"COLUMNS": "80"}).invoke(
        cli, shlex.split(command), prog_name="padviz"
    )
    fails = command.startswith("seams") or any(" fail\n" in output for output in OUTPUTS[command])
    assert (result.exit_code, [] if fails else said(result.stderr)) == (int(fails), [])
    assert [output for output in OUTPUTS[command] if not agrees(result.stdout, output)] == [], (
        result.stdout
    )


def test_every_command_has_a_short_page_with_an_example() -> None:
    pages = {
        name.split("/")[-1].removesuffix(".md"): text
        for name, text in TEXTS.items()
        if "/commands/" in name
    }
    assert {*pages} == {*COMMANDS}
    for name, text in pages.items():
        assert text.startswith(f"# padviz {name}\n")
        assert any(command.split()[0] == name and output for command, output in shown(text)), name
        assert (
            len(re.sub(r"^```[^`]*^```$|^(    |\||!).*$", "", text, flags=re.MULTILINE).split())
            <= 250
        ), name


@pytest.mark.parametrize(("name", "block"), [each for each in PYTHON if CLUSTER not in each[1]])
def test_python_runs(name: str, block: str) -> None:
    exec(compile(block, name, "exec"), {})


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_the_cluster_example_works_on_a_small_cluster() -> None:
    distributed = pytest.importorskip(
        "dask.distributed", reason="the extra padviz[dask] is not installed"
    )
    (example,) = (block for _, block in PYTHON if CLUSTER in block)
    Path("survey.toml").write_text('[[maps]]\nmodels = ["vgg11"]\nsizes = ["64:96:16"]\n')
    options = {
        "n_workers": 2,
        "threads_per_worker": 1,
        "processes": False,
        "dashboard_address": None,
    }
    with distributed.LocalCluster(**options) as cluster:
        here = example.replace(CLUSTER, cluster.scheduler_address).replace("/shared/maps", "maps")
        exec(compile(here, "export.md", "exec"), {})
    gc.collect()  # Dask leaves sockets to it
    assert len(list(Path("maps").glob("*-usage.png"))) == 3


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if "```pycon" in text])
def test_sessions_answer_what_is_shown(name: str) -> None:
    names: dict[str, Any] = {}
    for block in fenced(TEXTS[name], "pycon"):
        session = doctest.DocTestParser().get_doctest(block, names, name, None, None)
        told: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
        failed, _ = runner.run(session, out=told.append, clear_globs=False)
        names.update(session.globs)
        assert not failed, "".join(told)


def test_the_toml_example_works() -> None:
    (example,) = fenced(TEXTS["reference/toml.md"], "toml")
    Path("net.toml").write_text(example)
    assert padviz.load("net.toml").targets == ("stage.2",)
    assert run("usage", "net.toml").exit_code == 0


def test_the_front_page_lists_every_page_by_its_title() -> None:
    """Its lists are the tables of contents, to which docs/conf.py adds the commands."""
    listed = {
        path: title
        for title, path in re.findall(r"^- \[(.*)\]\((.*?)\)", TEXTS["index.md"], re.MULTILINE)
    }
    pages = {
        name: text
        for name, text in TEXTS.items()
        if name != "index.md" and "/commands/" not in name
    }
    assert listed == {
        name: text.partition("\n")[0].removeprefix("# ") for name, text in pages.items()
    }


def test_pages_speak_of_commands_names_and_floors_that_there_are() -> None:
    every = "\n".join(TEXTS.values())
    assert {*re.findall(r"`padviz ([a-z][\w-]*)", every)} <= {*COMMANDS, "help"}
    assert {*re.findall(r"`padviz\.(\w+)", every)} <= {*padviz.__all__, "nn"}
    (drawn,) = fenced(TEXTS["design.md"], "text")
    rooms = [[room for room in floor if not room.startswith("__")] for floor in reversed(FLOORS)]
    assert drawn.split("\n")[:-1] == ["  ".join(floor) for floor in rooms if floor]


def test_balanced_is_said_of_every_window_and_not_of_convolutions_alone() -> None:
    said = [
        sentence for text in SHOWN.values() for sentence in re.split(r"(?<=[.?:])\s|\n\n|^\|", text)
    ]
    meanings = [
        each
        for each in said
        if re.search(r"[Bb]alanced\W+(input )?sizes?", each) and "every" in each
    ]
    assert [each for each in meanings if "every convolution" in each] == []
    glossary = TEXTS["glossary.md"].partition("## balanced size")[2]
    assert "every window, of convolutions and pools" in " ".join(glossary.split())
    pool = parse(
        {"layers": [{"op": "maxpool", "name": "p", "kernel": 3, "stride": 2, "padding": 1}]}, "net"
    )
    even = [n for n in range(8, 14) if padviz.uneven(pool, n).balanced]
    assert [*padviz.sizes(pool, "8:13").height.balanced.sizes] == even == [9, 11, 13]


def test_the_readme_is_two_screens_and_links_and_pictures_are_there() -> None:
    assert len(SHOWN["README.md"].split()) <= 600
    for name, text in SHOWN.items():
        home = ROOT if name == "README.md" else (DOCS / name).parent
        for link in re.findall(r"\]\(([^):#]+)\)", text):
            path = (home / link).resolve()
            if link in ("resnet50.html", "../atlas.html"):
                continue  # docs/build.py makes it
            assert path.is_file(), f"{name}: {link}"
            made = str(path.relative_to(ROOT.resolve()))
            assert (
                path.suffix not in (".png", ".html") or made in (ROOT / "Makefile").read_text()
            ), made


def test_pictures_are_drawn_by_ci_or_say_when_they_were_drawn() -> None:
    drawn = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    made: dict[str, str] = {}
    for block in re.split(r"\n(?=[\w-]+:)", (ROOT / "Makefile").read_text()):
        target = block.partition(":")[0]
        made |= dict.fromkeys(re.findall(r"docs/([\w-]+\.png)", block), target)
    for picture in (path.name for path in DOCS.glob("*.png")):
        assert picture in made, picture
        if not re.search(rf"make [^\n]*\b{made[picture]}(?= |$)", drawn, re.MULTILINE):
            (page,) = (text for text in TEXTS.values() if picture in text)
            assert re.search(r"[Dd]rawn on\s20\d\d-\d\d-\d\d", page), picture


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(
        '<a href="sub/b.html#there">b</a><a href="#no">c</a><img src="x.png">'
    )
    (tmp_path / "sub" / "b.html").write_text(
        '<p id="there"></p><a href="../a.html">a</a><a href="b.html#gone">b</a>'
    )
    assert broken(tmp_path) == ["a.html: #no", "a.html: x.png", "sub/b.html: b.html#gone"]
