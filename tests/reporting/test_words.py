from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iouaware.reporting.alpha_words import say_gap, say_held_out
from iouaware.reporting.cautions import CENTRENESS, caution_choice, caution_few, list_cautions
from iouaware.reporting.facts import name_swept
from iouaware.reporting.words import answer_good_enough, answer_weakest_class, weakest_class
from iouaware.running.summary import (
    alpha_line,
    evaluation_lines,
    sweep_lines,
    tail_lines,
    weakest_class_line,
)
from iouaware.structures import Candidates
from tests.reporting.scenes import (
    Scene,
    make_candidates,
    make_hidden,
    make_info,
    make_scene,
    make_truth,
    without_iou,
    write_run_files,
)


def _sweep(alpha: float, gain: float | None, low: float, high: float) -> dict[str, Any]:
    held = {"alpha": alpha, "gain": gain, "ci95": [low, high], "proven": low > 0}
    return {"alphas": [1.0, 0.5], "AP": [0.5, 0.52], "held_out": held}


@pytest.mark.parametrize(
    ("find", "fit", "headline"),
    [
        (0.95, 0.85, "Yes: it finds the objects, and its boxes fit"),
        (0.95, 0.79, "Yes for finding, not yet for tight boxes"),
        (0.60, 0.10, "Partly: a help to somebody who checks"),
        (0.40, 0.10, "Not yet"),
        (None, None, "Not yet"),
    ],
)
def test_good_enough_goes_by_recall_where_nine_of_ten_are_right(
    scene: Scene, run: Path, find: float | None, fit: float | None, headline: str
) -> None:
    scene.evaluation["recall_at_precision"]["0.90"] = {"0.50": find, "0.75": fit}
    assert answer_good_enough(scene.facts(run)).headline == headline


def test_p30_an_ap_of_zero_is_explained(scene: Scene, run: Path) -> None:
    nothing = [
        replace(
            one,
            boxes=np.zeros((0, 4), np.float32),
            labels=np.zeros(0, np.int64),
            class_scores=np.zeros(0, np.float32),
            predicted_iou=np.zeros(0, np.float32),
            anchor_index=np.zeros(0, np.int64),
        )
        for one in scene.candidates
    ]
    empty = make_scene(scene.dataset, nothing)
    answer = answer_good_enough(empty.facts(run))
    assert answer.headline == "No, it finds next to nothing"
    assert "No candidates" in " ".join(answer.sentences)
    assert answer_weakest_class(empty.facts(run)).headline == "All alike"
    assert say_held_out(empty.sweep, True, 0.5) == (
        "As long as nothing is found, alpha cannot be judged."
    )


def test_a_threshold_that_hides_all_is_not_called_good(tmp_path: Path, run: Path) -> None:
    scene = make_hidden(tmp_path)
    answer = answer_good_enough(scene.facts(run))
    assert answer.headline == "Not at this threshold"
    assert answer.mood == "bad"
    assert answer.sentences[:2] == (
        "No box reaches the display threshold, S 0.50.",
        # (0.30 + 0) / 2
        "From S 0.15 on it would find all objects, with 90 of 100 boxes right or more.",
    )
    # boxes that are drawn, but on nothing
    shown = make_candidates([[0, 60, 20, 80]], [0], [0.6], [0.9])
    found = [replace(shown, frame=one.frame) for one in scene.candidates]
    scene.candidates = found
    scene.evaluation["thresholds_at_precision"]["0.90"]["0.50"] = None
    answer = answer_good_enough(scene.facts(run))
    assert answer.headline == "Not at this threshold"
    assert answer.sentences[0] == (
        "With boxes drawn from S 0.50 on, it finds no objects, and no drawn boxes are right "
        "(IoU 0.5)."
    )
    assert not any("would find" in sentence for sentence in answer.sentences)


def test_p30_pictures_without_boxes_are_explained(tmp_path: Path, run: Path) -> None:
    truth = make_truth(tmp_path, [[], []], [[], []], ("a", "b"))
    found = make_candidates([[0, 0, 9, 9]], [0], [0.9], [0.9])
    facts = make_scene(truth, [found, found]).facts(run)
    assert answer_good_enough(facts).headline == "Cannot be said"
    assert answer_weakest_class(facts).headline == "None has an AP"


