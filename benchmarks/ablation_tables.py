"""The ablation's tables: means over seeds, and paired differences with their intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from ablation_results import Line
from figures import Results, Table, number, percent, plain, signed, signed_number

Row = Sequence[str]
# the same for all settings, or the data set's: no part of what a setting is
LEFT_TO_THE_GRID = ("train.epochs", "data.image_size", "train.keep", "train.evaluate_every")
SHOWN = ("AP", "AP75", "AP80", "AP90")
# Student's t at 97.5 %, for 1 to 30 degrees of freedom
T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


class Interval(NamedTuple):
    """A mean over seeds.

    Attributes:
        mean: of the values.
        half: half the width of the 95 % interval; None with one value.
        seeds: number of values.
    """

    mean: float
    half: float | None
    seeds: int


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Return mean and 95 % interval by Student's t, mean +- t * s / sqrt(n); None without values.

    Beyond 31 values t is taken as that of 31, a trifle too wide.
    """
    if not values:
        return None
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Interval(mean, None, 1)
    t = T_975[min(len(values) - 1, len(T_975)) - 1]
    return Interval(mean, t * statistics.stdev(values) / math.sqrt(len(values)), len(values))


def paired_differences(
    lines: Iterable[Line], data: str, setting: str, against: str, figure: str
) -> list[float]:
    """Return the figure of one setting minus that of another, seed by seed.

    Seeds that only one of the two has, or where one has no figure, are left out.
    """
    values: dict[str, dict[int, float]] = {setting: {}, against: {}}
    for line in lines:
        if line["data"] == data and line["setting"] in values and line.get(figure) is not None:
            values[line["setting"]][line["seed"]] = line[figure]
    ours, theirs = values[setting], values[against]
    return [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs)]


def gains_over_alpha_1(lines: Iterable[Line], figure: str) -> list[float]:
    """Return the figure at the held-out alpha minus that at alpha 1 of the same weights."""
    gains = []
    for line in lines:
        if line.get(figure) is not None:
            sweep = line["sweep"]
            first = sweep[figure][sweep["alphas"].index(1.0)]
            gains.append(line[figure] - first)
    return gains


def recalls_over_alpha_1(lines: Iterable[Line]) -> list[float]:
    """Return the recall at precision 95 %, IoU 0.75: at the held-out alpha minus at alpha 1."""
    recalls = (line["recall_at_p95_iou75"] for line in lines if _reaches_precision(line))
    return [recall["alpha"] - recall["alpha1"] for recall in recalls]


def difference_rows(results: Results) -> Iterable[Row]:
    """Return one row a set, setting and reference: the paired differences over common seeds.

    Behind them, the pairs of all sets together that have more than one.
    """
    lines = lines_of(results)
    compared: dict[tuple[str, str], list[str]] = {}
    for data, setting, group in groups(lines):
        for against in group[-1]["against"]:
            yield _difference_row(lines, [data], setting, against)
            if len(paired_differences(lines, data, setting, against, SHOWN[0])) > 1:
                compared.setdefault((setting, against), []).append(data)
    for (setting, against), sets in compared.items():
        if len(sets) > 1:
            yield _difference_row(lines, sets, setting, against)


def _difference_row(lines: Sequence[Line], sets: Sequence[str], setting: str, against: str) -> Row:
    """Return the row over the pairs of these sets, all counted alike."""
    intervals = []
    for figure in SHOWN:
        pairs = (paired_differences(lines, data, setting, against, figure) for data in sets)
        intervals.append(mean_interval(list(chain.from_iterable(pairs))))
    count = intervals[0].seeds if intervals[0] else 0
    return ", ".join(sets), setting, against, str(count), *map(signed_interval, intervals)


def value_rows(results: Results) -> Iterable[Row]:
    """Return one row a set and setting: means over its seeds, and what diverged."""
    for data, setting, group in groups(lines_of(results)):
        found = [line for line in group if line["status"] == "finished"]
        alphas = ", ".join(f"{line['alpha']:g}" for line in found)
        recalls = [line for line in found if _reaches_precision(line)]  # the same runs in both
        yield (
            data,
            setting,
            seeds_text(len(found), len(group)),
            percent(mean_of(found, "AP_alpha1")),
            alphas or "n/a",
            *(percent(mean_of(found, figure)) for figure in SHOWN),
            percent(mean_of(recalls, "recall_at_p95_iou75", "alpha1")),
            percent(mean_of(recalls, "recall_at_p95_iou75", "alpha")),
            number(mean_of(found, "correlation", "predicted_iou", "pearson")),
            signed_number(mean_of(found, "iou_bias", "all")),
            number(mean_of(found, "correlation_own_class", "pearson")),
            signed_number(mean_of(found, "iou_bias", "own_class")),
            percent(mean_of(found, "AP_oracle")),
            percent(mean_of(found, "oracle", "any_class", "AP")),
            number(mean_of(found, "share_of_gap")),
            number(mean(map(training_minutes, found)), 0),
        )


