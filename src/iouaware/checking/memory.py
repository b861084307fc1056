"""How much memory a training step takes, counted on a network without numbers in it."""

from __future__ import annotations

from functools import lru_cache

from iouaware.anchors import level_sizes
from iouaware.config import build_config
from iouaware.images import resized_hw
from iouaware.recipes.reading import read_recipe

_FLOAT_BYTES = 4
# copies of the class logits that sigmoid, targets and focal loss keep or pass through
_LOSS_COPIES = 5


@lru_cache(maxsize=64)
def estimate_step_bytes(
    recipe: str,
    num_classes: int,
    image_size: int | tuple[int, int],
    batch_size: int | None = None,
) -> int:
    """Estimate the memory of a training step in float32, without the process itself.

    The network is built on torch's meta device, where tensors have shapes but no numbers, and
    what its forward pass keeps for the backward pass is counted. Weights, gradients, the
    optimiser's state, averaged weights and the loss are added. Half precision takes up to half.

    Args:
        recipe: ``small``, ``modern``, ``paper`` or a YAML file.
        num_classes: K.
        image_size: as in ``images.resized_hw``; a pair counts for its largest canvas.
        batch_size: pictures a step; None takes the recipe's.
    """
    import torch

    from iouaware.model.detector import Detector

    config = build_config(read_recipe(recipe))
    batch = batch_size or config.data.batch_size
    _, canvas_hw = resized_hw(tuple(sorted(_pair(image_size))), image_size)  # type: ignore[arg-type]
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.device("meta"):
        detector = Detector(config.model, num_classes)
        images = torch.zeros(batch, 3, *canvas_hw)
    detector.train()
    if config.model.batch_norm == "learnt":
        detector.backbone.learn_statistics(batch)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        detector(images)
    parameters = list(detector.parameters())
    for parameter in parameters:
        kept.pop(parameter.untyped_storage()._cdata, None)
    activations = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    states = 3 + (config.train.optimizer == "adamw") + config.train.ema
    weights = states * _FLOAT_BYTES * sum(parameter.numel() for parameter in parameters)
    anchors = sum(level_sizes(canvas_hw))
    loss = _LOSS_COPIES * _FLOAT_BYTES * batch * anchors * num_classes
    return int(activations + weights + loss)


def _pair(image_size: int | tuple[int, int]) -> tuple[int, int]:
    return (image_size, image_size) if isinstance(image_size, int) else image_size
