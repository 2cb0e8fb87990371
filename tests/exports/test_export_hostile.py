"""Exports among files that somebody else wrote, side by side, and killed: nothing is lost, and all ends well."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import pytest
from PIL import Image

import padviz
from padviz.exports import batch
from padviz.exports.items import Item
from padviz.exports.saving import ItemOutcome, save_item
from padviz.files.atomic import MARK, MARKED, PREFIX, locked, temporary_folder
from tests.cli.test_cli import ONE, run, told
from tests.files.test_atomic import hidden
from tests.sweeps import REST, SLOW, every_third

ITEM = "vgg11-64-usage"


pytestmark = pytest.mark.usefixtures("elsewhere")


def exported(*args: str) -> list[str]:
    result = run("export", *args, "-o", "out", "--jobs", "1")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return [
        item["item"]["name"] for item in json.loads(Path("out/index.json").read_text())["items"]
    ]


def test_a_record_that_names_files_elsewhere_deletes_none_of_them() -> None:
    exported("vgg11", "--size", "64")
    for name in ("victim.txt", "out/mine.txt"):
        Path(name).write_text("mine")
    files = [
        "../victim.txt",
        str(Path("victim.txt").absolute()),
        "mine.txt",
        "thumbs/../../victim.txt",
    ]
    path = Path(f"out/{ITEM}.json")
    facts = json.loads(path.read_text())
    facts["item"] |= {"digest": "other", "lengths": dict.fromkeys(files, 4)}
    path.write_text(json.dumps(facts))
    assert exported("vgg11", "--size", "64") == [ITEM]
    assert Path("victim.txt").read_text() == Path("out/mine.txt").read_text() == "mine"


@pytest.mark.parametrize("place", [".partial", "thumbs", f"{PREFIX}abcdefgh"])
def test_links_in_the_folder_are_not_followed(place: str) -> None:
    Path("victim").mkdir()
    Path("victim", MARK).write_bytes(MARKED)
    Path("victim/mine.txt").write_text("mine")
    Path("victim/own").mkdir()
    Path("victim/own/file").write_text("mine")
    Path("out").mkdir()
    Path("out", place).symlink_to(Path("victim").absolute())
    asked = ["export", "vgg11", "--size", "64", "-o", "out", "--jobs", "1"]
    if place == "thumbs":
        assert told(*asked) == "padviz: out/thumbs: is a link; remove it, or name another folder\n"
    else:
        assert run(*asked).exit_code == 0
    kept = {str(path) for path in Path("victim").rglob("*")}
    assert kept == {f"victim/{MARK}", "victim/mine.txt", "victim/own", "victim/own/file"}


def test_items_that_are_links_are_made_anew_and_what_they_lead_to_stays() -> None:
    exported("vgg11", "--size", "64")
    for name in (f"{ITEM}.png", f"thumbs/{ITEM}.png", f"{ITEM}.json"):
        shutil.move(Path("out", name), "kept")
        Path("out", name).symlink_to(Path("kept").absolute())
        before = Path("kept").read_bytes()
        assert exported("vgg11", "--size", "64") == [ITEM]
        assert Path("kept").read_bytes() == before
        assert not Path("out", name).is_symlink()


def test_only_what_padviz_left_is_swept() -> None:
    Path("out/.partial/stage").mkdir(parents=True)
    Path("out/.partial/stage/mine").write_text("mine")
    Path("out/.padviz-12345.csv").write_text("mine")
    kept = {"out/.partial/stage/mine", "out/.padviz-12345.csv"}
    for name, files in {
        "mine": {"mine"},
        "like": {MARK, "mine"},
        "dead": {MARK, "half.png"},
        "none": set(),
    }.items():
        stage = Path("out", PREFIX + name)
        stage.mkdir()
        for each in files:
            (stage / each).write_bytes(MARKED if each == MARK and name == "dead" else b"mine")
            kept |= {str(stage / each)} if name != "dead" else set()
    with temporary_folder(Path("out")) as living:
        exported("vgg11", "--size", "64")
        assert (living / MARK).read_bytes() == MARKED
    assert not living.exists()
    hidden = {str(path) for path in Path("out").rglob("*") if "/." in str(path) and path.is_file()}
    assert hidden == kept
    assert not Path("out", f"{PREFIX}dead").exists()
    assert not Path("out", f"{PREFIX}none").exists()


def figure(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda facts: facts.update({key: value})


def in_row(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda facts: facts["rows"][0].update({key: value})


def about(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda facts: facts["item"].update({key: value})


DAMAGED: dict[str, Callable[[dict[str, Any]], None]] = {
    "no figures": lambda facts: facts.pop("rows"),
    "nothing of what it was made of": lambda facts: facts.pop("item"),
    "figures of another kind": about("what", "uneven"),
    "no size": about("sizes", [""]),
    "a huge skew": in_row("skew_height", 10**400),
    "no target": in_row("target_layer", 3),
    "figures nested deeply": figure("more", json.loads("[" * 200 + "]" * 200)),
    "other files": about("lengths", {"index.html": 3}),
    "another name": about("name", "vgg11-65-usage"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "out"
    assert run("export", "vgg11", "--size", "64", "-o", str(folder), "--jobs", "1").exit_code == 0
    return folder


@pytest.mark.parametrize("damage", every_third(DAMAGED))
def test_damaged_records_are_passed_over_and_made_anew(damage: str, whole: Path) -> None:
    shutil.copytree(whole, "out")
    path = Path(f"out/{ITEM}.json")
    record = json.loads(path.read_bytes())
    DAMAGED[damage](record)
    path.write_text(json.dumps(record))
    assert exported("vgg11", "--size", "96") == ["vgg11-96-usage"]
    assert sorted(exported("vgg11", "--size", "64,96")) == [ITEM, "vgg11-96-usage"]
    assert path.read_bytes() == (whole / path.name).read_bytes()


def test_records_of_somebody_else_are_passed_over() -> None:
    exported("vgg11", "--size", "64", "--what", "usage,coverage,uneven,taps")
    kinds = {
        what: json.loads(Path(f"out/vgg11-64-{what}.json").read_text())
        for what in ("uneven", "taps", "coverage")
    }
    Path("out/nested.json").write_text("[" * 100_000)
    Path("out/bytes.json").write_bytes(b'{"name": "\xff"}')
    Path("out/folder.json").mkdir()
    os.mkfifo("out/pipe.json")
    wrong = {
        "uneven": {"results": [{}]},
        "taps": {"rows": []},
        "coverage": {"rows": [{}]},
    }
    for what, figures in wrong.items():
        for name, given in ((what, figures), ("javascript:alert(1)", {})):
            facts = {**kinds[what], **given}
            facts["item"] = facts["item"] | {"name": name, "lengths": {}}
            Path(f"out/{name}.json").write_text(json.dumps(facts))
    kinds["uneven"] |= {
        "target": 5,
        "skew": [],
        "min": "x",
        "marginalised": {},
    }  # which only maps have
    kinds["uneven"]["results"][0]["=cmd()"] = 1
    worse = {
        **kinds["coverage"],
        "item": {**kinds["coverage"]["item"], "name": "worse", "lengths": {}},
    }
    worse["rows"] = [{**worse["rows"][0], "share_min": "x"}]
    Path("out/worse.json").write_text(json.dumps(worse))
    Path("out/vgg11-64-uneven.json").write_text(json.dumps(kinds["uneven"]))
    assert len(exported("vgg11", "--size", "64")) == 4
    columns = Path("out/index.csv").read_text().splitlines()[0].split(",")
    assert "'=cmd()" in columns
    assert "=cmd()" not in columns


@pytest.mark.parametrize("name", ["index.html", "index.json", "index.csv"])
@pytest.mark.parametrize("kind", ["link", "pipe", "nested", "my own"])
def test_an_index_of_another_kind_is_refused_at_once(name: str, kind: str) -> None:
    Path("out").mkdir()
    path = Path("out", name)
    if kind == "link":
        path.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("[" * 100_000 if kind == "nested" else kind)
    line = told("export", "vgg11", "--size", "64", "-o", "out")
    assert line == f"padviz: {path}: exists, and padviz did not make it; name another folder\n"


@pytest.mark.parametrize("suffix", ["json", "png", "npz"])
def test_files_of_others_are_kept_and_what_a_killed_export_left_is_replaced(suffix: str) -> None:
    command = ["export", "vgg11", "--size", "64", "-o", "out", "--jobs", "1"]
    assert run(*command, "--format", "png,npz").exit_code == 0
    for name in ("index.json", "index.csv", "index.html", f"{ITEM}.json"):
        Path("out", name).unlink()
    assert run(*command, "--format", "png,npz").exit_code == 0
    shutil.rmtree("out")
    Path("out").mkdir()
    path = Path(f"out/{ITEM}.{suffix}")
    path.write_text("mine")
    assert told(*command) == (
        f"padviz: {path}: exists, and padviz did not make it; name another folder\n"
    )


def test_layers_whose_names_would_be_one_file_are_refused() -> None:
    layers = ", ".join(f'{{op = "conv", name = "{name}", kernel = 3}}' for name in ("/a/b", "/a_b"))
    Path("one.toml").write_text(f"layers = [{layers}]")
    line = told("export", "one.toml", "--size", "9", "--layer", "/a/b,/a_b", "-o", "out")
    assert (
        "called one-9-_a_b-usage: usage of one.toml /a/b, and usage of one.toml /a_b; rename one"
        in line
    )


def test_names_fit_any_file_system() -> None:
    for end in "\U00020000\U00020001":
        Path("\U00020000" * 50 + end + ".toml").write_text(ONE)
    result = run(
        "export",
        *(path.name for path in Path().glob("*.toml")),
        "--size",
        "9",
        "-o",
        "out",
        "--jobs",
        "1",
    )
    assert (result.exit_code, len([*Path("out").glob("*-usage.png")])) == (0, 2)


BOUNDS = [
    '[[maps]]\nmodels = ["vgg11"]\nsizes = [' + '"1:1000000", ' * 300 + "]",
    '[[compare]]\nname = "c"\nmodels = ["vgg11"]\nsizes = [' + '"1:1000000", ' * 300 + "]",
]


@pytest.mark.parametrize("manifest", BOUNDS)
def test_too_many_items_are_counted_before_they_are_laid_out(manifest: str) -> None:
    Path("many.toml").write_text(manifest)
    started = time.monotonic()
    assert "has more than 100000 items; split it into several exports" in told(
        "export", "many.toml", "-o", "o"
    )
    assert time.monotonic() - started < 5


def test_a_file_is_written_in_the_place_of_a_file_only() -> None:
    os.mkfifo("pipe.csv")
    Path("one.toml").write_text(ONE)
    line = told("usage", "one.toml", "--size", "9", "-o", "pipe.csv", "--overwrite")
    assert line == "padviz: pipe.csv: is not a file; name another\n"


def test_a_lock_that_is_no_file_is_refused_and_somebody_elses_stays() -> None:
    Path("out").mkdir()
    Path("out/.padviz.lock").symlink_to("../victim")
    result = run("export", "vgg11", "--size", "64", "-o", "out", "--jobs", "1")
    assert result.exit_code in (2, 3)
    assert "out/.padviz.lock: cannot be written" in result.stderr
    assert not Path("victim").exists()
    Path("out/.padviz.lock").unlink()
    Path("out/.padviz.lock").write_text("mine")
    with locked(Path("out")):
        pass
    assert Path("out/.padviz.lock").read_text() == "mine"


CODE = """
from pathlib import Path
from torch import nn

