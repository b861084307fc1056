"""Run folders: new numbers, nothing written over, found again by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from iouaware.errors import CheckpointError, ConfigError
from iouaware.running.folder import (
    RunLog,
    claim_folder,
    dropped_on_error,
    find_model,
    find_resumable,
    find_run,
    new_run_folder,
    numbered_folder,
    remove_untrained,
    stem_of_run,
    write_yaml,
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make_run(name: str, written_at: int) -> Path:
    """Make a folder under runs/ whose weights and checkpoint bear a time."""
    run = Path("runs") / name
    (run / "checkpoints").mkdir(parents=True)
    for file in (run / "model.safetensors", run / "checkpoints" / "last.json"):
        file.write_text("{}")
        os.utime(file, (written_at, written_at))
    return run


def test_p47_every_run_gets_a_new_number() -> None:
    data = Path("bolts")
    data.mkdir()
    first, second = new_run_folder(data), new_run_folder(data)
    assert (first, second) == (Path("runs/bolts-1"), Path("runs/bolts-2"))
    first.rmdir()
    assert new_run_folder(data) == Path("runs/bolts-3")  # a number is not used twice


def test_numbers_of_other_names_do_not_count(tmp_path: Path) -> None:
    for name in ("a-7", "a-x", "a-b-9", "ba-3"):
        (tmp_path / name).mkdir()
    assert numbered_folder(tmp_path, "a") == tmp_path / "a-8"


def test_p47_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert new_run_folder(tmp_path, tmp_path / "out") == tmp_path / "out"  # empty: taken
    (tmp_path / "out" / "model.safetensors").write_text("earlier weights")
    with pytest.raises(ConfigError, match=r"--out .*not empty"):
        new_run_folder(tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="found a file"):
        new_run_folder(tmp_path, tmp_path / "out" / "model.safetensors")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("sets/bolts/annotations/train.json", "bolts"),
        ("sets/bolts/data.yaml", "bolts"),
        ("sets/bolts/road signs.yaml", "road-signs"),
        ("sets/my bolts (2)", "my-bolts-2"),
        ("sets/bolts/data", "bolts"),
    ],
)
def test_a_run_is_named_after_its_data(tmp_path: Path, path: str, name: str) -> None:
    place = tmp_path / path
    if place.suffix:
        place.parent.mkdir(parents=True)
        place.write_text("")
    else:
        place.mkdir(parents=True)
    assert stem_of_run(place) == name


def test_latest_is_the_run_whose_weights_are_newest() -> None:
    newer = make_run("a-1", written_at=2_000)
    make_run("b-1", written_at=1_000)
    (Path("runs") / "c-1").mkdir()  # has no weights yet
    assert find_run("latest") == find_resumable("latest") == newer
    assert find_model("latest") == newer / "model.safetensors"
    assert find_model(newer / "model.safetensors") == newer / "model.safetensors"


@pytest.mark.parametrize("run", ["latest", "runs/nothing"])
def test_a_run_that_is_not_there_is_told(run: str) -> None:
    with pytest.raises(CheckpointError, match=run):
        find_model(run)
    with pytest.raises(CheckpointError, match=run):
        find_resumable(run)


def test_a_run_without_weights_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model\.safetensors, expected a run folder"):
        find_model(tmp_path)
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(CheckpointError, match=f"iouaware train --resume {tmp_path}"):
        find_model(tmp_path)


def test_only_an_untrained_folder_is_cleared_away() -> None:
    trained, untrained = make_run("a-1", 1), Path("runs/b-1")
    untrained.mkdir()
    (untrained / "config.yaml").write_text("seed: 0")
    remove_untrained(trained)
    remove_untrained(untrained)
    assert trained.exists()
    assert not untrained.exists()


@pytest.mark.parametrize("error", [ConfigError("wrong"), OSError("full"), KeyboardInterrupt()])
def test_an_error_leaves_nothing_also_behind_a_link(
    tmp_path: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "link").symlink_to("place")
    monkeypatch.chdir(tmp_path / "place")

    def write_half(folder: Path) -> None:
        with dropped_on_error(claim_folder(folder)):
            (folder / "sub").mkdir()
            (folder / "sub" / "a").touch()
            (folder / "b").symlink_to("sub")
            raise error

    for folder in (Path("../new"), Path("../link"), Path()):
        with pytest.raises(type(error)) as told:
            write_half(folder)
        assert told.value is error
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["link", "place"]


def test_yaml_is_written_whole_under_its_comment(tmp_path: Path) -> None:
    write_yaml(tmp_path / "a.yaml", {"b": [1, 2], "ä": None}, "who wrote it")
    text = (tmp_path / "a.yaml").read_text("utf-8")
    assert text.startswith("# who wrote it\n")
    assert yaml.safe_load(text) == {"b": [1, 2], "ä": None}
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_lines_said_before_there_was_a_run_are_kept_too(tmp_path: Path) -> None:
    heard: list[str] = []
    log = RunLog(heard.append)
    log("data")
    log.open(tmp_path)
    log("epoch 1")
    assert heard == ["data", "epoch 1"]
    assert (tmp_path / "log.txt").read_text() == "data\nepoch 1\n"
