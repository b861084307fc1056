"""The one place that calls a COCO evaluator: hotcoco, or faster-coco-eval where it is missing."""

from __future__ import annotations

import contextlib
import io
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Curves(NamedTuple):
    """What the evaluator accumulates; -1 where a class has no object of a size.

    Attributes:
        precision: [T, R, K, 4, M] at 10 IoUs, 101 recalls, K classes, 4 sizes, M caps.
        recall: [T, K, 4, M].
    """

    precision: Floats
    recall: Floats


class Truth(NamedTuple):
    """Columns of the truth in COCO's terms: ids from 1, boxes as x y width height.

    Attributes:
        image_wh: [I, 2] px; the ids of the pictures are 1..I.
        class_names: K names; their ids are 1..K.
        image_ids: [T].
        category_ids: [T].
        boxes_xywh: [T, 4] px.
        areas: [T] px^2.
        crowd: [T].
    """

    image_wh: NDArray[np.int64]
    class_names: tuple[str, ...]
    image_ids: NDArray[np.int64]
    category_ids: NDArray[np.int64]
    boxes_xywh: Floats
    areas: Floats
    crowd: NDArray[np.bool_]

    def images(self) -> list[dict[str, Any]]:
        """List the pictures as COCO does."""
        sizes = enumerate(self.image_wh.tolist(), start=1)
        return [{"id": number, "width": w, "height": h} for number, (w, h) in sizes]

    def categories(self) -> list[dict[str, Any]]:
        """List the classes as COCO does."""
        return [{"id": n, "name": name} for n, name in enumerate(self.class_names, start=1)]


def accumulate(truth: Truth, rows: Floats, max_detections: tuple[int, ...]) -> Curves:
    """Match detections with the truth and return COCO's precision and recall arrays.

    Args:
        truth: of all pictures.
        rows: [N, 7] image id, x, y, width, height, score, category id.
        max_detections: caps a class and picture, rising.
    """
    try:
        import hotcoco
    except ImportError:
        return accumulate_with_fallback(truth, rows, max_detections)
    known = hotcoco.COCO.from_arrays(
        truth.images(),
        truth.categories(),
        truth.image_ids,
        truth.category_ids,
        truth.boxes_xywh,
        area=truth.areas,
        iscrowd=truth.crowd,
    )
    evaluator: Any = hotcoco.COCOeval(known, known.load_res(rows), "bbox")
    evaluator.params.max_dets = list(max_detections)
    evaluator.evaluate()
    evaluator.accumulate()
    arrays = evaluator.eval
    return Curves(np.asarray(arrays["precision"]), np.asarray(arrays["recall"]))


def accumulate_with_fallback(truth: Truth, rows: Floats, max_detections: tuple[int, ...]) -> Curves:
    """Do what ``accumulate`` does with faster-coco-eval."""
    from faster_coco_eval import COCO
    from faster_coco_eval.core import COCOeval_faster

    columns = zip(
        truth.image_ids.tolist(),
        truth.category_ids.tolist(),
        truth.boxes_xywh.tolist(),
        truth.areas.tolist(),
        truth.crowd.tolist(),
        strict=True,
    )
    annotations = [
        {"id": n, "image_id": image, "category_id": k, "bbox": box, "area": area, "iscrowd": int(c)}
        for n, (image, k, box, area, c) in enumerate(columns, start=1)  # it loses the match of id 0
    ]
    found = [
        {"image_id": int(r[0]), "bbox": r[1:5], "score": r[5], "category_id": int(r[6])}
        for r in rows.tolist()
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints how far it got
        known = COCO(
            {
                "images": truth.images(),
                "categories": truth.categories(),
                "annotations": annotations,
                "info": {},
            }
        )
        detected = known.loadRes(found) if found else COCO()
        evaluator = COCOeval_faster(known, detected, "bbox", print_function=lambda *_: None)
        evaluator.params.maxDets = list(max_detections)
        evaluator.evaluate()
        evaluator.accumulate()
    arrays: dict[str, Any] = evaluator.eval
    shape = (10, 101, len(truth.class_names), 4, len(max_detections))
    return Curves(
        np.asarray(arrays["precision"], np.float64).reshape(shape),
        np.asarray(arrays["recall"], np.float64).reshape(shape[0], *shape[2:]),
    )
