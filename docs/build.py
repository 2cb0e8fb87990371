"""Build the site, as `make docs` does: a warning is an error. `docs/build.py [FOLDER]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from atlas_page import page
from sphinx.cmd.build import main

import padviz

HERE = Path(__file__).parent

if __name__ == "__main__":
    to = Path(sys.argv[1]) if sys.argv[1:] else HERE / "_build"
    padviz.explore("resnet50").save(HERE / "resnet50.html", overwrite=True)
    (HERE / "atlas.html").write_text(page(), encoding="utf-8")
    code = main(
        ["-qWEb", "html", "--keep-going", "-d", str(to / "doctrees"), str(HERE), str(to / "html")]
    )
    sys.stdout.flush()
    sys.stderr.flush()
    # autodoc imports modules twice, and compiled ones may crash where Python takes both down
    os._exit(code)
