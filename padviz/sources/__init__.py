"""Where networks come from: each source turns what a person names into a `Network`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from padviz.network import Network, Size, as_size


def load(source: str | Path | Network, neutral: Iterable[str] = (), size: Size | None = None) -> Network:
    """Load a network: a name of the zoo, the path of a TOML description or an ONNX file, or a network as it is.

    `neutral` names operations of a foreign file that padviz does not know, to treat as acting on each position alone;
    `size` is what such a file is laid out at where it leaves its input open.

    Raises
    ------
    UnknownName, DescriptionError
        See `padviz.sources.config.load_config` and `padviz.sources.onnx_file.load_onnx`.

    Examples
    --------
    >>> load("resnet18").targets
    ('layer4.1',)
    """
    if isinstance(source, Network):
        return source
    if str(source).lower().endswith(".onnx"):
        from padviz.sources.onnx_file import load_onnx

        return load_onnx(source, neutral, size)
    from padviz.sources.config import load_config

    return load_config(source)


def load_at(source: str | Path | Network, size: int | Sequence[int] | None) -> tuple[Network, Size]:
    """Load a network, and read the size asked for: its own where none is.

    >>> load_at("inception_v3", None)[1]
    (299, 299)
    """
    asked = None if size is None else as_size(size)
    network = load(source, size=asked)
    return network, asked or network.size
