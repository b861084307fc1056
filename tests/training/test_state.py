from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from iouaware.errors import CheckpointError, TrainingError
from iouaware.training.state import read_checkpoint, write_checkpoint


def heard() -> tuple[list[str], Any]:
    lines: list[str] = []
    return lines, lines.append


def test_the_last_two_are_kept_and_the_newest_is_read(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        write_checkpoint(tmp_path, step, {"step": step, "weights": torch.full((2,), float(step))})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.json", "step-10", "step-15"]
    lines, say = heard()
    state = read_checkpoint(tmp_path, say)
    assert state["step"] == 15
    assert state["weights"].tolist() == [15.0, 15.0]
    assert lines == []
    last = json.loads((tmp_path / "last.json").read_text())
    assert last["last"] == "step-15"
    assert sorted(last["sha256"]) == ["step-10", "step-15"]


@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_broken_checkpoint_falls_back_aloud(tmp_path: Path, damage: str) -> None:
    write_checkpoint(tmp_path, 1, {"step": 1})
    path = write_checkpoint(tmp_path, 2, {"step": 2}) / "state.pt"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    else:
        path.unlink()
    lines, say = heard()
    assert read_checkpoint(tmp_path, say)["step"] == 1
    assert len(lines) == 1
    assert "step-2" in lines[0]


def test_none_left_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint to go on from"):
        read_checkpoint(tmp_path, lambda line: None)


def test_a_full_disk_leaves_the_one_before(tmp_path: Path, monkeypatch: Any) -> None:
    write_checkpoint(tmp_path, 1, {"step": 1})

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match="No space left on device"):
        write_checkpoint(tmp_path, 2, {"step": 2})
    monkeypatch.undo()
    assert read_checkpoint(tmp_path, lambda line: None)["step"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.json", "step-1"]


def test_p42_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 1, {"step": 1})
    torch.save({"step": Path("code")}, tmp_path / "step-1" / "state.pt")  # a pickled object
    (tmp_path / "last.json").unlink()  # so that only the loader can refuse it
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path, lambda line: None)
