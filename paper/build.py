"""Set the paper as a PDF, as `make paper` does: pandoc reads it, Typst sets it."""

from __future__ import annotations

from pathlib import Path

import pypandoc
import typst

HERE = Path(__file__).parent
OUT = HERE / "_build" / "paper.pdf"

if __name__ == "__main__":
    OUT.parent.mkdir(exist_ok=True)
    source = OUT.with_suffix(".typ")
    options = [
        "--standalone",
        "--citeproc",
        f"--resource-path={HERE}",
        f"--bibliography={HERE / 'paper.bib'}",
    ]
    options += ["-M", "author=The padviz authors"]
    options += [
        "-V",
        "papersize=a4",
        "-V",
        "fontsize=9pt",
        "-V",
        "margin.x=2cm",
        "-V",
        "margin.y=1.8cm",
    ]
    pypandoc.convert_file(
        str(HERE / "paper.md"), "typst", outputfile=str(source), extra_args=options
    )
    typst.compile(source, output=OUT)
    print(OUT)
