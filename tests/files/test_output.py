"""Where padviz may write: what is there is kept, and what cannot be written is said before anything is done."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import padviz
from padviz.errors import OptionError
from padviz.figures.canvas import png_of
from padviz.files.output import check_output, made_by_padviz
from tests.cli.test_cli import contents, run, told

pytestmark = pytest.mark.usefixtures("elsewhere")
USAGE = ["usage", "vgg11", "--size", "32"]
DEFAULTS = {
    "vgg11-32-usage.png": USAGE,
    "vgg11-32-zero-explore.html": ["explore", "vgg11", "--size", "32", "--padding", "zero"],
}
PIXELS = np.zeros((2, 3, 3), np.uint8)


def test_only_pictures_and_pages_of_padviz_say_that_it_made_them() -> None:
    Path("ours.png").write_bytes(png_of(PIXELS))
    padviz.explore("vgg11", 32, "zero").save("ours.html")
    Image.fromarray(PIXELS).save("other.png")
    Path("other.html").write_text("<!doctype html>")
    Path("ours.txt").write_text("padviz")
    os.mkfifo("pipe.png")
    assert [path for path in sorted(os.listdir()) if made_by_padviz(Path(path))] == [
        "ours.html",
        "ours.png",
    ]
    with Image.open("ours.png") as picture:
        assert picture.info["Software"] == "padviz"
    assert not made_by_padviz(Path("nowhere.png"))


def test_a_picture_that_another_program_has_saved_is_no_longer_padviz_s() -> None:
    Path("ours.png").write_bytes(png_of(PIXELS))
    with Image.open("ours.png") as picture:
        picture.save("theirs.png")
    assert not made_by_padviz(Path("theirs.png"))


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_default_name_replaces_only_what_padviz_made(name: str) -> None:
    Path(name).write_text("mine")
    refused = "exists, and padviz did not make it; add --overwrite to replace it, or -o to write"
    assert told(*DEFAULTS[name]) == f"padviz: {name}: {refused} another file\n"
    assert run(*DEFAULTS[name], "--overwrite").exit_code == 0
    written = Path(name).stat().st_ino
    assert run(*DEFAULTS[name]).exit_code == 0
    assert Path(name).stat().st_ino != written
    # Named with -o, it is refused whoever made it.
    assert "exists; add --overwrite" in told(*DEFAULTS[name], "-o", name)


def test_a_link_under_a_default_name_is_kept_unless_it_shows_what_padviz_made() -> None:
    Path("vgg11-32-usage.png").symlink_to("nowhere")
    assert "padviz did not make it" in told(*USAGE)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (".", "is not a file; name another"),
        ("pipe", "is not a file; name another"),
        ("mine", "exists; add `overwrite` to replace it"),
        ("link", "exists; add `overwrite` to replace it"),
        ("mine/x", "'mine' is not a folder; choose another"),
        ("mine/deep/x", "'mine' is not a folder; choose another"),
        ("new/" + "n" * 300, "cannot be written (File name too long); choose another place"),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is_left(path: str, says: str) -> None:
    os.mkfifo("pipe")
    Path("mine").write_text("mine")
    Path("link").symlink_to("nowhere")
    before = contents()
    with pytest.raises(OptionError) as raised:
        check_output(Path(path))
    assert str(raised.value) == f"{path}: {says}"
    assert contents() == before


def test_a_folder_is_tried_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    Path("new").mkdir()
    check_output(Path("new/a/b/x.png"))
    assert contents("new") == {}
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OptionError, match="No space left on device"):
        check_output(Path("new/a/b/x.png"))
    assert contents("new") == {}


@pytest.mark.parametrize("name", ["x.png", "x.npz", "x.csv"])
def test_nothing_is_counted_for_a_file_that_cannot_be_written(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(*_: object, **__: object) -> None:
        raise AssertionError

    Path("mine").write_text("mine")
    monkeypatch.setattr("padviz.analyses.usage.counted", counted)
    assert "'mine' is not a folder" in told(*USAGE, "-o", f"mine/{name}")
    big = ["usage", "vgg11", "--size", "1000000"]
    assert "--cmap: no colour map is called 'plasmo'" in told(*big, "--cmap", "plasmo")
    assert "would hold 1000000 x 1000000 counts" in told(*big, "-o", "x.npy")


def test_folders_are_created() -> None:
    for name in ("map.png", "counts.npz"):
        assert run(*USAGE, "-o", f"a/b/{name}").exit_code == 0
    assert run("layers", "vgg11", "-o", "c/layers.csv").exit_code == 0
    padviz.sizes("resnet18").save("d/e/sizes.json")
    assert [*contents()] == [
        "a", "a/b", "a/b/counts.npz", "a/b/map.png", "c", "c/layers.csv", "d", "d/e",
        "d/e/sizes.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        USAGE,
        [*USAGE, "--format", "json"],
        ["layers", "vgg11"],
        ["layers", "vgg11", "--format", "csv"],
        ["convert", "vgg11"],
    ],
)
def test_a_dash_is_stdout_and_writes_no_file(command: list[str]) -> None:
    result = run(*command, "-o", "-")
    assert (result.exit_code, os.listdir()) == (0, [])
    told_without = run(*command)
    shown = told_without.stdout.replace('[\n    "vgg11-32-usage.png"\n  ]', "[]")
    assert result.stdout == shown.replace("file            vgg11-32-usage.png\n", "")


def test_a_dash_prints_the_page_of_the_explorer() -> None:
    command = DEFAULTS["vgg11-32-zero-explore.html"]
    result = run(*command, "-o", "-")
    assert (result.exit_code, os.listdir()) == (0, [])
    run(*command)
    assert result.stdout == Path("vgg11-32-zero-explore.html").read_text() + "\n"
