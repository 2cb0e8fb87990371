"""An ONNX file repadded into another file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from padviz.repadding.onnx.file import Repadded, repad_file


def repad_to(out: Path, path: Path, padding: str, *, overwrite: bool = False, **options: Any) -> Repadded:
    """What was written."""
    repadded = repad_file(path, padding, **options)
    repadded.save(out, overwrite=overwrite)
    return repadded
