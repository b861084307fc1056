from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import detection
from torchvision.models.detection.retinanet import RetinaNet

from iouaware.checkpoint import write_model
from iouaware.config import Config, ModelConfig
from iouaware.errors import CheckpointError
from iouaware.model import weight_files
from iouaware.model.detector import Detector
from iouaware.model.start import model_settings_of, start_from
from iouaware.model.torchvision_names import (
    V1,
    V2,
    model_config_for_torchvision,
    name_of_torchvision,
    rename_torchvision,
    torchvision_class_names,
)
from iouaware.structures import ModelInfo

TINY = ModelConfig(
    backbone="test_efficientnet", weights="none", fpn_channels=8, tower_convs=2, shared_iou_convs=1
)
NAMES = ("bolt", "nut", "screw")


def build(seed: int, config: ModelConfig = TINY, classes: int = 3) -> Detector:
    torch.manual_seed(seed)
    return Detector(config, classes).eval()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path, build(1), TINY)
    return tmp_path


def write_run(folder: Path, detector: Detector, config: ModelConfig) -> None:
    info = ModelInfo(
        class_names=NAMES,
        category_ids=(1, 2, 3),
        alpha=1.0,
        score_thresholds={},
        has_iou=True,
        config=Config(model=config).model_dump(mode="json"),
        mean=detector.mean,
        std=detector.std,
    )
    write_model(folder / "model.safetensors", detector, info)


def test_same_classes_take_everything(run: Path):
    detector = build(2)
    line = start_from(detector, str(run), NAMES)
    assert line == f"weights from {run}, all classes by name"
    expected = build(1).state_dict()
    assert all(torch.equal(expected[key], v) for key, v in detector.state_dict().items())


def test_p06_class_rows_follow_their_names(run: Path):
    """Another order, one class gone, one new: rows go by name, never by number."""
    source, detector = build(1), build(2, classes=4)
    fresh = build(2, classes=4)
    images = torch.rand(1, 3, 64, 64)
    line = start_from(detector, str(run / "model.safetensors"), ("washer", "screw", "pin", "bolt"))
    assert "2 of 4 classes by name (screw, bolt), the others new" in line

    found, theirs = detector(images).class_logits, source(images).class_logits
    torch.testing.assert_close(found[..., 1], theirs[..., 2])  # screw
    torch.testing.assert_close(found[..., 3], theirs[..., 0])  # bolt
    rows = detector.head.class_layer.weight.reshape(9, 4, -1)
    assert torch.equal(rows[:, [0, 2]], fresh.head.class_layer.weight.reshape(9, 4, -1)[:, [0, 2]])
    torch.testing.assert_close(detector(images).deltas, source(images).deltas)


def test_names_match_whatever_case_and_hyphens(run: Path):
    line = start_from(build(2, classes=2), str(run), ("BOLT", "Nut "))
    assert line.endswith("all classes by name")


def test_no_known_class_leaves_the_layer_new(run: Path):
    detector, fresh = build(2, classes=1), build(2, classes=1)
    assert start_from(detector, str(run), ("cat",)).endswith("class layer new")
    assert torch.equal(detector.head.class_layer.weight, fresh.head.class_layer.weight)


def test_iou_branch_is_new_where_it_sits_elsewhere(run: Path):
    config = TINY.model_copy(update={"shared_iou_convs": 2})
    detector, fresh = build(2, config), build(2, config)
    assert start_from(detector, str(run), NAMES).endswith("IoU branch new")
    for key, value in detector.state_dict().items():
        if "iou" in key:
            assert torch.equal(value, fresh.state_dict()[key])


def test_source_without_iou_branch(tmp_path: Path):
    config = TINY.model_copy(update={"iou_head": False})
    write_run(tmp_path, build(1, config), config)
    assert start_from(build(2), str(tmp_path), NAMES).endswith("IoU branch new")
    assert start_from(build(2, config), str(tmp_path), NAMES).endswith("all classes by name")


def test_other_settings_are_one_line_with_the_remedy(run: Path):
    config = TINY.model_copy(update={"fpn_channels": 16})
    with pytest.raises(CheckpointError) as caught:
        start_from(build(2, config), str(run), NAMES)
    message = str(caught.value)
    assert "needs model.fpn_channels 8, found 16" in message
    assert "--model.fpn_channels 8" in message
    assert "\n" not in message


