"""The tables of README and docs, as Markdown, from the result files alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import ablation_tables
from cells import number, percent, plain, signed

from iouaware.config import RECIPES, Config, read_recipe

Entry = dict[str, Any]
Results = dict[str, dict[str, Any]]
DEMO = "demo"
HEADS = {
    "real-sets": (
        "set", "pictures", "size", "minutes", "AP at alpha 1", "alpha", "AP at alpha",
        "held-out gain, 95 %", "localisation oracle",
    ),
    "real-sets-ap": ("set", "part", "alpha", "AP", "AP50", "AP75", "AP90", "held-out gain, 95 %"),
    "real-sets-fit": (
        "set", "localisation oracle", "any-class oracle", "share of the gap",
        "recall at precision 95 %, IoU 0.75", "correlation", "false alarms per empty picture",
    ),
    "runs": ("set", "command", "seed", "size", "boxes", "minutes", "commit", "machine"),
    "speed": ("what", "ours", "theirs", "ratio"),
    "profile": ("precision", "operator", "share of the step"),
    "inference": ("contestant", "ms a picture, median", "fastest to slowest", "peak memory"),
    "stages": ("contestant", "read, ms", "resize, ms", "network, ms", "post-processing, ms"),
    "training": ("contestant", "pictures a second, median", "slowest to fastest", "peak memory"),
    "evaluator": ("evaluator", "seconds, median", "fastest to slowest"),
    "settings": ("setting", "default, as in paper", "small", "modern", "meaning"),
}  # fmt: skip
HEADS["demo"] = HEADS["real-sets"]
HEADS |= ablation_tables.HEADS


def render_table(name: str, results: Results) -> str:
    """Return the table of that name; a row of dashes where nothing was measured yet."""
    head = HEADS[name]
    rows = list(ROWS[name](results)) or [("not measured yet", *["-"] * (len(head) - 1))]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def gain_text(sweep: Entry) -> str:
    """Write the held-out gain with its interval, and whether it is proven."""
    held_out = sweep["held_out"]
    low, high = held_out["ci95"] or (None, None)
    text = f"{signed(held_out['gain'])} [{signed(low)}, {signed(high)}]"
    return text if held_out["proven"] else f"{text} not proven"


def minutes(entry: Entry) -> str:
    """Write the wall time of a run."""
    return number(entry["environment"]["wall_seconds"] / 60, 0)


def real_sets(results: Results) -> Iterable[tuple[str, Entry]]:
    """Go through the real data sets among the experiments."""
    entries = results.get("experiments", {})
    return ((name, entry) for name, entry in entries.items() if name != DEMO)


def summary_row(name: str, entry: Entry) -> Sequence[str]:
    """Return one line a set: what it took and what it gave."""
    evaluation, pictures = entry["evaluation"], entry["pictures"]
    counts = " / ".join(str(pictures[part]) for part in ("train", "val", "test") if pictures[part])
    return (
        name,
        counts,
        f"{entry['image_size']} px",
        minutes(entry),
        percent(evaluation["baseline"]["AP"]),
        number(evaluation["alpha"], 1),
        percent(evaluation["AP"]),
        gain_text(entry["sweep"]),
        percent(evaluation["oracle"]["localisation"]["AP"]),
    )


def summary_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return the README's table of real sets."""
    return [summary_row(name, entry) for name, entry in real_sets(results)]


def demo_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return the same line for the demo."""
    entries = results.get("experiments", {})
    return [summary_row(DEMO, entries[DEMO])] if DEMO in entries else []


def ap_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return two lines a set: alpha 1, and the alpha that was chosen."""
    for name, entry in real_sets(results):
        evaluation = entry["evaluation"]
        chosen = (evaluation["alpha"], evaluation, gain_text(entry["sweep"]))
        for alpha, figures, gain in ((1.0, evaluation["baseline"], ""), chosen):
            values = [percent(figures[key]) for key in ("AP", "AP50", "AP75")]
            strict = percent(figures["AP_per_iou"]["0.90"])
            yield (name, str(evaluation["split"]), number(alpha, 1), *values, strict, gain)


def fit_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return oracles, recall, correlation and false alarms."""
    for name, entry in real_sets(results):
        evaluation = entry["evaluation"]
        oracle = evaluation["oracle"]
        yield (
            name,
            percent(oracle["localisation"]["AP"]),
            percent(oracle["any_class"]["AP"]),
            number(oracle["share_of_gap"]),
            percent(evaluation["recall_at_precision"]["0.95"]["0.75"]),
            number(evaluation["correlation"]["predicted_iou"]["pearson"]),
            number(evaluation["false_alarms_per_empty_image"]),
        )


def run_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return what was run, with what."""
    for name, entry in results.get("experiments", {}).items():
        environment = entry["environment"]
        machine = environment["machine"]
        yield (
            name,
            f"`{environment['command']}`",
            str(entry["seed"]),
            f"{entry['image_size']} px",
            " / ".join(str(v) for v in entry["pictures"].values() if v) + " pictures",
            minutes(entry),
            short_commit(environment),
            f"{machine['processor']}, {machine['cores']} cores",
        )


