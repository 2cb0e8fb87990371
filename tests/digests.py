"""Digests of what padviz says of many networks, to name what a change of the code moves.

    python -m tests.digests FILE.json [PART ...]    writes them, for all parts or for some
    python -m tests.digests OLD.json NEW.json       names each figure that differs

The parts are the zoo, random modules, ONNX graphs, and the atlas: one network of timm or torchvision
for each of its rows, and for those that it could not read. All take 15 to 20 minutes and 3 GB.
"""

import contextlib
import hashlib
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

import padviz
from experiments import atlas_networks
from experiments.atlas import read
from padviz.advice.atlas import atlas
from padviz.network.sizes import layer_rows
from tests.sources import test_onnx_ops, test_random_modules

Size = tuple[int, ...]
Load = Callable[[], padviz.Network]
Case = tuple[str, Load, list[Size]]
Rows = dict[str, dict[str, Any]]
HERE = ("timm", "torchvision")
ODD = 13  # pixels beyond the own size of a network, at which one of each family is read too


def digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def figures(network: padviz.Network) -> dict[str, Any]:
    """What padviz says of a network at its size; counts are summed over all last maps, so whole numbers."""
    usage = padviz.usage(network, heads="sum")
    target = usage.summary().target
    rims = usage.rims
    row = {
        "targets": [target.layer, target.shape],
        "rim": rims and [*rims[0].depths],
        "overused rim": rims and [*rims[1].depths],
        "layers": digest(layer_rows(network, network.size)),
        "counts": digest(usage.counts.tolist()),
    }
    if network.again is None:
        around = f"{network.size[0] - 20}:{network.size[0] + 20}"
        row["sizes"] = digest(padviz.sizes(network, around).to_rows())
    return row


def zoo() -> Iterator[Case]:
    for row in padviz.networks():
        own = tuple(row.size)
        odd, larger = (tuple(n + more for n in own) for more in (ODD, 100))
        yield f"zoo {row.network}", partial(padviz.load, row.network), [own, odd, larger]


def random_modules() -> Iterator[Case]:
    for seed in test_random_modules.SEEDS:
        steps, size = test_random_modules.drawn(seed)
        module = nn.Sequential(*(spelled for spelled, _ in steps))
        draw = test_random_modules.Draw(seed)
        sizes: list[Size] = [size, draw.pair(3, 20), draw.pair(3, 20)]
        yield f"random {seed}", partial(padviz.load, module, size), sizes


def onnx_graphs() -> Iterator[Case]:
    parts = {
        "linear": test_onnx_ops.GRAPHS,
        "means": test_onnx_ops.MEANS,
        "layers": test_onnx_ops.LAID,
        "times": test_onnx_ops.TIMES,
        "seen": test_onnx_ops.SEEN,
        "refused": test_onnx_ops.REFUSED,
    }
    for part, graphs in parts.items():
        for name, opset, body in graphs:
            yield f"onnx {part} {name}", partial(_graph, opset, body), [(6, 8), (8, 10)]


def _graph(opset: str, body: str) -> padviz.Network:
    model = test_onnx_ops.model_of(body, int(opset.split()[0]))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return padviz.load(test_onnx_ops.saved(model, Path()), (6, 8))


def atlas_rows() -> Iterator[Case]:
    families = set[str]()
    for row in atlas():
        library = next((each for each in HERE if each in row.names), None)
        if library is None:
            continue
        size = (row.size, row.size)
        sizes: list[Size] = [size]
        if row.family not in families:
            families.add(row.family)
            sizes.append((row.size + ODD, row.size + 2 * ODD + 1))
        name = row.names[library][0]
        yield f"atlas {library} {name}", partial(_built, library, name, size), sizes
    text = Path(padviz.__file__).parent.joinpath("advice", "atlas.json").read_bytes()
    known = {(one.library, one.name): one.size for one in atlas_networks.entries([*HERE])}
    for each in msgspec.json.decode(text)["not_read"]:
        library, name = each[:2]
        if (library, name) in known:
            size = known[library, name]
            yield f"not read {library} {name}", partial(_built, library, name, size), [size]


def _built(library: str, name: str, size: tuple[int, int]) -> padviz.Network:
    return read(atlas_networks.Entry(library, name, "", size))[0]


PARTS: dict[str, Callable[[], Iterator[Case]]] = {
    "zoo": zoo,
    "random": random_modules,
    "onnx": onnx_graphs,
    "atlas": atlas_rows,
}


def rows_of(case: Case) -> Rows:
    """The figures at each size, or the first line of why there are none."""
    name, load, sizes = case
    rows: Rows = {}
    network = None
    for size in sizes:
        try:
            network = network or load()
            row = figures(network.at(size))
        except Exception as error:
            row = {"refused": f"{type(error).__name__}: {error}".partition("\n")[0]}
        rows[f"{name} at {size}"] = row
    return rows


def differences(old: Rows, new: Rows) -> Iterator[str]:
    """A line for each figure that differs, and for each row that only one of the two has."""
    for name in old | new:
        if name not in new:
            yield f"{name}: only in the old file"
        elif name not in old:
            yield f"{name}: only in the new file"
        else:
            for key in old[name] | new[name]:
                before, after = old[name].get(key), new[name].get(key)
                if before != after:
                    yield f"{name}, {key}: {before} -> {after}"


def main(arguments: list[str]) -> int:
    files = [Path(each) for each in arguments if each.endswith(".json")]
    if len(files) == 2:
        lines = [*differences(*(json.loads(file.read_text()) for file in files))]
        print("\n".join([*lines, f"{len(lines)} differ"]))
        return int(bool(lines))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    start, rows = time.monotonic(), Rows()
    for part in arguments[1:] or PARTS:
        for number, case in enumerate(PARTS[part](), 1):
            rows |= rows_of(case)
            if number % 20 == 0:
                print(part, number, f"{time.monotonic() - start:.0f} s", file=sys.stderr)
    files[0].write_text(json.dumps(rows, indent=0, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
