"""What a run folder tells of how the run came about, written before its first step."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import iouaware
from iouaware.errors import CheckpointError
from iouaware.evaluation.evaluate import write_json
from iouaware.inference.scoring import FORMULA
from iouaware.running.candidates import file_length
from iouaware.running.folder import write_yaml
from iouaware.running.planning import Plan, config_of_run
from iouaware.running.results import read_json
from iouaware.runtime import environment_record

if TYPE_CHECKING:
    from iouaware.data.dataset import Dataset
    from iouaware.data.layouts import Splits

MOST_LENGTHS = 1000  # of each part: files on a network take their time


def write_what_is_known(run: Path, plan: Plan, resume: bool, overfit: int | None) -> None:
    """Write config, environment and split before the first step: a broken run tells them too."""
    from iouaware.model.precision import choose_precision, name_precision

    record = environment_record()
    if resume:
        environment = read_json(run / "environment.json")
        environment.setdefault("resumed", []).append(record)
    else:
        dtype = choose_precision(plan.config.train.precision, plan.device)
        facts = {"seed": plan.config.seed, "precision": name_precision(dtype), "concluded": False}
        environment = {**record, **facts}
        written = f"iouaware {iouaware.__version__}; the score is {FORMULA}"
        write_yaml(run / "config.yaml", config_of_run(plan), written)
        trial = {} if overfit is None else {"overfit": overfit}
        record_of_parts = {**split_record(plan.splits), "bytes": length_record(plan.splits)}
        write_json(run / "split.json", {**record_of_parts, **trial})
    write_json(run / "environment.json", environment)


@contextmanager
def adding_seconds(run: Path) -> Iterator[None]:
    """Add the wall time to ``environment.json``, also that of a sitting which is interrupted."""
    started = time.time()
    try:
        yield
    finally:
        # what went wrong before says more than a disk that is still full
        with suppress(OSError, CheckpointError):
            if is_first():
                environment = read_json(run / "environment.json")
                total = environment.get("wall_seconds", 0.0) + time.time() - started
                environment["wall_seconds"] = round(total, 1)
                write_json(run / "environment.json", environment)


def split_record(splits: Splits) -> dict[str, Any]:
    """Return the names of the pictures of each part, as ``split.json`` keeps them."""
    names = {
        part: [] if dataset is None else [dataset.file_name(i) for i in range(len(dataset))]
        for part, dataset in _parts(splits).items()
    }
    return {**names, "made": splits.made}


def length_record(splits: Splits) -> dict[str, dict[str, int | None]]:
    """Return the bytes of some pictures of each part, spread evenly: they tell it from others."""
    return {
        part: {
            dataset.file_name(index): file_length(dataset, index)
            for index in range(0, len(dataset), 1 + len(dataset) // MOST_LENGTHS)
        }
        for part, dataset in _parts(splits).items()
        if dataset is not None
    }


def _parts(splits: Splits) -> dict[str, Dataset | None]:
    return {"train": splits.train, "val": splits.val, "test": splits.test}


def is_first() -> bool:
    """Whether this is the process that prints and writes, before the group is joined."""
    return int(os.environ.get("RANK", "0")) == 0
