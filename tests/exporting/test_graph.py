"""The module before it is exported: torch runs it too, and every number can be compared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from iouaware.anchors import STRIDES, build_anchors, level_sizes
from iouaware.config import InferenceConfig
from iouaware.exporting import graph
from iouaware.exporting.graph import (
    BakedGraph,
    CandidateGraph,
    DetectionGraph,
    build_grid,
    clip_to_pictures,
    fuse,
)
from iouaware.exporting.padding import fix_padding
from iouaware.exporting.parity import Differences, FoundBoxes, detections_of
from iouaware.exporting.suppression import keep_best, keep_best_by_arithmetic
from iouaware.inference.exported_backend import build_candidates
from iouaware.inference.postprocess import select_detections
from iouaware.inference.scoring import fuse_scores
from iouaware.inference.torch_backend import TorchBackend
from iouaware.model import distinct
from iouaware.model.detector import Detector
from iouaware.model.distinct import LOOKS, pick_distinct
from iouaware.structures import Candidates, Frame
from tests.exporting.conftest import CONFIG, build_tiny, draw

FILL = (128, 128, 128)


def run(
    detector: Detector, settings: InferenceConfig, alpha: float, has_iou: bool = True, **given: int
) -> tuple[dict[str, np.ndarray], TorchBackend, np.ndarray, list[Frame]]:
    """Run the graph on drawn canvases; return what it gives, and what the backend needs."""
    canvases, frames = draw(given.get("count", 3), given.get("size", 96))
    whole = DetectionGraph(CandidateGraph(detector, settings, has_iou))
    images = torch.from_numpy(canvases).permute(0, 3, 1, 2).contiguous()
    with torch.inference_mode():
        found = whole(images, torch.tensor(alpha), torch.tensor(0.0))
    arrays = {name: value.numpy() for name, value in found.items()}
    return arrays, TorchBackend(detector, settings, has_iou=has_iou), canvases, frames


@pytest.mark.parametrize("geometry", ["plain", "torchvision"])
@pytest.mark.parametrize("second_look", [False, True])
@pytest.mark.parametrize("classes", [1, 4, 80])
def test_p38_graph_gives_the_candidates_and_detections_of_the_backend(
    classes: int, geometry: str, second_look: bool
) -> None:
    detector = build_tiny(classes, geometry=geometry, second_look=second_look)
    # no cut: at alpha 0 all classes of an anchor are tied, and torch's topk takes any of them
    settings = CONFIG.inference.model_copy(update={"max_detections": 2000})
    for alpha in (0.0, 0.5, 1.0):
        found, backend, canvases, frames = run(detector, settings, alpha)
        for row, expected in enumerate(backend.compute_candidates(canvases, frames)):
            assert_same(build_candidates(found, row, frames[row]), expected)
            assert expected.predicted_iou is not None
            kept, scores = select_detections(expected, alpha, settings)
            iou = expected.predicted_iou[kept]
            ours = FoundBoxes(expected.boxes[kept], expected.labels[kept], scores, iou)
            differences = Differences(least_iou=0.9)
            differences.add(ours, detections_of(found, row))
            summary = differences.summary()
            assert summary["boxes"] == 2 * len(kept) > 0
            assert summary["unmatched"] == 0
            assert summary["box_px_max"] < 1e-3
            assert max(summary["score_max"], summary["predicted_iou_max"]) < 1e-5


def assert_same(one: Candidates, other: Candidates) -> None:
    """Compare as sets: scores that differ in the last digit come in either order."""
    first, second = (np.lexsort((found.labels, found.anchor_index)) for found in (one, other))
    np.testing.assert_array_equal(one.anchor_index[first], other.anchor_index[second])
    np.testing.assert_array_equal(one.labels[first], other.labels[second])
    np.testing.assert_allclose(one.boxes[first], other.boxes[second], atol=1e-3)
    np.testing.assert_allclose(one.class_scores[first], other.class_scores[second], atol=1e-5)
    assert one.predicted_iou is not None
    assert other.predicted_iou is not None
    np.testing.assert_allclose(one.predicted_iou[first], other.predicted_iou[second], atol=1e-5)


@pytest.mark.parametrize("has_nms", [False, True])
@pytest.mark.parametrize("alike", [0.3, 0.9])
def test_copies_are_told_as_in_the_backend(
    has_nms: bool, alike: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (graph, distinct):
        monkeypatch.setattr(module, "ALIKE", alike)
    detector = build_tiny()
    canvases, frames = draw(3, 96)
    candidates = CandidateGraph(detector, CONFIG.inference, has_iou=True, has_nms=has_nms)
    with torch.inference_mode():
        found = candidates(torch.from_numpy(canvases).permute(0, 3, 1, 2).contiguous())
    arrays = {name: value.numpy() for name, value in found.items()}
    backend = TorchBackend(detector, CONFIG.inference)
    for row, expected in enumerate(backend.compute_candidates(canvases, frames)):
        few = len(pick_distinct(torch.from_numpy(expected.boxes))) < LOOKS
        assert few == (alike == 0.3)
        assert_same(build_candidates(arrays, row, frames[row]), expected)


@pytest.mark.parametrize("threshold", [0.3, 0.9])
def test_nms_written_out_keeps_the_same(threshold: float) -> None:
    generator = torch.Generator().manual_seed(0)
    corners = 40 * torch.rand(2, 500, 2, generator=generator)  # crowded: chains of many boxes
    boxes = torch.cat([corners, corners + 60], dim=2)
    falling = torch.arange(500, 0, -1).float().expand(2, 1, -1)
    kept = keep_best_by_arithmetic(boxes, threshold)
    assert torch.equal(kept, keep_best(boxes, falling, threshold, 500, 0.0))
    assert 2 < kept.sum() < 500


def test_lists_that_are_shorter_are_padded_with_label_minus_one() -> None:
    settings = InferenceConfig(p_floor=0.95, max_detections=300)
    found, backend, canvases, frames = run(build_tiny(), settings, 0.5)
    for row, expected in enumerate(backend.compute_candidates(canvases, frames)):
        absent = found["candidate_labels"][row] < 0
        assert absent.sum() == len(absent) - len(expected) > 0
        for name in ("candidate_boxes", "candidate_class_scores", "candidate_predicted_iou"):
            assert not found[name][row][absent].any()
    hidden = found["labels"] < 0
    assert hidden.any()
    for name in ("boxes", "scores", "class_scores", "predicted_iou"):
        assert not found[name][hidden].any()


def test_a_picture_without_anything_gives_no_detections() -> None:
    found, *_ = run(build_tiny(), InferenceConfig(p_floor=0.999999), 0.5)
    for name in ("labels", "candidate_labels"):
        assert (found[name] == -1).all()


def test_a_model_without_an_iou_branch_ranks_by_p_whatever_alpha_is() -> None:
    detector = build_tiny(iou_head=False)
    found, backend, canvases, frames = run(detector, CONFIG.inference, 0.0, has_iou=False)
    assert "predicted_iou" not in found
    for row, expected in enumerate(backend.compute_candidates(canvases, frames)):
        kept, scores = select_detections(expected, 1.0, CONFIG.inference)
        np.testing.assert_allclose(found["scores"][row][: len(kept)], scores, rtol=1e-5)


def test_across_classes_and_few_candidates() -> None:
    settings = InferenceConfig(
        nms_across_classes=True, candidates_per_level=30, candidates_per_image=40, max_detections=7
    )
    found, backend, canvases, frames = run(build_tiny(), settings, 0.5)
    assert found["candidate_boxes"].shape == (3, 40, 4)
    for row, expected in enumerate(backend.compute_candidates(canvases, frames)):
        kept, scores = select_detections(expected, 0.5, settings)
        np.testing.assert_allclose(found["scores"][row][: len(kept)], scores, rtol=1e-5)


def test_threshold_hides_what_lies_below_it_and_baking_changes_nothing() -> None:
    graph = DetectionGraph(CandidateGraph(build_tiny(), CONFIG.inference, True))
    images = torch.from_numpy(draw(2)[0]).permute(0, 3, 1, 2)
    with torch.inference_mode():
        everything = graph(images, torch.tensor(0.5), torch.tensor(0.0))
        threshold = float(everything["scores"].median())
        some = graph(images, torch.tensor(0.5), torch.tensor(threshold))
        baked = BakedGraph(graph, 0.5, threshold)(images)
    shown = everything["scores"] >= threshold
    assert 0 < shown.sum() < shown.numel()
    assert torch.equal(some["labels"] >= 0, shown)
    assert torch.equal(some["boxes"][shown], everything["boxes"][shown])
    assert list(baked) == list(some)
    assert all(torch.equal(baked[name], some[name]) for name in some)


@pytest.mark.parametrize("geometry", ["plain", "torchvision"])
def test_grid_is_the_anchors(geometry: str) -> None:
    canvas_hw = (96, 160)
    images = torch.zeros(1, 3, *canvas_hw)
    levels = [torch.zeros(1, 1, -(-96 // s), -(-160 // s)) for s in STRIDES]
    parts = [
        build_grid(level, stride, images, geometry)  # type: ignore[arg-type]
        for level, stride in zip(levels, STRIDES, strict=True)
    ]
    assert [len(part) for part in parts] == list(level_sizes(canvas_hw))
    anchors = build_anchors(canvas_hw, geometry)
    np.testing.assert_array_equal(torch.cat(parts).numpy(), anchors)


def test_boxes_are_clipped_to_the_picture_which_is_read_off_the_canvas() -> None:
    canvases, frames = draw(5)
    boxes = torch.tensor([[-5.0, -5.0, 500.0, 500.0]]).repeat(5, 1, 1)
    clipped = clip_to_pictures(boxes, torch.from_numpy(canvases).permute(0, 3, 1, 2), FILL)
    expected = [[0, 0, frame.resized_hw[1], frame.resized_hw[0]] for frame in frames]
    assert clipped[:, 0].tolist() == expected
    # a canvas of nothing but padding has no end to find: the whole of it counts
    empty = torch.full((1, 3, 64, 32), 128, dtype=torch.uint8)
    assert clip_to_pictures(boxes[:1], empty, FILL)[0, 0].tolist() == [0, 0, 32, 64]


def test_fusion_is_that_of_scoring_at_the_ends_too() -> None:
    p = torch.tensor([0.0, 0.0, 0.3, 0.9, 1.0])
    iou = torch.tensor([0.0, 0.5, 0.0, 0.7, 1.0])
    for alpha in (0.0, 0.3, 0.5, 1.0):
        ours = fuse(p, iou, torch.tensor(alpha))
        torch.testing.assert_close(ours, fuse_scores(p, iou, alpha), rtol=1e-6, atol=0)


def keep(boxes: Tensor, scores: Tensor, most: int = 100) -> list[list[float]]:
    kept: list[list[float]] = keep_best(boxes, scores, 0.5, most, -0.5).tolist()
    return kept


def test_suppression_by_hand() -> None:
    # the second overlaps the first by 9/11, the third touches neither
    boxes = torch.tensor([[[0, 0, 10, 10], [0, 1, 10, 11], [50, 50, 60, 60]]]).float()
    assert keep(boxes, torch.tensor([[[0.8, 0.9, 0.1]]])) == [[0, 1, 1]]
    # of equal scores the first stays
    assert keep(boxes, torch.tensor([[[0.8, 0.8, 0.8]]])) == [[1, 0, 1]]
    # in groups of their own both stay; at most one of each group
    apart = torch.tensor([[[0.8, -1, 0.7], [-1, 0.9, -1]]])
    assert keep(boxes, apart) == [[1, 1, 1]]
    assert keep(boxes, apart, 1) == [[1, 1, 0]]
    # a score of 0 takes part, an absent one does not
    assert keep(boxes, torch.tensor([[[0.0, -1, -1]]])) == [[1, 0, 0]]


def test_fixed_padding_is_what_timm_works_out() -> None:
    torch.manual_seed(0)
    plain = Detector(
        CONFIG.model.model_copy(update={"backbone": "tf_efficientnet_lite0"}), 1, mean=(0.5,) * 3
    ).eval()
    for size in ((64, 96), (96, 64)):
        images = torch.randn(1, 3, *size)
        with torch.inference_mode():
            before = plain.backbone(images)
        fixed = build_tiny(1, backbone="tf_efficientnet_lite0")
        fixed.load_state_dict(plain.state_dict())
        fix_padding(fixed.backbone)
        with torch.inference_mode():
            after = fixed.backbone(images)
        assert not any("Same" in type(module).__name__ for module in fixed.modules())
        for one, other in zip(before, after, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
