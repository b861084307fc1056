import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from iouaware.config import InferenceConfig
from iouaware.errors import ConfigError
from iouaware.inference.detections import Detections
from iouaware.inference.selection import Selection
from iouaware.structures import Frame, ModelInfo
from tests.inference.conftest import build_candidates

# a picture of 200 x 100 px on a canvas at half size: input px are half original px
FRAME = Frame((100, 200), (50, 100), (128, 128))
CANDIDATES = build_candidates(
    [[0, 0, 10, 10], [0, 0, 10, 9], [60, 20, 90, 45], [50, 30, 60, 40]],
    [0, 0, 2, 1],
    [0.81, 0.64, 0.36, 0.36],
    [0.25, 0.81, 1.0, 0.64],
    FRAME,
)


@pytest.fixture
def selection(info: ModelInfo, settings: InferenceConfig) -> Selection:
    return Selection(CANDIDATES, info, settings, file="street.jpg")


@pytest.fixture
def found(selection: Selection) -> Detections:
    return selection.select()


def test_fields_by_hand(found: Detections) -> None:
    # at alpha 0.5 S = sqrt(p u): 0.45 (suppressed), 0.72, 0.6, 0.48; its threshold is 0.4
    assert found.alpha == 0.5
    assert found.score_threshold == 0.4
    np.testing.assert_allclose(found.scores, [0.72, 0.6, 0.48], rtol=1e-6)
    np.testing.assert_allclose(found.class_scores, [0.64, 0.36, 0.36])
    assert found.predicted_iou is not None
    np.testing.assert_allclose(found.predicted_iou, [0.81, 1.0, 0.64])
    boxes = [[0, 0, 20, 18], [120, 40, 180, 90], [100, 60, 120, 80]]
    np.testing.assert_allclose(found.boxes, boxes)
    assert found.labels.tolist() == [0, 2, 1]
    assert found.names.tolist() == ["bolt", "a<b", "nut"]
    assert (found.width, found.height, found.file) == (200, 100, "street.jpg")


def test_p34_each_alpha_brings_its_own_threshold(found: Detections) -> None:
    assert found.rescore(1.0).score_threshold == 0.1
    assert found.rescore(0.4).score_threshold == 0.4  # stored for 0.5, the nearest
    at_zero = found.rescore(0.0)
    assert at_zero.score_threshold == 0.7
    assert at_zero.names.tolist() == ["a<b", "bolt"]  # S = u: 1.0, 0.81; nut has 0.64
    assert found.rescore(0.0, score_threshold=0.1).names.tolist() == ["a<b", "bolt", "nut"]
    # the candidates were chosen by p, so p of a detection never falls under the floor
    assert found.rescore(0.0, score_threshold=0).class_scores.min() >= 0.36 - 1e-6


def test_rescore_keeps_or_changes_min_iou(info: ModelInfo, settings: InferenceConfig) -> None:
    found = Selection(CANDIDATES, info, settings, min_iou=0.8).select()
    assert found.names.tolist() == ["bolt", "a<b"]
    assert found.rescore(0.5).names.tolist() == ["bolt", "a<b"]
    assert len(found.rescore(0.5, min_iou=0)) == 3
    assert found.rescore().alpha == info.alpha


def test_indexing(found: Detections) -> None:
    assert found[found.scores > 0.5].names.tolist() == ["bolt", "a<b"]
    assert found[1:].names.tolist() == ["a<b", "nut"]
    assert found[-1].names.tolist() == ["nut"]
    assert found[[2, 0]].labels.tolist() == [1, 0]
    assert len(found[found.scores > 2]) == 0
    assert [one.names[0] for one in found] == ["bolt", "a<b", "nut"]
    with pytest.raises(IndexError):
        found[3]


def test_where(found: Detections) -> None:
    assert found.where(min_iou=0.8).names.tolist() == ["bolt", "a<b"]
    assert found.where(min_score=0.6, name="bolt").names.tolist() == ["bolt"]
    assert len(found.where(name="nut", min_iou=0.7)) == 0
    assert len(found.where()) == 3
    with pytest.raises(ValueError, match="did you mean 'bolt'"):
        found.where(name="bolts")


def test_a_part_cannot_be_rescored(found: Detections) -> None:
    with pytest.raises(ValueError, match="rescore the whole result"):
        found[:1].rescore(0.3)


