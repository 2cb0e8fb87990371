"""Results have one shape: rows, formats, a picture, and what a notebook shows."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot

import padviz

SAVED = {
    "x.json": lambda: padviz.sizes("resnet18"),
    "x.toml": lambda: padviz.convert("vgg11", 64),
    "x.html": lambda: padviz.explore("vgg11", 64),
}


@pytest.mark.parametrize("name", SAVED)
def test_a_file_is_replaced_only_if_that_is_asked_for(name: str, tmp_path: Path) -> None:
    path, made = tmp_path / name, SAVED[name]()
    path.write_text("mine")
    with pytest.raises(padviz.PadvizError, match=rf"{name}: exists; add `overwrite` to replace it"):
        made.save(path)
    assert path.read_text() == "mine"
    made.save(path, overwrite=True)
    assert path.read_text() != "mine"


@pytest.fixture
def _closed() -> Iterator[None]:
    pyplot.close("all")  # which other tests left open
    yield
    pyplot.close("all")


def test_numpy_takes_the_counts_of_a_map() -> None:
    counts = padviz.usage("resnet18", (32, 48))
    np.testing.assert_array_equal(np.asarray(counts), counts.counts)
    assert np.asarray(counts, float).dtype == float
    assert not hasattr(padviz.sizes("resnet18"), "__array__")


@pytest.mark.usefixtures("_closed")
def test_maps_that_are_compared_keep_their_figures_and_no_arrays() -> None:
    """Hundreds of maps are held at once: 397 of ResNet-50 took 2 GB."""
    steps: list[tuple[int, int]] = []
    compared = padviz.compare(
        "vgg11", [64, 96], on_progress=lambda done, of: steps.append((done, of))
    )
    compared.plot()
    assert steps == [(1, 2), (2, 2)]
    for size, (_, counts) in zip((64, 96), compared, strict=True):
        assert not isinstance(counts, padviz.PadvizError)
        assert not {"limbs", "counts"} & {*vars(counts), *vars(counts.core), *vars(counts.shares)}
        assert "values" not in vars(counts.shares)
        assert not counts.core._shares
        assert counts.summary() == padviz.usage("vgg11", size).summary()
        assert (counts.counts == padviz.usage("vgg11", size).counts).all()


def test_figures_are_pyplots_where_it_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = padviz.usage("vgg11", 64)
    ax = counts.plot()
    assert pyplot.get_fignums() == [ax.figure.number]
    counts._repr_html_()
    assert len(pyplot.get_fignums()) == 1
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot")
    counts.plot()
    assert "matplotlib.pyplot" not in sys.modules


def test_a_network_is_shown_as_its_layers_whose_names_are_no_markup() -> None:
    nn = pytest.importorskip("torch.nn")
    module = nn.Sequential()
    module.add_module("<b>", nn.Conv2d(3, 8, 3, padding=1))
    network = padviz.load(module, 32)
    html = network._repr_html_()  # type: ignore[attr-defined]
    assert repr(padviz.load("resnet50")) == "<Network resnet50, 70 layers, 224 x 224>"
    assert html == padviz.layers(network)._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html + padviz.fields(network)._repr_html_()


def test_pandas_is_asked_for_only_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(padviz.PadvizError, match="needs pandas; pip install pandas"):
        padviz.sizes("resnet18").to_pandas()
    monkeypatch.setitem(
        sys.modules, "pandas", type("Pandas", (), {"DataFrame": staticmethod(list)})
    )
    assert padviz.sizes("resnet18").to_pandas() == padviz.sizes("resnet18").to_rows()


def test_a_new_plot_has_the_theme_that_is_asked_for() -> None:
    light, dark = (
        padviz.usage("vgg11", 32).plot(theme=theme).figure.get_facecolor()
        for theme in ("light", "dark")
    )
    assert sum(dark[:3]) < 1 < sum(light[:3])


def test_a_result_opens_with_rim_and_starved_in_ten_plain_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    results = (padviz.usage("resnet50", 224), padviz.uneven("resnet50", 224), padviz.networks())
    for result in results:
        text = repr(result)
        assert len(text.split("\n")) <= 10
        assert "\x1b" not in text
    names = [line.split("  ")[0] for line in repr(results[0]).split("\n")]
    assert names[3:5] == ["rim", "starved"]


def test_a_notebook_shows_no_empty_column_and_no_empty_block() -> None:
    for result in (padviz.compare("vgg11", 64, ["zero", "reflect"]), padviz.usage("vgg11", 64)):
        html = result._repr_html_()
        assert re.search(r"<(p|pre|div|h4|table|details)[^>]*>\s*</\1>", html) is None
        for table in re.findall(r"<table>.*?</table>", html, re.DOTALL):
            rows = [
                re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
                for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
            ]
            columns = zip(*filter(None, rows), strict=True)
            assert all(any(column) for column in columns)
