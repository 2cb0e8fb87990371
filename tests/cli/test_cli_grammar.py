"""One grammar: options mean the same in every command, several values are read alike, mistakes say what to type."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from padviz.cli.group import COMMANDS, GROUPS, MOVED, cli
from padviz.cli.vocabulary import PLURALS, TABLE, parameter
from padviz.errors import OptionError
from padviz.network.network import sizes_in
from padviz.sources.toml.load import _plain, zoo
from tests.cli.test_cli import APART, run, told
from tests.cli.test_cli_foreign import plain
from tests.snippets import seeing_file
from tests.sweeps import sampled

pytestmark = pytest.mark.usefixtures("elsewhere")

OWN_DEFAULT = {"n"}  # how many inputs are enough depends on what is measured
OWN_TYPE = {("export", "format"), ("uneven", "check")}  # the files of an export; what a check looks for
WIDTH = 80


def options() -> Iterator[tuple[str, str, click.Option]]:
    """Every option of every command: the command, the option's name without dashes, the option."""
    for command in COMMANDS:
        found = cli.get_command(None, command)  # type: ignore[arg-type]
        assert found is not None
        for param in found.params:
            if isinstance(param, click.Option):
                (spelling,) = param.opts
                yield command, "output" if spelling == "-o" else spelling.lstrip("-"), param


def test_every_option_is_in_the_table_and_every_row_of_it_is_used() -> None:
    assert {name for _, name, _ in options()} == {*TABLE}
    assert (next(iter(TABLE)), [*TABLE][-1]) == ("size", "neutral")


def test_an_option_is_typed_explained_and_left_out_alike_in_every_command() -> None:
    seen: dict[str, set[tuple[str, ...]]] = {}
    for command, name, param in options():
        if (command, name) in OWN_TYPE or name in ("format", "output"):
            continue
        of = getattr(param.type, "one", param.type)
        choices = getattr(of, "choices", getattr(of, "name", ""))
        shown = (param.metavar or "").removesuffix(",...")
        default = "" if name in OWN_DEFAULT else repr(param.default)
        seen.setdefault(name, set()).add((type(of).__name__, str(choices), shown, param.help or "", default))
    assert {name: rows for name, rows in seen.items() if len(rows) > 1} == {}


def test_what_is_shown_as_several_takes_several_and_nothing_else_does() -> None:
    for command, name, param in options():
        several = (param.metavar or "").endswith(",...")
        assert several == (param.name in PLURALS), (command, name)
        assert param.name == (TABLE[name].several if several else parameter(name)), (command, name)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_terminal_with_a_line_for_each_option(command: str) -> None:
    text = run(command, "--help").stdout
    listed = text.partition("\nOptions:\n")[2]
    assert max(map(len, text.splitlines())) <= WIDTH or "padviz " in max(text.splitlines(), key=len)
    for line in listed.splitlines():
        assert len(line) <= WIDTH, line
    names = re.findall(r"^  (-\S+)", listed, re.MULTILINE)
    order = [*TABLE]
    places = [order.index("output" if name == "-o" else name.strip("-,")) for name in names[:-1]]
    assert places == sorted(places)
    assert all(len(word.help) <= 46 for word in TABLE.values())
    assert not [line for line in listed.splitlines() if re.match(r" {10,}(?!\[)", line) and line.strip()[0].islower()]


# several values


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("224", [(224, 224)]),
        ("240x320", [(240, 320)]),
        ("224, 240X320,224", [(224, 224), (240, 320)]),
        ("64:96:16", [(64, 64), (80, 80), (96, 96)]),
        ("7:9", [(7, 7), (8, 8), (9, 9)]),
        ("7:9,32", [(7, 7), (8, 8), (9, 9), (32, 32)]),
    ],
)
def test_sizes_are_read_in_three_spellings(text: str, sizes: list[tuple[int, int]]) -> None:
    assert sizes_in(text) == sizes


