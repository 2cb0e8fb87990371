"""The ratios of one benchmark run, printed and put into its page."""

import json
import os
import platform
import re
import sys
import tomllib
from pathlib import Path

RATIOS = tomllib.loads(Path(__file__).with_name("ratios.toml").read_text())["ratios"]


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

    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("numpy", "numba", "matplotlib", "torch")
    )
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
