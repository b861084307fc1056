"""What a training run is going to do, settled and told before it starts or writes anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iouaware.config import Config, build_config
from iouaware.data.image_size import SIZES, choose_image_size, share_met
from iouaware.data.layouts import Splits, read_splits, verify_images
from iouaware.errors import ConfigError
from iouaware.recipes.reading import RECIPES, read_recipe
from iouaware.running.folder import Say, find_model
from iouaware.runtime import choose_device, default_workers

if TYPE_CHECKING:
    from iouaware.data.dataset import Dataset

# flags without dots -> the setting each is short for
SHORT_SETTINGS = {
    "epochs": "train.epochs",
    "minutes": "train.minutes",
    "image_size": "data.image_size",
    "batch_size": "data.batch_size",
    "images": "data.images",
    "empty": "data.empty",
}
# every picture is decoded beforehand up to this many, about 20 seconds; above, headers alone
DECODED_PICTURES = 2000
ImageSize = int | tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """A training run, settled.

    Attributes:
        config: the whole recipe, with the size in px and without the places of the data.
        places: where the data lie, absolute: ``path``, ``images``, ``empty``.
        splits: the parts of the data set.
        image_size: side of the canvas in px, or (short, long).
        device: as torch names it.
        workers: processes that load pictures.
        start: weights to start from, None for the backbone's own.
    """

    config: Config
    places: Mapping[str, str | None]
    splits: Splits
    image_size: ImageSize
    device: str
    workers: int
    start: str | None


def plan_training(
    data: str | Path | None,
    config: str | Path | Mapping[str, Any] | None,
    settings: Mapping[str, Any],
    *,
    start: str | None = None,
    device: str | None = None,
    workers: int | None = None,
    strict: bool = False,
    say: Say,
) -> Plan:
    """Settle a run: recipe, data, picture size, device; say the lines about recipe, data and size.

    Args:
        data: the data set; None takes ``data.path`` of the config.
        config: a recipe or a YAML file, or all settings of a run that goes on; None takes
            ``modern`` on CUDA, else ``small``.
        settings: values by dotted name, or by the short names in ``SHORT_SETTINGS``.
        start: ``--from``: its network replaces that of the recipe.
        device: None takes CUDA where it is seen.
        workers: None chooses by the cores.
        strict: raise where an annotation would be mended.
        say: takes each line.

    Raises:
        ConfigError: an unknown setting or one that does not fit.
        DatasetError: data that cannot be used.
        CheckpointError: ``start`` cannot be read.
    """
    chosen_device = choose_device(device)
    if start is not None and not start.startswith("torchvision:"):
        start = str(find_model(start))  # latest, a run folder or a file
    overrides = {SHORT_SETTINGS.get(key, key): value for key, value in settings.items()}
    if isinstance(config, Mapping):
        recipe, values = "config.yaml", dict(config)
    else:
        recipe = str(config or ("modern" if chosen_device.startswith("cuda") else "small"))
        values = read_recipe(recipe)
    built = build_config(values, {**_settings_of_start(start), **overrides}, where=_where(recipe))
    elsewhere = overrides.get("data.path")
    if data is not None and elsewhere is not None:
        raise ConfigError(
            f"found two data sets, {data} and --data {elsewhere}; expected one of them"
        )
    path = built.data.path if data is None else data
    if path is None:
        raise ConfigError(
            "no data set given: expected a folder of pictures with labels, "
            "as in: iouaware train DATA"
        )
    say(_describe_recipe(recipe, built.recipe, config is None, chosen_device))
    if built.model.iou_head and built.train.iou_target == "centreness":
        if built.model.second_look:
            raise ConfigError(
                "train.iou_target is centreness, which cannot be joined with a second look at the "
                "IoU; add --model.second_look false"
            )
        say("the IoU branch learns centre-ness: what is called predicted IoU will be no IoU")
    if built.train.freeze == "all-but-iou" and not isinstance(config, Mapping):
        built = _keep_the_last(built, overrides)
    splits = read_data(Path(path).absolute(), built, strict)
    for line in splits.lines:
        say(line)
    image_size = _settle_size(built, splits.train, say)
    places = {
        key: str(Path(value).resolve()) if value else None
        for key, value in (("images", built.data.images), ("empty", built.data.empty))
    }
    return Plan(
        config=_without_places(built, image_size),
        places={**places, "path": str(Path(path).resolve())},
        splits=splits,
        image_size=image_size,
        device=chosen_device,
        workers=default_workers(chosen_device) if workers is None else workers,
        start=start,
    )


def _keep_the_last(config: Config, given: Mapping[str, Any]) -> Config:
    """Keep the last weights: AP at alpha 1, which tells the best, is that of boxes and classes.

    Raises:
        ConfigError: what goes by that AP is asked for.
    """
    if given.get("train.keep") == "best" or config.train.patience is not None:
        raise ConfigError(
            "train.freeze is all-but-iou, under which AP at alpha 1 stays what it is, and "
            "train.keep best and train.patience go by it; leave them out"
        )
    return config.model_copy(update={"train": config.train.model_copy(update={"keep": "last"})})


def read_data(path: Path, config: Config, strict: bool = False) -> Splits:
    """Read a data set and make sure that every picture can be read.

    Raises:
        DatasetError: an annotation or a picture that cannot be used.
    """
    images, empty = config.data.images, config.data.empty
    splits = read_splits(
        path,
        images=Path(images) if images else None,
        empty=Path(empty) if empty else None,
        strict=strict,
    )
    parts = [part for part in (splits.train, splits.val, splits.test) if part is not None]
    decode = sum(len(part) for part in parts) <= DECODED_PICTURES
    for part in parts:
        verify_images(part, decode=decode)
    return splits


def config_of_run(plan: Plan) -> dict[str, Any]:
    """Return what ``config.yaml`` keeps: the recipe, and where the data lie."""
    values = plan.config.model_dump(mode="json")
    return {**values, "data": {**values["data"], **plan.places}}


def _settings_of_start(start: str | None) -> dict[str, Any]:
    """Return the settings that make the network fit the weights to start from."""
    if start is None:
        return {}
    from iouaware.model.weights import model_settings_of

    return {f"model.{key}": value for key, value in model_settings_of(start).items()}


def _where(recipe: str) -> str:
    return f"recipe {recipe}" if recipe in RECIPES else recipe


def _describe_recipe(recipe: str, base: str, by_itself: bool, device: str) -> str:
    """Say which recipe was taken, and name the others where it was chosen here."""
    others = " and ".join(name for name in RECIPES if name != recipe)
    if not by_itself:
        below = "" if recipe in RECIPES else f"; what it leaves out is as in {base}"
        return f"recipe: {recipe}, on {device}{below}"
    seen = "CUDA was seen" if device.startswith("cuda") else "no CUDA was seen"
    return f"recipe: {recipe}, since {seen} (--config also knows {others}), on {device}"


def _settle_size(config: Config, train: Dataset, say: Say) -> ImageSize:
    """Choose the picture size, or look at the one that was set, and say why."""
    asked, geometry = config.data.image_size, config.model.geometry
    if asked != "auto":
        share = share_met(train, asked, geometry)
        text = f"picture size: {_size_text(asked)} as set; {share:.1%} of the boxes meet an anchor"
        say(text + ("" if share >= 0.9 else " (the others train badly: try --image-size auto)"))
        return asked
    choice = choose_image_size(train, geometry)
    met = f"{choice.share:.1%} of the boxes meet an anchor at IoU 0.5"
    if choice.size != SIZES[0]:
        met += f" (at {SIZES[0]} px {choice.share_at_smallest:.1%})"
    if choice.share < 0.9:
        met += f"; no size up to {SIZES[-1]} px reaches 90 %: boxes are tiny or very long"
    say(f"picture size: {choice.size} px: {met}")
    return choice.size


def _size_text(size: ImageSize) -> str:
    return f"{size} px" if isinstance(size, int) else f"{size[0]} x {size[1]} px"


def _without_places(config: Config, image_size: ImageSize) -> Config:
    """Return the config that goes into the model file: sizes settled, no paths of this machine."""
    places = {"path": None, "images": None, "empty": None, "image_size": image_size}
    return config.model_copy(update={"data": config.data.model_copy(update=places)})