def test_alpha_1_may_win_and_is_said_to() -> None:
    best = {**_sweep(1.0, 0.0, 0.0, 0.0), "AP": [0.52, 0.5]}
    assert "Alpha 1, the class score alone, ranks best" in say_held_out(best, True, 1.0)


def test_alpha_1_that_won_by_the_standard_error_alone_is_not_called_best() -> None:
    # the curve of _sweep is 50 at alpha 1 and 52 at 0.5
    text = say_held_out({**_sweep(1.0, 0.002, -0.01, 0.02), "AP": [0.5, 0.52]}, True, 1.0)
    assert text == (
        "Alpha 0.5 is 2.0 points of AP above alpha 1 on the pictures that choose, no more than "
        "chance may give, so alpha 1 is kept."
    )
    hair = {**_sweep(1.0, 0.0, 0.0, 0.0), "AP": [0.5, 0.5004]}
    assert "Alpha 0.5 is less than 0.1 points of AP above" in say_held_out(hair, True, 1.0)
    equal = {**_sweep(1.0, 0.0, 0.0, 0.0), "AP": [0.5, 0.5]}
    assert "ranks best" in say_held_out(equal, True, 1.0)


def test_a_gain_of_nothing_is_neither_gain_nor_loss() -> None:
    text = say_held_out(_sweep(0.5, 0.0, 0.0, 0.0), True, 1.0)
    assert text.startswith("Alpha 0.5 neither gains nor loses AP on held-out pictures (95 %")
    assert text.endswith("So alpha stays at 1.")
    hair = say_held_out(_sweep(0.5, 0.0002, -0.01, 0.01), True, 0.5)
    assert hair.startswith("Alpha 0.5 gains less than 0.1 points of AP on held-out pictures")


def test_a_gain_that_may_be_chance_is_not_proven() -> None:
    unproven = say_held_out(_sweep(0.5, 0.011, -0.004, 0.02), True, 0.5)
    assert "Alpha 0.5 gains 1.1 points of AP" in unproven
    assert "interval −0.4 to +2.0): not proven, it may be chance." in unproven
    # an interval that shows no 0 is proven, one that holds it is not
    hair = say_held_out(_sweep(0.5, 0.006, -0.0004, 0.012), True, 0.5)
    assert "(95 % interval −0.04 to +1.2): not proven" in hair
    assert "interval -0.04 to +1.2: not proven" in alpha_line(
        0.5, _sweep(0.5, 0.006, -0.0004, 0.012)
    )
    proven = say_held_out(_sweep(0.5, 0.011, 0.004, 0.02), True, 0.5)
    assert proven.endswith("): proven.")


def test_a_loss_keeps_alpha_at_1() -> None:
    text = say_held_out(_sweep(0.5, -0.02, -0.03, -0.01), True, 1.0)
    assert "loses 2.0 points" in text
    assert text.endswith("So alpha stays at 1.")


def test_figures_at_another_alpha_than_the_chosen_are_named() -> None:
    text = say_held_out(_sweep(0.5, 0.02, 0.01, 0.03), True, 0.3)
    assert text.endswith("The figures here are at alpha 0.3.")
    # asked for by hand where the choice kept alpha 1
    for chosen, gain in ((0.5, -0.02), (1.0, 0.0)):
        kept = say_held_out(_sweep(chosen, gain, -0.03, 0.0), True, 0.5)
        assert kept.endswith(" The figures here are at alpha 0.5.")


def test_a_missing_gain_is_no_claim() -> None:
    assert "could not be measured" in say_held_out(_sweep(1.0, None, 0, 0), True, 1.0)
    assert "could not be measured" in say_held_out({}, True, 1.0)
    assert "no alpha to choose" in say_held_out({}, False, 1.0)


