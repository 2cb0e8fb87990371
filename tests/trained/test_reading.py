"""Weights of networks: in ONNX files, in modules and what they call, and in files beside them."""

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
import safetensors.torch
import timm
import torch
from numpy.typing import NDArray
from onnx import numpy_helper, parser
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

import padviz
from padviz.errors import PadvizError
from padviz.network.layer import CONVOLUTIONS
from padviz.trained.networks.reading import read
from tests.cli.test_cli import lay
from tests.keras_files import functional as connected
from tests.keras_files import image, layer, sequential, written
from tests.sources.test_onnx_ops import GRAPHS, MEANS, model_of


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lay("weighed_net.py")


def kernel(
    source: Any, size: tuple[int, int] | None = (32, 32), weights: str | None = None
) -> NDArray[Any]:
    found = read(source, size, weights)
    assert not found.unread
    return found.kernels[0].weights


def onnx_file(nodes: str, opset: int = 13, **weights: NDArray[Any]) -> Path:
    head = f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[N, 3, H, W] x) => (float[] y)'
    model = parser.parse_model(f"{head} {{ {nodes} }}")
    model.graph.initializer.extend(
        numpy_helper.from_array(each, name) for name, each in weights.items()
    )
    onnx.save(model, "model.onnx")
    return Path("model.onnx")


STORED = np.random.default_rng(0).normal(size=(4, 3, 3, 5)).astype(np.float32)


def test_weights_are_found_behind_nodes_that_move_them() -> None:
    nodes = "a = Cast <to = 1> (w)\n b = Identity (a)\n v = Transpose <perm = [3, 2, 0, 1]> (b)\n y = Conv (x, v)"
    turned = STORED.transpose(2, 3, 1, 0).astype(np.float64)  # as Keras keeps it
    np.testing.assert_allclose(kernel(onnx_file(nodes, w=turned)), STORED, rtol=1e-6)


def test_quantised_weights_are_scaled_back() -> None:
    whole = np.round(STORED * 20).astype(np.int8)
    scale, zero = (
        np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32),
        np.array([0, 1, 2, 3], dtype=np.int8),
    )
    nodes = "v = DequantizeLinear <axis = 0> (w, s, z)\n y = Conv (x, v)"
    expected = (whole.astype(np.float32) - zero.reshape(-1, 1, 1, 1)) * scale.reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(
        kernel(onnx_file(nodes, w=whole, s=scale, z=zero)), expected, rtol=1e-6
    )


def test_weights_lie_beside_the_file_as_it_is_named_be_that_a_link() -> None:
    """What is no file beside the model is in tests/sources/test_onnx_hostile.py."""
    path = onnx_file("y = Conv (x, w)", w=STORED)
    Path("in").mkdir()
    onnx.save(
        onnx.load(path),
        "in/net.onnx",
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    np.testing.assert_array_equal(kernel("in/net.onnx"), STORED)
    Path("link.onnx").symlink_to("in/net.onnx")
    missing = "w should be in 'w.bin' beside the model (no such file)"
    found = read("link.onnx")
    assert (found.kernels, found.unread) == ((), {"y": f"its weights cannot be read: {missing}"})
    with pytest.raises(PadvizError) as error:
        padviz.responses("link.onnx", (32, 32), n=1)
    assert (
        str(error.value)
        == f"link.onnx: its external data cannot be read: {missing}; put it beside the file"
    )


def test_weights_that_make_no_sense_or_are_hidden_are_told() -> None:
    nodes = "v = Transpose <perm = [0, 0, 1, 2]> (w)\n y = Conv <kernel_shape = [3, 5]> (x, v)"
    assert read(onnx_file(nodes, w=STORED)).unread == {"y": "unexpected shape or type of weights"}
    head = (
        '<ir_version: 9, opset_import: ["" : 17, "own" : 1]> g (float[N, 3, H, W] x) => (float[] y)'
    )
    inside = '<domain: "own", opset_import: ["" : 17]> f (a, b) => (c) { c = Conv <kernel_shape = [3, 5]> (a, b) }'
    model = parser.parse_model(f"{head} {{ y = own.f (x, w) }} {inside}")
    model.graph.initializer.append(numpy_helper.from_array(STORED, "w"))
    onnx.save(model, "model.onnx")
    assert [*read("model.onnx").unread.values()] == [
        "its weights are inside of a function or a branch"
    ]


def test_a_batch_normalisation_behind_a_convolution_is_seen() -> None:
    ones = dict.fromkeys("abcd", np.ones(4, dtype=np.float32))
    norm = "v = Conv (x, w)\n y = BatchNormalization (v, a, b, c, d)"
    assert read(onnx_file(norm, w=STORED, **ones)).kernels[0].norm
    assert not read(onnx_file("y = Conv (x, w)", w=STORED)).kernels[0].norm
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU()
    )
    assert [each.norm for each in read(net, (32, 32)).kernels] == [True, False]


