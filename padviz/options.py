"""The options of all commands: `size: Annotated[Pixels, SIZE]` makes a parameter of a function an
option, `--size`.

They stand in the order of help. This module holds data alone and imports nothing: `padviz/cli`
makes commands of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias


class Flag:
    """Given or not: it negates the default of its parameter."""


class Choice(NamedTuple):
    """One of some words."""

    words: tuple[str, ...]


class Whole(NamedTuple):
    """An integer, from `least` to `most`."""

    least: int = 0
    most: int | None = None
    shown: str = "N"


class Real(NamedTuple):
    """A number; a `share` lies above 0 and is at most 1."""

    share: bool = False
    shown: str = "X"


class Name(NamedTuple):
    """A text that is not empty; the shell completes those that are `known`."""

    shown: str = "NAME"
    known: Literal["networks", "colour maps", ""] = ""


class Layer(NamedTuple):
    """The name of a layer."""

    shown: str = "NAME"


class Size(NamedTuple):
    """Pixels: 224 or 240x320; of several, 64:448:16 is a range."""

    shown: str = "N|HxW"


class Scheme(NamedTuple):
    """A padding scheme, or one for each axis; "declared" is the network's own."""

    shown: str = "SCHEME"


class Unit(NamedTuple):
    """ROW,COL of one pixel, or of a unit, for which `boxes` are ranges."""

    boxes: bool


class Numbers(NamedTuple):
    """Numbers between commas; the hint says how many."""

    hint: str = "use one, or one for each channel"


class Path:
    """The path of a file to write."""


class Folder:
    """A folder that exists."""


class Input:
    """NAME=VALUE of a further input of a module."""


Kind: TypeAlias = (
    Flag
    | Choice
    | Whole
    | Real
    | Name
    | Layer
    | Size
    | Scheme
    | Unit
    | Numbers
    | Path
    | Folder
    | Input
)


class Option(NamedTuple):
    """An option as it is typed, without dashes; its line of help, and the kind of its value.

    It takes one value or a list of `several`. With `each`, the command calls the function for each
    of them.
    """

    name: str
    help: str
    kind: Kind = Flag()
    several: bool = False
    each: bool = False


class Argument(NamedTuple):
    """What stands before the options; it is read as a network, one with its weights, or not at all.

    `weights` says what they are for: to be looked at, or to be run, in which case the network takes
    one image alone. If it is `optional`, the command has a use without it. Unless it is read
    `at_size`, the size is one that it may refuse. With `several` it takes a list, and with `each`
    the command calls the function for each.
    """

    shown: str = "MODEL"
    read: bool = True
    optional: bool = False
    weights: Literal["", "looked at", "run"] = ""
    at_size: bool = True
    several: bool = False
    each: bool = False


class Command(NamedTuple):
    """How `padviz NAME` is made of `padviz.NAME`, whose annotated parameters are its options.

    `formats` are those of its report. -o takes the `files` that the result's `save` writes beside
    texts. With `always`, one is written without -o too, unless figures alone are asked for.
    `check_file` gets the arguments, and the path of -o as "o": it rejects a file that cannot be
    made of them. `look` are options of the picture, which `save` takes, and `more` options of the
    command alone. `counting` is what its progress counts. `alone` are options that ask about one
    network at one size.

    `together` makes one report of what several results hold for it, and `failed` what stands there
    for a network that does not take one of several sizes.
    """

    function: Callable[..., object]
    help: str
    formats: tuple[str, ...] = ("table", "json", "csv", "markdown")
    files: tuple[str, ...] = (".png", ".svg", ".pdf")
    always: bool = False
    check_file: Callable[[Mapping[str, object]], None] | None = None
    look: tuple[Option, ...] = ()
    more: tuple[Option, ...] = ()
    counting: str = ""
    alone: tuple[Option, ...] = ()
    together: Callable[[Sequence[Any]], Any] | None = None
    failed: Callable[..., object] | None = None


MODEL = Argument()
MODELS = Argument("MODEL...", several=True)
EACH_MODEL = Argument("MODEL...", each=True)
TRAINED_MODEL = Argument(weights="looked at")
RUN_MODEL = Argument(weights="run")
MODEL_A, MODEL_B = Argument("MODEL_A"), Argument("MODEL_B")
MODEL_OR_PROJECT = Argument(optional=True)
RULE = Argument("RULE", read=False)
SIZED_MODEL = Argument(at_size=False)
EXPORTED = Argument("MANIFEST.toml|MODEL...", read=False, several=True)
WHOLE, TILED = Argument("WHOLE", read=False), Argument("TILED", read=False)
IMAGE_FILE = Argument("IMAGE", read=False)

