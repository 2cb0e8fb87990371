"""Detectability: scores by position of networks whose blind spots are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from padviz.files.unfinished import Unfinished
from padviz.trained.detecting.asking import answered
from padviz.trained.detecting.detectability import PositionMap, phase_of
from padviz.trained.detecting.doubts import doubts
from padviz.trained.detecting.question import Question
from padviz.trained.detecting.scoring import scorer_of
from padviz.trained.sessions.torch_runner import TorchRunner
from tests.trained.known import known
from tests.wheels import real_file


class Spots(nn.Module):
    """A detector of what is dark: the mean of 7 x 7 pixels, whose zeros at the border are as the background."""

    def __init__(self, gain: float = 8.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 7, padding=3)
        nn.init.constant_(self.conv.weight, -gain / 49), nn.init.constant_(self.conv.bias, -2.0)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.conv(x))


class Halving(nn.Module):
    """A classifier of what is dark, by three strided convolutions with their padding on one side or the other."""

    def __init__(self, far: bool) -> None:
        super().__init__()
        self.pads = (0, 1, 0, 1) if far else (1, 0, 1, 0)
        self.weight = torch.full((1, 1, 3, 3), 1 / 3)

    def forward(self, x: Tensor) -> Tensor:
        x = -x
        for _ in range(3):
            x = functional.conv2d(functional.pad(x, self.pads), self.weight, stride=2)
        strength = 40 * x.mean((1, 2, 3)) - 1
        return torch.stack([-strength, strength], dim=1)


def test_scores_are_peaks_near_the_stimulus() -> None:
    net = Spots()
    found = padviz.detectability(net, "text:x", (40, 56), height=8, mean=(0.5,), std=(0.5,))
    (own,) = found.maps
    assert (found.tops, found.lefts[:3], found.output, found.class_) == ((0, 8, 16, 24, 32), (0, 8, 16), "output", 0)
    picture = np.zeros((1, 1, 40, 56), np.float32)
    from padviz.trained.detecting.stimuli import stimulus_of

    cover = stimulus_of("text:x", 8, 1).cover
    picture[0, 0, 16:24, 16 : 16 + cover.shape[1]] = -cover * found.contrast
    with torch.no_grad():
        assert own.values[2, 2] == pytest.approx(float(net(torch.from_numpy(picture)).max()), abs=1e-6)
    assert own.median == pytest.approx(0.5, abs=0.05)


def test_a_network_without_a_border_sees_the_same_everywhere() -> None:
    lifted = nn.Conv2d(1, 1, 1)  # the background is no zero any more, and zeros are as what is dark
    nn.init.ones_(lifted.weight), nn.init.constant_(lifted.bias, 0.3)
    net = nn.Sequential(lifted, Spots(24))
    found = padviz.detectability(net, "text:x", 48, "circular", height=6, step=6, mean=(0.5,), std=(0.5,))
    own, circular = found.maps
    assert known(own.sd) > 10 * known(circular.sd)
    assert (circular.padding, circular.blind) == ("circular", 0.0)


@pytest.mark.parametrize("far", [False, True])
def test_the_neglected_side_sees_less_and_the_other_one_where_padding_is_on_the_far_side(far: bool) -> None:
    found = padviz.detectability(Halving(far), "text:x", 32, height=6, step=2, mean=(0.5,), std=(0.5,))
    edges = found.maps[0].edges
    lower, upper = ((edges.top, edges.left), (edges.bottom, edges.right))
    if not far:
        lower, upper = upper, lower
    assert found.class_ == 1
    assert max(map(known, lower)) < min(map(known, upper))
    assert max(map(known, lower)) < -0.01


@pytest.mark.parametrize(("padding", "contrast"), [("symmetric", 0.22), ("circular", 0.187)])
def test_a_detector_of_text_is_blind_at_the_border_under_zeros_alone(padding: str, contrast: float) -> None:
    found = padviz.detectability(
        real_file("ch_PP-OCRv4_det_infer"), "text:padding", 160, padding, height=12, contrast=contrast, step=16,
        mean=(0.5,), std=(0.5,),
    )  # fmt: skip
    own, other = found.maps
    assert known(own.least) < 0.01
    assert own.phase.stride == (32, 32)
    if padding == "circular":  # seen by its phase alone, wherever it is
        assert known(other.phase.explained) > 0.9999 > 0.1 > known(own.phase.explained)
        assert other.least == pytest.approx(0.17, abs=0.05)
    else:  # nearly flat inside
        assert known(own.most) > 0.99
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
    found = PositionMap(None, values)
    assert (found.least, found.most, found.median) == (0.1, 0.8, 0.8)
    assert found.blind == pytest.approx((8 + 5 + 1) / 48)
    inner = values[2:4, 2:6].mean()
    assert found.edges.top == pytest.approx(values[0].mean() - inner)
    assert found.edges.right == pytest.approx(values[:, -1].mean() - inner)
    seen = values >= 0.5
    pairs = [*(seen[1:] == seen[:-1]).ravel(), *(seen[:, 1:] == seen[:, :-1]).ravel()]
    assert found.consistency == pytest.approx(np.mean(pairs))


def test_thresholds_are_the_contrasts_at_which_scores_decide() -> None:
    net = Spots(40)
    options: dict[str, Any] = {"height": 6, "step": 7, "mean": (0.5,), "std": (0.5,)}
    needed = padviz.detectability(net, "text:x", 48, threshold=True, **options)
    (found,) = needed.maps
    assert found.threshold
    assert found.consistency is None
    from padviz.trained.detecting.stimuli import Canvas, stimulus_of

    canvas, stimulus = Canvas.of((48, 48), 1, (0.5,), (0.5,)), stimulus_of("text:x", 6, 1)
    places = np.array([[top, left] for top in needed.tops for left in needed.lefts])
    runner = TorchRunner(net, "net", "net", (48, 48), 1)
    for times, seen in ((1.03, True), (0.97, False)):
        images = canvas.shown(stimulus, places, found.values.ravel() * times)
        scores = runner.outputs(images)["output"]
        decided = [float(each.max()) >= 0.5 for each in scores]
        reached = np.isfinite(found.values).ravel()
        assert reached.sum() > 10
        assert all(is_seen == seen for is_seen, known in zip(decided, reached, strict=True) if known)


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
    path, question = tmp_path / "sweep.npz", Question(height=6, step=4, mean=(0.5,), std=(0.5,))

    def sweep(left: int, resume: bool) -> tuple[Any, int]:
        runner = Interrupted(Spots(), "net", "net", (40, 40), 1)
        runner.left = left
        kept: list[Unfinished] = []

        def keep(count: int) -> Unfinished:
            kept.append(Unfinished(path, "question", count, resume))
            return kept[0]

        try:
            return answered([(None, runner)], question, (1, 1), keep, None).maps[0].values, left - runner.left
        except KeyboardInterrupt:
            kept[0].write()
            return None, left

    whole, calls = sweep(1000, False)
    assert sweep(calls - 10, False)[0] is None
    again, fewer = sweep(1000, True)
    assert (again == whole).all()
    assert 10 <= fewer < calls - 5


def test_a_picture_is_shifted_under_the_frame(tmp_path: Path) -> None:
    from PIL import Image

    picture = np.full((64, 64), 128, np.uint8)
    picture[:20, :20] = 0  # in the frame until it is shifted
    Image.fromarray(picture).save(tmp_path / "corner.png")
    found = padviz.detectability(
        Spots(), size=32, image=tmp_path / "corner.png", shift=32, step=8, mean=(0.5,), std=(0.5,)
    )
    values = found.maps[0].values
    assert (found.shifted, values.shape, found.shape) == (True, (5, 5), (32, 32))
    assert values[0, 0] > 0.9 > 0.5 > values[4, 4]


@pytest.mark.parametrize(("shift", "size", "expected"), [(None, (100, 80), 32), (None, (20, 30), 30), (5, (20, 30), 5)])
def test_a_picture_is_shifted_as_far_as_asked_or_by_32(shift: int | None, size: tuple[int, int], expected: int) -> None:
    assert Question(image="scene.png", shift=shift).shift_at(size) == expected


class Heads(nn.Module):
    """Boxes that are no map, class scores, and a map of several classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = self.conv(x)
        return {"boxes": maps.flatten(2).transpose(1, 2)[:, :2], "maps": maps, "scores": maps.mean((2, 3))}


