"""The table of padding schemes: what stands elsewhere is filled from it, so that a scheme is added in one place."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from padviz.axis.padding_modes import MODES, SCHEMES, depth, fits, fold
from padviz.errors import SizeError
from tests import naive

ROOT = Path(__file__).parent.parent.parent
EDGE2 = '    "edge2": Scheme("the row next to the outermost one, again and again", (1, 0)),\n'
ADDED = """
import json, tomllib, torch, padviz
from pathlib import Path
from click.testing import CliRunner
from padviz.cli import cli
from tests import naive

naive.COPIES["edge2"] = lambda rows, count: rows[1:2] * count
NET = '''layers = [{op = "conv", name = "a", kernel = 5, padding = 2, mode = "edge2"},
{op = "pad", name = "p", padding = 1, mode = ["edge2", "zero"]}, {op = "conv", name = "b", kernel = 3, stride = 2}]'''
Path("net.toml").write_text(NET)
plain = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 5, padding=2, bias=False), torch.nn.Conv2d(1, 1, 3, bias=False))
for each in plain.parameters():
    torch.nn.init.ones_(each)
image = torch.ones(1, 1, 9, 8, dtype=torch.float64, requires_grad=True)
padviz.repad(plain, "edge2", size=(9, 8)).double()(image).sum().backward()
page = padviz.explore("net.toml", [(9, 8)])
run = lambda *words: CliRunner().invoke(cli, [*words])
large = padviz.usage("net.toml", (200, 300))
print(json.dumps({
    "help": run("--help").output,
    "refused": run("usage", "vgg11", "--padding", "edge3").output,
    "usage": padviz.usage("net.toml", (9, 8)).counts.tolist(),
    "twin": [*map(list, naive.usage(tomllib.loads(NET)["layers"], (9, 8), ["b"]))],
    "tiled": [large.tiled, (large.counts == padviz.usage("net.toml", (200, 300), engine="numpy").counts).all().item()],
    "toml": padviz.load("net.toml").find("a").ops[0].mode,
    "module": image.grad[0, 0].tolist(),
    "counted": padviz.usage(plain, (9, 8), "edge2").counts.tolist(),
    "kernel": run("kernel", "--padding", "edge2").output.splitlines()[3],
    "offered": page.html.count("edge2"),
    "audit": "edge2 padding" in [each.what for each in padviz.audit("vgg11", 64).remedies],
}))
"""


def test_a_scheme_is_added_in_the_table_alone(tmp_path: Path) -> None:
    copy = shutil.copytree(ROOT / "padviz", tmp_path / "padviz", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    table = copy / "axis" / "padding_modes.py"
    text = table.read_text()
    table.write_text(text.replace('    "partial": Scheme(', f'{EDGE2}    "partial": Scheme('))
    assert table.read_text() != text
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", ADDED], cwd=tmp_path, env=os.environ | paths, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    schemes = re.findall(r"^  (\w+)  ", found["help"].split("Padding schemes:")[1], re.MULTILINE)
    assert "edge2" in schemes[: schemes.index("partial")]
    assert "circular, edge2, partial" in " ".join(found["refused"].split())
    assert found["toml"] == "edge2"
    assert found["usage"] == found["twin"]
    assert found["tiled"] == [True, True]
    assert found["module"] == found["counted"]
    assert found["kernel"].split()[:9] == list("ihijklmnm")
    assert found["offered"]
    assert found["audit"]


@pytest.mark.parametrize("mode", [mode for mode in MODES if SCHEMES[mode].reads])
def test_folds_are_those_of_the_naive_twin(mode: str) -> None:
    for n in range(1, 6):
        for before in range(6):
            for after in range(6):
                try:
                    rows = naive.padded_axis(n, before, after, mode)
                except AssertionError:
                    assert not fits(mode, n, max(before, after))
                    with pytest.raises(SizeError, match=f"too few for {mode} padding of {max(before, after)}"):
                        fold(mode, n, before, after)
                    continue
                ends = fold(mode, n, before, after)
                assert ends is not None
                (a, b), (c, d) = ends
                head, tail = range(-before, 0), range(n, n + after)
                assert [*(a * p + b for p in head), *range(n), *(c * p + d for p in tail)] == rows
                if before:
                    assert depth(mode, before) == (n - 1 - rows[0] if SCHEMES[mode].wraps else rows[0])


def test_the_guide_lists_the_table() -> None:
    guide = (ROOT / "docs" / "reference" / "guide.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", guide.split("| scheme | padding |")[1].split("\n\n")[0], re.MULTILINE)
    assert rows == [(name, scheme.explained) for name, scheme in SCHEMES.items()]
