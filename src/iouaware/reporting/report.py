"""Write a run's report: one self-contained page that explains every number on it."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

import iouaware
from iouaware.data.dataset import Dataset
from iouaware.errors import ConfigError
from iouaware.evaluation.localisation import correlate
from iouaware.reporting import numerals, plots
from iouaware.reporting.advice import advise
from iouaware.reporting.alpha_words import say_gap, say_held_out
from iouaware.reporting.cautions import list_cautions
from iouaware.reporting.facts import Facts, gather_facts
from iouaware.reporting.galleries import build_galleries
from iouaware.reporting.judging import TOUCH_IOU, Kind
from iouaware.reporting.model_card import write_model_card
from iouaware.reporting.numerals import (
    number_or_none,
    percent,
    points,
    ratio,
)
from iouaware.reporting.rendering import build_environment, read_template
from iouaware.reporting.run_files import read_run_files
from iouaware.reporting.slider import describe_slider
from iouaware.reporting.tables import (
    list_coco_rows,
    list_environment_rows,
    list_run_rows,
    list_sweep_rows,
    read_figure,
)
from iouaware.reporting.words import answer_good_enough, answer_weakest_class
from iouaware.structures import Candidates, ModelInfo


def write_report(
    model: Path,
    dataset: Dataset,
    candidates: Sequence[Candidates],
    evaluation: dict[str, Any],
    sweep: dict[str, Any],
    info: ModelInfo,
) -> Path:
    """Write ``report/index.html`` and ``MODEL_CARD.md`` beside a model; older ones are replaced.

    Args:
        model: the model's file; metrics.csv, environment.json, config.yaml and split.json of its
            run are read where they exist.
        dataset: the pictures that were evaluated, and their truth.
        candidates: of each picture, in the data set's order.
        evaluation: as in evaluation.json.
        sweep: as in sweep.json.
        info: the model's header.

    Returns:
        The page.

    Raises:
        ConfigError: the evaluation is of another number of pictures.
        ValueError: as many pictures as candidates were expected.
        DatasetError: a picture that the page shows is missing or broken.
        CheckpointError: a file of the run folder cannot be read.
    """
    if evaluation.get("images", len(dataset)) != len(dataset):
        raise ConfigError(
            f"{model.parent / 'evaluation.json'}: it is of {evaluation['images']} pictures, but "
            f"the {evaluation['split']} part has {len(dataset)} now; run iouaware evaluate again"
        )
    facts = gather_facts(dataset, candidates, evaluation, sweep, info, read_run_files(model))
    page = render_report(facts, candidates)
    folder = model.parent / "report"
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".index.html.{os.getpid()}"
    beside.write_text(page, "utf-8", errors="backslashreplace")  # names that are no Unicode
    beside.replace(folder / "index.html")
    write_model_card(model, info, evaluation, sweep)
    return folder / "index.html"


def render_report(facts: Facts, candidates: Sequence[Candidates]) -> str:
    """Return the page's HTML."""
    script = read_template("slider.js") + read_template("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        build_environment()
        .get_template("report.html.j2")
        .render(
            facts=facts,
            version=iouaware.__version__,
            style=Markup(read_template("style.css")),
            script=Markup(script),
            script_hash=digest,
            **_words(facts),
            **_tables(facts),
            **_charts(facts),
            galleries=build_galleries(facts),
            **describe_slider(facts, candidates),
        )
    )


def _words(facts: Facts) -> dict[str, Any]:
    headline = {}
    for name in ("AP", "AP50", "AP75", "AP90"):
        own, was = read_figure(facts.evaluation, name), read_figure(facts.base, name)
        under = facts.note(name) if own is None else ""
        if own is not None and was is not None and facts.alpha != 1:
            under = f"{points(own - was)} over alpha 1 ({percent(was)})"
        headline[name] = {"value": own, "under": under}
    model = facts.info.config.get("model") or {}
    recipe = facts.info.config.get("recipe", "")
    described = [
        str(part) for part in (recipe and f"recipe {recipe}", model.get("backbone")) if part
    ]
    return {
        "good_enough": answer_good_enough(facts),
        "weakest": answer_weakest_class(facts),
        "steps": advise(facts),
        "cautions": list_cautions(facts),
        "held_out": say_held_out(facts.sweep, facts.info.has_iou, facts.alpha, facts.swept),
        "gap_sentence": say_gap(facts),
        "headline": headline,
        "model_line": f"Model: {', '.join(described)}." if described else "",
    }