def test_the_gap_to_the_oracle(scene: Scene, run: Path) -> None:
    scene.evaluation["baseline"]["AP"] = 0.50
    scene.evaluation["oracle"]["localisation"]["AP"] = 0.60
    # the share is the evaluation's: the sweep may be of other pictures
    scene.evaluation["oracle"]["share_of_gap"] = 0.4
    assert say_gap(scene.facts(run)).endswith(
        "add +10.0 AP to alpha 1; alpha 0.5 wins 40 % of that."
    )
    scene.evaluation["oracle"]["localisation"]["AP"] = 0.505
    assert "ranking by fit is not what holds this detector back" in say_gap(scene.facts(run))
    scene.evaluation["oracle"]["localisation"]["AP"] = 0.48
    assert say_gap(scene.facts(run)).endswith(
        "would add nothing to alpha 1: ranking by fit is not what holds this detector back."
    )
    # what also tells false alarms can pass the oracle
    scene.evaluation["oracle"] = {"localisation": {"AP": 0.53}, "share_of_gap": 1.2}
    assert say_gap(scene.facts(run)) == (
        "Knowing exactly how well each box fits its object, with false alarms left where they are, "
        "would add +3.0 AP to alpha 1; alpha 0.5 wins more than that, since it also puts false "
        "alarms behind."
    )
    scene.evaluation["oracle"] = {"localisation": {"AP": None}}
    assert say_gap(scene.facts(run)) == ""


def choice(part: str | None, sweep_split: str = "val", **more: Any) -> list[str]:
    """Return what is warned of figures of a part of the run, beside a sweep of the same data."""
    evaluation = {"split": part or "val", "data": "/data", "run_part": part}
    sweep = {"split": sweep_split, "data": more.pop("sweep_data", "/data")}
    info = make_info(("nut",), 1.0, True, {})
    info = replace(info, config={**info.config, **more.pop("config", {})})
    return caution_choice(evaluation, sweep, more.pop("has_test", False), info)


def test_figures_on_validation_pictures_are_called_optimistic() -> None:
    assert "has no test part" in choice("val")[0]
    assert "--split test" in choice("val", has_test=True)[0]
    assert choice("test", has_test=True) == []
    assert "that the network learnt from" in choice("train")[0]
    # another data set's pictures were never seen; a model alone does not know what it saw
    assert choice("none") == []
    assert "does not know whether these pictures took part" in choice(None)[0]


def test_figures_of_an_earlier_version_go_by_the_name_of_the_part() -> None:
    info = make_info(("nut",), 1.0, True, {})
    assert "learnt from" in caution_choice({"split": "train"}, {}, False, info)[0]
    assert "optimistic" in caution_choice({}, {}, False, info)[0]
    assert caution_choice({"split": "test", "data": "/d"}, {}, False, info) == []


def test_alphas_compared_on_the_pictures_that_judge_are_told() -> None:
    assert "--save" in choice("test", sweep_split="test")[0]
    assert choice("test", sweep_split="test", sweep_data="/other") == []


def test_weights_that_were_not_chosen_are_not_called_so() -> None:
    assert "weights, alpha and threshold" in choice("val")[0]
    assert "weights" not in choice("val", config={"train": {"keep": "last"}})[0]


def test_a_sweep_of_other_pictures_names_them(scene: Scene, run: Path) -> None:
    scene.evaluation |= {"data": "/own", "split": "test"}
    scene.sweep |= {"data": "/own", "split": "test"}
    assert scene.facts(run).sweep_elsewhere == ""
    scene.sweep |= {"split": "val"}
    words = ", on the val pictures; the other figures here are of the test part"
    assert scene.facts(run).sweep_elsewhere == words
    scene.sweep |= {"data": "/other"}
    assert "on the val pictures of other; the" in scene.facts(run).sweep_elsewhere
    assert scene.facts(run).sweep_elsewhere.endswith("of the test part of own")


def test_a_gain_on_other_pictures_than_the_figures_beside_it_names_them(
    scene: Scene, run: Path
) -> None:
    scene.sweep |= _sweep(0.5, 0.02, 0.01, 0.03)
    assert "of AP on held-out pictures (95" in " ".join(
        answer_good_enough(scene.facts(run)).sentences
    )
    scene.evaluation |= {"split": "test"}
    assert "of AP on held-out val pictures (95" in " ".join(
        answer_good_enough(scene.facts(run)).sentences
    )
    scene.sweep |= {"data": "/sets/other"}
    elsewhere = name_swept(scene.evaluation, scene.sweep)
    assert elsewhere == "val pictures of other"
    assert "on held-out val pictures of other (95" in say_held_out(
        scene.sweep, True, 0.5, elsewhere
    )
    best = {**_sweep(1.0, 0.0, 0.0, 0.0), "AP": [0.52, 0.5]}
    assert "ranks best on the val pictures of other that choose: " in say_held_out(
        best, True, 1.0, elsewhere
    )
    hair = {**best, "AP": [0.5, 0.52]}
    assert "above alpha 1 on the val pictures of other that choose" in say_held_out(
        hair, True, 1.0, elsewhere
    )


