"""Where numba cannot be imported: `python -m pytest -p tests.without_numba`, or the first import of a script."""

import sys
from collections.abc import Sequence
from typing import Any


class Blocked:
    """Finds numba, and says that it is not there."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> None:
        if name.split(".")[0] == "numba":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Blocked())
