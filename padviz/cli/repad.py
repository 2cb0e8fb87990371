"""`padviz repad`: the cure applied to an ONNX file."""

from __future__ import annotations

import click

from padviz.cli import options
from padviz.cli.showing import To, outputs
from padviz.cli.value_types import Names, Pixels
from padviz.cli.vocabulary import Command, given, model
from padviz.errors import OptionError


@click.command(name="repad", cls=Command)
@model
@given("size padding only except_ even check")
@outputs(others=(".onnx",), checks=True)
def command(
    model: str, size: Pixels | None, padding: str | None, only: Names, except_: Names, even: bool, check: bool, to: To
) -> None:
    """Write MODEL, an ONNX file, with other padding: weights, names and all else stay as they are.

    The result is read again before it is written: in every pixel, its usage must be what `padviz usage MODEL --padding
    SCHEME` counts. The report lists layers that could not be changed, with reasons. With --even, the pads of uneven
    convolutions are shared out evenly; where no pads can do that, their strides move into average pools of 2 x 2. Pools
    stay as they are, and the report names those that are uneven.

    \b
    Example:
      padviz repad model.onnx --padding reflect -o reflect.onnx
      padviz repad model.onnx --padding zero/circular -o wrapped.onnx
      padviz repad model.onnx --even --size 224 -o even.onnx
    """
    from padviz.analyses.repad import report_of
    from padviz.repadding.onnx.file import check_options, repad_file

    if not model.lower().endswith(".onnx"):
        other = "" if even else "; in Python, padviz.repad(module, scheme); padviz convert writes descriptions"
        hint = f"export it to .onnx{other}"
        raise OptionError("is not an ONNX file", where=model, hint=hint)
    check_options(padding, even)
    if even and only + except_:
        raise OptionError("takes all uneven windows", where="--even", hint="leave --only and --except out")
    repadded = repad_file(model, padding, size, only, except_, even=even, reading=options.reading())
    options.keep_notes(repadded.source, size)
    if to.path is None:
        options.say("nothing is written; -o FILE.onnx says where to")
    else:
        repadded.save(to.path, overwrite=to.overwrite)
    to.show(report_of(repadded, padding, check))
