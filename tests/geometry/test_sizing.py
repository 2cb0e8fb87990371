"""Accepted, unstretched and balanced sizes, against modules that run, dots that move, and lines that are pasted."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import torchvision
from click.testing import CliRunner
from onnxruntime import InferenceSession
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.analyses.pasted import lines_to_paste
from padviz.cli import cli
from padviz.errors import SizeError, UnknownName
from padviz.geometry.sizing.at_size import at_size
from padviz.geometry.sizing.nearest import _padded, near_sizes
from tests.keras_files import functional as keras_functional
from tests.keras_files import image, layer, written

Files = dict[str, tuple[Path, Path]]  # with open axes, and with fixed ones


class UNet(nn.Module):
    """A U-Net whose skips must fit; or, with `resized`, whose upsampled maps are resized to them."""

    def __init__(self, levels: int = 2, resized: bool = False, aligned: bool = False) -> None:
        super().__init__()
        wide = [2**level for level in range(levels + 1)]
        self.down = nn.ModuleList(nn.Conv2d(max(1, n // 2), n, 3, padding=1) for n in wide)
        self.up = nn.ModuleList(nn.Conv2d(3 * n, n, 3, padding=1) for n in wide[-2::-1])
        self.resized, self.aligned = resized, aligned

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.down[0](x)]
        for down in self.down[1:]:
            skips.append(down(functional.max_pool2d(skips[-1], 2)))
        x = skips.pop()
        for up in self.up:
            skip = skips.pop()
            to = {"size": skip.shape[2:]} if self.resized else {"scale_factor": 2}
            grown = functional.interpolate(x, mode="bilinear", align_corners=self.aligned, **to)
            x = up(torch.cat([skip, grown], 1))
        return x


class Heads(nn.Module):
    """Strided convolutions, and their last map brought back to the size of the image."""

    def __init__(self, strides: int = 3, mode: str = "bilinear", aligned: bool = False) -> None:
        super().__init__()
        self.down = nn.Sequential(*(nn.Conv2d(1, 1, 3, 2, 1) for _ in range(strides)))
        self.how = {"mode": mode} | ({"align_corners": aligned} if mode == "bilinear" else {})

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(self.down(x), size=x.shape[2:], **self.how)


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 2, 3, 2, 1), nn.Linear(2 * 8 * 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).flatten(1))  # type: ignore[no-any-return]


NETWORKS = {
    "unet": UNet(),
    "resized": UNet(resized=True),
    "heads": Heads(),
    "pads itself": nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(1, 1, 3, 2), nn.Conv2d(1, 1, 3, 2, 1)
    ),
    "reflects": nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1), nn.ReflectionPad2d(5), nn.Conv2d(1, 1, 3)),
    "flat": Flat(),
}


def runs(module: nn.Module, size: tuple[int, int]) -> bool:
    try:
        with torch.no_grad():
            module(torch.zeros(1, 1, *size))
    except (RuntimeError, AssertionError):
        return False
    return True


@pytest.mark.parametrize("name", NETWORKS)
def test_accepted_sizes_are_those_at_which_the_module_runs(name: str) -> None:
    module = NETWORKS[name].eval()
    found = padviz.sizes(padviz.load(module, 16), "2:60")
    for axis in (0, 1):
        sides = [n for n in range(2, 61) if runs(module, (n, 16) if axis == 0 else (16, n))]
        rule = found.axes[("height", "width")[axis]].accepted
        assert list(rule.sizes) == sides
        assert 0 < rule.checked <= rule.checked + rule.expected == len(sides)


class Checks(nn.Module):
    """One strided convolution behind a check of its own, of each side of the image."""

    def __init__(self, takes: Callable[[int], bool]) -> None:
        super().__init__()
        self.takes, self.conv = takes, nn.Conv2d(1, 1, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        if not all(map(self.takes, x.shape[2:])):
            raise ValueError("not this size")
        return self.conv(x)


class Only100(Checks):
    def __init__(self) -> None:
        super().__init__(lambda n: n == 100)


class Deeper(nn.Module):
    """Strided once more where the image is large."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.conv(y) if x.shape[2] > 100 else y


