"""A drawn data set with exact boxes, for the demonstration and for tests."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from iouaware.data.dataset import Dataset, DatasetBuilder
from iouaware.data.scenes import draw_scene
from iouaware.data.shapes import CLASS_NAMES
from iouaware.data.writers import WRITERS
from iouaware.errors import DatasetError

MIN_IMAGES = 3  # the third is the first of the validation part
JPEG_QUALITY = 90


def synthesize(
    directory: str | Path,
    images: int = 400,
    seed: int = 0,
    format: str = "coco",  # noqa: A002  the name of the command's flag
    image_wh: tuple[int, int] = (256, 256),
) -> Path:
    """Draw a data set: bolts, coins, comets and stars among clutter, with exact boxes.

    Three pictures of ten are for validation. One in fourteen or so has no objects. A box encloses
    what is visible of its object. The first pictures are the same however many are drawn.

    Args:
        directory: where to; it must not exist, or be empty.
        images: how many pictures, at least 3.
        seed: the same seed draws the same pictures.
        format: ``coco``, ``voc`` or ``yolo``.
        image_wh: size of every picture, px, at least 64 each.

    Returns:
        The directory, which is the DATA of every command.

    Raises:
        DatasetError: the directory holds something already, or cannot be written.
        ValueError: an argument is out of range.
    """
    if images < MIN_IMAGES:
        raise ValueError(f"images is {images}, expected at least {MIN_IMAGES}")
    if format not in WRITERS:
        raise ValueError(f"format is {format!r}, expected one of {', '.join(WRITERS)}")
    if min(image_wh) < 64:
        raise ValueError(f"image_wh is {image_wh}, expected at least 64 px each way")
    target = Path(directory)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise DatasetError(f"{target}: exists and is not empty; name a new folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # drawn aside and moved as a whole: a broken-off run leaves no half data set
        with tempfile.TemporaryDirectory(prefix=".drawing-", dir=target.parent) as scratch:
            drawn, written = Path(scratch, "drawn"), Path(scratch, "written")
            drawn.mkdir()
            splits = draw_splits(drawn, images, seed, image_wh)
            WRITERS[format](splits, written)
            if target.is_dir():
                target.rmdir()
            os.replace(written, target)  # noqa: PTH105  replaces on every system
    except OSError as error:
        raise DatasetError(f"{target}: cannot be written: {error}") from error
    return target


def draw_splits(
    directory: Path, images: int, seed: int, image_wh: tuple[int, int]
) -> list[Dataset]:
    """Draw pictures into a folder and return the training and the validation part.

    Args:
        directory: an existing folder.
        images: how many pictures.
        seed: together with a picture's number, fixes all that is drawn on it.
        image_wh: size of every picture, px.
    """
    ids = range(1, len(CLASS_NAMES) + 1)
    builders = {
        split: DatasetBuilder("coco", directory, split, CLASS_NAMES, ids)
        for split in ("train", "val")
    }
    for index in range(images):
        random = np.random.default_rng((seed, index))
        image, boxes, labels = draw_scene(random, image_wh, empty=_is_empty(index))
        name = f"{index:05d}.jpg"
        Image.fromarray(image).save(directory / name, quality=JPEG_QUALITY)
        split = "val" if index % 10 in (2, 5, 8) else "train"
        builders[split].add_image(name, *image_wh, boxes, labels)
    return [builder.build() for builder in builders.values()]


def _is_empty(index: int) -> bool:
    """Choose the pictures without objects: two of 28 for training, one of 12 for validation."""
    return index % 20 == 6 or index % 40 == 12
