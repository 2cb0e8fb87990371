"""Operations that move positions or join them, in all frameworks, told by the words that their names are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable

from padviz.errors import OptionError

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
MOVING = frozenset((
    "adjoint", "align", "argsort", "attention", "cdist", "cholesky", "chunk", "compress", "conv", "convolution",
    "corr", "correlation", "crop", "cum", "cummax", "cummin", "cumprod", "cumsum", "deform", "depth", "det", "dft",
    "diag", "diagonal", "diff", "dsplit", "dstack", "eig", "fbgemm", "fft", "flip", "fliplr", "flipud", "fold",
    "foreach",
    "gather", "geqrf", "grid", "gru", "hsplit", "hstack", "if", "im", "index", "inner", "interpolate", "inv",
    "inverse", "irfft", "kron", "kthvalue", "linalg", "lobpcg", "logcumsumexp", "logdet", "logsumexp", "loop",
    "lowrank", "lstm", "lstsq", "lu", "matmul", "matrix", "nms", "nonzero", "outer", "pad", "pdist", "permute",
    "pinverse", "pixel", "pool", "pooling", "put", "qr", "resample", "resize", "reverse", "rfft", "rnn", "roi", "roll",
    "rot", "sample", "sampler", "scan", "scatter", "searchsorted", "select", "slice", "slogdet", "softmax", "solve",
    "sort", "space", "split", "stack", "stft", "strided", "suppression", "svd", "svdvals", "take", "top", "topk",
    "transpose", "trapezoid", "trapz", "tril", "trilu", "triu", "unbind", "unfold", "unique", "unpool", "upsample",
    "vecdot", "vsplit", "vstack", "warp",
))  # fmt: skip


def moves(op: str) -> bool:
    """Tell whether an operation, by its name, moves positions or joins them, and so is not elementwise.

    >>> [op for op in ("roll", "max_unpool2d", "GatherND", "own.DeformConv", "own.Mystery", "lgamma") if moves(op)]
    ['roll', 'max_unpool2d', 'GatherND', 'own.DeformConv']
    """
    return not MOVING.isdisjoint(word.lower() for word in WORD.findall(op.rsplit(".", 1)[-1]))


def checked_neutral(ops: Iterable[str]) -> frozenset[str]:
    """Check what to treat as neutral: nothing in it moves positions."""
    neutral = frozenset(ops)
    for op in sorted(filter(moves, neutral)):
        what = f"{op!r} moves positions or joins them, so it is not elementwise"
        raise OptionError(what, option="neutral", hint="`layer` NAME stops before it")
    return neutral
