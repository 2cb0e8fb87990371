"""Border responses: what is reduced while a network runs equals what its whole maps say."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from padviz.figures.trained.responses import drawn_layers, panels
from padviz.sources.onnx.model import as_model
from padviz.trained.border_responses import BorderResponse, BorderResponses, Sides, border_responses
from padviz.trained.images import Inputs, images_of
from padviz.trained.networks.onnx_network import OnnxRunner
from padviz.trained.networks.reading import read, runner_of
from padviz.trained.networks.torch_network import TorchRunner
from tests.torch_calls import to_onnx
from tests.trained.known import known

Array = NDArray[np.float64]


class Own(nn.Conv2d):
    """A subclass with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight * 2, self.bias, padding=1)


class Small(nn.Module):
    """Convolutions of each kind of call, followed by what writes into their maps."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.own = Own(6, 6, 3)
        self.weight = nn.Parameter(torch.randn(6, 1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x), inplace=True)
        made = self.own(x)
        made += x
        return functional.conv2d(made, self.weight, padding=1, groups=6).mul_(0.5)


def maps_of(net: Small, images: Array) -> dict[str, Array]:
    """Every convolution's output, whole."""
    with torch.no_grad():
        stem = net.stem(torch.from_numpy(images))
        own = net.own(functional.relu(stem))
        last = functional.conv2d(own + functional.relu(stem), net.weight, padding=1, groups=6)
    return {
        name: each.double().numpy()
        for name, each in (("stem", stem), ("own", own), ("conv2d", last))
    }


