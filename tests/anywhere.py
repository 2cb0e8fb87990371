"""Run pytest as on an old processor, in random order: `python -m tests.anywhere`, and what follows is pytest's.

Each library chooses among kernels by what the processor can do, and their sums differ in the last bits. Here each
is limited to the oldest kernels that it has, so that a tolerance that only this processor meets is noticed.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Each setting, and what the probe prints where it has an effect.
SETTINGS = {
    "ATEN_CPU_CAPABILITY": ("default", "torch: DEFAULT"),
    "ONEDNN_MAX_CPU_ISA": ("SSE41", "isa:Intel SSE4.1"),
    "MKL_CBWR": ("COMPATIBLE", "CNR:COMPATIBLE"),
    "OPENBLAS_CORETYPE": ("Nehalem", "openblas: Nehalem"),
    "NUMBA_CPU_NAME": ("generic", "numba: generic"),
    "OMP_NUM_THREADS": ("2", "threads: 2"),
}
NUMPY = ("NPY_DISABLE_CPU_FEATURES", "numpy: none of its kernels for newer processors")


def settings() -> dict[str, str]:
    """Return the environment that limits each library to its oldest kernels."""
    return {name: value for name, (value, _) in SETTINGS.items()} | {
        NUMPY[0]: " ".join(_newer_kernels())
    }


def _newer_kernels() -> list[str]:
    """Return the names of numpy's kernels for newer processors that this process uses."""
    from numpy._core import _multiarray_umath as numpy

    # Numpy ignores any other name, among them those of its former versions.
    return [name for name in numpy.__cpu_dispatch__ if numpy.__cpu_features__[name]]


def probe() -> None:
    """Print which kernels the libraries of this process use; oneDNN and MKL print theirs when they calculate."""
    import numpy as np
    import threadpoolctl
    import torch
    from numba.core.registry import cpu_target

    print("numpy:", ", ".join(_newer_kernels()) or NUMPY[1].removeprefix("numpy: "))
    np.ones((2, 2)) @ np.ones((2, 2))
    for library in threadpoolctl.threadpool_info():
        if library["internal_api"] == "openblas":
            print("openblas:", library["architecture"])
    print("numba:", cpu_target.target_context.codegen().magic_tuple()[1])
    print("torch:", torch.backends.cpu.get_cpu_capability())
    print("threads:", torch.get_num_threads())
    torch.ones(64, 64) @ torch.ones(64, 64)
    torch.relu(torch.ones(8, 8).to_mkldnn())


def without_effect(limits: dict[str, str]) -> list[str]:
    """Run the probe under these settings, and return the names of those that change nothing."""
    environment = os.environ | limits | {"ONEDNN_VERBOSE": "1", "MKL_VERBOSE": "1"}
    code = "from tests.anywhere import probe; probe()"
    child = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    print(child.stderr, end="", file=sys.stderr)
    expected = {name: line for name, (_, line) in SETTINGS.items()} | {NUMPY[0]: NUMPY[1]}
    return [name for name, line in expected.items() if line not in child.stdout]


def main() -> int:
    limits = settings()
    if ignored := without_effect(limits):
        print("Without effect: " + ", ".join(f"{name}={limits[name]}" for name in ignored))
        return 1
    seed = os.environ.get("ORDER") or str(random.randrange(1000))
    print(*(f'{name}="{value}"' for name, value in limits.items()), f"ORDER={seed}", flush=True)
    options = ["-p", "randomly", f"--randomly-seed={seed}", *sys.argv[1:]]
    # Several processes have more threads than cores: a thread that waits must not keep a core busy.
    environment = os.environ | limits | {"OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options], env=environment, cwd=ROOT
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
