"""The networks of the zoo, and TOML files, as networks.

Convolutions say how many channels they make, and the rest follows from step to step; an image has
three. After a convolution that does not say, channels are unknown up to the next one that does;
counts do not need them.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import msgspec

from padviz.errors import DescriptionError, UnknownName, nearest, printable
from padviz.files.opened import read_file
from padviz.network.layer import Channels, Kind, Layer
from padviz.network.network import AXES, Network, as_size
from padviz.network.operations import Adaptive, Blocks, Fit, Op, Transposed, Window
from padviz.network.resize import Resize
from padviz.sources.toml import schema
from padviz.sources.toml.schema import AnyStep, Block, Crop, Description, Merge, Step, convert

IMAGE = 3  # channels
MOST_STEPS = 100_000  # with all repeats of blocks
DEEPEST = 50
_HERE = Path(__file__).resolve().parents[2]
CONFIGS = next(
    (p for p in (_HERE / "configs", _HERE.parent / "configs") if p.is_dir()), _HERE / "configs"
)
MOST_BYTES = 4 << 20  # of a description, or of a manifest
TORCHVISION = {  # modules and names of its networks; importing it to look them up takes seconds
    "torchvision.models.detection": (
        r"(fasterrcnn|fcos|keypointrcnn|maskrcnn|retinanet)_\w+|ssdlite\w+"
    ),
    "torchvision.models.segmentation": r"(deeplabv3|fcn|lraspp)_\w+",
    "torchvision.models": (
        r"convnext_\w+|efficientnet_\w+|regnet_\w+|resnext\w+|swin_(v2_)?[tsb]"
        r"|vit_[bhl]_\d+"
    ),
}
LONG_KEY = re.compile(  # a.b.c..., on which tomllib takes quadratic time
    rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{DEEPEST}}}"""
)
OPERATIONS: dict[Kind, type[Op]] = {
    **dict.fromkeys(("conv", "maxpool", "avgpool", "pad", "crop"), Window),
    "adaptive": Adaptive,
    "convtranspose": Transposed,
    "mixing": Blocks,
    "resize": Resize,
}
FIELDS: dict[
    type[Op], tuple[str, ...]
] = {  # of an operation, which have the names of a step's keys
    Adaptive: ("output", "maximum"),
    Blocks: ("size", "step", "first"),
    Fit: ("odd",),
    Resize: ("size", "scale", "mode", "align_corners", "grid", "rounding"),
    Transposed: ("kernel", "stride", "dilation", "padding", "output_padding"),
    Window: ("kernel", "stride", "dilation", "padding", "mode", "ceil", "fill"),
}

# msgspec builds its type table here, before another thread can fork
msgspec.convert({"layers": []}, Description)


def zoo() -> list[str]:
    return sorted(path.stem for path in (CONFIGS / "networks").glob("*.toml"))


def load_config(name_or_path: str | Path) -> Network:
    """Load a network of the zoo by name, or a TOML description by path; raise `UnknownName` for
    anything else.

    >>> load_config("ResNet-50").title
    'ResNet-50'
    """
    text = str(name_or_path)
    if text not in zoo() and "\0" not in text and text and os.path.isdir(text):
        raise UnknownName(
            "is a folder, not a network", where=text, hint="name a .onnx or .toml file in it"
        )
    if isinstance(name_or_path, Path) or text.lower().endswith(".toml") or "/" in text:
        return read_network(Path(text), text)
    name = {_plain(name): name for name in zoo()}.get(_plain(text))
    if name:
        return read_network(CONFIGS / "networks" / f"{name}.toml", name)
    raise UnknownName(f"no network is called {text!r}", hint=_suggestion(text))


def _suggestion(text: str) -> str:
    if re.fullmatch(r"\d+", text):
        return f"write `size` 224x{text} for a size, or 224,{text} for several"
    if text.endswith("()"):
        return "leave out the brackets"
    if re.fullmatch(r"[a-z]\w*(\.\w+)+", text) and not text.endswith((".onnx", ".keras", ".pt2")):
        return f"write a colon before a module's name: {':'.join(text.rsplit('.', 1))}"
    if text.lower().startswith("yolo"):
        return f"write ultralytics:YOLO:{text}.yaml, or export it to ONNX and give that file"
    for home, names in TORCHVISION.items():
        if re.fullmatch(names, text):
            return f"write {home}:{text}"
    near = nearest(text.lower(), zoo())
    if not near or re.match("(vit|swin|detr|unet)", text.lower()):
        near = "export it to ONNX and give that file, or write torchvision.models:NAME;"
    return (
        f"{near} padviz networks lists all names; a file of your own ends in .onnx, .keras, .pt2 "
        "or .toml"
    )