SIZE = Option("size", "Input size in pixels.", Size())
SIZES, EACH_SIZE = SIZE._replace(several=True), SIZE._replace(several=True, each=True)
PADDING = Option("padding", "Padding, e.g. reflect or zero/circular.", Scheme())
PADDINGS = PADDING._replace(several=True)
SAME = Option("same", "Pad like SAME in TensorFlow and Keras.")
LAYER = Option("layer", "Name of a layer; by default the last.", Layer())
LAYERS = LAYER._replace(several=True)
SHOWN_LAYERS = Option("layer", "Show only these layers.", Layer(), several=True)
SCORED = Option("layer", "Output, or tensor inside, to score.", Layer())
HEADS = Option("heads", "Weight heads equally (share) or add counts.", Choice(("share", "sum")))
UNIT = Option("unit", "Output unit ROW,COL, or a box R0:R1,C0:C1.", Unit(boxes=True))
POOLING = Option("pooling", "Weights of taps in pools and resizes.", Choice(("count", "mean")))
KERNEL = Option("kernel", "Kernel size.", Whole(1, 31))
STRIDE = Option("stride", "Stride.", Whole(1, 31))
DILATION = Option("dilation", "Dilation.", Whole(1, 31))
PIXEL = Option("pixel", "Show how often each tap reads this pixel.", Unit(boxes=False))
AXIS = Option("axis", "Axis to cut.", Choice(("height", "width", "depth", "length")))
PERIOD = Option("period", "Pixels between seams, if known.", Size())
CHUNK = Option("chunk", "Input samples of a chunk.", Whole(1))
RATE = Option("rate", "Samples of the audio per second, to add ms.", Whole(1, shown="HZ"))
SHARDS = Option("shards", "Number of shards.", Whole(1))
STREAM = Option("stream", "Input samples of a chunk.", Whole(1))
THOROUGH = Option("thorough", "Ask all layers, and in float64.")
TILE = Option("tile", "Largest tile that fits into memory.", Size())
OBJECT = Option("object", "Keep objects of up to N px whole in a tile.", Whole(0))
FOR = Option("for", "Print the call for a library, e.g. monai.", Name("LIB"))
MEMORY = Option("memory", "Main memory for the maps.", Whole(1, shown="MB"))
SCRATCH = Option("scratch", "Folder for maps of shared norms.", Folder())
LEVEL = Option("level", "Share of paths to keep, e.g. .999; inexact.", Real())
NORMS = Option(
    "norms", "Norms over all tiles, or per tile (inexact).", Choice(("shared", "per-tile"))
)
GT = Option("gt", "Objects: COCO instances or YOLO labels.", Name("FILE"))
PRED = Option("pred", "Detections: COCO results or YOLO labels.", Name("FILE"))
RINGS = Option("rings", "Rings, each half as deep as the next.", Whole(1, 12))
PX = Option("px", "Inner edges of the rings in px, e.g. 16,32.", Numbers("use 16,32,64"))
IOU = Option("iou", "IoU thresholds for AP.", Numbers("use .2,.5,.75"))
IMAGE_SIZES = Option("image-sizes", "Images of YOLO labels, or their sizes.", Name("FOLDER|CSV"))
BY_CLASS = Option("by-class", "Score each class too.")
ONLY = Option("only", "Layers to change.", Layer(), several=True)
EXCEPT = Option("except", "Layers to leave unchanged.", Layer(), several=True)
EVEN = Option("even", "Balance uneven convolutions.")
EXPECT_EVEN = Option("even", "Expect no uneven convolution.")
ALL = Option("all", "List even layers too.")
ALL_CHANGES = Option("all", "Show all changes, with figures and edits.")
ALL_RULES = Option("all", "Run every rule.")
WRAPS = Option("wraps", "Expect wrapping along an axis, such as width.", Name("AXIS"), several=True)
CONTEXT = Option("context", "Expect exact tiles at this context.", Whole(0))
CAUSAL = Option("causal", "Expect no unit to see ahead.")
SAME_AS = Option(
    "same-as", "Expect each unit to read the same as in OTHER.", Name("OTHER", "networks")
)
LIKE = Option("like", "The networks whose rims are nearest to MODEL's.", Name("MODEL", "networks"))
ANY_SIZE = Option("any-size", "Expect it to be readable at these sizes.", Size(), several=True)
ACCEPTS = Option("accepts", "Expect it to take these sizes, e.g. 16*i.", Name("RULE"))
UNSTRETCHED = Option("unstretched", "Expect outputs to lie in place.")
RIM = Option("rim", "Expect starved rims of at most N px.", Whole(0))
BASELINE = Option("baseline", "File with known findings.", Name("FILE"))
WRITE_BASELINE = Option("write-baseline", "Create a file with today's findings.", Name("FILE"))
PRUNE_BASELINE = Option("prune-baseline", "Remove from the baseline what is gone.")
WHAT = Option("what", "usage, coverage, uneven, taps, filters, ...", Name("WHAT"), several=True)
IMAGES = Option("images", "Photographs like training images, no labels.", Folder())
BLANK = Option("blank", "Use a constant image instead of noise.")
N = Option("n", "Number of inputs.", Whole(1))
TRAINED_AT = Option("trained-at", "Training image size.", Size())
STIMULUS = Option(
    "stimulus", "Stimulus to move over the background.", Name("text:WORD|FILE|sample")
)
HEIGHT = Option("height", "Stimulus height; by default 1/8 of the image.", Whole(2, shown="PX"))
CONTRAST = Option("contrast", "Contrast of the stimulus; 1 by default.", Real(share=True))
STEP = Option("step", "Pixels between positions.", Whole(1, shown="PX"))
CLASS = Option("class", "Class, or channel of the map, to score.", Whole(0))
THRESHOLD = Option("threshold", "Map the contrast needed instead of the score.")
IMAGE = Option("image", "Picture to shift instead of a stimulus.", Name("FILE"))
SHIFT = Option("shift", "Largest shift of the picture.", Whole(1, shown="PX"))
PATCH = Option("patch", "Side of the patch.", Whole(1, shown="PX"))
GRID = Option("grid", "Patch positions along each side.", Whole(1))
NO_SHUFFLED = Option("no-shuffled", "Skip the run with shuffled weights.")
NOISE = Option("noise", "Use noise instead of photographs.")
MEAN = Option("mean", "Channel means of pixels from 0 to 1.", Numbers())
STD = Option("std", "Channel deviations of pixels.", Numbers())
BGR = Option("bgr", "Feed channels as blue, green, red.")
RUN = Option("run", "Run both on noise, and compare the outputs.")
SEED = Option("seed", "Random seed.", Whole(0))
JOBS = Option("jobs", "Worker processes; one per core by default.", Whole(1, 1024))
SCALE = Option(
    "scale", "Quantity to colour by; fair share by default.", Choice(("share", "counts"))
)
SCALES = SCALE._replace(kind=Choice(("share", "counts", "each")))
CMAP = Option("cmap", "Matplotlib colour map.", Name("NAME", "colour maps"))
DPI = Option("dpi", "Resolution of the saved picture.", Whole(20, 1200))
WIDTH = Option("width", "Width of the saved picture in pixels.", Whole(20, 20_000, "PX"))
THEME = Option("theme", "Light or dark background.", Choice(("light", "dark")))
FORMAT = Option("format", "Format of the report.")
FILE_FORMATS = Option("format", "Files: png (default), npz, json.", Name("FORMAT"), several=True)
OUTPUT = Option("o", "Write {}.", Path())
FOLDER = Option("o", "Folder to write to.", Name("DIR"))
OUTPUT_FILE = Option("o", "File to write: .npy .png .tif .tiff.", Name("FILE"))
OVERWRITE = Option("overwrite", "Replace existing files.")
NO_PICTURE = Option("no-picture", "Print numbers only.")
OPEN = Option("open", "Open it in a browser.")
RESUME = Option("resume", "Continue an interrupted run.")
WEIGHTS = Option("weights", "File or name of the module's weights.", Name("FILE|NAME"))
ALLOW_MODULES = Option("allow-modules", "Run code that a manifest names.")
INPUT = Option("input", "Name of the image input.", Name())
SHAPE = Option("shape", "Further input, e.g. mask=1x1xHxW or t=1.", Input(), several=True)
NEUTRAL = Option("neutral", "Treat unknown operation OP as elementwise.", Name("OP"), several=True)