@pytest.mark.parametrize(
    "takes",
    [lambda n: n % 12 == 0, lambda n: n <= 100, lambda n: n % 48 == 0, lambda n: n in (96, 101)],
)
def test_a_check_of_its_own_is_met_where_it_follows_no_stride(takes: Callable[[int], bool]) -> None:
    network = padviz.load(Checks(takes), 96)
    for axis in padviz.sizes(network, "16:200").axes.values():
        assert axis.accepted.sizes == tuple(filter(takes, range(16, 201)))


def test_a_range_without_a_period_is_found_in_a_long_one() -> None:
    network = padviz.load(Checks(lambda n: 193 <= n <= 224), 224)
    for axis in padviz.sizes(network, "64:1024").axes.values():
        assert axis.accepted.sizes == tuple(range(193, 225))


def test_a_range_far_from_the_first_sides_is_found() -> None:
    found = padviz.sizes(Checks(lambda n: 96 <= n <= 111), "8:520")
    assert found.height.accepted.sizes == tuple(range(96, 112))


def test_multiples_beyond_the_strides_are_found_in_a_long_range() -> None:
    found = padviz.sizes(padviz.load(Checks(lambda n: n % 12 == 0), 96), "65:1024")
    assert [axis.accepted.rule for axis in found.axes.values()] == ["12*i", "12*i"]


def test_a_rule_counts_the_sizes_below_its_start() -> None:
    found = padviz.sizes(padviz.load(Deeper(), 200), "16:200").axes["height"].balanced
    below = sum(n < 101 for n in found.sizes)
    assert below > 0
    assert found.rule == f"4*i + 1, from 101, and {below} below"


