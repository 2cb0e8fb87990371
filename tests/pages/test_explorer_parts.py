"""The explorer's other parts in a real browser: layers, the audit, one layer cell by cell."""

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padviz
from padviz.counting.count import coverages
from padviz.errors import PadvizError
from padviz.geometry.one_layer import illustrate
from padviz.network.padding_modes import SCHEMES
from tests.pages.browser import PADDINGS, SIZES, after, begins, click, expect, opened, point, press, says, show
from tests.sweeps import SLOW

AUDIT, LAYERS, KERNEL = "#part-audit", "#part-layers", "#part-kernel"


def test_what_a_unit_sees_is_as_the_engine_counts(page: Any) -> None:
    size, padding = (120, 160), "circular"
    at, scheme = SIZES.index(size), PADDINGS.index(padding)
    show(page, f"part=layers&lsize={at}&lpadding={scheme}&layer=9&unit=0.01,0.99&at=0.01,0.01")
    net = padviz.load("resnet18")
    name = net.layers[9].name
    counts = padviz.coverage(net, size, padding, name)
    share = f"{counts.share()[0, -1]:.1%}".replace("%", " %")
    expect(page.locator("[data-part=covered]")).to_have_text(begins(share), use_inner_text=True)
    seen = padviz.usage(net, size, padding, name, unit=(0, -1)).counts > 0
    for what, axis in (("rows", 1), ("columns", 0)):
        says(page, "[data-part=field]", f"{what} {_runs(np.flatnonzero(seen.any(axis)))}")
    says(page, "[data-part=reach]", f"{padviz.usage(net, size, padding).at(1, 1):,} paths")


