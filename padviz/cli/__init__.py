"""The command line: `analysis` makes commands of analyses, `commands` has the others, `group` finds both."""

from padviz.cli.group import cli as cli
