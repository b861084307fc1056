from __future__ import annotations

import pytest
import torch

from iouaware.errors import ConfigError
from iouaware.model.backbone import Backbone

TINY = "test_efficientnet"


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", (128, 256, 512)),
        ("tf_efficientnet_lite0", (40, 112, 320)),
        ("test_convnext", (32, 48, 64)),  # begins at stride 4; no BatchNorm
        (TINY, (32, 48, 64)),
    ],
)
def test_features_at_strides_8_16_32(name: str, channels: tuple[int, ...]):
    backbone = Backbone(name)
    assert backbone.channels == channels
    shapes = [tuple(c.shape) for c in backbone(torch.rand(1, 3, 64, 96))]
    expected = [(1, c, 64 // s, 96 // s) for c, s in zip(channels, (8, 16, 32), strict=True)]
    assert shapes == expected


def test_mean_and_std_are_the_network_s_own():
    assert Backbone("tf_efficientnet_lite0").mean == (0.5, 0.5, 0.5)
    assert Backbone("tf_efficientnet_lite0").std == (0.5, 0.5, 0.5)
    assert Backbone("resnet18").mean == (0.485, 0.456, 0.406)


def test_p23_batchnorm_statistics_stay_fixed_at_any_batch_size():
    backbone = Backbone(TINY)  # in training, as modules begin
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    features = backbone(torch.randn(1, 3, 64, 64) * 5)
    sum(c.sum() for c in features).backward()
    after = backbone.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    backbone.eval().train()
    assert backbone.training
    norms = backbone.batch_norms()
    assert len(norms) > 5
    assert not any(norm.training for norm in norms)
    # scale and shift learn
    assert all(norm.weight.requires_grad for norm in norms)
    assert all(norm.weight.grad is not None for norm in norms)


def test_p23_statistics_are_learnt_from_four_pictures_or_more():
    backbone = Backbone(TINY)
    norm = backbone.batch_norms()[0]
    assert norm.running_mean is not None
    before = norm.running_mean.clone()
    backbone.learn_statistics(3)
    backbone(torch.randn(3, 3, 64, 64) * 5)
    assert torch.equal(norm.running_mean, before)
    backbone.learn_statistics(4)
    backbone(torch.randn(4, 3, 64, 64) * 5)
    assert not torch.equal(norm.running_mean, before)
    backbone.train()  # fixed again until the next call
    assert not any(norm.training for norm in backbone.batch_norms())


def test_frozen_layers_learn_no_statistics():
    backbone = Backbone("resnet18", frozen_stages=1)
    backbone.learn_statistics(8)
    norms = dict(backbone.network.named_modules())
    assert not norms["bn1"].training
    assert not norms["layer1.0.bn1"].training
    assert norms["layer2.0.bn1"].training


@pytest.mark.parametrize(
    ("stages", "first_learning"),
    [
        (0, "conv1.weight"),
        (1, "layer2.0.conv1.weight"),
        (2, "layer3.0.conv1.weight"),
        (3, "layer4.0.conv1.weight"),
    ],
)
def test_frozen_stages_of_a_resnet(stages: int, first_learning: str):
    names = [name for name, p in Backbone("resnet18", stages).network.named_parameters()]
    learning = [
        name
        for name, p in Backbone("resnet18", stages).network.named_parameters()
        if p.requires_grad
    ]
    assert learning[0] == first_learning
    assert learning == names[names.index(first_learning) :]


def test_frozen_stages_of_other_networks():
    lite = Backbone("tf_efficientnet_lite0", 1).network.named_parameters()
    # blocks.1 ends at stride 4
    assert next(n for n, p in lite if p.requires_grad) == "blocks.2.0.conv_pw.weight"
    flat = Backbone("test_convnext", 1).network.named_parameters()
    assert next(n for n, p in flat if p.requires_grad).startswith("stages_1.")


def test_norm_eps():
    assert {norm.eps for norm in Backbone("resnet18", norm_eps=0.0).batch_norms()} == {0.0}
    assert {norm.eps for norm in Backbone("resnet18").batch_norms()} == {1e-5}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet17", r"timm has no such network; did you mean resnet18"),
        ("test_vit", "does not give features at strides 8, 16 and 32"),
        ("swin_tiny_patch4_window7_224", r"are no \[B, C, H, W\] maps"),
    ],
)
def test_network_that_does_not_fit_is_one_line(name: str, message: str):
    with pytest.raises(ConfigError, match=message) as caught:
        Backbone(name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
