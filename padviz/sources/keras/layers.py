"""The effect of each Keras layer on maps: one function per kind of layer, and a table by class name
at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod

from padviz.network.layer import Kind
from padviz.network.operations import Transposed, Window
from padviz.sources.tracing import calls, products, views, windows
from padviz.sources.tracing.arranging import Malformed, Map, Stuck, Value, from_front
from padviz.sources.tracing.calls import merge_maps
from padviz.sources.tracing.products import reduce_over, softmax_along

MOST = 1 << 31  # of any number in a config
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)  # permutations of batch, rows, columns and channels
Config = Mapping[str, object]


@dataclass(eq=False, kw_only=True)
class Call(calls.Call):
    config: Config

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
        value = self.config.get(key, default)
        if isinstance(value, list):
            numbers = value
        else:
            numbers = [value]
        if len(numbers) not in (1, 2):
            raise Malformed(f"its {key} has {len(numbers)} numbers instead of 2")
        return whole(numbers[0], key), whole(numbers[-1], key)

    def positive_pair(self, key: str) -> tuple[int, int]:
        pair = self.pair(key, 2)
        if min(pair) < 1:
            raise Malformed(f"its {key} is not positive")
        return pair

    def axes(self, rank: int, default: int | None = -1) -> list[int]:
        """Read one axis or several, counted from the front; a default of None means all of them."""
        value = self.config.get("axis", default)
        if value is None and default is None:
            return [*range(rank)]
        return [
            from_front(whole(axis, "axis"), rank)
            for axis in (value if isinstance(value, list) else [value])
        ]

    def same(self) -> bool:
        padding = self.config.get("padding", "valid")
        if padding not in ("same", "valid"):
            raise Stuck(f"has a padding {str(padding)[:40]!r}")
        return bool(padding == "same")

    def windows(self, kernel: str = "kernel_size", pools: bool = False) -> list[Window]:
        """Return its window on each axis; the stride of a pool is its size by default."""
        kernels = self.pair(kernel, 2 if pools else 1)
        if pools and self.config.get("strides") is None:
            strides = kernels
        else:
            strides = self.pair("strides")
        steps = zip(kernels, strides, self.pair("dilation_rate"), strict=True)
        return [
            Window(*figures, padding="same_upper" if self.same() else (0, 0)) for figures in steps
        ]


def whole(value: object, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -MOST < value < MOST:
        raise Malformed(f"its {key} is not a whole number, or too large")
    return value


Handler = Callable[[Call, Value], Value]
STYLES = {
    "nearest": "nearest-exact",
    "bilinear": "bilinear",
    "bicubic": "bicubic",
}  # as PyTorch calls them
SAME = """
    ActivityRegularization AlphaDropout BatchNormalization Cast Dropout GaussianDropout
    GaussianNoise Identity LayerScale Negative Normalization RandomBrightness
    RandomColorDegeneration RandomColorJitter RandomContrast RandomErasing RandomFlip
    RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPosterization RandomRotation
    RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom Rescaling
    SpatialDropout2D StochasticDepth StopGradient
"""  # in inference; the random ones act in training alone
NEUTRAL = """
    Abs Absolute Celu Clip Cos ELU Elu Erf Exp Gelu HardSigmoid HardSilu HardSwish HardTanh
    LeakyRelu LeakyReLU Log Log1p LogSigmoid Mish PReLU ReLU Reciprocal Relu Relu6 Rsqrt Selu
    Sigmoid Silu Sin SoftSign Softplus Softsign Sqrt Square SquaredReLU Tanh ThresholdedReLU
