"""Made tilers with known faults: each is found by name or by the distance of its seams, and none where none is."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import padviz
from padviz.analyses.seams import Comparison
from padviz.cutting import seams as cutting
from tests.cutting.seam_faults import FAULTS as FAULTS_OF_TILERS
from tests.sweeps import examples

Values = NDArray[Any]
After = Callable[[Tensor, int, int], Tensor]


@cache
def network(seed: int, mode: str = "zeros", stride: int = 1) -> nn.Sequential:
    torch.manual_seed(seed)
    widths, layers = (3, 6, 6, 2), list[nn.Module]()
    for k in range(3):
        step = stride if k == 1 else 1
        layers += [nn.Conv2d(widths[k], widths[k + 1], 3, step, 1, padding_mode=mode), nn.Tanh()]
    return nn.Sequential(*layers, nn.Upsample(scale_factor=stride)).double().eval()


@cache
def image(height: int, width: int, seed: int = 0) -> Tensor:
    """An image that is not stationary: waves, texture that grows towards a corner, and flat areas with edges."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    values = (
        np.sin(y / 23)
        + np.cos(x / 31)
        + rng.normal(size=(3, height, width)) * (y / height) * (x / width)
    )
    for top, left in rng.integers(0, (height, width), (8, 2)):
        values[:, top : top + height // 7, left : left + width // 5] += rng.normal(size=(3, 1, 1))
    return torch.from_numpy(values)[None]


@torch.no_grad()
def whole(model: nn.Module, picture: Tensor) -> Values:
    values: Values = model(picture)[0].numpy()
    return values


@torch.no_grad()
def stitched(
    model: nn.Module,
    picture: Tensor,
    tile: int,
    overlap: int = 0,
    blend: str = "",
    after: After | None = None,
) -> Values:
    """Run tile by tile, the last one pushed back, and cut at the middles of overlaps, or blend."""
    size, at = picture.shape[-2:], torch.arange(tile) + 0.5
    ends = [[*range(0, n - tile, tile - overlap), n - tile] for n in size]
    cuts = [
        [0, *((a + tile + b) // 2 for a, b in pairwise(own)), n]
        for own, n in zip(ends, size, strict=True)
    ]
    out, total = torch.zeros_like(model(picture)), torch.zeros(size).double()
    for i, y in enumerate(ends[0]):
        for j, x in enumerate(ends[1]):
            part = model(picture[..., y : y + tile, x : x + tile])
            if blend == "gauss":
                rows = cols = torch.exp(-(((at - tile / 2) / (tile / 8)) ** 2) / 2)
            elif blend:
                rows = cols = torch.minimum(at, tile - at).clamp(max=overlap)
            else:
                rows = ((at + y > cuts[0][i]) & (at + y < cuts[0][i + 1])).double()
                cols = ((at + x > cuts[1][j]) & (at + x < cuts[1][j + 1])).double()
            weight = rows[:, None] * cols
            out[..., y : y + tile, x : x + tile] += (after(part, i, j) if after else part) * weight
            total[y : y + tile, x : x + tile] += weight
    values: Values = (out / total)[0].numpy()
    return values


@given(st.integers(1, 12), st.sampled_from([32, 40, 64, 96]), st.integers(0, 9))
@examples(20)
def test_a_band_of_errors_on_both_sides_of_a_seam_is_not_taken_for_two(
    wide: int, period: int, seed: int
) -> None:
    """Errors of one size within some pixels of where tiles meet: the seams are in the middle of the bands."""
    rng = np.random.default_rng(seed)
    right = np.asarray(image(384, 384)[0, :1])
    apart = np.abs(np.arange(384)[:, None] + 0.5 - np.arange(period, 384, period)).min(axis=1)
    inside = np.minimum.outer(apart, apart) < min(wide, period // 5)
    found = padviz.seams(right, right + 0.1 * rng.normal(size=right.shape) * inside)
    assert found.kind == "context", found.verdict
    assert [(row.period, row.at[0]) for row in found] == [(period, period)] * 2


def normed(part: Tensor, i: int = 0, j: int = 0) -> Tensor:
    return (part - part.mean((-1, -2), keepdim=True)) / part.std((-1, -2), keepdim=True)


def faulty(name: str) -> tuple[Values, Values]:
    """The output for a whole image, and one with the fault."""
    picture, model = image(384, 480), network(1)
    right = whole(model, picture)
    made: dict[str, Callable[[], Values]] = {
        "no overlap": lambda: stitched(model, picture, 96),
        "overlap too small": lambda: stitched(model, picture, 84, 4),
        "feathered": lambda: stitched(model, picture, 104, 24, "ramp"),
        "Gaussian weights": lambda: stitched(model, picture, 96, 48, "gauss"),
        "reflect-padded tiles": lambda: stitched(model_of(model, "reflect"), picture, 96),
        "brighter tile": lambda: stitched(
            model, picture, 96, 16, after=lambda p, i, j: p + (i == j == 2)
        ),
        "last tile cropped wrong": lambda: stitched(
            model, picture, 96, 16, after=lambda p, i, j: p.roll(3, -1) if j == 5 else p
        ),
        "shifted": lambda: np.roll(right, (1, -2), (1, 2)),
        "another range": lambda: 255 * right + 3,
        "transposed": lambda: right.transpose(0, 2, 1),
        "noise": lambda: right + np.random.default_rng(0).normal(0, 0.01, right.shape),
    }
    if name == "normed by tile":
        return normed(torch.from_numpy(right)).numpy(), stitched(
            model, picture, 96, 16, after=normed
        )
    if name == "off the alignment":
        strided = network(0, stride=2)
        return whole(strided, picture), stitched(strided, picture, 96, 31)
    return right, made[name]()


def model_of(model: nn.Sequential, mode: str) -> nn.Sequential:
    other = network(9, mode)
    other.load_state_dict(model.state_dict())
    return other


FAULTS = {  # the kinds that name it, and the px between seams
    "no overlap": ("context", 96),
    "overlap too small": ("context", 80),
    "feathered": ("context", 80),
    "Gaussian weights": ("context", 48),
    "reflect-padded tiles": ("context", 96),
    "normed by tile": ("gain", 80),
    "brighter tile": ("gain", None),
    "off the alignment": ("tiles", 65),
    "last tile cropped wrong": ("shift", None),
    "shifted": ("shift", None),
    "another range": ("gain", None),
    "transposed": ("sizes", None),
    "noise": ("everywhere", None),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_name_or_period(name: str) -> None:
    kind, period = FAULTS[name]
    found = padviz.seams(*faulty(name))
    assert found.kind == kind, found.verdict
    assert {each.period for each in found if each.period} == {*filter(None, [period])}, (
        found.verdict
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_period_is_the_step_of_the_tiler_and_turns_with_the_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    step, model = int(rng.integers(40, 90)), network(seed)
    picture = image(step * 5, step * 6 + 7, seed)
    right, made = whole(model, picture), stitched(model, picture, step)
    found = padviz.seams(right, made)
    assert {(each.axis, each.period) for each in found if each.period} == {
        ("height", step),
        ("width", step),
    }
    turned = padviz.seams(right.transpose(0, 2, 1), made.transpose(0, 2, 1))
    other = {"height": "width", "width": "height"}
    assert {(other[each.axis], each.at) for each in turned} == {
        (each.axis, each.at) for each in found
    }
    assert turned.kind == found.kind


@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "uint8", "bool"])
def test_nothing_differs_from_itself_or_from_its_rounding(kind: str) -> None:
    values = (100 * whole(network(0), image(96, 130))).astype(kind)
    same, turned = padviz.seams(values, values), padviz.seams(values[0, 0], values[0, 0])
    assert (same.kind, len(same), same.psnr, turned.kind) == ("none", 0, None, "none")
    if kind.startswith("float"):
        rounded = values.astype("float32" if kind == "float64" else "float16")
        assert padviz.seams(values.astype("float32"), rounded).kind == "none"


def test_a_faultless_tiler_has_no_seams_and_a_plan_says_where_they_would_be() -> None:
    model, picture = network(3), image(200, 300)
    plan = padviz.tiles(model, (200, 300), 64).plan
    with torch.no_grad():
        exact = padviz.tiled(model, picture, plan)[0].numpy()
    right = whole(model, picture)
    assert padviz.seams(right, exact, plan=plan).kind == "none"
    lines = [[first for first, _ in line.keeps[0][1:]] for line in plan.lines]
    for axis, at in enumerate(lines):
        for line in at:
            exact[(slice(None), *[slice(None)] * axis, slice(line, line + 2))] += 0.1
    found = padviz.seams(right, exact, plan=plan)
    assert found.kind == "context"
    assert (found.lines, [each.axis for each in found]) == (lines, ["height", "width"])
    with pytest.raises(
        padviz.PadvizError, match="plan: makes outputs of 200 x 300, and whole is 200 x 299"
    ):
        padviz.seams(right[..., :-1], right[..., :-1], plan=plan)


def test_signals_have_seams_too_and_a_period_that_is_known_finds_weak_ones() -> None:
    right = np.cumsum(np.random.default_rng(0).normal(size=8000))
    made = right.copy()
    for at in range(512, 8000, 512):
        made[at - 3 : at + 3] += (1, 2, 4, -4, -2, -1)
    found = padviz.seams(right, made)
    assert [(each.axis, each.period, each.at) for each in found] == [
        ("length", 512, (*range(512, 8000, 512),))
    ]
    assert [(each.axis, each.period) for each in padviz.seams(right[None], made[None])] == [
        ("length", 512)
    ]
    made[1500:] = right[1500:]
    assert (
        []
        == [*padviz.seams(right, made)]
        != (known := padviz.seams(right, made, period=np.int64(512)))
    )
    assert [(each.period, each.at) for each in known] == [(512, (512, 1024))]


def test_all_that_is_read_is_read_alike(tmp_path: Path) -> None:
    right, made = faulty("no overlap")
    low, spread = right.min(), np.ptp(right)
    bytes_of = [
        np.clip(255 * (each - low) / spread, 0, 255).round().astype("u1")[[0, 1, 0]]
        for each in (right, made)
    ]
    paths = [tmp_path / f"{k}.png" for k in range(2)]
    for path, values in zip(paths, bytes_of, strict=True):
        Image.fromarray(values.transpose(1, 2, 0)).save(path)
        np.save(path.with_suffix(".npy"), values)
        np.savez_compressed(path.with_suffix(".npz"), values.transpose(1, 2, 0)[None])
    verdicts = {
        padviz.seams(*bytes_of).verdict,
        padviz.seams(*map(torch.from_numpy, bytes_of)).verdict,
    }
    verdicts |= {
        padviz.seams(*(path.with_suffix(s) for path in paths)).verdict
        for s in (".png", ".npy", ".npz")
    }
    assert len(verdicts) == 1
    half = [torch.from_numpy(each).bfloat16().requires_grad_() for each in (right, made)]
    assert padviz.seams(*half).kind == "context"
    assert padviz.seams(half[0].detach().float(), half[0]).kind == "none"


def test_archives_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is left open warns when it is collected, in whatever runs then."""
    np.savez(tmp_path / "one.npz", np.zeros((3, 64, 64)))
    np.savez(tmp_path / "two.npz", np.zeros((3, 64, 64)), np.zeros(3))
    load, archives = np.load, []

    def loaded(*args: Any, **options: Any) -> Any:
        archives.append(load(*args, **options))
        return archives[-1]

    monkeypatch.setattr(np, "load", loaded)
    padviz.seams(tmp_path / "one.npz", tmp_path / "one.npz")
    with pytest.raises(padviz.PadvizError, match=r"is not an \.npy"):
        padviz.seams(tmp_path / "two.npz", tmp_path / "one.npz")
    assert [archive.zip for archive in archives] == [None] * 3


@pytest.mark.parametrize("seed", range(3))
def test_what_merely_differs_has_no_seams(seed: int) -> None:
    rng, picture, model = np.random.default_rng(seed), image(256, 300, seed), network(seed)
    right, other = whole(model, picture), deepcopy(model)
    for each in other.parameters():
        each.data += 0.01 * torch.from_numpy(rng.normal(size=each.shape))
    noise = rng.normal(size=right.shape)
    made = {
        "noise": right + 0.01 * noise,
        "heavy tails": right + 0.01 * rng.standard_t(2, right.shape),
        "noise of the size of the output": right * (1 + 0.01 * noise),
        "single pixels": right + noise * (noise > 3.5),
        "levels": (50 * right).round() / 50,
        "another walk": noise.cumsum(axis=2),
        "a ripple": right + 0.05 * np.sin(np.arange(300) / 5),
        "other weights": whole(other, picture),
        "padding of the whole image": whole(model_of(model, "reflect"), picture),
        "half a pixel": (right + np.roll(right, 1, axis=1)) / 2,
        "median": np.median([np.roll(right, k, axis=2) for k in range(3)], axis=0),
    }
    assert {
        name: padviz.seams(right, each).verdict
        for name, each in made.items()
        if len(padviz.seams(right, each))
    } == {}


@pytest.mark.parametrize(
    ("tile", "lines"), [(128, [128, 256]), (160, [160, 320]), (192, [192]), (240, [240])]
)
def test_one_or_two_seams_are_found_too(tile: int, lines: list[int]) -> None:
    right, _ = faulty("shifted")
    # where tiles overlap they are exact
    found = padviz.seams(right, stitched(network(1), image(384, 480), tile))
    assert found.lines[1] == pytest.approx(lines, abs=2), found.verdict


def test_two_functions_are_called_with_an_image() -> None:
    right, made = (torch.from_numpy(each) for each in faulty("no overlap"))
    found = padviz.seams(lambda k: right * k, lambda k: made * k, image=2)
    assert (found.kind, found.rms) == ("context", pytest.approx(2 * padviz.seams(right, made).rms))
    with pytest.raises(padviz.PadvizError, match=r"^image: needs two functions; leave it out$"):
        padviz.seams(right, lambda k: made, image=2)


@pytest.mark.parametrize(
    ("tiled", "line"),
    [
        (np.full((3, 8, 8), np.nan), "tiled: has NaN or infinities; set them to 0 in both"),
        (
            np.zeros((3, 0, 8)),
            "tiled: is no array of numbers, but float64 of shape (3, 0, 8); save the output...",
        ),
        (
            np.array([{}]),
            "tiled: is no array of numbers, but object of shape (1,); save the output with np.save",
        ),
        (np.full((8, 8), 1e160), "tiled: has values above 1e+100; divide both by the same number"),
        (
            None,
            "tiled: is no array of numbers, but object of shape (); save the output with np.save",
        ),
        (
            "none.npy",
            "none.npy: no such file; give the path of an .npy or .npz file of one array, or a picture",
        ),
        (
            "text.npy",
            "text.npy: is not an .npy or .npz file of one array, or a picture; save the output with np.save",
        ),
        (
            "text.npz",
            "text.npz: is not an .npy or .npz file of one array, or a picture; save the output with np.save",
        ),
        ("text.png", "text.png: cannot be read as a picture; use a .png or .jpg"),
        (
            "pickled.npy",
            "pickled.npy: is not an .npy or .npz file of one array, or a picture; save the output...",
        ),
        (
            "open.npy",
            "open.npy: is not an .npy or .npz file of one array, or a picture; save the output with np.save",
        ),
        (
            "huge.npy",
            "huge.npy: is not an .npy or .npz file of one array, or a picture; save the output with np.save",
        ),
        (
            "damaged.npz",
            "damaged.npz: is not an .npy or .npz file of one array, or a picture; save the output...",
        ),
        (
            "two.npz",
            "two.npz: is not an .npy or .npz file of one array, or a picture; save the output with np.save",
        ),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    tiled: Any, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for suffix in ("npy", "npz", "png"):
        Path(f"text.{suffix}").write_text("no array")
    np.save("pickled.npy", np.array([{}]), allow_pickle=True)
    np.savez("two.npz", np.zeros(3), np.zeros(3))
    # a file that stays open fails the test
    Path("damaged.npz").write_bytes(Path("two.npz").read_bytes()[:-9])
    head = {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)}
    with open("huge.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, head)
    Path("open.npy").write_bytes(
        Path("pickled.npy").read_bytes().replace(b"'shape': (1,)", b"'shape': (1 (")
    )
    with pytest.raises(padviz.PadvizError) as error:
        padviz.seams(np.zeros((3, 8, 8)), tiled)
    start, _, _ = line.partition("...")
    assert str(error.value).startswith(start)
    for period in (0, 2.5, "x", [96, 0]):
        with pytest.raises(padviz.PadvizError, match=r"^period: .*: must be an integer, 4 to 8$"):
            padviz.seams(np.zeros((8, 8)), np.ones((8, 8)), period=period)


def test_advice_follows_the_error_far_from_seams() -> None:
    whole = np.sin(np.arange(256) / 23) + np.cos(np.arange(96) / 17)[:, None]
    near, far = whole.copy(), whole.copy()
    for k, start in enumerate(range(0, 256, 64)):
        far[:, start : start + 64] += (-1) ** k * (
            0.2 + np.sin(5 * whole[:, start : start + 64]) / 9
        )
        near[:, start + (start > 0) * -2 : start + 2] += (-1) ** k * 0.2
    assert "Tiles need more context" in padviz.seams(whole, near, period=64).verdict
    assert "Seams every 64 px" in padviz.seams(whole, near, period=32).verdict
    assert "so context does not help" in padviz.seams(whole, far, period=64).verdict


def test_tiles_with_an_offset_each_are_not_called_alike() -> None:
    whole = np.random.default_rng(0).normal(size=(160, 160))
    offsets = np.kron(np.arange(1, 17).reshape(4, 4), np.ones((40, 40)))
    compared = padviz.seams(whole, whole + 0.1 * offsets)
    assert compared.verdict.startswith(
        "16 of 16 compared tiles are scaled or offset. The worst: in rows 120:160, columns 120:160,"
        " tiled is 1 times whole, plus 1.6. "
    )
    assert "over 1000x" in str(compared)  # steps elsewhere are of 1e-16


def test_a_seam_is_the_same_in_any_unit() -> None:
    right, made = faulty("no overlap")
    verdicts = {
        padviz.seams(unit * right, unit * made).verdict.split(" PSNR")[0]
        for unit in (1e-60, 1.0, 1e60)
    }
    assert len(verdicts) == 1


def test_blocks_of_8_px_are_compared_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """All 1,760 tiles were compared with 81 shifts."""
    pair = FAULTS_OF_TILERS["JPEG"](np.random.default_rng(0))
    compared = []
    explain = cutting.explain
    monkeypatch.setattr(cutting, "explain", lambda *args: compared.append(args) or explain(*args))
    assert padviz.seams(pair.whole, pair.tiled).kind == "blocks"
    assert len(compared) <= cutting.WORST


@pytest.mark.parametrize("unit", [1e-310, 1e-200, 1e-30, 1e90])
def test_units_have_no_limit_below(unit: float) -> None:
    right, made = faulty("no overlap")
    assert padviz.seams(unit * right, unit * made).share > 0


LINES = st.lists(st.integers(8, 900), max_size=7, unique=True)


@given(LINES, LINES, st.booleans())
@examples(40)
def test_a_verdict_names_the_seams_of_each_axis(
    height: list[int], width: list[int], even: bool
) -> None:
    lines, found, expected = {"height": height, "width": width}, [], {}
    for axis, at in lines.items():
        if at and even:
            found.append(cutting.Seams(axis, at[0], 9.0, 1.0, (at[0], 2 * at[0])))
            expected[axis] = f"every {at[0]} px"
        elif at:
            found += [cutting.Seams(axis, None, 9.0, 1.0, (line,)) for line in at]
            more = f" and {len(at) - 4} more" if len(at) > 4 else ""
            expected[axis] = f"at {', '.join(map(str, sorted(at)[:4]))}{more} px"
    verdict = Comparison("tiles", (1, 9, 9), (1, 9, 9), 1.0, 1.0, seams=(*found,)).verdict
    placed = verdict.removeprefix("Seams ").partition(". ")[0]
    if len(expected) == 2 and (even or {*height} == {*width}) and len({*expected.values()}) == 1:
        assert placed == f"{expected['height']} on both axes"
    else:
        assert placed == ", ".join(f"{text} along the {axis}" for axis, text in expected.items())
