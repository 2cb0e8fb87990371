"""The floors of the house: which room may import which, read from the imports themselves. `python -m tests.floors`."""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parent.parent / "padviz"
FLOORS = (
    ("errors", "version", "options", "engine", "intervals", "phrases", "progress"),
    ("files", "network"),
    ("sources", "counting", "geometry", "nn"),
    ("cutting",),
    ("advice", "repadding", "trained", "scoring"),
    ("reports", "figures"),
    ("analyses", "pages"),
    ("exports",),
    ("__init__",),
    ("cli",),
    ("__main__",),
)
SOURCES = (
    ("tracing", "formats"),
    ("toml", "onnx", "torch", "keras"),
    ("__init__",),
)  # floors inside of that room
HEAVY = {
    "PIL": ("figures", "files.pictures", "trained.detecting", "trained.images"),
    "click": ("cli",),
    "h5py": ("trained.networks",),
    "jinja2": ("pages",),
    "joblib": ("exports",),
    "matplotlib": ("figures",),
    "numba": ("engine.apply",),
    "onnx": ("sources.onnx", "repadding.onnx_graph", "repadding.onnx_edits", "trained.networks"),
    "onnxruntime": ("trained.networks",),
    "pandas": ("analyses.result",),
    "rich": ("reports.tables", "cli"),
    "safetensors": ("trained.networks",),
    "torch": (
        "cutting.by_layer",
        "cutting.calls",
        "cutting.cut_map",
        "cutting.live_bytes",
        "cutting.nodes",
        "cutting.parts",
        "cutting.streaming",
        "cutting.windows",
        "nn",
        "repadding.torch_calls",
        "repadding.torch_module",
        "sources.torch",
        "trained.networks",
    ),
    "torchvision": ("sources.torch",),
}


class Import(NamedTuple):
    """One imported module, by its whole name, and whether only a type checker follows it."""

    of: str
    typing: bool


def modules(package: Path) -> dict[str, Path]:
    """Every module below a package by its name within it; the package itself is "__init__"."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


@cache
def imports(path: Path, package: Path) -> list[Import]:
    """The modules that a file imports, wherever in it; `from package import name` is the module where it is one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING"
    ]
    typing = {node for block in blocks for statement in block.body for node in ast.walk(statement)}
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = path.relative_to(package.parent).parts[: -node.level] if node.level else ()
            home = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                inner = package.parent.joinpath(*home.split("."), alias.name)
                names.append(
                    f"{home}.{alias.name}"
                    if inner.is_dir() or inner.with_suffix(".py").exists()
                    else home
                )
        elif (
            isinstance(node, ast.Call)
            and node.args
            and _name(node.func) in ("import_module", "__import__")
        ):
            named = node.args[0]
            first = named.values[0] if isinstance(named, ast.JoinedStr) else named
            names = (
                [f"{first.value}*" if first is not named else first.value]
                if isinstance(first, ast.Constant)
                else []
            )
        found += [Import(name, node in typing) for name in names]
    return found


def _name(node: ast.expr) -> str:
    """A name, without what stands before its last dot."""
    return (
        node.attr
        if isinstance(node, ast.Attribute)
        else node.id
        if isinstance(node, ast.Name)
        else ""
    )


def may_import(name: str, other: str) -> bool:
    """Whether one module may import another: of its own room, or of a room on a lower floor."""
    (room, inner, *_), (target, other_inner, *_) = (
        [*each.split("."), "__init__"] for each in (name, other)
    )
    if room != target:
        return _floor(target, FLOORS) < _floor(room, FLOORS)
    return (
        room != "sources"
        or inner == other_inner
        or _floor(other_inner, SOURCES) < _floor(inner, SOURCES)
    )


def _floor(room: str, floors: tuple[tuple[str, ...], ...]) -> int:
    return next(i for i, rooms in enumerate(floors) if room in rooms)


def within(name: str, package: Path) -> str:
    """The name inside of the package: "padviz.network.sizes" is "network.sizes", and "padviz" itself "__init__"."""
    return name.removeprefix(package.name).lstrip(".") or "__init__"


def breaches(package: Path = PACKAGE) -> list[str]:
    """Imports that run up, sideways, or bring a heavy library into a room that is not its own."""
    found = []
    for name, path in modules(package).items():
        for each in imports(path, package):
            top = each.of.split(".")[0]
            if top == package.name and not may_import(name, within(each.of, package)):
                found.append(f"{name} imports {each.of}")
            rooms = HEAVY.get(top, ())
            if (
                rooms
                and not each.typing
                and not any(name == room or name.startswith(f"{room}.") for room in rooms)
            ):
                found.append(f"{name} imports {each.of}, which belongs to {' and '.join(rooms)}")
    return found


def circles(package: Path = PACKAGE) -> list[str]:
    """Modules that import each other, at once or by way of others."""
    names = modules(package)
    reached = {
        name: {
            within(each.of, package)
            for each in imports(path, package)
            if each.of.split(".")[0] == package.name
        }
        & names.keys() - {name}
        for name, path in names.items()
    }
    return _in_circles(reached)


def folder_circles(package: Path = PACKAGE) -> list[str]:
    """Folders of one room that import each other, at once or by way of others; a room's own modules are one of them."""
    names = modules(package)
    homes = {name: path.parent.relative_to(package).as_posix() for name, path in names.items()}
    reached: dict[str, set[str]] = {home: set() for home in homes.values()}
    for name, path in names.items():
        for each in imports(path, package):
            home = homes.get(within(each.of, package))
            if (
                home
                and home.split("/")[0] == homes[name].split("/")[0] != "."
                and home != homes[name]
            ):
                reached[homes[name]].add(home)
    return _in_circles(reached)


def _in_circles(reached: dict[str, set[str]]) -> list[str]:
    """The names that are reached from themselves."""
    for middle in reached:
        for name in reached:
            if middle in reached[name]:
                reached[name] |= reached[middle]
    return sorted(name for name in reached if name in reached[name])


if __name__ == "__main__":
    print("\n".join("  ".join(rooms) for rooms in reversed(FLOORS)))
    print(f"{len(breaches())} imports that run up")
    print(f"circles: {len(circles())} of modules, {len(folder_circles())} of folders inside a room")
