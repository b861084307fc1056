"""Prediction on any number of pictures, written as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from iouaware.errors import DatasetError, UnreadableError, one_line
from iouaware.inference.detections import Detections
from iouaware.inference.formats import Form, PredictionWriter, to_header
from iouaware.inference.predictor import Predictor
from iouaware.inference.selection import check_thresholds, resolve_alpha
from iouaware.inference.sources import Source, list_sources, read_sources
from iouaware.structures import ImageArray


def predict_folder(
    predictor: Predictor,
    sources: str | Path | Sequence[str | Path],
    out: Path,
    form: Form = "iouaware",
    *,
    draw: bool = True,
    alpha: float | None = None,
    score_threshold: float | None = None,
    min_iou: float = 0.0,
    max_detections: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Predict on files, folders, globs and videos; write ``predictions.json`` and pictures.

    Memory does not grow with the number of pictures.

    Args:
        predictor: the model.
        sources: as the user wrote them.
        out: folder to write into; made if need be.
        form: of ``predictions.json``; with ``yolo`` also ``labels/*.txt``.
        draw: also write every picture with its boxes.
        alpha: as in ``predict``.
        score_threshold: as in ``predict``.
        min_iou: as in ``predict``.
        max_detections: as in ``predict``.
        progress: called with pictures done and their number, None where videos hide it.

    Returns:
        The path of ``predictions.json``.

    Raises:
        UnreadableError: files that cannot be read are left out, those that cannot be drawn are
            answered in ``predictions.json`` alone; all others are answered and drawn.
        DatasetError: a source is missing or is no picture, or none can be read.
        ConfigError: ``min_iou`` is asked of a model without a trained IoU branch.
        ValueError: a value lies outside its range.
    """
    listed = list_sources(sources)
    total = None if any(source.is_video for source in listed) else len(listed)
    alpha = resolve_alpha(predictor.info, alpha)
    if score_threshold is None:
        score_threshold = predictor.info.score_threshold(alpha)
    check_thresholds(predictor.info, score_threshold, min_iou)
    names: list[Source] = []  # of the pictures read and not yet answered: one batch
    failed: list[DatasetError] = []

    def pictures() -> Iterator[tuple[str | None, ImageArray]]:
        for file in listed:
            try:
                for source, image in read_sources([file]):
                    names.append(source)
                    yield source.path.as_posix(), image
            except DatasetError as error:  # the work on all others must not be lost
                failed.append(error)

    out.mkdir(parents=True, exist_ok=True)
    header = to_header(predictor.name, predictor.class_names, alpha, score_threshold)
    with PredictionWriter(out, form, header) as writer:
        answers = predictor.stream(pictures(), alpha, score_threshold, min_iou, max_detections)
        done = 0
        for done, found in enumerate(answers, start=1):
            source = names.pop(0)
            writer.add(found, source.name)
            if draw and (error := _draw(found, out, source.name)):
                failed.append(error)
            if progress is not None:
                progress(done, total)
        if failed and not done:
            raise failed[0]
    if failed:
        raise UnreadableError(
            f"{len(failed):,} of {len(listed):,} files cannot be read or drawn, all else is in "
            f"{writer.path}; the first: {failed[0]}",
            writer.path,
            [str(error) for error in failed],
        )
    return writer.path


def _draw(found: Detections, out: Path, name: str) -> DatasetError | None:
    """Write a picture with its boxes; return what is wrong where it cannot be written."""
    path = out / drawn_name(name)
    try:
        while path.exists():  # x.bmp and x.bmp.jpg want one name
            path = path.with_name(f"{path.name}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        found.save(path)
    except (OSError, ValueError) as error:  # a side past 65,500 px, a name that is too long
        with suppress(OSError):
            path.unlink()
        reason = (error.strerror if isinstance(error, OSError) else None) or one_line(error, 120)
        return DatasetError(f"{name}: answered, but cannot be drawn: {reason}")
    return None


def drawn_name(name: str) -> str:
    """Return the file name of a drawn picture: JPEG and PNG keep theirs, others get ``.jpg``."""
    return name if name.lower().endswith((".jpg", ".jpeg", ".png")) else f"{name}.jpg"
