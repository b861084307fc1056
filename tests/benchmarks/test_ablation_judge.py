from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ablation_judge import (
    choose_figures,
    judge_authors_order,
    judge_run,
    judge_without_look,
    sweep_authors_order,
)

from iouaware import Run
from iouaware.checkpoint import read_model
from iouaware.config import InferenceConfig
from iouaware.data.dataset import Dataset
from iouaware.data.layouts import read_splits
from iouaware.evaluation.collect import collect_candidates
from iouaware.evaluation.detection_table import DetectionTable
from iouaware.evaluation.evaluate import sweep_candidates
from iouaware.evaluation.held_out import FIGURES
from iouaware.evaluation.matches import match_detections
from iouaware.images import canvas_fill
from iouaware.inference.detections import Detections
from iouaware.inference.predictor import load
from iouaware.inference.torch_backend import TorchBackend

SWEEP = {
    "alphas": [1.0, 0.5],
    **{name: [0.5 + 0.01 * n, 0.6 + 0.01 * n] for n, name in enumerate(FIGURES)},
}


def held_out(alpha: float, gain: float | None) -> dict[str, Any]:
    gains = dict.fromkeys(FIGURES, None if gain is None else gain / 2)
    return {
        "alpha": alpha, "gain": gain, "ci95": None, "proven": False, "gains": {**gains, "AP": gain}
    }  # fmt: skip


def test_a_test_part_is_judged_at_the_alpha_of_validation() -> None:
    found = choose_figures(SWEEP, held_out(0.5, 0.03), "test")
    assert found["judged_on"] == "test"
    assert found["alpha"] == 0.5
    # AP, AP50, AP75, AP80, AP90 of the second column
    assert [found[name] for name in FIGURES] == pytest.approx([0.6, 0.61, 0.62, 0.63, 0.64])
    assert found["AP_alpha1"] == 0.5


def test_without_a_gain_on_validation_the_test_part_is_judged_at_alpha_1() -> None:
    found = choose_figures(SWEEP, held_out(0.5, -0.01), "test")
    assert found["alpha"] == 1
    assert found["AP"] == found["AP_alpha1"] == 0.5


def test_without_a_test_part_the_held_out_gain_is_added_to_alpha_1() -> None:
    # not the 0.6 that alpha 0.5 has on the very pictures it was chosen on
    found = choose_figures(SWEEP, held_out(0.5, 0.03), "val")
    assert found["judged_on"] == "held-out halves of val"
    assert found["alpha"] == 0.5
    assert found["AP"] == pytest.approx(0.53)
    assert found["AP90"] == pytest.approx(0.54 + 0.015)
    loss = choose_figures(SWEEP, held_out(0.5, -0.02), "val")
    assert loss["AP"] == pytest.approx(0.48)  # a choice that costs is told as it is


def test_too_few_pictures_to_halve_give_no_figures() -> None:
    found = choose_figures(SWEEP, held_out(1.0, None), "val")
    assert found["AP"] is None
    assert found["AP_alpha1"] == 0.5


@pytest.fixture(scope="module")
def val(tiny_coco: Path) -> Dataset:
    return read_splits(tiny_coco).val


def test_one_alpha_of_the_authors_order_equals_the_predictor_s(
    finished_run: Path, val: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(finished_run, known={"val": val})
    metrics, matches = sweep_authors_order(run, val)
    assert list(metrics) == list(matches) == [round(1 - step / 10, 1) for step in range(11)]
    # once more by the package's own way through, a picture at a time
    predictor = load(finished_run, "cpu")
    settings = InferenceConfig(postprocess="paper")
    predictor.settings = predictor.backend.settings = settings
    assert predictor.fill == canvas_fill(predictor.info.mean)
    boxes, labels, scores, image = [], [], [], []
    for number in range(len(val)):
        found = predictor.predict(val.record(number).path, alpha=0.5, score_threshold=0.0)
        assert isinstance(found, Detections)
        boxes.append(found.boxes)
        labels.append(found.labels)
        scores.append(found.scores)
        image.append(np.full(len(found), number))
    assert min(float(one.min()) for one in scores if len(one)) > 0.05
    columns = [np.concatenate(column) for column in (image, boxes, labels, scores)]
    expected = match_detections(val, DetectionTable(*columns))
    assert len(expected.scores)
    np.testing.assert_array_equal(matches[0.5].image_index, expected.image_index)
    np.testing.assert_allclose(matches[0.5].scores, expected.scores, rtol=1e-4)


def test_the_authors_order_has_figures_and_no_oracle(finished_run: Path, val: Dataset) -> None:
    found = judge_authors_order(Run(finished_run, known={"val": val}))
    assert found["sweep"]["alphas"][0] == 1
    assert len(found["sweep"]["AP90"]) == 11
    assert found["AP_oracle"] is None
    assert "candidates depend on alpha" in found["notes"]["AP_oracle"]
    assert found["judged_on"] == "held-out halves of val"


def test_without_its_look_a_run_is_judged_by_the_iou_branch(
    finished_run: Path, val: Dataset
) -> None:
    run = Run(finished_run, known={"val": val})
    before = (finished_run / "model.safetensors").read_bytes()
    detector, info = read_model(run.model_path)
    assert detector.second_look is not None
    found = judge_without_look(run)
    detector.second_look = None
    predictor_candidates = collect_candidates(
        TorchBackend(detector, InferenceConfig()), val, info.config["data"]["image_size"],
        canvas_fill(detector.mean),
    )  # fmt: skip
    sweep = sweep_candidates(val, predictor_candidates, InferenceConfig())
    assert found["sweep"]["AP"] == sweep["AP"]
    assert found["AP_alpha1"] == judge_run(run)["AP_alpha1"]
    assert (finished_run / "model.safetensors").read_bytes() == before
