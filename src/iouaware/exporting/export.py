"""The whole of an export: write the file, run it, compare it with PyTorch, say so in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args

import iouaware
from iouaware.checkpoint import read_model
from iouaware.config import InferenceConfig
from iouaware.data.dataset import Dataset
from iouaware.errors import ConfigError, ParityError
from iouaware.evaluation.alpha_sweep import judge_alpha
from iouaware.evaluation.coco_metrics import CocoEvaluator
from iouaware.evaluation.collect import collect_candidates
from iouaware.evaluation.evaluate import write_json
from iouaware.exporting.int8 import (
    CALIBRATION_IMAGES,
    SAFE_BITS,
    calibration_feeds,
    quantise_onnx,
    quantise_openvino,
)
from iouaware.exporting.onnx_file import OPSETS, write_onnx, write_onnx_metadata
from iouaware.exporting.openvino_file import read_onnx_as_openvino, write_openvino
from iouaware.exporting.parity import compare_batches, time_one_picture
from iouaware.exporting.pictures import Pictures, read_spread
from iouaware.exporting.tolerance import TOLERANCES, judge
from iouaware.images import canvas_fill
from iouaware.inference.export_metadata import End, ExportInfo, write_metadata
from iouaware.inference.exported import Format, open_exported, parity_file
from iouaware.inference.exported_backend import ExportedBackend
from iouaware.inference.predictor import image_size_of
from iouaware.inference.torch_backend import TorchBackend
from iouaware.structures import ModelInfo

SMALLEST = 64  # px; below, P7 is a single cell and nothing is left to see
RECORDED = ("torch", "onnx", "onnxruntime", "openvino", "nncf")


@dataclass(frozen=True)
class ExportPlan:
    """What the file is to be.

    Attributes:
        form: ``onnx`` or ``openvino``.
        end: at ``detections``, with the candidates beside them, or at ``candidates``.
        bake: make alpha and the threshold constants.
        image_size: N for a fixed canvas of N x N px, ``dynamic`` for any multiples of 32, None
            for the model's own.
        calibration: pictures to quantise to INT8 on; None stays in float32.
        weight_bits: of an INT8 weight: 7 for every processor, or 8 for those with VNNI.
    """

    form: Format = "onnx"
    end: End = "detections"
    bake: bool = False
    image_size: int | Literal["dynamic"] | None = None
    opset: int | None = None
    calibration: Dataset | None = None
    weight_bits: Literal[7, 8] = SAFE_BITS


def export_model(
    model_path: Path, out: Path, plan: ExportPlan, pictures: Pictures, say: Callable[[str], None]
) -> dict[str, Any]:
    """Write a model to a file that runs without torch, and measure how like the model it is.

    Args:
        model_path: the weights.
        out: the file; replaced if there, once the new one has been compared.
            ``<file>.parity.json`` is written beside it.
        plan: what it is to be.
        pictures: to compare on.
        say: takes each line meant for the user.

    Returns:
        What the parity file holds; ``past`` lists what lies past the tolerance.

    Raises:
        CheckpointError: no model there.
        ConfigError: a package of the extra is missing, or a setting does not fit.
        ExportError: the network cannot be exported.
    """
    detector, model = read_model(model_path)
    info = describe_export(model, plan)
    out.parent.mkdir(parents=True, exist_ok=True)
    say(f"exporting {model_path}: {plan.form}, {info.precision}, ends at {info.end}")
    write = _write_onnx_form if plan.form == "onnx" else _write_openvino_form
    settings = InferenceConfig.model_validate(model.config.get("inference", {}))
    backend = TorchBackend(detector, settings, "cpu", model.has_iou)
    # an earlier file stays until the new one is proven
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".exporting-") as folder:
        made = Path(folder) / out.name
        keep_metadata = write(detector, info, plan, made)
        keep_metadata(write_metadata(info))
        report = compare_with_torch(backend, open_exported(made), pictures)
        report |= {"file": out.name, "bytes": _size_of(made), "versions": _versions()}
        write_json(parity_file(made), report)
        keep_metadata(write_metadata(replace(info, parity=report)))
        for file in Path(folder).iterdir():
            file.replace(out.parent / file.name)
    return report


def describe_export(model: ModelInfo, plan: ExportPlan) -> ExportInfo:
    """Say what the file will say about itself.

    Raises:
        ConfigError: a size that the network cannot take, or settings that do not fit the model.
    """
    if model.config.get("inference", {}).get("postprocess") == "paper":
        raise ConfigError(
            "inference.postprocess is paper: its choice of candidates depends on alpha, which an "
            "exported graph takes as an input; export a model with the standard order"
        )
    for name, value, known in (
        ("end", plan.end, get_args(End)),
        ("int8_bits", plan.weight_bits, (7, 8)),
    ):
        if value not in known:
            raise ConfigError(f"{name} is {value!r}, expected one of {', '.join(map(str, known))}")
    if plan.bake and plan.end == "candidates":
        raise ConfigError("--bake: a file that ends at candidates has no alpha; leave one out")
    if plan.opset is not None and plan.opset not in OPSETS:
        raise ConfigError(f"--opset {plan.opset}: expected {OPSETS[0]} to {OPSETS[-1]}")
    own = image_size_of(model, "the model")
    size = plan.image_size or (own if isinstance(own, int) else "dynamic")
    canvas_hw = None
    if size != "dynamic":
        if not isinstance(size, int) or size % 32 or size < SMALLEST:
            raise ConfigError(
                f"--image-size {size}: expected a multiple of 32 from {SMALLEST} px on, or dynamic"
            )
        canvas_hw = (size, size)
        config = {**model.config, "data": {**model.config["data"], "image_size": size}}
        model = replace(model, config=config)
    return ExportInfo(
        model,
        canvas_hw,
        plan.end,
        plan.bake,
        "float32" if plan.calibration is None else "int8",
        iouaware.__version__,
    )


def compare_with_torch(
    backend: TorchBackend, exported: ExportedBackend, pictures: Pictures
) -> dict[str, Any]:
    """Compare a file with the model it was made from, box by box and by AP.

    Args:
        backend: the model.
        exported: the file.
        pictures: to compare on.

    Returns:
        ``comparisons``, ``AP`` (None without truth), ``milliseconds``, ``tolerance``, ``past``.
    """
    info = exported.info
    fill = canvas_fill(info.model.mean)
    size = image_size_of(info.model, str(exported.file))
    sizes = [size] if info.canvas_hw else [size, _another_size(size)]
    images = pictures.images()
    rows = compare_batches(backend, exported, images, sizes, fill)
    labelled = pictures.labelled()
    ap = None if labelled is None else _compare_ap(backend, exported, labelled, size, fill)
    tolerance = TOLERANCES[info.precision]
    return {
        "pictures": pictures.source,
        "precision": info.precision,
        "comparisons": rows,
        "AP": ap,
        "milliseconds": time_one_picture(backend, exported, images[0], size, fill),
        "tolerance": vars(tolerance),
        "past": judge(rows, ap, tolerance),
    }


def _write_onnx_form(
    detector: Any, info: ExportInfo, plan: ExportPlan, out: Path
) -> Callable[[Mapping[str, str]], None]:
    """Write the ONNX file; return what puts metadata into it."""
    if plan.calibration is None:
        write_onnx(detector, info, out, plan.opset)
    else:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".exporting-") as folder:
            floating = Path(folder) / "float.onnx"
            write_onnx(detector, info, floating, plan.opset)
            feeds = _calibration(info, plan.calibration)
            quantise_onnx(floating, out, feeds, plan.weight_bits)
    return lambda entries: write_onnx_metadata(out, entries)


def _write_openvino_form(
    detector: Any, info: ExportInfo, plan: ExportPlan, out: Path
) -> Callable[[Mapping[str, str]], None]:
    """Build the OpenVINO model; return what writes it with metadata."""
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".exporting-") as folder:
        onnx_file = Path(folder) / "float.onnx"
        write_onnx(detector, info, onnx_file, plan.opset)
        model = read_onnx_as_openvino(onnx_file)
        if plan.calibration is not None:
            feeds = _calibration(info, plan.calibration)
            model = quantise_openvino(onnx_file, model, feeds, plan.weight_bits)
    return lambda entries: write_openvino(model, out, entries)


def _calibration(info: ExportInfo, dataset: Dataset) -> list[Any]:
    return calibration_feeds(
        read_spread(dataset, CALIBRATION_IMAGES),
        image_size_of(info.model, "the model"),
        canvas_fill(info.model.mean),
        () if info.is_bare else ("alpha", "score_threshold"),
    )


def _compare_ap(
    backend: TorchBackend,
    exported: ExportedBackend,
    dataset: Dataset,
    size: int | tuple[int, int],
    fill: tuple[int, int, int],
) -> dict[str, Any]:
    """Return AP of both at alpha 1, and at the model's."""
    evaluator = CocoEvaluator(dataset)
    alphas = dict.fromkeys((1.0, exported.info.model.alpha))
    result: dict[str, Any] = {f"{alpha:g}": {} for alpha in alphas}
    for name, one in (("pytorch", backend), ("file", exported)):
        candidates = collect_candidates(one, dataset, size, fill)
        for alpha in alphas:
            judged = judge_alpha(dataset, evaluator, candidates, alpha, exported.settings)
            result[f"{alpha:g}"][name] = judged.metrics.AP
    return {"images": len(dataset), "alphas": result}


def _another_size(size: int | tuple[int, int]) -> int | tuple[int, int]:
    """Return about three quarters of a size, in multiples of 32."""
    if isinstance(size, int):
        return max(SMALLEST, size * 3 // 128 * 32)
    return max(SMALLEST, size[0] * 3 // 4), max(SMALLEST, size[1] * 3 // 4)


def _size_of(out: Path) -> int:
    weights = out.with_suffix(".bin")
    extra = weights.stat().st_size if out.suffix == ".xml" else 0
    return out.stat().st_size + extra


def _versions() -> dict[str, str]:
    found = {name: _version(name) for name in RECORDED}
    return {"iouaware": iouaware.__version__} | {k: v for k, v in found.items() if v is not None}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def refuse_past(report: Mapping[str, Any], out: Path) -> None:
    """Raise where a report says that the file differs too much.

    Raises:
        ParityError: it does; the file is there all the same.
    """
    if report["past"]:
        more = len(report["past"]) - 1
        raise ParityError(
            f"{out} misses parity: {report['past'][0]}"
            + (f"; {more} more in {parity_file(out).name}" if more else "")
            + "; the file was written all the same",
            out,
            parity_file(out),
            list(report["past"]),
        )
