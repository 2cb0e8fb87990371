"""The probe that asks networks: it finds what padviz reads wrongly, and holds what it reads right."""

import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from onnxruntime.quantization import quantize_dynamic
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.analyses import verify
from padviz.analyses.verify import VerifyResult
from padviz.cutting import context, nodes
from padviz.cutting import windows as cutting_windows
from padviz.cutting.parts import SharedMap
from padviz.geometry.reaching.near_padding import NearPadding, near_padding
from padviz.network.padding_modes import fold
from padviz.sources.torch import functions
from padviz.sources.tracing import windows
from padviz.trained import asking
from padviz.trained.networks.reading import as_trained
from tests.sources.test_random_modules import drawn
from tests.sweeps import REST, every_third
from tests.torch_calls import to_onnx
from tests.zoo.building import Entry, build, entries, load_library


class Two(nn.Module):
    """Two convolutions, and a function of what the first gives in between."""

    def __init__(
        self, between: Callable[[Tensor], Tensor], conv: type[nn.Conv1d | nn.Conv2d] = nn.Conv2d
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a = conv(3, 4, 3, padding=1)
        self.b = conv(4, 4, 3, padding=1)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.b(self.between(self.a(x)))
        return output


def rows_stacked(x: Tensor) -> Tensor:
    return torch.stack([x[:, :, i] for i in range(x.shape[2])], 2)


def pointwise(call: Any, *given: Any, **options: Any) -> Any:
    return functions.pointwise(call)


def smaller(call: Any, x: Any, kernel: int, stride: int, padding: int) -> Any:
    return AVERAGE(call, x, kernel - 2, stride, padding - 1)


AVERAGE = functions.TABLE["avg_pool"]
# what a module does, a function of it and a wrong rule for that, and what is said
WRONG: dict[str, tuple[Callable[[Tensor], Tensor], str, Callable[..., Any], str]] = {
    "rows that are stacked, read as one": (
        lambda x: torch.stack([x[:, :, i] for i in range(x.shape[2])], 2),
        "stack",
        pointwise,
        "b has the shape 1 x 4 x 20 x 24; padviz says 1 x 24 units",
    ),
    "a gradient, read as elementwise": (
        lambda x: torch.gradient(x, dim=3)[0],
        "gradient",
        lambda call, *given, **options: [pointwise(call)],
        "unit (0, 0) of b changes with pixel (0, 3); padviz says that it reads only height 0 to 2 "
        "and width 0 to 2; the first result to change is b",
    ),
    "a roll, read as elementwise": (
        lambda x: x.roll(1, 3),
        "roll",
        pointwise,
        "unit (0, 0) of b changes with pixel (0, 22); padviz says that it reads only height 0 to 2 "
        "and width 0 to 2; the first result to change is roll",
    ),
    "a flip, read as elementwise": (
        lambda x: x.flip(2),
        "flip",
        pointwise,
        "the first result to change is flip",
    ),
    "a pool, read as a smaller one": (
        lambda x: functional.avg_pool2d(x, 11, 1, 5),
        "avg_pool",
        smaller,
        "the first result to change is avg_pool2d",
    ),
    "one row of twenty, read as the next": (
        lambda x: x[:, :, [*range(15), 16, *range(16, 20)]],
        "getitem",
        pointwise,
        "the first result to change is getitem",
    ),
}
UNREAD = (  # which padviz refuses
    "a gradient, read as elementwise",
    "a flip, read as elementwise",
    "one row of twenty, read as the next",
)


def counts_of(result: VerifyResult) -> dict[str, int]:
    """How many units have each verdict."""
    return dict(Counter(row.verdict for row in result if row.asked == "unit"))


@pytest.mark.parametrize("name", WRONG)
def test_a_rule_that_reads_wrongly_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    does, function, rule, words = WRONG[name]
    monkeypatch.setitem(functions.TABLE, function, rule)
    for kind in (torch.float32, torch.float64):
        found = padviz.verify(Two(does).to(kind), (20, 24))
        assert (found.holds, found._shown.report().code) == (False, 1)
        text = " ".join(str(found).split())
        assert f"{words} (at 20 x 24, {str(kind).removeprefix('torch.')})." in text
    monkeypatch.undo()
    if name not in UNREAD:
        assert padviz.verify(Two(does), (20, 24)).holds


def written(x: Tensor) -> Tensor:
    x = x.clone()
    x[..., 0] = 0
    return x


ROWS_AND_WEIGHTS = cutting_windows._rows_and_weights
# what a module does to a signal, a wrong rule and the one it takes the place of, and how it is cut
WRONG_CUTS: dict[str, tuple[Callable[[Tensor], Tensor], Any, object, str, dict[str, Any]]] = {
    "a resize, by the rows of float64": (
        lambda x: functional.interpolate(x, scale_factor=41),
        lambda resize, *sizes: ROWS_AND_WEIGHTS(resize._replace(dtype=torch.float64), *sizes),
        cutting_windows,
        "_rows_and_weights",
        {"tile": 32, "norms": "shared"},
    ),
    "a write that is lost": (written, lambda x, view: view, SharedMap, "uncut", {"shards": 4}),
    "a mirror, read with the outermost row": (
        lambda x: functional.pad(x, (2, 2), mode="reflect"),
        lambda mode, *rows: fold("symmetric", *rows),
        nodes,
        "fold",
        {"shards": 4},
    ),
}


def cut(does: Callable[[Tensor], Tensor], **how: Any) -> VerifyResult:
    """Verify a module of signals that does this, cut."""
    shape = {"x": (1, 3, "L")}
    network = padviz.load(Two(does, nn.Conv1d).eval(), (97,), shape=shape, neutral=["setitem"])
    return padviz.verify(as_trained(network, None, None), **how)


@pytest.mark.parametrize("name", WRONG_CUTS)
def test_a_rule_that_cuts_wrongly_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    does, wrong, place, rule, how = WRONG_CUTS[name]
    monkeypatch.setattr(place, rule, wrong)
    assert cut(does, **how).finding is not None
    monkeypatch.undo()
    assert cut(does, **how).holds


def test_positions_that_plain_tiles_count_anew_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "barriers_on", lambda network, *rest: [None] * len(network.layers))
    assert cut(lambda x: x + torch.arange(x.shape[-1]).to(x), tile=32).finding is not None


