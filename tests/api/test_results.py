"""Results have one shape: rows, formats, a picture, and what a notebook shows."""

import csv
import io
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import padviz
from padviz.reports.rendering import ROWS
from tests.scoring.made import coco_files, scenes

nn = pytest.importorskip("torch.nn")
NOISE: dict[str, Any] = {"noise": True, "n": 2}
Made = Callable[[], padviz.Result[Any]]


def detector() -> Any:
    pytest.importorskip("torch").manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Sigmoid())


def net() -> Any:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 1, 3, 2, padding=1), nn.Sigmoid())


def made_files() -> list[Path]:
    folder = Path(mkdtemp())
    coco_files(scenes(0, images=10), folder)
    return [folder / "gt.json", folder / "pred.json"]


RESULTS: dict[str, Made] = {
    "audit": lambda: padviz.audit("vgg11", 64),
    "uneven": lambda: padviz.uneven("resnet152", 224, all_=True),
    "sizes": lambda: padviz.sizes("resnet50"),
    "usage": lambda: padviz.usage("vgg11", 64),
    "compare": lambda: padviz.compare("vgg11", 64, ["zero", "reflect"]),
    "kernel": lambda: padviz.kernel(padding=["zero", "reflect"], pixel=(0, 0)),
    "taps": lambda: padviz.taps("resnet50", 224),
    "coverage": lambda: padviz.coverage("vgg11", 64, layer=["features.0", "features.3"]),
    "fields": lambda: padviz.fields("resnet50", 224),
    "tiles": lambda: padviz.tiles("unet_padded", (1000, 200), 512),
    "layers": lambda: padviz.layers("resnet50", 224),
    "costs": lambda: padviz.costs("resnet50", 224),
    "networks": padviz.networks,
    "diff": lambda: padviz.diff("resnet18", size=224, same=True),
    "filters": lambda: padviz.filters(net(), 32),
    "responses": lambda: padviz.responses(net(), 32, n=2),
    "detect": lambda: padviz.detect(detector(), size=32, height=8, step=8),
    "trial": lambda: padviz.trial(net(), trained_at=16, padding=["circular"], **NOISE),
    "rings": lambda: padviz.rings(*made_files()),
    "seen": lambda: padviz.seen(net(), size=16, patch=4, grid=5, **NOISE),
}
PLAIN = ("sizes", "costs", "networks", "diff")


@pytest.fixture(scope="module", params=RESULTS)
def result(request: pytest.FixtureRequest) -> padviz.Result[Any]:
    return RESULTS[request.param]()


def test_rows_are_those_of_the_csv(result: padviz.Result[Any], tmp_path: Path) -> None:
    result.save(tmp_path / "x.md")
    result.save(tmp_path / "x.json")
    rows = result.to_rows()
    assert len(result) == len([*result]) > 0
    assert json.loads(json.dumps(rows)) == rows
    assert json.loads((tmp_path / "x.json").read_text())["schema_version"] > 0
    assert str(result).strip()
    if not hasattr(result, "tally"):  # of a map, .csv has the counts
        result.save(tmp_path / "x.csv")
        read = [*csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text()))]
        assert [*read[0]] == [*rows[0]]
        assert len(read) == len(rows)


def test_what_python_and_notebooks_print_is_short(result: padviz.Result[Any]) -> None:
    assert len(repr(result).splitlines()) <= 10
    html = result._repr_html_()
    shown = html.split("<details><summary>")[0] if "more row" in html else html
    assert shown.count("<tr") <= 2 * ROWS
    assert html.count("<img") == (result._shown.draw is not None and result._shown.pictured)


def test_a_picture_is_drawn_where_the_command_has_one(result: padviz.Result[Any], tmp_path: Path) -> None:
    if result._report.name in PLAIN:
        with pytest.raises(padviz.PadvizError, match="has no picture"):
            result.plot()
        with pytest.raises(padviz.PadvizError, match=r"png is not written here; use \.txt \.json \.csv \.md"):
            result.save(tmp_path / "x.png")
        return
    ax = Figure().subplots()
    assert result.plot(ax) is ax
    assert ax.images or ax.lines or ax.collections or ax.patches
    result.save(tmp_path / "x.svg")


def test_results_are_pickled(result: padviz.Result[Any]) -> None:
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is type(result)
    assert str(again) == str(result)


def test_a_file_is_replaced_only_if_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("mine")
    with pytest.raises(padviz.PadvizError, match=r"x\.json: exists; add overwrite=True to replace it"):
        padviz.sizes("resnet18").save(path)
    assert path.read_text() == "mine"
    padviz.sizes("resnet18").save(path, overwrite=True)
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
    monkeypatch.setitem(sys.modules, "pandas", type("Pandas", (), {"DataFrame": staticmethod(list)}))
    assert padviz.sizes("resnet18").to_pandas() == padviz.sizes("resnet18").to_rows()
