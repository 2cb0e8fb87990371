"""The version, for all who write it into files, and that of the JSON that padviz writes."""

__version__ = "0.9.0"
# One for all commands and files: a key that goes, or means something else, raises it.
SCHEMA_VERSION = 6
