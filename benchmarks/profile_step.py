"""Where a training step of ``small`` spends its time, by torch operator.

Command: ``python benchmarks/profile_step.py``, a minute. Prints a table and writes
``benchmarks/results/profile.json``: the share of each operator's own time in one step, in float32
and in what ``auto`` chooses on this machine, after warming up.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from records import environment_record, keep_result
from torch.profiler import ProfilerActivity, profile

from iouaware import runtime
from iouaware.data.synthetic import synthesize
from iouaware.model.precision import choose_precision
from training import BATCHES, our_step

RESULT = Path(__file__).parent / "results" / "profile.json"
IMAGE_SIZE, BATCH_SIZE = 320, 8
WARM_UP = 8
SHOWN = 8  # operators


def main() -> None:
    """Profile, print, write."""
    runtime.prepare_process()
    result: dict[str, Any] = {
        **environment_record(),
        "settings": {"image_size": IMAGE_SIZE, "batch_size": BATCH_SIZE, "recipe": "small"},
        "steps": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        data = synthesize(Path(folder) / "data", images=2 * BATCHES * BATCH_SIZE, seed=0)
        for name in ("small, float32", "small"):
            precision = "float32" if name.endswith("float32") else choose_precision("auto", "cpu")
            shares = profile_step(name, data)
            result["steps"][str(precision or "float32").removeprefix("torch.")] = shares
            for operator, share in shares["own_time"].items():
                print(f"{name:16} {operator:45} {100 * share:5.1f} %")
    keep_result(RESULT, result)


def profile_step(name: str, data: Path) -> dict[str, Any]:
    """Return the seconds of a step and the operators that take the most of it themselves."""
    step = our_step(name, data, IMAGE_SIZE, BATCH_SIZE)
    seconds = []
    for number in range(WARM_UP):
        started = time.perf_counter()
        step(number % BATCHES)
        seconds.append(time.perf_counter() - started)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        step(0)
    rows = sorted(found.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    return {
        "seconds_a_step": round(min(seconds), 4),
        "own_time": {row.key: round(row.self_cpu_time_total / total, 4) for row in rows[:SHOWN]},
    }


if __name__ == "__main__":
    main()
