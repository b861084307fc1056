from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.evaluation.drawing import make_candidates, make_dataset, random_candidates

from iouaware.config import InferenceConfig
from iouaware.evaluation.evaluate import evaluate_candidates, sweep_candidates, write_json

SETTINGS = InferenceConfig()
PROMISED = (
    "data split images alpha AP AP50 AP75 APs APm APl AR1 AR10 AR100 AP_per_iou AP_per_class "
    "baseline oracle recall_at_precision correlation false_alarms_per_empty_image notes"
)


@pytest.fixture(scope="module")
def scene():
    return random_candidates(0, images=10)


def nulls(value, path=()):
    """List the dotted names of all nulls in plain values."""
    if isinstance(value, dict):
        return [name for key, one in value.items() for name in nulls(one, (*path, key))]
    return [".".join(path)] if value is None else []


def test_evaluation_has_the_promised_form(scene) -> None:
    evaluation = evaluate_candidates(scene[0], scene[1], 0.5, SETTINGS)
    assert set(PROMISED.split()) <= set(evaluation)
    assert (evaluation["images"], evaluation["split"], evaluation["alpha"]) == (10, "val", 0.5)
    assert list(evaluation["AP_per_iou"])[::9] == ["0.50", "0.95"]
    assert set(evaluation["AP_per_class"]) == {"bolt", "nut", "washer"}
    assert list(evaluation["recall_at_precision"]) == ["0.90", "0.95", "0.99"]
    assert list(evaluation["recall_at_precision"]["0.95"]) == ["0.50", "0.75", "0.90"]
    for name in ("class_score", "predicted_iou", "score"):
        assert set(evaluation["correlation"][name]) == {"pearson", "spearman"}
    assert {"localisation", "any_class", "share_of_gap"} <= set(evaluation["oracle"])
    assert evaluation["diagnosis"] == []


def test_baseline_is_the_evaluation_at_alpha_one(scene) -> None:
    fused = evaluate_candidates(scene[0], scene[1], 0.3, SETTINGS)
    plain = evaluate_candidates(scene[0], scene[1], 1.0, SETTINGS)
    baseline = fused["baseline"]
    assert baseline["AP"] == plain["AP"] != fused["AP"]
    shared = set(baseline) - {"notes"}
    assert {name: baseline[name] for name in shared} == {name: plain[name] for name in shared}
    assert plain["baseline"]["AP"] == plain["AP"]
    assert fused["oracle"] == plain["oracle"]


def test_share_of_gap_compares_alpha_one_half_whatever_was_asked(scene) -> None:
    half = evaluate_candidates(scene[0], scene[1], 0.5, SETTINGS)
    gap = half["oracle"]["localisation"]["AP"] - half["baseline"]["AP"]
    expected = (half["AP"] - half["baseline"]["AP"]) / gap
    other = evaluate_candidates(scene[0], scene[1], 0.9, SETTINGS)
    assert other["oracle"]["share_of_gap"] == pytest.approx(expected)


def test_p30_every_null_has_a_note(scene) -> None:
    evaluation = evaluate_candidates(scene[0], scene[1], 0.5, SETTINGS)
    missing = nulls({k: v for k, v in evaluation.items() if k not in ("baseline", "oracle")})
    assert missing  # no large class "washer" here
    for name in missing:
        name = name.replace("thresholds_at_precision", "recall_at_precision")
        assert name in evaluation["notes"], name
    for part in (evaluation["baseline"], *list(evaluation["oracle"].values())[:2]):
        for name in nulls({k: v for k, v in part.items() if k != "notes"}):
            name = name.replace("thresholds_at_precision", "recall_at_precision")
            assert name in part["notes"], name


def test_p30_without_any_object_all_is_null_and_explained() -> None:
    dataset = make_dataset([[], []], [[], []])
    found = [make_candidates([[0, 0, 50, 50]], [0], [0.5], [0.5])] * 2
    evaluation = evaluate_candidates(dataset, found, 0.5, SETTINGS)
    assert evaluation["AP"] is None
    assert evaluation["diagnosis"] == [
        "the split val of nowhere has 2 pictures and no box: check where its labels lie"
    ]
    sweep = sweep_candidates(dataset, found, SETTINGS)
    assert sweep["best"]["AP"] is None
    assert sweep["held_out"]["gain"] is None
    assert sweep["notes"]["held_out.gain"]
    json.dumps([evaluation, sweep], allow_nan=False)


