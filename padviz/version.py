"""The version, for all who write it into files, and those of the JSON that padviz writes."""

__version__ = "0.2.0"
SCHEMAS = {  # by the command that prints it, or by the file; those of the others are 1
    "audit": 5,
    "compare": 2,
    "layers": 2,
    "repad": 2,
    "rings": 3,
    "seen": 2,
    "sizes": 2,
    "taps": 2,
    "tiles": 5,
    "trial": 2,
    "uneven": 2,
    "usage": 4,
    "explorer": 5,
    "export": 5,
}
