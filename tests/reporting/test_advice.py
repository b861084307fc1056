from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from iouaware.reporting.advice import advise
from iouaware.reporting.facts import Facts
from iouaware.reporting.run_files import read_run_files
from tests.reporting.scenes import (
    Scene,
    make_candidates,
    make_hidden,
    make_scene,
    make_second_and_loose,
    make_truth,
    without_iou,
    write_run_files,
)

AGAIN = "iouaware train '/home/me/my bolts' --config {run}/config.yaml"


def _texts(facts: Facts) -> str:
    return "\n".join(f"{step.text} {step.command}" for step in advise(facts))


def _perfect(tmp_path: Path, run: Path) -> Facts:
    boxes = [[[5, 5, 45, 45], [50, 50, 90, 90]]] * 6
    truth = make_truth(tmp_path, boxes, [[0, 1]] * 6, ("a", "b"))
    found = make_candidates(boxes[0], [0, 1], [0.9, 0.8], [0.9, 0.9])
    scene = make_scene(truth, [found] * 6, alpha=1.0)
    facts = scene.facts(run)
    return replace(facts, class_boxes=facts.class_boxes + 10)  # no class is rare


def test_a_detector_without_weakness_is_sent_to_work(tmp_path: Path, run: Path) -> None:
    facts = _perfect(tmp_path, run)
    (step,) = advise(replace(facts, misses=()))
    assert "No single weakness" in step.text
    assert step.command == f"iouaware predict {run} PICTURES"
    exported = replace(facts.files, model=run / "export" / "model 1.onnx")
    (step,) = advise(replace(facts, misses=(), files=exported))
    assert step.command == f"iouaware predict '{run}/export/model 1.onnx' PICTURES"


def test_one_that_finds_nothing_should_learn_eight_pictures_by_heart(
    tmp_path: Path, run: Path
) -> None:
    write_run_files(run)
    truth = make_truth(tmp_path, [[[5, 5, 45, 45]]], [[0]], ("a",))
    nothing = make_candidates(np.zeros((0, 4)), [], [], [])
    (step,) = advise(make_scene(truth, [nothing]).facts(run))
    assert step.command == f"{AGAIN.format(run=run)} --overfit 8"


def test_a_threshold_that_hides_all_should_be_lowered(tmp_path: Path, run: Path) -> None:
    write_run_files(run)
    scene = make_hidden(tmp_path)
    (step,) = advise(scene.facts(run))
    assert "hides every object that it finds here" in step.text
    # 0.15 = (0.30 + 0) / 2: halfway to the next lower S
    assert step.command == f"iouaware predict {run} PICTURES --alpha 1 --score-threshold 0.15"
    scene.evaluation["thresholds_at_precision"]["0.90"]["0.50"] = 0.0249  # not above what is found
    (step,) = advise(scene.facts(run))
    assert step.command.endswith("--score-threshold 0.0249")
    scene.evaluation["thresholds_at_precision"]["0.90"]["0.50"] = None
    (step,) = advise(scene.facts(run))
    assert "hides every object that it finds here" in step.text
    assert step.command == ""


def test_training_that_still_gained_should_go_on(scene: Scene, run: Path) -> None:
    write_run_files(run, ap=(0.2, 0.3, 0.4))  # 3 epochs, 10 points in the last third
    assert "by +10.0 points" in _texts(scene.facts(run))
    assert f"{AGAIN.format(run=run)} --epochs 6" in _texts(scene.facts(run))
    (run / "config.yaml").write_text("data: {path: /d}\ntrain: {minutes: 7.5}\n")
    assert "--epochs 6 --minutes 15" in _texts(scene.facts(run))
    write_run_files(run, ap=(0.2, 0.4, 0.4))
    assert "still rising" not in _texts(scene.facts(run))


def test_commands_are_those_of_the_run_and_not_of_the_pictures_that_judge(
    scene: Scene, run: Path
) -> None:
    write_run_files(run, ap=(0.2, 0.3, 0.4))
    scene.evaluation["data"] = "/elsewhere/testset"
    assert f"{AGAIN.format(run=run)} --epochs 6" in _texts(scene.facts(run))
    assert "testset" not in _texts(scene.facts(run))
    # a part that stays as it is must come from a model
    (run / "config.yaml").write_text("data: {path: /d}\ntrain: {freeze: all-but-iou}\n")
    again = f"iouaware train /d --config {run}/config.yaml --from {run} --epochs 6"
    assert again in _texts(scene.facts(run))
    # an exported file has its settings one folder up
    (run / "export").mkdir()
    files = read_run_files(run / "export" / "model.onnx")
    assert files.train_command() == f"iouaware train /d --config {run}/config.yaml --from {run}"