def _tables(facts: Facts) -> dict[str, Any]:
    names, rows = list_sweep_rows(facts)
    notes = facts.evaluation.get("notes") or {}
    class_names = facts.info.class_names

    def base_recall(precision: str, iou: str) -> float | None:
        table = facts.base.get("recall_at_precision") or {}
        return number_or_none((table.get(precision) or {}).get(iou))

    return {
        "coco_rows": list_coco_rows(facts.evaluation, facts.sweep),
        "sweep_names": names,
        "sweep_rows": rows,
        "classes": facts.classes(),
        "confusions": [
            (class_names[meant], class_names[called], count)
            for (meant, called), count in facts.confusions().most_common(5)
            if count > 1
        ],
        "notes": sorted(notes.items()) if isinstance(notes, dict) else [],
        "run_rows": list_run_rows(facts),
        "environment_rows": list_environment_rows(facts),
        "base_recall": base_recall,
        "alarm_count": len(facts.shown.of_kind(Kind.BACKGROUND, Kind.CONFUSED)),
    }


def _charts(facts: Facts) -> dict[str, Any]:
    series = facts.files.series
    losses = [
        (series("class_loss"), "a"),
        (series("box_loss"), "b"),
        (series("iou_loss"), "c"),
        (series("look_loss"), "d"),
    ]
    curves = [
        (series("AP50"), "a"),
        (series("AP"), "b"),
        (series("AP75"), "c"),
        (series("AP90"), "d"),
    ]
    fits, fit_correlation = _fits(facts)
    charts = {
        **fits,
        "ap_per_iou": plots.plot_ap_per_iou(facts.evaluation),
        "gain_per_iou": plots.plot_gain_per_iou(facts.evaluation),
        "iou_histogram": plots.plot_iou_histogram(facts.shown),
        "alpha_curve": plots.plot_alpha_curve(
            facts.sweep, facts.sweep.get("oracle") or facts.oracle, facts.alpha
        )
        if facts.info.has_iou
        else None,
        "alpha_by_strictness": plots.plot_alpha_by_strictness(facts.sweep)
        if facts.info.has_iou
        else None,
        "losses": plots.plot_over_epochs(losses, "loss", "Losses over the epochs"),
        "validation": plots.plot_over_epochs(curves, "AP, %", "AP over the epochs", 100),
        "correlation": plots.plot_over_epochs(
            [(series("iou_correlation"), "chosen")],
            "correlation",
            "Correlation of predicted and true IoU over the epochs",
        ),
    }
    return {"charts": charts, "fit_correlation": fit_correlation}


def _fits(facts: Facts) -> tuple[dict[str, Markup | None], dict[str, str]]:
    """Draw true IoU against p, predicted IoU and S, and say their rank correlations."""
    touching = facts.judged[facts.judged.iou >= TOUCH_IOU]
    numbers = {"p": ("p", touching.class_scores), "s": ("S", touching.scores)}
    if facts.info.has_iou:
        numbers["iou"] = ("predicted IoU", touching.predicted_iou)
    said = {
        key: ratio(correlate(values, touching.iou)["spearman"])
        for key, (_, values) in numbers.items()
    }
    drawn = {
        f"fit_{key}": plots.plot_fit(values, touching.iou, name, said[key])
        for key, (name, values) in numbers.items()
    }
    return {"fit_iou": None, **drawn}, {"iou": numerals.MISSING, **said}
