"""One forward pass over a data set; everything that depends on alpha works on what it returns."""

from __future__ import annotations

from typing import Protocol

from iouaware.data.dataset import Dataset
from iouaware.structures import Candidates, Frame, ImageArray


class CandidateBackend(Protocol):
    """Whatever turns canvases into candidates: torch, or an exported graph."""

    def compute_candidates(self, canvases: ImageArray, frames: list[Frame]) -> list[Candidates]:
        """Return the candidates of each canvas, [B, H, W, 3] uint8 RGB."""
        ...


def collect_candidates(
    backend: CandidateBackend,
    dataset: Dataset,
    image_size: int | tuple[int, int],
    fill: tuple[int, int, int],
    batch_size: int = 8,
    workers: int = 0,
    progress: bool = False,
) -> list[Candidates]:
    """Compute the candidates of every picture, in the data set's order.

    Args:
        backend: the model.
        dataset: the pictures.
        image_size: longer side of the square canvas, or (short, long).
        fill: RGB of the padding.
        batch_size: pictures at a time; the canvas of a picture never depends on its batch.
        workers: processes that load pictures; 0 loads here.
        progress: show a bar.

    Raises:
        DatasetError: a picture that is missing or broken.
    """
    # here, since the loader brings torch along and the rest of evaluation needs none
    from iouaware.data.loader import iterate_images

    found: list[Candidates | None] = [None] * len(dataset)
    bar = None
    if progress:
        from tqdm import tqdm

        bar = tqdm(total=len(dataset), desc="evaluate", unit="picture", leave=False)
    for canvases, frames, indices in iterate_images(dataset, image_size, fill, batch_size, workers):
        for index, one in zip(indices, backend.compute_candidates(canvases, frames), strict=True):
            found[index] = one
        if bar is not None:
            bar.update(len(indices))
    if bar is not None:
        bar.close()
    return [one for one in found if one is not None]
