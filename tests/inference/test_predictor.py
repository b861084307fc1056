import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from iouaware.checkpoint import write_model
from iouaware.config import InferenceConfig
from iouaware.errors import CheckpointError, ConfigError, DatasetError
from iouaware.inference.detections import Detections
from iouaware.inference.predictor import Predictor, load
from iouaware.inference.torch_backend import TorchBackend
from iouaware.structures import ImageArray, ModelInfo
from tests.inference.conftest import CONFIG, build_detector


def one(found: Detections | list[Detections]) -> Detections:
    assert isinstance(found, Detections)
    return found


def many(found: Detections | list[Detections]) -> list[Detections]:
    assert isinstance(found, list)
    return found


def assert_same(first: Detections, second: Detections) -> None:
    for name in ("boxes", "labels", "scores", "class_scores", "predicted_iou"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert (first.alpha, first.score_threshold) == (second.alpha, second.score_threshold)


def test_detections_are_sorted_inside_the_picture_and_above_the_threshold(
    predictor: Predictor, images: list[ImageArray]
) -> None:
    for image in images[:3]:
        found = one(predictor.predict(image))
        assert 0 < len(found) <= 100
        assert (np.diff(found.scores) <= 0).all()
        assert found.scores[-1] >= found.score_threshold == 0.4
        assert found.boxes.min() >= 0
        assert (found.boxes[:, 2:].max(axis=0) <= image.shape[1::-1]).all()
        assert (found.width, found.height) == image.shape[1::-1]
        assert found.predicted_iou is not None
        product = np.sqrt(found.class_scores * found.predicted_iou)
        np.testing.assert_allclose(found.scores, product, rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("options", [{}, {"score_threshold": 0.2}, {"min_iou": 0.5}])
def test_rescore_equals_predict_exactly(
    predictor: Predictor, images: list[ImageArray], alpha: float, options: dict[str, Any]
) -> None:
    fresh = one(predictor.predict(images[0], alpha=alpha, **options))
    again = one(predictor.predict(images[0], max_detections=100)).rescore(alpha, **options)
    assert_same(again, fresh)
    assert_same(fresh.rescore(0.7).rescore(alpha, **options), fresh)


def test_max_detections(predictor: Predictor, images: list[ImageArray]) -> None:
    found = one(predictor.predict(images[0], max_detections=3, score_threshold=0))
    assert len(found) == len(found.rescore(0.2, score_threshold=0)) == 3
    for wrong in (0, 2.5):
        with pytest.raises(ValueError, match=f"max_detections is {wrong}, expected a whole number"):
            predictor.predict(images[0], max_detections=wrong)  # type: ignore[arg-type]


def test_a_list_gives_a_list_in_order(
    predictor: Predictor, images: list[ImageArray], tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(images[1]).save(path)
    together = many(predictor.predict([images[0], path, Image.fromarray(images[2])]))
    assert [found.file for found in together] == [None, path.as_posix(), None]
    for found, image in zip(together, images, strict=False):
        alone = one(predictor.predict(image))
        assert len(found) == len(alone)
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=1e-3)
    assert predictor.predict([]) == []


def test_files_folders_and_tensors(
    predictor: Predictor, images: list[ImageArray], tmp_path: Path
) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(images[0]).save(tmp_path / name)
    from_file = one(predictor.predict(tmp_path / "a.png"))
    assert from_file.file == (tmp_path / "a.png").as_posix()
    assert from_file.image is None
    assert min(from_file.draw().size) >= 640  # read again from the file, enlarged
    assert_same(from_file, one(predictor.predict(str(tmp_path / "a.png"))))
    assert_same(from_file, one(predictor.predict(torch.tensor(images[0]).permute(2, 0, 1))))
    assert len(many(predictor.predict(tmp_path))) == 2
    assert len(many(predictor.predict(str(tmp_path / "a*.png")))) == 1
    with pytest.raises(DatasetError, match=r"none\.png: no such file"):
        predictor.predict(tmp_path / "none.png")


def test_candidates_are_free_of_alpha_and_in_order(
    predictor: Predictor, images: list[ImageArray]
) -> None:
    candidates = predictor.compute_candidates(images)
    assert [c.frame.original_hw for c in candidates] == [image.shape[:2] for image in images]
    assert all(len(c) and (np.diff(c.class_scores) <= 0).all() for c in candidates)
    assert predictor.compute_candidates([]) == []


def test_pictures_of_several_canvases(info: ModelInfo, images: list[ImageArray]) -> None:
    config = {**info.config, "data": {**info.config["data"], "image_size": [64, 96]}}
    backend = TorchBackend(build_detector(), CONFIG.inference)
    predictor = Predictor(backend, replace(info, config=config), batch_size=2)
    together = many(predictor.predict(images[:5]))
    for found, image in zip(together, images, strict=False):
        alone = one(predictor.predict(image))
        assert len(found) == len(alone)
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=1e-3)


def test_p33_the_display_threshold_only_hides(
    predictor: Predictor, images: list[ImageArray]
) -> None:
    shown = one(predictor.predict(images[0]))
    everything = one(predictor.predict(images[0], score_threshold=0))
    assert len(everything) > len(shown)
    assert_same(everything[everything.scores >= 0.4], replace(shown, score_threshold=0))


def test_model_without_iou_branch(
    predictor_without_iou: Predictor, images: list[ImageArray]
) -> None:
    found = one(predictor_without_iou.predict(images[0], alpha=0.2, score_threshold=0.1))
    assert found.alpha == 1.0
    assert found.predicted_iou is None
    np.testing.assert_array_equal(found.scores, found.class_scores)
    with pytest.raises(ConfigError, match=r"min_iou is 0\.5, but this model has no trained IoU"):
        predictor_without_iou.predict(images[0], min_iou=0.5)
    assert one(predictor_without_iou.predict(images[0])).score_threshold == 0.3


def test_paper_order_is_chosen_by_the_settings(info: ModelInfo, images: list[ImageArray]) -> None:
    paper = TorchBackend(build_detector(), InferenceConfig(postprocess="paper"))
    found = one(Predictor(paper, info).predict(images[0], alpha=0.5, score_threshold=0))
    assert len(found)
    assert (found.scores > 0.05).all()
    with pytest.raises(ValueError, match="paper"):
        found.rescore(0.3)


@pytest.mark.parametrize(
    "options", [{"alpha": 1.5}, {"alpha": -0.1}, {"score_threshold": 2.0}, {"min_iou": -1.0}]
)
def test_values_outside_their_range_are_refused(
    predictor: Predictor, images: list[ImageArray], options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"expected 0\.\.1"):
        predictor.predict(images[0], **options)


def test_a_stream_may_fill_one_array_again_and_again(predictor: Predictor) -> None:
    def camera() -> Iterator[tuple[str, ImageArray]]:
        buffer = np.zeros((40, 60, 3), np.uint8)
        for grey in range(20):
            buffer[:] = grey
            yield str(grey), buffer

    found = list(predictor.stream(camera()))
    assert [int(one.image[0, 0, 0]) for one in found if one.image is not None] == list(range(20))
    grey = np.zeros((40, 60), np.uint8)
    assert next(predictor.stream([("grey", grey)])).image.shape == (40, 60, 3)  # type: ignore[union-attr]


def test_a_model_must_say_its_image_size(info: ModelInfo) -> None:
    config = {**info.config, "data": {**info.config["data"], "image_size": "auto"}}
    backend = TorchBackend(build_detector(), CONFIG.inference)
    with pytest.raises(CheckpointError, match="image_size 'auto'"):
        Predictor(backend, replace(info, config=config))


def test_load_from_run_folder_and_file(
    tmp_path: Path, info: ModelInfo, predictor: Predictor, images: list[ImageArray]
) -> None:
    write_model(tmp_path / "model.safetensors", build_detector(), info)
    expected = one(predictor.predict(images[0]))
    for path in (tmp_path, str(tmp_path / "model.safetensors")):
        loaded = load(path, device="cpu")
        assert loaded.class_names == info.class_names
        assert loaded.name == Path(path).as_posix()
        found = one(loaded.predict(images[0]))
        assert_same(found, expected)


def test_p42_load_runs_no_code_from_a_file(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (tmp_path / "sprung",))

    for name in ("model.pt", "model.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
            load(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a run folder"):
        load(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"ending in \.bin, expected \.safetensors"):
        load(tmp_path / "model.bin")


def test_where_a_model_cannot_be_computed_is_told(tmp_path: Path, info: ModelInfo) -> None:
    write_model(tmp_path / "model.safetensors", build_detector(), info)
    with pytest.raises(ConfigError, match="precision is 'int8', expected one of auto, float32"):
        load(tmp_path, precision="int8")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"device is 'foo': torch cannot use it here \(Expected"):
        load(tmp_path, device="foo")


def test_importing_the_predictor_brings_no_torch_along() -> None:
    code = (
        "import sys, iouaware.inference.folder; "
        "print({'torch', 'torchvision', 'timm', 'av'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
