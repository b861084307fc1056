"""The loop on a tiny detector and drawn pictures."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from iouaware.checkpoint import read_model
from iouaware.config import Config, build_config
from iouaware.data.dataset import Dataset
from iouaware.data.layouts import Splits
from iouaware.errors import DivergedError, TrainingError
from iouaware.model.detector import Detector
from iouaware.training import keeping
from iouaware.training import trainer as trainer_module
from iouaware.training.logs import COLUMNS
from iouaware.training.ranks import Ranks
from iouaware.training.step_budget import TIMED_STEPS, StepBudget
from iouaware.training.trainer import Trainer

SIDE = 96


def tiny_config(**overrides: Any) -> Config:
    values = {
        "model": {
            "backbone": "test_efficientnet",
            "weights": "none",
            "fpn_channels": 8,
            "tower_convs": 1,
            "shared_iou_convs": 1,
            "frozen_stages": 0,
        },
        "data": {"image_size": SIDE, "batch_size": 3},
        "train": {
            "epochs": 3,
            "optimizer": "adamw",
            "lr": 0.001,
            "schedule": "cosine",
            "ema": True,
            "evaluate_every": 2,
        },
    }
    return build_config(values, overrides)


def build_trainer(dataset: Dataset, run: Path, config: Config, **options: Any) -> Trainer:
    torch.manual_seed(config.seed)
    detector = Detector(config.model, len(dataset.class_names))
    run.mkdir(exist_ok=True)
    splits = Splits(train=dataset, val=dataset.subset([0, 1]), test=None, made=False, lines=())
    return Trainer(detector, config, splits, run, image_size=SIDE, **options)


def weights_of(trainer: Trainer) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in trainer.keeper.detector.state_dict().items()}


def assert_equal_weights(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    different = [key for key, value in one.items() if not torch.equal(value, other[key])]
    assert different == []


def killed(*_: object, **__: object) -> None:
    """Stands in for anything in the loop that the end of the process cuts off."""
    raise KeyboardInterrupt


class StopAt:
    """Stands in for the signal: heard at one question of the loop, after a step or an epoch."""

    def __init__(self, question: int) -> None:
        self.left = question

    def __enter__(self) -> StopAt:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    @property
    def asked(self) -> bool:
        self.left -= 1
        return self.left <= 0


def test_a_run_leaves_weights_logs_and_checkpoints(tiny_dataset: Dataset, tmp_path: Path) -> None:
    lines: list[str] = []
    trainer = build_trainer(tiny_dataset, tmp_path / "run", tiny_config(), say=lines.append)
    trainer.fit()
    assert trainer.progress.step == 9  # 8 pictures, batches of 3: 3 a pass, 3 passes
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"model.safetensors", "metrics.csv", "checkpoints"}
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").read_text().splitlines()))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["AP"] != "" for row in rows] == [False, True, True]
    assert len(lines) == 3
    detector, info = read_model(tmp_path / "run" / "model.safetensors")
    assert info.class_names == tiny_dataset.class_names
    assert info.alpha == 1
    assert info.has_iou
    assert detector.num_classes == len(tiny_dataset.class_names)


@pytest.mark.parametrize(
    ("question", "step", "steps", "settings"),
    [
        (2, 2, 9, {}),
        (3, 3, 9, {}),  # after the last batch of an epoch, before the epoch is finished
        (4, 3, 9, {}),  # after it, as when the signal comes during validation
        (9, 7, 9, {}),
        (11, 9, 9, {}),  # trained to the end, but the figures are still to come
        (4, 3, 6, {"data.batch_size": 4, "model.batch_norm": "learnt"}),
    ],
)
def test_p20_resume_equals_an_uninterrupted_run(
    tiny_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    question: int,
    step: int,
    steps: int,
    settings: dict[str, Any],
) -> None:
    config = tiny_config(**{"data.colour": 0.5, "data.crop": 0.5, **settings})
    whole = build_trainer(tiny_dataset, tmp_path / "whole", config)
    whole.fit()

    stopped = build_trainer(tiny_dataset, tmp_path / "run", config)
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "StopSignal", lambda: StopAt(question))
        with pytest.raises(
            TrainingError, match=rf"stopped by a signal at step {step} of {steps}; go on"
        ):
            stopped.fit()
    resumed = build_trainer(tiny_dataset, tmp_path / "run", config)
    torch.manual_seed(123)  # nothing may depend on hidden random state
    resumed.fit(resume=True)

    assert_equal_weights(weights_of(resumed), weights_of(whole))
    assert_equal_weights(resumed.detector.state_dict(), whole.detector.state_dict())
    columns = [name for name in COLUMNS if name != "seconds"]
    logs = [
        [[row[name] for name in columns] for row in csv.DictReader(path.read_text().splitlines())]
        for path in (tmp_path / "run" / "metrics.csv", tmp_path / "whole" / "metrics.csv")
    ]
    assert logs[0] == logs[1]


def test_p21_a_checkpoint_holds_raw_and_averaged_weights_apart(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trainer = build_trainer(tiny_dataset, tmp_path / "run", tiny_config())
    trainer.fit()
    state = torch.load(tmp_path / "run" / "checkpoints" / "step-9" / "state.pt", weights_only=True)
    key = "head.iou_logits.bias"
    names = [name for name in state["detector"] if "iou" in name]
    key = names[0]
    assert not torch.equal(state["detector"][key], state["ema"][f"module.{key}"])
    detector, _ = read_model(tmp_path / "run" / "model.safetensors")
    assert detector.state_dict().keys() == trainer.detector.state_dict().keys()


@pytest.mark.parametrize("pictures", [4, 6])  # of six, the last two are a step by themselves
def test_two_half_batches_accumulate_to_a_whole_one(
    tiny_dataset: Dataset, tmp_path: Path, pictures: int
) -> None:
    # the same picture several times, so that halves and whole have the same normaliser
    same = tiny_dataset.subset([0] * pictures)
    results = []
    for name, batch, accumulate in (("whole", 4, 1), ("halves", 2, 2)):
        config = tiny_config(
            **{
                "data.batch_size": batch,
                "data.flip": 0.0,
                "train.accumulate": accumulate,
                "train.epochs": 2,
                "train.optimizer": "sgd",
                "train.evaluate_every": 2,
            }
        )
        trainer = build_trainer(same, tmp_path / name, config)
        trainer.fit()
        assert trainer.progress.step == 2 * (pictures // 3)
        results.append(trainer.detector.state_dict())
    for key, value in results[0].items():
        torch.testing.assert_close(results[1][key], value, rtol=1e-4, atol=1e-6, msg=key)


def test_p08_a_loss_that_is_no_number_stops_and_names_the_pictures(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trainer = build_trainer(tiny_dataset, tmp_path / "run", tiny_config())
    with torch.no_grad():
        next(trainer.detector.head.iou_parameters()).fill_(float("nan"))
    with pytest.raises(DivergedError, match=r"step 0: the loss is no number.*train\.lr") as caught:
        trainer.fit()
    assert sum(tiny_dataset.file_name(i) in str(caught.value) for i in range(8)) == 3
    assert "\n" not in str(caught.value)


def test_p04_pictures_without_objects_alone_train(tiny_dataset: Dataset, tmp_path: Path) -> None:
    empty = tiny_dataset.subset(tiny_dataset.empty_images().tolist() * 3)
    trainer = build_trainer(empty, tmp_path / "run", tiny_config(**{"train.epochs": 1}))
    trainer.fit()
    assert all(torch.isfinite(value).all() for value in weights_of(trainer).values())


def test_all_but_iou_changes_nothing_else(tiny_dataset: Dataset, tmp_path: Path) -> None:
    config = tiny_config(
        **{
            "train.freeze": "all-but-iou",
            "train.ema": False,
            "data.batch_size": 4,
            "model.batch_norm": "learnt",
        }
    )
    trainer = build_trainer(tiny_dataset, tmp_path / "run", config)
    before = weights_of(trainer)
    trainer.fit()
    after = weights_of(trainer)
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed
    assert all("iou" in key for key in changed)


@pytest.mark.parametrize("batch_norm", ["fixed", "learnt"])
def test_statistics_change_only_where_they_are_learnt(
    tiny_dataset: Dataset, tmp_path: Path, batch_norm: str
) -> None:
    config = tiny_config(**{"data.batch_size": 4, "model.batch_norm": batch_norm})
    trainer = build_trainer(tiny_dataset, tmp_path / "run", config)
    before = weights_of(trainer)
    trainer.fit()
    after = weights_of(trainer)  # the average's: it takes the statistics as they are
    learnt = [key for key in after if not torch.equal(after[key], before[key])]
    assert any(key.endswith("running_mean") for key in learnt) == (batch_norm == "learnt")


def test_all_processes_judge_the_statistics_of_the_first(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SecondOfTwo(Ranks):
        def broadcast(self, value: Tensor) -> Tensor:
            return value.fill_(7)  # what the first has

    trainer = build_trainer(tiny_dataset, tmp_path / "run", tiny_config())
    trainer.keeper.ranks = SecondOfTwo(rank=1)
    judged: list[dict[str, Tensor]] = []
    monkeypatch.setattr(keeping, "validate", lambda *_: judged.append(weights_of(trainer)))
    trainer.keeper.judge(trainer.progress)
    means = [value for key, value in judged[0].items() if key.endswith("running_mean")]
    assert means
    assert all((value == 7).all() for value in means)


def test_the_rate_in_the_log_is_the_head_s(tiny_dataset: Dataset, tmp_path: Path) -> None:
    config = tiny_config(
        **{"train.backbone_lr_factor": 0.25, "train.schedule": "step", "train.lr": 0.016}
    )
    build_trainer(tiny_dataset, tmp_path / "run", config).fit()
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    # 0.016 is for 16 pictures a step, here are 3; of 9 steps the last is past 8/12
    assert rates == pytest.approx([0.003, 0.003, 0.0003])


def test_patience_ends_a_run_that_no_longer_improves(tiny_dataset: Dataset, tmp_path: Path) -> None:
    # a learning rate near 0: every validation gives the same AP
    config = tiny_config(
        **{"train.lr": 1e-12, "train.epochs": 9, "train.evaluate_every": 1, "train.patience": 2}
    )
    trainer = build_trainer(tiny_dataset, tmp_path / "run", config)
    trainer.fit()
    assert trainer.progress.epoch == 3
    assert trainer.progress.stopped_early


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_weights_kept_are_the_best_or_the_last(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str
) -> None:
    config = tiny_config(**{"train.evaluate_every": 1, "train.keep": keep})
    trainer = build_trainer(tiny_dataset, tmp_path / "run", config)
    falling = iter([0.3, 0.2, 0.1])  # the first validation is the best
    judged: list[dict[str, Tensor]] = []

    def validate(*_: Any) -> SimpleNamespace:
        judged.append(weights_of(trainer))
        ap = next(falling)
        return SimpleNamespace(AP=ap, AP50=ap, AP75=ap, AP_per_iou={"0.90": ap})

    monkeypatch.setattr("iouaware.training.keeping.validate", validate)
    trainer.fit()
    kept, _ = read_model(tmp_path / "run" / "model.safetensors")
    assert_equal_weights(kept.state_dict(), judged[0 if keep == "best" else 2])
    assert trainer.progress.best_ap == 0.3


def test_minutes_become_a_number_of_steps_once(tiny_dataset: Dataset, tmp_path: Path) -> None:
    # a tiny budget: the first step after the timed ones is the last
    config = tiny_config(**{"train.epochs": 50, "train.minutes": 1e-6, "train.evaluate_every": 50})
    lines: list[str] = []
    trainer = build_trainer(tiny_dataset, tmp_path / "run", config, say=lines.append)
    trainer.fit()
    assert trainer.progress.total_steps == trainer.progress.step == TIMED_STEPS + 2
    assert sum("--minutes" in line for line in lines) == 1


def test_a_run_whose_minutes_are_over_at_once_is_judged_when_it_goes_on(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(**{"train.epochs": 50, "train.minutes": 1, "train.evaluate_every": 50})
    stopped = build_trainer(tiny_dataset, tmp_path / "run", config)
    monkeypatch.setattr(StepBudget, "affordable_steps", lambda *_: 2)
    steps = iter([False, True])
    fix = stopped._fix_total_steps

    def fix_at_the_last_step(now: float) -> None:
        if next(steps):
            fix(now)

    stopped.progress.total_steps = 2  # the schedule is as short as the minutes are
    monkeypatch.setattr(stopped, "_fix_total_steps", fix_at_the_last_step)
    monkeypatch.setattr(keeping, "validate", killed)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit()
    monkeypatch.undo()
    build_trainer(tiny_dataset, tmp_path / "run", config).fit(resume=True)
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_the_steps_of_minutes_are_kept_as_soon_as_they_are_known(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(**{"train.epochs": 50, "train.minutes": 60, "train.evaluate_every": 50})
    stopped = build_trainer(tiny_dataset, tmp_path / "run", config)
    monkeypatch.setattr(StepBudget, "affordable_steps", lambda *_: 4)

    monkeypatch.setattr(stopped, "_stop_if_asked", killed)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit()
    resumed = build_trainer(tiny_dataset, tmp_path / "run", config)
    monkeypatch.setattr(StepBudget, "affordable_steps", lambda *_: pytest.fail("timed again"))
    assert resumed.fit(resume=True) == 3  # of four, one of them done before
    assert resumed.progress.total_steps == 4


def test_loggers_go_on_without_being_named_again(tiny_dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    config = tiny_config(**{"train.epochs": 1})
    build_trainer(tiny_dataset, tmp_path / "run", config, loggers=["tensorboard"]).fit()
    resumed = build_trainer(tiny_dataset, tmp_path / "run", config)
    resumed.fit(resume=True)
    assert "tensorboard" in resumed.logger_names


@pytest.mark.slow
def test_a_tiny_model_learns_four_pictures(tiny_dataset: Dataset, tmp_path: Path) -> None:
    config = tiny_config(
        **{
            "data.batch_size": 4,
            "data.flip": 0.0,
            "model.fpn_channels": 64,
            "model.tower_norm": "group",
            "model.box_stds": (0.1, 0.1, 0.2, 0.2),
            "train.lr": 0.012,
            "train.clip_norm": 10.0,
            "train.epochs": 200,
            "train.evaluate_every": 200,
        }
    )
    torch.manual_seed(0)
    detector = Detector(config.model, len(tiny_dataset.class_names))
    four = tiny_dataset.subset([0, 1, 2, 3])
    splits = Splits(train=four, val=four, test=None, made=False, lines=())
    trainer = Trainer(detector, config, splits, tmp_path, image_size=SIDE)
    trainer.fit()
    row = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))[-1]
    assert float(row["AP50"]) > 0.9  # found, each under its name
    assert float(row["AP"]) > 0.6  # and the boxes fit