class Multiples(nn.Module):
    """Pads the image to multiples of 48 for itself, far beyond its strides."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = UNet(3)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        return self.inner(functional.pad(x, (0, -width % 48, 0, -height % 48)))[
            ..., :height, :width
        ]


def test_padding_to_multiples_beyond_the_strides_is_no_short_period() -> None:
    found = padviz.sizes(padviz.load(Multiples(), 96), "16:200")
    assert found.axes["width"].balanced.sizes == (48, 96, 144, 192)


def test_sizes_are_found_where_the_usual_ones_are_refused() -> None:
    found = padviz.sizes(Checks(lambda n: n % 18 == 0), "64:200")
    assert found.axes["width"].accepted.rule == "18*i"
    near = padviz.sizes(Checks(lambda n: n % 90 == 0), (90, 180)).near
    assert near is not None
    assert near.above == (90, 180)


def test_a_network_that_refuses_its_usual_size_is_asked_on_the_command_line() -> None:
    command = ["sizes", "tests.geometry.test_sizing:Only100", "--size"]
    for size, said in (("100x100", "100 x 100: runs"), ("90:110", "100 only")):
        line = CliRunner().invoke(cli, [*command, size])
        assert line.exit_code == 0
        assert said in line.stdout


def test_sides_that_are_no_range_are_counted() -> None:
    assert "2 sizes from 16 to 64, the other" in str(padviz.sizes(UNet(), [16, 64]))
    assert "sizes 16 to 18, the other" in str(padviz.sizes(UNet(), "16:18"))


def centroid_slope(module: nn.Module, n: int) -> float:
    """The slope of where the response to a dot lies, against where the dot is: 1 if the output is in place."""
    for inner in module.modules():
        if isinstance(inner, nn.Conv2d):
            nn.init.ones_(inner.weight)
            nn.init.zeros_(inner.bias)
    module = module.double().eval()
    image = torch.zeros(1, 1, n, n, dtype=torch.float64, requires_grad=True)
    out = module(image)[0, 0, :, n // 2]
    places, centres = [], []
    rows = torch.arange(n, dtype=torch.float64)
    for unit in range(n // 4, 3 * n // 4):
        (grad,) = torch.autograd.grad(out[unit], image, retain_graph=True)
        weight = grad[0, 0].sum(1)
        places.append(unit)
        centres.append(float((weight * rows).sum() / weight.sum()))
    return float(np.polyfit(places, centres, 1)[0])


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("n", [63, 64, 65, 70, 72])
def test_a_stretch_is_where_dots_say_it_is(aligned: bool, n: int) -> None:
    (side, _) = at_size(padviz.load(Heads(aligned=aligned), 64), (n, n))
    slope = centroid_slope(Heads(aligned=aligned), n)
    assert side.stretch == pytest.approx((slope - 1) * (n - 1), abs=0.6)
    assert (side.stretch == 0) == (abs(slope - 1) * (n - 1) < 0.6)
    words = " ".join(str(padviz.sizes(Heads(aligned=aligned), n)).split())
    assert ("squeezed by" in words) == (side.stretch > 0)
    assert ("stretched by" in words) == (side.stretch < 0)
    if side.stretch:
        assert f"(first in {side.moved_by}) at the far end of the height and width" in words
        assert side.moved_by.startswith("interpolate")


def test_nothing_is_stretched_where_nothing_returns_to_the_image() -> None:
    for n in (224, 225, 226):
        (side, _) = at_size(padviz.load("resnet18"), (n, n))
        assert (side.accepted, side.stretch, side.unread) == (True, 0, 0)


def test_rows_that_no_output_reads_are_counted() -> None:
    network = padviz.load(nn.Conv2d(1, 1, 4, 4), 16)
    assert [at_size(network, (n, 16))[0].unread for n in (16, 17, 18, 19, 20)] == [0, 1, 2, 3, 0]
    skipping = padviz.load(nn.Conv2d(1, 1, 1, 4), 16)
    assert [at_size(skipping, (n, 16))[0].unread for n in (16, 17, 18, 20)] == [0, 0, 0, 0]


def networks_and_images() -> Iterator[tuple[nn.Module, tuple[int, int]]]:
    rng = np.random.default_rng(0)
    for module in (UNet(3), UNet(2), UNet(2, True), Heads(2), Heads(3)):
        for _ in range(3):
            yield module, (int(rng.integers(20, 70)), int(rng.integers(20, 70)))


@pytest.mark.parametrize(("module", "size"), [*networks_and_images()])
def test_pasted_lines_run_and_keep_the_rows_that_see_no_padding(
    module: nn.Module, size: tuple[int, int]
) -> None:
    module = module.double().eval()
    network = padviz.load(module, 64)
    near = near_sizes(network, size)
    assert near.above is not None
    x = torch.randn(1, 1, *size, dtype=torch.float64)
    names = {"x": x, "F": functional, "model": module}
    if near.above == near.size:
        return
    with torch.no_grad():
        exec("\n".join(lines_to_paste(network, near)), names)
        more = [b - a for a, b in zip(size, near.above, strict=True)]
        zeros = module(functional.pad(x, (0, more[1], 0, more[0])))
    y = names["y"]
    assert y.shape[2:] == size
    (output,) = near.outputs
    rows, columns = (kept - seen for kept, seen in zip(output.kept, output.saw_fill, strict=True))
    apart = (y - zeros[..., : size[0], : size[1]])[..., :rows, :columns]
    assert not apart.numel() or apart.abs().max() <= 1e-12 * zeros.abs().max()


def test_sizes_that_only_a_check_sets_are_near() -> None:
    near = near_sizes(padviz.load(Checks(lambda n: n % 24 == 0), 48), (50, 95))
    assert (near.below, near.above) == ((48, 72), (72, 96))


class AlwaysStretched(nn.Module):
    """A coarse and a fine map, merged and brought back with aligned corners: no size is in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = functional.interpolate(
            self.conv(x), scale_factor=2, mode="bilinear", align_corners=True
        )
        return x + fine