Path("ran").touch()
net = nn.Conv2d(3, 4, 3)
"""


@pytest.fixture
def code(elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "foreign_code", raising=False)
    Path("foreign_code.py").write_text(CODE)


@pytest.mark.parametrize("model", ["foreign_code:net", "./foreign_code:net"])
@pytest.mark.parametrize(
    "table", ["[[maps]]", "[[compare]]\nname = 'x'\npaddings = ['zero', 'reflect']"]
)
def test_a_manifest_that_names_code_is_refused(table: str, model: str, code: None) -> None:
    Path("survey.toml").write_text(f"{table}\nmodels = ['{model}']\nsizes = [32]\n")
    line = told("export", "survey.toml", "-o", "out", "--jobs", "1")
    assert line.startswith(f"padviz: survey.toml, {model}: names code that would run; ")
    assert "--allow-modules" in line
    with pytest.raises(padviz.PadvizError, match="`allow_modules`"):
        padviz.export("survey.toml", "out", jobs=1)
    assert not Path("ran").exists()
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "asked", [["survey.toml", "--allow-modules"], ["foreign_code:net", "--size", "32"]]
)
def test_allowed_or_on_the_command_line_it_runs(asked: list[str], code: None) -> None:
    Path("survey.toml").write_text("[[maps]]\nmodels = ['foreign_code:net']\nsizes = [32]\n")
    result = run("export", *asked, "-o", "out", "--jobs", "1", "--format", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert Path("ran").exists()


def test_a_module_that_hides_an_installed_one_is_said_once_for_each_model() -> None:
    Path("hypothesis.py").write_text("from torch import nn\nnet = nn.Conv2d(3, 4, 3)\n")
    tables = "[[maps]]\nmodels = ['hypothesis:net']\nsizes = [32, 33]\n" * 2
    Path("survey.toml").write_text(
        tables + "[[compare]]\nname = 'c'\nmodels = ['hypothesis:net']\nsizes = [32, 64]\n"
    )
    line = "export survey.toml --allow-modules -o out --jobs 1 --format json"
    done = subprocess.run(
        [sys.executable, "-m", "padviz", *line.split()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("padviz: hypothesis:net: hypothesis is ")
    assert "hides the hypothesis that is installed" in done.stderr


def test_what_hides_an_installed_module_is_said_before_its_code_runs() -> None:
    Path("hypothesis.py").write_text("raise ValueError('no')\n")
    Path("survey.toml").write_text("[[maps]]\nmodels = ['hypothesis:net']\nsizes = [32]\n")
    command = [
        sys.executable,
        "-m",
        "padviz",
        "export",
        "survey.toml",
        "--allow-modules",
        "-o",
        "out",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert ["hides" in line for line in done.stderr.splitlines()] == [True, False]


fcntl = pytest.importorskip("fcntl", reason="this system has no locks that end with their process")


def started(*args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "padviz", *args]
    return subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def indexed() -> dict[str, int]:
    """The items of the index, and how many bytes each one's first file has; all that it lists is whole."""
    items = [facts["item"] for facts in json.loads(Path("out/index.json").read_text())["items"]]
    for item in items:
        assert {name: Path("out", name).stat().st_size for name in item["lengths"]} == item[
            "lengths"
        ], item["name"]
        for name in item["lengths"]:
            if name.endswith(".png"):
                with Image.open(Path("out", name)) as picture:
                    picture.load()
            else:
                padviz.read_counts(Path("out", name))
    return {item["name"]: next(iter(item["lengths"].values())) for item in items}


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
        while (
            not [*Path("out").glob(f"{PREFIX}*/vgg11-64-usage.json")] and time.monotonic() < until
        ):
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
    process = started(
        "export", "vgg11", "resnet18", "--size", "64:512:8", "--jobs", "4", "-o", "out"
    )
    while len(session(process.pid)) < 4 and process.poll() is None:
        time.sleep(0.001)
    time.sleep(0.1)  # Python loads, and its handlers are not set yet
    os.killpg(process.pid, signal.SIGINT)
    assert (process.communicate(timeout=60)[1], process.returncode) == (
        "padviz: interrupted\n",
        130,
    )


