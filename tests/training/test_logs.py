from __future__ import annotations

import sys
from pathlib import Path

import pytest

from iouaware.errors import ConfigError
from iouaware.training.logs import COLUMNS, CsvLogger, build_loggers, last_step


def test_csv_has_a_head_and_a_line_an_epoch(tmp_path: Path) -> None:
    logger = CsvLogger(tmp_path / "metrics.csv")
    logger.log({"epoch": 1, "step": 26, "loss": 0.5, "AP": None})
    head, line = (tmp_path / "metrics.csv").read_text().splitlines()
    assert head.split(",") == list(COLUMNS)
    cells = dict(zip(COLUMNS, line.split(","), strict=True))
    assert cells["step"] == "26"
    assert cells["loss"] == "0.5"
    assert cells["AP"] == ""


@pytest.mark.parametrize("step", [1_000_000, 1_234_567])
def test_steps_beyond_a_million_are_written_whole(tmp_path: Path, step: int) -> None:
    logger = CsvLogger(tmp_path / "metrics.csv")
    logger.log({"epoch": 3, "step": step, "loss": 0.25})
    assert last_step(logger.text) == step
    # as they were written before
    assert last_step("epoch,step\n3,1.23457e+06\n") == 1_234_570


@pytest.mark.parametrize("damage", ["longer", "torn", "gone"])
def test_a_resumed_csv_is_what_the_checkpoint_knew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "metrics.csv"
    logger = CsvLogger(path)
    logger.log({"epoch": 1, "step": 4})
    known = logger.text
    assert last_step(known) == 4
    logger.log({"epoch": 2, "step": 8})
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:20])
    elif damage == "gone":
        path.unlink()
    CsvLogger(path, known).log({"epoch": 2, "step": 8})
    assert path.read_text() == logger.text
    assert [line.split(",")[0] for line in path.read_text().splitlines()] == ["epoch", "1", "2"]


def test_a_csv_without_rows_has_no_last_step(tmp_path: Path) -> None:
    assert last_step(CsvLogger(tmp_path / "metrics.csv").text) is None


def test_tensorboard_shows_a_resumed_step_once(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    for last, steps in ((None, (4, 8)), (4, (8, 12))):  # stopped after logging 8, before saving it
        (logger,) = build_loggers(["tensorboard"], tmp_path, last)
        for step in steps:
            logger.log({"epoch": step // 4, "step": step, "loss": step / 10 + (last or 0)})
        logger.close()
    shown = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, round(event.value, 3)) for event in shown.Scalars("loss")] == [
        (4, 0.4),
        (8, 4.8),
        (12, 5.2),
    ]


def test_an_unknown_logger_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--log wand: .*csv, tensorboard, mlflow, wandb"):
        build_loggers(["csv", "wand"], tmp_path)


def test_a_logger_that_is_not_installed_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match="pip install wandb"):
        build_loggers(["wandb"], tmp_path)
