import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iouaware.inference import scoring
from iouaware.inference.scoring import FORMULA, fuse_scores
from iouaware.structures import FloatArray

unit = st.floats(0, 1, width=32)
exponent = st.floats(0, 1)


def fuse_one(p: float, iou: float, alpha: float) -> float:
    return float(fuse_scores(np.array([p]), np.array([iou]), alpha)[0])


@pytest.mark.parametrize(
    ("p", "iou", "alpha", "expected"),
    [
        (0.81, 0.49, 0.5, 0.63),  # sqrt(0.81 * 0.49) = 0.9 * 0.7
        (0.16, 0.0016, 0.25, 0.00505964),  # 0.16^0.25 * 0.0016^0.75 = 0.63246 * 0.0080
        (0.3, 0.9, 1.0, 0.3),
        (0.3, 0.9, 0.0, 0.9),
        (1.0, 1.0, 0.4, 1.0),
        (0.0, 0.9, 0.4, 0.0),
        (0.9, 0.0, 0.4, 0.0),
        (0.0, 0.7, 0.0, 0.7),  # 0^0 = 1
        (0.7, 0.0, 1.0, 0.7),  # 0^0 = 1
        (0.0, 0.0, 0.0, 0.0),  # 0^0 * 0^1
    ],
)
def test_numbers_by_hand(p: float, iou: float, alpha: float, expected: float) -> None:
    assert fuse_one(p, iou, alpha) == pytest.approx(expected, abs=1e-7)


@given(p=unit, iou=unit, alpha=exponent)
def test_p35_scores_stay_in_range_and_follow_the_formula(
    p: float, iou: float, alpha: float
) -> None:
    score = fuse_one(p, iou, alpha)
    assert 0 <= score <= 1
    assert score == pytest.approx(math.pow(p, alpha) * math.pow(iou, 1 - alpha), rel=1e-9)


@given(p=unit, lower=unit, higher=unit, alpha=exponent)
def test_p35_scores_grow_with_each_factor(
    p: float, lower: float, higher: float, alpha: float
) -> None:
    lower, higher = sorted((lower, higher))
    # one unit in the last place of float64 is what exp and log may be off by
    assert fuse_one(lower, p, alpha) <= fuse_one(higher, p, alpha) * (1 + 1e-14)
    assert fuse_one(p, lower, alpha) <= fuse_one(p, higher, alpha) * (1 + 1e-14)


@given(st.lists(st.tuples(unit, unit), min_size=2, max_size=20, unique=True))
def test_alpha_one_ranks_by_p_exactly(pairs: list[tuple[float, float]]) -> None:
    p, iou = np.array(pairs, np.float32).T
    np.testing.assert_array_equal(fuse_scores(p, iou, 1.0), p)


def test_alpha_one_half_ranks_like_the_plain_product() -> None:
    random = np.random.default_rng(0)
    p, iou = random.uniform(0, 1, (2, 500))
    order = np.argsort(-p * iou, kind="stable")
    np.testing.assert_array_equal(np.argsort(-fuse_scores(p, iou, 0.5), kind="stable"), order)


def test_single_numbers_are_fused_too() -> None:
    assert float(fuse_scores(np.array(0.81), np.array(0.49), 0.5)) == pytest.approx(0.63)


def test_classes_of_an_anchor_share_its_iou() -> None:
    p = np.array([[0.81, 0.04], [0.25, 0.0]])  # [A, K]
    iou = np.array([0.49, 1.0])  # [A]
    # sqrt(0.81 * 0.49), sqrt(0.04 * 0.49); sqrt(0.25), 0
    np.testing.assert_allclose(fuse_scores(p, iou, 0.5), [[0.63, 0.14], [0.5, 0.0]])
    batch = fuse_scores(np.stack([p, p]), np.stack([iou, iou]), 0.5)
    assert batch.shape == (2, 2, 2)


def test_torch_and_numpy_agree() -> None:
    random = np.random.default_rng(1)
    p: FloatArray = random.uniform(0, 1, (7, 5, 3)).astype(np.float32)
    iou: FloatArray = random.uniform(0, 1, (7, 5)).astype(np.float32)
    p[0], iou[1] = 0, 0
    for alpha in (0.0, 0.3, 0.5, 1.0):
        ours = fuse_scores(torch.from_numpy(p), torch.from_numpy(iou), alpha)
        assert isinstance(ours, torch.Tensor)
        np.testing.assert_allclose(ours.numpy(), fuse_scores(p, iou, alpha), rtol=2e-6)


def test_half_precision_is_worked_on_in_float32() -> None:
    p = torch.full((1,), 1e-4, dtype=torch.float16)
    # in float16 the step at 1e-4 is 6e-8: the product of two would lose two digits
    score = fuse_scores(p, p, 0.5)
    assert score.dtype == torch.float32
    assert float(score) == pytest.approx(float(p), rel=1e-6)


@pytest.mark.parametrize("types", [("float64", "float32"), ("float32", "float64")])
def test_the_more_precise_of_two_types_is_kept(types: tuple[str, str]) -> None:
    p, iou = np.array([0.81]).astype(types[0]), np.array([0.49]).astype(types[1])
    for alpha in (1.0, 0.5, 0.0):
        assert fuse_scores(p, iou, alpha).dtype == np.float64


def test_scores_are_an_array_of_their_own() -> None:
    p, iou = np.full((2, 3), 0.5, np.float32), np.full(2, 0.4, np.float32)
    for alpha in (0.0, 0.5, 1.0):
        fuse_scores(p, iou, alpha)[0] = 0
    assert (p == 0.5).all()
    assert (iou == np.float32(0.4)).all()


def test_empty() -> None:
    assert fuse_scores(np.zeros(0), np.zeros(0), 0.5).shape == (0,)
    assert fuse_scores(np.zeros((0, 3)), np.zeros(0), 0.5).shape == (0, 3)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan])
def test_alpha_outside_its_range_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha is .*, expected 0\.\.1"):
        fuse_scores(np.ones(1), np.ones(1), alpha)


def test_other_anchors_are_refused_with_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(3,\), expected \(4,\) or \(4, 2\)"):
        fuse_scores(np.ones((4, 2)), np.ones(3), 0.5)
    with pytest.raises(ValueError, match=r"\(6,\), expected \(4,\) or \(4, 2\)"):
        fuse_scores(np.ones((4, 2)), np.ones(6), 0.5)


def test_p53_alpha_is_the_exponent_of_the_class_score() -> None:
    assert FORMULA == "S = p^alpha * IoU^(1-alpha)"
    assert FORMULA in inspect.getdoc(scoring.fuse_scores).__str__()
    # a high alpha prefers the sure box, a low one the tight box
    sure, tight = (0.9, 0.5), (0.5, 0.9)
    assert fuse_one(*sure, alpha=0.8) > fuse_one(*tight, alpha=0.8)
    assert fuse_one(*sure, alpha=0.2) < fuse_one(*tight, alpha=0.2)
