"""Names from elsewhere do a page no harm, bad input is one line, and a failed write leaves nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import padviz
from padviz.network.network import Network
from padviz.pages.explorer import MODULES, STYLES
from padviz.pages.filling import script
from tests.cli.test_cli import run
from tests.pages.browser import after, expect, opened
from tests.sweeps import examples

NASTY = [
    "</script><script>window.harmed = 1</script>",
    "<img src=x onerror='window.harmed = 1'>",
    '"><svg onload=window.harmed=1>',
    "<!--<script>",
    "]]> ${window.harmed = 1} `",
    "{{ 7 * 7 }} {% raw %}",
    "\x00\x1b[31m\r\n\u2028\u202e",
    "x" * 10_000,
]
TEXTS = st.one_of(st.sampled_from(NASTY), st.text(min_size=1, max_size=60).map(lambda text: text + "<b>'\"&"))


def named(texts: list[str]) -> Network:
    """A small network whose title, name and layers are called so."""
    from dataclasses import replace

    net = padviz.load("vgg11")
    names = [f"{texts[i % len(texts)]}{i}" for i in range(len(net.layers))]
    layers = tuple(replace(layer, name=name) for layer, name in zip(net.layers, names, strict=True))
    return replace(net, name=texts[0], title=texts[-1], layers=layers, targets=(names[-1],))


@examples(2)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_names_with_markup_are_only_ever_texts(browser: Any, tmp_path_factory: Any, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("hostile") / "page.html"
    padviz.explore(named([*texts, *texts[:1]]), [64], padding=["zero"]).save(path)
    page = opened(browser, path)
    for part in ("layers", "audit", "maps"):
        after(page, lambda part=part: page.click(f"#tab-{part}"))
    assert page.evaluate("() => window.harmed") is None
    assert page.evaluate("() => document.scripts.length") == 2
    expect(page.locator("img, b")).to_have_count(0)
    layers = page.locator("#part-layers [data-part=strip] .layer")
    expect(layers).to_have_count(len(padviz.load("vgg11").layers))
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 1280
    assert page.said == []
    assert page.asked == [path.as_uri()]
    page.close()


def test_all_nasty_names_at_once(browser: Any, tmp_path: Path) -> None:
    """Every one of them, whatever hypothesis draws."""
    page_of = padviz.explore(named(NASTY), [64], padding=["zero", "reflect"])
    page_of.save(tmp_path / "page.html")
    page = opened(browser, tmp_path / "page.html", "#part=layers", viewport={"width": 390, "height": 800})
    assert page.evaluate("() => window.harmed") is None
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert len(page.title()) <= 300
    assert page.said == []
    page.close()


def test_what_is_put_into_a_page_cannot_end_its_script() -> None:
    from importlib.resources import files

    folder = files("padviz.pages").joinpath("static")
    assert "</script" not in script(MODULES)
    assert not re.search("^(import|export) ", script(MODULES), re.MULTILINE)
    assert not any("</style" in folder.joinpath(f"{name}.css").read_text() for name in STYLES)


def test_the_command_says_what_it_wrote_and_opens_it(tmp_path: Path, monkeypatch: Any) -> None:
    import click

    shown: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(click, "launch", lambda url: shown.append(url) or 0)
    result = run("explore", "vgg11", "--size", "64,96x128", "--padding", "zero,reflect", "--open")
    assert (result.exit_code, result.stderr) == (0, "")
    assert shown == [str(tmp_path / "vgg11-64-96x128-zero-reflect-explore.html")]
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["network", "maps", "size", "file"]
    assert "maps     4" in result.stdout


def test_networks_that_pad_otherwise_offer_what_they_declare(tmp_path: Path) -> None:
    net = tmp_path / "net.toml"
    net.write_text('layers = [{op = "conv", name = "c", kernel = 3, padding = 1, mode = "reflect"}]')
    page = padviz.explore(net, [16])
    assert page.maps == 6
    assert '"paddings":["declared","zero"' in page.html


def test_a_large_network_stays_small() -> None:
    """What the issue asks of the defaults: at most 4 MB for ResNet-50."""
    assert len(padviz.explore("resnet50").html.encode()) < 1_500_000
