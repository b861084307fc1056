from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from iouaware import durable
from iouaware.errors import CheckpointError, TrainingError
from iouaware.training import state as state_module
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


def test_a_step_is_written_again_without_a_moment_without_it(
    tmp_path: Path, monkeypatch: Any
) -> None:
    # the only checkpoint, written anew by a process that is killed before each move
    write_checkpoint(tmp_path, 1, {"epoch": 0})
    move, moves = durable.replace_durably, iter(range(3))
    found = []

    def killed(partial: Path, final: Path) -> None:
        found.append(read_checkpoint(tmp_path, lambda line: pytest.fail(line))["epoch"])
        next(moves)
        move(partial, final)

    monkeypatch.setattr(state_module, "replace_durably", killed)
    write_checkpoint(tmp_path, 1, {"epoch": 1})
    assert found == [0, 0, 1]  # before last.json forgets the hash, before the move, before the new
    assert read_checkpoint(tmp_path, lambda line: pytest.fail(line))["epoch"] == 1


def test_a_broken_checkpoint_makes_room_for_its_step(tmp_path: Path) -> None:
    (write_checkpoint(tmp_path, 1, {"epoch": 0}) / "state.pt").write_bytes(b"torn")
    write_checkpoint(tmp_path, 1, {"epoch": 1})
    assert read_checkpoint(tmp_path, lambda line: pytest.fail(line))["epoch"] == 1


def test_a_torn_last_json_loses_nothing(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 1, {"step": 1})
    (tmp_path / "last.json").write_text('{"last": "st')
    assert read_checkpoint(tmp_path, lambda line: None)["step"] == 1


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".partial-step-1").mkdir()
    write_checkpoint(tmp_path, 2, {"step": 2})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.json", "step-2"]


def test_content_and_names_are_on_the_disk_before_last_json_points_there(
    tmp_path: Path, monkeypatch: Any
) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(state_module, "flush", lambda path: flushed.append(path.name))
    monkeypatch.setattr(durable, "flush", lambda path: flushed.append(path.name))
    write_checkpoint(tmp_path / "c", 1, {"step": 1})
    partials = ["state.pt", ".partial-step-1", "c", ".last.json.partial", "c"]
    assert flushed == partials  # file, its folder, the folder's new name; then last.json


@pytest.mark.skipif(resource is None, reason="no limit to the size of files on this system")
def test_a_file_that_cannot_grow_leaves_the_one_before(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 1, {"step": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(TrainingError, match=r"could not be written .*earlier ones are intact"):
            write_checkpoint(tmp_path, 2, {"step": 2, "weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_checkpoint(tmp_path, lambda line: pytest.fail(line))["step"] == 1


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file in its place")
    with pytest.raises(TrainingError, match=r"step-2: the checkpoint could not be written \("):
        write_checkpoint(tmp_path / "checkpoints", 2, {"step": 2})


def test_two_whole_ones_are_kept_after_a_fall_back(tmp_path: Path) -> None:
    for step in (50, 100):
        write_checkpoint(tmp_path, step, {"step": step})
    (tmp_path / "step-100" / "state.pt").write_bytes(b"torn")
    lines, say = heard()
    assert read_checkpoint(tmp_path, say)["step"] == 50
    for step in (60, 70):
        write_checkpoint(tmp_path, step, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.json", "step-60", "step-70"]
    (tmp_path / "step-70" / "state.pt").write_bytes(b"torn")
    assert read_checkpoint(tmp_path, say)["step"] == 60
    assert len(lines) == 2