def _reaches_precision(line: Line) -> bool:
    """Tell whether a run reaches a precision of 95 % at both alphas."""
    recalls = line.get("recall_at_p95_iou75") or {"": None}
    return None not in recalls.values()


def alpha_rows(results: Results) -> Iterable[Row]:
    """Return what the held-out alpha adds to alpha 1 of the same weights."""
    for data, setting, group in groups(lines_of(results)):
        if any(len(line["sweep"]["alphas"]) > 1 for line in group if "sweep" in line):
            gains = [mean_interval(gains_over_alpha_1(group, figure)) for figure in SHOWN]
            count = gains[0].seeds if gains[0] else 0
            proven = sum(line["held_out"]["proven"] for line in group if "held_out" in line)
            yield (
                data,
                setting,
                str(count),
                *(signed_interval(gain) for gain in gains),
                signed_interval(mean_interval(recalls_over_alpha_1(group))),
                f"{proven} of {count}",
            )


def setting_rows(results: Results) -> Iterable[Row]:
    """Return what each setting is."""
    by_setting = {line["setting"]: line for line in lines_of(results)}
    for setting, line in by_setting.items():
        changes = {
            key: value for key, value in line["settings"].items() if key not in LEFT_TO_THE_GRID
        }
        text = ", ".join(f"`{key}: {plain(value)}`" for key, value in changes.items())
        if weights_of := trained_as(line):
            text = f"nothing: the weights of {weights_of}"
        yield setting, line["about"], text or "nothing"


def lines_of(results: Results) -> list[Line]:
    """Return the lines of the ablation; of several about one run the last."""
    lines = results.get("ablation", {}).get("lines", [])
    return list({(line["data"], line["setting"], line["seed"]): line for line in lines}.values())


def groups(lines: Iterable[Line]) -> Iterable[tuple[str, str, list[Line]]]:
    """Go through data sets and settings, each in the order they first appear."""
    grouped: dict[str, dict[str, list[Line]]] = {}
    for line in lines:
        grouped.setdefault(line["data"], {}).setdefault(line["setting"], []).append(line)
    for data, settings in grouped.items():
        for setting, group in settings.items():
            yield data, setting, group


def trained_as(line: Line) -> str | None:
    """Return the setting whose training made the weights of a line; None for its own."""
    setting: str | None = line["authors_order_of"] or line.get("without_look_of")
    return setting


def training_minutes(line: Line) -> float | None:
    """Return the time of a run; None for a row that judges weights which another row trained."""
    minutes: float | None = line["minutes"]
    return None if trained_as(line) else minutes


def mean_of(lines: Iterable[Line], *keys: str) -> float | None:
    """Return the mean of a figure, given by its nested keys, over the lines that have it."""
    values = []
    for line in lines:
        value: Any = line
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        values.append(value)
    return mean(values)


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values there are; None without any."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def signed_interval(interval: Interval | None) -> str:
    """Write a mean difference in percent with its interval, none from one seed."""
    if interval is None:
        return "n/a"
    mean, half, _ = interval
    if half is None:
        return f"{signed(mean)} (one seed)"
    return f"{signed(mean)} [{signed(mean - half)}, {signed(mean + half)}]"


def seeds_text(finished: int, everything: int) -> str:
    """Write how many seeds there are, and how many of them diverged."""
    diverged = everything - finished
    return f"{everything}" + (f", {diverged} diverged" if diverged else "")


TABLES = {
    "ablation": Table(
        ("set", "setting", "against", "seeds", *(f"{name}, difference, 95 %" for name in SHOWN)),
        difference_rows,
    ),
    "ablation-rows": Table(
        (
            "set", "setting", "seeds", "AP at alpha 1", "alpha", *SHOWN,
            "recall at precision 95 %, IoU 0.75, alpha 1", "at alpha", "correlation", "bias",
            "correlation, own class", "bias, own class",
            "localisation oracle", "any-class oracle", "share of the gap", "minutes",
        ),
        value_rows,
    ),
    "ablation-alpha": Table(
        (
            "set", "setting", "seeds",
            *(f"{name} over alpha 1, 95 %" for name in SHOWN),
            "recall at precision 95 %, IoU 0.75, over alpha 1", "runs that prove a gain",
        ),
        alpha_rows,
    ),
    "ablation-settings": Table(
        ("setting", "what it is", "what it changes in the recipe"), setting_rows
    ),
}  # fmt: skip
