"""Detectability: scores by position of networks whose blind spots are known."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import padviz
from padviz.errors import PadvizError
from padviz.files.unfinished import Unfinished
from padviz.trained.detecting.detectability import PositionMap, doubts, phase_of
from padviz.trained.detecting.detection import DetectOptions, map_positions, plan_sweep
from padviz.trained.detecting.outputs import scorer_of
from padviz.trained.detecting.sweeping import Canvas, stimulus_of
from padviz.trained.networks.reading import read, runner_of
from padviz.trained.networks.torch_network import TorchRunner
from tests import yolo
from tests.trained.known import known
from tests.wheels import real_file

GREY: dict[str, Any] = {"mean": (0.5,), "std": (0.5,)}


def graded(x: Tensor, strength: Tensor) -> Tensor:
    return torch.sigmoid(strength)


def steep(x: Tensor, strength: Tensor) -> Tensor:
    """All or none: the score is 0 up to some contrast, and 1 from there on."""
    return torch.sigmoid(1e4 * strength)


def losing(x: Tensor, strength: Tensor) -> Tensor:
    """NaN where something is in the first rows."""
    lost = x[:, :, :4].abs().amax((1, 2, 3), keepdim=True) > 0
    return torch.where(lost, torch.nan, torch.sigmoid(strength))


def unlit(x: Tensor, strength: Tensor) -> Tensor:
    """NaN where the image is empty."""
    return torch.where((x == 0).all(), torch.nan, torch.sigmoid(strength))


def faint(x: Tensor, strength: Tensor) -> Tensor:
    """Dark things are seen between two contrasts alone."""
    darkest = -x.amin((1, 2, 3), keepdim=True)
    return torch.sigmoid(strength) * 0.1 + 0.8 * ((darkest > 0.2) & (darkest < 0.6))


class Spots(nn.Module):
    """A detector of what is dark: the mean of 7 x 7 pixels, whose zeros at the border are as the background."""

    def __init__(
        self, gain: float = 8.0, score: Callable[[Tensor, Tensor], Tensor] = graded
    ) -> None:
        super().__init__()
        self.conv, self.score = nn.Conv2d(1, 1, 7, padding=3), score
        nn.init.constant_(self.conv.weight, -gain / 49), nn.init.constant_(self.conv.bias, -2.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.score(x, self.conv(x))


def test_scores_are_peaks_near_the_stimulus() -> None:
    net = Spots()
    found = padviz.detect(net, "text:x", (40, 56), height=8, **GREY)
    (own,) = found.maps
    assert (found.tops, found.lefts[:3], found.output, found.class_) == (
        (0, 8, 16, 24, 32),
        (0, 8, 16),
        "output",
        0,
    )
    assert (found.contrast, own.threshold) == (1, False)
    picture = np.zeros((1, 1, 40, 56), np.float32)
    cover = stimulus_of("text:x", 8, 1).cover
    picture[0, 0, 16:24, 16 : 16 + cover.shape[1]] = -cover
    with torch.no_grad():
        assert own.values[2, 2] == pytest.approx(
            float(net(torch.from_numpy(picture)).max()), abs=1e-6
        )


@pytest.mark.parametrize("stride", [1, 4])
def test_a_network_without_a_border_sees_the_same_at_every_position_of_one_phase(
    stride: int,
) -> None:
    lifted, spots = (
        nn.Conv2d(1, 1, 1),
        Spots(24),
    )  # the background is no zero, and zeros are as what is dark
    nn.init.ones_(lifted.weight), nn.init.constant_(lifted.bias, 0.3)
    spots.conv.stride = (stride, stride)
    net = nn.Sequential(lifted, spots)
    found = padviz.detect(
        net, "text:x", 48, "circular", height=6, step=6 if stride == 1 else 3, **GREY
    )
    own, circular = found.maps
    if stride == 1:
        assert known(own.sd) > 10 * known(circular.sd)
        assert (circular.padding, circular.blind) == ("circular", 0.0)
    else:
        assert known(circular.phase.explained) > 0.9999 > 0.9 > known(own.phase.explained)


def test_a_detector_of_text_is_blind_at_the_border_under_zeros_alone() -> None:
    file, options = (
        real_file("ch_PP-OCRv4_det_infer"),
        {"height": 12, "contrast": 0.22, "step": 16, **GREY},
    )
    own, other = padviz.detect(file, "text:padding", 160, "symmetric", **options).maps
    assert known(own.min) < 0.01
    assert own.phase.stride == (32, 32)
    assert known(own.max) > 0.99
    assert other.values[1:-1, 1:-1].min() > 0.95 > 0.1 > own.values[1:-1, 1:-1].min()


def test_what_position_modulo_the_stride_explains() -> None:
    at = tuple(range(0, 64, 8))
    waves = np.sin(np.arange(8) * np.pi / 2)[:, None] + np.cos(np.arange(8) * np.pi / 2)[None, :]
    assert phase_of(waves, at, at, (32, 32)).explained == pytest.approx(1)
    noise = np.random.default_rng(0).standard_normal((64, 64))
    found = phase_of(noise, tuple(range(64)), tuple(range(64)), (8, 8))
    assert found.explained == pytest.approx(found.chance, rel=0.5)
    assert phase_of(np.ones((8, 8)), at, at, (32, 32)).explained is None  # nothing to explain
    assert phase_of(waves, at, at, (8, 8)).explained is None  # one phase alone


def test_figures_of_a_map() -> None:
    values = np.full((6, 8), 0.8)
    values[0], values[:, -1], values[2, 3], values[3, 4] = 0.1, 0.3, 0.2, 0.6
    found = PositionMap(None, values, np.zeros_like(values))
    assert (found.min, found.max, found.median) == (0.1, 0.8, 0.8)
    assert found.blind == pytest.approx((8 + 5 + 1) / 48)
    inner = values[2:4, 2:6].mean()
    assert found.edges.top == pytest.approx(values[0].mean() - inner)
    assert found.edges.right == pytest.approx(values[:, -1].mean() - inner)
    seen = values >= 0.5
    pairs = [*(seen[1:] == seen[:-1]).ravel(), *(seen[:, 1:] == seen[:, :-1]).ravel()]
    assert found.consistency == pytest.approx(np.mean(pairs))


def test_thresholds_are_the_contrasts_at_which_scores_decide() -> None:
    net = Spots(40)
    needed = padviz.detect(net, "text:x", 48, threshold=True, height=6, step=7, **GREY)
    (found,) = needed.maps
    assert (found.threshold, found.consistency) == (True, None)
    canvas, stimulus = Canvas((48, 48), 1, (0.5,), (0.5,)), stimulus_of("text:x", 6, 1)
    places = np.array([[top, left] for top in needed.tops for left in needed.lefts])
    runner = TorchRunner(net, "net", (48, 48), 1)
    reached = np.isfinite(found.values).ravel()
    assert reached.sum() > 10
    for times, seen in ((1.03, True), (0.97, False)):
        images = canvas.draw(stimulus, places, found.values.ravel() * times)
        peaks = runner.outputs(images)["output"].max((1, 2, 3))
        assert ((peaks >= 0.5) == seen)[reached].all()


class Interrupted(TorchRunner):
    """A runner that is interrupted after so many calls."""

    left = 10**9
    batch = 4

    def outputs(self, images: Any) -> Any:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().outputs(images)


def test_an_interrupted_sweep_is_taken_up_where_it_was(tmp_path: Path) -> None:
    path, options = tmp_path / "sweep.npz", DetectOptions("text:x", height=6, step=4, **GREY)

    def sweep(left: int, resume: bool) -> tuple[Any, int]:
        runner = Interrupted(Spots(20), "net", (40, 40), 1)
        runner.left = left
        plan = plan_sweep([(None, runner)], options)
        kept = Unfinished(path, "question", len(plan.places), resume)
        try:
            return map_positions([(None, runner)], plan, (1, 1), kept, None)[
                0
            ].values, left - runner.left
        except KeyboardInterrupt:
            kept.write()
            return None, left

    whole, calls = sweep(1000, False)
    assert sweep(calls - 10, False)[0] is None
    again, fewer = sweep(1000, True)
    assert (again == whole).all()
    assert 10 <= fewer < calls - 5


def test_a_picture_is_shifted_under_the_frame(tmp_path: Path) -> None:
    picture = np.full((64, 64), 128, np.uint8)
    picture[:20, :20] = 0  # in the frame until it is shifted
    Image.fromarray(picture).save(tmp_path / "corner.png")
    found = padviz.detect(Spots(), size=32, image=tmp_path / "corner.png", shift=32, step=8, **GREY)
    values = found.maps[0].values
    assert (found.shifted, values.shape, found.shape, found.contrast) == (True, (5, 5), (32, 32), 1)
    assert values[0, 0] > 0.9 > 0.5 > values[4, 4]
    for shift, size, expected in ((None, (100, 80), 32), (None, (20, 30), 30), (5, (20, 30), 5)):
        assert DetectOptions(image="scene.png", shift=shift).shift_at(size) == expected


class Heads(nn.Module):
    """Boxes that are no map, class scores, and a map of several classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.conv.weight.data = torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 1, 3, 3) * -3
        nn.init.constant_(self.conv.bias, -3.0)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = self.conv(x)
        return {
            "boxes": maps.flatten(2).transpose(1, 2)[:, :2],
            "maps": maps,
            "scores": maps.mean((2, 3)),
        }


