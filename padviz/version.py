"""The version, for all who write it into files."""

__version__ = "0.1.0"
