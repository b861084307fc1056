"""Batches for training and evaluation, read by worker processes or in the calling one.

The order of an epoch is a function of (seed, epoch), each picture of (seed, epoch, index): the
number of workers changes nothing, and ``skip_batches`` takes a run up where it was left.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils import data as torch_data

from iouaware.config import DataConfig
from iouaware.data.dataset import Dataset
from iouaware.data.transforms import TrainTransform
from iouaware.errors import DatasetError
from iouaware.images import read_image, resize_to_canvas, resized_hw
from iouaware.structures import Frame, ImageArray, IntArray, Target

STREAM = 2  # keeps the draws of the order apart from those of the augmentation

CanvasBatch = tuple[ImageArray, list[Frame], list[int]]


class Batch(NamedTuple):
    """Training pictures of one step.

    Attributes:
        images: [B, 3, H, W] uint8 RGB, padded right and bottom.
        targets: B truths in input px.
        indices: of the pictures in their data set.
    """

    images: Tensor
    targets: list[Target]
    indices: tuple[int, ...]


def _read_or_error(dataset: Dataset, index: int) -> ImageArray | DatasetError:
    """Read one picture, or return why it cannot be read, for the loader to raise.

    An exception that crosses processes comes out with a traceback in its text; a returned one
    keeps its single line.
    """
    try:
        return read_image(dataset.record(index).path)
    except DatasetError as error:
        return error


class TrainingImages(torch_data.Dataset[Any]):
    """The augmented pictures of one epoch, by index."""

    def __init__(
        self, dataset: Dataset, transform: TrainTransform, seed: int, epoch: int = 0
    ) -> None:
        """Keep what the pictures are made from; ``epoch`` may be set anew between two epochs."""
        self.dataset = dataset
        self.transform = transform
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Target, int] | DatasetError:
        """Read and augment one picture; one that cannot be read is returned as its error."""
        image = _read_or_error(self.dataset, index)
        if isinstance(image, DatasetError):
            return image
        target = self.dataset.target(index)
        return *self.transform(image, target, self.seed, self.epoch, index), index


class _CanvasImages(torch_data.Dataset[Any]):
    """Pictures on their canvas as evaluation and prediction see them, by index."""

    def __init__(
        self, dataset: Dataset, image_size: int | tuple[int, int], fill: tuple[int, int, int]
    ) -> None:
        self.dataset = dataset
        self.image_size = image_size
        self.fill = fill

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Frame, int] | DatasetError:
        image = _read_or_error(self.dataset, index)
        if isinstance(image, DatasetError):
            return image
        canvas, frame = resize_to_canvas(image, self.image_size, self.fill)
        return torch.from_numpy(canvas), frame, index


class _CollateBatch:
    """Put pictures on one canvas, the largest height and width among them."""

    def __init__(self, fill: tuple[int, int, int]) -> None:
        self.fill = fill

    def __call__(
        self, items: list[tuple[Tensor, Target, int] | DatasetError]
    ) -> Batch | DatasetError:
        good = []
        for item in items:
            if isinstance(item, DatasetError):
                return item
            good.append(item)
        images, targets, indices = zip(*good, strict=True)
        height = max(image.shape[1] for image in images)
        width = max(image.shape[2] for image in images)
        fill = torch.tensor(self.fill, dtype=torch.uint8)[None, :, None, None]
        canvas = fill.repeat(len(images), 1, height, width)  # [B, 3, H, W]
        for row, image in zip(canvas, images, strict=True):
            row[:, : image.shape[1], : image.shape[2]] = image
        return Batch(canvas, list(targets), tuple(indices))


def _collate_canvases(
    items: list[tuple[Tensor, Frame, int] | DatasetError],
) -> tuple[Tensor, list[Frame], list[int]] | DatasetError:
    """Stack canvases of one size, [B, H, W, 3]."""
    good = []
    for item in items:
        if isinstance(item, DatasetError):
            return item
        good.append(item)
    canvases, frames, indices = zip(*good, strict=True)
    return torch.stack(canvases), list(frames), list(indices)


class _Loader(torch_data.DataLoader[Any]):
    """A ``DataLoader`` that raises the error of a picture as the one line it was."""

    def __iter__(self) -> Any:
        for batch in super().__iter__():
            if isinstance(batch, DatasetError):
                raise batch
            yield batch


def epoch_order(length: int, seed: int, epoch: int) -> IntArray:
    """Return the order of the pictures in one epoch, [length] indices."""
    return np.random.default_rng((STREAM, seed, epoch)).permutation(length)


def split_order(order: IntArray, batch_size: int, rank: int, world_size: int) -> list[list[int]]:
    """Cut an epoch's order into the batches of one process.

    All processes get the same number of equally large batches: the order wraps until it divides.
    The pictures of a step are those that one process with ``world_size * batch_size`` would take.

    Args:
        order: [length] indices.
        batch_size: of one process.
        rank: of this process.
        world_size: number of processes.
    """
    if not 0 <= rank < world_size:
        raise ValueError(f"rank is {rank}, expected 0 to {world_size - 1}")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, expected at least 1")
    wrapped = np.resize(order, -(-len(order) // world_size) * world_size)
    step = batch_size * world_size
    return [
        wrapped[start : start + step][rank::world_size].tolist()
        for start in range(0, len(wrapped), step)
    ]


def build_training_loader(
    dataset: Dataset,
    data: DataConfig,
    *,
    image_size: int | tuple[int, int],
    fill: tuple[int, int, int],
    seed: int,
    epoch: int,
    batch_size: int,
    workers: int,
    rank: int = 0,
    world_size: int = 1,
    skip_batches: int = 0,
) -> torch_data.DataLoader[Any]:
    """Build the loader of one epoch; it yields ``Batch``.

    Args:
        dataset: the training pictures.
        data: how they are varied.
        image_size: as ``images.resized_hw`` takes it; the ``"auto"`` of the config is settled.
        fill: RGB of the padding.
        seed: of the run.
        epoch: from 0.
        batch_size: pictures a step in this process; the last batch may be smaller.
        workers: processes that read; 0 reads in the calling one.
        rank: of this process.
        world_size: number of training processes.
        skip_batches: batches of this epoch already seen by a run that is resumed.

    Raises:
        DatasetError: while iterating, a picture that is missing or broken.
    """
    order = epoch_order(len(dataset), seed, epoch)
    batches = split_order(order, batch_size, rank, world_size)[skip_batches:]
    images = TrainingImages(dataset, TrainTransform(data, image_size, fill), seed, epoch)
    return _build_loader(images, batches, _CollateBatch(fill), workers)


def iterate_images(
    dataset: Dataset,
    image_size: int | tuple[int, int],
    fill: tuple[int, int, int],
    batch_size: int,
    workers: int,
) -> Iterator[CanvasBatch]:
    """Iterate over all pictures as evaluation sees them, in batches of one canvas size.

    Within a canvas size pictures keep their order; with one size that is the data set's order.

    Args:
        dataset: the pictures.
        image_size: as ``images.resized_hw`` takes it.
        fill: RGB of the padding.
        batch_size: largest number of pictures in a batch.
        workers: processes that read; 0 reads in the calling one.

    Yields:
        Canvases [B, H, W, 3] uint8, their frames, and the indices of the pictures.

    Raises:
        DatasetError: a picture is missing or broken.
    """
    by_canvas: dict[tuple[int, int], list[int]] = {}
    for index, (width, height) in enumerate(dataset.image_wh.tolist()):
        _, canvas_hw = resized_hw((height, width), image_size)
        by_canvas.setdefault(canvas_hw, []).append(index)
    batches = [
        indices[start : start + batch_size]
        for indices in by_canvas.values()
        for start in range(0, len(indices), batch_size)
    ]
    images = _CanvasImages(dataset, image_size, fill)
    for canvases, frames, indices in _build_loader(images, batches, _collate_canvases, workers):
        yield canvases.numpy(), frames, indices


def _leave_signals_to_the_trainer(worker: int) -> None:
    """Let a worker outlive a signal to the whole group of processes (Ctrl-C, SLURM).

    The trainer needs its batch to reach the end of the step; it ends the workers itself, and they
    notice its death.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _build_loader(
    images: torch_data.Dataset[Any], batches: list[list[int]], collate: Any, workers: int
) -> torch_data.DataLoader[Any]:
    return _Loader(
        images,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_leave_signals_to_the_trainer,
        pin_memory=torch.cuda.is_available(),
        # its own generator: the seed of the workers is else drawn from torch's global state
        generator=torch.Generator().manual_seed(0),
    )