def test_the_first_output_that_can_be_scored_is_looked_at_or_the_one_that_is_named() -> None:
    torch.manual_seed(0)
    net = Heads().eval()
    options: dict[str, Any] = {"size": 32, "height": 8, "step": 8}
    assert padviz.detectability(net, **options).output == "maps"
    found = padviz.detectability(net, output="scores", class_=2, **options)
    assert (found.output, found.class_) == ("scores", 2)
    assert padviz.detectability(net, output="conv", **options).output == "conv"
    for wrong, said in (({"output": "boxes"}, "neither a map nor class scores"), ({"output": "score"}, "no module"),
                        ({"class_": 3}, "3 is no class")):  # fmt: skip
        with pytest.raises(PadvizError, match=said):
            padviz.detectability(net, **options, **wrong)


def test_the_score_of_a_class_is_its_share_with_the_best_other_one() -> None:
    logits = np.log(np.array([[0.2, 0.5, 0.3]]))
    expected = [[0.2 / 0.7, 0.5 / 0.8, 0.3 / 0.8]]
    for outputs in (logits, np.exp(logits)):
        scorer = scorer_of({"y": outputs}, (32, 32), "net")
        found = scorer.all({"y": outputs}, np.zeros((1, 4), np.int64))
        np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("threshold", [False, True])
