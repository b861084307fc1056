"""Which weights become the run's model: the best so far, or the last."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from iouaware.checkpoint import describe_model, write_weights
from iouaware.config import Config
from iouaware.data.layouts import Splits
from iouaware.model.detector import Detector
from iouaware.training.logs import Row
from iouaware.training.progress import Progress
from iouaware.training.ranks import Ranks
from iouaware.training.validation import validate


class Keeper:
    """Judges weights on the validation part and keeps them as the model of the run.

    Args:
        detector: the one that learns.
        ema: the average of its weights, which is then what is judged and kept; or None.
        config: the whole recipe.
        splits: training and validation part.
        run: the run folder; ``model.safetensors`` goes there.
        image_size: side of the canvas, or (short, long), px.
        device: as torch names it.
        workers: processes that load pictures; 0 loads here.
        ranks: this process among all.

    Attributes:
        detector: the one that is judged and kept.
        kept: the content of ``model.safetensors``, on the CPU; None before the first judgement.
    """

    def __init__(
        self,
        detector: Detector,
        ema: AveragedModel | None,
        config: Config,
        splits: Splits,
        run: Path,
        *,
        image_size: int | tuple[int, int],
        device: str,
        workers: int,
        ranks: Ranks,
    ) -> None:
        """Judge and write nothing yet."""
        judged = detector if ema is None else ema.module
        if not isinstance(judged, Detector):
            raise TypeError(f"the average is a {type(judged).__name__}, expected a Detector")
        self.detector, self.config, self.splits, self.run = judged, config, splits, run
        self.image_size, self.device = image_size, device
        self.workers, self.ranks = workers, ranks
        self.kept: dict[str, Tensor] | None = None

    def judge(self, progress: Progress) -> Row:
        """Judge the weights; keep them if told to, or if best; tell progress whether they are.

        Every process takes part; the numbers are the first one's.
        """
        for buffer in self.detector.buffers():  # each process has BatchNorm statistics of its own
            self.ranks.broadcast(buffer)
        self.detector.eval()
        metrics = validate(
            self.detector, self.splits.val, self.config, self.image_size, self.device,
            self.workers, self.ranks,
        )  # fmt: skip
        found = -1.0 if metrics is None or metrics.AP is None else metrics.AP
        shared = torch.tensor(found, dtype=torch.float64, device=self.device)
        best = progress.note_ap(float(self.ranks.broadcast(shared)), self.config.train.patience)
        if self.ranks.is_first and (best or self.config.train.keep == "last"):
            state = self.detector.state_dict()
            self.kept = {name: value.detach().cpu().clone() for name, value in state.items()}
            self.write()
        if metrics is None:
            return {}
        ap90 = metrics.AP_per_iou["0.90"]
        return {"AP": metrics.AP, "AP50": metrics.AP50, "AP75": metrics.AP75, "AP90": ap90}

    def write(self) -> None:
        """Write the weights kept so far as the model of the run."""
        if self.kept is not None:
            info = describe_model(self.detector, self.config, self.splits.train, self.image_size)
            write_weights(self.run / "model.safetensors", self.kept, info)
