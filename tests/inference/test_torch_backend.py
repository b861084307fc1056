import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from iouaware.anchors import build_anchors, level_sizes
from iouaware.boxes import box_area, decode_boxes, pairwise_iou
from iouaware.config import InferenceConfig
from iouaware.images import resize_to_canvas
from iouaware.inference.candidates import (
    candidates_from_outputs,
    paper_candidates_from_outputs,
)
from iouaware.inference.nms import suppress
from iouaware.inference.postprocess import select_detections, select_paper_detections
from iouaware.inference.predictor import Predictor
from iouaware.inference.torch_backend import TorchBackend
from iouaware.model import distinct
from iouaware.structures import Frame, HeadOutputs, ImageArray
from tests.inference.conftest import CONFIG, build_detector

CANVAS = (64, 64)
FRAME = Frame((128, 80), (64, 40), CANVAS)
SIZES = level_sizes(CANVAS)
ANCHORS = torch.tensor(build_anchors(CANVAS))
CLASSES = 3


def draw_outputs(seed: int = 0, images: int = 1, with_iou: bool = True) -> HeadOutputs:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(images, len(ANCHORS), *shape, generator=generator)

    iou_logits = normal() if with_iou else None
    return HeadOutputs(2 * normal(CLASSES) - 2, 0.5 * normal(4), iou_logits, ANCHORS, SIZES)


def test_candidates_are_what_a_plain_loop_finds() -> None:
    outputs = draw_outputs()
    settings = InferenceConfig(p_floor=0.2, candidates_per_level=40, candidates_per_image=90)
    stds = (0.1, 0.1, 0.2, 0.2)
    (found,) = candidates_from_outputs(outputs, [FRAME], settings, stds)

    p = outputs.class_logits[0].sigmoid().numpy()  # [A, K]
    chosen = []
    for start, size in zip(np.cumsum((0, *SIZES))[:-1], SIZES, strict=True):
        level = [(-p[a, k], a, k) for a in range(start, start + size) for k in range(CLASSES)]
        chosen += [pair for pair in sorted(level)[:40] if -pair[0] > 0.2]
    chosen = sorted(chosen)[:90]
    anchors = np.array([a for _, a, _ in chosen])
    assert len(found) == 90
    np.testing.assert_array_equal(found.anchor_index, anchors)
    np.testing.assert_array_equal(found.labels, [k for _, _, k in chosen])
    np.testing.assert_allclose(found.class_scores, [-score for score, _, _ in chosen], rtol=1e-6)
    boxes = decode_boxes(outputs.deltas[0, anchors], ANCHORS[anchors], stds).numpy()
    boxes = np.clip(boxes, 0, [40, 64, 40, 64])  # the resized picture, not the canvas
    np.testing.assert_allclose(found.boxes, boxes, atol=1e-4)
    assert outputs.iou_logits is not None
    assert found.predicted_iou is not None
    np.testing.assert_allclose(
        found.predicted_iou, outputs.iou_logits[0, anchors].sigmoid().numpy(), rtol=1e-6
    )
    assert found.frame is FRAME
    assert found.boxes.dtype == found.class_scores.dtype == np.float32
    assert found.labels.dtype == found.anchor_index.dtype == np.int64


def test_equal_scores_are_sorted_by_anchor_and_class() -> None:
    outputs = draw_outputs()._replace(class_logits=torch.zeros(1, len(ANCHORS), CLASSES))
    settings = InferenceConfig(candidates_per_image=10**6, candidates_per_level=10**6)
    (found,) = candidates_from_outputs(outputs, [FRAME], settings)
    pairs = found.anchor_index * CLASSES + found.labels
    np.testing.assert_array_equal(pairs, np.arange(len(ANCHORS) * CLASSES))


def test_the_floor_is_on_p_and_above_it_is_meant() -> None:
    logits = torch.full((1, len(ANCHORS), CLASSES), -20.0)
    logits[0, 5, 1], logits[0, 7, 2] = 0.0, 0.1  # p = 0.5 and 0.525
    outputs = draw_outputs()._replace(class_logits=logits)
    (found,) = candidates_from_outputs(outputs, [FRAME], InferenceConfig(p_floor=0.5))
    assert found.anchor_index.tolist() == [7]
    assert found.labels.tolist() == [2]


