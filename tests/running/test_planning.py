"""What is settled and told before training starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from iouaware.config import build_config, known_keys, read_config
from iouaware.errors import CheckpointError, ConfigError, DatasetError
from iouaware.recipes.reading import SECTIONS
from iouaware.running import planning
from iouaware.running.planning import Plan, config_of_run, plan_training


def make_plan(data: Path | None, config: Path | str | None, **changes: object) -> tuple[Plan, str]:
    """Plan on the CPU; return the plan and what was said."""
    said: list[str] = []
    settings = changes.pop("settings", {})
    plan = plan_training(
        data, config, settings, device="cpu", workers=0, say=said.append, **changes  # type: ignore[arg-type]
    )  # fmt: skip
    return plan, "\n".join(said)


def test_small_is_taken_where_no_cuda_is_seen_and_the_others_are_named(tiny_coco: Path) -> None:
    plan, said = make_plan(tiny_coco, None)
    assert plan.config.recipe == "small"
    assert "small, since no CUDA was seen (--config also knows modern and paper)" in said
    assert "COCO" in said


def test_modern_is_taken_where_cuda_is_seen(
    tiny_coco: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "choose_device", lambda device: "cuda")
    plan, said = make_plan(tiny_coco, None)
    assert plan.config.recipe == "modern"
    assert "since CUDA was seen" in said


def test_the_size_is_chosen_by_the_boxes_and_told(tiny_coco: Path) -> None:
    # pictures of 96 px are enlarged 3.3 times: nearly all of their boxes are large enough then
    plan, said = make_plan(tiny_coco, None)
    assert plan.image_size == plan.config.data.image_size == 320
    assert "picture size: 320 px: " in said
    assert "of the boxes meet an anchor at IoU 0.5" in said


def test_a_size_that_loses_boxes_is_told(tiny_coco: Path, tiny_config: Path) -> None:
    plan, said = make_plan(tiny_coco, tiny_config)
    assert plan.image_size == 96
    assert "96 px as set" in said
    assert "try --image-size auto" in said


def test_settings_go_by_flags_or_dotted_names(tiny_coco: Path, tiny_config: Path) -> None:
    settings = {"epochs": 5, "train.lr": 0.5, "seed": 3, "image_size": 128}
    plan, _ = make_plan(tiny_coco, tiny_config, settings=settings)
    assert (plan.config.train.epochs, plan.config.train.lr) == (5, 0.5)
    assert (plan.config.seed, plan.image_size) == (3, 128)


def test_an_unknown_setting_names_the_nearest(tiny_coco: Path, tiny_config: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean train\.epochs"):
        make_plan(tiny_coco, tiny_config, settings={"train.epoch": 5})


def test_the_authors_order_and_a_second_look_exclude_each_other(tiny_coco: Path) -> None:
    settings: dict[str, object] = {"inference.postprocess": "paper"}
    with pytest.raises(ConfigError) as error:
        make_plan(tiny_coco, "small", settings=settings)
    assert str(error.value) == (
        "recipe small: inference.postprocess is paper, the authors' order, which knows no second "
        "look; expected model.second_look false with it"
    )
    plan, _ = make_plan(tiny_coco, "small", settings={**settings, "model.second_look": False})
    assert plan.config.inference.postprocess == "paper"


def test_the_config_may_name_the_data(tiny_coco: Path, tiny_config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no data set given"):
        make_plan(None, tiny_config)
    plan, _ = make_plan(None, tiny_config, settings={"data.path": str(tiny_coco)})
    # what the run keeps names the data, what the model file keeps does not: it is passed on
    assert config_of_run(plan)["data"]["path"] == str(tiny_coco)
    assert plan.config.data.path is None


def test_a_relative_path_is_kept_absolute(
    tiny_coco: Path, tiny_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_coco.parent)
    plan, _ = make_plan(Path(tiny_coco.name), tiny_config)
    assert plan.places["path"] == str(tiny_coco)


def test_starting_from_a_run_takes_its_network(
    tiny_coco: Path, finished_run: Path, tiny_config: Path
) -> None:
    plan, _ = make_plan(tiny_coco, "small", start=str(finished_run))
    assert plan.config.model.backbone == "test_resnet"
    assert plan.config.train.epochs == 24  # the recipe's
    changed, _ = make_plan(
        tiny_coco, "small", start=str(finished_run), settings={"model.iou_head": False}
    )
    assert changed.config.model.fpn_channels == 8
    assert not changed.config.model.iou_head


@pytest.mark.parametrize("generation", ["retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2"])
def test_starting_from_torchvision_takes_its_network(
    tiny_coco: Path, generation: str, tmp_path: Path
) -> None:
    by_name, _ = make_plan(tiny_coco, "small", start=f"torchvision:{generation}")
    assert by_name.config.model.geometry == "torchvision"
    # a file of its weights is told by its names
    state = {
        "head.classification_head.cls_logits.weight": torch.zeros(1),
        "head.classification_head.cls_logits.bias": torch.zeros(9 * 91),
        "head.regression_head.bbox_reg.bias": torch.zeros(9 * 4),
    }
    if generation.endswith("v2"):
        state["head.classification_head.conv.0.1.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "weights.pth")
    by_file, _ = make_plan(tiny_coco, "small", start=str(tmp_path / "weights.pth"))
    assert by_file.config.model == by_name.config.model


def test_a_start_that_is_not_there_is_told(tiny_coco: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing"):
        make_plan(tiny_coco, "small", start="nothing")


def test_p18_a_broken_picture_is_found_before_training(tiny_config: Path, tmp_path: Path) -> None:
    from iouaware.data.synthetic import synthesize

    data = synthesize(tmp_path / "d", images=16, image_wh=(96, 96))
    broken = sorted((data / "images" / "val").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:-200])
    with pytest.raises(DatasetError, match=broken.name):
        make_plan(data, tiny_config)


def test_centreness_and_a_second_look_at_the_iou_are_not_joined(
    tiny_coco: Path, tiny_config: Path
) -> None:
    settings = {"train.iou_target": "centreness"}
    with pytest.raises(ConfigError, match=r"add --model\.second_look false"):
        make_plan(tiny_coco, tiny_config, settings=settings)
    _, said = make_plan(tiny_coco, tiny_config, settings={**settings, "model.second_look": False})
    assert "will be no IoU" in said


def test_a_file_that_names_a_recipe_changes_that_one(tiny_coco: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("recipe: small\ntrain:\n  epochs: 3\nmodel:\n  # all as it is\n", "utf-8")
    plan, said = make_plan(tiny_coco, path)
    small = read_config("small")
    assert plan.config.train == small.train.model_copy(update={"epochs": 3})
    assert plan.config.model == small.model
    assert said.startswith(f"recipe: {path}, on cpu; what it leaves out is as in small")
    path.write_text("train: {epochs: 3}\n", "utf-8")
    plan, said = make_plan(tiny_coco, path, settings={"image_size": 96})
    assert plan.config.model == build_config({}).model
    assert "what it leaves out is as in paper" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe: smal", "recipe is 'smal', expected the one that this file changes: small, mod"),
        ("recipe: [1]", r"recipe is \[1\], expected"),
        ("model: 5", "model is 5, expected settings below it"),
        ("train: [lr]", r"train is \['lr'\], expected settings below it"),
    ],
)
def test_a_file_of_another_form_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=rf"mine\.yaml: {message}"):
        read_config(path, {"train.lr": 0.1})


def test_sections_are_those_of_the_config() -> None:
    sections = {key.partition(".")[0] for key in known_keys() if "." in key}
    assert sections == SECTIONS


def test_frozen_boxes_keep_the_last_weights(tiny_coco: Path, tiny_config: Path) -> None:
    # AP at alpha 1, which tells the best and ends patience, never changes under them
    frozen = {"train.freeze": "all-but-iou"}
    plan, _ = make_plan(tiny_coco, tiny_config, settings=frozen)
    assert plan.config.train.keep == "last"
    assert make_plan(tiny_coco, tiny_config)[0].config.train.keep == "best"
    for more in ({"train.keep": "best"}, {"train.patience": 3}):
        with pytest.raises(ConfigError, match=r"train\.keep best and train\.patience go by it"):
            make_plan(tiny_coco, tiny_config, settings={**frozen, **more})