def test_settings_of_a_run(run: Path):
    settings = model_settings_of(str(run))
    assert settings["backbone"] == "test_efficientnet"
    assert settings["fpn_channels"] == 8
    for name in ("weights", "batch_norm"):  # how it was trained does not matter any more
        assert name not in settings
    assert ModelConfig(**settings).tower_convs == 2  # as it stands: no setting contradicts another


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("torchvision:fcos_resnet50_fpn", "expected torchvision:retinanet_resnet50_fpn or"),
        ("gone", "no such file"),
        ("gone.safetensors", "no such file"),
    ],
)
def test_unknown_source_is_one_line(source: str, message: str):
    for ask in (model_settings_of, lambda s: start_from(build(2), s, NAMES)):
        with pytest.raises(CheckpointError, match=message) as caught:
            ask(source)
        assert "\n" not in str(caught.value)


def test_backbone_file_is_told_where_to_go(tmp_path: Path):
    torch.save({"conv1.weight": torch.ones(1)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"a backbone alone go to --model\.weights FILE"):
        start_from(build(2), str(tmp_path / "w.pth"), NAMES)


def test_folder_without_model(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"a run folder holds model\.safetensors"):
        start_from(build(2), str(tmp_path), NAMES)


def test_wrong_number_of_names(run: Path):
    with pytest.raises(ValueError, match="2 names for a detector of 3"):
        start_from(build(2), str(run), ("a", "b"))


def test_p43_no_network_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def refuse(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(weight_files, "load_state_dict_from_url", refuse)
    with pytest.raises(CheckpointError) as caught:
        start_from(build(2), f"torchvision:{V1}", NAMES)
    message = str(caught.value)
    assert "retinanet_resnet50_fpn_coco-eeacb38b.pth" in message
    assert message.endswith("pass it with --from FILE")
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def torchvision_v1() -> RetinaNet:
    torch.manual_seed(0)
    return detection.retinanet_resnet50_fpn(weights=None, weights_backbone=None).eval()


def test_coco_start_from_a_state_dict_file(tmp_path: Path, torchvision_v1: Any):
    """As published: 91 rows, BatchNorm without counters, names of the first generation."""
    state = {
        old_name(key): value
        for key, value in torchvision_v1.state_dict().items()
        if "num_batches_tracked" not in key
    }
    path = tmp_path / "retinanet.pth"
    torch.save(state, path)
    settings = model_settings_of(str(path))
    assert settings == model_config_for_torchvision(V1)
    detector = Detector(ModelConfig(**settings), 3).eval()
    line = start_from(detector, str(path), ("stop sign", "unicorn", "Traffic-Light"))
    assert "2 of 3 classes by name (stop sign, Traffic-Light), the others new" in line
    assert line.endswith("IoU branch new")

    for module in torchvision_v1.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.0  # as torchvision sets it for its published weights
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        ours = detector(images)
        theirs = torchvision_v1.head(list(torchvision_v1.backbone(images).values()))
    # COCO's ids: stop sign 13, traffic light 10
    logits = theirs["cls_logits"][..., [13, 10]]
    torch.testing.assert_close(ours.class_logits[..., [0, 2]], logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.deltas, theirs["bbox_regression"], rtol=1e-4, atol=1e-4)


def old_name(key: str) -> str:
    """Name a weight as before torchvision put every convolution in a block of its own."""
    parts = key.split(".")
    if "inner_blocks" in key or "layer_blocks" in key:
        return ".".join([*parts[:4], parts[-1]])
    if ".conv." in key and key.startswith("head."):
        return ".".join([*parts[:3], str(2 * int(parts[3])), parts[-1]])
    return key


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        # a ResNet-101 has 23 blocks in its third stage, a ResNet-50 six
        ({"backbone.body.layer3.6.conv1.weight": 1}, r"layer3\.6\.conv1\.weight has no place in"),
        ({"head.regression_head.bbox_reg.bias": 12}, r"3 anchors at a location, expected torchv"),
        ({"head.regression_head.bbox_reg.bias": None}, r"0 anchors at a location, expected torch"),
        ({"head.classification_head.cls_logits.bias": None}, r"class_layer\.weight has 819 rows"),
    ],
)
def test_another_network_of_torchvision_s_names_is_refused(
    tmp_path: Path, torchvision_v1: Any, changed: dict[str, int | None], message: str
) -> None:
    state = {**torchvision_v1.state_dict(), **changed}
    state = {key: value for key, value in state.items() if value is not None}
    state |= {key: torch.zeros(size) for key, size in changed.items() if size}
    torch.save(state, tmp_path / "other.pth")
    detector = Detector(ModelConfig(**model_config_for_torchvision(V1) | {"norm_eps": None}), 3)
    with pytest.raises(CheckpointError, match=message):
        start_from(detector, str(tmp_path / "other.pth"), NAMES)


