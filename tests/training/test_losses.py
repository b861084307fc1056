from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou, generalized_box_iou_loss, sigmoid_focal_loss

from iouaware.boxes import decode_boxes, encode_boxes
from iouaware.config import ModelConfig, TrainConfig
from iouaware.structures import AnchorTargets, HeadOutputs
from iouaware.training.losses import (
    Losses,
    compute_centreness,
    compute_iou_loss,
    compute_losses,
)

MODEL = ModelConfig(box_stds=(0.1, 0.1, 0.2, 0.2))
TRAIN = TrainConfig()


def head_outputs(
    batch: int, classes: int, anchors: Tensor, seed: int = 0, with_iou: bool = True
) -> HeadOutputs:
    generator = torch.Generator().manual_seed(seed)
    count = len(anchors)
    return HeadOutputs(
        torch.randn(batch, count, classes, generator=generator).requires_grad_(),
        (torch.randn(batch, count, 4, generator=generator) * 0.3).requires_grad_(),
        torch.randn(batch, count, generator=generator).requires_grad_() if with_iou else None,
        anchors,
        (count,),
    )


def matches(positive: list[bool], index: list[int], ignored: list[bool]) -> AnchorTargets:
    return AnchorTargets(torch.tensor(index), torch.tensor(positive), torch.tensor(ignored))


ANCHORS = torch.tensor(
    [[0.0, 0.0, 16.0, 16.0], [8.0, 8.0, 24.0, 24.0], [0.0, 8.0, 16.0, 40.0], [30.0, 30.0, 60, 60]]
)
BOXES = torch.tensor([[1.0, 0.0, 18.0, 15.0], [0.0, 10.0, 15.0, 38.0]])
LABELS = torch.tensor([2, 0])
MATCH = matches([True, False, True, False], [0, 0, 1, 0], [False, True, False, False])


def example(
    train: TrainConfig = TRAIN, with_iou: bool = True, normaliser: float | None = None
) -> tuple[HeadOutputs, Losses]:
    outputs = head_outputs(1, 3, ANCHORS, with_iou=with_iou)
    return outputs, compute_losses(outputs, [BOXES], [LABELS], [MATCH], train, MODEL, normaliser)


def test_class_loss_equals_torchvision_without_the_ignored_anchor() -> None:
    outputs, losses = example()
    targets = torch.zeros(1, 4, 3)
    targets[0, 0, 2] = targets[0, 2, 0] = 1
    kept = [0, 2, 3]
    expected = sigmoid_focal_loss(outputs.class_logits[:, kept], targets[:, kept], reduction="sum")
    assert float(losses.class_loss.detach()) == pytest.approx(
        float(expected.detach()) / 2
    )  # two positives
    assert losses.positives == 2


@pytest.mark.parametrize("gamma", [2.0, 1.0])
def test_focal_loss_by_hand(gamma: float) -> None:
    # one anchor, one class, logit 0: p = 0.5. Background: (1 - 0.25) * 0.5^gamma * ln 2
    outputs = HeadOutputs(
        torch.zeros(1, 1, 1), torch.zeros(1, 1, 4), torch.zeros(1, 1), ANCHORS[:1], (1,)
    )
    nothing = matches([False], [0], [False])
    train = TrainConfig(focal_gamma=gamma)
    losses = compute_losses(
        outputs, [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.int64)], [nothing], train, MODEL
    )
    expected = 0.75 * 0.5**gamma * math.log(2)
    assert float(losses.class_loss.detach()) == pytest.approx(expected)


