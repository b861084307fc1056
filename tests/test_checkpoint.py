from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from iouaware import checkpoint
from iouaware.checkpoint import read_model, read_model_info, write_model, write_model_info
from iouaware.config import Config, ModelConfig
from iouaware.errors import CheckpointError
from iouaware.model.detector import Detector
from iouaware.structures import ModelInfo

TINY = ModelConfig(
    backbone="test_efficientnet", weights="none", fpn_channels=8, tower_convs=2, shared_iou_convs=1
)


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(TINY, 2, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


@pytest.fixture(scope="module")
def info(detector: Detector) -> ModelInfo:
    return ModelInfo(
        class_names=("bolt", "écrou"),
        category_ids=(7, 90),
        alpha=0.4,
        score_thresholds={"1.0": 0.31, "0.4": 0.52},
        has_iou=True,
        config=Config(model=TINY).model_dump(mode="json"),
        mean=detector.mean,
        std=detector.std,
    )


@pytest.fixture
def file(tmp_path: Path, detector: Detector, info: ModelInfo) -> Path:
    path = tmp_path / "model.safetensors"
    write_model(path, detector, info)
    return path


def test_model_comes_back_equal(file: Path, detector: Detector, info: ModelInfo):
    read, read_info = read_model(file)

    assert read_info == info
    assert read.config == TINY
    assert not read.training
    assert (read.mean, read.std) == (detector.mean, detector.std)
    before, after = detector.state_dict(), read.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    images = torch.rand(1, 3, 64, 64)
    detector.eval()
    assert torch.equal(read(images).class_logits, detector(images).class_logits)


def test_a_run_folder_means_the_model_in_it(file: Path, info: ModelInfo):
    assert read_model_info(file.parent) == info
    assert read_model(file.parent)[1] == info


def test_channels_last_weights_are_written_in_plain_order(
    tmp_path: Path, info: ModelInfo, detector: Detector
):
    turned = Detector(TINY, 2)
    turned.load_state_dict(detector.state_dict())
    turned.to(memory_format=torch.channels_last)
    write_model(tmp_path / "turned.safetensors", turned, info)
    read, _ = read_model(tmp_path / "turned.safetensors")
    key = "head.box_layer.weight"
    assert torch.equal(read.state_dict()[key], detector.state_dict()[key])


def test_p05_names_and_ids_travel_with_the_model(file: Path):
    read = read_model_info(file)
    # label 0 is the data set's own category 7, label 1 its 90: no arithmetic on ids anywhere
    assert dict(zip(read.class_names, read.category_ids, strict=True)) == {"bolt": 7, "écrou": 90}


def test_header_is_replaced_and_weights_stay(file: Path, info: ModelInfo):
    weights = load_file(file)
    changed = replace(info, alpha=0.7, score_thresholds={"0.7": 0.2})
    write_model_info(file, changed)

    assert read_model_info(file) == changed
    after = load_file(file)
    assert all(torch.equal(weights[key], after[key]) for key in weights)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_header_of_other_classes_is_refused(file: Path, info: ModelInfo):
    with pytest.raises(ValueError, match=r"nut.*bolt"):
        write_model_info(file, replace(info, class_names=("nut", "bolt")))


def test_wrong_number_of_classes_is_refused(tmp_path: Path, detector: Detector, info: ModelInfo):
    wrong = replace(info, class_names=("bolt",), category_ids=(7,))
    with pytest.raises(ValueError, match="1 classes, the network has 2"):
        write_model(tmp_path / "model.safetensors", detector, wrong)
    assert list(tmp_path.iterdir()) == []


def test_p47_a_failed_write_leaves_the_old_model(
    file: Path, detector: Detector, info: ModelInfo, monkeypatch: pytest.MonkeyPatch
):
    before = file.read_bytes()

    def full_disk(tensors: dict, partial: Path, metadata: dict) -> None:
        partial.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full_disk)
    with pytest.raises(CheckpointError, match=r"could not be written.*No space left"):
        write_model(file, detector, info)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_missing_folder_is_one_line(tmp_path: Path, detector: Detector, info: ModelInfo):
    with pytest.raises(CheckpointError, match="could not be written") as caught:
        write_model(tmp_path / "gone" / "model.safetensors", detector, info)
    assert "\n" not in str(caught.value)


class _Bomb:
    """Runs code when it is unpickled the careless way."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("exploded"),))


def test_p42_no_code_runs_on_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("model.pth", "model.safetensors"):
        torch.save({"weights": _Bomb()}, tmp_path / name)
        with pytest.raises(CheckpointError) as caught:
            read_model(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [b"", b"not a model", b"\xff" * 100])
def test_damaged_file_is_one_line(tmp_path: Path, content: bytes):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    for read in (read_model, read_model_info):
        with pytest.raises(CheckpointError, match="damaged") as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_truncated_file_is_refused(file: Path):
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        read_model(file)


def test_no_model_names_what_was_looked_for(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"a run folder holds model\.safetensors"):
        read_model(tmp_path)
    with pytest.raises(CheckpointError, match="a file or a run folder"):
        read_model(tmp_path / "gone")


def _rewrite_header(file: Path, **changes: object) -> None:
    text = json.loads(_metadata(file)["iouaware"])
    save_file(load_file(file), file, metadata={"iouaware": json.dumps({**text, **changes})})


def _metadata(file: Path) -> dict[str, str]:
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    metadata: dict[str, str] = json.loads(data[8 : 8 + length])["__metadata__"]
    return metadata


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_refused(file: Path, value: float):
    state, header = load_file(file), _metadata(file)
    state["head.class_layer.bias"][0] = value
    save_file(state, file, metadata=header)
    with pytest.raises(CheckpointError, match=r"head\.class_layer\.bias are no numbers") as caught:
        read_model(file)
    assert "\n" not in str(caught.value)


def test_file_of_another_program_is_told_apart(file: Path):
    save_file(load_file(file), file)
    with pytest.raises(CheckpointError, match="has no header of this package"):
        read_model(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "header format 2, this version reads 1; update"),
        ({"category_ids": [7]}, r"damaged header \(2 class names and 1 category ids"),
        ({"mean": [0.5]}, "damaged header"),
        ({"config": {"model": {"backbon": "resnet18"}}}, r"did you mean model\.backbone"),
        ({"class_names": ["a"], "category_ids": [1]}, r"do not fit.*size mismatch"),
    ],
)
def test_header_that_does_not_fit_is_one_line(file: Path, changes: dict, message: str):
    _rewrite_header(file, **changes)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_model(file)
    assert "\n" not in str(caught.value)


def test_a_model_can_be_read_by_whom_its_folder_can(
    file: Path, detector: Detector, info: ModelInfo
) -> None:
    (file.parent / "any").touch()
    assert file.stat().st_mode == (file.parent / "any").stat().st_mode
    file.chmod(0o640)  # as its owner wants it
    write_model_info(file, replace(info, alpha=0.7))
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_model_without_permission_is_told_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, who may read all
    with pytest.raises(CheckpointError, match=r"cannot be read \(Permission denied\)"):
        read_model_info(file)
