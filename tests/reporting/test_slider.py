from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iouaware.inference.postprocess import select_detections
from iouaware.places import MODEL_FILE
from iouaware.reporting.judging import judge_detections
from iouaware.reporting.report import write_report
from iouaware.reporting.slider import (
    choose_pictures,
    describe_slider,
    keep_reachable,
    list_steps,
    pack_candidates,
)
from iouaware.structures import Candidates
from tests.reporting.scenes import (
    SETTINGS,
    Scene,
    draw_candidates,
    make_candidates,
    make_scene,
    make_truth,
    without_iou,
)

ALPHAS = (0.0, 0.3, 0.5, 1.0)


def crowded(seed: int) -> Candidates:
    """Three hundred boxes over each other, of three classes."""
    random = np.random.RandomState(seed)
    corner = random.uniform(0, 60, (300, 2))
    boxes = np.concatenate([corner, corner + random.uniform(10, 36, (300, 2))], axis=1)
    scores = random.uniform(0.01, 1, (2, 300))
    return make_candidates(boxes, random.randint(0, 3, 300), scores[0], scores[1])


def _only(found: Candidates, index: np.ndarray) -> Candidates:
    assert found.predicted_iou is not None
    return Candidates(
        found.boxes[index],
        found.labels[index],
        found.class_scores[index],
        found.predicted_iou[index],
        found.anchor_index[index],
        found.frame,
    )


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("most", [100, 7])
@pytest.mark.parametrize("seed", range(3))
def test_leaving_out_what_is_never_kept_changes_nothing(seed: int, most: int, across: bool) -> None:
    settings = SETTINGS.model_copy(update={"max_detections": most, "nms_across_classes": across})
    found = crowded(seed)
    index = keep_reachable(found, ALPHAS, settings)
    assert len(index) < len(found)
    fewer = _only(found, index)
    for alpha in ALPHAS:
        for threshold in (0.05, 0.4):
            full, _ = select_detections(found, alpha, settings, threshold)
            pruned, _ = select_detections(fewer, alpha, settings, threshold)
            assert index[pruned].tolist() == full.tolist()


def test_numbers_in_the_page_are_the_float32_themselves() -> None:
    found = crowded(0)
    rows = pack_candidates(found, np.arange(len(found)))
    np.testing.assert_array_equal(np.array([r[:4] for r in rows], np.float32), found.boxes)
    np.testing.assert_array_equal(np.array([r[5] for r in rows], np.float32), found.class_scores)
    assert len(str(rows[0][5])) < 13  # shortest digits, not those of the float64


def test_p34_the_threshold_moves_with_alpha(scene: Scene, run: Path) -> None:
    facts = scene.facts(run)
    steps = {step["alpha"]: step for step in list_steps(facts)}
    assert list(steps) == [0.0, 0.5, 1.0]
    assert len({step["threshold"] for step in steps.values()}) == 3
    assert steps[1.0]["threshold"] == facts.info.score_threshold(1.0)
    assert steps[0.5]["threshold"] == facts.threshold


def test_without_an_iou_branch_there_is_one_step(scene: Scene, run: Path) -> None:
    plain = make_scene(scene.dataset, without_iou(scene.candidates))
    slider = describe_slider(plain.facts(run), plain.candidates)["slider"]
    assert [step["alpha"] for step in slider["steps"]] == [1.0]
    assert slider["pictures"][0]["candidates"][0][6] is None


def test_the_first_view_is_what_python_selects(scene: Scene, run: Path) -> None:
    facts = scene.facts(run)
    described = describe_slider(facts, scene.candidates)
    for number, boxes in enumerate(described["static_boxes"]):
        index, _ = select_detections(
            scene.candidates[number], facts.alpha, SETTINGS, facts.threshold
        )
        np.testing.assert_allclose(
            np.array(boxes).reshape(-1, 4), scene.candidates[number].boxes[index], atol=1e-3
        )


def test_a_dozen_pictures_at_most_and_the_changed_ones_among_them(tmp_path: Path) -> None:
    boxes = [[[5.0, 5.0, 45.0, 45.0]]] * 30
    truth = make_truth(tmp_path, boxes, [[0]] * 30, ("a",))
    right = make_candidates(boxes[0], [0], [0.9], [0.9])
    wrong = make_candidates([[60, 60, 90, 90]], [0], [0.9], [0.9])
    before = judge_detections(truth, [right] * 30, 1.0, SETTINGS)
    after = judge_detections(
        truth, [wrong if n in (3, 17) else right for n in range(30)], 1, SETTINGS
    )
    chosen, changed = choose_pictures(truth, after, before, 12)
    assert changed == 2
    assert len(chosen) == len(set(chosen)) == 12
    assert chosen == sorted(chosen)
    assert {3, 17} <= set(chosen)
    assert choose_pictures(truth, before, before, 12)[1] == 0
    assert choose_pictures(truth.subset(range(5)), after, before, 12) == (list(range(5)), 0)


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_pictures_that_alpha_changes_are_chosen_at_alpha_1_too(
    tmp_path: Path, run: Path, alpha: float
) -> None:
    """On picture 3 alone p prefers the looser of two boxes, and the predicted IoU the other."""
    tight, loose = [5.0, 5.0, 45.0, 45.0], [5.0, 5.0, 45.0, 35.0]  # IoU 1 and 0.75
    truth = make_truth(tmp_path, [[tight]] * 30, [[0]] * 30, ("a",))
    usual = make_candidates([tight], [0], [0.9], [0.9])
    moved = make_candidates([loose, tight], [0, 0], [0.9, 0.8], [0.5, 0.9])
    found = [moved if number == 3 else usual for number in range(30)]
    scene = make_scene(truth, found, alpha=alpha)
    described = describe_slider(scene.facts(run), found)
    files = [picture["file"] for picture in described["slider"]["pictures"]]
    assert described["most_changed"] == 1
    assert len(files) == 12
    assert "picture3.png" in files
    html = write_report(
        run / MODEL_FILE, truth, found, scene.evaluation, scene.sweep, scene.info
    ).read_text("utf-8")
    assert "Chosen because alpha changes most there: 1 picture." in html
    few = make_scene(truth.subset(range(5)), found[:5], alpha=alpha)
    assert describe_slider(few.facts(run), few.candidates)["most_changed"] == 0


def test_a_threshold_below_the_usual_end_is_still_reached(scene: Scene, run: Path) -> None:
    scene.evaluation["operating_point"]["score_threshold"] = 0.02
    slider = describe_slider(scene.facts(run), draw_candidates(scene.dataset))["slider"]
    assert slider["lowest"] == 0.02
