"""How the site is built: `make docs`. Its reference of commands and of Python is read from the code."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import padviz

project = "padviz"
author = "the padviz authors"
project_copyright = "2026, the padviz authors"
version = release = padviz.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
smartquotes = False  # which make one dash of the two before an option
html_theme = "furo"
html_title = f"padviz {version}"
html_extra_path = ["resnet50.html"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_use_rtype = False
python_use_unqualified_type_names = True


README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SECTIONS = {  # of README, and the page that each is on
    "the-commands": "reference/guide.md",
    "zeros-or-the-grid": "evidence/experiment.md",
    "limits": "evidence/limits.md",
    "the-cure-applied": "howto/repad.md",
    "from-python-and-notebooks": "reference/notebooks.md",
    "your-own-network": "reference/networks.md",
    "how-fast": "evidence/benchmarks.md",
}


def fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    """Put a section of README where a page asks for it, with its links as that page sees them."""
    home = os.path.relpath(".", Path(page).parent)

    def section(asked: re.Match[str]) -> str:
        text = README.partition(f"\n## {asked[1]}\n")[2].partition("\n## ")[0]
        assert text, f"{page}: README has no section {asked[1]!r}"
        text = re.sub(r"\]\(docs/", f"]({home}/", text)
        text = re.sub(r"\]\(#([\w-]+)\)", lambda to: f"]({home}/{SECTIONS[to[1]]})", text)
        return re.sub(r"\[([^]`]+)\]\((?:experiments/|configs/|examples/|CONTRIBUTING)[^)]*\)", r"`\1`", text)

    source[0] = re.sub(r"<!-- README: (.*) -->", section, source[0])


class Public(SphinxDirective):
    """Lay out the functions, or the types, that padviz makes public: each as autodoc reads it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        wanted = self.arguments[0] == "types"
        named = [(name, getattr(padviz, name)) for name in padviz.__all__ if name != "__version__"]
        lines = []
        for name, value in named:
            if isinstance(value, type) == wanted:
                lines += [f".. auto{'class' if wanted else 'function'}:: padviz.{name}", "   :members:" * wanted, ""]
        return self.parse_text_to_nodes("\n".join(lines))


def inline(writer: Any, node: nodes.math) -> None:
    """Write a formula as MathML, which browsers set without a script."""
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def displayed(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<p class="formula">{tex2mathml(node.astext(), as_block=True)}</p>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("public", Public)
    app.connect("source-read", fill_in)
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    app.add_lexer("mermaid", TextLexer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
