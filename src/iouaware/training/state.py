"""Checkpoints to go on from: written whole or not at all, the last two kept.

``checkpoints/step-N/state.pt`` holds everything that training needs; ``checkpoints/last.json``
names the good one with its hash and is replaced in one move. Nothing here unpickles code.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from iouaware.errors import CheckpointError, TrainingError

KEPT = 2


def write_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write ``folder/step-N/state.pt``, point ``last.json`` at it, and drop older ones.

    Raises:
        TrainingError: the disk is full or the folder cannot be written; earlier checkpoints stay.
    """
    final = folder / f"step-{step}"
    partial = folder / f".partial-step-{step}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with (partial / "state.pt").open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        shutil.rmtree(final, ignore_errors=True)
        partial.replace(final)
        earlier = [name for name in _known_steps(folder) if name != final.name]
        entries = {final.name: _sha256(final / "state.pt")}
        entries |= {
            name: value
            for name, value in list(earlier_hashes(folder).items())
            if name in earlier[-(KEPT - 1) :]
        }
        _replace_json(folder / "last.json", {"last": final.name, "sha256": entries})
    except (OSError, RuntimeError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise TrainingError(
            f"{final}: the checkpoint could not be written ({error}); the one before is intact: "
            "free space or choose another --out, then go on with --resume"
        ) from error
    for name in earlier[: -(KEPT - 1)]:
        shutil.rmtree(folder / name, ignore_errors=True)
    return final


def read_checkpoint(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Read the newest whole checkpoint; a broken one is told and the one before is taken.

    Raises:
        CheckpointError: there is none.
    """
    hashes = earlier_hashes(folder)
    for name in reversed(_known_steps(folder)):
        path = folder / name / "state.pt"
        try:
            if hashes.get(name) not in (None, _sha256(path)):
                raise CheckpointError("its content is not what was written")
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a torn file fails in many ways; each means "take another"
            say(f"{path}: broken ({error}); going back to the checkpoint before it")
            continue
        return state
    raise CheckpointError(
        f"{folder}: no checkpoint to go on from; expected step-N folders; start anew with train"
    )


def earlier_hashes(folder: Path) -> dict[str, str]:
    """Return the hashes that ``last.json`` knows, by folder name."""
    try:
        known = json.loads((folder / "last.json").read_text("utf-8"))["sha256"]
        return {str(name): str(value) for name, value in known.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _known_steps(folder: Path) -> list[str]:
    """List the step folders, oldest first."""
    found = [path.name for path in folder.glob("step-*") if path.name[5:].isdigit()]
    return sorted(found, key=lambda name: int(name[5:]))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace_json(path: Path, value: Any) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
