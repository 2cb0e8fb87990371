"""Where networks come from: each source turns what a person names into a `Network`."""

from __future__ import annotations

from pathlib import Path

from padviz.network import Network


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