def test_box_loss_by_hand() -> None:
    # deltas miss their target by 0.05 (under beta 0.11) in dx and by 0.61 in dy:
    # 0.5 * 0.05^2 / 0.11 + (0.61 - 0.055) = 0.01136 + 0.555
    anchors = ANCHORS[:1]
    target = encode_boxes(BOXES[:1], anchors, MODEL.box_stds)
    deltas = (target + torch.tensor([[0.05, 0.61, 0.0, 0.0]]))[None]
    outputs = HeadOutputs(torch.zeros(1, 1, 3), deltas, None, anchors, (1,))
    losses = compute_losses(
        outputs, [BOXES[:1]], [LABELS[:1]], [matches([True], [0], [False])], TRAIN, MODEL
    )
    assert float(losses.box_loss.detach()) == pytest.approx(0.5 * 0.05**2 / 0.11 + 0.555, rel=1e-4)


def test_giou_loss_equals_torchvision() -> None:
    outputs, losses = example(TrainConfig(box_loss="giou", box_weight=2.0))
    decoded = decode_boxes(outputs.deltas[0, [0, 2]], ANCHORS[[0, 2]], MODEL.box_stds)
    expected = generalized_box_iou_loss(decoded, BOXES, reduction="sum")
    assert float(losses.box_loss.detach()) == pytest.approx(2 * float(expected.detach()) / 2)


def test_iou_targets_are_those_of_the_decoded_boxes() -> None:
    outputs, losses = example()
    decoded = decode_boxes(outputs.deltas[0, [0, 2]], ANCHORS[[0, 2]], MODEL.box_stds)
    expected = box_iou(decoded, BOXES).diagonal()
    torch.testing.assert_close(losses.iou_targets, expected.detach())
    assert not losses.iou_targets.requires_grad


def test_predicted_iou_is_that_of_the_positives() -> None:
    outputs, losses = example()
    assert outputs.iou_logits is not None
    expected = outputs.iou_logits[0, [0, 2]].detach().sigmoid()
    torch.testing.assert_close(losses.predicted_iou, expected)
    assert not losses.predicted_iou.requires_grad


@pytest.mark.parametrize(("geometry", "iou"), [("plain", 1 / 62.5**2), ("torchvision", 0)])
def test_how_far_a_box_may_shrink_is_the_geometrys(geometry: str, iou: float) -> None:
    # both sides shrink as far as they may, within a box that is the anchor itself
    deltas = torch.tensor([[[0.0, 0.0, -1e3, -1e3]]])
    outputs = HeadOutputs(torch.zeros(1, 1, 3), deltas, torch.zeros(1, 1), ANCHORS[:1], (1,))
    model = MODEL.model_copy(update={"geometry": geometry})
    match = matches([True], [0], [False])
    losses = compute_losses(outputs, [ANCHORS[:1]], [LABELS[:1]], [match], TRAIN, model)
    assert float(losses.iou_targets) == pytest.approx(iou, rel=1e-4)


def test_iou_losses_by_hand() -> None:
    # u = sigmoid(0) = 0.5 against t = 0.8: BCE = ln 2 whatever t, L2 = 0.09, L1 = 0.3
    z, t = torch.zeros(1), torch.tensor([0.8])
    assert float(compute_iou_loss(z, t, TRAIN)) == pytest.approx(math.log(2))
    assert float(compute_iou_loss(z, t, TrainConfig(iou_loss="l2"))) == pytest.approx(0.09)
    assert float(compute_iou_loss(z, t, TrainConfig(iou_loss="l1"))) == pytest.approx(0.3)