"""  # elementwise layers, which are activations too
ELEMENTWISE = {
    *NEUTRAL.lower().split(),
    "exponential",
    "hardshrink",
    "softshrink",
    "sparseplus",
    "sparsesigmoid",
    "squareplus",
    "swish",
    "tanhshrink",
    "threshold",
}
NORMS = {
    "GroupNormalization": "group norm",
    "LayerNormalization": "layer norm",
    "RMSNormalization": "rms norm",
    "UnitNormalization": "norm over positions",
}
ALONG_CHANNELS = ("softmax", "logsoftmax", "sparsemax")  # activations along the last dimension


def neutral(call: Call, x: Value) -> Value:
    if len(call.maps) > 1:
        raise Stuck("joins several maps")
    return x.activated(x.dims)


def activated(call: Call, x: Value) -> Value:
    named = call.config.get("activation")
    if isinstance(named, dict):  # a function that Keras does not have, or a layer
        named = named.get("config" if named.get("class_name") == "function" else "class_name")
    named = str(named)
    name = named.replace("_", "").lower()
    if name in ("none", "linear") or x.dims is None:
        return x
    if name in ALONG_CHANNELS:
        return softmax_along(call, x, [len(x.known) - 1], "softmax over positions")
    if name in ELEMENTWISE or named in call.trace.neutral or not isinstance(x, Map):
        return x.activated(x.dims)
    what = f"layer {call.title}: the activation {named[:60]}"
    return Map(None, call.trace.unknown(call.name(), [x.at], what, named[:60]))


def on_image(handler: Handler) -> Handler:
    """Run a handler on an image whose channels come first; the result has them where the layer has
    them.
    """

    def run(call: Call, x: Value) -> Value:
        if len(x.known) != 4:
            raise Stuck("reads a tensor that is not an image")
        result = handler(call, views.permute(x, TO_FIRST) if call.channels_last else x)
        return activated(
            call, views.permute(result, TO_LAST) if call.channels_last and result.dims else result
        )

    return run


def conv(call: Call, x: Value) -> Value:
    return _conv(call, x, call.windows(), call.number("filters"), call.number("groups"))


def depthwise(call: Call, x: Value) -> Value:
    n = x.known[1].size
    return _conv(call, x, call.windows(), n * call.number("depth_multiplier"), n)


def separable(call: Call, x: Value) -> Value:
    x = depthwise(replace(call, title=f"{call.title}.depthwise"), x)
    return _conv(call, x, [Window(1), Window(1)], call.number("filters"))


def transposed(call: Call, x: Value) -> Value:
    """Convolve backwards; n rows become n * stride under SAME, and max(n * stride, extent + (n - 1)
    * stride) else.
    """
    given = call.config.get("output_padding") is not None
    extra = call.pair("output_padding", 0) if given else (None, None)
    ops = []
    for window, more in zip(call.windows(), extra, strict=True):
        extent, stride = window.extent, window.stride
        if call.same():
            if more is None:
                lost = extent - stride
            else:
                lost = 2 * (extent // 2) - more
        else:
            if more is None:
                lost = min(extent - stride, 0)
            else:
                lost = -more
        ops.append(windows.transposed(window.kernel, stride, window.dilation, lost))
    return _conv(call, x, ops, call.number("filters"))


def _conv(
    call: Call, x: Value, ops: Sequence[Window | Transposed], out: int, groups: int = 1
) -> Value:
    into = x.known[1].size
    if min(into, out, groups) < 1 or into % groups or out % groups:
        raise Malformed(f"it makes {out} channels of {into} in {groups} groups")
    return windows.conv(call, x, ops, into, out, groups)


def pool(kind: Kind) -> Handler:
    def run(call: Call, x: Value) -> Value:
        ops = call.windows("pool_size", pools=True)
        return windows.pool(
            call, x, windows.without_padding(ops) if kind == "avgpool" else ops, kind
        )

    return run


def global_pool(call: Call, x: Value) -> Value:
    if len(x.known) != 4:
        raise Stuck("pools a tensor that is not an image")
    return reduce_over(
        call, x, (1, 2) if call.channels_last else (2, 3), bool(call.config.get("keepdims"))
    )


def pad(call: Call, x: Value) -> Value:
    """Add rows, or crop them: ((top, bottom), (left, right)), (height, width) or one number."""
    if call.op == "Cropping2D":
        key, sign = ("cropping", -1)
    else:
        key, sign = ("padding", 1)
    value = call.config.get(key, 1)
    if isinstance(value, list) and len(value) == 2:
        halves = value
    else:
        halves = [value] * 2
    ends = [half if isinstance(half, list) and len(half) == 2 else [half] * 2 for half in halves]
    rows = [(sign * whole(before, key), sign * whole(after, key)) for before, after in ends]
    if any(sign * n < 0 for side in rows for n in side):
        raise Malformed(f"its {key} is negative")
    return windows.pad(call, x, {i: Window(1, padding=side) for i, side in enumerate(rows, 2)})


def resize(call: Call, x: Value) -> Value:
    if any(
        call.config.get(key) for key in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias")
    ):
        raise Stuck("keeps an aspect ratio, or shrinks with antialiasing")
    scales = call.positive_pair("size") if call.op == "UpSampling2D" else ()
    how = str(call.config.get("interpolation", "nearest" if scales else "bilinear"))
    if how not in STYLES:
        raise Stuck(f"interpolates by {how[:40]}")
    style = windows.STYLES[STYLES[how]]
    ops = [replace(style, scale=Fraction(n)) for n in scales]
    if not ops:
        ops = [replace(style, size=call.number(key, 0)) for key in ("height", "width")]
    return windows.resize(call, x, ops, "TensorFlow")


def norm(call: Call, x: Value) -> Value:
    axes = range(len(x.known)) if call.op == "GroupNormalization" else call.axes(len(x.known))
    return calls.norm(call, x.activated(x.dims), NORMS[call.op], axes)


def dense(call: Call, x: Value) -> Value:
    units = call.number("units")
    if units < 1:
        raise Malformed(f"it has {units} units")
    return activated(call, products.dense(call, x, units))


def attention(call: Call, query: Value) -> Value:
    """Attend along the dimensions between the first and the last of the second tensor,
    the values.
    """
    value = call.tensor(min(1, len(call.read) - 1))
    rank, heads = len(value.known), call.op == "MultiHeadAttention"
    axes = call.config.get("attention_axes") or ([*range(1, rank - 1)] if heads else [rank - 2])
    attended = [
        from_front(whole(axis, "axis"), rank)
        for axis in (axes if isinstance(axes, list) else [axes])
    ]
    # heads make as many channels as queries have
    value = replace(value, dims=(*value.known[:-1], query.known[-1]))
    return products.attention(call, query, value, attended)


def reshape(call: Call, x: Value) -> Value:
    if call.op == "Flatten":
        wanted = [-1]
    else:
        wanted = _whole_numbers(call.config.get("target_shape"))
    shape = [x.known[0].size, *wanted]
    total, known = prod(x.shape), prod(max(n, 1) for n in shape)
    if shape.count(-1) > 1 or 0 in shape or total % known or (total != known and -1 not in shape):
        raise Malformed(f"it makes {'x'.join(map(str, shape))} of {total} numbers")
    return views.reshape(call, x, [total // known if n == -1 else n for n in shape])


def _whole_numbers(value: object) -> list[int]:
    if not isinstance(value, list) or not all(isinstance(n, int) and n >= -1 for n in value):
        raise Malformed("its shape is not a list of whole numbers")
    return value


def permute(call: Call, x: Value) -> Value:
    order = call.config.get("dims", call.config.get("axes"))
    if order is not None:
        order = _whole_numbers(order)
    else:
        order = [*range(len(x.known))][::-1]
    if call.op == "Permute":  # which counts from 1, after the batch
        order = [0, *order]
    if sorted(order) != [*range(len(x.known))]:
        raise Malformed("it permutes dimensions that it does not have")
    return views.permute(x, order)


def squeeze(call: Call, x: Value) -> Value:
    return views.squeeze(
        call, x, [axis for axis in call.axes(len(x.known), None) if x.known[axis].size == 1]
    )


WINDOWS: Mapping[str, Handler] = {  # what reads an image by windows
    "AveragePooling2D": pool("avgpool"),
    "Conv2D": conv,
    "Conv2DTranspose": transposed,
    "Cropping2D ZeroPadding2D": pad,
    "DepthwiseConv2D": depthwise,
    "MaxPooling2D": pool("maxpool"),
    "SeparableConv2D": separable,
    "UpSampling2D Resizing": resize,
}
TABLE: Mapping[str, Handler] = {
    **{kinds: on_image(handler) for kinds, handler in WINDOWS.items()},
    SAME: lambda call, x: x,
    NEUTRAL: neutral,
    " ".join(NORMS): norm,
    "Activation": activated,
    "AdaptiveAveragePooling2D AdaptiveMaxPooling2D": on_image(
        lambda call, x: windows.adaptive(
            call, x, call.positive_pair("output_size"), "Max" in call.op
        )
    ),
    "Add Average CustomScaleLayer Maximum Minimum": lambda call, x: merge_maps(
        call, "add", call.maps
    ),
    "Attention AdditiveAttention MultiHeadAttention GroupQueryAttention": attention,
    "Concatenate": lambda call, x: views.concat(call, call.maps, call.axes(len(x.known))[0]),
    "Dense": dense,
    "ExpandDims": lambda call, x: views.unsqueeze(x, call.axes(len(x.known) + 1)[:1]),
    "GlobalAveragePooling2D GlobalMaxPooling2D": global_pool,
    "Mean Sum Max Min Amax Amin": (
        lambda call, x: reduce_over(
            call, x, call.axes(len(x.known), None), bool(call.config.get("keepdims"))
        )
    ),
    "Multiply Divide TrueDivide Power": lambda call, x: merge_maps(call, "multiply", call.maps),
    "Permute Transpose": permute,
    "Reshape Flatten": reshape,
    "Softmax LogSoftmax": lambda call, x: softmax_along(
        call, x, call.axes(len(x.known)), "softmax over positions"
    ),
    "Squeeze": squeeze,
    "Subtract": lambda call, x: calls.subtract(call),
}
HANDLERS = {kind: handler for kinds, handler in TABLE.items() for kind in kinds.split()}
WINDOWED = frozenset(" ".join(WINDOWS).split())
