"""Forks while another thread imports, or compiles: the child counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FORKED = """
import os, sys, threading, time
import padviz
begun = threading.Event()
{other}
thread = threading.Thread(target=work, daemon=True)
thread.start()
begun.wait(30)
child = os.fork()
if not child:
    signal = __import__("signal")
    signal.alarm(20)  # which ends it
    {asked}
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0)
"""
IMPORTING = """
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "padviz.counting.usage":
            begun.set()
            time.sleep(.5)
sys.meta_path.insert(0, Slow())
def work(): padviz.usage("vgg11", 64)
"""
COMPILING = """
import numba
from numba.core.compiler_lock import global_compiler_lock
def work():
    with global_compiler_lock:
        begun.set()
        time.sleep(.5)
"""
COUNTING = """
import functools
class Slow:
    @functools.cached_property
    def value(self):
        begun.set()
        time.sleep(.5)
slow = Slow()
def work(): slow.value
"""
WAYS = {
    "imports": (IMPORTING, "padviz.usage('vgg11', 64)"),
    "compiles": (COMPILING, "with global_compiler_lock: pass"),  # as a kernel does
    "works a property out": (COUNTING, "Slow().value"),  # whose lock is its class's in Python 3.11
}


@pytest.mark.parametrize("way", WAYS)
def test_a_child_that_is_forked_while_another_thread_works_counts(way: str, tmp_path: Path) -> None:
    other, asked = WAYS[way]
    code = FORKED.format(other=other, asked=asked)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=90)
    assert (done.returncode, done.stderr) == (0, "")