def test_several_outputs_or_classes_are_listed_and_the_named_ones_scored() -> None:
    net, options = Heads().eval(), {"size": 32, "height": 8, "step": 8}
    for asked, said in (
        ({}, "layer: Heads has 2 outputs that can be scored: maps (3 x 32 x 32), scores (3 classes); "
             "name one, as in: `layer` maps `class` 2"),
        ({"class_": 0}, "as in: `layer` maps"),
        ({"layer": "maps"}, "class: the output maps (3 x 32 x 32) has several classes; "
         "name one from 0 to 2, as in: `class` 2"),
        ({"layer": "scores"}, "class: the output scores (3 classes) has several classes; name one from 0 to 2"),
        ({"layer": "conv"}, "class: the output conv (3 x 32 x 32) has several classes"),
    ):  # fmt: skip
        with pytest.raises(PadvizError, match=re.escape(said)):
            padviz.detect(net, **options, **asked)
    found = padviz.detect(net, layer="scores", class_=2, **options)
    assert (found.output, found.class_) == ("scores", 2)
    assert padviz.detect(net, layer="conv", class_=1, **options).output == "conv"
    with pytest.raises(PadvizError, match="neither a map of the image"):
        padviz.detect(net, layer="boxes", **options)


def test_the_score_of_a_class_is_its_share_with_the_best_other_one() -> None:
    logits = np.log(np.array([[0.2, 0.5, 0.3]]))
    for class_, expected in enumerate((0.2 / 0.7, 0.5 / 0.8, 0.3 / 0.8)):
        for outputs in ({"y": logits}, {"y": np.exp(logits)}):
            scorer = scorer_of(outputs, (32, 32), "net", class_=class_)
            assert scorer.scores(outputs, np.zeros((1, 4), np.int64)) == pytest.approx(
                [expected], abs=1e-9
            )


