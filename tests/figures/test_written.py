"""Pictures as files: how large, in which theme, with text that is text, the same bytes each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import padviz
from padviz.cli.group import cli
from padviz.figures.canvas import asking, png, save

SIZES = [(32, 48), (65, 40)]


@pytest.mark.parametrize("size", SIZES)
def test_a_picture_is_as_large_as_asked_for(size: tuple[int, int], tmp_path: Path) -> None:
    found, path = padviz.uneven("resnet18", size), tmp_path / "a.png"
    found.save(path)
    with Image.open(path) as picture:
        width, height = picture.size
    for look, expected in (({"width": 700}, 700), ({"dpi": 260}, 2 * width), ({"dpi": 65}, width // 2)):
        found.save(path, overwrite=True, **look)
        with Image.open(path) as picture:
            assert picture.size[0] == expected
            assert picture.size[1] == pytest.approx(height * expected / width, abs=1)
            assert picture.info["dpi"][0] == pytest.approx(130 * picture.size[0] / width, rel=0.01)
    figure = found.plot(width=300).figure
    assert figure.get_size_inches()[0] * figure.dpi == pytest.approx(300, 1e-3)


def test_cells_of_less_than_a_pixel_are_averaged_also_in_a_small_picture() -> None:
    with asking(width=300):
        (image,) = padviz.usage("resnet18", 512)._shown.draw().axes[0].images
    assert image.get_interpolation() == "antialiased"


def test_the_dark_theme_turns_greys_over_and_leaves_colours_and_images(tmp_path: Path) -> None:
    result = padviz.usage("resnet18", (64, 96))
    figure = result._shown.draw()
    light = np.asarray(Image.open(_written(figure, tmp_path, "light")).convert("RGB")).astype(int)
    dark = np.asarray(Image.open(_written(figure, tmp_path, "dark")).convert("RGB")).astype(int)
    again = np.asarray(Image.open(_written(figure, tmp_path, "light")).convert("RGB")).astype(int)
    assert (light == again).all()  # the figure is as it was
    assert light[0, 0].tolist() == [255, 255, 255]
    assert dark[0, 0].tolist() == [23, 23, 23]
    image = figure.axes[0].get_window_extent()
    top = light.shape[0] - round(image.y1)
    inside = np.s_[top + 2 : top + round(image.height) - 2, round(image.x0) + 2 : round(image.x1) - 2]
    assert (light[inside] == dark[inside]).mean() > 0.98  # but for what is transparent


def _written(figure: object, folder: Path, theme: str) -> Path:
    path = folder / f"{theme}.png"
    with asking(theme=theme):
        save(figure, path)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_the_same_picture_has_the_same_bytes_and_text_is_text(suffix: str, tmp_path: Path) -> None:
    written = []
    for name in "ab":
        padviz.uneven("resnet18", 64).save(tmp_path / f"{name}{suffix}")
        written.append((tmp_path / f"{name}{suffix}").read_bytes())
    assert written[0] == written[1]
    if suffix == ".svg":
        assert b">conv1</text>" in written[0]
        assert b"<dc:date>" not in written[0]
    if suffix == ".pdf":
        assert b"CreationDate" not in written[0]
        assert b"/Type3" not in written[0].replace(b" ", b"")


def test_commands_take_the_same_words(tmp_path: Path) -> None:
    path, asked = tmp_path / "a.png", ["uneven", "resnet18", "--size", "64", "-o"]
    done = CliRunner().invoke(cli, [*asked, str(path), "--width", "500", "--theme", "dark"])
    assert done.exit_code == 0, done.output
    with Image.open(path) as picture:
        assert picture.size[0] == 500
        assert picture.convert("RGB").getpixel((0, 0)) == (23, 23, 23)
    done = CliRunner().invoke(cli, [*asked, str(tmp_path / "b.png"), "--width", "500", "--dpi", "90"])
    assert done.exit_code == 2
    assert not (tmp_path / "b.png").exists()
    assert len(png(padviz.uneven("resnet18", 64)._shown.draw())) > 1000  # nothing is asked for from here on
