"""Every setting once, with its type, range and default; nothing is declared a second time.

The defaults are the paper's (arXiv:1912.05992 and its authors' code). A recipe in ``recipes/`` is
a YAML file that names only what it changes. The command line overrides any field with dots:
``--train.lr 0.001``.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from iouaware.errors import ConfigError, shown
from iouaware.recipes.reading import read_recipe

Precision = Literal["auto", "float32", "bfloat16", "float16"]
_Positive = Annotated[float, Field(gt=0)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelConfig(_Settings):
    """The network."""

    backbone: str = Field(
        "resnet50.tv_in1k", description="a timm name with features at strides 8, 16, 32"
    )
    weights: str = Field(
        "auto",
        description="backbone weights: auto (packaged where they are, else timm's download), "
        "packaged, timm, none, or a file",
    )
    frozen_stages: int = Field(1, ge=0, le=4, description="1 freezes the stem and the first stage")
    batch_norm: Literal["fixed", "learnt"] = Field(
        "fixed",
        description="the backbone's BatchNorm statistics: fixed, or learnt from batches of at "
        "least four pictures",
    )
    norm_eps: float | None = Field(
        None, ge=0, description="epsilon of BatchNorm; null: the backbone's own"
    )
    fpn_channels: int = Field(256, ge=8, le=4096, description="width of the pyramid and the towers")
    p6_from: Literal["c5", "p5"] = Field("c5", description="what P6 is computed from")
    relu_before_p7: bool = Field(False, description="ReLU between P6 and P7")
    tower_convs: int = Field(4, ge=1, le=8, description="3x3 convs before the last layer")
    tower_norm: Literal["none", "group"] = Field("none", description="norm after each tower conv")
    iou_head: bool = Field(True, description="predict the IoU of each box with its object")
    shared_iou_convs: int = Field(
        4,
        ge=0,
        le=8,
        description="convs the IoU branch shares with the box branch; the rest is its own",
    )
    second_look: bool = Field(
        False,
        description="beside the IoU branch, look again at the pixels of the best boxes",
    )
    box_stds: tuple[_Positive, _Positive, _Positive, _Positive] = Field(
        (1.0, 1.0, 1.0, 1.0), description="each delta is divided by its own"
    )
    geometry: Literal["plain", "torchvision"] = Field(
        "plain",
        description="torchvision: its anchor rounding, stride, centres and one-sided delta clamp",
    )
    prior_probability: float = Field(0.01, gt=0, lt=1, description="p of every anchor at the start")

    @model_validator(mode="after")
    def _shared_convs_exist(self) -> ModelConfig:
        if self.shared_iou_convs > self.tower_convs:
            raise ValueError(
                f"shared_iou_convs is {self.shared_iou_convs}, expected at most tower_convs, "
                f"{self.tower_convs}"
            )
        return self


class DataConfig(_Settings):
    """Pictures and how they are varied in training."""

    path: str | None = Field(None, description="the data set, where DATA is not given; or --data")
    images: str | None = Field(None, description="where the pictures are, found by name")
    empty: str | None = Field(None, description="a folder of pictures known to show no object")
    image_size: int | tuple[int, int] | Literal["auto"] = Field(
        (800, 1333),
        description="longer side in px on a square canvas, [short, long] padded to 32, or auto",
    )
    batch_size: int = Field(16, ge=1, le=100_000, description="pictures a step, over all processes")
    flip: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of pictures mirrored left to right; "
        "0 where a mirror image is another class (road signs)",
    )
    scale_jitter: tuple[float, float] = Field(
        (1.0, 1.0), description="pictures are enlarged by a factor drawn from this range"
    )
    crop: float = Field(0.0, ge=0, le=1, description="share of pictures cropped, objects kept")
    colour: float = Field(0.0, ge=0, le=1, description="share of pictures with changed colours")

    @model_validator(mode="after")
    def _ranges_are_sane(self) -> DataConfig:
        low, high = self.scale_jitter
        if not 0 < low <= high:
            raise ValueError(f"scale_jitter is [{low}, {high}], expected 0 < low <= high")
        sides = self.image_size if isinstance(self.image_size, tuple) else (self.image_size,)
        for side in sides:
            if side != "auto" and not 64 <= side <= 8192:
                raise ValueError(f"image_size is {side}, expected 64 to 8192 px")
        if isinstance(self.image_size, int) and self.image_size % 32:
            raise ValueError(f"image_size is {self.image_size}, expected a multiple of 32")
        return self


class TrainConfig(_Settings):
    """Matching, losses, optimiser and schedule."""

    epochs: int = Field(12, ge=1, le=1_000_000, description="passes over the training pictures")
    minutes: float | None = Field(None, gt=0, description="shorten the schedule to this time")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="what takes the steps")
    lr: float = Field(0.01, gt=0, description="learning rate for 16 pictures a step; scaled by it")
    backbone_lr_factor: float = Field(1.0, ge=0, description="the backbone learns at this share")
    weight_decay: float = Field(
        1e-4, ge=0, description="pull towards zero; AdamW spares norms and biases"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    schedule: Literal["step", "cosine"] = Field("step", description="step: x0.1 at 8/12 and 11/12")
    warmup_steps: int = Field(500, ge=0, description="at most a tenth of the run")
    warmup_start: float = Field(1 / 3, gt=0, le=1, description="share of lr at the first step")
    clip_norm: float = Field(35.0, gt=0, description="largest L2 norm of the gradient")
    skip_bad_steps: int = Field(
        0, ge=0, description="steps that may be left out where loss or gradient is no number"
    )
    accumulate: int = Field(1, ge=1, description="batches summed before a step")
    ema: bool = Field(False, description="average the weights and judge the average")
    ema_decay: float = Field(
        0.999, gt=0, lt=1, description="share of the average that stays; less in the first steps"
    )
    precision: Precision = Field(
        "auto",
        description="auto: float16 on CUDA, bfloat16 on a CPU that multiplies in it, else float32",
    )
    compile: bool = Field(False, description="compile the network with torch.compile")
    positive_iou: float = Field(0.5, gt=0, le=1, description="anchors from here on are positive")
    negative_iou: float = Field(0.4, ge=0, le=1, description="anchors below are background")
    focal_alpha: float = Field(0.25, ge=0, le=1, description="weight of positives")
    focal_gamma: float = Field(2.0, ge=0, description="how much easy anchors count less")
    box_loss: Literal["smooth_l1", "giou"] = Field("smooth_l1", description="on the positives")
    smooth_l1_beta: float = Field(0.11, gt=0, description="error where squares become lines")
    box_weight: float = Field(1.0, ge=0, description="factor of the box loss")
    iou_loss: Literal["bce", "l2", "l1"] = Field("bce", description="predicted to true IoU")
    iou_weight: float = Field(1.0, ge=0, description="factor of the IoU loss")
    look_weight: float = Field(
        1.0, gt=0, description="factor of the second look's loss; it moves nothing else"
    )
    iou_target: Literal["iou", "centreness"] = Field(
        "iou",
        description="what the IoU branch learns; with centreness (FCOS) all that is called "
        "predicted IoU is the anchor's centre-ness",
    )
    iou_target_gradient: Literal["attached", "detached", "clamped"] = Field(
        "attached",
        description="whether the IoU loss also moves the box, through its target; clamped: "
        "towards the object only",
    )
    freeze: Literal["none", "all-but-iou"] = Field("none", description="what stays as it is")
    evaluate_every: int = Field(1, ge=1, description="epochs between two validations")
    keep: Literal["best", "last"] = Field(
        "best", description="weights kept: of the best AP at alpha 1 on validation, or the last"
    )
    patience: int | None = Field(
        None, ge=1, description="stop after this many validations without a better AP"
    )

    @model_validator(mode="after")
    def _thresholds_are_ordered(self) -> TrainConfig:
        if self.negative_iou > self.positive_iou:
            raise ValueError(
                f"negative_iou is {self.negative_iou}, expected at most positive_iou, "
                f"{self.positive_iou}"
            )
        return self


class InferenceConfig(_Settings):
    """From head outputs to detections."""

    p_floor: float = Field(0.01, ge=0, lt=1, description="candidates need this p, before fusion")
    candidates_per_level: int = Field(
        1000, ge=1, lt=2**31, description="of highest p on a pyramid level"
    )
    candidates_per_image: int = Field(2000, ge=1, lt=2**31, description="of highest p in a picture")
    nms_iou: float = Field(0.5, gt=0, le=1, description="overlap at which the lower S goes")
    nms_across_classes: bool = Field(False, description="let boxes of other classes compete too")
    max_detections: int = Field(100, ge=1, lt=2**31, description="of highest S in a picture")
    postprocess: Literal["standard", "paper"] = Field(
        "standard", description="paper: fuse, take the top 1,000 anchors a level, keep S > 0.05"
    )


class Config(_Settings):
    """A whole recipe."""

    recipe: str = Field("paper", description="the recipe this started from")
    seed: int = Field(0, ge=0, lt=2**63, description="fixes order, augmentation and new weights")
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    inference: InferenceConfig = InferenceConfig()

    @model_validator(mode="after")
    def _paper_order_has_no_second_look(self) -> Config:
        if self.inference.postprocess == "paper" and self.model.second_look:
            raise ValueError(
                "inference.postprocess is paper, the authors' order, which knows no second look; "
                "expected model.second_look false with it"
            )
        return self


def read_config(name_or_file: str | Path, overrides: dict[str, Any] | None = None) -> Config:
    """Read a recipe by name or from a YAML file, and change single fields.

    Args:
        name_or_file: ``small``, ``modern``, ``paper``, or a path to a YAML file.
        overrides: values by dotted name, such as ``{"train.lr": 0.001}``.

    Raises:
        ConfigError: no such recipe or file, malformed YAML, or a value that does not fit.
    """
    return build_config({**read_recipe(name_or_file)}, overrides, where=str(name_or_file))


def build_config(
    values: dict[str, Any], overrides: dict[str, Any] | None = None, where: str = "config"
) -> Config:
    """Check plain values and turn them into a ``Config``.

    Raises:
        ConfigError: an unknown key (the nearest known one is named) or a value that does not fit.
    """
    merged = {
        key: dict(value) if isinstance(value, dict) else value for key, value in values.items()
    }
    sections = [merged, *(value for value in merged.values() if isinstance(value, dict))]
    if any(not isinstance(key, str) for section in sections for key in section):
        raise ConfigError(f"{where}: a key is no text; expected names of settings")
    for dotted, value in (overrides or {}).items():
        section, _, key = dotted.rpartition(".")
        if section:
            merged.setdefault(section, {})[key] = value
        else:
            merged[key] = value
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_describe(error)}") from error


def build_inference_config(values: dict[str, Any], where: str) -> InferenceConfig:
    """Check the settings of post-processing that a model carries.

    Raises:
        ConfigError: an unknown key or a value that does not fit.
    """
    return build_config({"inference": values.get("inference", {})}, where=where).inference


def known_keys() -> list[str]:
    """List every setting by its dotted name."""
    keys = []
    for name, field in Config.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            keys += [f"{name}.{inner}" for inner in annotation.model_fields]
        else:
            keys.append(name)
    return keys


def nearest_key(unknown: str) -> str:
    """Name the known setting that looks most like an unknown one, or an empty text."""
    keys = known_keys()
    found = difflib.get_close_matches(unknown, keys, n=1, cutoff=0.5)
    if not found:
        last = unknown.rpartition(".")[2]
        endings = {key.rpartition(".")[2]: key for key in keys}
        found = [endings[e] for e in difflib.get_close_matches(last, endings, n=1, cutoff=0.6)]
    return found[0] if found else ""


def _describe(error: ValidationError) -> str:
    """Fold a validation error into one line about its first fault."""
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"] if part not in ("int", "float", "tuple"))
    if fault["type"] == "extra_forbidden":
        hint = nearest_key(place)
        return f"unknown setting {place}" + (f"; did you mean {hint}?" if hint else "")
    message = fault["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    found = "" if fault["type"] == "value_error" else f" is {shown(fault['input'])}:"
    if found:
        return f"{place}{found} {message}"
    return f"{place}: {message}" if place else message
