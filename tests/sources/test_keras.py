"""Keras models as networks: they count as the same layers do in a description, at every size."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padviz
from padviz.errors import PadvizError
from padviz.sources.toml.build import parse
from tests.keras_files import Layer, functional, image, layer, sequential, written

SIZES = [(24, 31), (25, 32), (37, 22)]
SAME = {"padding": "same"}
Steps = list[dict[str, Any]]
CASES: dict[str, tuple[list[Layer], Steps]] = {
    "same": (
        [layer("Conv2D", "c", filters=4, kernel_size=[3, 5], strides=[2, 2], **SAME)],
        [{"op": "conv", "name": "c", "kernel": [3, 5], "stride": 2, "padding": "same_upper", "out": 4}],
    ),
    "dilated": (
        [layer("DepthwiseConv2D", "c", kernel_size=[3, 3], dilation_rate=[2, 2], depth_multiplier=2)],
        [{"op": "conv", "name": "c", "kernel": 3, "dilation": 2, "out": 6, "groups": 3}],
    ),
    "separable": (
        [layer("SeparableConv2D", "c", filters=8, kernel_size=[3, 3], depth_multiplier=1, **SAME)],
        [
            {"op": "conv", "name": "d", "kernel": 3, "padding": "same_upper", "out": 3, "groups": 3},
            {"op": "conv", "name": "c", "kernel": 1, "out": 8},
        ],
    ),
    "up": (
        [
            layer("Conv2DTranspose", "c", filters=2, kernel_size=[5, 3], strides=[2, 3], **SAME),
            layer("Conv2D", "d", filters=2, kernel_size=[3, 3]),
        ],
        [
            {
                "op": "convtranspose", "name": "c", "kernel": [5, 3], "stride": [2, 3], "padding": [[1, 2], [0, 0]],
                "out": 2,
            },
            {"op": "conv", "name": "d", "kernel": 3, "out": 2},
        ],
    ),
    "spread": (
        [layer("Conv2DTranspose", "c", filters=2, kernel_size=[2, 3], strides=[3, 2])],
        [
            {
                "op": "convtranspose", "name": "c", "kernel": [2, 3], "stride": [3, 2], "output_padding": [1, 0],
                "out": 2,
            }
        ],
    ),
    "pads": (
        [
            layer("ZeroPadding2D", "p", padding=[[0, 1], [2, 1]]),
            layer("Cropping2D", "x", cropping=[[1, 0], [0, 2]]),
            layer("Conv2D", "c", filters=2, kernel_size=[3, 3], strides=[2, 2]),
        ],
        [
            {"op": "pad", "name": "p", "padding": [[0, 1], [2, 1]]},
            {"op": "crop", "name": "x", "padding": [[1, 0], [0, 2]]},
            {"op": "conv", "name": "c", "kernel": 3, "stride": 2, "out": 2},
        ],
    ),
    "pools": (
        [
            layer("MaxPooling2D", "m", pool_size=[3, 3], strides=[2, 2], **SAME),
            layer("AveragePooling2D", "a", pool_size=[2, 3], strides=None, padding="valid"),
            layer("Conv2D", "c", filters=2, kernel_size=[2, 2], **SAME),
        ],
        [
            {"op": "maxpool", "name": "m", "kernel": 3, "stride": 2, "padding": "same_upper"},
            {"op": "avgpool", "name": "a", "kernel": [2, 3]},
            {"op": "conv", "name": "c", "kernel": 2, "padding": "same_upper", "out": 2},
        ],
    ),
    "resized": (
        [
            layer("Rescaling", "r", scale=0.5),
            layer("UpSampling2D", "u", size=[2, 3], interpolation="bilinear"),
            layer("Conv2D", "c", filters=2, kernel_size=[3, 3], activation="relu"),
            layer("LayerNormalization", "n", axis=-1),
            layer("Dense", "d", units=5),
            layer("Dropout", "o", rate=0.5),
        ],
        [
            {"op": "resize", "name": "u", "scale": [2, 3], "mode": "linear"},
            {"op": "conv", "name": "c", "kernel": 3, "out": 2},
        ],
    ),
}  # fmt: skip


def chained(layers: list[Layer]) -> list[Layer]:
    """The image, and layers of which each reads the one before it."""
    names = ["image", *(each["name"] for each in layers)]
    return [image(), *({**each, **_reading(name)} for each, name in zip(layers, names, strict=False))]


def _reading(name: str) -> Layer:
    return {"inbound_nodes": layer("", "", name)["inbound_nodes"]}


def alike(one: Any, other: Any, sizes: Any = SIZES) -> None:
    for size in sizes:
        np.testing.assert_array_equal(padviz.usage(one, size).counts, padviz.usage(other, size).counts)
        assert padviz.costs(one, size).macs == padviz.costs(other, size).macs


@pytest.mark.parametrize("name", CASES)
def test_a_keras_file_counts_as_its_layers_do(name: str, tmp_path: Path) -> None:
    layers, steps = CASES[name]
    described = parse({"layers": steps}, name)
    alike(padviz.load(written(tmp_path / "s.keras", sequential([image(), *layers]))), described)
    alike(padviz.load(written(tmp_path / "f.keras", functional(chained(layers), layers[-1]["name"]))), described)


def test_channels_may_come_first(tmp_path: Path) -> None:
    first = {"data_format": "channels_first"}
    model = sequential([
        image(3, None, None),
        layer("Conv2D", "c", filters=4, kernel_size=[3, 5], strides=[2, 1], **SAME, **first),
        layer("GlobalAveragePooling2D", "g", **first),
    ])  # fmt: skip
    steps = [{"op": "conv", "name": "c", "kernel": [3, 5], "stride": [2, 1], "padding": "same_upper", "out": 4}]
    alike(padviz.load(written(tmp_path / "f.keras", model)), parse({"layers": steps}, "one"))


def test_models_inside_of_models_are_called_each_time(tmp_path: Path) -> None:
    inner = sequential([image(), layer("Conv2D", "c", filters=3, kernel_size=[3, 3], **SAME)], "inner")
    inner |= {"inbound_nodes": layer("", "", "image", "inner#0")["inbound_nodes"]}
    joins = layer("Add", "sum", ["image", "inner#1"])
    network = padviz.load(written(tmp_path / "f.keras", functional([image(), joins, inner], "sum")))
    conv = {"op": "conv", "kernel": 3, "padding": 1, "out": 3}
    merge = {"op": "add", "name": "sum", "branches": [[], [{**conv, "name": "a"}, {**conv, "name": "b"}]]}
    alike(network, parse({"layers": [merge]}, "two"))
    assert [layer.name for layer in network.layers] == ["input", "inner/c", "inner/c_2", "sum"]


def test_a_gate_leaves_its_vector_out(tmp_path: Path) -> None:
    layers = [
        image(),
        layer("Conv2D", "c", "image", filters=8, kernel_size=[3, 3]),
        layer("GlobalAveragePooling2D", "squeeze", "c", keepdims=False),
        layer("Reshape", "back", "squeeze", target_shape=[1, 1, 8]),
        layer("Conv2D", "excite", "back", filters=8, kernel_size=[1, 1], activation="sigmoid"),
        layer("Multiply", "gate", ["c", "excite"]),
        layer("Conv2D", "d", "gate", filters=2, kernel_size=[3, 3]),
    ]
    network = padviz.load(written(tmp_path / "f.keras", functional(layers, "d")))
    assert network.gates == ("gate",)
    assert padviz.usage(network, (9, 11)).max == 81


def test_what_keras_2_writes_is_read(tmp_path: Path) -> None:
    layers = [
        ("InputLayer", "i", {"batch_input_shape": [None, 9, 12, 3]}, []),
        ("Conv2D", "c", {"filters": 2, "kernel_size": [3, 3]}, [[["i", 0, 0, {}]]]),
        ("Add", "a", {}, [[["c", 0, 0, {}], ["c", 0, 0, {}]]]),
    ]
    keys = "class_name", "name", "config", "inbound_nodes"
    listed = [dict(zip(keys, each, strict=True)) for each in layers]
    config = {"name": "old", "layers": listed, "input_layers": [["i", 0, 0]], "output_layers": [["a", 0, 0]]}
    network = padviz.load(written(tmp_path / "f.keras", {"class_name": "Functional", "config": config}))
    assert (network.size, network.declared, padviz.usage(network).max) == ((9, 12), (9, 12), 9)


def test_attention_sees_all_positions(tmp_path: Path) -> None:
    layers = [
        image(8, 12, 3),
        layer("Conv2D", "c", "image", filters=4, kernel_size=[2, 2], strides=[2, 2]),
        layer("Reshape", "tokens", "c", target_shape=[24, 4]),
        layer("MultiHeadAttention", "mha", "tokens"),
        layer("Reshape", "back", "mha", target_shape=[4, 6, 4]),
        layer("Conv2D", "d", "back", filters=4, kernel_size=[1, 1]),
    ]
    counts = padviz.usage(written(tmp_path / "f.keras", functional(layers, "d"))).counts
    assert (counts == 24).all()


def test_a_layer_of_others_is_refused_by_name_or_neutral(tmp_path: Path) -> None:
    own = layer("Mystery", "m", module="mine", registered="mine>Mystery")
    model = sequential([image(), layer("Conv2D", "c", filters=2, kernel_size=[3, 3]), own])
    path = written(tmp_path / "f.keras", model)
    with pytest.raises(
        PadvizError,
        match=r"m: the Keras layer mine>Mystery is not known; .*neutral=.\"mine>M",
    ):
        padviz.usage(path, 9)
    assert padviz.usage(padviz.load(path, neutral=["mine>Mystery"]), 9).max == 9


def test_an_activation_of_others_is_refused_by_name_or_neutral(tmp_path: Path) -> None:
    own = {"module": "builtins", "class_name": "function", "config": "wavy", "registered_name": "function"}
    conv = layer("Conv2D", "c", filters=2, kernel_size=[3, 3], activation=own)
    path = written(tmp_path / "f.keras", sequential([image(), conv]))
    with pytest.raises(PadvizError, match=r"layer c: the activation wavy is not known; .*neutral=.\"wavy"):
        padviz.usage(path, 9)
    assert padviz.usage(padviz.load(path, neutral=["wavy"]), 9).max == 9


CONV = layer("Conv2D", "c", "image", filters=2, kernel_size=[3, 3])


def _kernel(value: Any) -> Layer:
    return functional([image(), {**CONV, "config": {"filters": 2, "kernel_size": value}}], "c")


REFUSED: dict[str, tuple[Any, str]] = {
    "class": ({**functional([image(), CONV], "c"), "class_name": "Mine"}, "is a model of the class Mine, whose own"),
    "circle": (functional([image(), layer("ReLU", "a", "b"), layer("ReLU", "b", "a")], "a"), "read each other"),
    "missing": (functional([image(), CONV], "d"), "nothing makes the tensor 0 of 'd'"),
    "kernel": (_kernel("x"), r"layer c: Conv2D makes no sense \(its kernel_size is no whole number"),
    "huge": (_kernel([9**9, 1]), "kernel of 387420489"),
    "vector": (functional([image(3), CONV], "c"), "has no input of four dimensions"),
    "list": ([[]], "without a class"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_network_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    model, message = REFUSED[name]
    with pytest.raises(PadvizError, match=message) as error:
        padviz.usage(written(tmp_path / "f.keras", model), 9)
    assert str(error.value).isprintable()


def test_hostile_archives_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "f.keras"
    model = json.dumps(functional([image(), CONV], "c"))
    contents: dict[str, list[tuple[str, bytes]]] = {
        "bomb": [("config.json", b" " * (1 << 25))],
        "deep": [("config.json", b"[" * 1_000_000)],
        "twice": [("config.json", model.encode())] * 2,
        "elsewhere": [("/config.json", model.encode())],
        "text": [("config.json", b"\xff{")],
        "many": [(f"{i:070}", b"") for i in range(40_000)],
    }
    for members in contents.values():
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            warnings.simplefilter("ignore")
            for name, content in members:
                archive.writestr(name, content)
        with pytest.raises(PadvizError, match=r"f\.keras: ") as error:
            padviz.load(path)
        assert str(error.value).isprintable()
    path.write_bytes(b"no archive")
    with pytest.raises(PadvizError, match=r"f\.keras: is no archive as a \.keras file is"):
        padviz.load(path)


def test_models_that_call_others_many_times_over_are_refused_in_time(tmp_path: Path) -> None:
    model = sequential([image(8, 8, 3), layer("ReLU", "r")], "m")
    for _ in range(15):
        called = {**model, "name": "m", "inbound_nodes": layer("", "", "image", "m", "m#1")["inbound_nodes"]}
        model = functional([image(8, 8, 3), called], "m")
    with pytest.raises(PadvizError, match=r"f\.keras: calls more than 5000 layers"):
        padviz.load(written(tmp_path / "f.keras", model))
