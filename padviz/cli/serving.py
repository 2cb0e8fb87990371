"""A local server on whose page a file is dropped: on the loopback address alone, for who knows its token."""

from __future__ import annotations

import hmac
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import rmtree
from threading import Lock, Semaphore
from urllib.parse import parse_qs, urlsplit

from padviz.pages.filling import filled

MOST_BYTES = 1 << 30  # of a file
MOST_SECONDS = 120  # until its page is there
MOST_PAGES = 8  # that are kept
AT_ONCE = 2  # files that are read
BLOCK = 1 << 20
STYLES, MODULES = ("look", "drop"), ("drop",)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Refused(Exception):
    """What a request is answered instead of a page: a status and one line."""

    def __init__(self, status: int, line: str) -> None:
        self.status, self.line = status, line
        super().__init__(line)


class Server(ThreadingHTTPServer):
    """Serves the page on which files are dropped, and the pages that are made of them; it reads no other file.

    Each file is read by a process of its own, with the arguments of `padviz explore` that it is given.

    >>> with Server() as server:
    ...     server.address.startswith("http://127.0.0.1:"), server.address.endswith("/")
    (True, True)
    """

    daemon_threads = True

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.arguments, self.token = arguments, secrets.token_urlsafe(24)
        drop = {"title": "padviz", "images": "data:", "connects": "'self'", "most": MOST_BYTES}
        self.pages = {"": filled("drop.html.j2", STYLES, MODULES, **drop).encode()}
        self.folder = Path(tempfile.mkdtemp(prefix="padviz-"))
        self.turns, self.lock, self.running = Semaphore(AT_ONCE), Lock(), set[subprocess.Popen[bytes]]()

    @property
    def address(self) -> str:
        """Where the page is, with the token."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What the address may be called: a name that leads here from elsewhere is none of them."""
        return tuple(f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost"))

    def server_close(self) -> None:
        """Close it, and end what still reads a file: nothing is left of them."""
        super().server_close()
        with self.lock:
            for process in self.running:
                process.kill()
        rmtree(self.folder, ignore_errors=True)

    def kept(self, page: bytes) -> str:
        """Keep a page, in the place of the oldest where there are many; tell its name."""
        name = secrets.token_urlsafe(9)
        with self.lock:
            self.pages[name] = page
            for oldest in [*self.pages][1:-MOST_PAGES]:
                del self.pages[oldest]
        return name

    def page_of(self, folder: Path, name: str) -> bytes:
        """Make the page of a file that is alone in a folder."""
        command = [sys.executable, "-P", "-m", "padviz", "explore", f"./{name}", *self.arguments, "-o", "page.html"]
        quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
        with (
            self.turns,
            subprocess.Popen(
                command, cwd=folder, stdin=quiet, stdout=quiet, stderr=pipe, start_new_session=True
            ) as process,
        ):
            with self.lock:
                self.running.add(process)
            try:
                said = process.communicate(timeout=MOST_SECONDS)[1]
            except subprocess.TimeoutExpired:
                raise Refused(422, f"{name}: takes longer than {MOST_SECONDS} s; use padviz explore {name}") from None
            finally:
                process.kill()
                with self.lock:
                    self.running.discard(process)
        lines = said.decode(errors="replace").splitlines()
        if process.returncode == 0:
            return (folder / "page.html").read_bytes()
        line = lines[-1].removeprefix("padviz: ") if process.returncode == 2 and lines else f"{name}: cannot be read"
        raise Refused(422, line)


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Server
    server_version, sys_version, timeout = "padviz", "", 60  # seconds without a byte

    def do_GET(self) -> None:
        """Answer with a page."""
        self.answer(self.page)

    def do_POST(self) -> None:
        """Take a file, and answer with the name of its page."""
        self.answer(self.taken)

    def answer(self, act: Callable[[], tuple[int, str, bytes]]) -> None:
        """Send what an act gives, or the line of a refusal."""
        try:
            status, kind, body = act()
        except Refused as refused:
            status, kind, body = refused.status, "text/plain", f"{refused.line}\n".encode()
        self.send_response(status)
        for key, value in {**HEADERS, "Content-Type": f"{kind}; charset=utf-8", "Content-Length": len(body)}.items():
            self.send_header(key, str(value))
        self.end_headers()
        self.wfile.write(body)

    def page(self) -> tuple[int, str, bytes]:
        page = self.server.pages.get(self.place()[0])
        if page is None:
            raise Refused(404, "there is no such page")
        return 200, "text/html", page

    def taken(self) -> tuple[int, str, bytes]:
        place, query = self.place()
        if place != "file":
            raise Refused(404, "there is no such page")
        origin = self.headers.get("Origin")
        if origin is not None and origin.removeprefix("http://") not in self.server.hosts:
            raise Refused(403, "another page asks for this")
        name = plain(parse_qs(query).get("name", [""])[0])
        with tempfile.TemporaryDirectory(dir=self.server.folder, ignore_cleanup_errors=True) as folder:
            self.store(Path(folder, name))
            return 201, "text/plain", self.server.kept(self.server.page_of(Path(folder), name)).encode()

    def place(self) -> tuple[str, str]:
        """Tell what a request asks for, behind the token, and its query."""
        if self.headers.get("Host") not in self.server.hosts:
            raise Refused(403, "this host is not served")
        parts = urlsplit(self.path)
        _, token, *rest = parts.path.encode(errors="replace").split(b"/")
        if not hmac.compare_digest(token, self.server.token.encode()) or len(rest) != 1:
            raise Refused(404, "there is no such page")
        return rest[0].decode(errors="replace"), parts.query

    def store(self, path: Path) -> None:
        """Write what is sent to a file."""
        told = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,15}", told):
            raise Refused(411, f"{path.name}: its length is not told")
        left = int(told)
        if left > MOST_BYTES:
            raise Refused(413, f"{path.name}: is larger than {MOST_BYTES >> 20} MB; use padviz explore {path.name}")
        with path.open("wb") as file:
            while left:
                if not (block := self.rfile.read(min(left, BLOCK))):
                    raise Refused(400, f"{path.name}: ended early")
                left -= file.write(block)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of requests."""


def plain(name: str) -> str:
    """Make the name of a file of what a browser calls one: no folder, no blank, nothing that a shell reads.

    >>> plain("../a b/net 1.onnx"), plain("C:\\\\x\\\\net.onnx"), plain("..")
    ('net_1.onnx', 'net.onnx', 'network')
    """
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[^\w.+-]", "_", last).lstrip(".-")[-80:] or "network"