def _plain(name: str) -> str:
    """Drop what people spell differently: capitals, hyphens and blanks."""
    return re.sub(r"[-_ .]", "", name).lower()


def read_network(path: Path, where: str) -> Network:
    raw = read_toml(path)
    if "layers" not in raw and not raw.keys().isdisjoint(("maps", "compare", "kernel")):
        raise DescriptionError(
            "is an export's manifest, not a network", where=where, hint="give it to padviz export"
        )
    return parse(raw, printable(path.stem), where)


def read_toml(path: str | Path, kind: str = "a TOML description") -> dict[str, object]:
    try:
        text = read_file(path, kind, MOST_BYTES).decode("utf-8-sig")
        if LONG_KEY.search(text):
            raise DescriptionError(
                "is nested too deeply", where=str(path), hint="give each key a few parts"
            )
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOML and UTF-8 errors are ValueErrors
        what = f"is not valid TOML: {' '.join(str(error).split())}"
        raise DescriptionError(what, where=str(path), hint="fix it there") from None


def parse(raw: Mapping[str, object], name: str, where: str = "") -> Network:
    """Build the network of a decoded TOML document; `where` names the file in errors."""
    where = where or name
    description = convert(raw, Description, "", where)
    builder = _Builder(description.blocks, where)
    builder.steps(description.layers, "")
    if builder.last == 0:
        raise DescriptionError("layers: has no layers", where=where)
    target = (
        builder.layers[builder.last].name if description.target is None else description.target
    )  # []: choose
    targets = (target,) if isinstance(target, str) else tuple(dict.fromkeys(target))
    network = Network(
        name=name,
        layers=tuple(builder.layers),
        targets=targets,
        title=description.title or name,
        source=description.source,
        size=as_size(description.size),
        fixed=tuple(sorted({AXES[2].index(axis) for axis in description.fixed})),
    )
    for layer_name in targets:
        if layer_name not in network.index:
            hint = nearest(layer_name, network.index)
            raise DescriptionError(
                f"target: no layer is called {layer_name!r}", where=where, hint=hint
            )
    return network


