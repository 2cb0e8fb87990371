"""Exports and writers side by side, and killed: all is whole, none of the living loses, none of the dead leaves."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import pytest
from PIL import Image

import padviz
from padviz.exports import batch
from padviz.exports.batch import ItemOutcome, make
from padviz.exports.items import Item
from padviz.files.atomic import MARK, PREFIX, locked
from tests.cli.test_cli import ONE, run
from tests.files.test_atomic import hidden
from tests.sweeps import REST, SLOW

fcntl = pytest.importorskip("fcntl", reason="this system has no locks that end with their process")


pytestmark = pytest.mark.usefixtures("elsewhere")


def started(*args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "padviz", *args]
    return subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def indexed() -> dict[str, int]:
    """The items of the index, and how many bytes each one's first file has; all that it lists is whole."""
    items = json.loads(Path("out/index.json").read_text())["items"]
    for item in items:
        assert [Path("out", name).stat().st_size for name in item["files"]] == item["lengths"], item["name"]
        for name in item["files"]:
            if name.endswith(".png"):
                with Image.open(Path("out", name)) as picture:
                    picture.load()
            else:
                padviz.read_counts(Path("out", name))
    return {item["name"]: item["lengths"][0] for item in items}


def test_an_export_may_begin_and_end_in_the_middle_of_another() -> None:
    others = iter(["resnet18"])

    def told(*_: object) -> None:
        for other in others:
            padviz.export([other], "out", size=[64], jobs=1)

    outcomes = padviz.export(["vgg11"], "out", size=["32:64:16"], jobs=1, on_outcome=told)
    assert [outcome.state for outcome in outcomes] == ["made"] * 3
    assert len(indexed()) == 4
    assert hidden() == []


@SLOW
def test_items_are_moved_into_place_by_one_export_at_a_time() -> None:
    Path("out").mkdir()
    with locked(Path("out")):
        process = started("export", "vgg11", "--size", "64", "--jobs", "1", "-o", "out")
        until = time.monotonic() + 60
        while not [*Path("out").glob(f"{PREFIX}*/vgg11-64-usage.json")] and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.3)
        assert not [*Path("out").glob("[!.]*.*"), *Path("out/thumbs").iterdir()]
    _, words = process.communicate(timeout=60)
    assert (process.returncode, words, len(indexed()), hidden()) == (0, "", 1, [])


@SLOW
def test_what_a_killed_writer_left_is_gone_after_the_next_run() -> None:
    Path("one.toml").write_text(ONE)
    process = started("usage", "one.toml", "--size", "3000", "-o", "big.csv")
    until = time.monotonic() + 60
    while not [*Path().glob(".*/big.csv")] and time.monotonic() < until:
        time.sleep(0.005)
    process.kill()
    process.communicate(timeout=10)
    (left,) = Path().glob(".*")
    assert sorted(os.listdir(left)) == ["big.csv", MARK]
    assert not Path("big.csv").exists()
    assert run("usage", "one.toml", "--size", "9", "-o", "small.npz").exit_code == 0
    assert hidden() == []


def session(leader: int) -> list[int]:
    """The processes of a session that are still there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, owner = path.read_text().rpartition(")")[2].split()[:4]
            if int(owner) == leader and state != "Z":
                found.append(int(path.parent.name))
    return found


ENDINGS = {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}


@SLOW
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_ctrl_c_while_workers_start_leaves_one_line() -> None:
    process = started("export", "vgg11", "resnet18", "--size", "64:512:8", "--jobs", "4", "-o", "out")
    while len(session(process.pid)) < 4 and process.poll() is None:
        time.sleep(0.001)
    time.sleep(0.1)  # Python loads, and its handlers are not set yet
    os.killpg(process.pid, signal.SIGINT)
    assert (process.communicate(timeout=60)[1], process.returncode) == ("padviz: interrupted\n", 130)


def make_or_die(item: Item, *args: Any) -> ItemOutcome:
    """What the kernel does to a process where memory is short."""
    if item.sizes[0] == (64, 64):
        os.kill(os.getpid(), signal.SIGKILL)
    return make(item, *args)


@SLOW
def test_a_worker_that_is_killed_fails_its_item_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "make", make_or_die)
    done = run("export", "vgg11", "--size", "32,64,96,128", "--jobs", "2", "-o", "out")
    assert done.exit_code == 3
    assert "padviz: vgg11-64-usage: its process was killed, perhaps for lack of memory\n" in done.stderr
    assert {*indexed()} == {f"vgg11-{n}-usage" for n in (32, 96, 128)}
    assert hidden() == []


@SLOW
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("few", [0, pytest.param(1, marks=REST), 5])
def test_workers_end_with_their_export_and_the_next_run_leaves_nothing(few: int, ending: str) -> None:
    sizes = ["--size", "500:900:10", "--format", "png,npz"]
    process = started("export", "densenet201", "vgg11", *sizes, "--jobs", "2", "-o", "out")
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and (
            len([*Path().glob("out/*-usage.json")]) < few or not [*Path().glob(f"out/{PREFIX}*")]
        ):
            time.sleep(0.01)
        assert len(session(process.pid)) > 2
        process.send_signal(signal.Signals[ending])
        process.wait(10)
        if ending == "SIGKILL":  # workers go on for minutes
            os.killpg(process.pid, signal.SIGKILL)
        until = time.monotonic() + 2
        while session(process.pid) and time.monotonic() < until:
            time.sleep(0.05)
        assert session(process.pid) == []
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _, words = process.communicate()
    assert (process.returncode, words) == (ENDINGS[ending], "padviz: interrupted\n" if ending == "SIGINT" else "")
    if ending != "SIGKILL":  # which lets nobody tidy up
        assert hidden() == []
    assert run("export", "vgg11", "--size", "64", "-o", "out", "--jobs", "1").exit_code == 0
    assert hidden() == []
    assert len(indexed()) > few


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    distributed = pytest.importorskip("dask.distributed", reason="the extra padviz[dask] is not installed")
    sizes = range(64, 64 + 8 * 20, 8)
    killed = []

    def kill(pid: int) -> None:
        while not (found := [*tmp_path.glob("*-usage.png")]):
            time.sleep(0.05)
        killed.append(len(found))
        os.kill(pid, signal.SIGKILL)

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))
        thread = threading.Thread(target=kill, args=[victim])
        thread.start()
        with joblib.parallel_config(backend="dask"):
            outcomes = padviz.export(["vgg11"], tmp_path, size=[*sizes])
        thread.join()
    assert 0 < killed[0] < len(sizes)
    assert [outcome.state for outcome in outcomes] == ["made"] * len(sizes)
    assert len([*tmp_path.glob("*-usage.png")]) == len(sizes)
