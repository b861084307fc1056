"""Judge every detection against the truth: what was hit, what was missed, and in which way.

The rules are COCO's at IoU 0.5: within a picture and a class the higher S chooses first, each
object counts once, and boxes on ignored regions count neither way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from iouaware.boxes import pairwise_coverage, pairwise_iou
from iouaware.config import InferenceConfig
from iouaware.data.dataset import Dataset
from iouaware.inference.postprocess import select_detections
from iouaware.structures import Candidates, FloatArray, IntArray, Target

HIT_IOU = 0.5
TOUCH_IOU = 0.1


class Kind(IntEnum):
    """What became of a detection."""

    HIT = 0
    DUPLICATE = 1  # its object has a box with a higher score already
    CONFUSED = 2  # on an object of another class
    LOOSE = 3  # on an object of its class, but IoU under 0.5
    BACKGROUND = 4  # on nothing
    IGNORED = 5  # on a crowd or a difficult object: does not count


@dataclass(frozen=True, slots=True)
class Judged:
    """Detections of all pictures with their verdicts; by picture, then by descending S.

    Attributes:
        image: [D] number of the picture.
        boxes: [D, 4] original px.
        labels: [D].
        scores: S, [D].
        class_scores: p, [D].
        predicted_iou: [D], NaN for a model without an IoU branch.
        iou: [D], with the best object of the same class (``eval_iou``).
        truth: [D] number of the object within its picture: the one it hit, else the one it
            overlaps most, of its class for a second or loose box, of any class for others; -1
            where no IoU reaches 0.1.
        kind: [D] a ``Kind``.
    """

    image: IntArray
    boxes: FloatArray
    labels: IntArray
    scores: FloatArray
    class_scores: FloatArray
    predicted_iou: FloatArray
    iou: FloatArray
    truth: IntArray
    kind: IntArray

    def __len__(self) -> int:
        """Count the detections."""
        return len(self.image)

    def __getitem__(self, mask: NDArray[np.bool_] | IntArray) -> Judged:
        """Keep the detections of a mask or of an index."""
        return Judged(*(getattr(self, field.name)[mask] for field in fields(self)))

    def shown_at(self, score_threshold: float) -> Judged:
        """Keep what is drawn at a threshold on S; verdicts stay, since higher S chose first."""
        return self[self.scores >= score_threshold]

    def of_kind(self, *kinds: Kind) -> Judged:
        """Keep the detections with one of these verdicts."""
        return self[np.isin(self.kind, kinds)]

    @property
    def counts(self) -> dict[Kind, int]:
        """Number of detections of each kind."""
        return {kind: int((self.kind == kind).sum()) for kind in Kind}


@dataclass(frozen=True, slots=True)
class Miss:
    """An object that no detection hit.

    Attributes:
        image: number of the picture.
        truth: number of the object within it.
        label: its class.
        nearest: index into the judged detections of the one that overlaps it most, or -1.
        overlap: IoU with that one.
    """

    image: int
    truth: int
    label: int
    nearest: int
    overlap: float


def judge_detections(
    dataset: Dataset, candidates: Sequence[Candidates], alpha: float, settings: InferenceConfig
) -> Judged:
    """Select the detections of every picture at one alpha and judge each.

    Args:
        dataset: the truth.
        candidates: of each picture, in the data set's order.
        alpha: weight of the class score, 0..1.
        settings: NMS and the number of detections; no threshold on S is used.

    Raises:
        ValueError: as many pictures as candidates were expected, or alpha lies outside 0..1.
    """
    if len(dataset) != len(candidates):
        raise ValueError(f"{len(candidates)} candidates for {len(dataset)} pictures")
    parts = [
        _judge_picture(number, dataset.target(number), found, alpha, settings)
        for number, found in enumerate(candidates)
    ]
    if not parts:
        return _nothing()
    return Judged(
        *(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Judged))
    )


def find_misses(dataset: Dataset, shown: Judged) -> list[Miss]:
    """List the objects that none of the shown detections hit, picture by picture."""
    misses = []
    for number, rows in _rows_per_picture(shown, len(dataset)):
        target = dataset.target(number)
        found = set(shown.truth[rows][shown.kind[rows] == Kind.HIT].tolist())
        lost = [n for n in np.flatnonzero(~target.ignored).tolist() if n not in found]
        if not lost:
            continue
        overlap = pairwise_iou(target.boxes[lost], shown.boxes[rows])  # [lost, rows]
        for n, over in zip(lost, overlap, strict=True):
            best = int(over.argmax()) if len(rows) and over.max() > 0 else -1
            nearest = int(rows[best]) if best >= 0 else -1
            share = float(over[best]) if best >= 0 else 0.0
            misses.append(Miss(number, n, int(target.labels[n]), nearest, share))
    return misses


def _rows_per_picture(judged: Judged, pictures: int) -> Iterator[tuple[int, IntArray]]:
    edges = np.searchsorted(judged.image, np.arange(pictures + 1))
    for number in range(pictures):
        yield number, np.arange(edges[number], edges[number + 1])


def _judge_picture(
    number: int, target: Target, found: Candidates, alpha: float, settings: InferenceConfig
) -> Judged:
    index, scores = select_detections(found, alpha, settings)
    boxes = found.original_boxes()[index]
    labels = found.labels[index]
    predicted = found.predicted_iou
    unjudged = Judged(
        image=np.full(len(index), number, np.int64),
        boxes=boxes,
        labels=labels,
        scores=np.asarray(scores, np.float32),
        class_scores=found.class_scores[index],
        predicted_iou=(
            np.full(len(index), np.nan, np.float32) if predicted is None else predicted[index]
        ),
        iou=np.zeros(len(index), np.float32),
        truth=np.full(len(index), -1, np.int64),
        kind=np.full(len(index), Kind.BACKGROUND, np.int64),
    )
    return _compare(unjudged, target) if len(target) and len(index) else unjudged


def _compare(found: Judged, target: Target) -> Judged:
    """Fill in iou, truth and kind from the truth of the picture."""
    same = found.labels[:, None] == target.labels[None, :]  # [D, N]
    counts = ~target.ignored[None, :]
    iou = np.where(counts, pairwise_iou(found.boxes, target.boxes), 0)  # [D, N]
    own = np.where(same, iou, 0)
    covered = pairwise_coverage(found.boxes, target.boxes) * (same & ~counts)  # [D, N]
    hit = _match(own)
    kind = np.select(
        [
            hit >= 0,
            covered.max(1) >= HIT_IOU,
            own.max(1) >= HIT_IOU,
            iou.max(1) >= HIT_IOU,
            own.max(1) >= TOUCH_IOU,
        ],
        [Kind.HIT, Kind.IGNORED, Kind.DUPLICATE, Kind.CONFUSED, Kind.LOOSE],
        default=Kind.BACKGROUND,
    )
    touched = np.where(iou.max(1) >= TOUCH_IOU, iou.argmax(1), -1)
    of_class = np.isin(kind, (Kind.DUPLICATE, Kind.LOOSE))
    return replace(
        found,
        iou=own.max(1).astype(np.float32),
        truth=np.select([hit >= 0, of_class], [hit, own.argmax(1)], touched).astype(np.int64),
        kind=kind.astype(np.int64),
    )


def _match(own: FloatArray) -> IntArray:
    """Give each detection the best free object of its class, the higher S first, [D, N] -> [D]."""
    free = np.ones(own.shape[1], np.bool_)
    hit = np.full(len(own), -1, np.int64)
    for row, overlaps in enumerate(own):
        best = int(np.where(free, overlaps, -1).argmax())
        if free[best] and overlaps[best] >= HIT_IOU:
            hit[row] = best
            free[best] = False
    return hit


def _nothing() -> Judged:
    none = np.zeros(0, np.float32)
    number = np.zeros(0, np.int64)
    boxes = np.zeros((0, 4), np.float32)
    return Judged(number, boxes, number, none, none, none, none, number, number)