def test_each_image_of_a_batch_stands_alone() -> None:
    outputs = draw_outputs(images=3)
    frames = [FRAME, Frame((64, 64), (64, 64), CANVAS), Frame((10, 20), (32, 64), CANVAS)]
    settings = InferenceConfig()
    together = candidates_from_outputs(outputs, frames, settings)
    for row, frame in enumerate(frames):
        part = outputs._replace(
            class_logits=outputs.class_logits[row : row + 1],
            deltas=outputs.deltas[row : row + 1],
            iou_logits=None if outputs.iou_logits is None else outputs.iou_logits[row : row + 1],
        )
        (alone,) = candidates_from_outputs(part, [frame], settings)
        np.testing.assert_array_equal(alone.boxes, together[row].boxes)
        np.testing.assert_array_equal(alone.anchor_index, together[row].anchor_index)


def test_no_candidates_and_no_iou_branch() -> None:
    outputs = draw_outputs(with_iou=False)
    (found,) = candidates_from_outputs(outputs, [FRAME], InferenceConfig())
    assert len(found)
    assert found.predicted_iou is None
    (untrained,) = candidates_from_outputs(
        draw_outputs(), [FRAME], InferenceConfig(), has_iou=False
    )
    assert untrained.predicted_iou is None
    silent = draw_outputs()._replace(class_logits=torch.full((1, len(ANCHORS), CLASSES), -20.0))
    (nothing,) = candidates_from_outputs(silent, [FRAME], InferenceConfig())
    assert len(nothing) == 0
    assert nothing.boxes.shape == (0, 4)
    (nothing,) = paper_candidates_from_outputs(silent, [FRAME], InferenceConfig(), 0.9)
    assert len(nothing) == 0


def test_half_precision_outputs_are_worked_on_in_float32() -> None:
    outputs = draw_outputs()
    half = HeadOutputs(
        outputs.class_logits.bfloat16(), outputs.deltas.bfloat16(), None, ANCHORS, SIZES
    )
    (found,) = candidates_from_outputs(half, [FRAME], InferenceConfig())
    back = half._replace(class_logits=half.class_logits.float(), deltas=half.deltas.float())
    (expected,) = candidates_from_outputs(back, [FRAME], InferenceConfig())
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.class_scores, expected.class_scores)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_paper_order_is_what_a_plain_loop_finds(alpha: float) -> None:
    outputs = draw_outputs(seed=3)
    settings = InferenceConfig(candidates_per_level=15, p_floor=0.9)  # the floor must not count
    (found,) = paper_candidates_from_outputs(outputs, [FRAME], settings, alpha)
    assert outputs.iou_logits is not None
    p = outputs.class_logits[0].sigmoid().numpy()
    fused = p**alpha * outputs.iou_logits[0].sigmoid().numpy()[:, None] ** (1 - alpha)
    expected = set()
    for start, size in zip(np.cumsum((0, *SIZES))[:-1], SIZES, strict=True):
        anchors = sorted(range(start, start + size), key=lambda a: -fused[a].max())[:15]
        expected |= {(a, k) for a in anchors for k in range(CLASSES) if fused[a, k] > 0.05}
    assert set(zip(found.anchor_index.tolist(), found.labels.tolist(), strict=True)) == expected
    assert (np.diff(found.class_scores) <= 0).all()
    _, scores = select_paper_detections(found, alpha, settings)
    assert (scores > 0.05).all()