class _Builder:
    """Turns steps into layers; `last` is the layer that the next step reads."""

    def __init__(self, blocks: Mapping[str, list[dict[str, object]]], where: str) -> None:
        self.blocks = blocks
        self.where = where
        self.layers = [Layer("input", "input", ())]
        self.channels: list[int | None] = [IMAGE]  # of each layer; None where unknown
        self.counted = False  # whether any convolution says how many channels it makes
        self.index = {"input": 0}
        self.last = 0
        self.nested: list[
            str
        ] = []  # blocks and branches that are open, to catch a block that uses itself
        self.count = 0

    def steps(self, steps: list[Step], prefix: str) -> None:
        if len(self.nested) > DEEPEST:
            raise self._error(prefix, f"blocks and branches are nested more than {DEEPEST} deep")
        for step in steps:
            self.count += 1
            if self.count > MOST_STEPS:
                raise self._error(prefix, f"the description has more than {MOST_STEPS} steps")
            if isinstance(step, Block):
                self._block(step, prefix)
            elif isinstance(step, Merge):
                self._merge(step, prefix)
            else:
                entering, like = self._entering(step, prefix), getattr(step, "like", None)
                follows = None
                if like is not None:
                    follows = self._find(step, like, prefix, "like")
                why = getattr(step, "global_", "")
                ops = _ops(step, self._error)
                self._append(
                    step, prefix, Layer("", _kind(step), (entering,), ops, follows, everywhere=why)
                )

    def _merge(self, step: Merge, prefix: str) -> None:
        name = _join(prefix, step.name)
        if bool(step.branches) == isinstance(step.from_, list):
            raise self._error(
                name, "a merge takes either branches = [[...], ...] or from = [names]"
            )
        if isinstance(step.from_, list):
            inputs = [self._find(step, other, prefix, "from") for other in step.from_]
        else:
            entering = self._entering(step, prefix)
            inputs = []
            self.nested.append("")
            for branch in step.branches:
                self.last = entering
                self.steps(branch, prefix)
                inputs.append(self.last)
            self.nested.pop()
        if not inputs:
            raise self._error(name, "from: is empty")
        self._append(step, prefix, Layer("", _kind(step), tuple(inputs)))

    def _block(self, block: Block, prefix: str) -> None:
        name = _join(prefix, block.name)
        if block.use not in self.blocks:
            hint = nearest(block.use, self.blocks)
            raise self._error(name, f"use: no block is called {block.use!r}", hint)
        if block.use in self.nested:
            raise self._error(name, f"use: block {block.use!r} uses itself")
        if block.repeat > 1 and "{}" not in block.name:
            raise self._error(name, "name: a repeated block needs {} in its name for the number")
        self.last = self._entering(block, prefix)
        used: set[str] = set()
        filled = _fill(self.blocks[block.use], block.with_, used, f"blocks.{block.use}", self.where)
        if unused := block.with_.keys() - used:
            raise self._error(name, f"with: block {block.use!r} has no parameter ${min(unused)}")
        steps = convert(filled, list[Step], f"blocks.{block.use}", self.where)
        self.nested.append(block.use)
        for number in range(block.first, block.first + block.repeat):
            self.count += 1
            self.steps(steps, name.replace("{}", str(number)))
        self.nested.pop()

    def _append(self, step: AnyStep, prefix: str, layer: Layer) -> None:
        name = _join(prefix, step.name) or f"{layer.kind}_{len(self.layers)}"
        if name in self.index:
            raise self._error(name, "name: is used twice")
        entering = [self.channels[i] for i in layer.inputs]
        channels, leaving = self._channels(step, layer.kind, name, entering)
        self.counted |= channels is not None
        self.index[name] = self.last = len(self.layers)
        self.layers.append(replace(layer, name=name, channels=channels))
        self.channels.append(leaving)

    def _channels(
        self, step: AnyStep, kind: Kind, name: str, entering: list[int | None]
    ) -> tuple[Channels | None, int | None]:
        """Return the channels of a convolution, and how many leave any layer; None if unknown."""
        if isinstance(step, schema.Convolution):
            return self._convolved(step, name, entering[0])
        declared = None
        if isinstance(step, Merge):
            declared = step.in_
        if declared is not None:
            if kind == "concat":
                what = "in: the branches of a concat may have any channels"
                raise self._error(name, what, "the next convolution may say them")
            return None, declared
        if kind in ("add", "multiply"):
            conflict = conflicting(entering)
        else:
            conflict = []
        if not conflict:
            return None, merged(kind, entering)
        # A description that says nothing of channels cannot be wrong about them.
        if not self.counted:
            return None, None
        what = f"its branches disagree in channels: {conflict[0]} and {conflict[1]}"
        raise self._error(name, what, "where channels do not follow, in = ... says them")

    def _convolved(
        self, step: schema.Convolution, name: str, entering: int | None
    ) -> tuple[Channels | None, int | None]:
        """Return the channels of a convolution and the number that leaves it, by default the one
        that enters."""
        if step.in_ is None:
            into = entering
        else:
            into = step.in_
        out = step.out
        if step.groups == "depthwise":
            groups = into
            if out is None:
                out = into
        else:
            groups = step.groups or 1
            if out is None and (step.in_ or step.groups):
                key = "in" if step.in_ else "groups"
                raise self._error(name, f"{key}: says nothing without out", "add out = ...")
        if groups is None:  # as many as enter it, which is not known
            return None, out
        for key, n in (("in", into), ("out", out)):
            if n is not None and n % groups:
                what = f"groups: {groups} groups do not divide its channels ({key}: {n})"
                raise self._error(name, what)
        if into is None or out is None:
            return None, out
        return Channels(into, out, groups), out

    def _entering(self, step: AnyStep, prefix: str) -> int:
        if isinstance(step.from_, list):
            raise self._error(
                _join(prefix, step.name),
                "from: only a merge (add, concat, multiply) reads several layers",
            )
        if step.from_ is None:
            return self.last
        return self._find(step, step.from_, prefix, "from")

    def _find(self, step: AnyStep, name: str, prefix: str, key: str) -> int:
        for full_name in (_join(prefix, name), name):
            if full_name in self.index:
                return self.index[full_name]
        what = f"{key}: no earlier layer is called {name!r}"
        raise self._error(_join(prefix, step.name), what, nearest(name, self.index))

    def _error(self, name: str, what: str, hint: str = "") -> DescriptionError:
        return DescriptionError(
            f"layer {name!r}: {what}" if name else what, where=self.where, hint=hint
        )


def merged(kind: Kind, entering: Sequence[int | None]) -> int | None:
    """Count the channels that leave a layer other than a convolution; None if not all that enter
    are known.
    """
    known = [n for n in entering if n is not None]
    if len(known) < len(entering):
        return None
    if kind == "concat":
        return sum(known)
    return max(known)


def conflicting(entering: Sequence[int | None]) -> list[int]:
    """List the numbers of channels that cannot be added, if there are any; a single channel is
    broadcast.
    """
    several = list(dict.fromkeys(n for n in entering if n is not None and n > 1))
    if len(several) > 1:
        return several
    return []


