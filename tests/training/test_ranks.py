"""Two processes on one machine, as torchrun starts them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import iouaware
from iouaware.checkpoint import read_model
from iouaware.data.loader import split_order
from iouaware.data.synthetic import synthesize
from iouaware.training.ranks import Ranks

CONFIG = """
model:
  {backbone: test_efficientnet, weights: none, fpn_channels: 8, tower_convs: 1, shared_iou_convs: 1,
   frozen_stages: 0}
data: {image_size: 96, batch_size: 2}
train: {epochs: 1, lr: 0.01, warmup_steps: 0, precision: float32}
"""


def test_alone_the_sums_are_the_values() -> None:
    ranks = Ranks()
    assert ranks.is_first
    assert ranks.sum(3.5) == 3.5
    assert ranks.any(True)
    assert not ranks.any(False)
    assert torch.equal(ranks.broadcast(torch.tensor([1, 2])), torch.tensor([1, 2]))


def run_train(launcher: list[str], data: Path, config: Path, out: Path) -> str:
    command = [*launcher, "-m", "iouaware", "train", str(data), "--config", str(config)]
    done = subprocess.run(
        [*command, "--out", str(out), "--workers", "0"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_p14_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    data = synthesize(tmp_path / "data", images=20, image_wh=(96, 96))  # 14 to train
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    run_train([sys.executable], data, config, tmp_path / "one")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    said = run_train([*torchrun, "--nproc-per-node", "2"], data, config, tmp_path / "two")

    assert said.count("judging the best weights") == 1  # one process speaks
    one, _ = read_model(tmp_path / "one" / "model.safetensors")
    two, _ = read_model(tmp_path / "two" / "model.safetensors")
    others = two.state_dict()
    for key, value in one.state_dict().items():
        torch.testing.assert_close(others[key], value, rtol=1e-4, atol=1e-6, msg=key)
    assert (tmp_path / "two" / "evaluation.json").is_file()
    assert (tmp_path / "two" / "metrics.csv").read_text().count("\n") == 2


@pytest.mark.slow
def test_p13_p15_processes_with_other_pictures_and_losses_stay_together(tmp_path: Path) -> None:
    data = synthesize(tmp_path / "data", images=16, image_wh=(96, 96))
    (tmp_path / "run").mkdir()
    root, package = Path(__file__).parents[2], Path(iouaware.__file__).parents[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, "-m", "tests.training.two_processes", str(data), str(tmp_path / "run")],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{package}:{root}"},
        timeout=200,  # processes that wait for each other would hang
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = "".join((tmp_path / "run" / f"said-{rank}.txt").read_text() for rank in range(2))
    steps = re.findall(r"objects (\d+) weights (\S+)", said)
    # one had no object, and both took the same step
    assert len(steps) == 2
    assert min(int(objects) for objects, _ in steps) == 0 < max(int(one) for one, _ in steps)
    assert steps[0][1] == steps[1][1]
    # one had a bad loss: both left out a step and both stopped at the next
    assert said.count("stopped after 2: step 2: the loss") == 2
    assert said.count("of another process is no number") == 1
    # the validation part has an odd number of pictures, each judged once
    assert re.findall(r"judged (\d+) of (\d+)", said) == [("5", "5")] * 2
    assert (tmp_path / "run" / "bad-steps" / "step-1-rank-1.npz").is_file()


@pytest.mark.parametrize("total", [5, 6, 7])
def test_p13_every_process_takes_as_many_steps(total: int) -> None:
    parts = [split_order(np.arange(total), 2, rank, 2) for rank in range(2)]
    assert len(parts[0]) == len(parts[1])  # else one would wait for the other
    assert {i for part in parts for batch in part for i in batch} == set(range(total))