def make_or_die(
    group: Sequence[tuple[Item, str]], folder: Path, look: Any, caller: int
) -> list[ItemOutcome]:
    """What the kernel does to a process where memory is short."""
    if any(item.about["sizes"] == ["64x64"] for item, _ in group):
        os.kill(os.getpid(), signal.SIGKILL)
    return [save_item(*each, folder, look) for each in group]


@SLOW
def test_a_worker_that_is_killed_fails_its_item_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_make_all", make_or_die)
    done = run("export", "vgg11", "--size", "32,64,96,128", "--jobs", "2", "-o", "out")
    assert done.exit_code == 3
    assert (
        "padviz: vgg11-64-usage: its process was killed, perhaps for lack of memory\n"
        in done.stderr
    )
    assert {*indexed()} == {f"vgg11-{n}-usage" for n in (32, 96, 128)}
    assert hidden() == []


@SLOW
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("few", [0, pytest.param(1, marks=REST), 5])
def test_workers_end_with_their_export_and_the_next_run_leaves_nothing(
    few: int, ending: str
) -> None:
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
    assert (process.returncode, words) == (
        ENDINGS[ending],
        "padviz: interrupted\n" if ending == "SIGINT" else "",
    )
    if ending != "SIGKILL":  # which lets nobody tidy up
        assert hidden() == []
    assert run("export", "vgg11", "--size", "64", "-o", "out", "--jobs", "1").exit_code == 0
    assert hidden() == []
    assert len(indexed()) > few


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    distributed = pytest.importorskip(
        "dask.distributed", reason="the extra padviz[dask] is not installed"
    )
    sizes = range(64, 64 + 8 * 20, 8)
    killed = []

    def kill(pid: int) -> None:
        while not (found := [*tmp_path.glob("*-usage.png")]):
            time.sleep(0.05)
        killed.append(len(found))
        os.kill(pid, signal.SIGKILL)

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
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


