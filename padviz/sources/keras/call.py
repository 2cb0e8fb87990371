"""One call of a Keras layer: the tensors that it reads, and its config."""

from __future__ import annotations

from dataclasses import dataclass, replace

from padviz.axis.operations import Window
from padviz.sources.keras.model import Config, Malformed
from padviz.sources.tracing import calls
from padviz.sources.tracing.arranging import Stuck, Value
from padviz.sources.tracing.axis_labels import size_of
from padviz.sources.tracing.calls import Result

MOST = 1 << 31  # of any number in a config
WINDOWED = frozenset((
    "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "MaxPooling2D", "AveragePooling2D", "Cropping2D",
    "ZeroPadding2D", "UpSampling2D", "Resizing",
))  # fmt: skip
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)  # permutations of batch, rows, columns and channels


@dataclass(eq=False, kw_only=True)
class Call(calls.Call):
    """A call of a layer with its `config`; layers named in `neutral` are elementwise."""

    config: Config
    neutral: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.windowed = self.op in WINDOWED

    @property
    def what(self) -> str:
        return f"layer {self.title}: {self.op}"

    @property
    def which(self) -> str:
        return f"layer {self.title}: the Keras layer {self.op}"

    @property
    def pointwise(self) -> bool:  # type: ignore[override]
        return self.op == "Conv2D" and all(window == Window(1) for window in self.windows())

    @property
    def channels_last(self) -> bool:
        return self.config.get("data_format") != "channels_first"

    def number(self, key: str, default: int = 1) -> int:
        return whole(self.config.get(key, default), key)

    def pair(self, key: str, default: int = 1) -> tuple[int, int]:
        """Read a number for each axis, or one for both."""
        value = self.config.get(key, default)
        numbers = value if isinstance(value, list) else [value]
        if len(numbers) not in (1, 2):
            raise Malformed(f"its {key} has {len(numbers)} numbers instead of 2")
        return whole(numbers[0], key), whole(numbers[-1], key)

    def positive_pair(self, key: str) -> tuple[int, int]:
        pair = self.pair(key, 2)
        if min(pair) < 1:
            raise Malformed(f"its {key} is not positive")
        return pair

    def sides(self, key: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Read rows for each side: ((top, bottom), (left, right)), (height, width) or one number."""
        value = self.config.get(key, 1)
        halves = value if isinstance(value, list) and len(value) == 2 else [value] * 2
        ends = [half if isinstance(half, list) and len(half) == 2 else [half] * 2 for half in halves]
        rows = [(whole(before, key), whole(after, key)) for before, after in ends]
        if min(map(min, rows)) < 0:
            raise Malformed(f"its {key} is negative")
        return rows[0], rows[1]

    def axes(self, rank: int, default: int | None = -1) -> list[int]:
        """Read one axis or several, counted from the front; a default of None means all of them."""
        value = self.config.get("axis", default)
        if value is None and default is None:
            return [*range(rank)]
        return [from_front(axis, rank) for axis in (value if isinstance(value, list) else [value])]

    def same(self) -> bool:
        padding = self.config.get("padding", "valid")
        if padding not in ("same", "valid"):
            raise Stuck(f"has a padding {str(padding)[:40]!r}")
        return bool(padding == "same")

    def windows(self, kernel: str = "kernel_size", pools: bool = False) -> list[Window]:
        """Return its window on each axis; the stride of a pool is its size by default."""
        kernels = self.pair(kernel, 2 if pools else 1)
        strides = kernels if pools and self.config.get("strides") is None else self.pair("strides")
        steps = zip(kernels, strides, self.pair("dilation_rate"), strict=True)
        return [Window(*figures, padding="same_upper" if self.same() else (0, 0)) for figures in steps]

    def channels_first(self, x: Value) -> Value:
        """Permute an image to batch, channels, rows and columns."""
        if len(x.known) != 4:
            raise Stuck("reads a tensor that is not an image")
        return replace(x, dims=tuple(x.known[i] for i in TO_FIRST)) if self.channels_last else x

    def as_stored(self, x: Result) -> Value:
        """Permute an image whose channels come first to the layer's own data format."""
        assert isinstance(x, Value)
        return replace(x, dims=tuple(x.known[i] for i in TO_LAST)) if self.channels_last and x.dims else x

    def channels_of(self, x: Value) -> int:
        return size_of(x.known[-1 if self.channels_last else 1])


def whole(value: object, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -MOST < value < MOST:
        raise Malformed(f"its {key} is not a whole number, or too large")
    return value


def from_front(axis: object, rank: int) -> int:
    number = whole(axis, "axis")
    if not -rank <= number < rank:
        raise Malformed(f"its axis {number} is not one of {rank}")
    return number % rank
