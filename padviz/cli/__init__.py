"""The command line: `building` makes options of annotated parameters, `running` calls the function, `group` finds it."""

from padviz.cli.group import cli as cli
