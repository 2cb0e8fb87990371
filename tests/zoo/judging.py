"""Judges how padviz reads a module: its support against the module's own gradients, its counts where those can be."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

import padviz
from padviz.network.targets import last_maps
from tests.torch_calls import count
from tests.zoo.support import run

Size = tuple[int, int]
LONGEST = 80  # characters of why there are no counts


class Judgement(NamedTuple):
    """What came out for one network: how it was held, in words, and how long it took to load (s of a core)."""

    verdict: str  # "counts", "support", "refused", "wrong", "not judged"
    words: str
    seconds: float


def judge(build: Callable[[], nn.Module], sizes: Sequence[Size], channels: int = 3) -> Judgement:
    """Load a module at its first size, and hold it at every size."""
    start = time.process_time()
    try:
        network = padviz.load(build().eval(), size=sizes[0])
        seconds = time.process_time() - start
        taken = [size for size in sizes if size == sizes[0] or _takes(build, size, channels)]
        held = {_hold(build, network.at(size), size, channels) for size in taken}
    except padviz.PadvizError as error:
        return Judgement("refused", str(error), time.process_time() - start)
    worst = next(each for each in ("wrong", "not judged", "support", "counts") if any(v == each for v, _ in held))
    words = "; ".join(sorted(w for v, w in held if v == worst and w))
    return Judgement(worst, words, seconds)


def _takes(build: Callable[[], nn.Module], size: Size, channels: int) -> bool:
    """Whether the module itself takes images of a size."""
    try:
        with torch.no_grad():
            build().eval()(torch.zeros((1, channels, *size)))
    except Exception:
        return False
    return True


def _hold(build: Callable[[], nn.Module], network: padviz.Network, size: Size, channels: int) -> tuple[str, str]:
    try:
        expected, _ = count(build(), size, channels)
        counts = padviz.usage(network, size=size).counts.astype(np.float64)
        if np.allclose(counts, expected, rtol=1e-9, atol=0):
            return "counts", ""
        why = "counts differ"
    except Exception as error:  # the counting oracle knows few functions; the support decides
        why = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]
    verdict, words = _hold_support(build, network, size, channels)
    return verdict, "; ".join(filter(None, (words, f"no counts: {why}")))


def _hold_support(
    build: Callable[[], nn.Module], network: padviz.Network, size: Size, channels: int
) -> tuple[str, str]:
    ran = run(build(), size, channels)
    heads, judged = network.targets or last_maps(network), 0
    for head in heads:
        height, width = padviz.usage(network, size=size, layer=head).target.shape
        shape = height, width
        last = ran.map_of(head, shape)
        if last is None:
            continue
        judged += 1
        for unit in (None, (0, 0), (shape[0] // 2, shape[1] // 3), (shape[0] - 1, shape[1] - 1)):
            found = padviz.usage(network, size=size, layer=head, unit=unit).counts > 0
            expected = ran.reads(last, unit, shape)
            if not np.array_equal(found, expected):
                if network.gates and not (found & ~expected).any():
                    return "not judged", f"what goes through {len(network.gates)} global vectors is left out"
                more, less = int((found & ~expected).sum()), int((expected & ~found).sum())
                return "wrong", f"{head} {unit} at {size}: {more} px more and {less} px less than its gradient"
    return ("support", "") if judged == len(heads) else ("not judged", f"{judged} of {len(heads)}")
