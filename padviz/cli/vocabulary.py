"""The one table of options of all commands: name, type and help of each."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from itertools import chain
from keyword import iskeyword
from typing import Any, NamedTuple

import click

from padviz.cli import value_types as types
from padviz.cli.session import session
from padviz.errors import OptionError

Decorator = Callable[[Callable[..., None]], Callable[..., None]]
Values = tuple[object, ...]


class Word(NamedTuple):
    """An option: its help, and the type of its value, or None for a flag.

    `several` is the name of the parameter that takes several values; `shown` stands for the value in help.
    """

    help: str
    type: click.ParamType | None = None  # type: ignore[type-arg,unused-ignore]
    several: str = ""
    shown: str = ""
    default: object = None
    required: bool = False


COUNT = click.IntRange(1)
TABLE = {  # in the order in which help lists them
    "size": Word("Input size in pixels.", types.SizeType("N|HxW"), "sizes"),
    "padding": Word("Padding, e.g. reflect or zero/circular.", types.SchemeType("SCHEME"), "paddings"),
    "same": Word("Pad like SAME in TensorFlow and Keras."),
    "layer": Word("Layer to analyse; by default the last.", types.NameType("NAME", types.layers), "layers"),
    "heads": Word("Weight heads equally (share) or add counts.", click.Choice(["share", "sum"])),
    "unit": Word("Output unit ROW,COL, or a box R0:R1,C0:C1.", types.UnitType()),
    "pooling": Word("Weights of taps in pools and resizes.", click.Choice(["count", "mean"]), default="count"),
    "model": Word("Networks to compare.", types.NameType("MODEL", types.zoo), "models"),
    "kernel": Word("Kernel size.", click.IntRange(1, 31), shown="N"),
    "stride": Word("Stride.", click.IntRange(1, 31), shown="N"),
    "dilation": Word("Dilation.", click.IntRange(1, 31), shown="N"),
    "pixel": Word("Show how often each tap reads this pixel.", types.UnitType(boxes=False)),
    "axis": Word(
        "Axis to vary, or to cut into shards.",
        click.Choice(["both", "height", "width", "depth", "length"]),
        default="both",
    ),
    "period": Word("Pixels between seams, if known.", types.SizeType("N|HxW")),
    "chunk": Word("New input samples in each chunk of a stream.", click.IntRange(1), shown="N"),
    "shards": Word("Cut MODEL into N shards along --axis.", COUNT, shown="N"),
    "tile": Word("Largest tile that fits into memory.", types.SizeType("N|HxW")),
    "object": Word("Keep objects of up to N px whole in a tile.", click.IntRange(0), shown="N"),
    "for": Word("Print the call for a library, e.g. monai.", types.NameType("LIB")),
    "keeps": Word("List what a tile of that size keeps."),
    "level": Word("Share of paths to keep, e.g. .999; inexact.", click.FLOAT, shown="X"),
    "norms": Word("Norms over all tiles, or per tile (inexact).", click.Choice(["shared", "per-tile"])),
    "verify": Word("Run MODEL whole and tiled, and compare."),
    "gt": Word("Objects: COCO instances or YOLO labels.", types.NameType("FILE"), required=True),
    "pred": Word("Detections: COCO results or YOLO labels.", types.NameType("FILE"), required=True),
    "rings": Word("Rings, each half as deep as the next.", click.IntRange(1, 12), shown="N"),
    "px": Word("Inner edges of the rings in px, e.g. 16,32.", types.NumbersType("use 16,32,64")),
    "iou": Word("IoU thresholds for AP.", types.NumbersType("use .2,.5,.75")),
    "image-sizes": Word("Images of YOLO labels, or their sizes.", types.NameType("FOLDER|CSV")),
    "by-class": Word("Score each class too."),
    "only": Word("Layers to change.", types.NameType("NAME", types.layers), "only"),
    "except": Word("Layers to leave unchanged.", types.NameType("NAME", types.layers), "except_"),
    "even": Word("Balance uneven convolutions; expect none."),
    "all": Word("List even layers, or all rules."),
    "taps": Word("Count image reads of each kernel position."),
    "wraps": Word("Expect the output to wrap along an axis.", types.NameType("AXIS"), "wraps"),
    "context": Word("Expect exact tiles at this context.", click.IntRange(0), shown="N"),
    "causal": Word("Expect no unit to see ahead."),
    "same-as": Word("Expect each unit to read the same as in OTHER.", types.NameType("OTHER", types.zoo)),
    "any-size": Word("Expect it to be readable at these sizes.", types.SizeType("N|HxW"), "any_size"),
    "accepts": Word("Expect it to take these sizes, e.g. 16*i.", types.NameType("RULE")),
    "unstretched": Word("Expect outputs to lie in place."),
    "rim": Word("Expect starved rims of at most N px.", click.IntRange(0), shown="N"),
    "explain": Word(
        "Print the page of a rule.", types.NameType("RULE", types.listed("padviz.analyses.rules", "RULES"))
    ),
    "baseline": Word("File with known findings.", types.NameType("FILE")),
    "write-baseline": Word("Create a file with today's findings.", types.NameType("FILE")),
    "prune-baseline": Word("Remove from the baseline what is gone."),
    "what": Word("usage, coverage, uneven, taps, filters, ...", types.NameType("WHAT"), "what"),
    "images": Word("Photographs like training images, no labels.", types.FolderType()),
    "inputs": Word("Inputs to run on.", types.NameType("noise|blank|FOLDER"), default="noise"),
    "n": Word("Number of inputs.", COUNT, shown="N"),
    "trained-at": Word("Training image size.", types.SizeType("N|HxW")),
    "stimulus": Word("Stimulus to move over the background.", types.NameType("text:WORD|FILE|sample")),
    "height": Word("Height of the stimulus.", click.IntRange(2), shown="PX"),
    "contrast": Word("Contrast of the stimulus.", click.FloatRange(0, 1, min_open=True), shown="X"),
    "step": Word("Pixels between positions.", COUNT, shown="PX"),
    "class": Word("Class to detect.", click.IntRange(0), shown="N"),
    "threshold": Word("Map the contrast needed instead of the score."),
    "image": Word("Picture to shift instead of a stimulus.", types.NameType("FILE")),
    "shift": Word("Largest shift of the picture.", COUNT, shown="PX"),
    "cover": Word("Occlude patches of the image instead."),
    "patch": Word("Side of the patch.", COUNT, shown="PX"),
    "grid": Word("Patch positions along each side.", COUNT, shown="N"),
    "no-shuffled": Word("Skip the run with shuffled weights."),
    "noise": Word("Use noise instead of photographs."),
    "mean": Word("Channel means of pixels from 0 to 1.", types.NumbersType()),
    "std": Word("Channel deviations of pixels.", types.NumbersType()),
    "bgr": Word("Feed channels as blue, green, red."),
    "seed": Word("Random seed.", click.IntRange(0), shown="N", default=0),
    "jobs": Word("Worker processes; one per core by default.", click.IntRange(1, 1024), shown="N"),
    "scale": Word("Quantity to colour by; fair share by default.", click.Choice(["share", "counts", "each"])),
    "cmap": Word("Matplotlib colour map.", types.NameType("NAME", types.colour_maps)),
    "dpi": Word("Resolution of the saved picture.", click.IntRange(20, 1200), shown="N"),
    "width": Word("Width of the saved picture in pixels.", click.IntRange(20, 20_000), shown="PX"),
    "theme": Word("Light or dark background.", click.Choice(["light", "dark"])),
    "format": Word("Format of the report."),
    "output": Word("Write {}."),
    "overwrite": Word("Replace existing files."),
    "no-picture": Word("Print numbers only."),
    "open": Word("Open it in a browser."),
    "resume": Word("Continue an interrupted run."),
    "weights": Word("File or name of the module's weights.", types.NameType("FILE|NAME")),
    "allow-modules": Word("Run code that a manifest names."),
    "input": Word("Name of the image input.", types.NameType("NAME")),
    "shape": Word("Further input, e.g. mask=1x1xHxW or t=1.", types.ShapeType("NAME=SHAPE"), "shapes"),
    "neutral": Word("Treat unknown operation OP as elementwise.", types.NameType("OP"), "neutral"),
}
READING = "input shapes neutral"
PLACES = {name: place for place, name in enumerate(TABLE)}
PLURALS = {word.several: name for name, word in TABLE.items() if word.several}


class Command(click.Command):
    """A command with its options in the order of the table."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params.sort(key=_place)


