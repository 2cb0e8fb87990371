"""The explorer's page as it is made: of names and files from elsewhere, of modules and of ONNX files."""

import json
import re
import sys
import time
from dataclasses import replace
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import to_builtins

import padviz
from padviz.network.network import Network
from padviz.pages.explorer import MODULES, STYLES
from padviz.pages.html import script
from tests.cli.test_cli import lay, run
from tests.cli.test_cli_foreign import plain
from tests.pages.browser import click as click_on
from tests.pages.browser import expect, opened
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
TEXTS = st.one_of(
    st.sampled_from(NASTY), st.text(min_size=1, max_size=60).map(lambda text: text + "<b>'\"&")
)
STATIC = files("padviz.pages").joinpath("static")


def named(texts: list[str]) -> Network:
    net = padviz.load("vgg11")
    names = [f"{texts[i % len(texts)]}{i}" for i in range(len(net.layers))]
    layers = tuple(replace(layer, name=name) for layer, name in zip(net.layers, names, strict=True))
    return replace(net, name=texts[0], title=texts[-1], layers=layers, targets=(names[-1],))


@example(texts=NASTY)
@examples(1)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_names_with_markup_are_only_ever_texts(
    browser: Any, tmp_path_factory: Any, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("hostile") / "page.html"
    padviz.explore(named(texts), [64], padding=["zero"]).save(path)
    page = opened(browser, path, viewport={"width": 390, "height": 800})
    for part in ("layers", "audit", "maps"):
        click_on(page, f"#tab-{part}")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert page.evaluate("() => window.harmed") is None
    assert page.evaluate("() => document.scripts.length") == 2
    expect(page.locator("img, b")).to_have_count(0)
    expect(page.locator("#part-layers [data-part=strip] .layer")).to_have_count(
        len(padviz.load("vgg11").layers)
    )
    assert len(page.title()) <= 500
    assert (page.said, page.asked) == ([], [path.as_uri()])
    page.close()


def test_what_is_put_into_a_page_cannot_end_its_script() -> None:
    assert "</script" not in script(MODULES)
    assert not re.search("^(import|export) ", script(MODULES), re.MULTILINE)
    assert not any("</style" in STATIC.joinpath(f"{name}.css").read_text() for name in STYLES)


def test_pages_have_the_colours_of_the_figures() -> None:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    from padviz.figures.colours import CMAP, POOLED, SHARES, UNEVEN

    drawn = {
        kind: [to_hex(each)[1:] for each in colormaps[name](range(256))]
        for kind, name in (("share", SHARES), ("counts", CMAP))
    }
    assert json.loads(STATIC.joinpath("colours.json").read_text()) == drawn
    look = STATIC.joinpath("look.css").read_text()
    starved, overused = (f"#{drawn['share'][at]}" for at in (48, -49))
    marks = {"uneven": UNEVEN, "pool": POOLED, "starved": starved, "overused": overused}
    assert all(f"--{name}: {colour};" in look for name, colour in marks.items())


def test_the_command_says_what_it_wrote_and_opens_it(elsewhere: None, monkeypatch: Any) -> None:
    shown: list[str] = []
    monkeypatch.setattr(click, "launch", lambda url: shown.append(url) or 0)
    result = run("explore", "vgg11", "--size", "64,96x128", "--padding", "zero,reflect", "--open")
    assert (result.exit_code, result.stderr) == (0, "")
    assert shown == [str(Path.cwd() / "vgg11-64-96x128-zero-reflect-explore.html")]
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "network",
        "maps",
        "size",
        "file",
    ]
    assert "maps     4" in result.stdout


def test_networks_that_pad_otherwise_offer_what_they_declare(tmp_path: Path) -> None:
    net = tmp_path / "net.toml"
    net.write_text(
        'layers = [{op = "conv", name = "c", kernel = 3, padding = 1, mode = "reflect"}]'
    )
    page = padviz.explore(net, [16])
    assert page.maps == 6
    assert '"paddings":["declared","zero"' in page.html
    assert padviz.explore(net, [16], padding=[]).maps == 6


def test_the_page_of_a_detector_with_six_heads_is_small_and_soon_there() -> None:
    began = time.process_time()
    page = padviz.explore("ssd300_vgg16")
    assert time.process_time() - began < 5
    # a remedy has the map of a scheme, or a core of its own
    assert len(page.html.encode()) < 1_200_000


