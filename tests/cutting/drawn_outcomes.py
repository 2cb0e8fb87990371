"""What becomes of random networks that are cut: the whole's output, a line that names a layer, or neither.

python -m tests.cutting.drawn_outcomes 1000 --first 0
python -m tests.cutting.drawn_outcomes 300 --streams
python -m tests.cutting.drawn_outcomes 300 --axes 3
"""

from __future__ import annotations

import argparse
import re
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import ceil
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import padviz
from padviz.cutting.plan import LayerPlan
from padviz.cutting.running import try_by_layer
from padviz.cutting.streaming import Streamed
from padviz.errors import OptionError, PadvizError
from tests.cutting.drawn_networks import TOLERANCE, Drawn, apart, drawn_network
from tests.cutting.drawn_signals import drawn_stream
from tests.cutting.drawn_writes import TOLERANCES, drawn_with_writes


class Outcome(NamedTuple):
    """What one way to cut a network came to: "exact", "refused" or "wrong", and why."""

    road: str
    verdict: str
    why: str = ""


def _tried(
    drawn: Drawn, road: str, run: Callable[[], Any], tolerance: float = TOLERANCE
) -> Outcome:
    """Run a network that is cut, and compare."""
    try:
        output = run()
    except PadvizError as error:
        return _refused(drawn, road, error)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
        return Outcome(road, "wrong", f"raises {type(error).__name__}: {error} ({where})")
    difference = apart(drawn.whole, output)
    if difference < tolerance:
        pairs = zip(tree_leaves(drawn.whole), tree_leaves(output), strict=True)
        if any(uneven(one, other) for one, other in pairs):
            return Outcome(road, "wrong", "differs in one row alone")
        return Outcome(road, "exact")
    return Outcome(road, "wrong", f"differs by {difference:.1g} of the largest")


def _refused(drawn: Drawn, road: str, error: PadvizError) -> Outcome:
    """Return why a network is refused, and whether that names a layer."""
    line = str(error)
    # An error of the run itself; a stream's forward may make tensors of all samples, or count them.
    if road != "stream" and re.search(r"cannot be cut: \w+Error", line):
        return Outcome(road, "wrong", line)
    named = any(name in line for name, _ in drawn.model.named_children())
    return Outcome(road, "refused" if named else "refused without a layer", line)


def _with_less_memory(model: nn.Module, plan: LayerPlan) -> LayerPlan | None:
    """Return a plan that stores fewer maps, if there is one."""
    assert plan.segments is not None
    for share in (0.4, 0.6, 0.8):
        with suppress(OptionError):
            return try_by_layer(model, plan, share * plan.segments.chosen.bytes / 1e6)
    return None


