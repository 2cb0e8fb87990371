"""What each PyTorch function does to maps: a table of handlers by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from padviz.sources.torch import merging as merge
from padviz.sources.torch import views as views
from padviz.sources.torch import windows as windows
from padviz.sources.torch.arguments import BY_VALUES, RECURRENT, Args, Kwargs
from padviz.sources.torch.call import RESIZES, Call
from padviz.sources.torch.memory import CONSTANTS
from padviz.sources.tracing import products
from padviz.sources.tracing.calls import Result, follow

Handler = Callable[..., Result]

# Each position alone, and normalisations; of several maps, the product.
NEUTRAL = (
    "abs", "alpha_dropout", "as_tensor", "bool", "bfloat16", "byte", "ceil", "celu", "channel_shuffle", "clamp",
    "clamp_max", "clamp_min", "clip", "clone", "contiguous", "cos", "cpu", "cuda", "data", "detach", "double",
    "dropout", "elu", "erf", "exp", "expm1", "feature_dropout", "fill", "float",
    "floor", "gelu", "half", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "leaky_relu", "local_response_norm", "log", "log1p", "logical_not", "logsigmoid", "mish", "mul", "multiply",
    "nan_to_num", "neg", "positive", "pow", "prelu", "reciprocal", "relu", "relu6",
    "requires_grad", "round", "rrelu", "rsqrt", "selu", "sigmoid", "sign", "silu", "sin", "softplus",
    "softshrink", "softsign", "sqrt", "square", "tanh", "tanhshrink", "threshold", "to", "type", "type_as", "imul",
    "rmul", "div", "idiv", "rdiv", "itruediv", "rtruediv", "truediv", "true_divide", "divide", "floor_divide",

)  # fmt: skip
ADDS = ("add", "iadd", "radd")
SUBTRACTS = ("sub", "isub", "rsub", "subtract")
PICKS = (
    "maximum", "minimum", "fmax", "fmin", "lerp", "where", "addcmul", "addcdiv", "eq", "ne", "gt", "ge", "lt", "le",
)  # fmt: skip
REDUCTIONS = (
    "mean", "sum", "amax", "amin", "max", "min", "std", "var", "norm", "linalg_vector_norm", "logsumexp", "prod",
    "median", "argmax", "argmin", "nanmean", "all", "any", "nansum", "count_nonzero", "aminmax", "std_mean", "var_mean",
)  # fmt: skip

TABLE: Mapping[str, Handler] = {  # by the names of functions, without their numbers of axes
    **dict.fromkeys(NEUTRAL, merge.pointwise),
    **dict.fromkeys(ADDS, merge.add),
    **dict.fromkeys(SUBTRACTS, merge.subtract),
    **dict.fromkeys(PICKS, merge.pick),
    **dict.fromkeys(REDUCTIONS, merge.reduce),
    **dict.fromkeys(["softmax", "log_softmax", "softmin", "normalize", "glu", "gumbel_softmax"], merge.along),
    **dict.fromkeys(["view", "reshape", "flatten", "ravel", "unflatten", "view_as", "reshape_as"], views.view),
    **dict.fromkeys(["chunk", "split", "split_with_sizes", "tensor_split"], views.split),
    **dict.fromkeys(["transpose", "swapaxes", "swapdims", "t", "T", "mT", "H", "mH", "adjoint"], views.transpose),
    **dict.fromkeys(["movedim", "moveaxis"], views.movedim),
    **dict.fromkeys(["expand", "expand_as", "broadcast_to", "repeat", "tile"], views.expand),
    **dict.fromkeys(["matmul", "rmatmul", "mm", "bmm"], products.matmul),
    **dict.fromkeys(["cat", "concat", "concatenate"], views.cat),
    **dict.fromkeys(["max_pool", "max_pool_with_indices"], windows.max_pool),
    **dict.fromkeys(
        ["adaptive_avg_pool", "adaptive_max_pool", "adaptive_max_pool_with_indices"], windows.adaptive_pool
    ),
    "avg_pool": windows.avg_pool,
    "lp_pool": windows.lp_pool,
    "conv": windows.conv,
    "conv_transpose": windows.conv_transpose,
    **dict.fromkeys(RESIZES, windows.upsample),
    **dict.fromkeys(["interpolate", "upsample"], windows.interpolate),
    **dict.fromkeys(["scaled_dot_product_attention", "multi_head_attention_forward"], merge.attention),
    **dict.fromkeys(["batch_norm", "native_batch_norm"], merge.batch_norm),
    **dict.fromkeys(["layer_norm", "rms_norm"], merge.layer_norm),
    **dict.fromkeys(RECURRENT, merge.recurrence),
    "group_norm": merge.group_norm,
    "instance_norm": merge.instance_norm,
    "native_batch_norm_legit_no_training": merge.batch_norm_of_three,
    **dict.fromkeys(["topk", "sort", "argsort", "kthvalue"], merge.ordered),
    "baddbmm": merge.baddbmm,
    "cdist": merge.cdist,
    "copy": merge.copy,
    "convolution": windows.convolution,
    "einsum": merge.einsum,
    **dict.fromkeys(["embedding", "one_hot"], merge.embedding),
    **dict.fromkeys(["cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"], merge.running),
    "flip": views.flip,
    "fold": windows.fold,
    "grid_sample": merge.grid_sample,
    "getitem": views.getitem,
    "linear": merge.linear,
    "max_unpool": windows.max_unpool,
    "masked_fill": merge.masked_fill,
    "narrow": views.narrow,
    "constant_pad_nd": windows.constant_pad_nd,
    "pad": windows.pad,
    "padded": windows.padded,
    "padded_conv": windows.padded_conv,
    "permute": views.permute,
    "pixel_shuffle": windows.pixel_shuffle,
    "pixel_unshuffle": windows.pixel_unshuffle,
    "repeat_interleave": windows.repeat_interleave,
    "roll": views.roll,
    **dict.fromkeys(["select", "index_select"], views.select),
    "setitem": views.setitem,
    "slice": views.slice_,
    "squeeze": views.squeeze,
    "stack": views.stack,
    "unbind": views.unbind,
    "unfold": windows.unfold,
    "unsqueeze": views.unsqueeze,
}
WHOLE = {
    merge.add, views.cat, merge.masked_fill, merge.subtract, merge.pick, merge.pointwise,
    merge.reduce, merge.along, merge.running, merge.linear, products.matmul,
    merge.einsum, merge.attention, merge.ordered, views.view,
    views.transpose, views.permute, views.movedim, views.squeeze, views.unsqueeze, views.expand, merge.batch_norm,
    merge.group_norm, merge.instance_norm, merge.layer_norm, merge.batch_norm_of_three,
}  # fmt: skip  # what reads rows, columns and channels that are one dimension as it is


def lower(call: Call, args: Args, kwargs: Kwargs, neutral: Collection[str] = ()) -> Result:
    """Add the layers of one call, and return what its results hold."""
    if call.op in CONSTANTS:
        return None
    if call.by_value and call.spatial:
        return call.broken(BY_VALUES, head=BY_VALUES, firm=True)
    call.handler = merge.add if call.op in neutral else TABLE.get(call.stem)
    call.whole, call.arguments = call.handler in WHOLE, (args, kwargs)
    return follow(call)
