"""Pictures in, detections out: what ``iouaware.load`` returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from numbers import Integral
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from iouaware.config import InferenceConfig, Precision, build_inference_config
from iouaware.errors import CheckpointError, ConfigError, one_line
from iouaware.images import canvas_fill, read_image, resize_to_canvas
from iouaware.inference.ahead import make_ahead
from iouaware.inference.detections import Detections
from iouaware.inference.exported import is_exported, open_exported
from iouaware.inference.selection import Selection, check_thresholds, resolve_alpha
from iouaware.inference.sources import list_sources, read_picture, read_sources
from iouaware.structures import Candidates, Frame, ImageArray, ModelInfo

Picture = Any  # a path, a Pillow image, an array, or a torch tensor (torch is not imported here)
BATCH_SIZE = 8


class Backend(Protocol):
    """What computes candidates: torch, or an exported graph."""

    settings: InferenceConfig

    def compute_candidates(self, canvases: ImageArray, frames: Sequence[Frame]) -> list[Candidates]:
        """Return the candidates of each canvas, [B, H, W, 3] RGB."""

    def compute_paper_candidates(
        self, canvases: ImageArray, frames: Sequence[Frame], alpha: float
    ) -> list[Candidates]:
        """Return what the authors' order leaves for NMS at this alpha."""


