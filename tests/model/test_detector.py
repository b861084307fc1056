from __future__ import annotations

import copy
import pickle
import socket
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from iouaware.anchors import build_anchors, level_sizes
from iouaware.boxes import decode_boxes
from iouaware.config import ModelConfig
from iouaware.model.detector import Detector
from iouaware.structures import HeadOutputs

TINY = ModelConfig(
    backbone="test_efficientnet",
    weights="none",
    fpn_channels=8,
    tower_convs=2,
    shared_iou_convs=1,
    box_stds=(0.1, 0.1, 0.2, 0.2),
)


@pytest.fixture
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(TINY, 3)


def assert_close(first: HeadOutputs, second: HeadOutputs, tolerance: float) -> None:
    for one, other in zip(first[:3], second[:3], strict=True):
        assert isinstance(one, Tensor)
        assert isinstance(other, Tensor)
        torch.testing.assert_close(one.float(), other.float(), rtol=tolerance, atol=tolerance)


def test_outputs_and_their_shapes(detector: Detector):
    outputs = detector(torch.rand(2, 3, 64, 96))
    anchors = build_anchors((64, 96))
    assert outputs.class_logits.shape == (2, len(anchors), 3)
    assert outputs.deltas.shape == (2, len(anchors), 4)
    assert outputs.iou_logits.shape == (2, len(anchors))
    assert outputs.level_sizes == level_sizes((64, 96))
    np.testing.assert_array_equal(outputs.anchors.numpy(), anchors)


def test_same_outputs_in_training_and_evaluation(detector: Detector):
    images = torch.rand(2, 3, 64, 64)
    new, evaluation, train = detector(images), detector.eval()(images), detector.train()(images)
    for outputs in (new, train):
        assert torch.equal(outputs.class_logits, evaluation.class_logits)
        assert torch.equal(outputs.deltas, evaluation.deltas)


def test_normalise_by_hand():
    detector = Detector(TINY, 1, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    images = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    # (0 - 0.5) / 0.5, (1 - 0.25) / 0.25, (0.2 - 0) / 1
    found = detector.normalise(images)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[0, :, 1, 1], torch.tensor([-1.0, 3.0, 0.2]))


def test_decode_uses_stds_and_geometry(detector: Detector):
    outputs = detector(torch.rand(1, 3, 64, 64))
    wild = outputs._replace(deltas=torch.randn_like(outputs.deltas) * 30)
    expected = decode_boxes(wild.deltas, wild.anchors, TINY.box_stds, clamp_below=True)
    assert torch.equal(detector.decode(wild), expected)

    like_torchvision = Detector(TINY.model_copy(update={"geometry": "torchvision"}), 3)
    expected = decode_boxes(wild.deltas, wild.anchors, TINY.box_stds, clamp_below=False)
    assert torch.equal(like_torchvision.decode(wild), expected)
    found = like_torchvision(torch.rand(1, 3, 64, 64)).anchors.numpy()
    np.testing.assert_array_equal(found, build_anchors((64, 64), "torchvision"))


def test_p09_boxes_are_float32_under_autocast(detector: Detector):
    images = torch.rand(1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = detector(images)
        assert outputs.deltas.dtype == torch.bfloat16
        assert outputs.anchors.dtype == torch.float32
        assert detector.decode(outputs).dtype == torch.float32
    assert_close(outputs, detector(images), 0.05)


def test_alone_and_in_a_batch_of_eight(detector: Detector):
    images = torch.rand(8, 3, 64, 96)
    together = detector(images)
    for index in range(8):
        alone = detector(images[index : index + 1])
        boxes, box = detector.decode(together)[index], detector.decode(alone)[0]
        torch.testing.assert_close(box, boxes, rtol=0, atol=1e-3)  # px
        torch.testing.assert_close(
            alone.class_logits[0].sigmoid(),
            together.class_logits[index].sigmoid(),
            rtol=0,
            atol=1e-6,
        )


def test_channels_last_gives_the_same(detector: Detector):
    images = torch.rand(2, 3, 64, 64)
    expected = detector(images)
    detector.to(memory_format=torch.channels_last)
    assert_close(detector(images.to(memory_format=torch.channels_last)), expected, 1e-5)


@pytest.mark.slow
def test_compiled_gives_the_same_and_keeps_its_names(detector: Detector):
    images = torch.rand(1, 3, 64, 64)
    expected = detector(images)
    names = list(detector.state_dict())
    # no C++ compiler needed: this backend traces and runs the graph as it is
    detector.compile(backend="eager")
    assert_close(detector(images), expected, 1e-6)
    other = detector(torch.rand(1, 3, 96, 64))
    assert other.level_sizes == level_sizes((96, 64))
    assert list(detector.state_dict()) == names


def test_every_learning_parameter_gets_a_gradient(detector: Detector):
    """DistributedDataParallel waits for ever for one that does not."""
    outputs = detector.train()(torch.rand(1, 3, 64, 64))
    sum(output.sum() for output in outputs[:3]).backward()
    without = [n for n, p in detector.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    frozen = [n for n, p in detector.named_parameters() if not p.requires_grad]
    assert frozen
    assert all(name.startswith("backbone.network.") for name in frozen)


def test_anchors_built_in_inference_mode_serve_training(detector: Detector):
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        detector(images)
    outputs = detector(images)
    assert not outputs.anchors.is_inference()  # autograd refuses to save such tensors
    detector.decode(outputs).sum().backward()
    gradient = detector.head.box_layer.weight.grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()


def test_p22_average_copies_buffers_whatever_the_canvas(detector: Detector):
    average: Any = AveragedModel(detector)
    detector(torch.rand(1, 3, 96, 64))  # anchors are no buffers, which must be of one size
    norm = detector.backbone.batch_norms()[0]
    assert norm.running_mean is not None
    norm.running_mean.fill_(7)
    average.update_parameters(detector)
    assert average.module.backbone.batch_norms()[0].running_mean.eq(7).all()
    assert average.module(torch.rand(1, 3, 64, 64)).level_sizes == level_sizes((64, 64))


# torch 2.4 warns of the torch.load with which it unpickles a tensor itself
@pytest.mark.filterwarnings("ignore:You are using `torch.load`:FutureWarning")
def test_copy_and_pickle(detector: Detector):
    images = torch.rand(1, 3, 64, 64)
    expected = detector(images).class_logits
    assert torch.equal(copy.deepcopy(detector)(images).class_logits, expected)
    assert torch.equal(pickle.loads(pickle.dumps(detector))(images).class_logits, expected)  # noqa: S301 (our own bytes)


def test_p43_building_needs_no_network(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked for something")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for backbone in ("resnet18", "tf_efficientnet_lite0"):
        Detector(TINY.model_copy(update={"backbone": backbone, "weights": "auto"}), 2)


def test_without_iou_branch():
    detector = Detector(TINY.model_copy(update={"iou_head": False}), 3)
    assert detector(torch.rand(1, 3, 64, 64)).iou_logits is None


def test_canvas_that_does_not_divide_is_refused(detector: Detector):
    with pytest.raises(ValueError, match=r"images are 64 x 80 px, expected multiples of 32"):
        detector(torch.rand(1, 3, 64, 80))
    with pytest.raises(ValueError, match="num_classes is 0"):
        Detector(TINY, 0)


def test_no_pictures(detector: Detector):
    outputs = detector(torch.rand(0, 3, 64, 64))
    assert outputs.class_logits.shape == (0, len(outputs.anchors), 3)
    assert detector.decode(outputs).shape == (0, len(outputs.anchors), 4)
