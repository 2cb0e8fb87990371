"""The gallery of an export in a real browser, from disk; and the notebook of the example, run cell by cell."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

import padviz
from tests.pages.browser import expect, opened, says


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with a space, a percent sign and a failure in it."""
    place = tmp_path_factory.mktemp("a gallery 100%")
    (place / "odd#net.toml").write_text(
        'layers = [{op = "conv", name = "c%20", kernel = 3, padding = 1}]'
    )
    source = [str(place / "odd#net.toml"), "resnet18", "vgg11"]
    (place / "more.toml").write_text(
        '[[compare]]\nname = "schemes"\nmodels = ["vgg11"]\nsizes = [64]\npaddings = ["zero", "symmetric"]'
    )
    padviz.export(place / "more.toml", place / "out")
    lists: dict[str, Any] = {
        "size": [64, 96],
        "padding": ["reflect", "valid"],
        "what": ["usage", "uneven"],
    }
    padviz.export(source, place / "out", **lists, jobs=1, format_=["png", "npz"])
    return place / "out"


@pytest.fixture(scope="module")
def gallery(browser: Any, folder: Path) -> Any:
    return opened(
        browser, folder / "index.html", waiting=False, viewport={"width": 1200, "height": 800}
    )


@pytest.fixture
def page(gallery: Any) -> Iterator[Any]:
    gallery.click("button[type=reset]")
    gallery.wait_for_function("() => document.querySelectorAll('article[hidden]').length == 0")
    yield gallery
    assert gallery.said == []


def choose(page: Any, key: str, value: str) -> None:
    page.select_option(f"select[data-key={key}]", value)


def shown(page: Any) -> list[str]:
    return [card.get_attribute("data-name") for card in page.locator("article:visible").all()]


def shows(page: Any, names: list[str]) -> None:
    """Waits until a page shows these items and no others, in this order."""
    cards = "[...document.querySelectorAll('article')].filter(each => each.checkVisibility())"
    page.wait_for_function(
        f"names => {cards}.map(each => each.dataset.name).join() === names.join()", arg=names
    )


def test_all_pictures_load_from_disk_and_nothing_else_is_fetched(page: Any, folder: Path) -> None:
    cards = page.locator("article").all()
    assert len(cards) == len(list(folder.glob("*.png"))) > 10
    for card in cards:
        card.scroll_into_view_if_needed()
    page.wait_for_function(
        "() => [...document.querySelectorAll('main img')].every(each => each.complete)"
    )
    assert page.evaluate(
        "[...document.querySelectorAll('main img')].every(each => each.naturalWidth > 0)"
    )
    expect(page.locator("main img, main .mini")).to_have_count(len(cards))
    assert all(url.startswith(folder.as_uri()) or url.startswith("data:") for url in page.asked)
    says(page, "#failed", "could not be made")
    links = page.evaluate(
        "[...document.querySelectorAll('article a, footer a')].map(each => each.href)"
    )
    assert len(links) > 30
    for link in links:
        assert link.startswith("file://")
        assert Path(unquote(urlsplit(link).path)).is_file(), link


def test_the_page_may_ask_for_nothing_but_pictures(browser: Any, folder: Path) -> None:
    """What slips into a name cannot send anything away, nor run what lies elsewhere."""
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert text.index('http-equiv="Content-Security-Policy"') < text.index("<title>")
    tags = ("img", "script", "iframe", "video", "embed")
    slipped = "".join(f'<{tag} src="https://elsewhere.example/{tag}"></{tag}>' for tag in tags)
    slipped += '<link rel="stylesheet" href="https://elsewhere.example/style">'
    slipped += (
        '<script>document.title = "ran"</script><a href="#" onclick="document.title = 1">here</a>'
    )
    (folder / "slipped.html").write_text(
        text.replace("<main>", f"<main>{slipped}"), encoding="utf-8"
    )
    page = opened(browser, folder / "index.html", waiting=False)
    refused: dict[str, str | None] = {}
    page.on("requestfailed", lambda request: refused.update({request.url: request.failure}))
    page.goto((folder / "slipped.html").as_uri())
    page.click("text=here")
    assert page.title() == page.text_content("h1")
    assert {refused.get(url) for url in page.asked if "elsewhere" in url} <= {"csp"}
    assert sum("Content Security Policy" in each for each in page.said) >= 7
    page.close()
    (folder / "slipped.html").unlink()


