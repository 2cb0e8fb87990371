"""The commands that do more than show what their function returns."""

from __future__ import annotations

from padviz.cli.running import Runner

RUNNERS: dict[str, Runner] = {}
