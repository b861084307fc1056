"""The options of the command line, built from the settings themselves, and their errors."""

from __future__ import annotations

import difflib
import json
import re
from argparse import SUPPRESS, ArgumentError, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from jsonargparse import ArgumentParser, Namespace
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from iouaware.config import Config, nearest_key
from iouaware.errors import ConfigError
from iouaware.inference.scoring import FORMULA
from iouaware.recipes.reading import read_recipe

# shorter names of settings; everything else about them is told by config.py alone
SHORT_FLAGS = {
    "train.epochs": "--epochs",
    "train.minutes": "--minutes",
    "data.image_size": "--image-size",
    "data.batch_size": "--batch-size",
    "data.images": "--images",
    "data.empty": "--empty",
}
# alpha's formula stands in every help that has it: other projects use the opposite exponent
ALPHA_HELP = f"{FORMULA}; 1 ranks by class score p alone, 0 by predicted IoU"
# how pydantic names what it wants, and how we do
_WORDS = {
    "a valid number": "a number",
    "a valid integer": "a whole number",
    "a valid boolean": "true or false",
}
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


def new_parser(command: str, usage: str, summary: str) -> ArgumentParser:
    """Return a parser that never guesses abbreviations and raises instead of exiting."""
    return ArgumentParser(
        prog=f"iouaware {command}",
        usage=f"iouaware {command} {usage}",
        description=summary,
        allow_abbrev=False,
        exit_on_error=False,
        default_env=False,
        formatter_class=_HelpFormatter,
    )


class _HelpFormatter(RawDescriptionHelpFormatter):
    """Shows an option's default, without the types that pydantic checks anyway."""

    def _get_help_string(self, action: Any) -> str:
        text = action.help or ""
        default = action.default
        if default is None or default is SUPPRESS or action.nargs == 0:
            return text
        return f"{text} [{_as_typed(default)}]".lstrip().replace("%", "%%")


def _as_typed(value: Any) -> str:
    """Write a value as the command line takes it, a list without its brackets."""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text.strip("[]")


def add_device(parser: ArgumentParser) -> None:
    """Add the option that says where the network runs."""
    parser.add_argument(
        "--device", type=str, metavar="D", help="cpu, cuda, cuda:1 ...; CUDA where it is seen"
    )


def add_machine(parser: ArgumentParser) -> None:
    """Add the options that say where to compute."""
    add_device(parser)
    parser.add_argument(
        "--workers",
        type=Count,
        metavar="N",
        help="processes that load pictures; chosen by the cores if left out",
    )


def given(options: Namespace, *names: str) -> dict[str, Any]:
    """Return the options that were given, so that the functions' own defaults hold."""
    return {name: options[name] for name in names if name in options}


def add_settings(
    parser: ArgumentParser, recipe: str, differing: Mapping[str, Any] | None = None
) -> None:
    """Add an option for every setting, with the recipe's values as the defaults shown.

    Args:
        parser: of the command.
        recipe: a name or file.
        differing: defaults of this command by dotted name; None where it has none to show.
    """
    values = read_recipe(recipe)
    seed = Config.model_fields["seed"]
    parser.add_argument(
        "--seed",
        type=_type_of(seed),
        default=values.get("seed", seed.default),
        metavar="N",
        help=seed.description,
    )
    for section, field in Config.model_fields.items():
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            continue
        group = parser.add_argument_group((field.annotation.__doc__ or section).rstrip("."))
        for name, inner in field.annotation.model_fields.items():
            key = f"{section}.{name}"
            short = [SHORT_FLAGS[key]] if key in SHORT_FLAGS else []
            of_recipe = values.get(section, {}).get(name, inner.default)
            group.add_argument(
                f"--{key}",
                *short,
                type=_type_of(inner),
                default=(differing or {}).get(key, of_recipe),
                metavar=_metavar(inner.annotation),
                help=inner.description or name.replace("_", " "),
            )


def recipe_of(arguments: Sequence[str]) -> str:
    """Return the recipe whose values the help shows: that of ``--config``, else ``small``."""
    for position, argument in enumerate(arguments):
        if argument.startswith("--config="):
            return argument.partition("=")[2]
        if argument == "--config" and position + 1 < len(arguments):
            return arguments[position + 1]
    return "small"


def _type_of(field: FieldInfo) -> Any:
    return field.rebuild_annotation()


def _metavar(kind: Any) -> str:
    """Return what stands for a value of this type in the help."""
    names: dict[Any, str] = {int: "N", float: "X", str: "TEXT", bool: "true|false"}
    if kind in names:
        return names[kind]
    if get_origin(kind) is Annotated:
        return _metavar(get_args(kind)[0])
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    parts = [_metavar(part) for part in get_args(kind) if part is not type(None)]
    return f"[{','.join(parts)}]" if get_origin(kind) is tuple else "|".join(parts)