@pytest.mark.parametrize("text", ["", "0", "x", "-4", "64x", "1:9:0", "64:96:", ":9", "9:3", "1x2:3", "64,", "1000001"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"is not a size|is an empty range"):
        sizes_in(text)


def test_ranges_are_bounded() -> None:
    with pytest.raises(OptionError, match="more than 1000000 sizes"):
        sizes_in("1:1000000,1:1000000")


SPELLINGS = [["--size", "32,48,64"], ["--size", "32:64:16"], ["--size", "32", "--size", "48,64"]]


def test_several_sizes_in_three_spellings_are_the_same() -> None:
    said = {run("uneven", "vgg11", *sizes, "--format", "json").stdout for sizes in SPELLINGS}
    assert len(said) == 1
    assert [entry["size"] for entry in json.loads(said.pop())["results"]] == [[32, 32], [48, 48], [64, 64]]


def test_an_export_reads_sizes_as_commands_do() -> None:
    for i, spelling in enumerate(SPELLINGS):
        assert run("export", "vgg11", *spelling, "-o", f"{i}", "--jobs", "1", "--format", "json").exit_code == 0
        assert len([*Path(f"{i}").glob("vgg11-*-usage.json")]) == 3
    Path("m.toml").write_text('[[maps]]\nmodels = ["vgg11"]\nsizes = ["32:64:16,32"]\npaddings = ["zero+circular"]\n')
    assert run("export", "m.toml", "-o", "more", "--jobs", "1", "--format", "json").exit_code == 0
    assert len([*Path("more").glob("vgg11-*-zero+circular-usage.json")]) == 3


def test_several_layers_and_schemes_are_listed_or_repeated() -> None:
    listed = run("usage", "vgg11", "--size", "64", "--layer", "features.3,features.6", "--format", "json").stdout
    again = run("usage", "vgg11", "--size", "64", "--layer", "features.3", "--layer", "features.6", "--format", "json")
    assert json.loads(listed) == json.loads(again.stdout)
    assert json.loads(listed)["target"]["layer"] == ["features.3", "features.6"]
    kernels = [
        run("kernel", *given).stdout
        for given in (["--padding", "zero,reflect"], ["--padding", "zero", "--padding", "reflect"])
    ]
    assert kernels[0] == kernels[1]
    assert "has an empty value; leave out a comma" in told("usage", "vgg11", "--layer", "features.3,")


def test_a_scheme_for_each_axis_is_read_as_names_of_files_have_it() -> None:
    said = [run("layers", "vgg11", "--size", "64", "--padding", f"zero{between}circular").stdout for between in "/+"]
    assert said[0] == said[1] != ""


# every command that reads a network


@pytest.mark.parametrize("command", ["audit", "uneven", "layers", "tiles"])
def test_a_scheme_changes_what_is_read(command: str) -> None:
    plain, other = (run(command, "vgg11", "--size", "192", *more) for more in ([], ["--padding", "valid"]))
    assert (plain.exit_code, other.exit_code) == (0, 0)
    assert plain.stdout != other.stdout
    assert "valid" in other.stdout


def test_sizes_and_differences_are_of_a_scheme() -> None:
    plain, none = (
        json.loads(run("sizes", "alexnet", "--size", "190:220", *more, "--format", "json").stdout)["balanced"]
        for more in ([], ["--padding", "valid"])
    )
    assert plain != none
    assert "nothing to compare with" in told("diff", "vgg11", "--size", "64")
    assert "padding" in run("diff", "vgg11", "--size", "192", "--padding", "valid").stdout


def test_a_convention_is_the_same_in_every_command() -> None:
    said = json.loads(run("usage", "resnet18", "--size", "64", "--same", "--format", "json").stdout)
    run("convert", "resnet18", "--same", "-o", "same.toml")
    again = json.loads(run("usage", "same.toml", "--size", "64", "--format", "json").stdout)
    plain = json.loads(run("usage", "resnet18", "--size", "64", "--format", "json").stdout)
    assert said["corners"] == again["corners"] != plain["corners"]


# names and mistakes


def test_names_of_the_zoo_are_told_apart_however_they_are_written() -> None:
    assert len({_plain(name) for name in zoo()}) == len(zoo())


@pytest.mark.parametrize(
    ("written", "name"), [("ResNet-50", "resnet50"), ("MobileNet-V2", "mobilenet_v2"), ("VGG19", "vgg19")]
)
def test_names_of_the_zoo_are_read_however_they_are_written(written: str, name: str) -> None:
    assert run("layers", written).stdout == run("layers", name).stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('layers = [{op = "cov", out = 3}]', "did you mean conv?"),
        ('layers = [{op = "conv", kernl = 3}]', "did you mean kernel?"),
        ('layers = [{op = "add", branches = [[{op = "conv", strid = 3}], []]}]', "did you mean stride?"),
        ('layers = [{op = "block", use = "a"}]\n[blocks]\na = [{op = "conv", dilaton = 3}]', "did you mean dilation?"),
        ('titel = "a"\nlayers = []', "did you mean title?"),
        ('layers = [{op = "conv", kernel = "x"}]', ""),
        ("layers = [{op = 7}]", ""),
    ],
)
def test_a_description_suggests_the_nearest_op_and_key(text: str, says: str) -> None:
    Path("net.toml").write_text(text)
    said = told("layers", "net.toml")
    assert said.endswith(f"{says}\n")
    assert ("did you mean" in said) == bool(says)


