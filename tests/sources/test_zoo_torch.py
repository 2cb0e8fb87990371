"""The zoo against torchvision: equal counts, equal sizes, equal names."""

from __future__ import annotations

import numpy as np
import pytest

import padviz
from padviz.network.sizes import resolve_each
from padviz.network.targets import upto
from padviz.sources.toml.load import zoo
from tests.sweeps import DEEPER, sampled, thirds
from tests.torch_oracle import OnesConv, model_of, paths

OWN = {"mobilenet_v1", "unet", "unet_padded"}  # networks that torchvision does not have
SIZES = [(224, 224), (225, 320)]
FUNCTIONAL = {"max_pool", "avg_pool"}  # pools that Inception calls as functions, so that they have no module


@pytest.mark.parametrize("name", sampled([name for name in zoo() if name not in OWN], "", DEEPER))
def test_counts_sizes_and_names_are_torchvisions(name: str) -> None:
    model = model_of(name)
    run = getattr(model, "backbone", None)
    network = padviz.load(name)
    sizes = [(300, 300), (301, 400)] if name == "ssd300_vgg16" else SIZES
    for size in sizes:
        expected, seen = paths(model, network.targets, size, run)
        found = padviz.usage(network, size)
        np.testing.assert_allclose(found.counts.astype(np.float64), expected, rtol=1e-12, atol=0)
        pruned = upto(network, network.targets)
        rows, cols = resolve_each(pruned, size)
        windowed = {
            layer.name: (rows.sizes[i], cols.sizes[i])
            for i, layer in enumerate(pruned.layers)
            if layer.kind in ("conv", "maxpool", "avgpool") and layer.name.split(".")[-1] not in FUNCTIONAL
        }
        assert windowed == {layer: seen.get(layer) for layer in windowed}
        assert set(windowed) == {layer for layer in seen if layer in network.index}
        unknown = {layer for layer in seen if layer not in network.index}
        assert not unknown, f"torchvision ran layers that the description lacks: {unknown}"


def test_ssd_refuses_the_small_sizes_that_torchvision_refuses() -> None:
    network, model = padviz.load("ssd300_vgg16"), model_of("ssd300_vgg16")
    for size in SIZES:
        with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
            paths(model, network.targets, size, model.backbone)
        with pytest.raises(padviz.PadvizError, match=r"backbone\.extra\.[34]\.2"):
            padviz.usage(network, size)


@pytest.mark.parametrize(
    ("name", "scheme"), thirds(["vgg19", "resnet18", "mobilenet_v2"], ["reflect", "replicate", "circular"])
)
def test_padding_schemes_are_pytorchs(name: str, scheme: str) -> None:
    model = model_of(name)
    for module in model.modules():
        if isinstance(module, OnesConv) and any(module.pads):
            module.mode = scheme
    network = padviz.load(name)
    expected, _ = paths(model, network.targets, (225, 240))
    found = padviz.usage(network, (225, 240), padding=scheme)
    np.testing.assert_allclose(found.counts.astype(np.float64), expected, rtol=1e-12, atol=0)
