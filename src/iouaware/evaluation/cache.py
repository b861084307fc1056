"""Keep the candidates of a split in a file, so that sweeps and reports need no forward pass."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iouaware.errors import CheckpointError, one_line
from iouaware.structures import Candidates, Frame


def save_candidates(path: Path, candidates: Sequence[Candidates], made_of: str = "") -> None:
    """Write the candidates of all pictures, in order, to one .npz file, atomically.

    Args:
        path: the file; its folder is made where it does not exist.
        candidates: one entry a picture.
        made_of: names the weights and the pictures that they come from.

    Raises:
        ValueError: some pictures have a predicted IoU and others do not.
    """
    with_iou = [found.predicted_iou is not None for found in candidates]
    if any(with_iou) and not all(with_iou):
        raise ValueError(f"{sum(with_iou)} of {len(with_iou)} pictures have a predicted IoU")
    columns: dict[str, NDArray[np.generic]] = {
        "made_of": np.array(made_of),
        "counts": np.array([len(found) for found in candidates], np.int64),
        "frames": np.array(
            [
                (*found.frame.original_hw, *found.frame.resized_hw, *found.frame.canvas_hw)
                for found in candidates
            ],
            np.int32,
        ).reshape(-1, 6),
        "boxes": _join([found.boxes for found in candidates], np.zeros((0, 4), np.float32)),
        "labels": _join([found.labels for found in candidates], np.zeros(0, np.int64)),
        "class_scores": _join([c.class_scores for c in candidates], np.zeros(0, np.float32)),
        "anchor_index": _join([c.anchor_index for c in candidates], np.zeros(0, np.int64)),
    }
    if any(with_iou):
        predicted = [c.predicted_iou for c in candidates if c.predicted_iou is not None]
        columns["predicted_iou"] = _join(predicted, np.zeros(0, np.float32))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.savez(file, **columns)  # type: ignore[arg-type]  # its stub takes the last flag too
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_candidates(path: Path, made_of: str | None = None) -> list[Candidates]:
    """Read what ``save_candidates`` wrote; nothing is unpickled.

    Args:
        path: the file.
        made_of: where given, what the candidates must come from.

    Raises:
        CheckpointError: the file is missing, broken, holds something else, or comes from others.
    """
    try:
        # opened here, since numpy leaves a file open that it finds broken
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            if made_of is not None and str(file["made_of"]) != made_of:
                raise ValueError("it comes from other weights or pictures")
            columns = {name: file[name] for name in file.files}
        edges = np.concatenate([[0], np.cumsum(columns["counts"])])
        predicted = columns.get("predicted_iou")
        found = []
        for start, end, frame in zip(
            edges[:-1], edges[1:], columns["frames"].tolist(), strict=True
        ):
            rows = slice(int(start), int(end))
            found.append(
                Candidates(
                    boxes=columns["boxes"][rows],
                    labels=columns["labels"][rows],
                    class_scores=columns["class_scores"][rows],
                    predicted_iou=None if predicted is None else predicted[rows],
                    anchor_index=columns["anchor_index"][rows],
                    frame=Frame((frame[0], frame[1]), (frame[2], frame[3]), (frame[4], frame[5])),
                )
            )
    except (
        OSError, ValueError, KeyError, IndexError, EOFError, NotImplementedError,
        zipfile.BadZipFile,
    ) as error:  # fmt: skip
        reason = one_line(error)
        raise CheckpointError(
            f"{path}: no file of candidates ({reason}); evaluate again"
        ) from error
    return found


def _join(parts: Sequence[NDArray[np.generic]], empty: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.concatenate([empty, *parts]).astype(empty.dtype)
