"""Files of torch.export.save as networks: they count as the modules that they were made of, and run nothing."""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.export import Dim, export

import padviz
from padviz.errors import PadvizError
from tests.sources.test_torch_exported import Joining
from tests.sweeps import sampled


class Turning(nn.Module):
    """A module that computes with its image's size, and a part of it that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.part(self.part(x))
        batch, channels, height, width = y.shape
        y = y.flatten(2).softmax(1).reshape(batch, channels, height, width)
        return y + torch.arange(width) + torch.zeros(1, 1, height, 1)


MODULES: dict[str, Any] = {
    "joining": Joining,
    "turning": Turning,
    "resnet18": lambda: torchvision.models.resnet18(weights=None),
    "mobilenet_v3_small": lambda: torchvision.models.mobilenet_v3_small(weights=None),
    "shufflenet_v2_x0_5": lambda: torchvision.models.shufflenet_v2_x0_5(weights=None),
}


def saved(module: nn.Module, path: Path, size: tuple[int, int] = (64, 96), open_: bool = False) -> Path:
    shapes = ({2: 16 * Dim("h", max=20), 3: 16 * Dim("w", max=20)},) if open_ else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(export(module.eval(), (torch.zeros(1, 3, *size),), dynamic_shapes=shapes), path)
    return path


@pytest.mark.parametrize("name", sampled(MODULES, "", "mobilenet_v3_small"))
def test_a_program_counts_as_its_module(name: str, tmp_path: Path) -> None:
    module = MODULES[name]()
    network = padviz.load(saved(module, tmp_path / "net.pt2"))
    own = padviz.load(module, (64, 96))
    assert (network.size, network.declared) == ((64, 96), (64, 96))
    np.testing.assert_array_equal(padviz.usage(network).counts, padviz.usage(own).counts)
    assert padviz.costs(network, (64, 96)).macs == padviz.costs(own, (64, 96)).macs
    assert {layer.name for layer in own.layers if layer.kind == "conv"} <= {layer.name for layer in network.layers}


@pytest.mark.parametrize("name", ["joining", "turning"])
def test_a_program_of_open_size_counts_at_others(name: str, tmp_path: Path) -> None:
    module = MODULES[name]()
    network = padviz.load(saved(module, tmp_path / "net.pt2", open_=True))
    assert (network.size, network.declared) == ((64, 96), (0, 0))
    for size in [(64, 96), (128, 48)]:
        np.testing.assert_array_equal(padviz.usage(network, size).counts, padviz.usage(module, size).counts)


def rewritten(path: Path, change: Any) -> Path:
    """The file with its graph changed."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            if name.endswith(("model.json", "exported_program.json")):
                graph = json.loads(content)
                change(graph["graph_module"]["graph"])
                content = json.dumps(graph).encode()
            archive.writestr(name, content)
    return path


def _retargeted(target: str, **arg: Any) -> Any:
    def change(graph: dict[str, Any]) -> None:
        graph["nodes"][0]["target"] = target
        if arg:
            graph["nodes"][0]["inputs"] = [{"name": "x", "arg": arg, "kind": 1}]

    return change


def _computed(target: str, *args: dict[str, Any]) -> Any:
    def change(graph: dict[str, Any]) -> None:
        graph["nodes"][0] |= {"target": target, "inputs": [{"name": "x", "arg": arg, "kind": 1} for arg in args]}

    return change


def _enlarged(graph: dict[str, Any]) -> None:
    graph["tensor_values"]["input"]["sizes"][1] = {"as_int": 1 << 40}


HOSTILE: dict[str, tuple[Any, str]] = {
    "hub": (_retargeted("torch.hub.load", as_string="x"), r"torch\.hub\.load: is no operation of PyTorch's own"),
    "os": (_retargeted("os.system", as_string="true"), r"os\.system: is no operation"),
    "file": (_retargeted("torch.ops.aten.from_file.default", as_string="x"), "is no operation on tensors"),
    "dunder": (_retargeted("torch.ops.aten.__class__.mro"), "is no operation of PyTorch's own"),
    "own": (_retargeted("torch.ops.mine.mystery.default"), r"torch\.ops\.mine\.mystery\.default: is no operation"),
    "text": (_computed("_operator.mod", {"as_string": "%9d"}, {"as_int": 5}), "is for numbers"),
    "repeated": (_computed("_operator.mul", {"as_string": "no"}, {"as_int": 9}), "is for numbers"),
    "list": (_computed("_operator.add", {"as_ints": [1]}, {"as_ints": [2]}), "is for numbers"),
    "not a number": (_computed("_operator.mul", {"as_int": "no"}, {"as_int": 9}), "is no number"),
    "huge": (_enlarged, "too large"),
    "nodes": (lambda graph: graph.pop("nodes"), "makes no sense"),
    "reads": (lambda graph: graph["nodes"].pop(0), "its forward fails"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_program_may_not_call_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    change, message = HOSTILE[name]
    path = rewritten(saved(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()), tmp_path / "net.pt2"), change)
    with pytest.raises(PadvizError, match=message) as error:
        padviz.load(path)
    assert str(error.value).isprintable()


class Trap:
    """What makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_in_a_program_is_unpickled(tmp_path: Path) -> None:
    path, sprung = saved(nn.Conv2d(3, 2, 3), tmp_path / "net.pt2"), tmp_path / "sprung"
    counts = padviz.usage(path).counts
    trap, tensor = pickle.dumps(Trap(sprung)), io.BytesIO()
    torch.save(Trap(sprung), tensor)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            harmless = name.endswith(".json")
            archive.writestr(name, content if harmless else tensor.getvalue() if name.endswith(".pt") else trap)
    np.testing.assert_array_equal(padviz.usage(path).counts, counts)
    assert not sprung.exists()
