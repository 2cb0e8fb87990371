"""The ratios of one benchmark run, printed and put into its page."""

import json
import os
import platform
import re
import sys
from pathlib import Path

TORCH = "PyTorch's forward + backward of the all-ones copy, 1 thread"
PLOT = "a script that saves a 512 x 512 heat map with a colour bar"
LOOP = "matplotlib saving the same arrays with colour bars in a loop, 640 x 480"
LOAD = '`python -c "import onnx; onnx.load(FILE)"`'
SAVED = "onnx_load_and_save"
ITS_USAGE = "figures of their `usage`"
AS_IS = "repadded_forward[None]"
FORWARDS = "bare forwards of the same inputs, with their session"
NAMES = {"vgg19": "VGG-19", "resnet50": "ResNet-50", "resnet152": "ResNet-152"}
LEAST = {
    ("vgg19", 512): 60,
    ("vgg19", 2048): 1000,
    ("resnet50", 512): 12,
    ("resnet50", 2048): 150,
    ("resnet152", 512): 3,
}


RATIOS = [  # what, ours, compared with, theirs, the most that the ratio should be
    *(
        (f"`usage` of {NAMES[name]} at {size}", f"counts[{name}-{size}]", TORCH, f"pytorch[{name}-{size}]", 1 / least)
        for (name, size), least in LEAST.items()
    ),
    ("`usage` of ResNet-50 at 65536", "counts[resnet50-65536]", "at 2048", "counts[resnet50-2048]", 1.5),
    ("`tiles` of the padded U-Net, 100,000 x 100,000 px", "tiles[plan]", "`usage` at 2048", "tiles[usage]", 100),
    ("`rings` of 98,000 detections, with intervals", "rings", "pycocotools' evaluation", "pycocotools", 3),
    ("`audit` of 300 convolutions at 1024", "deep_chain[audit-300-1024]", ITS_USAGE, "deep_chain[usage-300-1024]", 15),
    ("`audit` of 2,000 convolutions at 224", "deep_chain[audit-2000-224]", ITS_USAGE, "deep_chain[usage-2000-224]", 15),
    (
        "`padviz audit resnet50 --size 224`",
        "process[audit]",
        "`padviz uneven resnet50 --size 224`",
        "process[uneven]",
        1.5,
    ),
    ("`padviz usage vgg19 --size 512`", "process[usage]", PLOT, "process[plot]", 1.35),
    ("the same, without numba's cache", "process[first-usage]", PLOT, "process[plot]", 1.35),
    ("an export of 300 maps, 2 jobs", "export[2]", "the same, 1 job", "export[1]", 0.6),
    ("an export of 300 maps, 1 job", "export[1]", LOOP, "matplotlib_loop", 1.25),
    ("`padviz uneven resnet50.onnx`", "process_resnet[uneven]", LOAD, "process_resnet[load]", 2),
    ("`responses` of a text detector at 320", "responses[onnx]", FORWARDS, "forwards[onnx]", 1.5),
    ("`load` of ResNet-50, a module", "reading[load]", "building it", "reading[build]", 4),
    ("`responses` of MobileNet-V2 at 224", "responses[torch]", FORWARDS, "forwards[torch]", 1.5),
    *(
        (f"`padviz.repad` of ResNet-50, {scheme}", f"repad[{scheme}]", "onnx loading and saving it", SAVED, 2)
        for scheme in ("reflect", "symmetric", "partial")
    ),
    *(
        (f"forward of ResNet-50 at 224, batch 8, padded {to}", f"repadded_forward[{to}]", "as declared", AS_IS, most)
        for to, most in (("replicate", 1.15), ("reflect", 1.15), ("circular", 1.15), ("symmetric", 1.25))
    ),
    ("`padviz --help`", "process[help]", '`python -c "import click"`', "process[click]", 1.8),
]


def table(path: Path) -> str:
    """The Markdown table of the medians in a file that pytest-benchmark wrote."""
    runs = json.loads(path.read_text())["benchmarks"]
    median = {run["name"].removeprefix("test_"): run["stats"]["median"] for run in runs}
    lines = ["| what | ms | compared with | ms | ratio | at most |", "|---|--:|---|--:|--:|--:|"]
    for what, ours, than, theirs, most in RATIOS:
        a, b = median[ours], median[theirs]
        ratio = f"1/{b / a:.0f}" if a / b < 0.4 else f"{a / b:.2f}"
        goal = f"1/{1 / most:.0f}" if most < 0.5 else f"{most}"
        missed = " (!)" if a / b > most else ""
        lines.append(f"| {what} | {_ms(a)} | {than} | {_ms(b)} | {ratio}{missed} | {goal} |")
    return "\n".join(lines)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}" if seconds > 0.01 else f"{seconds * 1e3:.2f}"


def machine() -> str:
    """What the numbers were measured with."""
    from importlib.metadata import version

    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "matplotlib", "torch"))
    facts = Path("/proc/cpuinfo")
    names = re.findall("model name.*: (.*)", facts.read_text()) if facts.exists() else []
    return (
        f"{(names or [platform.machine()])[0]}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"{libraries}; medians of one run of `make bench`."
    )


def into_page(report: str, page: Path) -> None:
    before, rest = page.read_text().split("<!-- bench -->")
    after = rest.split("<!-- /bench -->")[1]
    page.write_text(f"{before}<!-- bench -->\n{report}\n<!-- /bench -->{after}")


if __name__ == "__main__":
    report = f"{table(Path(sys.argv[1]))}\n\n{machine()}"
    print(report)
    into_page(report, Path(sys.argv[2]))
