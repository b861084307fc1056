from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from iouaware.data.dataset import Dataset
from iouaware.data.layouts import Splits
from iouaware.errors import CheckpointError, DatasetError
from iouaware.training.conditions import Conditions, compare_conditions, conditions_of
from iouaware.training.ranks import Ranks
from iouaware.training.state import write_checkpoint
from tests.training.test_trainer import build_trainer, tiny_config, weights_of


@pytest.fixture
def conditions(tiny_dataset: Dataset) -> Conditions:
    return describe(tiny_dataset)


def describe(dataset: Dataset, **settings: Any) -> Conditions:
    splits = Splits(train=dataset, val=dataset.subset([0]), test=None, made=False, lines=())
    return conditions_of(tiny_config(**settings), splits, "cpu", Ranks(), 3)


def test_the_same_is_not_told(conditions: Conditions) -> None:
    said: list[str] = []
    compare_conditions(conditions, replace(conditions), said.append)
    assert said == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"threads": 3}, "the threads of a process: 3 now, 1 before; the weights may differ"),
        ({"device": "cuda"}, "the kind of device: cuda now, cpu before"),
        ({"world_size": 3}, "the processes: 3 now, 1 before"),
        ({"torch_version": "9.9"}, "the version of torch: 9.9 now"),
    ],
)
def test_what_may_change_the_last_bits_is_told_in_one_line(
    conditions: Conditions, change: dict[str, Any], line: str
) -> None:
    said: list[str] = []
    compare_conditions(conditions, replace(conditions, **change), said.append)
    assert len(said) == 1
    assert line in said[0]


def test_another_compile_flag_is_refused(conditions: Conditions, tiny_dataset: Dataset) -> None:
    now = describe(tiny_dataset, **{"train.compile": True})
    with pytest.raises(CheckpointError, match=r"train\.compile is True, expected False as in"):
        compare_conditions(conditions, now, print)


def test_other_pictures_a_step_are_refused(conditions: Conditions) -> None:
    now = replace(conditions, world_size=2, images_per_step=2)
    with pytest.raises(CheckpointError, match="2 processes take 2 pictures a step, expected 3"):
        compare_conditions(conditions, now, print)


def test_a_moved_box_is_refused(conditions: Conditions, tiny_dataset: Dataset) -> None:
    now = describe(replace(tiny_dataset, boxes=tiny_dataset.boxes + 0.5))
    with pytest.raises(DatasetError, match="train: the boxes, classes or sizes"):
        compare_conditions(conditions, now, print)


def test_a_moved_folder_is_not(conditions: Conditions, tiny_dataset: Dataset) -> None:
    assert describe(replace(tiny_dataset, root=Path("elsewhere"))) == conditions


def test_the_precision_goes_on_as_it_was(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # begun on a processor that multiplies in bfloat16, gone on with on one that does not
    from iouaware.model import precision

    config = tiny_config(**{"train.epochs": 1})
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    build_trainer(tiny_dataset, tmp_path / "run", config).fit()
    monkeypatch.setattr(precision, "has_bfloat16", lambda: False)
    resumed = build_trainer(tiny_dataset, tmp_path / "run", config)
    assert resumed.losses.dtype is None
    assert resumed.fit(resume=True) == 0
    assert resumed.losses.dtype is torch.bfloat16


def test_a_checkpoint_of_another_form_is_refused(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build_trainer(tiny_dataset, tmp_path / "run", tiny_config())
    with monkeypatch.context() as patch:
        patch.setattr("iouaware.training.state.FORM", 1)
        write_checkpoint(tmp_path / "run" / "checkpoints", 1, {"progress": {}})
    with pytest.raises(CheckpointError, match=r"another version of iouaware \(form 1, expected 2"):
        trainer.fit(resume=True)


@pytest.mark.parametrize("damage", ["torn", "gone", "other"])
def test_resuming_makes_the_kept_weights_anew(
    tiny_dataset: Dataset, tmp_path: Path, damage: str
) -> None:
    run = tmp_path / "run"
    config = tiny_config(**{"train.evaluate_every": 1})
    build_trainer(tiny_dataset, run, config).fit()
    model = run / "model.safetensors"
    whole = model.read_bytes()
    trainer = build_trainer(tiny_dataset, run, config)
    if damage == "torn":
        model.write_bytes(whole[: len(whole) // 2])
    elif damage == "gone":
        model.unlink()
    else:  # of a validation that the checkpoint does not know
        last = run / "checkpoints" / "step-9"
        (last / "state.pt").unlink()
        model.write_bytes(whole[:-4] + b"\0\0\0\0")
    trainer.fit(resume=True)
    assert model.read_bytes() == whole
    assert weights_of(trainer).keys()
