"""The ablation's plots: what alpha does on the same weights, and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from ablation_results import Line
from ablation_tables import Interval, groups, lines_of, mean_interval, paired_differences
from figures import Results

from iouaware.reporting.numerals import counted

Curves = dict[str, list[tuple[float, Interval]]]

STYLES = ("o-", "s--", "^-.", "d:", "v-")
CURVES_OF = ("second-look", "iou-aware")  # the settings whose alphas are drawn


def draw_ablation(results: Results, folder: Path) -> None:
    """Write ``ablation-alpha.svg`` and ``ablation-differences.svg``; nothing without results."""
    lines = lines_of(results)
    curves = {setting: found for setting in CURVES_OF if (found := alpha_curves(lines, setting))}
    rows = difference_intervals(lines)
    if not curves or not rows:
        return
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "iouaware"  # the same file for the same numbers
    _draw_curves(curves, folder / "ablation-alpha.svg")
    _draw_differences(rows, folder / "ablation-differences.svg")


def alpha_curves(lines: Sequence[Line], of: str) -> Curves:
    """Return for each set AP at each alpha minus AP at alpha 1, over the seeds of a setting."""
    curves: Curves = {}
    for data, setting, group in groups(lines):
        sweeps = [line["sweep"] for line in group if line["status"] == "finished"]
        if setting != of or not sweeps:
            continue
        points = []
        for row, alpha in enumerate(sweeps[0]["alphas"]):
            pairs = [(sweep["AP"][row], sweep["AP"][0]) for sweep in sweeps]
            interval = mean_interval([pair[0] - pair[1] for pair in pairs if None not in pair])
            if interval is not None:
                points.append((alpha, interval))
        curves[data] = points
    return curves


def difference_intervals(lines: Sequence[Line]) -> list[tuple[str, Interval]]:
    """Return what each setting changes in AP, where two seeds or more say how sure that is."""
    rows = []
    for data, setting, group in groups(lines):
        for against in group[-1]["against"]:
            interval = mean_interval(paired_differences(lines, data, setting, against, "AP"))
            if interval is not None and interval.half is not None:
                rows.append((f"{data}: {setting} over {against}", interval))
    return rows


def _draw_curves(curves: dict[str, Curves], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        1, len(curves), figsize=(8, 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, (setting, sets) in zip(panels[0], curves.items(), strict=True):
        for (data, points), style in zip(sets.items(), cycle(STYLES), strict=False):
            alphas = [alpha for alpha, _ in points]
            gains = [100 * interval.mean for _, interval in points]
            halves = [100 * (interval.half or 0) for _, interval in points]
            label = f"{data}, {counted(points[0][1].seeds, 'seed')}" if points else data
            axes.errorbar(alphas, gains, halves, fmt=style, label=label, markersize=4, capsize=2)
        axes.invert_xaxis()
        axes.axhline(0, color="grey", linewidth=0.8)
        axes.set_title(setting)
        axes.set_xlabel("alpha")
        axes.legend(frameon=False)
    panels[0][0].set_ylabel("AP minus AP at alpha 1, 95 %")
    _finish(figure, path)


def _draw_differences(rows: Sequence[tuple[str, Interval]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.28 * len(rows)), layout="constrained")
    places = range(len(rows), 0, -1)
    means = [100 * interval.mean for _, interval in rows]
    halves = [100 * (interval.half or 0) for _, interval in rows]
    axes.errorbar(means, list(places), xerr=halves, fmt="o", markersize=4, capsize=2)
    axes.set_yticks(list(places), [name for name, _ in rows])
    axes.set_xlabel("difference in AP, mean over seeds and 95 %")
    axes.axvline(0, color="grey", linewidth=0.8)
    _finish(figure, path)


def _finish(figure: Any, path: Path) -> None:
    """Write the file."""
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