def test_both_orders_agree_where_neither_cuts_anything_off() -> None:
    # at alpha 1 both rank by p; 0.05 as the floor, and room for all
    outputs = draw_outputs(seed=4)
    settings = InferenceConfig(p_floor=0.05, candidates_per_level=10**6, candidates_per_image=10**6)
    (plain,) = candidates_from_outputs(outputs, [FRAME], settings)
    (paper,) = paper_candidates_from_outputs(outputs, [FRAME], settings, 1.0)
    np.testing.assert_array_equal(plain.boxes, paper.boxes)
    ours, theirs = (
        select_detections(plain, 1.0, settings),
        select_paper_detections(paper, 1.0, settings),
    )
    np.testing.assert_array_equal(ours[0], theirs[0])


def test_predictions_alone_and_in_a_batch_of_eight_are_the_same(
    images: list[ImageArray],
) -> None:
    backend = TorchBackend(build_detector(), InferenceConfig(p_floor=0.3))
    pairs = [resize_to_canvas(image, 96, (128, 128, 128)) for image in images]
    canvases, frames = np.stack([canvas for canvas, _ in pairs]), [frame for _, frame in pairs]
    together = backend.compute_candidates(canvases, frames)
    for row, frame in enumerate(frames):
        (alone,) = backend.compute_candidates(canvases[row : row + 1], [frame])
        assert len(alone) == len(together[row])
        order = [np.lexsort((c.labels, c.anchor_index)) for c in (alone, together[row])]
        for name in ("boxes", "class_scores", "predicted_iou"):
            first, second = getattr(alone, name)[order[0]], getattr(together[row], name)[order[1]]
            np.testing.assert_allclose(first, second, atol=1e-3 if name == "boxes" else 1e-5)


@pytest.mark.parametrize("geometry", ["plain", "torchvision"])
def test_backend_takes_the_decoding_from_the_detector(geometry: str) -> None:
    detector = build_detector(geometry=geometry, box_stds=(0.1, 0.1, 0.2, 0.2))
    bias = detector.head.box_layer.bias
    assert bias is not None
    with torch.no_grad():  # widths shrink by exp(-6), beyond the bound of the plain geometry
        bias[2::4] = -30
    backend = TorchBackend(detector, CONFIG.inference)
    canvas = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3), dtype=np.uint8)
    frame = Frame((96, 96), (96, 96), (96, 96))
    (found,) = backend.compute_candidates(canvas, [frame])
    with torch.inference_mode():
        images = detector.normalise(torch.tensor(canvas).permute(0, 3, 1, 2))
        boxes = detector.decode(detector(images))[0, found.anchor_index]
    np.testing.assert_allclose(found.boxes, boxes.clamp(0, 96).numpy(), atol=1e-4)
    # the smallest anchors are 23 px wide, and 23 / 62.5 = 0.36
    width = (boxes[:, 2] - boxes[:, 0]).min()
    assert (width > 0.3) == (geometry == "plain")
    assert not detector.training


def test_wrong_canvases_are_refused() -> None:
    backend = TorchBackend(build_detector(), CONFIG.inference)
    with pytest.raises(ValueError, match=r"\(96, 96, 3\) for 1 frames"):
        backend.compute_candidates(np.zeros((96, 96, 3), np.uint8), [FRAME])


def test_p52_prediction_takes_no_ground_truth() -> None:
    calls: list[Callable[..., Any]] = [
        TorchBackend.compute_candidates,
        TorchBackend.compute_paper_candidates,
        candidates_from_outputs,
        paper_candidates_from_outputs,
        select_detections,
        Predictor.predict,
        Predictor.stream,
        Predictor.compute_candidates,
    ]
    for call in calls:
        for parameter in inspect.signature(call).parameters.values():
            described = f"{parameter.name} {parameter.annotation}".lower()
            assert not any(word in described for word in ("target", "truth", "gt_", "dataset"))


def test_lower_precision_moves_boxes_a_little() -> None:
    canvas = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3), np.uint8)
    exact = TorchBackend(build_detector(), InferenceConfig())
    quick = TorchBackend(build_detector(), InferenceConfig(), precision="bfloat16")
    (one,), (other,) = (
        backend.compute_candidates(canvas, [Frame((128, 128), (128, 128), (128, 128))])
        for backend in (exact, quick)
    )
    assert one.boxes.dtype == other.boxes.dtype == np.float32
    assert not np.array_equal(one.class_scores, other.class_scores)
    shared = np.intersect1d(one.anchor_index, other.anchor_index, return_indices=True)
    assert len(shared[0]) > 0.9 * len(np.unique(one.anchor_index))
    moved = np.abs(one.boxes[shared[1]] - other.boxes[shared[2]])
    assert moved.max() < 4  # bfloat16 keeps eight bits: under 1 % of a box of 300 px


