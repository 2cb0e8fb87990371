"""PyTorch modules whose convolutions pad by another scheme: copies of them, and while a forward runs."""

from padviz.repadding.torch_module.calls import padded_by
from padviz.repadding.torch_module.repadding import Report, repad

__all__ = ["Report", "padded_by", "repad"]
