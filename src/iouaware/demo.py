"""The whole job on drawn data: draw, train, evaluate, sweep, predict, report."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from iouaware.data.synthetic import synthesize
from iouaware.reporting.numerals import percent
from iouaware.run import Run
from iouaware.running.folder import RUNS, RunLog, Say
from iouaware.running.results import read_json
from iouaware.running.summary import alpha_line
from iouaware.running.training import train

IMAGE_SIZE = 256
PREDICTED_PICTURES = 12


class DemoSize(NamedTuple):
    """How much is drawn and learnt; epochs are fixed so that every machine gets the same run."""

    images: int
    epochs: int


FULL = DemoSize(images=400, epochs=16)
QUICK = DemoSize(images=150, epochs=8)


def run_demo(
    quick: bool = False,
    device: str | None = None,
    workers: int | None = None,
    say: Say | None = None,
) -> Run:
    """Draw a data set and take it through every step, under ``runs/demo/`` or the next free name.

    Args:
        quick: about a minute's work; the detector is poor, the steps are the same.
        device: None takes CUDA where it is seen.
        workers: processes that load pictures; None chooses.
        say: takes each line meant for the user; Python's logging by default.

    Returns:
        The run; its data are in the folder beside it, ``runs/demo-data/``.
    """
    log = RunLog(say)
    size = QUICK if quick else FULL
    folder = _free_folder()
    data = synthesize(folder.with_name(f"{folder.name}-data"), images=size.images)
    log(f"drew {size.images} pictures in {data}")
    run = train(
        data,
        config="small",
        out=folder,
        device=device,
        workers=workers,
        image_size=IMAGE_SIZE,
        epochs=size.epochs,
        say=log,
    )
    pictures = sorted(str(path) for path in (data / "images" / "val").iterdir())
    log(f"predicted on drawn pictures: {run.predict(pictures[:PREDICTED_PICTURES]).parent}")
    for line in closing_lines(run):
        log(line)
    return run


def closing_lines(run: Run) -> list[str]:
    """Return what the demonstration ends with: alpha 1, the gain of another, the oracle, the page.

    Args:
        run: finished, with its evaluation, sweep and report.
    """
    evaluation, sweep = read_json(run.path / "evaluation.json"), read_json(run.path / "sweep.json")
    oracle = evaluation["oracle"]
    return [
        "",
        f"AP {percent(evaluation['baseline']['AP'])} at alpha 1 on {evaluation['images']} pictures",
        alpha_line(run.info.alpha, sweep),
        f"oracle: AP {percent(oracle['localisation']['AP'])} if the fit of every box on its object "
        f"were known ({percent(oracle['any_class']['AP'])} with false alarms told as well)",
        f"report: {run.path / 'report' / 'index.html'}",
    ]


def _free_folder() -> Path:
    """Return ``runs/demo``, or ``runs/demo-2`` and so on where that is taken."""
    number, folder = 1, RUNS / "demo"
    while folder.exists() or folder.with_name(f"{folder.name}-data").exists():
        number += 1
        folder = RUNS / f"demo-{number}"
    return folder
