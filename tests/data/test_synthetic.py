"""The drawn data set: exact boxes, reproducible, hard enough, never half written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iouaware.anchors import best_anchor_iou
from iouaware.data import scenes
from iouaware.data.dataset import Dataset
from iouaware.data.layouts import read_splits
from iouaware.data.scenes import MIN_VISIBLE, Scene, draw_scene
from iouaware.data.shapes import CLASS_NAMES, draw_outline, render_coverage, turn_outline
from iouaware.data.synthetic import draw_splits, synthesize
from iouaware.data.writers import WRITERS
from iouaware.errors import DatasetError


def read_bytes(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_p48_same_seed_same_files(tiny_coco: Path, tmp_path: Path) -> None:
    again = synthesize(tmp_path / "again", images=16, image_wh=(96, 96))
    assert read_bytes(again) == read_bytes(tiny_coco)
    other = synthesize(tmp_path / "other", images=16, seed=1, image_wh=(96, 96))
    name = "images/train/00000.jpg"
    assert (other / name).read_bytes() != (tiny_coco / name).read_bytes()


def test_first_pictures_do_not_depend_on_their_number(tiny_coco: Path, tmp_path: Path) -> None:
    fewer = synthesize(tmp_path / "fewer", images=4, image_wh=(96, 96))
    name = "images/train/00003.jpg"
    assert (fewer / name).read_bytes() == (tiny_coco / name).read_bytes()


def test_p03_both_parts_have_pictures_without_objects(tiny_coco: Path) -> None:
    splits = read_splits(tiny_coco)
    assert len(splits.train.empty_images()) == 1
    assert len(splits.val.empty_images()) == 1


def test_every_class_is_drawn(tiny_dataset: Dataset) -> None:
    assert tiny_dataset.class_names == CLASS_NAMES == tuple(sorted(CLASS_NAMES))
    assert (tiny_dataset.class_counts() > 0).all()


@pytest.fixture(scope="module")
def drawn() -> list[Scene]:
    """Thirty scenes of 160 x 120 px with up to eight objects each."""
    found = []
    for index in range(30):
        scene = Scene(np.random.default_rng(index), (160, 120))
        for label in (0, 1, 2, 3, 0, 1, 2, 3):
            scene.add_object(label)
            scene.add_clutter()
        found.append(scene)
    return found


def test_boxes_enclose_what_is_visible_and_nothing_more(drawn: list[Scene]) -> None:
    for scene in drawn:
        for row, (x1, y1, x2, y2) in enumerate(scene.boxes().astype(int).tolist()):
            mine = scene.owners == row + 1
            inside = mine[y1:y2, x1:x2]
            assert inside.sum() == mine.sum()
            # each of the four sides touches a visible pixel
            assert inside[0].any()
            assert inside[-1].any()
            assert inside[:, 0].any()
            assert inside[:, -1].any()


def test_no_object_is_hidden_too_far_and_some_are_hidden_in_part(drawn: list[Scene]) -> None:
    shares = np.array(
        [
            np.count_nonzero(scene.owners == row + 1) / size
            for scene in drawn
            for row, size in enumerate(scene.sizes)
        ]
    )
    assert shares.min() >= MIN_VISIBLE
    assert (shares < 0.8).mean() > 0.05


def test_sizes_run_from_tiny_to_large() -> None:
    boxes = np.concatenate(
        [draw_scene(np.random.default_rng((0, index)), (256, 256))[1] for index in range(40)]
    )
    sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    assert (sides < 24).mean() > 0.1
    assert (sides > 80).mean() > 0.05
    # yet most can be learnt at the pictures' own size
    assert 0.8 < (best_anchor_iou(boxes, (256, 256)) >= 0.5).mean() < 0.98
    assert (boxes == np.rint(boxes)).all()  # VOC writes whole pixels


def test_an_object_is_painted_where_its_box_says(monkeypatch: pytest.MonkeyPatch) -> None:
    # one clear object on a plain ground: the pixels that differ lie within two of its box
    monkeypatch.setattr(scenes, "CONTRAST_RANGE", (80.0, 80.0))
    for seed in range(40):
        scene = Scene(np.random.default_rng(seed), (128, 128))
        scene.colours[:] = 128
        monkeypatch.setattr(scene, "_cast_shadow", lambda *_: None)
        if not scene.add_object(seed % 4):
            continue
        x1, y1, x2, y2 = scene.boxes()[0]
        y, x = np.nonzero(np.abs(scene.colours - 128).max(axis=2) >= 40 * 0.35)
        reach = 2 + 0.05 * max(x2 - x1, y2 - y1)  # a soft edge or a thin end fades out beyond it
        assert np.abs(np.array([x.min() - x1, y.min() - y1])).max() <= reach
        assert np.abs(np.array([x.max() + 1 - x2, y.max() + 1 - y2])).max() <= reach


def test_empty_scene_has_no_boxes() -> None:
    image, boxes, labels = draw_scene(np.random.default_rng(0), (96, 64), empty=True)
    assert image.shape == (64, 96, 3)
    assert image.dtype == np.uint8
    assert boxes.shape == (0, 4)
    assert labels.shape == (0,)


def test_scene_that_is_not_empty_has_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    # the first objects find no place, more than any scene asks for
    calls = iter(range(100))
    place = Scene.add_object
    monkeypatch.setattr(
        Scene,
        "add_object",
        lambda scene, label: next(calls) > 2 * scenes.MAX_OBJECTS and place(scene, label),
    )
    assert len(draw_scene(np.random.default_rng(0), (64, 64))[1]) > 0


def test_coverage_by_hand() -> None:
    # a square from 10 to 20: its 100 px are covered whole, one row and column more by at most a
    # quarter, for Pillow draws outlines into shapes; first pixel at 10 - margin
    square = np.array([[10, 10], [20, 10], [20, 20], [10, 20]], np.float64)
    coverage, origin = render_coverage([square], margin=3)
    assert origin.tolist() == [7, 7]
    assert coverage.shape == (16, 16)
    assert (coverage[3:13, 3:13] == 1).all()
    assert np.count_nonzero(coverage >= 0.5) == 100
    assert coverage.sum() <= 10.25**2 + 21 / 255  # the 21 partial pixels are rounded to 255ths


@pytest.mark.parametrize("label", range(len(CLASS_NAMES)))
def test_longest_side_of_an_outline_is_one(label: int) -> None:
    for seed in range(10):
        points = np.concatenate(draw_outline(np.random.default_rng(seed), label))
        assert (points.max(axis=0) - points.min(axis=0)).max() == pytest.approx(1)


def test_quarter_turn() -> None:
    # from the x axis to the y axis, which points down
    (turned,) = turn_outline([np.array([[1.0, 0.0]])], np.pi / 2)
    assert turned[0] == pytest.approx([0, 1])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"images": 2}, "images is 2, expected at least 3"),
        ({"format": "tfrecord"}, "format is 'tfrecord', expected one of coco, voc, yolo"),
        ({"image_wh": (256, 32)}, "expected at least 64 px"),
    ],
)
def test_wrong_calls_are_value_errors(tmp_path: Path, options: dict, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        synthesize(tmp_path / "data", **options)


def test_a_folder_in_use_is_refused_and_an_empty_one_taken(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DatasetError, match="exists and is not empty; name a new folder"):
        synthesize(tmp_path, images=3)
    (tmp_path / "empty").mkdir()
    assert synthesize(tmp_path / "empty", images=3, image_wh=(64, 64)) == tmp_path / "empty"


def test_nothing_is_left_of_a_broken_off_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setitem(WRITERS, "coco", fail)
    with pytest.raises(DatasetError, match="No space left on device"):
        synthesize(tmp_path / "data", images=3, image_wh=(64, 64))
    assert list(tmp_path.iterdir()) == []


def test_three_of_ten_pictures_are_for_validation(tmp_path: Path) -> None:
    train, val = draw_splits(tmp_path, images=20, seed=0, image_wh=(64, 64))
    assert (train.split, len(train)) == ("train", 14)
    assert (val.split, len(val)) == ("val", 6)
