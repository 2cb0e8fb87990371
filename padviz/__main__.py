"""`python -m padviz`."""

from padviz.cli import cli

cli(prog_name="padviz")
