"""The score that ranks boxes: S = p^alpha * IoU^(1-alpha)."""

from __future__ import annotations

import math
from numbers import Real

from array_api_compat import array_namespace

from iouaware.boxes import Array

# alpha is the exponent of the class score; other projects use it for the IoU
FORMULA = "S = p^alpha * IoU^(1-alpha)"


def fuse_scores(class_scores: Array, predicted_iou: Array, alpha: float) -> Array:
    """Rank each box by class score and predicted IoU together.

    Worked out in log space, in float32 or better: half precision comes back as float32. 0^0 is 1,
    so alpha 1 gives p and alpha 0 gives the predicted IoU, exactly.

    Args:
        class_scores: p, [..., A, K], or one class an anchor, [C]; 0..1.
        predicted_iou: [..., A] or [C], 0..1, the same anchors in the same order.
        alpha: weight of the class score, 0..1; 1 ranks by class score alone.

    Returns:
        Scores S in the shape of ``class_scores``, 0..1; numpy or torch, as given.

    Raises:
        ValueError: alpha lies outside 0..1, or the anchors differ.

    Source: Wu, Li, Wang 2020, arXiv:1912.05992, S = p^alpha * IoU^(1-alpha).
    """
    check_alpha(alpha)
    p_shape, iou_shape = tuple(class_scores.shape), tuple(predicted_iou.shape)
    if p_shape != iou_shape and p_shape[:-1] == iou_shape:
        predicted_iou = predicted_iou[..., None]  # [..., A, 1]
    elif p_shape != iou_shape:
        raise ValueError(
            f"predicted_iou has shape {iou_shape}, expected {p_shape[:-1]} or {p_shape} "
            f"for class_scores of shape {p_shape}"
        )
    xp = array_namespace(class_scores, predicted_iou)
    dtype = xp.result_type(class_scores.dtype, predicted_iou.dtype, xp.float32)
    p = xp.astype(class_scores, dtype)
    iou = xp.broadcast_to(xp.astype(predicted_iou, dtype), p_shape)
    if alpha == 1:
        return p
    if alpha == 0:
        return xp.asarray(iou, copy=True)  # NumPy's broadcast is read-only
    return xp.exp(alpha * _log(xp, p) + (1 - alpha) * _log(xp, iou))


def check_alpha(alpha: float) -> None:
    """Refuse an alpha outside 0..1.

    Raises:
        ValueError: alpha lies outside 0..1 or is no number.
    """
    if not isinstance(alpha, Real) or not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha!r}, expected 0..1 in {FORMULA}")


def check_share(name: str, value: float) -> None:
    """Refuse a threshold outside 0..1.

    Raises:
        ValueError: it lies outside 0..1 or is no number.
    """
    if not isinstance(value, Real) or not 0 <= value <= 1:
        raise ValueError(f"{name} is {value!r}, expected 0..1")


def _log(xp: Array, values: Array) -> Array:
    """Return the logarithm, minus infinity for 0, without a warning."""
    positive = values > 0
    ones = xp.ones_like(values)
    return xp.where(positive, xp.log(xp.where(positive, values, ones)), -math.inf * ones)
