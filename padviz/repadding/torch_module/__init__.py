"""PyTorch modules whose convolutions pad by another scheme: as copies, or while a forward runs."""

from padviz.repadding.torch_module.calls import padded_by
from padviz.repadding.torch_module.repadding import RepadReport, repad

__all__ = ["RepadReport", "padded_by", "repad"]
