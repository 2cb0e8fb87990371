"""What padviz promises, a fact a line: `make promises` writes them to promised.txt.

Python: each public name, its parameters and their defaults, and the public attributes of classes. The shell: each
command, its arguments and options with the words of a choice. JSON: the keys of each command's rows, with their types.
A line that goes is a change that breaks what somebody wrote; one that is new promises more.
"""

import dataclasses
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import padviz
from padviz.cli.group import COMMANDS, cli

FILE = Path(__file__).with_name("promised.txt")
SCHEMAS = Path(__file__).parents[2] / "docs" / "reference" / "schemas"


def in_python() -> Iterator[str]:
    for name in padviz.__all__:
        value = getattr(padviz, name)
        if inspect.isclass(value):
            yield f"python {name}"
            yield from of_class(name, value)
        elif callable(value):
            yield f"python {name}"
            yield from parameters(name, value)


def parameters(name: str, function: object) -> Iterator[str]:
    signature = inspect.signature(function)  # type: ignore[arg-type]
    for place, parameter in enumerate(signature.parameters.values()):
        if parameter.name == "self":
            continue
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        by_name = parameter.kind is parameter.KEYWORD_ONLY
        yield f"python {name}, {'by name' if by_name else place}: {parameter.name}{default}"


def of_class(name: str, value: type) -> Iterator[str]:
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if not field.name.startswith("_"):
                yield f"python {name}.{field.name}"
    for attribute, member in vars(value).items():
        if attribute.startswith("_"):
            continue
        yield f"python {name}.{attribute}"
        if inspect.isfunction(member):
            yield from parameters(f"{name}.{attribute}", member)


def in_shell() -> Iterator[str]:
    context = click.Context(cli)
    for name in COMMANDS:
        yield f"shell {name}"
        command = cli.get_command(context, name)
        assert command is not None
        for place, parameter in enumerate(command.params):
            if isinstance(parameter, click.Argument):
                yield f"shell {name}, argument {place}: {parameter.name}"
            elif isinstance(parameter, click.Option):
                yield from of_option(name, parameter)


def of_option(command: str, option: click.Option) -> Iterator[str]:
    for spelling in option.opts:
        typed = f"shell {command} {spelling}"
        yield typed if option.is_flag else f"{typed} takes a value"
        if isinstance(option.type, click.Choice):
            for word in option.type.choices:
                yield f"{typed} {word}"


def in_json() -> Iterator[str]:
    for path in SCHEMAS.glob("*.json"):
        rows = json.loads(path.read_text())["properties"]["rows"]["items"]
        for key, kind in rows["properties"].items():
            always = "" if key in rows["required"] else ", where it is known"
            yield f"json {path.stem} {key}: {in_words(kind)}{always}"


def in_words(kind: dict[str, Any]) -> str:
    """Return a type of JSON Schema in words.

    >>> in_words({"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]})
    'null or list of integer'
    """
    if "anyOf" in kind:
        words = {part for one in kind["anyOf"] for part in in_words(one).split(" or ")}
        return " or ".join(sorted(words, key=lambda word: (word != "null", word)))
    if "enum" in kind:
        return " or ".join(map(json.dumps, kind["enum"]))
    if kind.get("type") == "array":
        return f"list of {in_words(kind['items'])}".replace(" or ", "|")
    return str(kind.get("type", "anything"))


def promises() -> list[str]:
    return sorted({*in_python(), *in_shell(), *in_json()})


if __name__ == "__main__":
    FILE.write_text("".join(f"{line}\n" for line in promises()))
