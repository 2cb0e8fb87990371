"""The slow truth: plain Python loops over taps and paths, which import nothing from padviz.

A network is a list of steps, dictionaries in the words of the TOML format without blocks or
branches: {"op": "conv", "name": "a", "from": "input", "kernel": [3, 3], ...}. Merges have a list in "from".
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

Step = dict[str, Any]
Size = tuple[int, int]
POOLS = ("maxpool", "avgpool", "adaptive", "global")
MERGES = ("add", "concat", "multiply")


def axis_of(value: Any, axis: int) -> Any:
    """The height's or the width's part of a value that may be given for both at once."""
    return value[axis] if isinstance(value, list) else value


def padding_of(step: Step, axis: int, n: int) -> tuple[int, int]:
    """Rows of padding before and after, as the step declares them at this size."""
    declared = step.get("padding", 0)
    declared = declared if isinstance(declared, str) else axis_of(declared, axis)
    if isinstance(declared, str):
        kernel, dilation = axis_of(step["kernel"], axis), axis_of(step.get("dilation", 1), axis)
        stride = axis_of(step.get("stride", 1), axis)
        extent = dilation * (kernel - 1) + 1
        total = (
            extent - 1
            if declared == "same"
            else max((ceil(n / stride) - 1) * stride + extent - n, 0)
        )
        half = total // 2
        return (total - half, half) if declared == "same_lower" else (half, total - half)
    return tuple(declared) if isinstance(declared, list) else (declared, declared)


def padded_axis(n: int, before: int, after: int, mode: str) -> list[int | None]:
    """The padded axis written out: at each place the row that it copies, or None for padding that reads nothing."""
    rows = list(range(n))
    if mode in ("zero", "partial"):
        return [*[None] * before, *rows, *[None] * after]
    front, back = COPIES[mode](rows, before), COPIES[mode](rows[::-1], after)
    assert (len(front), len(back)) == (before, after)
    return [*front[::-1], *rows, *back]


COPIES: dict[str, Callable[[list[int], int], list[int]]] = {
    "replicate": lambda rows, count: rows[:1] * count,
    "reflect": lambda rows, count: rows[1 : 1 + count],
    "symmetric": lambda rows, count: rows[:count],
    "circular": lambda rows, count: rows[::-1][:count],
}  # what `count` rows in front of some rows copy, the nearest first; those behind see the rows from the other end


def padded(
    array: NDArray[Any], axis: int, pads: tuple[int, int], mode: str, fill: Any = 0
) -> NDArray[Any]:
    """An array padded along an axis; `fill` stands where padding reads nothing."""
    rows = padded_axis(array.shape[axis], *pads, mode)
    copied = np.moveaxis(np.take(array, [row or 0 for row in rows], axis), axis, 0)
    copied[[row is None for row in rows]] = fill
    return np.moveaxis(copied, 0, axis)


def window_reads(
    n: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], mode: str, up: bool
) -> Any:
    """For each output, the list of rows that its taps read; None where a tap reads nothing."""
    axis = padded_axis(n, *pads, mode)
    extent = dilation * (kernel - 1) + 1
    # up: the last one may overhang the end
    starts = list(range(0, len(axis) - extent + (stride if up else 1), stride))
    if up and starts and starts[-1] >= n + pads[0]:
        starts.pop()
    assert n >= 1 and starts, "too small"
    places = [[start + tap * dilation for tap in range(kernel)] for start in starts]
    return [[axis[place] if place < len(axis) else None for place in each] for each in places]


def reads(
    step: Step, axis: int, n: int, like: int | None = None
) -> list[list[tuple[int | None, Fraction]]]:
    """For each output of the step on one axis: (row read, weight of an average) for every tap."""
    kind = step["op"]
    if kind == "global" or kind == "adaptive":
        m = 1 if kind == "global" else axis_of(step["output"], axis)
        spans = [range(floor(Fraction(j * n, m)), ceil(Fraction((j + 1) * n, m))) for j in range(m)]
        return [[(i, Fraction(1, len(span))) for i in span] for span in spans]
    if kind == "convtranspose":
        return transposed_reads(step, axis, n)
    if kind == "resize":
        return resize_reads(step, axis, n, like)
    if kind == "crop":
        if like is not None:
            away, odd = abs(n - like), axis_of(step.get("odd", "end"), axis)
            # where an odd row is removed or added
            front = odd == "front" or odd == ("down" if like < n else "up")
            rows = (away + 1) // 2 if front else away // 2
            shift = rows if like < n else -rows
            return [[(j + shift if 0 <= j + shift < n else None, Fraction(1))] for j in range(like)]
        before, after = padding_of(step, axis, n)
        return [
            [(i, Fraction(1))]
            for i in range(before, n - after, axis_of(step.get("stride", 1), axis))
        ]
    if kind == "mixing":
        return [[(i, Fraction(1)) for i in block] for block in blocks_of(step, axis, n)]
    kernel = 1 if kind == "pad" else axis_of(step.get("kernel", 1), axis)
    stride = axis_of(step.get("stride", kernel if kind in POOLS else 1), axis)
    dilation = axis_of(step.get("dilation", 1), axis)
    pads = padding_of(step, axis, n)
    mode = "zero" if kind in POOLS else axis_of(step.get("mode", "zero"), axis)
    rows = window_reads(n, kernel, stride, dilation, pads, mode, step.get("ceil", False))
    return [[(row, Fraction(1, kernel)) for row in taps] for taps in rows]


def blocks_of(step: Step, axis: int, n: int) -> list[list[int]]:
    """For each row, the rows of its block: neighbours, or some rows apart."""
    size, apart = axis_of(step["size"], axis), axis_of(step.get("step", 1), axis)
    if size and apart == 1:
        edge = axis_of(step.get("first", 0), axis) or size
        blocks = [range(edge), *(range(start, start + size) for start in range(edge, n, size))]
    else:
        size, apart = size or n // apart, apart or n // size
        assert apart > 0 and n % (size * apart) == 0
        starts = [start + place for start in range(0, n, size * apart) for place in range(apart)]
        blocks = [range(start, start + size * apart, apart) for start in starts]
    return [[i for block in blocks if row in block for i in block if i < n] for row in range(n)]


def transposed_reads(step: Step, axis: int, n: int) -> list[list[tuple[int | None, Fraction]]]:
    kernel, stride = axis_of(step["kernel"], axis), axis_of(step.get("stride", 1), axis)
    dilation, extra = (
        axis_of(step.get("dilation", 1), axis),
        axis_of(step.get("output_padding", 0), axis),
    )
    before, after = padding_of(step, axis, n)
    m = (n - 1) * stride - before - after + dilation * (kernel - 1) + 1 + extra
    found: list[list[tuple[int | None, Fraction]]] = [[] for _ in range(m)]
    for i in range(n):
        for tap in range(kernel):
            place = i * stride + tap * dilation - before
            if 0 <= place < m:
                found[place].append((i, Fraction(1)))
    return found


def resize_reads(
    step: Step, axis: int, n: int, like: int | None
) -> list[list[tuple[int | None, Fraction]]]:
    if "scale" in step:
        scale = scale_of(step, axis)
        m, ratio = floor(n * scale), 1 / scale
    else:
        m = axis_of(step["size"], axis) if "size" in step else like
        ratio = Fraction(n, m)
    return [resize_taps(step, coordinate(step, j, n, m, ratio), n) for j in range(m)]


def scale_of(step: Step, axis: int) -> Fraction:
    scale = axis_of(step["scale"], axis)
    return Fraction(scale) if isinstance(scale, str) else Fraction(scale).limit_denominator(10_000)


def coordinate(step: Step, j: int, n: int, m: int, ratio: Fraction) -> Fraction:
    """Where output row j of m looks among n rows: ONNX's formulas, one by one."""
    grid = step.get("grid")
    if grid is None:
        if step.get("mode", "nearest") == "nearest":
            grid = "asymmetric"
        else:
            grid = "align_corners" if step.get("align_corners") else "half_pixel"
    if grid == "asymmetric":
        return j * ratio
    if grid == "align_corners":
        return j * Fraction(n - 1, m - 1) if m > 1 else Fraction(0)
    if grid == "tf_half_pixel_for_nn":
        return (j + Fraction(1, 2)) * ratio
    if grid == "pytorch_half_pixel" and m == 1:
        return Fraction(0)
    return (j + Fraction(1, 2)) * ratio - Fraction(1, 2)


