from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rival import build_optimizer, build_rival, main
from tables import render_table

import iouaware
from iouaware.config import read_config
from iouaware.data.loader import Batch
from iouaware.structures import Target
from training import as_torchvision


def test_the_learning_rate_is_the_scripts_for_eight_pictures_times_the_factor() -> None:
    config = read_config("small", {"data.image_size": 64, "train.epochs": 26})
    model, _ = build_rival(config, 2, 64)
    optimizer, schedule = build_optimizer(model, config, 10)
    decaying, norms = optimizer.param_groups
    assert decaying["lr"] == norms["lr"] == pytest.approx(1e-4 * 10 * 8 / 16)
    assert (decaying["weight_decay"], norms["weight_decay"]) == (0.05, 0)
    assert all(parameter.ndim == 1 for parameter in norms["params"])
    learning = sum(parameter.requires_grad for parameter in model.parameters())
    assert len(decaying["params"]) + len(norms["params"]) == learning
    rates = []
    for _ in range(26):
        rates.append(round(optimizer.param_groups[0]["lr"] / 5e-4, 6))
        optimizer.step()
        schedule.step()
    assert rates == [1] * 16 + [0.1] * 6 + [0.01] * 4


def test_boxes_to_ignore_are_left_out() -> None:
    boxes = np.array([[0, 0, 8, 8], [4, 4, 9, 9]], np.float32)
    areas = np.array([64, 25], np.float32)
    target = Target(boxes, np.array([1, 0]), np.array([True, False]), areas)
    images = torch.full((1, 3, 16, 16), 255, dtype=torch.uint8)
    pictures, targets = as_torchvision(Batch(images, [target], (0,)))
    assert float(pictures[0].max()) == 1
    assert targets[0]["boxes"].tolist() == [[4, 4, 9, 9]]
    assert targets[0]["labels"].tolist() == [0]


def test_it_trains_is_judged_and_kept_beside_other_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    iouaware.synthesize(tmp_path / "drawn", images=20, image_wh=(256, 256))
    out = tmp_path / "rival.json"
    out.write_text(json.dumps({"other": {"AP": 0.5}}), "utf-8")
    words = f"rival.py {tmp_path / 'drawn'} drawn --image-size 256 --epochs 1 --out {out}"
    monkeypatch.setattr(sys, "argv", words.split())
    main()
    results = json.loads(out.read_text("utf-8"))
    assert results["other"] == {"AP": 0.5}
    assert 0 <= results["drawn"]["AP"] <= results["drawn"]["AP50"] <= 1
    ours = {
        "data": "drawn", "setting": "iou-aware", "seed": 0, "status": "finished", "minutes": 3,
        "authors_order_of": None, "without_look_of": None, "epochs": 1, "image_size": 256,
        **dict.fromkeys(("AP", "AP50", "AP75", "AP80", "AP90"), 0.25),
    }  # fmt: skip
    del results["other"]
    borrowed = {**ours, "setting": "second-look", "without_look_of": "x"}
    lines = {"lines": [ours, borrowed, {**ours, "setting": "detached", "epochs": 2}]}
    table = render_table("rival", {"rival": results, "ablation": lines}).splitlines()
    assert len(table) == 5
    assert table[3] == "| drawn | ours, iou-aware | 25.0 | 25.0 | 25.0 | 25.0 | 25.0 | 3 |"
    assert table[4].endswith("| 25.0 | n/a |")  # another row's training has made its weights