def test_where_every_size_is_stretched_a_refused_one_is_padded_to_an_accepted_one() -> None:
    network = padviz.load(AlwaysStretched(), 32)
    refused = near_sizes(network, (31, 32))
    assert (refused.below, refused.above) == ((30, 32), (32, 32))
    runs_so = near_sizes(network, (32, 32))
    assert (runs_so.below, runs_so.above, lines_to_paste(network, runs_so)) == (None, None, [])


class Several(nn.Module):
    """Outputs of the image's size, and of half of it; as a dictionary or as a tuple, or the first alone."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.conv = form, nn.Conv2d(1, 1, 3, 2, 1)

    def forward(self, x: Tensor) -> object:
        half = self.conv(x)
        whole = functional.interpolate(half, size=x.shape[2:], mode="bilinear")
        return {
            "dict": {"seg": whole, "half": half},
            "tuple": (whole, half),
            "one": {"seg": whole},
        }[self.form]


@pytest.mark.parametrize("form", ["dict", "tuple", "one"])
def test_pasted_lines_pick_the_outputs_from_what_a_module_returns(form: str) -> None:
    module = Several(form).eval()
    network = padviz.load(module, 16)
    names = {"x": torch.zeros(1, 1, 21, 23), "F": functional, "model": module}
    exec("\n".join(lines_to_paste(network, near_sizes(network, (21, 23)))), names)
    found = [
        value.shape[2:]
        for name, value in names.items()
        if name in ("y", "y0", "y1") and hasattr(value, "shape")
    ]
    assert found == ([(21, 23)] if form == "one" else [(21, 23), (11, 12)])


class TwoHeads(nn.Module):
    """Outputs of the image's size, and of a quarter of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 1, 3, 2, 1), nn.Conv2d(1, 1, 3, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        half = self.first(x)
        return functional.interpolate(half, size=x.shape[2:], mode="bilinear"), self.second(half)


def test_pasted_lines_pick_the_outputs_of_a_file_by_name(tmp_path: Path) -> None:
    path = onnx_file(TwoHeads(), tmp_path / "several.onnx", True, ["whole", "quarter"])
    x = np.random.default_rng(0).normal(size=(1, 1, 21, 23)).astype(np.float32)
    names = {"x": x, "np": np, "session": InferenceSession(str(path))}
    lines = lines_to_paste(network := padviz.load(path, 16), near_sizes(network, (21, 23)))
    exec("\n".join(lines), names)
    assert {names["y0"].shape[2:], names["y1"].shape[2:]} == {(21, 23), (6, 6)}


def test_lines_that_resize_are_in_the_framework_of_the_file(files: Files) -> None:
    said = {
        kind: lines_to_paste(network := padviz.load(fixed), near_sizes(network, (22, 24)))
        for kind, (_, fixed) in files.items()
    }
    x = np.zeros((1, 1, 22, 24), np.float32)
    names = {"x": x, "torch": torch, "torchvision": torchvision}
    exec("\n".join(said["onnx"]), names)
    assert names["x"].shape == (1, 1, 16, 16)
    exec("\n".join(said["pt2"]), names := {"x": torch.tensor(x), "torchvision": torchvision})
    assert names["x"].shape == (1, 1, 16, 16)
    assert said["keras"] == ["x = keras.ops.image.resize(x, (16, 16))"]


