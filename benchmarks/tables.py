"""The tables of README and docs, as Markdown, from the result files alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ablation_tables import TABLES as ABLATION_TABLES
from ablation_tables import lines_of, training_minutes
from figures import Entry, Results, Table, number, percent, plain, signed, signed_number
from speed_tables import TABLES as SPEED_TABLES

from iouaware.config import Config
from iouaware.evaluation.held_out import FIGURES
from iouaware.recipes.reading import RECIPES, read_recipe

DEMO = "demo"


def render_table(name: str, results: Results) -> str:
    """Return the table of that name."""
    return TABLES[name].render(results)


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
            number(evaluation["correlation_own_class"]["pearson"]),
            signed_number(evaluation["iou_bias"]["own_class"]),
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
            " / ".join(str(v) for v in entry["pictures"].values() if v),
            minutes(entry),
            short_commit(environment),
            f"{machine['processor']}, {machine['cores']} cores",
            entry["note"],
        )


def short_commit(environment: Entry) -> str:
    """Write the commit in seven characters, with "+" where files differed."""
    commit = str(environment.get("commit") or "n/a")
    return commit[:7] + ("+" if commit.endswith("+") else "")


def setting_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return every setting with its default and what the recipes change."""
    recipes = {name: read_recipe(name) for name in RECIPES}
    seed = Config.model_fields["seed"]
    yield "`seed`", f"`{seed.default}`", "", "", str(seed.description)
    for section, values in Config().model_dump(mode="json").items():
        if not isinstance(values, dict):
            continue
        fields = getattr(Config(), section).__class__.model_fields
        for key, default in values.items():
            changed = (recipes[name].get(section, {}).get(key) for name in ("small", "modern"))
            cells = ["" if value is None else f"`{plain(value)}`" for value in changed]
            meaning = (fields[key].description or "").replace("|", "\\|")
            yield f"`{section}.{key}`", f"`{plain(default)}`", *cells, meaning


def rival_rows(results: Results) -> Iterable[Sequence[str]]:
    """Return torchvision's row beside ours, of the same pictures, epochs and seed."""
    for name, entry in results.get("rival", {}).items():
        settings = entry["settings"]
        what = f"torchvision, learning rate x {settings['lr_factor']:g}"
        yield name, what, *(percent(entry[key]) for key in FIGURES), number(entry["minutes"], 0)
        for line in lines_of(results):
            same = line["data"] == name and all(
                line[key] == settings[key] for key in ("seed", "epochs", "image_size")
            )
            if same and line["setting"] in OURS and line["status"] == "finished":
                own = (percent(line[key]) for key in FIGURES)
                yield name, f"ours, {line['setting']}", *own, number(training_minutes(line), 0)


OURS = ("baseline", "second-look", "iou-aware", "second-look-detached", "detached")
SUMMARY = (
    "set", "pictures", "size", "minutes", "AP at alpha 1", "alpha", "AP at alpha",
    "held-out gain, 95 %", "localisation oracle",
)  # fmt: skip
TABLES = {
    "real-sets": Table(SUMMARY, summary_rows),
    "demo": Table(SUMMARY, demo_rows),
    "real-sets-ap": Table(
        ("set", "part", "alpha", "AP", "AP50", "AP75", "AP90", "held-out gain, 95 %"), ap_rows
    ),
    "real-sets-fit": Table(
        (
            "set", "localisation oracle", "any-class oracle", "share of the gap",
            "recall at precision 95 %, IoU 0.75", "correlation, any class", "own class",
            "bias, own class", "false alarms per empty picture",
        ),
        fit_rows,
    ),
    "runs": Table(
        ("set", "command", "seed", "size", "pictures", "minutes", "commit", "machine", "note"),
        run_rows,
    ),
    "settings": Table(
        ("setting", "default, as in paper", "small", "modern", "meaning"), setting_rows
    ),
    "rival": Table(("set", "what", *FIGURES, "minutes"), rival_rows),
    **SPEED_TABLES,
    **ABLATION_TABLES,
}  # fmt: skip
