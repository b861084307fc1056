"""How far an exported file differs from PyTorch, by what both find on the same pictures."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iouaware.boxes import pairwise_iou
from iouaware.exporting.tolerance import TOLERANCES, Tolerance
from iouaware.images import resize_to_canvas
from iouaware.inference.exported_backend import Arrays, ExportedBackend, build_candidates
from iouaware.inference.postprocess import select_detections
from iouaware.inference.torch_backend import TorchBackend
from iouaware.structures import Candidates, Frame, ImageArray

BATCHES = (1, 2, 5)
ALPHAS = (1.0, 0.5, 0.0)
SAME_IOU = 0.9  # one box found twice; a box chosen in place of its double overlaps less
SAME_PX = 0.5
TIED = 1e-5  # scores of two runtimes that are the same
SIMILAR_IOU = 0.5  # for INT8, whose boxes move
FIELDS = ("boxes", "scores", "predicted_iou")


class FoundBoxes(NamedTuple):
    """What was found in one picture.

    Attributes:
        boxes: [N, 4] px of the canvas.
        labels: [N].
        scores: S, or p where the graph ends before fusion, [N].
        predicted_iou: [N]; None without an IoU branch.
    """

    boxes: NDArray[Any]
    labels: NDArray[Any]
    scores: NDArray[Any]
    predicted_iou: NDArray[Any] | None


class Differences:
    """Collects the differences of many pictures."""

    def __init__(self, least_iou: float, tolerance: Tolerance | None = None) -> None:
        """Begin with none.

        Args:
            least_iou: boxes of a class are the same from this IoU on.
            tolerance: pairs whose boxes or predicted IoU differ by more are counted as jumped, and
                their differences left out; None counts none.
        """
        self._least_iou = least_iou
        limits = (tolerance.boxes, tolerance.scores) if tolerance else (None, None)
        self._most_px, self._most_iou = (math.inf if limit is None else limit for limit in limits)
        self._values: dict[str, list[NDArray[Any]]] = {name: [] for name in FIELDS}
        self._boxes = self._unmatched = self._tied = self._jumped = 0

    def add(self, ours: FoundBoxes, theirs: FoundBoxes) -> None:
        """Match the boxes of a picture as sets, and note how far the pairs differ."""
        first, second = match(ours, theirs, self._least_iou)
        self._boxes += len(ours.boxes) + len(theirs.boxes)
        tied = 2 * _count_tied(ours, theirs, first, second)
        self._tied += tied
        self._unmatched += len(ours.boxes) + len(theirs.boxes) - 2 * len(first) - tied
        apart = {
            name: np.abs(getattr(ours, name)[first] - getattr(theirs, name)[second])
            for name in FIELDS
            if getattr(ours, name) is not None and getattr(theirs, name) is not None
        }
        near = apart.get("predicted_iou", np.zeros(len(first))) <= self._most_iou  # [P]
        near &= apart["boxes"].max(axis=1, initial=0) <= self._most_px
        self._jumped += 2 * int((~near).sum())
        for name, values in apart.items():
            self._values[name].append(values[near].ravel())

    def summary(self) -> dict[str, Any]:
        """Return counts, and largest and mean differences (None where nothing was compared)."""
        result: dict[str, Any] = {
            "boxes": self._boxes,
            "unmatched": self._unmatched,
            "tied": self._tied,
            "jumped": self._jumped,
        }
        for name, unit in (("boxes", "box_px"), ("scores", "score"), ("predicted_iou",) * 2):
            values = np.concatenate([np.zeros(0), *self._values[name]])
            result[f"{unit}_max"] = float(values.max()) if len(values) else None
            result[f"{unit}_mean"] = float(values.mean()) if len(values) else None
        return result


def _count_tied(
    ours: FoundBoxes, theirs: FoundBoxes, first: NDArray[np.int64], second: NDArray[np.int64]
) -> int:
    """Count the pairs of unmatched boxes that are tied with the last of both lists.

    Where equal scores meet the cut to the best boxes (at alpha 0 all classes of an anchor are
    equal), either may be left out.
    """
    cuts = [found.scores.min(initial=np.inf) for found in (ours, theirs)]
    if not np.isfinite(cuts).all() or abs(cuts[0] - cuts[1]) > TIED:
        return 0
    left = (np.delete(ours.scores, first), np.delete(theirs.scores, second))
    return min(int((scores <= max(cuts) + TIED).sum()) for scores in left)


def match(
    ours: FoundBoxes, theirs: FoundBoxes, least_iou: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair the boxes of one class that lie nearest to each other, each used once.

    Args:
        ours: N boxes.
        theirs: M boxes, in any order.
        least_iou: pairs overlap at least this much, or lie within ``SAME_PX``.

    Returns:
        Indices of the pairs, [P] and [P].
    """
    iou = pairwise_iou(ours.boxes, theirs.boxes)  # [N, M]
    # a box that lies in the padding is clipped to a line, and the IoU of lines is 0
    apart = np.abs(ours.boxes[:, None] - theirs.boxes[None]).max(axis=2, initial=0)  # [N, M] px
    alike = (ours.labels[:, None] == theirs.labels[None]) & (
        (iou >= least_iou) | (apart <= SAME_PX)
    )
    rows, columns = np.nonzero(alike)
    # of boxes that lie alike, those whose scores are alike belong together
    unlike = apart + np.abs(ours.scores[:, None] - theirs.scores[None])
    order = np.argsort(unlike[rows, columns], kind="stable")
    first, second = [], []
    left, right = np.ones(len(iou), np.bool_), np.ones(iou.shape[1], np.bool_)
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if left[row] and right[column]:
            left[row] = right[column] = False
            first.append(row)
            second.append(column)
    return np.array(first, np.int64), np.array(second, np.int64)


