"""`padviz repad`: the cure applied to an ONNX file."""

from __future__ import annotations

import click

from padviz.axis.padding_modes import MODES, in_a_sentence
from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels
from padviz.errors import OptionError


@click.command(
    name="repad",
    cls=options.ChangesLayers,
    short_help="Replace what the padding of an ONNX file's convolutions reads; verified.",
)
@options.model
@options.size
@click.option(
    "--padding",
    metavar="MODE",
    help=f"What padding is to read: {in_a_sentence(MODES)}; or HEIGHT/WIDTH.",
)
@click.option(
    "--even", is_flag=True, help="Make uneven learned windows even instead: by pads, or by pools for strides."
)
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="Change this layer only; may be repeated.")
@click.option("--except", "without", multiple=True, metavar="NAME", help="Leave this layer as it is; may be repeated.")
@click.option("--check", is_flag=True, help="Exit with 1 if a layer that pads is left alone.")
@reported("repad", help="ONNX file to write. Without it, only the report is made.", suffixes=(".onnx",))
def command(
    model: str, size: Pixels | None, padding: str | None, even: bool, layers: Names, without: Names, check: bool, to: To
) -> None:
    """Write MODEL, an ONNX file, with other padding: weights, names and all else stay as they are.

    The result is read again before it is written: usage of it must be what `padviz usage MODEL --padding MODE` counts,
    in every pixel. What cannot be changed is left alone, and the report says why. With --even, the pads of uneven
    convolutions are shared out evenly; where no pads can do that, their strides move into average pools of 2 x 2. Pools
    stay as they are, and the report names those that are uneven.

    \b
    Example:
      padviz repad model.onnx --padding reflect -o reflect.onnx
      padviz repad model.onnx --padding zero/circular -o wrapped.onnx
      padviz repad model.onnx --even --size 224 -o even.onnx
    """
    from padviz.repadding.onnx.file import check_options, repad_file
    from padviz.reports.maps.repad import report_of

    if not model.lower().endswith(".onnx"):
        other = "" if even else "; in Python, padviz.repad(module, scheme); padviz convert writes descriptions"
        hint = f"export it to .onnx{other}"
        raise OptionError("is not an ONNX file", where=model, hint=hint)
    check_options(padding, even)
    if even and layers + without:
        raise OptionError("takes all uneven windows", where="--even", hint="leave --layer and --except out")
    repadded = repad_file(model, padding, size, layers, without, even=even, neutral=options.neutral_ops())
    options.warn_if_baked(repadded.source, repadded.plan.size)
    if to.path is None:
        options.say("nothing is written; -o FILE.onnx says where to")
    else:
        repadded.save(to.path, overwrite=to.overwrite)
    to.show(report_of(repadded, padding, check, to.files))
