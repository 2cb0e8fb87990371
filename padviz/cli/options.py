"""The option vocabulary: each option is spelled, read and explained in one place."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.axis.padding_modes import SCHEMES, in_a_sentence
from padviz.cli.value_types import NumbersType, SizeType, UnitType
from padviz.errors import OptionError, PadvizError, printable

if TYPE_CHECKING:
    from padviz.network.network import Network
    from padviz.trained.weights.trained_network import Trained

NEUTRAL = "padviz.neutral"
SAID = "padviz.said"
AS_TRAINED = "trained"  # in --padding: the padding that a network has
Option = Callable[[Callable[..., None]], Callable[..., None]]


def spelled(error: PadvizError | str, command: click.Command | None = None) -> str:
    """Say a library's error, or line, with its options as they are typed; hints of others are left out.

    The command is the one that runs, if none is given.

    >>> spelled(OptionError("0 is no size", option="size", hint="use `size` 224, or `allow_modules`"))
    '--size: 0 is no size; use --size 224, or --allow-modules'
    """
    context = click.get_current_context(silent=True)
    command = command or (context.command if context else None)
    known = None if command is None else {spelling.lstrip("-") for param in command.params for spelling in param.opts}
    named = isinstance(error, PadvizError) and error.option and not error.where
    if isinstance(command, ChangesLayers):
        known = (known or set()) - {"layer"}
    name = str(error).partition(":")[0]
    dashes = _dashes(name) if named and (known is None or name in known) else ""
    text = str(error) if known is None else _known_only(str(error), known)
    return dashes + re.sub(r"`([a-z_]+)`", lambda name: _dashes(name[1]) + name[1].replace("_", "-"), text)


def _dashes(option: str) -> str:
    """Put before an option's name what stands there: one letter has one dash.

    >>> _dashes("n"), _dashes("size")
    ('-', '--')
    """
    return "-" if len(option) == 1 else "--"


def _known_only(text: str, known: Container[str]) -> str:
    """Leave out of a line what it advises of options that are not known.

    >>> _known_only("a: is small; try another `size` or `padding`", {"size"})
    'a: is small; try another `size`'
    >>> _known_only("a: no rule; `neutral` a leaves it, `layer` b stops before it", {"layer"})
    'a: no rule; `layer` b stops before it'
    """
    kept, *parts = re.split(r"(; |, or |, | or )", text)
    dropped = ""  # what stood before the last part that was left out
    for between, part in zip(parts[::2], parts[1::2], strict=True):
        if any(name.replace("_", "-") not in known for name in re.findall(r"`([a-z_]+)`", part)):
            dropped = dropped or between
            continue
        kept += (dropped or between) + part
        dropped = ""
    return kept


class ChangesLayers(click.Command):
    """A command whose --layer names what it changes, and is no way around what cannot be followed."""


class WithCheck(click.Command):
    """A command whose --check may have a value after "=": a bare one never takes the argument that follows it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        whole = ["--check=learned" if arg == "--check" and i < end else arg for i, arg in enumerate(args)]
        return super().parse_args(ctx, whole)


