"""Templates filled in: with what a page shows, its styles, and its ES modules made one."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any

from padviz.version import __version__

IMPORT = re.compile(r'^import \{ (.*?) \} from "\./(\w+)\.js";$', re.MULTILINE)
EXPORT = re.compile(r"^export ((?:async )?(?:class|const|function) (\w+))", re.MULTILINE)


def filled(template: str, styles: Sequence[str], modules: Sequence[str], **facts: Any) -> str:
    """Fill a template with those facts, and with styles and modules of `static/`: no file beside it is asked for."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("padviz.pages"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    style, code = "".join(static(f"{name}.css") for name in styles), script(modules)
    shown = {**facts, "style": style, "script": code, "digest": _digest(code), "version": __version__}
    return environment.get_template(template).render(shown)


def _digest(code: str) -> str:
    """Name a script as a content policy does, which then lets no other run."""
    return f"sha256-{b64encode(sha256(code.encode()).digest()).decode()}"


def script(modules: Sequence[str]) -> str:
    """Join ES modules, in their order: each has a scope of its own, and hands on what it exports.

    >>> script(["state"]).splitlines()[-1]
    '})();'
    """
    parts = ["const modules = {};"]
    for name in modules:
        text = IMPORT.sub(r"const { \1 } = modules.\2;", static(f"{name}.js"))
        handed = ", ".join(exported for _, exported in EXPORT.findall(text))
        body = EXPORT.sub(r"\1", text)
        parts.append(f"modules.{name} = (() => {{\n{body}return {{ {handed} }};\n}})();")
    return "\n".join(parts)


def static(name: str) -> str:
    """Read a file of `static/`."""
    return files("padviz.pages").joinpath("static", name).read_text(encoding="utf-8")
