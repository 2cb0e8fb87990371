"""`padviz compare`: what the panels hold, what cannot run, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

import padviz
from padviz.errors import PadvizError
from padviz.figures.maps import panels
from tests.cli.test_cli import run
from tests.figures.kinds import clipped

pytestmark = pytest.mark.usefixtures("elsewhere")


def compared(*args: str) -> dict[str, Any]:
    result = run("compare", *args, "--format", "json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_scheme_that_cannot_run_says_why_and_the_rest_goes_on() -> None:
    found = compared("resnet18", "--padding", "zero,valid,reflect", "-o", "map.svg")
    zero, valid, reflect = found["results"]
    assert valid["padding"] == "valid"
    assert "branches disagree" in valid["error"]
    assert (zero["max"], reflect["padding"]) == (padviz.usage("resnet18", 224).max, "reflect")
    assert "cannot run" in run("compare", "resnet18", "--padding", "zero,valid").stdout


def test_a_caption_names_the_target_only_where_all_maps_share_it() -> None:
    def caption(models: list[str], varies: str) -> str:
        figure = panels.compared([(model, padviz.usage(model, 64)) for model in models], varies)
        return " ".join(text.get_text() for text in figure.texts)

    assert "to each last feature map" in caption(["vgg11", "vgg19"], "model")
    assert "to features.36" in caption(["vgg19", "vgg19"], "size")


@pytest.mark.parametrize(("scale", "shared"), [("counts", True), ("each", False)])
def test_one_scale_or_one_for_each_panel(scale: str, shared: bool) -> None:
    maps = [padviz.usage("vgg11", 96, padding=padding) for padding in ("zero", "reflect")]
    items = [("zero", maps[0]), ("reflect", maps[1]), ("valid", PadvizError("is too small", where="vgg11, x"))]
    figure = panels.compared(items, "padding", scale)
    zero, reflect = (ax.images[0].get_array() for ax in figure.axes[:2])
    assert reflect.max() == pytest.approx(1)
    assert zero.max() == pytest.approx(maps[0].max / maps[1].max if shared else 1)
    assert "cannot run: vgg11, x: is" in figure.axes[2].texts[0].get_text()
    assert not clipped(figure)