def resize_taps(step: Step, x: Fraction, n: int) -> list[tuple[int | None, Fraction]]:
    """The rows that an output at coordinate x reads, each once, with their weights."""
    mode = step.get("mode", "nearest")
    if mode == "nearest":
        low, high = floor(x), ceil(x)
        middle = Fraction(low + high, 2)
        rule = step.get("rounding", "floor")
        up = {
            "floor": False,
            "ceil": True,
            "round_prefer_floor": x > middle,
            "round_prefer_ceil": x >= middle,
        }[rule]
        return [(min(max(high if up else low, 0), n - 1), Fraction(1))]
    found: dict[int, Fraction] = defaultdict(Fraction)
    if mode == "linear":
        x = min(max(x, Fraction(0)), Fraction(n - 1))
    for row in range(floor(x) - 1, floor(x) + 3):
        away = abs(x - row)
        found[min(max(row, 0), n - 1)] += (
            max(1 - away, Fraction(0)) if mode == "linear" else cubic(away)
        )
    return [(row, weight) for row, weight in found.items() if weight]


def cubic(away: Fraction) -> Fraction:
    a = Fraction(-3, 4)
    if away <= 1:
        return (a + 2) * away**3 - (a + 3) * away**2 + 1
    return a * away**3 - 5 * a * away**2 + 8 * a * away - 4 * a if away < 2 else Fraction(0)