class Squares(nn.Module):
    """A U-Net that takes squares only."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = UNet()

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] != x.shape[3]:
            raise ValueError("not a square")
        return self.inner(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize("own", [16, 40])
def test_squares_are_near_where_a_network_takes_no_other_size(own: int) -> None:
    near = near_sizes(padviz.load(Squares(), own), (21, 23))
    assert (near.below, near.above) == ((20, 20), (24, 24))


class Counted(Flat):
    """Takes maps of 8 x 8, and notes the sizes at which it is called, also those of its copies."""

    seen: ClassVar[list[tuple[int, ...]]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((*x.shape[2:],))
        return super().forward(x)


def test_a_refusal_tries_few_sizes() -> None:
    network = padviz.load(Counted(), 16)
    Counted.seen.clear()
    with pytest.raises(SizeError):
        network.at((11, 200))
    assert len(Counted.seen) < 20


@pytest.mark.parametrize(
    ("size", "way"),
    [
        ((12, 13), "pad the image to 16 x 16"),
        ((90, 70), "crop it to 16 x 16"),
        ((11, 200), "it must take one image; try another size"),
    ],
)
def test_a_refusal_names_a_size_that_runs_and_where_to_go_on(
    size: tuple[int, int], way: str
) -> None:
    more = f"padviz sizes MODEL --size {size[0]}x{size[1]} shows how, and other sizes"
    with pytest.raises(SizeError, match=f"; {way}: {more}$"):
        padviz.load(Flat(), 16).at(size)


def test_a_refusal_is_said_once() -> None:
    with pytest.raises(SizeError) as said:
        padviz.usage(padviz.load(UNet(), 16), (22, 24))
    assert str(said.value).count("does not take") == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_that_a_refusal_names_run(name: str) -> None:
    network = padviz.load(NETWORKS[name], 16)
    for size in [(n, m) for n in range(1, 40, 6) for m in range(2, 40, 7)]:
        try:
            network.at(size)
        except SizeError as error:
            named = re.findall(r" to (\d+) x (\d+)", error.hint)
            assert all(runs(NETWORKS[name], (int(n), int(m))) for n, m in named)


@pytest.mark.parametrize("stride", range(2, 9))
def test_units_are_kept_whose_cell_begins_inside_the_image(stride: int) -> None:
    # Unit k of an odd window with even padding has its centre on row k * stride; its cell is one stride wide.
    network = padviz.load(nn.Conv2d(1, 1, 2 * stride + 1, stride, stride), 48)
    for n in range(20, 48):
        (output,) = _padded(network, (n, 48), (48, 48))
        assert output.kept[0] == sum(
            2 * k * stride - (stride - 1) < 2 * n for k in range(output.units[0])
        )


def pictures(folder: Path) -> Path:
    for i, (height, width) in enumerate([(16, 16), (16, 18), (20, 24), (20, 24)]):
        Image.new("L", (width, height)).save(folder / f"{i}.png")
    return folder


def test_pictures_of_a_folder(tmp_path: Path) -> None:
    found = padviz.sizes(UNet(), "8:40", images=pictures(tmp_path))
    images = found.images
    assert images is not None
    assert (images.count, images.accepted, images.stretched) == (4, 3, 0)
    assert images.added == (0, 2)
    assert re.search(r"3 of 4(.|\n)*0 x 2 px(.|\n)*20 x 24 +2\n", str(found))
    assert {row.size: row.count for row in images.served} == {(20, 24): 2, (16, 16): 1, (16, 20): 1}


COMMANDS = ["audit", "usage", "layers", "uneven", "coverage", "tiles --tile 16"]
ANALYSES = [
    padviz.audit,
    padviz.usage,
    padviz.layers,
    padviz.uneven,
    padviz.coverage,
    padviz.taps,
    padviz.costs,
]
TO_24 = "pad the image to 24 x 24 or crop it to 20 x 24"
AGAIN = "the file declares an input of 16 x 16 .*export it again with open axes, or resize the image: padviz sizes "


def refused(arguments: list[str]) -> str:
    line = CliRunner().invoke(cli, arguments)
    assert line.exit_code == 2
    return line.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_names_the_nearest_sizes(command: str) -> None:
    name, *options = command.split()
    said = refused([name, "tests.geometry.test_sizing:UNet", "--size", "22x24", *options])
    assert TO_24 in said
    assert "padviz sizes tests.geometry.test_sizing:UNet --size 22x24" in said


def onnx_file(
    module: nn.Module, path: Path, open_axes: bool, names: Sequence[str] = ("y",), side: int = 16
) -> Path:
    axes = {"x": {2: "h", 3: "w"}} if open_axes else None
    example = (torch.zeros(1, 1, side, side),)
    torch.onnx.export(
        module.eval(),
        example,
        str(path),
        dynamo=False,
        input_names=["x"],
        output_names=[*names],
        dynamic_axes=axes,
    )
    return path


def keras_file(path: Path, side: int | None) -> Path:
    """A U-Net of two levels."""
    conv = {"kernel_size": [3, 3], "filters": 4, "padding": "same"}
    levels = [
        image(side, side, 3),
        layer("Conv2D", "fine", "image", **conv),
        layer("MaxPooling2D", "pool", "fine", pool_size=[4, 4], strides=[4, 4]),
        layer("UpSampling2D", "up", "pool", size=[4, 4]),
        layer("Concatenate", "join", ["fine", "up"], axis=-1),
    ]
    return written(path, keras_functional(levels, "join"))


def program_file(path: Path, open_axes: bool) -> Path:
    quarters = [torch.export.Dim(name, min=2, max=64) for name in ("height", "width")]
    axes = {"x": {2: 4 * quarters[0], 3: 4 * quarters[1]}} if open_axes else None
    program = torch.export.export(UNet().eval(), (torch.zeros(1, 1, 16, 16),), dynamic_shapes=axes)
    torch.export.save(program, path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Files of U-Nets with open axes, and with fixed ones."""
    folder = tmp_path_factory.mktemp("files")
    return {
        "onnx": (
            onnx_file(UNet(), folder / "open.onnx", True),
            onnx_file(UNet(), folder / "fixed.onnx", False),
        ),
        "keras": (keras_file(folder / "open.keras", None), keras_file(folder / "fixed.keras", 16)),
        "pt2": (program_file(folder / "open.pt2", True), program_file(folder / "fixed.pt2", False)),
    }