@pytest.mark.parametrize("u", [0.1, 0.4, 0.5, 0.9])
def test_gradient_to_the_target_is_log_of_one_minus_u_over_u(u: float) -> None:
    z = torch.tensor([math.log(u / (1 - u))], dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    compute_iou_loss(z, t, TRAIN).backward()
    assert t.grad is not None
    assert z.grad is not None
    assert float(t.grad) == pytest.approx(math.log((1 - u) / u), abs=1e-12)
    assert float(z.grad) == pytest.approx(u - 0.7, abs=1e-12)


@pytest.mark.parametrize("kind", ["bce", "l2", "l1"])
@pytest.mark.parametrize("gradient", ["attached", "detached"])
def test_the_target_moves_the_box_only_when_attached(kind: str, gradient: str) -> None:
    train = TrainConfig.model_validate({"iou_loss": kind, "iou_target_gradient": gradient})
    outputs, losses = example(train)
    (grad,) = torch.autograd.grad(losses.iou_loss, outputs.deltas, allow_unused=True) or (None,)
    moved = grad is not None and bool(grad.abs().sum() > 0)
    assert moved == (gradient == "attached")


@pytest.mark.parametrize(("z", "pull"), [(-2.0, 0.0), (0.0, 0.0), (2.0, -2.0)])
def test_clamped_keeps_only_the_pull_towards_the_object(z: float, pull: float) -> None:
    # BCE pulls with dL/dt = -z; what is above 0 would lower the IoU and goes
    clamped = TrainConfig(iou_target_gradient="clamped")
    logit = torch.tensor([z], requires_grad=True)
    t = torch.tensor([0.7], requires_grad=True)
    loss = compute_iou_loss(logit, t, clamped)
    (3 * loss + 0 * t).sum().backward()
    assert t.grad is not None
    assert logit.grad is not None
    assert float(t.grad) == pytest.approx(3 * pull, abs=1e-6)
    assert float(logit.grad) == pytest.approx(3 * (1 / (1 + math.exp(-z)) - 0.7), abs=1e-6)
    assert float(loss.detach()) == float(compute_iou_loss(logit, t, TRAIN).detach())


@pytest.mark.parametrize(("u", "pull"), [(0.4, 0.0), (0.9, -0.4)])
def test_clamped_acts_on_the_other_losses_too(u: float, pull: float) -> None:
    # L2 pulls with dL/dt = -2 (u - t): at t = 0.7 towards the object where u = 0.9 only
    train = TrainConfig(iou_loss="l2", iou_target_gradient="clamped")
    t = torch.tensor([0.7], requires_grad=True)
    compute_iou_loss(torch.tensor([math.log(u / (1 - u))]), t, train).backward()
    assert t.grad is not None
    assert float(t.grad) == pytest.approx(pull, abs=1e-6)


def test_clamped_takes_targets_without_a_gradient() -> None:
    z, t = torch.zeros(1), torch.tensor([0.8])
    clamped = TrainConfig(iou_target_gradient="clamped")
    assert float(compute_iou_loss(z, t, clamped)) == pytest.approx(math.log(2))


def test_centreness_by_hand() -> None:
    # anchor centre (8, 8). In 0..32 x 0..16: left 8, right 24, top and bottom 8: sqrt(8/24 * 1).
    # In 0..16 x 4..20: sqrt(1 * 4/12). In the middle 1; on a side 0; outside 0.
    anchors = torch.tensor([[0.0, 0, 16, 16]]).expand(5, 4)
    boxes = torch.tensor(
        [[0.0, 0, 32, 16], [0, 4, 16, 20], [4, 6, 12, 10], [8, 0, 20, 16], [9, 0, 20, 16]]
    )
    expected = [math.sqrt(1 / 3), math.sqrt(1 / 3), 1, 0, 0]
    assert compute_centreness(anchors, boxes).tolist() == pytest.approx(expected)
    assert compute_centreness(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)
    # anchor centre (6, 10) in 0..16 x 0..10.5: left 6, right 10, top 10, bottom 0.5
    anchor, box = torch.tensor([[2.0, 0, 10, 20]]), torch.tensor([[0.0, 0, 16, 10.5]])
    assert float(compute_centreness(anchor, box)) == pytest.approx(math.sqrt(0.6 * 0.05))


def test_a_centreness_branch_learns_it_and_moves_no_box() -> None:
    outputs, losses = example(TrainConfig(iou_target="centreness"))
    assert outputs.iou_logits is not None
    target = compute_centreness(ANCHORS[[0, 2]], BOXES)
    grads = torch.autograd.grad(
        losses.iou_loss, (outputs.iou_logits, outputs.deltas), allow_unused=True
    )
    # dL/dz = u - target, over two positives
    expected = (outputs.iou_logits[0, [0, 2]].detach().sigmoid() - target) / 2
    torch.testing.assert_close(grads[0][0, [0, 2]], expected)
    assert grads[1] is None
    # what is logged beside it stays the true IoU
    torch.testing.assert_close(losses.iou_targets, example()[1].iou_targets)


def test_a_confident_branch_pulls_the_box_towards_its_object() -> None:
    outputs = head_outputs(1, 3, ANCHORS)
    confident = outputs._replace(iou_logits=torch.full((1, 4), 3.0))
    losses = compute_losses(confident, [BOXES], [LABELS], [MATCH], TRAIN, MODEL)
    (grad,) = torch.autograd.grad(losses.iou_loss, outputs.deltas)
    stepped = outputs.deltas.detach() - 0.01 * grad
    before = losses.iou_targets
    after = compute_losses(
        confident._replace(deltas=stepped), [BOXES], [LABELS], [MATCH], TRAIN, MODEL
    ).iou_targets
    assert bool((after > before).all())


def test_positives_alone_train_the_iou_branch() -> None:
    outputs, losses = example()
    assert outputs.iou_logits is not None
    (grad,) = torch.autograd.grad(losses.total, outputs.iou_logits)
    assert (grad[0] != 0).tolist() == [True, False, True, False]


def test_one_normaliser_for_all_three() -> None:
    _, alone = example()
    _, shared = example(normaliser=8.0)
    for name in ("class_loss", "box_loss", "iou_loss"):
        expected = float(getattr(alone, name).detach()) / 4
        assert float(getattr(shared, name).detach()) == pytest.approx(expected, rel=1e-5), name
    # four processes with a positive together: each divides by a quarter, as one would by 1
    _, rare = example(normaliser=0.25)
    assert float(rare.class_loss.detach()) == pytest.approx(
        8 * float(alone.class_loss.detach()), rel=1e-5
    )


def test_without_iou_branch_the_iou_loss_is_zero() -> None:
    _, losses = example(with_iou=False)
    assert float(losses.iou_loss.detach()) == 0
    assert len(losses.predicted_iou) == 0


def test_p04_a_batch_of_empties_is_finite_and_reaches_every_output() -> None:
    outputs = head_outputs(2, 3, ANCHORS)
    nothing = matches([False] * 4, [0] * 4, [False] * 4)
    losses = compute_losses(
        outputs,
        [torch.zeros(0, 4)] * 2,
        [torch.zeros(0, dtype=torch.int64)] * 2,
        [nothing] * 2,
        TRAIN,
        MODEL,
    )
    assert float(losses.box_loss.detach()) == 0
    assert float(losses.iou_loss.detach()) == 0
    assert math.isfinite(float(losses.class_loss.detach()))
    losses.total.backward()
    assert outputs.iou_logits is not None
    for tensor in (outputs.class_logits, outputs.deltas, outputs.iou_logits):
        assert tensor.grad is not None  # or other processes would wait for it for ever
        assert bool(torch.isfinite(tensor.grad).all())


def test_p09_half_precision_outputs_do_not_overflow() -> None:
    huge = torch.full((1, 4, 4), 60000.0, dtype=torch.float16)
    outputs = HeadOutputs(
        torch.full((1, 4, 3), 60000.0, dtype=torch.float16),
        huge,
        torch.full((1, 4), -60000.0, dtype=torch.float16),
        ANCHORS,
        (4,),
    )
    losses = compute_losses(outputs, [BOXES], [LABELS], [MATCH], TRAIN, MODEL)
    for loss in (losses.class_loss, losses.box_loss, losses.iou_loss):
        assert loss.dtype == torch.float32
        assert math.isfinite(float(loss))
