"""A loss or gradient that is no number: the step is not taken, its pictures are named and kept.

Nothing is asked of the device for it: the loss is read anyway, and clipping returns the norm of
the gradient. Many processes agree on each step, else one would stop and the others wait for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from iouaware.config import TrainConfig
from iouaware.data.dataset import Dataset
from iouaware.data.loader import Batch
from iouaware.errors import DivergedError
from iouaware.training.losses import Losses
from iouaware.training.progress import Progress
from iouaware.training.ranks import Ranks

FOLDER = "bad-steps"
# float16's scale starts at 65536 and is halved whenever the gradient overflows; one that
# overflows even without being enlarged is no number by itself
LEAST_SCALE = 1.0


class BadNumbers:
    """Watches the losses and the gradient of each step.

    Args:
        detector: whose weights must stay numbers.
        train: how many bad steps may be left out, and what to advise.
        dataset: names the pictures.
        run: the run folder; bad batches go into ``bad-steps/`` there.
        ranks: this process among all.
        device: as torch names it.
        say: takes a line for each step that is left out.
    """

    def __init__(
        self,
        detector: nn.Module,
        train: TrainConfig,
        dataset: Dataset,
        run: Path,
        *,
        ranks: Ranks,
        device: str,
        say: Callable[[str], None],
    ) -> None:
        """Begin with nothing seen."""
        self._detector, self._train, self._dataset = detector, train, dataset
        self._run, self._ranks, self._device, self._say = run, ranks, device, say
        self._batches: list[tuple[Batch, dict[str, float]]] = []

    def see(self, batch: Batch, losses: Losses) -> bool:
        """Take note of a batch and its losses; tell whether they are numbers."""
        parts = {
            "class": float(losses.class_loss.detach()),
            "box": float(losses.box_loss.detach()),
            "IoU": float(losses.iou_loss.detach()),
            "second look": float(losses.look_loss.detach()),
        }
        self._batches.append((batch, parts))
        return math.isfinite(sum(parts.values()))

    def spoil(self, norm: torch.Tensor, scale: float | None, progress: Progress) -> bool:
        """Tell whether the step that ends here must be left out; all processes say the same.

        Args:
            norm: of the gradient of the batches seen since the last step, 0-d; not enlarged.
            scale: that float16's gradient was enlarged by, None without float16.
            progress: which step this is; its count of bad steps grows.

        Raises:
            DivergedError: more steps than ``train.skip_bad_steps`` were bad, or the weights
                themselves are no numbers any more, so that no later step can be good.
        """
        seen, self._batches = self._batches, []
        bad = [entry for entry in seen if not math.isfinite(sum(entry[1].values()))]
        # the gradient is summed over all processes and so the same in each, the losses are not
        if not self._ranks.any(bool(bad), self._device):
            if math.isfinite(float(norm)):
                return False
            if scale is not None and scale >= LEAST_SCALE:
                return False  # an overflow of float16: its scaler leaves the step out by itself
        progress.bad_steps += 1
        reason = f"step {progress.step}: {self._describe(bad, seen, norm)}"
        saved = self._save(bad or seen, reason, progress)
        lost = not all(bool(torch.isfinite(v).all()) for v in self._detector.state_dict().values())
        if lost or progress.bad_steps > self._train.skip_bad_steps:
            weights = "; weights of the network are no numbers either" if lost else ""
            raise DivergedError(f"{reason}{weights}; {saved}; {self._advice()}")
        self._say(
            f"warning: {reason}; left out, {progress.bad_steps} of at most "
            f"{self._train.skip_bad_steps}; {saved}"
        )
        return True

    def _describe(
        self,
        bad: list[tuple[Batch, dict[str, float]]],
        seen: list[tuple[Batch, dict[str, float]]],
        norm: torch.Tensor,
    ) -> str:
        names = ", ".join(name for batch, _ in bad or seen for name in self._names(batch))
        if bad:
            parts = ", ".join(f"{name} {value:g}" for name, value in bad[0][1].items())
            return f"the loss is no number ({parts}) on {names}"
        if math.isfinite(float(norm)):
            return f"the loss of another process is no number, this one had {names}"
        return f"the gradient is no number, on {names}"

    def _advice(self) -> str:
        return (
            f"try a lower --train.lr, now {self._train.lr:g} for 16 pictures, or leave single "
            "steps out with --train.skip_bad_steps N"
        )

    def _names(self, batch: Batch) -> list[str]:
        return [self._dataset.file_name(index) for index in batch.indices]

    def _save(
        self, entries: list[tuple[Batch, dict[str, float]]], reason: str, progress: Progress
    ) -> str:
        """Write the batches, as arrays and JSON without code, and say where they are."""
        folder = self._run / FOLDER
        stem = f"step-{progress.step}"
        if self._ranks.world_size > 1:
            stem += f"-rank-{self._ranks.rank}"
        about = {
            "step": progress.step,
            "epoch": progress.epoch,
            "reason": reason,
            "batches": [
                {"files": self._names(batch), "losses": {k: f"{v:g}" for k, v in parts.items()}}
                for batch, parts in entries
            ],
        }
        try:
            folder.mkdir(exist_ok=True)
            with (folder / f"{stem}.npz").open("wb") as file:
                np.savez_compressed(file, **_arrays([batch for batch, _ in entries]))
            text = json.dumps(about, ensure_ascii=False, indent=1)
            (folder / f"{stem}.json").write_text(text, "utf-8")
        except OSError as error:  # what went wrong first says more
            return f"the batch could not be saved ({error.strerror})"
        return f"the batch is kept in {folder / stem}.npz"


def _arrays(batches: list[Batch]) -> dict[str, Any]:
    """Return pictures, [B, 3, H, W] uint8, and boxes of each batch under its number."""
    arrays: dict[str, Any] = {}
    for number, batch in enumerate(batches):
        arrays[f"images_{number}"] = batch.images.numpy()
        arrays[f"boxes_a_picture_{number}"] = np.array([len(t.boxes) for t in batch.targets])
        arrays[f"boxes_{number}"] = np.concatenate([t.boxes for t in batch.targets])
        arrays[f"labels_{number}"] = np.concatenate([t.labels for t in batch.targets])
        arrays[f"ignored_{number}"] = np.concatenate([t.ignored for t in batch.targets])
    return arrays