def test_the_gain_is_that_of_the_figure_that_chose() -> None:
    sweep = _sweep(0.4, 0.02, 0.01, 0.03)
    assert "points of AP on held-out" in say_held_out(sweep, True, 0.4)
    sweep["held_out"]["figure"] = "AP75"
    assert "gains 2.0 points of AP75 on held-out" in say_held_out(sweep, True, 0.4)
    assert "held-out gain +2.0 AP75, 95 %" in alpha_line(0.4, sweep)


def test_a_centreness_branch_is_not_passed_off_as_one_for_the_iou(scene: Scene, run: Path) -> None:
    facts = scene.facts(run)
    centreness = {**facts.info.config, "train": {"iou_target": "centreness"}}
    told = replace(facts, info=replace(facts.info, config=centreness))
    assert CENTRENESS in list_cautions(told)
    assert CENTRENESS not in list_cautions(facts)


def test_small_sets_are_called_small() -> None:
    assert "99 pictures with 1,000 boxes" in caution_few(99, 1000)[0]
    assert caution_few(100, 199) != []
    assert caution_few(100, 200) == []


def test_p50_an_iou_branch_that_learnt_nothing_is_named(scene: Scene, run: Path) -> None:
    assert not any("learnt" in text for text in list_cautions(scene.facts(run)))
    random = np.random.RandomState(0)
    blind: list[Candidates] = [
        one.with_predicted_iou(random.uniform(0.4, 0.6, len(one)).astype(np.float32))
        for one in scene.candidates
    ]
    facts = make_scene(scene.dataset, blind, alpha=1.0).facts(run)
    (said,) = [text for text in list_cautions(facts) if "learnt" in text]
    assert "The IoU branch learnt next to nothing" in said
    assert "(rank correlation " in said
    assert said.endswith("So alpha stays at 1.")


def test_p50_an_iou_branch_that_says_the_same_of_every_box_is_named(
    scene: Scene, run: Path
) -> None:
    constant = [
        one.with_predicted_iou(np.full(len(one), 0.5, np.float32)) for one in scene.candidates
    ]
    flat = make_scene(scene.dataset, constant, alpha=1.0)
    (said,) = [text for text in list_cautions(flat.facts(run)) if "learnt" in text]
    assert "(the predicted IoU never varies)" in said
    # the last lines of train and of evaluate say it too, and those of a good branch do not
    words = "the IoU branch learnt next to nothing (the predicted IoU never varies)"
    lines = tail_lines(run, flat.info, flat.evaluation, flat.sweep, run / "index.html")
    assert len(lines) == 6
    assert lines[1].endswith(f"; {words}, so alpha stays at 1")
    assert f"note: {words}" in evaluation_lines(flat.evaluation)
    good = tail_lines(run, scene.info, scene.evaluation, scene.sweep, run / "index.html")
    assert "learnt" not in " ".join(good)


def test_a_branch_that_knows_no_fit_may_still_tell_objects_from_the_rest(
    scene: Scene, run: Path
) -> None:
    """Alpha 0.5 was kept, so nobody may say that alpha 1 is best."""
    scene.evaluation["correlation_matched"]["predicted_iou"]["spearman"] = 0.02
    (said,) = [text for text in list_cautions(scene.facts(run)) if "learnt" in text]
    assert said.endswith("What alpha gains comes from telling boxes on an object from others.")
    lines = tail_lines(run, scene.info, scene.evaluation, scene.sweep, run / "index.html")
    words = "(rank correlation 0.02): what alpha gains comes from telling boxes on an object"
    assert words in lines[1]
    (note,) = [line for line in evaluation_lines(scene.evaluation) if "learnt" in line]
    assert words in note
    # evaluate --alpha 1 does not know what was chosen, and concludes nothing
    at_1 = {**scene.evaluation, "alpha": 1.0}
    (note,) = [line for line in evaluation_lines(at_1) if "learnt" in line]
    assert note == "note: the IoU branch learnt next to nothing (rank correlation 0.02)"