def test_no_pictures_at_all() -> None:
    dataset = make_dataset([], [])
    evaluation = evaluate_candidates(dataset, [], 0.5, SETTINGS)
    assert evaluation["AP"] is None
    assert evaluation["diagnosis"] == ["the split val of nowhere has no pictures"]
    assert sweep_candidates(dataset, [], SETTINGS)["held_out"]["alpha"] == 1


def test_stored_thresholds_are_used_for_their_alpha(scene) -> None:
    dataset, candidates = scene
    stored = {"1.0": 0.9, "0.5": 0.2}
    evaluation = evaluate_candidates(dataset, candidates, 0.45, SETTINGS, stored)
    assert evaluation["operating_point"]["score_threshold"] == 0.2
    assert evaluation["baseline"]["operating_point"]["score_threshold"] == 0.9
    assert evaluation["false_alarms_per_empty_image"] == 0.5  # two boxes on four empty pictures
    assert evaluation["baseline"]["false_alarms_per_empty_image"] == 0


def test_model_without_iou_branch_stays_at_alpha_one(scene) -> None:
    dataset, candidates = scene
    bare = [replace(found, predicted_iou=None) for found in candidates]
    evaluation = evaluate_candidates(dataset, bare, 0.5, SETTINGS)
    assert evaluation["alpha"] == 1
    assert "no trained IoU branch" in evaluation["notes"]["alpha"]
    assert evaluation["correlation"]["predicted_iou"]["pearson"] is None
    for name in ("correlation_own_class", "iou_bias"):
        assert set(evaluation[name].values()) == {None}
        assert evaluation["notes"][name] == "the model has no trained IoU branch"
    assert evaluation["AP"] == evaluate_candidates(dataset, candidates, 1.0, SETTINGS)["AP"]


def test_p28_more_objects_than_detections_is_said(scene) -> None:
    settings = InferenceConfig(max_detections=3)
    notes = evaluate_candidates(scene[0], scene[1], 1.0, settings)["notes"]
    assert "more than 3 objects" in notes["max_detections"]


def test_p53_formula_stands_beside_alpha(scene) -> None:
    assert (
        evaluate_candidates(scene[0], scene[1], 1.0, SETTINGS)["formula"]
        == "S = p^alpha * IoU^(1-alpha)"
    )


def test_sweep_has_the_promised_form(scene) -> None:
    sweep = sweep_candidates(scene[0], scene[1], SETTINGS, per_class=True)
    assert {"alphas", "AP", "AP50", "AP75", "AP80", "AP90", "best", "oracle"} <= set(sweep)
    assert {"alpha", "gain", "ci95", "proven", "alphas_chosen"} <= set(sweep["held_out"])
    assert len(sweep["AP"]) == len(sweep["alphas"]) == 11
    assert sweep["best"]["AP"] == sweep["alphas"][sweep["AP"].index(max(sweep["AP"]))]
    assert list(sweep["score_thresholds"]) == [f"{alpha:.1f}" for alpha in sweep["alphas"]]
    assert set(sweep["per_class"]) == {"bolt", "nut", "washer"}
    assert sweep["per_class"]["washer"]["held_out"]["gain"] is None
    assert sweep["per_class"]["bolt"]["held_out"]["alpha"] in sweep["alphas"]


def test_alpha_outside_is_refused(scene) -> None:
    with pytest.raises(ValueError, match="alpha"):
        evaluate_candidates(scene[0], scene[1], 1.5, SETTINGS)


def test_json_is_written_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one" / "evaluation.json"
    write_json(path, {"AP": 0.5, "notes": {"APs": "no small object"}})
    assert json.loads(path.read_text("utf-8"))["AP"] == 0.5
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"AP": float("nan")})
    assert json.loads(path.read_text("utf-8"))["AP"] == 0.5
    assert [entry.name for entry in path.parent.iterdir()] == ["evaluation.json"]


BOX, AWAY = [0, 0, 100, 100], [300, 300, 350, 350]


def test_json_is_indented_and_keeps_its_letters(tmp_path: Path) -> None:
    write_json(tmp_path / "sweep.json", {"AP": 0.5, "name": "Größe"})
    expected = '{\n "AP": 0.5,\n "name": "Größe"\n}\n'
    assert (tmp_path / "sweep.json").read_text("utf-8") == expected