def test_what_has_moved_is_said_only_where_it_is_gone() -> None:
    known = {f"--{name}" for _, name, _ in options()}
    assert {*MOVED} - known == {"--range", "--sizes", "--output", "--margin"} - known


def test_help_groups_all_commands_and_lists_exit_codes() -> None:
    text = run("--help").stdout
    assert re.findall(r"^(\w[\w ]*):$", text, re.MULTILINE) == ["Options", *GROUPS, "Padding schemes", "Exit codes"]
    for code in (0, 1, 2, 3, 130, 143):
        assert str(code) in text.partition("Exit codes:")[2]
    assert all(len(line) <= WIDTH for line in text.splitlines())


# checks


@pytest.mark.parametrize("command", ["uneven resnet18", "diff vgg11 vgg13"])
def test_a_check_that_fails_says_why(command: str) -> None:
    result = run(*command.split(), "--size", "224", "--check")
    assert result.exit_code == 1
    assert result.stderr.endswith(" findings in all): exit code 1\n")
    assert result.stderr.count("\n") == 1
    assert run(*command.split(), "--size", "224").stderr == ""


# sizes that a file leaves open


@pytest.mark.parametrize(
    ("command", "sized_by"),
    [
        ("audit", "size"),
        ("usage", "size"),
        ("layers", "size"),
        ("tiles", "size"),
        ("filters", "size"),
        ("responses -n 2", "size"),
        ("trial --noise -n 1 --size 64 --padding reflect", "trained-at"),
        ("repad --padding reflect -o out.onnx", "size"),
        ("repad --even -o out.onnx", "size"),
        ("export --what uneven -o maps", "size"),
    ],
)
def test_a_size_that_nobody_named_is_said(command: str, sized_by: str) -> None:
    name, *options = command.split()
    says = f"padviz: net: the file leaves its input size open; this is at 224 x 224, --{sized_by} says another\n"
    result = run(name, plain(), *options)
    assert (result.exit_code, result.stderr.count(says)) == (0, 1)
    more = ["--overwrite"] if name == "repad" else []
    assert "open" not in run(name, "net.onnx", f"--{sized_by}", "96", *options, *more).stderr
    assert run(name, "net.onnx", *options, "--no-such").stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["filters --layer lost", "repad --padding nonsense", "responses --layer lost -n 2"])
def test_a_refusal_says_nothing_of_a_size_that_nobody_named(command: str) -> None:
    name, *options = command.split()
    result = run(name, plain(), *options)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


# names of pictures


DIFFERENT = [
    [],
    ["--padding", "zero"],
    ["--padding", "zero/circular"],
    ["--same"],
    ["--layer", "layer1.0"],
    ["--layer", "layer1.0,layer2.0"],
    ["--layer", "layer1.0,layer2.0", "--heads", "share"],
    ["--unit", "0,1"],
    ["--unit", "0:1,1"],
    ["--pooling", "mean"],
    ["--scale", "share"],
]


@pytest.mark.parametrize("command", sampled(["usage", "coverage", "compare", "explore"], "", "coverage compare"))
def test_no_two_different_pictures_share_a_name(command: str) -> None:
    known = set(re.findall(r"--[a-z]+", run(command, "--help").stdout))
    sizes = ["--size", "64,96"] if command in ("compare", "explore") else ["--size", "64"]
    asked = [more for more in DIFFERENT if {word for word in more if word.startswith("--")} <= known]
    if command in ("compare", "explore"):
        asked = [more for more in asked if "layer1.0,layer2.0" not in more]
    for more in asked:
        result = run(command, "resnet18", *sizes, *more)
        assert result.exit_code == 0, result.stderr
    assert len([*Path().glob(f"*-{command}.*")]) == len(asked)
    assert run(command, "resnet18", *sizes, *asked[-1]).exit_code == 0  # the same picture is drawn anew
    assert len([*Path().iterdir()]) == len(asked)