def test_from_scratch_weights_keep_torch_s_epsilon(tmp_path: Path, torchvision_v1: Any):
    torch.save(torchvision_v1.state_dict(), tmp_path / "own.pth")
    assert model_settings_of(str(tmp_path / "own.pth"))["norm_eps"] is None


def test_unnamed_rows_of_torchvision_are_taken_in_order(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = detection.retinanet_resnet50_fpn(weights=None, weights_backbone=None, num_classes=4)
    torch.nn.init.normal_(theirs.head.classification_head.cls_logits.weight, std=0.3)
    path = tmp_path / "own.pth"
    torch.save(theirs.state_dict(), path)
    settings = model_settings_of(str(path))
    detector = Detector(ModelConfig(**settings), 3)
    line = start_from(detector, str(path), NAMES, all_classes=True)
    assert "all classes by their order, which the file does not name" in line
    rows = theirs.state_dict()["head.classification_head.cls_logits.weight"].unflatten(0, (9, 4))
    ours = detector.state_dict()["head.class_layer.weight"].unflatten(0, (9, 3))
    assert torch.equal(ours, rows[:, 1:])  # the first is the background
    with pytest.raises(
        CheckpointError, match=r"does not know 'bolt', 'nut', and with train\.freeze"
    ):
        start_from(Detector(ModelConfig(**settings), 2), str(path), NAMES[:2], all_classes=True)


def test_classes_that_are_not_learnt_must_be_known(run: Path) -> None:
    names = ("bolt", "screw", "unicorn")
    start_from(build(2), str(run), names)
    with pytest.raises(
        CheckpointError, match=r"does not know 'unicorn', and with train\.freeze"
    ) as e:
        start_from(build(2), str(run), names, all_classes=True)
    assert str(e.value).endswith(f"iouaware train DATA --from {run}")


def test_a_branch_that_is_not_learnt_must_be_there(run: Path) -> None:
    start_from(build(2), str(run), NAMES, iou_branch=True)
    other = build(2, TINY.model_copy(update={"shared_iou_convs": 2}))
    with pytest.raises(
        CheckpointError, match=r"no IoU branch of this shape, and with train\.iou_w"
    ):
        start_from(other, str(run), NAMES, iou_branch=True)


def test_torchvision_rows_are_coco_s_or_unnamed():
    names = torchvision_class_names(91)
    assert (names[1], names[90]) == ("person", "toothbrush")
    # background and the ten ids that COCO never used match nothing
    assert [index for index, name in enumerate(names) if not name] == [
        *(0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
    ]
    assert torchvision_class_names(5) == ("",) * 5


def test_both_generations_are_told_apart():
    key = "head.classification_head.cls_logits.weight"
    group_norm = "head.classification_head.conv.0.1.weight"
    one = torch.ones(1)
    assert name_of_torchvision({key: one}) == V1
    assert name_of_torchvision({key: one, group_norm: one}) == V2
    assert name_of_torchvision({"conv1.weight": one}) is None
    with pytest.raises(CheckpointError, match="has no such weight"):
        rename_torchvision({"head.mask_head.conv.0.weight": one})


def test_a_second_look_is_added_to_weights_that_have_none(run: Path) -> None:
    settings = {**model_settings_of(str(run)), "second_look": True}
    detector = build(2, ModelConfig(**settings))
    before = {k: v.clone() for k, v in detector.state_dict().items()}
    told = start_from(detector, str(run), NAMES)
    assert told.endswith("all classes by name, second look new")
    state = detector.state_dict()
    for key in state:
        taken = not torch.equal(state[key], before[key])
        assert not (taken and key.startswith("second_look.")), key
    assert torch.equal(state["head.class_layer.weight"], build(1).head.class_layer.weight)


def test_a_second_look_is_taken_over_with_the_same_classes_only(tmp_path: Path) -> None:
    looking = TINY.model_copy(update={"second_look": True})
    source = build(1, looking)
    write_run(tmp_path, source, looking)
    same, others = build(2, looking), build(2, looking)
    assert "second look" not in start_from(same, str(tmp_path), NAMES)
    assert source.second_look is not None
    assert same.second_look is not None
    assert torch.equal(same.second_look.hidden.weight, source.second_look.hidden.weight)
    assert "second look new" in start_from(others, str(tmp_path), ("bolt", "nut", "washer"))
