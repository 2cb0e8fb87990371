"""One grammar: options mean the same in every command, values are read alike, pictures have names of their own."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

import padviz
from padviz.cli import cli
from padviz.network.network import sizes_in
from padviz.network.padding_modes import SCHEMES
from padviz.sources.toml.load import zoo
from tests.cli.test_cli import APART, run
from tests.cli.test_cli_foreign import plain
from tests.figures import made_up
from tests.scoring.made import coco_files, scenes
from tests.snippets import seeing_file
from tests.sweeps import sampled
from tests.trained.test_trying import folder

pytestmark = pytest.mark.usefixtures("elsewhere")

COMMANDS = cli.list_commands(None)  # type: ignore[arg-type]
OWN_DEFAULT = {
    "-n",
    "--axis",
}  # how many inputs are enough depends on what is measured; shards are along one axis
# of check, which expects; of others, which list and balance; layers are targets, scored or listed
OWN_HELP = {"--even", "--all", "--layer"}
LISTED = {"filters", "responses", "taps"}
OWN_TYPE = {("export", "--format"), ("compare", "--scale")}  # the files of an export; several maps
CODES = ("0", "1", "2", "3", "70", "130, 143", "141")
WIDTH = 80
ROOT = Path(__file__).parents[2]
PAGES = "\n".join(
    path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
)


def screen(line: str, width: int = WIDTH) -> str:
    result = CliRunner(**APART, env={"COLUMNS": str(width)}).invoke(cli, line.split())
    assert result.exit_code == 0, result.stderr
    return result.stdout


@cache
def options() -> list[tuple[str, str, click.Option]]:
    found = []
    for command in COMMANDS:
        for param in cli.get_command(None, command).params:  # type: ignore[union-attr,arg-type]
            if isinstance(param, click.Option):
                (spelling,) = param.opts
                found.append((command, spelling, param))
    return found


def test_an_option_is_typed_explained_and_left_out_alike_in_every_command() -> None:
    seen: dict[str, set[tuple[str, ...]]] = {}
    for command, name, param in options():
        shown = (param.metavar or "").removesuffix(",...")
        assert (param.metavar or "").endswith(",...") <= param.multiple, (command, name)
        if (command, name) in OWN_TYPE or name in ("--format", "-o"):
            continue
        of = getattr(param.type, "one", param.type)
        choices = getattr(of, "choices", getattr(of, "name", ""))
        default = "" if name in OWN_DEFAULT else "None" if param.required else repr(param.default)
        help_ = "" if name in OWN_HELP else param.help or ""
        seen.setdefault(name, set()).add((type(of).__name__, str(choices), shown, help_, default))
    assert {name: rows for name, rows in seen.items() if len(rows) > 1} == {}


@pytest.mark.parametrize("command", COMMANDS)
def test_short_options_and_help_work_in_every_command(command: str) -> None:
    assert run("help", command).stdout == run(command, "--help").stdout
    assert run(command, "-V").stdout == run("-V").stdout == run("--version").stdout
    assert "-q, --quiet" in run("help", command).stdout


def test_help_alone_is_that_of_all_commands() -> None:
    assert run("help").stdout == run("help", "--help").stdout == run("--help").stdout


def test_quiet_prints_errors_alone() -> None:
    plain("model.onnx")
    line = ("repad", "model.onnx", "--padding", "reflect")
    loud = run(*line)
    assert loud.stderr
    for quiet in (run(*line, "-q"), run("-q", *line)):
        assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, loud.stdout, "")
    failed = run("usage", "nosuch", "-q")
    assert failed.exit_code == 2
    assert failed.stderr.startswith("padviz: ")


def test_layer_is_by_default_the_last_only_where_the_layers_are_targets() -> None:
    others = {
        command
        for command, name, param in options()
        if name == "--layer" and "last" not in str(param.help)
    }
    assert others == LISTED | {"detect"}


def test_compare_of_one_network_draws_its_padding_and_all_schemes() -> None:
    told = json.loads(run("compare", "vgg11", "--size", "64", "--format", "json").stdout)
    assert told["varies"] == "padding"
    assert told["values"] == ["declared", *SCHEMES]


def test_options_stand_in_one_order_in_every_command() -> None:
    after: dict[str, set[str]] = {}
    for command in COMMANDS:
        names = [name for of, name, _ in options() if of == command]
        for one, other in pairwise(names):
            after.setdefault(other, set()).add(one)
    assert [*TopologicalSorter(after).static_order()]


def test_help_fits_a_terminal_with_a_line_for_each_option() -> None:
    for command in COMMANDS:
        text = run(command, "--help").stdout
        listed = text.partition("\nOptions:\n")[2].splitlines()
        assert all(
            len(line) <= WIDTH or line.strip().startswith("padviz ") for line in text.splitlines()
        ), text
        assert max(map(len, listed)) <= WIDTH
        assert not [
            line for line in listed if re.match(r" {10,}(?!\[)", line) and line.strip()[0].islower()
        ], text


def test_help_is_read_in_a_minute() -> None:
    for command in COMMANDS:
        most = 250 if command in ("audit", "detect", "tiles") else 330
        assert len(run(command, "--help").stdout.split()) <= most, command


def test_help_groups_all_commands_and_lists_schemes_and_exit_codes() -> None:
    text = run("--help").stdout
    assert text == run().stdout
    titles = re.findall(r"^(\w[\w ]*):$", text, re.MULTILINE)
    assert (titles[0], titles[-2:]) == ("Options", ["Padding schemes", "Exit codes"])
    listed = [
        re.match(r"  ([\w, -]*\w)  ", line)
        for line in text.partition(f"\n{titles[1]}:\n")[2].splitlines()
    ]
    assert [each[1] for each in listed if each] == [*COMMANDS, *SCHEMES, *CODES]
    assert all(len(line) <= WIDTH for line in text.splitlines())


@pytest.mark.parametrize("command", sampled(COMMANDS, "", "detect export"))
def test_help_ends_with_an_example_that_runs(command: str) -> None:
    text = run(command, "--help").stdout
    examples = [line.strip() for line in text.splitlines() if line.strip().startswith("padviz ")]
    assert examples
    if "model.onnx" in text:
        (seeing_file if command == "detect" else plain)("model.onnx")
    if command == "rings":
        coco_files(scenes(0, images=8), names=("instances.json", "results.json"))
    if command == "seams":
        made_up.seam_files()
    if "photos" in text:
        folder(Path("photos"), 3, 260, 280)
    for example in examples:
        if not re.search(
            rf"^ *(\$ )?{re.escape(example)}( +#.*)?$", PAGES, re.MULTILINE
        ):  # which run what they show
            result = run(*example.split()[1:])
            assert result.exit_code == (command == "seams"), result.output


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("240x320", [(240, 320)]),
        ("224, 240X320,224", [(224, 224), (240, 320)]),
        ("224 x 224,64 X 96", [(224, 224), (64, 96)]),
        ("64:96:16", [(64, 64), (80, 80), (96, 96)]),
        ("7:9,32", [(7, 7), (8, 8), (9, 9), (32, 32)]),
        ("1000000x5,5x1000000", [(1_000_000, 5), (5, 1_000_000)]),
    ],
)
def test_sizes_are_read_in_four_spellings(text: str, sizes: list[tuple[int, int]]) -> None:
    assert sizes_in(text) == sizes


@pytest.mark.parametrize("text", ["1000001x5", "5x1000001", "5x7x1000001"])
def test_no_side_is_above_the_largest(text: str) -> None:
    with pytest.raises(
        padviz.PadvizError, match=rf"^size: '{text}' is not a size; use pixels from 1 to 1000000"
    ):
        sizes_in(text)


SAME = [
    [
        f"uneven vgg11 --format json {sizes}"
        for sizes in ("--size 32,48,64", "--size 32:64:16", "--size 32 --size 48,64")
    ],
    [
        f"usage vgg11 --size 64 --no-picture --layer features.3{more}"
        for more in (",features.6", " --layer features.6")
    ],
    [f"kernel --padding zero{more}" for more in (",reflect", " --padding reflect")],
    [f"layers vgg11 --size 64 --padding zero{between}circular" for between in "/+"],
]


@pytest.mark.parametrize("lines", SAME)
def test_several_values_are_listed_or_repeated(lines: list[str]) -> None:
    first, *others = (run(*line.split()).stdout for line in lines)
    assert first
    assert {*others} == {first}


def test_names_of_the_zoo_are_read_however_they_are_written() -> None:
    for name in zoo():
        assert padviz.load(name.upper().replace("_", "-")).name == name


def test_a_convention_is_the_same_in_every_command() -> None:
    run("convert", "resnet18", "--same", "-o", "same.toml")
    asked = [["resnet18", "--same"], ["same.toml"]]
    said = [
        json.loads(run("usage", *each, "--size", "64", "--format", "json").stdout) for each in asked
    ]
    corners = [
        {key: row[key] for key in row if key.startswith("corners")}
        for row in (each["rows"][0] for each in said)
    ]
    assert corners[0] == corners[1] != {}


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


@pytest.mark.parametrize(
    "command", sampled(["usage", "coverage", "explore"], "explore", "coverage")
)
def test_no_two_different_pictures_share_a_name(command: str) -> None:
    known = {name for of, name, _ in options() if of == command}
    several = command == "explore"
    asked = [
        more for more in DIFFERENT if {word for word in more if word.startswith("--")} <= known
    ]
    asked = [more for more in asked if not several or "layer1.0,layer2.0" not in more]
    asked = [["--size", "64,96" if several else "64", *more] for more in asked]
    for more in [*asked, asked[-1]]:  # the same picture is drawn anew
        result = run(command, "resnet18", *more)
        assert result.exit_code == 0, result.stderr
    assert len([*Path().glob(f"*-{command}.*")]) == len([*Path().iterdir()]) == len(asked)


DRAWN = {
    "usage vgg11 --size 32": "vgg11-32-usage.png",
    "coverage vgg11 --size 32 --padding zero/zero": "vgg11-32-zero-coverage.png",
    "explore vgg11 --size 32,64 --padding zero": "vgg11-32-64-zero-explore.html",
    "detect net.onnx --size 40 --height 8 --step 16": "net-40-height_8-step_16-detect.png",
}


@pytest.mark.parametrize("line", DRAWN)
def test_commands_whose_job_is_a_picture_write_one_without_o(line: str) -> None:
    if "net.onnx" in line:
        seeing_file("net.onnx")
    there = {*os.listdir()}
    result = run(*line.split())
    assert result.exit_code == 0, result.stderr
    assert {*os.listdir()} - there == {DRAWN[line]}
    assert result.stdout.count(DRAWN[line]) == 1


SCREENS = {  # a command, how its screen begins, and how many lines it has at most
    "audit unet --size 572": ("U-Net", 48),
    "audit ssd300_vgg16 --size 300": ("SSD300", 48),
    "audit resnet50 --size 65536": ("ResNet-50", 48),
    "audit resnet18 mobilenet_v2 --size 224": ("", 99),
    "compare vgg11 --size 64 --padding zero,reflect,partial": ("", 99),
    "compare resnet18 --size 64,128": ("", 99),
    "filters net.onnx --size 65x96": ("", 99),
    "layers vgg11": ("", 99),
    "networks": ("", 99),
    "uneven resnet18": ("", 99),
    "rings --gt gt.json --pred pred.json vgg11 --size 96x128 --by-class --iou .2,.5,.75": ("", 99),
    "rings --gt gt.json --pred pred.json --px 10,20,30 --iou .2,.5,.75": ("", 99),
}


@pytest.mark.parametrize("line", SCREENS)
def test_screens_fit_a_terminal(line: str) -> None:
    if "net.onnx" in line:
        seeing_file("net.onnx")
    if line.startswith("rings"):
        coco_files(scenes(3, images=60, each=20))
    title, most = SCREENS[line]
    lines = [text.rstrip() for text in screen(line).splitlines()]
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) <= most
    assert lines[0].startswith(title)


@pytest.mark.parametrize(
    ("line", "spare", "needed"),
    [
        ("compare vgg19 --size 64 --padding zero,reflect", "asymmetry", "max"),
        ("audit resnet50 mobilenet_v2 --size 224", "rim", "starved"),
    ],
)
def test_a_pipe_has_the_columns_that_a_terminal_has_no_room_for(
    line: str, spare: str, needed: str
) -> None:
    assert spare not in screen(line).splitlines()[0].split()
    assert spare in run(*line.split()).stdout.splitlines()[0].split()
    assert needed in screen(line, 40).splitlines()[0].split()


DENSE = "densenet121 --layer features.denseblock2.denselayer12.conv2"


@pytest.mark.parametrize("line", [f"layers {DENSE}", "taps densenet121", f"uneven {DENSE} --all"])
def test_figures_are_never_cut(line: str) -> None:
    """Long names fold; where that is not enough, whole columns go."""

    def figures(width: int) -> list[Any]:
        return re.findall(
            r"[0-9]+/[0-9]+/[0-9]+|[0-9]+ x [0-9]+|[0-9]+\+[0-9]+|[+-][0-9.]+ %",
            screen(f"{line} --size 641x383", width),
        )

    assert Counter(figures(60)) <= Counter(figures(200))
    assert len(figures(60)) > 40


VGG = ["vgg11", "vgg13", "vgg16", "vgg19"]
LAYERS = ["x;touch${IFS}PWNED;", "$(id)", "a b", "`id`", "~", "'", "safe/conv.1:0"]
OFFERED = {
    "": cli.list_commands(None),  # type: ignore[arg-type]
    "usage --pad": ["--padding"],
    "audit resnet18 ": zoo(),
    "usage mi": ["mi"],  # a shell completes files and folders, and quotes them
    "usage maps/a": ["maps/a"],
    "usage vgg11 -o ma": ["ma"],
    "trial a.onnx --images ph": ["ph"],
    "compare vgg11 vgg1": VGG,
    "usage vgg11 --padding ": [*SCHEMES],
    "compare vgg11 --padding zero,circular/re": [
        "zero,circular/replicate",
        "zero,circular/reflect",
    ],
    "usage vgg11 --cmap plas": ["plasma"],  # and not plasma_r
    "usage vgg11 --layer features.2,features.18": ["features.2,features.18"],
    "repad model.onnx --padding zero --only a,b": ["a,b"],
    "usage missing.onnx --layer ": [],
    "usage torchvision.models:vgg11 --layer ": [],  # its code would run
    "usage --layer ": [],
    "usage evil.toml --layer ": ["input", "safe/conv.1:0"],  # what a shell would not run
}


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("line", OFFERED)
def test_values_are_offered(line: str) -> None:
    Path("mine.toml").write_text("")
    Path("evil.toml").write_text(
        "".join(f"[[layers]]\nop='conv'\nkernel=3\nname={json.dumps(n)}\n" for n in LAYERS)
    )
    plain("model.onnx")
    *args, typed = line.split(" ")
    found = BashComplete(cli, {}, "padviz", "_PADVIZ_COMPLETE").get_completions(args, typed)
    assert [item.value for item in found] == OFFERED[line]


def test_a_shell_is_answered() -> None:
    typed = {
        "_PADVIZ_COMPLETE": "bash_complete",
        "COMP_WORDS": "padviz usage vgg1",
        "COMP_CWORD": "2",
    }
    asked = [sys.executable, "-m", "padviz"]
    done = subprocess.run(
        asked, env={**os.environ, **typed}, capture_output=True, text=True, check=True
    )
    assert (done.stdout.split(), done.stderr) == ([f"plain,{name}" for name in VGG], "")


@pytest.mark.parametrize("name", cli.list_commands(None))  # type: ignore[arg-type]
def test_help_is_short_and_ends_with_the_options_of_pictures(name: str) -> None:
    words, *options = re.split(
        r"^(?:Options|Picture options):$", screen(f"{name} --help"), flags=re.M
    )
    assert len(words.split()) <= 250
    assert not re.search(r"\S {5}\S", words)  # a line that was indented otherwise
    assert "--help" in options[0]
    for option in ("--dpi", "--width", "--theme", "--cmap", "--no-picture"):
        assert f"{option} " not in options[0]
