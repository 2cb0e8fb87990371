"""PyTorch layers: padding schemes that PyTorch lacks, and convolutions that pad by any scheme."""

from padviz.nn.functional import padded, padded_conv2d
from padviz.nn.modules import PaddedConv2d, PartialConv2d, SymmetricPad2d

__all__ = ["PaddedConv2d", "PartialConv2d", "SymmetricPad2d", "padded", "padded_conv2d"]