def test_evaluation_says_what_it_was_made_of(scene) -> None:
    dataset, candidates = scene
    evaluation = evaluate_candidates(dataset, candidates, 0.5, SETTINGS)
    assert evaluation["data"] == "nowhere"
    assert evaluation["objects"] == len(dataset.boxes)
    assert list(evaluation["objects_per_class"]) == list(dataset.class_names)
    assert list(evaluation["objects_per_class"].values()) == dataset.class_counts().tolist()
    assert "alpha" not in evaluation["notes"]
    predicted = evaluation["correlation_matched"]["predicted_iou"]["spearman"]
    assert predicted > 0.7  # noise of 0.05 on the true IoU
    assert evaluation["correlation_own_class"]["spearman"] > 0.5
    assert set(evaluation["iou_bias"]) == {"all", "own_class", "matched"}


def test_nothing_right_leaves_no_operating_point() -> None:
    dataset = make_dataset([[BOX], []], [[0], []])
    wrong = [make_candidates([AWAY], [0], [0.5], [0.5]), make_candidates([], [], [], [])]
    evaluation = evaluate_candidates(dataset, wrong, 0.5, SETTINGS)
    names = ("score_threshold", "precision", "recall", "f1")
    assert evaluation["operating_point"] == dict.fromkeys(names)
    assert evaluation["false_alarms_per_empty_image"] is None
    said = evaluation["notes"]
    assert said["operating_point"] == "no detection is right at IoU 0.5, so no threshold is best"
    assert said["false_alarms_per_empty_image"] == "there is no display threshold"
    sweep = sweep_candidates(dataset, wrong, SETTINGS, alphas=(1.0, 0.5))
    assert sweep["operating_points"] == {"1.0": None, "0.5": None}
    assert sweep["score_thresholds"] == {}


def test_a_threshold_that_keeps_nothing_is_said() -> None:
    dataset = make_dataset([[BOX]], [[0]])
    found = [make_candidates([BOX], [0], [0.5], [0.5])]
    evaluation = evaluate_candidates(dataset, found, 1.0, SETTINGS, {"1.0": 0.75})
    assert evaluation["operating_point"] == {
        "score_threshold": 0.75,
        "precision": None,
        "recall": 0,
        "f1": 0,
    }
    said = evaluation["notes"]
    assert said["operating_point.precision"] == "no detection reaches the score threshold"
    reason = "no picture without objects in this split"
    assert said["false_alarms_per_empty_image"] == reason
    kept = evaluate_candidates(dataset, found, 1.0, SETTINGS, {"1.0": 0.5})
    assert kept["operating_point"]["precision"] == 1
    assert "operating_point.precision" not in kept["notes"]


def test_operating_point_is_that_of_best_f1() -> None:
    # 0.75 is right, 0.25 an alarm on the empty picture: the threshold lies halfway
    dataset = make_dataset([[BOX], []], [[0], []])
    found = [make_candidates([BOX], [0], [0.75], None), make_candidates([AWAY], [0], [0.25], None)]
    evaluation = evaluate_candidates(dataset, found, 1.0, SETTINGS)
    point = {"score_threshold": 0.5, "precision": 1, "recall": 1, "f1": 1}
    assert evaluation["operating_point"] == point
    assert evaluation["false_alarms_per_empty_image"] == 0
    sweep = sweep_candidates(dataset, found, SETTINGS)
    assert sweep["operating_points"] == {"1.0": {**point, "false_alarms_per_empty_image": 0}}
    assert sweep["score_thresholds"] == {"1.0": 0.5}


def test_limits_of_the_settings_are_noted() -> None:
    dataset = make_dataset([[BOX, AWAY], [BOX]], [[0, 0], [0]])
    found = [make_candidates([BOX], [0], [0.5], None)] * 2

    def notes(**changed: object):
        settings = InferenceConfig.model_validate(changed)
        return evaluate_candidates(dataset, found, 1.0, settings)["notes"]

    assert notes(max_detections=1)["max_detections"] == (
        "1 pictures have more than 1 objects, but no more detections than that are kept: AP and "
        "recall cannot reach 1"
    )
    plain = notes(max_detections=2)
    assert "max_detections" not in plain
    assert "postprocess" not in plain
    assert notes(postprocess="paper")["postprocess"] == (
        "figures are of the standard order (floor on p, fusion, NMS), which every alpha shares"
    )