NOTHING = "nothing reacts to what is shown: every score is within 0.01 of the background's, 0.881; try another"
SEEN = "the background alone is seen, with a score of 0.881, and no contrast up to 1 changes that; try another"


@pytest.mark.parametrize(
    ("asked", "said"), [({}, NOTHING), ({"threshold": True}, SEEN), ({"contrast": 0.5}, NOTHING)]
)
def test_what_does_not_react_is_refused_and_leaves_no_file(
    asked: dict[str, Any], said: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"size": 32, "height": 8, **GREY, **asked}
    lifted = Spots(1)
    nn.init.constant_(lifted.conv.bias, 2.0)
    nn.init.constant_(lifted.conv.weight, -1e-4)
    with pytest.raises(PadvizError, match=re.escape(f"Spots: {said}")):
        padviz.detect(lifted, unfinished=tmp_path / "kept.npz", **options)
    assert not [*tmp_path.iterdir()]
    nn.init.constant_(lifted.conv.weight, 0), nn.init.constant_(lifted.conv.bias, -2)
    unseen = (
        "the stimulus is not seen at any position, at contrasts up to 1"
        if "threshold" in asked
        else NOTHING[:31]
    )
    with pytest.raises(PadvizError, match=f"Spots: {unseen}"):
        padviz.detect(lifted, **options)
    (seen,) = padviz.detect(Spots(40), "text:x", **options).maps
    assert (seen.blind is None, seen.reacts, seen.without) == (
        False,
        True,
        pytest.approx(1 / (1 + np.exp(2))),
    )


