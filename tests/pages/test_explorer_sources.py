"""The explorer of modules and of ONNX files: each size is followed anew, and its maps are those of `usage`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins

import padviz

torch = pytest.importorskip("torch")

BRANCHING = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, (3, 5), padding=(1, 2))
        self.c = nn.Conv2d(3, 3, (3, 2), stride=(2, 1))

    def forward(self, x):
        return self.b(self.a(x)) if x.shape[-1] > 40 else self.c(self.a(x))
"""
SIZES = [(32, 30), (32, 64), (48, 30), (64, 50)]  # two before and two behind the branch


def facts_of(html: str) -> Any:
    packed = re.search(r'id="payload">(.*?)</script>', html, re.DOTALL)
    assert packed
    return json.loads(packed[1])


def is_of(facts: Any, source: Any, sizes: list[Any], paddings: list[str], shown: Any) -> None:
    """The maps of a page are those of `usage`, and its audits, one of each size, those of `audit`."""
    asked = [size for size in facts["sizes"] for _ in paddings]
    assert sorted(facts["sizes"]) == sorted([*size] for size in sizes)
    for size, padding, found in zip(asked, paddings * len(sizes), facts["maps"], strict=True):
        summary = padviz.usage(source, tuple(size), padding).summary()
        figures = found["figures"]
        assert (found["size"], found["shape"]) == (size, [summary.target.shape])
        assert figures["max"] == str(summary.max)
        assert figures["share"] == to_builtins(summary.share)
        assert figures["rim"] == (summary.rim and summary.rim.short)
        ledger = {row.layer: row for row in padviz.uneven(source, tuple(size)).layers}
        assert {row["layer"] for row in facts["records"][found["ledger"]].values()} == {*ledger}
    assert facts["sizes"][facts["base"]] == [*shown]
    for size, audit in zip(facts["sizes"], facts["audits"], strict=True):
        expected = padviz.audit(source, tuple(size))
        assert (audit["size"], audit["border"]) == (size, expected.border)
        assert audit["outcome"]["share"] == to_builtins(expected.outcome.share)
        assert audit["target"] == [padviz.usage(source, tuple(size)).target.layer]
        remedied = [facts["maps"][found] if isinstance(found, int) else found for found in audit["maps"]]
        for remedy, found in zip(expected.remedies, remedied, strict=True):
            assert found["size"] == remedy.outcome.size
            assert found["figures"]["share"] == to_builtins(remedy.outcome.share)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "branching_net", raising=False)
    Path("branching_net.py").write_text(BRANCHING)
    import branching_net

    return branching_net.Net()


@pytest.mark.parametrize("shown", SIZES[1:3])
def test_a_module_that_branches_on_its_size_is_followed_at_each(module: Any, shown: Any) -> None:
    page = padviz.explore(module, [shown, *SIZES], padding=["zero", "reflect"])
    is_of(facts_of(page.html), module, SIZES, ["zero", "reflect"], shown)


@pytest.mark.parametrize("refused", [(32, 30), (64, 50)])
def test_a_size_that_a_module_refuses_has_a_reason_and_the_others_their_maps(module: Any, refused: Any) -> None:
    class Refusing(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            assert tuple(x.shape[-2:]) != refused, "no"
            return net(x)

    net = torch.nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")
    Refusing.net = net
    shown = (48, 30)
    facts = facts_of(padviz.explore(Refusing(), [shown, refused]).html)
    assert facts["paddings"][0] == "declared"
    reasons = {tuple(size): found.get("reason") for size, found in zip(facts["sizes"], _first(facts), strict=True)}
    assert reasons[shown] is None
    assert "its forward fails" in reasons[refused]
    with pytest.raises(padviz.PadvizError, match="its forward fails"):
        padviz.explore(Refusing(), [refused, shown])


def _first(facts: Any) -> list[Any]:
    """The map of each size under the first scheme."""
    found: list[Any] = facts["maps"][:: len(facts["paddings"])]
    return found


def test_a_file_is_read_at_each_size(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, (5, 3), (2, 1), (2, 0)), torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 3, (1, 2), (0, 1))
    )
    open_axes = {"x": {2: "h", 3: "w"}}
    path = tmp_path / "net.onnx"
    torch.onnx.export(
        net, (torch.zeros(1, 3, 40, 60),), path, input_names=["x"], dynamic_axes=open_axes, dynamo=False, verbose=False
    )
    sizes = [(40, 60), (33, 48), (60, 40)]
    page = padviz.explore(path, [(33, 48), *sizes], padding=["zero", "reflect"])
    is_of(facts_of(page.html), path, sizes, ["zero", "reflect"], (33, 48))


def test_a_page_in_a_shell_says_how_many_maps_it_has() -> None:
    for schemes, maps in ((["zero"], "1 map"), (["zero", "reflect"], "2 maps")):
        page = padviz.explore("vgg11", [64], padding=schemes)
        assert repr(page) == f"<Explorer VGG-11, {maps}, {len(page.html) / 1e6:.1f} MB>"
