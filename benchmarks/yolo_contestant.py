"""A YOLO11 nano of random weights as a contestant of ``sizes.py``, in an environment of its own.

Command: ``PYTHON yolo_contestant.py pytorch|openvino|int8 SIZE DATA``; DATA is a folder in YOLO's
form. Nothing is downloaded.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from contest import compete


def main() -> None:
    """Build or export the model, then find the objects in a picture when asked."""
    form, size, data = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    os.environ |= {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false"}
    from ultralytics import YOLO

    model: Any = YOLO("yolo11n.yaml")
    with tempfile.TemporaryDirectory() as folder:
        if form != "pytorch":
            weights = Path(folder) / "yolo11n.pt"
            model.save(weights)
            options = {"int8": True, "data": str(data / "data.yaml")} if form == "int8" else {}
            # what it says would be taken for an answer
            with Path(os.devnull).open("w") as nowhere:
                stdout, sys.stdout = sys.stdout, nowhere
                exported = YOLO(weights).export(format="openvino", imgsz=size, **options)
                sys.stdout = stdout
            model = YOLO(exported, task="detect")
        pictures = sorted(data.rglob("*.jpg"))
        compete(
            lambda number: model.predict(
                pictures[number % len(pictures)], imgsz=size, device="cpu", verbose=False
            )
        )


if __name__ == "__main__":
    main()
