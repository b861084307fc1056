"""The commands ``train`` and ``adopt``: their options, and the one call behind both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from iouaware.config import ModelConfig
from iouaware.options import Positive, add_machine, add_settings, recipe_of
from iouaware.recipes.reading import RECIPES
from iouaware.running.folder import Say

Result = dict[str, Any]
# options of train that are no settings; all others go on by their dotted names
TRAIN_FLAGS = ("out", "device", "workers", "log", "dry_run", "resume", "overfit", "strict")

# an IoU branch is what it is for, also where the detector has none yet
ADOPT_DEFAULTS = {"train.freeze": "all-but-iou", "model.iou_head": True}


def add_train(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the options of ``train``."""
    parser.add_argument(
        "DATA",
        nargs="?",
        type=str,
        help="a COCO, VOC or YOLO data set: its folder, or the file about it",
    )
    parser.add_argument(
        "--from",
        type=str,
        metavar="START",
        help="start from a run, a weights file, or torchvision:NAME",
    )
    parser.add_argument("--resume", type=str, metavar="RUN", help="go on with a run, or latest")
    _add_training_flags(parser)
    add_settings(parser, recipe_of(arguments))


def add_adopt(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the options of ``adopt``."""
    parser.add_argument(
        "CHECKPOINT",
        type=str,
        help="torchvision:retinanet_resnet50_fpn[_v2], or its weights in a file",
    )
    _add_training_flags(parser)
    of_start = {f"model.{name}": None for name in ModelConfig.model_fields if name != "second_look"}
    add_settings(parser, recipe_of(arguments), {**of_start, **ADOPT_DEFAULTS})


def _add_training_flags(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=str,
        metavar="NAME|FILE",
        help=f"{', '.join(RECIPES)} or a YAML file; small, or modern on CUDA",
    )
    parser.add_argument(
        "--out",
        type=str,
        metavar="RUN",
        help="the run folder, new or empty; runs/<data>-<n>/ if left out",
    )
    parser.add_argument(
        "--overfit",
        type=Positive,
        metavar="N",
        help="learn N pictures by heart: can the data be learnt at all?",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    parser.add_argument(
        "--strict", action="store_true", help="stop at an annotation that would be mended"
    )
    parser.add_argument(
        "--log",
        type=str,
        metavar="NAMES",
        help="csv,tensorboard,mlflow,wandb: where each epoch's numbers go",
    )
    add_machine(parser)


def run_train(options: Namespace, say: Say) -> Result:
    """Train a detector."""
    return _train_from(options, say, options.get("DATA"), options.get("from"))


def run_adopt(options: Namespace, say: Say) -> Result:
    """Short for ``train --from CHECKPOINT --train.freeze all-but-iou``."""
    for name, value in ADOPT_DEFAULTS.items():
        if name not in options:
            options[name] = value
    return _train_from(options, say, None, options.CHECKPOINT)


def _train_from(options: Namespace, say: Say, data: str | None, start: str | None) -> Result:
    from iouaware.running.training import train

    given = vars(options.as_flat())
    flags = {name: given[name] for name in TRAIN_FLAGS if name in given}
    settings = {name: value for name, value in given.items() if "." in name or name == "seed"}
    run = train(data, given.get("config"), from_=start, say=say, **flags, **settings)
    return run.result()
