"""The layout that keeps start-up fast and the rooms apart: imports go down only, heavy ones stay in their room."""

import ast
import doctest
import importlib
import inspect
import json
import os
import platform
import re
import subprocess
import sys
import tomllib
import warnings
from itertools import pairwise
from pathlib import Path
from types import FunctionType

import pytest

import padviz
from tests.anywhere import settings, without_effect
from tests.budget import branches, compared, files, tokens
from tests.cli.test_cli import run
from tests.floors import PACKAGE, breaches, circles, folder_circles
from tests.snippets import fenced
from tests.words import in_text

ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def test_imports_run_down_only_and_heavy_ones_stay_in_their_room() -> None:
    assert (breaches(), circles(), folder_circles()) == ([], [], [])


OURS = {  # values that no file names: numbers, sizes, schemes, formats and rules of padviz
    "typed_size", "model.image", "least", "least_px", "length_px", "most", "side", "scheme", "format_", "min(ruled)",
    "_as_option(best[0])", "_as_option(best[1])",
}  # fmt: skip
COMMANDS = "|".join(name for group in padviz.GROUPS.values() for name in group)
MARK = re.compile(rf"(?:`[a-z_]+`|--[a-z-]+|padviz (?:{COMMANDS})) (?:of )?$")


def test_values_in_lines_to_be_typed_are_quoted() -> None:
    quoted, others = 0, []
    for path in MODULES:
        for text in ast.walk(ast.parse(path.read_text())):
            for mark, part in pairwise(text.values) if isinstance(text, ast.JoinedStr) else ():
                if not (isinstance(mark, ast.Constant) and MARK.search(mark.value)):
                    continue
                assert isinstance(part, ast.FormattedValue)
                value = ast.unparse(part.value)
                if value.startswith("typed("):
                    quoted += 1
                elif value not in OURS:
                    others.append(f"{path.relative_to(ROOT)}:{text.lineno}: {value}")
    assert others == []
    assert quoted > 7


ROWS_OF_TAPS = {  # and what each other place is for
    "network/reads.py: reads": "the one that says which rows an operation reads",
    "analyses/rules.py: _ripples": "phases of a transposed convolution, not rows",
    "geometry/one_layer.py: _taps_that_meet": "taps that a row meets on an endless axis, as the fair uses",
    "nn.py: _traced_factors": "the same in tensors, where sizes are symbols of an export",
}


def test_rows_that_taps_read_are_computed_in_one_place() -> None:
    found = set()
    for path in MODULES:
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                parts = [*ast.walk(function)]
                calls = {ast.unparse(x.func) for x in parts if isinstance(x, ast.Call)}
                products = [
                    x for x in parts if isinstance(x, ast.BinOp) and isinstance(x.op, ast.Mult)
                ]
                if calls & {"range", "np.arange", "torch.arange"} and "dilation" in " ".join(
                    map(ast.unparse, products)
                ):
                    found.add(f"{path.relative_to(PACKAGE)}: {function.name}")
    assert found == {*ROWS_OF_TAPS}


def test_benchmarks_import_what_there_is() -> None:
    """They are run by hand: a name that moved would be noticed too late."""
    for path in sorted((ROOT / "tests" / "benchmarks").glob("*.py")):
        importlib.import_module(f"tests.benchmarks.{path.stem}")


def house(folder: Path, **files: str) -> Path:
    """A package whose modules hold those lines; "__" stands for a folder."""
    package = folder / "padviz"
    for name, text in files.items():
        path = package.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for parent in path.relative_to(package).parents:
            (package / parent / "__init__.py").touch()
    return package


