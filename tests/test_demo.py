"""The whole job on drawn data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iouaware import demo
from iouaware.demo import DemoSize, closing_lines, run_demo
from iouaware.run import Run
from iouaware.running.training import train


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_step_is_taken_and_nothing_written_over(
    tiny_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train_tiny(data: Path, config: str, **flags: Any) -> Run:
        assert (config, flags["image_size"]) == ("small", 256)
        return train(data, tiny_config, **{**flags, "image_size": 96})

    monkeypatch.setattr(demo, "train", train_tiny)
    monkeypatch.setattr(demo, "QUICK", DemoSize(images=16, epochs=1))
    said: list[str] = []
    run = run_demo(quick=True, device="cpu", workers=0, say=said.append)
    assert run.path == Path("runs/demo")
    assert (run.path / "predict-1" / "predictions.json").is_file()
    assert said[-1] == "report: runs/demo/report/index.html"
    assert Path("runs/demo/report/index.html").is_file()
    again = run_demo(quick=True, device="cpu", workers=0)
    assert again.path == Path("runs/demo-2")  # p47


def test_it_ends_with_the_four_numbers_that_count(finished_run: Path) -> None:
    lines = "\n".join(closing_lines(Run(finished_run)))
    for words in ("at alpha 1 on 5 pictures", "held-out gain", "oracle: AP", "report: "):
        assert words in lines


@pytest.mark.slow
def test_the_quick_demonstration_learns_something() -> None:
    run = run_demo(quick=True, device="cpu", workers=0)
    assert run.result()["AP50"] > 0.05
