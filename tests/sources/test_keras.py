"""Keras models as networks: they count as the same layers do in a description, at every size."""

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padviz
from padviz.errors import PadvizError
from padviz.sources.toml.load import parse
from tests.keras_files import Layer, functional, image, layer, sequential, written

SIZES = [(24, 31), (37, 22)]
SAME = {"padding": "same"}
Steps = list[dict[str, Any]]


def step(
    op: str, name: str, kernel: Any = None, out: int | None = None, **more: Any
) -> dict[str, Any]:
    return {
        key: each
        for key, each in {"op": op, "name": name, "kernel": kernel, "out": out, **more}.items()
        if each
    }


LAST = layer("Conv2D", "last", filters=2, kernel_size=[3, 3], strides=[2, 2], activation="relu")
CASES: list[tuple[Layer, Steps]] = [  # what a layer, and LAST behind it, is in a description
    (layer("Conv2D", "c", filters=4, kernel_size=[3, 5], strides=[2, 2], **SAME),
     [step("conv", "c", [3, 5], 4, stride=2, padding="same_upper")]),
    (layer("DepthwiseConv2D", "c", kernel_size=[3, 3], dilation_rate=[2, 2], depth_multiplier=2),
     [step("conv", "c", 3, 6, dilation=2, groups=3)]),
    (layer("SeparableConv2D", "c", filters=8, kernel_size=[3, 3], depth_multiplier=1, **SAME),
     [step("conv", "d", 3, 3, padding="same_upper", groups=3), step("conv", "c", 1, 8)]),
    (layer("Conv2DTranspose", "c", filters=2, kernel_size=[5, 3], strides=[2, 3], **SAME),
     [step("convtranspose", "c", [5, 3], 2, stride=[2, 3], padding=[[1, 2], [0, 0]])]),
    (layer("Conv2DTranspose", "c", filters=2, kernel_size=[2, 3], strides=[3, 2]),
     [step("convtranspose", "c", [2, 3], 2, stride=[3, 2], output_padding=[1, 0])]),
    (layer("ZeroPadding2D", "p", padding=[[0, 1], [2, 1]]), [step("pad", "p", padding=[[0, 1], [2, 1]])]),
    (layer("Cropping2D", "x", cropping=[[1, 0], [0, 2]]), [step("crop", "x", padding=[[1, 0], [0, 2]])]),
    (layer("MaxPooling2D", "m", pool_size=[3, 3], strides=[2, 2], **SAME),
     [step("maxpool", "m", 3, stride=2, padding="same_upper")]),
    (layer("AveragePooling2D", "a", pool_size=[2, 3], strides=None, padding="valid"),
     [step("avgpool", "a", [2, 3])]),
    (layer("UpSampling2D", "u", size=[2, 3], interpolation="bilinear"),
     [step("resize", "u", scale=[2, 3], mode="linear")]),
    (layer("Dense", "d", units=3), []),
    (layer("Rescaling", "r", scale=0.5), []),
    (layer("LayerNormalization", "n", axis=-1), []),
    (layer("Dropout", "o", rate=0.5), []),
]  # fmt: skip


def reading(model: Layer, *names: str) -> Layer:
    """A layer, or a model, that is called with each of these."""
    return {**model, "inbound_nodes": layer("", "", *names)["inbound_nodes"]}


def alike(one: Any, other: Any) -> None:
    for size in SIZES:
        np.testing.assert_array_equal(
            padviz.usage(one, size).counts, padviz.usage(other, size).counts
        )
        assert padviz.costs(one, size).macs == padviz.costs(other, size).macs


@pytest.mark.parametrize(("keras", "steps"), CASES, ids=[each["class_name"] for each, _ in CASES])
def test_a_keras_file_counts_as_its_layers_do(keras: Layer, steps: Steps, tmp_path: Path) -> None:
    described = parse({"layers": [*steps, step("conv", "last", 3, 2, stride=2)]}, "described")
    alike(padviz.load(written(tmp_path / "s.keras", sequential([image(), keras, LAST]))), described)


def test_channels_may_come_first(tmp_path: Path) -> None:
    first = {"data_format": "channels_first"}
    model = sequential([
        image(3, None, None),
        layer("Conv2D", "c", filters=4, kernel_size=[3, 5], strides=[2, 1], **SAME, **first),
        layer("GlobalAveragePooling2D", "g", **first),
    ])  # fmt: skip
    steps = [step("conv", "c", [3, 5], 4, stride=[2, 1], padding="same_upper")]
    alike(padviz.load(written(tmp_path / "f.keras", model)), parse({"layers": steps}, "one"))


def test_models_inside_of_models_are_called_each_time(tmp_path: Path) -> None:
    inner = sequential(
        [image(), layer("Conv2D", "c", filters=3, kernel_size=[3, 3], **SAME)], "inner"
    )
    joins, called = (
        layer("Add", "inner/c", ["image", "inner#1"]),
        reading(inner, "image", "inner#0"),
    )
    network = padviz.load(
        written(tmp_path / "f.keras", functional([image(), joins, called], "inner/c"))
    )
    branch = [step("conv", name, 3, 3, padding=1) for name in "ab"]
    alike(network, parse({"layers": [step("add", "sum", branches=[[], branch])]}, "two"))
    assert [layer.name for layer in network.layers] == [
        "input",
        "inner/c",
        "inner/c_2",
        "inner/c_3",
    ]


