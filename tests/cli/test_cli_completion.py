"""What a shell is offered where a value is typed, by click's own completion."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from padviz.cli import cli
from padviz.network.padding_modes import SCHEMES
from padviz.sources.toml.load import zoo
from tests.cli.test_cli_foreign import plain

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
    "compare --model vgg11,vgg1": [f"vgg11,{name}" for name in VGG],
    "usage vgg11 --padding ": [*SCHEMES],
    "compare vgg11 --padding zero,circular/re": ["zero,circular/replicate", "zero,circular/reflect"],
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
    Path("evil.toml").write_text("".join(f"[[layers]]\nop='conv'\nkernel=3\nname={json.dumps(n)}\n" for n in LAYERS))
    plain("model.onnx")
    *args, typed = line.split(" ")
    found = BashComplete(cli, {}, "padviz", "_PADVIZ_COMPLETE").get_completions(args, typed)
    assert [item.value for item in found] == OFFERED[line]


def test_a_shell_is_answered() -> None:
    typed = {"_PADVIZ_COMPLETE": "bash_complete", "COMP_WORDS": "padviz usage vgg1", "COMP_CWORD": "2"}
    asked = [sys.executable, "-m", "padviz"]
    done = subprocess.run(asked, env={**os.environ, **typed}, capture_output=True, text=True, check=True)
    assert (done.stdout.split(), done.stderr) == ([f"plain,{name}" for name in VGG], "")
