"""Layers for people who write networks in PyTorch: padding schemes that it lacks, and convolutions that pad by any."""

from padviz.nn.functional import padded, padded_conv2d
from padviz.nn.padded_conv import PaddedConv2d, PartialConv2d
from padviz.nn.symmetric_pad import SymmetricPad2d

__all__ = ["PaddedConv2d", "PartialConv2d", "SymmetricPad2d", "padded", "padded_conv2d"]
