"""Checkpoints to go on from: written whole or not at all, the last two kept.

``checkpoints/step-N/state.pt`` holds everything that training needs; ``checkpoints/last.json``
names the good one with its hash and is replaced in one move. Nothing here unpickles code.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from iouaware.durable import flush, replace_durably
from iouaware.errors import CheckpointError, TrainingError, one_line

FORM = 2  # of the content; another one is refused
KEPT = 2


def write_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write ``folder/step-N/state.pt``, point ``last.json`` at it, and drop older ones.

    A step may be written twice: a run that is stopped after the last batch of an epoch writes it
    again when the epoch is finished. At every moment the older or the newer one is whole.

    Raises:
        TrainingError: the disk is full or the folder cannot be written; earlier checkpoints stay.
    """
    final = folder / f"step-{step}"
    partial = folder / f".partial-step-{step}"
    try:
        for unfinished in folder.glob(".partial-step-*"):  # of a process that was killed
            shutil.rmtree(unfinished, ignore_errors=True)
        partial.mkdir(parents=True)
        with (partial / "state.pt").open("wb") as file:
            torch.save({"form": FORM, **state}, file)
        flush(partial / "state.pt")
        flush(partial)
        sha256 = _sha256(partial / "state.pt")
        _move_into_place(partial, final)
        steps = [int(name[5:]) for name in _known_steps(folder)]
        earlier = [f"step-{known}" for known in steps if known < step]
        # what was found broken and gone back from: it must not count as one of those kept
        later = [f"step-{known}" for known in steps if known > step]
        known = earlier_hashes(folder)
        entries = {name: known[name] for name in earlier[-(KEPT - 1) :] if name in known}
        _write_last(folder, final.name, {final.name: sha256, **entries})
    except (OSError, RuntimeError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise TrainingError(
            f"{final}: the checkpoint could not be written ({one_line(error, 200)}); earlier ones "
            "are intact: free space, then go on with --resume, or start anew with another --out"
        ) from error
    for name in [*earlier[: -(KEPT - 1)], *later]:
        shutil.rmtree(folder / name, ignore_errors=True)
    return final


def _move_into_place(partial: Path, final: Path) -> None:
    """Give a finished checkpoint its name; one that has the name goes in the same step."""
    folder, known = final.parent, earlier_hashes(final.parent)
    path = final / "state.pt"
    if path.is_file() and known.get(final.name) in (None, _sha256(path)):
        # its hash goes first: until last.json is written, either content is the right one
        known.pop(final.name, None)
        _write_last(folder, final.name, known)
        replace_durably(partial / "state.pt", path)
        partial.rmdir()
    else:
        shutil.rmtree(final, ignore_errors=True)
        replace_durably(partial, final)


def read_checkpoint(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Read the newest whole checkpoint; a broken one is told and the one before is taken.

    Raises:
        CheckpointError: there is none, or it was written by another version.
    """
    hashes = earlier_hashes(folder)
    for name in reversed(_known_steps(folder)):
        path = folder / name / "state.pt"
        try:
            if hashes.get(name) not in (None, _sha256(path)):
                raise CheckpointError("its content is not what was written")
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a torn file fails in many ways; each means "take another"
            say(f"{path}: broken ({one_line(error, 200)}); going back to the checkpoint before it")
            continue
        if state.get("form") != FORM:
            raise CheckpointError(
                f"{folder}: written by another version of iouaware (form {state.get('form', 1)}, "
                f"expected {FORM}); finish the run with the version in its environment.json, or "
                "train anew with --from RUN"
            )
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


def _write_last(folder: Path, name: str, hashes: dict[str, str]) -> None:
    partial = folder / ".last.json.partial"
    partial.write_text(json.dumps({"last": name, "sha256": hashes}), "utf-8")
    replace_durably(partial, folder / "last.json")