@pytest.mark.parametrize("threshold", [False, True])
def test_nan_is_told_and_is_no_blind_spot(threshold: bool) -> None:
    options: dict[str, Any] = {"size": 40, "height": 8, **GREY}
    options |= {"threshold": True} if threshold else {"contrast": 0.13}
    found = padviz.detect(Spots(40, losing), "text:x", **options)
    (own,) = found.maps
    assert own.nan == 1 / 5
    assert np.isnan(own.values[0]).all()
    assert np.isfinite(own.values[1:]).all()
    assert not own.hidden[0].any()
    assert found.notes == ("the network returns NaN at 20.0 % of the positions",)
    with pytest.raises(
        PadvizError, match="Spots: the network returns NaN for the background alone"
    ):
        padviz.detect(Spots(40, unlit), "text:x", **options)
    everywhere = Spots(torch.nan)
    with pytest.raises(PadvizError, match="Spots: the network returns NaN at every position"):
        padviz.detect(everywhere, "text:x", **options)


def test_maps_of_which_more_than_half_is_saturated_are_told() -> None:
    maps = [
        PositionMap("zero", np.array([scores]), np.zeros((1, len(scores))))
        for scores in ([0, 0.5, 1], [0.5, 0.999, 0.5, 1.0])
    ]
    assert (*doubts(maps),) == (
        "zero: 67 % of the scores are saturated: they hardly distinguish positions",
    )


class Sure(nn.Module):
    """A classifier that is sure of the background; what is dark raises a class for each part of the image."""

    def __init__(self, gain: float, bias: float, parts: int = 4) -> None:
        super().__init__()
        self.conv, self.gain, self.bias, self.parts = (
            nn.Conv2d(1, 1, 3, padding=1, bias=False),
            gain,
            bias,
            parts,
        )
        nn.init.constant_(self.conv.weight, -1 / 9)

    def forward(self, x: Tensor) -> Tensor:
        parts = [
            self.gain * part.sum((1, 2, 3)) for part in self.conv(x).tensor_split(self.parts, 3)
        ]
        return torch.stack([torch.full_like(parts[0], self.bias), *parts], 1).softmax(1)


def test_the_boxes_of_an_exported_yolo_are_refused_and_the_maps_that_are_named_are_read(
    tmp_path: Path,
) -> None:
    path = yolo.exported(tmp_path, size=(96, 160), opened=False)
    said = "neither a map of the image, 96 x 160, nor class scores: 'output0' of 7 x 315; name a map inside"
    with pytest.raises(PadvizError, match=said) as refused:
        padviz.detect(path)
    named = re.findall(r"(/\S+) \((\d+) x (\d+) x (\d+)\)", str(refused.value))
    assert [tuple(map(int, each[1:])) for each in named] == [
        (3, 12, 20), (3, 6, 10), (3, 3, 5), (64, 12, 20), (64, 6, 10), (64, 3, 5)]  # fmt: skip
    trained = read(path, (96, 160))
    for name, *shape in named:
        runner = runner_of(trained)
        runner.with_output(name)
        made = runner.outputs(np.zeros((1, 3, 96, 160), np.float32))
        assert made[name].shape[1:] == tuple(map(int, shape))
        assert scorer_of(made, (96, 160), "net", name, 0).kind == "map"
    with pytest.raises(
        PadvizError, match=r"name a map inside with `layer`: detect\.cv3\.0\.2 \(3 x 12 x 20\), "
    ):
        padviz.detect(yolo.YoloV8(raw=False).eval(), size=(96, 160))  # a module names its own


def test_a_class_that_the_background_has_is_mapped_by_the_contrast_that_hides_it() -> None:
    options: dict[str, Any] = {"size": 32, "height": 8, "threshold": True, **GREY}
    (lost,) = padviz.detect(Sure(1, 4), "text:x", class_=0, **options).maps
    assert (lost.threshold, lost.below) == (True, True)
    assert 0 < known(lost.min) < known(lost.max) <= 1
    (won,) = padviz.detect(Sure(1, 4, parts=1), "text:x", class_=1, **options).maps
    assert won.below is False
    # With one class beside the background's, it is won where that is lost.
    (other,) = padviz.detect(Sure(1, 4, parts=1), "text:x", class_=0, **options).maps
    np.testing.assert_allclose(other.values, won.values, rtol=0.01)
    with pytest.raises(
        PadvizError, match=r"Sure: the stimulus is not seen at any .*; without `threshold`, the map"
    ):
        padviz.detect(Sure(0.05, 4), "text:x", class_=1, **options)