def test_values_outside_their_range_are_refused(found: Detections) -> None:
    for values in ({"alpha": 1.1}, {"score_threshold": -0.1}, {"min_iou": float("nan")}):
        with pytest.raises(ValueError, match=r"expected 0\.\.1"):
            found.rescore(**values)
    with pytest.raises(ValueError, match=r"alpha is '0\.5', expected 0"):
        found.rescore("0.5")  # type: ignore[arg-type]
    for value in (2, -0.5, float("nan")):
        with pytest.raises(ValueError, match=rf"min_iou is {value}, expected 0\.\.1"):
            found.where(min_iou=value)
        with pytest.raises(ValueError, match=rf"min_score is {value}, expected 0\.\.1"):
            found.where(min_score=value)


def test_without_iou_branch_alpha_stays_at_one(settings: InferenceConfig, info: ModelInfo) -> None:
    plain = build_candidates([[0, 0, 10, 10]], [0], [0.5], None, FRAME)
    without = ModelInfo(
        info.class_names,
        info.category_ids,
        0.5,
        {"1.0": 0.2},
        False,
        info.config,
        info.mean,
        info.std,
    )
    found = Selection(plain, without, settings).select(alpha=0.3)
    assert found.alpha == 1.0
    assert found.predicted_iou is None
    assert found.rescore(0.2).scores.tolist() == [0.5]
    assert found.to_dict()["detections"][0]["predicted_iou"] is None
    assert "-" in str(found).splitlines()[-1].split()
    with pytest.raises(ValueError, match="predicts no IoU"):
        found.where(min_iou=0.5)
    with pytest.raises(ConfigError, match="no trained IoU branch"):
        found.rescore(min_iou=0.5)


def test_nothing_found(info: ModelInfo, settings: InferenceConfig) -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    nothing = Selection(
        build_candidates([], [], [], [], FRAME), info, settings, image=image
    ).select()
    assert len(nothing) == len(nothing[:5]) == len(nothing.where(min_iou=0.5, name="nut")) == 0
    assert nothing.boxes.shape == (0, 4)
    assert nothing.names.shape == (0,)
    assert nothing.to_coco() == nothing.to_dict()["detections"] == list(nothing) == []
    assert str(nothing) == "no objects in the picture (200 x 100 px), alpha 0.5, S >= 0.40"
    assert "<table>" in nothing._repr_html_()
    assert len(nothing.rescore(0.1)) == 0
    assert nothing.draw().size == (640, 320)


def test_table(found: Detections) -> None:
    lines = str(found).splitlines()
    assert lines[0] == "3 objects in street.jpg (200 x 100 px), alpha 0.5, S >= 0.40"
    assert lines[1].split() == ["name", "S", "p", "IoU", "x1", "y1", "x2", "y2"]
    assert lines[2].split() == ["bolt", "0.720", "0.640", "0.810", "0.0", "0.0", "20.0", "18.0"]
    assert len({len(line) for line in lines[1:]}) == 1
    assert str(found[:1]).startswith("1 object in")


def test_html_table_escapes_names(found: Detections) -> None:
    assert "a&lt;b" in found._repr_html_()
    assert "a<b" not in found._repr_html_()


def test_draw_needs_the_picture(found: Detections, tmp_path) -> None:
    with pytest.raises(ValueError, match="was not kept; pass it"):
        found.draw()
    with pytest.raises(ValueError, match="is 20 x 10 px, expected 200 x 100"):
        found.draw(np.zeros((10, 20, 3), np.uint8))
    assert found.draw(np.zeros((100, 200, 3), np.uint8)).size == (640, 320)
    Image.new("RGB", (200, 100)).save(tmp_path / "street.png")
    from_file = Selection(CANDIDATES, *_rest(found), file=str(tmp_path / "street.png")).select()
    written = from_file.save(tmp_path / "out.jpg")
    with Image.open(written) as drawn:
        assert drawn.size == (640, 320)


def _rest(found: Detections) -> tuple[ModelInfo, InferenceConfig]:
    rescorer = found.rescorer
    assert isinstance(rescorer, Selection)
    return rescorer.info, rescorer.settings


def test_to_supervision(found: Detections, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as hidden:
        hidden.setitem(sys.modules, "supervision", None)
        with pytest.raises(ImportError, match="pip install supervision"):
            found.to_supervision()
    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=SimpleNamespace))
    theirs = found.to_supervision()
    np.testing.assert_array_equal(theirs.xyxy, found.boxes)
    np.testing.assert_array_equal(theirs.confidence, found.scores)
    np.testing.assert_array_equal(theirs.class_id, found.labels)
    assert set(theirs.data) == {"class_name", "class_score", "predicted_iou"}
