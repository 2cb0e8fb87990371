"""Damaged and hostile input: what a person, a tool or an attacker might make of files that are right."""

import re
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from tests.soak import beside

HERE = Path(__file__).parent.parent
CONFIGS = HERE.parent / "configs"
TOKEN = re.compile(r'-?\d+(?:\.\d+)?|"[^"\n]*"|[\w$.]+|\n|[^\S\n]+|.')
MARKS = '"[]{},='
WORDS = """0 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9 -1 -2 99999 100000 1000000 4096 1.5 1.3333 nan inf true false
"" "a" "b" "c" "same" "same_upper" "same_lower" "zero" "replicate" "reflect" "symmetric" "circular" "partial" "$k" "{}"
"input" "../../x" "\\u001b[31m" "\\u202e=" "1:1000000" "3/2" "4/3" [] {} [1,2] [[1,2],[0,3]] [0,0] [2,2] é x layers from
out in groups like use repeat with size scale op ceil "conv" "convtranspose" "maxpool" "avgpool" "adaptive" "global"
"pad" "crop" "resize" "gate" "add" "concat" "multiply" "block" "depthwise" "linear" "cubic" "nearest"
"half_pixel" "align_corners" 1979-05-27 ' " = , ] } [["""
HOSTILE = WORDS.split()
HOSTILE += [
    "\n",
    "\0",
    "\r",
    "\ud7ff",
    "9" * 5000,
    "1" + "0" * 30,
    "[" * 500,
    "a." * 500 + "b = 1\n",
    "ceil = true",
]


def mutant(kind: str, rng: Random) -> Any:
    """One of them: a text, bytes, or a list of arguments."""
    if kind == "TOML descriptions":
        return damaged_text(rng.choice(descriptions()), rng)
    if kind == "command lines":
        line = rng.choice(COMMANDS)
        return (
            crossed(line, rng) if rng.random() < 0.6 else damaged_text(line, rng, commands=True)
        ).split(" ")
    if kind in ("Keras files", "programs"):
        return damaged_archive(
            rng.choice(beside.keras() if kind == "Keras files" else beside.programs()), rng
        )
    return rng.choice((damaged_graph, lambda rng: damaged_bytes(rng.choice(models()), rng)))(rng)


def damaged_text(text: str, rng: Random, commands: bool = False) -> str:
    """A text with one to four of its words changed, most of them into others of their kind."""
    parts = text.split(" ") if commands else TOKEN.findall(text)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.choice(
            [
                at
                for at, part in enumerate(parts)
                if part.strip() and (part not in MARKS or rng.random() < 0.1)
            ]
        )
        alike = [word for word in (*parts, *HOSTILE) if _kind(word) == _kind(parts[at])]
        way = rng.random()
        if way < 0.7:
            parts[at] = rng.choice(alike)
        elif way < 0.9:
            parts[at] = rng.choice(HOSTILE)
        else:
            parts[at] += rng.choice(["", " ", ", "]) + rng.choice(HOSTILE) if way < 0.95 else ""
    return (" " if commands else "").join(parts)


def _kind(word: str) -> str:
    return (
        "number"
        if word.lstrip("-").replace(".", "").isdecimal()
        else word[:1]
        if word[:1] in MARKS
        else "word"
    )


