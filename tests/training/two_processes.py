"""What each of two processes does in ``test_ranks``: other pictures, other losses, same steps.

Run by torchrun with a data set and a run folder. The first process has objects in its batch, the
second has none, then a loss that is no number, then the validation.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist

from iouaware.data.layouts import Splits, read_splits
from iouaware.data.loader import Batch
from iouaware.errors import DivergedError
from iouaware.model.detector import Detector
from iouaware.training import validation
from iouaware.training.losses import Losses
from iouaware.training.ranks import join_ranks
from iouaware.training.trainer import Trainer
from tests.training.test_trainer import SIDE, tiny_config


def main(data: Path, run: Path) -> None:
    ranks = join_ranks("cpu")

    def say(line: str) -> None:
        with (run / f"said-{ranks.rank}.txt").open("a") as file:
            file.write(f"{line}\n")

    config = tiny_config(**{"train.skip_bad_steps": 1, "data.batch_size": 2})
    read = read_splits(data)
    empty = int(read.train.empty_images()[0])
    full = next(i for i in range(len(read.train)) if len(read.train.target(i).boxes))
    mine = read.train.subset([full if ranks.is_first else empty] * 2)
    torch.manual_seed(0)
    detector = Detector(config.model, len(read.train.class_names))
    splits = Splits(mine, read.val, None, False, ())
    trainer = Trainer(detector, config, splits, run, image_size=SIDE, ranks=ranks)
    batch = next(iter(trainer.batches(0)))

    objects = sum(len(target.boxes) for target in batch.targets)
    trainer.train_batch(batch)
    weights = float(torch.cat([p.detach().flatten() for p in detector.parameters()]).sum())
    say(f"objects {objects} weights {weights!r}")

    compute = trainer.losses.compute
    if not ranks.is_first:  # only one process sees the bad loss

        def spoilt(batch: Batch) -> Losses:
            losses = compute(batch)
            return losses._replace(iou_loss=losses.iou_loss * float("nan"))

        trainer.losses.compute = spoilt  # type: ignore[method-assign]
    trainer.train_batch(batch)
    try:
        trainer.train_batch(batch)
    except DivergedError as error:
        say(f"stopped after {trainer.progress.bad_steps}: {error}")

    judged: list[int] = []
    gather = validation._gather

    def count(candidates, total, ranks):
        merged = gather(candidates, total, ranks)
        judged.append(len(merged))
        return merged

    validation._gather = count
    metrics = validation.validate(detector, read.val, config, SIDE, "cpu", 0, ranks)
    found = None if metrics is None else metrics.AP
    say(f"judged {judged[0]} of {len(read.val)}, AP {found}")
    ranks.wait()  # neither takes the group apart while the other still speaks
    del trainer  # its threads end before the group does
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