def _place(param: click.Parameter) -> int:
    """Return the position of an option in the table; arguments come first."""
    if isinstance(param, click.Argument):
        return -1
    name = param.opts[0].lstrip("-")
    return PLACES["output" if name == "o" else name]


def parameter(name: str) -> str:
    """Return the Python parameter of an option; keywords and builtins get a "_"."""
    python = name.replace("-", "_")
    return f"{python}_" if iskeyword(python) or hasattr(builtins, python) else python


def given(words: str, **defaults: object) -> Decorator:
    """Add options of the table, separated by spaces; a plural takes several values."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for word in words.split():
            name = PLURALS.get(word, word)
            command = option(name, word in PLURALS, defaults.get(word, TABLE[name].default))(command)
        return command

    return decorate


def option(name: str, several: bool = False, default: object = None, **settings: Any) -> Decorator:
    """Return an option of the table; `settings` of click's replace those in it."""
    word = TABLE[name]
    spelled, called = f"-{name}" if len(name) == 1 else f"--{name}", word.several if several else parameter(name)
    if word.type is None and "type" not in settings:
        return click.option(spelled, called, is_flag=True, help=word.help, **settings)
    about: dict[str, Any] = {"type": word.type, "help": word.help, "required": word.required}
    if not word.required:  # click takes even a default of None as a value
        about["default"] = default
    if not isinstance(word.type, click.Choice):
        about["metavar"] = word.shown or (word.type and word.type.name)
    if word.several:
        of = types.SeveralType(word.type)  # type: ignore[arg-type]
        about |= {"type": of, "multiple": True, "callback": _all if several else _only_one}
        about["metavar"] = of.name if several else of.one.name
    if name in ("input", "shape", "neutral"):  # go to `session().reading`, not to the command
        about |= {"expose_value": False, "callback": _remember}
    about["show_default"] = about.get("default") is not None
    return click.option(spelled, called, **(about | settings))


