"""Lines of each room against tests/budget.toml: `python -m tests.budget`, or `--lower` to write what is below."""

import ast
import sys
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUDGET = ROOT / "tests" / "budget.toml"
Lines = dict[str, dict[str, int]]  # of each room of "padviz" and "tests", and their sum
HEAD = """# Lines of .py files of each room, and their sum; "top" is those in no folder. `make check` fails above them,
# and `python -m tests.budget --lower` lowers them. To raise one, edit it in a commit that says which feature it buys.
"""


def counted(root: Path = ROOT) -> Lines:
    """Count the lines of each room."""
    found: Lines = {}
    for part in ("padviz", "tests"):
        rooms: Counter[str] = Counter()
        for path in (root / part).rglob("*.py"):
            parts = path.relative_to(root / part).parts
            rooms[parts[0] if len(parts) > 1 else "top"] += len(path.read_text(encoding="utf-8").splitlines())
        found[part] = {**dict(sorted(rooms.items())), "sum": rooms.total()}
    return found


def code_lines(root: Path = ROOT) -> int:
    """Count the lines of the package that hold code: neither blank, nor a comment, nor within a docstring."""
    total = 0
    for path in (root / "padviz").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        total += sum(bool(line.strip()) and not line.strip().startswith("#") for line in text.splitlines())
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                first = node.body[0]
                lines = text.splitlines()[first.lineno - 1 : first.end_lineno]
                total -= sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines)
    return total


def compared(lines: Lines, budget: Lines) -> tuple[list[str], list[str]]:
    """List what is above the budget, and what is below; a room without a budget has 0."""
    above, below = [], []
    for part, rooms in lines.items():
        for room in dict.fromkeys([*rooms, *budget.get(part, {})]):
            now, most = rooms.get(room, 0), budget.get(part, {}).get(room, 0)
            if now != most:
                (above if now > most else below).append(f"{part}, {room}: {now} of {most}")
    return above, below


def lowered(lines: Lines, budget: Lines, head: str = HEAD) -> str:
    """Write the budget with each room that is below at what it has."""
    text = head
    for part, rooms in lines.items():
        text += f"\n[{part}]\n"
        text += "".join(f"{room} = {min(now, budget.get(part, {}).get(room, 0))}\n" for room, now in rooms.items())
    return text


def main() -> int:
    lines, budget = counted(), tomllib.loads(BUDGET.read_text())
    if sys.argv[1:] == ["--lower"]:
        BUDGET.write_text(lowered(lines, budget))
        budget = tomllib.loads(BUDGET.read_text())
    above, below = compared(lines, budget)
    for line in below:
        print(f"below  {line}; python -m tests.budget --lower")
    for line in above:
        print(f"ABOVE  {line}")
    print(f"{lines['padviz']['sum']} lines of padviz, {code_lines()} of them code; {lines['tests']['sum']} of tests")
    return bool(above)


if __name__ == "__main__":
    sys.exit(main())