def _remember(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
    for op in value:
        _named(ctx, param, op.strip())
    if value:
        from padviz.sources.tracing.moving import checked_neutral

        checked_neutral(value)
    ctx.meta[NEUTRAL] = value


def _named(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse an empty name, which would be taken for none."""
    if value == "":
        raise OptionError("'' names nothing", where=param.opts[0], hint="give it a name, or leave it out")
    return value


neutral = click.option(
    "--neutral",
    multiple=True,
    metavar="OP",
    expose_value=False,
    callback=_remember,
    help="An operation that padviz does not know, to treat as acting on each position alone; none that moves them.",
)


def model(command: Callable[..., None]) -> Callable[..., None]:
    """Add the argument MODEL, and how to read it."""
    return click.argument("model")(neutral(command))


weights = click.option(
    "--weights",
    metavar="FILE|NAME",
    help="A .safetensors or .pth file that fits the module; or, as DEFAULT, what its factory calls them.",
)


def trained(command: Callable[..., None]) -> Callable[..., None]:
    """Add the argument MODEL of a network with weights, and how to read it."""
    return model(weights(command))


size = click.option("--size", type=SizeType(), help="Input size in pixels; the network's own by default.")
padding = click.option(
    "--padding",
    metavar="MODE",
    help=f"Padding of every convolution: {in_a_sentence(SCHEMES)}; or HEIGHT/WIDTH, as zero/circular. As declared by "
    "default.",
)
pooling = click.option(
    "--pooling", type=click.Choice(["count", "mean"]), default="count", help="Count pooling taps, or weigh by 1/taps."
)
layers = click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="NAME",
    help="Target layer, or a tensor of an ONNX file; several add up. The last map by default.",
)
upto = click.option(
    "--layer", "layers", multiple=True, metavar="NAME", help="The network up to this layer; may be given several times."
)
only = click.option(
    "--layer", "layers", multiple=True, metavar="NAME", help="Only this layer; may be given several times."
)
heads = click.option(
    "--heads",
    type=click.Choice(["sum", "share"]),
    default="sum",
    help="Several target layers: add up all paths, or give each layer the same weight. With share, and no layer named, "
    "all last maps count.",
)
unit = click.option("--unit", type=UnitType(), help="One unit of the target, or a box R0:R1,C0:C1. All by default.")
same = click.option("--same", is_flag=True, help="Pad as TensorFlow's and Keras's SAME: the odd row on the far side.")
cmap = click.option(
    "--cmap", metavar="NAME", callback=_named, help="A colour map of matplotlib's; plasma, or PuOr for fair shares."
)

inputs = click.option(
    "--inputs", metavar="noise|blank|FOLDER", default="noise", show_default=True, help="What the network is run on."
)
seed = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of what is random.")


def schemes(usual: tuple[str, ...]) -> Option:
    """Add the option --padding, several schemes; "trained" is the network's own, always the first."""
    help_ = f"Schemes to replace the padding by, between commas; trained keeps it. By default {','.join(usual)}."
    return click.option("--padding", metavar="MODE,...", default=",".join(usual), callback=_schemes, help=help_)


def _schemes(ctx: click.Context, param: click.Parameter, value: str) -> list[str]:
    from padviz.network.rewrites import canonical

    return [canonical(scheme) or scheme for scheme in listed(value) if scheme != AS_TRAINED]


mean = click.option("--mean", type=NumbersType(), help="Of pixels from 0 to 1, by channel; ImageNet's by default.")
std = click.option("--std", type=NumbersType(), help="Deviation of pixels, by channel; ImageNet's by default.")


def load_as(model: str, size: tuple[int, int] | None = None, same: bool = False) -> Network:
    """Load the network that MODEL names, laid out at `size` where it leaves that open, in the convention asked for."""
    from padviz.network.rewrites import with_same
    from padviz.sources import load, shadowing

    if line := shadowing(model):
        say_once(line)
    network = load(model, size, neutral_ops())
    network = with_same(network) if same else network
    warn_if_baked(network, network.size if size is None else size)
    return network


def read_trained(model: str, size: tuple[int, int] | None = None, weights: str | None = None) -> Trained:
    """Read the network that MODEL names, with its weights."""
    from padviz.sources import shadowing
    from padviz.trained.weights.reading import read

    if line := shadowing(model):
        say_once(line)
    loaded = read(model, size, weights, neutral_ops())
    warn_if_baked(loaded.network, loaded.size)
    return loaded


def kept_beside(picture: Path, resume: bool, overwrite: bool) -> tuple[Path, tuple[str, ...]]:
    """Name the file that keeps a run beside its picture, and note where there is none to go on with."""
    from padviz.files.unfinished import SUFFIX

    kept = picture.with_name(picture.name + SUFFIX)
    if kept.exists() and not (resume or overwrite):
        hint = "add --resume to continue it, or --overwrite to begin anew"
        raise OptionError("keeps an interrupted run", where=kept.name, hint=hint)
    anew = f"{kept.name} was not there: nothing was kept, and the run began anew"
    return kept, (anew,) if resume and not kept.exists() else ()


def images(words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --images, a folder that is looked for before anything is read."""

    def checked(context: click.Context, option: click.Parameter, folder: str | None) -> str | None:
        if folder is not None and not Path(folder).is_dir():
            raise OptionError(f"{folder!r} is no folder", where="--images", hint="use a folder of pictures")
        return folder

    return click.option("--images", metavar="FOLDER", callback=checked, help=words)


def neutral_ops() -> tuple[str, ...]:
    """List what --neutral names in the command that runs."""
    ops: tuple[str, ...] = click.get_current_context().meta.get(NEUTRAL, ())
    return ops


def say(line: str) -> None:
    """Say something on stderr."""
    click.echo(f"padviz: {printable(spelled(line))}", err=True)


def say_all(notes: Iterable[str]) -> None:
    """Say each of some notes on stderr."""
    for note in notes:
        say(note)


def say_once(line: str) -> None:
    """Say something on stderr, unless this command said it before."""
    lines = click.get_current_context().meta.setdefault(SAID, set())
    if line not in lines:
        lines.add(line)
        say(line)


def warn_if_baked(network: Network, size: tuple[int, int] | None = None) -> None:
    """Say on stderr where a head was cut off, or where another size, or a sweep, shows a file and not its original."""
    from padviz.network.baked import notes_at

    for note in notes_at(network, size):
        say_once(f"{network.name}: {note}")


def warn_if_assumed(network: Network) -> None:
    """Say on stderr where a file leaves the size of its input open, and none was asked for."""
    from padviz.network.baked import assumed

    if assumption := assumed(network):
        say_once(f"{network.name}: {assumption}")


def known_layers(network: Network, layers: tuple[str, ...]) -> set[str]:
    """Check the layers asked for; all of them where none is named."""
    return {network.find(name).name for name in layers} if layers else set(network.index)


def listed(text: str) -> list[str]:
    """List values between commas, each once.

    >>> listed("224, 225,224")
    ['224', '225']
    """
    return [*dict.fromkeys(part.strip() for part in text.split(","))]


def default_picture(network: Network, size: tuple[int, int], padding: str | None, what: str) -> Path:
    """Name the picture where no name is given: MODEL-SIZE[-MODE]-WHAT.png."""
    from padviz.network.rewrites import canonical, padding_in_names
    from padviz.reports.tables import pixels

    mode = padding_in_names(canonical(padding))
    return Path("-".join([network.name, pixels(size), *([mode] if mode else []), f"{what}.png"]))
