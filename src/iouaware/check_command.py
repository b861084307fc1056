"""The command ``check``: its options, and the one call behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from iouaware.options import given
from iouaware.running.folder import Say


def add_check(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the options of ``check``."""
    parser.add_argument(
        "DATA", type=str, help="a COCO, VOC or YOLO data set: its folder, or the file about it"
    )
    parser.add_argument(
        "--with",
        type=str,
        metavar="RUN",
        help="compare classes and picture size with a run, a model file, or latest",
    )
    parser.add_argument(
        "--fix",
        type=str,
        metavar="OUT",
        help="write a corrected copy into this new folder, and changes.json; DATA stays as it is",
    )
    parser.add_argument(
        "--sheet",
        type=str,
        metavar="FILE",
        help="draw pictures with their boxes on one sheet (.jpg, .png), findings first",
    )
    parser.add_argument(
        "--images", type=str, metavar="DIR", help="where the pictures are, found by name"
    )
    parser.add_argument(
        "--decode",
        type=Literal["auto", "all", "none"],
        metavar="auto|all|none",
        help="pictures to decode; auto: all up to 4,000 million pixels, of larger sets a share",
    )


def run_check(options: Namespace, say: Say) -> dict[str, Any]:
    """Check a data set and print the findings."""
    from iouaware.running.checking import check

    names = ("fix", "sheet", "images", "decode")
    return check(
        options.DATA, with_=options.get("with"), say=say, **given(options, *names)
    ).result()
