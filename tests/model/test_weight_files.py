from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from iouaware.errors import CheckpointError
from iouaware.model.weight_files import (
    find_model_file,
    is_own_model,
    read_model_info,
    read_state_dict,
)

STATE = {"a.weight": torch.arange(4.0), "b": torch.ones(2, 2)}


def assert_is_state(found: dict[str, torch.Tensor]) -> None:
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key], STATE[key]) for key in STATE)


def test_both_forms_are_read(tmp_path: Path):
    save_file(STATE, tmp_path / "w.safetensors")
    torch.save(STATE, tmp_path / "w.pth")
    assert_is_state(read_state_dict(tmp_path / "w.safetensors"))
    assert_is_state(read_state_dict(tmp_path / "w.pth"))


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_wrapped_state_is_found_and_module_prefix_dropped(tmp_path: Path, wrapper: str):
    torch.save(
        {wrapper: {f"module.{key}": value for key, value in STATE.items()}, "epoch": 3},
        tmp_path / "w.pth",
    )
    assert_is_state(read_state_dict(tmp_path / "w.pth"))


class _Bomb:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weights": _Bomb()}, "could run code.*expected a state dict"),
        ({"a": torch.ones(1), "lr": 0.1}, "lr is no tensor"),
        ([torch.ones(1)], "found list, expected a state dict"),
        ({}, "expected a state dict"),
    ],
)
def test_p42_anything_but_tensors_is_refused(
    tmp_path: Path, content: object, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=message) as caught:
        read_state_dict(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80\x02" * 50])
def test_damaged_file_is_one_line(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name) as caught:
        read_state_dict(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path):
    with pytest.raises(CheckpointError, match="no such file"):
        read_state_dict(tmp_path / "gone.pth")
    with pytest.raises(CheckpointError, match="no model found"):
        find_model_file(tmp_path / "gone")


def test_own_models_are_told_apart(tmp_path: Path):
    save_file(STATE, tmp_path / "own.safetensors", metadata={"iouaware": "{}"})
    save_file(STATE, tmp_path / "other.safetensors", metadata={"format": "pt"})
    assert is_own_model(tmp_path / "own.safetensors")
    assert not is_own_model(tmp_path / "other.safetensors")
    assert not is_own_model(tmp_path / "gone.safetensors")
    assert not is_own_model(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="damaged header"):
        read_model_info(tmp_path / "own.safetensors")


def test_weights_of_any_file_must_be_numbers(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2), "b": torch.tensor([1.0, torch.nan])}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth: weights of b are no numbers"):
        read_state_dict(tmp_path / "w.pth")