@pytest.mark.parametrize("kind", ["onnx", "keras", "pt2"])
def test_each_analysis_of_a_file_names_the_nearest_sizes(kind: str, files: Files) -> None:
    with_open_axes, fixed = files[kind]
    for analysis in ANALYSES:
        with pytest.raises(padviz.PadvizError, match=TO_24):
            analysis(with_open_axes, (22, 24))
        with pytest.raises(padviz.PadvizError, match=AGAIN):
            analysis(fixed, (22, 24))
    with pytest.raises(padviz.PadvizError, match=TO_24):
        padviz.tiles(with_open_axes, (22, 24), 16)


@pytest.mark.parametrize("kind", ["onnx", "keras", "pt2"])
def test_a_network_that_was_read_at_a_refused_size_knows_others(kind: str, files: Files) -> None:
    with_open_axes, _ = files[kind]
    with pytest.raises(padviz.PadvizError, match=TO_24):
        padviz.usage(padviz.load(with_open_axes).at((22, 24)))
    with pytest.raises(padviz.PadvizError, match=TO_24):
        padviz.usage(padviz.load(with_open_axes, (22, 24)))


def test_a_module_at_a_refused_size_names_others() -> None:
    with pytest.raises(padviz.PadvizError, match=TO_24):
        padviz.load(UNet(), 16).at((22, 24))


@pytest.mark.parametrize("kind", ["onnx", "keras"])
def test_each_command_names_the_nearest_sizes_of_a_file(kind: str, files: Files) -> None:
    path, _ = files[kind]
    for command in COMMANDS:
        name, *options = command.split()
        assert TO_24 in refused([name, str(path), "--size", "22x24", *options])


@pytest.mark.parametrize("kind", ["onnx", "keras", "module"])
def test_an_export_names_the_nearest_sizes(kind: str, files: Files, tmp_path: Path) -> None:
    if kind == "module":
        with pytest.raises(padviz.PadvizError, match=TO_24):
            padviz.export("tests.geometry.test_sizing:UNet", tmp_path, size=[(22, 24)], jobs=1)
        return
    (outcome,) = padviz.export(files[kind][0], tmp_path, size=[(22, 24)], format_=["json"], jobs=1)
    assert outcome.state == "failed"
    assert TO_24 in outcome.error


