"""Options built from the settings, and mistakes folded into one helpful line."""

from __future__ import annotations

import pytest
from jsonargparse import ArgumentParser

from iouaware.config import known_keys
from iouaware.errors import ConfigError
from iouaware.inference.scoring import FORMULA
from iouaware.options import ALPHA_HELP, Share, add_settings, new_parser, parse, recipe_of


@pytest.fixture
def parser() -> ArgumentParser:
    parser = new_parser("train", "DATA", "Train.")
    parser.add_argument("DATA", nargs="?", type=str, help="the data")
    parser.add_argument("--alpha", type=Share, help=ALPHA_HELP)
    add_settings(parser, "small")
    return parser


def test_every_setting_is_an_option(parser: ArgumentParser) -> None:
    options = {option for action in parser._actions for option in action.option_strings}
    assert {f"--{key}" for key in known_keys() if key != "recipe"} <= options


def test_only_what_was_given_comes_back(parser: ArgumentParser) -> None:
    options = parse(parser, ["d", "--epochs", "3", "--data.image_size=[800,1333]"])
    assert vars(options.as_flat()) == {
        "DATA": "d",
        "train.epochs": 3,
        "data.image_size": (800, 1333),
    }


@pytest.mark.parametrize(
    ("given", "key", "value"),
    [
        (["--image-size", "auto"], "data.image_size", "auto"),
        (["--image-size", "512"], "data.image_size", 512),
        (["--batch-size", "4"], "data.batch_size", 4),
        (["--minutes", "2.5"], "train.minutes", 2.5),
        (["--data", "bolts"], "data.path", "bolts"),
        (["--data=bolts"], "data.path", "bolts"),
        (["--train.ema", "false"], "train.ema", False),
        (["--model.box_stds", "[0.1,0.1,0.2,0.2]"], "model.box_stds", (0.1, 0.1, 0.2, 0.2)),
        (["--model.norm_eps", "null"], "model.norm_eps", None),
    ],
)
def test_values_are_typed(
    parser: ArgumentParser, given: list[str], key: str, value: object
) -> None:
    assert parse(parser, given)[key] == value


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["--train.lrr", "1"], "--train.lrr: unknown option; did you mean --train.lr?"),
        (["--lr", "0.1"], "--lr: unknown option; did you mean --train.lr?"),
        (["--epoch", "1"], "--epoch: unknown option; did you mean --epochs?"),  # no abbreviations
        (["--fpn_channels", "9"], "--fpn_channels: unknown option; did you mean --model.fpn_"),
        (["--zzz"], "--zzz: unknown option; see iouaware train --help"),
        (["--train.lr", "x"], "--train.lr x: expected a number"),
        (["--train.lr", "-1"], "--train.lr -1: expected a value greater than 0"),
        (["--epochs", "2.5"], "--epochs 2.5: expected a whole number"),
        (["--epochs"], "expected one argument"),
        (["--train.optimizer", "adam"], "--train.optimizer adam: expected one of sgd, adamw"),
        (["--train.ema", "7"], "--train.ema 7: expected true or false"),
        (["--image-size", "x"], "a whole number, a pair such as [800, 1333], auto"),
        (["--data.scale_jitter", "2"], "expected a list such as [0.8, 1.2]"),
        (["--alpha", "1.5"], "--alpha 1.5: expected a value less than or equal to 1"),
        (["d", "e"], "e: one argument too many; expected: iouaware train DATA"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    parser: ArgumentParser, given: list[str], line: str
) -> None:
    with pytest.raises(ConfigError) as told:
        parse(parser, given)
    assert line in str(told.value)
    assert "\n" not in str(told.value)


def test_a_missing_argument_is_named() -> None:
    parser = new_parser("report", "RUN", "Report.")
    parser.add_argument("RUN", type=str)
    parser.add_argument("--form", type=str, required=True)
    with pytest.raises(ConfigError, match=r"^RUN is missing; expected: iouaware report RUN$"):
        parse(parser, ["--form", "a"])
    with pytest.raises(ConfigError, match=r"^--form is missing; expected: iouaware report RUN$"):
        parse(parser, ["r"])


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("o'brien.jpg", "o'brien.jpg: one argument too many"),
        ('a"b', 'a"b: one argument too many'),
        ("a b", "a b: one argument too many"),
        ("", "'': one argument too many"),
        ('--alfa=a"b', "--alfa: unknown option; did you mean --alpha?"),
    ],
)
def test_what_is_too_much_is_named_whole(parser: ArgumentParser, more: str, line: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(parser, ["d", more])
    assert str(error.value).startswith(line)


def test_an_empty_text_is_refused(parser: ArgumentParser) -> None:
    with pytest.raises(ConfigError, match=r"^--data: found an empty text"):
        parse(parser, ["--data", ""])


@pytest.mark.parametrize(
    ("arguments", "recipe"),
    [
        (["d"], "small"),
        (["d", "--config", "paper"], "paper"),
        (["--config=modern", "d"], "modern"),
        (["d", "--config"], "small"),
    ],
)
def test_the_help_shows_the_recipes_values(arguments: list[str], recipe: str) -> None:
    assert recipe_of(arguments) == recipe


def test_help_shows_defaults_and_choices_of_the_recipe(parser: ArgumentParser) -> None:
    text = " ".join(parser.format_help().split())
    assert "--train.optimizer sgd|adamw what takes the steps [adamw]" in text
    assert "the data set" in text
    assert "SUPPRESS" not in text


@pytest.mark.parametrize(
    "shown",
    [
        "--model.frozen_stages N 1 freezes the stem and the first stage [0]",
        "--model.box_stds [X,X,X,X] each delta is divided by its own [0.1,0.1,0.2,0.2]",
        "--data.image_size N|[N,N]|auto, --image-size N|[N,N]|auto",
        "--train.compile true|false compile the network with torch.compile [false]",
        "--train.warmup_start X share of lr at the first step [0.3333]",
        "--seed N fixes order, augmentation and new weights [0]",
    ],
)
def test_help_shows_values_as_they_are_typed(parser: ArgumentParser, shown: str) -> None:
    assert shown in " ".join(parser.format_help().split())


def test_a_command_shows_its_own_defaults() -> None:
    parser = new_parser("adopt", "CHECKPOINT", "Adopt.")
    add_settings(parser, "small", {"model.backbone": None, "train.freeze": "all-but-iou"})
    text = " ".join(parser.format_help().split())
    assert "at strides 8, 16, 32 --model.weights" in text  # the checkpoint says which
    assert "what stays as it is [all-but-iou]" in text


def test_p53_the_formula_stands_in_the_help(parser: ArgumentParser) -> None:
    assert FORMULA in " ".join(parser.format_help().split())
