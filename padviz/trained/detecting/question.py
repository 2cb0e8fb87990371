"""A question of detectability: what is shown, where, and what is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from padviz.errors import OptionError
from padviz.network.network import Size

STIMULUS, SHIFT = "sample", 32  # unless something else is asked for
FINEST, MANY = 8, 400  # the default step: at least so many pixels, and at most so many positions


@dataclass(frozen=True)
class Question:
    """As in `padviz.detect`; options that contradict are refused.

    >>> Question(image="scene.png", height=8)
    Traceback (most recent call last):
        ...
    padviz.errors.OptionError: height: has no use beside `image`; leave out one of them
    """

    stimulus: str | None = None
    height: int | None = None
    contrast: float | None = None
    step: int | None = None
    output: str | None = None
    class_: int | None = None
    threshold: bool = False
    image: str | Path | None = None
    shift: int | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    bgr: bool = False

    def __post_init__(self) -> None:
        if self.image is not None:
            for option in ("stimulus", "height", "contrast", "threshold"):
                if getattr(self, option):
                    raise _idle("beside `image`", option)
        elif self.shift is not None:
            raise OptionError("has no use without a picture", option="shift", hint="leave it out, or give one: `image`")
        if self.threshold and self.contrast is not None:
            raise _idle("beside `threshold`", "contrast")
        if self.contrast is not None and not 0 < self.contrast <= 1:  # nor is NaN
            raise OptionError(f"{self.contrast} is no contrast", option="contrast", hint="use more than 0, up to 1")

    def check(self, size: Size) -> None:
        """Refuse what is larger than the image, before anything is read or drawn at that size.

        Raises
        ------
        OptionError
            For a height or a shift.
        """
        image = f"the image, {size[0]} x {size[1]} pixels"
        if self.height is not None and self.height > size[0]:
            hint = f"use up to {size[0]}, or a larger `size`"
            raise OptionError(f"{self.height} is higher than {image}", option="height", hint=hint)
        if self.shift is not None and self.shift > max(size):
            hint = f"use up to {max(size)}, or a larger `size`"
            raise OptionError(f"{self.shift} is further than {image}", option="shift", hint=hint)

    def shift_at(self, size: Size) -> int:
        """Choose how far a picture is shifted, in pixels."""
        return min(SHIFT, max(size)) if self.shift is None else self.shift

    def step_in(self, room: Size) -> int:
        """Choose how far apart positions are: as asked, or the least step, from 8 on, that makes at most 400 of them.

        >>> Question().step_in((576, 576)), Question().step_in((48, 48)), Question(step=3).step_in((576, 576))
        (29, 8, 3)
        """
        if self.step is not None:
            return self.step
        step = FINEST
        while prod(n // step + 1 for n in room) > MANY:
            step += 1
        return step


def _idle(beside: str, option: str) -> OptionError:
    return OptionError(f"has no use {beside}", option=option, hint="leave out one of them")
