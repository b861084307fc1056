from __future__ import annotations

from pathlib import Path

import numpy as np

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
