"""Trained networks under other paddings: where what repads meets what runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from padviz.sources import is_module

if TYPE_CHECKING:
    from padviz.repadding.plan import LeftAlone
    from padviz.trained.networks.trained_network import Runner, Trained


def runners_of(
    trained: Trained, padding: str | Sequence[str] | None
) -> tuple[list[tuple[str | None, Runner]], tuple[str, ...]]:
    """Make what runs the network as it is, and with each padding in place of its own; note what is open or stays."""
    from padviz.trained.networks.reading import runner_of

    schemes = dict.fromkeys([padding] if isinstance(padding, str) else padding or ())
    runners: list[tuple[str | None, Runner]] = [(None, runner_of(trained))]
    notes = [*trained.notes]
    for scheme in schemes:
        runner, stays = repadded(trained, scheme)
        runners.append((scheme, runner))
        notes += stays
    return runners, tuple(notes)


def repadded(trained: Trained, scheme: str) -> tuple[Runner, list[str]]:
    """Make what runs the network with another padding, and what to say of the layers that keep theirs.

    It is an edited copy of a graph, or a module while its calls are replaced.
    """
    from padviz.repadding.plan import plan
    from padviz.trained.networks.reading import runner_of

    planned = plan(trained.network, scheme, trained.size)
    if not is_module(trained.model):
        from padviz.repadding.onnx_edits import edit

        model = trained.model.sized(trained.size)
        done = edit(model, trained.network, planned)
        return runner_of(trained, model), _kept(scheme, done.left)
    from padviz.repadding.torch_calls import padded_by

    return runner_of(trained, within=lambda: padded_by(scheme)), _kept(scheme, planned.left)


def _kept(scheme: str, left: Sequence[LeftAlone]) -> list[str]:
    more = f", and {len(left) - 1} more" if len(left) > 1 else ""
    return [f"{scheme}: {left[0].layer} keeps its padding ({left[0].why}){more}"] if left else []
