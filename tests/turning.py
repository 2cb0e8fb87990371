"""Turns networks, and what padviz says of them, by 90 degrees: the height becomes the width, the top the left."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from padviz.network.network import Network
from padviz.network.padding_modes import SCHEMES
from padviz.sources.toml.load import parse

Steps = list[dict[str, Any]]
CHOSEN: dict[str, tuple[Steps, tuple[int, int]]] = {
    name: (case["layers"], tuple(case["size"]))
    for name, case in tomllib.loads(Path(__file__).with_name("turned.toml").read_text()).items()
}

WORDS = [("height", "width"), ("top", "left"), ("bottom", "right")]
OTHER = {a: b for pair in WORDS for a, b in (pair, pair[::-1])}
KEYS = {"rows": "cols", "cols": "rows"}
LINES = {"row": "column", "rows": "columns", "column": "row", "columns": "rows"}
PAIRS = {  # what holds one value for each axis, in lists: of a list of pairs the pairs stay
    "size", "shape", "period", "ring_px", "field", "offset", "kernel", "stride", "dilation", "pads",
    "field_size", "field_stride", "field_padding", "field_centre", "field_offset", "field_whole", "share_period",
    "target_shape",
    "input", "output", "unit", "pull", "read", "image", "tile", "keeps", "px",
}  # fmt: skip
EACH = {
    "sizes": "size",
    "shapes": "size",
    "pulls": "pull",
    "reads": "read",
    "shape": "shape",
}  # lists of such pairs
GRIDS = {"grid", "plane", "interior", "uses"}  # what is a matrix of rows and columns
DEPTHS = r"-?\d+(?:, -?\d+)?"
FIGURE = r"whole input|[^\s,;:()x×]*\d[^\s,;:()x×]*(?: %)?"
SCHEME = f"(?:{'|'.join(SCHEMES)})"


def laid(steps: Steps, size: tuple[int, int]) -> Network:
    """The network of some steps, which have names or get them."""
    return parse(
        {"layers": [{"name": f"l{i}", **step} for i, step in enumerate(steps)], "size": [*size]},
        "net",
    )


def turned_network(network: Network) -> Network:
    layers = tuple(replace(layer, ops=layer.ops[::-1]) for layer in network.layers)
    fixed = tuple(sorted(1 - axis for axis in network.fixed))
    height, width = network.size
    return replace(
        network, layers=layers, size=(width, height), fixed=fixed, declared=network.declared[::-1]
    )


def turned_text(text: str) -> str:
    """A text that says of the width what it said of the height, whatever it says.

    >>> turned_text("7 x 5 px: height -0.5 px, 3 top; y[..., 1:, :-2]; zero/circular; (5, 7)")
    '5 x 7 px: width -0.5 px, 3 left; y[..., :-2, 1:]; circular/zero; (7, 5)'
    """
    if rim := re.fullmatch(rf"({DEPTHS}) / ({DEPTHS})( px)?", text):
        return f"{rim[2]} / {rim[1]}{rim[3] or ''}"
    if re.fullmatch(r"[\d x]+(/[\d x]+)+", text):
        return "/".join(map(turned_text, text.split("/")))
    if pair := re.fullmatch(r"(\S*) x (\S*)", text):
        return f"{pair[2]} x {pair[1]}"
    text = re.sub(rf"({FIGURE})( ?[x×] ?)({FIGURE})", r"\3\2\1", text)
    text = re.sub(r"\((\d+), (\d+)\)", r"(\2, \1)", text)
    text = re.sub(r"\((\d+, \d+), (\d+, \d+)\)", r"(\2, \1)", text)  # of F.pad
    text = re.sub(r"\[\.\.\., ([^,\]]*), ([^,\]]*)\]", r"[..., \2, \1]", text)
    text = re.sub(rf"\b({SCHEME})([/-])({SCHEME})\b", r"\3\2\1", text)
    other = {
        **OTHER,
        **(LINES if "row" in text and "col" in text else {}),
    }  # rows alone are those of any axis
    return re.sub(r"left.out|[a-z]+", lambda word: other.get(word[0], word[0]), text)


def turned(value: Any, key: str = "") -> Any:
    """What padviz said, as JSON, of the turned image."""
    if key == "standing":
        return value  # its width is that of a rim
    if key == "offset_by":
        return {layer: pair[::-1] for layer, pair in value.items()}
    if isinstance(value, dict):
        return {
            KEYS.get(name) or turned_text(name): turned(each, name) for name, each in value.items()
        }
    if isinstance(value, list):
        found = [turned(each, EACH.get(key, "")) for each in value]
        if key in GRIDS and value and isinstance(value[0], list):
            return [list(column) for column in zip(*value, strict=True)]
        if key == "corners":
            return [found[i] for i in (0, 2, 1, 3)]
        pair = key in PAIRS and len(value) == 2 and not (key in EACH and isinstance(value[0], list))
        pair = pair and (key != "pads" or isinstance(value[0], list))  # else before and after
        return found[::-1] if pair else found
    return turned_text(value) if isinstance(value, str) else value


def settled_audit(found: dict[str, Any]) -> dict[str, Any]:
    """An audit as JSON whose changes stand by name, where two rank alike."""
    rows = found.pop("listed")
    found["order"] = [each["change"] for each in rows if "/" not in each["change"]]
    found["changes"] = {each["change"]: each for each in rows}
    (result,) = found["results"]
    _settle_reasons(result, result["sentences"])
    return found


def settled_page(found: dict[str, Any]) -> dict[str, Any]:
    """An audit of the explorer whose remedies stand by name."""
    found["order"] = [each["what"] for each in found["remedies"] if "/" not in each["what"]]
    found["remedies"] = {each["what"]: each for each in found["remedies"]}
    _settle_reasons(found, found)
    return found


def _settle_reasons(audit: dict[str, Any], sentences: dict[str, Any]) -> None:
    """Of what cannot be done say how much is told, and why there is no reach only whether it is: one axis is named."""
    audit["cannot"] = len(audit["cannot"])
    # Whose numbers are told in the order of the axes.
    for name in ("border", "margin", "symmetry", "padding"):
        sentences[name] = "; ".join(sorted(re.findall(r"\d+(?:\.\d+)?", sentences[name])))
    if audit["reach"]["why"]:
        audit["reach"]["why"] = audit["grid"] = "stands"


def settled(value: Any) -> Any:
    """What padviz said, whichever axis it named first: of why there are no shares, only whether it says so."""
    if isinstance(value, dict):
        told = (
            {**value, "share_reason": bool(value["share_reason"])}
            if "share_reason" in value
            else value
        )
        return {
            "_".join(sorted(name.split("_"))): _any_axis_first(settled(each))
            for name, each in told.items()
        }
    if isinstance(value, list):
        return [settled(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.11g}")  # sums of floats along the other axis end in other digits
    return _clauses(value) if isinstance(value, str) else value


def _any_axis_first(value: Any) -> Any:
    """Rows of one axis each, in an order that does not depend on it."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and "axis" in value[0]:
        return sorted(value, key=repr)
    return value


def _clauses(text: str) -> list[str]:
    """The clauses of a text with their words, all in order; the depths of a rim as they are."""
    if re.fullmatch(rf"{DEPTHS}( / {DEPTHS})?( px)?", text):
        return [text]
    if re.fullmatch(r"-?\d+\.\d{11,}", text):
        return [f"{float(text):.11g}"]
    text = re.sub(
        r" ([x×]) ",
        r"\1",
        re.sub(r"(\d|:), ", r"\1,", text) if "(" in text or "[" in text else text,
    )
    parts = re.split(r"[,;:.](?= |$)| and ", text)
    return sorted(
        " ".join(sorted(re.split(r"\s+|(?<=[a-z])/(?=[a-z])", part.strip()))) for part in parts
    )
