"""Kills a training at many points and resumes it; ``test_kill.py`` starts this file.

``kill_worker.py FOLDER POINTS SEED`` trains once, drawing up the list of all Python calls in the
training code, then again for each of so many points of that list: the process ends itself there
with SIGKILL or SIGTERM, and another one goes on. Half of the points lie in the code that writes
files. Prints a line of JSON for each point. Processes are forked: the imports are paid once.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import iouaware
from iouaware.config import build_config
from iouaware.data.layouts import Splits
from iouaware.data.synthetic import draw_splits
from iouaware.errors import TrainingError
from iouaware.model.detector import Detector
from iouaware.training.trainer import Trainer

PACKAGE = Path(iouaware.__file__).parent
WATCHED = (str(PACKAGE / "training"), str(PACKAGE / "checkpoint.py"), str(PACKAGE / "durable.py"))
WRITING = {"checkpoint.py", "durable.py", "state.py", "logs.py", "saving.py"}
SIDE = 96
MODEL = {
    "backbone": "test_efficientnet",
    "weights": "none",
    "fpn_channels": 8,
    "tower_convs": 1,
    "shared_iou_convs": 1,
    "frozen_stages": 0,
    "batch_norm": "learnt",
    "second_look": True,
}
DATA = {"image_size": SIDE, "batch_size": 4, "colour": 0.5, "crop": 0.5}
TRAIN = {"epochs": 3, "optimizer": "adamw", "lr": 0.01, "schedule": "cosine", "ema": True}


class Calls:
    """Follows the calls in the training code, and ends the process at one of them."""

    def __init__(self, end_at: int = -1, number: int = signal.SIGKILL) -> None:
        self.end_at, self.number = end_at, number
        self.files: list[str] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if not name.startswith(WATCHED):
            return
        if len(self.files) == self.end_at:
            os.kill(os.getpid(), self.number)
        self.files.append(Path(name).name)


def fork(work: Callable[[], None]) -> int:
    """Do work in a process of its own; return its exit code, negative for a signal."""
    process = os.fork()
    if process == 0:
        code = 0
        try:
            work()
        except TrainingError:
            code = 2
        except BaseException:
            traceback.print_exc()
            code = 1
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def train(splits: Splits, run: Path, calls: Calls | None = None, resume: bool = False) -> None:
    """Train three epochs of three steps."""
    config = build_config({"model": MODEL, "data": DATA, "train": TRAIN})
    torch.manual_seed(99 if resume else config.seed)  # nothing may depend on hidden random state
    detector = Detector(config.model, len(splits.train.class_names))
    run.mkdir(exist_ok=True)
    trainer = Trainer(
        detector, config, splits, run, image_size=SIDE, workers=0, loggers=["tensorboard"]
    )
    sys.setprofile(calls)
    try:
        trainer.fit(resume)
    finally:
        sys.setprofile(None)
    if calls is not None:
        (run / "calls.json").write_text(json.dumps(calls.files), "utf-8")


def outcome(run: Path) -> dict[str, Any]:
    """Read all that a run leaves, without its times."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    state = torch.load(run / "checkpoints" / "step-9" / "state.pt", weights_only=True)
    state["progress"].pop("seconds")
    for text in (state.pop("metrics"), (run / "metrics.csv").read_text("utf-8")):
        rows = list(csv.reader(text.splitlines()))
        seconds = rows[0].index("seconds")
        state[f"rows {len(state)}"] = [row[:seconds] + row[seconds + 1 :] for row in rows]
    state["model"] = list((run / "model.safetensors").read_bytes())
    shown = EventAccumulator(str(run / "tensorboard")).Reload()
    state["tensorboard"] = [(event.step, event.value) for event in shown.Scalars("loss")]
    state["unfinished"] = [path.name for path in run.rglob("*partial*")]
    return dict(state)


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """List the places where two outcomes differ in a single bit."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [d for key in one for d in differences(one[key], other[key], f"{where}/{key}")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if torch.equal(one, other) else [where]
    if isinstance(one, (list, tuple)) and len(one) == len(other):
        pairs = zip(one, other, strict=True)
        return [d for i, (a, b) in enumerate(pairs) for d in differences(a, b, f"{where}/{i}")]
    return [] if one == other else [where]


def main(folder: Path, points: int, seed: int) -> None:
    """Kill, resume and compare."""
    torch.set_num_threads(1)
    (folder / "data").mkdir()
    drawn, _ = draw_splits(folder / "data", images=16, seed=0, image_wh=(SIDE, SIDE))
    splits = Splits(drawn.subset(range(10)), drawn.subset([0, 1]), None, False, ())
    if fork(lambda: train(splits, folder / "whole", Calls())):
        raise SystemExit("the whole run failed")
    files = json.loads((folder / "whole" / "calls.json").read_text("utf-8"))
    whole = outcome(folder / "whole")
    draw = random.Random(seed)
    first_step = files.index("batch_losses.py")  # the checkpoint of step 0 is there
    writing = [place for place, name in enumerate(files) if name in WRITING and place > first_step]
    for point in range(points):
        place = draw.choice(writing) if point % 2 else draw.randrange(first_step, len(files))
        number = signal.SIGTERM if point % 3 == 2 else signal.SIGKILL
        run = folder / f"run-{point}"
        ended = fork(partial(train, splits, run, Calls(place, number)))
        resumed = fork(partial(train, splits, run, resume=True))
        told = {"place": place, "file": files[place], "ended": ended, "resumed": resumed}
        different = ["no outcome"] if resumed else differences(whole, outcome(run))
        print(json.dumps({**told, "different": different[:5]}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