TYPED = "from typing import TYPE_CHECKING\nif {}TYPE_CHECKING:\n    {}"
GOES_DOWN = [
    ("network__graph", "from padviz.errors import PadvizError"),
    ("sources__onnx__load", "from padviz.sources.tracing import trace"),
    ("counting__usage", TYPED.format("", "import matplotlib.axes")),
    ("counting__usage", "from . import walks"),
]
RUNS_UP = [
    ("network__graph", "from padviz import sources"),
    ("network__graph", "def late():\n    from padviz.figures import heatmap"),
    ("network__graph", TYPED.format("", "from padviz.counting import usage")),
    ("network__graph", "from ..sources import load"),
    ("network__graph", "import importlib\nimportlib.import_module(f'padviz.sources.{1}')"),
    ("sources__onnx__load", "from padviz.sources.torch import load"),
    ("sources__tracing__trace", "from padviz.sources.onnx import load"),
    ("counting__usage", TYPED.format("not ", "import matplotlib")),
    ("sources__toml__build", "def late():\n    import onnx"),
]


@pytest.mark.parametrize(("module", "line"), [*GOES_DOWN, *RUNS_UP])
def test_an_import_that_runs_up_or_sideways_or_is_heavy_is_found(
    module: str, line: str, tmp_path: Path
) -> None:
    names = (
        "sources____init__",
        "sources__toml__build",
        "sources__torch__load",
        "sources__tracing__general",
    )
    rest = dict.fromkeys(
        (*names, "counting__walks", "counting__usage", "figures__heatmap", "errors"), ""
    )
    assert len(breaches(house(tmp_path, **{**rest, module: line}))) == ((module, line) in RUNS_UP)


def test_modules_and_folders_that_import_each_other_are_found(tmp_path: Path) -> None:
    package = house(
        tmp_path / "modules",
        network__axis_maps="from padviz.network import operations",
        network__operations="def late():\n    from padviz.network.axis_maps import axis_map",
        network__fold="import padviz.network.axis_maps",
    )
    assert circles(package) == ["network.axis_maps", "network.operations"]
    package = house(
        tmp_path / "folders",
        counting__usage="from padviz.counting.walking import walks",
        counting__request="",
        counting__walking__walks="def late():\n    import padviz.counting.request",
        counting__walking__tiling="import padviz.errors",
        counting__shares__rims="from padviz.counting.walking import tiling",
        errors="",
    )
    assert (circles(package), folder_circles(package)) == ([], ["counting", "counting/walking"])


STEPS = """
import json, sys
import padviz
padviz.PadvizError
imported = [*sys.modules]
from padviz.cli import cli
try:
    cli(["--help"])
except SystemExit:
    helped = [*sys.modules]
for name, n in (("resnet152", 512), ("resnet50", 2048), ("resnet50", 65536)):
    padviz.usage(name, n).summary()
padviz.usage("unet_padded", 2048, unit=(5, 5))
padviz.coverage("convnext_tiny", 2048)
print(json.dumps([imported, helped, [*sys.modules]]))
"""


def test_importing_padviz_its_help_and_counting_load_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    loaded = [
        {name.split(".")[0] for name in names} for names in json.loads(done.stdout.splitlines()[-1])
    ]
    heavy = {"numba", "matplotlib", "torch", "onnx"}
    for names, none_of in zip(
        loaded, ({"click"}, {"numpy", "rich", "msgspec"}, {"joblib", "jinja2"}), strict=True
    ):
        assert not names & (heavy | none_of)
    assert not loaded[0] & {"numpy", "rich", "msgspec"}


NUMBA = "import padviz; print(padviz.usage('resnet18', 64, engine='numba').max)"


@pytest.mark.parametrize("folder", ["cache", "/dev/null/none"])
def test_compiled_kernels_are_kept_where_they_can_be_and_work_where_not(
    folder: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / folder)}
    done = subprocess.run(
        [sys.executable, "-c", NUMBA], capture_output=True, text=True, env=environment, check=True
    )
    assert (done.stdout.strip(), done.stderr) == (str(padviz.usage("resnet18", 64).max), "")
    kept = {path.name.split(".")[1].split("-")[0] for path in tmp_path.rglob("*.nbi")}
    assert kept == ({"_across", "_down"} if folder == "cache" else set())


