from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from iouaware.places import MODEL_FILE
from iouaware.reporting.model_card import escape_markdown, write_model_card
from tests.reporting.scenes import Scene, make_info, write_run_files


def _card(scene: Scene, run: Path, model: str = MODEL_FILE) -> str:
    path = write_model_card(run / model, scene.info, scene.evaluation, scene.sweep)
    assert path == run / "MODEL_CARD.md"
    return path.read_text("utf-8")


def test_the_card_says_what_it_is_how_to_use_it_and_its_limits(scene: Scene, run: Path) -> None:
    write_run_files(run)
    scene.evaluation |= {"AP": 0.5432, "AP50": 0.8}
    scene.evaluation["baseline"]["AP"] = 0.5311
    card = _card(scene, run)
    assert "| AP, IoU 0.50 to 0.95 | 54.3 | 53.1 |" in card
    assert 'iouaware.load("model.safetensors")' in card
    assert "S = p^alpha × IoU^(1 − alpha)" in card
    assert "These figures are optimistic" in card
    assert "8 pictures with" in card
    assert "- Command: iouaware train data" in card
    for name in scene.info.class_names:
        assert escape_markdown(name) in card


def test_figures_of_a_test_part_are_not_called_optimistic(scene: Scene, run: Path) -> None:
    scene.evaluation |= {"split": "test", "run_part": "test"}
    card = _card(scene, run)
    assert "optimistic" not in card
    assert "No choice was made on these pictures." in card


def test_the_gain_beside_figures_of_other_pictures_names_its_own(scene: Scene, run: Path) -> None:
    scene.evaluation |= {"split": "test", "run_part": "test"}
    scene.sweep["held_out"] |= {"alpha": 0.5, "gain": 0.02, "ci95": [0.01, 0.03], "proven": True}
    scene.sweep["data"] = "/sets/my|bolts"
    assert r"of AP on held-out val pictures of my\|bolts (95" in _card(scene, run)


def test_a_model_without_iou_branch(scene: Scene, run: Path) -> None:
    scene.info = make_info(scene.info.class_names, 1.0, False, {"1.0": 0.4})
    scene.evaluation["alpha"] = 1.0
    card = _card(scene, run)
    assert "no trained IoU branch" in card
    assert "| alpha | 1 (the class score alone) |" in card
    assert "Predicted IoU" not in card


@pytest.mark.parametrize("model", ["model.onnx", 'it\'s "best".safetensors'])
def test_the_code_loads_the_model_that_the_card_is_of(scene: Scene, run: Path, model: str) -> None:
    (line,) = [line for line in _card(scene, run, model).splitlines() if "iouaware.load(" in line]
    loaded = line.removeprefix("detector = iouaware.load(").removesuffix(")")
    assert ast.literal_eval(loaded) == model


def test_the_card_of_an_exported_file_knows_its_run(scene: Scene, run: Path) -> None:
    write_run_files(run)
    (run / "split.json").write_text('{"train": ["a"], "val": ["b"], "test": ["c"]}')
    (run / "export").mkdir()
    path = write_model_card(
        run / "export" / "model.onnx", scene.info, scene.evaluation, scene.sweep
    )
    assert path == run / "export" / "MODEL_CARD.md"
    card = path.read_text("utf-8")
    assert "the test part would give honest ones (--split test)" in card
    assert "- Command: iouaware train data" in card


@pytest.mark.parametrize(
    ("data", "name"),
    [("/sets/my bolts/data.yaml", "my bolts"), ("/sets/a/annotations", "a"), (None, "data")],
)
def test_the_card_is_named_after_the_data(
    scene: Scene, run: Path, data: str | None, name: str
) -> None:
    scene.evaluation["data"] = data
    assert f"# {name} detector" in _card(scene, run)


def test_missing_numbers_are_not_invented(scene: Scene, run: Path) -> None:
    scene.evaluation, scene.sweep = {"AP": None}, {}
    card = _card(scene, run)
    assert "| 90 of 100 right | n/a | n/a | n/a |" in card
    assert "could not be measured" in card


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stop sign", "stop sign"),
        ("a|b", r"a\|b"),
        ("a\n# b", r"a \# b"),
        ("<script>", r"\<script\>"),
        ("[x](javascript:1)", r"\[x\]\(javascript:1\)"),
    ],
)
def test_names_cannot_break_the_card(name: str, text: str) -> None:
    assert escape_markdown(name) == text


def test_hostile_class_names_stay_in_their_cell(scene: Scene, run: Path) -> None:
    names = ("a|b\n\n# heading", *scene.info.class_names[1:])
    scene.info = replace(scene.info, class_names=names)
    assert "\n# heading" not in _card(scene, run)


def test_what_the_predicted_iou_of_a_second_look_means(scene: Scene, run: Path) -> None:
    assert "not whether the class is right" in _card(scene, run)
    scene.info = replace(scene.info, config={**scene.info.config, "model": {"second_look": True}})
    card = _card(scene, run)
    assert "not whether the class is right" not in card
    assert "may mean another class" in card
