"""`padviz detect`: where a trained network sees something, and where it is blind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.naming import default_path
from padviz.cli.progress import progress, saying_what_is_kept
from padviz.cli.showing import To, drawing
from padviz.cli.value_types import Pixels
from padviz.cli.vocabulary import Command, given, trained
from padviz.errors import OptionError

if TYPE_CHECKING:
    from padviz.trained.detecting.detectability import Detectability


@click.command(name="detect", cls=Command)
@trained
@given("size paddings layer stimulus height contrast step class threshold image shift mean std bgr resume")
@drawing("detect")
def command(
    model: str,
    weights: str | None,
    size: Pixels | None,
    paddings: tuple[str | None, ...],
    layer: str | None,
    resume: bool,
    to: To,
    **settings: Any,
) -> None:
    """Move a stimulus over the image, and map how well MODEL, a trained network, sees it at each position.

    A detector scores by the peak of its map within half the stimulus's height of it, a classifier by how its class
    compares with the best other one; from .5 on, it is seen. A map is an output whose rows and columns fit the image;
    detect refuses other outputs, and raw heads whose channels may be boxes, and lists maps inside to ask for. Contrast,
    height and class are chosen for a median score of .5 on the network as trained. Blind spots, below half the median,
    are outlined. Saturated scores are below .01 or above .99.

    Where no contrast brings the median between .2 and .8, where more than half of the scores are saturated, or where
    the background alone is seen, detect maps the contrast needed, as --threshold does, and says why. It refuses to map
    what does not react.

    The picture of --image is scaled (bicubic) to cover the frame and the shift, cut to its middle, and shifted right
    and down.

    Ctrl-C, or a picture that cannot be written, leaves the scores next to the picture; --resume continues from them.

    \b
    Example:
      padviz detect model.onnx --stimulus text:padding --padding trained,symmetric,circular
      padviz detect model.onnx --step 32 --format csv
    """
    from padviz.api.trained.measured import detect
    from padviz.reports.trained.detect import report_of

    network = options.read_trained(model, size, weights)
    named = default_path("detect", [network.network.name], [network.size])
    path = to.drawn(named)
    kept, anew = options.kept_beside(path or named, resume, to.overwrite)
    about: dict[str, Any] = {"size": size, "layer": layer, "unfinished": kept, "resume": resume}
    about["padding"] = [*filter(None, paddings)]
    with saying_what_is_kept(), progress("positions") as on_progress:
        scores = detect(network, **settings, **about, on_progress=on_progress)
    if path:
        _draw(scores, path, kept)
    options.say_all((*anew, *scores.notes))
    to.show(report_of(scores, [str(path)] if path else []))
    kept.unlink(missing_ok=True)  # all that is made of it is there


def _draw(scores: Detectability, path: Path, kept: Path) -> None:
    """Draw the maps; where they cannot be written, say what is kept of the sweep."""
    from padviz.figures.canvas import save
    from padviz.figures.trained import detection

    try:
        save(detection.positions(scores), path)
    except OptionError as error:
        hint = f"make room there, and add `resume`: {kept.name} has all scores" if kept.exists() else error.hint
        raise OptionError(error.what, where=error.where, hint=hint) from None
