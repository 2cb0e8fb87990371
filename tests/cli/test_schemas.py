"""One schema for the JSON of all commands: its head, its rows, and how they are joined."""

import csv
import io
import json
from typing import Any

import pytest

from examples.join import SHARED, joined, records
from tests.cli.test_cli import run
from tests.cli.test_cli_foreign import plain

HEAD = ["schema_version", "padviz", "command", *SHARED]
MODEL = "model.onnx --size 32x48"
TEN = {
    "usage": f"{MODEL} --no-picture",
    "coverage": f"{MODEL} --no-picture",
    "compare": f"{MODEL} --padding declared,reflect",
    "audit": MODEL,
    "uneven": f"{MODEL} --all",
    "taps": MODEL,
    "layers": MODEL,
    "check": f"{MODEL} --rim 40",
    "tiles": MODEL,
    "filters": MODEL,
}


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The JSON of ten commands about one network at one size, and the rows of their CSV."""
    found = []
    with pytest.MonkeyPatch.context() as here:
        here.chdir(tmp_path_factory.mktemp("ten"))
        plain("model.onnx")
        for command, words in TEN.items():
            asked = [command, *words.split()]
            facts = json.loads(run(*asked, "--format", "json").stdout)
            listed = csv.DictReader(io.StringIO(run(*asked, "--format", "csv").stdout))
            found.append({**facts, "csv": [*listed]})
    return found


def test_all_begin_with_the_same_keys(ten: list[dict[str, Any]]) -> None:
    assert [facts["command"] for facts in ten] == [*TEN]
    for facts in ten:
        assert [*facts][: len(HEAD)] == HEAD
        assert facts["network"] == "model"
        assert facts["size"] == [32, 48]


def test_rows_and_csv_have_the_same_keys(ten: list[dict[str, Any]]) -> None:
    for facts in ten:
        assert len(facts["rows"]) == len(facts["csv"]) > 0
        for row, cells in zip(facts["rows"], facts["csv"], strict=True):
            assert {*cells} == {*SHARED, *row}
            assert [*cells][:3] == [*SHARED]
            assert cells["size"] == "x".join(map(str, {**facts, **row}["size"]))


def test_ten_commands_join_without_a_special_case(ten: list[dict[str, Any]]) -> None:
    by_network = joined(ten)
    (today,) = [found for found in by_network.values() if len(found) == len(TEN)]
    # The same thing has the same figure under the same key.
    for first in records(ten[0]):
        for command in ("compare", "audit"):
            (same, *_) = today[command]
            shared = {*first} & {*same} - {"command", "notes", "csv"}
            assert "starved" in shared
            assert {key: first[key] for key in shared} == {key: same[key] for key in shared}
    by_layer = joined(ten, "layer")
    together = [{*found} for key, found in by_layer.items() if key[-1] == '"a"']
    assert {"layers", "uneven", "taps", "filters"} <= set().union(*together)
