"""`padviz repad`: change the padding of an ONNX file."""

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
    """Write MODEL, an ONNX file, with other padding; weights, names and everything else stay the same.

    The result is verified before it is written: in every pixel, its usage must equal that of `padviz usage MODEL
    --padding SCHEME`. The report lists layers that could not be changed, with reasons. With --even, the padding of
    uneven convolutions is balanced; where that is impossible, their strides move into 2 x 2 average pools. Pools are
    not changed, and the report names the uneven ones.

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
        raise OptionError("applies to all uneven windows", where="--even", hint="leave --only and --except out")
    repadded = repad_file(model, padding, size, only, except_, even=even, reading=options.reading())
    options.note_later(repadded.source, size)
    if to.path is None:
        options.say("nothing is written; add -o FILE.onnx")
    else:
        repadded.save(to.path, overwrite=to.overwrite)
    to.show(report_of(repadded, padding, check))
