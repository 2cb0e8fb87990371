"""The command line: one file for each command that is more than its function; `group` finds them."""

from padviz.cli.group import cli as cli
