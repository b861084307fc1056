"""``iouaware.check`` and the command: what is printed, returned, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import iouaware
from iouaware import cli
from iouaware.errors import ConfigError, DatasetError
from tests.data.layout_files import coco, text, yolo_picture

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_prepare", lambda: None)


def wrong_set(folder: Path) -> Path:
    """One picture of eight has a box twice and one without area."""
    for n in range(8):
        line = "0 0.5 0.5 0.5 0.8\n" * (2 if n == 0 else 1) + ("0 0.2 0.5 0 0.4\n" if n else "")
        yolo_picture(folder / "images" / f"{n}.png", line=line)
    text(folder / "data.yaml", "names: [cat]\ntrain: images\nval: images\n")
    return folder


def test_a_clean_set_ends_with_0(tiny_coco: Path, capsys: Captured) -> None:
    assert cli.main(["check", str(tiny_coco), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    assert result["ok"] is True
    assert result["counts"]["error"] == result["counts"]["warning"] == 0
    assert result["facts"]["splits"]["train"]["pictures"] == 11
    assert result["facts"]["memory"]["recipes"]["small"]["bytes"] > 0
    assert lines[0].startswith("COCO (annotations/train.json); train 11 pictures")
    assert lines[-2].startswith("nothing is wrong: 0 errors, 0 warnings")


def test_a_wrong_set_ends_with_1_and_names_each_annotation(
    tmp_path: Path, capsys: Captured
) -> None:
    data = wrong_set(tmp_path / "set")
    assert cli.main(["check", str(data), "--json"]) == 1
    out = capsys.readouterr().out
    result = json.loads(out.splitlines()[-1])
    assert result["kinds"]["duplicate-box"] == 2  # the picture is in two parts
    assert result["kinds"]["leak"] == 8
    rows = [row for row in result["findings"] if row["kind"] == "no-area"]
    assert rows[0]["annotation"] == "labels/1.txt line 2"
    assert "error: boxes that are there twice: 2 (duplicate-box)" in out
    assert "  train: labels/0.txt line 2 (images/0.png): the box and its class repeat" in out
    assert "  and 9 more, listed with --json" in out
    assert "something is wrong: " in out


def test_what_is_no_data_set_ends_with_2(tmp_path: Path, capsys: Captured) -> None:
    assert cli.main(["check", str(tmp_path)]) == 2
    assert "no data set found; expected COCO" in capsys.readouterr().err
    path = text(tmp_path / "annotations" / "train.json", '{"images": [}')
    assert cli.main(["check", str(path)]) == 2
    assert "not valid JSON" in capsys.readouterr().err


def test_fix_and_sheet_are_told(tmp_path: Path, capsys: Captured) -> None:
    data, out, sheet = wrong_set(tmp_path / "set"), tmp_path / "fixed", tmp_path / "sheet.png"
    given = ["check", str(data), "--fix", str(out), "--sheet", str(sheet)]
    assert cli.main(given) == 1
    told = capsys.readouterr().out
    assert f"drew 8 pictures on {sheet}" in told
    assert f"wrote {out}: " in told
    assert "8 findings are left for you" in told  # both parts are the same: no copy to leave out
    assert cli.main(["check", str(out), "--json"]) == 1
    kinds = json.loads(capsys.readouterr().out.splitlines()[-1])["kinds"]
    assert set(kinds) == {"leak", "rare-class"}


def test_a_model_is_compared_with(finished_run: Path, tiny_voc: Path, tmp_path: Path) -> None:
    report = iouaware.check(tiny_voc, with_=finished_run)
    assert not report.of_kind("unknown-to-model")
    other = coco(tmp_path / "train.json", ["a.png"])
    yolo_picture(tmp_path / "a.png", line=None)
    report = iouaware.check(other, with_=finished_run / "model.safetensors")
    assert [found.message[:15] for found in report.of_kind("unknown-to-model")] == [
        "1 boxes of 'cat"
    ]


def test_pictures_elsewhere_are_found_by_name(tmp_path: Path) -> None:
    path = coco(tmp_path / "export" / "result.json", ["a.png", "b.png"])
    for name in ("a.png", "b.png"):
        yolo_picture(tmp_path / "mine" / name, line=None)
    assert len(iouaware.check(path).of_kind("missing-picture")) == 2
    assert not iouaware.check(path, images=tmp_path / "mine").of_kind("missing-picture")
    with pytest.raises(DatasetError, match="--images"):
        iouaware.check(path, images=tmp_path / "nowhere")


def test_an_unknown_way_to_decode_is_a_wrong_call(tiny_coco: Path) -> None:
    with pytest.raises(ValueError, match="decode is 'non', expected one of auto, all, none"):
        iouaware.check(tiny_coco, decode="non")  # type: ignore[arg-type]


def test_a_copy_has_no_numbered_folder(tiny_coco: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(ConfigError, match=r"--fix .* give another --fix$"):
        iouaware.check(tiny_coco, fix=tmp_path)
