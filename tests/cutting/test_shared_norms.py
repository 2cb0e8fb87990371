"""Tiles that share the statistics of norms make what the whole image makes; those with their own do not."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.cutting.plan import LayerPlan
from padviz.errors import OptionError, PadvizError
from tests.cutting.test_by_layer import Call, apart, attended, image


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


SIZES = ((64, 64), (96, 80), (112, 144), (160, 48))


class UNet(nn.Module):
    """A small padded U-Net with norms."""

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()

        def block(n: int, m: int) -> nn.Module:
            return nn.Sequential(
                nn.Conv2d(n, m, 3, padding=1),
                norm(m),
                nn.ReLU(),
                nn.Conv2d(m, m, 3, padding=1),
                norm(m),
            )

        self.down, self.inner, self.up = block(3, 8), block(8, 16), nn.ConvTranspose2d(16, 8, 2, 2)
        self.last = nn.Sequential(block(16, 8), nn.Conv2d(8, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        skip = self.down(x)
        up = self.up(self.inner(functional.max_pool2d(skip, 2)))
        return self.last(torch.cat([skip, up], 1))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """A decoder as latent diffusion has them: residual blocks with group norm, and nearest upsampling."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()

        def step() -> list[nn.Module]:
            return [nn.GroupNorm(4, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)]

        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Sequential(*step(), *step()) for _ in range(3))
        self.last = nn.Sequential(*step()[:2], nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = functional.interpolate(x + block(x), scale_factor=2.0)
        return self.last(x)  # type: ignore[no-any-return]


class Only(nn.Module):
    """Take the only one of several maps."""

    def forward(self, maps: Any) -> Any:
        return maps[0]


def from_timm(name: str) -> nn.Module:
    features = pytest.importorskip("timm").create_model(name, features_only=True, out_indices=(1,))
    return nn.Sequential(features, Only())


def from_monai(name: str, *given: Any, **more: Any) -> nn.Module:
    made: nn.Module = getattr(pytest.importorskip("monai.networks.nets"), name)(*given, **more)
    return made


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "instance norm": lambda: UNet(nn.InstanceNorm2d),
    "group norm": lambda: UNet(lambda n: nn.GroupNorm(4, n)),
    "decoder": Decoder,
    "timm": lambda: from_timm("resnet50_gn"),
    "timm, gates": lambda: from_timm("convnextv2_atto"),
    "monai": lambda: from_monai("SegResNet", 2, 8, 3, 2),
    "monai, instance norm": lambda: from_monai(
        "BasicUNet", 2, 3, 2, features=(8, 8, 16, 16, 16, 8)
    ),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NETWORKS)
def test_shared_norms_are_exact(name: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model, x = NETWORKS[name]().double().eval(), image(1, 3, *size)
    plan = padviz.tiles(model, size, (40, 32), norms="shared").plan
    whole = model(x)
    assert plan.tiles > 1
    assert apart(whole, padviz.tiled(model, x, plan)) < 1e-10


SHARDED: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
    "resnet50": (
        lambda: nn.Sequential(*[*torchvision.models.resnet50(weights=None).children()][:-2]),
        (97, 65),
    ),
    "unet": (lambda: UNet(nn.BatchNorm2d), (62, 46)),
    "unet, instance norm": (lambda: UNet(nn.InstanceNorm2d), (62, 46)),
    "decoder": (Decoder, (33, 21)),
}


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("name", SHARDED)
def test_shards_of_known_networks_are_exact(name: str, n: int) -> None:
    torch.manual_seed(0)
    build, size = SHARDED[name]
    model, x = build().double().eval(), image(1, 3, *size)
    whole = model(x)
    assert apart(whole, padviz.sharded(model, x, n)) < 1e-12
    assert apart(whole, padviz.sharded(model, x, n, axis="width")) < 1e-12


@pytest.mark.parametrize(
    ("name", "least"), [("instance norm", 0.1), ("group norm", 0.1), ("decoder", 0.1)]
)
def test_norms_per_tile_differ(name: str, least: float) -> None:
    torch.manual_seed(0)
    model, x = NETWORKS[name]().double().eval(), image(1, 3, 112, 144)
    plan = padviz.tiles(model, (112, 144), 64, norms="per-tile").plan
    whole = model(x)
    assert float((whole - padviz.tiled(model, x, plan)).abs().max() / whole.std()) > least