def sources(steps: list[Step]) -> list[list[str]]:
    before = "input"
    found = []
    for step in steps:
        given = step.get("from", before)
        found.append(given if isinstance(given, list) else [given])
        before = step["name"]
    return found


def all_reads(steps: list[Step], size: Size) -> tuple[dict[str, Any], dict[str, Size]]:
    """Reads of every step on each axis (None for what acts on a position alone), and all sizes."""
    sizes: dict[str, Size] = {"input": size}
    found: dict[str, Any] = {}
    for step, inputs in zip(steps, sources(steps), strict=True):
        n = sizes[inputs[0]]
        assert all(sizes[each] == n for each in inputs), "branches disagree"
        if step["op"] in (*MERGES, "identity", "gate"):
            found[step["name"]], sizes[step["name"]] = None, n
            continue
        like = sizes[step["like"]] if "like" in step else (None, None)
        both = [reads(step, axis, n[axis], like[axis]) for axis in (0, 1)]
        assert all(both), "no output"
        found[step["name"]], sizes[step["name"]] = both, (len(both[0]), len(both[1]))
    return found, sizes


def usage(
    steps: list[Step], size: Size, targets: list[str], pooling: str = "count", units: Any = None
) -> Any:
    """Paths from each pixel to all units of the targets (or to `units`, (row, column) pairs): ints or Fractions."""
    found, sizes = all_reads(steps, size)
    value: dict[str, dict[tuple[int, int], Any]] = defaultdict(lambda: defaultdict(int))
    for target in targets:
        rows, cols = sizes[target]
        for unit in units or [(y, x) for y in range(rows) for x in range(cols)]:
            value[target][unit] += 1
    for step, inputs in reversed(list(zip(steps, sources(steps), strict=True))):
        here = value.pop(step["name"], {})
        for unit, count in here.items():
            for pixel, weight in taps(step, found[step["name"]], unit, pooling):
                for source in inputs:
                    value[source][pixel] += count * weight
    return [[value["input"][y, x] for x in range(size[1])] for y in range(size[0])]


