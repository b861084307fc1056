"""Packages that only some installations have."""

from __future__ import annotations

import importlib
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
            'pip install "iouaware[export]"'
        ) from error
