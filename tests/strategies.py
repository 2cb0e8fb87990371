"""Random networks: TOML-like documents that both padviz and the naive twin can read."""

from typing import Any

from hypothesis import strategies as st

from padviz.network.padding_modes import COPYING
from tests import naive

GRIDS = ["asymmetric", "half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "align_corners"]
ROUNDINGS = ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]
ODDS = ["end", "front", "down", "up"]
MODES = ["zero", *COPYING]
SCALES: list[Any] = [2, [1.5, 0.5]]
LARGEST = 24  # rows of any layer


def pair(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One value for both axes, or one for each."""
    return st.one_of(values, st.tuples(values, values).map(list))


small = st.integers(1, 3)
pads = st.one_of(
    pair(st.integers(0, 2)),
    st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=2), min_size=2, max_size=2),
)
rules = st.sampled_from(["same_upper", "same_lower"])


@st.composite
def steps(
    draw: Any, name: str, modes: list[str], scales: list[Any] | None = None
) -> dict[str, Any]:
    """One step of any kind but a merge; resizes by `scales`, where these are given, and many of them."""
    kinds = [
        "conv",
        "conv",
        "conv",
        "maxpool",
        "avgpool",
        "convtranspose",
        "pad",
        "crop",
        "resize",
        "adaptive",
        "gate",
    ]
    kinds += ["mixing"]
    kinds += ["resize"] * 8 if scales else []
    kind = draw(st.sampled_from(kinds))
    step: dict[str, Any] = {"op": kind, "name": name}
    if kind == "conv":
        step |= {
            "kernel": draw(pair(st.integers(1, 4))),
            "stride": draw(pair(small)),
            "dilation": draw(pair(small)),
        }
        step |= {"padding": draw(st.one_of(pads, rules)), "mode": draw(st.sampled_from(modes))}
    elif kind in ("maxpool", "avgpool"):
        step |= {
            "kernel": draw(pair(small)),
            "stride": draw(pair(small)),
            "ceil": draw(st.booleans()),
        }
        step["padding"] = draw(pair(st.integers(0, 1)))
    elif kind == "convtranspose":
        step |= {
            "kernel": draw(pair(small)),
            "stride": draw(pair(st.integers(1, 2))),
            "padding": draw(pair(st.integers(0, 1))),
            "dilation": draw(pair(st.integers(1, 2))),
        }
        step["output_padding"] = draw(pair(st.integers(0, 1))) if step["stride"] == 2 else 0
    elif kind == "pad":
        step |= {"padding": draw(pads), "mode": draw(st.sampled_from(MODES))}
    elif kind == "crop":
        step |= {"padding": draw(pads), "stride": draw(pair(small))}
    elif kind == "resize":
        step |= {
            "mode": draw(st.sampled_from(["nearest", "linear", "cubic"])),
            "align_corners": draw(st.booleans()),
        }
        step |= {"rounding": draw(st.sampled_from(ROUNDINGS))}
        step |= draw(st.sampled_from([{}, *({"grid": grid} for grid in GRIDS)]))
        step |= draw(
            st.one_of(
                *([] if scales else [st.builds(lambda n: {"size": n}, pair(st.integers(1, 12)))]),
                st.sampled_from([{"scale": scale} for scale in scales or SCALES]),
            )
        )
    elif kind == "mixing":
        size, apart = draw(st.integers(1, 4)), draw(st.sampled_from([1, 1, 1, 0, 2]))
        step |= {"size": size, "step": apart}
        if apart == 1:
            step["first"] = draw(st.integers(0, size - 1))
    elif kind == "adaptive":
        step["output"] = draw(pair(st.integers(1, 4)))
    return step


@st.composite
def networks(
    draw: Any, most: int = 6, modes: list[str] | None = None, scales: list[Any] | None = None
) -> tuple[list[dict[str, Any]], tuple[int, int]]:
    """A network of up to `most` steps that works at the size drawn with it: (steps, size)."""
    size = draw(st.tuples(st.integers(3, 14), st.integers(3, 14)))
    laid: list[dict[str, Any]] = []
    sizes = {"input": size}
    for i in range(draw(st.integers(1, most))):
        same = [name for name in sizes if sizes[name] == sizes[laid[-1]["name"]]] if laid else []
        if len(same) > 1 and draw(st.booleans()):
            read = draw(st.lists(st.sampled_from(same), min_size=2, max_size=3))
            step = {"op": draw(st.sampled_from(["add", "concat"])), "name": f"m{i}", "from": read}
        else:
            step = draw(steps(f"l{i}", modes or MODES, scales))
            step["from"] = draw(st.sampled_from(sorted(sizes)[-3:]))
            if step["op"] in ("resize", "crop") and draw(st.booleans()):
                step = {
                    key: value
                    for key, value in step.items()
                    if key not in ("size", "scale", "padding")
                }
                step["like"] = draw(st.sampled_from(sorted(sizes)))
                if step["op"] == "crop":
                    step = {**step, "odd": draw(pair(st.sampled_from(ODDS)))}
                    step.pop("stride", None)
        try:
            sizes_now = naive.all_reads([*laid, step], size)[1]
        except (AssertionError, IndexError):
            continue
        if max(sizes_now[step["name"]]) <= LARGEST:
            laid.append(step)
            sizes = sizes_now
    if not laid:
        laid = [{"op": "conv", "name": "l0", "kernel": 3, "padding": 1}]
    return laid, size
