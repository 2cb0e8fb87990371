"""Install what was built, each extra alone, in empty environments, and run it: `python -m tests.installing dist`."""

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXTRAS = ("", "onnx", "keras", "torch", "trained", "dask")
USAGE = "import padviz; print(padviz.usage('vgg19', 512).max == 9**16)"
PROBES = {  # what must work with one extra alone
    "": "padviz.usage('resnet18', 64, engine='numba').plot()",
    "onnx": "import onnx",
    "keras": "import h5py",
    "torch": "import torch; padviz.audit(torch.nn.Conv2d(3, 8, 3, padding=1), 32).verdict",
    "trained": "import onnxruntime, safetensors",
    "dask": "import dask.distributed",
}
READ_A_NETWORK = [
    "audit",
    "check",
    "convert",
    "coverage",
    "detect",
    "explore",
    "export",
    "filters",
    "keeps",
    "layers",
    "repad",
    "responses",
    "seen",
    "shards",
    "sizes",
    "stream",
    "taps",
    "tiles",
    "trial",
    "uneven",
    "usage",
    "verify",
]
NEEDED = {
    "convert": "-o net.toml",
    "export": "-o out",
    "keeps": "--size 64 --tile 32",
    "repad": "--padding reflect -o new.onnx",
    "shards": "--shards 2",
    "stream": "--chunk 64",
}
EXTRA = "pip install 'padviz[onnx]'"


def run(*command: str | Path, cwd: Path) -> str:
    """Run where the repository is not; what goes wrong is shown and ends all."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, cwd=cwd, env=environment
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def tried(built: Path, extra: str) -> str:
    """Install a wheel or an sdist with one extra, and run the command, Python, and what the extra is for."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        run("uv", "venv", "-q", "--python", sys.executable, here / "env", cwd=here)
        binaries = here / "env" / "bin"
        named = f"padviz[{extra}]" if extra else "padviz"
        wanted = f"{named} @ {built.resolve().as_uri()}"
        run("uv", "pip", "install", "-q", "--python", here / "env", wanted, cwd=here)
        run(binaries / "padviz", "audit", "resnet50", "--size", "224", "-o", "audit.png", cwd=here)
        run(binaries / "padviz", "explore", "vgg11", "--size", "64", cwd=here)
        if not extra:
            ask_for_what_is_missing(binaries / "padviz", here)
        answer = run(binaries / "python", "-c", f"{USAGE}\n{PROBES[extra]}", cwd=here)
        return "works" if answer == "True\n" else f"answered {answer!r}"


def ask_for_what_is_missing(padviz: Path, here: Path) -> None:
    """Run each command that reads a network on a file that needs an extra: it says which, in one line."""
    (here / "model.onnx").write_bytes(b"\x08\x08")
    for command in READ_A_NETWORK:
        typed = [str(padviz), command, "model.onnx", *NEEDED.get(command, "").split()]
        done = subprocess.run(typed, capture_output=True, text=True, cwd=here)
        lines = done.stderr.splitlines()
        # check judges what it can and says what it could not read
        if (done.returncode, len(lines)) != (
            3 if command == "check" else 2,
            1,
        ) or EXTRA not in lines[0]:
            sys.exit(f"{' '.join(typed)} ended with {done.returncode}:\n{done.stderr}")


if __name__ == "__main__":
    wheels, sdists = (sorted(Path(sys.argv[1]).glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {*EXTRAS} - {""} == {*known}
    for built, extra in [*((wheels[-1], extra) for extra in EXTRAS), (sdists[-1], "")]:
        verdict = tried(built, extra)
        print(
            f"{sys.version.split()[0]}  {built.name}  {extra or 'no extra'}: {verdict}", flush=True
        )
        if verdict != "works":
            sys.exit(1)
