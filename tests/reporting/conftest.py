"""One evaluated scene for all tests of the report; copy before changing it."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from iouaware.data.dataset import Dataset
from tests.reporting.scenes import Scene, draw_candidates, make_scene


@pytest.fixture(scope="session")
def _scene(tiny_dataset: Dataset) -> Scene:
    return make_scene(tiny_dataset, draw_candidates(tiny_dataset))


@pytest.fixture
def scene(_scene: Scene) -> Scene:
    """A fair detector on the tiny drawn pictures; the numbers may be changed."""
    return Scene(
        _scene.dataset,
        list(_scene.candidates),
        copy.deepcopy(_scene.evaluation),
        copy.deepcopy(_scene.sweep),
        _scene.info,
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An empty run folder."""
    folder = tmp_path / "run"
    folder.mkdir()
    return folder
