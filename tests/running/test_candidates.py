"""Kept candidates are used for the very pictures they were found on, and for no others."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from iouaware.config import build_config
from iouaware.data.layouts import read_split
from iouaware.running.candidates import collect_run_candidates, other_than_own


def test_a_picture_that_was_written_anew_is_looked_at_again(
    finished_run: Path, tiny_coco: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_coco, tmp_path / "data")
    val = read_split(tmp_path / "data", "val")
    model, kept = finished_run / "model.safetensors", tmp_path / "candidates-val.npz"

    def written() -> int:
        collect_run_candidates(model, val, kept, device="cpu", workers=0)
        return kept.stat().st_ino

    first = written()
    assert written() == first
    os.utime(val.record(0).path, (1, 1))  # another picture may have the same size
    assert written() != first


def test_the_run_s_own_data_named_again_are_its_own(tmp_path: Path) -> None:
    # its settings say where the pictures are, and which are empty
    config = build_config({"data": {"path": str(tmp_path / "bolts")}})
    assert other_than_own(None, config) is None
    assert other_than_own(tmp_path / "x" / ".." / "bolts", config) is None
    assert other_than_own("nuts", config) == "nuts"
