"""Two networks run on the same noise: right exports, faults of padding, and faults of values are told apart."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import NodeProto, helper, numpy_helper
from torch import Tensor, nn

import padviz
from tests.cli.test_cli import run

pytestmark = [
    pytest.mark.usefixtures("elsewhere"),
    pytest.mark.filterwarnings("ignore"),  # of the exporter
]
Edit = Callable[[onnx.GraphProto], None]
SIZE = 66


def block(into: int, out: int, **how: Any) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, 3, **how), nn.BatchNorm2d(out), nn.ReLU())


class Net(nn.Module):
    """Every layer that ports get wrong, and a skip; `edge` is what the last row is multiplied by."""

    def __init__(self, edge: float = 1) -> None:
        super().__init__()
        self.stem = block(3, 8, padding=1, stride=2)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.smooth = nn.AvgPool2d(3, 1, 1)
        self.deep = block(8, 12, padding=1, stride=2)
        self.side = block(12, 12, padding=1)
        self.up = nn.ConvTranspose2d(12, 8, 3, 2, 1)
        self.twice = nn.Upsample(scale_factor=2, mode="bilinear")
        self.head = nn.Sequential(block(8, 8, padding=1), nn.Conv2d(8, 2, 1))
        self.register_buffer("edge", torch.ones(SIZE, 1))
        self.edge[-1] = edge

    def forward(self, x: Tensor) -> Tensor:
        x = self.deep(self.smooth(self.pool(self.stem(x * self.edge))))
        return self.head(self.twice(self.up(x + self.side(x))))


def net(edge: float = 1) -> nn.Module:
    torch.manual_seed(0)
    made = Net(edge).train()
    made(torch.randn(4, 3, SIZE, SIZE))  # norms with statistics
    return made.eval()


def exported(module: nn.Module, name: str = "net.onnx", **how: Any) -> str:
    torch.onnx.export(module, torch.randn(1, 3, SIZE, SIZE), name, dynamo=False, **how)
    return name


def edited(edit: Edit, **how: Any) -> str:
    model = onnx.load(exported(net(), **how))
    edit(model.graph)
    del model.graph.value_info[:]
    for side in model.graph.output[0].type.tensor_type.shape.dim[2:]:
        side.Clear()
    onnx.save(model, "net.onnx")
    return "net.onnx"


def node(graph: onnx.GraphProto, op: str, at: int = 0) -> NodeProto:
    return [some for some in graph.node if some.op_type == op][at]


def attribute(op: str, at: int = 0, **values: Any) -> Edit:
    def edit(graph: onnx.GraphProto) -> None:
        changed = node(graph, op, at)
        kept = [some for some in changed.attribute if some.name not in values]
        del changed.attribute[:]
        new = [helper.make_attribute(name, value) for name, value in values.items() if value != []]
        changed.attribute.extend([*kept, *new])

    return edit


def weights(at: int, change: Callable[[Any], Any]) -> Edit:
    def edit(graph: onnx.GraphProto) -> None:
        name = node(graph, "Conv", at).input[1]
        (tensor,) = [some for some in graph.initializer if some.name == name]
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), name))

    return edit


def swapped(values: Any) -> Any:
    values[[0, 1]] = values[[1, 0]]
    return values


def larger(values: Any) -> Any:
    values[3] += 0.02
    return values


BORDER: dict[str, tuple[Edit, str, str, str]] = {
    "SAME": (
        attribute("Conv", 0, pads=[], auto_pad="SAME_UPPER"),
        "stem.0", "stem.0 differs in padding, 1+1 in A and 0+1 in B",
        "stem.0: SAME pads 0+1 where A pads 1+1. In PyTorch F.pad(x, (0, 1, 0, 1)), then padding=0.",
    ),
    "ceil": (
        attribute("MaxPool", ceil_mode=0),
        "pool", "pool differs in rounding, up in A and down in B", "pool: in PyTorch ceil_mode=False.",
    ),
    "counted padding": (
        attribute("AveragePool", count_include_pad=0),
        "smooth", "smooth differs in mode, zero in A and left out in B",
        "smooth: in PyTorch count_include_pad=False.",
    ),
    "corners": (
        attribute("Resize", coordinate_transformation_mode="align_corners"),
        "twice", "twice differs in coordinates, half_pixel in A and align_corners in B",
        "twice: in PyTorch align_corners=True.",
    ),
}  # fmt: skip


def padded_by_hand(module: Any) -> None:
    module.stem[0].padding = 0
    module.stem.insert(0, nn.ZeroPad2d((0, 1, 0, 1)))


CURED: dict[str, Callable[[Any], object]] = {  # as the sentences say
    "SAME": padded_by_hand,
    "ceil": lambda module: setattr(module.pool, "ceil_mode", False),
    "counted padding": lambda module: setattr(module.smooth, "count_include_pad", False),
    "corners": lambda module: setattr(module.twice, "align_corners", True),
}
UNFOLDED = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
INSIDE: dict[str, tuple[Edit, str, dict[str, Any]]] = {
    "weights": (weights(2, larger), "side", {}),
    "swapped channels": (weights(1, swapped), "deep", {}),
    "an epsilon": (attribute("BatchNormalization", 1, epsilon=0.01), "deep.1", UNFOLDED),
}


def test_a_right_export_is_equal() -> None:
    answer = padviz.diff(net(), exported(net()), SIZE, run=True)
    assert (answer.cause, answer.cures) == ("none", [])
    (output,) = answer.measured
    assert max(output.errors.values()) < 1e-4
    assert output.errors["largest"] == max(output.errors["rim"], output.errors["inside"])


@pytest.mark.parametrize("fault", BORDER)
def test_a_fault_of_padding_is_named_with_its_cure(fault: str) -> None:
    edit, layer, said, cure = BORDER[fault]
    answer = padviz.diff(net(), edited(edit), SIZE, run=True)
    assert (answer.cause, answer.cures) == ("reads", [cure])
    assert said in answer.verdict
    assert answer.measured[-1].layer.startswith(layer.partition(".")[0])


@pytest.mark.parametrize("fault", BORDER)
def test_a_cure_makes_them_equal(fault: str) -> None:
    module = net()
    CURED[fault](module)
    assert padviz.diff(module, edited(BORDER[fault][0]), SIZE, run=True).cause == "none"


def test_a_max_pool_is_padded_with_what_never_wins() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 4, 1))
    (cure,) = padviz.diff(module, size=64, same=True).cures
    _, _, said = cure.partition("In PyTorch ")
    assert said == "F.pad(x, (0, 1, 0, 1), value=-math.inf), then padding=0."
    like = nn.Sequential(
        module[0], nn.ConstantPad2d((0, 1, 0, 1), -math.inf), nn.MaxPool2d(3, 2), module[2]
    )
    exported(module)
    attribute("MaxPool", pads=[], auto_pad="SAME_UPPER")((model := onnx.load("net.onnx")).graph)
    del model.graph.value_info[:]
    onnx.save(model, "net.onnx")
    assert padviz.diff(like.eval(), "net.onnx", 66, run=True).cause == "none"


@pytest.mark.parametrize("fault", INSIDE)
def test_a_fault_of_values_is_no_matter_of_padding(fault: str) -> None:
    edit, layer, how = INSIDE[fault]
    answer = padviz.diff(net(), edited(edit, **how), SIZE, run=True)
    assert (answer.cause, answer.cures) == ("values", [])
    assert answer.measured[-1].layer.startswith(layer)
    assert answer.measured[-1].where == "everywhere"
    # what lies in front is equal
    assert 0 < answer.verdict.index("Equal up to ") < len(answer.verdict)


def test_a_fault_of_padding_behind_one_of_values_is_said_too() -> None:
    def both(graph: onnx.GraphProto) -> None:
        INSIDE["swapped channels"][0](graph)
        BORDER["corners"][0](graph)

    answer = padviz.diff(net(), edited(both), SIZE, run=True)
    assert answer.cause == "values"
    assert "Layers behind it differ in what they read, too." in answer.verdict


@pytest.mark.parametrize("line", ["row", "column"])
def test_values_that_differ_in_the_last_line_alone_are_placed_there(line: str) -> None:
    module, file = net(edge=1.5), exported(net())
    if line == "column":
        module.edge = torch.ones(SIZE, SIZE)
        module.edge[SIZE // 2, -1] = 1.5
    answer = padviz.diff(module, file, SIZE, run=True)
    assert answer.cause == "border"
    errors = answer.measured[-1].errors
    assert answer.measured[-1].where == f"only at the border: last {line}"
    assert errors["rim"] == errors["largest"] > 0
    assert errors["inside"] == errors["first row"] == errors["first column"] == 0


def test_noise_is_drawn_anew_for_another_seed() -> None:
    file = exported(net(edge=1.5))
    one, again, other = (
        padviz.diff(net(), file, SIZE, run=True, seed=seed).measured[0].errors for seed in (0, 0, 1)
    )
    assert one == again != other


def test_a_module_that_is_created_anew_says_that_its_weights_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(".")
    (tmp_path / "anew.py").write_text(
        "from tests.trained.test_side_by_side import net\n"
        "whole = net()\ndef Net():\n    return net(edge=1.5)\n"
    )
    said = "created anew, so its weights are random unless it loads some; --weights FILE"
    result = run("diff", "anew:whole", "anew:Net", "--run", "--size", str(SIZE))
    assert f"anew:Net: {said}" in result.stderr
    assert "anew:whole: " not in result.stderr


class Dropped(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x), training=True)


class Pair(nn.Conv2d):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x), super().forward(x[:, :, 1:])


class NotANumber(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(super().forward(x))


REFUSED = {
    "Dropped: returns other outputs when it runs again": Dropped(3, 2, 3),
    "Pair 2; compare networks of the same outputs": Pair(3, 2, 3),
    "NotANumber: returns NaN or infinite numbers": NotANumber(3, 2, 3),
    "takes 3 channels, and Conv2d 1": nn.Conv2d(1, 2, 3),
    "Net: is in half precision.*single": net().half(),
    "Net: is in half precision.*float": net().bfloat16(),
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_compared_is_one_line(line: str) -> None:
    with pytest.raises(padviz.PadvizError, match=line):
        padviz.diff(REFUSED[line], exported(net()), SIZE, run=True)


def test_half_precision_is_equal_within_its_rounding() -> None:
    model = onnx.load(exported(net(), do_constant_folding=True))
    half = helper.TensorProto.FLOAT16
    for tensor in model.graph.initializer:
        if tensor.data_type == helper.TensorProto.FLOAT and "scale" not in tensor.name:
            values = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = half
    for some in model.graph.node:
        for attr in some.attribute:
            if attr.name == "value" and attr.t.data_type == helper.TensorProto.FLOAT:
                floats = numpy_helper.to_array(attr.t)
                if some.output[0] not in [
                    other.input[2] for other in model.graph.node if other.op_type == "Resize"
                ]:
                    attr.t.CopyFrom(numpy_helper.from_array(floats.astype(np.float16)))
    del model.graph.value_info[:]
    onnx.save(model, "half.onnx")
    answer = padviz.diff(net(), "half.onnx", SIZE, run=True)
    assert answer.verdict == "Equal within 0.02, at the border too."


def test_the_command_prints_and_saves_what_ran() -> None:
    plain, file = exported(net(), "plain.onnx"), edited(BORDER["ceil"][0])
    result = run("diff", plain, file, "--size", str(SIZE), "--run")
    assert result.exit_code == 1, result.output
    assert result.stderr.endswith("the outputs differ: exit code 1\n")
    assert run("diff", plain, plain, "--size", str(SIZE), "--run").exit_code == 0
    assert run("diff", plain, file, "--size", str(SIZE)).exit_code == 0
    assert "differs in rounding, up in A and down in B" in result.stdout
    found = json.loads(
        run("diff", plain, file, "--size", str(SIZE), "--run", "--format", "json").stdout
    )
    assert found["cause"] == "reads"
    assert found["measured"][-1]["where"].startswith("1 x 8 x 17 x 17 and 1 x 8 x 16 x 16")
    plain_answer = json.loads(
        run("diff", plain, file, "--size", str(SIZE), "--format", "json").stdout
    )
    assert plain_answer["rows"] == found["rows"]


def test_run_needs_two_networks_as_they_are() -> None:
    Path("net.onnx").write_bytes(b"")
    for options in (["--run", "--same"], ["--weights", "x.pth"]):
        result = run("diff", "vgg11", "vgg13", *options)
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