def test_the_command_and_the_function_agree_on_what_is_shared() -> None:
    found = padviz.tiles(Decoder(), (64, 48), 32, norms="shared")
    plan = found.plan
    assert isinstance(plan, LayerPlan)
    assert (plan.counts, plan.tile, plan.tiles, len(found)) == ((2, 2), (32, 24), 4, 7)
    assert "Exact, with shared norms: 7 of them; 2 x 2 tiles of up to 32 x 24" in str(found)
    assert "Tried in these tiles, on an image without data" in str(found)
    verified = padviz.verify(Decoder(), (64, 48), tile=24, norms="shared")
    assert verified.holds, str(verified)


class Attended(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        flat = x.flatten(2).transpose(1, 2)
        made = functional.scaled_dot_product_attention(flat, flat, flat)
        return made.transpose(1, 2).reshape(x.shape)


def test_what_is_refused_gets_a_line() -> None:
    with pytest.raises(
        OptionError,
        match="shared plans exact tiles by `size` and `tile` alone; leave other options out",
    ):
        padviz.tiles(Decoder(), 64, 32, "first", norms="shared")
    with pytest.raises(
        OptionError, match='norms: \'all\' is not known; use "shared" or "per-tile"'
    ):
        padviz.tiles(Decoder(), 64, 32, norms="all")
    with pytest.raises(OptionError, match="norms: shared plans exact tiles by"):
        padviz.tiles(Decoder(), 64, 32, norms="shared", level=0.99)
    plan = padviz.tiles(Decoder(), 64, 32, norms="shared").plan
    for planned in (plan, padviz.tiles(Decoder(), 64, 32, "first").plan):
        for shape in ((1, 2, 64, 64), (64, 64)):
            with pytest.raises(OptionError, match="in the model; give N x 3 x height x width, as"):
                padviz.tiled(Decoder().eval(), torch.rand(shape), planned)
    with pytest.raises(OptionError, match="the image is 32 x 64, and the plan for 64 x 64"):
        padviz.tiled(Decoder().eval(), torch.rand(1, 3, 32, 64), plan)
    with pytest.raises(OptionError, match="image: must be a tensor"):
        padviz.tiled(Decoder().eval(), image(1, 3, 64, 64).numpy(), plan)
    unserved = {
        "batch: is not served by a plan with shared norms; leave it out": {"batch": 2},
        "out: has the shape": {"out": torch.zeros(1, 3, 64, 64)},
        "out: is of torch.int32, and the map of torch.float32; make": {
            "out": torch.zeros(1, 3, 512, 512, dtype=torch.int32)
        },
        "out: has 2 arrays, and the model makes 1 maps": {"out": [torch.zeros(1)] * 2},
    }
    for says, given in unserved.items():
        with pytest.raises(OptionError, match=says):
            padviz.tiled(Decoder().eval(), torch.rand(1, 3, 64, 64), plan, **given)


@pytest.mark.parametrize("trains", ["", "1", "2"])
def test_a_module_in_training_mode_is_refused_and_stays_as_it_is(trains: str) -> None:
    model, x = (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).eval(),
        torch.rand(1, 3, 40, 40),
    )
    plans = [padviz.tiles(model, 40, 20, norms=norms).plan for norms in (None, "shared")]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert "training" not in str(padviz.tiles(model, 40, 20))
    model.get_submodule(trains).train()
    for norms in (None, "shared"):
        planned = str(padviz.tiles(model, 40, 20, norms=norms))
        assert f"{trains or 'Sequential'} is in training mode: call model.eval() first." in planned
    refused = pytest.raises(
        OptionError, match=rf"model: {trains or 'Sequential'} is in training mode; call model.eval"
    )
    for plan in plans:
        with refused:
            padviz.tiled(model, x, plan)
    with refused:
        padviz.sharded(model, x, 2)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


GATHERED: dict[str, Callable[[Tensor], Any]] = {
    "running sum": lambda x: x.cumsum(3),
    "sorted columns": lambda x: x.sort(3)[0],
    "grid": lambda x: functional.grid_sample(
        x,
        functional.affine_grid(torch.eye(2, 3)[None].to(x), [*x.shape], align_corners=False),
        align_corners=False,
    ),
    "attention": lambda x: x + attended(x),
}


@pytest.mark.parametrize("name", GATHERED)
def test_a_plan_names_what_is_put_together(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), Call(GATHERED[name])).eval()
    found = padviz.tiles(model, (40, 30), 20, norms="shared")
    assert [gathered.layer for gathered in found.plan.gathered] == ["2"]
    assert "2 reads all of 1 x " in str(found)
    steps: list[tuple[int, int]] = []
    x = torch.rand(1, 3, 40, 30)
    out = torch.zeros(1, 4, 38, 28)
    padviz.tiled(model, x, found.plan, out=out, on_progress=lambda *step: steps.append(step))
    assert steps[-1] == (found.plan.steps, found.plan.steps)
    assert apart(model(x), out) < 1e-5


