"""The command ``export``: its options, and the one call behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from iouaware.options import Positive, given
from iouaware.running.folder import Say


def add_export(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the options of ``export``."""
    parser.add_argument("RUN", type=str, help="a run folder, a .safetensors file, or latest")
    parser.add_argument(
        "--format", type=Literal["onnx", "openvino"], required=True, help="onnx or openvino"
    )
    parser.add_argument(
        "--int8", action="store_true", help="quantise to INT8 on pictures of --data"
    )
    parser.add_argument(
        "--int8-bits",
        type=Literal[7, 8],
        help="of a weight: 8 loses less, on processors with VNNI alone; 7 if left out, for all",
    )
    parser.add_argument(
        "--data",
        type=str,
        help="a data set to compare on, and to quantise on; the run's own if left out",
    )
    parser.add_argument(
        "--end",
        type=Literal["detections", "candidates"],
        help="candidates stops before fusion and NMS, for devices without; detections if left out",
    )
    parser.add_argument(
        "--bake", action="store_true", help="make the model's alpha and threshold constants"
    )
    parser.add_argument(
        "--image-size",
        type=Positive | Literal["dynamic"],
        metavar="N|dynamic",
        help="side of the canvas in px, or any multiples of 32; the model's own if left out",
    )
    parser.add_argument(
        "--opset", type=Positive, metavar="N", help="version of ONNX's operations, 18 to 23"
    )
    parser.add_argument(
        "--out",
        type=str,
        metavar="FILE",
        help="RUN/export/model.onnx, model.xml, model-int8... if left out; replaced if there",
    )


def run_export(options: Namespace, say: Say) -> dict[str, Any]:
    """Export a model and print how like the model the file is."""
    from iouaware.inference.exported import parity_file
    from iouaware.run import Run

    names = ("int8", "int8_bits", "data", "end", "bake", "image_size", "out", "opset")
    file = Run(options.RUN, say=say).export(options.format, **given(options, *names))
    say(f"wrote {file}")
    return {"file": str(file), "parity": str(parity_file(file))}
