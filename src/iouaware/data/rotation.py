"""Boxes that an annotation tool has turned."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def enclosing_box(box: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Return the upright box around a box that is turned about its centre, [4] -> [4]."""
    centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    half = np.array([size[0] * cos + size[1] * sin, size[0] * sin + size[1] * cos]) / 2
    return np.concatenate([centre - half, centre + half])
