"""The whole RetinaNet against torchvision's, with the same random weights and its own settings.

Our network runs with ``model_config_for_torchvision`` and the post-processing with torchvision's
numbers, at alpha 1. torchvision's own resize to 800 px is bypassed: both get the same tensor.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.image_list import ImageList

from iouaware.config import InferenceConfig, ModelConfig
from iouaware.inference.candidates import candidates_from_outputs
from iouaware.inference.postprocess import select_detections
from iouaware.model.detector import Detector
from iouaware.model.torchvision_names import (
    V1,
    V2,
    model_config_for_torchvision,
    rename_torchvision,
)
from iouaware.structures import Frame, HeadOutputs

# P6 has 3 x 4 cells here: torchvision's stride is then 160 // 3 = 53 px by 224 // 4 = 56, not 64
CANVAS_HW = (160, 224)
# the first picture fills the canvas, the second is padded right and bottom
PICTURES_HW = [(160, 224), (131, 203)]
COCO_ROWS = 91
SETTINGS = InferenceConfig(
    p_floor=0.05,
    candidates_per_level=1000,
    candidates_per_image=10**9,
    nms_iou=0.5,
    max_detections=300,
)


class Pair(NamedTuple):
    theirs: Any
    ours: Detector
    their_outputs: dict[str, Tensor]
    their_anchors: Tensor
    their_sizes: list[int]
    our_outputs: HeadOutputs


@pytest.fixture(scope="module", params=[V1, V2])
def pair(request: pytest.FixtureRequest) -> Pair:
    name = request.param
    torch.manual_seed(0)
    theirs: Any = getattr(detection, name)(weights=None, weights_backbone=None).eval()
    settings = model_config_for_torchvision(name)
    _spread_norms(theirs, norm_eps=settings["norm_eps"])
    images = torch.randn(2, 3, *CANVAS_HW)
    with torch.no_grad():
        body = theirs.backbone.body(images)
        _even_levels(theirs.backbone.fpn, body)
        features = list(theirs.backbone.fpn(body).values())
        _spread_head(theirs.head, features)
        outputs = theirs.head(features)
        (anchors, _) = theirs.anchor_generator(ImageList(images, PICTURES_HW), features)

    ours = Detector(ModelConfig(**settings), COCO_ROWS).eval()
    missing = ours.load_state_dict(rename_torchvision(theirs.state_dict()), strict=False)
    assert missing.unexpected_keys == []
    assert set(missing.missing_keys) == {"head.iou_layer.weight", "head.iou_layer.bias"}
    with torch.no_grad():
        our_outputs = ours(images)
    sizes = [9 * level.shape[2] * level.shape[3] for level in features]
    return Pair(theirs, ours, outputs, anchors, sizes, our_outputs)


def _spread_norms(model: nn.Module, norm_eps: float | None) -> None:
    """Give every norm layer statistics and weights that are not 0 and 1."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.empty(module.num_features).uniform_(-0.1, 0.1)
            module.running_var = torch.empty(module.num_features).uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.3, 0.6)
            nn.init.uniform_(module.bias, -0.1, 0.1)
            module.eps = module.eps if norm_eps is None else norm_eps
        elif isinstance(module, nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.uniform_(module.bias, -0.1, 0.1)


def _even_levels(pyramid: Any, features: dict[str, Tensor]) -> None:
    """Scale the levels up to P3, or no box of P6 and P7 would ever pass the floor."""
    border_loss = (1, 1, 1, 2, 8)  # a map of 2 x 2 cells is mostly border, and padded with zeros
    convs = [block[0] for block in pyramid.layer_blocks]
    convs += [pyramid.extra_blocks.p6, pyramid.extra_blocks.p7]
    for level in range(1, len(convs)):
        spread = [float(feature.std()) for feature in pyramid(dict(features)).values()]
        convs[level].weight.mul_(spread[0] * border_loss[level] / spread[level])


def _spread_head(head: Any, features: list[Tensor]) -> None:
    """Scale the last layers until logits and deltas spread: at the start no box would come out."""
    outputs = head(features)
    logits, deltas = outputs["cls_logits"], outputs["bbox_regression"]
    head.classification_head.cls_logits.weight.mul_(1.2 / logits.std())
    spread = torch.tensor([0.4, 0.4, 2.2, 2.2]) / deltas.std(dim=(0, 1))
    head.regression_head.bbox_reg.weight.mul_(spread.repeat(9)[:, None, None, None])


def test_raw_outputs_and_anchors_agree(pair: Pair):
    ours, theirs = pair.our_outputs, pair.their_outputs
    assert ours.level_sizes == tuple(pair.their_sizes)
    assert torch.equal(ours.anchors, pair.their_anchors)
    torch.testing.assert_close(ours.class_logits, theirs["cls_logits"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.deltas, theirs["bbox_regression"], rtol=1e-4, atol=1e-4)


def test_same_boxes_classes_and_scores_at_alpha_1(pair: Pair):
    theirs = pair.theirs.postprocess_detections(
        {
            key: list(value.split(pair.their_sizes, dim=1))
            for key, value in pair.their_outputs.items()
        },
        [list(pair.their_anchors.split(pair.their_sizes))] * 2,
        PICTURES_HW,
    )
    config = pair.ours.config
    candidates = candidates_from_outputs(
        pair.our_outputs,
        [Frame(hw, hw, CANVAS_HW) for hw in PICTURES_HW],
        SETTINGS,
        config.box_stds,
        clamp_below=config.geometry == "plain",
    )
    for found, expected in zip(candidates, theirs, strict=True):
        index, scores = select_detections(found, 1.0, SETTINGS)
        assert len(index) >= 100
        _assert_same_set(
            (found.boxes[index], found.labels[index], scores),
            tuple(expected[key].numpy() for key in ("boxes", "labels", "scores")),
        )


def _assert_same_set(ours: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> None:
    """Every detection has one partner: same class, score to 1e-4, corners to 1e-4 or 1e-3 px."""
    assert len(ours[0]) == len(theirs[0])
    free = np.ones(len(ours[0]), bool)
    for box, label, score in zip(*theirs, strict=True):
        near = np.abs(ours[0] - box) <= np.maximum(1e-3, 1e-4 * np.abs(box))
        fits = free & near.all(axis=1) & (ours[1] == label) & (np.abs(ours[2] - score) <= 1e-4)
        assert fits.any(), f"no partner for class {label}, score {score}, box {box}"
        free[np.flatnonzero(fits)[0]] = False


def test_the_comparison_reaches_both_clamps_and_every_level(pair: Pair):
    """Guards the two tests above: they would prove little if these cases did not occur."""
    growth = pair.their_outputs["bbox_regression"][..., 2:]
    assert growth.max() > 4.2  # beyond log(1000 / 16) = 4.135, where both sides clamp
    assert growth.min() < -4.2  # where only the plain geometry clamps
    levels = pair.their_outputs["cls_logits"].sigmoid().split(pair.their_sizes, dim=1)
    above = [int((level[0] > SETTINGS.p_floor).sum()) for level in levels]
    assert min(above) > 0
    assert max(above) > SETTINGS.candidates_per_level
