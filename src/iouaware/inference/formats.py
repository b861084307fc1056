"""Detections as files: the project's own JSON, COCO results, YOLO lines, Label Studio tasks."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, get_args

from iouaware.images import IMAGE_SUFFIXES
from iouaware.inference.detections import Detections
from iouaware.inference.scoring import FORMULA

Form = Literal["iouaware", "coco", "yolo", "labelstudio"]
FORMS: tuple[str, ...] = get_args(Form)


def to_header(
    model: str, class_names: tuple[str, ...], alpha: float, score_threshold: float
) -> dict[str, Any]:
    """Return what ``predictions.json`` says once, before its ``images``."""
    return {
        "model": model,
        "classes": list(class_names),
        "formula": FORMULA,
        "alpha": alpha,
        "score_threshold": score_threshold,
    }


def to_yolo_lines(found: Detections) -> list[str]:
    """Return a line a detection: label, centre x, centre y, width, height (0..1), S."""
    lines = []
    for row in range(len(found)):
        x1, y1, x2, y2 = (float(value) for value in found.boxes[row])
        fractions = (
            (x1 + x2) / 2 / found.width,
            (y1 + y2) / 2 / found.height,
            (x2 - x1) / found.width,
            (y2 - y1) / found.height,
        )
        numbers = " ".join(f"{value:.6f}" for value in (*fractions, float(found.scores[row])))
        lines.append(f"{found.labels[row]} {numbers}")
    return lines


def to_label_studio_task(found: Detections, model: str) -> dict[str, Any]:
    """Return a Label Studio task with the detections as its pre-annotation.

    Boxes are in percent of the picture, as Label Studio counts; the labelling configuration is
    expected to call the picture ``image`` and the rectangles ``label``.
    """
    result = []
    for row, numbers in enumerate(found.three_numbers()):
        x1, y1, x2, y2 = (float(value) for value in found.boxes[row])
        result.append(
            {
                "id": f"box{row + 1}",
                "type": "rectanglelabels",
                "from_name": "label",
                "to_name": "image",
                "original_width": found.width,
                "original_height": found.height,
                "image_rotation": 0,
                "value": {
                    "x": round(100 * x1 / found.width, 5),
                    "y": round(100 * y1 / found.height, 5),
                    "width": round(100 * (x2 - x1) / found.width, 5),
                    "height": round(100 * (y2 - y1) / found.height, 5),
                    "rotation": 0,
                    "rectanglelabels": [found.class_names[found.labels[row]]],
                },
                "score": numbers["score"],
                "meta": {key: numbers[key] for key in ("class_score", "predicted_iou")},
            }
        )
    best = round(float(found.scores.max()), 6) if len(found) else 0.0
    return {
        "data": {"image": found.file},
        "predictions": [{"model_version": model, "score": best, "result": result}],
    }


class PredictionWriter:
    """Writes ``predictions.json`` picture by picture, so that any number of them fits.

    Used in a ``with`` statement; the file appears when all is written, and not at all when an
    error ends the statement. ``coco`` and ``labelstudio`` give it their own form; with ``yolo``
    ``labels/NAME.txt`` is written for every picture beside the project's own form, and
    ``labels/NAME.png.txt`` where another picture has that name already.
    """

    def __init__(self, out: Path, form: Form, header: dict[str, Any]) -> None:
        """Prepare to write.

        Args:
            out: an existing folder.
            form: one of ``FORMS``.
            header: from ``to_header``.

        Raises:
            ValueError: no such form.
        """
        if form not in FORMS:
            raise ValueError(f"format is {form!r}, expected one of {', '.join(FORMS)}")
        self.path = out / "predictions.json"
        self._part = out / "predictions.json.part"
        self._form = form
        self._header = header
        self._file: IO[str] | None = None
        self._images = 0
        self._items = 0

    def __enter__(self) -> Self:
        """Open the file under a name of its own."""
        # a name that is no Unicode becomes \\udc.., which is how JSON writes it too
        self._file = self._part.open("w", encoding="utf-8", errors="backslashreplace")
        if self._form in ("iouaware", "yolo"):
            self._file.write(json.dumps(self._header, ensure_ascii=False)[:-1] + ', "images": ')
        self._file.write("[")
        return self

    def add(self, found: Detections, name: str) -> None:
        """Write the detections of the next picture; ``name`` is its relative name under ``out``."""
        self._images += 1
        if self._form == "coco":
            for result in found.to_coco(self._images):
                self._write({**result, "file_name": found.file})
        elif self._form == "labelstudio":
            self._write(to_label_studio_task(found, str(self._header["model"])))
        else:
            self._write(found.to_dict())
        if self._form == "yolo":
            text = "".join(f"{line}\n" for line in to_yolo_lines(found))
            path = _label_path(self.path.parent / "labels", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _write(self, item: dict[str, Any]) -> None:
        if self._file is None:
            raise ValueError("the writer is not open: use it in a with statement")
        self._file.write((",\n" if self._items else "\n") + json.dumps(item, ensure_ascii=False))
        self._items += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the file and give it its name, or drop it after an error."""
        if self._file is None:
            return
        if kind is None:
            self._file.write("\n]}\n" if self._form in ("iouaware", "yolo") else "\n]\n")
        self._file.close()
        if kind is None:
            self._part.replace(self.path)
        else:
            self._part.unlink(missing_ok=True)


def _label_path(folder: Path, name: str) -> Path:
    """Return a path that is free: the name without a picture's suffix, else the whole name."""
    whole = folder / f"{name}.txt"
    if Path(name).suffix.lower() not in IMAGE_SUFFIXES:
        return whole  # a frame of a video, clip.mp4-000003
    short = (folder / name).with_suffix(".txt")
    return whole if short.exists() else short
