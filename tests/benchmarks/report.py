"""The ratios of one benchmark run, printed and put into the README."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

TORCH = "PyTorch's forward + backward of the all-ones copy, 1 thread"
PLOT = "a script that saves a 512 x 512 heat map with a colour bar"
LOOP = "matplotlib saving the same arrays with colour bars in a loop, 640 x 480"
LOAD = '`python -c "import onnx; onnx.load(FILE)"`'
RATIOS = [  # what, ours, compared with, theirs, the most that the ratio should be
    ("`usage` of VGG-19 at 512, in process", "padviz_counts[vgg19]", TORCH, "pytorch_counts[vgg19]", 1 / 10),
    ("`usage` of ResNet-50 at 512, in process", "padviz_counts[resnet50]", TORCH, "pytorch_counts[resnet50]", 1 / 5),
    ("`even_sizes` of ResNet-152, 64 to 4096", "even_sizes", "`ledger` of ResNet-152 at one size", "ledger", 50),
    ("`padviz usage vgg19 --size 512`", "process_usage", PLOT, "process_plot", 1.3),
    ("the same, without numba's cache", "process_first_usage", PLOT, "process_plot", 1.3),
    ("an export of 300 maps, 2 jobs", "export[2]", "the same, 1 job", "export[1]", 0.6),
    ("an export of 300 maps, 1 job", "export[1]", LOOP, "matplotlib_loop", 1.25),
    ("`padviz uneven resnet50.onnx`", "process_onnx_uneven", LOAD, "process_onnx_load", 2),
    ("`padviz --help`", "process_help", '`python -c "import click"`', "process_import_click", 2.5),
]


def medians(path: Path) -> dict[str, float]:
    """Median seconds of each benchmark in a file that pytest-benchmark wrote."""
    runs = json.loads(path.read_text())["benchmarks"]
    return {run["name"].removeprefix("test_"): run["stats"]["median"] for run in runs}


def table(path: Path) -> str:
    """The Markdown table."""
    median = medians(path)
    lines = ["| what | ms | compared with | ms | ratio | at most |", "|---|--:|---|--:|--:|--:|"]
    for what, ours, than, theirs, most in RATIOS:
        a, b = median[ours], median[theirs]
        ratio, goal = (f"1/{b / a:.0f}", f"1/{1 / most:.0f}") if most < 0.5 else (f"{a / b:.2f}", f"{most}")
        lines.append(
            f"| {what} | {a * 1e3:.1f} | {than} | {b * 1e3:.1f} | {ratio}{'' if a / b <= most else ' (!)'} | {goal} |"
        )
    return "\n".join(lines)


def machine() -> str:
    """What the numbers were measured with."""
    from importlib.metadata import version

    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "matplotlib", "torch"))
    return f"Python {platform.python_version()}, {libraries}, {platform.machine()}; medians of one run of `make bench`."


def into_readme(report: str, readme: Path) -> None:
    """Put the report in its place in the README."""
    before, rest = readme.read_text().split("<!-- bench -->")
    after = rest.split("<!-- /bench -->")[1]
    readme.write_text(f"{before}<!-- bench -->\n{report}\n<!-- /bench -->{after}")


if __name__ == "__main__":
    report = f"{table(Path(sys.argv[1]))}\n\n{machine()}"
    print(report)
    into_readme(report, Path(sys.argv[2]))
