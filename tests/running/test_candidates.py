"""Kept candidates are used for the very pictures they were found on, and for no others."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from iouaware.data.layouts import read_split
from iouaware.running.candidates import collect_run_candidates


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
