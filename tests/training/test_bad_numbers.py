"""Steps whose loss or gradient is no number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from iouaware.data.dataset import Dataset
from iouaware.errors import DivergedError
from iouaware.training.bad_numbers import FOLDER
from iouaware.training.progress import Progress
from iouaware.training.ranks import Ranks
from iouaware.training.trainer import Trainer
from tests.training.test_trainer import build_trainer, tiny_config


def spoil_gradient(trainer: Trainer, steps: set[int], value: float = float("nan")) -> None:
    """Make the gradient of some steps no number; the loss stays one."""

    def hook(gradient: Tensor) -> Tensor:
        bad = trainer.progress.step in steps
        return torch.full_like(gradient, value) if bad else gradient

    next(trainer.detector.head.iou_parameters()).register_hook(hook)


def spoil_loss(trainer: Trainer, steps: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    compute = trainer.losses.compute

    def spoilt(batch: Any) -> Any:
        losses = compute(batch)
        bad = trainer.progress.step in steps
        return losses._replace(box_loss=losses.box_loss * float("inf")) if bad else losses

    monkeypatch.setattr(trainer.losses, "compute", spoilt)


def weights(trainer: Trainer) -> list[Tensor]:
    return [value.clone() for value in trainer.detector.state_dict().values()]


def test_p08_a_gradient_that_is_no_number_stops_and_names_the_pictures(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trainer = build_trainer(tiny_dataset, tmp_path / "run", tiny_config())
    spoil_gradient(trainer, {1})
    with pytest.raises(DivergedError, match=r"step 1: the gradient is no number, on .*train\.lr"):
        trainer.fit()
    # the step was not taken
    assert all(bool(torch.isfinite(value).all()) for value in weights(trainer))


def test_p08_the_batch_is_kept_without_code(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build_trainer(tiny_dataset, tmp_path / "run", tiny_config())
    spoil_loss(trainer, {2}, monkeypatch)
    with pytest.raises(DivergedError, match="box inf") as caught:
        trainer.fit()
    folder = tmp_path / "run" / FOLDER
    assert str(folder / "step-2.npz") in str(caught.value)
    about = json.loads((folder / "step-2.json").read_text("utf-8"))
    files = about["batches"][0]["files"]
    assert len(files) == 2  # 8 pictures in batches of 3: the third has two
    assert all(name in str(caught.value) for name in files)
    assert about["batches"][0]["losses"]["box"] == "inf"
    with np.load(folder / "step-2.npz", allow_pickle=False) as kept:
        assert kept["images_0"].shape == (2, 3, 96, 96)
        assert kept["images_0"].dtype == np.uint8
        assert len(kept["boxes_0"]) == len(kept["labels_0"]) == kept["boxes_a_picture_0"].sum()


def test_p09_bad_steps_are_left_out_and_counted(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    config = tiny_config(**{"train.skip_bad_steps": 2})
    trainer = build_trainer(tiny_dataset, tmp_path / "run", config, say=lines.append)
    spoil_loss(trainer, {1}, monkeypatch)
    spoil_gradient(trainer, {5}, float("inf"))
    trainer.fit()
    assert trainer.progress.step == 9  # the schedule goes on
    assert trainer.progress.bad_steps == 2
    told = [line for line in lines if "left out" in line]
    assert ["step 1: the loss" in told[0], "step 5: the gradient" in told[1]] == [True, True]
    assert "2 of at most 2" in told[1]
    assert all(np.isfinite(row) for row in _losses(tmp_path / "run"))
    state = torch.load(tmp_path / "run/checkpoints/step-9/state.pt", weights_only=True)
    assert state["progress"]["bad_steps"] == 2  # a resumed run goes on counting


def _losses(run: Path) -> list[float]:
    rows = (run / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("loss")
    return [float(row.split(",")[column]) for row in rows[1:]]


def test_one_bad_step_more_than_allowed_stops(tiny_dataset: Dataset, tmp_path: Path) -> None:
    trainer = build_trainer(
        tiny_dataset, tmp_path / "run", tiny_config(**{"train.skip_bad_steps": 1})
    )
    spoil_gradient(trainer, {0, 4})
    with pytest.raises(DivergedError, match="step 4"):
        trainer.fit()
    assert sorted(path.name for path in (tmp_path / "run" / FOLDER).glob("*.npz")) == [
        "step-0.npz",
        "step-4.npz",
    ]


def test_weights_that_are_no_numbers_stop_at_once(tiny_dataset: Dataset, tmp_path: Path) -> None:
    config = tiny_config(**{"train.skip_bad_steps": 100})
    trainer = build_trainer(tiny_dataset, tmp_path / "run", config)
    with torch.no_grad():
        next(trainer.detector.head.iou_parameters()).fill_(float("nan"))
    with pytest.raises(DivergedError, match=r"step 0.*weights of the network are no numbers"):
        trainer.fit()


def test_p09_an_overflow_of_float16_is_no_bad_step(tiny_dataset: Dataset, tmp_path: Path) -> None:
    config = tiny_config(**{"train.precision": "float16"})
    trainer = build_trainer(tiny_dataset, tmp_path / "run", config)
    spoil_gradient(trainer, {3}, float("inf"))
    before = trainer.scaler.get_scale()
    trainer.fit()
    assert trainer.progress.bad_steps == 0
    assert trainer.scaler.get_scale() == before / 2  # its own remedy
    assert not (tmp_path / "run" / FOLDER).exists()


def test_p09_float16_that_overflows_at_any_scale_stops(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = tiny_config(**{"train.precision": "float16", "train.epochs": 9})
    trainer = build_trainer(tiny_dataset, tmp_path / "run", config)
    spoil_gradient(trainer, set(range(27)))
    # 65536 is halved 16 times down to 1, the 17th halving ends it
    with pytest.raises(DivergedError, match="step 17: the gradient"):
        trainer.fit()


def test_a_full_disk_hides_not_what_went_wrong(tiny_dataset: Dataset, tmp_path: Path) -> None:
    trainer = build_trainer(tiny_dataset, tmp_path / "run", tiny_config())
    (tmp_path / "run" / FOLDER).write_text("a file where the folder should be")
    spoil_gradient(trainer, {0})
    with pytest.raises(DivergedError, match=r"gradient is no number.*could not be saved"):
        trainer.fit()


class _AnotherIsBad(Ranks):
    """Two processes, of which the other one has a bad loss."""

    def any(self, flag: bool, device: torch.device | str = "cpu") -> bool:
        return True


def test_p13_a_bad_loss_of_another_process_stops_this_one_too(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trainer = build_trainer(tiny_dataset, tmp_path / "run", tiny_config())
    trainer.bad_numbers._ranks = _AnotherIsBad(1, 1, 2)
    batch = next(iter(trainer.batches(0)))
    assert trainer.bad_numbers.see(batch, trainer.losses.compute(batch))
    with pytest.raises(DivergedError, match="step 0: the loss of another process"):
        trainer.bad_numbers.spoil(torch.tensor(1.0), None, Progress(total_steps=9))
    assert (tmp_path / "run" / FOLDER / "step-0-rank-1.npz").is_file()
