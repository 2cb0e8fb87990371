"""HTML from templates, with styles and ES modules inside, and the gallery of an export."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any

from padviz.version import __version__

IMPORT = re.compile(r'^import \{ (.*?) \} from "\./(\w+)\.js";$', re.MULTILINE)
EXPORT = re.compile(r"^export ((?:async )?(?:class|const|function) (\w+))", re.MULTILINE)


def fill(template: str, styles: Sequence[str], modules: Sequence[str], **facts: object) -> str:
    """Fill a template with facts, styles and modules of `static/`: the page loads no other file."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("padviz.pages"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    style, code = "".join(static(f"{name}.css") for name in styles), script(modules)
    # the policy allows this script only
    digest = f"sha256-{b64encode(sha256(code.encode()).digest()).decode()}"
    shown = {**facts, "style": style, "script": code, "digest": digest, "version": __version__}
    return environment.get_template(template).render(shown)


def script(modules: Sequence[str]) -> str:
    """Join ES modules, in order: each has its own scope, and returns its exports.

    >>> script(["state"]).splitlines()[-1]
    '})();'
    """
    parts = ["const modules = {};"]
    for name in modules:
        text = IMPORT.sub(r"const { \1 } = modules.\2;", static(f"{name}.js"))
        exports = ", ".join(exported for _, exported in EXPORT.findall(text))
        body = EXPORT.sub(r"\1", text)
        parts.append(f"modules.{name} = (() => {{\n{body}return {{ {exports} }};\n}})();")
    return "\n".join(parts)


def static(name: str) -> str:
    """Read a file of `static/`."""
    return files("padviz.pages").joinpath("static", name).read_text(encoding="utf-8")


def gallery(title: str, cards: Sequence[Mapping[str, Any]], failed: Mapping[str, str]) -> str:
    """Return the gallery: cards of `padviz.exports.index`, and the errors of failed items."""
    filters = {
        key: sorted({value for card in cards for value in card[key] if value}, key=natural)
        for key in ("what", "network", "size", "padding")
    }
    facts = {
        "title": title,
        "cards": cards,
        "filters": filters,
        "failed": failed,
        "images": "'self' file: data:",
    }
    return fill("gallery.html.j2", ("look", "gallery"), ("state", "gallery"), **facts)


def natural(text: str) -> list[tuple[int, str]]:
    """Return a sort key by which numbers in a text, however long, sort as numbers.

    >>> sorted(["a-100", "a-64"], key=natural)
    ['a-64', 'a-100']
    """
    parts = ((part, part.lstrip("0")) for part in re.split(r"(\d+)", text))
    return [(len(digits), digits) if part.isdecimal() else (-1, part) for part, digits in parts]
