"""The runner of a model: by what it is."""

from __future__ import annotations

from typing import Any

from padviz.network.network import Network
from padviz.network.rewrites import check_image
from padviz.sources import is_module
from padviz.trained.sessions.running import Runner
from padviz.trained.weights.trained_network import Trained


def runner_of(trained: Trained, edited: Any = None, within: Any = None) -> Runner:
    """Make what runs a network: its ONNX model, or an `edited` one; or its module, within what replaces its padding.

    Of an edited graph, the tensors are looked at that convolutions make in the model as it was.
    """
    check_image(trained.network)
    if not is_module(trained.model):
        from padviz.trained.sessions.onnx_runner import OnnxRunner, convolutions

        observed = convolutions(trained.model.proto)
        return OnnxRunner(edited or trained.model, trained.network.name, trained.size, observed)
    from padviz.trained.sessions.torch_runner import TorchRunner

    about = trained.where, trained.network.name, trained.size, channels_of(trained.network)
    return TorchRunner(trained.model, *about, *([within] if within else []))


def channels_of(network: Network) -> int:
    """Count the channels of the image, as the first convolution that reads it says; three where none does."""
    return next((layer.channels.in_ for layer in network.layers if layer.channels), 3)