def compare_batches(
    torch_backend: TorchBackend,
    exported: ExportedBackend,
    images: Sequence[ImageArray],
    sizes: Sequence[int | tuple[int, int]],
    fill: tuple[int, int, int],
) -> list[dict[str, Any]]:
    """Compare on batches of 1, 2 and 5 pictures, at each size and several alphas.

    Args:
        torch_backend: the model.
        exported: the file.
        images: [H, W, 3] uint8 RGB; used again from the first where they are too few.
        sizes: as ``images.resized_hw`` takes them.
        fill: RGB of the padding.

    Returns:
        A row for each size and batch.
    """
    precision = exported.info.precision
    least = SIMILAR_IOU if precision == "int8" else SAME_IOU
    rows = []
    for size in sizes:
        start = 0
        for batch in BATCHES:
            chosen = [images[(start + place) % len(images)] for place in range(batch)]
            start += batch
            canvases, frames = _on_one_canvas(chosen, size, fill)
            differences = Differences(least, TOLERANCES[precision])
            _compare(torch_backend, exported, canvases, frames, differences)
            rows.append(
                {"batch": batch, "canvas": list(canvases.shape[1:3])} | differences.summary()
            )
    return rows


def _on_one_canvas(
    images: Sequence[ImageArray], size: int | tuple[int, int], fill: tuple[int, int, int]
) -> tuple[ImageArray, list[Frame]]:
    """Put pictures on canvases of one size: the largest among theirs, [B, H, W, 3]."""
    placed = [resize_to_canvas(image, size, fill) for image in images]
    height = max(frame.canvas_hw[0] for _, frame in placed)
    width = max(frame.canvas_hw[1] for _, frame in placed)
    canvases = np.empty((len(placed), height, width, 3), np.uint8)
    canvases[:] = fill
    for row, (canvas, _) in zip(canvases, placed, strict=True):
        row[: canvas.shape[0], : canvas.shape[1]] = canvas
    return canvases, [Frame(f.original_hw, f.resized_hw, (height, width)) for _, f in placed]


def _compare(
    torch_backend: TorchBackend,
    exported: ExportedBackend,
    canvases: ImageArray,
    frames: list[Frame],
    differences: Differences,
) -> None:
    ours = torch_backend.compute_candidates(canvases, frames)
    info = exported.info
    if info.end == "candidates":
        found = exported.run(exported.feeds(canvases, 1.0, 0.0))
        for row, candidates in enumerate(ours):
            theirs = build_candidates(found, row, candidates.frame)
            differences.add(_as_found(candidates), _as_found(theirs))
        return
    alphas = (info.model.alpha,) if info.baked or not info.model.has_iou else ALPHAS
    threshold = info.model.score_threshold(info.model.alpha) if info.baked else 0.0
    for alpha in alphas:
        found = exported.run(exported.feeds(canvases, alpha, threshold))
        for row, candidates in enumerate(ours):
            kept, scores = select_detections(candidates, alpha, exported.settings, threshold)
            iou = candidates.predicted_iou
            differences.add(
                FoundBoxes(
                    candidates.boxes[kept],
                    candidates.labels[kept],
                    scores,
                    None if iou is None else iou[kept],
                ),
                detections_of(found, row),
            )


def _as_found(candidates: Candidates) -> FoundBoxes:
    return FoundBoxes(
        candidates.boxes,
        candidates.labels,
        candidates.class_scores,
        candidates.predicted_iou,
    )


def detections_of(found: Arrays, row: int) -> FoundBoxes:
    """Return the detections of one picture from a graph's outputs, padding taken away."""
    there = found["labels"][row] >= 0
    predicted = found.get("predicted_iou")
    return FoundBoxes(
        found["boxes"][row][there],
        found["labels"][row][there],
        found["scores"][row][there],
        None if predicted is None else predicted[row][there],
    )


def time_one_picture(
    torch_backend: TorchBackend,
    exported: ExportedBackend,
    image: ImageArray,
    size: int | tuple[int, int],
    fill: tuple[int, int, int],
    repeats: int = 5,
) -> dict[str, float]:
    """Return the median milliseconds from canvas to candidates of one picture, for both."""
    canvases, frames = _on_one_canvas([image], size, fill)
    result = {}
    for name, backend in (("pytorch", torch_backend), ("file", exported)):
        taken = []
        for _ in range(repeats):
            start = time.perf_counter()
            backend.compute_candidates(canvases, frames)
            taken.append(1000 * (time.perf_counter() - start))
        result[name] = float(np.median(taken))
    return result