def test_filters_narrow_and_reset(page: Any) -> None:
    everything = shown(page)
    choose(page, "network", "resnet18")
    choose(page, "size", "96×96")
    choose(page, "padding", "reflect")
    shows(page, ["resnet18-96-reflect-usage"])
    says(page, "#count", f"1 of {len(everything)} items")
    page.click("button[type=reset]")
    shows(page, everything)
    choose(page, "padding", "symmetric")  # one of the paddings of an item
    shows(page, ["schemes"])
    page.fill("#search", "no such name")
    says(page, "#none", "No item fits these filters.")
    page.click("#none button")
    shows(page, everything)
    expect(page.locator("#none")).not_to_be_visible()


def test_filters_stand_in_the_address_and_come_back(page: Any, browser: Any, folder: Path) -> None:
    everything = shown(page)
    choose(page, "what", "uneven")
    shows(page, [name for name in everything if name.endswith("uneven")])
    page.fill("#search", "VGG11-64")
    shows(page, ["vgg11-64-uneven"])
    page.wait_for_function(
        "() => location.hash.includes('what=uneven') && location.hash.includes('VGG11')"
    )
    other = opened(browser, folder / "index.html", "#" + page.url.partition("#")[2], waiting=False)
    shows(other, ["vgg11-64-uneven"])
    expect(other.locator("select[data-key=what]")).to_have_value("uneven")
    assert other.said == []
    other.close()


def test_a_viewer_goes_from_item_to_item_and_keeps_one_beside_the_next(page: Any) -> None:
    choose(page, "network", "resnet18")
    names = shown(page)
    page.locator("article:visible a.picture").first.click()
    caption = page.locator("#seen figcaption")
    expect(caption).to_have_text(names[0], use_inner_text=True)
    page.wait_for_function("() => document.querySelector('#seen img').naturalWidth > 200")
    page.click("#next")
    expect(caption).to_have_text(names[1])
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    expect(caption).to_have_text(names[-1])
    expect(page.locator("#place")).to_have_text(f"{len(names)} of {len(names)}")
    page.check("#keep")
    page.click("#next")
    expect(page.locator("#kept figcaption")).to_have_text(names[-1])
    expect(caption).to_have_text(names[0])
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).not_to_be_visible()


def test_axe_finds_no_serious_violation(browser: Any, folder: Path) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    viewed = opened(
        browser, folder / "index.html", "#item=resnet18-64-reflect-usage", waiting=False
    )
    viewed.wait_for_selector("#viewer[open]")
    found = axe.Axe().run(viewed).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    viewed.close()


ROOT = Path(__file__).parents[2]
TALLEST = 1140  # pixels of what a cell shows: the audit with all its remedies, a margin among them
LINES = 10  # of a text


@pytest.mark.slow
def test_what_the_notebook_shows_fits_a_screen_and_its_page_works(
    browser: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    for name in ("torch", "ipykernel", "nbconvert"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import ExecutePreprocessor

    monkeypatch.delenv("MPLBACKEND", raising=False)  # as a person has it
    book = nbformat.read(ROOT / "examples" / "padding.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells)
    assert len(book.cells) >= 20
    ExecutePreprocessor(timeout=240, kernel_name="python3").preprocess(
        book, {"metadata": {"path": str(tmp_path)}}
    )
    shown = [_shown(cell) for cell in book.cells if cell.cell_type == "code"]
    assert all(shown)
    assert sum("image/png" in kinds for kinds in shown) == 2  # of plot()
    (tmp_path / "book.html").write_text(
        HTMLExporter(template_name="lab").from_notebook_node(book)[0], encoding="utf-8"
    )
    page = opened(browser, tmp_path / "book.html", waiting=False)
    heights = page.evaluate(
        "[...document.querySelectorAll('.jp-Cell-outputWrapper')].map(cell => cell.offsetHeight)"
    )
    assert len(heights) >= len(shown)
    assert max(heights) <= TALLEST
    frame = page.frame_locator("iframe[title='padviz explorer']")
    frame.locator("#panel-a .paths").filter(has_text="paths").wait_for(timeout=20_000)
    for key in ("Home", "PageUp"):
        frame.locator("#panel-a [data-part=over]").press(key)
    frame.locator("#panel-a .where").filter(has_text="row 0, column 0").wait_for()
    paths = f"{padviz.usage('vgg11', 64).at(0, 0):,} paths"
    expect(frame.locator("#panel-a [data-part=read]")).to_contain_text(paths, use_inner_text=True)
    frame.locator("#tab-kernel").click()
    expect(frame.locator("#part-kernel [data-part=uses] button")).to_have_count(49)
    page.close()


def _shown(cell: Any) -> set[str]:
    """List what kinds of output a cell has; texts that stand alone are short."""
    kinds: set[str] = set()
    for output in cell.outputs:
        assert output.output_type in ("execute_result", "display_data"), output
        kinds |= output.data.keys()
        if "text/html" not in output.data:
            assert len(output.data["text/plain"].splitlines()) <= LINES, output
    return kinds
