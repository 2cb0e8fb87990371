"""Operations that move positions or join them, in all frameworks, told by the words that their names are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable

from padviz.errors import OptionError

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
MOVING = frozenset((
    "align", "argsort", "attention", "compress", "conv", "convolution", "corr", "correlation", "crop", "cum", "cummax",
    "cummin", "cumprod", "cumsum", "deform", "depth", "dft", "diag", "diagonal", "diff", "fft", "flip", "fliplr",
    "flipud", "fold", "gather", "grid", "gru", "if", "im", "index", "interpolate", "irfft", "kthvalue",
    "logcumsumexp", "loop", "lstm", "nms", "nonzero", "pad", "permute", "pixel", "pool", "pooling", "put", "resample",
    "resize", "reverse", "rfft", "rnn", "roi", "roll", "rot", "sample", "sampler", "scan", "scatter", "slice", "sort",
    "space", "stft", "strided", "suppression", "take", "top", "topk", "transpose", "tril", "trilu", "triu", "unfold",
    "unique", "unpool", "upsample", "warp",
))  # fmt: skip


def moves(op: str) -> bool:
    """Whether an operation, by its name, moves positions or joins them, and so does not act on each alone.

    >>> [op for op in ("roll", "max_unpool2d", "GatherND", "own.DeformConv", "own.Mystery", "lgamma") if moves(op)]
    ['roll', 'max_unpool2d', 'GatherND', 'own.DeformConv']
    """
    return not MOVING.isdisjoint(word.lower() for word in WORD.findall(op.rsplit(".", 1)[-1]))


def checked_neutral(ops: Iterable[str]) -> frozenset[str]:
    """What to treat as neutral, without anything that moves positions."""
    found = frozenset(ops)
    for op in sorted(filter(moves, found)):
        what = f"{op!r} moves positions or joins them, so it does not act on each position alone"
        raise OptionError(what, option="neutral", hint="`layer` NAME stops before it")
    return found
