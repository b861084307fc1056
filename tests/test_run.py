"""Training and everything after it, on a data set small enough for seconds."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

import iouaware
from iouaware.checkpoint import read_model_info, write_model_info, write_weights
from iouaware.cli import main
from iouaware.config import known_keys, read_config
from iouaware.data.layouts import read_split
from iouaware.errors import (
    CheckpointError,
    ConfigError,
    DatasetError,
    TrainingError,
    UnreadableError,
)
from iouaware.inference.scoring import FORMULA
from iouaware.model.weight_files import read_state_dict
from iouaware.run import Run
from iouaware.running.candidates import fingerprint_model
from iouaware.running.training import train


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Run:
    """A copy of the finished run's light files, free to write into."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in finished_run.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return Run(folder, device="cpu", workers=0)


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_p47_a_run_folder_tells_all_about_itself(finished_run: Path, tiny_coco: Path) -> None:
    names = {path.name for path in finished_run.iterdir()}
    assert names >= {
        "config.yaml", "environment.json", "log.txt", "metrics.csv", "split.json",
        "first_batch.jpg", "model.safetensors", "checkpoints", "evaluation.json", "sweep.json",
        "report", "MODEL_CARD.md",
    }  # fmt: skip
    environment = read(finished_run / "environment.json")
    assert {"command", "commit", "versions", "machine", "seed", "wall_seconds"} <= set(environment)
    assert f" in {environment['precision']};" in (finished_run / "log.txt").read_text("utf-8")
    split = read(finished_run / "split.json")
    assert (len(split["train"]), len(split["val"]), split["test"]) == (11, 5, [])
    assert split["made"] is False
    assert split["bytes"]["val"] == {
        name: (tiny_coco / name).stat().st_size for name in split["val"]
    }
    text = (finished_run / "config.yaml").read_text("utf-8")
    assert FORMULA in text  # p53
    assert yaml.safe_load(text)["data"]["path"] == str(tiny_coco)
    # every setting is written out, so that a later version's defaults change nothing
    written = yaml.safe_load(text)
    for key in known_keys():
        section, _, name = key.rpartition(".")
        assert name in (written[section] if section else written)
    assert read_config(finished_run / "config.yaml").data.image_size == 96


def test_the_head_and_the_tail_are_short_and_kept(finished_run: Path) -> None:
    lines = (finished_run / "said.txt").read_text("utf-8").splitlines()
    head = [line for line in lines if line.startswith("look now: ")]
    assert len(head) == 1
    assert lines.index(head[0]) < 10
    judged = lines.index("judging the best weights")
    assert len(lines) - judged - 1 <= 6
    assert lines[-1] == f"use: iouaware predict {finished_run} PICTURES"
    assert (finished_run / "log.txt").read_text("utf-8").splitlines() == lines


def test_what_was_chosen_is_in_the_model(finished_run: Path) -> None:
    info = read_model_info(finished_run)
    sweep = read(finished_run / "sweep.json")
    gain = sweep["held_out"]["gain"]
    assert info.alpha == (sweep["held_out"]["alpha"] if gain and gain > 0 else 1)
    assert info.score_thresholds == sweep["score_thresholds"]
    assert "path" not in str(info.config["data"]) or info.config["data"]["path"] is None


def test_without_a_test_part_the_figures_are_called_optimistic(finished_run: Path) -> None:
    evaluation = read(finished_run / "evaluation.json")
    assert evaluation["split"] == "val"
    assert "optimistic" in evaluation["notes"]["split"]
    assert evaluation["formula"] == FORMULA  # p53


def test_alpha_is_chosen_on_val_and_reported_on_test(
    coco_with_test: Path, tiny_config: Path
) -> None:
    settings: dict[str, Any] = {"epochs": 1, "train.evaluate_every": 1}
    run = train(coco_with_test, tiny_config, workers=0, device="cpu", **settings)
    assert run.path == Path("runs/three-1")
    evaluation, sweep = read(run.path / "evaluation.json"), read(run.path / "sweep.json")
    assert (evaluation["split"], evaluation["images"]) == ("test", 3)
    assert sweep["split"] == "val"
    assert "split" not in evaluation["notes"]