def _runs(numbers: Any) -> str:
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return " and ".join(f"{part[0]} to {part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


def test_a_layer_shows_its_ledger_and_taps(page: Any) -> None:
    click(page, "#tab-layers")
    click(page, "[data-layer='1']")
    row = padviz.uneven("resnet18", 224).layers[0]
    consumed = "+".join(map(str, row.height.consumed))
    says(page, f"{LAYERS} [data-part=ledger]", "7/2/1", consumed, "It reads its padding unevenly")
    grid = [f"{each:,}" for each in padviz.taps("resnet18", 224)[0].grid.ravel()]
    expect(page.locator(f"{LAYERS} [data-part=taps] td")).to_have_text(grid, use_inner_text=True)
    expect(page.locator("[data-layer='1']")).to_have_class(re.compile("uneven"))
    page.focus("[data-layer='1']")
    press(page, "ArrowRight")
    expect(page.locator("[data-layer='2']")).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize("size", SIZES)
def test_the_audit_of_every_size_says_what_the_command_says(page: Any, size: Any) -> None:
    click(page, "#tab-audit")
    after(page, lambda: page.select_option(f"{AUDIT} [data-part=size]", str(SIZES.index(size))))
    found = padviz.audit("resnet18", size)
    at = " × ".join(map(str, found.size))
    expect(page.locator("#finding")).to_have_text(f"at {at} px: {found.verdict}")
    for name in ("border", "symmetry", "padding"):
        expect(page.locator(f"#verdict [data-part={name}]")).to_have_text(getattr(found, name))
    names = ["today", *(remedy.what for remedy in found.remedies)]
    expect(page.locator("[data-part=remedies] th")).to_have_text(names, use_inner_text=True)
    after(page, lambda: page.check("input[name=remedy][value='3']"))
    says(page, "[data-part=edit]", found.remedies[3].edit[0])


def test_a_button_shows_the_map_of_the_best_remedy_of_each_group(page: Any) -> None:
    found = padviz.audit("resnet18", 224)
    first = {remedy.needs: remedy for remedy in reversed(found.remedies)}
    offered = page.locator("#verdict li strong").all_inner_texts()
    assert sorted(offered) == sorted(remedy.what for remedy in first.values())
    for remedy in first.values():
        button = f"#verdict button[aria-label='show {remedy.what}']"
        click(page, button)
        expect(page.locator("#panel-b [data-part=remedy] option:checked")).to_have_text(remedy.what)
        expect(page.locator(button)).to_have_text("shown")
        if remedy.kind in ("size", "larger", "padding", "both"):
            size = tuple(remedy.outcome.size)
            said = "{:,}".format if remedy.padding != "partial" else "{:.12g}".format  # no integers
            count = padviz.usage("resnet18", size, remedy.padding).at(10, 20)
            point(page, 10, 20, size, "b")
            says(page, "#panel-b [data-part=read]", f"{said(count)} paths")


def test_the_ledger_leads_to_the_layers(page: Any) -> None:
    click(page, "#tab-audit")
    ledger = f"{AUDIT} [data-part=ledger]"
    rows = padviz.uneven("resnet18", 224)
    layers = [row.layer for row in rows.layers]
    expect(page.locator(f"{ledger} tbody th")).to_have_text(layers, use_inner_text=True)
    marked = page.locator(f"{ledger} tr.uneven th").all_inner_texts()
    assert sorted(marked) == sorted(row.layer for row in rows.uneven_convolutions)
    click(page, f"{ledger} button:text-is('{layers[3]}')")
    expect(page.locator(f"{LAYERS} [data-part=name]")).to_have_text(begins(layers[3]), use_inner_text=True)


def test_one_layer_is_what_the_engine_says_for_every_combination_offered(page: Any) -> None:
    offered = [
        page.eval_on_selector_all(f"select[name={name}] option", "all => all.map(each => each.value)")
        for name in ("kernel", "stride", "dilation", "kscheme")
    ]
    assert sorted(offered[3]) == sorted(SCHEMES)
    asked = [
        (*map(int, numbers), scheme, i % 7, i // 7 % 7)
        for i, (*numbers, scheme) in enumerate(itertools.product(*offered))
    ]
    found = page.evaluate("all => all.map(each => document.getElementById('part-kernel').illustrated(...each))", asked)
    assert len(found) == len(asked) == 54 * len(SCHEMES)
    for (kernel, stride, dilation, scheme, *pixel), shown in zip(asked, found, strict=True):
        if "error" in shown:
            with pytest.raises(PadvizError) as refused:
                illustrate(kernel, stride, dilation, (7, 7), scheme)
            assert shown == {"error": f"{refused.value.where}: {refused.value.what}"}
            continue
        engine = illustrate(kernel, stride, dilation, (7, 7), scheme)
        for name, grid in (("padded", engine.padded), ("uses", engine.uses), ("taps", engine.taps(*pixel))):
            assert shown[name] == [[str(cell) for cell in row] for row in grid], (kernel, stride, dilation, scheme)


def test_the_windows_of_a_pixel_play(page: Any) -> None:
    def window(text: str | re.Pattern[str]) -> None:
        pattern = begins(text) if isinstance(text, str) else text
        expect(page.locator("[data-part=window]")).to_have_text(pattern, timeout=15_000, use_inner_text=True)

    show(page, "part=kernel&kscheme=symmetric")
    click(page, f"{KERNEL} [data-part=uses] button >> nth=8")
    says(page, "[data-part=picked]", "Pixel 1, 1 is used 9 times.")
    window("Window 1 of 9")
    click(page, "[data-part=next]")
    window("Window 2 of 9: unit 0, 1")
    expect(page.locator(f"{KERNEL} [data-part=padded] td.in")).to_have_count(9)
    page.click("[data-part=play]")
    window(re.compile("^Window [3-9]"))  # a busy machine may not see each
    click(page, "[data-part=play]")
    says(page, "[data-part=play]", "play")
    for name, value in (("kernel", "7"), ("dilation", "3")):
        after(page, lambda name=name, value=value: page.select_option(f"select[name={name}]", value))
    says(page, f"{KERNEL} [data-part=cannot]", "too few for symmetric padding of 9")


FOLLOWED = """() => {
    const book = new padviz.maps.Book(JSON.parse(document.getElementById("payload").textContent));
    const graph = new padviz.graph.Graph(book.facts(0, 0), book), last = graph.targets[0];
    const sum = ({ values }) => values.reduce((a, b) => a + b, 0), seen = graph.seen(last, 1, 0);
    return {
        covered: graph.shown.slice(1).map((i) => [graph.layers[i].name, [...graph.coverage(i)]]),
        paths: sum(graph.reached(5, 9)[last]), seen: [seen.rows, seen.cols, [...seen.values]],
    };
}"""


@pytest.mark.parametrize(
    ("network", "size", "padding"),
    [
        pytest.param("inception_v3", 107, "circular", marks=SLOW),
        ("unet_padded", 48, "reflect"),
        ("mobilenet_v3_large", 64, "partial"),
    ],
)
def test_the_page_counts_through_every_layer_as_the_engine_does(
    browser: Any, tmp_path: Path, network: str, size: int, padding: str
) -> None:
    html = padviz.explore(network, [size], padding=[padding]).html
    end = "</script>\n</body>"
    (tmp_path / "open.html").write_text(html.replace(end, f"\nglobalThis.padviz = modules;{end}"), encoding="utf-8")
    page = opened(browser, tmp_path / "open.html", bypass_csp=True)
    found = page.evaluate(FOLLOWED)
    names = [name for name, _ in found["covered"]]
    maps = coverages(padviz.load(network), size, padding, names)
    for counts, (_, shares) in zip(maps, found["covered"], strict=True):
        np.testing.assert_allclose(np.reshape(shares, counts.shape), counts.share(), rtol=1e-12)
    assert found["paths"] == pytest.approx(padviz.usage(network, size, padding).at(5, 9), rel=1e-12)
    rows, cols, values = found["seen"]
    unit = padviz.usage(network, size, padding, unit=(1, 0))
    there = unit.counts[np.ix_(rows, cols)].astype(float)
    np.testing.assert_allclose(np.reshape(values, there.shape), there, rtol=1e-12)
    assert sum(map(float, values)) == pytest.approx(float(unit.total), rel=1e-12)
    assert page.said == []
    page.close()
