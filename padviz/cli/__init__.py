"""The command line: `building` makes options of parameters, `running` calls the function, `group`
has all.
"""

from padviz.cli.group import cli as cli
