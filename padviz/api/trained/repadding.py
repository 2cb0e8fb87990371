"""The cure, applied: to a PyTorch module, or to an ONNX file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from padviz.errors import DescriptionError, OptionError
from padviz.network.network import Network
from padviz.sources import MODULE
from padviz.sources.tracing.reading import AS_IT_IS

if TYPE_CHECKING:
    from torch import nn

    from padviz.repadding.onnx.file import Repadded


@overload
def repad(
    network: nn.Module,
    padding: str,
    size: int | Sequence[int] | None = None,
    only: str | Iterable[str] = (),
    *,
    share: bool = True,
) -> nn.Module: ...


@overload
def repad(
    network: str | Path | Network,
    padding: str | None = None,
    size: int | Sequence[int] | None = None,
    only: str | Iterable[str] = (),
    *,
    except_: str | Iterable[str] = (),
    even: bool = False,
) -> Repadded: ...


def repad(
    network: nn.Module | str | Path | Network,
    padding: str | None = None,
    size: int | Sequence[int] | None = None,
    only: str | Iterable[str] = (),
    *,
    except_: str | Iterable[str] = (),
    even: bool = False,
    share: bool = True,
) -> nn.Module | Repadded:
    """Make convolutions pad by another scheme: a copy of a PyTorch module, or an ONNX file to be saved.

    What padding reads is replaced, and nothing else: weights and names stay, so checkpoints of either module load into
    the other. The result names each layer that could not be changed, with the reason.

    Parameters
    ----------
    network : torch.nn.Module, or the path of an ONNX file; or what `padviz.load` made of either
        Scripted and lazy modules are refused; of what `torch.compile` made, the module inside is repadded. Weights that
        lie beside an ONNX file are not opened.
    padding : str, optional
        A scheme that `padviz --help` lists, but for valid and full; or one for each axis: "zero/circular".
    size : int or (height, width), optional
        Input size in pixels at which the scheme must fit and the result is checked; the network's own by default.
    only : str or iterable of str
        The only layers to change, or modules with all that is in them; everything that pads by default.
    except_ : str or iterable of str
        Layers of an ONNX file to leave as they are.
    even : bool
        In place of a scheme: share out the pads of uneven convolutions of an ONNX file evenly, or move their strides
        into pools.
    share : bool
        Whether a copy of a module has the very parameters of the module, or copies of them. Buffers are copied.

    Returns
    -------
    torch.nn.Module
        Of a module, which stays as it is: `.repadded` of the copy has the names of what was `changed`, what was `left`
        alone and why, and the `size` checked at.
    Repadded
        Of a file, which stays as it is: with `.changed`, `.left`, `.network`, what was read of the result, for
        `padviz.usage` and all else, and `.save(path)`.

    Raises
    ------
    PadvizError
        If nothing can be done, naming what is in the way; or if the result does not obey the law.

    Warns
    -----
    UserWarning
        Of a module, naming what could not be changed, or where no forward on an image can be followed.

    Notes
    -----
    The law: usage of the result is `usage(network, size, padding)`, exactly, in every pixel, where nothing is left
    alone. "valid" and "full" are other amounts of padding, and refused: maps would change their size.
    Source: the conclusion of Alsallakh et al., ICLR 2021, that circular or symmetric padding may fit a task better.

    Examples
    --------
    >>> import padviz, torchvision
    >>> wrapped = padviz.repad(torchvision.models.resnet18(), "zero/circular", size=64)
    >>> wrapped.conv1
    Conv2d(3, 64, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3), bias=False, repadded='zero/circular')
    >>> len(wrapped.repadded.changed), wrapped.repadded.left
    (17, ())
    """
    from padviz.repadding.onnx.file import check_options, repad_file

    layers, without, reading = _names(only), _names(except_), AS_IT_IS
    check_options(padding, even, layers + without)
    if isinstance(network, Network) and network.origin is not None:
        size, reading = network.size if size is None else size, network.reading
        network = network.origin
    if isinstance(network, str | Path) and str(network).lower().endswith(".onnx"):
        return repad_file(network, padding, size, layers, without, even=even, reading=reading)
    from padviz.repadding.torch_module import repad

    if padding is None or without:
        option = "even" if even else "except_"
        raise OptionError(
            "is for ONNX files", option=option, hint="name a `padding`, and the layers to change with `only`"
        )
    return repad(_module(network), padding, layers, size=size, share=share, reading=reading)


def _module(network: nn.Module | str | Path | Network) -> nn.Module:
    """Make the module that a name means."""
    if not isinstance(network, str | Path | Network):
        return network
    if isinstance(network, str) and MODULE.fullmatch(network):
        from padviz.trained.weights.reading import read

        module: nn.Module = read(network).model
        return module
    where = network.name if isinstance(network, Network) else str(network)
    raise DescriptionError(
        "has no weights", where=where, hint="usage and convert take `padding`; repad a module, or an .onnx file"
    )


def _names(names: str | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
