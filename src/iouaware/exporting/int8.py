"""INT8 by post-training quantisation: what to quantise, and the pictures to find ranges on."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iouaware.exporting.quiet import silence
from iouaware.images import resize_to_canvas
from iouaware.inference.extras import import_extra
from iouaware.inference.openvino_backend import import_openvino
from iouaware.structures import ImageArray

CALIBRATION_IMAGES = 128
# only these are worth it: sums, norms and the enlarging of the pyramid take no time and cost 1 AP
QUANTISED = frozenset(
    {"Conv", "Relu", "Clip", "MaxPool", "Convolution", "GroupConvolution", "Clamp"}
)  # as ONNX and OpenVINO name them
# their outputs are deltas and logits on a fine scale, and they are narrow; the class layer is wide:
# with 91 classes it took 40 % of the time in float, and in INT8 it costs no AP
FLOAT_LAYERS = ("box_layer", "iou_layer", "second_look")

SAFE_BITS: Final = 7  # of a weight, for every processor

Feeds = dict[str, NDArray[Any]]


def quantise_onnx(path: Path, target: Path, feeds: Sequence[Feeds], weight_bits: int) -> None:
    """Write an INT8 copy of an ONNX file.

    Args:
        path: the float file.
        target: the INT8 file.
        feeds: inputs of one picture each, to find the ranges of the activations on.
        weight_bits: 7, or 8 for processors that add products without overflow (VNNI).

    Raises:
        ConfigError: a package of the extra is missing.
    """
    onnx = import_extra("onnx")
    model = onnx.load(path)
    types = {node.op_type for node in model.graph.node}
    floating = nodes_kept_in_float(model)
    onnx.save(_quantise(model, feeds, floating, types, weight_bits), target)


def quantise_openvino(onnx_file: Path, model: Any, feeds: Sequence[Feeds], weight_bits: int) -> Any:
    """Return an INT8 copy of an OpenVINO model.

    Args:
        onnx_file: what the model was read from; it names the layers to keep in float.
        model: the OpenVINO model.
        feeds: as in ``quantise_onnx``.
        weight_bits: likewise.
    """
    floating = set(nodes_kept_in_float(import_extra("onnx").load(onnx_file)))
    there = [op.get_friendly_name() for op in model.get_ops()]
    types = {op.get_type_name() for op in model.get_ops()} - {"Constant", "Parameter", "Result"}
    # OpenVINO takes a convolution with a bias apart: the sum keeps the name
    kept = [name for name in there if name.removesuffix("/WithoutBiases") in floating]
    return _quantise(model, feeds, kept, types, weight_bits)


def nodes_kept_in_float(model: Any) -> list[str]:
    """List the box and IoU layers and every node that reads from them, by name.

    Args:
        model: an ONNX model.
    """
    reached: set[str] = set()
    floating = []
    for node in model.graph.node:  # in the order of the computation
        is_last = any(layer in name for name in node.input for layer in FLOAT_LAYERS)
        if is_last or reached & set(node.input):
            floating.append(node.name)
            reached |= set(node.output)
    return floating


def calibration_feeds(
    images: Iterator[ImageArray],
    size: int | tuple[int, int],
    fill: tuple[int, int, int],
    inputs: Sequence[str],
) -> list[Feeds]:
    """Put pictures on canvases, as inputs of a graph.

    Args:
        images: [H, W, 3] uint8 RGB, spread over the training part.
        size: as ``images.resized_hw`` takes it.
        fill: RGB of the padding.
        inputs: names of the graph's inputs.
    """
    knobs = {"alpha": np.array(1, np.float32), "score_threshold": np.array(0, np.float32)}
    found = []
    for image in images:
        canvas, _ = resize_to_canvas(image, size, fill)
        feeds: Feeds = {"images": np.ascontiguousarray(canvas.transpose(2, 0, 1)[None])}
        found.append(feeds | {name: knobs[name] for name in inputs if name in knobs})
    return found


def _quantise(
    model: Any, feeds: Sequence[Feeds], floating: list[str], types: set[str], weight_bits: int
) -> Any:
    import_openvino()  # first: it switches the usage reports off, which NNCF would send
    # NNCF and what it loads draw progress bars and speak of their own inside
    quiet = silence("nncf", "torch.utils.cpp_extension")
    with quiet, contextlib.redirect_stdout(io.StringIO()):
        nncf = import_extra("nncf")
        return nncf.quantize(
            model,
            nncf.Dataset(list(feeds)),
            subset_size=len(feeds),
            preset=nncf.QuantizationPreset.MIXED,  # the activations of Lite0 are not symmetric
            # with weights of 8 bits processors without VNNI saturate their sums of products
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE
                if weight_bits == SAFE_BITS
                else nncf.OverflowFix.DISABLE
            ),
            ignored_scope=nncf.IgnoredScope(
                names=floating, types=sorted(types - QUANTISED), validate=False
            ),
        )
