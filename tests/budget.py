"""Tokens of each room against tests/budget.toml: `python -m tests.budget`, or `--lower` to write what is below."""

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUDGET = ROOT / "tests" / "budget.toml"
# of each room of "padviz" and "tests", and their sum; of each suffix of "text"
Counts = dict[str, dict[str, int]]
HEAD = """# Tokens of Python code of each room, and their sum; "top" is those in no folder. "packed" counts what packs
# several thoughts into one line, and functions of more than 15 branches; "text" words of files that are not Python.
# `make check` fails above them, and `python -m tests.budget --lower` lowers them. To raise one, edit it in a commit
# that says which feature it buys.
"""
LAYOUT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip
# a string of several names, such as "size cmap"
NAMES = re.compile(r"""[rbu]*["']([a-z_-]+(?: [a-z_-]+)+)["']""")
TEXT = ("html", "j2", "js", "toml")
MANY = 15  # branches of a function
BRANCHES = (
    ast.If
    | ast.For
    | ast.While
    | ast.ExceptHandler
    | ast.IfExp
    | ast.match_case
    | ast.Assert
    | ast.Lambda
)
TRUTH = ast.Compare | ast.BoolOp


def tokens(code: str) -> int:
    """Count the tokens of Python code, alike in each version of Python.

    Comments, docstrings, imports and layout are left out. A string of several names counts as its names.

    >>> tokens("import numpy as np"), tokens("x = 1  # one"), tokens("x = 'size cmap'"), tokens("x = f'{a} {b!r:>4}'")
    (0, 3, 4, 3)
    """
    quiet = _quiet_lines(ast.parse(code))
    count = depth = 0
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        # Until Python 3.11 an f-string is one token. From then on it is several between a start and an end, which can
        # hold f-strings themselves: only the outermost start is counted.
        name = tokenize.tok_name[token.type]
        starts, ends = (
            name in ("FSTRING_START", "TSTRING_START"),
            name in ("FSTRING_END", "TSTRING_END"),
        )
        depth += starts - ends
        if token.type in LAYOUT or token.start[0] in quiet or ends or depth > starts:
            continue
        names = NAMES.fullmatch(token.string)
        count += len(names[1].split()) if names else 1
    return count


def _quiet_lines(tree: ast.Module) -> set[int]:
    """Return the lines of docstrings and imports."""
    quiet: list[ast.stmt] = []
    for node in ast.walk(tree):
        match node:
            case ast.Import() | ast.ImportFrom():
                quiet.append(node)
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                if ast.get_docstring(node, clean=False) is not None:
                    quiet.append(node.body[0])
    return {
        line for node in quiet for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def branches(function: ast.AST) -> int:
    """Count the ways through a function, also those within one line, which McCabe's number leaves out.

    >>> branches(ast.parse("def f(x):\\n    return [a or b for a, b in x if a] * (x != 3)"))
    5
    """
    count = 1
    for node in ast.walk(function):
        match node:
            case ast.BoolOp():
                count += len(node.values) - 1
            case ast.comprehension():
                count += 1 + len(node.ifs)
            case ast.BinOp(op=ast.Mult()):
                count += isinstance(node.left, TRUTH) or isinstance(node.right, TRUTH)
            case _:
                count += isinstance(node, BRANCHES)
    return count


def files(part: str, suffix: str, root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Yield the room and the text of each file."""
    for path in (root / part).rglob(f"*.{suffix}"):
        parts = path.relative_to(root / part).parts
        yield parts[0] if len(parts) > 1 else "top", path.read_text(encoding="utf-8")


def counted(root: Path = ROOT) -> Counts:
    """Count the tokens of each room, and the words of the text that is not Python."""
    found: Counts = {}
    for part in ("padviz", "tests"):
        rooms: Counter[str] = Counter()
        for room, code in files(part, "py", root):
            rooms[room] += tokens(code)
        found[part] = {**dict(sorted(rooms.items())), "sum": rooms.total()}
    found["packed"] = packed(root)
    found["text"] = {}
    for suffix in TEXT:
        found["text"][suffix] = sum(
            len(re.findall(r"\w+", text)) for _, text in files("padviz", suffix, root)
        )
    return found


def packed(root: Path = ROOT) -> dict[str, int]:
    """Count what packs several thoughts into one line, or into one function, in the package."""
    choices = loops = branchy = 0
    for _, code in files("padviz", "py", root):
        for node in ast.walk(ast.parse(code)):
            choices += isinstance(node, ast.IfExp)
            loops += isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
            branchy += (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and branches(node) > MANY
            )
    return {
        "conditional_expressions": choices,
        "comprehensions": loops,
        "branchy_functions": branchy,
    }


def compared(counts: Counts, budget: Counts) -> tuple[list[str], list[str]]:
    """List what is above the budget, and what is below; a room without a budget has 0."""
    above, below = [], []
    for part, rooms in counts.items():
        for room in dict.fromkeys([*rooms, *budget.get(part, {})]):
            now, most = rooms.get(room, 0), budget.get(part, {}).get(room, 0)
            if now != most:
                (above if now > most else below).append(f"{part}, {room}: {now} of {most}")
    return above, below


def lowered(counts: Counts, budget: Counts, head: str = HEAD) -> str:
    """Write the budget with each room that is below at what it has."""
    text = head
    for part, rooms in counts.items():
        text += f"\n[{part}]\n"
        text += "".join(
            f"{room} = {min(now, budget.get(part, {}).get(room, 0))}\n"
            for room, now in rooms.items()
        )
    return text


def main() -> int:
    counts, budget = counted(), tomllib.loads(BUDGET.read_text())
    if sys.argv[1:] == ["--lower"]:
        BUDGET.write_text(lowered(counts, budget))
        budget = tomllib.loads(BUDGET.read_text())
    above, below = compared(counts, budget)
    for line in below:
        print(f"below  {line}; python -m tests.budget --lower")
    for line in above:
        print(f"ABOVE  {line}")
    print(f"{counts['padviz']['sum']:,} tokens of padviz, {counts['tests']['sum']:,} of tests")
    return bool(above)


if __name__ == "__main__":
    sys.exit(main())
