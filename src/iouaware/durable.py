"""Files that are there as a whole or not at all, also after a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def replace_durably(partial: Path, final: Path) -> None:
    """Move a finished file or folder to its name, and return when the disk has it.

    Args:
        partial: beside ``final``; the contents of a folder are flushed by who wrote them.
        final: a file there is replaced in the same step.

    Raises:
        OSError: a full disk, or a folder that cannot be written.
    """
    if partial.is_file():
        flush(partial)
    partial.replace(final)
    flush(final.parent)


def flush(path: Path) -> None:
    """Return when the disk has a file's content, or a folder's names."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders, and keeps their names itself
        return
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
