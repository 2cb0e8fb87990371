"""ONNX files repadded: read, planned, edited, compared, and then saved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from padviz.counting.count_map import CountMap
from padviz.errors import OptionError, PadvizError
from padviz.files.atomic import atomic_path
from padviz.files.output import check_output
from padviz.geometry.ledger import ledger
from padviz.network.network import Network, Size, as_size
from padviz.repadding.onnx_edits import edit
from padviz.repadding.plan import LeftAlone, RepadPlan, at_larger_size, check_law, plan, plan_even
from padviz.sources.onnx.constants import locations
from padviz.sources.onnx.load import as_network
from padviz.sources.onnx.model import Model, open_model
from padviz.sources.tracing.reading import AS_IT_IS, Reading


@dataclass(frozen=True)
class Repadded:
    """A repadded ONNX file: the network before (`source`) and after, the plan, and the content.

    `changed` are the layers that were changed, and `left` those that pad and were not, each with
    the reason. `beside` names files with weights, which must stay in the folder of `path`.
    `maps` are usage by the last maps, and `verified` the sizes at which it was verified: two if the
    file leaves its size open.

    >>> import padviz
    >>> padviz.Repadded.__name__
    'Repadded'
    """

    path: Path
    source: Network
    plan: RepadPlan
    network: Network
    content: bytes = field(repr=False)
    beside: tuple[str, ...] = ()
    maps: tuple[CountMap, ...] = field(default=(), repr=False)
    verified: tuple[Size, ...] = ()

    @property
    def changed(self) -> tuple[str, ...]:
        """The names of the layers that were changed."""
        return tuple(change.name for change in self.plan.changes)

    @property
    def left(self) -> tuple[LeftAlone, ...]:
        """The layers that pad and were not changed, each with the reason."""
        return self.plan.left

    def save(self, out: str | Path, *, overwrite: bool = False) -> None:
        """Write the file; its external data stays where it is.

        Raises
        ------
        OptionError
            If the file exists or holds external data of the model, or would lie in another folder
            than that data.
        """
        out = Path(out)
        check_output(out, overwrite)
        _check_place(out, self.path, self.beside)
        with atomic_path(out) as temporary:
            temporary.write_bytes(self.content)


def repad_file(
    path: str | Path,
    padding: str | None = None,
    size: int | Sequence[int] | None = None,
    layers: Sequence[str] = (),
    without: Sequence[str] = (),
    *,
    reading: Reading = AS_IT_IS,
) -> Repadded:
    """Repad the convolutions of an ONNX file by a scheme, or evenly by default, and verify usage.

    Only `layers` are changed, all by default, and those in `without` stay as they are.
    """
    at = None
    if size is not None:
        at = as_size(size)
    model = open_model(path, reading)
    if at is not None and not model.image.fits(at):
        what = f"the file takes images of {model.image} pixels"
        raise OptionError(what, option="size", hint="leave it out")
    network = as_network(model, reading, at)
    if padding is None:
        repadded = _edited(model, network, plan_even(network, at or network.size), reading)
        if uneven := ledger(repadded.network, repadded.plan.size).uneven_convolutions:
            what = f"{uneven[0].layer} would still be uneven, so nothing was written"
            raise PadvizError(what, where=repadded.network.name)
        return repadded
    return _edited(model, network, plan(network, padding, at, layers, without), reading)


def check_options(padding: str | None, even: bool, layers: Sequence[str] = ()) -> None:
    """Require either a scheme or `even`, which takes all layers."""
    if padding is None and not even:
        hint = "give a scheme, such as `padding` reflect, or `even`"
        raise OptionError("is missing", option="padding", hint=hint)
    if padding is not None and even:
        what, hint = "cannot be combined with `padding`", "do one after the other"
        raise OptionError(what, option="even", hint=hint)
    if even and layers:
        what, hint = "applies to all uneven windows", "leave `only` and `except_` out"
        raise OptionError(what, option="even", hint=hint)


def _edited(model: Model, network: Network, plan: RepadPlan, reading: Reading) -> Repadded:
    """Edit a model as planned, read it again and compare it with the plan."""
    done = edit(model, network, plan)
    if not done.changes and done.left:
        first, *others = done.left
        what = f"nothing can be changed: {first.layer}: {first.why}"
        if others:
            what = f"{what}, and {len(others)} more cannot be changed"
        raise PadvizError(what, where=done.before.name)
    if not done.changes and not done.pads:
        what = "nothing can be changed: none of the selected convolutions pads"
        raise PadvizError(what, where=done.before.name)
    try:
        content = model.proto.SerializeToString()
    except (ValueError, MemoryError):
        what = "is too large for one file, once it is repadded"
        hint = "save its weights as external data first"
        raise PadvizError(what, where=model.where, hint=hint) from None
    reread = as_network(model, reading, done.size)
    maps = tuple(check_law(done, reread))
    verified = [done.size]
    if larger := at_larger_size(done):
        check_law(larger, reread.at(larger.size))
        verified.append(larger.size)
    path, beside = Path(model.where), locations(model.proto)
    return Repadded(path, network, done, reread, content, beside, maps, tuple(verified))


def _check_place(out: Path, path: Path, names: Iterable[str]) -> None:
    """Reject a place for a model that is one of its data files, or that they do not lie beside.

    Their `names` are relative to the folder of the original model at `path`.
    """
    for name in names:
        if _same(path.parent / name, out):
            what = f"holds the weights of {str(path)!r}, which names it {name!r}"
            raise OptionError(what, where=str(out), hint="name another file")
        if not _same(path.parent / name, out.parent / name):
            what = f"the weights in {name!r} lie beside {str(path)!r}, and the result names them"
            raise OptionError(what, where=str(out), hint="write into the same folder")


def _same(one: Path, other: Path) -> bool:
    """Return whether two paths are the same place, by links or another spelling too.

    It need not exist.
    """
    with suppress(OSError, ValueError):  # ValueError: a null byte
        if os.path.realpath(one) == os.path.realpath(other):
            return True
        return os.path.samefile(one, other)
    return False
