"""Objects and the anchors that meet them."""

from __future__ import annotations

import pytest

from iouaware.checking.cover import find_uncovered
from tests.checking.numbers import examined, part

WH = (320, 320)
# at 320 px an anchor of 32 px fits exactly; 10 px meets it at IoU (10/32)^2 = 0.1 at best
FITS = (144.0, 144.0, 176.0, 176.0)
SMALL = (150.0, 150.0, 160.0, 160.0)


def test_p25_a_class_of_small_objects_is_told_with_the_size_that_helps() -> None:
    data = examined(train=part("train", [[(0, FITS)]] * 19 + [[(1, SMALL)]], image_wh=WH))
    found, facts = find_uncovered(data)
    assert facts["image_size"] == 320  # 95 % of all boxes meet an anchor
    assert facts["share"] == pytest.approx(0.95)
    assert facts["by_class"] == {"cat": 1.0, "dog": 0.0}
    assert facts["by_object_px"] == {"< 16": 0.0, "16-32": None, "32-96": 1.0, "> 96": None}
    (finding,) = found
    assert finding.message.startswith("1 of 1 boxes of 'dog' meet no anchor at IoU 0.5 at 320 px")
    assert (finding.file, finding.annotation) == ("train/19.jpg", "train.json 19 box 1")
    # 32 px anchors meet squares of 22.7 px and more: 320 * 2.27 = 725
    assert finding.advice == "train at --image-size 800"


def test_objects_that_no_size_helps_are_told_with_the_anchors_they_need() -> None:
    thin = (10.0, 100.0, 210.0, 110.0)  # 1:20
    data = examined(train=part("train", [[(0, thin)]] * 3, image_wh=WH))
    (finding,), facts = find_uncovered(data)
    assert facts["image_size"] == 512  # what auto takes where nothing is enough
    assert "no picture size up to 1600 px helps" in finding.advice
    assert "1:20.0" in finding.advice
    assert "about 72 px" in finding.advice  # sqrt(200 * 10) * 512 / 320 = 71.6


def test_a_given_size_is_looked_at() -> None:
    data = examined(train=part("train", [[(0, SMALL)]], image_wh=WH))
    assert find_uncovered(data, 1280)[1]["share"] == 1.0


def test_without_objects_there_is_nothing_to_say() -> None:
    assert find_uncovered(examined(train=part("train", [[]]))) == ([], {})
    assert find_uncovered(examined(train=part("train", [[(0, FITS)]], ignored=True))) == ([], {})
    assert find_uncovered(examined(val=part("val", [[(0, FITS)]]))) == ([], {})