@torch.no_grad()
def cut(drawn: Drawn, most: int = 99) -> list[Outcome]:
    """Cut a network into tiles and among shards, in at most so many ways of each; a road ends where it is refused."""
    _, model, x, size = drawn.draw, drawn.model, drawn.x, tuple(drawn.x.shape[2:])
    outcomes = []
    odd = drawn.draw.between(size[0] // 5, size[0]), drawn.draw.between(size[1] // 5, size[1])
    tilings = [
        (ceil(size[0] / 2), ceil(size[1] / 2)),
        (ceil(size[0] / 3), ceil(size[1] / 2)),
        odd,
    ]
    for tile in tilings[:most]:
        try:
            plan = padviz.tiles(model, size, tile, norms="shared").plan
            assert isinstance(plan, LayerPlan)
        except PadvizError as error:
            # a plan that was made is tried on the module before it is returned
            road = "dry run" if "cannot be cut" in str(error) else "plan"
            outcomes.append(_refused(drawn, road, error))
            break
        except Exception as error:
            outcomes.append(Outcome("plan", "wrong", f"raises {type(error).__name__}: {error}"))
            break
        outcomes.append(_tried(drawn, "tiles", lambda plan=plan: padviz.tiled(model, x, plan)))
        if plan.untried:
            outcomes.append(Outcome("untried", "exact", plan.untried))
        elif less := _with_less_memory(model, plan):
            run = partial(padviz.tiled, model, x, less)
            outcomes.append(_tried(drawn, "less memory", run))
    for axis in ("height", "width"):
        for n in drawn.draw.numbers.permutation([2, 3, 4, 5, 6, 7])[: min(most, 3)]:
            run = partial(padviz.sharded, model, x, int(n), axis=axis)
            outcomes.append(_tried(drawn, f"shards, {axis}", run))
    return outcomes


def verdict_of(outcomes: Sequence[Outcome]) -> str:
    """Return what a network came to in all: wrong, refused by the plan, refused later, or exact."""
    if any(outcome.verdict == "wrong" for outcome in outcomes):
        return "wrong"
    refusals = [outcome.road for outcome in outcomes if outcome.verdict != "exact"]
    if "plan" in refusals:
        return "refused by the plan"
    if refusals:
        return "planned, then refused"
    return "exact"


def cause(line: str) -> str:
    """Return a line without the names and numbers that belong to one network."""
    line = re.sub(r"\b[a-z_]+_\d+(\.[\w.]+)?", "LAYER", line)
    return re.sub(r"\d+", "N", line)


@torch.no_grad()
def chunked(drawn: Drawn) -> list[Outcome]:
    """Run a network on a signal in chunks of several lengths."""
    outcomes = []
    for chunk in (1, drawn.draw.between(2, 30), 64):

        def run(chunk: int = chunk) -> Tensor:
            stream = padviz.streamed(drawn.model, chunk)
            return torch.cat([*map(stream, drawn.x.split(chunk, -1)), stream.flush()], -1)

        outcomes.append(_tried(drawn, "stream", run))
    return outcomes


def uneven(one: Tensor, other: Tensor) -> bool:
    """Return whether one row differs ten times more than all others, and by more than rounding."""
    difference = (one - other).abs()
    for dim in range(2, one.ndim):
        others = [each for each in range(one.ndim) if each != dim]
        rows = difference.amax(others).sort(descending=True)[0]
        rounding = 100 * torch.finfo(one.dtype).eps * float(one.abs().max())
        if len(rows) > 1 and float(rows[0]) > max(10 * float(rows[1]), rounding):
            return True
    return False


def cut_along_axes(drawn: Drawn) -> list[Outcome]:
    """Cut a network with writes by plain plans, shared norms, shards and streams; a third of all
    seeds under inference mode.
    """
    model, x, size = drawn.model, drawn.x, tuple(drawn.x.shape[2:])
    tile = tuple(drawn.draw.between(n // 4, n - 1) for n in size)
    names = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}[len(size)]

    def in_tiles(norms: str | None) -> Any:
        plan = padviz.tiles(model, size, tile, norms=norms).plan
        assert plan is not None
        return padviz.tiled(model, x, plan)

    roads: dict[str, Callable[[], Any]] = {
        "shared norms": partial(in_tiles, "shared"),
        "plain tiles": partial(in_tiles, None),
    }
    for name in names:
        n = drawn.draw.between(2, 5)
        roads[f"shards, {name}"] = partial(padviz.sharded, model, x, n, axis=name)
    if len(size) == 1:
        stream = Streamed(model)
        chunks = x.split(drawn.draw.between(3, 40), -1)
        roads["stream"] = lambda: torch.cat([*map(stream, chunks), stream.flush()], -1)
    mode = torch.inference_mode if drawn.seed % 3 == 0 else torch.no_grad
    outcomes = []
    for road, run in roads.items():
        tolerance = TOLERANCES[x.dtype]
        if road == "plain tiles" and x.dtype == torch.float32:
            tolerance *= 10  # PyTorch rounds the weights of a resize by the place in the map
        with mode():
            outcomes.append(_tried(drawn, road, run, tolerance))
    return outcomes


def main() -> None:
    """Cut random networks, and count what becomes of them by cause."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("networks", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--streams", action="store_true")
    parser.add_argument("--axes", type=int, choices=(1, 2, 3))
    given = parser.parse_args()
    verdicts, causes, roads = Counter[str](), Counter[str](), Counter[str]()
    for seed in range(given.first, given.first + given.networks):
        if given.axes:
            drawn = drawn_with_writes(seed, given.axes)
            outcomes = cut_along_axes(drawn)
        elif given.streams:
            drawn = drawn_stream(seed)
            outcomes = chunked(drawn)
        else:
            drawn = drawn_network(seed)
            outcomes = cut(drawn)
        verdicts[verdict_of(outcomes)] += 1
        roads.update({f"{outcome.road}: {outcome.verdict}" for outcome in outcomes})
        reasons = set()
        for outcome in outcomes:
            if outcome.verdict == "wrong":
                print(f"WRONG {seed}, {outcome.road}: {outcome.why}", flush=True)
            if outcome.verdict != "exact":
                reasons.add(f"{outcome.verdict}: {cause(outcome.why)}")
        causes.update(reasons)
    print(dict(verdicts), "of these", dict(roads))
    for reason, count in causes.most_common():
        print(f"{count:5} {reason}")


if __name__ == "__main__":
    main()