def test_sizes_that_a_forward_does_not_take_are_left_out() -> None:
    module = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(48, 4, 3, padding=1))
    assert padviz.verify(module.eval(), 48, shards=5).holds


def test_a_resize_that_rounds_otherwise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch takes another row than exact numbers do, in float32 alone."""
    monkeypatch.setattr(asking, "DRAWN", 50)
    monkeypatch.setattr(windows, "as_computed", lambda op, *rest: op)
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Upsample(size=(152, 152)))
    assert not padviz.verify(module, 24).holds
    assert padviz.verify(module.double(), 24).holds


def test_what_mixes_all_positions_shows_nothing() -> None:
    found = padviz.verify(Two(nn.GroupNorm(2, 4)), (20, 24))
    assert (found.holds, counts_of(found)) == (True, {"holds": 6, "nothing to show": 1})
    assert "between mixes all positions, so no unit of b shows what it reads." in str(found)
    found = padviz.verify(Two(nn.GroupNorm(2, 4)).b, (2, 2))
    assert (found.holds, {*counts_of(found)}) == (False, {"nothing to show"})
    assert "conv reads the whole image, so no unit of conv shows what it reads." in str(found)
    assert found._shown.report().code == 1


def test_a_layer_is_asked_in_front_of_one_that_is_not_read() -> None:
    found = padviz.verify(Two(lambda x: x.flip(2)), (20, 24), layer="a")
    assert (found.holds, {row.layer for row in found}) == (True, {"a"})


def test_what_is_random_is_not_judged() -> None:
    found = padviz.verify(Two(lambda x: x + torch.rand(1)), (20, 24))
    assert (found.holds, counts_of(found)) == (False, {"not judged": 1})
    assert "Not judged: b gives another result when it runs again." in str(found)


def test_what_has_no_numbers_is_not_judged() -> None:
    found = padviz.verify(Two(lambda x: x / 0), (20, 24))
    assert "Not judged: b has NaN or infinite numbers for noise." in str(found)


def test_what_is_hidden_is_not_seen() -> None:
    found = padviz.verify(Two(lambda x: x * 0), (20, 24))
    assert (found.holds, {*counts_of(found)}) == (False, {"nothing to show"})
    found = padviz.verify(
        Two(lambda x: functional.conv2d(x, torch.eye(4)[..., None, None])), (20, 24)
    )
    assert {*counts_of(found)} == {"holds"}
    blind = nn.Conv2d(1, 1, 3, padding=1)
    nn.init.dirac_(blind.weight)
    found = padviz.verify(blind, 9)
    assert "unit (0, 0) of conv never changed with height 1 and width 1; and 5 more" in str(found)


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), nn.SiLU())
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.end = nn.Conv2d(16, 2, 3, padding=1)

    def forward(self, x: Tensor) -> dict[str, Tensor | list[Tensor]]:
        skip = self.down(x)
        deep = self.deep(functional.max_pool2d(skip, 2))
        y = self.end(torch.cat([skip, self.up(deep)], 1))
        wide = functional.interpolate(y, scale_factor=2, mode="bilinear")
        return {"y": y, "more": [wide, deep.permute(0, 2, 3, 1)], "logits": y.mean((2, 3))}


MODULES: dict[str, Callable[[], nn.Module]] = {
    "U-Net": UNet,
    "pools that clip": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 4, stride=2, padding=1),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.ReplicationPad2d((2, 0, 1, 3)),
        nn.Conv2d(4, 4, (1, 3), dilation=2, padding_mode="circular", padding=(0, 2)),
    ),
    "slices and blocks": lambda: nn.Sequential(
        Two(lambda x: x[:, :, 1:, ::2]), nn.PixelShuffle(2), nn.Conv2d(1, 1, 3)
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_and_their_files_do_what_padviz_says(name: str, tmp_path: Path) -> None:
    size = (22, 36)
    module = MODULES[name]().eval()
    file = to_onnx(module, tmp_path / "file.onnx", torch.zeros(1, 3, *size))
    for model in (module, module.double(), file):
        found = padviz.verify(model, size)
        assert found.holds, str(found)
        assert set(counts_of(found)) <= {"holds", "not seen"}
        assert counts_of(found)["holds"] > 3


class Last(nn.Module):
    """Adds two maps with their channels last."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, channels, (1, 5), padding=(0, 2))
        self.narrow = nn.Conv2d(3, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.wide(x).permute(0, 2, 3, 1) + self.narrow(x).permute(0, 2, 3, 1)


def test_units_are_not_judged_where_channels_may_be_rows() -> None:
    found = padviz.verify(Last(12), 12)
    assert (found.finding, {*counts_of(found)}) == (None, {"not judged"})
    assert "its map's shape does not show its order" in str(found)
    assert padviz.verify(Last(8), 12).holds


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.conv(x).relu().flatten(2).mT
        output: Tensor = self.attention(tokens, tokens, tokens)[0]
        return output


def dead_channels() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.Dropout(), nn.Conv2d(8, 2, 3))
    with torch.no_grad():
        module[0].weight[::2] = 0
    return module


