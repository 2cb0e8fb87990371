"""A network with its weights shuffled within each convolution: what geometry makes without what was learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from padviz.errors import PadvizError
from padviz.sources import is_module
from padviz.trained.weights.trained_network import Trained

SHUFFLED = "shuffled"  # in place of a padding's name


def shuffled(trained: Trained, seed: int) -> Trained | None:
    """Copy a network, and permute the weights of each convolution; None for a module that cannot be copied.

    Biases and norms stay. Each layer keeps its weights' mean, deviation and number of zeros.
    """
    rng = np.random.default_rng(seed)
    if not is_module(trained.model):
        from padviz.trained.sessions import onnx_runner

        return replace(trained, model=onnx_runner.with_permuted_weights(trained.model, rng))
    from padviz.trained.sessions import torch_runner

    try:
        return replace(trained, model=torch_runner.with_permuted_weights(trained.model, rng))
    except PadvizError:
        raise
    except Exception:  # of other people's code
        return None