def test_saturated_scores_lead_to_the_contrast_needed() -> None:
    options: dict[str, Any] = {"size": 48, "height": 8, **GREY}
    found = padviz.detect(Spots(40, steep), "text:x", **options)
    said = "100 % of the scores are saturated: they hardly distinguish positions; `threshold` maps the contrast needed"
    assert found.notes == (said,)
    needed = padviz.detect(Spots(40, steep), "text:x", threshold=True, **options)
    assert (needed.notes, np.isfinite(needed.maps[0].values).all()) == ((), True)
    by_score = padviz.detect(Spots(), "text:x", **options)
    assert (by_score.notes, by_score.maps[0].threshold) == ((), False)


def blue() -> nn.Conv2d:
    """A detector of what is blue, the first of its channels."""
    conv = nn.Conv2d(3, 1, 1)
    conv.weight.data = torch.tensor([2.0, 0, 0]).reshape(1, 3, 1, 1)
    nn.init.constant_(conv.bias, -1)
    return conv


def test_bgr_feeds_blue_first(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (0, 0, 255)).save(tmp_path / "blue.png")
    options: dict[str, Any] = {
        "size": 32,
        "height": 8,
        "contrast": 1,
        "mean": (0.1, 0.2, 0.3),
        "std": (1, 1, 0.5),
    }
    found = padviz.detect(blue(), str(tmp_path / "blue.png"), bgr=True, **options)
    assert found.maps[0].values == pytest.approx(1 / (1 + np.exp(1 - 2 * (1 - 0.3) / 0.5)))
    with pytest.raises(PadvizError, match="nothing reacts to what is shown"):
        padviz.detect(blue(), str(tmp_path / "blue.png"), **options)
    with pytest.raises(
        PadvizError, match="bgr: has no use: the network reads 1 channel, not 3 colours"
    ):
        padviz.detect(Spots(), size=32, bgr=True)


def test_what_is_seen_at_less_than_full_contrast_has_a_threshold() -> None:
    (found,) = padviz.detect(
        Spots(score=faint), "text:x", 32, height=8, threshold=True, **GREY
    ).maps
    assert found.values == pytest.approx(0.2, rel=0.03)


class Maps(nn.Module):
    """A map of so many channels at each stride."""

    def __init__(self, *maps: tuple[int, int]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.heads = nn.ModuleList(
            nn.Conv2d(3, channels, stride, stride) for channels, stride in maps
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        return [head(x) for head in self.heads]


def coarse(channels: int) -> Maps:
    return Maps((channels, 8), (channels, 16), (channels, 32))


@pytest.mark.parametrize(("net", "asked", "parts"), [
    (coarse(255), {"layer": "output.0"}, ""),
    (Maps((255, 8)), {}, ""),
    (yolo.YoloV8(), {"layer": "output.1"}, ": `layer` names a map inside, detect.cv3.0.2 (3 x 12 x 20), detect.cv2."),
])  # fmt: skip
def test_a_raw_head_asks_for_a_channel_and_says_that_some_may_be_boxes(
    net: nn.Module, asked: Any, parts: str
) -> None:
    with pytest.raises(PadvizError, match="class: the output ") as refused:
        padviz.detect(net.eval(), size=(96, 160), **asked)
    assert f"; channels of a detector's raw head may be boxes, which are no scores{parts}" in str(
        refused.value
    )


@pytest.mark.parametrize(("net", "asked", "output"), [
    (coarse(255), {"layer": "output.0", "class_": 4}, "output.0"),
    (coarse(18), {"layer": "heads.0", "class_": 17}, "heads.0"),
    (Maps((64, 8), (1, 8)), {"layer": "output.1"}, "output.1"),
    (Maps((1, 8)), {}, "output"),
    (Maps((19, 8)), {"class_": 3}, "output"),
])  # fmt: skip
def test_the_map_and_the_channel_that_are_named_are_scored(
    net: nn.Module, asked: Any, output: str
) -> None:
    found = padviz.detect(net.eval(), size=(96, 160), step=48, **asked)
    assert (found.output, found.class_) == (output, asked.get("class_", 0))
