"""What reports shorten, round and escape: at the bound and one beyond."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

import padviz
from padviz.geometry.balance.balanced_sizes import balanced_sizes
from padviz.repadding.onnx.file import repad_file
from padviz.repadding.plan import Left
from padviz.reports.maps import repad, usage
from padviz.reports.rendering import to_github, to_screen
from padviz.reports.report import Finding, Report
from padviz.reports.windows import sizes
from padviz.sources.toml.build import parse
from tests.repadding.test_onnx_file import chain


def test_twelve_layers_that_are_left_alone_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    repadded = repad_file(chain(tmp_path / "net.onnx"), "reflect")
    for layers, more in ((12, []), (13, ["and 1 more: --format json"])):
        left = tuple(Left(f"layer{i}", "it is one-dimensional") for i in range(layers))
        report = repad.report_of(replace(repadded, plan=replace(repadded.plan, left=left)), "reflect", False, [])
        lines = to_screen(report).splitlines()
        assert sum("it is one-dimensional" in line for line in lines) == 12
        assert [line for line in lines if line.startswith("and ")] == more


def test_a_million_paths_are_rounded_in_cells_and_one_less_is_not() -> None:
    summary = padviz.usage("vgg11", 64).summary()
    most = next(column for column in usage.COMPARED if column.key == "max")
    cells: list[Any] = [
        most.cell(usage.Compared("", msgspec.structs.replace(summary, max=paths), None)) for paths in (999_999, 10**6)
    ]
    assert cells == [999_999, "1.000e+6"]


def test_titles_and_files_of_annotations_are_escaped_as_properties_and_texts_are_not() -> None:
    finding = Finding("error", "a: b, c", "a: b, c", "d,e:f")
    line = to_github(Report("uneven", {}, [], findings=[finding]))
    assert line == "::error file=d%2Ce%3Af,title=a%3A b%2C c::a: b, c"


def test_why_no_size_is_even_is_asked_in_the_middle_of_the_range() -> None:
    layer = {"op": "conv", "name": "c", "kernel": 3000, "padding": [[1, 0], [1, 0]]}
    network = parse({"layers": [layer]}, "net")
    said = to_screen(sizes.report_of(network, balanced_sizes(network, 10_000, 10_010)))
    assert "c reads an odd number of padded rows at each" in said
