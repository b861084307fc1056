from __future__ import annotations

from pathlib import Path

import pytest

from iouaware.errors import ConfigError
from iouaware.training.logs import COLUMNS, CsvLogger, build_loggers


def test_csv_has_a_head_and_a_line_an_epoch(tmp_path: Path) -> None:
    logger = CsvLogger(tmp_path / "metrics.csv")
    logger.log({"epoch": 1, "step": 26, "loss": 0.5, "AP": None})
    head, line = (tmp_path / "metrics.csv").read_text().splitlines()
    assert head.split(",") == list(COLUMNS)
    cells = dict(zip(COLUMNS, line.split(","), strict=True))
    assert cells["step"] == "26"
    assert cells["loss"] == "0.5"
    assert cells["AP"] == ""


def test_a_resumed_csv_is_cut_back_to_what_the_checkpoint_knew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    logger = CsvLogger(path)
    logger.log({"epoch": 1})
    size = logger.size()
    logger.log({"epoch": 2})
    CsvLogger(path, keep_bytes=size).log({"epoch": 2})
    assert [line.split(",")[0] for line in path.read_text().splitlines()] == ["epoch", "1", "2"]


def test_an_unknown_logger_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--log wand: .*csv, tensorboard, mlflow, wandb"):
        build_loggers(["csv", "wand"], tmp_path)


def test_a_logger_that_is_not_installed_says_what_to_install(tmp_path: Path) -> None:
    pytest.importorskip("iouaware")
    try:
        import wandb  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match="pip install wandb"):
            build_loggers(["wandb"], tmp_path)