def test_thresholds_count_more_than_coco_s_hundred_of_a_class() -> None:
    boxes = [
        [10 * (i % 15), 10 * (i // 15), 10 * (i % 15) + 8, 10 * (i // 15) + 8] for i in range(120)
    ]
    dataset = make_dataset([boxes], [[0] * 120])
    found = [make_candidates(boxes, [0] * 120, [0.9 - 0.003 * i for i in range(120)], None)]
    evaluation = evaluate_candidates(dataset, found, 1.0, InferenceConfig(max_detections=200))
    assert evaluation["AR100"] == pytest.approx(100 / 120)
    assert evaluation["operating_point"]["recall"] == 1
    assert evaluation["recall_at_precision"]["0.99"]["0.90"] == 1
    assert evaluation["notes"]["max_detections"] == (
        "1 pictures have more than 100 objects of a class, but AP and AR count no more detections "
        "of a class in a picture than that, as COCO does: they cannot reach 1; thresholds and "
        "their recall count all that are kept"
    )
    sweep = sweep_candidates(dataset, found, InferenceConfig(max_detections=200))
    assert sweep["operating_points"]["1.0"]["recall"] == 1
    capped = evaluate_candidates(dataset, found, 1.0, InferenceConfig(max_detections=100))
    assert capped["operating_point"]["recall"] == pytest.approx(100 / 120)
    assert "more than 100 objects, but" in capped["notes"]["max_detections"]


def test_share_of_gap_needs_alpha_one_half(scene) -> None:
    dataset, candidates = scene
    without = sweep_candidates(dataset, candidates, SETTINGS, alphas=(1.0, 0.7))
    assert without["oracle"]["share_of_gap"] is None
    assert without["oracle"]["notes"] == {"share_of_gap": "alpha 0.5 was not judged"}
    assert "alphas" not in without["notes"]
    judged = sweep_candidates(dataset, candidates, SETTINGS, alphas=(1.0, 0.5))
    evaluation = evaluate_candidates(dataset, candidates, 0.5, SETTINGS)
    assert judged["oracle"] == evaluation["oracle"]
    assert "notes" not in judged["oracle"]
    bare = [replace(found, predicted_iou=None) for found in candidates]
    branchless = sweep_candidates(dataset, bare, SETTINGS)
    reason = "the model has no trained IoU branch, so alpha stays at 1"
    assert branchless["oracle"]["notes"] == {"share_of_gap": reason}
    assert branchless["notes"]["alphas"] == reason
    assert "alphas" not in sweep_candidates(dataset, bare, SETTINGS, alphas=(1.0,))["notes"]


def test_sweep_chooses_by_the_figure_asked_for(scene) -> None:
    dataset, candidates = scene
    sweep = sweep_candidates(dataset, candidates, SETTINGS, "AP75", True, (1.0, 0.5))
    assert (sweep["optimize"], sweep["held_out"]["figure"]) == ("AP75", "AP75")
    assert sweep["per_class"]["bolt"]["held_out"]["figure"] == "AP75"
    assert sweep["formula"] == "S = p^alpha * IoU^(1-alpha)"
    for row, alpha in enumerate((1.0, 0.5)):
        by_class = evaluate_candidates(dataset, candidates, alpha, SETTINGS)["AP_per_class"]
        assert {k: part["AP"][row] for k, part in sweep["per_class"].items()} == by_class
    assert "per_class" not in sweep_candidates(dataset, candidates, SETTINGS, alphas=(1.0, 0.5))
    with pytest.raises(ValueError, match=r"alphas are \[\], expected 1 first"):
        sweep_candidates(dataset, candidates, SETTINGS, alphas=())


def test_of_equal_alphas_the_sweep_takes_the_one_nearer_to_one() -> None:
    dataset = make_dataset([[BOX]], [[0]])
    found = [make_candidates([BOX], [0], [0.5], [0.5])]  # right at any alpha
    sweep = sweep_candidates(dataset, found, SETTINGS)
    assert sweep["best"] == dict.fromkeys(("AP", "AP50", "AP75", "AP80", "AP90"), 1.0)
    reason = "only 1 pictures, halves need at least 4"
    assert sweep["notes"]["held_out.gain"] == sweep["notes"]["held_out.ci95"] == reason
