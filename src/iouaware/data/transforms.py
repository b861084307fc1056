"""Augmentation of training pictures: crop, scale jitter, flip, colour, on uint8 throughout.

Crop, jitter and the fit to the canvas are one step: a window of the picture, in whole pixels, is
cut out and resized once. What is drawn depends on (seed, epoch, index) alone, never on a hidden
state, so that a resumed run and any number of workers see the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as v2

from iouaware.boxes import box_area, clip_boxes
from iouaware.config import DataConfig
from iouaware.images import resized_hw
from iouaware.structures import FloatArray, ImageArray, IntArray, Target

MIN_SHARE = 0.25  # a box of which less is left becomes ignored: no object, no background either
MIN_SIDE = 1.0  # input px; a box narrower than this is dropped
CROP_RANGE = (0.5, 1.0)  # sides of a crop as shares of the picture's
STREAM = 1  # keeps these draws apart from those of the order of the pictures

# Strengths of ``data.colour``. The hue hardly moves and channels are never swapped: a red sign
# must not become a blue one.
BRIGHTNESS = 0.3
CONTRAST = 0.3
SATURATION = 0.4
HUE = 0.015


@dataclass(frozen=True, slots=True)
class View:
    """What one training picture shows: a window of the original, resized and perhaps mirrored.

    Attributes:
        window: x1 y1 x2 y2 in whole original px.
        resized_hw: the window's size in input px.
        canvas_hw: padded right and bottom to this.
        mirrored: left and right exchanged.
    """

    window: tuple[int, int, int, int]
    resized_hw: tuple[int, int]
    canvas_hw: tuple[int, int]
    mirrored: bool


class TrainTransform:
    """Turn a picture and its truth into an augmented network input.

    Picklable, and without any state that a call could change.
    """

    def __init__(
        self,
        config: DataConfig,
        image_size: int | tuple[int, int],
        fill: tuple[int, int, int],
    ) -> None:
        """Keep the settings.

        Args:
            config: how often and how strongly pictures are varied.
            image_size: as ``images.resized_hw`` takes it.
            fill: RGB of the padding.
        """
        self.config = config
        self.image_size = image_size
        self.fill = fill

    def __call__(
        self, image: ImageArray, target: Target, seed: int, epoch: int, index: int
    ) -> tuple[Tensor, Target]:
        """Augment one picture.

        Args:
            image: [H, W, 3] RGB.
            target: its truth in original px.
            seed: of the run.
            epoch: from 0.
            index: of the picture in its data set.

        Returns:
            The canvas, [3, H', W'] uint8, and the truth in input px.
        """
        random = np.random.default_rng((STREAM, seed, epoch, index))
        view = draw_view(random, self.config, self.image_size, image.shape[:2], target.boxes)
        canvas = render_view(image, view, self.fill)
        if random.random() < self.config.colour:
            height, width = view.resized_hw
            shown = canvas[:, :height, :width]
            canvas[:, :height, :width] = change_colours(shown, random)  # the padding stays as it is
        return canvas, view_target(target, view)


def draw_view(
    random: Generator,
    config: DataConfig,
    image_size: int | tuple[int, int],
    image_hw: tuple[int, ...],
    boxes: FloatArray,
) -> View:
    """Draw what a training picture shows.

    Args:
        random: where the draws come from.
        config: shares and ranges.
        image_size: as ``images.resized_hw`` takes it.
        image_hw: of the original.
        boxes: [N, 4] original px, to be kept in view.
    """
    height, width = image_hw
    window = (0, 0, width, height)
    if random.random() < config.crop:
        shares = random.uniform(*CROP_RANGE, size=2)
        size_wh = (max(1, round(width * shares[0])), max(1, round(height * shares[1])))
        window = enlarge_window(place_window(random, window, size_wh, boxes), boxes)
    window_hw = (window[3] - window[1], window[2] - window[0])
    fitted_hw, canvas_hw = resized_hw(window_hw, image_size)
    factor = random.uniform(*config.scale_jitter)
    wanted_hw = tuple(max(1, round(side * factor)) for side in fitted_hw)
    shown_hw = (min(wanted_hw[0], canvas_hw[0]), min(wanted_hw[1], canvas_hw[1]))
    size_wh = (
        max(1, round(window_hw[1] * shown_hw[1] / wanted_hw[1])),
        max(1, round(window_hw[0] * shown_hw[0] / wanted_hw[0])),
    )
    window = place_window(random, window, size_wh, boxes)
    return View(window, shown_hw, canvas_hw, mirrored=bool(random.random() < config.flip))


def place_window(
    random: Generator,
    within: tuple[int, int, int, int],
    size_wh: tuple[int, int],
    boxes: FloatArray,
) -> tuple[int, int, int, int]:
    """Lay a window of a given size so that one box, drawn at random, is seen whole if it fits.

    Args:
        random: where the draws come from.
        within: x1 y1 x2 y2 px, the window stays inside.
        size_wh: of the window, at most that of ``within``.
        boxes: [N, 4] px; those whose centre lies outside ``within`` are not drawn.
    """
    inside = boxes[_has_centre(boxes, within)]
    anchor = inside[random.integers(len(inside))] if len(inside) else None
    corner = []
    for axis in (0, 1):
        low, high = within[axis], within[axis + 2] - size_wh[axis]
        if anchor is not None:
            first = int(np.ceil(anchor[axis + 2])) - size_wh[axis]  # the box's far edge just fits
            last = int(np.floor(anchor[axis]))  # and its near edge
            if first > last:  # it does not fit: its centre is seen
                centre = (anchor[axis] + anchor[axis + 2]) / 2
                first, last = int(np.ceil(centre)) - size_wh[axis], int(np.floor(centre))
            low, high = np.clip((first, last), low, high)
        corner.append(int(random.integers(low, high + 1)))
    x, y = corner
    return x, y, x + size_wh[0], y + size_wh[1]


def enlarge_window(
    window: tuple[int, int, int, int], boxes: FloatArray
) -> tuple[int, int, int, int]:
    """Enlarge a crop until it holds whole every box whose centre it holds.

    Boxes are expected inside the picture, so the window stays inside it too.
    """
    while True:
        held = boxes[_has_centre(boxes, window)]
        if not len(held):
            return window
        low = np.floor(held[:, :2].min(axis=0)).astype(int)
        high = np.ceil(held[:, 2:].max(axis=0)).astype(int)
        larger = (
            min(window[0], int(low[0])),
            min(window[1], int(low[1])),
            max(window[2], int(high[0])),
            max(window[3], int(high[1])),
        )
        if larger == window:
            return window
        window = larger


def _has_centre(boxes: FloatArray, window: tuple[int, int, int, int]) -> IntArray:
    """Return the indices of the boxes whose centre lies in a window."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (centres >= window[:2]) & (centres <= window[2:])
    return np.flatnonzero(inside.all(axis=1))