def test_maps_of_a_deep_network_that_are_too_large_are_left_out(tmp_path: Path) -> None:
    """Its counts have 1,902 bits: at 512 x 512 the map alone would take 100 MB."""
    conv = '{op = "conv", name = "c$i", kernel = 3, padding = 1},'
    layers = "".join(conv.replace("$i", str(i)) for i in range(600))
    path = tmp_path / "deep.toml"
    path.write_text(f"size = 64\nlayers = [{layers}]\n")
    steps: list[tuple[int, int]] = []
    page = padviz.explore(
        path, [64, 512], padding="zero", on_progress=lambda done, of: steps.append((done, of))
    )
    small, large = facts_of(page)["maps"]
    assert "reason" not in small
    assert large["reason"].startswith(
        "deep: 512 x 512 counts of 1920 bits are too large for a page; name an earlier `lay"
    )
    assert facts_of(page)["audits"][1]["reason"] == large["reason"]
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(padviz.PadvizError, match="too large for a page"):
        padviz.explore(path, [512])


def test_the_file_is_named_and_the_path_is_not(elsewhere: None) -> None:
    path = Path("secret-folder", "net.onnx")
    path.parent.mkdir()
    html = padviz.explore(Path(plain(str(path))).absolute(), [(48, 64)]).html
    assert "secret-folder" not in html
    assert "padviz repad net.onnx" in html


def facts_of(page: Any) -> Any:
    packed = re.search(r'id="payload">(.*?)</script>', page.html, re.DOTALL)
    assert packed
    return json.loads(packed[1])


def test_a_module_that_branches_on_its_size_is_followed_at_each(
    elsewhere: None, monkeypatch: Any
) -> None:
    """The maps of its page are those of `usage`, and the audits, one of each size, those of `audit`."""
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.delitem(sys.modules, "branching_net", raising=False)
    lay("branching_net.py")
    import branching_net

    source, sizes, paddings = branching_net.Net(), [[32, 30], [48, 64]], ["zero", "reflect"]
    facts = facts_of(padviz.explore(source, [(48, 64), (32, 30)], padding=paddings))
    assert (facts["sizes"], facts["base"]) == (sizes, 1)
    for (size, padding), found in zip(product(sizes, paddings), facts["maps"], strict=True):
        summary = padviz.usage(source, tuple(size), padding).summary()
        figures = found["figures"]
        assert (found["size"], found["shape"]) == (size, [summary.target.shape])
        assert figures["max"] == str(summary.max)
        assert figures["share"] == to_builtins(summary.share)
        assert figures["rim"] == (summary.rim and summary.rim.short)
        ledger = {row.layer for row in padviz.uneven(source, tuple(size)).layers}
        assert {row["layer"] for row in facts["records"][found["ledger"]].values()} == ledger
    for size, audit in zip(sizes, facts["audits"], strict=True):
        expected = padviz.audit(source, tuple(size))
        assert (audit["size"], audit["border"]) == (size, expected.border)
        assert audit["outcome"]["share"] == to_builtins(expected.outcome.share)
        assert audit["target"] == [padviz.usage(source, tuple(size)).target.layer]
        remedied = [
            facts["maps"][found] if isinstance(found, int) else found for found in audit["maps"]
        ]
        for remedy, found in zip(expected.remedies, remedied, strict=True):
            assert found["size"] == remedy.outcome.size
            assert found["figures"]["share"] == to_builtins(remedy.outcome.share)


@pytest.mark.parametrize("refused", [(32, 30), (64, 50)])
def test_a_size_that_a_module_refuses_has_a_reason_and_the_others_their_maps(refused: Any) -> None:
    nn = pytest.importorskip("torch").nn
    net, shown = nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), (48, 30)

    class Refusing(nn.Module):
        def forward(self, x: Any) -> Any:
            assert tuple(x.shape[-2:]) != refused, "no"
            return net(x)

    Refusing.net = net
    facts = facts_of(padviz.explore(Refusing(), [shown, refused]))
    assert facts["paddings"][0] == "declared"
    first = facts["maps"][:: len(facts["paddings"])]
    reasons = {
        tuple(size): found.get("reason") for size, found in zip(facts["sizes"], first, strict=True)
    }
    assert reasons[shown] is None
    assert "its forward fails" in reasons[refused]
    with pytest.raises(padviz.PadvizError, match="its forward fails"):
        padviz.explore(Refusing(), [refused, shown])
