"""What an exported file says about itself: written into it, and read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from iouaware.errors import CheckpointError, one_line
from iouaware.inference.scoring import FORMULA
from iouaware.parsing import parse_json
from iouaware.structures import ModelInfo

FORMAT = 1
DIGEST = "sha256"  # of all other entries, so that a changed one is seen
End = Literal["detections", "candidates"]


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
    return entries | {DIGEST: digest_of(entries)}


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
    if own[DIGEST] != digest_of({name: text for name, text in own.items() if name != DIGEST}):
        raise CheckpointError(
            f"{file}: its metadata was changed after the export (the digest differs); export again"
        )
    return info


def _names() -> set[str]:
    """Return the names of all entries that this package writes."""
    model = set(ModelInfo.__dataclass_fields__)
    own = {"format", "formula", "score_threshold", "input_size", "canvas", "end", "baked"}
    return model | own | {"precision", "calibration", "version", "parity", DIGEST}


def digest_of(entries: Mapping[str, str]) -> str:
    """Return the hash by which a change of the entries is seen: of all but the hash itself."""
    text = "\n".join(f"{name}={entries[name]}" for name in sorted(entries))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
