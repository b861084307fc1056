"""Run folders: a new number each, nothing written over, and how one is found again."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from iouaware.errors import CheckpointError, ConfigError, UnreadableError
from iouaware.places import MODEL_FILE, name_of_data

RUNS = Path("runs")
# what only training writes: a folder that has one of these is never cleared away
TRAINED = (MODEL_FILE, "checkpoints")
Say = Callable[[str], None]


def new_run_folder(data: Path, out: Path | None = None) -> Path:
    """Make the folder of a new run: ``out``, or the next free ``runs/<data>-<n>/``.

    Raises:
        ConfigError: ``out`` exists and is not empty, or is a file.
    """
    if out is None:
        return numbered_folder(RUNS, stem_of_run(data))
    return claim_folder(out)


def claim_folder(out: Path, flag: str = "--out") -> Path:
    """Make a folder that must not hold anything yet.

    Args:
        out: the folder.
        flag: the option that names it, for errors.

    Raises:
        ConfigError: it exists and is not empty, or is a file.
    """
    refuse_taken(out, flag)
    out.mkdir(parents=True, exist_ok=True)
    return out


def refuse_taken(out: Path, flag: str = "--out") -> None:
    """See that a folder is new or empty, as ``claim_folder`` does, and make nothing.

    Raises:
        ConfigError: it exists and is not empty, or is a file.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{flag} {out}: found a file, expected a folder; give another {flag}")
    if out.is_dir() and any(out.iterdir()):
        numbered = ", or leave it out for a numbered folder" if flag == "--out" else ""
        raise ConfigError(
            f"{flag} {out}: the folder exists and is not empty, expected a new one; nothing is "
            f"written over: give another {flag}{numbered}"
        )


def numbered_folder(parent: Path, stem: str) -> Path:
    """Make ``parent/stem-<n>`` with the number after the highest there is; safe beside others."""
    parent.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(stem) + r"-(\d+)")
    taken = [int(found[1]) for path in parent.iterdir() if (found := pattern.fullmatch(path.name))]
    number = max(taken, default=0) + 1
    while True:
        folder = parent / f"{stem}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:  # another process was faster
            number += 1
        else:
            return folder


@contextmanager
def dropped_on_error(folder: Path) -> Iterator[None]:
    """Remove a folder that an error would leave half written; an ``UnreadableError`` does not."""
    try:
        yield
    except UnreadableError:
        raise
    except BaseException:  # a full disk or Ctrl-C too
        _clear_away(folder)
        raise


def _clear_away(folder: Path) -> None:
    """Remove a folder and what is in it; what cannot be removed stays, and hides no other error.

    The folder itself may be a link, or the one we are in.
    """
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
    with suppress(OSError):
        folder.rmdir()


def temporary_folder() -> Path:
    """Make a folder of its own among the system's temporary files (for a dry run)."""
    return Path(tempfile.mkdtemp(prefix="iouaware-"))


def stem_of_run(data: Path) -> str:
    """Return what the runs of a data set are called: its name, without odd characters."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name_of_data(data)).strip("-.") or "data"


def find_run(run: str | Path) -> Path:
    """Return the folder or file that RUN means, trained or not yet.

    ``latest`` is the folder under ``runs/`` whose weights were written last.

    Raises:
        CheckpointError: nothing there.
    """
    path = Path(run)
    if path.exists():
        return path
    if str(run) != "latest":
        raise CheckpointError(
            f"{run}: no such run, expected a run folder, a .safetensors file or latest"
        )
    found = sorted(RUNS.glob(f"*/{MODEL_FILE}"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise CheckpointError(
            f"latest: no folder under {RUNS.resolve()} has a {MODEL_FILE}; "
            "train first, or name the run folder"
        )
    return found[-1].parent


def find_model(run: str | Path) -> Path:
    """Return the weights file that RUN means: ``latest``, a run folder, or the file itself.

    Raises:
        CheckpointError: nothing there, or a folder without weights.
    """
    path = find_run(run)
    if not path.is_dir():
        return path
    if (path / MODEL_FILE).is_file():
        return path / MODEL_FILE
    if (path / "config.yaml").is_file():
        raise CheckpointError(
            f"{run}: no {MODEL_FILE} yet, since training ended before its first validation; "
            f"go on with: iouaware train --resume {run}"
        )
    raise CheckpointError(
        f"{run}: the folder has no {MODEL_FILE}, expected a run folder of iouaware train"
    )


def find_resumable(run: str | Path) -> Path:
    """Return the run folder to go on with; ``latest`` is the one with the newest checkpoint.

    Raises:
        CheckpointError: no such folder, or none with checkpoints.
    """
    if str(run) == "latest" and not Path(run).exists():
        found = sorted(RUNS.glob("*/checkpoints/last.json"), key=lambda p: p.stat().st_mtime_ns)
        if found:
            return found[-1].parent.parent
    folder = Path(run)
    if not any(folder.glob("checkpoints/step-*/state.pt")):
        raise CheckpointError(
            f"--resume {run}: no checkpoints/step-N/state.pt there, expected a run folder that "
            "training has written a checkpoint into"
        )
    return folder


def remove_untrained(run: Path) -> None:
    """Clear away a run folder of ours that training never wrote into."""
    if not any((run / name).exists() for name in TRAINED):
        _clear_away(run)


def write_yaml(path: Path, value: dict[str, Any], comment: str) -> None:
    """Write plain values as YAML under a line of comment, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    beside.write_text(f"# {comment}\n{text}", "utf-8")
    beside.replace(path)


class RunLog:
    """Passes on the lines meant for the user, and keeps them in ``log.txt`` once there is a run."""

    def __init__(self, say: Say | None = None) -> None:
        """Begin with nothing kept.

        Args:
            say: takes each line; Python's logging by default, since a library does not print.
        """
        self._say = say or logging.getLogger("iouaware").info
        self._waiting: list[str] = []
        self._path: Path | None = None

    def __call__(self, line: str) -> None:
        """Say a line and keep it."""
        self._say(line)
        self._waiting.append(line)
        self._write()

    def open(self, run: Path) -> None:
        """Keep the lines said so far, and those to come, in the run's ``log.txt``."""
        self._path = run / "log.txt"
        self._write()

    def _write(self) -> None:
        if self._path is None or not self._waiting:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in self._waiting))
        self._waiting.clear()
