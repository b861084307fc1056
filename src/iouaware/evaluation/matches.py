"""Which detections are right, at each IoU; and AP of any weighted selection of the pictures.

A COCO evaluator answers for one set of pictures. Halvings and bootstraps need thousands of
selections of the same pictures, so the matching is done once and AP accumulated from it, for many
selections at a time. On the whole set the result equals the evaluator's (tested).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iouaware.boxes import paired_coverage, paired_iou
from iouaware.data.dataset import Dataset
from iouaware.evaluation.coco_metrics import IOU_THRESHOLDS
from iouaware.evaluation.detection_table import DetectionTable
from iouaware.structures import BoolArray, IntArray

Floats = NDArray[np.float64]

MAX_PER_CLASS = 100  # COCO's cap on the detections of a class in a picture
RECALL_LEVELS = np.linspace(0, 1, 101)  # as pycocotools writes them, to the last bit
LEVELS = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)  # as pycocotools compares
IMAGES_AT_A_TIME = 64  # matched together; bounds the memory
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


def match_detections(dataset: Dataset, found: DetectionTable, most: int = MAX_PER_CLASS) -> Matches:
    """Match the detections of every picture by COCO's rules, at ten IoUs.

    By falling S, each detection takes the free object of its class that it overlaps most; one that
    finds none but lies on a crowd is ignored.

    Args:
        dataset: the truth.
        found: the detections.
        most: detections of a class in a picture that count; AP means COCO's 100.
    """
    order = np.lexsort((-found.scores, found.labels, found.image_index))  # stable
    image, labels = found.image_index[order], found.labels[order]
    starts = np.flatnonzero(np.diff(image, prepend=-1) | np.diff(labels, prepend=-1))
    lengths = np.diff(np.append(starts, len(order)))
    rank = np.arange(len(order)) - np.repeat(starts, lengths)
    order = order[rank < most]
    image, labels = found.image_index[order], found.labels[order]
    rank = rank[rank < most]
    boxes = found.boxes[order].astype(np.float64)
    right = np.zeros((len(IOU_THRESHOLDS), len(order)), np.bool_)
    ignored = np.zeros_like(right)
    for first in range(0, len(dataset), IMAGES_AT_A_TIME):
        rows = slice(*np.searchsorted(image, [first, first + IMAGES_AT_A_TIME]))
        if rows.start == rows.stop:
            continue
        overlap, crowded, group = _find_overlaps(dataset, image[rows], labels[rows], boxes[rows])
        hits = _match_groups(overlap, group, rank[rows])
        right[:, rows] = hits
        ignored[:, rows] = ~hits & (crowded >= LEVELS[:, None])
    by_class = np.lexsort((-found.scores[order], labels))  # stable
    return Matches(
        image[by_class],
        labels[by_class],
        found.scores[order][by_class].astype(np.float64),
        right[:, by_class],
        ignored[:, by_class],
        _count_objects(dataset),
    )


def _find_overlaps(
    dataset: Dataset, image: IntArray, labels: IntArray, boxes: Floats
) -> tuple[Floats, Floats, IntArray]:
    """Compare detections with the objects of their class in their picture.

    Args:
        dataset: the truth.
        image: [D], never falling.
        labels: [D].
        boxes: [D, 4] px.

    Returns:
        IoU with each object, [D, N], -1 where there is none or it is to be ignored; the greatest
        share that lies in an ignored region, [D], -1 without one; number of the group, [D].
    """
    low, high = dataset.offsets[image[0]], dataset.offsets[image[-1] + 1]
    counts = np.diff(dataset.offsets[image[0] : image[-1] + 2])
    classes = len(dataset.class_names)
    truth_key = np.repeat(np.arange(image[0], image[-1] + 1), counts) * classes
    truth_key = truth_key + dataset.labels[low:high]
    truth = np.argsort(truth_key, kind="stable")  # within a group in the order of the file
    key = image * classes + labels
    start = np.searchsorted(truth_key[truth], key, "left")
    counts = np.searchsorted(truth_key[truth], key, "right") - start  # [D]
    row = np.repeat(np.arange(len(key)), counts)  # [P], pairs of a detection and an object
    slot = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    which = low + truth[np.repeat(start, counts) + slot]
    region = dataset.ignored[which]
    objects = dataset.boxes[which].astype(np.float64)
    overlap = np.full((len(key), max(1, int(counts.max(initial=0)))), -1.0)
    overlap[row, slot] = np.where(region, -1.0, paired_iou(boxes[row], objects))
    crowded = np.full(len(key), -1.0)
    row, objects = row[region], objects[region]
    np.maximum.at(crowded, row, paired_coverage(boxes[row], objects))
    return overlap, crowded, np.unique(key, return_inverse=True)[1]


def _match_groups(overlap: Floats, group: IntArray, rank: IntArray) -> BoolArray:
    """Tell which detections get an object, at each IoU, [T, D].

    A group is a class in a picture. Groups do not compete, so all detections of one rank choose at
    the same time: first the best of every group, then the second, and so on.

    Args:
        overlap: [D, N] with the objects of the group, -1 where there is none.
        group: [D], 0 and up.
        rank: [D] by falling score within the group.
    """
    hits = np.zeros((len(LEVELS), len(overlap)), np.bool_)
    free = np.ones((len(LEVELS), int(group.max()) + 1, overlap.shape[1]), np.bool_)
    level = np.arange(len(LEVELS))[:, None]
    close = overlap.max(1) >= LEVELS[0]  # the rest matches at no IoU
    for turn in range(int(rank.max()) + 1):
        rows = np.flatnonzero(close & (rank == turn))  # [R]
        places = group[rows]
        allowed = free[:, places] & (overlap[rows] >= LEVELS[:, None, None])  # [T, R, N]
        reach = np.where(allowed, overlap[rows], -1.0)
        best = reach.shape[2] - 1 - reach[:, :, ::-1].argmax(2)  # the last of equals, as COCO does
        hit = allowed.any(2)  # [T, R]
        hits[:, rows] = hit
        free[level, places[None, :], best] &= ~hit
    return hits


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