def _all(ctx: click.Context, param: click.Parameter, values: tuple[Values, ...]) -> Values:
    """Return the values of all repeats, each once; declared padding is None."""
    return tuple(None if value == types.DECLARED else value for value in dict.fromkeys(chain(*values)))


def _only_one(ctx: click.Context, param: click.Parameter, values: tuple[Values, ...]) -> object:
    taken = _all(ctx, param, values)
    if len(taken) > 1:
        what = f"{ctx.info_name} takes one value, and {len(taken)} are given"
        raise OptionError(what, where=param.opts[0], hint="use one, or see padviz export")
    return taken[0] if taken else None


def _remember(ctx: click.Context, param: click.Parameter, values: Any) -> None:
    name = param.opts[0].lstrip("-")
    value: Any = _all(ctx, param, values) if TABLE[name].several else values
    session(ctx).reading[parameter(name)] = dict(value) if name == "shape" else value
    if name == "neutral" and value:
        from padviz.sources.tracing.reading import checked_neutral

        checked_neutral(value)


def argument(name: str, words: str = READING, **settings: Any) -> Decorator:
    """Return an argument that names networks, with the options for reading them."""
    named = click.argument(name, shell_complete=types.complete_model, **settings)
    return lambda command: named(given(words)(command))


MODELS: dict[str, Decorator] = {  # by `Door.model`
    "none": lambda command: command,
    "outputs": lambda command: click.argument("whole")(click.argument("tiled")(command)),
    "one": argument("model"),
    "optional": argument("model", required=False),
    "several": argument("models", nargs=-1, required=True, metavar="MODEL..."),
    "trained": argument("model", "weights neutral"),
    "weights": argument("model", f"weights {READING}"),
}


def arguments_of(typed: Mapping[str, object]) -> dict[str, Any]:
    """Convert the values of options to arguments of an analysis; "no-" negates a flag.

    >>> arguments_of({"paddings": ("zero", None), "sizes": (), "size": None, "all_": False, "no_shuffled": True})
    {'padding': ['zero'], 'shuffled': False}
    """
    asked: dict[str, Any] = {}
    for key, value in typed.items():
        if value is None or value is False or value == ():
            continue
        if key.startswith("no_"):
            asked[key.removeprefix("no_")] = False
        elif key in PLURALS and isinstance(value, tuple):
            asked[parameter(PLURALS[key])] = [each for each in value if each is not None]
        else:
            asked[key] = value
    return asked
