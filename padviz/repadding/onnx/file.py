"""An ONNX file repadded: read, planned, edited, read again and compared; whoever asks for it writes it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from padviz.counting.count_map import CountMap
from padviz.errors import OptionError, PadvizError
from padviz.files.atomic import aside
from padviz.network.network import Network, Size, as_size
from padviz.repadding import verify
from padviz.repadding.onnx.data import check_place, locations
from padviz.repadding.onnx.edits import edit
from padviz.repadding.plan import Left, Plan, plan
from padviz.sources.onnx.load import image_of, is_nhwc, laid_out, parsed, read


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
        check_place(out, self.path, self.beside)
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
    check_asked(padding, even, layers + without)
    at = None if size is None else as_size(size)
    model, network = opened(path, at, neutral)
    if padding is None:
        from padviz.repadding.even import check_even, evened

        found = edited(model, path, network, evened(network, at or network.size), neutral)
        check_even(found.network, found.plan.size)
    else:
        found = edited(model, path, network, plan(network, padding, at, layers, without), neutral)
    if out is not None:
        found.save(out, overwrite=overwrite)
    return found


def check_asked(padding: str | None, even: bool, layers: Sequence[str] = ()) -> None:
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
        raise OptionError("takes all uneven windows", option="even", hint="leave `layers` and `without` out")


def opened(path: str | Path, size: Size | None = None, neutral: Iterable[str] = ()) -> tuple[Any, Network]:
    """The model in a file, and the network that it is at a size that it takes."""
    model = read(Path(path), str(path))
    _check_size(model, str(path), size)
    return model, laid_out(model, path, neutral, size)


def edited(model: Any, path: str | Path, network: Network, asked: Plan, neutral: Iterable[str] = ()) -> Repadded:
    """A model edited as planned, read again and compared with the plan."""
    beside = locations(model)
    done = edit(model, network, asked, str(path))
    check_useful(done)
    try:
        content = model.SerializeToString()
    except (ValueError, MemoryError):
        what = "is too large for one file, once it is repadded"
        raise PadvizError(what, where=str(path), hint="save its weights as external data first") from None
    found = laid_out(parsed(content, str(path)), path, neutral, done.size)
    maps = tuple(verify.check(done, found))
    return Repadded(Path(path), network, done, found, content, beside, maps)


def _check_size(model: Any, where: str, size: Size | None) -> None:
    """Refuse another size than the one that is built into a file."""
    image, shape = image_of(model, where)
    at = (1, 2) if is_nhwc(model, image, shape) else (2, 3)
    declared = [shape[i] for i in at]
    if size is not None and any(n not in (0, asked) for n, asked in zip(declared, size, strict=True)):
        built_in = " x ".join(str(n or "any") for n in declared)
        raise OptionError(f"the file takes images of {built_in} pixels", option="size", hint="leave it out")


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
