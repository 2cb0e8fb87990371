"""The weights in .keras files: the mean filters are those of the numbers that stand there."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padviz
from padviz.errors import PadvizError
from padviz.trained.networks.reading import read
from tests.keras_files import functional, image, layer, sequential, written

h5py = pytest.importorskip("h5py")
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
    inner = sequential([image(), layer("Conv2D", "i", filters=5, kernel_size=[3, 3], **SAME)], "inner")
    layers = [
        image(24, 31, 3),
        layer("Conv2D", "c", "image", filters=4, kernel_size=[3, 2], strides=[2, 1], **SAME),
        layer("BatchNormalization", "n", "c"),
        layer("DepthwiseConv2D", "d", "n", kernel_size=[3, 3], depth_multiplier=2),
        layer("SeparableConv2D", "s", "d", filters=6, kernel_size=[3, 3], depth_multiplier=1),
        layer("Conv2DTranspose", "t", "s", filters=5, kernel_size=[3, 3], strides=[2, 2], **SAME),
        inner | {"inbound_nodes": layer("", "", "t")["inbound_nodes"]},
    ]
    return functional(layers, "inner")


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
def test_weights_that_lie_elsewhere_or_are_far_too_many_are_refused(spoil: Any, why: str, tmp_path: Path) -> None:
    path = weighed(tmp_path / "net.keras", spoil=spoil)
    with pytest.raises(PadvizError, match=rf"net\.keras: has weights that cannot be read \({why}") as error:
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
    for run in (padviz.responses, lambda path: padviz.detect(path, "text:word"), padviz.verify_tiles):
        with pytest.raises(PadvizError, match=r"net\.keras: can be analysed but not run; export it to \.onnx for that"):
            run(path)