def test_evaluate_sweep_and_report_again_from_the_kept_candidates(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iouaware.running import candidates

    before = read(run.path / "evaluation.json")
    monkeypatch.setattr(candidates, "_run_network", lambda *a: pytest.fail("no second pass"))
    again = run.evaluate()
    assert again == before
    # one alpha of the sweep is the plain evaluation at that alpha
    sweep = run.sweep(optimize="AP75", per_class=True)
    row = sweep["alphas"].index(0.5)
    assert run.evaluate(alpha=0.5)["AP"] == pytest.approx(sweep["AP"][row], abs=1e-12)
    assert set(sweep["per_class"]) == set(run.info.class_names)
    assert run.report().is_file()


def test_a_choice_that_is_kept_says_where_the_evaluation_is_of_another(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run.path), "--alpha", "1"]) == 0
    assert main(["sweep", str(run.path), "--save"]) == 0
    assert f"to have it of these: iouaware evaluate {run.path}\n" in capsys.readouterr().out
    assert main(["evaluate", str(run.path)]) == 0
    assert main(["sweep", str(run.path), "--save"]) == 0
    assert "to have it of these" not in capsys.readouterr().out


def test_a_report_of_other_pictures_than_were_evaluated_is_refused(run: Run) -> None:
    evaluation = read(run.path / "evaluation.json")
    (run.path / "evaluation.json").write_text(json.dumps({**evaluation, "images": 2}))
    with pytest.raises(ConfigError, match=r"evaluation\.json: it is of 2 pictures, but the val"):
        run.report()


def test_a_report_is_of_the_model_it_stands_beside(run: Run, tiny_coco: Path) -> None:
    own = read(run.path / "evaluation.json")
    state = read_state_dict(run.model_path)
    state["head.class_layer.bias"] = state["head.class_layer.bias"].flip(0)
    other = run.path / "other.safetensors"
    write_weights(other, state, run.info)
    assert Run(other, device="cpu", workers=0).report().is_file()
    found, sweep = read(run.path / "evaluation.json"), read(run.path / "sweep.json")
    assert found["model"] == sweep["model"] != own["model"]
    assert found["AP_per_class"] != own["AP_per_class"]
    run.keep_choice(sweep)  # alpha is no other model
    assert fingerprint_model(run.model_path) == own["model"]


def test_a_report_goes_by_the_threshold_that_the_model_stores_now(run: Run) -> None:
    alpha = run.evaluate()["alpha"]
    other = {"held_out": {"alpha": alpha, "gain": 0.01}, "score_thresholds": {"0.4": 0.123}}
    run.keep_choice(other)
    run.report()
    assert read(run.path / "evaluation.json")["operating_point"]["score_threshold"] == 0.123
    # at an alpha that was asked for it stays at that, with the threshold of the nearest stored
    run.evaluate(alpha=0.7)
    run.keep_choice({**other, "score_thresholds": {"0.4": 0.123, "0.7": 0.234}})
    run.report()
    evaluation = read(run.path / "evaluation.json")
    assert (evaluation["alpha"], evaluation["operating_point"]["score_threshold"]) == (0.7, 0.234)


