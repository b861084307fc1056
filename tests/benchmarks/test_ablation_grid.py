from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ablation_grid import Job, read_grid

from iouaware.errors import ConfigError

GRIDS = sorted((Path(__file__).parents[2] / "benchmarks" / "grids").glob("*.yaml"))
VALUES: dict[str, Any] = {
    "recipe": "small",
    "set": {"train.keep": "last"},
    "data": {
        "cells": {"folder": "bccd", "image_size": 96, "epochs": 2},
        "boards": {"folder": "pcb", "image_size": 128, "epochs": 3},
    },
    "settings": {
        "baseline": {"about": "plain", "set": {"model.iou_head": False}},
        "iou-aware": {"about": "the head", "against": ["baseline"]},
        "authors-order": {"about": "derived", "authors_order_of": "iou-aware"},
        "l2": {"about": "L2", "set": {"train.iou_loss": "l2"}, "against": ["iou-aware"]},
    },
    "stages": [
        {"settings": ["baseline", "iou-aware"], "data": ["cells", "boards"], "seeds": [0, 1]},
        {"settings": ["l2", "iou-aware"], "data": ["cells"], "seeds": [0]},
    ],
}


def write(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump({**VALUES, **changes}), "utf-8")
    return path


def test_seed_by_seed_then_set_by_set_each_once(tmp_path: Path) -> None:
    assert read_grid(write(tmp_path)).jobs() == [
        Job("cells", "baseline", 0),
        Job("cells", "iou-aware", 0),
        Job("boards", "baseline", 0),
        Job("boards", "iou-aware", 0),
        Job("cells", "baseline", 1),
        Job("cells", "iou-aware", 1),
        Job("boards", "baseline", 1),
        Job("boards", "iou-aware", 1),
        Job("cells", "l2", 0),
    ]


def test_the_work_can_be_narrowed(tmp_path: Path) -> None:
    grid = read_grid(write(tmp_path))
    assert grid.jobs(only=["l2"]) == [Job("cells", "l2", 0)]
    assert grid.jobs(["baseline"], ["boards"], [1]) == [Job("boards", "baseline", 1)]
    assert grid.jobs(seeds=[7]) == []


def test_a_setting_brings_the_one_whose_weights_it_takes(tmp_path: Path) -> None:
    stages = [{"settings": ["iou-aware", "authors-order"], "data": ["cells"], "seeds": [0]}]
    grid = read_grid(write(tmp_path, stages=stages))
    jobs = grid.jobs(only=["authors-order"])
    assert sorted(job.setting for job in jobs) == ["authors-order", "iou-aware"]


def test_an_unknown_name_is_told_with_the_nearest(tmp_path: Path) -> None:
    grid = read_grid(write(tmp_path))
    with pytest.raises(ConfigError, match=r"--only: no iou-awaer.*did you mean iou-aware\?"):
        grid.jobs(only=["iou-awaer"])
    with pytest.raises(ConfigError, match=r"--data: no cell .*did you mean cells\?"):
        grid.jobs(data=["cell"])


def test_a_run_is_its_recipe_with_what_grid_setting_and_data_change(tmp_path: Path) -> None:
    grid = read_grid(write(tmp_path))
    job = Job("boards", "baseline", 1)
    assert grid.overrides(job) == {
        "train.keep": "last",
        "model.iou_head": False,
        "train.epochs": 3,
        "data.image_size": 128,
    }
    config = grid.config(job)
    assert (config.recipe, config.seed, config.model.iou_head) == ("small", 1, False)


def test_what_is_derived_has_the_weights_and_settings_of_another(tmp_path: Path) -> None:
    grid = read_grid(write(tmp_path))
    derived, parent = Job("cells", "authors-order", 1), Job("cells", "iou-aware", 1)
    assert grid.trained(derived) == parent == grid.trained(parent)
    assert grid.overrides(derived) == grid.overrides(parent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"set": {"train.iou_los": "l2"}}, r"train\.iou_los; did you mean train\.iou_loss\?"),
        ({"set": {"train.iou_loss": "l3"}}, r"train\.iou_loss is 'l3'"),
        (
            {"stages": [{"settings": ["baselin"], "data": ["cells"], "seeds": [0]}]},
            r"stage 1, settings: no baselin in the grid; did you mean baseline\?",
        ),
        (
            {"stages": [{"settings": ["l2"], "data": ["bords"], "seeds": [0]}]},
            r"no bords in the grid; did you mean boards\?",
        ),
        ({"stagse": []}, r"unknown key stagse; did you mean stages\?"),
        ({"stages": 3}, r"stages: "),
        (
            {"settings": {**VALUES["settings"], "x": {"about": "", "against": ["baselines"]}}},
            r"setting x: no baselines in the grid; did you mean baseline\?",
        ),
        (
            {
                "settings": {
                    **VALUES["settings"],
                    "x": {"about": "", "authors_order_of": "l2", "set": {"model.iou_head": True}},
                }
            },
            r"setting x has authors_order_of and set",
        ),
        ({"recipe": "smal"}, r"smal: no such recipe"),
        (
            {"stages": [{"settings": ["authors-order"], "data": ["cells"], "seeds": [0]}]},
            r"cells, authors-order, seed 0: judged with the weights of iou-aware, which is not tr",
        ),
        (
            {
                "settings": {
                    **VALUES["settings"],
                    "x": {"about": "a chain", "without_look_of": "authors-order"},
                },
                "stages": [
                    {
                        "settings": ["iou-aware", "authors-order", "x"],
                        "data": ["cells"],
                        "seeds": [0],
                    }
                ],
            },
            r"x, seed 0: judged with the weights of authors-order, which is not trained before",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(ConfigError, match=message) as caught:
        read_grid(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "a: [", "- 1"])
def test_no_grid_at_all(tmp_path: Path, text: str) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError):
        read_grid(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_grid(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_the_grids_of_the_repository_hold(path: Path) -> None:
    grid = read_grid(path)
    jobs = grid.jobs()
    assert {job.setting for job in jobs} == set(grid.settings)
    assert all(grid.config(job).train.keep == "last" for job in jobs)
    assert all(jobs.index(grid.trained(job)) <= jobs.index(job) for job in jobs)
    assert grid.trained(jobs[0]) == jobs[0]