@pytest.mark.parametrize("size", [(80, 80), "64:512"])
def test_a_file_that_does_not_run_at_the_usual_size_is_read_at_another(
    size: str | tuple[int, int], tmp_path: Path
) -> None:
    """224 does not halve six times."""
    path = onnx_file(UNet(6), tmp_path / "deep.onnx", True, side=64)
    found = padviz.sizes(path, size)
    assert found.height.accepted.rule == "64*i"
    if found.near is not None:
        assert (found.near.below, found.near.above) == ((64, 64), (128, 128))


def test_a_layer_before_the_one_that_refuses_is_counted(files: Files) -> None:
    path, _ = files["onnx"]
    counts = padviz.usage(path, (22, 24), layer="/down.1/Conv")
    assert counts.counts.shape == (22, 24)
    with pytest.raises(UnknownName, match="no layer is called"):
        padviz.usage(path, (22, 24), layer="dwn")


def test_a_check_of_sizes_names_the_nearest_ones(files: Files) -> None:
    with_open_axes, fixed = files["onnx"]
    (row,) = padviz.check(with_open_axes, any_size=[(22, 24)])
    assert (row.state, row.layer, row.change) == ("fails", "/Concat", "pad the image to 24 x 24")
    (row,) = padviz.check(fixed, any_size=[(22, 24)])
    assert row.change == "export it again with open axes; pad the image to 24 x 24"
    (row,) = padviz.check(UNet(), 32, any_size=[(22, 24)])
    assert (row.layer, row.change) == ("cat", "pad the image to 24 x 24")
    (row,) = padviz.check(with_open_axes, (22, 24))
    assert (row.state, row.expectation) == ("not judged", "model")
    assert TO_24 in row.change


@pytest.mark.parametrize("kind", ["onnx", "keras", "pt2"])
def test_a_file_that_declares_its_size_takes_no_other(kind: str, files: Files) -> None:
    _, fixed = files[kind]
    near = padviz.sizes(fixed, (22, 24)).near
    assert near is not None
    assert near.refusal is not None
    assert (near.above, near.below) == (None, None)
    assert near.refusal.what == "the file declares an input of 16 x 16"
    for sides in ("8:40", "8:1024"):
        accepted = padviz.sizes(fixed, sides).height.accepted
        assert (accepted.rule, accepted.sizes, accepted.unknown) == ("16 only", (16,), ())


@pytest.mark.parametrize("height", ["16 only", "4*i"])
def test_a_side_that_a_file_declares_is_the_only_one_accepted(height: str, tmp_path: Path) -> None:
    path, axes = tmp_path / "part.onnx", {2: "h"} if height == "4*i" else {}
    image = (torch.zeros(1, 1, 16, 16),)
    torch.onnx.export(
        UNet().eval(), image, str(path), dynamo=False, input_names=["x"], dynamic_axes={"x": axes}
    )
    found = padviz.sizes(padviz.load(path, 16), "8:40")
    assert (found.height.accepted.rule, found.width.accepted.rule) == (height, "16 only")
    assert found.width.refusal is not None
    assert "the file declares an input of" in found.width.refusal.what


