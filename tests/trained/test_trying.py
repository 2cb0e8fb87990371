"""Trials and what is seen: figures equal those of a slow twin, and laws hold on turned networks, files and modules."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from padviz.intervals import Estimate, mean
from padviz.network.padding_modes import OTHER
from padviz.trained.images import Crop, Crops, Frame, Inputs, resized_frame, room_for
from padviz.trained.trying.comparing import kind_of, overlap
from padviz.trained.trying.seen import estimates
from padviz.trained.trying.trial import needs_of
from tests.torch_calls import to_onnx
from tests.trained.known import turned

Array = NDArray[Any]
MEAN, STD = 0.4, 0.25
NORMAL: dict[str, Any] = {"mean": (MEAN,), "std": (STD,)}


def classifier(classes: int = 5) -> nn.Sequential:
    """An odd function, so that classes differ by image."""
    torch.manual_seed(1)
    convs = [
        nn.Conv2d(*channels, 3, stride=2, padding=1, bias=False) for channels in ((3, 8), (8, 8))
    ]
    net = nn.Sequential(
        convs[0], nn.Tanh(), convs[1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)
    )
    nn.init.zeros_(net[5].bias)
    return net


def mapper() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 2, (3, 5), padding=(1, 2))
    )


def picture(path: Path, height: int, width: int, seed: int) -> Array:
    """A picture of smooth noise, as photographs are."""
    coarse = np.random.default_rng(seed).integers(
        0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8
    )
    made = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    made.save(path)
    return np.asarray(made)


def folder(
    path: Path, count: int = 6, height: int = 44, width: int = 52, turned: bool = False
) -> Path:
    path.mkdir(exist_ok=True)
    for i in range(count):
        pixels = picture(path / f"{i}.png", height, width, i)
        if turned:
            Image.fromarray(pixels.transpose(1, 0, 2)).save(path / f"{i}.png")
    return path


def of_folder(path: Path, own: tuple[int, int], count: int, room: Frame, seed: int = 0) -> Crops:
    return Crops(Inputs(path, count, seed, (0.0,), (1.0,)), own, room, 3)


def of_noise(count: int, room: Frame) -> Crops:
    return Crops(Inputs(n=count, mean=(0.0,), std=(1.0,)), (1, 1), room, 3)


def test_frames_of_one_crop_are_parts_of_one_scene(tmp_path: Path) -> None:
    frames = Frame(0, 0, 28, 32), Frame(1, 1, 28, 32), resized_frame((28, 32), (35, 29))
    room = room_for(frames)
    crops = [*of_folder(folder(tmp_path / "p"), (28, 32), 9, room)]
    assert [crop.picture for crop in crops] == [0, 0, 1, 1, 2, 2, 3, 4, 5]
    for crop in crops:
        scene = crop.scene(room)
        assert scene.shape == (3, room.height, room.width)
        for frame in frames:
            top, left = frame.top - room.top, frame.left - room.left
            part = scene[:, top : top + frame.height, left : left + frame.width]
            np.testing.assert_allclose(crop.scene(frame), part, atol=1e-5)


def test_a_picture_is_scaled_to_the_surroundings_of_a_frame_and_never_enlarged(
    tmp_path: Path,
) -> None:
    path = folder(tmp_path / "p", 1, 128, 192)
    (large,) = of_folder(path, (56, 56), 1, Frame(0, 0, 57, 57))
    assert large.scale == pytest.approx(64 / 128)
    (whole,) = of_folder(path, (120, 120), 1, Frame(0, 0, 121, 121))
    assert whole.scale == 1
    pixels = np.asarray(Image.open(path / "0.png"), np.float32).transpose(2, 0, 1) / 255
    own = pixels[:, whole.top : whole.top + 120, whole.left : whole.left + 120]
    np.testing.assert_allclose(whole.scene(Frame(0, 0, 120, 120)), own, atol=1e-6)


def test_crops_of_a_picture_that_is_much_larger_are_those_of_all_its_pixels(tmp_path: Path) -> None:
    path = folder(tmp_path / "p", 1, 611, 823)
    (crop,) = of_folder(path, (40, 40), 1, Frame(0, 0, 41, 41))
    whole = np.asarray(Image.open(path / "0.png"), np.float32).transpose(2, 0, 1) / 255
    scale = 8 / 7 * 40 / 611
    assert crop.pixels.shape == (3, 153, 206)
    slow = Crop(0, whole, scale, crop.top, crop.left).scene(Frame(0, 0, 40, 40))
    assert np.abs(crop.scene(Frame(0, 0, 40, 40)) - slow).max() < 0.01


def test_crops_follow_the_seed_and_differ_within_a_picture(tmp_path: Path) -> None:
    path, room = folder(tmp_path / "p"), Frame(0, 0, 21, 21)

    def places(seed: int) -> list[tuple[int, int]]:
        return [(crop.top, crop.left) for crop in of_folder(path, (20, 20), 30, room, seed)]

    assert places(0) == places(0) != places(1)
    assert len({*places(0)}) > 8


def test_pictures_that_are_too_small_are_left_out_and_their_crops_shared(tmp_path: Path) -> None:
    path = folder(tmp_path / "p", 3)
    picture(path / "1.png", 20, 90, 0)
    crops = of_folder(path, (32, 32), 8, Frame(0, 0, 33, 33))
    assert [crop.picture for crop in crops] == [0, 0, 0, 2, 2, 2, 2, 2]
    assert crops.notes == ("1 picture is below 33 x 33 px, and left out",)


def test_scores_are_judged_as_pytorch_does() -> None:
    found = padviz.trial(classifier(), noise=True, n=12, trained_at=24, padding="reflect", **NORMAL)
    net, crops = classifier(), [*of_noise(12, Frame(0, 0, 25, 25))]
    own, moved = (scores(net, crops, frame) for frame in (Frame(0, 0, 24, 24), Frame(1, 1, 24, 24)))
    mirrored = scores(padviz.repad(classifier(), "reflect", size=24), crops, Frame(0, 0, 24, 24))
    for row, changed in zip(found.rows, (moved, mirrored), strict=True):
        assert row.figures["kept"].value == (own.argmax(1) == changed.argmax(1)).float().mean()
        assert row.figures["kl"].value == pytest.approx(kl_of(own, changed), rel=1e-4)
    assert found.rows[1].figures["kl"].value > 0
    difference = (own.argmax(1) == mirrored.argmax(1)).double() - (
        own.argmax(1) == moved.argmax(1)
    ).double()
    assert found.rows[1].against_shift["kept"].value == pytest.approx(float(difference.mean()))


def scores(net: nn.Module, crops: list[Crop], frame: Frame) -> Tensor:
    images = np.stack([crop.scene(frame) for crop in crops])
    with torch.no_grad():
        made: Tensor = net.eval()((torch.from_numpy(images) - MEAN) / STD).double()
    return made


def test_maps_are_judged_by_how_far_they_move() -> None:
    found = padviz.trial(
        mapper(), noise=True, n=5, trained_at=(20, 24), padding="circular", **NORMAL
    )
    crops = [*of_noise(5, Frame(0, 0, 21, 25))]
    own, moved = (scores(mapper(), crops, Frame(at, at, 20, 24)) for at in (0, 1))
    circular = scores(padviz.repad(mapper(), "circular", size=(20, 24)), crops, Frame(0, 0, 20, 24))
    pairs = (own[..., 1:, 1:], moved[..., :-1, :-1]), (own, circular)
    for row, (before, after) in zip(found.rows, pairs, strict=True):
        far, whole = ((each.flatten(1) ** 2).sum(1) for each in (after - before, before))
        assert row.figures["relative"].value == pytest.approx(
            float(far.sqrt().mean() / whole.mean().sqrt()), rel=1e-4
        )
        together = [
            np.corrcoef(one.ravel(), two.ravel())[0, 1]
            for one, two in zip(before, after, strict=True)
        ]
        assert row.figures["correlation"].value == pytest.approx(np.mean(together), rel=1e-4)


def test_a_yardstick_that_is_lost_is_said() -> None:
    net = nn.Conv2d(3, 1, 1, stride=2, bias=False)  # which reads other pixels once they are shifted
    found = padviz.trial(net, noise=True, n=4, trained_at=24, size=[25], mean=(0.5,), std=(0.25,))
    assert found.shift.figures["relative"].value > 1
    lost = (
        "even a shift by one pixel changes most of the output: use images like the training images"
    )
    assert found.notes[2:] == (lost,)


def test_sizes_are_made_by_crops_and_by_resizing() -> None:
    found = padviz.trial(
        classifier(), noise=True, n=6, trained_at=24, size=[25, (21, 28)], **NORMAL
    )
    names = [
        "25 px (one row more)",
        "25 px (resized)",
        "21 x 28 px (another crop)",
        "21 x 28 px (resized)",
    ]
    assert [row.change for row in found.changes] == names
    room = room_for([Frame(1, 1, 24, 24), Frame(1, -2, 21, 28), Frame(0, 0, 25, 25)])
    net, crops = classifier(), [*of_noise(6, room)]
    wide = [Crop(0, crop.scene(Frame(0, 0, 24, 24), (21, 28)), 1, 0, 0) for crop in crops]
    own = scores(net, crops, Frame(0, 0, 24, 24))
    larger, _, cut, resized = found.changes
    for row, made in (
        (larger, scores(net, crops, Frame(0, 0, 25, 25))),
        (cut, scores(net, crops, Frame(1, -2, 21, 28))),
        (resized, scores(net, wide, Frame(0, 0, 21, 28))),
    ):
        assert row.figures["kl"].value == pytest.approx(kl_of(own, made), rel=1e-4)
    assert (found.row(size=(21, 28)), found.row(size=(21, 28), how="resize")) == (cut, resized)


def kl_of(own: Tensor, changed: Tensor) -> float:
    logs = functional.log_softmax(changed, 1), functional.log_softmax(own, 1)
    return float(functional.kl_div(*logs, reduction="batchmean", log_target=True))


def test_maps_are_compared_where_they_stand_for_the_same_pixels() -> None:
    """A network of 1 x 1 convolutions makes the same of each pixel wherever it lies in the image."""
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Tanh(), nn.Conv2d(4, 2, 1))
    found = padviz.trial(net, noise=True, n=3, trained_at=(20, 24), size=[(21, 24), (28, 20)])
    for row in (found.shift, found.row(size=(21, 24)), found.row(size=(28, 20))):
        assert row.figures["relative"].value < 1e-6
        assert row.figures["correlation"].value > 1 - 1e-6
    resized = found.row(size=(21, 24), how="resize")
    assert (resized.figures, resized.note) == (
        {},
        "makes 2 x 21 x 24, and 2 x 20 x 24 as trained: not comparable",
    )


@pytest.mark.parametrize(
    ("own", "changed", "frame", "rows"),
    [
        ((2, 8, 8), (2, 10, 8), Frame(-4, 0, 40, 32), ((0, 8), (1, 9))),  # a stride of 4
        ((2, 8, 8), (2, 8, 8), Frame(1, 1, 32, 32), ((0, 8), (0, 8))),  # below a unit
        ((2, 64, 64), (2, 64, 64), Frame(1, 0, 32, 32), ((2, 64), (0, 62))),  # twice as large
        ((2, 8, 8), (2, 9, 9), Frame(-2, -2, 36, 36), None),
    ],
)
def test_the_overlap_of_maps(own: Any, changed: Any, frame: Frame, rows: Any) -> None:
    for at, one, other in ((1, own, changed), (0, (*own[1:], own[0]), (*changed[1:], changed[0]))):
        parts = overlap(one, other, frame, (32, 32))
        assert (parts and tuple((each[at].start, each[at].stop) for each in parts)) == rows
    assert overlap((100, 6), (120, 6), Frame(0, 0, 33, 33), (32, 32)) is None


def test_a_turned_network_on_turned_pictures_has_the_same_figures(tmp_path: Path) -> None:
    """The pictures are as large as what the changes need, so that no place is drawn."""
    upright, lying = (folder(tmp_path / name, 4, 31, 37, name == "t") for name in ("u", "t"))
    options: dict[str, Any] = {"n": 4, **NORMAL}
    for make in (classifier, mapper):
        one = padviz.trial(
            make(), upright, [(31, 37)], ["reflect/circular"], trained_at=(30, 36), **options
        )
        other = padviz.trial(
            turned(make()), lying, [(37, 31)], ["circular/reflect"], trained_at=(36, 30), **options
        )
        assert len(one.rows) == 4
        for row, back in zip(one.rows, other.rows, strict=True):
            assert [*row.figures] == [*back.figures]
            for name, value in row.figures.items():
                assert back.figures[name] == pytest.approx(value, abs=1e-5)
    first = padviz.seen(mapper(), upright, 6, 5, size=(31, 37), **options)
    second = padviz.seen(turned(mapper()), lying, 6, 5, size=(37, 31), **options)
    np.testing.assert_allclose(second.values.T, first.values, rtol=1e-4)
    np.testing.assert_allclose(second.usage.T, first.usage)
    for name in ("by_usage", "by_distance", "gain", "edge", "edge_usage"):
        assert getattr(second, name) == pytest.approx(getattr(first, name), abs=1e-4)


@pytest.mark.parametrize("batch", [None, 3])
def test_a_file_has_the_figures_of_its_module(tmp_path: Path, batch: int | None) -> None:
    net = mapper()
    axes = {"x": {2: "h", 3: "w"} if batch else {0: "n", 2: "h", 3: "w"}}
    image = torch.zeros(batch or 1, 3, 24, 24)
    to_onnx(net, tmp_path / "m.onnx", image, input_names=["x"], dynamic_axes=axes)
    options: dict[str, Any] = {"n": 7, "noise": True, **NORMAL}
    one, other = (
        padviz.trial(each, size=[25], padding=["symmetric", "partial"], trained_at=24, **options)
        for each in (net, tmp_path / "m.onnx")
    )
    for row, back in zip(one.rows, other.rows, strict=True):
        assert row.note == back.note
        for name, value in row.figures.items():
            assert back.figures[name].value == pytest.approx(value.value, rel=1e-3, abs=1e-5)
    first, second = (
        padviz.seen(each, None, 6, 5, size=24, **options) for each in (net, tmp_path / "m.onnx")
    )
    np.testing.assert_allclose(second.values, first.values, rtol=1e-3)
    np.testing.assert_array_equal(second.usage, first.usage)


@pytest.mark.parametrize(
    ("low", "high", "needs"),
    [
        (-0.25, -0.125, "fine-tune"),
        (-0.25, 0.0, "today's weights"),  # it loses twice what the shift does, .25
        (-0.2501, 0.1, "more pictures"),
        (None, None, "more pictures"),
    ],
)
def test_what_a_change_needs_turns_at_zero_and_at_the_loss_of_the_shift(
    low: Any, high: Any, needs: Any
) -> None:
    kept, turned = (
        Estimate(0, low, high),
        Estimate(0, None if high is None else -high, None if low is None else -low),
    )
    shift, settled = {"kept": 0.75, "kl": 0.25, "relative": 0.25}, Estimate(0, -0.01, 0.01)
    for figures in (
        {"kept": kept, "kl": settled},
        {"kept": settled, "kl": turned},
        {"relative": turned},
    ):
        assert needs_of(figures, shift) == needs  # both decide
    grown = (
        Estimate(0.106, 0.05, 0.2),
        Estimate(0.0022, -0.0001, 0.005),
    )  # where all answers are kept
    said = [
        needs_of({"kept": Estimate(0, 0, 0), "kl": kl}, {"kept": 1, "kl": 0.0008}) for kl in grown
    ]
    assert said == ["fine-tune", "more pictures"]


def test_a_network_of_ones_sees_what_is_counted(tmp_path: Path) -> None:
    """On a white image its output changes by the paths that the patch hides."""
    convs = (
        nn.Conv2d(3, 2, 3, stride=2, padding=1, bias=False),
        nn.Conv2d(2, 1, (5, 3), padding=1, bias=False),
    )
    for layer in convs:
        nn.init.ones_(layer.weight)
    net = nn.Sequential(*convs, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for i in range(2):
        Image.new("RGB", (40, 40), "white").save(tmp_path / f"{i}.png")
    found = padviz.seen(net, tmp_path, 5, 7, 2, size=(32, 40), mean=(0,), std=(1,))
    # cells around the middles of patches
    left, right, bottom, top = found.plot().images[0].get_extent()
    down, across = (found.tops[-1] / 6, found.lefts[-1] / 6)
    assert (left, right) == pytest.approx((2.5 - across / 2, found.lefts[-1] + 2.5 + across / 2))
    assert (top, bottom) == pytest.approx((2.5 - down / 2, found.tops[-1] + 2.5 + down / 2))
    np.testing.assert_allclose(
        found.values / found.values.max(), found.usage / found.usage.max(), rtol=1e-5
    )
    assert (found.by_usage.value, found.pictures) == (pytest.approx(1), 2)
    assert found.edge.value == pytest.approx(found.edge_usage)
    counts = padviz.usage(net, (32, 40)).counts
    for i, top in enumerate(found.tops):
        for j, left in enumerate(found.lefts):
            mean = counts[top : top + 5, left : left + 5].mean() / counts.max()
            assert found.usage[i, j] == pytest.approx(mean)


def ranks(values: Array) -> list[float]:
    """Ranks from 1 on, counted one by one; ties, up to rounding, share the mean of theirs."""
    rounded = (values / values.max()).round(9).ravel()
    return [(rounded < value).sum() + ((rounded == value).sum() + 1) / 2 for value in rounded]


def test_what_is_seen_is_that_of_images_with_the_patch_laid_on_one_by_one() -> None:
    found = padviz.seen(mapper(), None, 6, 5, 3, noise=True, size=(16, 20), **NORMAL)
    net, crops = mapper().eval(), [*of_noise(3, Frame(0, 0, 16, 20))]
    images = (torch.from_numpy(np.stack([crop.pixels for crop in crops])) - MEAN) / STD
    assert (found.tops[0], found.tops[-1], found.lefts[-1]) == (0, 10, 14)
    with torch.no_grad():
        for i, top in enumerate(found.tops):
            for j, left in enumerate(found.lefts):
                hidden = images.clone()
                hidden[:, :, top : top + 6, left : left + 6] = 0
                change = (net(hidden) - net(images)).double().square().mean().sqrt()
                assert found.values[i, j] == pytest.approx(float(change), rel=1e-4)
                assert found.distance[i, j] == min(top, left, 10 - top, 14 - left)
    for name, other in (("by_usage", found.usage), ("by_distance", found.distance)):
        slow = np.corrcoef(ranks(found.values), ranks(other))[0, 1]
        assert getattr(found, name).value == pytest.approx(slow)
    assert found.gain.value == pytest.approx(found.by_usage.value - found.by_distance.value)
    assert found.gain.value != 0
    ring = [found.values[i, j] for i in range(5) for j in range(5) if i in (0, 4) or j in (0, 4)]
    assert found.edge.value == pytest.approx(np.mean(ring) / found.values[2, 2])


def test_a_change_that_makes_nan_says_of_how_many() -> None:
    class Losing(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            made: Tensor = super().forward(x)
            return torch.cat([made[:1] * torch.nan, made[1:]]) if x.shape[2] == 25 else made

    found = padviz.trial(Losing(*classifier()), noise=True, n=3, trained_at=24, size=[25])
    assert {row.note for row in found.changes} == {
        "returns NaN or infinite numbers for 1 of 3 crops"
    }
    assert [row.figures for row in found.changes] == [{}, {}]


def test_answers_that_are_all_alike_and_a_single_picture_are_said(tmp_path: Path) -> None:
    net, one = classifier(), "1 photograph is too few for intervals; use 10 or more"
    net[5].bias.data[3] = 100
    found = padviz.trial(net, folder(tmp_path / "p", 1), n=3, trained_at=24, padding="reflect")
    assert found.notes == (one, "all 3 crops have class 3 as trained: use more photographs")
    assert (found.rows[1].figures["kept"], found.rows[1].needs) == (
        Estimate(1.0, None, None),
        "more pictures",
    )
    seen = padviz.seen(net, folder(tmp_path / "p", 1), 4, 5, n=2, size=24)
    assert seen.notes == (one,)
    assert (seen.edge.low, seen.by_usage.high, seen.gain.low) == (None, None, None)


def test_scores_that_sum_to_one_are_probabilities() -> None:
    for scores in ([[0.25]], [[0.0]], [[1.0]], [[0.0, 1.0]], [[0.5, 0.5004]]):
        assert kind_of(np.array(scores)) == "probabilities"
    for scores in ([[1.25]], [[-0.25]], [[0.5, 0.502]], [[0.5, 0.5], [0.5, 0.4]], [[-0.1, 1.1]]):
        assert kind_of(np.array(scores)) == "logits"


def test_networks_that_do_not_react_are_refused() -> None:
    net = classifier()
    nn.init.zeros_(net[5].weight)
    with pytest.raises(
        PadvizError,
        match="does not react: its output is the same for all images; use trained weights",
    ):
        padviz.trial(net, noise=True, n=3, trained_at=24, padding="reflect")
    with pytest.raises(
        PadvizError,
        match="does not react: a patch anywhere inside leaves its output as it is; use tr",
    ):
        padviz.seen(net, None, 4, 5, 2, size=24, noise=True)


def test_by_default_what_fits_is_tried_and_the_rest_is_said() -> None:
    fixed = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(4 * 12 * 12, 3)
    )
    found = padviz.trial(fixed, noise=True, n=2, trained_at=24)
    # which makes as many numbers
    assert {row.size for row in found.changes if row.kind == "size"} == {(23, 23)}
    free = padviz.trial(classifier(), noise=True, n=2, trained_at=24)
    assert [row.size for row in free.changes if row.kind == "size"] == [(21, 21)] * 2 + [
        (25, 25)
    ] * 2
    paddings = [row.padding for row in free.changes if row.kind == "padding"]
    assert paddings == [*OTHER]
    with pytest.raises(PadvizError, match="try another `size`"):
        padviz.trial(fixed, noise=True, n=2, trained_at=24, size=[25])
    with pytest.raises(PadvizError, match="was not tried"):
        free.row(size=99)


@pytest.mark.parametrize(("changed", "known"), [(0, False), (2, False), (3, True), (30, True)])
def test_a_mean_has_an_interval_if_three_pictures_differ(changed: int, known: bool) -> None:
    values = np.repeat(np.arange(30) < changed, 2) * np.linspace(1, 2, 60)
    figure = mean(values, np.repeat(np.arange(30), 2)).figure
    assert figure.value == pytest.approx(values.mean())
    assert (figure.low is not None, figure.high is not None) == (known, known)


@pytest.mark.parametrize("pictures", [10, 13, 30])
def test_an_interval_of_a_rare_change_is_wrong_in_at_most_5_percent(pictures: int) -> None:
    """A tenth of the pictures change, each by its own amount; without the rule 39, 31 and 11 % are wrong."""
    random, wrong = np.random.default_rng(pictures), 0
    for _ in range(500):
        values = (random.random(pictures) < 0.1) * random.exponential(1, pictures)
        _, low, high = mean(values, np.arange(pictures)).figure
        wrong += low is not None and high is not None and not low <= 0.1 <= high
    assert wrong <= 25


def test_a_trial_without_intervals_says_why() -> None:
    """A pointwise network keeps its best class under a padding scheme that nothing reads."""
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = padviz.trial(net, noise=True, n=12, trained_at=16, padding="reflect", **NORMAL)
    (row,) = found.changes
    assert row.figures["kl"] == (0.0, None, None)
    assert row.needs == "more pictures"
    assert "no interval where fewer than 3 photographs change: reflect padding" in found.notes


def test_float32_noise_leaves_ties_as_they_are() -> None:
    usage = np.minimum.outer(
        np.array([1, 2, 3, 3, 3, 2, 1]), np.array([1, 2, 3, 3, 3, 2, 1])
    ).astype(float)
    noise = 1 + 1e-7 * np.random.default_rng(0).normal(size=(12, usage.size))
    squares = usage.ravel() ** 2 * noise
    _, by_usage, *_ = estimates(squares, np.arange(12), usage, usage)
    assert by_usage.value == pytest.approx(1, abs=1e-12)


def test_the_interval_of_a_clear_correlation_is_not_of_all_correlations() -> None:
    """12 pictures whose maps follow usage up to noise: once the interval was from -1 to 1."""
    usage = np.hypot.outer(np.arange(7.0), np.arange(7.0))
    for seed in range(20):
        noise = np.random.default_rng(seed).lognormal(0, 0.3, (12, usage.size))
        _, by_usage, *_ = estimates(usage.ravel() ** 2 * noise, np.arange(12), usage, usage)
        assert by_usage.low is not None
        assert by_usage.high is not None
        assert by_usage.low > 0.7


def test_a_map_that_two_pictures_make_has_no_interval() -> None:
    usage = np.hypot.outer(np.arange(7.0), np.arange(7.0))
    for reacting, known in ((2, False), (3, True)):
        squares = np.outer(np.arange(12) < reacting, usage.ravel() ** 2)
        _, *figures, _ = estimates(squares, np.arange(12), usage, usage)
        assert [each.low is not None for each in figures] == [known] * 3
