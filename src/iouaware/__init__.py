"""An object detector that knows how well its boxes fit (IoU-aware RetinaNet)."""

__version__ = "0.1.0"
