"""Exported files: what they say about themselves, and candidates from what they compute.

numpy only: neither torch nor the packages that export are needed to use a file.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from iouaware.config import Precision, build_inference_config
from iouaware.errors import CheckpointError, ConfigError, one_line
from iouaware.inference.scoring import FORMULA
from iouaware.parsing import parse_json
from iouaware.structures import Candidates, Frame, ImageArray, ModelInfo

FORMAT = 1
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
DIGEST = "sha256"  # of all other entries, so that a changed one is seen
End = Literal["detections", "candidates"]
Format = Literal["onnx", "openvino"]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class ExportInfo:
    """What an exported file says about itself.

    Attributes:
        model: of the model it was made from.
        canvas_hw: (height, width) px that it takes; None for any multiples of 32.
        end: where the graph ends.
        baked: whether alpha and the threshold are constants in it.
        precision: ``float32`` or ``int8``, what most of the network computes in.
        version: of the package that wrote it.
        parity: how far it differs from PyTorch; empty until that was measured.
    """

    model: ModelInfo
    canvas_hw: tuple[int, int] | None
    end: End
    baked: bool
    precision: str
    version: str
    parity: dict[str, Any] = field(default_factory=dict)

    @property
    def is_bare(self) -> bool:
        """Whether the images are the graph's only input."""
        return self.baked or self.end == "candidates"


def write_metadata(info: ExportInfo) -> dict[str, str]:
    """Return the entries that are stored in the file: each is JSON, one is a digest of the others.

    ``score_threshold`` and ``alpha`` are what the inputs of these names should get by default.
    """
    model = asdict(info.model)
    values = {
        "format": FORMAT,
        "formula": FORMULA,
        **model,
        "score_threshold": info.model.score_threshold(info.model.alpha),
        "input_size": info.model.config["data"]["image_size"],
        "canvas": info.canvas_hw and list(info.canvas_hw),
        "end": info.end,
        "baked": info.baked,
        "precision": info.precision,
        "calibration": model.get("calibration"),
        "version": info.version,
        "parity": info.parity,
    }
    entries = {
        name: json.dumps(value, ensure_ascii=False, allow_nan=False)
        for name, value in values.items()
    }
    return entries | {DIGEST: _digest(entries)}


