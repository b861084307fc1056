"""Which detections are right, at each IoU; and AP of any weighted selection of the pictures.

A COCO evaluator answers for one set of pictures. Halvings and bootstraps need thousands of
selections of the same pictures, so the matching is done once and AP accumulated from it, for many
selections at a time. On the whole set the result equals the evaluator's (tested).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iouaware.boxes import pairwise_coverage, pairwise_iou
from iouaware.data.dataset import Dataset
from iouaware.evaluation.coco_metrics import IOU_THRESHOLDS
from iouaware.evaluation.detection_table import DetectionTable
from iouaware.structures import BoolArray, IntArray

Floats = NDArray[np.float64]

MAX_PER_CLASS = 100  # COCO's cap on the detections of a class in a picture
RECALL_LEVELS = np.linspace(0, 1, 101)  # as pycocotools writes them, to the last bit
BLOCK = 1 << 16  # numbers cumulated at a time; they stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Matches:
    """Detections by class, then by falling S, ties in the order of the pictures.

    Attributes:
        image_index: [N].
        labels: [N], never falling.
        scores: S, [N].
        right: [T, N], True where a detection has an object of its own at this IoU.
        ignored: [T, N], True where it lies on a crowd or a difficult object instead.
        objects: [I, K], the objects of each class in each picture, ignored ones left out.
    """

    image_index: IntArray
    labels: IntArray
    scores: Floats
    right: BoolArray
    ignored: BoolArray
    objects: IntArray

    def within(self, images: BoolArray) -> Matches:
        """Keep the detections of some pictures, [I] bool; objects elsewhere count no more."""
        return self._keep(images[self.image_index], np.where(images[:, None], self.objects, 0))

    def of_class(self, label: int) -> Matches:
        """Keep one class; the others have no objects any more."""
        objects = np.zeros_like(self.objects)
        objects[:, label] = self.objects[:, label]
        return self._keep(self.labels == label, objects)

    def _keep(self, rows: BoolArray, objects: IntArray) -> Matches:
        return Matches(
            self.image_index[rows],
            self.labels[rows],
            self.scores[rows],
            self.right[:, rows],
            self.ignored[:, rows],
            objects,
        )


def match_detections(dataset: Dataset, found: DetectionTable) -> Matches:
    """Match the detections of every picture by COCO's rules, at ten IoUs.

    By falling S, each detection takes the free object of its class that it overlaps most; one that
    finds none but lies on a crowd is ignored. At most 100 detections of a class in a picture.
    """
    order = np.lexsort((-found.scores, found.labels, found.image_index))  # stable
    image, labels = found.image_index[order], found.labels[order]
    starts = np.flatnonzero(np.diff(image, prepend=-1) | np.diff(labels, prepend=-1))
    lengths = np.diff(np.append(starts, len(order)))
    rank = np.arange(len(order)) - np.repeat(starts, lengths)
    order = order[rank < MAX_PER_CLASS]
    image, labels = found.image_index[order], found.labels[order]
    right = np.zeros((len(IOU_THRESHOLDS), len(order)), np.bool_)
    ignored = np.zeros_like(right)
    boxes = found.boxes[order].astype(np.float64)
    edges = np.searchsorted(image, np.arange(len(dataset) + 1))
    for number in range(len(dataset)):
        rows = slice(edges[number], edges[number + 1])
        target = dataset.target(number)
        if edges[number] == edges[number + 1] or not len(target):
            continue
        truth = target.boxes.astype(np.float64)
        overlap: Floats = pairwise_iou(boxes[rows], truth)  # [D, N]
        covered: Floats = pairwise_coverage(boxes[rows], truth)
        overlap = np.where(target.ignored[None, :], covered, overlap)
        overlap[labels[rows][:, None] != target.labels[None, :]] = -1
        _match_picture(overlap, target.ignored, right[:, rows], ignored[:, rows])
    by_class = np.lexsort((-found.scores[order], labels))  # stable
    return Matches(
        image[by_class],
        labels[by_class],
        found.scores[order][by_class].astype(np.float64),
        right[:, by_class],
        ignored[:, by_class],
        _count_objects(dataset),
    )


def _match_picture(overlap: Floats, crowd: BoolArray, right: BoolArray, ignored: BoolArray) -> None:
    """Fill in right and ignored, [T, D], from the overlaps, [D, N], of one picture.

    Classes lie side by side: overlap is -1 between two of them, so they cannot meet.
    """
    levels = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[:, None]  # [T, 1]
    close = overlap >= levels[0]  # [D, N]; the rest matches at no IoU
    free = np.ones((len(levels), overlap.shape[1]), np.bool_)  # [T, N]
    regular = np.where(crowd, -1.0, overlap)
    crowded = np.where(crowd, overlap, -1.0).max(1)  # [D]
    everyone = np.arange(len(levels))
    for row in np.flatnonzero(close.any(1)):
        reach = np.where(free & (regular[row] >= levels), regular[row], -1.0)  # [T, N]
        best = reach.shape[1] - 1 - reach[:, ::-1].argmax(1)  # the last of equals, as COCO does
        hit = reach[everyone, best] > -1
        right[:, row] = hit
        free[everyone[hit], best[hit]] = False
        ignored[:, row] = ~hit & (crowded[row] >= levels[:, 0])


def average_precision(matches: Matches, weights: NDArray[np.integer]) -> Floats:
    """Return AP for many selections of the pictures at once.

    Args:
        matches: of all pictures.
        weights: [S, I], how often each picture is in each of the S selections; 0 leaves it out.

    Returns:
        AP of each selection, IoU and class, [S, T, K]; NaN for a class without objects there.
    """
    selections, classes = len(weights), matches.objects.shape[1]
    by_image = np.ascontiguousarray(np.asarray(weights, np.int32).T)  # [I, S]
    objects = (matches.objects.T @ by_image).astype(np.float64)  # [K, S]
    result = np.full((selections, len(IOU_THRESHOLDS), classes), np.nan)
    edges = np.searchsorted(matches.labels, np.arange(classes + 1))
    for label in np.flatnonzero(objects.any(1)):
        rows = slice(edges[label], edges[label + 1])
        right, ignored = matches.right[:, rows], matches.ignored[:, rows]
        hits = np.flatnonzero(right.any(0))
        # what comes after the last hit changes no precision that counts
        length = int(hits[-1]) + 1 if len(hits) else 0
        image = matches.image_index[rows][:length]
        step = max(1, BLOCK // max(1, length))
        for start in range(0, selections, step):
            part = slice(start, start + step)
            result[part, :, label] = _class_ap(
                right[:, :length],
                ignored[:, :length],
                np.ascontiguousarray(by_image[:, part])[image],  # [n, S]
                objects[label, part],
            ).T
    return result


def _class_ap(
    right: BoolArray, ignored: BoolArray, weight: NDArray[np.int32], objects: Floats
) -> Floats:
    """Return AP of one class at each IoU, [T, S], from detections by falling S.

    Args:
        right: [T, n].
        ignored: [T, n].
        weight: [n, S], how often each detection is in each selection.
        objects: [S].
    """
    result = np.zeros((len(right), weight.shape[1]))
    seen = np.cumsum(weight, axis=0, dtype=np.int32)  # [n, S]
    for level, (hit, dropped) in enumerate(zip(right, ignored, strict=True)):
        at = np.flatnonzero(hit)
        if not len(at):
            continue
        counted = seen
        if dropped.any():
            counted = np.cumsum(weight * ~dropped[:, None], axis=0, dtype=np.int32)
        hits = np.cumsum(weight[at], axis=0, dtype=np.int32)  # [P, S]
        precision = hits / np.maximum(counted[at], 1)
        envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        reached = _levels_reached(hits / np.maximum(objects, 1))  # [P, S]
        total = envelope[0] * reached[0]
        total += np.einsum("ps,ps->s", envelope[1:], reached[1:] - reached[:-1])
        result[level] = total / len(RECALL_LEVELS)
    result[:, objects == 0] = np.nan
    return result


def _levels_reached(recall: Floats) -> NDArray[np.int32]:
    """Count the recall levels at or below each recall, as a search among them would.

    The levels are k * 0.01, which is not always the float next to k / 100; so the last one is
    compared. No other recall comes closer to a level than 1e-9: it is a fraction of whole numbers.
    """
    whole = (recall * 100 + 1e-9).astype(np.int32)
    reached: NDArray[np.int32] = whole + (RECALL_LEVELS[whole] <= recall)
    return reached


def _count_objects(dataset: Dataset) -> IntArray:
    """Count the objects of each class in each picture, [I, K]; ignored ones do not count."""
    counts = np.zeros((len(dataset), len(dataset.class_names)), np.int64)
    image = np.repeat(np.arange(len(dataset)), np.diff(dataset.offsets))
    kept = ~dataset.ignored
    np.add.at(counts, (image[kept], dataset.labels[kept]), 1)
    return counts
