"""The options of all commands, one table: each is spelled, read and explained once, and means the same everywhere."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from keyword import iskeyword
from typing import Any

import click

from padviz.cli.value_types import (
    KEPT,
    FolderType,
    NameType,
    NumbersType,
    PathType,
    PixelType,
    SchemeType,
    SeveralType,
    ShapeType,
    SizeType,
    UnitType,
    colour_maps,
    complete_model,
    layers,
    zoo,
)
from padviz.errors import OptionError

READING = "padviz.reading"
Decorator = Callable[[Callable[..., None]], Callable[..., None]]


@dataclass(frozen=True)
class Word:
    """An option: one line of help, and the type of its value, or None for a flag.

    Where it may take several values, `several` names them all; `shown` stands for a value that its type does not name.
    """

    help: str
    type: click.ParamType | None = None  # type: ignore[type-arg,unused-ignore]
    several: str = ""
    shown: str = ""
    default: Any = None
    required: bool = False


COUNT = click.IntRange(1)
TABLE = {  # in the order in which help lists them
    "size": Word("Input size in pixels.", SizeType("N|HxW"), "sizes"),
    "padding": Word("Padding scheme, as reflect or zero/circular.", SchemeType("SCHEME"), "paddings"),
    "same": Word("Pad as TensorFlow's and Keras's SAME."),
    "layer": Word("Layer to count to, or to look at.", NameType("NAME", layers), "layers"),
    "heads": Word("Weigh several last maps alike, or add them.", click.Choice(["share", "sum"])),
    "unit": Word("One unit of the target, or R0:R1,C0:C1.", UnitType()),
    "pooling": Word("Weigh the taps of pools and resizes.", click.Choice(["count", "mean"]), default="count"),
    "model": Word("Networks to compare.", NameType("MODEL", zoo), "models"),
    "kernel": Word("Rows and columns of taps.", click.IntRange(1, 31), shown="N"),
    "stride": Word("Step between windows.", click.IntRange(1, 31), shown="N"),
    "dilation": Word("Step between taps.", click.IntRange(1, 31), shown="N"),
    "pixel": Word("Show how often each tap reads this pixel.", PixelType()),
    "axis": Word("Squares, or one side.", click.Choice(["both", "height", "width", "depth", "length"]), default="both"),
    "chunk": Word("New input samples of each chunk of a stream.", click.IntRange(1), shown="N"),
    "tile": Word("Largest tile that fits into memory.", SizeType("N|HxW")),
    "object": Word("Largest object to detect, in pixels.", click.IntRange(0), shown="N"),
    "for": Word("Print the call for monai, torchio, ...", NameType("LIB")),
    "level": Word("Plan with a share of the paths, as .999.", click.FLOAT, shown="X"),
    "ignore-norms": Word("Plan as if norms and attention were local."),
    "verify": Word("Run it whole and tiled, and compare."),
    "gt": Word("Objects: COCO's instances, or YOLO's labels.", NameType("FILE"), required=True),
    "pred": Word("Detections: COCO's results, or YOLO's labels.", NameType("FILE"), required=True),
    "rings": Word("Rings, each half as deep as the next.", click.IntRange(1, 12), shown="N"),
    "px": Word("Inner ends of rings in pixels, as 16,32.", NumbersType("use 16,32,64")),
    "iou": Word("Overlaps at which AP is told.", NumbersType("use .2,.5,.75")),
    "image-sizes": Word("Images of YOLO's labels, or their sizes.", NameType("FOLDER|CSV")),
    "by-class": Word("Score each class by itself, too."),
    "only": Word("Change these layers only.", NameType("NAME", layers), "only"),
    "except": Word("Leave these layers as they are.", NameType("NAME", layers), "except_"),
    "even": Word("Make uneven convolutions even instead."),
    "all": Word("List even windows too."),
    "taps": Word("Count what each tap of a window reads."),
    "what": Word("usage, coverage, uneven, taps, filters, ...", NameType("WHAT"), "what"),
    "images": Word("Photographs like those of the training.", FolderType()),
    "inputs": Word("What to run it on.", NameType("noise|blank|FOLDER"), default="noise"),
    "n": Word("Number of inputs.", COUNT, shown="N"),
    "trained-at": Word("Input size of the training.", SizeType("N|HxW")),
    "stimulus": Word("What to move over the background.", NameType("text:WORD|FILE|sample")),
    "height": Word("Height of the stimulus.", click.IntRange(2), shown="PX"),
    "contrast": Word("Contrast of the stimulus.", click.FloatRange(0, 1, min_open=True), shown="X"),
    "step": Word("Pixels to the next position.", COUNT, shown="PX"),
    "class": Word("Class to look for.", click.IntRange(0), shown="N"),
    "threshold": Word("Map the contrast needed, not the score."),
    "image": Word("Picture to shift, in place of a stimulus.", NameType("FILE")),
    "shift": Word("How far to shift the picture.", COUNT, shown="PX"),
    "cover": Word("Cover places of the image instead."),
    "patch": Word("Side of the patch.", COUNT, shown="PX"),
    "grid": Word("Places of the patch along each side.", COUNT, shown="N"),
    "no-shuffled": Word("Do not run it with shuffled weights too."),
    "noise": Word("Run it on noise, which tells little."),
    "mean": Word("Mean of pixels from 0 to 1, by channel.", NumbersType()),
    "std": Word("Deviation of pixels, by channel.", NumbersType()),
    "bgr": Word("Feed blue, green, red."),
    "seed": Word("Seed of what is random.", click.IntRange(0), shown="N", default=0),
    "jobs": Word("Processes; one for each core by default.", click.IntRange(1, 1024), shown="N"),
    "scale": Word("Quantity to colour by; fair share by default.", click.Choice(["share", "counts", "each"])),
    "cmap": Word("Colour map of matplotlib's.", NameType("NAME", colour_maps)),
    "dpi": Word("Resolution of the picture.", click.IntRange(20, 1200), shown="N"),
    "width": Word("Width of the picture in pixels.", click.IntRange(20, 20_000), shown="PX"),
    "theme": Word("Black on white, or white on black.", click.Choice(["light", "dark"])),
    "check": Word("Exit with 1 on findings, for CI."),
    "format": Word("Format of the report."),
    "output": Word("Write {}.", PathType()),
    "overwrite": Word("Replace the file of -o."),
    "no-picture": Word("Print the figures, and draw nothing."),
    "open": Word("Show it in a browser."),
    "resume": Word("Continue an interrupted run."),
    "weights": Word("File or name of the module's weights.", NameType("FILE|NAME")),
    "allow-modules": Word("Run the code that a manifest names."),
    "input": Word("Input that is the image.", NameType("NAME")),
    "shape": Word("Another input, as b=1x3xHxW or t=1.", ShapeType("NAME=SHAPE"), "shapes"),
    "neutral": Word("Treat the unknown OP as elementwise.", NameType("OP"), "neutral"),
}
PLURALS = {word.several: name for name, word in TABLE.items() if word.several}


class Command(click.Command):
    """A command whose options stand in the order of the table, and whose --check may be followed by what it checks."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params.sort(key=_place)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        checks = [param.type for param in self.params if param.name == "check"]
        known = next((type_.choices for type_ in checks if isinstance(type_, click.Choice)), ())
        return super().parse_args(ctx, _joined(args, known) if known else args)


