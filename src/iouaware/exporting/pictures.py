"""The pictures that an export is proven on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from iouaware.data.dataset import Dataset
from iouaware.data.scenes import draw_scene
from iouaware.exporting.parity import BATCHES
from iouaware.images import read_image
from iouaware.structures import ImageArray

AP_IMAGES = 200  # more take minutes and say the same
DRAWN_WH = (256, 192)


@dataclass(frozen=True)
class Pictures:
    """Real pictures with their truth, or drawn ones without.

    Attributes:
        dataset: labelled with the model's classes; None draws pictures instead.
        source: where they are from, in words.
    """

    dataset: Dataset | None
    source: str

    def images(self) -> list[ImageArray]:
        """Return as many pictures as the batches of the comparison hold, [H, W, 3] uint8."""
        count = sum(BATCHES)
        if self.dataset is not None:
            return list(read_spread(self.dataset, count))
        randoms = (np.random.default_rng((0, index)) for index in range(count))
        return [draw_scene(random, DRAWN_WH)[0] for random in randoms]

    def labelled(self) -> Dataset | None:
        """Return the pictures that AP is computed on: at most 200, spread over the data set."""
        if self.dataset is None or not len(self.dataset.labels):
            return None
        return self.dataset.subset(spread(len(self.dataset), AP_IMAGES))


def spread(length: int, count: int) -> list[int]:
    """Return at most ``count`` indices, evenly spaced."""
    return sorted(set(np.linspace(0, length - 1, min(count, length)).round().astype(int).tolist()))


def read_spread(dataset: Dataset, count: int) -> Iterator[ImageArray]:
    """Read at most ``count`` pictures, evenly spaced."""
    for index in spread(len(dataset), count):
        yield read_image(dataset.record(index).path)
