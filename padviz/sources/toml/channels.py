"""The channels of a description: convolutions say what they make, and the rest follows from step to step.

An image has three. Where a convolution does not say what it makes, nobody knows its channels, nor those after it up
to the next convolution that does; counts do not ask for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from padviz.errors import DescriptionError
from padviz.network.layer import CONVOLUTIONS, Channels, Kind
from padviz.network.network import Network
from padviz.sources.toml.schema import Convolution, Merge

IMAGE = 3


class Error(Protocol):
    """What makes an error of a layer's name and what is wrong with it."""

    def __call__(self, name: str, what: str, hint: str = "") -> DescriptionError: ...


class Followed(NamedTuple):
    """The channels of a convolution, and how many a layer has; None where nobody says."""

    channels: Channels | None
    leaving: int | None


def of_step(step: Any, kind: Kind, name: str, entering: Sequence[int | None], counted: bool, error: Error) -> Followed:
    """Follow the channels of a step through layers with so many; nothing is an error until some are `counted`."""
    if isinstance(step, Convolution):
        return _convolved(step, name, entering[0], error)
    declared = step.in_ if isinstance(step, Merge) else None
    if declared is not None and kind == "concat":
        raise error(name, "in: the branches of a concat may have any channels", "the next convolution may say them")
    if declared is None and kind in ("add", "multiply") and (two := _parted(entering)):
        if not counted:
            return Followed(None, None)
        what = f"its branches disagree in channels: {two[0]} and {two[1]}"
        raise error(name, what, "where channels do not follow, in = ... says them")
    return Followed(None, declared if declared is not None else joined(kind, entering))


def joined(kind: Kind, entering: Sequence[int | None]) -> int | None:
    """Count the channels that leave a layer that is no convolution.

    >>> joined("concat", (64, 32)), joined("add", (64, 64)), joined("multiply", (64, 1)), joined("add", (64, None))
    (96, 64, 64, None)
    """
    known = [n for n in entering if n is not None]
    if len(known) < len(entering):
        return None
    return sum(known) if kind == "concat" else max(known)


def _parted(entering: Sequence[int | None]) -> list[int]:
    """List the numbers of channels that cannot be added, if there are any: a single one is spread over the others."""
    several = list(dict.fromkeys(n for n in entering if n is not None and n > 1))
    return several if len(several) > 1 else []


def _convolved(step: Convolution, name: str, entering: int | None, error: Error) -> Followed:
    into = entering if step.in_ is None else step.in_
    groups = into if step.groups == "depthwise" else step.groups or 1
    out = into if step.out is None and step.groups == "depthwise" else step.out
    if step.out is None and step.groups != "depthwise" and (step.in_ or step.groups):
        raise error(name, f"{'in' if step.in_ else 'groups'}: says nothing without out", "add out = ...")
    for key, n in (("in", into), ("out", out)):
        if n is not None and isinstance(groups, int) and n % groups:
            raise error(name, f"groups: {groups} groups do not divide its channels ({key}: {n})")
    if into is None or out is None or groups is None:
        return Followed(None, out)
    return Followed(Channels(into, out, groups), out)


def written(network: Network) -> Iterator[dict[str, Any]]:
    """Yield the keys that each layer needs for its channels to be read back, the image's first.

    Channels that were split or picked do not follow: a convolution of them says what it reads, and so does a sum.
    """
    leaving: list[int | None] = []
    for layer in network.layers:
        entering = [leaving[i] for i in layer.inputs]
        keys: dict[str, Any] = {}
        if layer.kind == "input":
            leaving.append(IMAGE)
        elif layer.kind in CONVOLUTIONS:
            keys = _keys(layer.channels, entering[0])
            leaving.append(keys.get("out"))
        elif layer.kind in ("add", "multiply") and (two := _parted(entering)):
            keys = {"in": min(two)}  # what is picked of a layer has fewer channels than it
            leaving.append(min(two))
        else:
            leaving.append(joined(layer.kind, entering))
        yield keys


def _keys(channels: Channels | None, entering: int | None) -> dict[str, Any]:
    if channels is None:
        return {}
    keys: dict[str, Any] = {"out": channels.out}
    if channels.in_ != entering:
        keys["in"] = channels.in_
    if channels.groups > 1:
        keys["groups"] = "depthwise" if channels.groups == channels.in_ else channels.groups
    return keys
