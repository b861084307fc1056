"""Is an alpha below 1 a real gain? Chosen on one half of the pictures, judged on the other.

Twenty fixed halvings, each used both ways, make forty pairs of a choosing and a judging half. On
the choosing half the alpha with the best figure wins, but one below 1 only if it beats alpha 1
there by one standard error. The judging half then says what it gained over alpha 1; the gain is
the mean over the forty.

The standard error is that of the paired difference, figure at that alpha minus figure at 1 on the
same pictures: the standard deviation of this difference over 50 bootstrap draws of the choosing
half's pictures. The interval is the 2.5 and 97.5 percentile of the mean gain over bootstrap draws
of all pictures, the alphas staying as chosen; each draw counts a picture as often in every half
and at every alpha, so it is paired, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iouaware.evaluation.coco_metrics import IOU_KEYS
from iouaware.evaluation.matches import Floats, Matches, average_precision
from iouaware.structures import BoolArray

HALVINGS = 20
ERROR_DRAWS = 50
SMALLEST_SET = 4  # pictures, so that each half has two
FIGURES = {"AP": IOU_KEYS, "AP50": ("0.50",), "AP75": ("0.75",), "AP80": ("0.80",)}
FIGURES |= {"AP90": ("0.90",)}


def halve_pictures(images: int) -> BoolArray:
    """Return the choosing halves, [40, images] bool; row 20 + i is the other half of row i.

    They depend on the number of pictures alone.
    """
    # RandomState and not a Generator: numpy promises that its draws never change
    halves = np.zeros((2 * HALVINGS, images), np.bool_)
    for number in range(HALVINGS):
        order = np.random.RandomState(number).permutation(images)
        halves[number, order[: images // 2]] = True
    halves[HALVINGS:] = ~halves[:HALVINGS]
    return halves


def draw_pictures(images: BoolArray, draws: int, seed: int) -> NDArray[np.int32]:
    """Draw pictures with replacement from those allowed, [I] -> how often each, [draws, I]."""
    allowed = np.flatnonzero(images)
    random = np.random.RandomState(seed)
    counts = np.zeros((draws, len(images)), np.int32)
    for row in counts:
        drawn = allowed[random.randint(0, len(allowed), len(allowed))]
        row += np.bincount(drawn, minlength=len(images)).astype(np.int32)
    return counts


def compute_figure(matches: Matches, weights: NDArray[np.integer], figure: str = "AP") -> Floats:
    """Return AP, AP50, AP75, AP80 or AP90 of each selection of the pictures, [S, I] -> [S].

    NaN for a selection without objects.
    """
    return _mean_over_levels(average_precision(matches, weights), figure)


def compute_figures(matches: Matches) -> dict[str, float | None]:
    """Return AP, AP50, AP75, AP80 and AP90 over all pictures; None without objects.

    They are those of ``CocoEvaluator``, at a fraction of its time.
    """
    precisions = average_precision(matches, np.ones((1, len(matches.objects)), np.int32))
    figures = {name: float(_mean_over_levels(precisions, name)[0]) for name in FIGURES}
    return {name: None if np.isnan(value) else value for name, value in figures.items()}


def _mean_over_levels(precisions: Floats, figure: str) -> Floats:
    """Average over the IoUs of a figure and the classes that exist, [S, T, K] -> [S]."""
    values = precisions[:, [IOU_KEYS.index(key) for key in FIGURES[figure]]]  # [S, T', K]
    exists = ~np.isnan(values)
    count = exists.sum((1, 2))
    total = np.where(exists, values, 0).sum((1, 2))
    result: Floats = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return result


def choose_alpha(
    by_alpha: Mapping[float, Matches],
    images: BoolArray,
    figures: Mapping[float, float],
    figure: str = "AP",
    seed: int = 0,
) -> float:
    """Choose on some pictures: the best alpha, one below 1 only past one standard error.

    Args:
        by_alpha: alpha -> its matches; 1 is among them.
        images: [I] bool, the pictures to choose on.
        figures: alpha -> the figure on these pictures; NaN where there are no objects.
        figure: ``AP``, ``AP50``, ``AP75``, ``AP80`` or ``AP90``.
        seed: of the bootstrap.
    """
    better = [a for a in by_alpha if figures[a] > figures[1.0]]  # False for NaN
    if not better:
        return 1.0
    draws = draw_pictures(images, ERROR_DRAWS, seed)
    baseline = compute_figure(by_alpha[1.0].within(images), draws, figure)
    for alpha in sorted(better, key=lambda a: (-figures[a], -a)):  # of equals the one nearer to 1
        difference = compute_figure(by_alpha[alpha].within(images), draws, figure) - baseline
        difference = difference[~np.isnan(difference)]
        error = difference.std(ddof=1) if len(difference) > 1 else np.inf
        if figures[alpha] - figures[1.0] > error:
            return alpha
    return 1.0


def judge_held_out(by_alpha: Mapping[float, Matches], figure: str = "AP") -> dict[str, Any]:
    """Choose alpha on halves and judge it on the others.

    Args:
        by_alpha: alpha -> its matches; 1 is among them.
        figure: ``AP``, ``AP50``, ``AP75``, ``AP80`` or ``AP90``, to choose and to judge by.

    Returns:
        ``alpha`` chosen on all pictures, mean held-out ``gain``, its ``ci95``, ``proven`` (the
        interval lies above 0), ``gains`` of every figure at the same alphas, ``alphas_chosen`` of
        the forty halves, ``halves_judged``, and ``note`` where something is missing.
    """
    pictures = len(by_alpha[1.0].objects)
    everything = np.ones(pictures, np.bool_)
    if pictures < SMALLEST_SET or not by_alpha[1.0].objects.any():
        return _nothing_to_judge(pictures)
    halves = halve_pictures(pictures)
    selections = np.concatenate([halves, everything[None]]).astype(np.int32)  # [41, I]
    precisions = {a: average_precision(m, selections) for a, m in by_alpha.items()}
    values = {a: _mean_over_levels(found, figure) for a, found in precisions.items()}
    chosen = [
        choose_alpha(
            by_alpha,
            selections[row].astype(np.bool_),
            {alpha: float(column[row]) for alpha, column in values.items()},
            figure,
            seed=row,
        )
        for row in range(len(selections))
    ]
    halves_chosen, overall = chosen[:-1], chosen[-1]
    judging = np.roll(halves, HALVINGS, axis=0)
    judged_row = np.roll(np.arange(2 * HALVINGS), HALVINGS)
    gains = {}
    for name in FIGURES:
        found = {a: _mean_over_levels(column, name) for a, column in precisions.items()}
        differences = np.array(
            [
                found[a][row] - found[1.0][row]
                for a, row in zip(halves_chosen, judged_row, strict=True)
            ]
        )
        gains[name] = differences[~np.isnan(differences)]
    if not len(gains[figure]):
        return _nothing_to_judge(pictures)
    low, high = _interval(by_alpha, halves_chosen, judging, figure)
    return {
        "alpha": overall,
        "gain": float(gains[figure].mean()),
        "gains": {name: float(differences.mean()) for name, differences in gains.items()},
        "ci95": [low, high],
        "proven": low > 0,
        "figure": figure,
        "alphas_chosen": halves_chosen,
        "halves_judged": len(gains[figure]),
    }


def kept_alpha(held_out: Mapping[str, Any]) -> float:
    """Return the alpha a model keeps: the chosen one if its held-out gain is positive, else 1."""
    gain = held_out["gain"]
    return float(held_out["alpha"]) if gain is not None and gain > 0 else 1.0


def _interval(
    by_alpha: Mapping[float, Matches], chosen: list[float], judging: BoolArray, figure: str
) -> tuple[float, float]:
    """Bootstrap the mean gain over pictures, the alphas fixed."""
    if all(alpha == 1 for alpha in chosen):
        return 0.0, 0.0
    draws = draw_pictures(np.ones(judging.shape[1], np.bool_), _draws(judging.shape[1]), seed=1000)
    total = np.zeros(len(draws))
    count = np.zeros(len(draws))
    for alpha, half in zip(chosen, judging, strict=True):
        weights = draws * half
        if alpha == 1:
            gain = np.where((weights @ by_alpha[1.0].objects).any(1), 0.0, np.nan)
        else:
            gain = compute_figure(by_alpha[alpha].within(half), weights, figure)
            gain -= compute_figure(by_alpha[1.0].within(half), weights, figure)
        known = ~np.isnan(gain)
        total += np.where(known, gain, 0)
        count += known
    means = total[count > 0] / count[count > 0]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _draws(pictures: int) -> int:
    """Fewer draws for large sets, so that the time stays within minutes."""
    return 500 if pictures <= 1000 else 200


def _nothing_to_judge(pictures: int) -> dict[str, Any]:
    reason = (
        f"only {pictures} pictures, halves need at least {SMALLEST_SET}"
        if pictures < SMALLEST_SET
        else "no object in this split"
    )
    return {
        "alpha": 1.0,
        "gain": None,
        "gains": dict.fromkeys(FIGURES),
        "ci95": None,
        "proven": False,
        "alphas_chosen": [],
        "halves_judged": 0,
        "note": reason,
    }