def taps(
    step: Step, both: Any, unit: tuple[int, int], pooling: str
) -> list[tuple[tuple[int, int], Any]]:
    """The real positions that one unit reads, with their weights."""
    if both is None:
        return [(unit, 1)]
    pairs = [(row, col) for row in both[0][unit[0]] for col in both[1][unit[1]]]
    real = [
        ((row, col), p * q) for (row, p), (col, q) in pairs if row is not None and col is not None
    ]
    if pooling == "mean" and step["op"] in (*POOLS, "resize"):
        return real
    weight = Fraction(1)
    for axis in (0, 1):
        reads_axis = both[axis][unit[axis]]
        hits = sum(row is not None for row, _ in reads_axis)
        if step["op"] == "conv" and axis_of(step.get("mode"), axis) == "partial" and hits:
            weight *= Fraction(len(reads_axis), hits)
    return [(place, int(weight) if weight.denominator == 1 else weight) for place, _ in real]


def every_path(steps: list[Step], size: Size, target: str) -> Counter[tuple[int, int]]:
    """Follow every single path, one at a time, and count where it ends: for very small networks."""
    found, sizes = all_reads(steps, size)
    by_name = {
        step["name"]: (step, inputs) for step, inputs in zip(steps, sources(steps), strict=True)
    }
    ends: Counter[tuple[int, int]] = Counter()

    def follow(layer: str, unit: tuple[int, int]) -> None:
        if layer == "input":
            ends[unit] += 1
            return
        step, inputs = by_name[layer]
        for place, _ in taps(step, found[layer], unit, "count"):
            for source in inputs:
                follow(source, place)

    for y in range(sizes[target][0]):
        for x in range(sizes[target][1]):
            follow(target, (y, x))
    return ends