class Joins(nn.Module):
    """Joins maps along rows where the height is odd, which padviz does not follow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.fft.fft2(y).real if x.shape[2] % 2 else y


def test_what_padviz_cannot_read_is_not_known() -> None:
    network = padviz.load(Joins(), 16)
    found = padviz.sizes(network, "8:140")
    height = found.height
    assert height.accepted.sizes == tuple(range(8, 141, 2))
    assert height.accepted.unknown == height.balanced.unknown == tuple(range(9, 141, 2))
    assert height.read < 20
    assert (height.refusal, "Refused" in str(found)) == (None, False)
    assert "Not known along the height: 9 11 ... 139 (66 sizes)" in str(found)
    assert padviz.sizes(network, [17, 19]).height.accepted.unknown == (17, 19)


class MergesPairs(nn.Module):
    """Adds rows at even and at odd places, padded to an even number as in Swin transformers, and then as in `Joins`."""

    def forward(self, x: Tensor) -> Tensor:
        even = functional.pad(x, (0, 0, 0, x.shape[2] % 2))
        y = even[:, :, ::2] + even[:, :, 1::2]
        return torch.fft.fft2(y).real if x.shape[2] % 2 else y


def test_a_module_that_runs_where_padviz_cannot_read_it_is_not_refused() -> None:
    """At another size it has no pad, and by its layers there the pairs of an odd number of rows would not fit."""
    found = padviz.sizes(padviz.load(MergesPairs(), 16), range(8, 33))
    assert found.height.accepted.sizes == tuple(range(8, 33, 2))
    assert found.height.accepted.unknown == tuple(range(9, 32, 2))


class PadsItself(nn.Module):
    """Pads its image at the far ends to a multiple, and crops its output."""

    def __init__(self, multiple: int) -> None:
        super().__init__()
        self.multiple = multiple
        self.down, self.up = nn.Conv2d(1, 1, 3, 2, 1), nn.ConvTranspose2d(1, 1, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        padded = functional.pad(x, (0, -width % self.multiple, 0, -height % self.multiple))
        return self.up(self.down(padded))[..., :height, :width]  # type: ignore[no-any-return]


def test_a_module_that_pads_its_image_to_a_multiple_is_balanced_one_row_before_it() -> None:
    module = PadsItself(10)
    for sides in (range(16, 201), range(64, 701)):
        found = padviz.sizes(module, sides).height
        assert (found.accepted.rule, found.balanced.rule) == ("every size", "10*i + 9")
        assert found.balanced.sizes == tuple(n for n in sides if n % 10 == 9)
        assert found.read < 160


@pytest.mark.parametrize(
    ("multiple", "n", "said"), [(128, 65, "65 to 128"), (2, 65, ""), (128, 128, "")]
)
def test_what_a_module_pads_beyond_its_strides_is_said(multiple: int, n: int, said: str) -> None:
    text = str(padviz.sizes(PadsItself(multiple), (n, 128)))
    lines = [line for line in text.splitlines() if line.startswith("pads ")]
    assert len(lines) == bool(said)
    for line in lines:
        assert f"{said} px along the height" in line
        assert "multiples of 2 px" in line


def test_sizes_without_a_rule_that_were_not_read_are_not_known() -> None:
    sides = range(64, 701)
    found = padviz.sizes(PadsItself(140), sides)
    accepted, balanced = found.height.accepted, found.height.balanced
    assert (accepted.rule, accepted.unknown) == ("every size", ())
    assert (balanced.rule, found.height.read) == (None, len(sides) - len(balanced.unknown))
    assert "Not known whether balanced along the height" in str(found)


def test_a_file_whose_maps_do_not_fit_is_refused_and_not_unknown(tmp_path: Path) -> None:
    path = onnx_file(UNet(), tmp_path / "open.onnx", True)
    network = padviz.load(path, 16)
    near = near_sizes(network, (22, 24))
    assert (near.axes[0].accepted, near.axes[0].unknown, near.above) == (False, False, (24, 24))
    session = InferenceSession(str(path))
    x = np.random.default_rng(0).normal(size=(1, 1, 22, 24)).astype(np.float32)
    names = {"x": x, "np": np, "session": session}
    exec("\n".join(lines_to_paste(network, near)), names)
    assert names["x"].shape == (1, 1, 24, 24)
    np.testing.assert_array_equal(names["x"][..., :22, :], x)
    assert names["y"].shape == (1, 1, 22, 24)


def test_pictures_that_a_fixed_file_refuses_are_told_what_else_to_do(tmp_path: Path) -> None:
    path = onnx_file(UNet(), tmp_path / "fixed.onnx", False)
    side = padviz.load(path).size[0]
    for name, width in {"fits": side, "wide": side + 1}.items():
        Image.new("RGB", (width, side)).save(tmp_path / f"{name}.png")
    text = " ".join(str(padviz.sizes(path, images=tmp_path)).split())
    assert "accepted 1 of 2" in text
    assert "instead the file declares an input of" in text
    assert "export it again with open axes" in text
    assert "added at most" not in text
