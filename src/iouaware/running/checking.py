"""``iouaware.check``: what is wrong with a data set, and a corrected copy of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from iouaware.checking.check import check_data
from iouaware.checking.findings import CheckReport
from iouaware.checking.fixing import correct, refuse_unknown_form, write_corrected
from iouaware.checking.sheet import refuse_unfit_sheet, write_sheet
from iouaware.checking.telling import report_lines
from iouaware.checking.thumbnails import Decode
from iouaware.data.examining import ExaminedSet, examine
from iouaware.data.yolo_pairs import labels_folder
from iouaware.errors import ConfigError, DatasetError
from iouaware.evaluation.evaluate import write_json
from iouaware.running.folder import RunLog, Say, claim_folder, find_model, refuse_taken

CHANGES_FILE = "changes.json"


def check(
    data: str | Path,
    *,
    with_: str | Path | None = None,
    fix: str | Path | None = None,
    sheet: str | Path | None = None,
    images: str | Path | None = None,
    decode: Decode = "auto",
    say: Say | None = None,
) -> CheckReport:
    """Find what is wrong with a data set: files, pictures, boxes, classes, leaks.

    Nothing of the data set is changed.

    Args:
        data: a COCO, Pascal VOC or YOLO data set: its folder, or the file about it.
        with_: a run folder or model file to compare classes and picture size with, or ``latest``.
        fix: a new folder for a corrected copy; ``changes.json`` in it lists what was changed.
        sheet: a picture file for a contact sheet of drawn boxes, findings first.
        images: where the pictures are, to be found by name.
        decode: ``all`` pictures, ``none`` (headers alone), or ``auto``: all up to 4,000 million
            pixels, of larger sets an evenly spread share and every file without an end mark.
        say: takes each line meant for the user; Python's logging by default.

    Returns:
        The findings, gravest first, and facts about the data. ``ok`` is False where there are
        errors or warnings; notes are advice.

    Raises:
        DatasetError: no data set there, or the copy cannot be written.
        CheckpointError: ``with_`` is no model.
        ConfigError: ``fix`` is not new, or lies in the data set; ``sheet`` is no picture's name,
            or is there.
        ValueError: no such ``decode``.
    """
    log, place = RunLog(say), Path(data)
    if decode not in get_args(Decode):
        raise ValueError(f"decode is {decode!r}, expected one of {', '.join(get_args(Decode))}")
    if sheet is not None:
        refuse_unfit_sheet(Path(sheet))
    model = None if with_ is None else find_model(with_)
    examined = examine(place, None if images is None else Path(images))
    if not examined.parts:
        problem = examined.layout.problems[0]
        raise DatasetError(problem.message)
    out = None if fix is None else Path(fix)
    if out is not None:
        refuse_unknown_form(examined)
        given = (path for path in (place, images) if path is not None)
        _refuse_place(out, _data_folders(examined, map(Path, given)))
    report = check_data(examined, place, model, decode)
    for line in report_lines(report):
        log(line)
    with nullcontext() if out is None else _claimed(out):
        if sheet is not None:
            count = write_sheet(examined, report.findings, Path(sheet))
            log(f"drew {count} pictures on {sheet}")
        if out is not None:
            log(_write_copy(examined, report, out))
    return report


def _data_folders(examined: ExaminedSet, given: Iterable[Path]) -> set[Path]:
    """Return the folders that no copy may lie in: those given, and those of pictures and labels.

    A file that describes the data may lie anywhere; where the data lie below it, what they have in
    common is their folder.
    """
    datasets = [part.dataset for part in examined.parts.values()]
    pictures = {data.record(index).path.parent for data in datasets for index in range(len(data))}
    folders = pictures | set(map(labels_folder, pictures))
    if folders and all(folder.is_relative_to(examined.root) for folder in folders):
        folders.add(Path(os.path.commonpath(folders)))
    return folders | {folder for folder in given if folder.is_dir()}


def _refuse_place(out: Path, taken: set[Path]) -> None:
    """See that the corrected copy has a place of its own, before the work is done.

    Raises:
        ConfigError: it is not empty, or lies in one of the folders that are taken.
    """
    if any(out.resolve().is_relative_to(folder.resolve()) for folder in taken):
        raise ConfigError(
            f"--fix {out}: lies in the data set, expected a folder outside; nothing in the data "
            "set is touched: name another one"
        )
    refuse_taken(out, "--fix")


@contextmanager
def _claimed(out: Path) -> Iterator[None]:
    """Make the folder of the copy; where it is new, an error does not leave it empty."""
    new = not out.exists()
    claim_folder(out, "--fix")
    try:
        yield
    except DatasetError:
        if new and not any(out.iterdir()):  # a sheet may lie there
            out.rmdir()
        raise


def _write_copy(examined: ExaminedSet, report: CheckReport, out: Path) -> str:
    """Write the copy aside and move it into its folder when it is whole; return the line about it.

    The folder itself may be where the user stands, a link or a mounted volume: it stays.
    """
    parts, changes = correct(examined, report.findings)
    done = {(change.kind, change.split, change.file) for change in changes}
    left = [
        finding.result()
        for finding in report.findings
        if finding.severity != "note" and (finding.kind, finding.split, finding.file) not in done
    ]
    with tempfile.TemporaryDirectory(prefix=".fixing-", dir=out) as scratch:
        written = Path(scratch)
        write_corrected(parts, written)
        content = {
            "data": str(examined.root),
            "changes": [asdict(change) for change in changes],
            "left": left,
        }
        write_json(written / CHANGES_FILE, content)
        # the list of changes last: where it is, all is
        for path in sorted(written.iterdir(), key=lambda path: path.name == CHANGES_FILE):
            path.rename(out / path.name)
    return (
        f"wrote {out}: {len(changes):,} changes, listed in {out / CHANGES_FILE}; "
        f"{len(left):,} findings are left for you"
    )
