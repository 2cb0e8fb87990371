"""`padviz check` as it is typed: pyproject.toml, baselines, exit codes and formats."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from padviz.analyses.rules import RULES
from tests.cli.test_cli import run, told

NET = '[[layers]]\nop = "conv"\nname = "a"\nkernel = 3\npadding = 1\nstride = {}\n'
pytestmark = pytest.mark.usefixtures("elsewhere")


def code(*args: str) -> int:
    return run("check", *args).exit_code


def project(*tables: str, more: str = "") -> None:
    checks = "\n".join(f"[[tool.padviz.check]]\n{table}" for table in tables)
    Path("pyproject.toml").write_text(f"[tool.padviz]\n{more}\n{checks}\n")


def test_what_holds_exits_with_0_findings_with_1_and_what_is_not_judged_with_3() -> None:
    Path("net.toml").write_text(NET.format(2))
    assert code("net.toml", "--size", "17") == 0
    assert code("net.toml", "--size", "16") == 1
    assert code("net.toml", "--size", "17,16") == 1
    assert (
        code(
            "net.toml",
            "--size",
            "17",
            "--even",
            "--context",
            "3",
            "--any-size",
            "3:20",
            "--rim",
            "1",
        )
        == 0
    )
    assert code("net.toml", "--size", "17", "--wraps", "width") == 1
    assert code("tests.signals:CausalVideo", "--causal") == 0
    assert code("net.toml", "--causal") == 2
    assert code("net.toml", "--size", "17", "--same-as", "net.toml") == 0
    assert code("net.toml", "--size", "17", "--same-as", "gone.toml") == 2
    for model in ("gone.toml", "resnt50"):
        result = run("check", model)
        assert (result.exit_code, result.stdout) == (2, "")
    Path("net.toml").write_text("size = [")
    assert code("net.toml") == 3


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("vgg11 --wraps widht", "--wraps: the input has no axis 'widht'; did you mean width?"),
        (
            "vgg11 --context=-1",
            "invalid value for '--context': -1 is not in the range x>=0; see padviz check --help",
        ),
        (
            "vgg11 --any-size 9:3",
            "--any-size: '9:3' is an empty range; use LO:HI or LO:HI:STEP, LO below HI",
        ),
        (
            "vgg11 --size 1x2x3",
            "vgg11: 1 x 2 x 3 has 3 numbers, and the input has 2: height, width; use HxW, or one",
        ),
        ("", "MODEL: is missing; name one, or write pyproject.toml with [tool.padviz]"),
        ("--even", "--even: goes with a MODEL; name one, or write it in pyproject.toml"),
        ("--size 64", "--size: goes with a MODEL; name one, or write it in pyproject.toml"),
        ("vgg11 --baseline no.json", "no.json: no such file; write one with --write-baseline"),
        ("vgg11 --baseline net.toml", "net.toml: is not a baseline (JSONDecodeError"),
        ("vgg11 --baseline huge.json", "huge.json: is not a baseline (OverflowError"),
        ("vgg11 --write-baseline net.toml", "--write-baseline: exists; it only creates one"),
        (
            "vgg11 --write-baseline a.json --baseline net.toml",
            "--write-baseline: goes without --baseline",
        ),
        (
            "vgg11 --prune-baseline",
            "--prune-baseline: needs a baseline; name it with --baseline FILE",
        ),
    ],
)
def test_a_mistake_is_one_line(line: str, says: str) -> None:
    Path("net.toml").write_text(NET.format(1))
    known = {
        "model": "a",
        "size": [8, 8],
        "axis": "",
        "layer": "",
        "rule": "even",
        "figure": 10**400,
    }
    Path("huge.json").write_text(json.dumps([known]))
    assert told("check", *line.split()).startswith(f"padviz: {says}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tool.other]", "pyproject.toml, [tool.padviz]: lists no models"),
        ("[tool.padviz", "pyproject.toml: cannot be read"),
        ("tool = 3", "pyproject.toml, [tool.padviz]: lists no models"),
        ("a" + ".a" * 30_000 + " = 1", "pyproject.toml: cannot be read: is nested too deeply"),
        (
            '[tool.padviz]\nmodel = "x"\n[[tool.padviz.check]]',
            "[tool.padviz]: has no key 'model'; use baseline, check",
        ),
        ("[[tool.padviz.check]]\nsize = 3", "check 1: model is missing"),
        ("[[tool.padviz.check]]\nmodel = 3", "check 1: model must be a name"),
        (
            '[[tool.padviz.check]]\nmodel = "vgg11"\nwarps = "width"',
            "check 1: has no key 'warps'; did you mean wraps?",
        ),
        (
            '[[tool.padviz.check]]\nmodel = "vgg11"\nrim = -1',
            "check 1, rim: -1: must be an integer, at least 0",
        ),
        (
            '[[tool.padviz.check]]\nmodel = "vgg11"\ncontext = true',
            "check 1, context: True: must be an integer",
        ),
        (
            '[[tool.padviz.check]]\nmodel = "vgg11"\ncontext = false',
            "check 1, context: False: must be an integer",
        ),
        (
            '[[tool.padviz.check]]\nmodel = "vgg11"\nwraps = 3',
            "check 1, wraps: 3 names no axis; use height or width",
        ),
        ('[[tool.padviz.check]]\nmodel = "vgg11"\nsize = "x"', "check 1, size: 'x' is not a size"),
        (
            '[[tool.padviz.check]]\nmodel = "vgg11"\nany_size = 3',
            "check 1, any_size: 3: must be a text",
        ),
        (
            'tool.padviz.check = [{model = "vgg11"}]\ntool.padviz.baseline = 3',
            "baseline: 3 is not the name of a file",
        ),
        ("tool.padviz.check = 3", "check: is not a list of tables"),
    ],
)
def test_a_mistake_in_pyproject_is_one_line(text: str, says: str) -> None:
    Path("pyproject.toml").write_text(text)
    result = run("check")
    assert (result.exit_code, result.stderr.count("\n"), result.stdout) == (2, 1, "")
    assert says in result.stderr


def test_models_of_pyproject_are_checked_in_one_run() -> None:
    Path("net.toml").write_text(NET.format(2))
    project(
        'model = "net.toml"\nsize = 17\neven = true', 'model = "vgg11"\nsize = "32,64"\nrim = 20'
    )
    assert code() == 0
    project(
        'model = "net.toml"\nsize = "16,17"\neven = true',
        'model = "vgg11"\nsize = 32',
        'model = "gone.toml"',
    )
    result = run("check", "--format", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["ok"], found["fails"], found["not_judged"]) == (False, 2, 1)
    assert {(row["model"], row["state"]) for row in found["rows"]} >= {
        ("net.toml", "fails"),
        ("gone.toml", "not judged"),
    }


def entries() -> list[dict[str, Any]]:
    return json.loads(Path("base.json").read_text())  # type: ignore[no-any-return]


def test_a_baseline_passes_what_is_known_and_fails_what_is_new_worse_or_gone() -> None:
    Path("net.toml").write_text(NET.format(2))
    asked = "net.toml", "--size", "16", "--baseline", "base.json"
    assert code("net.toml", "--size", "16", "--write-baseline", "base.json") == 0
    assert [each["axis"] for each in entries()] == ["height", "width"]
    result = run("check", *asked)
    assert (result.exit_code, "known" in result.stdout) == (0, True)
    Path("net.toml").write_text(NET.format(2) + NET.format(2).replace('"a"', '"b"'))
    assert code(*asked) == 1  # b is new
    assert code(*asked, "--prune-baseline") == 1  # which adds nothing
    assert {each["layer"] for each in entries()} == {"a"}
    wide = NET.format(2).replace(
        "kernel = 3\npadding = 1", "kernel = 7\npadding = [[4, 2], [4, 2]]"
    )
    Path("net.toml").write_text(wide)
    result = run("check", *asked)
    assert (result.exit_code, "worse than the baseline: 3, was 1" in result.stdout) == (1, True)
    Path("net.toml").write_text(NET.format(1))
    result = run("check", *asked)
    assert (result.exit_code, "no longer found" in result.stdout) == (1, True)
    Path("net.toml").write_text("broken")
    assert code(*asked, "--prune-baseline") == 3  # not judged is not gone
    assert len(entries()) == 2
    Path("net.toml").write_text(NET.format(1))
    assert code(*asked, "--prune-baseline") == 0
    assert entries() == []


def test_a_baseline_compares_all_that_an_output_sees_ahead() -> None:
    later = '[[layers]]\nop = "conv"\nname = "b"\nkernel = [{}, 1]\npadding = [[0, {}], [0, 0]]\n'
    Path("net.toml").write_text(NET.format(1) + later.format(1, 0))
    project('model = "net.toml"\nsize = 64\ncausal = "height"')
    asked = "--baseline", "base.json"
    assert code("--write-baseline", "base.json") == 0
    assert code(*asked) == 0
    Path("net.toml").write_text(NET.format(1) + later.format(51, 50))
    result = run("check", *asked)
    assert (result.exit_code, "worse than the baseline: 51, was 1" in result.stdout) == (1, True)


def test_a_baseline_of_a_project_has_no_models_that_are_gone() -> None:
    Path("net.toml").write_text(NET.format(2))
    Path("other.toml").write_text(NET.format(2))
    project(
        'model = "net.toml"\nsize = 16',
        'model = "other.toml"\nsize = 16',
        more='baseline = "base.json"',
    )
    assert code("--write-baseline", "base.json") == 0
    assert code() == 0
    assert code("net.toml", "--size", "16", "--baseline", "base.json") == 0
    project('model = "net.toml"\nsize = 16', more='baseline = "base.json"')
    assert code() == 1
    assert code("--prune-baseline") == 0
    assert {each["model"] for each in entries()} == {"net.toml"}


def test_github_annotates_each_finding_and_markdown_lists_them() -> None:
    Path("net.toml").write_text(NET.format(2))
    github = run("check", "net.toml", "--size", "16", "--format", "github").stdout.splitlines()
    assert len(github) == 2
    assert github[0].startswith(
        "::error file=net.toml,title=uneven-convolution in net.toml%2C 16 x 16::"
    )
    assert (
        "| fails | uneven-convolution | a |"
        in run("check", "net.toml", "--size", "16", "--format", "markdown").stdout
    )


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_explains_itself(rule: str) -> None:
    result = run("rules", rule)
    assert result.exit_code == 0
    assert RULES[rule].words in result.stdout
    assert ("never fails" in result.stdout) == (not RULES[rule].fails)


def test_the_example_of_the_docs_is_read(request: pytest.FixtureRequest) -> None:
    page = (request.config.rootpath / "docs/howto/fail-a-build.md").read_text()
    (example,) = (block.partition("```")[0] for block in page.split("```toml\n")[1:])
    assert {*tomllib.loads(example)["tool"]} == {"padviz"}
    Path("pyproject.toml").write_text(example)
    assert code() == 0


MEANT, BROKEN = "nn.ConstantPad1d((4, 0), 0.0), nn.Conv1d(1, 8, 5)", "nn.Conv1d(1, 8, 5, padding=2)"


def test_a_commit_that_breaks_one_of_three_models_fails() -> None:
    for file in Path(__file__).parents[2].glob("configs/check/*"):
        Path(file.name).write_text(file.read_text())

    def checked() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "padviz", "check"], capture_output=True, text=True
        )

    before = checked()
    assert (before.returncode, before.stdout.count("all hold")) == (0, 4)
    models = Path("models.py").read_text()
    assert MEANT in models
    Path("models.py").write_text(models.replace(MEANT, BROKEN))
    after = checked()
    assert (after.returncode, after.stdout.count("all hold")) == (1, 3)
    assert "sees 2 input samples ahead" in after.stderr
