"""Counting paths: usage, from the target back to each pixel, and coverage, from the pixels to each unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import index
from pathlib import Path
from typing import Any, NamedTuple

from padviz.counts import CountMap, Target
from padviz.errors import OptionError, PadvizError, UnknownName
from padviz.network import Network, Size, names_of, resolve_both, sizes_of, upto
from padviz.schemes import with_mean_pooling, with_padding
from padviz.sources import load_at
from padviz.tiling import Tiling, coverage_tilings, usage_tiling
from padviz.walk import Box, Walk, count_backward, count_forward


def usage(
    network: str | Path | Network,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layer: str | Sequence[str] | None = None,
    pooling: str = "count",
    unit: tuple[int | slice, int | slice] | None = None,
    *,
    engine: str = "auto",
) -> CountMap:
    """Count the paths from every input pixel to the units of the target layer.

    Parameters
    ----------
    network : str, Path or Network
        A name of the zoo, a TOML file, or a loaded network.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    padding : str, optional
        A scheme for every convolution: zero, replicate, reflect, symmetric, circular, partial,
        valid or full. By default each pads as declared.
    layer : str or sequence of str, optional
        Target layers, whose counts add up; by default the last feature map.
    pooling : "count" or "mean"
        Count each pooling tap once, or weigh it by 1 / taps (then counts are floats).
    unit : (row, column), optional
        One unit of the target, or slices for a box of units; all units by default.
    engine : "auto", "numpy" or "numba"
        Which kernels count; "auto" picks by the amount of work.

    Returns
    -------
    CountMap
        With `.counts` of shape (height, width).

    Raises
    ------
    PadvizError
        For a name, size or option that cannot be used.

    Notes
    -----
    Where every mode folds its padding, the counts sum to taps x outputs: nothing is lost.
    Source: Alsallakh et al., "Mind the Pad - CNNs can Develop Blind Spots", ICLR 2021.

    Examples
    --------
    >>> import padviz
    >>> padviz.usage("resnet50", 224).counts[0, 0]
    np.int64(59303702250160)
    """
    asked = _asked(network, size, padding, layer, pooling, engine)
    picked, box = _box(unit, asked.shapes)
    rows, cols = (
        usage_tiling(asked.walked, axis, n, asked.at) if unit is None else Tiling(n)
        for axis, n in enumerate(asked.size)
    )
    core = count_backward(asked.walk((rows.kept, cols.kept), engine), box)
    target = _target(asked.shapes)
    return CountMap(asked.declared, asked.size, padding, pooling, target, picked, core, rows, cols)


def coverage(
    network: str | Path | Network,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layer: str | None = None,
    pooling: str = "count",
    *,
    engine: str = "auto",
) -> CountMap:
    """Count the paths that reach each unit of a layer from real pixels, not padding.

    Parameters
    ----------
    network, size, padding, pooling, engine
        As for `usage`.
    layer : str, optional
        The layer whose units are looked at; the last feature map by default.

    Returns
    -------
    CountMap
        With `.counts` of the layer's shape, `.full`, what a unit far from padding has, and `.share`.

    Notes
    -----
    Coverage is the adjoint of usage: over the layer it sums to what usage sums to over the image.
    Source: Alsallakh et al., ICLR 2021: the geometric side of its line artifacts in feature maps.

    Examples
    --------
    >>> import padviz
    >>> found = padviz.coverage("vgg19", 64, layer="features.2")
    >>> found.full, int(found.counts[0, 0]), int(found.counts[9, 9])
    (81, 25, 81)
    """
    found, *others = coverages(network, size, padding, None if layer is None else [layer], pooling, engine=engine)
    if others:
        names = ", ".join(str(each.target.layer) for each in (found, *others))
        raise OptionError(f"has several target layers: {names}", where=found.network.name, hint="name one layer")
    return found


def coverages(
    network: str | Path | Network,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layers: Sequence[str] | None = None,
    pooling: str = "count",
    *,
    engine: str = "auto",
) -> tuple[CountMap, ...]:
    """`coverage` of several layers, from one walk.

    >>> [found.shape for found in coverages("vgg11", 64, layers=["features.0", "features.20"])]
    [(64, 64), (2, 2)]
    """
    asked = _asked(network, size, padding, layers, pooling, engine)
    rows, cols = (coverage_tilings(asked.walked, axis, n, asked.at) for axis, n in enumerate(asked.size))
    counted = count_forward(asked.walk((rows[0].kept, cols[0].kept), engine))
    found = []
    for (name, shape), (core, full), *tiles in zip(asked.shapes.items(), counted, rows[1:], cols[1:], strict=True):
        of = _target({name: shape})
        found.append(CountMap(asked.declared, asked.size, padding, pooling, of, None, core, tiles[0], tiles[1], full))
    return tuple(found)


def usages(choices: Iterable[tuple[Any, ...]]) -> list[CountMap | PadvizError]:
    """`usage` of each (network, size, padding, layer): a map, or why it cannot run, which is raised if all cannot.

    >>> [type(found).__name__ for found in usages([("vgg11", 64, None, None), ("vgg11", 64, "valid", None)])]
    ['CountMap', 'SizeError']
    """
    found: list[CountMap | PadvizError] = []
    for choice in choices:
        try:
            found.append(usage(*choice))
        except (OptionError, UnknownName):
            raise  # it was asked for by a name that does not exist
        except PadvizError as error:
            found.append(error)
    if found and all(isinstance(each, PadvizError) for each in found):
        raise found[0]  # type: ignore[misc]
    return found


class _Asked(NamedTuple):
    """What a count was asked for, checked: the network as declared and as it is walked, and where its targets are."""

    declared: Network
    walked: Network
    size: Size
    at: tuple[int, ...]

    @property
    def shapes(self) -> dict[str, Size]:
        """Shape of each target layer."""
        rows, cols = (sizes_of(self.walked, axis, n) for axis, n in enumerate(self.size))
        return {self.walked.layers[i].name: (rows[i], cols[i]) for i in self.at}

    def walk(self, core: Size, engine: str) -> Walk:
        """The walk through the network at the size of a core."""
        return Walk(self.walked, *resolve_both(self.walked, core), self.at, engine)


def _asked(
    network: str | Path | Network,
    size: int | Sequence[int] | None,
    padding: str | None,
    layer: str | Sequence[str] | None,
    pooling: str,
    engine: str,
) -> _Asked:
    """The network up to the target layers, with the padding and the pooling that were asked for."""
    if engine not in ("auto", "numpy", "numba"):
        raise OptionError(f"engine {engine!r} is not known", where="engine", hint="use auto, numpy or numba")
    if pooling not in ("count", "mean"):
        raise OptionError(f"pooling {pooling!r} is not known", where="pooling", hint="use count or mean")
    if not isinstance(padding, str | None):
        raise OptionError(f"{padding!r} is not a padding scheme", where="padding", hint="use zero, reflect, ...")
    net, pixels = load_at(network, size)
    targets = names_of(layer, net)
    pruned = upto(net, targets)
    walked = with_padding(pruned, padding)
    if pooling == "mean":
        walked = with_mean_pooling(walked)
    return _Asked(pruned, walked, pixels, tuple(walked.index[name] for name in targets))


def _target(shapes: Mapping[str, Size]) -> Target:
    if len(shapes) == 1:
        ((name, shape),) = shapes.items()
        return Target(name, [*shape])
    return Target([*shapes], [[*shape] for shape in shapes.values()])


def _box(
    unit: tuple[int | slice, int | slice] | None, shapes: Mapping[str, Size]
) -> tuple[list[int] | list[list[int]] | None, Box]:
    """The unit, or box of units, that was asked for: as it is reported, and as slices of the target."""
    if unit is None:
        return None, (slice(None), slice(None))
    if len(shapes) > 1:
        raise OptionError("needs one target layer", where="unit", hint="name one --layer")
    ((name, shape),) = shapes.items()
    if not isinstance(unit, tuple | list) or len(unit) != 2:
        raise OptionError(f"{unit!r} is not a unit", where="unit", hint="use (row, column), numbers or slices")
    rows, cols = (_range(each, n) for each, n in zip(unit, shape, strict=True))
    if not rows or not cols:
        what = f"{_plain(unit)} is outside of layer {name}, which has {shape[0]} x {shape[1]} units"
        raise OptionError(what, where="unit", hint="count from 0, or from the end with -1")
    single = not any(isinstance(each, slice) for each in unit)
    report = [rows[0], cols[0]] if single else [[rows[0], rows[-1] + 1], [cols[0], cols[-1] + 1]]
    return report, (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))


def _range(which: int | slice, n: int) -> range:
    """The positions meant, empty where they are not all inside; a negative one counts from the end."""
    if not isinstance(which, slice):
        if not hasattr(which, "__index__"):
            raise OptionError(f"{which!r} is not a position", where="unit", hint="use whole numbers, or slices")
        at = index(which)
        return range(n)[at : at + 1 or None] if -n <= at < n else range(0)
    if which.step not in (None, 1):
        raise OptionError("a box has no step", where="unit", hint="use slices of neighbouring units")
    inside = all(end is None or -n <= end <= n for end in (which.start, which.stop))
    return range(n)[which] if inside else range(0)


def _plain(unit: Sequence[int | slice]) -> str:
    """A unit or a box as the command line has it.

    >>> _plain((3, slice(0, 2)))
    '3,0:2'
    """

    def text(each: int | slice) -> str:
        if not isinstance(each, slice):
            return str(each)
        return ":".join("" if end is None else str(end) for end in (each.start, each.stop))

    return ",".join(text(each) for each in unit)