class Fields:
    """What the units of each layer see of the input on one axis that goes on to both sides, row by row and tap by tap.

    `sizes` are the rows of the layers, and `whole` the layers of which each unit sees all.
    """

    def __init__(self, steps: list[Step], axis: int, size: Size) -> None:
        self.axis, self.sizes = (
            axis,
            {name: each[axis] for name, each in all_reads(steps, size)[1].items()},
        )
        self.steps = {
            step["name"]: (step, inputs) for step, inputs in zip(steps, sources(steps), strict=True)
        }
        self.whole: set[str] = set()
        for name, (step, inputs) in self.steps.items():
            if step["op"] in ("global", "adaptive") or self.whole & {*inputs}:
                self.whole.add(name)
        self.found: dict[tuple[str, int], set[int]] = {}
        self.known: dict[tuple[str, int, bool], bool] = {}

    def of(self, name: str, unit: int) -> set[int]:
        """The first and the last input row that a unit of a layer sees, and of a layer of rows one row."""
        if name == "input":
            return {unit}
        if (name, unit) not in self.found:
            inputs = self.steps[name][1]
            seen = {
                row
                for each in inputs
                for place in self.read(name, unit)
                for row in self.of(each, place)
            }
            self.found[name, unit] = {min(seen), max(seen)}
        return self.found[name, unit]

    def touches(self, name: str, unit: int, after: bool) -> bool:
        """Whether a unit depends on what lies before the first row of any layer, or after the last one."""
        if name == "input":
            return False
        if (name, unit, after) not in self.known:
            places = [
                (each, place)
                for each in self.steps[name][1]
                for place in self.read(name, unit, real=True)
            ]
            past = [place >= self.sizes[each] if after else place < 0 for each, place in places]
            self.known[name, unit, after] = any(past) or any(
                self.touches(*each, after) for each in places
            )
        return self.known[name, unit, after]

    def read(self, name: str, unit: int, real: bool = False) -> list[int]:
        """The rows that a unit reads of the layer before; for one that reads none, the row before it, unless `real`."""
        step, (first, *_) = self.steps[name]
        n, m, axis = self.sizes[first], self.sizes[name], self.axis
        kind = step["op"]
        if kind in (*MERGES, "identity", "gate"):
            return [unit]
        if kind == "resize":
            return endless_resize(step, axis, unit, n, m)
        if kind == "crop" and "like" in step:
            return [unit + (reads(step, axis, n + 99, m + 99)[50][0][0] or 0) - 50]
        if kind == "crop":
            return [unit * axis_of(step.get("stride", 1), axis) + padding_of(step, axis, n)[0]]
        if kind == "mixing":
            size, apart = axis_of(step["size"], axis), axis_of(step.get("step", 1), axis)
            size, apart = size or n // apart, apart or n // size
            start = unit - (unit - axis_of(step.get("first", 0), axis)) // apart % size * apart
            return [
                row for row in range(start, start + size * apart, apart) if 0 <= row < n or not real
            ]
        kernel = 1 if kind == "pad" else axis_of(step["kernel"], axis)
        stride = axis_of(step.get("stride", kernel if kind in POOLS else 1), axis)
        dilation, before = axis_of(step.get("dilation", 1), axis), padding_of(step, axis, n)[0]
        taps = [tap * dilation for tap in range(kernel)]
        if kind != "convtranspose":
            return [unit * stride - before + tap for tap in taps]
        # where no row is read, paths end, and the field is that of the row before
        place = unit + before
        found = [(place - tap) // stride for tap in taps if (place - tap) % stride == 0]
        return found if found or real else [place // stride]


def endless_resize(step: Step, axis: int, unit: int, n: int, m: int) -> list[int]:
    """The rows that an output reads on an axis that goes on to both sides."""
    ratio = 1 / scale_of(step, axis) if "scale" in step else Fraction(n, m)
    x, mode = coordinate(step, unit, n, m, ratio), step.get("mode", "nearest")
    if mode == "nearest":
        return [
            row + floor(x) - 50
            for row, _ in resize_taps(step, x - floor(x) + 50, 101)
            if row is not None
        ]
    more = 1 if mode == "cubic" else 0
    return [floor(x)] if x == floor(x) else [*range(floor(x) - more, floor(x) + 2 + more)]


@cache
def ledger_of_window(
    n: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], up: bool
) -> tuple[int, int, tuple[int, int], int, int, int]:
    """(input, output, consumed, remainder, skipped, overhang) of one window, by looking where each tap falls."""
    outputs = window_reads(n, kernel, stride, dilation, pads, "zero", up)
    touched = {
        j * stride + tap * dilation - pads[0] for j in range(len(outputs)) for tap in range(kernel)
    }
    consumed = len([p for p in touched if p < 0]), len([p for p in touched if n <= p < n + pads[1]])
    missed = [row for row in range(n) if row not in touched]
    last = max([p for p in touched if 0 <= p < n], default=-1)
    remainder = len([row for row in missed if row > last])
    overhang = len([p for p in touched if p >= n + pads[1]])
    return n, len(outputs), consumed, remainder, len(missed) - remainder, overhang


OUTPUTS: dict[tuple[Any, ...], int] = {}


def outputs_of(step: Step, axis: int, n: int, like: int | None) -> int:
    """How many rows a step makes of n; looked up where a step of another name was asked the same."""
    key = (
        str({each: value for each, value in step.items() if each not in ("name", "from", "like")}),
        axis,
        n,
        like,
    )
    if key not in OUTPUTS:
        OUTPUTS[key] = len(reads(step, axis, n, like))
    return OUTPUTS[key]


def ledger(
    steps: list[Step], axis: int, n: int
) -> dict[str, tuple[int, int, tuple[int, int], int, int, int]]:
    """The ledger of every convolution and pool on one axis; raises AssertionError where the size does not work."""
    sizes = {"input": n}
    found = {}
    for step, inputs in zip(steps, sources(steps), strict=True):
        entering = sizes[inputs[0]]
        assert all(sizes[each] == entering for each in inputs), "branches disagree"
        if step["op"] in (*MERGES, "identity", "gate"):
            sizes[step["name"]] = entering
            continue
        like = sizes[step["like"]] if "like" in step else None
        sizes[step["name"]] = outputs_of(step, axis, entering, like)
        assert sizes[step["name"]] > 0, "no output"
        if step["op"] in ("conv", "maxpool", "avgpool"):
            kernel = axis_of(step.get("kernel", 1), axis)
            stride = axis_of(step.get("stride", kernel if step["op"] in POOLS else 1), axis)
            shape = kernel, stride, axis_of(step.get("dilation", 1), axis)
            pads = padding_of(step, axis, entering)
            found[step["name"]] = ledger_of_window(entering, *shape, pads, step.get("ceil", False))
    return found


def is_even(rows: dict[str, tuple[int, int, tuple[int, int], int, int, int]]) -> bool:
    """Whether every window reads as much padding before as after, overhang included."""
    return all(
        before == after + overhang for _, _, (before, after), _, _, overhang in rows.values()
    )


def coverage(steps: list[Step], size: Size, target: str) -> list[list[int]]:
    """Paths that reach each unit of the target from real pixels, from the input on."""
    found, sizes = all_reads(steps, size)
    value = {"input": {(y, x): 1 for y in range(size[0]) for x in range(size[1])}}
    for step, inputs in zip(steps, sources(steps), strict=True):
        rows, cols = sizes[step["name"]]
        value[step["name"]] = {
            (y, x): sum(
                value[source][place] * weight
                for place, weight in taps(step, found[step["name"]], (y, x), "count")
                for source in inputs
            )
            for y in range(rows)
            for x in range(cols)
        }
    return [[value[target][y, x] for x in range(sizes[target][1])] for y in range(sizes[target][0])]


def interior(steps: list[Step], size: Size, targets: list[str], period: Size) -> Any:
    """A period of counts far from all borders, in line with the first row and column: of a larger map, alike in rests.

    None where the middle of that map does not repeat, since it is too small, or never would.
    """
    large = tuple(
        n + each * -(-(36 - n) // each) + 4 * each for n, each in zip(size, period, strict=True)
    )
    counts = usage(steps, (large[0], large[1]), targets)
    row, col = (n // 2 // each * each for n, each in zip(large, period, strict=True))

    def block(row: int, col: int) -> list[list[Any]]:
        return [line[col : col + period[1]] for line in counts[row : row + period[0]]]

    found = block(row, col)
    others = [
        block(row + down, col + across) for down in (-period[0], 0) for across in (-period[1], 0)
    ]
    return found if all(other == found for other in others) else None


def fair_share(counts: Any, pattern: Any) -> dict[str, Any]:
    height, width = len(pattern), len(pattern[0])
    pairs = [
        (u, pattern[y % height][x % width])
        for y, row in enumerate(counts)
        for x, u in enumerate(row)
    ]
    shares = [Fraction(u) / Fraction(i) for u, i in pairs if i]
    inner = [i for row in pattern for i in row if i]
    return {
        "starved": Fraction(sum(f < Fraction(1, 2) for f in shares), len(pairs)),
        "overused": Fraction(sum(f > Fraction(3, 2) for f in shares), len(pairs)),
        "unused": Fraction(sum(not i for _, i in pairs), len(pairs)),
        "least": min(shares, default=0),
        "most": max(shares, default=0),
        "ripple": Fraction(max(inner, default=1), min(inner, default=1)),
    }
