"""What stays of a benchmark: how it was made, without folders of this machine, and its entry."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from iouaware import runtime


def environment_record() -> dict[str, Any]:
    """Describe versions, machine and command, as results may be published."""
    return without_folders(runtime.environment_record())


def without_folders(record: dict[str, Any]) -> dict[str, Any]:
    """Leave only the last part of each path in a record's ``command``."""
    words = shlex.split(str(record["command"]))
    return {**record, "command": shlex.join(map(_without_folder, words))}


def _without_folder(word: str) -> str:
    """Leave only the last part of a path, also behind ``--option=``."""
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return (
        word if "://" in value else f"{option}{equals}{Path(value).name if '/' in value else value}"
    )


def keep_result(path: Path, result: dict[str, Any]) -> None:
    """Write all of one benchmark's results as JSON, or nothing.

    Raises:
        ValueError: a number in it is NaN or infinite.
    """
    # loaded here: where memory is measured, evaluation is none of what is measured
    from iouaware.evaluation.evaluate import write_json

    write_json(path, result)


def keep_entry(path: Path, name: str, entry: dict[str, Any]) -> None:
    """Write an entry beside those of other names, or in place of the one of that name."""
    from iouaware.running.results import read_json

    keep_result(path, {**(read_json(path) if path.is_file() else {}), name: entry})
