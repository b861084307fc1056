"""The grid as a whole, on tiny runs that learn nothing of use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ablation
import pytest
import yaml

import iouaware
from iouaware import runtime
from iouaware.training import trainer as trainer_module
from tests.training.test_trainer import StopAt

PROMISED = {
    "data", "setting", "seed", "alpha", "AP", "AP50", "AP75", "AP80", "AP90", "AP_alpha1",
    "AP_oracle", "minutes", "commit",
}  # fmt: skip


class Bench:
    """A grid on the drawn data, and where it writes."""

    def __init__(self, folder: Path, data: Path, recipe: Path) -> None:
        self.grid, self.out, self.runs = folder / "g.yaml", folder / "a.jsonl", folder / "runs"
        self.root = data.parent
        self.values: dict[str, Any] = {
            "recipe": str(recipe),
            "set": {"train.keep": "last"},
            "data": {"drawn": {"folder": data.name, "image_size": 96, "epochs": 2}},
            "settings": {
                "baseline": {"about": "plain", "set": {"model.iou_head": False}},
                "iou-aware": {"about": "head", "against": ["baseline"]},
                "authors-order": {"about": "derived", "authors_order_of": "iou-aware"},
                "wild": {"about": "diverges", "set": {"train.lr": 1e30}},
            },
            "stages": [{"settings": ["baseline"], "data": ["drawn"], "seeds": [0]}],
        }

    def run(self, *options: str, settings: tuple[str, ...] = ()) -> int:
        if settings:
            stage = {"settings": list(settings), "data": ["drawn"], "seeds": [0]}
            self.values["stages"] = [stage]
        self.grid.write_text(yaml.safe_dump(self.values), "utf-8")
        places = ("--grid", self.grid, "--data-root", self.root, "--runs", self.runs)
        return ablation.main(
            [*map(str, places), "--out", str(self.out), "--device", "cpu", *options]
        )

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(row) for row in self.out.read_text("utf-8").splitlines()]

    def left_behind(self, run: str) -> set[str]:
        folder = self.runs / "drawn" / run
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


@pytest.fixture
def bench(
    tmp_path: Path, tiny_coco: Path, tiny_config: Path, monkeypatch: pytest.MonkeyPatch
) -> Bench:
    monkeypatch.setattr(runtime, "prepare_process", lambda: None)
    return Bench(tmp_path, tiny_coco, tiny_config)


def test_every_run_is_a_line_and_is_made_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run(settings=("baseline", "iou-aware", "authors-order")) == 0
    lines = {line["setting"]: line for line in bench.lines()}
    assert list(lines) == ["baseline", "iou-aware", "authors-order"]
    for name in ("baseline", "iou-aware"):
        assert lines[name].keys() >= PROMISED
        assert lines[name]["status"] == "finished"
        assert lines[name]["settings"]["train.epochs"] == 2
        assert set(lines[name]["oracle"]) == {"localisation", "any_class"}
        assert lines[name]["pictures"] == {"train": 11, "val": 5}
    assert lines["baseline"]["sweep"]["alphas"] == [1.0]
    assert lines["baseline"]["iou_bias"] == {"all": None, "own_class": None, "matched": None}
    assert len(lines["iou-aware"]["sweep"]["AP80"]) == 11
    assert lines["iou-aware"]["iou_bias"]["all"] is not None
    assert lines["authors-order"].keys() >= PROMISED
    assert "| drawn | iou-aware | baseline | 1 |" in capsys.readouterr().out
    assert "checkpoints" not in bench.left_behind("iou-aware-0")
    assert "model.safetensors" in bench.left_behind("iou-aware-0")

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(iouaware, "train", refuse)
    assert bench.run() == 0
    assert len(bench.lines()) == 3


def test_where_there_is_a_test_part_it_is_judged(bench: Bench, coco_with_test: Path) -> None:
    bench.root = coco_with_test.parent
    bench.values["data"]["drawn"]["folder"] = coco_with_test.name
    assert bench.run(settings=("iou-aware", "authors-order")) == 0
    for line in bench.lines():
        assert line["judged_on"] == "test"
        assert line["pictures"]["test"] == 3
        row = line["sweep"]["alphas"].index(line["alpha"])
        assert line["AP75"] == line["sweep"]["AP75"][row]
    # the sweep of the lines is the test part's, that of the run folder validation's
    folder = bench.runs / "drawn" / "iou-aware-0"
    evaluation = json.loads((folder / "evaluation.json").read_text("utf-8"))
    assert bench.lines()[0]["AP"] == pytest.approx(evaluation["AP"], abs=1e-12)
    assert bench.lines()[0]["AP_oracle"] == evaluation["oracle"]["localisation"]["AP"]
    assert json.loads((folder / "sweep.json").read_text("utf-8"))["split"] == "val"


def test_a_stopped_run_goes_on_where_it_was(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "StopSignal", lambda: StopAt(5))
        assert bench.run(settings=("iou-aware",)) == 2
    assert "stopped by a signal at step 4 of 6" in capsys.readouterr().err
    assert not bench.out.exists()
    assert bench.run("--keep", "all") == 0
    assert "going on with" in capsys.readouterr().out
    (resumed,) = bench.lines()
    assert resumed["resumed"] == 1
    bench.out.unlink()
    bench.runs = bench.runs.with_name("whole")
    assert bench.run() == 0
    (whole,) = bench.lines()
    assert whole["resumed"] == 0
    assert whole["sweep"] == resumed["sweep"]


def test_a_run_of_other_settings_is_not_gone_on_with(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "StopSignal", lambda: StopAt(5))
        bench.run(settings=("iou-aware",))
    bench.values["data"]["drawn"]["epochs"] = 1
    assert bench.run("--keep", "nothing") == 0
    assert "going on with" not in capsys.readouterr().out
    assert bench.lines()[0]["epochs"] == 1
    assert bench.left_behind("iou-aware-0") == set()


def test_a_run_that_diverges_is_a_line_that_says_so(bench: Bench) -> None:
    assert bench.run(settings=("wild", "baseline")) == 0
    wild, baseline = bench.lines()
    assert (wild["status"], baseline["status"]) == ("diverged", "finished")
    assert "the loss is no number" in wild["reason"]
    assert wild.keys() >= PROMISED
    assert wild["AP"] is None


def test_weights_that_are_not_there_leave_their_row_out(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.values["settings"]["iou-aware"]["set"] = {"train.lr": 1e30}  # diverges
    assert bench.run(settings=("iou-aware", "authors-order")) == 0
    assert "left out: drawn, iou-aware, seed 0 has left no weights" in capsys.readouterr().out
    assert [line["setting"] for line in bench.lines()] == ["iou-aware"]


def test_a_mistake_is_one_line_and_two(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("--only", "iou-awear") == 2
    assert capsys.readouterr().err == (
        "ablation: --only: no iou-awear in the grid; did you mean iou-aware?\n"
    )
    bench.root = bench.root / "elsewhere"
    assert bench.run() == 2
    assert "no such data set, expected it under --data-root" in capsys.readouterr().err


def test_a_dry_run_lists_what_is_left(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("--dry-run") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "drawn, baseline, seed 0"
    assert not bench.runs.exists()
