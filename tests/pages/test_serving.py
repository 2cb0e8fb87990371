"""`padviz explore --serve`: files that are dropped have their page, and nobody else gets anything."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import padviz
from padviz.cli import serving
from tests.cli.test_cli import told
from tests.pages.browser import after, expect, ready, rests_at
from tests.sweeps import SLOW

NET = """layers = [
    {op = "conv", name = "first", kernel = 5, padding = 2},
    {op = "conv", name = "second", kernel = 3, padding = 1, stride = 2},
]"""


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address."""
    command = [sys.executable, "-m", "padviz", "explore", "--serve", *arguments]
    environment = {**os.environ, "TMPDIR": str(folder)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline().split()[1]
        finally:
            process.kill()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("served"), "--size", "40x48", "--padding", "zero,reflect") as (_, address):
        yield address


def asked(address: str, method: str = "GET", path: str = "", body: Any = None, **headers: str) -> tuple[int, str]:
    """The status and the text that a request is answered; a header is left out by ""."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    connection.putrequest(method, parts.path + path if not path.startswith("//") else path[1:], skip_host=True)
    length = {} if body is None else {"Content-Length": str(len(body))}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in {"Host": parts.netloc, **length, **named}.items():
        if value:
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_a_file_that_is_dropped_has_its_page(browser: Any, address: str, tmp_path: Path) -> None:
    (tmp_path / "my net.toml").write_text(NET)
    page = browser.new_page()
    failed: list[str] = []
    page.on("console", lambda message: failed.append(message.text))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(address)
    script = """text => {
        const data = new DataTransfer();
        data.items.add(new File([text], "my net.toml"));
        for (const name of ["dragover", "drop"])
            dispatchEvent(new DragEvent(name, {dataTransfer: data, cancelable: true}));
    }"""
    page.evaluate(script, NET)
    ready(page)
    found = padviz.audit(tmp_path / "my net.toml", (40, 48))
    expect(page.locator("#finding")).to_have_text(f"at 40 × 48 px: {found.verdict}")
    expect(page.locator("h1")).to_have_text("my_net")
    after(page, lambda: page.evaluate("() => { location.hash = 'at=0,0'; }"))
    rests_at(page, 0, 0)
    counts = padviz.usage(tmp_path / "my net.toml", (40, 48))
    expect(page.locator("#panel-a .paths")).to_have_text(f"{counts.at(0, 0):,} paths")
    page.goto(address)
    page.set_input_files("#file", files=[{"name": "broken.onnx", "mimeType": "", "buffer": b"no network"}])
    expect(page.locator("#said")).to_contain_text("broken.onnx: ")
    assert page.url == address
    assert [line for line in failed if "422" not in line] == []
    page.close()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", ""])
def test_another_host_is_not_served(address: str, host: str) -> None:
    assert asked(address, Host=host) == (403, "this host is not served\n")
    assert asked(address, "POST", "file?name=a.toml", NET.encode(), Host=host)[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "//",
        "//x/",
        "//../../etc/passwd",
        "../etc/passwd",
        "..%2f..%2fetc/passwd",
        "%2e%2e/x",
        "/",
        "a/b",
        "x?y",
    ],
)
def test_nothing_but_its_pages_can_be_read(address: str, path: str) -> None:
    status, text = asked(address, path=path)
    assert (status, text) == (404, "there is no such page\n")


def test_who_has_no_token_has_nothing(address: str) -> None:
    parts = urlsplit(address)
    for token in ("", "x", parts.path[1:-2], "%C3%A9"):
        assert asked(f"http://{parts.netloc}/", path=f"//{token}/")[0] == 404
    assert len(parts.path) > 30


def test_another_page_cannot_send_a_file(address: str) -> None:
    for origin in ("https://evil.example", "null"):
        assert asked(address, "POST", "file?name=a.toml", NET.encode(), Origin=origin)[0] == 403
    own = address.rpartition("/")[0].rpartition("/")[0]
    assert asked(address, "POST", "file?name=a.toml", NET.encode(), Origin=own)[0] == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Length": str(serving.MOST_BYTES + 1)}, 413),
        ({"Content_Length": ""}, 411),
        ({"Content_Length": "-1"}, 411),
        ({"Content_Length": "9" * 30}, 411),
    ],
)
def test_a_file_is_not_larger_than_told(address: str, headers: dict[str, str], status: int) -> None:
    found, line = asked(address, "POST", "file?name=a.onnx", b"", **headers)
    assert (found, line.count("\n"), line.startswith("a.onnx: ")) == (status, 1, True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.onnx", b"\x08\x07" + os.urandom(300)),
        ("a.keras", b"PK\x03\x04" + bytes(200)),
        ("a.pt2", b"PK\x05\x06" + bytes(18)),
        ("a.toml", b"layers = [" * 2000),
        ("resnet18", b""),
        ("padviz.py", b"open('ran', 'w')"),
        ("-o", b"x"),
        ("<script>alert(1)</script>.toml", NET.replace("conv", "</script>").encode()),
        ("../../../etc/passwd", b""),
    ],
)
def test_what_is_no_network_is_answered_by_one_line(address: str, name: str, content: bytes) -> None:
    from urllib.parse import quote

    status, line = asked(address, "POST", f"file?name={quote(name)}", content)
    assert (status, line.count("\n")) == (422, 1)
    assert serving.plain(name) in line
    assert tempfile.gettempdir() not in line
    assert "<" not in line.replace("</script>", "")


def test_a_file_cannot_have_others_read(address: str, tmp_path: Path) -> None:
    """External data that lie elsewhere, of which a page would show what they hold."""
    onnx = pytest.importorskip("onnx")
    (tmp_path / "weights").write_bytes(bytes(36))
    weights = onnx.helper.make_tensor("w", 1, [1, 1, 3, 3], [0.0] * 9)
    weights.ClearField("float_data")
    weights.data_location = 1
    entry = weights.external_data.add()
    entry.key, entry.value = "location", str(tmp_path / "weights")
    ends = [[onnx.helper.make_tensor_value_info(name, 1, [1, 1, 8, 8])] for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Conv", ["x", "w"], ["y"])], "g", *ends, [weights])
    status, text = asked(address, "POST", "file?name=a.onnx", onnx.helper.make_model(graph).SerializeToString())
    assert status in (201, 422)  # its shape alone is read, or nothing
    assert str(tmp_path) not in text


def test_a_file_that_ends_early_is_no_file(address: str) -> None:
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        head = f"POST {parts.path}file?name=a.toml HTTP/1.0\r\nHost: {parts.netloc}\r\nContent-Length: 100\r\n\r\n"
        connection.sendall(head.encode() + b"layers")
        connection.shutdown(socket.SHUT_WR)
        assert b"a.toml: ended early" in b"".join(iter(lambda: connection.recv(4096), b""))


def test_it_listens_to_this_computer_alone() -> None:
    with serving.Server() as server:
        assert server.server_address[0] == "127.0.0.1"
        other = serving.Server()
        assert server.token != other.token
        folder = other.folder
        other.server_close()
        assert not folder.exists()


def test_old_pages_go() -> None:
    with serving.Server() as server:
        names = [server.kept(b"%d" % i) for i in range(serving.MOST_PAGES + 3)]
        assert [*server.pages] == ["", *names[3:]]


def test_what_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_SECONDS", 0.01)
    (tmp_path / "a.toml").write_text(NET)
    with serving.Server() as server, pytest.raises(serving.Refused, match=r"a\.toml: takes longer"):
        server.page_of(tmp_path, "a.toml")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=SLOW)])
def test_it_stops_with_ctrl_c_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    with served(tmp_path) as (process, address):
        assert asked(address)[0] == 200
        assert len(os.listdir(tmp_path)) == 1
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 128 + number
        assert said in ("padviz: interrupted\n", "")
        assert os.listdir(tmp_path) == []
        with pytest.raises(ConnectionRefusedError):
            asked(address)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["vgg11", "--serve"], "leave out MODEL"),
        (["--serve", "-o", "a.html"], "leave out -o"),
        (["--serve", "--neutral", "Foo"], "leave out --neutral"),
        ([], "see padviz explore --help"),
    ],
)
def test_what_does_not_go_with_it_is_refused(
    arguments: list[str], advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert advice in told("explore", *arguments)
