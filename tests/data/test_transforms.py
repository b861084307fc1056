"""Augmentation: numbers by hand, properties, and torchvision's box transforms as the judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as v2

from iouaware.config import DataConfig
from iouaware.data.transforms import (
    TrainTransform,
    View,
    change_colours,
    draw_view,
    enlarge_window,
    place_window,
    render_view,
    view_target,
)
from iouaware.images import resize_to_canvas
from iouaware.structures import FloatArray, ImageArray, Target

FILL = (120, 110, 100)
STILL: dict[str, Any] = {"flip": 0.0}
WILD: dict[str, Any] = {"flip": 0.5, "scale_jitter": (0.5, 1.8), "crop": 0.7, "colour": 0.5}


def make_target(*boxes: tuple[float, float, float, float], ignored: bool = False) -> Target:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    areas = (array[:, 2] - array[:, 0]) * (array[:, 3] - array[:, 1])
    count = len(array)
    return Target(array, np.arange(count), np.full(count, ignored), areas)


def make_image(height: int, width: int, seed: int = 0) -> ImageArray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_boxes_follow_window_and_scale() -> None:
    # window 100 x 50 shown at 200 x 100: scale 2. x: (20 - 10) * 2 = 20, (60 - 10) * 2 = 100;
    # y: (30 - 20) * 2 = 20, (50 - 20) * 2 = 60; area 40 * 20 * 4 = 3200
    view = View((10, 20, 110, 70), resized_hw=(100, 200), canvas_hw=(256, 256), mirrored=False)
    moved = view_target(make_target((20, 30, 60, 50)), view)
    assert moved.boxes.tolist() == [[20, 20, 100, 60]]
    assert moved.areas.tolist() == [3200]
    assert moved.boxes.dtype == moved.areas.dtype == np.float32


def test_mirror_exchanges_left_and_right_of_the_shown_part_not_of_the_canvas() -> None:
    # 200 - 100 = 100, 200 - 20 = 180, though the canvas is 256 wide
    view = View((10, 20, 110, 70), resized_hw=(100, 200), canvas_hw=(256, 256), mirrored=True)
    moved = view_target(make_target((20, 30, 60, 50)), view)
    assert moved.boxes.tolist() == [[100, 20, 180, 60]]


@pytest.mark.parametrize(
    ("left", "kept", "ignored"),
    [
        (20, 1, False),  # half of 20..60 is left of 40 px
        (30, 1, False),  # 30..40 of 0..40: exactly a quarter stays an object
        (31, 1, True),  # 9 of 40: too little for an object, too much for background
        (40, 0, False),  # nothing left
    ],
)
def test_cut_boxes_are_clipped_ignored_or_dropped(left: int, kept: int, ignored: bool) -> None:
    view = View((left, 0, left + 100, 100), (100, 100), (100, 100), mirrored=False)
    moved = view_target(make_target((0, 10, 40, 50)), view)
    assert len(moved) == kept
    assert moved.ignored.tolist() == [ignored] * kept
    if kept:
        assert moved.boxes.tolist() == [[0, 10, 40 - left, 50]]
        assert moved.areas.tolist() == [(40 - left) * 40]


def test_boxes_thinner_than_a_pixel_are_dropped_with_their_labels() -> None:
    view = View((0, 0, 100, 100), (50, 50), (64, 64), mirrored=False)  # 1.9 px become 0.95
    moved = view_target(make_target((10, 10, 11.9, 60), (10, 10, 12, 60)), view)
    assert moved.labels.tolist() == [1]


def test_crowds_travel_along() -> None:
    view = View((0, 0, 100, 100), (50, 50), (64, 64), mirrored=False)
    moved = view_target(make_target((10, 10, 50, 50), ignored=True), view)
    assert moved.ignored.tolist() == [True]
    assert moved.boxes.tolist() == [[5, 5, 25, 25]]


def test_empty_target_stays_empty() -> None:
    transform = TrainTransform(DataConfig(**WILD), 64, FILL)
    canvas, target = transform(make_image(50, 80), Target.empty(), seed=0, epoch=0, index=0)
    assert canvas.shape == (3, 64, 64)
    assert target.boxes.shape == (0, 4)
    assert target.labels.dtype == np.int64


def test_boxes_agree_with_torchvisions() -> None:
    boxes = np.array([[5, 8, 40, 30], [50, 20, 79, 59], [20, 10, 70, 50]], np.float32)
    view = View((10, 5, 80, 60), resized_hw=(110, 140), canvas_hw=(140, 140), mirrored=True)
    theirs = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(60, 80))
    theirs = v2.crop(theirs, top=5, left=10, height=55, width=70)
    theirs = v2.horizontal_flip(v2.resize(theirs, [110, 140]))
    theirs = v2.clamp_bounding_boxes(theirs)
    ours = view_target(make_target(*boxes.tolist()), view).boxes
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6)


@pytest.mark.parametrize("image_size", [96, (64, 96)])
@pytest.mark.parametrize("image_hw", [(60, 80), (81, 47), (200, 300)])
def test_unvaried_picture_is_the_one_evaluation_sees(
    image_size: int | tuple[int, int], image_hw: tuple[int, int]
) -> None:
    image = make_image(*image_hw)
    expected, frame = resize_to_canvas(image, image_size, FILL)
    transform = TrainTransform(DataConfig(**STILL), image_size, FILL)
    box = (3.0, 4.0, 40.0, 50.0)
    canvas, target = transform(image, make_target(box), seed=1, epoch=2, index=3)
    difference = canvas.permute(1, 2, 0).numpy().astype(int) - expected
    # equal where torch has its fast uint8 kernel; one grey level where it has not
    assert np.abs(difference).max() <= 1
    np.testing.assert_allclose(
        target.boxes, frame.to_canvas(np.array([box], np.float32)), rtol=1e-6
    )


def test_mirrored_picture_and_padding() -> None:
    image = make_image(20, 40)
    view = View((0, 0, 40, 20), resized_hw=(20, 40), canvas_hw=(64, 64), mirrored=True)
    canvas = render_view(image, view, FILL)
    assert canvas.shape == (3, 64, 64)
    assert canvas.dtype == torch.uint8
    assert (canvas[:, :20, :40].permute(1, 2, 0).numpy() == image[:, ::-1]).all()
    assert (canvas[:, 20:].permute(1, 2, 0).numpy() == FILL).all()
    assert (canvas[:, :, 40:].permute(1, 2, 0).numpy() == FILL).all()


def test_picture_is_not_written_into() -> None:
    image = make_image(40, 40)
    image.setflags(write=False)
    before = image.copy()
    target = make_target((5, 5, 30, 30))
    TrainTransform(DataConfig(**WILD), 64, FILL)(image, target, 0, 0, 0)
    assert (image == before).all()
    assert target.boxes.tolist() == [[5, 5, 30, 30]]


def test_p48_a_picture_depends_on_seed_epoch_and_index_alone() -> None:
    transform = TrainTransform(DataConfig(**WILD), 64, FILL)
    image, target = make_image(60, 80), make_target((10, 10, 40, 40))
    first, first_target = transform(image, target, 3, 4, 5)
    transform(image, target, 3, 4, 6)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    again, again_target = transform(image, target, 3, 4, 5)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert (first_target.boxes == again_target.boxes).all()
    others = [transform(image, target, *key)[0] for key in ((2, 4, 5), (3, 5, 5), (3, 4, 6))]
    assert not any(torch.equal(first, other) for other in others)


@pytest.mark.parametrize(("share", "expected"), [(0.0, {False}), (1.0, {True})])
def test_flip_can_be_switched_off(share: float, expected: set[bool]) -> None:
    config = DataConfig(flip=share)
    random = np.random.default_rng(0)
    boxes = np.zeros((0, 4), np.float32)
    views = [draw_view(random, config, 64, (48, 64), boxes) for _ in range(30)]
    assert {view.mirrored for view in views} == expected


def test_jitter_above_one_cuts_and_below_one_pads() -> None:
    random, boxes = np.random.default_rng(0), np.zeros((0, 4), np.float32)
    # 128 x 64 fits 64 x 32; twice that is 128 x 64, of which the canvas shows 64 x 64: the whole
    # height, half the width
    twice = DataConfig(scale_jitter=(2.0, 2.0), **STILL)
    view = draw_view(random, twice, 64, (64, 128), boxes)
    assert view.resized_hw == (64, 64)
    assert (view.window[2] - view.window[0], view.window[3] - view.window[1]) == (64, 64)
    half = DataConfig(scale_jitter=(0.5, 0.5), **STILL)
    view = draw_view(random, half, 64, (64, 128), boxes)
    assert view.resized_hw == (16, 32)
    assert view.canvas_hw == (64, 64)
    assert view.window == (0, 0, 128, 64)


def test_window_grows_until_it_cuts_no_box_whose_centre_it_holds() -> None:
    # the first box's centre (25, 25) is inside and pulls the window to 0..45; that takes in the
    # centre (44, 20) of the second, which pulls it on to 60; the third stays out
    boxes = np.array([[0, 5, 50, 45], [28, 10, 60, 30], [70, 70, 90, 90]], np.float32)
    assert enlarge_window((20, 20, 40, 40), boxes) == (0, 5, 60, 45)


def test_placed_window_holds_a_box_that_fits() -> None:
    random = np.random.default_rng(0)
    boxes = np.array([[60.5, 40.2, 90.5, 70.7]], np.float32)
    for _ in range(50):
        x1, y1, x2, y2 = place_window(random, (0, 0, 200, 100), (50, 40), boxes)
        assert (x2 - x1, y2 - y1) == (50, 40)
        assert 0 <= x1 <= 60.5
        assert 90.5 <= x2 <= 200
        assert 0 <= y1 <= 40.2
        assert 70.7 <= y2 <= 100


def test_colours_change_and_padding_does_not() -> None:
    config = DataConfig(colour=1.0, **STILL)
    image = make_image(32, 64)
    canvas, _ = TrainTransform(config, 64, FILL)(image, Target.empty(), 0, 0, 0)
    assert (canvas[:, 32:].permute(1, 2, 0).numpy() == FILL).all()
    assert (canvas[:, :32].permute(1, 2, 0).numpy() != image).any()


def test_colours_keep_a_red_sign_red() -> None:
    red = torch.tensor([200, 30, 40], dtype=torch.uint8)[:, None, None].expand(3, 8, 8)
    for seed in range(50):
        channels = change_colours(red, np.random.default_rng(seed)).float().mean(dim=(1, 2))
        assert channels.argmax() == 0


@st.composite
def pictures(draw: st.DrawFn) -> tuple[tuple[int, int], FloatArray]:
    height, width = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    share = st.floats(0, 1, width=32)
    boxes = []
    for _ in range(draw(st.integers(0, 4))):
        x1, x2 = sorted((draw(share) * width, draw(share) * width))
        y1, y2 = sorted((draw(share) * height, draw(share) * height))
        if x2 > x1 and y2 > y1:
            boxes.append((x1, y1, x2, y2))
    return (height, width), np.array(boxes, np.float32).reshape(-1, 4)


@settings(max_examples=150)
@given(
    picture=pictures(),
    image_size=st.sampled_from([64, 96, (64, 96)]),
    jitter=st.sampled_from([(1.0, 1.0), (0.3, 0.9), (0.5, 2.5)]),
    crop=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 1000),
)
def test_p26_augmented_boxes_are_valid(
    picture: tuple[tuple[int, int], FloatArray],
    image_size: int | tuple[int, int],
    jitter: tuple[float, float],
    crop: float,
    seed: int,
) -> None:
    image_hw, boxes = picture
    config = DataConfig(scale_jitter=jitter, crop=crop)
    view = draw_view(np.random.default_rng(seed), config, image_size, image_hw, boxes)
    x1, y1, x2, y2 = view.window
    assert 0 <= x1 < x2 <= image_hw[1]
    assert 0 <= y1 < y2 <= image_hw[0]
    height, width = view.resized_hw
    assert 1 <= height <= view.canvas_hw[0]
    assert 1 <= width <= view.canvas_hw[1]
    moved = view_target(make_target(*boxes.tolist()), view)
    assert np.isfinite(moved.boxes).all()
    assert (moved.boxes >= 0).all()
    assert (moved.boxes <= (width, height, width, height)).all()
    assert (moved.boxes[:, 2:] - moved.boxes[:, :2] >= 1).all()
    assert (moved.areas > 0).all()
    assert len(moved.labels) == len(moved.ignored) == len(moved.areas) == len(moved.boxes)
    assert set(moved.labels.tolist()) <= set(range(len(boxes)))


# a box of 1.5 px, higher than a crop of one row
@example(picture=((2, 1), np.array([[0, 0, 1, 1.5], [0, 0, 1, 1]], np.float32)), seed=80)
@settings(max_examples=60)
@given(picture=pictures(), seed=st.integers(0, 1000))
def test_crop_keeps_an_object(picture: tuple[tuple[int, int], FloatArray], seed: int) -> None:
    image_hw, boxes = picture
    config = DataConfig(crop=1.0, **STILL)
    view = draw_view(np.random.default_rng(seed), config, 64, image_hw, boxes)
    x1, y1, x2, y2 = view.window
    whole = (boxes[:, :2] >= (x1, y1)).all(axis=1) & (boxes[:, 2:] <= (x2, y2)).all(axis=1)
    assert whole.any() or not len(boxes)


@pytest.mark.parametrize("index", range(25))
def test_pixels_and_boxes_move_together(index: int) -> None:
    # a white rectangle on black: wherever the view takes it, its box must enclose it
    image = np.zeros((90, 120, 3), np.uint8)
    image[20:60, 30:80] = 255
    config = DataConfig(flip=0.5, scale_jitter=(0.6, 1.6), crop=0.6)
    transform = TrainTransform(config, 128, (0, 0, 0))
    canvas, target = transform(image, make_target((30, 20, 80, 60)), 0, 0, index)
    y, x = np.nonzero(canvas[0].numpy() >= 128)
    seen = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
    assert np.abs(target.boxes[0] - seen).max() <= 1
