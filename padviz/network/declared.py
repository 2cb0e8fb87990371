"""What a file says of the size of its image."""

from __future__ import annotations

from collections.abc import Iterator

from padviz.network.network import FILES, Network, Size, in_words


def notes_on(network: Network, asked: bool = True, sized_by: str = "size") -> Iterator[str]:
    """List what must be known of a network's figures, in sentences: what was skipped, and what a file says of its size.

    Where no size was `asked` for, and a file leaves its own open, so is the size that was taken.

    >>> import padviz
    >>> [*notes_on(padviz.load("resnet50"))]
    []
    """
    yield from network.notes
    if clause := declared(network):
        yield f"{clause}; a number that the export made of its size stays as it is there"
    if not asked and network.source.lower().endswith(FILES) and not all(network.declared):
        yield f"the file leaves its input size open; this is at {in_words(network.size)}, `{sized_by}` says another"


def declared(network: Network, size: Size | None = None) -> str:
    """Say, in a clause, that a file gives its image another size than this, by default that at which it was read."""
    size = size or network.size
    own = tuple(given or n for given, n in zip(network.declared, size, strict=False))
    if own == size[: len(own)]:
        return ""
    return f"the file declares an input of {in_words(own)}, and must be exported anew for {in_words(size)}"
