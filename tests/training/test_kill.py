"""A training that is killed anywhere and resumed leaves what an uninterrupted one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import iouaware

WORKER = Path(__file__).with_name("kill_worker.py")
POINTS = 24


@pytest.mark.slow
def test_p20_killed_anywhere_and_resumed_it_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    done = subprocess.run(
        [sys.executable, str(WORKER), str(tmp_path), str(POINTS), "0"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(iouaware.__file__).parents[1]),
        },
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    points = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(points) == POINTS
    assert {point["ended"] for point in points} <= {-9, 2}  # killed, or stopped by SIGTERM
    assert sum(point["ended"] == -9 for point in points) >= 12
    assert [point for point in points if point["different"]] == []
