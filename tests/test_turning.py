"""The law of the turned image: a network turned by 90 degrees turns all that padviz says of it."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import padviz
from padviz.axis.padding_modes import SCHEMES
from padviz.counting.coverage import coverage
from padviz.engine.limbs import to_ints
from padviz.exports.cards import FIGURES, card
from padviz.exports.record import records, result_of
from padviz.figures.maps import panels
from padviz.figures.maps.heatmap import heatmap
from padviz.figures.windows import field_boxes, ledger_bars
from padviz.geometry.one_layer import illustrate
from padviz.geometry.receptive_fields import fields_of_units
from padviz.geometry.tap_exposure import tap_exposure
from padviz.network.network import Network
from padviz.pages.payload import Contents, payload
from padviz.pages.planes import Shelf
from padviz.sources.toml.build import parse
from padviz.sources.toml.write import to_toml
from tests.cli.test_cli import run
from tests.strategies import networks
from tests.sweeps import every_third, examples, thirds
from tests.turning import settled, settled_audit, turned, turned_network, turned_text

CHOSEN: dict[str, tuple[list[dict[str, Any]], tuple[int, int]]] = {
    name: (case["layers"], tuple(case["size"]))
    for name, case in tomllib.loads((Path(__file__).parent / "turned.toml").read_text()).items()
}


class Pair:
    """A network and the same turned, in files of one name, and what commands say of both."""

    def __init__(self, folder: Path, network: Network, size: tuple[int, int]) -> None:
        self.folders = folder / "lying", folder / "standing"
        self.sizes = size, size[::-1]
        for place, each in zip(self.folders, (network, turned_network(network)), strict=True):
            place.mkdir()
            (place / "net.toml").write_text(to_toml(each))

    def said(self, command: str) -> tuple[str, str]:
        """What a command says of the network, and of the one that is turned; what it is asked is turned too."""
        return self._said(0, command), self._said(1, turned_text(command))

    def _said(self, which: int, command: str) -> str:
        height, width = self.sizes[which]
        put = {"MODEL": str(self.folders[which] / "net.toml"), "SIZE": f"{height}x{width}"}
        put["OUT"] = str(self.folders[which] / "out")
        words = [re.sub("|".join(put), lambda key: put[key[0]], word) for word in command.split()]
        result = run(*words)
        assert result.exit_code in (0, 2), result.output
        return result.stdout or result.stderr

    def counts(self) -> tuple[list[list[str]], list[list[str]]]:
        """The counts that a command wrote for both."""
        found = [[*csv.reader(io.StringIO((each / "out.csv").read_text()))] for each in self.folders]
        return found[0], found[1]


@contextmanager
def pair_of(steps: list[dict[str, Any]], size: tuple[int, int]) -> Iterator[Pair]:
    with TemporaryDirectory() as folder:
        yield Pair(Path(folder), laid(steps, size), size)


def laid(steps: list[dict[str, Any]], size: tuple[int, int]) -> Network:
    """The network of some steps, which have names or get them."""
    return parse({"layers": [{"name": f"l{i}", **step} for i, step in enumerate(steps)], "size": [*size]}, "net")


def objects(text: str) -> Any:
    found = json.loads(text)
    found.pop("files", None)
    for each in found.get("results", []):
        if "remedies" in each:
            settled_audit(each)
    if "differences" in found:
        found["differences"] = {
            f"{each['layer_a']}, {each['axis']}, {each['what']}": each for each in found["differences"]
        }
    return found


def rows(text: str) -> Any:
    """The rows of CSV, by layer and axis where each axis has its own: either may stand first."""
    found = [{key: cell.removeprefix("'") for key, cell in row.items()} for row in csv.DictReader(io.StringIO(text))]
    if not any("axis" in row for row in found):
        return found
    return {", ".join(row.get(key, "") for key in ("layer", "axis", "what")): row for row in found}


COMMANDS = {
    "usage": "MODEL --size SIZE -o OUT.csv --overwrite",
    "uneven": "MODEL --size SIZE --all",
    "sizes": "MODEL --axis height --size 9:60",
    "audit": "MODEL --size SIZE",
    "coverage": "MODEL --size SIZE -o OUT.csv --overwrite",
    "tiles": "MODEL --size SIZE",
    "uneven --taps": "MODEL --size SIZE",
    "layers": "MODEL --size SIZE",
    "diff": "MODEL --size SIZE --same",
}
DRAWN = {"compare": "MODEL --size SIZE --padding zero,circular/zero,reflect -o OUT.png --overwrite"}
WITHOUT_CSV = ("usage", "audit")


def agree(pair: Pair, command: str) -> None:
    """What a command says as JSON and as CSV is turned, and so are the counts that it writes."""
    asked = f"{command} {(COMMANDS | DRAWN)[command]}"
    for read, format_ in ((objects, "json"), (rows, "csv"))[: 1 if command in WITHOUT_CSV else 2]:
        lying, standing = pair.said(f"{asked} --format {format_}")
        if lying.startswith("padviz: "):
            assert standing.startswith("padviz: ")
            return
        assert settled(turned(read(lying))) == settled(read(standing))
    if "OUT.csv" in asked:
        lying_counts, standing_counts = pair.counts()
        assert [[*column] for column in zip(*lying_counts, strict=True)] == standing_counts


@pytest.mark.parametrize(("name", "command"), thirds(CHOSEN, [*COMMANDS, *DRAWN]))
def test_a_turned_network_turns_what_a_command_says(name: str, command: str) -> None:
    with pair_of(*CHOSEN[name]) as pair:
        agree(pair, command)


@pytest.mark.parametrize("command", COMMANDS)
@given(network=networks(most=4))
@examples(3)
def test_any_turned_network_turns_what_a_command_says(command: str, network: Any) -> None:
    with pair_of(*network) as pair:
        agree(pair, command)


@pytest.mark.parametrize("name", every_third(CHOSEN))
def test_tables_of_a_turned_network_are_turned(name: str) -> None:
    with pair_of(*CHOSEN[name]) as pair:
        for command in ("uneven", "uneven --taps", "layers", "diff"):
            lying, standing = pair.said(f"{command} {COMMANDS[command]}")
            assert lines(turned_text, lying) == lines(str, standing)
        lying, standing = pair.said(f"uneven {COMMANDS['uneven']} --format markdown")
        assert lines(turned_text, lying) == lines(str, standing)


def lines(turn: Callable[[str], str], text: str) -> list[str]:
    """The lines of a table with their cells, whichever axis stands first."""
    cells = [
        [turn(cell.strip()) for cell in re.split(r"  +|\|", line)]
        for line in text.splitlines()
        if not re.search("near padding|─", line)
    ]
    return sorted(json.dumps(sorted(settled(row), key=str)) for row in cells)


@pytest.mark.parametrize("scheme", [*SCHEMES, "zero/circular", "reflect/partial"])
@pytest.mark.parametrize("pixel", ["0,3", "2,1"])
def test_one_layer_on_a_turned_image_is_turned(scheme: str, pixel: str) -> None:
    shape = 5, 1 + scheme.count("i"), 1 + scheme.count("r")
    at = [int(each) for each in pixel.split(",")]
    lying, standing = (
        illustrate(*shape, size, mode) for size, mode in (((9, 10), scheme), ((10, 9), turned_text(scheme)))
    )
    for grids in ((lying.uses, standing.uses), (lying.taps(*at), standing.taps(*at[::-1]))):
        assert [[*column] for column in zip(*grids[0], strict=True)] == [[*row] for row in grids[1]]


def drawn(figure: Any) -> list[Any]:
    """What a picture shows: the images, and the bars, of each of its parts."""
    images = [
        image.get_array() for ax in figure.axes if not ax.get_label().startswith("<colorbar") for image in ax.images
    ]
    return [np.asarray(each) for each in images]


def bars(figure: Any) -> list[list[tuple[float, ...]]]:
    """The bars, or boxes, of each part of a picture: where they start, how far they go."""
    return [[(*each.get_xy(), each.get_width(), each.get_height()) for each in ax.patches] for ax in figure.axes]


@pytest.mark.parametrize("name", every_third(CHOSEN))
def test_pictures_of_a_turned_network_are_turned(name: str) -> None:
    steps, size = CHOSEN[name]
    network = laid(steps, size)
    both = [(network, size), (turned_network(network), size[::-1])]
    maps = [
        [
            *drawn(heatmap(padviz.usage(net, at))),
            *drawn(panels.compared([("a", padviz.usage(net, at))], "padding")),
            *drawn(heatmap(coverage(net, at))),
            *drawn(panels.taps(tap_exposure(net, at), "taps")),
        ]
        for net, at in both
    ]
    assert len(maps[0]) == len(maps[1]) > 3
    assert all(np.allclose(a.T, b, rtol=1e-12, equal_nan=True) for a, b in zip(*maps, strict=True))
    lying, standing = (bars(ledger_bars.padding(padviz.uneven(net, at), "net")) for net, at in both)
    assert lying == standing[::-1]
    fields = [{name: fields_of_units(net, at, name) for name in net.targets} for net, at in both]
    both_fields = (bars(field_boxes.fields(each, at, "net")) for each, (_, at) in zip(fields, both, strict=True))
    for lying, standing in zip(*both_fields, strict=True):
        swapped = sorted((y, x, tall, wide) for x, y, wide, tall in lying)
        np.testing.assert_allclose(swapped, sorted(standing), atol=1e-9)


class Opened(Shelf):
    """A shelf that shows what is put on it: lists of counts, what axes read, records."""

    def plane(self, limbs: Any) -> Any:
        return to_ints(limbs).tolist()

    def axis(self, made: Any) -> Any:
        return -1 if made is None or made.identity else [made.n_in, made.n_out, *made.strips]

    def record(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize("name", every_third(CHOSEN))
def test_the_explorer_of_a_turned_network_is_turned(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("padviz.pages.payload.Shelf", Opened)
    steps, size = CHOSEN[name]
    found = []
    for net, at in ((laid(steps, size), size), (turned_network(laid(steps, size)), size[::-1])):
        facts = payload(Contents([(at, net)], [None, "reflect", "partial"], 0))
        for audited in facts["audits"]:
            remedies = audited["remedies"]
            audited["maps"] = {each["what"]: shown for each, shown in zip(remedies, audited["maps"], strict=True)}
            assert [remedies[at]["needs"] for at in audited.pop("groups")] == [
                *dict.fromkeys(each["needs"] for each in remedies)
            ]
            settled_audit(audited)
        found.append(json.loads(json.dumps(facts, default=int)))
    assert settled(turned(found[0])) == settled(found[1])


@pytest.mark.parametrize("name", every_third(CHOSEN))
def test_an_export_of_a_turned_network_is_turned(name: str) -> None:
    with pair_of(*CHOSEN[name]) as pair:
        pair.said("export MODEL --size SIZE --what usage,coverage,uneven,taps --format json --jobs 1 -o OUT")
        found = [{record.what: record for record in records(each / "out")} for each in pair.folders]
        assert len(found[0]) == 4
        for what, record in found[0].items():
            other = found[1][what]
            assert settled(turned(record.figures)) == settled(other.figures)
            lying, standing = (json.loads(json.dumps(card(each))) for each in (record, other))
            for cell in (lying, standing):
                assert cell.pop("figures").startswith("<table")
            shown = [json.loads(json.dumps(FIGURES[what](result_of(each)))) for each in (record, other)]
            assert settled(turned(shown[0])) == settled(shown[1])
            for key in ("rank", "size"):
                assert settled(turned(lying[key])) == settled(standing[key])
            grids = [{name: {"grid": grid} for name, grid in each["taps"] or []} for each in (lying, standing)]
            assert turned(grids[0]) == grids[1]
            for each, figures in ((lying, record.figures), (standing, other.figures)):
                lines = [*map(tuple, each["ledger"] or [])]
                assert each["ledger"] is None or lines == uneven_lines(figures, lines)


def uneven_lines(figures: dict[str, Any], chosen: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The uneven layers of a ledger with what each reads, on the axis that a card chose where both are uneven."""
    found = []
    for layer in figures["layers"]:
        pairs = [
            (each["consumed"][0], each["consumed"][1] + each["overhang"]) for each in (layer["height"], layer["width"])
        ]
        uneven = [(layer["layer"], *pair, layer["convolution"]) for pair in pairs if pair[0] != pair[1]]
        found += [next((line for line in uneven if line in chosen), uneven[0])] if uneven else []
    return found
