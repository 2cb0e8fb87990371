"""Build the site, as `make docs` does: a warning is an error."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sphinx.cmd.build import main

HERE = Path(__file__).parent

if __name__ == "__main__":
    code = main(["-q", "-W", "--keep-going", "-E", "-b", "html", str(HERE), str(HERE / "_build" / "html")])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # autodoc imports modules twice, and compiled ones may crash where Python takes both down