@pytest.mark.parametrize(
    ("command", "model"),
    [
        *(
            (command, "vgg11")
            for command in ("usage", "uneven", "sizes", "coverage", "layers", "convert")
        ),
        ("sizes", "torchvision.models:alexnet"),
    ],
)
def test_a_command_loads_its_network_once(
    command: str, model: str, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = (
        "sources.toml.load.read_network" if model == "vgg11" else "sources.torch.load.load_module"
    )
    module, function = name.rsplit(".", 1)
    home = importlib.import_module(f"padviz.{module}")
    whole, calls = getattr(home, function), []
    monkeypatch.setattr(
        home, function, lambda *args, **options: calls.append(args) or whole(*args, **options)
    )
    result = run(
        command, model, *{"convert": ["-o", "x.toml"], "sizes": []}.get(command, ["--size", "64"])
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(calls) == 1


def test_what_make_test_leaves_out_is_what_make_soak_and_make_test_slow_run() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert re.findall("-m '(.*)'", options["addopts"]) == ["not sweep and not slow"]
    marked = r"^([\w-]+):.*\n.*\$\(PARALLEL\) -m '?([^'\n]+)'?$"
    run_by = dict(re.findall(marked, (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert run_by == {"soak": "sweep or hypothesis", "test-slow": "slow and not sweep"}
    assert (ROOT / ".ci" / "run").read_text().split().count("test-slow") == 1


@pytest.mark.slow
@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="needs an x86-64 processor"
)
def test_settings_that_have_no_effect_are_named() -> None:
    limits = settings()
    assert without_effect(limits) == []
    ignored = {"MKL_CBWR": "", "NUMBA_CPU_NAME": "", "OMP_NUM_THREADS": "1"}
    assert without_effect(limits | ignored) == ["MKL_CBWR", "NUMBA_CPU_NAME", "OMP_NUM_THREADS"]


def test_every_public_name_has_an_example() -> None:
    for name in {*padviz.__all__} - {"__version__"}:
        value = getattr(padviz, name)
        written = inspect.cleandoc(value.__doc__ or "")
        if isinstance(value, FunctionType):
            taken = ("Parameters",) if value.__code__.co_argcount else ()
            parts = (*taken, "Returns", "Raises", "Examples")
            assert all(f"{part}\n---" in written for part in parts), name
        assert doctest.DocTestParser().get_examples(written), name


def test_modules_stay_readable() -> None:
    assert [path for path in MODULES if tokens(path.read_text()) > 5500] == []


def test_counts_above_fail_and_counts_below_are_listed() -> None:
    above, below = compared(
        {"padviz": {"axis": 3, "cli": 1}}, {"padviz": {"axis": 2, "cli": 2, "gone": 4}}
    )
    assert above == ["padviz, axis: 3 of 2"]
    assert below == ["padviz, cli: 1 of 2", "padviz, gone: 0 of 4"]


# which the budget must agree with, where it is there
MEASURE = ROOT.parent / "shared" / "density.py"
COUNTED = {
    "import os\nfrom a import (\n    b,\n)\n": 0,
    '"""A module."""\nclass A:\n    "A class."\n    x: int  # a field\n': 6,
    'def f():\n    """Do."""\n    return "one two", "One two", "one, two", b"a b"\n': 15,
    "x = f'{a} {b!r:>{c}} {f\"{d}\"}' + rf'one two'\n": 5,
    'x = "one two" "three"\n': 5,
}


@pytest.mark.parametrize("code", COUNTED)
def test_tokens_are_those_of_code_alone(code: str) -> None:
    assert tokens(code) == COUNTED[code]


@pytest.mark.skipif(not MEASURE.exists(), reason="nothing beside this folder to compare with")
def test_tokens_and_branches_are_as_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(MEASURE.parent)
    density = importlib.import_module("density")
    for _, code in files("padviz", "py"):
        tree = ast.parse(code)
        assert tokens(code) == density.count_tokens(code, density.quiet_lines(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert branches(node) == density.branches(node)


def test_each_pattern_of_unclear_english_is_found_once() -> None:
    text = f"Say what is no image.\n\n    Say what is no code.\n\nA page has {'many ' * 28}words. It ends."
    assert [pattern for _, pattern, _ in in_text("docs", text, opens=True)] == [
        "openings",
        "riddles",
        "long_sentences",
    ]
    assert not [*in_text("docs", "Names of layers are kept.", opens=True)]


WARN = "import warnings\nwarnings.warn('old', DeprecationWarning)"


@pytest.mark.parametrize(
    "module", ["padviz", "padviz.figures.maps.heatmap", "/padviz/engine/apply"]
)
def test_a_warning_that_padviz_raises_is_an_error(module: str) -> None:
    with pytest.raises(DeprecationWarning, match="old"):
        exec(WARN, {"__name__": module})


@pytest.mark.parametrize(
    "module", ["padvizier", "tests.padviz", "/padviz/.venv/lib/site-packages/torch/jit"]
)
def test_a_warning_of_others_is_none(module: str) -> None:
    with warnings.catch_warnings(record=True) as seen:
        exec(WARN, {"__name__": module})
    assert [str(warning.message) for warning in seen] == ["old"]


PAPER = (ROOT / "paper" / "paper.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_one_version_is_released() -> None:
    newest = re.findall(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[
        0
    ]
    cited = (ROOT / "CITATION.cff").read_text()
    released = re.findall(r"^(?:version|date-released): \"?([\d.-]+)\"?$", cited, re.MULTILINE)
    assert [padviz.__version__, newest[1]] == [*newest] == released
    written = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert written["project"]["dynamic"] == ["readme", "version"]
    home = ROOT / written["tool"]["hatch"]["version"]["path"]
    assert re.findall(r'^__version__ = "(.+)"$', home.read_text(), re.MULTILINE) == [
        padviz.__version__
    ]
    assert run("--version").stdout == f"padviz, version {padviz.__version__}\n"


def test_examples_of_how_to_contribute_stand_in_the_code() -> None:
    blocks = [block for language in ("python", "toml") for block in fenced(CONTRIBUTING, language)]
    assert len(blocks) == 8
    for block in blocks:
        first, *lines = block.rstrip("\n").split("\n")
        code = {line.strip() for line in (ROOT / first.removeprefix("# ")).read_text().split("\n")}
        assert {line.strip() for line in lines} <= code


def test_files_of_how_to_contribute_are_there() -> None:
    named = re.findall(r"`((?:padviz|tests|configs|docs)/[^`]*)`", CONTRIBUTING)
    assert [path for path in named if "NAME" not in path and not (ROOT / path).exists()] == []


def test_the_paper_is_as_long_as_a_journal_asks_and_cites_its_bibliography() -> None:
    assert 700 <= len(PAPER.split()) <= 1050
    entries = re.findall(
        r"^@\w+\{([^,]*),", (ROOT / "paper" / "paper.bib").read_text(), re.MULTILINE
    )
    assert sorted({*re.findall(r"@([a-z]+\d{4}[a-z]+)", PAPER)}) == sorted(entries)


def test_the_paper_counts_the_networks_that_the_site_lists() -> None:
    (row,) = re.findall(
        r"^\| all \| (.*) \|$",
        (ROOT / "docs/evidence/tested-networks.md").read_text(),
        re.MULTILINE,
    )
    every, counts, support, refused, open_, wrong = map(int, row.split(" | "))
    sentence = r"Of (\d+) networks of eight libraries (\d+) are [a-z ]*, (\d+) are refused by name, and (\d+) could"
    told = re.findall(sentence, " ".join(PAPER.split()))
    assert [[*map(int, each)] for each in told] == [[every, counts + support, refused, open_]]
    assert wrong == 0
