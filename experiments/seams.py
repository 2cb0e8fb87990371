"""What tiles do to a trained network's map: laid side by side, and planned. Draws docs/seams.png.

python experiments/seams.py .bench/trained/centerface.onnx .bench/trained/photographs/astronaut.png -o docs/seams.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

import padviz

SIDE, TILE, BESIDE, LAYER = 1536, 768, 256, "536"
Map = NDArray[Any]


def main() -> None:
    """Run the network whole, in tiles side by side, and in planned tiles; draw all three, and how far they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("-o", dest="picture", type=Path, required=True)
    given = parser.parse_args()
    photograph = (
        Image.open(given.photograph).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    )
    image = np.asarray(photograph, np.float32).transpose(2, 0, 1)[None]
    session = _session(given.model)

    def network(pixels: Map) -> Map:
        (scores,) = session.run(
            [session.get_outputs()[0].name], {session.get_inputs()[0].name: pixels}
        )
        return np.log(scores / (1 - scores))  # the score of a face, before the sigmoid

    plan = padviz.tiles(given.model, SIDE, TILE, LAYER).plan
    whole, planned = network(image), padviz.tiled(network, image, plan)
    rows = [
        [network(image[..., y : y + BESIDE, x : x + BESIDE]) for x in _starts()] for y in _starts()
    ]
    beside = np.block(rows)
    for name, tiled in (("side by side", beside), ("planned", planned)):
        print(f"{name}: differs from the whole by up to {np.abs(tiled - whole).max():.2g}")
    _draw([whole[0, 0], beside[0, 0], planned[0, 0]], photograph, len(plan), given.picture)


def _starts() -> range:
    return range(0, SIDE, BESIDE)


def _session(path: Path) -> Any:
    """Open a file whose sizes are left open, as its names for them allow."""
    import onnx

    model = onnx.load(path)
    for axis in (0, 2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"open{axis}"
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _draw(maps: list[Map], photograph: Image.Image, tiles: int, picture: Path) -> None:
    whole, beside, planned = maps
    figure, axes = plt.subplots(2, 3, figsize=(10, 6.9), layout="constrained")
    scale: dict[str, Any] = {
        "vmin": np.percentile(whole, 1),
        "vmax": np.percentile(whole, 99.5),
        "cmap": "viridis",
    }
    names = [
        "the whole image",
        f"tiles of {BESIDE} px side by side",
        f"{tiles} tiles of {TILE} px, planned",
    ]
    for axis, values, name in zip(axes[0], maps, names, strict=True):
        axis.imshow(values, **scale)
        axis.set_title(name, fontsize=10)
    axes[1, 0].imshow(photograph)
    axes[1, 0].set_title(f"what it looks at, {SIDE} x {SIDE} px", fontsize=10)
    most = np.abs(beside - whole).max()
    for axis, values in zip(axes[1, 1:], (beside, planned), strict=True):
        apart = np.abs(values - whole)
        axis.imshow(apart, vmin=0, vmax=most / 2, cmap="magma")
        far = (
            f"differs from the whole by up to {apart.max():.2g}"
            if apart.any()
            else "is the whole, to the last bit"
        )
        axis.set_title(far, fontsize=10)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
