"""One drawn picture: background, clutter, objects one over the other, blur and noise.

The box of an object encloses exactly what is visible of it: the pixels it covers by half or more
and that nothing drawn later covers in turn. Boxes are therefore whole pixels. No object is hidden
by more than ``1 - MIN_VISIBLE``; cast shadows belong to no box.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from iouaware.data.shapes import (
    CLASS_NAMES,
    Points,
    draw_outline,
    render_coverage,
    turn_outline,
)
from iouaware.structures import FloatArray, ImageArray, IntArray

MIN_VISIBLE = 0.45  # share of an object's pixels
# px of the longest side, before anything covers it, on a picture of 256 px; at that size 87 % of
# the boxes meet an anchor at IoU 0.5, from 14 px on it would be 66 %
SIZE_RANGE = (24.0, 180.0)
REFERENCE_SIDE = 256
MAX_OBJECTS = 9
CONTRAST_RANGE = (34.0, 110.0)  # grey levels between an object and what lies behind it
FADE = (0.6, 1.0)
FADE_COMET = (0.35, 0.65)
NOISE_RANGE = (1.0, 9.0)  # standard deviation, grey levels
_CLUTTER = 0  # the owner of pixels that belong to no object; objects count from 1
_TURN = 2 * np.pi


class Scene:
    """A picture in the making: its colours, and which object each pixel belongs to."""

    def __init__(self, random: Generator, image_wh: tuple[int, int]) -> None:
        """Begin with a background of a few blurred colours."""
        self.random = random
        self.width, self.height = image_wh
        self.unit = max(image_wh) / REFERENCE_SIDE
        self.colours = self._paint_background()  # [H, W, 3] float32, 0..255
        self.owners = np.full((self.height, self.width), _CLUTTER, np.int16)
        self.labels: list[int] = []
        self.sizes: list[int] = []  # pixels of each object, were nothing in front of it

    def add_object(self, label: int) -> bool:
        """Draw one object in front of all others; False where it found no place."""
        random = self.random
        low, high = np.log(SIZE_RANGE)
        size = np.exp(random.uniform(low, high)) * self.unit
        parts = turn_outline(draw_outline(random, label), random.uniform(0, _TURN))
        parts = [part * size for part in parts]
        contrast = random.uniform(*CONTRAST_RANGE)
        # the far end keeps this share of the contrast; comets nearly dissolve
        fade = random.uniform(*(FADE_COMET if CLASS_NAMES[label] == "comet" else FADE))
        softness = random.uniform(0, 0.03) * size
        shadow = random.random() < 0.5
        return self._place(parts, size, contrast, fade, softness, shadow, label)

    def add_clutter(self) -> bool:
        """Draw a bar, a triangle or a scratch that belongs to no object."""
        random = self.random
        length = np.exp(random.uniform(*np.log((20.0, 140.0)))) * self.unit
        kind = random.integers(3)
        if kind == 0:  # a bar
            half = random.uniform(0.04, 0.12)
            outline = np.array([[-0.5, -half], [0.5, -half], [0.5, half], [-0.5, half]])
        elif kind == 1:  # a triangle
            outline = random.uniform(-0.5, 0.5, (3, 2))
        else:  # a scratch
            outline = np.array([[-0.5, -0.01], [0.5, -0.01], [0.5, 0.01], [-0.5, 0.01]])
        parts = turn_outline([outline * length], random.uniform(0, _TURN))
        contrast = random.uniform(*CONTRAST_RANGE)
        return self._place(parts, length, contrast, 1.0, 0.5, random.random() < 0.3, None)

    def boxes(self) -> FloatArray:
        """Return the box of what is visible of each object, [N, 4] px."""
        boxes = np.zeros((len(self.labels), 4), np.float32)
        for row in range(len(boxes)):
            y, x = np.nonzero(self.owners == row + 1)
            boxes[row] = x.min(), y.min(), x.max() + 1, y.max() + 1
        return boxes

    def finish(self) -> ImageArray:
        """Put the lens out of focus, add the sensor's noise, [H, W, 3]."""
        random = self.random
        image = Image.fromarray(np.clip(self.colours, 0, 255).astype(np.uint8))
        if random.random() < 0.6:
            image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.3)))
        noisy = random.standard_normal(self.colours.shape, np.float32)
        noisy *= np.float32(random.uniform(*NOISE_RANGE))
        noisy += np.asarray(image)
        return np.clip(np.rint(noisy, out=noisy), 0, 255, out=noisy).astype(np.uint8)

    def _paint_background(self) -> FloatArray:
        random = self.random
        cells = int(random.integers(2, 9))
        grey = random.uniform(-35, 35, (cells, cells, 1))
        tint = random.uniform(-25, 25, 3) + random.uniform(-10, 10, (cells, cells, 3))
        patches = random.uniform(75, 180) + grey + tint
        small = Image.fromarray(np.clip(patches, 0, 255).astype(np.uint8))
        large = small.resize((self.width, self.height), Image.Resampling.BICUBIC)
        return np.array(large, np.float32)

    def _place(
        self,
        parts: list[Points],
        size: float,
        contrast: float,
        fade: float,
        softness: float,
        shadow: bool,
        label: int | None,
    ) -> bool:
        """Draw polygons at a random place, unless they would hide an object too far."""
        margin = 2 + int(np.ceil(0.15 * size))  # room for the shadow and the soft edge
        offset = self.random.uniform((0, 0), (self.width, self.height))
        coverage, origin = render_coverage([part + offset for part in parts], margin)
        patch, inner = self._overlap(coverage.shape, origin)
        covered = coverage[inner] >= 0.5
        size_px = int(covered.sum())
        whole_px = int((coverage >= 0.5).sum())
        if size_px < max(1, MIN_VISIBLE * whole_px) or self._hides(patch, covered):
            return False
        if shadow:
            self._cast_shadow(patch, inner, coverage, size)
        self._blend(patch, inner, coverage, contrast, fade, softness)
        owner = _CLUTTER
        if label is not None:
            self.labels.append(label)
            self.sizes.append(size_px)
            owner = len(self.labels)
        self.owners[patch][covered] = owner
        return True

    def _overlap(
        self, shape_hw: tuple[int, ...], origin: Points
    ) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return where a patch lies in the picture, and which part of the patch that is."""
        left, top = int(origin[0]), int(origin[1])
        x1, y1 = max(0, left), max(0, top)
        x2 = max(x1, min(self.width, left + shape_hw[1]))
        y2 = max(y1, min(self.height, top + shape_hw[0]))
        inner = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
        return (slice(y1, y2), slice(x1, x2)), inner

    def _hides(self, patch: tuple[slice, slice], covered: NDArray[np.bool_]) -> bool:
        """Tell whether covering these pixels hides some object further than allowed."""
        lost = np.bincount(self.owners[patch][covered], minlength=len(self.labels) + 1)
        for row in np.flatnonzero(lost[1:]):
            left = np.count_nonzero(self.owners == row + 1) - lost[row + 1]
            if left < MIN_VISIBLE * self.sizes[row]:
                return True
        return False

    def _cast_shadow(
        self,
        patch: tuple[slice, slice],
        inner: tuple[slice, slice],
        coverage: FloatArray,
        size: float,
    ) -> None:
        reach = 0.08 * size
        angle = self.random.uniform(0, _TURN)
        shift = np.rint(reach * np.array([np.sin(angle), np.cos(angle)])).astype(int)
        # the margin is wider than the shift, so that nothing comes back on the other side
        moved = _blur(np.roll(coverage, shift, axis=(0, 1)), 0.5 * reach)
        self.colours[patch] *= 1 - self.random.uniform(0.2, 0.5) * moved[inner][..., None]

    def _blend(
        self,
        patch: tuple[slice, slice],
        inner: tuple[slice, slice],
        coverage: FloatArray,
        contrast: float,
        fade: float,
        softness: float,
    ) -> None:
        """Mix the colour of an object into what lies behind it."""
        direction = self.random.standard_normal(3) * (1, 0.6, 1)
        direction += np.sign(direction.sum()) * 0.8  # mostly brighter or darker all over
        behind = self.colours[patch][::4, ::4].reshape(-1, 3).mean(axis=0)
        step = direction / np.abs(direction).max() * contrast
        step = np.where((behind + step < 10) | (behind + step > 245), -step, step)
        opacity = _blur(coverage, softness)[inner] * _ramp(coverage, fade, self.random)[inner]
        self.colours[patch] += (behind + step - self.colours[patch]) * opacity[..., None]


def draw_scene(
    random: Generator, image_wh: tuple[int, int], empty: bool = False
) -> tuple[ImageArray, FloatArray, IntArray]:
    """Draw one picture.

    Args:
        random: where everything drawn comes from.
        image_wh: size in px.
        empty: draw clutter only.

    Returns:
        The picture [H, W, 3], its boxes [N, 4] px, and their labels [N].
    """
    scene = Scene(random, image_wh)
    for _ in range(random.integers(2, 8)):
        scene.add_clutter()
    wanted = 0 if empty else int(random.integers(1, MAX_OBJECTS + 1))
    for _ in range(wanted):
        scene.add_object(int(random.integers(len(CLASS_NAMES))))
        if random.random() < 0.25:
            scene.add_clutter()
    while wanted and not scene.labels:
        scene.add_object(int(random.integers(len(CLASS_NAMES))))
    labels = np.array(scene.labels, np.int64)
    return scene.finish(), scene.boxes(), labels


def _blur(coverage: FloatArray, radius: float) -> FloatArray:
    """Blur an image of shares, 0..1."""
    if radius < 0.3:
        return coverage
    image = Image.fromarray((coverage * 255).astype(np.uint8))
    blurred = image.filter(ImageFilter.GaussianBlur(float(radius)))
    return np.asarray(blurred, np.float32) / np.float32(255)


def _ramp(coverage: FloatArray, end: float, random: Generator) -> FloatArray:
    """Fall from 1 to ``end`` across a patch, [H, W], in a random direction."""
    height, width = coverage.shape
    angle = random.uniform(0, _TURN)
    cosine, sine = math.cos(angle), math.sin(angle)  # of Python, so that all stays float32
    x = np.linspace(-1, 1, width, dtype=np.float32) * cosine
    y = np.linspace(-1, 1, height, dtype=np.float32) * sine
    along = (y[:, None] + x[None, :]) / (abs(cosine) + abs(sine))  # -1..1
    return np.asarray(1 - (1 - end) / 2 * (along + 1), np.float32)