def _joined(args: list[str], checks: Sequence[str]) -> list[str]:
    """Join a bare --check with what it checks, if that follows; it never takes another argument.

    >>> _joined(["--check", "all", "vgg11", "--check", "vgg13"], ["convolutions", "all"])
    ['--check=all', 'vgg11', '--check=convolutions', 'vgg13']
    """
    end = args.index("--") if "--" in args else len(args)
    joined: list[str] = []
    for i, arg in enumerate(args):
        if i and args[i - 1] == "--check" and i < end and arg in checks:
            joined[-1] = f"--check={arg}"
        else:
            joined.append(f"--check={checks[0]}" if arg == "--check" and i < end else arg)
    return joined


def _place(param: click.Parameter) -> int:
    """Say where an option stands in the table; arguments come first."""
    if isinstance(param, click.Argument):
        return -1
    name = param.name or ""
    return [*map(parameter, TABLE)].index(parameter(PLURALS.get(name, name)))


def parameter(name: str) -> str:
    """Name the argument of a command's function; one that Python knows ends in "_".

    >>> parameter("trained-at"), parameter("class")
    ('trained_at', 'class_')
    """
    python = name.replace("-", "_")
    return f"{python}_" if iskeyword(python) or hasattr(builtins, python) else python


def given(words: str, **defaults: Any) -> Decorator:
    """Add options of the table, named between blanks; a plural takes several values."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for word in words.split():
            name = PLURALS.get(word, word)
            command = option(name, word in PLURALS, defaults.get(word))(command)
        return command

    return decorate


def option(name: str, several: bool = False, default: Any = None, **settings: Any) -> Decorator:
    """Make an option of the table."""
    word = TABLE[name]
    spelled, called = f"-{name}" if len(name) == 1 else f"--{name}", word.several if several else parameter(name)
    if word.type is None and "type" not in settings:
        return click.option(spelled, called, is_flag=True, help=word.help, **settings)
    about: dict[str, Any] = {"type": word.type, "help": word.help, "required": word.required}
    if not word.required:  # click takes any default, None too, for a value
        about["default"] = default or word.default
    if not isinstance(word.type, click.Choice):
        about["metavar"] = word.shown or (word.type and word.type.name)
    if word.several:
        of = SeveralType(word.type)  # type: ignore[arg-type]
        about |= {"type": of, "multiple": True, "callback": _all if several else _only_one}
        about["metavar"] = of.name if several else of.one.name
    about["show_default"] = about.get("default") is not None
    return click.option(spelled, called, **(about | settings))


def _all(ctx: click.Context, param: click.Parameter, values: tuple[tuple[Any, ...], ...]) -> tuple[Any, ...]:
    """Take all values of all repeats, each once; the padding that a network has is None."""
    return tuple(None if value == KEPT else value for value in dict.fromkeys(chain(*values)))


def _only_one(ctx: click.Context, param: click.Parameter, values: tuple[tuple[Any, ...], ...]) -> Any:
    """Refuse several values where a command takes one."""
    taken = _all(ctx, param, values)
    if len(taken) > 1:
        what = f"{ctx.info_name} takes one, and {len(taken)} are given"
        raise OptionError(what, where=param.opts[0], hint="leave out all but one, or see padviz export")
    return taken[0] if taken else None


def reading(*words: str) -> Decorator:
    """Add options that say how to read MODEL, which `options.reading` asks the context for."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for word in words:
            command = option(word, bool(TABLE[word].several), expose_value=False, callback=_remember)(command)
        return command

    return decorate