class Predictor:
    """A model that finds objects in pictures.

    Attributes:
        info: what the model says about itself.
        name: where it came from, for ``predictions.json``.
        settings: of post-processing.
        image_size: as in ``images.resized_hw``.
        fill: colour of the padding.
    """

    def __init__(
        self,
        backend: Backend,
        info: ModelInfo,
        name: str = "model",
        batch_size: int = BATCH_SIZE,
    ) -> None:
        """Put a backend and what is known about its model together.

        Args:
            backend: computes candidates.
            info: names, ids, alpha, thresholds and config of the same model.
            name: shown in ``predictions.json``.
            batch_size: pictures of one canvas looked at together.

        Raises:
            CheckpointError: the model does not say the image size it was trained at.
        """
        self.backend = backend
        self.info = info
        self.name = name
        self.batch_size = batch_size
        self.settings = backend.settings
        self.image_size = image_size_of(info, name)
        self.fill = canvas_fill(info.mean)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K class names in the order of the labels."""
        return self.info.class_names

    def predict(
        self,
        source: Picture | Sequence[Picture],
        alpha: float | None = None,
        score_threshold: float | None = None,
        min_iou: float = 0.0,
        max_detections: int | None = None,
    ) -> Detections | list[Detections]:
        """Find the objects in one picture or in several.

        Args:
            source: a path, a Pillow image, an array [H, W, 3] uint8 RGB, a tensor [3, H, W]
                (uint8, or float 0..1), or a list of them. A folder, glob or video counts as the
                list of its pictures.
            alpha: weight of the class score in S, 0..1; None takes the model's.
            score_threshold: keep S at or above; None takes the one stored for this alpha.
            min_iou: keep a predicted IoU at or above.
            max_detections: at most this many a picture; None takes the model's.

        Returns:
            ``Detections``, or a list of them for a list.

        Raises:
            DatasetError: a picture cannot be read.
            ConfigError: ``min_iou`` is asked of a model without a trained IoU branch.
            ValueError: a value lies outside its range, or an array has another shape or type.
        """
        options = (alpha, score_threshold, min_iou, max_detections)
        if isinstance(source, list | tuple):
            pictures = chain.from_iterable(self._read(item) for item in source)
            return list(self._stream(pictures, *options))
        found = list(self._stream(self._read(source), *options))
        is_many = isinstance(source, str | Path) and not _is_picture_file(source)
        return found if is_many else found[0]

    def stream(
        self,
        pictures: Iterable[tuple[str | None, ImageArray]],
        alpha: float | None = None,
        score_threshold: float | None = None,
        min_iou: float = 0.0,
        max_detections: int | None = None,
    ) -> Iterator[Detections]:
        """Find the objects in any number of pictures, holding two batches at a time.

        Args:
            pictures: pairs of a name and [H, W, 3] uint8 RGB, or what else ``read_image`` takes;
                drawn from another thread, a batch ahead. A camera may fill one array again and
                again: each is copied.
            alpha: as in ``predict``.
            score_threshold: as in ``predict``.
            min_iou: as in ``predict``.
            max_detections: as in ``predict``.

        Yields:
            ``Detections`` in the order given, each with its image, so that it can be drawn.
        """
        kept = ((name, read_image(image)) for name, image in pictures)
        copied = ((name, image, image.copy()) for name, image in kept)
        return self._stream(copied, alpha, score_threshold, min_iou, max_detections)

    def compute_candidates(self, images: Iterable[ImageArray]) -> list[Candidates]:
        """Return the candidates of each picture, [H, W, 3] uint8 RGB, free of alpha."""
        result = []
        for canvases, frames, _ in self._batches((None, image, None) for image in images):
            result += self.backend.compute_candidates(canvases, frames)
        return result

    def _stream(
        self,
        pictures: Iterable[tuple[str | None, ImageArray, ImageArray | None]],
        alpha: float | None,
        score_threshold: float | None,
        min_iou: float,
        max_detections: int | None,
    ) -> Iterator[Detections]:
        """Answer triples of a name, a picture, and the picture again where it is to be kept."""
        alpha = resolve_alpha(self.info, alpha)
        check_thresholds(self.info, score_threshold or 0.0, min_iou)
        settings = self.settings
        if max_detections is not None:
            if not isinstance(max_detections, Integral) or max_detections < 1:
                raise ValueError(
                    f"max_detections is {max_detections}, expected a whole number from 1 on"
                )
            settings = settings.model_copy(update={"max_detections": max_detections})
        for canvases, frames, rows in make_ahead(self._batches(pictures)):
            if settings.postprocess == "paper":
                candidates = self.backend.compute_paper_candidates(canvases, frames, alpha)
            else:
                candidates = self.backend.compute_candidates(canvases, frames)
            for (name, kept), found in zip(rows, candidates, strict=True):
                selection = Selection(found, self.info, settings, min_iou, name, kept)
                yield selection.select(alpha, score_threshold, min_iou)
            # let go of this batch before the next one is waited for: memory stays flat
            del canvases, frames, rows, candidates, kept, found, selection

    def _batches(
        self, pictures: Iterable[tuple[str | None, ImageArray, ImageArray | None]]
    ) -> Iterator[tuple[ImageArray, list[Frame], list[tuple[str | None, ImageArray | None]]]]:
        """Collect neighbouring pictures of one canvas into batches, in order."""
        canvases: list[ImageArray] = []
        frames: list[Frame] = []
        rows: list[tuple[str | None, ImageArray | None]] = []
        for name, image, kept in pictures:
            canvas, frame = resize_to_canvas(image, self.image_size, self.fill)
            if frames and (
                len(frames) == self.batch_size or frames[0].canvas_hw != frame.canvas_hw
            ):
                yield np.stack(canvases), frames, rows
                canvases, frames, rows = [], [], []
            canvases.append(canvas)
            frames.append(frame)
            rows.append((name, kept))
        if frames:
            yield np.stack(canvases), frames, rows

    def _read(self, source: Picture) -> Iterator[tuple[str | None, ImageArray, ImageArray | None]]:
        """Read a source; pixels that came without a file are kept for drawing."""
        if isinstance(source, str | Path):
            for item, image in read_sources(list_sources([source])):
                yield item.path.as_posix(), image, None
        else:
            name, image = read_picture(source)
            yield name, image, image


def load(
    path: str | Path, device: str | None = None, precision: Precision = "float32"
) -> Predictor:
    """Load a model for prediction.

    Args:
        path: a run folder, a ``.safetensors`` file, or an exported ``.onnx`` or ``.xml``.
        device: a torch device; None takes CUDA where there is one, else the processor. An
            exported file runs on the processor unless told otherwise.
        precision: what the network computes in; ``auto`` takes what the device is quick in.

    Raises:
        CheckpointError: no model there, or none that can be used.
        ConfigError: no such device or precision, or the runtime of an exported file is not
            installed.
    """
    file = Path(path)
    if is_exported(file):
        exported = open_exported(file, device, precision)
        return Predictor(exported, exported.info.model, name=file.as_posix())
    if file.is_dir():
        file = file / "model.safetensors"
    if not file.is_file():
        raise CheckpointError(
            f"{path}: found no model; expected a run folder with model.safetensors, or such a file"
        )
    if file.suffix != ".safetensors":
        raise CheckpointError(
            f"{path}: found a file ending in {file.suffix or 'nothing'}, "
            "expected .safetensors, .onnx or .xml"
        )
    import torch

    from iouaware.checkpoint import read_model
    from iouaware.inference.torch_backend import TorchBackend

    detector, info = read_model(file)
    settings = build_inference_config(info.config, "the model's settings")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        backend = TorchBackend(detector, settings, device, info.has_iou, precision)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"device is {device!r}: torch cannot use it here ({one_line(error, 100)}); expected "
            "cpu, or cuda where there is such a GPU"
        ) from error
    return Predictor(backend, info, name=Path(path).as_posix())


def _is_picture_file(source: str | Path) -> bool:
    """Tell a single picture from a folder, glob or video."""
    listed = list_sources([source])
    return len(listed) == 1 and Path(source) == listed[0].path and not listed[0].is_video


def image_size_of(info: ModelInfo, name: str) -> int | tuple[int, int]:
    """Return the size a model was trained at, as ``images.resized_hw`` takes it.

    Args:
        info: of the model.
        name: of the model, for errors.

    Raises:
        CheckpointError: the model does not say.
    """
    size = info.config.get("data", {}).get("image_size")
    if isinstance(size, list | tuple) and len(size) == 2:
        return int(size[0]), int(size[1])
    if isinstance(size, int):
        return size
    raise CheckpointError(
        f"{name}: the config says image_size {size!r}, expected the px it was trained at"
    )