CONV = layer("Conv2D", "c", "image", filters=2, kernel_size=[3, 3])


def test_a_gate_leaves_its_vector_out(tmp_path: Path) -> None:
    layers = [
        image(),
        CONV,
        layer("GlobalAveragePooling2D", "squeeze", "c", keepdims=False),
        layer("Reshape", "back", "squeeze", target_shape=[1, 1, 2]),
        layer("Conv2D", "excite", "back", filters=2, kernel_size=[1, 1], activation="sigmoid"),
        {**CONV, "name": "other", "config": {**CONV["config"], "name": "other"}},
        layer("Multiply", "gate", ["c", "excite", "other"]),
        layer("Conv2D", "d", "gate", filters=2, kernel_size=[3, 3]),
    ]
    network = padviz.load(written(tmp_path / "f.keras", functional(layers, "d")))
    assert network.gates == ("gate",)
    assert padviz.usage(network, (9, 11)).max == 2 * 81


def test_what_keras_2_writes_is_read(tmp_path: Path) -> None:
    layers = [
        ("InputLayer", "i", {"batch_input_shape": [None, 9, 12, 3]}, []),
        ("Conv2D", "c", {"filters": 2, "kernel_size": [3, 3]}, [[["i", 0, 0, {}]]]),
        ("Add", "a", {}, [[["c", 0, 0, {}], ["c", 0, 0, {}]]]),
    ]
    keys = "class_name", "name", "config", "inbound_nodes"
    listed = [dict(zip(keys, each, strict=True)) for each in layers]
    config = {
        "name": "old",
        "layers": listed,
        "input_layers": [["i", 0, 0]],
        "output_layers": [["a", 0, 0]],
    }
    network = padviz.load(
        written(tmp_path / "f.keras", {"class_name": "Functional", "config": config})
    )
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


OWN = {
    "module": "builtins",
    "class_name": "function",
    "config": "wavy",
    "registered_name": "function",
}
OTHERS = {  # by the name that makes them neutral
    "mine>Mystery": (
        layer("Mystery", "m", module="mine", registered="mine>Mystery"),
        "m: the Keras layer mine>Mystery is not known",
    ),
    "wavy": (
        layer("Conv2D", "d", filters=2, kernel_size=[1, 1], activation=OWN),
        "layer d: the activation wavy is not known",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_others_wrote_is_refused_by_name_or_neutral(name: str, tmp_path: Path) -> None:
    own, message = OTHERS[name]
    path = written(tmp_path / "f.keras", sequential([image(), CONV, own]))
    with pytest.raises(PadvizError, match=f'{message}; .*neutral=."{name}'):
        padviz.usage(path, 9)
    assert padviz.usage(padviz.load(path, neutral=[name]), 9).max == 9


def _nested() -> Layer:
    model = sequential([image(8, 8, 3), layer("ReLU", "r")], "m")
    for _ in range(15):
        model = functional(
            [image(8, 8, 3), {**reading(model, "image", "m", "m#1"), "name": "m"}], "m"
        )
    return model


REFUSED: dict[str, tuple[Any, str]] = {
    "class": (
        {**functional([image(), CONV], "c"), "class_name": "Mine"},
        "is a model of the class Mine, whose own",
    ),
    "circle": (
        functional([image(), layer("ReLU", "a", "b"), layer("ReLU", "b", "a")], "a"),
        "form a cycle",
    ),
    "missing": (functional([image(), CONV], "d"), "nothing makes the tensor 0 of 'd'"),
    "kernel": (
        functional([image(), layer("Conv2D", "c", "image", filters=2, kernel_size="x")], "c"),
        r"layer c: Conv2D is invalid \(its kernel_size is not a whole number",
    ),
    "lists": (
        functional(
            [image(), layer("UpSampling2D", "u", "image", interpolation=["x"], data_format=["x"])],
            "u",
        ),
        r"u: UpSampling2D interpolates by \['x'\]",
    ),
    "vector": (functional([image(3), CONV], "c"), "has no input of four dimensions"),
    "list": ([[]], "without a class"),
    "sizes": (
        functional([image(), CONV, layer("Add", "a", ["image", "c"])], "a"),
        "a: Add joins 1x9x9x3 and 1x7x7x2",
    ),
    "nested": (_nested(), r"f\.keras: calls more than 5000 layers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_network_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    model, message = REFUSED[name]
    with pytest.raises(PadvizError, match=message) as error:
        padviz.usage(written(tmp_path / "f.keras", model), 9)
    assert str(error.value).isprintable()


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_hostile_archives_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "f.keras"
    model = json.dumps(functional([image(), CONV], "c"))
    contents: dict[str, list[tuple[str, bytes]]] = {
        "bomb": [("config.json", b" " * (1 << 25))],
        "deep": [("config.json", b"[" * 1_000_000)],
        "twice": [("config.json", model.encode())] * 2,
        "elsewhere": [("/config.json", model.encode())],
        "text": [("config.json", b"\xff{")],
        "many": [(f"{i:01000}", b"") for i in range(4_500)],
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
    with pytest.raises(PadvizError, match=r"f\.keras: is not a \.keras file, or is damaged"):
        padviz.load(path)
