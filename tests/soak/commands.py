"""Command lines that are right, one for each command and habit, and what others make of them."""

from functools import cache
from pathlib import Path
from random import Random

Options = list[list[str]]  # each with its values
COMMANDS = (Path(__file__).parent / "commands.txt").read_text().splitlines()
MODELS = ["net.toml", "net.toml", "net.onnx", "net.onnx", "vgg11", "net.onnx net.toml", "a.npz", "missing.onnx"]
NUMBERS = ["0", "1", "2", "3", "5", "7", "16", "17", "99", "0.5", "-1", "1e9", "100000"]


def parsed(line: str) -> tuple[list[str], Options]:
    """The command with its models, and its options.

    >>> parsed("usage net.toml --size 8 -o a.csv --overwrite")
    (['usage', 'net.toml'], [['--size', '8'], ['-o', 'a.csv'], ['--overwrite']])
    """
    head: list[str] = []
    options: Options = []
    for word in line.split(" "):
        if word.startswith("-"):
            options.append([word])
        else:
            (options[-1] if options else head).append(word)
    return head, options


@cache
def known() -> dict[str, Options]:
    """What lines give each option, and each command."""
    found: dict[str, Options] = {}
    for (name, *_), options in map(parsed, COMMANDS):
        for option in options:
            found.setdefault(option[0], []).append(option)
            found.setdefault(name, []).append(option)
    return found


def crossed(line: str, rng: Random) -> str:
    """A line with options, values of options, and models of others: what a person may well ask for."""
    (name, *models), options = parsed(line)
    for _ in range(rng.choice((1, 2, 3))):
        at, way = rng.randrange(len(options)), rng.random()
        if way < 0.15:
            models = rng.choice(MODELS).split(" ")
        elif way < 0.3 and len(options) > 1:
            del options[at]
        elif way < 0.5:
            options.append(rng.choice(known()[name]))
        elif way < 0.6 and len(options[at]) > 1:
            options[at] = [options[at][0], rng.choice(NUMBERS)]
        else:
            options[at] = rng.choice(known()[options[at][0]])
    return " ".join([name, *models, *(word for option in options for word in option)])
