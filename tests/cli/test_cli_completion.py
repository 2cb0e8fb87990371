"""What a shell is offered where a value is typed, by click's own completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from padviz.axis.padding_modes import SCHEMES
from padviz.cli.group import COMMANDS, cli
from padviz.sources.toml.load import zoo
from tests.cli.test_cli_foreign import plain

pytestmark = pytest.mark.usefixtures("elsewhere")


def offered(*words: str) -> list[str]:
    """What is offered for the last word."""
    *args, typed = words
    return [item.value for item in BashComplete(cli, {}, "padviz", "_PADVIZ_COMPLETE").get_completions(args, typed)]


def test_a_shell_is_answered() -> None:
    typed = {"_PADVIZ_COMPLETE": "bash_complete", "COMP_WORDS": "padviz usage vgg1", "COMP_CWORD": "2"}
    asked = [sys.executable, "-m", "padviz"]
    done = subprocess.run(asked, env={**os.environ, **typed}, capture_output=True, text=True, check=True)
    assert (done.stdout.split(), done.stderr) == (["plain,vgg11", "plain,vgg13", "plain,vgg16", "plain,vgg19"], "")


def test_commands_options_and_networks_are_offered() -> None:
    assert offered("") == [*COMMANDS]
    assert offered("usage", "--pad") == ["--padding"]
    Path("mine.toml").write_text("")
    assert offered("audit", "resnet18", "") == [*zoo()]
    assert offered("usage", "mi") == ["mi"]  # a shell completes files, and quotes them
    assert offered("compare", "--model", "vgg11,vgg1") == ["vgg11,vgg11", "vgg11,vgg13", "vgg11,vgg16", "vgg11,vgg19"]


def test_schemes_are_offered_for_each_axis() -> None:
    assert offered("usage", "vgg11", "--padding", "") == [*SCHEMES]
    assert offered("compare", "vgg11", "--padding", "zero,circular/re") == [
        "zero,circular/replicate",
        "zero,circular/reflect",
    ]


def test_colour_maps_are_offered_one_way() -> None:
    assert offered("usage", "vgg11", "--cmap", "plas") == ["plasma"]


def test_layers_of_the_network_on_the_line_are_offered() -> None:
    assert offered("usage", "vgg11", "--layer", "features.2,features.18") == ["features.2,features.18"]
    plain("model.onnx")
    first = offered("repad", "model.onnx", "--only", "")[0]
    assert offered("repad", "model.onnx", "--padding", "zero", "--only", f"{first},{first}") == [f"{first},{first}"]
    for model in ("missing.onnx", "torchvision.models:vgg11"):  # the code of a module would run
        assert offered("usage", model, "--layer", "") == []
    assert offered("usage", "--layer", "") == []


def test_a_layer_name_that_a_shell_would_run_is_not_offered() -> None:
    layers = ["x;touch${IFS}PWNED;", "$(id)", "a b", "`id`", "~", "'", "safe/conv.1:0"]
    Path("evil.toml").write_text("".join(f"[[layers]]\nop='conv'\nkernel=3\nname={json.dumps(n)}\n" for n in layers))
    assert offered("usage", "evil.toml", "--layer", "") == ["input", "safe/conv.1:0"]


def test_the_shell_offers_files_and_folders_itself() -> None:
    assert offered("usage", "vgg11", "-o", "ma") == ["ma"]
    assert offered("usage", "maps/a") == ["maps/a"]
    assert offered("trial", "a.onnx", "--images", "ph") == ["ph"]