def test_no_file_of_the_current_folder_says_where_compiled_code_is() -> None:
    Path(".numba_config.yaml").write_text("cache_dir: here\ncache_locator_classes: here.Locator\n")
    shown = "from numba.core import config; print([config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES])"
    code = f"from padviz.cli import cli\ntry: cli(['--version'])\nexcept SystemExit: {shown}"
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CACHE")
    }
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean)
    assert done.stdout.splitlines()[1] == "['', '']"


@pytest.mark.parametrize(
    "line", ["usage vgg11 --size 64 -o a.png", "export vgg11 --size 64,96 -o out --jobs 2"]
)
def test_settings_of_the_current_folder_change_no_picture(line: str) -> None:
    Path("matplotlibrc").write_text(
        "text.usetex: True\nbackend: module://none\nlines.linewidth: abc\nnonsense\n"
    )
    command = [sys.executable, "-m", "padviz", *line.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_quiet_silences_the_processes_that_draw(tmp_path: Path) -> None:
    warns = "import sys, warnings\nif 'loky' in ' '.join(sys.orig_argv): warnings.warn('heard')\n"
    (tmp_path / "sitecustomize.py").write_text(warns)
    heard = []
    for quiet in ([], ["-q"]):
        line = ["export", "vgg11", "--size", "64,96", "--format", "json", "--jobs", "2", *quiet]
        done = subprocess.run(
            [sys.executable, "-m", "padviz", *line, "-o", f"out{len(heard)}"],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
        )
        heard.append("heard" in done.stderr)
    assert heard == [True, False]


@pytest.mark.parametrize("started", [["-P", "-m"], ["-m"]])
def test_modules_of_the_current_folder_do_not_run(started: list[str]) -> None:
    for name in (
        "numpy",
        "random",
        "json",
        "pickle",
        "joblib",
        "multiprocessing",
        "signal",
        "click",
    ):
        Path(f"{name}.py").write_text("open('RAN', 'w'); raise ImportError('not the library')")
    command = [
        sys.executable,
        *started,
        "padviz",
        "export",
        "vgg11",
        "--size",
        "64,96",
        "-o",
        "out",
        "--jobs",
        "2",
    ]
    done = subprocess.run(
        [*command, "--format", "json"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert not Path("RAN").exists()
