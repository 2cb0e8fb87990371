"""Programs of torch.export and their files: they count as the modules that they were made of, and run nothing."""

import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export
from torch.nn import functional

import padviz
from padviz.errors import PadvizError


class Joining(nn.Module):
    """What exported programs have other names for: slices, pads, resizes, concatenations."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        )
        self.up, self.last = nn.ConvTranspose2d(4, 4, 2, 2), nn.Conv2d(11, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(x)
        near = functional.interpolate(functional.max_pool2d(y, 3, 1, 1), scale_factor=2)
        wide = functional.pad(self.up(y)[:, :, 2:-1], (0, 0, 1, 2))
        return self.last(torch.cat([x, wide, near], 1)).sigmoid()


class Part(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        # a function that is called beside modules
        return functional.max_pool2d(super().forward(x), 3, 1, 1)


class Turning(nn.Module):
    """A module that computes with its image's size, and a part of it that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Part(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.part(self.part(x))
        batch, channels, height, width = y.shape
        y = y.flatten(2).softmax(1).reshape(batch, channels, height, width)
        return y + torch.arange(width) + torch.zeros(1, 1, height, 1)


def exported(module: nn.Module, size: tuple[int, int], open_: bool) -> Any:
    """The program of a module, which takes multiples of 16 if its size is open."""
    shapes = ({2: 16 * Dim("h", max=20), 3: 16 * Dim("w", max=20)},) if open_ else None
    return export(module.eval(), (torch.zeros(1, 3, *size),), dynamic_shapes=shapes)


def saved(
    module: nn.Module, path: Path, size: tuple[int, int] = (64, 96), open_: bool = False
) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(exported(module, size, open_), path)
    return path


@pytest.mark.parametrize("open_", [False, True])
@pytest.mark.parametrize("make", [Joining, Turning])
def test_a_program_counts_as_its_module(make: type[nn.Module], open_: bool, tmp_path: Path) -> None:
    module = make()
    made, own = exported(module, (64, 96), open_), padviz.load(module, (64, 96))
    file, program = saved(module, tmp_path / "net.pt2", open_=open_), made.module()
    for source in (file, program, made.run_decompositions().module()):
        network = padviz.load(source)
        assert network.size == (64, 96)
        for size in [(64, 96), (128, 48)][: 1 + open_]:
            np.testing.assert_array_equal(
                padviz.usage(network, size).counts, padviz.usage(own, size).counts
            )
            assert padviz.costs(network, size).macs == padviz.costs(own, size).macs
        if source is file:
            assert network.declared == ((0, 0) if open_ else (64, 96))
            named = {layer.name for layer in own.layers if layer.kind in ("conv", "maxpool")}
            assert named <= {layer.name for layer in network.layers}
        # which older PyTorch leaves out: it follows any size
        elif not open_ and hasattr(program, "_guards_fn"):
            with pytest.raises(
                PadvizError, match=r"its forward fails on 3 x 96 x 96.*Guard failed"
            ):
                padviz.usage(network, (96, 96))


def test_an_exported_program_in_training_is_followed() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.Dropout(), nn.Conv2d(4, 4, 3, padding=1)
    ).train()
    program = export(module, (torch.zeros(1, 3, 16, 24),)).module()
    assert padviz.usage(program).max == 81
    assert program.training == module.training


def repacked(path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    with zipfile.ZipFile(path) as archive:
        contents = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


TEXT, NINE = {"as_string": "no"}, {"as_int": 9}
HOSTILE: dict[
    str, tuple[Any, str]
] = {  # what the first node calls, and with what; or what is done to the graph
    "hub": (("torch.hub.load", TEXT), r"torch\.hub\.load: is not an operation of PyTorch's own"),
    "os": (("os.system", TEXT), r"os\.system: is not an operation"),
    "file": (("torch.ops.aten.from_file.default", TEXT), "is not an operation on tensors"),
    "dunder": (("torch.ops.aten.__class__.mro",), "is not an operation of PyTorch's own"),
    "own": (
        ("torch.ops.mine.mystery.default",),
        r"torch\.ops\.mine\.mystery\.default: is not an operation",
    ),
    "text": (("_operator.mod", {"as_string": "%9d"}, NINE), "takes numbers only"),
    "repeated": (("_operator.mul", TEXT, NINE), "takes numbers only"),
    "list": (("_operator.add", {"as_ints": [1]}, {"as_ints": [2]}), "takes numbers only"),
    "not a number": (("_operator.mul", {"as_int": "no"}, NINE), "is not a number"),
    "huge": (
        lambda graph: graph["tensor_values"]["input"]["sizes"].__setitem__(1, {"as_int": 1 << 40}),
        "too large",
    ),
    "nodes": (lambda graph: graph.pop("nodes"), "malformed graph"),
    "deep": (
        lambda graph: graph["nodes"].extend(
            {"metadata": {"nn_module_stack": f"L,{i}{'.x' * 60}"}} for i in range(2000)
        ),
        "its modules are nested too deeply",
    ),
    "reads": (lambda graph: graph["nodes"].pop(0), "its forward fails"),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    return saved(module, tmp_path_factory.mktemp("program") / "net.pt2").read_bytes()


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_program_may_not_call_is_refused_in_one_line(
    name: str, program: bytes, tmp_path: Path
) -> None:
    how, message = HOSTILE[name]

    def changed(member: str, content: bytes) -> bytes:
        if not member.endswith(("model.json", "exported_program.json")):
            return content
        program = json.loads(content)
        graph = program["graph_module"]["graph"]
        if callable(how):
            how(graph)
        else:
            target, *args = how
            inputs = (
                {"inputs": [{"name": "x", "arg": arg, "kind": 1} for arg in args]} if args else {}
            )
            graph["nodes"][0] |= {"target": target, **inputs}
        return json.dumps(program).encode()

    path = tmp_path / "net.pt2"
    path.write_bytes(program)
    with pytest.raises(PadvizError, match=message) as error:
        padviz.load(repacked(path, changed))
    assert str(error.value).isprintable()


class Trap:
    """What makes a file where it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("sprung"),)


@pytest.mark.usefixtures("elsewhere")
def test_nothing_in_a_program_is_unpickled(program: bytes) -> None:
    path, tensor = Path("net.pt2"), io.BytesIO()
    path.write_bytes(program)
    counts = padviz.usage(path).counts
    torch.save(Trap(), tensor)
    traps = pickle.dumps(Trap()), tensor.getvalue()
    repacked(
        path,
        lambda name, content: content if name.endswith(".json") else traps[name.endswith(".pt")],
    )
    np.testing.assert_array_equal(padviz.usage(path).counts, counts)
    assert not Path("sprung").exists()
