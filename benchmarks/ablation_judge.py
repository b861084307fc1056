"""What a trained run is worth: the figures of one line of ``ablation.jsonl``.

alpha is chosen on the validation part. Where there is a test part, the figures are those of the
test part at that alpha. Elsewhere alpha is chosen on one half of the validation part and judged on
the other: each figure is the one at alpha 1 plus its mean held-out gain over twenty halvings.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from iouaware import Run
from iouaware.checkpoint import read_model, write_model
from iouaware.config import InferenceConfig
from iouaware.data.dataset import Dataset
from iouaware.data.loader import iterate_images
from iouaware.evaluation.alpha_sweep import ALPHAS
from iouaware.evaluation.cache import load_candidates
from iouaware.evaluation.coco_metrics import CocoEvaluator, CocoMetrics
from iouaware.evaluation.detection_table import DetectionTable, build_table
from iouaware.evaluation.evaluate import sweep_candidates
from iouaware.evaluation.held_out import FIGURES, judge_held_out, kept_alpha
from iouaware.evaluation.matches import Matches, match_detections
from iouaware.images import canvas_fill
from iouaware.inference.candidates import paper_candidates_from_outputs
from iouaware.inference.postprocess import select_paper_detections
from iouaware.inference.torch_backend import TorchBackend
from iouaware.running.results import read_json

Figures = dict[str, Any]
BATCH_SIZE = 8


def judge_run(run: Run) -> Figures:
    """Judge a run as ``train`` leaves it, at every alpha and with both oracles.

    Args:
        run: with ``known``, its data.
    """
    evaluation, sweep = (read_json(run.path / f"{name}.json") for name in ("evaluation", "sweep"))
    held_out = sweep["held_out"]
    split = str(evaluation["split"])
    if split == "test":
        settings = InferenceConfig.model_validate(run.info.config["inference"])
        candidates = load_candidates(run.path / f"candidates-{split}.npz")
        sweep = sweep_candidates(run.known[split], candidates, settings)
    oracle = sweep["oracle"]
    return {
        **choose_figures(sweep, held_out, split),
        "AP_oracle": oracle["localisation"]["AP"],
        "oracle": {
            name: {figure: oracle[name][figure] for figure in FIGURES}
            for name in ("localisation", "any_class")
        },
        "share_of_gap": oracle["share_of_gap"],
        "correlation": evaluation["correlation"],
        "correlation_matched": evaluation["correlation_matched"],
        "correlation_own_class": evaluation["correlation_own_class"],
        "iou_bias": evaluation["iou_bias"],
        "recall_at_p95_iou75": {
            "alpha": evaluation["recall_at_precision"]["0.95"]["0.75"],
            "alpha1": evaluation["baseline"]["recall_at_precision"]["0.95"]["0.75"],
        },
    }


def choose_figures(sweep: Mapping[str, Any], held_out: Mapping[str, Any], split: str) -> Figures:
    """Return the figures at the held-out alpha, as the head of this module says.

    Args:
        sweep: ``alphas`` and each figure over them, on the part that is judged.
        held_out: ``judge_held_out`` of the validation part.
        split: what is judged, ``test`` or ``val``.
    """
    first = sweep["alphas"].index(1.0)
    if split == "test":
        alpha = kept_alpha(held_out)
        row = sweep["alphas"].index(alpha)
        figures = {name: sweep[name][row] for name in FIGURES}
    else:
        alpha = held_out["alpha"]
        pairs = {name: (sweep[name][first], held_out["gains"][name]) for name in FIGURES}
        figures = {
            name: None if None in pair else sum(value for value in pair if value is not None)
            for name, pair in pairs.items()
        }
    return {
        "judged_on": "test" if split == "test" else "held-out halves of val",
        "alpha": alpha,
        **figures,
        "AP_alpha1": sweep["AP"][first],
        "sweep": {name: list(sweep[name]) for name in ("alphas", *FIGURES)},
        "held_out": {key: held_out[key] for key in ("alpha", "gain", "ci95", "gains", "proven")},
    }


def judge_without_look(run: Run, device: str | None = None) -> Figures:
    """Judge the same weights with the IoU branch's word alone, as a model without a second look.

    The look moves nothing else in training, so this is the paper's head trained by itself.

    Args:
        run: with ``known``, its data.
        device: where to compute.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        shutil.copy(run.path / "split.json", place)
        shutil.copy(run.path / "config.yaml", place)
        detector, info = read_model(run.model_path)
        detector.second_look = None
        model = {**info.config["model"], "second_look": False}
        info = replace(info, alpha=1.0, config={**info.config, "model": model})
        write_model(place / "model.safetensors", detector, info)
        without = Run(place, device=device, known=run.known)
        without.keep_choice(without.sweep())
        without.evaluate(split="test" if "test" in run.known else "val")
        return judge_run(without)


def judge_authors_order(run: Run) -> Figures:
    """Judge the same weights with the authors' order: fuse, take the top, keep S > 0.05, NMS.

    Its candidates depend on alpha, so they are chosen anew for each, from the same head outputs;
    there is no oracle on them.

    Args:
        run: with ``known``, its data.
    """
    metrics, matches = sweep_authors_order(run, run.known["val"])
    held_out = judge_held_out(matches)
    split = "test" if "test" in run.known else "val"
    if split == "test":
        metrics, _ = sweep_authors_order(run, run.known["test"])
    curves = {name: [getattr(m, name) for m in metrics.values()] for name in FIGURES}
    return {
        **choose_figures({"alphas": list(metrics), **curves}, held_out, split),
        "AP_oracle": None,
        "notes": {"AP_oracle": "the candidates depend on alpha, so no oracle shares them"},
    }


def sweep_authors_order(
    run: Run, dataset: Dataset
) -> tuple[dict[float, CocoMetrics], dict[float, Matches]]:
    """Return metrics and matches at every alpha, from one pass over the pictures."""
    detector, info = read_model(run.model_path)
    settings = InferenceConfig.model_validate(info.config["inference"])
    backend = TorchBackend(detector, settings, has_iou=info.has_iou)
    coding = (detector.config.box_stds, detector.config.geometry == "plain")
    size, fill = info.config["data"]["image_size"], canvas_fill(detector.mean)
    parts: dict[float, dict[int, tuple[Any, Any, Any]]] = {alpha: {} for alpha in ALPHAS}
    for canvases, frames, indices in iterate_images(dataset, size, fill, BATCH_SIZE, workers=0):
        outputs = backend.compute_outputs(canvases, frames)
        for alpha in ALPHAS:
            candidates = paper_candidates_from_outputs(
                outputs, frames, settings, alpha, *coding, has_iou=info.has_iou
            )
            for index, found in zip(indices, candidates, strict=True):
                kept, scores = select_paper_detections(found, alpha, settings)
                parts[alpha][index] = (found.original_boxes()[kept], found.labels[kept], scores)
    evaluator = CocoEvaluator(dataset)
    tables = {alpha: _in_order(found) for alpha, found in parts.items()}
    return (
        {alpha: evaluator.evaluate(table) for alpha, table in tables.items()},
        {alpha: match_detections(dataset, table) for alpha, table in tables.items()},
    )


def _in_order(parts: Mapping[int, tuple[Any, Any, Any]]) -> DetectionTable:
    """Put the detections of the pictures, by number, into one table."""
    return build_table([parts[index] for index in sorted(parts)])