def test_a_model_alone_is_reported_on_the_data_it_was_evaluated_on(
    run: Run, tiny_coco: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(run.model_path, alone)
    model = read_model_info(alone)
    data = {**model.config["data"], "path": None}
    write_model_info(alone, replace(model, config={**model.config, "data": data}))
    bare = Run(alone, device="cpu", workers=0)
    with pytest.raises(ConfigError, match="does not name its data; name it: iouaware evaluate"):
        bare.report()
    bare.evaluate(tiny_coco, split="train")
    assert bare.report().is_file()
    sweep = read(alone / "sweep.json")
    assert (sweep["data"], sweep["split"], sweep["run_part"]) == (str(tiny_coco), "train", None)
    assert "No choice was made" not in (alone / "MODEL_CARD.md").read_text("utf-8")


def test_pictures_of_the_run_are_known_wherever_they_lie(
    run: Run, tiny_coco: Path, tiny_voc: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_coco, tmp_path / "moved")
    assert run.evaluate()["run_part"] == "val"
    for place in (tiny_coco, tmp_path / "moved"):
        for split in ("train", "val"):
            evaluation = run.evaluate(place, split=split)
            assert evaluation["run_part"] == split
            assert ("split" in evaluation["notes"]) == (split == "val")
            assert run.report().is_file()
            card = (run.path / "MODEL_CARD.md").read_text("utf-8")
            assert "No choice was made" not in card
    assert run.evaluate(tiny_voc, split="train")["run_part"] == "none"
    run.report()
    assert "No choice was made" in (run.path / "MODEL_CARD.md").read_text("utf-8")


def test_the_runs_own_folder_named_again_is_read_as_the_runs(
    tiny_coco: Path, tiny_config: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("1", "2"):
        Image.new("RGB", (64, 64), (int(name), 0, 0)).save(tmp_path / "empty" / f"{name}.png")
    settings: dict[str, Any] = {"epochs": 1, "workers": 0, "device": "cpu"}
    run = train(tiny_coco, tiny_config, out="r", empty=str(tmp_path / "empty"), **settings)
    pictures = run.evaluate()["images"]
    assert run.evaluate(tiny_coco)["images"] == pictures
    assert run.report().is_file()


def test_save_keeps_the_choice(run: Run) -> None:
    run.keep_choice({"held_out": {"alpha": 0.4, "gain": 0.01}, "score_thresholds": {"0.4": 0.25}})
    assert (run.info.alpha, run.info.score_threshold(0.4)) == (0.4, 0.25)
    assert run.evaluate()["alpha"] == 0.4


def test_candidates_of_other_pictures_are_not_used(run: Run, tiny_voc: Path) -> None:
    kept = run.path / "candidates-val.npz"
    kept.unlink()
    run.evaluate()
    assert kept.is_file()
    written = kept.stat().st_mtime_ns
    other = run.evaluate(data=tiny_voc, split="train")  # other data leave nothing behind
    assert other["images"] == 11
    assert other["data"] == str(tiny_voc)
    assert kept.stat().st_mtime_ns == written
    assert not (run.path / "candidates-train.npz").exists()
    assert run.report().is_file()  # on the data of the last evaluation


def test_candidates_of_other_weights_or_order_are_made_anew(run: Run, tiny_coco: Path) -> None:
    kept, model = run.path / "candidates-val.npz", run.model_path
    before = run.evaluate()
    written = kept.stat().st_mtime_ns
    run.keep_choice({"held_out": {"alpha": 0.4, "gain": 0.01}, "score_thresholds": {"0.4": 0.25}})
    run.evaluate()
    assert kept.stat().st_mtime_ns == written  # alpha and thresholds change no candidate
    weights, info = read_state_dict(model), run.info
    generator = torch.Generator().manual_seed(0)
    noisy = {
        name: tensor + torch.randn(tensor.shape, generator=generator) / 2
        if "class" in name and tensor.is_floating_point()
        else tensor
        for name, tensor in weights.items()
    }
    write_weights(model, noisy, info)
    assert run.evaluate()["AP_per_iou"] != before["AP_per_iou"]
    write_weights(model, weights, info)
    assert run.evaluate(alpha=before["alpha"])["AP_per_iou"] == before["AP_per_iou"]
    val = read_split(tiny_coco, "val")
    turned = Run(run.path, device="cpu", workers=0, known={"val": val.subset([4, 3, 2, 1, 0])})
    assert turned.evaluate(alpha=before["alpha"])["AP_per_iou"] == before["AP_per_iou"]
    kept.write_bytes(kept.read_bytes()[:100])
    assert run.evaluate(alpha=before["alpha"])["AP_per_iou"] == before["AP_per_iou"]


def test_only_float32_candidates_are_kept(run: Run) -> None:
    kept = run.path / "candidates-val.npz"
    kept.unlink()
    quick = Run(run.path, device="cpu", workers=0, precision="bfloat16").evaluate()
    assert quick["images"] == run.evaluate()["images"]
    (run.path / "candidates-val.npz").unlink()
    Run(run.path, device="cpu", workers=0, precision="bfloat16").evaluate()
    assert not kept.exists()


def test_figures_of_changed_pictures_are_called_so(run: Run) -> None:
    said: list[str] = []
    split = read(run.path / "split.json")
    split["val"] = [*split["val"][1:], "images/val/gone.jpg"]
    (run.path / "split.json").write_text(json.dumps(split))
    Run(run.path, device="cpu", workers=0, say=said.append).evaluate()
    assert "1 pictures it did not have at training and lacks 1" in said[0]


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_outside_its_range_is_a_wrong_call(run: Run, alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        run.evaluate(alpha=alpha)


def test_an_unknown_figure_is_a_wrong_call(run: Run) -> None:
    with pytest.raises(ValueError, match="AP60"):
        run.sweep(optimize="AP60")


def test_a_split_that_is_not_there_is_named(run: Run) -> None:
    with pytest.raises(DatasetError, match="test"):
        run.evaluate(split="test")


def test_a_model_alone_does_not_know_its_data(run: Run) -> None:
    (run.path / "config.yaml").unlink()
    alone = run.path / "alone.safetensors"
    run.model_path.rename(alone)
    with pytest.raises(ConfigError, match=r"evaluate [^ ]*alone\.safetensors --data DATA"):
        Run(alone).evaluate()


def test_predictions_get_new_folders_and_a_failure_leaves_none(run: Run, tiny_coco: Path) -> None:
    picture = sorted((tiny_coco / "images" / "val").iterdir())[0]
    first, second = run.predict([picture]), run.predict([picture], score_threshold=0.5)
    assert (first.parent.name, second.parent.name) == ("predict-1", "predict-2")  # p47
    broken = run.path / "broken.jpg"
    broken.write_bytes(picture.read_bytes()[:300])
    with pytest.raises(DatasetError, match=r"^[^ ]*broken\.jpg: this picture cannot be read"):
        run.predict([broken])
    assert not (run.path / "predict-3").exists()
    with pytest.raises(UnreadableError) as error:
        run.predict([broken, picture])
    assert error.value.written == run.path / "predict-3" / "predictions.json"
    assert [entry["file"] for entry in read(error.value.written)["images"]] == [str(picture)]
    written = error.value.written
    assert str(error.value).startswith(
        f"1 of 2 files cannot be read or drawn, all else is in {written}; the first: {broken}"
    )


def test_resuming_a_finished_run_judges_it_anew(
    tiny_coco: Path, tiny_config: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    settings: dict[str, Any] = {"epochs": 1, "workers": 0, "device": "cpu"}
    run = train(tiny_coco, tiny_config, out="r", **settings)
    before = read(run.path / "evaluation.json")
    (run.path / "evaluation.json").unlink()
    again = train(resume="r", workers=0, device="cpu", say=said.append)
    assert again.path == run.path
    assert read(run.path / "evaluation.json") == before
    assert len(read(run.path / "environment.json")["resumed"]) == 1


def test_a_run_interrupted_while_judging_is_judged_when_it_goes_on(
    tiny_coco: Path, tiny_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(run: Run) -> None:
        raise KeyboardInterrupt

    settings: dict[str, Any] = {"epochs": 1, "workers": 0, "device": "cpu"}
    with monkeypatch.context() as patched:
        patched.setattr(Run, "sweep", stop)
        with pytest.raises(TrainingError, match="while judging; go on with: iouaware train --res"):
            train(tiny_coco, tiny_config, out="r", **settings)
    Run("r", device="cpu", workers=0).report()  # all files that a finished run has
    assert Run("r").info.score_thresholds == {}
    said: list[str] = []
    run = train(resume="r", workers=0, device="cpu", say=said.append)
    assert len(run.info.score_thresholds) == 11
    train(resume="r", workers=0, device="cpu", say=said.append)
    assert said[-1].endswith("the run was finished; nothing is left to do")


def test_resuming_a_finished_run_leaves_it_alone(finished_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    names = ("model.safetensors", "metrics.csv", "evaluation.json", "sweep.json")
    before = [(run / name).read_bytes() for name in names]
    said: list[str] = []
    train(resume=run, workers=0, device="cpu", say=said.append)
    assert said[-1] == f"{run}: the run was finished; nothing is left to do"
    assert [(run / name).read_bytes() for name in names] == before


def test_resuming_says_where_to_write_the_new_place_of_the_data(
    finished_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    text = (run / "config.yaml").read_text("utf-8")
    place = yaml.safe_load(text)["data"]["path"]
    (run / "config.yaml").write_text(text.replace(place, "/nowhere/data"), "utf-8")
    with pytest.raises(DatasetError, match=r"/nowhere/data: .* no longer there; .*data: path"):
        train(resume=run, workers=0, device="cpu")
    (run / "config.yaml").write_text(text, "utf-8")
    moved = text.replace("lr: 0.01", "lr: 0.02")
    assert moved != text
    (run / "config.yaml").write_text(moved, "utf-8")
    with pytest.raises(CheckpointError, match=r"train\.lr is 0\.02, expected 0\.01 as in"):
        train(resume=run, workers=0, device="cpu")


def test_a_run_of_an_earlier_version_is_left_alone_or_goes_on(
    finished_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    environment = read(run / "environment.json")
    del environment["concluded"]  # it did not say so
    (run / "environment.json").write_text(json.dumps(environment))
    split = read(run / "split.json")  # nor leave out a test part without boxes
    (run / "split.json").write_text(json.dumps({**split, "test": ["images/test/1.jpg"]}))
    said: list[str] = []
    train(resume=run, workers=0, device="cpu", say=said.append)
    assert said[-1].endswith("the run was finished; nothing is left to do")


def test_resuming_asks_for_the_same_pictures(finished_run: Path, tmp_path: Path) -> None:
    for name in ("config.yaml", "split.json"):
        (tmp_path / name).write_bytes((finished_run / name).read_bytes())
    (tmp_path / "checkpoints" / "step-1").mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-1" / "state.pt").touch()
    split = read(tmp_path / "split.json")
    split["train"].pop()
    (tmp_path / "split.json").write_text(json.dumps(split))
    with pytest.raises(DatasetError, match="the pictures of train are not those in"):
        train(resume=tmp_path, workers=0, device="cpu")


def test_resuming_refuses_other_settings() -> None:
    with pytest.raises(ConfigError, match="found epochs too"):
        train(resume="r", epochs=3)
    for trial in ({"dry_run": True}, {"overfit": 2}, {"strict": True}):
        (flag,) = (f"--{name.replace('_', '-')}" for name in trial)
        with pytest.raises(ConfigError, match=f"found {flag} too"):
            train(resume="r", **trial)
    with pytest.raises(CheckpointError, match=r"checkpoints/step-N/state\.pt"):
        train(resume="r")


def test_a_dry_run_says_the_head_and_leaves_no_run(
    tiny_coco: Path, tiny_config: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    run = train(tiny_coco, tiny_config, dry_run=True, workers=0, device="cpu", say=said.append)
    assert said[-1] == f"look now: {run.path / 'first_batch.jpg'}"
    assert (run.path / "first_batch.jpg").is_file()
    assert not (tmp_path / "runs").exists()
    assert run.result() == {"run": str(run.path)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "no weights to start from; give them with --from"),
        ({"from_": True, "model.iou_head": False}, "no IoU branch to train; add --model.iou_head"),
    ],
)
def test_freezing_all_but_the_iou_branch_needs_weights_and_a_branch(
    finished_run: Path, tiny_coco: Path, tiny_config: Path, settings: dict[str, Any], message: str
) -> None:
    start = str(finished_run) if settings.pop("from_", False) else None
    settings |= {"train.freeze": "all-but-iou"}
    with pytest.raises(ConfigError, match=message):
        train(tiny_coco, tiny_config, from_=start, workers=0, device="cpu", **settings)
    assert not Path("runs").exists()


def test_a_branch_that_is_not_learnt_needs_weights(tiny_coco: Path, tiny_config: Path) -> None:
    settings: dict[str, Any] = {"train.iou_weight": 0}
    with pytest.raises(ConfigError, match=r"train\.iou_weight is 0, .* there are no weights"):
        train(tiny_coco, tiny_config, workers=0, device="cpu", **settings)
    settings["model.iou_head"] = False
    settings["model.second_look"] = False
    assert train(tiny_coco, tiny_config, workers=0, device="cpu", dry_run=True, **settings)


def test_a_dry_run_refuses_what_training_would(tiny_coco: Path, tiny_config: Path) -> None:
    options: dict[str, Any] = {"dry_run": True, "workers": 0, "device": "cpu"}
    with pytest.raises(ConfigError, match="--log telegraph: no such logger; expected csv, tens"):
        train(tiny_coco, tiny_config, log="telegraph", **options)
    Path("full").mkdir()
    Path("full/file").touch()
    with pytest.raises(ConfigError, match=r"--out full: the folder exists and is not empty"):
        train(tiny_coco, tiny_config, out="full", **options)
    train(tiny_coco, tiny_config, out="free", **options)
    assert not Path("free").exists()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"model.weights": "nothing.pth"}, CheckpointError),
        ({"model.backbone": "no_such_net"}, ConfigError),
    ],
)
def test_a_failed_start_leaves_no_run(
    tiny_coco: Path, tiny_config: Path, settings: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        train(tiny_coco, tiny_config, workers=0, device="cpu", **settings)
    assert not list(Path("runs").iterdir())


def test_overfit_gives_a_verdict_apart_from_the_runs(
    tiny_coco: Path, tiny_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iouaware.training.overfit.OVERFIT_STEPS", 2)
    said: list[str] = []
    run = train(tiny_coco, tiny_config, overfit=2, workers=0, device="cpu", say=said.append)
    assert said[-1].startswith("overfit: AP50 ")
    assert run.path.parent == Path("runs/overfit")
    train(resume=run.path, workers=0, device="cpu", say=said.append)  # judged again, on the same
    assert sum(line.startswith("overfit: AP50 ") for line in said) == 2
    with pytest.raises(CheckpointError):
        Run("latest")  # it is nobody's detector


def test_p43_training_needs_no_network(
    tiny_coco: Path, tiny_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no network here")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    # the packaged ImageNet weights of the default recipe, to the report and a prediction
    settings: dict[str, Any] = {"model.backbone": "tf_efficientnet_lite0", "model.weights": "auto"}
    run = train(tiny_coco, tiny_config, epochs=1, workers=0, device="cpu", **settings)
    assert (run.path / "report" / "index.html").is_file()
    assert run.predict([tiny_coco / "images" / "val"]).is_file()


def test_three_lines_of_python_do_it(finished_run: Path, tiny_coco: Path) -> None:
    detector = iouaware.load(finished_run, device="cpu")
    found = detector.predict(sorted((tiny_coco / "images" / "val").iterdir())[0])
    assert isinstance(found, iouaware.Detections)
    assert found.rescore(alpha=0.3).alpha == 0.3
