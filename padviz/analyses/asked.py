"""What analyses are asked about: networks, and trained networks under several paddings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from padviz.geometry.sizing.nearest import near_sizes_named
from padviz.network.network import Network, Size, as_size
from padviz.sources import Source as Source
from padviz.sources import is_module, load, load_at
from padviz.sources.tracing.reading import AS_IT_IS

if TYPE_CHECKING:
    from torch import nn

    from padviz.repadding.plan import LeftAlone
    from padviz.trained.networks.running import Runner
    from padviz.trained.networks.trained_network import Trained

Sources: TypeAlias = "Source | Sequence[Source]"
OptionalSource: TypeAlias = "str | Path | Network | nn.Module | None"
TrainedSource: TypeAlias = "str | Path | nn.Module | Trained"
Pixels: TypeAlias = "int | Sequence[int] | None"  # a side of a square, or (height, width)
Layers: TypeAlias = "str | Iterable[str] | None"  # the name of one, or several


def names(layer: Layers) -> tuple[str, ...]:
    """List layers that are named: one, several, or none."""
    if isinstance(layer, str):
        return (layer,)
    return tuple(layer or ())


def schemes(padding: str | Sequence[str] | None) -> list[str]:
    """List the padding schemes that are named, each once, without the network's own.

    >>> schemes(["declared", "reflect", "reflect"])
    ['reflect']
    """
    named = [padding] if isinstance(padding, str) else padding or ()
    return [scheme for scheme in dict.fromkeys(named) if scheme != "declared"]


@contextmanager
def asked(
    network: Source,
    size: Pixels = None,
    padding: str | None = None,
    same: bool = False,
    layer: Layers = None,
    others: bool = True,
) -> Iterator[tuple[Network, Size]]:
    """Load a network, cut to some layers, and the size asked for: its own where none is.

    An analysis runs within. If the network refuses the size, an error there names `others` that it
    takes.

    >>> with asked("vgg11", 64, "reflect", layer="features.3") as (network, size):
    ...     print(network.title)
    VGG-11 up to features.3, reflect padding
    """
    from padviz.network.rewrites import cut_and_pad, with_same

    def rewritten(read: Network) -> Network:
        return cut_and_pad(with_same(read) if same else read, names(layer), padding)

    at = None
    if size is not None:
        at = as_size(size)
    # A network that was read before may have been read at the size that it refuses.
    searched = at
    if isinstance(network, Network):
        searched = network.pixels(at)
    if not others:
        searched = None
    with near_sizes_named(lambda: rewritten(as_usual(network)), searched):
        loaded, pixels = load_at(network, at)
        yield rewritten(loaded), pixels


def as_usual(network: Source) -> Network:
    """Read a network at its usual size, also one that was read at another."""
    if isinstance(network, Network) and network.origin is not None:
        return load(network.origin, None, network.reading or AS_IT_IS)
    return load(network)


@contextmanager
def asked_up_to(
    layer: Layers,
    network: Source,
    size: Pixels = None,
    padding: str | None = None,
    same: bool = False,
) -> Iterator[tuple[Network, Size]]:
    """Load a network up to the layers whose outputs are asked for, by default its last maps, and
    the size.
    """
    from padviz.network.targets import up_to_outputs

    with asked(network, size, padding, same) as (whole, pixels):
        yield up_to_outputs(layer, whole), pixels


def runners_of(
    trained: Trained, padding: str | Sequence[str] | None
) -> tuple[list[tuple[str | None, Runner]], tuple[str, ...]]:
    """Return what runs the network as it is and under each padding, and notes on layers that keep
    theirs.
    """
    from padviz.trained.networks.reading import runner_of

    runners: list[tuple[str | None, Runner]] = [(None, runner_of(trained))]
    notes = [*trained.notes]
    for scheme in schemes(padding):
        runner, stays = repadded(trained, scheme)
        runners.append((scheme, runner))
        notes += stays
    return runners, tuple(notes)


def repadded(trained: Trained, scheme: str) -> tuple[Runner, list[str]]:
    """Return what runs the network with another padding, an edited graph or a module with other
    calls, and notes.
    """
    from padviz.repadding.plan import plan
    from padviz.trained.networks.reading import runner_of

    planned = plan(trained.network, scheme, trained.size)
    if not is_module(trained.model):
        from padviz.repadding.onnx_edits import edit

        model = trained.model.sized(trained.size)
        done = edit(model, trained.network, planned)
        return runner_of(trained, model), _kept(scheme, done.left)
    from padviz.repadding.torch_calls import padded_by

    return runner_of(trained, within=lambda: padded_by(scheme)), _kept(scheme, planned.left)


def _kept(scheme: str, left: Sequence[LeftAlone]) -> list[str]:
    more = ""
    if len(left) > 1:
        more = f", and {len(left) - 1} more"
    if left:
        return [f"{scheme}: {left[0].layer} keeps its padding ({left[0].why}){more}"]
    return []
