"""The layout that keeps start-up fast and the rooms apart: imports go down only, heavy ones stay in their room."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import make_dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import pytest

import padviz
from tests.budget import compared, lowered
from tests.cli.test_cli import run
from tests.floors import FLOORS, PACKAGE, breaches, circles, folder_circles, modules

MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"numpy", "numba", "matplotlib", "torch", "onnx", "rich", "msgspec"}


def test_no_import_runs_up_or_sideways_and_heavy_ones_stay_in_their_room() -> None:
    assert breaches() == []


def test_neither_modules_nor_folders_of_a_room_import_each_other() -> None:
    assert (circles(), folder_circles()) == ([], [])


@pytest.mark.parametrize("path", sorted((PACKAGE.parent / "tests/benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_import_what_there_is(path: Path) -> None:
    """They are run by hand: a name that moved would be noticed too late."""
    importlib.import_module(f"tests.benchmarks.{path.stem}")


def test_the_version_is_written_once() -> None:
    written = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    assert "version" not in written["project"]
    assert written["project"]["dynamic"] == ["version"]
    home = PACKAGE.parent / written["tool"]["hatch"]["version"]["path"]
    assert re.findall(r'^__version__ = "(.+)"$', home.read_text(), re.MULTILINE) == [padviz.__version__]
    run = subprocess.run([sys.executable, "-m", "padviz", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"padviz, version {padviz.__version__}\n"


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


@pytest.mark.parametrize(
    "line",
    [
        "import padviz.sources",
        "from padviz import sources",
        "from padviz.sources import load",
        "from padviz.sources.toml import build",
        "from padviz.counting.usage import usage",
        "def late():\n    from padviz.figures import heatmap",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from padviz.counting import usage",
        "from padviz import PadvizError",
        "import padviz",
        "from .. import sources",
        "from ..sources import load",
        "from importlib import import_module\nimport_module('padviz.sources')",
        "import importlib\nimportlib.import_module(f'padviz.sources.{1}')",
        "__import__('padviz.figures.maps.heatmap')",
    ],
)
def test_an_import_that_runs_up_is_found(line: str, tmp_path: Path) -> None:
    rest = {"sources____init__": "", "sources__toml__build": "", "counting__usage": "", "figures__heatmap": ""}
    assert len(breaches(house(tmp_path, network__graph=line, **rest))) == 1
    assert breaches(house(tmp_path, network__graph="from padviz.errors import PadvizError", **rest, errors="")) == []


@pytest.mark.parametrize(
    ("module", "line", "found"),
    [
        ("geometry__ledger", "from padviz.counting.usage import usage", 1),
        ("sources__onnx__load", "from padviz.sources.torch import load", 1),
        ("sources__tracing__trace", "from padviz.sources.onnx import load", 1),
        ("sources__onnx__load", "from padviz.sources.tracing import trace", 0),
        ("counting__usage", "import matplotlib.pyplot", 1),
        ("counting__usage", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import matplotlib.axes", 0),
        ("counting__usage", "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import matplotlib", 1),
        ("counting__usage", "from matplotlib import pyplot", 1),
        ("counting__usage", "__import__('matplotlib')", 1),
        ("counting__usage", "from . import walks", 0),
        ("engine__limbs", "import numba", 1),
        ("sources__toml__build", "def late():\n    import onnx", 1),
    ],
)
def test_imports_sideways_and_of_heavy_libraries_are_told_apart(
    module: str, line: str, found: int, tmp_path: Path
) -> None:
    rest = {"counting__walks": "", "sources__torch__load": "", "sources__tracing__general": ""}
    assert len(breaches(house(tmp_path, **{**rest, module: line}))) == found


def test_modules_that_import_each_other_are_found(tmp_path: Path) -> None:
    package = house(
        tmp_path,
        axis__build="from padviz.axis import operations",
        axis__operations="def late():\n    from padviz.axis.resize import ratio",
        axis__resize="import padviz.axis.build",
        axis__fold="import padviz.axis.build",
    )
    assert circles(package) == ["axis.build", "axis.operations", "axis.resize"]


def test_folders_that_import_each_other_are_found(tmp_path: Path) -> None:
    package = house(
        tmp_path,
        counting__usage="from padviz.counting.walking import walks",
        counting__request="",
        counting__walking__walks="def late():\n    import padviz.counting.request",
        counting__walking__tiling="import padviz.errors",
        counting__shares__rims="from padviz.counting.walking import tiling",
        trained__filters="from padviz.trained.weights.reading import read",
        trained__weights__reading="from padviz.sources.onnx import load",
        sources__onnx__load="",
        errors="",
    )
    assert circles(package) == []
    assert folder_circles(package) == ["counting", "counting/walking"]


def test_the_house_has_few_floors_and_no_crowded_rooms() -> None:
    names = modules(PACKAGE)
    assert len(FLOORS) <= 10
    assert sum("." not in name and path.parent == PACKAGE for name, path in names.items()) <= 6
    for folder in {path.parent for path in names.values()} - {PACKAGE, PACKAGE / "cli"}:
        inside = [path for path in folder.iterdir() if path.name not in ("__init__.py", "__pycache__")]
        assert 3 <= len(inside) <= 15, folder


def loaded(code: str) -> set[str]:
    command = [sys.executable, "-c", f"{code}\nimport sys, json; print(json.dumps(list(sys.modules)), file=sys.stderr)"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(run.stderr.splitlines()[-1])}


def test_importing_padviz_loads_nothing_heavy() -> None:
    assert not loaded("import padviz; padviz.PadvizError") & (HEAVY | {"click"})


def test_help_loads_nothing_heavy() -> None:
    run = "from padviz.cli import cli\ntry:\n    cli(['--help'])\nexcept SystemExit:\n    pass"
    assert not loaded(run) & HEAVY


def test_counting_at_ordinary_sizes_needs_no_numba_and_no_matplotlib() -> None:
    code = """
