"""Pictures as files: how large, in which theme, with text that is text, the same bytes each time."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

import padviz
from padviz.counting.count import coverages
from padviz.figures.canvas import drawing_options, pixels_of, rendered, write_thumbnail
from padviz.figures.colours import write_map_thumbnail
from tests.cli.test_cli import run


def opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
    return picture


def test_a_picture_is_as_large_as_asked_for(tmp_path: Path) -> None:
    found, path = padviz.uneven("resnet18", (32, 48)), tmp_path / "a.png"
    found.save(path)
    width, height = opened(path).size
    for look, expected in (({"width": 700}, 700), ({"dpi": 65}, width // 2)):
        found.save(path, overwrite=True, **look)
        picture = opened(path)
        assert picture.size[0] == expected
        assert picture.size[1] == pytest.approx(height * expected / width, abs=1)
        assert picture.info["dpi"][0] == pytest.approx(130 * expected / width, rel=0.01)
    figure = found.plot(width=300).figure
    assert figure.get_size_inches()[0] * figure.dpi == pytest.approx(300, 1e-3)


def test_the_dark_theme_turns_greys_over_and_leaves_colours_and_images() -> None:
    figure = padviz.usage("resnet18", (64, 96))._shown.draw()
    light = pixels_of(figure)
    with drawing_options(theme="dark"):
        dark = pixels_of(figure)
    assert light[0, 0].tolist() == [255, 255, 255]
    assert dark[0, 0].tolist() == [23, 23, 23]
    image = figure.axes[0].get_window_extent()
    top = light.shape[0] - round(image.y1)
    inside = np.s_[top + 2 : top + round(image.height) - 2, round(image.x0) + 2 : round(image.x1) - 2]
    assert (light[inside] == dark[inside]).mean() > 0.98  # but for what is transparent


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_the_same_picture_has_the_same_bytes_and_text_is_text(suffix: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        padviz.uneven("resnet18", 64).save(path)
    one, other = (path.read_bytes() for path in paths)
    assert one == other
    if suffix == ".svg":
        assert b">conv1</text>" in one
        assert b"<dc:date>" not in one
    if suffix == ".pdf":
        assert b"CreationDate" not in one
        assert b"/Type3" not in one.replace(b" ", b"")


def test_commands_take_the_same_words(elsewhere: None) -> None:
    asked = ["uneven", "resnet18", "--size", "64", "--width", "500"]
    assert run(*asked, "-o", "a.png", "--theme", "dark").exit_code == 0
    picture = opened(Path("a.png")).convert("RGB")
    assert (picture.size[0], picture.getpixel((0, 0))) == (500, (23, 23, 23))
    assert run(*asked, "-o", "b.png", "--dpi", "90").exit_code == 2
    assert not Path("b.png").exists()
    assert len(rendered(padviz.uneven("resnet18", 64)._shown.draw())) > 1000  # nothing is asked for from here on


def test_thumbnails_show_fair_shares_up_to_2_and_are_as_small_as_asked(tmp_path: Path) -> None:
    cover = coverages(padviz.load("vgg11"), 64, layers=["features.0"])[0]
    one_unit = padviz.usage("vgg11", 64, unit=(0, 0))
    maps = [(padviz.usage("resnet18", size), "PuOr", 2) for size in (32, (300, 500))]
    path = tmp_path / "map.png"
    for counts, cmap, most in [*maps, (cover, "plasma", 1), (one_unit, "plasma", 1)]:
        values = counts.relative() if counts is one_unit else counts.share()
        write_map_thumbnail(counts, path, 1000)
        assert (np.asarray(opened(path)) == colormaps[cmap](values / most, bytes=True)[..., :3]).all()
    write_map_thumbnail(padviz.usage("vgg11", (90, 301)), path, 200)
    assert opened(path).size == (151, 45)
    write_thumbnail(path, tmp_path / "thumb.png", 100)
    assert opened(tmp_path / "thumb.png").size == (100, 30)
