"""The channels that a module's input may have, read from what refuses others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from padviz.sources.torch.tensors import tensors_in

USUAL = (3, 1, 4, 2)
MOST_CHANNELS = 1 << 16


def usual_channels(module: nn.Module, axes: int) -> list[int]:
    """Return the channels to try first: those of the first convolution, then the usual ones."""
    convolutions = (inner for inner in module.modules() if isinstance(inner, _ConvNd))
    first = [inner.in_channels for inner in convolutions if inner.weight.ndim - 2 == axes][:1]
    return list(dict.fromkeys((*first, *USUAL)))


def channels_read(
    call: Sequence[object], is_map: Callable[[Tensor], bool], module: nn.Module, channels: int
) -> tuple[int, ...]:
    """Return the channels of the image at which a call that failed might run, the likeliest first.

    The sides of a call's weights, and the size of a new shape, give the channels that it reads. If
    it reads 16, and was given 6 where the image has 3, the image must have 8. If no call failed,
    a check in the code of `module` did.

    Parameters
    ----------
    call
        The arguments of the call; none if code of the module failed.
    is_map
        Whether a tensor was made of the image.
    module
        The module that ran.
    channels
        Those of the image that it ran on.

    Examples
    --------
    >>> from torch import ones
    >>> weight, x = ones(32, 16, 3), ones(1, 6, 99)
    >>> channels_read([x, weight], lambda tensor: tensor is x, nn.Identity(), 3)
    (8, 16, 32)
    """
    maps, weights = list[Tensor](), list[Tensor]()
    for tensor in tensors_in(call):
        if is_map(tensor):
            maps.append(tensor)
        else:
            weights.append(tensor)
    if not call:
        weights += [*module.parameters()][:1]
    groups = [n for n in call if type(n) is int and n > 1]
    read, given = list[int](), [channels]
    for weight in weights:
        for n in reversed(weight.shape[:2]):  # behind them is the kernel
            read += [n, *(n * group for group in groups)]
    if maps:
        shape = maps[0].shape
        given = [*shape[1:2], *shape[-1:], channels]
        if not weights:
            read = [prod(n for n in _numbers(call) if n > 0)]
            given.insert(0, prod(shape))
    return _of_image(read, given, channels)


def _of_image(read: Sequence[int], given: Sequence[int], channels: int) -> tuple[int, ...]:
    """Return the channels that an image must have, if one of `channels` gives a call some numbers
    where it reads others.
    """
    might: dict[int, None] = {}
    for n in read:
        for k in filter(None, given):
            wanted, rest = divmod(n * channels, k)
            if not rest and 0 < wanted <= MOST_CHANNELS:
                might[wanted] = None
    return tuple(might)


def _numbers(call: object) -> list[int]:
    """List the plain integers among arguments, those in tuples too."""
    if type(call) is int:
        return [call]
    if isinstance(call, list | tuple):
        return [n for item in call for n in _numbers(item)]
    return []
