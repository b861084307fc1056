"""What was found in one picture, with p, predicted IoU and S of every box."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from iouaware.images import read_image
from iouaware.inference.drawing import draw_detections
from iouaware.inference.scoring import check_share
from iouaware.structures import FloatArray, ImageArray, IntArray

if TYPE_CHECKING:
    from PIL import Image


class Rescorer(Protocol):
    """Chooses again from the kept candidates of a picture; see ``selection.Selection``."""

    def select(
        self, alpha: float | None, score_threshold: float | None, min_iou: float | None
    ) -> Detections:
        """Return the detections at these values; None takes the model's, or the last one."""


@dataclass(frozen=True, eq=False, slots=True)
class Detections:
    """The detections of one picture, by falling score; numpy throughout.

    Can be indexed with a mask, a slice, an index or several: ``found[found.scores > 0.5]``.

    Attributes:
        boxes: [D, 4] float32, px of the picture as shown.
        labels: [D] int64, 0..K-1.
        scores: S, [D] float32.
        class_scores: p, [D] float32.
        predicted_iou: [D] float32, or None for a model without a trained IoU branch.
        width: of the picture, px.
        height: of the picture, px.
        alpha: weight of the class score in S; 1 without a predicted IoU.
        score_threshold: S of every detection is at least this.
        class_names: K names.
        category_ids: K ids of the data set the model was trained on.
        file: where the picture came from, or None.
        image: [H, W, 3] uint8 RGB where the picture came as pixels, else None.
    """

    boxes: FloatArray
    labels: IntArray
    scores: FloatArray
    class_scores: FloatArray
    predicted_iou: FloatArray | None
    width: int
    height: int
    alpha: float
    score_threshold: float
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    file: str | None = None
    image: ImageArray | None = field(default=None, repr=False)
    rescorer: Rescorer | None = field(default=None, repr=False)

    @property
    def names(self) -> NDArray[np.str_]:
        """The class name of each detection, [D]."""
        return np.array(self.class_names, np.str_)[self.labels]

    def __len__(self) -> int:
        """Count the detections."""
        return len(self.boxes)

    def __getitem__(self, index: Any) -> Detections:
        """Return the detections that a mask, slice, index or list of indices points at."""
        rows = np.atleast_1d(np.arange(len(self))[index])
        return replace(
            self,
            boxes=self.boxes[rows],
            labels=self.labels[rows],
            scores=self.scores[rows],
            class_scores=self.class_scores[rows],
            predicted_iou=None if self.predicted_iou is None else self.predicted_iou[rows],
            rescorer=None,
        )

    def __iter__(self) -> Iterator[Detections]:
        """Go through the detections one by one, each as ``Detections`` of length 1."""
        return (self[row] for row in range(len(self)))

    def where(
        self,
        min_iou: float | None = None,
        min_score: float | None = None,
        name: str | None = None,
    ) -> Detections:
        """Keep the detections with at least this predicted IoU and S, of the class of this name.

        Raises:
            ValueError: the model has no class of that name, or predicts no IoU, or a value lies
                outside 0..1.
        """
        for key, value in (("min_iou", min_iou), ("min_score", min_score)):
            if value is not None:
                check_share(key, value)
        keep = np.ones(len(self), np.bool_)
        if min_iou is not None and min_iou > 0:
            if self.predicted_iou is None:
                raise ValueError(
                    f"min_iou is {min_iou}, but this model predicts no IoU; leave it out"
                )
            keep &= self.predicted_iou >= min_iou
        if min_score is not None:
            keep &= self.scores >= min_score
        if name is not None:
            if name not in self.class_names:
                near = difflib.get_close_matches(name, self.class_names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {self.class_names}"
                raise ValueError(f"name is {name!r}, a class this model does not have; {hint}")
            keep &= self.names == name
        return self[keep]

    def rescore(
        self,
        alpha: float | None = None,
        score_threshold: float | None = None,
        min_iou: float | None = None,
    ) -> Detections:
        """Choose again at another alpha from the kept candidates, without a second forward pass.

        Gives exactly what ``predict`` gives at these values.

        Args:
            alpha: weight of the class score, 0..1; None takes the model's own. A model without
                a trained IoU branch stays at 1.
            score_threshold: keep S at or above; None takes the one the model stores for this
                alpha, since a threshold means nothing once alpha moves.
            min_iou: keep a predicted IoU at or above; None takes the one of ``predict``.

        Raises:
            ValueError: a value lies outside 0..1, or the candidates are gone: this is a part of
                a result (rescore the whole, then filter), or was made in paper mode.
        """
        if self.rescorer is None:
            raise ValueError(
                "these detections have no candidates to choose from: rescore the whole result "
                "first and filter then; postprocess='paper' keeps none"
            )
        return self.rescorer.select(alpha, score_threshold, min_iou)

    def draw(self, image: ImageArray | Image.Image | None = None) -> Image.Image:
        """Return the picture with its boxes, each with S, p and predicted IoU.

        Args:
            image: [H, W, 3] uint8 RGB, or a Pillow image; None takes the picture that was
                predicted, from its file if need be.

        Raises:
            DatasetError: the file is no picture any more.
            ValueError: there is neither image nor file, or the image has another size.
        """
        source: ImageArray | Image.Image | str | None = self.image if image is None else image
        source = self.file if source is None else source
        if source is None or (isinstance(source, str) and not Path(source).is_file()):
            raise ValueError(f"the picture ({self.file}) was not kept; pass it: draw(image)")
        pixels = read_image(source)
        if pixels.shape[:2] != (self.height, self.width):
            raise ValueError(
                f"the image is {pixels.shape[1]} x {pixels.shape[0]} px, expected "
                f"{self.width} x {self.height} as predicted"
            )
        return draw_detections(
            pixels,
            self.boxes,
            self.names,
            self.scores,
            self.class_scores,
            self.predicted_iou,
            self.labels,
        )

    def save(self, path: str | Path) -> Path:
        """Draw and write the picture; the suffix says the format."""
        path = Path(path)
        self.draw().save(path)
        return path

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of this picture in ``predictions.json``: boxes in px."""
        return {
            "file": self.file,
            "width": self.width,
            "height": self.height,
            "detections": [
                {
                    "label": int(label),
                    "name": self.class_names[label],
                    "category_id": self.category_ids[label],
                    "box": [round(float(value), 3) for value in box],
                    **numbers,
                }
                for label, box, numbers in zip(
                    self.labels, self.boxes, self.three_numbers(), strict=True
                )
            ],
        }

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """Return COCO results, one a detection: ``bbox`` is x y width height, ``score`` is S.

        ``class_score`` and ``predicted_iou`` stand beside COCO's own keys, whose readers skip them.
        """
        results = []
        for label, box, numbers in zip(self.labels, self.boxes, self.three_numbers(), strict=True):
            x1, y1, x2, y2 = (float(value) for value in box)
            bbox = [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)]
            category = self.category_ids[label]
            results.append({"image_id": image_id, "category_id": category, "bbox": bbox, **numbers})
        return results

    def three_numbers(self) -> list[dict[str, float | None]]:
        """Return S, p and predicted IoU of each detection, as every file names and rounds them.

        The predicted IoU is None for a model without a trained IoU branch.
        """
        iou = self.predicted_iou
        return [
            {
                "score": round(float(self.scores[row]), 6),
                "class_score": round(float(self.class_scores[row]), 6),
                "predicted_iou": None if iou is None else round(float(iou[row]), 6),
            }
            for row in range(len(self))
        ]

    def to_supervision(self) -> Any:
        """Return ``supervision.Detections``; confidence is S, ``data`` carries names, p and IoU.

        Raises:
            ImportError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise ImportError("to_supervision needs: pip install supervision") from error
        data: dict[str, Any] = {"class_name": self.names, "class_score": self.class_scores}
        if self.predicted_iou is not None:
            data["predicted_iou"] = self.predicted_iou
        return supervision.Detections(
            xyxy=self.boxes, confidence=self.scores, class_id=self.labels, data=data
        )

    def __str__(self) -> str:
        """Show a table: a line a detection."""
        rows = [_HEADINGS, *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
        lines = [self._title()]
        for row in rows if len(self) else []:
            cells = [row[0].ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join(cells))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Show the same table in a notebook."""
        head = "".join(f"<th>{heading}</th>" for heading in _HEADINGS)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        return f"<p>{escape(self._title())}</p><table><tr>{head}</tr>{body}</table>"

    def _title(self) -> str:
        count = len(self)
        return (
            f"{count or 'no'} object{'' if count == 1 else 's'} in {self.file or 'the picture'} "
            f"({self.width} x {self.height} px), alpha {self.alpha:g}, "
            f"S >= {self.score_threshold:.2f}"
        )

    def _rows(self) -> list[list[str]]:
        names, iou = self.names, self.predicted_iou
        return [
            [
                str(names[row]),
                f"{self.scores[row]:.3f}",
                f"{self.class_scores[row]:.3f}",
                "-" if iou is None else f"{iou[row]:.3f}",
                *(f"{value:.1f}" for value in self.boxes[row]),
            ]
            for row in range(len(self))
        ]


_HEADINGS = ["name", "S", "p", "IoU", "x1", "y1", "x2", "y2"]