def test_a_model_without_iou_branch_is_named(scene: Scene, run: Path) -> None:
    plain = make_scene(scene.dataset, without_iou(scene.candidates))
    assert any("no trained IoU branch" in text for text in list_cautions(plain.facts(run)))
    words = "alpha 1: no IoU branch, nothing to choose"
    assert alpha_line(1.0, plain.sweep) == sweep_lines(plain.sweep)[-1] == words
    assert "no IoU branch" not in alpha_line(0.5, scene.sweep)


def test_the_weakest_class_and_its_rare_neighbours(scene: Scene, run: Path) -> None:
    facts = scene.facts(run)
    names = list(facts.info.class_names)
    counts = np.array([50, 50, 3] + [0] * (len(names) - 3))
    scene.evaluation["AP_per_class"] = dict(zip(names, [0.9, 0.4, 0.1], strict=False))
    answer = answer_weakest_class(replace(scene.facts(run), class_boxes=counts))
    assert answer.headline == names[1]
    text = " ".join(answer.sentences)
    assert f"Its AP is 40.0; the best class, {names[0]}, has 90.0." in text
    assert f"fewer than 10 boxes each, so by chance: {names[2]} (AP 10.0)." in text


def test_one_class_has_a_weakest_size(tmp_path: Path, run: Path) -> None:
    truth = make_truth(tmp_path, [[[0, 0, 20, 20], [30, 30, 90, 90]]], [[0, 0]], ("only",))
    found = make_candidates([[30, 30, 90, 90]], [0], [0.9], [0.9])
    answer = answer_weakest_class(make_scene(truth, [found]).facts(run))
    assert answer.headline == "There is only one: only"
    assert "the small objects are weakest: AP 0.0" in " ".join(answer.sentences)


def test_one_class_of_several_with_objects_is_not_called_the_only_one(
    tmp_path: Path, run: Path
) -> None:
    truth = make_truth(tmp_path, [[[30, 30, 90, 90]]], [[1]], ("bolt", "nut", "gear"))
    found = make_candidates([[30, 30, 90, 90]], [1], [0.9], [0.9])
    answer = answer_weakest_class(make_scene(truth, [found]).facts(run))
    assert answer.headline == "Only nut has objects here"


def test_the_last_lines_name_the_weakest_class_that_the_page_names(scene: Scene, run: Path) -> None:
    names = list(scene.info.class_names)
    counts = [50, 50, 3] + [0] * (len(names) - 3)
    scene.evaluation["AP_per_class"] = dict(zip(names, [0.9, 0.4, 0.1], strict=False))
    scene.evaluation["objects_per_class"] = dict(zip(names, counts, strict=True))
    page = answer_weakest_class(replace(scene.facts(run), class_boxes=np.array(counts)))
    assert weakest_class_line(scene.evaluation) == f"weakest class: {page.headline}, AP 40.0"


def test_the_weakest_class_by_hand() -> None:
    aps = {"a": 0.3, "b": 0.1, "c": None, "d": 0.1}
    assert weakest_class(aps, {"a": 10, "b": 9, "c": 50, "d": 9}) == "a"
    assert weakest_class(aps, {"a": 9, "b": 9, "c": 9, "d": 9}) == "b"  # no other is firm
    assert weakest_class(aps, {}) == "b"  # a file of an earlier version does not count them
    assert weakest_class({"c": None}, {"c": 0}) is None
    assert weakest_class({}, {}) is None


def test_crowded_pictures_are_a_caution(scene: Scene, run: Path) -> None:
    scene.evaluation["notes"]["max_detections"] = "2 pictures have more than 100 objects"
    assert "2 pictures have more than 100 objects." in list_cautions(scene.facts(run))


def test_a_test_part_that_lies_idle_is_pointed_to(scene: Scene, run: Path) -> None:
    write_run_files(run)
    (run / "split.json").write_text('{"train": ["a"], "val": ["b"], "test": ["c"]}')
    assert "--split test" in list_cautions(scene.facts(run))[0]