DRAWN = {
    "usage vgg11 --size 32": "vgg11-32-usage.png",
    "compare vgg11 --size 32,64": "vgg11-32-64-compare.png",
    "compare --model vgg11,vgg13 --size 32 --cmap magma": "vgg11-vgg13-32-magma-compare.png",
    "coverage vgg11 --size 32 --layer features.3": "vgg11-32-features.3-coverage.png",
    "explore vgg11 --size 32,64 --padding zero": "vgg11-32-64-zero-explore.html",
    "detect net.onnx --size 40 --height 8 --step 16": "net-40-height_8-step_16-detect.png",
}
UNDRAWN = """audit vgg11 --size 32|uneven vgg11|sizes vgg11 --size 64:70|diff vgg11 vgg13|kernel --size 5
uneven vgg11 --taps|layers vgg11|layers|convert vgg11|tiles vgg11 --size 64|filters net.onnx --size 32
responses net.onnx --size 64 -n 2|repad net.onnx --padding reflect --size 32""".replace("\n", "|").split("|")


@pytest.mark.parametrize("line", [*DRAWN, *UNDRAWN])
def test_without_o_only_commands_whose_job_is_a_picture_write_one(line: str) -> None:
    if "net.onnx" in line:
        seeing_file("net.onnx")
    there = {*os.listdir()}
    result = run(*line.split())
    assert result.exit_code == 0, result.stderr
    assert {*os.listdir()} - there == ({DRAWN[line]} if line in DRAWN else set())
    assert line not in DRAWN or result.stdout.count(DRAWN[line]) == 1


@pytest.mark.parametrize(
    ("line", "more"),
    [
        (line, more)
        for line in DRAWN
        for more in (["--format", "csv"], ["--no-picture"], ["-o", "counts.npz"])
        if not line.startswith("explore") and (more[0] != "-o" or line.startswith(("usage", "coverage")))
    ],
)
def test_figures_alone_are_drawn_nowhere(line: str, more: list[str]) -> None:
    if "net.onnx" in line:
        seeing_file("net.onnx")
    there = {*os.listdir()}
    result = run(*line.split(), *more)
    assert result.exit_code == 0, result.stderr
    assert {*os.listdir()} - there == ({"counts.npz"} if "-o" in more else set())
    assert ".png" not in result.stdout
    assert result.stdout


def test_a_picture_that_is_asked_for_is_drawn_beside_any_format() -> None:
    assert json.loads(run("usage", "vgg11", "--size", "32", "-o", "a.png", "--format", "json").stdout)["files"] == [
        "a.png"
    ]
    assert Path("a.png").exists()
    says = "padviz: --no-picture: -o 'b.png' is a picture; leave one of them out\n"
    assert told("usage", "vgg11", "--size", "32", "-o", "b.png", "--no-picture") == says


@pytest.mark.parametrize(
    "line",
    [
        "compare vgg11 --size 64 --padding zero,reflect,partial --no-picture",
        "compare resnet18 --size 64,128 --no-picture",
        "audit resnet18 mobilenet_v2 --size 224",
        "filters net.onnx --size 65x96",
        "layers vgg11",
        "layers",
        "uneven resnet18",
    ],
)
def test_tables_fit_a_terminal(line: str) -> None:
    seeing_file("net.onnx")
    screen = CliRunner(**APART, env={"COLUMNS": str(WIDTH)}).invoke(cli, line.split())
    assert screen.exit_code == 0, screen.stderr
    assert max(len(text.rstrip()) for text in screen.stdout.splitlines()) <= WIDTH


@pytest.mark.parametrize(
    ("line", "spare"),
    [
        ("compare vgg19 --size 64 --padding zero,reflect --no-picture", "asymmetry"),
        ("audit resnet50 mobilenet_v2 --size 224", "rim"),
    ],
)
def test_a_pipe_has_the_columns_that_a_terminal_has_no_room_for(line: str, spare: str) -> None:
    screen = CliRunner(**APART, env={"COLUMNS": str(WIDTH)}).invoke(cli, line.split())
    assert spare not in screen.stdout.splitlines()[0].split()
    assert spare in run(*line.split()).stdout.splitlines()[0].split()