@pytest.mark.parametrize("text", [None, "", "seed: 0", "data: 3", "data: {path:", "- a"])
def test_without_the_place_of_the_data_there_is_no_command(
    scene: Scene, run: Path, text: str | None
) -> None:
    write_run_files(run, ap=(0.2, 0.3, 0.4))
    (run / "config.yaml").unlink()
    if text is not None:
        (run / "config.yaml").write_text(text)
    assert "Train longer." in _texts(scene.facts(run))
    assert "iouaware" not in _texts(scene.facts(run))
    assert scene.facts(run).files.adopt_command == ""


def test_small_objects_that_are_missed_ask_for_a_larger_size(tmp_path: Path, run: Path) -> None:
    write_run_files(run)
    boxes = [[[5, 5, 65, 65], [80, 80, 90, 90]]] * 4  # 60 px found, 10 px missed
    truth = make_truth(tmp_path, boxes, [[0, 0]] * 4, ("a",))
    found = make_candidates([[5, 5, 65, 65]], [0], [0.9], [0.9])
    text = _texts(make_scene(truth, [found] * 4).facts(run))
    assert "4 objects of 8 are missed, the small ones above all" in text
    assert "(middle size 10 px against 60 px of those found)" in text
    assert "--image-size 416" in text  # the next one above 128
    scene = make_scene(truth, [found] * 4)
    scene.info = replace(scene.info, config={"data": {"image_size": [800, 1333]}})
    assert "--image-size 1632" in _texts(scene.facts(run))  # a multiple of 32


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([1, 1, 1, 2], "missed, most of them nut (3)"),
        ([1, 1, 2, 3], "missed, above all nut (2)"),  # half is not most
    ],
)
def test_missed_objects_are_named_by_class(
    tmp_path: Path, run: Path, labels: list[int], words: str
) -> None:
    boxes = [[[5, 5, 45, 45], [50, 50, 90, 90]]] * 4
    truth = make_truth(
        tmp_path, boxes, [[0, label] for label in labels], ("bolt", "nut", "gear", "pin")
    )
    found = make_candidates([[5, 5, 45, 45]], [0], [0.9], [0.9])
    assert words in _texts(make_scene(truth, [found] * 4).facts(run))


def test_background_boxes_ask_for_empty_pictures(tmp_path: Path, run: Path) -> None:
    write_run_files(run)
    boxes = [[[5, 5, 45, 45]]] * 4
    truth = make_truth(tmp_path, boxes, [[0]] * 4, ("a",))
    found = make_candidates([[5, 5, 45, 45], [60, 60, 90, 90]], [0, 0], [0.8, 0.9], [0.9, 0.9])
    text = _texts(make_scene(truth, [found] * 4).facts(run))
    assert "4 boxes of 8 drawn are on nothing" in text
    assert "--empty FOLDER" in text


def test_second_boxes_and_loose_ones_are_named(tmp_path: Path, run: Path) -> None:
    write_run_files(run)
    scene = make_second_and_loose(tmp_path)
    words = (
        "8 boxes of 12 drawn are on an object of their class but do not hit it "
        "(second boxes: 4; IoU under 0.5: 4)."
    )
    assert words in _texts(scene.facts(run))
    assert "--image-size 416" in _texts(scene.facts(run))
    # above the loose ones 4 of 8 are second boxes; above the second ones none is left
    scene.evaluation["operating_point"]["score_threshold"] = 0.75
    assert "4 boxes of 8 drawn are on an object" in _texts(scene.facts(run))
    scene.evaluation["operating_point"]["score_threshold"] = 0.85
    assert "do not hit it" not in _texts(scene.facts(run))


def test_mixed_up_classes_are_named(tmp_path: Path, run: Path) -> None:
    boxes = [[[5, 5, 45, 45], [50, 50, 90, 90]]] * 4
    truth = make_truth(tmp_path, boxes, [[0, 1]] * 4, ("bolt", "nut"))
    found = make_candidates(boxes[0], [0, 0], [0.8, 0.9], [0.9, 0.9])
    assert "nut is called bolt 4 times" in _texts(make_scene(truth, [found] * 4).facts(run))


def test_without_an_iou_branch_a_large_gap_asks_for_one(scene: Scene, run: Path) -> None:
    plain = make_scene(scene.dataset, without_iou(scene.candidates))
    plain.evaluation["oracle"] = {"localisation": {"AP": 1.0}}
    write_run_files(run)
    command = f"iouaware adopt {run} --data '/home/me/my bolts' --config {run}/config.yaml"
    assert command in _texts(plain.facts(run))


def test_never_more_than_three_and_never_none(scene: Scene, run: Path) -> None:
    assert 1 <= len(advise(scene.facts(run))) <= 3


def test_pictures_without_boxes_say_so(tmp_path: Path, run: Path) -> None:
    truth = make_truth(tmp_path, [[]], [[]], ("a",))
    nothing = make_candidates(np.zeros((0, 4)), [], [], [])
    (step,) = advise(make_scene(truth, [nothing]).facts(run))
    assert "pictures that have boxes" in step.text
