from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from records import environment_record, keep_entry, without_folders


def test_folders_of_this_machine_are_left_out_of_a_command() -> None:
    record: dict[str, Any] = {
        "command": "python -m iouaware train /home/me/my\\ data --start https://a.b/c --out=/r/a/",
        "n": 1,
    }
    kept = without_folders(record)
    words = "python -m iouaware train 'my data' --start https://a.b/c --out=a"
    assert kept == {"command": words, "n": 1}
    assert "/home" in record["command"]  # the record itself stays


def test_the_environment_names_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/x/sizes.py", "--yolo", "/tmp/y/bin/python"])
    assert environment_record()["command"] == "sizes.py --yolo python"


def test_an_entry_replaces_its_own_name_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    for name, value in (("a", 1), ("b", 2), ("a", 3)):
        keep_entry(path, name, {"AP": value})
    assert json.loads(path.read_text("utf-8")) == {"a": {"AP": 3}, "b": {"AP": 2}}
    with pytest.raises(ValueError, match="JSON"):
        keep_entry(path, "a", {"AP": float("nan")})
    assert json.loads(path.read_text("utf-8"))["a"] == {"AP": 3}  # nothing half-written
