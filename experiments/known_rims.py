"""How wide are the rims of known networks? What an audit compares a network with.

    python experiments/known_rims.py padviz/advice/known_rims.json -o docs/rims.png

Measures the zoo and 42 more networks of torchvision and timm, one of each family, at 224 px or at a size of the same
phase, and at 640 px: rims hardly change, starved shares do. No weights are needed: a rim is a property of windows and
padding.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import padviz
from padviz.sources.toml.load import zoo

SIZE, LARGE = 224, 640
# a network that is too deep for 224 px, by a period of its strides
LARGER = {"ssd300_vgg16": SIZE + 128}
TORCHVISION = """mnasnet1_0 shufflenet_v2_x1_0 regnet_y_400mf regnet_y_16gf efficientnet_v2_s efficientnet_b3
    mobilenet_v3_small segmentation.fcn_resnet50"""
TIMM = """resnetblur50 resnetaa50 res2net50_26w_4s hrnet_w18 dla34 xception41 inception_v4 inception_resnet_v2
    repvgg_a0 cspdarknet53 ese_vovnet39b ghostnet_100 mixnet_s mobilenetv4_conv_small dpn68 skresnet18 nasnetalarge
    pnasnet5large convmixer_768_32 dm_nfnet_f0 regnetz_b16 tresnet_m convnextv2_atto legacy_senet154 fasternet_t0
    starnet_s1 edgenext_xx_small poolformer_s12 convformer_s18 inception_next_tiny rdnet_tiny focalnet_tiny_srf
    hgnetv2_b0 tf_efficientnet_lite0"""


def networks() -> Iterator[tuple[str, str, Any]]:
    """Name, source and network of each."""
    import timm
    from torchvision import models

    for name in zoo():
        yield name, "zoo", name
    for path in TORCHVISION.split():
        *room, name = path.split(".")
        make = getattr(getattr(models, room[0]) if room else models, name)
        yield (
            name,
            "torchvision",
            make(weights=None, **({"weights_backbone": None} if room else {})),
        )
    for name in TIMM.split():
        yield name, "timm", timm.create_model(name, pretrained=False)


def rims_of(name: str, network: Any, size: int) -> dict[str, Any]:
    """Rims of a network, and the share of an image of that size that they starve."""
    summary = padviz.usage(network, size).summary()
    assert summary.rim is not None, f"{name} has no interior"
    assert summary.share is not None
    return {
        "height": summary.rim.height,
        "width": summary.rim.width,
        "starved": round(summary.share.starved, 4),
    }


def output_stride(network: Any) -> int:
    """Pixels of the image from one unit of the output to the next; of several outputs, the widest."""
    reach = padviz.audit(network, LARGE).reach
    (field,) = [row for row in padviz.fields(network, LARGE) if row.layer == reach.layer]
    stride = field.height.stride
    assert stride is not None
    assert stride.denominator == 1
    return int(stride)


def measured() -> list[dict[str, Any]]:
    """Name, source and rims of each network, the narrowest first."""
    rows: list[dict[str, Any]] = []
    for name, source, network in networks():
        rims = [rims_of(name, network, size) for size in (LARGER.get(name, SIZE), LARGE)]
        about = {"name": name, "source": source, "output_stride": output_stride(network)}
        rows.append({**about, **rims[0], f"at_{LARGE}": rims[1]})
    return sorted(rows, key=lambda row: (sum(row["height"] + row["width"]), row["name"]))


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """One line a network: a dot for the first side, one for the last, and a line between them."""
    from matplotlib.ticker import MultipleLocator

    from padviz.figures.canvas import new_figure, save

    figure = new_figure(900, 60 + 19 * len(rows))
    axes = figure.add_axes((0.24, 0.04, 0.73, 0.92))
    for y, row in enumerate(rows):
        near, far = row["height"]
        axes.plot([near, far], [y, y], color="0.75", linewidth=2, zorder=1)
        axes.scatter(
            [near], [y], color="#2f62b5", s=18, zorder=3, label=None if y else "above and left"
        )
        axes.scatter(
            [far], [y], color="#d97706", s=18, zorder=2, label=None if y else "below and right"
        )
    for at in (len(rows) // 4, len(rows) // 2, 3 * len(rows) // 4):
        axes.axhline(at, color="0.6", linewidth=0.6, linestyle=":")
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.3, -0.7)
    axes.set_xlim(0, None)
    axes.xaxis.set_major_locator(MultipleLocator(16))
    axes.tick_params(axis="x", labelsize=8, top=True, labeltop=True)
    axes.grid(axis="x", color="0.92")
    axes.set_xlabel(
        f"rim in px: the outer lines that get less than half of an interior pixel's paths, at {SIZE} px"
    )
    axes.xaxis.label.set_size(8)
    axes.legend(loc="upper right", fontsize=8, frameon=False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    save(figure, path)


def main() -> None:
    """Measure, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    rows = measured()
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    asked.data.write_text(f'{{"size": {SIZE}, "networks": [\n{lines}\n]}}\n')
    if asked.output:
        draw(rows, asked.output)


if __name__ == "__main__":
    main()
