"""Pictures: one ramp has the same pixels whatever it is stored as, or is refused; none takes memory without a bound."""

import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image

from padviz.errors import OptionError, PadvizError
from padviz.files.pictures import MOST_PIXELS
from padviz.trained.detecting.sweeping import stimulus_of
from padviz.trained.images import Inputs, images_of, open_picture, pixels_of

OLD = int(PIL.__version__.partition(".")[0]) < 12  # which opens no TIFF of YCbCr
RAMP = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
LEVELS = RAMP / np.float32(255)


def plain(mode: str) -> Image.Image:
    return Image.fromarray(RAMP).convert(mode)


WIDE = {
    mode: (RAMP.astype(kind) * 257).astype(kind).tobytes()
    for mode, kind in (("I;16", "<u2"), ("I;16B", ">u2"))
}
MADE: dict[str, Callable[[], Image.Image]] = {
    **{
        mode: partial(plain, mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")
    },
    **{mode: partial(Image.frombytes, mode, (256, 64), data) for mode, data in WIDE.items()},
    "F": lambda: Image.fromarray(LEVELS),
}
STORED = [
    ("png", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B")
] + [("tif", mode) for mode in MADE if mode != "YCbCr" or not OLD] + [
    ("jpg", "L"), ("jpg", "RGB"), ("jpg", "CMYK"), ("jpg", "YCbCr"), ("bmp", "1"), ("bmp", "L"), ("bmp", "P"),
    ("bmp", "RGB"), ("webp", "RGB"), ("webp", "RGBA"), ("gif", "P"),
]  # fmt: skip


def stored(path: Path, picture: Image.Image, **options: Any) -> Path:
    picture.save(path, **({"lossless": True} if path.suffix == ".webp" else {}), **options)
    return path


@pytest.mark.parametrize(("suffix", "mode"), STORED)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_ramp_is_the_same_in_every_mode(
    suffix: str, mode: str, channels: int, tmp_path: Path
) -> None:
    path = stored(tmp_path / f"ramp.{suffix}", MADE[mode]())
    found = pixels_of(open_picture(path), None, channels)
    assert found.shape == (channels, 64, 256)
    exact = mode != "1" and suffix != "jpg" and mode != "YCbCr"
    for plane in found[:3]:
        assert plane.mean() == pytest.approx(0.5, abs=1e-6 if exact else 0.005)
        if mode != "1":
            np.testing.assert_allclose(plane, LEVELS, atol=1e-6 if exact else 0.02)
    scaled = pixels_of(open_picture(path), (32, 32), channels)
    assert scaled[0].mean() == pytest.approx(0.5, abs=0.01)
    assert 0 <= scaled.min() <= scaled.max() <= 1
    shown = stimulus_of(str(path), 16, channels)
    assert (shown.shape, shown.cover.min()) == ((16, 64), 1)
    assert shown.pixels.mean(axis=(1, 2))[0] == pytest.approx(0.5, abs=0.01)


def test_a_picture_of_16_bits_keeps_levels_that_8_bits_have_not(tmp_path: Path) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / "all.png")
    np.testing.assert_array_equal(
        pixels_of(open_picture(tmp_path / "all.png"), None, 1)[0], values / np.float32(65535)
    )


def tiff(values: np.ndarray, *tags: tuple[int, int], byteorder: str = "<") -> bytes:
    """A TIFF file of one channel, by hand: of samples and tags that Pillow does not write."""
    data = values.astype(values.dtype.newbyteorder(byteorder)).tobytes()
    bits, kind = 8 * values.itemsize, {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    high, wide = values.shape
    known = {
        256: wide,
        257: high,
        258: bits,
        259: 1,
        262: 1,
        273: 8,
        277: 1,
        278: high,
        279: len(data),
        339: kind,
    }
    entries = sorted({**known, **dict(tags)}.items())
    table = b"".join(struct.pack(f"{byteorder}HHII", tag, 4, 1, value) for tag, value in entries)
    head = (b"II*\0" if byteorder == "<" else b"MM\0*") + struct.pack(
        f"{byteorder}I", 8 + len(data)
    )
    return head + data + struct.pack(f"{byteorder}H", len(entries)) + table + bytes(4)


def levels(kind: Any) -> np.ndarray:
    return LEVELS if kind is np.float32 else RAMP.astype(kind) * (257 if kind is np.uint16 else 1)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_tiffs_of_each_byte_order_and_those_where_0_is_white(kind: Any, tmp_path: Path) -> None:
    for byteorder in "<>":
        (tmp_path / "ramp.tif").write_bytes(tiff(levels(kind), byteorder=byteorder))
        np.testing.assert_allclose(
            pixels_of(open_picture(tmp_path / "ramp.tif"), None, 1)[0], LEVELS, atol=1e-6
        )
    (tmp_path / "ramp.tif").write_bytes(tiff(levels(kind), (262, 0)))
    np.testing.assert_allclose(
        pixels_of(open_picture(tmp_path / "ramp.tif"), None, 1)[0], 1 - LEVELS, atol=1e-6
    )


UNKNOWN = {
    "floats above 1": (
        LEVELS * 255,
        "has floats beyond 0 to 1, and nothing says which of them is white; scale them",
    ),
    "NaN": (np.where(RAMP == 7, np.nan, LEVELS).astype(np.float32), "has floats beyond 0 to 1"),
    "32 bits": (
        RAMP.astype(np.uint32),
        "pixels of mode I have no known black and white; save it as an RGB",
    ),
    "signed 16 bits": (
        RAMP.astype(np.int16),
        "signed pixels of mode I have no known black and white",
    ),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_pixels_without_a_known_black_and_white_are_refused(what: str, tmp_path: Path) -> None:
    values, said = UNKNOWN[what]
    (tmp_path / "ramp.tif").write_bytes(tiff(values))
    for read in (
        lambda: images_of(Inputs(tmp_path, 1), (32, 32), 3),
        lambda: stimulus_of(str(tmp_path / "ramp.tif"), 9, 3),
    ):
        with pytest.raises(OptionError, match=r"ramp\.tif: " + re.escape(said)):
            read()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_a_picture_upright(suffix: str, orientation: int, tmp_path: Path) -> None:
    values = np.zeros((16, 32), np.uint8)
    values[:, 16:], values[8:, :16] = 255, 128
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = stored(tmp_path / f"turned.{suffix}", Image.fromarray(values), exif=exif)
    turned = values.T if orientation > 4 else values
    turned = turned[:, ::-1] if orientation in (2, 3, 6, 7) else turned
    turned = turned[::-1] if orientation in (3, 4, 7, 8) else turned
    np.testing.assert_allclose(pixels_of(open_picture(path), None, 1)[0], turned / 255, atol=0.05)


@pytest.mark.parametrize(
    ("mode", "transparent"), [("L", 255), ("RGB", (255, 255, 255)), ("LA", None)]
)
def test_what_is_transparent_covers_nothing_and_colours_nothing(
    mode: str, transparent: Any, tmp_path: Path
) -> None:
    half = np.zeros((16, 32), np.uint8)
    half[:, 16:] = 255  # black on the left, and on the right white that is transparent
    picture = Image.fromarray(half).convert(mode)
    picture.info["transparency"] = transparent
    if mode == "LA":
        picture.putalpha(Image.fromarray(255 - half))
    shown = stimulus_of(str(stored(tmp_path / "half.png", picture, **picture.info)), 8, 3)
    assert (shown.cover[:, :6].min(), shown.cover[:, 10:].max()) == (1, 0)
    assert (shown.pixels * shown.cover).max() < 0.02  # no white at the edge
    # by itself, its own colours
    assert pixels_of(open_picture(tmp_path / "half.png"), None, 1).mean() == 0.5


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, bits: int = 8, rows: bytes = b"", more: bytes = b"") -> bytes:
    """A grey PNG that declares a size, by default without pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + more
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


TOO_MANY = "has more than 67108864 pixels; scale it down"
NONE = r"cannot be read as a picture; use a \.png or \.jpg"


REFUSED: dict[str, tuple[bytes, str]] = {
    "just above": (png(MOST_PIXELS // 64 + 1, 64), TOO_MANY),
    "2e9 x 2e9": (png(2**31 - 1, 2**31 - 1), TOO_MANY),
    "tiff": (
        tiff(np.zeros((1, 1), np.uint8), (256, 100_000), (257, 100_000), (278, 100_000)),
        TOO_MANY,
    ),
    "nothing": (b"", NONE),
    "no pixels": (png(8, 8), NONE),
    "postscript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch harm) (w) file\n",
        NONE,
    ),
    "transparent 16 bits": (
        png(1, 1, 16, b"\0\0\0", chunk(b"tRNS", bytes(2))),
        r"pixels of mode I(;16)? have no .* with transparency; save it as an",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_read_is_one_line(what: str, tmp_path: Path) -> None:
    content, said = REFUSED[what]
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(OptionError, match=rf"a\.png: {said}"):
        open_picture(tmp_path / "a.png")


def test_a_damaged_picture_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    random, path = np.random.default_rng(0), tmp_path / "damaged"
    for suffix in ("png", "jpg", "tif", "webp", "bmp", "gif"):
        whole = stored(tmp_path / f"whole.{suffix}", plain("RGB").resize((24, 24))).read_bytes()
        for _ in range(40):
            data = bytearray(whole)
            for at in random.integers(0, min(len(data), 400), 4):
                data[at] = random.integers(256)
            path.write_bytes(data)
            with suppress(PadvizError):  # and nothing else
                assert pixels_of(open_picture(path), (8, 8), 3).shape == (3, 8, 8)


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux tells how much memory a process had"
)
def test_the_largest_picture_takes_bounded_memory(tmp_path: Path) -> None:
    Image.new("L", (64, MOST_PIXELS // 64)).save(tmp_path / "large.png")
    code = (
        "import re, sys; from padviz.trained.images import open_picture, pixels_of\n"
        "assert not pixels_of(open_picture(sys.argv[1]), (32, 32), 3).any()\n"
        "print(re.search('VmHWM:(.*)kB', open('/proc/self/status').read())[1])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "large.png")], capture_output=True, check=True
    )
    assert int(run.stdout) * 1024 < 600e6


def test_a_thin_picture_is_no_stimulus_of_millions_of_pixels(tmp_path: Path) -> None:
    Image.new("L", (100_000, 1)).save(tmp_path / "thin.png")
    with pytest.raises(
        OptionError, match=r"thin\.png: would be 1200000 pixels wide at a height of 12; crop it"
    ):
        stimulus_of(str(tmp_path / "thin.png"), 12, 3)


def test_channels_that_no_picture_has_are_refused(tmp_path: Path) -> None:
    plain("RGB").save(tmp_path / "a.png")
    for channels in (2, 5):
        with pytest.raises(
            OptionError, match=f"a picture has 1, 3 or 4 channels, and the network reads {channels}"
        ):
            images_of(Inputs(tmp_path, 1), (32, 32), channels)
