from __future__ import annotations

from pathlib import Path

import pytest

from iouaware.errors import CheckpointError
from iouaware.places import MODEL_FILE
from iouaware.reporting.run_files import read_run_files
from tests.reporting.scenes import write_run_files


def test_all_files_may_be_missing(run: Path) -> None:
    files = read_run_files(run / MODEL_FILE)
    assert files.metrics == ()
    assert files.environment == {}
    assert files.config_text == ""
    assert files.split == {}
    assert files.series("AP") == []


def test_cells_without_a_number_are_left_out(run: Path) -> None:
    write_run_files(run, ap=(0.2, None, 0.4))
    files = read_run_files(run / MODEL_FILE)
    assert files.series("AP") == [(1.0, 0.2), (3.0, 0.4)]
    assert len(files.series("class_loss")) == 3
    assert files.split == {"train": 2, "val": 1}
    assert files.split_made
    (run / "metrics.csv").write_text("epoch,class_loss\n1,nan?\n2,\n3\n4,0.5,7\n")
    assert read_run_files(run / MODEL_FILE).series("class_loss") == [(4.0, 0.5)]


def test_numbers_that_are_not_finite_are_left_out(run: Path) -> None:
    (run / "metrics.csv").write_text("epoch,class_loss\n1,nan\n2,inf\n3,0.5\n")
    assert read_run_files(run / MODEL_FILE).series("class_loss") == [(3.0, 0.5)]


def test_a_broken_file_is_named(run: Path) -> None:
    (run / "environment.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"environment\.json: not valid JSON"):
        read_run_files(run / MODEL_FILE)
    (run / "environment.json").write_bytes(b"\xff")
    with pytest.raises(CheckpointError, match=r"environment\.json: cannot be read"):
        read_run_files(run / MODEL_FILE)
