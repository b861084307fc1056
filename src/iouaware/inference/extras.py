"""Packages that only some installations have."""

from __future__ import annotations

import importlib
import os
from typing import Any

from iouaware.errors import ConfigError


def import_extra(name: str) -> Any:
    """Import a package of the extra ``export``.

    Raises:
        ConfigError: it is not installed; the message says how to get it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"this needs the package {name.partition('.')[0]}, which is not installed; "
            'pip install ".[export]" in the clone of iouaware'
        ) from error


def threads_asked_for() -> int | None:
    """Return the threads that ``OMP_NUM_THREADS`` asks for, which wins as it does for torch.

    A list such as ``4,2`` is for nested work; its first number is ours.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None
