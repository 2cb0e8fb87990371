"""A network with its weights shuffled within each convolution: what geometry makes without what was learned."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np

from padviz.errors import let_through
from padviz.sources import is_module
from padviz.trained.network import Trained

SHUFFLED = "shuffled"  # in place of a padding's name


def shuffled(trained: Trained, seed: int) -> Trained | None:
    """Copy a network, and permute the weights of each convolution; None for a module that cannot be copied.

    Biases and norms stay. Each layer keeps its weights' mean, deviation and number of zeros.
    """
    rng = np.random.default_rng(seed)
    if not is_module(trained.model):
        return replace(trained, model=_shuffled_graph(trained, rng))
    try:
        module = deepcopy(trained.model)
    except Exception as error:  # of other people's code
        let_through(error)
        return None
    for each in module.parameters():
        if each.dim() == 4:
            order = rng.permutation(each.numel())
            each.data = each.data.flatten()[order.tolist()].reshape(each.shape)
    return replace(trained, model=module)


def _shuffled_graph(trained: Trained, rng: np.random.Generator) -> Any:
    """A copy of a model whose convolutions' stored weights are permuted."""
    from padviz.trained.sessions.onnx_runner import with_permuted_weights

    return with_permuted_weights(trained.model, trained.where, rng)
