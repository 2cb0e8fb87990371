"""The atlas: what padviz reads of every network of six libraries, each at its default size.

    python -m experiments.atlas .bench/atlas.jsonl --jobs 2
    python -m experiments.atlas_file .bench/atlas.jsonl padviz/advice/atlas.json -o docs/rims.png

The first keeps a line for each network as soon as it is read, and goes on from there when it is run
again. It ends with the rules of accepted and balanced sizes of one network of each family, and asks
that network whether it does what padviz says of it; where one does not, it exits with 1. The second
writes the file that the package has.

A network is built without weights, or with random ones where it reads them. It is read in a process
of its own, which may take two minutes of a core, and 2 GB beyond what the libraries take.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import astuple, is_dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import torch
from torch import nn

import padviz
from experiments.atlas_networks import MODULES, Entry, build, entries, load_library
from padviz.counting.count import usage
from padviz.cutting.context import barrier_of, contexts_of
from padviz.errors import PadvizError
from padviz.geometry.balance.case import Case
from padviz.geometry.receptive_fields import receptive_fields, rounded_offset
from padviz.geometry.sizing.at_size import at_size
from padviz.network.layer import MERGES
from padviz.network.network import Network, Size
from padviz.network.operations import Window
from padviz.network.targets import head_weighting, output_layers, target_names, upto
from padviz.sources import load
from padviz.sources.tracing.reading import as_reading

SECONDS = 120  # of a core
MEMORY = 2 * 2**30  # bytes beyond those of the libraries
PATIENCE = 20 * SECONDS  # to wait for a process on a busy machine
LONGEST = 300  # characters of a reason
STEPS = 1, 64  # pixels to the other sizes at which two networks must be alike
SIDES = "64:256"
READINGS = (64, 96, 112, 120, 130, 132, 225, 256)  # the sides that are read
Row = dict[str, Any]


class Patches(Exception):
    """A network whose only convolution cuts the image into patches."""


def read(entry: Entry) -> tuple[Network, bool]:
    """Read a network at its default size, and return whether that took weights."""
    try:
        with torch.device("meta"):
            module = build(entry)
            if isinstance(module, Network):
                return module, False
            if _is_patches(module):
                raise Patches
            return _loaded(module, entry), False
    except Patches:
        raise
    except Exception:
        return _loaded(build(entry), entry), True


def _loaded(module: nn.Module, entry: Entry) -> Network:
    shape = None
    if entry.channels != 3:
        shape = {_image_name(module): (1, entry.channels, "H", "W")}
    network = load(module, entry.size, as_reading(shape=shape))
    for layer in upto(network, target_names(None, network)).layers:
        if layer.kind == "unknown":
            raise PadvizError(layer.note, where=layer.name)
    return network


def _image_name(module: nn.Module) -> str:
    code = type(module).forward.__code__
    return code.co_varnames[1]


def _is_patches(module: nn.Module) -> bool:
    """Whether every convolution of more than one pixel cuts the image into patches without overlap,
    and there is at most one.
    """
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d)
    windows = [part for part in module.modules() if isinstance(part, kinds)]
    wide = [part for part in windows if part.kernel_size not in (1, (1, 1))]
    if len(wide) > 1:
        return False
    return all(_pair(part.kernel_size) == _pair(part.stride) for part in wide)


def _pair(value: Any) -> tuple[int, ...]:
    if isinstance(value, int):
        return value, value
    return tuple(value)


def geometry(network: Network) -> str:
    """Return a key that networks share whose outputs read the same layers, here and at two more
    sizes.

    Names do not count, nor the order of layers, nor that of what is merged.
    """
    keys = []
    for step in (0, *STEPS):
        size = tuple(n + step for n in network.size)
        try:
            keys.append(_outputs(network.at(size), size))
        except PadvizError as error:
            keys.append(type(error).__name__)
    return _hash(keys)


def _outputs(network: Network, size: Size) -> str:
    """Return a key of what the outputs read: each layer's is made of its operation and its inputs'
    keys.
    """
    keys: list[str] = []
    for layer in network.layers:
        inputs = [keys[i] for i in layer.inputs]
        if layer.kind in MERGES:
            inputs.sort()
        like = None if layer.like is None else keys[layer.like]
        ops = [(type(op).__name__, *astuple(op)) if is_dataclass(op) else op for op in layer.ops]
        keys.append(_hash((layer.kind, inputs, ops, like, layer.everywhere)))
    names = *target_names(None, network), *output_layers(None, network)
    return _hash((size, sorted(keys[network.index[name]] for name in names)))


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def figures(network: Network) -> Row:
    """Return the figures of a network at its own size, as an audit states them."""
    size = network.size
    heads, targets = head_weighting(None, None, network), target_names(None, network)
    ends, network = upto(network, output_layers(None, network)), upto(network, targets)
    case = Case(network, size)
    row: Row = {"size": [*size], "targets": [*targets], "layers": len(network.layers) - 1}
    row |= _shares(network, size, heads)
    windows = [op for layer in network.layers for op in layer.ops[:1] if isinstance(op, Window)]
    row["windows"] = len(windows)
    row["uneven"] = [layer.layer for layer in case.uneven]
    row["uneven_pools"] = [layer.layer for layer in case.ledger.uneven_pools]
    row["remainders"] = len(case.ledger.remainders)
    row |= _fields(network, size)
    row |= _context(ends, size)
    return row


def _shares(network: Network, size: Size, heads: str) -> Row:
    try:
        summary = usage(network, size, heads=heads).summary()
    except PadvizError as error:
        return dict.fromkeys(("rim", "starved", "overused")) | {"no_share": str(error)[:LONGEST]}
    row: Row = {"rim": None, "starved": None, "overused": None, "no_share": summary.share_reason}
    if summary.rim is not None:
        row["rim"] = [*summary.rim.depths]
    if summary.share is not None:
        row["starved"] = round(summary.share.starved, 4)
        row["overused"] = round(summary.share.overused, 4)
    return row


def _fields(network: Network, size: Size) -> Row:
    """Return the strides of the targets, and the field and the offset of the one that sees most."""
    row: Row = {"strides": [], "field": None, "offset": None, "no_field": None, "no_offset": None}
    try:
        fields = {field.layer: field for field in receptive_fields(network, size)}
    except PadvizError as error:
        return row | {"no_field": str(error)[:LONGEST]}
    widest: list[int] = []
    for name in network.targets:
        if name not in fields:
            row["no_field"] = "the target is the image"
            continue
        axes = [*fields[name].axes.values()]
        strides = [axis.stride for axis in axes if axis.stride is not None]
        stride = None
        if len(strides) == len(axes):
            stride = float(max(strides))
        row["strides"].append(stride)
        sizes = [axis.size for axis in axes]
        if sizes < widest:
            continue
        widest = sizes
        whole = any(axis.whole for axis in axes)
        row["field"], row["no_field"] = (None, "whole image") if whole else (sizes, None)
        offsets = fields[name].offsets
        row["offset"] = [n if n is None else rounded_offset(n) for n in offsets]
        row["no_offset"] = "branches" if fields[name].parts_at else None
    return row


def _context(network: Network, size: Size) -> Row:
    """Return the context of tiles, or the layer that lets none be exact."""
    row: Row = {"context": None, "alignment": None, "no_context": None, "barrier": None}
    try:
        contexts = contexts_of(network, size)
    except PadvizError as error:
        return row | {"no_context": str(error)[:LONGEST]}
    barrier = barrier_of(network, contexts)
    if barrier is not None:
        return row | {"no_context": barrier.why[:LONGEST], "barrier": barrier.layer}
    by_axis = [*zip(*contexts, strict=True)]
    row["context"] = [
        side
        for heads in by_axis
        for side in (max(one.before for one in heads), max(one.after for one in heads))
    ]
    row["alignment"] = [heads[0].alignment for heads in by_axis]
    return row


def row_of(entry: Entry, known: set[str]) -> Row:
    """Return the row of a network: its figures, or only the key of a geometry that is known."""
    try:
        network, weights = read(entry)
    except Patches:
        return {"outcome": "patches"}
    key = geometry(network)
    row = {"outcome": "read", "key": key, "weights": weights}
    if key in known:
        return row
    return row | figures(network)


def sizes_of(entry: Entry, known: set[str]) -> Row:
    """Return the rules of the sizes that a network accepts, and of balanced ones.

    Those of its layers hold at all sizes; the network itself is read at eight.
    """
    network, _ = read(entry)
    layers = replace(network, again=None)
    row: Row = {"outcome": "sizes", "sides": SIDES, "readings": READINGS}
    at = {side: at_size(network, (side, side))[0] for side in READINGS}
    row["accepted"] = accepted_rule([side for side in READINGS if at[side].accepted])
    rule = padviz.sizes(layers, SIDES).height.balanced.rule
    as_layers = {side: at_size(layers, (side, side))[0] for side in READINGS}
    alike = all(at[side].even == as_layers[side].even for side in at if at[side].accepted)
    row["balanced"] = rule if alike and row["accepted"] else None
    return row


def asked_of(entry: Entry, known: set[str]) -> Row:
    """Return what a network with random weights says of what padviz reads."""
    found = padviz.verify(build(entry), entry.size)
    row: Row = {"outcome": "asked", "holds": found.holds}
    if found.finding:
        row["why"] = f"{found.finding.layer} {found.finding.words}"[:LONGEST]
        row["wrong"] = True
    return row


def accepted_rule(sides: Sequence[int]) -> str | None:
    """Return the rule of the sizes that are accepted among those that are read, if it is a power of
    two.

    >>> accepted_rule(READINGS), accepted_rule([64, 96, 256]), accepted_rule([225])
    ('every size', '32*i', None)
    """
    for power in range(7):
        step = 2**power
        if [*sides] == [side for side in READINGS if side % step == 0]:
            return "every size" if step == 1 else f"{step}*i"
    return None


Make = Callable[[Entry, set[str]], Row]
LATER: dict[Make, str] = {sizes_of: "sizes", asked_of: "asked"}  # of one network of each family


def _answer(make: Make, entry: Entry, known: set[str], pipe: Connection) -> None:
    """Send the row of a network, from within its own process."""
    torch.set_num_threads(1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    warnings.simplefilter("ignore")
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # of libraries that greet
    try:
        row = make(entry, known)
    except PadvizError as error:
        row = {"outcome": "refused", "why": str(error)[:LONGEST]}
    except MemoryError:
        row = {"outcome": "stopped", "why": f"more than {MEMORY >> 30} GB"}
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        row = {"outcome": "refused", "why": f"it cannot be built: {text}"[:LONGEST]}
        if "can't allocate memory" in text or "Cannot allocate memory" in text:
            row = {"outcome": "stopped", "why": f"more than {MEMORY >> 30} GB"}
    pipe.send(row | {"seconds": round(time.process_time(), 2)})


def apart(make: Make, entry: Entry, known: set[str]) -> Row:
    """Return the row of a network from a process of its own, or why it was stopped."""
    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=_answer, args=(make, entry, known, send), daemon=True
    )
    process.start()
    send.close()
    why = f"more than {PATIENCE} s of waiting"
    try:
        if receive.poll(PATIENCE):
            row: Row = receive.recv()
            return row
    except EOFError:
        process.join()
        why = "the process died"
        if process.exitcode == -signal.SIGXCPU:
            why = f"more than {SECONDS} s"
    finally:
        process.kill()
        process.join()
    return {"outcome": "stopped", "why": why, "seconds": float(SECONDS)}


def kept(path: Path) -> list[Row]:
    """Return the rows that a file has; a last line that was cut off is taken away."""
    if not path.exists():
        return []
    text = path.read_text()
    if not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        path.write_text(text)
    return [json.loads(line) for line in text.splitlines()]


def name_of(row: Row) -> tuple[str, str]:
    return row["library"], row["name"]


def about(entry: Entry) -> Row:
    return {"library": entry.library, "name": entry.name, "family": entry.family}


def run(path: Path, todo: list[Entry], make: Make, known: set[str], jobs: int) -> None:
    """Add a line to a file for each network, as soon as it is read."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def one(entry: Entry) -> tuple[Entry, Row]:
        row = apart(make, entry, known)
        if make in LATER:  # also where it was stopped: the network itself was read
            row["outcome"] = LATER[make]
        return entry, row

    with ThreadPool(jobs) as pool, path.open("a") as lines:
        for done, (entry, row) in enumerate(pool.imap_unordered(one, todo), 1):
            known.add(row.get("key", ""))
            print(json.dumps(about(entry) | row), file=lines, flush=True)
            words = row.get("why", row.get("rim", ""))
            print(f"{done}/{len(todo)}", entry.library, entry.name, row["outcome"], words)


