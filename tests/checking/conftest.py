"""Sets for the checks: drawn clean ones to spoil, and small ones built from numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checking.planting import FORMS, DrawnSet, draw

Spoilable = Callable[[str], DrawnSet]


@pytest.fixture(scope="session")
def clean_sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DrawnSet]:
    """Forty drawn pictures in each form. Do not write there."""
    folder = tmp_path_factory.mktemp("clean")
    return {form: draw(folder / form, form, images=40, seed=0) for form in FORMS}


@pytest.fixture
def spoilable(clean_sets: dict[str, DrawnSet], tmp_path: Path) -> Spoilable:
    """Give copies of the clean sets, to be written into."""

    def copy(form: str) -> DrawnSet:
        folder = tmp_path / f"{form}-copy"
        shutil.copytree(clean_sets[form].folder, folder)
        return DrawnSet(folder, form)

    return copy