def short_commit(environment: Entry) -> str:
    """Write the commit in seven characters, with "+" where files differed."""
    commit = str(environment.get("commit") or "n/a")
    return commit[:7] + ("+" if commit.endswith("+") else "")


def training_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return pictures a second of each contestant."""
    training = results.get("training", {})
    for name, rate in training.get("pictures_per_second", {}).items():
        spread = f"{number(rate['slowest'])} to {number(rate['fastest'])}"
        peak = f"{training['peak_memory_mb'][name]:,.0f} MB"
        yield name, number(rate["median"]), spread, peak


def evaluator_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return the seconds of each evaluator."""
    for name, values in results.get("evaluator", {}).get("seconds", {}).items():
        spread = f"{number(min(values))} to {number(max(values))}"
        yield name, number(sorted(values)[len(values) // 2]), spread


def speed_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return one line a comparison; above 1 we are faster."""
    if "training" in results:
        training = results["training"]
        rates, speedup = training["pictures_per_second"], training["speedup"]
        settings = training["settings"]
        at = f"{settings['image_size']} px, batch {settings['batch_size']}"
        pairs = (
            (f"training, ResNet-18, {at}", "iouaware", "torchvision", "torchvision"),
            (
                "the same, both with our allocator setting",
                "iouaware",
                "torchvision, our allocator",
                "torchvision_with_our_allocator",
            ),
            (
                "the same, ours in float32 too",
                "iouaware, float32",
                "torchvision",
                "torchvision_in_float32",
            ),
            (f"training, `small` beside it, {at}", "small", "torchvision", "small"),
        )
        for what, ours, theirs, key in pairs:
            rate = [f"{number(rates[name]['median'])} pictures/s" for name in (ours, theirs)]
            yield what, *rate, number(speedup[key])
    if "inference" in results:
        inference = results["inference"]
        medians = inference["ms_a_picture"]
        at = f"{inference['settings']['image_size']} px, batch 1"
        for what, peer, key in (
            (f"prediction, ResNet-50, {at}", "torchvision", "pytorch"),
            (
                "the same, both with our allocator setting",
                "torchvision, our allocator",
                "pytorch_with_our_allocator",
            ),
        ):
            ms = [f"{number(medians[name]['median'], 0)} ms" for name in ("iouaware", peer)]
            yield what, *ms, number(inference["speedup"][key])
    if "evaluator" in results:
        evaluator = results["evaluator"]
        seconds = evaluator["seconds"]
        medians = [sorted(v)[len(v) // 2] for v in (seconds["iouaware"], seconds["pycocotools"])]
        yield (
            f"COCO metrics, {evaluator['settings']['what']}",
            *(f"{number(value)} s" for value in medians),
            number(evaluator["speedup"]["pycocotools"], 1),
        )

    if "sweep" in results:
        sweep = results["sweep"]
        settings = sweep["settings"]
        at = f"{settings['images']:,} pictures, {settings['candidates']} candidates"
        medians = [sorted(v)[len(v) // 2] for v in sweep["seconds"].values()]
        yield (
            f"sweep of eleven alphas beside one evaluation, {at}",
            f"{number(medians[1])} s",
            f"{number(medians[0])} s",
            f"{number(sweep['sweep_in_evaluations'], 1)} evaluations",
        )


def setting_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return every setting with its default and what the recipes change."""
    recipes = {name: read_recipe(name) for name in RECIPES}
    for section, values in Config().model_dump(mode="json").items():
        if not isinstance(values, dict):
            continue
        fields = getattr(Config(), section).__class__.model_fields
        for key, default in values.items():
            changed = (recipes[name].get(section, {}).get(key) for name in ("small", "modern"))
            cells = ["" if value is None else f"`{plain(value)}`" for value in changed]
            meaning = (fields[key].description or "").replace("|", "\\|")
            yield f"`{section}.{key}`", f"`{plain(default)}`", *cells, meaning


def profile_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return the share of a training step that each operator takes, by precision."""
    steps = results.get("profile", {}).get("steps", {})
    for precision, step in steps.items():
        for operator, share in step["own_time"].items():
            yield precision, f"`{operator}`", f"{100 * share:.1f} %"


def inference_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return ms a picture of each contestant."""
    inference = results.get("inference", {})
    for name, value in inference.get("ms_a_picture", {}).items():
        spread = f"{number(value['fastest'], 0)} to {number(value['slowest'], 0)}"
        peak = f"{inference['peak_memory_mb'][name]:,.0f} MB"
        yield name, number(value["median"], 0), spread, peak


def stage_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return ms of each stage of a picture's way."""
    for name, stages in results.get("inference", {}).get("stages", {}).items():
        order = ("read", "resize", "network", "post-processing")
        yield name, *(number(stages[stage], 1) for stage in order)


ROWS = {
    "profile": profile_rows,
    "inference": inference_rows,
    "stages": stage_rows,
    "settings": setting_rows,
    "real-sets": summary_rows,
    "demo": demo_rows,
    "real-sets-ap": ap_rows,
    "real-sets-fit": fit_rows,
    "runs": run_rows,
    "speed": speed_rows,
    "training": training_rows,
    "evaluator": evaluator_rows,
    **ablation_tables.ROWS,
}
