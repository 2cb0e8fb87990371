"""Sphinx configuration of the site, built by `make docs`: commands, options, schemes and the API come from the code."""

from __future__ import annotations

import re
from typing import Any

import click
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx_click.ext import ClickDirective

import padviz
from padviz.cli.group import COMMANDS, cli
from padviz.network.padding_modes import SCHEMES

project = "padviz"
author = "the padviz authors"
project_copyright = "2026, the padviz authors"
version = release = padviz.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
smartquotes = False  # which make one dash of the two before an option
strip_signature_backslash = (
    True  # which lets an argument as input_ keep its underscore in lists of parameters
)
html_theme = "furo"
html_title = f"padviz {version}"
html_extra_path = ["resnet50.html", "atlas.html"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_math_renderer = "mathml"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_use_rtype = False
python_use_unqualified_type_names = True

EXPLAINED = {name: scheme.explained.replace("|", "\\|") for name, scheme in SCHEMES.items()}
LISTS = {  # by the page: a sentence, and the lines of a list in its place
    "index": (
        "- Each command has a page in `reference/commands/`.",
        [
            f"- [padviz {name}](reference/commands/{name}.md): {words}"
            for name, words in COMMANDS.items()
        ],
    ),
    "reference/common": (
        "`padviz --help` lists the schemes.",
        [
            "| scheme | padding |",
            "|---|---|",
            *(f"| `{name}` | {words} |" for name, words in EXPLAINED.items()),
        ],
    ),
}


class Public(SphinxDirective):
    """Lay out the functions, or the types, that padviz makes public: each as autodoc reads it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        wanted = self.arguments[0] == "types"
        named = [(name, getattr(padviz, name)) for name in padviz.__all__ if name != "__version__"]
        lines = []
        for name, value in named:
            if isinstance(value, type) == wanted:
                lines += [
                    f".. auto{'class' if wanted else 'function'}:: padviz.{name}",
                    "   :members:" * wanted,
                    "",
                ]
        return self.parse_text_to_nodes("\n".join(lines))


class Options(ClickDirective):
    """The usage line and options of one command, as its --help lists them."""

    def _load_module(self, name: str) -> click.Command:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        return command

    def run(self) -> list[nodes.Node]:
        self.options["prog"] = f"padviz {self.arguments[0]}"
        (section,) = super().run()
        return list(section[1:])


def undescribed(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    lines.clear()  # the page describes the command


def unannotated(
    app: Sphinx,
    what: str,
    name: str,
    value: object,
    options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Show the type of a parameter without the option of a command."""
    return signature and re.sub(r"Annotated\[(.*?), [A-Z_]+\]", r"\1", signature), returned


def inline(writer: Any, node: nodes.math) -> None:
    """Write a formula as MathML, which browsers set without a script."""
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def displayed(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<p class="formula">{tex2mathml(node.astext(), as_block=True)}</p>')
    raise nodes.SkipNode


def reread(app: Sphinx, page: str, source: list[str]) -> None:
    """Link to the explorer page, add lists and options from the code, and tables of contents to the front page."""

    def listed(section: re.Match[str]) -> str:
        pages = "\n".join(re.findall(r"^- \[.*\]\((.*)\.(?:md|rst)\)", section[0], re.MULTILINE))
        return f"{section[0]}\n```{{toctree}}\n:hidden:\n:caption: {section[1]}\n\n{pages}\n```\n"

    source[0] = re.sub(r"\[([^\]]*)\]\(([./]*resnet50\.html)\)", r'<a href="\2">\1</a>', source[0])
    if command := page.partition("reference/commands/")[2]:
        source[0] += f"\n## All options\n\n```{{eval-rst}}\n.. options:: {command}\n```\n"
    if page in LISTS:
        sentence, lines = LISTS[page]
        assert sentence in source[0]
        source[0] = source[0].replace(sentence, "\n".join(lines))
    if page == "index":
        source[0] = re.sub(r"^## (.*)\n\n(?:(?:- |  ).*\n)+", listed, source[0], flags=re.MULTILINE)


def linked(app: Sphinx, page: nodes.document) -> None:
    """Let each picture lead to itself at its own size."""
    for picture in page.findall(nodes.image):
        picture["scale"] = 100


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("public", Public)
    app.add_directive("options", Options)
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    app.connect("sphinx-click-process-description", undescribed)
    app.connect("autodoc-process-signature", unannotated)
    app.connect("source-read", reread)
    app.connect("doctree-read", linked)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
