from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iouaware.reporting import galleries
from iouaware.reporting.judging import Kind
from tests.reporting.scenes import Scene, make_candidates, make_scene, make_truth, without_iou


def test_the_strip_goes_from_best_to_worst_predicted_fit(scene: Scene, run: Path) -> None:
    facts = scene.facts(run)
    strip = galleries.choose_strip(facts)
    assert len(strip) == min(24, len(facts.shown))
    assert (np.diff(strip.predicted_iou) <= 0).all()
    # both ends of what there is are in it
    assert strip.predicted_iou[0] == facts.shown.predicted_iou.max()
    assert strip.predicted_iou[-1] == facts.shown.predicted_iou.min()


def test_without_predicted_iou_the_strip_goes_by_p(scene: Scene, run: Path) -> None:
    plain = make_scene(scene.dataset, without_iou(scene.candidates))
    strip = galleries.choose_strip(plain.facts(run))
    assert (np.diff(strip.class_scores) <= 0).all()
    assert all(
        name != "predicted IoU"
        for tile in galleries.build_galleries(plain.facts(run)).strip
        for name, _ in tile.numbers
    )


def test_sure_but_loose_boxes_are_sure_and_loose(tmp_path: Path, run: Path) -> None:
    truth = make_truth(
        tmp_path, [[[0, 0, 40, 40], [50, 0, 90, 40], [0, 50, 40, 90]]], [[0] * 3], ("a",)
    )
    found = make_candidates(
        [
            [0, 0, 40, 24],  # IoU 0.6, p 0.9: loose by 0.3
            [50, 0, 90, 28],  # IoU 0.7, p 0.95: by 0.25
            [0, 50, 40, 90],  # fits
        ],
        [0, 0, 0],
        [0.9, 0.95, 0.99],
        [0.6, 0.7, 0.9],
    )
    scene = make_scene(truth, [found], alpha=1.0)
    loose = galleries.choose_loose(scene.facts(run))
    np.testing.assert_allclose(loose.iou, [0.6, 0.7], atol=1e-5)


def test_misses_take_turns_among_classes(tmp_path: Path, run: Path) -> None:
    boxes = [[[0, 0, 40, 40], [50, 0, 80, 30], [0, 50, 10, 60]]]
    truth = make_truth(tmp_path, boxes, [[0, 0, 1]], ("a", "b"))
    nothing = make_candidates(np.zeros((0, 4)), [], [], [])
    chosen = galleries.choose_misses(make_scene(truth, [nothing]).facts(run))
    # the larger a, then b although it is small, then the other a
    assert [miss.truth for miss in chosen] == [0, 2, 1]


def test_tiles_say_what_they_show(scene: Scene, run: Path) -> None:
    facts = scene.facts(run)
    built = galleries.build_galleries(facts)
    for tile in built.strip:
        assert tile.file in set(map(str, facts.dataset.file_names))
        assert dict(tile.numbers).keys() >= {"predicted IoU", "true IoU", "p", "S"}
    for tile, row in zip(
        built.false_alarms, galleries.choose_false_alarms(facts).kind, strict=True
    ):
        words = {Kind.CONFUSED: ("in truth",), Kind.BACKGROUND: ("nothing marked", "partly on")}
        assert any(text in tile.title for text in words[Kind(row)])
    for tile in built.misses:
        assert tile.crop.overlays[0].role == "true"


def _first_miss(root: Path, run: Path, boxes: list[list[float]], labels: list[int]) -> str:
    """Return the title of the bolt missed beside a nut, with these boxes drawn, p from 0.9 down."""
    truth = make_truth(root, [[[5, 5, 45, 45], [30, 5, 70, 45]]], [[0, 1]], ("bolt", "nut"))
    found = make_candidates(boxes, labels, [0.9 - n / 10 for n in range(len(boxes))], None)
    scene = make_scene(truth, [found])
    scene.evaluation["operating_point"]["score_threshold"] = 0.5
    return galleries.build_galleries(scene.facts(run)).misses[0].title


def test_a_missed_object_is_called_only_what_lies_on_it(tmp_path: Path, run: Path) -> None:
    exact, nut = [5.0, 5, 45, 45], [30.0, 5, 70, 45]
    assert _first_miss(tmp_path, run, [nut, exact], [1, 1]) == "bolt, called nut"
    # the nut found, IoU with the bolt 15 * 40 / (2 * 1600 - 600) = 0.23, says nothing of the bolt
    assert _first_miss(tmp_path, run, [nut], [1]) == "bolt, the nearest box says nut"
    # the upper 3/8 of the bolt, called bolt
    assert _first_miss(tmp_path, run, [nut, [5, 5, 45, 20]], [1, 0]) == (
        "bolt, no box of its own fits"
    )
    assert _first_miss(tmp_path, run, [[75, 75, 95, 95]], [0]) == "bolt, nothing drawn here"


def test_a_loose_box_is_drawn_with_the_object_that_its_iou_is_of(tmp_path: Path, run: Path) -> None:
    # a box called bolt, 23 px high: 14 of them on the bolt, IoU 14 / (40 + 23 - 14) = 0.286, and
    # all 23 on the nut of 50, IoU 0.46
    truth = make_truth(tmp_path, [[[5, 5, 45, 45], [5, 25, 45, 75]]], [[0, 1]], ("bolt", "nut"))
    scene = make_scene(truth, [make_candidates([[5, 31, 45, 54]], [0], [0.9], None)])
    scene.evaluation["operating_point"]["score_threshold"] = 0.5
    (tile,) = galleries.build_galleries(scene.facts(run)).loose
    assert ("true IoU", "0.29") in tile.numbers
    true, drawn = tile.crop.overlays
    assert (true.role, drawn.role) == ("true", "drawn")
    assert true.height / drawn.height == pytest.approx(40 / 23, rel=0.01)  # rounded px
