"""The commands that do more than show one analysis: two networks, pages, files, many maps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import session as options
from padviz.cli.session import session
from padviz.cli.showing import To, checked_output, default_path, output_to, outputs, progress, put, show
from padviz.cli.value_types import DECLARED, Names, Pixels, split_commas
from padviz.cli.vocabulary import MODELS, PLURALS, Command, argument, given
from padviz.errors import OptionError, PadvizError
from padviz.progress import counter

if TYPE_CHECKING:
    from padviz.exports.saving import ItemOutcome

PAGES = (".html", ".htm")
MOST_ERRORS = 20  # printed at the end of an export
IGNORED = "ignore:resource_tracker:UserWarning"  # joblib cleans up after an export that was ended, and warns


@click.command(name="compare", cls=Command)
@MODELS["optional"]
@given("models sizes paddings same layers heads scale cmap")
@outputs("always")
def compare_command(
    model: str | None, models: Names, sizes: tuple[Pixels, ...], paddings: tuple[str | None, ...], layers: Names,
    heads: str | None, cmap: str | None, to: To, **asked: Any,
) -> None:  # fmt: skip
    """Draw usage maps of MODEL side by side. Exactly one of --padding, --size, --layer and --model is a list.

    Colours show the fair share of each pixel: its paths relative to an interior pixel, far from every border. Below
    1/2 it is starved, above 3/2 overused. A network that cannot run gets an empty panel with the reason.

    \b
    Example:
      padviz compare vgg19 --size 128 --padding zero,reflect,symmetric,partial
      padviz compare resnet50 --size 64,128,224
    """
    from padviz.analyses.compare import compare

    if (model is None) != bool(models):
        raise OptionError("needs one MODEL, or several with --model", where="MODEL", hint="as padviz compare vgg19 ...")
    sources = [model] if model else [*models]
    networks = [options.loaded(each, *sizes) for each in sources]
    if not layers:
        for network in networks:
            options.say_heads(network, None, heads)
    names = [each if ":" in each else Path(each).stem for each in sources]
    lists: Any = [*sizes] or None, [each or DECLARED for each in paddings] or None, [*layers] or None
    path = to.drawn(default_path("compare", names, sizes))
    if path:
        from padviz.figures.maps.panels import check_number

        check_number(max(map(len, (sources, sizes, paddings, layers))))
    with progress("maps") as on_progress:
        compared = compare(networks, *lists, heads=heads, on_progress=on_progress, **asked)
    for _, counts in compared:
        if not isinstance(counts, PadvizError):
            options.note_later(counts.network, counts.size)
    show(compared, to, path, cmap=cmap)


@click.command(name="diff", cls=Command)
@argument("model_a")
@argument("model_b", "", required=False)
@given("size padding same")
@outputs()
def diff_command(
    model_a: str, model_b: str | None, size: Pixels | None, padding: str | None, same: bool, to: To
) -> None:
    """Compare what the units of MODEL_A and MODEL_B read at one size; --same and --padding change MODEL_B only.

    Without MODEL_B, MODEL_A is compared with itself under --same or --padding, as when its weights are ported.

    \b
    Example:
      padviz diff mobilenet_v1 --size 224 --same
      padviz diff vgg16 vgg19 --size 224
    """
    from padviz.analyses.diff import diff

    if model_b is None and not (same or padding):
        raise OptionError("is missing", where="MODEL_B", hint="name one, or add --same or --padding")
    first, second = options.loaded(model_a, size), options.loaded(model_b or model_a, size)
    show(diff(first, second, size, padding, same), to)


@click.command(name="check", cls=Command)
@MODELS["optional"]
@given("sizes wraps context causal same-as even any_size accepts unstretched rim all")
@given("explain baseline write-baseline prune-baseline")
@outputs(checks=True)
def check_command(
    model: str | None, sizes: tuple[Pixels, ...], to: To, explain: str | None, baseline: str | None,
    write_baseline: str | None, prune_baseline: bool, **asked: Any,
) -> None:  # fmt: skip
    """Check what must hold of MODEL: the expectations that are named, or five rules. Findings exit with 1.

    Without MODEL, the models, sizes and expectations are those of [tool.padviz] in pyproject.toml.

    What cannot be read is not judged, and exits with 3. A baseline lists findings that are known: only new, worse and
    gone ones fail.

    \b
    Example:
      padviz check resnet50 --size 225 --even --context 300 --rim 40
      padviz check vgg16 --size 224
    """
    from padviz.analyses import project, rules
    from padviz.analyses.check import checked, expected, report_of

    if explain:
        click.echo(rules.explained(explain))
        return
    wanted = expected(**asked)
    if model is None:
        if sizes or wanted:
            option = next(iter(wanted), "size")
            raise OptionError(
                "goes with a MODEL", option=option.strip("_"), hint="name one, or write it in pyproject.toml"
            )
        entries, file = project.entries()
        baseline = baseline or (None if write_baseline else file)
    else:
        entries = [project.Entry(model, sizes or (None,), wanted)]
    if write_baseline and (baseline or os.path.lexists(write_baseline)):
        what = "goes without --baseline" if baseline else "exists"
        raise OptionError(
            what, option="write_baseline", hint="it only creates one; --prune-baseline removes what is gone"
        )
    if prune_baseline and not baseline:
        raise OptionError("needs a baseline", option="prune_baseline", hint="name it with --baseline FILE")
    known = project.read_baseline(Path(baseline)) if baseline else {}

    parts = []
    with progress("networks and sizes") as on_progress:
        advance = counter(sum(len(each.sizes) for each in entries), on_progress)
        for each in entries:
            for size in each.sizes:
                load = partial(options.loaded, each.model, size)
                parts.append(checked(each.model, load, each.wanted, size))
                advance(1)
    if write_baseline:
        project.write_baseline(Path(write_baseline), known := project.findings_of(parts))
    if prune_baseline:
        project.write_baseline(Path(baseline or ""), known := project.pruned(parts, known))
    show(parts[0], to, report=report_of(project.compared(parts, known, every=model is None)))


@click.command(name="explore", cls=Command)
@MODELS["one"]
@given("sizes paddings same layer heads overwrite open")
@output_to(PAGES)
def explore_command(
    model: str, sizes: tuple[Pixels, ...], paddings: tuple[str | None, ...], same: bool, layer: str | None,
    heads: str | None, output: Path | None, overwrite: bool, open_: bool,
) -> None:  # fmt: skip
    """Write an interactive page on MODEL: maps at several sizes and paddings, layer by layer, and the audit.

    The page opens at the first of --size; a single one is joined by 64, 128, 224, 225 and 512. It is self-contained:
    mail it, open it from disk, or put it on a site.

    \b
    Example:
      padviz explore resnet50
      padviz explore vgg19 --size 224,256,320x480 --padding zero,symmetric --open
    """
    from padviz.pages.explorer import explore
    from padviz.reports import tables

    if output is not None:
        checked_output(output, PAGES, overwrite)
    network = options.loaded(model, *sizes[:1])
    offered: Any = [*sizes] if len(sizes) > 1 else next(iter(sizes), None)
    schemes = [padding or DECLARED for padding in paddings] or None
    with progress("maps and audits") as on_progress:
        page = explore(network, offered, schemes, layer, same=same, heads=heads, on_progress=on_progress)
    options.say_heads(network, layer, heads)
    path = output or default_path("explore", [network.name], sizes or [network.size], ".html")
    page.save(path, overwrite=True)
    megabytes = f"{len(page.html) / 1e6:.1f} MB"
    facts = [("network", page.title), ("maps", page.maps), ("size", megabytes), ("file", str(path))]
    click.echo(tables.to_facts(facts, tables.terminal_width()))
    if open_:
        click.launch(str(path.resolve()))


@click.command(name="tiles", cls=Command)
@MODELS["one"]
@given("size padding same layers tile object for level norms verify weights", object=0)
@outputs("asked")
def tiles_command(
    model: str, size: Pixels | None, padding: str | None, same: bool, verify: bool, weights: str | None, to: To,
    **planned: Any,
) -> None:  # fmt: skip
    """Compute the context tiles need so that the stitched output equals the output for the whole image.

    An output unit is exact if it sees the same pixels and padding as in the whole image. The context is what a tile
    reads around the part that it keeps (halo, margin, overlap). Tiles may start only at multiples of the alignment.
    They are as large as --tile, or smaller by at most that multiple, so that the last tile ends where the image ends.

    \b
    --size and --tile  plan the fewest tiles that keep every unit exact
    --size alone       list tile sizes with their costs
    --for LIB          monai, torchio, toolbelt, sahi or supervision
    --level X          less context: for a share X of each unit's paths
    --verify           run a module or an ONNX file on noise, whole and tiled

    --norms shared pools the statistics of norms and gates over all tiles, for padviz.tiled. --norms per-tile plans as
    if they saw each position alone, which is inexact.

    \b
    Example:
      padviz tiles unet_padded --size 2048x1536 --tile 512
      padviz tiles unet_padded --size 1024 --tile 512 --for monai
      padviz tiles model.onnx --size 1024 --tile 256 --verify
    """
    from padviz.analyses.tiles import contexts

    if not (size and planned["tile"]):
        hint = "add --size and --tile, e.g. --size 2048 --tile 512"
        for name in ("tile", "for_", "level"):
            if planned[name]:
                raise OptionError("plans tiles of an image", where=f"--{name.strip('_')}", hint=hint)
        if to.other_file:
            raise OptionError("draws the plan of an image", where="-o", hint=hint)
    if weights and not verify:
        raise OptionError("goes with --verify", where="--weights", hint="add it, or leave out the weights")
    if verify and (same or padding):
        raise OptionError("runs the network as it is", where="--verify", hint="leave out --same and --padding")
    read = options.read_trained(model, size, weights) if verify else options.loaded(model, size)
    found = contexts(read, size, padding, same, **planned)
    show(found, to, to.drawn(None))


@click.command(name="repad", cls=Command)
@MODELS["one"]
@given("size padding only except_ even")
@outputs(others=(".onnx",))
def repad_command(
    model: str, size: Pixels | None, padding: str | None, only: Names, except_: Names, even: bool, to: To
) -> None:
    """Write MODEL, an ONNX file, with another padding. Weights and names do not change.

    --padding changes the padding of convolutions and nothing else. --even makes every uneven convolution read equal
    padding on opposite sides, by changing its pads. If that cannot make all of them even, each gets stride 1 and a
    2 x 2 average pool of stride 2 behind it instead. Pools keep their padding, and the report names the uneven ones.

    The report lists layers that could not be changed, with reasons. Before it writes, padviz counts the paths from each
    pixel in the changed network. With --padding, they must equal those of `padviz usage MODEL --padding SCHEME`.

    \b
    Example:
      padviz repad model.onnx --padding reflect -o reflect.onnx
      padviz repad model.onnx --padding zero/circular -o wrapped.onnx
      padviz repad model.onnx --even --size 224 -o even.onnx
    """
    from padviz.analyses.repad import report_of
    from padviz.repadding.onnx_file import check_options, repad_file

    if not model.lower().endswith(".onnx"):
        other = "" if even else "; in Python, padviz.repad(module, scheme); padviz convert writes descriptions"
        hint = f"export it to .onnx{other}"
        raise OptionError("is not an ONNX file", where=model, hint=hint)
    check_options(padding, even)
    if even and only + except_:
        raise OptionError("applies to all uneven windows", where="--even", hint="leave --only and --except out")
    repadded = repad_file(model, padding, size, only, except_, reading=options.reading())
    options.note_later(repadded.source, size)
    if to.path is None:
        options.say("nothing is written; add -o FILE.onnx")
    else:
        repadded.save(to.path, overwrite=to.overwrite)
    to.show(report_of(repadded, padding))


@click.command(name="convert", cls=Command)
@MODELS["one"]
@given("size padding same overwrite")
@output_to((".toml",))
def convert_command(
    model: str, size: Pixels | None, padding: str | None, same: bool, output: Path | None, overwrite: bool
) -> None:
    """Write MODEL as a TOML description of the same network, one step per layer.

    --size becomes the description's default size, and --padding the padding of its convolutions.

    \b
    Example:
      padviz convert resnet18 -o net.toml
      padviz convert resnet18 --padding zero/circular -o wrapped.toml
    """
    from padviz.analyses.load import convert

    if output is not None:
        checked_output(output, (".toml",), overwrite)
    put(convert(options.loaded(model, size), size, padding, same), output, overwrite)


@click.command(name="export", cls=Command)
@argument("models", nargs=-1, required=True, metavar="MANIFEST.toml|MODEL...")
@given("sizes paddings layers what jobs allow-modules cmap dpi width theme")
@click.option("--format", "format_", default="png", show_default=True, help="Files: png, npz, json.")
@output_to(shown="DIR", required=True)
def export_command(models: Names, format_: str, output: str, jobs: int | None, **asked: Any) -> None:
    """Draw every combination of models and options into DIR, one file each, with index.html to browse.

    A manifest lists items instead of models. Items that an earlier run finished, with the same networks and
    options, are kept. Items that fail are listed at the end, and the exit code is then 3.

    \b
    Example:
      padviz export resnet18 vgg11 --size 64:128:32 --padding zero,reflect -o maps
      padviz export resnet50 --size 224,225 --what usage,uneven,taps --format png,npz -o audit
    """
    from padviz.exports.run import export

    _check_folder(output)
    filters = [rule for rule in os.environ.get("PYTHONWARNINGS", "").split(",") if rule not in ("", IGNORED)]
    os.environ["PYTHONWARNINGS"] = ",".join([*filters, IGNORED])
    asked["paddings"] = tuple(padding or DECLARED for padding in asked["paddings"])
    arguments: dict[str, Any] = {
        PLURALS.get(name, name): [*value] if isinstance(value, tuple) else value for name, value in asked.items()
    }
    arguments |= session().reading
    with progress("", lasting=True) as on_progress:
        done = count(1)

        def on_outcome(outcome: ItemOutcome, total: int) -> None:
            if on_progress:
                on_progress(next(done), total)

        outcomes = export(
            models,
            output,
            format_=split_commas(format_),
            jobs=jobs or -1,
            on_outcome=on_outcome,
            on_note=options.say_once,
            **arguments,
        )
    _report_outcomes(outcomes, Path(output))


def _check_folder(folder: str) -> None:
    try:
        if not folder or (os.path.lexists(folder) and not os.path.isdir(folder)):
            raise OptionError(f"{folder!r} is not a folder", where="-o", hint="name one, which is created if needed")
        Path(folder, "index.html").exists()
    except OSError as error:
        what = f"{folder[:60]!r} cannot be used ({error.strerror})"
        raise OptionError(what, where="-o", hint="name another") from None


def _report_outcomes(outcomes: Sequence[ItemOutcome], folder: Path) -> None:
    from padviz.pages.html import natural
    from padviz.reports import tables

    states = [outcome.state for outcome in outcomes]
    facts: list[tuple[str, object]] = [(state, states.count(state)) for state in ("made", "kept", "failed")]
    click.echo(tables.to_facts([*facts, ("gallery", str(folder / "index.html"))], tables.terminal_width()))
    failed = sorted(
        (outcome for outcome in outcomes if outcome.state == "failed"), key=lambda outcome: natural(outcome.name)
    )
    for outcome in failed[:MOST_ERRORS]:
        options.say(f"{outcome.name}: {outcome.error}")
    if len(failed) > MOST_ERRORS:
        options.say(f"and {len(failed) - MOST_ERRORS} more, all of them in {folder / 'index.json'}")
    if failed:
        raise SystemExit(3)