SEEDED: dict[str, Callable[[], nn.Module]] = {
    "attention": Attends,
    "dead channels": dead_channels,
    "ReLU and max pools": lambda: nn.Sequential(
        *[nn.Sequential(nn.Conv2d(3, 3, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 1)) for _ in "123"]
    ),
    "norms": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 5, 2, 2), nn.BatchNorm2d(8), nn.InstanceNorm2d(8), nn.Conv2d(8, 2, 3)
    ),
}


@pytest.mark.parametrize("seed", every_third(range(12)))
@pytest.mark.parametrize("name", SEEDED)
def test_nothing_is_called_wrong_that_is_right(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    module = SEEDED[name]().eval()
    for kind in (torch.float32, torch.float64):
        found = padviz.verify(module.to(kind), (45, 38), seed=seed)
        assert found.holds, str(found)


def test_a_run_leaves_no_maps_behind() -> None:
    """Commands seldom look for cycles, so what only refers to itself would stay."""

    def alive() -> int:
        return sum(issubclass(type(each), Tensor) for each in gc.get_objects())

    trained = as_trained(UNet().eval(), 64, None)
    probe = asking._Probe(trained, trained.network, 0, None)
    image, before = probe.image(0), alive()
    gc.disable()
    try:
        probe.run(image)
        assert alive() == before
    finally:
        gc.enable()


def test_volumes_do_what_padviz_says() -> None:
    module = nn.Sequential(
        nn.Conv3d(2, 4, 3, padding=1), nn.Conv3d(4, 4, (1, 3, 3), 2), nn.ConvTranspose3d(4, 2, 2, 2)
    )
    found = padviz.verify(module, (12, 20, 16))
    assert (found.holds, {*counts_of(found)}) == (True, {"holds"})


def test_units_that_padding_reaches_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = padviz.verify(UNet(), 64)
    assert {row.layer for row in found if row.asked == "padding"} == {"end.output", "interpolate"}

    def shallower(*given: Any) -> list[NearPadding]:
        less = {"height": (1, 1), "width": (1, 1)}
        return [replace(row, axes=less) for row in near_padding(*given)]

    monkeypatch.setattr(verify, "near_padding", shallower)
    found = padviz.verify(UNet(), 64)
    assert not found.holds
    said = "end.output changes with replicate padding where padviz says that none is read"
    assert said in " ".join(str(found).split())


def test_a_file_is_verified_at_another_size_than_it_is_exported_for(tmp_path: Path) -> None:
    file = to_onnx(UNet().eval(), tmp_path / "file.onnx", torch.zeros(1, 3, 32, 32))
    assert padviz.verify(file, 40).holds


def test_units_behind_a_scale_of_all_values_are_not_judged(tmp_path: Path) -> None:
    plain = to_onnx(
        nn.Conv2d(3, 4, 3, padding=1), tmp_path / "plain.onnx", torch.zeros(1, 3, 16, 16)
    )
    quantize_dynamic(plain, tmp_path / "eight_bits.onnx")
    found = padviz.verify(tmp_path / "eight_bits.onnx", 16)
    assert (found.holds, found.finding, counts_of(found)) == (False, None, {"not judged": 1})
    assert "DynamicQuantizeLinear takes its scale from all values" in " ".join(str(found).split())


def test_signals_do_what_padviz_says() -> None:
    module = nn.Sequential(
        nn.Conv1d(2, 4, 5, 2, 4, 2), nn.ConstantPad1d((4, -3), 0), nn.ConvTranspose1d(4, 2, 4, 2, 1)
    )
    network = padviz.load(module, (61,), shape={"input": (1, 2, "L")})
    found = padviz.verify(as_trained(network, None, None))
    assert (found.holds, {*counts_of(found)}) == (True, {"holds"})


@pytest.mark.parametrize("seed", every_third(range(40)))
def test_random_modules_do_what_padviz_says(seed: int) -> None:
    steps, size = drawn(seed)
    found = padviz.verify(nn.Sequential(*(spelled for spelled, _ in steps)), size, seed=seed)
    assert found.finding is None, str(found)


QUICK = [each for each in entries() if each.quick]


@REST
@pytest.mark.parametrize("entry", QUICK, ids=lambda each: f"{each.library}-{each.name}")
def test_networks_of_libraries_do_what_padviz_says(entry: Entry) -> None:
    load_library(entry)
    for size in entry.sizes:
        found = padviz.verify(with_random_vectors(build(entry)), size)
        assert found.finding is None, str(found)


def with_random_vectors(module: nn.Module) -> nn.Module:
    """Norms and scales that hide no branch, as those of zero do, with which training begins."""
    for weight in module.parameters():
        if weight.ndim == 1:
            nn.init.uniform_(weight, 0.5, 1.5)
    return module
