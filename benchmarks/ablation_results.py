"""The lines of ``ablation.jsonl``: read what can be read, append so that nothing is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ablation_grid import Job

from iouaware.errors import ConfigError

Line = dict[str, Any]
Say = Callable[[str], None]


def read_lines(path: Path, say: Say) -> list[Line]:
    """Return the lines of a results file; a line that is cut off or broken is told and left out.

    Args:
        path: it need not exist yet.
        say: takes a line about each that is left out.
    """
    if not path.is_file():
        return []
    rows = path.read_bytes().split(b"\n")
    lines: list[Line] = []
    for number, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        try:
            line = json.loads(row)
            job_of(line)
        except (ValueError, KeyError, TypeError):
            where = "cut off" if number == len(rows) else "broken"
            say(f"{path}: line {number} is {where} and left out: {len(lines)} lines before it")
            continue
        lines.append(line)
    return lines


def append_line(path: Path, line: Line) -> None:
    """Add a line; it is on the disk when this returns, and never goes on with a cut-off one.

    Raises:
        ValueError: a number in it is NaN or infinite.
    """
    text = json.dumps(line, allow_nan=False, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            text = text if file.read(1) == b"\n" else "\n" + text
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def job_of(line: Line) -> Job:
    """Return which run a line is about."""
    return Job(str(line["data"]), str(line["setting"]), int(line["seed"]))


def finished_jobs(lines: Iterable[Line]) -> dict[Job, Line]:
    """Return the line of each job; of several the last."""
    return {job_of(line): line for line in lines}


def check_same_settings(path: Path, line: Line, recipe: str, overrides: dict[str, Any]) -> None:
    """Refuse to go on in a file whose lines come from another grid.

    Raises:
        ConfigError: a line of the same name was made with other settings.
    """
    before = {"recipe": line.get("recipe"), **(line.get("settings") or {})}
    now = json.loads(json.dumps({"recipe": recipe, **overrides}))
    different = sorted(key for key in before.keys() | now if before.get(key) != now.get(key))
    if different:
        key = different[0]
        raise ConfigError(
            f"{path}: {job_of(line)} was run with {key} {before.get(key)}, the grid says "
            f"{now.get(key)}; give another --out, or take that line out to run it again"
        )
