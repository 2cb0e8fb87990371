"""Commands that do more than show a result: they read a project, or write a page, a description, a
file or a folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from padviz.cli import session
from padviz.cli.building import Typed
from padviz.cli.running import Arguments, Runner, read_networks
from padviz.cli.showing import To, default_path, progress, put, show
from padviz.errors import NoSuchFile, OptionError, UnknownName
from padviz.files.output import check_output
from padviz.options import Command
from padviz.progress import counter

if TYPE_CHECKING:
    from padviz.analyses.check import CheckResult
    from padviz.analyses.project import Entry
    from padviz.exports.saving import ItemOutcome

MOST_ERRORS = 20  # printed at the end of an export
# joblib cleans up after an export that was ended, and warns
IGNORED = "ignore:resource_tracker:UserWarning"


def check(command: Command, typed: Sequence[Typed], arguments: Arguments, to: To) -> None:
    """Check a model at each size, or those of pyproject.toml, and compare the findings with a
    baseline.
    """
    from padviz.analyses import project
    from padviz.analyses.check import expected, report_of

    baseline, new = arguments.pop("baseline", None), arguments.pop("write_baseline", None)
    prune = arguments.pop("prune_baseline", False)
    model, sizes = arguments.pop("model", None), arguments.pop("size", ())
    wanted = expected(**arguments)
    if model is None:
        if sizes or wanted:
            option = next(iter(wanted), "size")
            hint = "name one, or write it in pyproject.toml"
            raise OptionError("goes with a MODEL", option=option.strip("_"), hint=hint)
        entries, file = project.entries()
        if new is None:
            baseline = baseline or file
    else:
        entries = [project.Entry(model, sizes or (None,), wanted)]
    _check_baseline(baseline, new, prune)
    if baseline:
        known = project.read_baseline(Path(baseline))
    else:
        known = {}
    parts = _checked(entries, from_project=model is None)
    if new:
        known = project.findings_of(parts)
        project.write_baseline(Path(new), known)
    if prune:
        known = project.pruned(parts, known)
        project.write_baseline(Path(baseline or ""), known)
    show(parts[0], to, report=report_of(project.compared(parts, known, every=model is None)))


def _checked(entries: Sequence[Entry], from_project: bool) -> list[CheckResult]:
    """Check each model at each size; in a project, one that does not exist stops no others."""
    from padviz.analyses.check import checked, not_judged

    parts = []
    with progress("networks and sizes") as on_progress:
        advance = counter(sum(len(entry.sizes) for entry in entries), on_progress)
        for entry in entries:
            for size in entry.sizes:
                load = partial(session.loaded, entry.model, size)
                try:
                    part = checked(entry.model, load, entry.wanted, size)
                except (NoSuchFile, UnknownName) as error:
                    if not from_project:
                        raise
                    part = not_judged(entry.model, size, error)
                parts.append(part)
                advance(1)
    return parts


def _check_baseline(baseline: str | None, new: str | None, prune: bool) -> None:
    """Reject options of baselines that do not go together."""
    if new and (baseline or os.path.lexists(new)):
        what = "goes without --baseline" if baseline else "exists"
        hint = "it only creates one; --prune-baseline removes what is gone"
        raise OptionError(what, option="write_baseline", hint=hint)
    if new:
        check_output(Path(new))
    if prune and not baseline:
        raise OptionError(
            "needs a baseline", option="prune_baseline", hint="name it with --baseline FILE"
        )


def explore(command: Command, typed: Sequence[Typed], arguments: Arguments, to: To) -> None:
    """Write the page of the explorer, which is no report."""
    from padviz.pages.explorer import explore
    from padviz.reports import tables

    opened = arguments.pop("open", False)
    if opened and to.printed:
        raise OptionError("opens a file", option="open", hint="name one with `o`")
    read_networks(typed, arguments)
    network, sizes = arguments["network"], arguments.get("size", [])
    # One size is the first of those that the page offers by itself.
    if len(sizes) == 1:
        arguments["size"] = sizes[0]
    path = to.path or default_path("explore", [network.name], sizes or [network.size], ".html")
    if not to.printed:
        to.check(path)
    with progress("maps and audits") as on_progress:
        page = explore(**arguments, on_progress=on_progress)
    session.say_heads(network, arguments.get("layer"), arguments.get("heads"))
    if to.printed:
        click.echo(page.html)
        return
    to.check(path)
    page.save(path, overwrite=True)
    megabytes = f"{len(page.html) / 1e6:.1f} MB"
    facts = [("network", page.title), ("maps", page.maps), ("size", megabytes), ("file", str(path))]
    click.echo(tables.to_facts(facts, tables.terminal_width()))
    if opened:
        click.launch(str(path.resolve()))


def convert(command: Command, typed: Sequence[Typed], arguments: Arguments, to: To) -> None:
    """Write a description, which is no report."""
    from padviz.analyses.load import convert

    read_networks(typed, arguments)
    put(convert(**arguments), to.path, to.overwrite)


def repad(command: Command, typed: Sequence[Typed], arguments: Arguments, to: To) -> None:
    """Write a file that is repadded; it is read once, with its weights."""
    from padviz.analyses.repad import report_of
    from padviz.repadding.onnx_file import check_options, repad_file

    if to.printed:
        raise OptionError("an ONNX file is not printed", where="-o -", hint="name a FILE.onnx")
    model = arguments.pop("network")
    if not model.lower().endswith(".onnx"):
        other = ""
        if "even" not in arguments:
            other = "; in Python, padviz.repad(module, scheme); padviz convert writes descriptions"
        raise OptionError("is not an ONNX file", where=model, hint=f"export it to .onnx{other}")
    padding, size, even = (
        arguments.get("padding"),
        arguments.get("size"),
        arguments.get("even", False),
    )
    only, without = arguments.get("only", []), arguments.get("except_", [])
    check_options(padding, even, [*only, *without])
    repadded = repad_file(model, padding, size, only, without, reading=session.reading())
    session.note_later(repadded.source, size)
    if to.path is None:
        session.say("nothing is written; add -o FILE.onnx")
    else:
        repadded.save(to.path, overwrite=to.overwrite)
    to.show(report_of(repadded, padding))


def export(command: Command, typed: Sequence[Typed], arguments: Arguments, to: To) -> None:
    """Fill a folder, list what failed, and exit with 3 if anything did."""
    from padviz.exports.run import export

    folder = arguments["folder"]
    _check_folder(folder)
    filters = os.environ.get("PYTHONWARNINGS", "").split(",")
    others = [rule for rule in filters if rule not in ("", IGNORED)]
    # The processes that draw begin with these; of rules that match, the last one holds.
    quiet = ["ignore"] if session.is_quiet() else []
    os.environ["PYTHONWARNINGS"] = ",".join([*others, IGNORED, *quiet])
    with progress("", lasting=True) as on_progress:
        done = count(1)

        def on_outcome(outcome: ItemOutcome, total: int) -> None:
            if on_progress:
                on_progress(next(done), total)

        # A command draws in processes of its own; in Python, joblib may be set to a cluster.
        asked = {"jobs": -1, **arguments}
        outcomes = export(**asked, on_outcome=on_outcome, on_note=session.say_once)
    _report_outcomes(outcomes, Path(folder))


def _check_folder(folder: str) -> None:
    try:
        if os.path.lexists(folder) and not os.path.isdir(folder):
            raise OptionError(
                f"{folder!r} is not a folder",
                where="-o",
                hint="name one, which is created if needed",
            )
        Path(folder, "index.html").exists()
    except OSError as error:
        what = f"{folder[:60]!r} cannot be used ({error.strerror})"
        raise OptionError(what, where="-o", hint="name another") from None


def run_tiles(command: Command, typed: Sequence[Typed], arguments: Arguments, to: To) -> None:
    """Open the image before the network, which is read at the image's size."""
    from padviz.analyses.run_tiles import run_tiles
    from padviz.trained.image_files import check_written, open_image

    check_written(Path(arguments["output"]), arguments.get("overwrite", False))
    image = open_image(arguments["image"])
    call = {**arguments, "image": image, "size": image.size}
    read_networks(typed, call)
    del call["size"]
    with progress("tiles") as on_progress:
        result = run_tiles(**call, on_progress=on_progress)
    show(result, to)


def _report_outcomes(outcomes: Sequence[ItemOutcome], folder: Path) -> None:
    from padviz.pages.html import natural
    from padviz.reports import tables

    states = [outcome.state for outcome in outcomes]
    facts: list[tuple[str, object]] = [
        (state, states.count(state)) for state in ("made", "kept", "failed")
    ]
    click.echo(
        tables.to_facts([*facts, ("gallery", str(folder / "index.html"))], tables.terminal_width())
    )
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    failed.sort(key=lambda outcome: natural(outcome.name))
    for outcome in failed[:MOST_ERRORS]:
        session.print_line(session.spelled(f"{outcome.name}: {outcome.error}"))
    if len(failed) > MOST_ERRORS:
        session.print_line(
            f"and {len(failed) - MOST_ERRORS} more, all of them in {folder / 'index.json'}"
        )
    if failed:
        raise SystemExit(3)


RUNNERS: dict[str, Runner] = {
    "check": check,
    "convert": convert,
    "explore": explore,
    "export": export,
    "repad": repad,
    "run-tiles": run_tiles,
}
