import json
from pathlib import Path

import numpy as np
import pytest

from iouaware.config import InferenceConfig
from iouaware.inference.detections import Detections
from iouaware.inference.formats import (
    PredictionWriter,
    to_header,
    to_label_studio_task,
    to_yolo_lines,
)
from iouaware.inference.selection import Selection
from iouaware.structures import Frame, ModelInfo
from tests.inference.conftest import build_candidates

FRAME = Frame((100, 200), (100, 200), (128, 256))


@pytest.fixture
def found(info: ModelInfo, settings: InferenceConfig) -> Detections:
    candidates = build_candidates(
        [[10, 20, 60.5, 90], [150.25, 0, 200, 33]], [2, 1], [0.81, 0.64], [0.81, 0.36], FRAME
    )
    return Selection(candidates, info, settings, file="pictures/ä.jpg").select()


@pytest.fixture
def nothing(info: ModelInfo, settings: InferenceConfig) -> Detections:
    return Selection(build_candidates([], [], [], [], FRAME), info, settings, file="b.jpg").select()


def test_entry_by_hand(found: Detections) -> None:
    entry = found.to_dict()
    assert {key: entry[key] for key in ("file", "width", "height")} == {
        "file": "pictures/ä.jpg",
        "width": 200,
        "height": 100,
    }
    assert entry["detections"] == [
        {
            "label": 2,
            "name": "a<b",
            "category_id": 90,
            "box": [10.0, 20.0, 60.5, 90.0],
            "score": 0.81,
            "class_score": 0.81,
            "predicted_iou": 0.81,
        },
        {  # S = sqrt(0.64 * 0.36)
            "label": 1,
            "name": "nut",
            "category_id": 7,
            "box": [150.25, 0.0, 200.0, 33.0],
            "score": 0.48,
            "class_score": 0.64,
            "predicted_iou": 0.36,
        },
    ]


def test_coco_results_come_back(found: Detections) -> None:
    results = found.to_coco(image_id=12)
    assert results[0]["bbox"] == [10, 20, 50.5, 70]
    ids = {7: 1, 90: 2}
    for row, result in enumerate(results):
        x, y, w, h = result["bbox"]
        np.testing.assert_allclose([x, y, x + w, y + h], found.boxes[row], atol=1e-3)
        assert ids[result["category_id"]] == found.labels[row]
        assert result["score"] == pytest.approx(found.scores[row], abs=1e-6)
        assert result["image_id"] == 12


def test_yolo_lines_come_back(found: Detections) -> None:
    # centre (35.25, 55), 50.5 x 70 px in a picture of 200 x 100
    assert to_yolo_lines(found)[0] == "2 0.176250 0.550000 0.252500 0.700000 0.810000"
    for row, line in enumerate(to_yolo_lines(found)):
        label, *numbers = line.split()
        cx, cy, w, h, score = (float(number) for number in numbers)
        box = [(cx - w / 2) * 200, (cy - h / 2) * 100, (cx + w / 2) * 200, (cy + h / 2) * 100]
        np.testing.assert_allclose(box, found.boxes[row], atol=1e-3)
        assert int(label) == found.labels[row]
        assert score == pytest.approx(found.scores[row], abs=1e-6)


def test_label_studio_tasks_come_back(found: Detections) -> None:
    task = to_label_studio_task(found, "runs/x")
    (prediction,) = task["predictions"]
    assert task["data"] == {"image": "pictures/ä.jpg"}
    assert prediction["model_version"] == "runs/x"
    assert prediction["score"] == 0.81
    assert len({region["id"] for region in prediction["result"]}) == 2
    for row, region in enumerate(prediction["result"]):
        value, width, height = (
            region["value"],
            region["original_width"],
            region["original_height"],
        )
        x, y, w, h = (value[key] / 100 for key in ("x", "y", "width", "height"))
        box = [x * width, y * height, (x + w) * width, (y + h) * height]
        np.testing.assert_allclose(box, found.boxes[row], atol=1e-3)
        assert value["rectanglelabels"] == [found.names[row]]
        assert region["meta"]["class_score"] == pytest.approx(found.class_scores[row], abs=1e-6)


@pytest.fixture
def header(info: ModelInfo) -> dict[str, object]:
    return to_header("runs/x", info.class_names, 0.5, 0.4)


def write(out: Path, form, header, *pictures: Detections):
    with PredictionWriter(out, form, header) as writer:
        for number, found in enumerate(pictures):
            writer.add(found, f"sub/{number}.jpg")
    return json.loads((out / "predictions.json").read_text("utf-8"))


@pytest.mark.parametrize("form", ["iouaware", "yolo"])
def test_predictions_json(form, tmp_path: Path, header, found, nothing) -> None:
    content = write(tmp_path, form, header, found, nothing)
    assert content == {
        "model": "runs/x",
        "classes": ["bolt", "nut", "a<b"],
        "formula": "S = p^alpha * IoU^(1-alpha)",
        "alpha": 0.5,
        "score_threshold": 0.4,
        "images": [found.to_dict(), nothing.to_dict()],
    }
    assert write(tmp_path, form, header)["images"] == []


def test_yolo_files(tmp_path: Path, header, found, nothing) -> None:
    write(tmp_path, "yolo", header, found, nothing)
    assert (tmp_path / "labels/sub/0.txt").read_text().splitlines() == to_yolo_lines(found)
    assert (tmp_path / "labels/sub/1.txt").read_text() == ""


def test_coco_form(tmp_path: Path, header, nothing, found) -> None:
    results = write(tmp_path, "coco", header, nothing, found)
    # the second picture has id 2
    assert results == [{**r, "file_name": "pictures/ä.jpg"} for r in found.to_coco(2)]
    assert write(tmp_path, "coco", header, nothing) == []


def test_label_studio_form(tmp_path: Path, header, nothing, found) -> None:
    tasks = write(tmp_path, "labelstudio", header, nothing, found)
    assert [task["data"]["image"] for task in tasks] == ["b.jpg", "pictures/ä.jpg"]
    assert tasks[0]["predictions"][0]["result"] == []


def test_an_error_leaves_the_old_file_and_no_part(tmp_path: Path, header, found) -> None:
    before = write(tmp_path, "iouaware", header, found)

    def fail() -> None:
        with PredictionWriter(tmp_path, "iouaware", header) as writer:
            writer.add(found, "a.jpg")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.json"]
    assert json.loads((tmp_path / "predictions.json").read_text("utf-8")) == before


def test_wrong_use_is_refused(tmp_path: Path, header, found) -> None:
    with pytest.raises(ValueError, match="format is 'pascal', expected one of iouaware, coco"):
        PredictionWriter(tmp_path, "pascal", header)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="use it in a with statement"):
        PredictionWriter(tmp_path, "iouaware", header).add(found, "a.jpg")
