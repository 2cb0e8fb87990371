"""An ONNX file repadded: read, planned, edited, read again and compared; whoever asks for it writes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from padviz.errors import OptionError, PadvizError
from padviz.network.network import Network, Size
from padviz.repad import verify
from padviz.repad.onnx_edits import edit
from padviz.repad.plan import Left, Plan, plan
from padviz.sources.onnx.load import image_of, is_nhwc, laid_out, parsed, read


@dataclass(frozen=True)
class Repadded:
    """A file that was repadded: the network that it was, what was done, the network that it is, and its content.

    `changed` and `left` say which layers were changed, and which that pad were left alone, and why. `beside` are the
    files with weights that must lie beside it, by their names.
    """

    source: Network
    plan: Plan
    network: Network
    content: bytes = field(repr=False)
    beside: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[str, ...]:
        """The names of the layers that were changed."""
        return tuple(change.name for change in self.plan.changes)

    @property
    def left(self) -> tuple[Left, ...]:
        """The layers that pad and were left alone, each with the reason."""
        return self.plan.left


def repadded(
    path: str | Path,
    padding: str,
    size: Size | None = None,
    layers: Iterable[str] = (),
    without: Iterable[str] = (),
    neutral: Iterable[str] = (),
) -> Repadded:
    """Repad an ONNX file: weights, names, metadata, opset, and the order of values stay; external data is not opened.

    Parameters
    ----------
    path : str or Path
    padding : str
        As for `padviz.repad.plan.plan`.
    size : (height, width), optional
        Where the file leaves its size open, the one at which the result is verified.
    layers, without, neutral : iterable of str

    Raises
    ------
    PadvizError
        For a file or option that cannot be used; where nothing can be changed, with the reasons; or if the result,
        read again, does not obey the law.
    """
    model = read(Path(path), str(path))
    _check_size(model, str(path), size)
    network = laid_out(model, path, neutral, size)
    asked = plan(network, padding, size, layers, without)
    return edited(model, path, network, asked, neutral)


def edited(model: Any, path: str | Path, network: Network, asked: Plan, neutral: Iterable[str] = ()) -> Repadded:
    """A model edited as planned, read again and compared with the plan."""
    done = edit(model, network, asked, str(path))
    check_useful(done)
    try:
        content = model.SerializeToString()
    except (ValueError, MemoryError):
        what = "is too large for one file, once it is repadded"
        raise PadvizError(what, where=str(path), hint="save its weights as external data first") from None
    found = laid_out(parsed(content, str(path)), path, neutral, done.size)
    verify.check(done, found)
    return Repadded(network, done, found, content, tuple(dict.fromkeys(_external(model))))


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


def check_beside(found: Repadded, source: Path, out: Path) -> None:
    """Refuse to write a file away from its external data, which it names by where it lies.

    Raises
    ------
    OptionError
        Naming the data.
    """
    if found.beside and source.resolve().parent != out.resolve().parent:
        what = f"the weights in {found.beside[0]!r} lie beside {str(source)!r}, and the result names them"
        raise OptionError(what, option="output", hint="write into the same folder")


def _external(model: Any) -> Iterable[str]:
    """The names of files with external data."""
    tensors = [*model.graph.initializer]
    tensors += [each.t for node in model.graph.node for each in node.attribute if each.HasField("t")]
    for tensor in tensors:
        if tensor.data_location == tensor.EXTERNAL:
            yield from (each.value for each in tensor.external_data if each.key == "location")