def test_where_the_output_does_not_depend_on_the_stimulus_no_blind_spots_are_known(threshold: bool) -> None:
    options: dict[str, Any] = {"size": 32, "height": 8, "mean": (0.5,), "std": (0.5,), "threshold": threshold}
    lifted = Spots(1e-7)
    nn.init.constant_(lifted.conv.bias, 2.0)
    found = padviz.detectability(lifted, **options)
    (own,) = found.maps
    assert own.without == pytest.approx(1 / (1 + np.exp(-2)))
    assert (own.blind, own.hidden.any(), own.reacts) == (None, False, False)
    why = "the background is seen without" if threshold else "the output hardly depends on what is shown: every score"
    assert [note[: len(why)] for note in found.notes] == [why]
    seen = padviz.detectability(Spots(40), "text:x", **options)
    assert (seen.maps[0].blind is None, seen.maps[0].reacts, seen.notes) == (False, True, ())
    assert seen.maps[0].without == pytest.approx(1 / (1 + np.exp(2)))


class Losing(Spots):
    """NaN where something is in the first rows."""

    def forward(self, x: Tensor) -> Tensor:
        lost = x[:, :, :4].abs().amax((1, 2, 3), keepdim=True) > 0
        return torch.where(lost, torch.nan, super().forward(x))


@pytest.mark.parametrize("threshold", [False, True])
def test_nan_is_told_and_is_no_blind_spot(threshold: bool) -> None:
    options: dict[str, Any] = {"size": 40, "height": 8, "mean": (0.5,), "std": (0.5,), "threshold": threshold}
    found = padviz.detectability(Losing(40), "text:x", **options)
    (own,) = found.maps
    assert own.lost == 1 / 5
    assert np.isnan(own.values[0]).all()
    assert np.isfinite(own.values[1:]).all()
    assert not own.hidden[0].any()
    assert found.notes == ("the network makes NaN at 20.0% of the positions",)
    everywhere = Spots()
    nn.init.constant_(everywhere.conv.bias, torch.nan)
    whole = padviz.detectability(everywhere, "text:x", **options)
    assert (whole.maps[0].lost, whole.maps[0].blind, whole.maps[0].consistency) == (1, None, None)
    assert whole.notes == ("the network makes NaN at 100.0% of the positions",)


def test_what_a_contrast_that_misses_its_goal_is_told_of() -> None:
    def told(*scores: float, contrast: float | None = 0.3) -> str:
        return "".join(doubts([PositionMap(None, np.array([scores]))], contrast))

    assert told(0.3, 0.5, 0.7) == told(0.97, 0.97, contrast=None) == ""
    assert told(0.9, 0.97, 0.98) == "no contrast that was tried has a median score near .5: here it is 0.97"
    assert told(0.1, 0.999, 1).endswith("here it is 1; 67% of the scores are saturated")
    assert told(0, 0.5, 1) == "67% of the scores are saturated: they tell little apart"
    assert told(0.1, 0.2, 0.2, contrast=1).startswith("even at full contrast the median score is 0.2: another")
    assert told(0.2).startswith("no contrast that was tried")


class Faint(Spots):
    """A detector of what is faint: dark things are seen between two contrasts alone."""

    def forward(self, x: Tensor) -> Tensor:
        strength = -x.amin((1, 2, 3), keepdim=True)
        return super().forward(x) * 0.1 + 0.8 * ((strength > 0.2) & (strength < 0.6))


def test_what_is_seen_at_less_than_full_contrast_has_a_threshold() -> None:
    (found,) = padviz.detectability(Faint(), "text:x", 32, height=8, mean=(0.5,), std=(0.5,), threshold=True).maps
    assert found.values == pytest.approx(0.2, rel=0.03)
