"""Fixed numbers that an exported file holds where the network it was made from may have had a rule."""

from __future__ import annotations

from padviz.axis.operations import Window
from padviz.axis.resize import Resize
from padviz.network.layer import WINDOWS, Layer
from padviz.network.network import FILES, Network, Size, in_words
from padviz.network.rewrites import with_pads_before


def baked(network: Network) -> tuple[str, ...]:
    """List the layers that hold what may have been worked out for one input size.

    These are resizes to a fixed size, strided windows that pad one side more than the other (as SAME does), and pads
    of more rows than the windows that read them can need.

    >>> import padviz
    >>> baked(padviz.load("resnet50"))
    ()
    """
    readers: list[list[Layer]] = [[] for _ in network.layers]
    for layer in network.layers:
        for i in layer.inputs:
            readers[i].append(layer)
    pairs = zip(network.layers, readers, strict=True)
    return tuple(
        layer.name for layer, read in pairs if _resizes(layer) or _unequal_pads(network, layer) or _fills(layer, read)
    )


def notes_at(network: Network, size: Size | None) -> tuple[str, ...]:
    """List what must be known of figures at a size, in whole sentences; None stands for several sizes."""
    if size == network.size:
        return network.notes
    known = (*network.notes, *network.assumptions)
    names = baked(network) if network.source.lower().endswith(FILES) else ()
    if not names or len(network.fixed) == len(network.axes):
        return known
    some = f"{names[0]} and {len(names) - 1} more resize or pad" if len(names) > 1 else f"{names[0]} resizes or pads"
    why = "by fixed numbers, which an export at one size may have made of a rule"
    return (
        *known,
        f"{some} {why}; at other sizes the file is followed, and the original may differ",
    )


def declared(network: Network) -> str:
    """Say, in a clause, that a file gives its input's size, and so runs at no other one before it is exported anew."""
    sides = [network.axes[axis] for axis in network.declared if axis not in network.fixed]
    if not sides:
        return ""
    clause = f"the file declares the {' and '.join(sides)} of its input ({in_words(network.size)})"
    return f"{clause}: at another size it must be exported anew, or with an open input size"


def assumed(network: Network, sized_by: str = "size") -> str:
    """Say, in a sentence, that the size at which a network is read is nobody's: a file leaves it open to an option."""
    if not network.source.lower().endswith(FILES) or len(network.declared) == len(network.axes):
        return ""
    return f"the file leaves its input size open, {in_words(network.size)} is assumed; `{sized_by}` says another"


def _resizes(layer: Layer) -> bool:
    return any(isinstance(op, Resize) and op.size is not None for op in layer.ops)


def _unequal_pads(network: Network, layer: Layer) -> bool:
    if layer.kind not in WINDOWS:
        return False
    strided = [op for op in with_pads_before(network, layer).ops if isinstance(op, Window) and op.stride > 1]
    return any(not isinstance(op.padding, str) and op.padding[0] != op.padding[1] for op in strided)


def _fills(layer: Layer, readers: list[Layer]) -> bool:
    """Tell whether a pad has more rows than the windows that read it reach beyond an edge, or feeds something else."""
    if layer.kind != "pad":
        return False
    for axis, op in enumerate(layer.ops):
        extents = [window.extent for reader in readers if isinstance(window := reader.ops[axis], Window)]
        needed = min(extents, default=1) - 1 if len(extents) == len(readers) else 0
        if isinstance(op, Window) and not isinstance(op.padding, str) and sum(op.padding) > needed:
            return True
    return False