class Functional(nn.Module):
    """Weights that no convolution module holds."""

    def __init__(self) -> None:
        super().__init__()
        self.bank = nn.Parameter(torch.randn(2, 4, 3, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.bank[0]) + functional.conv2d(
            input=x, weight=self.bank[1].flip(-1)
        )


def test_what_functions_are_called_with_is_found() -> None:
    net = Functional()
    found = read(net, (32, 32)).kernels
    np.testing.assert_array_equal(found[0].weights, net.bank[0].detach().numpy())
    np.testing.assert_array_equal(found[1].weights, net.bank[1].detach().numpy()[..., ::-1])


def test_weights_are_those_that_the_forward_makes_of_them() -> None:
    standardised = timm.layers.StdConv2d(3, 8, 3)
    weights = kernel(standardised)
    np.testing.assert_allclose(weights.mean((1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(weights.std((1, 2, 3)), 1, rtol=1e-3)
    normed = parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
    np.testing.assert_allclose(kernel(normed), normed.weight.detach().numpy(), rtol=1e-6)
    halved = nn.Conv2d(3, 8, 3).to(torch.bfloat16)
    np.testing.assert_array_equal(kernel(halved), halved.weight.detach().float().numpy())


class OfTheImage(nn.Module):
    """A filter that each image makes for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 81, 1))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.gate(x).reshape(3, 3, 3, 3))


def test_the_module_stays_as_it_is() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    before = {name: (value.data_ptr(), value.clone()) for name, value in net.state_dict().items()}
    Path("w.pth").unlink(missing_ok=True)
    torch.save({name: value * 0 for name, value in net.state_dict().items()}, "w.pth")
    assert not kernel(net, weights="w.pth").any()
    assert kernel(net).any()
    assert net.training
    for name, value in net.state_dict().items():
        assert value.data_ptr() == before[name][0]
        assert torch.equal(value, before[name][1])


def state(value: float = 5.0, width: int = 4) -> dict[str, Tensor]:
    norm = {
        f"norm.{name}": torch.ones(width)
        for name in ("weight", "bias", "running_mean", "running_var")
    }
    conv = {"conv.weight": torch.full((width, 3, 3, 3), value), "conv.bias": torch.zeros(width)}
    return {**conv, **norm, "norm.num_batches_tracked": torch.tensor(1)}


CHECKPOINTS: dict[str, dict[str, Any]] = {
    "plain": state(),
    "nested": {"epoch": 3, "state_dict": state(), "optimizer": {"lr": 0.1}},
    "parallel": {f"module.{key}": value for key, value in state().items()},
    "compiled": {"model": {f"_orig_mod.{key}": value for key, value in state().items()}},
    "half": {
        key: value.half() if value.is_floating_point() else value for key, value in state().items()
    },
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_weights_are_loaded_from_files(kind: str) -> None:
    torch.save(CHECKPOINTS[kind], "w.pth")
    found = read("weighed_net:Net", (32, 32), "w.pth")
    assert (found.kernels[0].weights == 5).all()
    assert not found.model.training
    assert not any(each.is_meta for each in found.model.parameters())


def test_safetensors_and_names_are_read() -> None:
    safetensors.torch.save_file(state(6.0), "w.safetensors")
    assert (kernel("weighed_net:Net", weights="w.safetensors") == 6).all()
    assert (kernel("weighed_net:named", weights="DEFAULT") == 2).all()
    assert (kernel("weighed_net:pretrained", weights="DEFAULT") == 3).all()
    assert (kernel("weighed_net:named", weights="w.safetensors") == 6).all()


class Harmful:
    def __reduce__(self) -> Any:
        return Path("harm").touch, ()


def write_bad_files() -> None:
    tensors = state()
    torch.save({"conv.weight": Harmful()}, "code.pth")
    Path("old.pth").write_bytes(pickle.dumps({"conv.weight": Harmful()}))
    torch.save([torch.zeros(3)], "list.pth")
    torch.save({"epoch": 3}, "empty.pth")
    torch.save(state(width=99), "wide.pth")
    torch.save({**tensors, "extra.weight": torch.zeros(1)}, "more.pth")
    torch.jit.script(nn.ReLU()).save("script.pth")
    safetensors.torch.save_file(tensors, "cut.safetensors")
    torch.save(state(width=999), "cut.pth")
    for name, size in (("cut.safetensors", 100), ("cut.pth", 100_000)):
        Path(name).write_bytes(Path(name).read_bytes()[:size])
    torch.save({**tensors, "conv.weight": tensors["conv.weight"].to(torch.int8)}, "whole.pth")
    itself: dict[str, Any] = {"epoch": 3}
    itself["model"] = itself
    torch.save(itself, "itself.pt")
    with (
        zipfile.ZipFile("wide.pth") as source,
        zipfile.ZipFile("packed.pth", "w", zipfile.ZIP_DEFLATED) as made,
    ):
        for member in source.namelist():
            made.writestr(member, source.read(member))


NET = "weighed_net:Net"
BAD: dict[tuple[Any, str | None], str] = {
    (NET, "itself.pt"): "itself.pt: holds itself under 'model'; save a module's state_dict()",
    (
        NET,
        "packed.pth",
    ): "packed.pth: expands to more than its bytes, unlike any file of PyTorch; save",
    (
        NET,
        "whole.pth",
    ): f"whole.pth: does not fit {NET}: has conv.weight of int8 where there is float32; use weights",
    (
        NET,
        "code.pth",
    ): "code.pth: holds more than tensors, such as code, which padviz does not run; save",
    (
        NET,
        "old.pth",
    ): "old.pth: holds more than tensors, such as code, which padviz does not run; save",
    (NET, "list.pth"): "list.pth: holds a list, not parameters by name; save",
    (NET, "empty.pth"): "empty.pth: holds no parameters; save a module's state_dict()",
    (
        NET,
        "wide.pth",
    ): f"wide.pth: does not fit {NET}: has conv.weight of another shape (99 x 3 x 3 x 3, not"
    " 4 x 3 x 3 x 3), as of 5 more; use weights of exactly this model",
    (NET, "more.pth"): f"more.pth: does not fit {NET}: has in addition extra.weight",
    (
        NET,
        "script.pth",
    ): "script.pth: is a TorchScript archive, whose code padviz does not run; save",
    (
        NET,
        "cut.pth",
    ): "cut.pth: is not a PyTorch file, or is incomplete (PytorchStreamReader failed reading "
    "zip archive: failed finding central directory); save",
    (NET, "cut.safetensors"): "cut.safetensors: is not a .safetensors file, or is incomplete",
    (
        "weighed_net:named",
        "V9",
    ): "weighed_net:named: cannot be made: ValueError: no weights are called V9",
    (
        "weighed_net",
        None,
    ): "weighed_net: is neither a network with weights nor a module's name; name an .onnx file",
    (3, None): "an object of type int is not a network with weights; name an .onnx file",
}


def test_what_cannot_be_read_gets_one_line() -> None:
    """What users are likelier to do is in tests/cli/mistakes.txt."""
    write_bad_files()
    for (source, weights), line in BAD.items():
        with pytest.raises(PadvizError) as caught:
            read(source, (32, 32), weights)
        said = str(caught.value)
        assert said.startswith(line), said
        assert "\n" not in said
        assert said.count("(") == said.count(")")
        assert not Path("harm").exists()


def test_weights_that_the_image_makes_are_told() -> None:
    found = read(OfTheImage(), (32, 32))
    assert (found.kernels, found.unread) == (
        (),
        {"conv": "its weights are not those of a convolution"},
    )


@pytest.mark.parametrize(
    ("opset", "body"),
    [each[1:] for each in GRAPHS + MEANS],
    ids=[each[0] for each in GRAPHS + MEANS],
)
def test_what_is_read_of_a_file_are_its_convolutions(opset: str, body: str) -> None:
    """A node that convolves may be part of what the network does not know: it has no layer to show weights of."""
    onnx.save(model_of(body, int(opset.split()[0])), "net.onnx")
    try:
        found = read("net.onnx")
    except PadvizError as error:
        with pytest.raises(PadvizError, match=re.escape(error.what)):  # there is no network at all
            padviz.load("net.onnx")
        return
    convolutions = [layer.name for layer in found.network.layers if layer.kind in CONVOLUTIONS]
    assert sorted([*found.unread, *(each.layer for each in found.kernels)]) == sorted(convolutions)


RNG = np.random.default_rng(0)
SAME = {"padding": "same"}
KERNELS: dict[str, Any] = {
    "c": [RNG.normal(size=(3, 2, 3, 4))],
    "d": [RNG.normal(size=(3, 3, 4, 2))],
    "s": [RNG.normal(size=(3, 3, 8, 1)), RNG.normal(size=(1, 1, 8, 6))],
    "t": [RNG.normal(size=(3, 3, 5, 6))],
    "inner/i": [RNG.normal(size=(3, 3, 5, 5))],
}


def model() -> Any:
    inner = sequential(
        [image(), layer("Conv2D", "i", filters=5, kernel_size=[3, 3], **SAME)], "inner"
    )
    layers = [
        image(24, 31, 3),
        layer("Conv2D", "c", "image", filters=4, kernel_size=[3, 2], strides=[2, 1], **SAME),
        layer("BatchNormalization", "n", "c"),
        layer("DepthwiseConv2D", "d", "n", kernel_size=[3, 3], depth_multiplier=2),
        layer("SeparableConv2D", "s", "d", filters=6, kernel_size=[3, 3], depth_multiplier=1),
        layer("Conv2DTranspose", "t", "s", filters=5, kernel_size=[3, 3], strides=[2, 2], **SAME),
        inner | {"inbound_nodes": layer("", "", "t")["inbound_nodes"]},
    ]
    return connected(layers, "inner")


def weighed(path: Path, compressed: bool = False, spoil: Any = None) -> Path:
    """The model with its weights, in groups as Keras lays them: called by their kinds, with the names beside."""
    written(path, model())
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        for i, (title, numbers) in enumerate(KERNELS.items()):
            at = f"layers/kind_{i}"
            for name in title.split("/"):
                variables = file.create_group(f"{at}/vars")
                variables.attrs["name"] = name
                at += "/layers/kind"
            for key, each in enumerate(numbers):
                variables[str(key)] = each.astype(np.float32)
        if spoil:
            spoil(file)
    how = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "a", how) as archive:
        archive.write(path.with_suffix(".h5"), "model.weights.h5")
    return path


def test_each_convolution_has_its_weights(tmp_path: Path) -> None:
    trained = read(weighed(tmp_path / "net.keras"))
    kernels = {kernel.layer: kernel.weights for kernel in trained.kernels}
    assert trained.unread == {}
    assert {name: weights.shape for name, weights in kernels.items()} == {
        "c": (4, 3, 3, 2), "d": (8, 1, 3, 3), "s.depthwise": (8, 1, 3, 3), "s": (6, 8, 1, 1), "t": (5, 6, 3, 3),
        "inner/i": (5, 5, 3, 3),
    }  # fmt: skip
    assert [kernel.layer for kernel in trained.kernels if kernel.norm] == ["c"]
    stored = {name: np.float32(each[0]) for name, each in KERNELS.items()}
    np.testing.assert_array_equal(kernels["c"][1, 2], stored["c"][:, :, 2, 1])
    np.testing.assert_array_equal(kernels["d"][3, 0], stored["d"][:, :, 1, 1])
    np.testing.assert_array_equal(kernels["t"][4, 3], stored["t"][:, :, 4, 3])


AT = "layers/kind_0/vars/0"


def replaced(by: Any) -> Any:
    return lambda file: (file.__delitem__(AT), by(file))


def nested(depth: int) -> Any:
    return lambda file: file.create_group("/".join(["layers/deep"] * depth))


def doubled(file: Any) -> None:
    """Lay two ways to each of 30 groups into the one above it: 2 to the 30 ways."""
    for i in range(30):
        for name in "ab":
            file[f"of/{i}/layers/{name}"] = file.require_group(f"of/{i + 1}")
    file["layers/top"] = file["of/0"]


@pytest.mark.parametrize(("spoil", "why"), [
    (replaced(lambda file: file.__setitem__(AT, h5py.ExternalLink("/etc/hostname", "/x"))), ""),
    (replaced(lambda file: file.create_dataset(AT, (1 << 20, 1 << 20), chunks=(16, 16), dtype="f4")),
     "/layers/kind_0/vars/0 is stored as Keras never does"),
    (nested(41), "groups are nested too deeply"),
    (doubled, "more numbers than the file has bytes"),
])  # fmt: skip
def test_weights_that_lie_elsewhere_or_are_far_too_many_are_refused(
    spoil: Any, why: str, tmp_path: Path
) -> None:
    path = weighed(tmp_path / "net.keras", spoil=spoil)
    with pytest.raises(
        PadvizError, match=rf"net\.keras: has weights that cannot be read \({why}"
    ) as error:
        padviz.filters(path)
    assert str(error.value).isprintable()


def test_groups_may_be_nested_forty_deep(tmp_path: Path) -> None:
    assert len(padviz.filters(weighed(tmp_path / "net.keras", spoil=nested(40))).rows) == 5


def test_files_without_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PadvizError, match=r"net\.keras: has compressed weights"):
        padviz.filters(weighed(tmp_path / "net.keras", compressed=True))
    with pytest.raises(PadvizError, match=r"bare\.keras: has no model\.weights\.h5"):
        padviz.filters(written(tmp_path / "bare.keras", model()))


def test_what_runs_a_network_asks_for_an_export(tmp_path: Path) -> None:
    path = weighed(tmp_path / "net.keras")
    for run in (
        padviz.responses,
        lambda path: padviz.detect(path, "text:word"),
        padviz.verify,
    ):
        with pytest.raises(
            PadvizError,
            match=r"net\.keras: can be analysed but not run; export it to \.onnx for that",
        ):
            run(path)