def naive(maps: Array) -> tuple[list[float], list[float], float, Array]:
    """E and t of each side, the share of aware channels, and the mean map, as they are defined."""
    high, wide = maps.shape[2:]
    rows, cols = slice(-(-high // 4), high + -high // 4), slice(-(-wide // 4), wide + -wide // 4)
    inner = maps[:, :, rows, cols]
    scale = np.sqrt((inner**2).mean())
    lines = maps[:, :, 0, cols], maps[:, :, -1, cols], maps[:, :, rows, 0], maps[:, :, rows, -1]
    energies, ts, aware = [], [], np.zeros(maps.shape[1], bool)
    for line in lines:
        each = line.mean(2) - inner.mean((2, 3))
        product = (each[::2].mean(0) * each[1::2].mean(0)).mean()
        energies.append(float(np.sqrt(max(0, product)) / scale))
        means = each.mean(1)
        ts.append(float(means.mean() / (means.std(ddof=1) / np.sqrt(len(means)))))
        errors = each.std(0, ddof=1) / np.sqrt(len(each))
        aware |= (np.abs(each.mean(0)) > 5 * errors) & (np.abs(each.mean(0)) > 0.5 * scale)
    return energies, ts, float(aware.mean()), maps.mean((0, 1))


@pytest.mark.parametrize("traced", [False, True])
def test_measures_are_those_of_the_whole_maps_whatever_writes_into_them(traced: bool) -> None:
    net = Small().eval()
    images = images_of(Inputs(n=11), (32, 40), 3)
    # which has a graph of its own, and is a module all the same
    run = torch.fx.symbolic_trace(net) if traced else net
    rows = padviz.responses(run, (32, 40), n=11).under(None)
    for row, (layer, maps) in zip(rows, maps_of(net, images).items(), strict=True):
        energies, ts, aware, mean = naive(maps)
        assert traced or row.layer == layer  # a trace has what Own calls by another name
        np.testing.assert_allclose(row.energy, energies, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(row.t, ts, rtol=1e-3)
        assert row.aware == aware
        np.testing.assert_allclose(row.map, mean, atol=1e-5)
        assert [each[0] for each in row.profiles] == [*row.energy]


def exported(net: nn.Module, path: Path, size: int, batch: int | None = None) -> Path:
    """A network as an ONNX file whose norms stay apart."""
    axes = {} if batch else {"x": {0: "batch"}}
    image, apart = torch.zeros(batch or 2, 3, size, size), torch.onnx.TrainingMode.PRESERVE
    return to_onnx(net, path, image, input_names=["x"], dynamic_axes=axes, training=apart)


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_a_module_and_its_export_agree_under_every_padding(
    batch: int | None, tmp_path: Path
) -> None:
    net = Small().eval()
    schemes = ["zero", "reflect", "symmetric", "circular", "partial"]
    of_file = padviz.responses(exported(net, tmp_path / "net.onnx", 32, batch), 32, schemes, n=6)
    of_module = padviz.responses(net, 32, schemes, n=6)
    assert (of_file.paddings, len(of_file.rows)) == ((None, *schemes, "shuffled"), 21)
    for one, other in zip(of_file.rows[:18], of_module.rows[:18], strict=True):
        np.testing.assert_allclose(one.energy, other.energy, rtol=0.02, atol=1e-3)
        np.testing.assert_allclose(one.map, other.map, atol=1e-4)
    assert of_file.mean("zero") == of_file.mean(None)
    assert known(of_file.mean("circular")) < 0.1 < known(of_file.mean(None))


def graph(nodes: list[Any], shape: list[Any], opset: int = 17) -> Any:
    """A model of some nodes with weights "w", of one image "x" and the output "y"."""
    weights = np.random.default_rng(0).standard_normal((3, 3, 3, 3), dtype=np.float32)
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    stored = [
        numpy_helper.from_array(weights, "w"),
        numpy_helper.from_array(np.array([1, 3, 16, 16]), "shape"),
    ]
    built = helper.make_graph(nodes, "net", [image], [made], stored)
    return helper.make_model(built, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def conv(reads: str = "x") -> Any:
    return helper.make_node("Conv", [reads, "w"], ["y"], name="conv", pads=[1, 1, 1, 1])


TURNED = [helper.make_node("Transpose", ["x"], ["r"], perm=[0, 3, 1, 2])]
SHAPED = [helper.make_node("Reshape", ["x", "shape"], ["r"])]  # it takes one image inside


@pytest.mark.parametrize(
    ("before", "shape", "opset", "batch"),
    [
        *((TURNED, ["n", 16, 16, 3], opset, None) for opset in (9, 12, 18)),
        (SHAPED, ["n", 3, 16, 16], 17, 1),
    ],
)
def test_channels_last_old_opsets_and_images_one_by_one_are_the_same(
    before: list[Any], shape: list[Any], opset: int, batch: int | None
) -> None:
    images = images_of(Inputs(n=6), (16, 16), 3)
    plain = OnnxRunner(
        as_model(graph([conv()], ["n", 3, 16, 16]), "plain"), (16, 16), {"conv": "y"}
    )
    other = OnnxRunner(
        as_model(graph([*before, conv("r")], shape, opset), "net"), (16, 16), {"conv": "y"}
    )
    found, expected = (border_responses(each, images, None)[0] for each in (other, plain))
    np.testing.assert_allclose(found.energy, expected.energy, rtol=1e-5)
    assert batch is None or other.batch == batch


def test_squares_of_a_large_map_lose_no_digits() -> None:
    images = images_of(Inputs(n=2), (640, 640), 3)
    runner = OnnxRunner(
        as_model(graph([conv()], ["n", 3, 640, 640]), "net"), (640, 640), {"conv": "y"}
    )
    inner = runner.outputs(images)["y"][:, :, 160:480, 160:480].astype(np.float64)
    (row,) = border_responses(runner, images, None)
    assert row.scale == pytest.approx(np.sqrt((inner**2).mean()), rel=1e-5)


def test_dead_layers_and_nan_are_reported_and_not_drawn() -> None:
    dead, lost = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
    nn.init.zeros_(dead.weight), nn.init.zeros_(dead.bias), nn.init.constant_(lost.bias, np.nan)
    found = padviz.responses(nn.Sequential(dead, lost), 32, (), n=2, shuffled=False)
    assert [row.note for row in found.rows] == [
        "is dead: 0 all over the interior",
        "returns NaN or infinite numbers",
    ]
    assert all(
        row.map is None and row.energy.mean is None and row.aware is None for row in found.rows
    )
    assert (drawn_layers(found), found.mean(None), panels(found).axes) == ([], None, [])
    assert found.plot().get_lines()[0].get_xdata().size == 0
    assert [text.get_text() for text in found.plot().get_legend().get_texts()] == ["as trained"]


def test_a_blank_is_one_image_without_an_error_of_the_mean() -> None:
    found = padviz.responses(Small().eval(), 32, blank=True, n=9)
    assert found.count == 1
    assert [row.t.top for row in found.under(None)] == [None] * 3
    assert known(found.rows[1].energy.top) > 0.1  # the bias of the stem, cut off at the border


@pytest.mark.parametrize("as_file", [False, True])
def test_a_blank_has_no_border_where_padding_is_circular(as_file: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net: Any = nn.Sequential(
        *(nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular") for _ in range(2))
    ).eval()
    if as_file:
        net = to_onnx(net, tmp_path / "net.onnx", torch.zeros(1, 3, 32, 32))
    found = padviz.responses(net, 32, "circular", blank=True, shuffled=False)
    assert [row.energy for row in found.rows] == [
        (0, 0, 0, 0)
    ] * 4  # exactly: rounding is no border
    assert "least" not in found.verdict


@pytest.mark.parametrize("shape", [(10**9, 3, 64, 64), ("n", 10**9, 8, 8), ("n", 3, 10**6, 10**6)])
def test_images_that_a_file_declares_are_not_made_where_they_do_not_fit(
    shape: list[Any], tmp_path: Path
) -> None:
    onnx.save(graph([conv()], [*shape]), tmp_path / "vast.onnx")
    for measure in (padviz.responses, padviz.detect):
        with pytest.raises(
            PadvizError,
            match=r"vast\.onnx: \d+ x \d+ x \d+ x \d+ numbers of images are too many; use",
        ):
            measure(tmp_path / "vast.onnx")
    with pytest.raises(
        PadvizError, match="n: 10000 x 3 x 224 x 224 numbers of images are too many; use fewer"
    ):
        padviz.responses(Small().eval(), 224, n=10_000)


def test_a_file_that_takes_some_images_at_once_is_given_as_many(tmp_path: Path) -> None:
    onnx.save(graph([conv()], [3, 3, 16, 16]), tmp_path / "three.onnx")
    assert padviz.responses(tmp_path / "three.onnx", n=6).count == 6
    with pytest.raises(
        PadvizError,
        match=r"n: .*three\.onnx takes 3 images at once, and there are 16; use a multiple of",
    ):
        padviz.responses(tmp_path / "three.onnx")


def scaled() -> nn.Sequential:
    """Two convolutions with a bias, which images of a wrong scale hardly change."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, bias=False)
    ).eval()


def weights_of(runner: Any) -> list[Array]:
    """The weights of every convolution that a module or a graph is run with."""
    if isinstance(runner, TorchRunner):
        named = dict(runner.module.named_parameters()) | runner.weights
        return [each.detach().double().numpy() for each in named.values() if each.dim() == 4]
    return [
        numpy_helper.to_array(each)
        for each in runner.model.graph.initializer
        if len(each.dims) == 4
    ]


@pytest.mark.parametrize("kind", ["module", "file"])
def test_shuffled_weights_are_those_of_each_layer_in_an_order_of_the_seed(
    kind: str, tmp_path: Path
) -> None:
    net = scaled()
    runner = runner_of(
        read(net if kind == "module" else exported(net, tmp_path / "net.onnx", 16), (16, 16))
    )
    before, image = weights_of(runner), np.ones((1, 3, 16, 16), np.float32)
    output = runner.outputs(image)
    one, again, other = (runner.shuffled(seed) for seed in (0, 0, 1))
    for i, weights in enumerate(before):
        found, same, others = (weights_of(each)[i] for each in (one, again, other))
        assert (np.sort(found, None) == np.sort(weights, None)).all()
        assert (found == same).all()
        assert (found != weights).mean() > 0.9 < (found != others).mean()
    for name, values in runner.outputs(image).items():  # the network that was given is as it was
        assert (values == output[name]).all()
        assert (one.outputs(image)[name] != values).any()
    for left, kept in zip(before, weights_of(runner), strict=True):
        assert (left == kept).all()


def test_external_weights_are_read_and_shuffled_as_those_inside(tmp_path: Path) -> None:
    model = graph([conv()], ["n", 3, 16, 16])
    onnx.save(model, tmp_path / "whole.onnx")
    onnx.save(
        model,
        tmp_path / "apart.onnx",
        save_as_external_data=True,
        location="apart.bin",
        size_threshold=0,
    )
    found, expected = (
        padviz.responses(tmp_path / f"{name}.onnx", n=2) for name in ("apart", "whole")
    )
    assert [row.energy for row in found.rows] == [row.energy for row in expected.rows]
    assert found.under("shuffled")[0].energy != found.under(None)[0].energy


def test_a_convolution_that_reads_a_rearranged_image_is_run_on_the_image_itself() -> None:
    """As YOLOv5's Focus does: its 12 channels are not those of the image."""
    focus = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 2, 3))
    assert padviz.responses(focus, size=16, n=2).count == 2


def test_the_verdict_stands_on_the_means() -> None:
    def says(own: float, *others: tuple[str, float]) -> str:
        rows = [
            BorderResponse("a", name, 1, (8, 8), 1.0, Sides(*[e] * 4))
            for name, e in ((None, own), *others)
        ]
        names = tuple(row.padding for row in rows)
        return BorderResponses("net", "net", (32, 32), names, "noise", 16, tuple(rows)).verdict

    assert says(0.5, ("reflect", 0.2), ("circular", 0.1), ("shuffled", 0.4)) == (
        "Border energy E is 0.500 as trained, about what geometry alone gives: 0.400 with shuffled weights; "
        "lowest among the paddings tried: 0.100 (circular)."
    )
    assert "as trained, more than geometry alone gives: 0.399" in says(0.5, ("shuffled", 0.399))
    assert "as trained, less than geometry alone gives: 0.626" in says(0.5, ("shuffled", 0.626))
    assert says(0.019).endswith("as trained, within the noise of 16 inputs.")
    assert says(0.02) == "Border energy E is 0.020 as trained."


@pytest.mark.parametrize(
    ("mean", "std", "warned"), [((0.5,), (0.3,), False), ((0.5,), (255.0,), True)]
)
def test_a_convolution_that_hardly_reacts_to_the_images_is_told(
    mean: Any, std: Any, warned: bool
) -> None:
    notes = padviz.responses(scaled(), 32, n=4, mean=mean, std=std).notes
    said = [
        note
        for note in notes
        if note.startswith("0 hardly reacts to the inputs: 100.0 % of its mean square")
    ]
    assert (len(said), len(notes)) == (warned, warned)
    assert padviz.responses(scaled(), 32, blank=True, n=4, mean=mean, std=std).notes == ()