def test_a_single_position_of_a_map_is_returned_without_the_map() -> None:
    model, x = Call(lambda x: x.flatten(2)[:, :, 0]).eval(), torch.rand(1, 3, 24, 24)
    plan = padviz.tiles(nn.Sequential(nn.Conv2d(3, 3, 3), model).eval(), 24, 12, norms="shared")
    assert not plan.plan.untried
    assert torch.equal(padviz.sharded(model, x, 2), model(x))


class Branch(nn.Module):
    """What it does depends on values of the image."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.mean() > 0 else -x


UNTRIED: dict[str, tuple[Callable[[], Any], dict[str, Any], str]] = {
    "a description": (
        lambda: "unet_padded",
        {},
        "not tried, since padviz.tiled runs PyTorch modules alone, as they are",
    ),
    "another padding": (
        lambda: nn.Conv2d(3, 4, 3, padding=1),
        {"padding": "reflect"},
        "PyTorch modules alone",
    ),
    "values": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Branch()),
        {},
        "its forward does not run without data",
    ),
    "many tiles": (
        lambda: nn.Conv2d(3, 4, 3),
        {"tile": 3},
        "more than 400 tiles take long to try; padviz verify --tile runs it on noise",
    ),
}


@pytest.mark.parametrize("name", UNTRIED)
def test_a_plan_that_was_not_tried_is_not_called_exact(name: str) -> None:
    build, options, why = UNTRIED[name]
    found = padviz.tiles(build(), 64, **{"tile": 32, **options}, norms="shared")
    plan = found.plan
    assert isinstance(plan, LayerPlan)
    assert why in plan.untried
    assert f"Not known to be exact: {plan.untried}." in " ".join(str(found).split())
    assert "Exact" not in str(found)


def test_a_plan_is_tried_however_its_module_is_named() -> None:
    module = "torchvision.models:resnet18"
    for network in (module, padviz.load(module), torchvision.models.resnet18()):
        plan = padviz.tiles(network, 64, 32, norms="shared").plan
        assert isinstance(plan, LayerPlan)
        assert plan.untried == ""
    unlike = padviz.load(Timed(), 64, shape={"time": 1})
    assert "not tried" in str(padviz.tiles(unlike, 64, 32, norms="shared"))


class Timed(nn.Module):
    """A module that takes more than an image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor, time: float) -> Tensor:
        return self.conv(x) * time  # type: ignore[no-any-return]


def test_the_barrier_that_is_hardest_to_pass_is_named_first() -> None:
    attended = nn.Sequential(nn.Conv2d(3, 3, 3), nn.GroupNorm(1, 3), Attended())
    with pytest.raises(OptionError, match=r"2\.\w+\.global \(attention\); try `norms` shared"):
        padviz.tiles(attended, 64, 32)
    corners = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    with pytest.raises(PadvizError, match=r"2\.\w+\.global \(attention\); try `norms` shared"):
        padviz.tiles(nn.Sequential(*attended, corners, nn.Conv2d(4, 4, 3)), 64, 32)


BY_LAYER: dict[str, Callable[[], nn.Module]] = {
    "group norm": lambda: nn.GroupNorm(1, 3),
    "aligned corners": lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
    "circular padding": lambda: nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"),
}


@pytest.mark.parametrize("name", BY_LAYER)
def test_what_shared_norms_run_is_sent_to_them(name: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 3), BY_LAYER[name](), nn.Conv2d(3, 4, 3)).double().eval()
    x = image(1, 3, 40, 30)
    with pytest.raises(
        PadvizError, match=r"try `norms` shared, which runs a module layer by layer on all tiles$"
    ):
        padviz.tiles(model, (40, 30), 20)
    found = padviz.tiles(model, (40, 30), 20, norms="shared")
    assert "Exact" in str(found)
    assert apart(model(x), padviz.tiled(model, x, found.plan)) < 1e-12


@pytest.mark.slow
def test_two_processes_make_what_one_makes() -> None:
    example = Path(__file__).parents[2] / "examples" / "two_processes.py"
    done = subprocess.run(
        [sys.executable, str(example)], capture_output=True, text=True, timeout=120, check=True
    )
    assert all(f"process {rank}: rows" in done.stdout for rank in (0, 1))