read = reading("input", "shape", "neutral")


def _remember(ctx: click.Context, param: click.Parameter, values: Any) -> None:
    name = param.opts[0].lstrip("-")
    value = _all(ctx, param, values) if TABLE[name].several else values
    ctx.meta.setdefault(READING, {})[name] = value
    if name == "neutral" and value:
        from padviz.sources.tracing.reading import checked_neutral

        checked_neutral(value)


def _argument(name: str, **settings: Any) -> Decorator:
    return click.argument(name, shell_complete=complete_model, **settings)


def model(command: Callable[..., None]) -> Callable[..., None]:
    """Add the argument MODEL, and how to read it."""
    return _argument("model")(read(command))


MODELS: dict[str, Decorator] = {  # what is named before the options, and how it is read
    "none": lambda command: command,
    "one": model,
    "optional": lambda command: _argument("model", required=False)(read(command)),
    "several": lambda command: _argument("models", nargs=-1, required=True, metavar="MODEL...")(read(command)),
    "trained": lambda command: _argument("model")(reading("neutral")(given("weights")(command))),
    "weights": lambda command: model(given("weights")(command)),
}


def arguments_of(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Name what was given as the parameters of functions; "no-" turns off what it precedes.

    >>> arguments_of({"paddings": ("zero", None), "sizes": (), "size": None, "all_": False, "no_shuffled": True})
    {'padding': ['zero'], 'shuffled': False}
    """
    asked: dict[str, Any] = {}
    for key, value in typed.items():
        if value is None or value is False or value == ():
            continue
        if key.startswith("no_"):
            asked[key.removeprefix("no_")] = False
        elif key in PLURALS:
            asked[parameter(PLURALS[key])] = [each for each in value if each is not None]
        else:
            asked[key] = value
    return asked
