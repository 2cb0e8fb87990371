"""An ONNX file repadded: read, planned, edited, read again and compared; whoever asks for it writes it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from padviz.counting.count_map import CountMap
from padviz.errors import OptionError, PadvizError
from padviz.files.atomic import aside
from padviz.network.network import Network, Size, as_size
from padviz.repadding import verify
from padviz.repadding.onnx.edits import edit
from padviz.repadding.plan import Left, Plan, plan
from padviz.sources.onnx.constants.external import locations
from padviz.sources.onnx.load import laid_out
from padviz.sources.onnx.model import Model, open_model, parse_model


@dataclass(frozen=True)
class Repadded:
    """A file that was repadded: the network that it was, what was done, the network that it is, and its content.

    `changed` and `left` say which layers were changed, and which that pad were left alone, and why. `beside` are the
    files with weights that must lie beside it, by their names, as they do beside the file at `path`; `maps` are usage
    by its last maps, which was verified.

    >>> import padviz
    >>> padviz.Repadded.__name__
    'Repadded'
    """

    path: Path
    source: Network
    plan: Plan
    network: Network
    content: bytes = field(repr=False)
    beside: tuple[str, ...] = ()
    maps: tuple[CountMap, ...] = field(default=(), repr=False)

    @property
    def changed(self) -> tuple[str, ...]:
        """The names of the layers that were changed."""
        return tuple(change.name for change in self.plan.changes)

    @property
    def left(self) -> tuple[Left, ...]:
        """The layers that pad and were left alone, each with the reason."""
        return self.plan.left

    def save(self, out: str | Path, *, overwrite: bool = False) -> None:
        """Write the file; its external data stays where it is.

        Raises
        ------
        OptionError
            If something is in the way, or is external data of the model, or the file would lie away from that data.
        """
        out = Path(out)
        if not overwrite and os.path.lexists(out):
            raise OptionError("exists", where=str(out), hint="name another, or set overwrite")
        _check_place(out, self.path, self.beside)
        with aside(out) as temporary:
            temporary.write_bytes(self.content)


def repad_file(
    path: str | Path,
    padding: str | None = None,
    out: str | Path | None = None,
    size: int | Sequence[int] | None = None,
    layers: Iterable[str] = (),
    without: Iterable[str] = (),
    *,
    even: bool = False,
    neutral: Iterable[str] = (),
    overwrite: bool = False,
) -> Repadded:
    """Write an ONNX file whose convolutions pad by a scheme, or evenly: all else stays, and usage of it is verified.

    Parameters
    ----------
    path : str or Path
        An ONNX file; weights that lie beside it are not opened.
    padding : str, optional
        A scheme that README lists, but for valid and full; or one for each axis, height/width.
    out : str or Path, optional
        The file to write; none by default, to see what would be done.
    size : int or (height, width), optional
        Where the file leaves its size open, the one to verify at, in pixels.
    layers, without : iterable of str
        The only layers to change, all by default; and layers to leave as they are.
    even : bool
        In place of a scheme: share out the pads of uneven convolutions evenly, or move their strides into pools.
    neutral : iterable of str
        As for `padviz.load`.
    overwrite : bool
        Replace `out` if it exists.

    Returns
    -------
    Repadded
        With `.changed`, names of layers, `.left`, those that were left alone and why, and `.network`, what was read of
        the result, for `padviz.usage` and all else.

    Raises
    ------
    PadvizError
        For a file or option that cannot be used, where nothing can be changed, or if the result does not obey the law;
        then nothing is written.

    Notes
    -----
    The law: usage of the result is `usage(path, size, padding)`, exactly, in every pixel, where nothing is left alone.

    Examples
    --------
    >>> repad_file("missing.onnx", "reflect", "reflect.onnx")
    Traceback (most recent call last):
        ...
    padviz.errors.DescriptionError: missing.onnx: no such file; give the path of an ONNX file
    """
    layers, without = tuple(layers), tuple(without)
    check_options(padding, even, layers + without)
    at = None if size is None else as_size(size)
    model, network = read(path, at, neutral)
    if padding is None:
        from padviz.repadding.even import check_even, evened

        repadded = edited(model, network, evened(network, at or network.size), neutral)
        check_even(repadded.network, repadded.plan.size)
    else:
        repadded = edited(model, network, plan(network, padding, at, layers, without), neutral)
    if out is not None:
        repadded.save(out, overwrite=overwrite)
    return repadded


def check_options(padding: str | None, even: bool, layers: Sequence[str] = ()) -> None:
    """Refuse anything but one of a scheme and `even`, which takes all layers.

    Raises
    ------
    OptionError
        Naming the option.
    """
    if padding is None and not even:
        hint = "say what padding is to read, as `padding` reflect, or `even`"
        raise OptionError("none is named", option="padding", hint=hint)
    if padding is not None and even:
        raise OptionError("cannot be combined with `padding`", option="even", hint="do one after the other")
    if even and layers:
        raise OptionError("takes all uneven windows", option="even", hint="leave `layer` and `except_` out")


def read(path: str | Path, size: Size | None = None, neutral: Iterable[str] = ()) -> tuple[Model, Network]:
    """Read the model in a file, and the network that it is at a size that it takes."""
    model = open_model(path)
    if size is not None and not model.image.fits(size):
        raise OptionError(f"the file takes images of {model.image} pixels", option="size", hint="leave it out")
    return model, laid_out(model, neutral, size)


def edited(model: Model, network: Network, plan: Plan, neutral: Iterable[str] = ()) -> Repadded:
    """Edit a model as planned, read it again and compare it with the plan."""
    beside = locations(model.proto)
    done = edit(model, network, plan)
    check_useful(done)
    try:
        content = model.proto.SerializeToString()
    except (ValueError, MemoryError):
        what = "is too large for one file, once it is repadded"
        raise PadvizError(what, where=model.where, hint="save its weights as external data first") from None
    reread = laid_out(parse_model(content, model.where), neutral, done.size)
    maps = tuple(verify.check(done, reread))
    return Repadded(Path(model.where), network, done, reread, content, beside, maps)


def check_useful(done: Plan) -> None:
    """Refuse a plan of which nothing could be done.

    Raises
    ------
    PadvizError
        With the reasons.
    """
    if done.changes:
        return
    if done.left:
        first = done.left[0]
        more = f", and {len(done.left) - 1} more are left alone" if len(done.left) > 1 else ""
        raise PadvizError(f"nothing can be changed: {first.layer}: {first.why}{more}", where=done.before.name)
    if not done.pads:
        raise PadvizError("nothing can be changed: no convolution that was asked for pads", where=done.before.name)


def _check_place(out: Path, path: Path, names: Iterable[str]) -> None:
    """Refuse to write a model in the place of the data of `names` that it reads, or where it would not find them.

    They are named as seen from the folder of the model that it is made of, at `path`, links included.
    """
    for name in names:
        if _same(path.parent / name, out):
            what = f"holds the weights of {str(path)!r}, which names it {name!r}"
            raise OptionError(what, where=str(out), hint="name another file")
    for name in names:
        if not _same(path.parent / name, out.parent / name):
            what = f"the weights in {name!r} lie beside {str(path)!r}, and the result names them"
            raise OptionError(what, where=str(out), hint="write into the same folder")


def _same(one: Path, other: Path) -> bool:
    """Tell whether two paths lead to one place, by links or by another spelling; what is there need not exist."""
    with suppress(OSError, ValueError):  # ValueError: a null byte
        if os.path.realpath(one) == os.path.realpath(other):
            return True
        return os.path.samefile(one, other)
    return False
