"""The charts of the report. Each returns SVG, or None where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from iouaware.reporting.judging import Judged, Kind
from iouaware.reporting.numerals import (
    alpha_text,
    is_number,
    number_or_none,
    percent,
    points,
    ratio,
)
from iouaware.reporting.svg import Axes, Point, nice_ticks
from iouaware.structures import FloatArray

CLOUD_POINTS = 600
SMALL = {"width": 330.0, "height": 290.0}  # three of them beside each other
TENTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def plot_ap_per_iou(evaluation: dict[str, Any]) -> Markup | None:
    """Draw AP at each IoU threshold, the chosen alpha beside alpha 1."""
    chosen = _per_iou(evaluation)
    base = _per_iou(evaluation.get("baseline") or {})
    if not chosen:
        return None
    axes = Axes((0.48, 0.97), (0, 100))
    return axes.draw(
        "AP at each IoU threshold: " + ", ".join(f"{iou:.2f} {value:.1f}" for iou, value in chosen),
        axes.grid(
            (0.5, 0.6, 0.7, 0.8, 0.9), (0, 20, 40, 60, 80, 100), ("IoU asked of a box", "AP, %")
        ),
        axes.line(base, "base") if evaluation.get("alpha") != 1 else "",
        axes.line(chosen, "chosen"),
    )


def plot_gain_per_iou(evaluation: dict[str, Any]) -> Markup | None:
    """Draw what the chosen alpha adds to AP at each IoU threshold."""
    base = dict(_per_iou(evaluation.get("baseline") or {}))
    gains = [(iou, value - base[iou]) for iou, value in _per_iou(evaluation) if iou in base]
    if not gains or evaluation.get("alpha") == 1:
        return None
    ticks = _ticks_around_zero([gain for _, gain in gains])
    axes = Axes((0.47, 0.98), (ticks[0], ticks[-1]))
    bars = [
        axes.bar(iou, 0.035, gain, "chosen" if gain >= 0 else "worse")
        + axes.label(iou, gain, points(gain / 100), below=gain < 0)
        for iou, gain in gains
    ]
    return axes.draw(
        "Gain in AP at each IoU threshold",
        axes.grid((0.5, 0.6, 0.7, 0.8, 0.9), ticks, ("IoU asked of a box", "AP gained, points")),
        *bars,
    )


def plot_alpha_curve(sweep: dict[str, Any], oracle: dict[str, Any], alpha: float) -> Markup | None:
    """Draw AP over alpha, with the localisation oracle as a mark."""
    curve = _over_alpha(sweep, "AP")
    if not curve:
        return None
    known = number_or_none((oracle.get("localisation") or {}).get("AP"))
    heights = [y for _, y in curve] + ([100 * known] if known is not None else [])
    ticks = nice_ticks(min(heights) - 1, max(heights) + 1)
    axes = Axes((0, 1), (ticks[0], ticks[-1]))
    chosen = next((point for point in curve if abs(point[0] - alpha) < 1e-6), None)
    return axes.draw(
        "AP over alpha: " + ", ".join(f"alpha {x:g} {y:.1f}" for x, y in curve),
        axes.grid(TENTHS, ticks, ("alpha (1: class score alone, 0: predicted IoU alone)", "AP, %")),
        axes.level(100 * known, "oracle", f"localisation oracle {percent(known)}")
        if known is not None
        else "",
        axes.line(curve, "chosen"),
        axes.mark(chosen, "chosen", f"alpha {alpha_text(alpha)}: {chosen[1]:.1f}")
        if chosen
        else "",
    )


def plot_alpha_by_strictness(sweep: dict[str, Any]) -> Markup | None:
    """Draw how AP50, AP75 and AP90 move with alpha, each from its value at alpha 1."""
    moved = {}
    for name in ("AP50", "AP75", "AP90"):
        curve = _over_alpha(sweep, name)
        start = [y for x, y in curve if x == 1]
        if start:
            moved[name] = [(x, y - start[0]) for x, y in curve]
    if not moved:
        return None
    heights = [y for curve in moved.values() for _, y in curve]
    ticks = _ticks_around_zero(heights)
    axes = Axes((0, 1), (ticks[0], ticks[-1]))
    return axes.draw(
        "AP50, AP75 and AP90 over alpha, as differences from alpha 1",
        axes.grid(TENTHS, ticks, ("alpha", "points more than at alpha 1")),
        axes.level(0, "zero"),
        *(axes.line(curve, css) for curve, css in zip(moved.values(), "acd", strict=False)),
    )


def plot_fit(values: FloatArray, iou: FloatArray, name: str, correlation: str) -> Markup | None:
    """Draw true IoU against a number of each box, with the mean of each tenth.

    Args:
        values: p, predicted IoU or S of each box, [D], 0..1.
        iou: true IoU, [D].
        name: of the number, for the axis.
        correlation: of both by rank, in words.
    """
    if not len(values):
        return None
    # a fixed, even sample: the drawing stays small and the same every time
    rows = np.linspace(0, len(values) - 1, min(len(values), CLOUD_POINTS)).round().astype(int)
    axes = Axes((0, 1), (0, 1), **SMALL)
    cell = np.minimum((values * 10).astype(int), 9)
    means = [
        (float(values[cell == n].mean()), float(iou[cell == n].mean()))
        for n in range(10)
        if (cell == n).sum() >= 5
    ]
    return axes.draw(
        f"True IoU against {name}, {len(rows)} boxes; rank correlation {correlation}",
        axes.grid(TENTHS, TENTHS, (name, "true IoU")),
        axes.line([(0, 0), (1, 1)], "zero", dots=False),
        axes.cloud([(float(values[row]), float(iou[row])) for row in rows], "cloud"),
        axes.line(means, "chosen"),
    )


def plot_iou_histogram(shown: Judged) -> Markup | None:
    """Draw how many of the boxes that hit have which true IoU."""
    iou = shown.of_kind(Kind.HIT).iou
    if not len(iou):
        return None
    counts, edges = np.histogram(np.clip(iou, 0.5, 1.0), bins=10, range=(0.5, 1.0))
    ticks = [tick for tick in nice_ticks(0, float(counts.max()), 4) if tick == int(tick)]
    axes = Axes((0.5, 1.0), (0, max(ticks)))
    return axes.draw(
        f"True IoU of the {len(iou)} boxes that hit; median {ratio(float(np.median(iou)))}",
        axes.grid((0.5, 0.6, 0.7, 0.8, 0.9, 1.0), ticks, ("true IoU of a hit", "boxes")),
        *(
            axes.bar(float(edges[n]) + 0.025, 0.044, float(count), "chosen")
            + axes.label(float(edges[n]) + 0.025, float(count), str(int(count)))
            for n, count in enumerate(counts)
        ),
    )


def plot_over_epochs(
    series: Sequence[tuple[Sequence[Point], str]], y_name: str, title: str, scale: float = 1.0
) -> Markup | None:
    """Draw columns of metrics.csv over the epochs.

    Args:
        series: ((epoch, value) pairs, CSS class of the line).
        y_name: of the upright axis.
        title: for screen readers.
        scale: values are multiplied by it (100 for per cent).
    """
    drawn = [([(x, scale * y) for x, y in pairs], css) for pairs, css in series if pairs]
    if not drawn:
        return None
    xs = [x for pairs, _ in drawn for x, _ in pairs]
    ys = [y for pairs, _ in drawn for _, y in pairs]
    y_ticks = nice_ticks(min(0.0, *ys), max(ys) or 1.0)
    x_ticks = [tick for tick in nice_ticks(min(xs), max(xs)) if min(xs) <= tick <= max(xs)]
    axes = Axes((min(xs), max(max(xs), min(xs) + 1)), (y_ticks[0], y_ticks[-1]), **SMALL)
    return axes.draw(
        title,
        axes.grid(x_ticks, y_ticks, ("epoch", y_name)),
        *(axes.line(pairs, css, dots=len(pairs) <= 12) for pairs, css in drawn),
    )


def _ticks_around_zero(values: Sequence[float]) -> list[float]:
    """Return ticks that hold 0 and all values, at least one point apart in all."""
    low, high = min(0.0, *values), max(0.0, *values)
    return nice_ticks(low, high) if high - low >= 1 else nice_ticks(min(low, -0.5), max(high, 0.5))


def _per_iou(metrics: dict[str, Any]) -> list[Point]:
    """Return (IoU, AP in per cent) where AP exists."""
    table = metrics.get("AP_per_iou") or {}
    return [(float(iou), 100 * value) for iou, value in sorted(table.items()) if is_number(value)]


def _over_alpha(sweep: dict[str, Any], name: str) -> list[Point]:
    """Return (alpha, AP in per cent) by ascending alpha, where AP exists."""
    pairs = zip(sweep.get("alphas") or (), sweep.get(name) or (), strict=False)
    return sorted((float(alpha), 100 * value) for alpha, value in pairs if is_number(value))