def leading(rows: list[Row]) -> set[tuple[str, str]]:
    """Return the library and name of the first network of each family that was read."""
    first: dict[str, tuple[str, str]] = {}
    for row in rows:
        if row["outcome"] == "read":
            first.setdefault(row["family"], (row["library"], row["name"]))
    return {*first.values()}


def main() -> int:
    """Read what is not read yet: all networks, then one of each family at other sizes; and ask it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", type=Path)
    parser.add_argument("--library", action="append", choices=MODULES)
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    libraries = options.library or [*MODULES]
    for library in libraries:
        load_library(library)
    padviz.usage("vgg11", 64)  # compiles what all processes use
    listed = [entry for entry in entries(libraries) if options.only in entry.name]
    gc.freeze()  # what all processes share is not copied by a collection in one of them
    for make in (row_of, *LATER):
        rows = kept(options.rows)
        outcome = LATER.get(make)
        done = {name_of(row) for row in rows if (outcome or row["outcome"]) == row["outcome"]}
        if outcome is None:
            todo = [entry for entry in listed if name_of(about(entry)) not in done]
        else:
            todo = [entry for entry in listed if name_of(about(entry)) in leading(rows) - done]
        known = {row["key"] for row in rows if "key" in row}
        run(options.rows, todo, make, known, options.jobs)
    return int(any("wrong" in row for row in kept(options.rows)))


if __name__ == "__main__":
    sys.exit(main())
