"""The explorer's other parts in a real browser: layers, the audit, one layer cell by cell."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padviz
from padviz.axis.padding_modes import SCHEMES
from padviz.counting.coverage import coverages
from padviz.errors import PadvizError
from padviz.geometry.one_layer import illustrate
from tests.pages.browser import PADDINGS, SIZES, after, begins, expect, opened, point, reading
from tests.sweeps import SLOW


def test_every_layer_that_a_pixel_reaches_is_as_the_engine_counts(page: Any) -> None:
    """From a pixel to each unit, and from each pixel to a unit, the page follows the reads of the engine."""
    for size, padding in (((120, 160), "circular"), ((96, 96), "zero")):
        at, scheme = SIZES.index(size[0] if size[0] == size[1] else size), PADDINGS.index(padding)
        after(
            page,
            lambda at=at, scheme=scheme: page.evaluate(
                "hash => { location.hash = hash; }",
                f"part=layers&lsize={at}&lpadding={scheme}&layer=9&unit=0.01,0.99&at=0.01,0.01",
            ),
        )
        net = padviz.load("resnet18")
        name = net.layers[9].name
        counts = padviz.coverage(net, size, padding, name)
        share = f"{counts.share()[0, -1]:.1%}".replace("%", " %")
        expect(page.locator("[data-part=covered]")).to_have_text(begins(share), use_inner_text=True)
        seen = padviz.usage(net, size, padding, name, unit=(0, -1)).counts > 0
        for what, axis in (("rows", 1), ("columns", 0)):
            runs = _runs(np.flatnonzero(seen.any(axis)))
            expect(page.locator("[data-part=field]")).to_contain_text(f"{what} {runs}", use_inner_text=True)
        total = (
            padviz.usage(net, size, padding).at(1, 1) if size[0] == 120 else padviz.usage(net, size, padding).at(0, 0)
        )
        expect(page.locator("[data-part=reach]")).to_contain_text(f"{total:,} paths", use_inner_text=True)
        pixel = (int(0.01 * size[0]), int(0.01 * size[1]))
        box = _reached(net, size, padding, name, pixel)
        reached = page.locator("[data-layer='9'] .reached")
        expect(reached).to_have_text(f"{box[0]} × {box[1]} units", use_inner_text=True)


def _runs(numbers: Any) -> str:
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return " and ".join(f"{part[0]} to {part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


def _reached(net: Any, size: tuple[int, int], padding: str, name: str, pixel: tuple[int, int]) -> tuple[int, int]:
    """How many rows and columns of units of a layer have paths from a pixel: unit by unit."""
    rows, cols = padviz.usage(net, size, padding, name).target.shape
    down = [padviz.usage(net, size, padding, name, unit=(row, slice(0, cols))).at(*pixel) > 0 for row in range(rows)]
    across = [padviz.usage(net, size, padding, name, unit=(slice(0, rows), col)).at(*pixel) > 0 for col in range(cols)]
    return sum(down), sum(across)


def test_a_layer_shows_its_ledger_and_taps(page: Any) -> None:
    after(page, lambda: page.click("#tab-layers"))
    row = padviz.uneven("resnet18", 224).layers[0]
    after(page, lambda: page.click("[data-layer='1']"))
    for said in ("7/2/1", "+".join(map(str, row.height.consumed)), "It reads its padding unevenly"):
        expect(page.locator("#part-layers [data-part=ledger]")).to_contain_text(said, use_inner_text=True)
    grid = [f"{each:,}" for each in padviz.taps("resnet18", 224)[0].grid.ravel()]
    expect(page.locator("#part-layers [data-part=taps] td")).to_have_text(grid, use_inner_text=True)
    expect(page.locator("[data-layer='1']")).to_have_class(re.compile("uneven"))
    page.focus("[data-layer='1']")
    after(page, lambda: page.keyboard.press("ArrowRight"))
    expect(page.locator("[data-layer='2']")).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize("size", SIZES)
def test_the_audit_of_every_size_says_what_the_command_says(page: Any, size: Any) -> None:
    after(page, lambda: page.click("#tab-audit"))
    after(page, lambda: page.select_option("#part-audit [data-part=size]", str(SIZES.index(size))))
    found = padviz.audit("resnet18", size)
    at = " × ".join(map(str, found.size))
    expect(page.locator("#finding")).to_have_text(f"at {at} px: {found.verdict}")
    for name in ("border", "symmetry", "padding"):
        expect(page.locator(f"#verdict [data-part={name}]")).to_have_text(getattr(found, name))
    names = ["today", *(remedy.what for remedy in found.remedies)]
    expect(page.locator("[data-part=remedies] th")).to_have_text(names, use_inner_text=True)
    after(page, lambda: page.check("input[name=remedy][value='3']"))
    expect(page.locator("[data-part=edit]")).to_contain_text(found.remedies[3].edit[0], use_inner_text=True)


def test_a_button_shows_the_map_of_the_best_remedy_of_each_group(page: Any) -> None:
    found = padviz.audit("resnet18", 224)
    first = {remedy.needs: remedy for remedy in reversed(found.remedies)}
    offered = page.locator("#verdict li strong").all_inner_texts()
    assert sorted(offered) == sorted(remedy.what for remedy in first.values())
    row, col = 10, 20
    for remedy in first.values():
        after(page, lambda remedy=remedy: page.click(f"#verdict button[aria-label='show {remedy.what}']"))
        expect(page.locator("#panel-b [data-part=remedy] option:checked")).to_have_text(remedy.what)
        expect(page.locator(f"#verdict button[aria-label='show {remedy.what}']")).to_have_text("shown")
        if remedy.kind in ("size", "larger", "padding", "both"):
            size = tuple(remedy.outcome.size)
            said = "{:,}".format if remedy.padding != "partial" else "{:.12g}".format  # no integers
            counts = padviz.usage("resnet18", size, remedy.padding)
            point(page, row, col, size, "b")
            expect(reading(page, "b")).to_contain_text(f"{said(counts.at(row, col))} paths", use_inner_text=True)


def test_the_ledger_sorts_and_leads_to_the_layers(page: Any) -> None:
    after(page, lambda: page.click("#tab-audit"))
    rows = page.locator("#part-audit [data-part=ledger] tbody tr")
    layers = [row.layer for row in padviz.uneven("resnet18", 224).layers]
    names = page.locator("#part-audit [data-part=ledger] tbody th")
    expect(names).to_have_text(layers, use_inner_text=True)
    header = page.locator("#part-audit [data-part=ledger] thead button")
    after(page, lambda: header.nth(3).click())
    inputs = [int(row.inner_text().split()[3]) for row in rows.all()]
    assert inputs == sorted(inputs) != [row.height.input for row in padviz.uneven("resnet18", 224).layers]
    after(page, lambda: header.nth(3).click())
    assert [int(row.inner_text().split()[3]) for row in rows.all()] == sorted(inputs, reverse=True)
    marked = page.locator("#part-audit [data-part=ledger] tr.uneven th").all_inner_texts()
    assert sorted(marked) == sorted(row.layer for row in padviz.uneven("resnet18", 224).uneven_convolutions)
    after(page, lambda: page.click(f"#part-audit [data-part=ledger] button:text-is('{layers[3]}')"))
    expect(page.locator("#part-layers [data-part=name]")).to_have_text(begins(layers[3]), use_inner_text=True)


def test_one_layer_is_what_the_engine_says_for_every_combination_offered(page: Any) -> None:
    names = ("kernel", "stride", "dilation", "kscheme")
    offered = [
        page.eval_on_selector_all(f"select[name={name}] option", "all => all.map(each => each.value)") for name in names
    ]
    assert sorted(offered[3]) == sorted(SCHEMES)
    combinations = [(*map(int, numbers), scheme) for *numbers, scheme in itertools.product(*offered)]
    found = page.evaluate(
        "all => all.map(each => document.getElementById('part-kernel').illustrated(...each))",
        [[*each, i % 7, i // 7 % 7] for i, each in enumerate(combinations)],
    )
    assert len(found) == len(combinations) == 432
    for i, ((kernel, stride, dilation, scheme), shown) in enumerate(zip(combinations, found, strict=True)):
        try:
            engine = illustrate(kernel, stride, dilation, (7, 7), scheme)
        except PadvizError as error:
            refused = {"error": f"{error.where}: {error.what}"}
        else:
            refused = None
        if refused:
            assert shown == refused
            continue
        grids = [
            [[str(cell) for cell in row] for row in grid]
            for grid in (engine.padded, engine.uses, engine.taps(i % 7, i // 7 % 7))
        ]
        assert [shown["padded"], shown["uses"], shown["taps"]] == grids, (kernel, stride, dilation, scheme)


def test_the_windows_of_a_pixel_play(page: Any) -> None:
    after(page, lambda: page.click("#tab-kernel"))
    after(page, lambda: page.select_option("select[name=kscheme]", "symmetric"))
    after(page, lambda: page.click("#part-kernel [data-part=uses] button >> nth=8"))
    expect(page.locator("[data-part=picked]")).to_have_text("Pixel 1, 1 is used 9 times.", use_inner_text=True)
    expect(page.locator("[data-part=window]")).to_have_text(begins("Window 1 of 9"), use_inner_text=True)
    after(page, lambda: page.click("[data-part=next]"))
    expect(page.locator("[data-part=window]")).to_have_text(begins("Window 2 of 9: unit 0, 1"), use_inner_text=True)
    expect(page.locator("#part-kernel [data-part=padded] td.in")).to_have_count(9)
    page.click("[data-part=play]")
    page.wait_for_function(
        "() => document.querySelector('[data-part=window]').textContent.startsWith('Window 3')", timeout=15_000
    )
    after(page, lambda: page.click("[data-part=play]"))
    expect(page.locator("[data-part=play]")).to_have_text("play", use_inner_text=True)
    after(page, lambda: page.select_option("select[name=kernel]", "7"))
    after(page, lambda: page.select_option("select[name=dilation]", "3"))
    expect(page.locator("#part-kernel [data-part=cannot]")).to_contain_text(
        "too few for symmetric padding of 9", use_inner_text=True
    )


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
    script = """() => {
        const book = new padviz.maps.Book(JSON.parse(document.getElementById("payload").textContent));
        const graph = new padviz.graph.Graph(book.facts(0, 0), book), last = graph.targets[0];
        const sum = ({ values }) => values.reduce((a, b) => a + b, 0), seen = graph.seen(last, 1, 0);
        return {
            covered: graph.shown.slice(1).map((i) => [graph.layers[i].name, [...graph.coverage(i)]]),
            paths: sum(graph.reached(5, 9)[last]), seen: [seen.rows, seen.cols, [...seen.values]],
        };
    }"""
    found = page.evaluate(script)
    names = [name for name, _ in found["covered"]]
    for counts, (_, shares) in zip(
        coverages(padviz.load(network), size, padding, names), found["covered"], strict=True
    ):
        np.testing.assert_allclose(np.reshape(shares, counts.shape), counts.share(), rtol=1e-12)
    assert found["paths"] == pytest.approx(padviz.usage(network, size, padding).at(5, 9), rel=1e-12)
    rows, cols, values = found["seen"]
    unit = padviz.usage(network, size, padding, unit=(1, 0))
    np.testing.assert_allclose(
        np.reshape(values, (len(rows), -1)), unit.counts[np.ix_(rows, cols)].astype(float), rtol=1e-12
    )
    assert sum(map(float, values)) == pytest.approx(float(unit.total), rel=1e-12)
    assert page.said == []
    page.close()
