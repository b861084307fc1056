import json
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iouaware.errors import ConfigError, DatasetError, UnreadableError
from iouaware.inference.folder import drawn_name, predict_folder
from iouaware.inference.predictor import Predictor
from iouaware.inference.sources import Source
from iouaware.structures import ImageArray
from tests.inference.test_sources import write_video


@pytest.fixture
def folder(tmp_path: Path, images: list[ImageArray]) -> Path:
    for name, image in zip(("a.png", "b.jpg", "sub/a.webp"), images, strict=False):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path / "pictures"


def files_below(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_a_folder_gives_one_file_and_its_pictures(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    out, seen = tmp_path / "out", []
    path = predict_folder(
        predictor,
        [folder],
        out,
        score_threshold=0.1,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert path == out / "predictions.json"
    content = json.loads(path.read_text("utf-8"))
    assert (content["alpha"], content["score_threshold"]) == (0.5, 0.1)
    assert content["model"] == "runs/x"
    names = ["a.png", "b.jpg", "sub/a.webp"]
    assert [entry["file"] for entry in content["images"]] == [
        (folder / name).as_posix() for name in names
    ]
    for name, entry in zip(names, content["images"], strict=True):
        found = predictor.predict(folder / name, score_threshold=0.1)
        assert not isinstance(found, list)
        boxes = np.array([detection["box"] for detection in entry["detections"]])
        assert len(boxes)
        np.testing.assert_allclose(boxes, found.boxes, atol=2e-3)
    assert files_below(out) == {"predictions.json", "a.png", "b.jpg", "sub/a.webp.jpg"}
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_options_reach_the_file(predictor: Predictor, folder: Path, tmp_path: Path) -> None:
    path = predict_folder(
        predictor,
        [folder],
        tmp_path / "out",
        "yolo",
        draw=False,
        alpha=1.0,
        score_threshold=0.25,
        min_iou=0.3,
        max_detections=4,
    )
    content = json.loads(path.read_text("utf-8"))
    assert (content["alpha"], content["score_threshold"]) == (1.0, 0.25)
    for entry in content["images"]:
        assert len(entry["detections"]) <= 4
        assert all(found["score"] == found["class_score"] >= 0.25 for found in entry["detections"])
        assert all(found["predicted_iou"] >= 0.3 for found in entry["detections"])
    assert files_below(tmp_path / "out") == {
        "predictions.json",
        "labels/a.txt",
        "labels/b.txt",
        "labels/sub/a.txt",
    }


def test_memory_does_not_grow_with_the_pictures(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = most = 0

    def forget() -> None:
        nonlocal alive
        alive -= 1

    def read(sources: list[Source]) -> Iterator[tuple[Source, ImageArray]]:
        nonlocal alive, most
        for number in range(40):
            image = np.zeros((8, 8, 3), np.uint8)
            alive += 1
            weakref.finalize(image, forget)
            most = max(most, alive)
            yield Source(Path(f"{number}.png"), f"{number}.png"), image

    monkeypatch.setattr("iouaware.inference.folder.read_sources", read)
    Image.new("RGB", (8, 8)).save(tmp_path / "any.png")
    predict_folder(predictor, [tmp_path / "any.png"], tmp_path / "out", draw=False)
    assert 0 < most <= 2 * predictor.batch_size + 2


def test_errors_leave_no_file(
    predictor: Predictor, predictor_without_iou: Predictor, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(DatasetError, match=r"none\.jpg"):
        predict_folder(predictor, [folder, tmp_path / "none.jpg"], out)
    with pytest.raises(ValueError, match="alpha is 2"):
        predict_folder(predictor, [folder], out, alpha=2)
    with pytest.raises(ConfigError, match="min_iou"):
        predict_folder(predictor_without_iou, [folder], out, min_iou=0.5)
    assert not out.exists()
    (folder / "z.png").write_bytes(b"broken")
    with pytest.raises(DatasetError, match=r"^[^ ]*z\.png: this picture cannot be read"):
        predict_folder(predictor, [folder / "z.png"], out)
    assert not files_below(out)


def test_what_cannot_be_read_is_left_out_and_told(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    whole = predict_folder(predictor, [folder], tmp_path / "whole").read_text("utf-8")
    for name in ("0.png", "z.png"):  # before and behind the others
        (folder / name).write_bytes(b"broken")
    with pytest.raises(UnreadableError, match=r"^2 of \d+ files cannot be read") as error:
        predict_folder(predictor, [folder], tmp_path / "out")
    assert error.value.written.read_text("utf-8") == whole
    assert len(error.value.failed) == 2
    assert error.value.failed[1].startswith(f"{folder / 'z.png'}: this picture cannot be read")
    assert files_below(tmp_path / "out") == files_below(tmp_path / "whole")


def test_what_cannot_be_drawn_is_answered_and_told(predictor: Predictor, tmp_path: Path) -> None:
    for name, size in (("a.png", (40, 30)), ("b.bmp", (66_000, 2)), ("c.png", (30, 40))):
        Image.new("RGB", size).save(tmp_path / name)  # JPEG, which a .bmp becomes, ends at 65,500
    out = tmp_path / "out"
    with pytest.raises(UnreadableError) as error:
        predict_folder(predictor, [tmp_path / name for name in ("a.png", "b.bmp", "c.png")], out)
    assert len(json.loads(error.value.written.read_text("utf-8"))["images"]) == 3
    assert [told[:38] for told in error.value.failed] == ["b.bmp: answered, but cannot be drawn: "]
    assert files_below(out) == {"predictions.json", "a.png", "c.png"}


def test_drawn_pictures_are_never_written_over(predictor: Predictor, tmp_path: Path) -> None:
    for name in ("x.bmp", "x.bmp.jpg"):
        Image.new("RGB", (40, 30)).save(tmp_path / name)
    predict_folder(predictor, [tmp_path / "x.bmp", tmp_path / "x.bmp.jpg"], tmp_path / "out")
    assert files_below(tmp_path / "out") == {"predictions.json", "x.bmp.jpg", "x.bmp.jpg.jpg"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.JPG", "a.JPG"), ("b/a.tif", "b/a.tif.jpg"), ("clip.mp4-000003", "clip.mp4-000003.jpg")],
)
def test_drawn_names(name: str, expected: str) -> None:
    assert drawn_name(name) == expected


def test_label_files_are_never_written_over(predictor: Predictor, tmp_path: Path) -> None:
    names = ["a.png", "a.jpg", "b.v2.png", "sub/a.png"]
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32)).save(tmp_path / "in" / name)
    predict_folder(predictor, [tmp_path / "in"], tmp_path / "out", "yolo", draw=False)
    assert files_below(tmp_path / "out" / "labels") == {
        "a.txt", "a.png.txt", "b.v2.txt", "sub/a.txt"
    }  # fmt: skip


def test_every_frame_of_a_video_has_its_label_file(predictor: Predictor, tmp_path: Path) -> None:
    frames = [np.full((32, 32, 3), 50 * number, np.uint8) for number in range(3)]
    write_video(tmp_path / "clip.mp4", frames)
    predict_folder(predictor, [tmp_path / "clip.mp4"], tmp_path / "out", "yolo", draw=False)
    labels = files_below(tmp_path / "out" / "labels")
    assert labels == {f"clip.mp4-{number:06}.txt" for number in range(3)}


def test_a_name_that_is_no_unicode_is_written_as_json_writes_it(
    predictor: Predictor, tmp_path: Path
) -> None:
    name = os.fsdecode(b"caf\xe9.png")  # from an old archive
    (tmp_path / "in").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "in" / name)
    path = predict_folder(predictor, [tmp_path / "in"], tmp_path / "out", draw=False)
    (entry,) = json.loads(path.read_text("utf-8"))["images"]
    assert entry["file"] == (tmp_path / "in" / name).as_posix()
