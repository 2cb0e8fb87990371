"""The runner of a model: by what it is."""

from __future__ import annotations

from typing import Any

from padviz.network.network import Size
from padviz.trained.sessions.running import Runner


def runner_of(model: Any, where: str, name: str, size: Size, within: Any = None, original: Any = None) -> Runner:
    """What runs an ONNX model or a PyTorch module; a module within what replaces its padding.

    Of an edited graph, the tensors are looked at that convolutions make in the `original`.
    """
    if hasattr(model, "graph"):
        from padviz.trained.sessions.onnx_runner import OnnxRunner, convolutions

        observed = convolutions(model if original is None else original)
        return OnnxRunner(model, where, name, size, observed)
    from padviz.trained.sessions.torch_runner import TorchRunner

    return TorchRunner(model, where, name, size, *([within] if within else []))
