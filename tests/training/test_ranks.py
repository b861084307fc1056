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
import torch.distributed as dist
from torch import Tensor

import iouaware
from iouaware.checkpoint import read_model
from iouaware.data.loader import split_order
from iouaware.data.synthetic import synthesize
from iouaware.errors import TrainingError
from iouaware.training.ranks import Ranks, telling_lost_ranks

LOST = "process 0 ends since another one has ended"
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


WORKER = Path(__file__).with_name("ranks_worker.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def start(command: list[str], timeout: int = 300) -> subprocess.CompletedProcess[str]:
    package = Path(iouaware.__file__).parents[1]
    root = Path(__file__).parents[2]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{package}{os.pathsep}{root}"},
        timeout=timeout,
        check=False,
    )


def run_train(launcher: list[str], data: Path, config: Path, out: Path) -> str:
    command = [*launcher, "-m", "iouaware", "train", str(data), "--config", str(config)]
    done = start([*command, "--out", str(out), "--workers", "0"])
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_p14_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    data = synthesize(tmp_path / "data", images=20, image_wh=(96, 96))  # 14 to train
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    run_train([sys.executable], data, config, tmp_path / "one")
    said = run_train(TORCHRUN, data, config, tmp_path / "two")

    assert said.count("judging the best weights") == 1  # one process speaks
    one, _ = read_model(tmp_path / "one" / "model.safetensors")
    two, _ = read_model(tmp_path / "two" / "model.safetensors")
    others = two.state_dict()
    for key, value in one.state_dict().items():
        torch.testing.assert_close(others[key], value, rtol=1e-4, atol=1e-6, msg=key)
    assert (tmp_path / "two" / "evaluation.json").is_file()
    assert (tmp_path / "two" / "metrics.csv").read_text().count("\n") == 2


def largest_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Return the largest distance of two tensors of a name, as a share of their length."""
    assert one.keys() == other.keys()
    shares = [
        float((value - other[key]).norm() / value.norm().clamp(min=1e-30))
        for key, value in one.items()
        if value.is_floating_point()
    ]
    return max(shares)


@pytest.mark.slow
def test_p13_p14_gradients_of_two_processes_equal_those_of_one(tmp_path: Path) -> None:
    # in float64: float32 rounds sums of another order at about 1e-6 itself
    for launcher in ([sys.executable], TORCHRUN):
        done = start([*launcher, str(WORKER), "gradients", str(tmp_path)])
        assert done.returncode == 0, done.stderr
    for case in ("even", "uneven", "empty"):
        one = torch.load(tmp_path / f"{case}-1-0.pt")
        two = [torch.load(tmp_path / f"{case}-2-{rank}.pt") for rank in (0, 1)]
        for result in two:
            assert largest_difference(one["gradients"], result["gradients"]) < 1e-6
            assert largest_difference(one["weights"], result["weights"]) < 1e-6  # after five steps
        batches = list(zip(*(result["objects"] for result in two), strict=True))
        assert [sum(objects) for objects in batches] == one["objects"]
        assert any(0 in objects for objects in batches) == (case == "empty")


@pytest.mark.slow
def test_p15_p20_two_processes_stop_resume_and_judge_each_picture_once(tmp_path: Path) -> None:
    done = start([*TORCHRUN, str(WORKER), "resume", str(tmp_path)])
    assert done.returncode == 0, done.stderr
    results = [torch.load(tmp_path / f"resumed-{rank}.pt") for rank in (0, 1)]
    for result in results:
        assert result["stopped_at"] == 3  # of two steps an epoch: the fourth question
        for name in ("whole", "resumed"):
            for key, value in results[0]["whole"].items():
                assert torch.equal(result[name][key], value), (name, key)
    seen = [name for result in results for name in result["seen"]]
    assert len(seen) == len(set(seen)) == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "cause", "other"),
    [
        ("killed", "Signal 9 (SIGKILL)", LOST),
        # the gradient is everybody's, so that all stop by themselves
        (
            "diverged",
            "iouaware: step 2: the loss is no number",
            "step 2: the gradient is no number",
        ),
        ("fault", "ValueError: a fault of the program", LOST),
    ],
)
def test_p13_the_end_of_a_process_ends_the_others_with_its_error(
    tmp_path: Path, how: str, cause: str, other: str
) -> None:
    data = synthesize(tmp_path / "data", images=20, image_wh=(96, 96))
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    train = ["train", str(data), "--config", str(config), "--out", str(tmp_path / "run")]
    command = [*TORCHRUN, str(WORKER), "end", how, *train, "--workers", "0"]
    done = start(command, timeout=120)  # the start takes its time too; hanging takes half an hour
    assert done.returncode != 0
    assert cause in done.stderr
    assert f"iouaware: {other}" in done.stderr
    assert (tmp_path / "run" / "checkpoints" / "step-0" / "state.pt").is_file()


def test_a_lost_process_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: 3)
    line = r"^process 3 ends since another one has ended .*reset by peer"
    with pytest.raises(TrainingError, match=line), telling_lost_ranks():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:545] Connection reset\nby peer")
    with pytest.raises(RuntimeError, match="shapes"), telling_lost_ranks():
        raise RuntimeError("shapes differ")


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
