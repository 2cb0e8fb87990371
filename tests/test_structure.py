"""The layout that keeps start-up fast and the parts apart: imports go down only, heavy ones stay in their room."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import padviz

PACKAGE = Path(__file__).parent.parent / "padviz"
FLOORS = [
    {"errors"},
    {"files", "plans", "resize", "staging"},
    {"kernels", "strips"},
    {"axis", "wide"},
    {"tally"},
    {"network"},
    {"schemes"},
    {"tiling", "baked"},
    {"sources", "counts"},
    {"walk", "store", "fields"},
    {"padding"},
    {"paths", "even", "compare", "illustrate"},
    {"draw"},
    {"panels"},
    {"tables", "manifest"},
    {"records", "render"},
    {"batch"},
    {"page"},
    {"exporting"},
    {"cli"},
]
ROOMS = {
    "PIL": {"draw"},
    "click": {"cli"},
    "jinja2": {"page"},
    "joblib": {"batch"},
    "matplotlib": {"draw", "panels"},
    "numba": {"kernels"},
    "onnx": {"sources"},
    "rich": {"tables", "cli"},
    "torch": {"sources"},
}
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py") or path.parent != PACKAGE
)


UPWARD = {("counts", "draw")}  # CountMap.plot draws itself: imported when it is called, never before


def floor_of(name: str) -> int:
    return next(i for i, floor in enumerate(FLOORS) if name in floor)


def home_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            if node.module in ("padviz", "padviz.cli", "padviz.sources"):
                found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_and_heavy_ones_stay_in_their_room(path: Path) -> None:
    home = home_of(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "padviz" and len(parts) > 1 and (PACKAGE / parts[1]).with_suffix(".py").exists():
            down = parts[1] == home or floor_of(parts[1]) < floor_of(home)
            assert down or (home, parts[1]) in UPWARD, f"{home} imports {name}"
        if parts[0] in ROOMS:
            typing_only = name.startswith("matplotlib") and home in ("counts", "render")
            assert home in ROOMS[parts[0]] or typing_only, f"{home} imports {name}"


def loaded(code: str) -> set[str]:
    command = [sys.executable, "-c", f"{code}\nimport sys, json; print(json.dumps(list(sys.modules)), file=sys.stderr)"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(run.stderr.splitlines()[-1])}


HEAVY = {"numpy", "numba", "matplotlib", "torch", "onnx", "rich", "msgspec"}


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
    assert not loaded(code) & {"numba", "matplotlib", "torch", "onnx"}


NUMBA = "import padviz; print(padviz.usage('resnet18', 64, engine='numba').max)"


@pytest.mark.parametrize("folder", ["cache", "/dev/null/none"])
def test_compiled_kernels_are_kept_where_they_can_be_and_work_where_not(folder: str, tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / folder)}
    run = subprocess.run([sys.executable, "-c", NUMBA], capture_output=True, text=True, env=environment, check=True)
    assert (run.stdout.strip(), run.stderr) == (str(padviz.usage("resnet18", 64).max), "")
    kept = {path.name.split(".")[1].split("-")[0] for path in tmp_path.rglob("*.nbi")}
    assert kept == ({"_across", "_down"} if folder == "cache" else set())


def test_every_public_name_is_documented_with_an_example() -> None:
    for name in padviz.__all__:
        docstring = getattr(padviz, name).__doc__
        assert docstring, name
    for name in ("load", "usage", "read_counts", "CountMap", "Network"):
        assert ">>>" in getattr(padviz, name).__doc__, name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            start = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert (node.end_lineno or 0) - start.lineno < 40, f"{path.name}: {node.name}"