def read_metadata(entries: Mapping[str, str], file: Path) -> ExportInfo:
    """Read what ``write_metadata`` wrote.

    Args:
        entries: of the file, other programs' among them.
        file: named in errors.

    Raises:
        CheckpointError: another program's file, a newer format, or entries that were changed.
    """
    own = {name: text for name, text in entries.items() if name in _names()}
    if "formula" not in own or DIGEST not in own:
        raise CheckpointError(
            f"{file}: has no metadata of this package; expected a file that iouaware export wrote"
        )
    try:
        values = {name: parse_json(text) for name, text in own.items() if name != DIGEST}
        if values["format"] != FORMAT:
            raise CheckpointError(
                f"{file}: metadata format {values['format']}, this version reads {FORMAT}; "
                "update iouaware, or export again"
            )
        size = values["canvas"]
        info = ExportInfo(
            ModelInfo.from_dict(values),
            None if size is None else (int(size[0]), int(size[1])),
            values["end"],
            bool(values["baked"]),
            str(values["precision"]),
            str(values["version"]),
            dict(values["parity"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        reason = one_line(error, 200)
        raise CheckpointError(
            f"{file}: its metadata cannot be read ({reason}); export again"
        ) from error
    if own[DIGEST] != _digest({name: text for name, text in own.items() if name != DIGEST}):
        raise CheckpointError(
            f"{file}: its metadata was changed after the export (the digest differs); export again"
        )
    return info


class ExportedBackend(ABC):
    """An exported graph that looks at canvases; one subclass a runtime.

    Attributes:
        info: what the file says about itself.
        settings: of post-processing, as the model was trained with.
    """

    def __init__(self, info: ExportInfo, file: Path) -> None:
        """Keep what is known about the file.

        Args:
            info: its metadata.
            file: named in errors.
        """
        self.info = info
        self.file = file
        self.settings = build_inference_config(info.model.config, str(file))

    @abstractmethod
    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph as it is.

        Args:
            feeds: the inputs by name; those that the graph does not have are left out.
            outputs: names of those wanted; None for all.
        """

    def compute_candidates(self, canvases: ImageArray, frames: Sequence[Frame]) -> list[Candidates]:
        """Return the candidates of each canvas, [B, H, W, 3] RGB.

        Raises:
            ConfigError: the file takes canvases of another size.
            ValueError: canvases of another shape, or not as many as frames.
        """
        feeds = self.feeds(canvases, 1.0, 0.0)
        if len(canvases) != len(frames):
            raise ValueError(f"{len(canvases)} canvases for {len(frames)} frames")
        names = ["boxes", "labels", "class_scores", "anchors"]
        names += ["predicted_iou"] if self.info.model.has_iou else []
        found = self.run(feeds, [f"candidate_{name}" for name in names])
        return [build_candidates(found, row, frame) for row, frame in enumerate(frames)]

    def compute_paper_candidates(
        self, canvases: ImageArray, frames: Sequence[Frame], alpha: float
    ) -> list[Candidates]:
        """Refuse: the authors' order needs the head's outputs, which a file does not give."""
        raise ConfigError(
            f"{self.file}: exported files know the standard order only; use the run folder for "
            "inference.postprocess paper"
        )

    def feeds(
        self, canvases: ImageArray, alpha: float, score_threshold: float
    ) -> dict[str, NDArray[Any]]:
        """Return the graph's inputs for canvases, [B, H, W, 3] RGB.

        Raises:
            ConfigError: the file takes canvases of another size.
            ValueError: canvases of another shape.
        """
        if canvases.ndim != 4 or canvases.shape[3] != 3:
            raise ValueError(f"canvases have shape {canvases.shape}, expected [B, H, W, 3]")
        height, width = canvases.shape[1:3]
        wanted = self.info.canvas_hw
        if wanted not in (None, (height, width)) or height % 32 or width % 32:
            size = "multiples of 32" if wanted is None else f"{wanted[0]} x {wanted[1]}"
            raise ConfigError(
                f"{self.file}: the canvas is {height} x {width} px, this file takes {size}; "
                "export with --image-size dynamic for others"
            )
        return {
            "images": np.ascontiguousarray(canvases.transpose(0, 3, 1, 2)),
            "alpha": np.array(alpha, np.float32),
            "score_threshold": np.array(score_threshold, np.float32),
        }


def build_candidates(found: Arrays, row: int, frame: Frame) -> Candidates:
    """Return the candidates of one picture from a graph's outputs, padding taken away.

    Args:
        found: the outputs named ``candidate_...``, [B, C] each.
        row: of the picture.
        frame: of the picture; boxes are clipped to it.
    """
    labels = found["candidate_labels"][row].astype(np.int64)
    scores = found["candidate_class_scores"][row]
    anchors = found["candidate_anchors"][row].astype(np.int64)
    there = np.flatnonzero(labels >= 0)
    # falling p, then anchor and class, as everywhere: runtimes order ties as they like
    kept = there[np.lexsort((labels[there], anchors[there], -scores[there]))]
    height, width = frame.resized_hw
    limit = np.array([width, height, width, height], np.float32)
    predicted = found.get("candidate_predicted_iou")
    return Candidates(
        np.clip(found["candidate_boxes"][row][kept], 0, limit),
        labels[kept],
        scores[kept],
        None if predicted is None else predicted[row][kept],
        anchors[kept],
        frame,
    )


def is_exported(path: Path) -> bool:
    """Tell an exported file by its name."""
    return path.suffix in SUFFIXES.values()


def parity_file(path: Path) -> Path:
    """Return where the figures of an exported file are kept: beside it, under its whole name."""
    return path.with_name(f"{path.name}.parity.json")


def open_exported(
    file: Path, device: str | None = None, precision: Precision = "float32"
) -> ExportedBackend:
    """Make an exported file ready to run.

    Args:
        file: ``.onnx`` or ``.xml``.
        device: ``cpu``, or ``cuda`` for an ONNX file; None takes the processor.
        precision: what OpenVINO may compute in; an ONNX file computes in what it was written in.

    Raises:
        CheckpointError: no such file, damaged, or not of this package.
        ConfigError: the runtime is not installed, or cannot do what is asked.
    """
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file; expected one that iouaware export wrote")
    if file.suffix == ".onnx":
        from iouaware.inference.onnx_backend import OnnxBackend

        return OnnxBackend(file, device, precision)
    from iouaware.inference.openvino_backend import OpenvinoBackend

    return OpenvinoBackend(file, device, precision)


def read_exported_info(file: Path) -> ExportInfo:
    """Read what an exported file says about itself, without making it ready to run.

    Raises:
        CheckpointError: no such file, damaged, or not of this package.
        ConfigError: the runtime is not installed.
    """
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file; expected one that iouaware export wrote")
    if file.suffix == ".onnx":
        from iouaware.inference.onnx_backend import read_onnx_metadata

        return read_metadata(read_onnx_metadata(file), file)
    from iouaware.inference.openvino_backend import read_openvino_metadata

    return read_metadata(read_openvino_metadata(file), file)


def read_info(model: Path) -> ModelInfo:
    """Read what a model says about itself.

    Args:
        model: a run folder, a ``.safetensors`` file, or an exported ``.onnx`` or ``.xml``.

    Raises:
        CheckpointError: no model there, or none that can be used.
        ConfigError: the runtime of an exported file is not installed.
    """
    if is_exported(model):
        return read_exported_info(model).model
    from iouaware.model.weight_files import find_model_file, read_model_info

    return read_model_info(find_model_file(model))


def _names() -> set[str]:
    """Return the names of all entries that this package writes."""
    model = set(ModelInfo.__dataclass_fields__)
    own = {"format", "formula", "score_threshold", "input_size", "canvas", "end", "baked"}
    return model | own | {"precision", "calibration", "version", "parity", DIGEST}


def _digest(entries: Mapping[str, str]) -> str:
    text = "\n".join(f"{name}={entries[name]}" for name in sorted(entries))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
