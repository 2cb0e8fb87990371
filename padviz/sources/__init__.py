"""Where networks come from: each source turns what a person names into a `Network`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from padviz.network import Network, Size, as_size


def load(source: str | Path | Network) -> Network:
    """Load a network: a name of the zoo, a path to a TOML description, or a network as it is.

    Raises
    ------
    UnknownName, DescriptionError
        See `padviz.sources.config.load_config`.

    Examples
    --------
    >>> load("resnet18").targets
    ('layer4.1',)
    """
    if isinstance(source, Network):
        return source
    from padviz.sources.config import load_config

    return load_config(source)


def load_at(source: str | Path | Network, size: int | Sequence[int] | None) -> tuple[Network, Size]:
    """Load a network, and read the size asked for: its own where none is.

    >>> load_at("inception_v3", None)[1]
    (299, 299)
    """
    network = load(source)
    return network, as_size(network.size if size is None else size)
