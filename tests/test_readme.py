"""The README and the pages of reference are true: commands run and print what is shown, TOML and Python work."""

from __future__ import annotations

import gc
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import padviz
from padviz.cli import cli
from tests.cli.test_cli import APART, run
from tests.snippets import REFERENCE, prepare, said
from tests.sweeps import SLOW

ROOT = Path(__file__).parent.parent
README = "\n".join((ROOT / page).read_text() for page in ("README.md", *(f"docs/{name}" for name in REFERENCE)))
COMMANDS = re.findall(r"^    padviz (.*?)(?: +#.*)?$", README, re.MULTILINE)
NAMED = [" ".join(each.split()) for each in re.findall(r"\*\*`padviz ([^`]*)`", README)]
LONG = "compare resnet50", "compare vgg19 --size 512", "export vgg11 resnet18", "usage resnet50 --size 65536"
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHOWN = re.findall(r"^    \$ padviz (.*)\n((?:    .*\n|\n(?=    ))*)", README, re.MULTILINE)


pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize(
    "command", [pytest.param(each, marks=SLOW if each.startswith(LONG) else ()) for each in COMMANDS]
)
def test_commands_run(command: str) -> None:
    prepare(command)
    result = run(*shlex.split(command))
    assert result.exit_code == 0, result.stderr
    assert said(result.stderr) == []


def test_every_command_that_help_lists_is_named() -> None:
    listed = re.findall(
        r"^  ([a-z]\S*)  +\S",
        run("--help").stdout.partition("\nJudge:\n")[2].partition("\nPadding schemes:")[0],
        re.MULTILINE,
    )
    assert {"usage", "convert", "layers"} < {*listed}
    assert sorted(each.split()[0] for each in NAMED) == sorted(listed)


@pytest.mark.parametrize(("command", "shown"), SHOWN)
def test_outputs_are_what_is_printed(command: str, shown: str) -> None:
    expected = re.sub("^    ", "", shown, flags=re.MULTILINE).strip("\n")
    result = CliRunner(**APART, env={"COLUMNS": "80"}).invoke(cli, shlex.split(command))
    printed = [line.rstrip() for line in result.stdout.strip("\n").split("\n")]
    assert "\n".join(printed) == expected


def test_enough_is_found() -> None:
    assert len(COMMANDS) >= 8
    assert len(SHOWN) == 5


def test_the_toml_example_works() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    Path("net.toml").write_text(example)
    assert padviz.load("net.toml").targets == ("stage.2",)
    assert run("usage", "net.toml").exit_code == 0


def test_the_python_example_works() -> None:
    example = EXAMPLES[-1]
    exec(compile(example, "README.md", "exec"), {})


def test_the_example_of_tiles_works() -> None:
    (example,) = (each for each in EXAMPLES if "padviz.tiles" in each)
    names: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["out"].all()


def test_the_examples_of_repadding_work() -> None:
    examples = [each for each in EXAMPLES[:-1] if "torchvision" in each or "padviz.nn" in each]
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_cluster_example_works_on_a_small_cluster() -> None:
    distributed = pytest.importorskip("dask.distributed", reason="the extra padviz[dask] is not installed")
    (example,) = (each for each in EXAMPLES if "scheduler" in each)
    Path("survey.toml").write_text('[[maps]]\nmodels = ["vgg11"]\nsizes = ["64:96:16"]\n')
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        here = example.replace("tcp://scheduler:8786", cluster.scheduler_address).replace("/shared/maps", "maps")
        exec(compile(here, "README.md", "exec"), {})
    gc.collect()  # Dask leaves sockets to it
    assert len(list(Path("maps").glob("*-usage.png"))) == 3


def test_pictures_are_all_there() -> None:
    for page in ("README.md", *(f"docs/{name}" for name in REFERENCE)):
        for name in re.findall(r"\]\(([^):]*\.(?:png|html))\)", (ROOT / page).read_text()):
            picture = ((ROOT / page).parent / name).resolve().relative_to(ROOT.resolve())
            assert (ROOT / picture).is_file()
            assert str(picture) in (ROOT / "Makefile").read_text()


def test_the_readme_is_two_screens_and_its_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) < 900
    assert all((ROOT / name).is_file() for name in re.findall(r"\]\(([^):]*)\)", text))
