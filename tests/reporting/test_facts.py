from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from iouaware.reporting.facts import ClassFacts, display_threshold
from iouaware.reporting.tables import (
    list_coco_rows,
    list_environment_rows,
    list_run_rows,
    read_figure,
)
from tests.reporting.scenes import (
    Scene,
    make_candidates,
    make_info,
    make_scene,
    make_truth,
    write_run_files,
)


def test_the_class_table_by_hand(tmp_path: Path, run: Path) -> None:
    # two bolts, one nut; one bolt hit at IoU 0.9, one box on nothing called bolt, the nut missed
    boxes = [[[0, 0, 40, 40], [50, 0, 90, 40], [0, 50, 40, 90]]]
    truth = make_truth(tmp_path, boxes, [[0, 0, 1]], ("bolt", "nut", "unused"))
    found = make_candidates([[0, 0, 40, 36], [60, 60, 90, 90]], [0, 0], [0.9, 0.8], [0.9, 0.9])
    scene = make_scene(truth, [found], alpha=1.0)
    scene.evaluation["operating_point"]["score_threshold"] = 0.5
    scene.evaluation["AP_per_class"] = {"bolt": 0.4, "nut": 0.0, "unused": None}
    facts = scene.facts(run)
    nut, bolt, unused = facts.classes()  # weakest first, without AP last
    assert (nut.name, nut.boxes, nut.found, nut.false_alarms, nut.mean_iou) == (
        "nut",
        1,
        0,
        0,
        None,
    )
    assert (bolt.boxes, bolt.found, bolt.recall, bolt.false_alarms) == (2, 1, 0.5, 1)
    assert bolt.mean_iou == pytest.approx(0.9)
    assert unused == ClassFacts("unused", 0, None, None, 0, 0, None)
    assert unused.recall is None
    assert (facts.boxes, facts.hits, facts.false_alarms) == (3, 1, 1)
    assert facts.recall == pytest.approx(1 / 3)
    assert facts.precision == 0.5


def test_wrong_classes_are_counted_by_what_was_meant(tmp_path: Path, run: Path) -> None:
    boxes = [[[0, 0, 40, 40], [50, 0, 90, 40], [0, 50, 40, 90]]] * 2
    truth = make_truth(tmp_path, boxes, [[0, 0, 1]] * 2, ("bolt", "nut", "gear"))
    found = make_candidates(boxes[0], [0, 1, 2], [0.9, 0.8, 0.7], [0.9, 0.9, 0.9])
    facts = make_scene(truth, [found] * 2).facts(run)
    # a bolt is called nut and the nut is called gear, once in each picture
    shown = replace(facts, shown=facts.judged)
    assert shown.confusions() == {(0, 1): 2, (1, 2): 2}
    assert replace(facts, shown=facts.judged.shown_at(2.0)).confusions() == {}


def test_thresholds_come_from_the_evaluation_then_the_model_then_the_sweep(
    scene: Scene, run: Path
) -> None:
    scene.evaluation["operating_point"] = {"score_threshold": 0.77}
    assert scene.facts(run).threshold == 0.77
    scene.evaluation["operating_point"] = {"score_threshold": None}
    scene.info = make_info(scene.info.class_names, 0.5, True, {"0.5": 0.66, "1.0": 0.4})
    assert scene.facts(run).threshold == 0.66
    bare = make_info(scene.info.class_names, 0.5, True, {})
    assert display_threshold({"score_thresholds": {"0.5": 0.55, "1.0": None}}, bare, 1.0) == 0.55
    assert display_threshold({}, bare, 1.0) == bare.score_threshold(1.0)


def test_cocos_table_leaves_out_what_nobody_has() -> None:
    evaluation = {"AP": 0.5, "APs": None, "AP_per_iou": {"0.90": 0.1}, "baseline": {"AP": 0.45}}
    sweep = {"oracle": {"localisation": {"AP": 0.6}}}
    rows = {row.name: row for row in list_coco_rows(evaluation, sweep)}
    assert list(rows) == ["AP, IoU 0.50 to 0.95", "AP90, IoU 0.90"]
    ap = rows["AP, IoU 0.50 to 0.95"]
    assert (ap.own, ap.base, ap.localisation, ap.any_class) == (0.5, 0.45, 0.6, None)
    assert ap.gain == pytest.approx(0.05)
    assert rows["AP90, IoU 0.90"].gain is None
    assert read_figure({"AR": 1.0}, "AR1") is None


def test_versions_are_flat_and_what_is_unknown_is_left_out(scene: Scene, run: Path) -> None:
    (run / "environment.json").write_text(
        '{"command": "x", "commit": null, "machine": {"cores": 2, "gpus": []}, '
        '"versions": {"a": "1"}}'
    )
    rows = list_environment_rows(scene.facts(run))
    assert rows == [("machine.cores", "2"), ("versions.a", "1")]


def test_what_was_run_is_told(scene: Scene, run: Path) -> None:
    write_run_files(run)
    rows = dict(list_run_rows(scene.facts(run)))
    assert rows["Command"] == "iouaware train data"
    assert rows["Wall time"] == "1.5 minutes"
    assert rows["Split"].startswith("train 2, val 1 (made by a hash of each picture); judged on")
    assert rows["Picture size"] == "128 px"
    assert "Seed" not in rows  # not recorded in this model's config
