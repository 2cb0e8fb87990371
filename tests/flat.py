"""A loaded network written back as the flat steps that the naive twin reads."""

from typing import Any

from padviz.network.network import Network
from padviz.network.operations import Adaptive, Op, Transposed, Window
from padviz.network.resize import Resize


def flat_steps(network: Network) -> list[dict[str, Any]]:
    """Steps without blocks and branches, in the network's order."""
    names = [layer.name for layer in network.layers]
    steps = []
    for layer in network.layers[1:]:
        read = [names[i] for i in layer.inputs]
        step: dict[str, Any] = {"op": layer.kind, "name": layer.name, "from": read if len(read) > 1 else read[0]}
        if layer.like is not None:
            step["like"] = names[layer.like]
        both = [_fields(op) for op in layer.ops]
        step |= {key: [both[0][key], both[1][key]] for key in both[0]}
        for shared in ("mode", "ceil", "align_corners", "grid", "rounding"):
            if shared in step:
                step[shared] = step[shared] if step[shared][0] != step[shared][1] else step[shared][0]
        if layer.kind == "crop" and "padding" in step:
            step["padding"] = [[-rows for rows in side] for side in step["padding"]]
        steps.append(step)
    return steps


def _fields(op: Op | None) -> dict[str, Any]:
    if isinstance(op, Window):
        pads = op.padding if isinstance(op.padding, str) else list(op.padding)
        shape = {"kernel": op.kernel, "stride": op.stride, "dilation": op.dilation}
        return shape | {"padding": pads, "mode": op.mode, "ceil": op.ceil}
    if isinstance(op, Transposed):
        shape = {"kernel": op.kernel, "stride": op.stride, "dilation": op.dilation}
        return shape | {"padding": list(op.padding), "output_padding": op.output_padding}
    if isinstance(op, Adaptive):
        return {"output": op.output}
    if isinstance(op, Resize):
        chosen = {"scale": op.scale} if op.scale is not None else {"size": op.size} if op.size is not None else {}
        mode = "cubic" if op.cubic else "linear" if op.linear else "nearest"
        chosen |= {"mode": mode, "align_corners": op.align_corners, "rounding": op.rounding}
        return chosen if op.grid is None else chosen | {"grid": op.grid}
    return {}