def damaged_bytes(data: bytes, rng: Random) -> bytes:
    """Bytes of which some are changed, cut off, left out or doubled; a few are made from nothing."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(made)) if made else 0
        way = rng.randrange(6)
        if way < 3:
            made[at : at + 1] = bytes([rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))])
        elif way == 3:
            del made[at : at + rng.choice((1, 4, 64, len(made)))]
        elif way == 4:
            made[at:at] = made[at : at + rng.choice((1, 8, 64))]
        else:
            made[at : at + 8] = rng.choice((0, 1, 2**31, 2**63 - 1, 2**64 - 1)).to_bytes(
                8, "little"
            )
    return bytes(made)


ODD = [-(2**63), -1000, -2, -1, 0, 1, 2, 3, 7, 1000, 10**6, 2**31 - 1, 2**63 - 1]
KEYS = [
    "axis", "axes", "pads", "strides", "dilations", "kernel_shape", "perm", "blocksize", "group", "mode", "auto_pad",
    "starts", "ends", "keepdims", "split", "num_outputs", "output_shape", "output_padding", "ceil_mode", "to", "value",
]  # fmt: skip
HOWS = ["op", "input", "number", "number", "drop", "opset", "dims", "more", "more"]


def damaged_graph(rng: Random) -> bytes:
    """A file that is well formed, and makes little sense: other operations, numbers, edges, opsets."""
    from onnx import helper

    from padviz.sources.onnx.operators import OPS
    from tests.sources.test_onnx_ops import GRAPHS, MEANS, model_of

    _, opset, body = rng.choice(GRAPHS + MEANS)
    model = model_of(body, int(opset.split()[0]))
    names = sorted({name for node in model.graph.node for name in (*node.input, *node.output)})
    for _ in range(rng.randint(1, 4)):
        node, how = rng.choice(model.graph.node), rng.choice(HOWS)
        numbered = [each for each in node.attribute if each.ints]
        if how == "op":
            node.op_type = rng.choice([*sorted(OPS), "Foo", "Loop", "If", "Constant"])
        elif how == "input" and node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice(["", *names])
        elif how == "number" and numbered:
            ints = rng.choice(numbered).ints
            ints[rng.randrange(len(ints))] = rng.choice(ODD)
        elif how == "drop" and node.attribute:
            del node.attribute[rng.randrange(len(node.attribute))]
        elif how == "opset":
            model.opset_import[0].version = rng.randint(1, 25)
        elif how == "dims" and model.graph.initializer:
            rng.choice(model.graph.initializer).dims[:] = rng.choices(ODD, k=rng.randrange(6))
        elif how == "more":
            value = rng.choice([rng.choice(ODD), rng.choices(ODD, k=rng.randint(1, 3))])
            node.attribute.append(helper.make_attribute(rng.choice(KEYS), value))
    return bytes(model.SerializeToString())


def damaged_archive(content: bytes, rng: Random) -> bytes:
    """An archive with bytes changed, with words of a member changed, or with members that nobody packed."""
    if rng.random() < 0.3:
        return damaged_bytes(content, rng)
    members = beside.members(content)
    text = max(
        (name for name in members if name.endswith(".json")), key=lambda name: len(members[name])
    )
    way = rng.random()
    if way < 0.85:
        members[text] = damaged_text(members[text].decode(), rng).encode("utf-8", "surrogatepass")
    elif way < 0.9:
        members[text] = rng.choice(
            (b"[" * 100_000, b'{"a":' * 5_000, b" " * (1 << 26), b"1" * (1 << 20), b"null")
        )
    elif way < 0.95:
        members[f"{rng.choice(('/', '../', 'C:'))}{text}"] = members.pop(text)
    else:
        members.pop(rng.choice([*members]))
    return beside.packed(members, rng.random() < 0.5)


@cache
def descriptions() -> list[str]:
    """Small networks, each of them several times, and the zoo."""
    cases = [path.read_text().partition("\n[usage]")[0] for path in (HERE / "cases").glob("*.toml")]
    small = [text[text.index("size =") :] for text in cases]
    small += (HERE / "soak" / "networks.txt").read_text().split("\n\n")
    return small * 8 + [path.read_text() for path in (CONFIGS / "networks").glob("*.toml")]


@cache
def models() -> list[bytes]:
    from tests.sources.test_onnx_ops import GRAPHS, MEANS, model_of

    small = [
        model_of(body, int(opset.split()[0])).SerializeToString()
        for _, opset, body in GRAPHS + MEANS
    ]
    return [*small, *[beside.network()] * 9]


Options = list[list[str]]  # each with its values
COMMANDS = (Path(__file__).parent / "commands.txt").read_text().splitlines()
MODELS = [
    "net.toml",
    "net.toml",
    "net.onnx",
    "net.onnx",
    "vgg11",
    "net.onnx net.toml",
    "a.npz",
    "missing.onnx",
]
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
