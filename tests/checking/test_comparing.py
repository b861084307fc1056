"""A data set beside a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from iouaware.checking.comparing import compare_with_model
from iouaware.errors import CheckpointError
from iouaware.inference.exported import read_info
from iouaware.structures import ModelInfo
from tests.checking.numbers import examined, part

BOX = (140.0, 140.0, 180.0, 180.0)


def model(*names: str, size: int = 320) -> ModelInfo:
    ids = tuple(range(1, len(names) + 1))
    config = {"data": {"image_size": size}, "model": {}}
    return ModelInfo(names, ids, 1.0, {}, True, config, (0.5,) * 3, (0.5,) * 3)


def test_p06_classes_are_compared_by_name() -> None:
    data = examined(val=part("val", [[(0, BOX), (1, BOX)]], image_wh=(320, 320)))
    assert compare_with_model(data, model("dog", "cat"), "m") == []
    unknown, missing = compare_with_model(data, model("cat", "dogs"), "m")
    assert (unknown.kind, unknown.split) == ("unknown-to-model", "val")
    assert unknown.message == "1 boxes of 'dog', which m does not know; did you mean 'dogs'?"
    assert (missing.kind, missing.severity) == ("not-in-data", "note")


def test_a_name_without_boxes_need_not_be_known() -> None:
    data = examined(val=part("val", [[(0, BOX)]], image_wh=(320, 320)))
    assert compare_with_model(data, model("cat"), "m") == []


def test_objects_too_small_for_the_models_size() -> None:
    data = examined(val=part("val", [[(0, (10, 10, 20, 20))]], image_wh=(320, 320)))
    (found,) = compare_with_model(data, model("cat"), "m")
    assert found.kind == "model-size"
    assert "at the 320 px of m only 0.0% of the boxes meet an anchor" in found.message
    assert compare_with_model(data, model("cat", size=1280), "m") == []


def test_pictures_without_objects_fit_every_size() -> None:
    assert compare_with_model(examined(val=part("val", [[]])), model(), "m") == []


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no model found"):
        read_info(tmp_path)