import padviz
for name, n in (('resnet152', 512), ('resnet50', 2048), ('densenet201', 2048), ('resnet50', 65536)):
    padviz.usage(name, n).summary()
for name in ('resnet152', 'vgg19', 'convnext_tiny', 'unet_padded'):
    padviz.usage(name, 2048, unit=(5, 5))
    padviz.coverage(name, 2048)
"""
    assert not loaded(code) & {"numba", "matplotlib", "joblib", "jinja2", "torch", "onnx"}


NUMBA = "import padviz; print(padviz.usage('resnet18', 64, engine='numba').max)"


@pytest.mark.parametrize("folder", ["cache", "/dev/null/none"])
def test_compiled_kernels_are_kept_where_they_can_be_and_work_where_not(folder: str, tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / folder)}
    run = subprocess.run([sys.executable, "-c", NUMBA], capture_output=True, text=True, env=environment, check=True)
    assert (run.stdout.strip(), run.stderr) == (str(padviz.usage("resnet18", 64).max), "")
    kept = {path.name.split(".")[1].split("-")[0] for path in tmp_path.rglob("*.nbi")}
    assert kept == ({"_across", "_down"} if folder == "cache" else set())


@pytest.mark.parametrize(
    ("command", "model"),
    [
        *((command, "vgg11") for command in ("usage", "uneven", "sizes", "coverage", "layers", "convert")),
        *((command, "torchvision.models:vgg11") for command in ("usage", "sizes", "convert")),
    ],
)
def test_a_command_loads_its_network_once(
    command: str, model: str, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "sources.toml.load.read_network" if model == "vgg11" else "sources.torch.load.load_module"
    module, function = name.rsplit(".", 1)
    home = importlib.import_module(f"padviz.{module}")
    whole, calls = getattr(home, function), []
    monkeypatch.setattr(home, function, lambda *args, **options: calls.append(args) or whole(*args, **options))
    result = run(command, model, *{"convert": ["-o", "x.toml"], "sizes": []}.get(command, ["--size", "64"]))
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(calls) == 1


def test_what_make_test_leaves_out_is_what_make_soak_and_make_test_slow_run() -> None:
    root = PACKAGE.parent
    options = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    (left,) = re.findall("-m '(.*)'", options["addopts"])
    run_by = dict(
        re.findall(r"^([\w-]+):.*\n.*\$\(PARALLEL\) -m '?([^'\n]+)'?$", (root / "Makefile").read_text(), re.MULTILINE)
    )
    assert run_by == {"soak": "sweep or hypothesis", "test-slow": "slow and not sweep"}
    assert left == "not sweep and not slow"
    assert (root / ".ci" / "run").read_text().split().count("test-slow") == 1


def public(module: ModuleType) -> list[str]:
    """The functions and classes that a module makes public: those defined in it."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and inspect.getmodule(value) is module and isinstance(value, FunctionType | type)
    ]


ROOMS = [
    (module, name)
    for path in sorted((PACKAGE / "counting").rglob("*.py"))
    if path.name != "__init__.py"
    for module in [importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))]
    for name in public(module)
]


def own_docstring(value: Any) -> str:
    """The docstring that somebody wrote: not a dataclass's signature, nor one that a class has from its base."""
    text = inspect.cleandoc(vars(value).get("__doc__") or "" if isinstance(value, type) else value.__doc__ or "")
    return "" if text.startswith(f"{getattr(value, '__name__', '')}(") else text


def test_what_nobody_wrote_is_no_docstring() -> None:
    class Named(NamedTuple):
        rows: int

    class Error(padviz.PadvizError):
        pass

    assert [own_docstring(each) for each in (make_dataclass("Facts", ["rows"]), Named, Error)] == ["", "", ""]
    assert own_docstring(padviz.PadvizError).startswith("Something about the input")


@pytest.mark.parametrize("name", sorted({*padviz.__all__} - {"__version__"}))
def test_every_public_name_is_documented_with_an_example(name: str) -> None:
    value = getattr(padviz, name)
    text = own_docstring(value)
    assert doctest.DocTestParser().get_examples(text), name
    if isinstance(value, FunctionType):
        taken = ("Parameters",) if value.__code__.co_argcount else ()
        assert all(f"{part}\n---" in text for part in (*taken, "Returns", "Raises", "Examples")), name


@pytest.mark.parametrize(("module", "name"), ROOMS, ids=[f"{m.__name__}.{n}" for m, n in ROOMS])
def test_every_function_and_class_of_counting_has_an_example(module: ModuleType, name: str) -> None:
    assert doctest.DocTestParser().get_examples(own_docstring(getattr(module, name)))


def test_modules_stay_readable() -> None:
    assert [path for path in MODULES if len(path.read_text().splitlines()) > 500] == []


def test_the_examples_are_looked_for_in_all_of_counting() -> None:
    assert {module.__name__.split(".")[2] for module, _ in ROOMS} > {"usage", "shares", "walking"}


def test_a_room_above_its_budget_is_found_and_one_below_is_lowered() -> None:
    lines, budget = {"padviz": {"axis": 9, "cli": 5, "new": 1, "sum": 15}}, {"padviz": {"axis": 8, "cli": 7, "sum": 15}}
    above, below = compared(lines, budget)
    assert above == ["padviz, axis: 9 of 8 lines", "padviz, new: 1 of 0 lines"]
    assert below == ["padviz, cli: 5 of 7 lines"]
    assert tomllib.loads(lowered(lines, budget)) == {"padviz": {"axis": 8, "cli": 5, "new": 0, "sum": 15}}