def _ops(step: Step, error: Callable[..., DescriptionError]) -> tuple[Op | None, ...]:
    if isinstance(step, schema.Gate | schema.Identity):
        return ()
    if isinstance(step, schema.GlobalPool):
        return Adaptive(1), Adaptive(1)
    if isinstance(step, Crop) and (why := _wrong_crop(step)):
        raise error(step.name, why)
    if isinstance(step, schema.Pad):
        _check_pad(step, error)
    if isinstance(step, schema.Interpolate):
        given = [part for part in (step.scale, step.size, step.like) if part is not None]
        if len(given) != 1:
            raise error(step.name, "a resize takes one of scale, size and like")
    height, width = (_axis_op(step, axis) for axis in (0, 1))
    _check_op(height, step, error)
    _check_op(width, step, error)
    return height, width


def _wrong_crop(step: Crop) -> str:
    """Return what is wrong with a crop, which takes rows to remove or a layer; "" for nothing."""
    if (step.padding is None) == (step.like is None):
        return "a crop takes either padding (rows to remove) or like (a layer)"
    if step.like is not None and step.stride != 1:
        return "a crop to the size of a layer takes no stride"
    if step.like is None and step.odd != "end":
        return "odd: only a crop to the size of a layer has an odd row to place"
    return ""


def _check_pad(step: schema.Pad, error: Callable[..., DescriptionError]) -> None:
    """Reject rows added on one side and removed on the other: they pad no window behind them."""
    for axis in (0, 1):
        match _axis_op(step, axis):
            case Window(padding=(int(before), int(after))) if before * after < 0:
                what = "padding: adds rows on one side and removes them on the other"
                raise error(step.name, what, "write a crop, and a pad after it")


def _check_op(op: Op, step: Step, error: Callable[..., DescriptionError]) -> None:
    """Reject numbers that no framework runs."""
    match op:
        case Window(padding="same") if op.stride > 1:
            hint = 'use "same_upper" or "same_lower"'
            raise error(step.name, 'padding: "same" needs stride 1', hint)
        case Transposed() if op.output_padding >= max(op.stride, op.dilation):
            what = "output_padding: must be smaller than the stride or the dilation"
            raise error(step.name, what)
        case Blocks() if (op.size == 0 and op.step < 2) or op.first >= max(op.size, 1):
            what = "a mixing takes blocks of `size` rows, of which the `first` may have fewer"
            raise error(step.name, what)


def _axis_op(step: Step, axis: int) -> Op:
    kind: type[Op] = OPERATIONS[_kind(step)]
    if isinstance(step, Crop) and step.padding is None:
        kind = Fit
    fields: dict[str, Any] = {}
    for key in FIELDS[kind]:
        if hasattr(step, key):
            value = getattr(step, key)
            fields[key] = value[axis] if isinstance(value, list) else value
    rows = fields.get("padding", "")
    if not isinstance(rows, str):  # which would be a rule, such as "same"
        if isinstance(rows, list):
            before, after = rows
        else:
            before, after = (rows, rows)
        fields["padding"] = (before, after)
        if isinstance(step, Crop):
            fields["padding"] = (-before, -after)
    if isinstance(step, schema.Pool) and step.stride is None:
        fields["stride"] = fields["kernel"]
    if isinstance(step, schema.Interpolate):
        fields["scale"] = _exact(fields["scale"])
    if kind is Window:
        fields.setdefault("kernel", 1)
    return kind(**fields)


def _exact(scale: str | float | None) -> Fraction | None:
    """Read a scale: "4/3" is exact, and 1.333333 means it.

    >>> _exact("4/3") == _exact(1.333333)
    True
    """
    if scale is None:
        return None
    if isinstance(scale, str):
        return Fraction(scale)
    return Fraction(scale).limit_denominator(10_000)


def _kind(step: AnyStep) -> Kind:
    return cast("Kind", step.__struct_config__.tag)


def _join(prefix: str, name: str) -> str:
    if prefix and name:
        return f"{prefix}.{name}"
    return prefix or name


def _fill(
    value: object, parameters: Mapping[str, object], used: set[str], path: str, where: str
) -> object:
    """Replace the "$name" strings in a block by its parameters."""
    if isinstance(value, dict):
        return {
            key: _fill(part, parameters, used, f"{path}.{key}", where)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [
            _fill(part, parameters, used, f"{path}[{i}]", where) for i, part in enumerate(value)
        ]
    if isinstance(value, str) and value.startswith("$"):
        if value[1:] not in parameters:
            hint = f"add with = {{{value[1:]} = ...}} where the block is used"
            raise DescriptionError(
                f"{path}: parameter {value} has no value", where=where, hint=hint
            )
        used.add(value[1:])
        return parameters[value[1:]]
    return value
