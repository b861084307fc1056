"""An object detector that knows how well its boxes fit (IoU-aware RetinaNet).

    import iouaware

    run = iouaware.train("data/", config="small", image_size=512)
    detector = iouaware.load(run.path)
    found = detector.predict("street.jpg", alpha=0.5)

The score is S = p^alpha * IoU^(1-alpha): p is the class score, IoU the predicted fit of the
box, alpha = 1 ranks by p alone. Names are loaded when they are first used, so that importing the
package costs nothing and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from iouaware.checking.findings import CheckReport
    from iouaware.config import Config, read_config
    from iouaware.data.synthetic import synthesize
    from iouaware.errors import (
        CheckpointError,
        ConfigError,
        DatasetError,
        DivergedError,
        ExportError,
        IoUAwareError,
        ParityError,
        TrainingError,
        UnreadableError,
    )
    from iouaware.inference.detections import Detections
    from iouaware.inference.predictor import Predictor, load
    from iouaware.inference.scoring import fuse_scores
    from iouaware.run import Run
    from iouaware.running.checking import check
    from iouaware.running.training import train

_HOMES = {
    "CheckReport": "checking.findings",
    "CheckpointError": "errors",
    "Config": "config",
    "ConfigError": "errors",
    "DatasetError": "errors",
    "Detections": "inference.detections",
    "DivergedError": "errors",
    "ExportError": "errors",
    "IoUAwareError": "errors",
    "ParityError": "errors",
    "Predictor": "inference.predictor",
    "Run": "run",
    "TrainingError": "errors",
    "UnreadableError": "errors",
    "check": "running.checking",
    "fuse_scores": "inference.scoring",
    "load": "inference.predictor",
    "read_config": "config",
    "synthesize": "data.synthetic",
    "train": "running.training",
}

__all__ = [
    "CheckReport",
    "CheckpointError",
    "Config",
    "ConfigError",
    "DatasetError",
    "Detections",
    "DivergedError",
    "ExportError",
    "IoUAwareError",
    "ParityError",
    "Predictor",
    "Run",
    "TrainingError",
    "UnreadableError",
    "check",
    "fuse_scores",
    "load",
    "read_config",
    "synthesize",
    "train",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'iouaware' has no attribute {name!r}")
    return getattr(importlib.import_module(f"iouaware.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
