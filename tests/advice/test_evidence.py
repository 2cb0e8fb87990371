"""The table of evidence: the pages show it as it is, and it has what the tables of the experiments have."""

import re
from math import isnan
from pathlib import Path

import pytest

import padviz
from padviz.advice.changes import TRIED, larger_image
from padviz.advice.evidence import EVIDENCE, FOUR, LESS, MORE, Points, rank, size_parts
from padviz.advice.remedies import changes
from padviz.geometry.balance.case import Case

DOCS = Path(__file__).parent.parent.parent / "docs" / "evidence"
HEAD = """\
| change | as is | new batch-norm statistics | 1 epoch | 3 epochs | from scratch | detector | rim unseen | source |
|---|--:|--:|--:|--:|--:|--:|--:|---|
"""


def rows(page: str, name: str) -> list[list[str]]:
    text = (DOCS / page).read_text().partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line][2:]


def cell(points: Points) -> str:
    return "" if points is None else f"{points[0]:+.1f}" + ("" if isnan(points[1]) else f" ± {points[1]:.1f}")


def test_the_page_shows_the_table() -> None:
    shown = HEAD
    for change, row in EVIDENCE.items():
        points = [cell(each) for each in (row.as_is, row.batch_norm, row.epoch, row.epochs, row.anew)]
        ap = [", ".join(f"{each:+.1f}" for each in heads) for heads in (row.detector, row.unseen)]
        shown += " | ".join(["|", change, *points, *ap, row.source, "|"])[2:-2] + "\n"
    page = (DOCS / "limits.md").read_text()
    assert re.sub(" +", " ", shown) in re.sub(" +", " ", page), shown


@pytest.mark.parametrize(
    ("change", "padding"),
    [(MORE, "zero, 1 px larger"), *((scheme, scheme) for scheme in ("partial", "circular", "symmetric", "reflect"))],
)
def test_detectors_are_those_of_the_experiment(change: str, padding: str) -> None:
    found = {(task, arm): float(cells[1].split(" ")[0]) for task, arm, *cells in rows("limits.md", "detector")}
    for where, shown in (("", EVIDENCE[change].detector), (", rim unseen", EVIDENCE[change].unseen)):
        tasks = [f"stride {stride}{where}" for stride in (4, 16, 32) if (f"stride {stride}{where}", padding) in found]
        assert shown == pytest.approx([found[task, padding] - found[task, "zero"] for task in tasks], abs=0.051)


@pytest.mark.parametrize(
    ("change", "arm"),
    [(MORE, "33 zero"), ("circular", "32 circular"), ("reflect", "32 mirrored"), ("pooled strides", "32 pooled")],
)
def test_what_was_trained_anew_is_that_of_the_experiment(change: str, arm: str) -> None:
    accuracy = {row[0]: float(row[3].split(" ")[0]) for row in rows("experiment.md", "experiment")}
    anew = EVIDENCE[change].anew
    assert anew is not None
    assert anew[0] == pytest.approx(accuracy[arm] - accuracy["32 zero"])


def test_only_the_steps_that_were_tried_are_measured() -> None:
    assert [size_parts({step}) for step in (1, -1, 4)] == [(MORE,), (LESS,), (FOUR,)]
    assert size_parts({2}) == size_parts({1, -1}) == (MORE, None)


def test_what_nobody_tried_stands_behind_its_measured_parts() -> None:
    for change in changes(Case(padviz.load("resnet50"), (224, 224))):
        for part in change.parts:
            if part and len(change.parts) > 1:
                assert rank((part,), change.needs) < rank(change.parts, change.needs)
    assert set(TRIED) > set(EVIDENCE) - {MORE, LESS, FOUR, "pooled strides"}


def test_the_answer_to_which_padding_has_the_same_figures() -> None:
    page = (DOCS.parent / "howto" / "which-padding.md").read_text()
    for scheme in ("circular", "symmetric", "reflect", "partial"):
        row = EVIDENCE[scheme]
        assert row.as_is is not None
        assert row.epoch is not None
        ap = [
            ", ".join(f"{points:+.1f} (stride {stride})" for points, stride in zip(each, (4, 16, 32), strict=False))
            for each in (row.detector, row.unseen)
        ]
        cells = " | ".join([f"{row.as_is[0]:+.1f}", f"{row.epoch[0]:+.1f}", *ap])
        assert re.search(rf"^\| `{scheme}`.* \| {re.escape(cells)} \|$", page, re.MULTILINE)


def test_a_network_that_resizes_its_image_gets_no_larger_one() -> None:
    network = padviz.load("torchvision.models.detection:retinanet_resnet50_fpn", size=640)
    assert [*larger_image(Case(network, (640, 640)))] == []
