"""The law of the turned image: a network turned by 90 degrees turns all that padviz says of it."""

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padviz
from padviz.counting.count import coverage
from padviz.engine.limbs import to_ints
from padviz.figures.maps import panels
from padviz.figures.maps.heatmap import heatmap
from padviz.figures.windows import field_boxes
from padviz.figures.windows.padding import ledger_bars
from padviz.geometry.ledger import tap_exposure
from padviz.geometry.one_layer import illustrate
from padviz.geometry.receptive_fields import fields_of_units
from padviz.network.network import Network
from padviz.network.padding_modes import SCHEMES
from padviz.pages.payload import payload
from padviz.pages.planes import Shelf
from padviz.sources.toml.write import to_toml
from tests.cli.test_cli import run
from tests.strategies import networks
from tests.sweeps import REST, examples
from tests.turning import (
    CHOSEN,
    Steps,
    laid,
    settled,
    settled_audit,
    settled_page,
    turned,
    turned_network,
    turned_text,
)

COMMANDS = {
    "usage": "MODEL --size SIZE -o OUT.csv --overwrite",
    "uneven": "MODEL --size SIZE --all",
    "sizes": "MODEL --axis height --size 9:60",
    "audit": "MODEL --size SIZE",
    "coverage": "MODEL --size SIZE -o OUT.csv --overwrite",
    "tiles": "MODEL --size SIZE",
    "taps": "MODEL --size SIZE",
    "layers": "MODEL --size SIZE",
    "diff": "MODEL --size SIZE --same",
}
DRAWN = {"compare": "MODEL --size SIZE --padding zero,circular/zero,reflect"}


def agree(steps: Steps, size: tuple[int, int], command: str) -> None:
    """What a command says as JSON of a turned network is turned, and so are the counts that it writes."""
    network, asked = laid(steps, size), f"{command} {(COMMANDS | DRAWN)[command]} --format json"
    lying, standing = (
        said(network, size, asked),
        said(turned_network(network), size[::-1], turned_text(asked)),
    )
    if lying[0].startswith("padviz: "):
        assert standing[0].startswith("padviz: ")
        return
    assert settled(turned(objects(lying[0]))) == settled(objects(standing[0]))
    assert [[*column] for column in zip(*lying[1], strict=True)] == standing[1]


def said(network: Network, size: tuple[int, int], command: str) -> tuple[str, list[list[str]]]:
    with TemporaryDirectory() as folder:
        model, out = Path(folder, "net.toml"), Path(folder, "out.csv")
        model.write_text(to_toml(network))
        put = {"MODEL": str(model), "SIZE": f"{size[0]}x{size[1]}", "OUT.csv": str(out)}
        result = run(*(put.get(word, word) for word in command.split()))
        assert result.exit_code in (0, 2), result.output
        return result.stdout or result.stderr, [
            *csv.reader(io.StringIO(out.read_text()))
        ] if out.exists() else []


def objects(text: str) -> Any:
    found = json.loads(text)
    found.pop("files", None)
    found["listed"] = found.pop("rows")  # which are no rows of an image
    if found["command"] == "audit":
        settled_audit(found)
    return found


# Each command on two networks, and on the others in `make soak`.
TURNED = [
    pytest.param(name, command, marks=REST if (i + j) % 6 else (), id=f"{name}-{command}")
    for j, command in enumerate([*COMMANDS, *DRAWN])
    for i, name in enumerate(CHOSEN)
]
SOME = [pytest.param(name, marks=REST if i % 6 else ()) for i, name in enumerate(CHOSEN)]


@pytest.mark.parametrize(("name", "command"), TURNED)
def test_a_turned_network_turns_what_a_command_says(name: str, command: str) -> None:
    agree(*CHOSEN[name], command)


@given(network=networks(most=4), command=st.sampled_from([*COMMANDS]))
@examples(15)
def test_any_turned_network_turns_what_a_command_says(command: str, network: Any) -> None:
    agree(*network, command)


@pytest.mark.parametrize("scheme", [*SCHEMES, "zero/circular", "reflect/partial"])
def test_one_layer_on_a_turned_image_is_turned(scheme: str) -> None:
    shape = 5, 1 + scheme.count("i"), 1 + scheme.count("r")
    lying, standing = (
        illustrate(*shape, (9, 10), scheme),
        illustrate(*shape, (10, 9), turned_text(scheme)),
    )
    pairs = [
        (lying.uses, standing.uses),
        *((lying.taps(*at), standing.taps(*at[::-1])) for at in ((0, 3), (2, 1))),
    ]
    for grid, other in pairs:
        assert [[*column] for column in zip(*grid, strict=True)] == [[*row] for row in other]


def drawn(figure: Any) -> list[Any]:
    parts = [ax for ax in figure.axes if not ax.get_label().startswith("<colorbar")]
    return [np.asarray(image.get_array()) for ax in parts for image in ax.images]


def bars(figure: Any) -> list[list[tuple[float, ...]]]:
    """The bars, or boxes, of each part of a picture: where they start, how far they go."""
    return [
        [(*each.get_xy(), each.get_width(), each.get_height()) for each in ax.patches]
        for ax in figure.axes
    ]


@pytest.mark.parametrize("name", SOME)
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
    lying, standing = (bars(ledger_bars(padviz.uneven(net, at), "net")) for net, at in both)
    assert lying == standing[::-1]
    fields = [{name: fields_of_units(net, at, name) for name in net.targets} for net, at in both]
    both_fields = (
        bars(field_boxes.fields(each, at, "net"))
        for each, (_, at) in zip(fields, both, strict=True)
    )
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


@pytest.mark.parametrize("name", SOME)
def test_the_explorer_of_a_turned_network_is_turned(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("padviz.pages.payload.Shelf", Opened)
    steps, size = CHOSEN[name]
    found = []
    for net, at in ((laid(steps, size), size), (turned_network(laid(steps, size)), size[::-1])):
        facts = payload([(at, net)], [None, "reflect", "partial"], 0)
        for audited in facts["audits"]:
            remedies = audited["remedies"]
            audited["maps"] = {
                each["what"]: shown for each, shown in zip(remedies, audited["maps"], strict=True)
            }
            named = {audited["best"], audited["to_try"], *audited["alike"]}
            suggested = {remedies[at]["what"] for at in audited.pop("suggested")}
            assert suggested == named & {each["what"] for each in remedies}
            settled_page(audited)
        found.append(json.loads(json.dumps(facts, default=int)))
    assert settled(turned(found[0])) == settled(found[1])