def parse(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """Parse a command's arguments; only what was given is in the result.

    Raises:
        ConfigError: one line that names the option and, for an unknown one, the nearest known.
    """
    try:
        options = parser.parse_args(_spell_out_data(parser, arguments), defaults=False)
    except ArgumentError as error:
        raise ConfigError(fold_error(str(error), parser, arguments)) from error
    for key, value in vars(options.as_flat()).items():
        if value == "":  # an empty variable of a script
            raise ConfigError(
                f"{_flag(key, parser, arguments)}: found an empty text; name it, or leave it out"
            )
    return options


def _spell_out_data(parser: ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """Write ``--data X`` as ``--data.path X`` where the settings are options.

    It cannot be a second name of that option: the parser takes it for the whole section.
    """
    if not any("--data.path" in action.option_strings for action in parser._actions):
        return list(arguments)
    return [re.sub(r"^--data(?==|$)", "--data.path", argument) for argument in arguments]


def fold_error(message: str, parser: ArgumentParser, arguments: Sequence[str]) -> str:
    """Turn the parser's message, of many lines, into one that says what to do."""
    unknown = re.search(r"[Uu]nrecognized arguments: (.*)", message)
    if unknown:
        # the parser joins them with spaces, which may be in one of them too: the longest that fits
        fitting = [one for one in arguments if f"{unknown[1]} ".startswith(f"{one} ")]
        return _describe_unknown(max(fitting, key=len, default=unknown[1]), parser)
    key = re.search(r'Parser key "([^"]+)":', message)
    if key:
        found = re.search(r"(?:Got value|Given value): (.*?)\s*$", message, re.DOTALL)
        value = f" {found[1]}" if found else ""
        return f"{_flag(key[1], parser, arguments)}{value}: {_expectation(message)}"
    # as the newest version of the parser says it, and as the oldest does
    required = re.search(r'are required: ([\w.-]+)|[Kk]ey "([\w.-]+)" is required', message)
    if required:
        missing = _flag(required[1] or required[2], parser, arguments)
        return f"{missing} is missing; expected: {parser.usage}"
    return f"{' '.join(message.split())}; see {parser.prog} --help"


def _describe_unknown(found: str, parser: ArgumentParser) -> str:
    name = found.partition("=")[0]
    if not name.startswith("-"):
        return f"{found or repr(found)}: one argument too many; expected: {parser.usage}"
    options = [option for action in parser._actions for option in action.option_strings]
    last = name.lstrip("-").replace("-", "_")  # --lr means --train.lr
    near = [option for option in options if option.rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(name, options, n=1, cutoff=0.6)
    if not near and (key := nearest_key(name.lstrip("-"))) and f"--{key}" in options:
        near = [f"--{key}"]
    hint = f"did you mean {near[0]}?" if near else f"see {parser.prog} --help"
    return f"{name}: unknown option; {hint}"


def _flag(key: str, parser: ArgumentParser, arguments: Sequence[str]) -> str:
    """Return the option as it was typed, for a parser's key."""
    typed = {argument.partition("=")[0] for argument in arguments}
    if key == "data.path" and "--data" in typed:  # as _spell_out_data reads it
        return "--data"
    for action in parser._actions:
        if action.dest == key:
            names = [option for option in action.option_strings if option in typed]
            return names[0] if names else (action.option_strings or [key])[0]
    return f"--{key}"


def _expectation(message: str) -> str:
    """Return what the value should have been."""
    wanted = re.search(r"Input should be (.*?)(?:, unable| \[type=|$)", message, re.MULTILINE)
    choices = re.search(r"Expected a typing\.Literal\[(.*?)\]", message)
    if wanted:
        text = f"expected {_WORDS.get(wanted[1], f'a value {wanted[1]}')}"
        return f"{text} or {choices[1].replace(chr(39), '')}" if choices else text
    sizes = re.search(r"Subtypes: \[(.*)\]", message)
    if sizes:
        return f"expected one of {_plain_types(sizes[1])}"
    if choices:
        return f"expected one of {choices[1].replace(chr(39), '')}"
    kind = re.search(r"Expected a (.*?)\. Got value", message)
    return f"expected {_plain_types(kind[1] if kind else ' '.join(message.split()))}"


def _plain_types(types: str) -> str:
    """Turn Python's names of types into words."""
    names = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}
    names |= {"tuple": "a list such as [0.8, 1.2]", "NoneType": "null"}
    text = re.sub(r"<class '(\w+)'>", lambda found: names.get(found[1], found[1]), types)
    text = text.replace("tuple[int, int]", "a pair such as [800, 1333]").replace("tuple", "list")
    return re.sub(r"typing\.Literal\[(.*?)\]", r"\1", text).replace("'", "")
