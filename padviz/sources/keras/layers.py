"""What each Keras layer does to maps: one table from the name of its class to a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from padviz.sources.keras import merging as merge
from padviz.sources.keras import windows
from padviz.sources.keras.activations import NEUTRAL
from padviz.sources.keras.call import Call
from padviz.sources.tracing.calls import Result

SAME = (
    "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dropout", "GaussianDropout",
    "GaussianNoise", "Identity", "LayerScale", "Normalization", "RandomBrightness", "RandomColorDegeneration",
    "RandomColorJitter", "RandomContrast", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale",
    "RandomHue", "RandomInvert", "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness",
    "RandomShear", "RandomTranslation", "RandomZoom", "Rescaling", "SpatialDropout2D", "StochasticDepth",
    "StopGradient", "Cast", "Negative",
)  # fmt: skip  # of which the random ones act in training alone

TABLE: Mapping[str, Callable[[Call], Result]] = {
    **dict.fromkeys(SAME, merge.same),
    **dict.fromkeys(NEUTRAL, merge.neutral),
    **dict.fromkeys(("Add", "Average", "CustomScaleLayer", "Maximum", "Minimum"), merge.merged("add")),
    **dict.fromkeys(("Multiply", "Divide", "TrueDivide", "Power"), merge.merged("multiply")),
    **dict.fromkeys(("Mean", "Sum", "Max", "Min", "Amax", "Amin"), merge.reduced),
    **dict.fromkeys(("GlobalAveragePooling2D", "GlobalMaxPooling2D"), windows.global_pool),
    **dict.fromkeys(("AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D"), windows.adaptive_pool),
    **dict.fromkeys(("Attention", "AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention"), merge.attention),
    **dict.fromkeys(("Softmax", "LogSoftmax"), merge.softmax),
    **dict.fromkeys(("Permute", "Transpose"), merge.permute),
    "Activation": merge.activation,
    "AveragePooling2D": windows.pool("avgpool"),
    "Concatenate": merge.concatenate,
    "Conv2D": windows.conv,
    "Conv2DTranspose": windows.transposed,
    "Cropping2D": windows.crop,
    "Dense": merge.dense,
    "DepthwiseConv2D": windows.depthwise,
    "ExpandDims": merge.expand_dims,
    "Flatten": merge.flatten,
    "GroupNormalization": merge.group_norm,
    "LayerNormalization": merge.norm("layer norm"),
    "MaxPooling2D": windows.pool("maxpool"),
    "RMSNormalization": merge.norm("rms norm"),
    "Reshape": merge.reshape,
    "Resizing": windows.resize,
    "SeparableConv2D": windows.separable,
    "Squeeze": merge.squeeze,
    "Subtract": merge.subtract,
    "UnitNormalization": merge.norm("norm over positions"),
    "UpSampling2D": windows.upsample,
    "ZeroPadding2D": windows.pad,
}
