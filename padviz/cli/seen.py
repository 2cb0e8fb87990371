"""`padviz seen`: whether the count is what a trained network sees."""

from __future__ import annotations

from typing import Any

import click

from padviz.cli import options
from padviz.cli.naming import default_path
from padviz.cli.progress import progress, saying_what_is_kept
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Pixels
from padviz.cli.vocabulary import Command, given, trained


@click.command(name="seen", cls=Command)
@trained
@given("size images n patch grid mean std seed noise resume", n=16, patch=24, grid=11)
@reported("seen", draws=True)
def command(model: str, weights: str | None, size: Pixels | None, resume: bool, to: To, **settings: Any) -> None:
    """Lay a neutral patch over crops of photographs, place by place, and compare the change of MODEL's output to usage.

    Seen is the root mean square change of the output over crops. Spearman's rank correlation sets it against usage
    under the patch, and, as the yardstick, against the plain distance to the border. Edge over inside is the mean of
    the outermost places over that of the middle half. Intervals are of 95 %, over pictures; below 10 there are none.
    Ctrl-C saves what is done; `--resume` continues from it.

    \b
    Example:
      padviz seen model.onnx --images photos -o seen.png
      padviz seen model.onnx --images photos --patch 32 --grid 7 --format json
    """
    from padviz.api.trained.trying import seen
    from padviz.figures.trained import seeing
    from padviz.reports.trained import trying

    network = options.read_trained(model, size, weights)
    path = to.path or default_path("seen", [network.network.name], [network.size])
    kept, anew = options.kept_beside(path, resume, to.overwrite)
    with saying_what_is_kept(), progress("places") as on_progress:
        seen_map = seen(network, **settings, unfinished=kept, resume=resume, on_progress=on_progress)
    options.say_all((*anew, *seen_map.notes))
    to.show(trying.seen(seen_map, to.files), lambda: seeing.beside(seen_map))
    kept.unlink(missing_ok=True)  # all that is made of it is there
