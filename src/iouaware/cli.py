"""The command line: finds the command, prints its result, folds errors into one line."""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import iouaware
from iouaware.errors import ConfigError, IoUAwareError, ParityError, UnreadableError

FOUND_WRONG = 1
WRONG_INPUT = 2
WITH_TORCH = ("torch", "torchvision", "timm")  # what training and weights need
INTERRUPTED = 130  # what a shell reports for Ctrl-C
LONGEST = 2000  # characters of an error; a name in a file can have millions
GROUPS = ("", "tune", "data")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; None takes those of the process.

    Returns:
        The exit code: 0; 1 where a check found something wrong, 2 where the input is wrong (one
        line on stderr says what).
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(given)
    except ParityError as error:
        if "--json" in given:
            _print_json({"file": str(error.file), "parity": str(error.report), "past": error.past})
        return _fail(str(error), FOUND_WRONG)
    except UnreadableError as error:
        if "--json" in given:
            _print_json({"predictions": str(error.written), "failed": error.failed})
        return _fail(str(error))
    except IoUAwareError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:  # an installation without the heavy packages
        if error.name not in WITH_TORCH:
            raise
        return _fail(
            f"this needs {error.name}, which is not installed; pip install iouaware with its "
            "dependencies, or use a file that iouaware export wrote"
        )
    except BrokenPipeError:  # the reader of a pipe has gone, as in: iouaware ... | head
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  until the end
        return 0
    except OSError as error:  # a full disk, a folder without permission
        return _fail(f"{error.filename or 'the system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


def _run(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if given[0] in ("-V", "--version"):
        print(f"iouaware {iouaware.__version__}")
        return 0
    name, rest = given[0], given[1:]
    from iouaware.commands import COMMANDS
    from iouaware.options import new_parser, parse

    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(COMMANDS)}"
        raise ConfigError(f"{name}: no such command; {hint}")
    command = COMMANDS[name]
    parser = new_parser(name, command.usage, f"{command.summary[0].upper()}{command.summary[1:]}.")
    parser.add_argument("--json", action="store_true", help="a JSON object as the last line")
    command.add_options(parser, rest)
    if "-h" in rest or "--help" in rest:
        print(parser.format_help())
        return 0
    options = parse(parser, rest)
    if command.computes:
        _prepare()
    result = command.run(options, _say)
    if options.get("json") and _is_first():
        _print_json(result)
    return FOUND_WRONG if command.found_wrong(result) else 0


def overview() -> str:
    """Return what ``iouaware`` alone prints: every command with its summary, in groups."""
    from iouaware.commands import COMMANDS

    lines = [
        "iouaware: an object detector that knows how well its boxes fit.",
        "",
        "usage: iouaware COMMAND [options]        iouaware COMMAND --help",
    ]
    for group in GROUPS:
        lines += ["", f"{group}:"] if group else [""]
        lines += [
            f"  {name:<12}{command.summary}"
            for name, command in COMMANDS.items()
            if command.group == group
        ]
    return "\n".join(
        [*lines, "", "The score is S = p^alpha * IoU^(1-alpha). Begin with: iouaware demo"]
    )


def _prepare() -> None:
    """Set the allocator before memory is taken, and the threads."""
    from iouaware.runtime import prepare_process

    prepare_process()


def _say(line: str) -> None:
    """Print a line now, also where the output is a file."""
    if _is_first():
        print(_plain(line), flush=True)


def _print_json(result: dict[str, Any]) -> None:
    """Print a result as one line that any encoding of the output has the characters for."""
    print(json.dumps(result))


def _plain(text: str) -> str:
    """Write characters that steer a terminal, or that it cannot show, as Python would.

    Names of files and classes come from data that others made.
    """
    text = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _is_first() -> bool:
    """Whether this process prints: one of those that torchrun starts."""
    return os.environ.get("RANK", "0") == "0"


def _fail(message: str, code: int = WRONG_INPUT) -> int:
    text = _plain(" ".join(message.split()))
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}..."
    print(f"iouaware: {text}", file=sys.stderr)
    return code