def render_view(image: ImageArray, view: View, fill: tuple[int, int, int]) -> Tensor:
    """Cut, resize (antialiased), mirror and pad, [H, W, 3] -> [3, H', W'] uint8."""
    x1, y1, x2, y2 = view.window
    window = torch.from_numpy(np.array(image[y1:y2, x1:x2])).permute(2, 0, 1)  # channels last: fast
    shown = v2.resize(
        window, list(view.resized_hw), interpolation=InterpolationMode.BILINEAR, antialias=True
    )
    if view.mirrored:
        shown = v2.horizontal_flip(shown)
    height, width = view.resized_hw
    canvas = torch.tensor(fill, dtype=torch.uint8)[:, None, None].repeat(1, *view.canvas_hw)
    canvas[:, :height, :width] = shown
    return canvas


def view_target(target: Target, view: View) -> Target:
    """Carry the truth of the original picture over into a view of it.

    Boxes are clipped to what is shown. One of which less than ``MIN_SHARE`` is left becomes
    ignored, one thinner than ``MIN_SIDE`` is dropped; crowds travel along as they are.
    """
    window = np.array(view.window, np.float32)
    height, width = view.resized_hw
    scale = np.array([width, height], np.float32) / (window[2:] - window[:2])
    boxes = (target.boxes - np.tile(window[:2], 2)) * np.tile(scale, 2)  # [N, 4] input px
    if view.mirrored:
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
    clipped = clip_boxes(boxes, view.resized_hw)
    sides = clipped[:, 2:] - clipped[:, :2]
    kept = (sides >= MIN_SIDE).all(axis=1)
    boxes, clipped = boxes[kept], clipped[kept]
    share = box_area(clipped) / box_area(boxes)  # a kept side of 1 px rules out 0 / 0
    return Target(
        boxes=clipped.astype(np.float32),
        labels=target.labels[kept],
        ignored=target.ignored[kept] | (share < MIN_SHARE),
        areas=(target.areas[kept] * scale.prod() * share).astype(np.float32),
    )


def change_colours(image: Tensor, random: Generator) -> Tensor:
    """Vary brightness, contrast, saturation and, a little, hue, [3, H, W] uint8."""
    image = v2.adjust_brightness(image, random.uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS))
    image = v2.adjust_contrast(image, random.uniform(1 - CONTRAST, 1 + CONTRAST))
    image = v2.adjust_saturation(image, random.uniform(1 - SATURATION, 1 + SATURATION))
    changed: Tensor = v2.adjust_hue(image, random.uniform(-HUE, HUE))
    return changed
