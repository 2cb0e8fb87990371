"""PyTorch modules whose convolutions pad by another scheme: copies of them, and while a forward runs."""

from padviz.repad.torch_module.calls import padded_by
from padviz.repad.torch_module.repadding import Repadded, repad

__all__ = ["Repadded", "padded_by", "repad"]