@pytest.mark.parametrize("looks", [20, 2000])
def test_a_second_look_speaks_for_the_copies_of_the_best_boxes(
    looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distinct, "LOOKS", looks)
    monkeypatch.setattr(distinct, "POOL", 2000)
    canvases = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    frames = [Frame((96, 96), (96, 96), (96, 96))] * 2
    one_more = build_detector(second_look=True)
    detector = build_detector()
    one_more.load_state_dict(detector.state_dict(), strict=False)
    plain = TorchBackend(detector, CONFIG.inference)
    looking = TorchBackend(one_more, CONFIG.inference)
    for one, other in zip(
        plain.compute_candidates(canvases, frames),
        looking.compute_candidates(canvases, frames),
        strict=True,
    ):
        np.testing.assert_array_equal(one.class_scores, other.class_scores)
        np.testing.assert_array_equal(one.boxes, other.boxes)
        assert one.predicted_iou is not None
        assert other.predicted_iou is not None
        there = box_area(one.boxes) > 0  # many a box lies beside the canvas
        boxes, scores = one.boxes[there], one.class_scores[there]
        picked = boxes[suppress(boxes, scores, 0 * one.labels[there], 0.9, looks)]
        spoken = (pairwise_iou(one.boxes, picked) > 0.9).any(axis=1)
        assert spoken.sum() > len(picked)  # three classes of an anchor have one box
        assert np.array_equal(spoken, there) == (looks == 2000)
        # at the start every logit of the look is near 0, so its IoU is near 1/2
        expected = np.sqrt(one.predicted_iou[spoken] / 2)
        np.testing.assert_allclose(other.predicted_iou[spoken], expected, rtol=0.1)
        share = other.predicted_iou[~spoken] / one.predicted_iou[~spoken]
        np.testing.assert_allclose(share, share.mean() if len(share) else 0, rtol=1e-5)


def test_a_second_look_at_nothing() -> None:
    settings = CONFIG.inference.model_copy(update={"p_floor": 0.999999})
    canvas = np.zeros((1, 96, 96, 3), np.uint8)
    frames = [Frame((96, 96), (96, 96), (96, 96))]
    backend = TorchBackend(build_detector(second_look=True), settings)
    (found,) = backend.compute_candidates(canvas, frames)
    assert len(found) == 0
    assert found.predicted_iou is not None


def test_a_second_look_where_all_boxes_lie_beside_the_canvas() -> None:
    detector = build_detector(second_look=True)
    bias = detector.head.box_layer.bias
    assert bias is not None
    with torch.no_grad():
        bias[0::4] = 1000
    canvas = np.zeros((1, 96, 96, 3), np.uint8)
    frames = [Frame((96, 96), (96, 96), (96, 96))]
    (found,) = TorchBackend(detector, CONFIG.inference).compute_candidates(canvas, frames)
    assert len(found)
    assert not box_area(found.boxes).any()
    assert found.predicted_iou is not None
    assert np.isfinite(found.predicted_iou).all()
    detector.second_look = None
    (plain,) = TorchBackend(detector, CONFIG.inference).compute_candidates(canvas, frames)
    np.testing.assert_array_equal(found.predicted_iou, plain.predicted_iou)  # the branch's word


def test_an_untrained_second_look_is_not_used() -> None:
    canvas = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3), np.uint8)
    frames = [Frame((96, 96), (96, 96), (96, 96))]
    backend = TorchBackend(build_detector(second_look=True), CONFIG.inference, has_iou=False)
    (found,) = backend.compute_candidates(canvas, frames)
    assert found.predicted_iou is None
