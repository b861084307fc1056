"""The pictures a run is judged on, and its candidates there: one forward pass, kept."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from iouaware.config import Config, Precision
from iouaware.data.class_mapping import map_classes
from iouaware.data.dataset import Dataset
from iouaware.data.layouts import read_split
from iouaware.errors import CheckpointError, ConfigError
from iouaware.images import read_image
from iouaware.inference.exported import is_exported, read_info
from iouaware.places import find_in_run
from iouaware.running.folder import Say
from iouaware.running.results import read_json
from iouaware.runtime import choose_device, default_workers
from iouaware.structures import Candidates

if TYPE_CHECKING:
    from iouaware.inference.predictor import Predictor
    from iouaware.structures import ModelInfo

# to be raised whenever the same weights and pictures give other candidates than before
RULE = 2


def read_run_split(
    run: Path, config: Config, info: ModelInfo, data: str | Path | None, split: str, say: Say
) -> Dataset:
    """Read the pictures to judge a run on, with the classes of its model.

    Args:
        run: the run folder, or the model file in it.
        config: of the run; ``data.path`` is used where ``data`` is None.
        info: of the model.
        data: another data set.
        split: ``train``, ``val`` or ``test``.
        say: takes a line where the pictures are no longer those of the training.

    Raises:
        ConfigError: the run does not know its data.
        DatasetError: no such split, or boxes of a class the model does not know.
    """
    path = config.data.path if data is None else data
    if path is None:
        raise ConfigError(
            f"{run}: the run does not name its data; name it: iouaware evaluate {run} --data DATA; "
            "sweep and export take --data too"
        )
    own = data is None
    dataset = read_split(
        Path(path).absolute(),
        split,
        images=Path(config.data.images) if own and config.data.images else None,
        empty=Path(config.data.empty) if own and config.data.empty else None,
    )
    if own:
        _compare_with_training(run if run.is_dir() else run.parent, dataset, split, say)
    return map_classes(dataset, info.class_names, info.category_ids)


def other_than_own(data: str | Path | None, config: Config) -> str | Path | None:
    """Return a data set, or None where it is the run's own, for which its settings know more."""
    return None if data is None or str(Path(data).resolve()) == config.data.path else data


def find_run_part(run: Path, dataset: Dataset, own: bool) -> str | None:
    """Tell which part of the run's own data pictures are of, wherever they lie now.

    Elsewhere names alone say little, many data sets have a 00000.jpg: the files must be as long as
    those of the training, too. A run of an earlier version does not know how long they were.

    Args:
        run: the run folder, or that of its exported files.
        dataset: the pictures.
        own: they lie where those of the training lay.

    Returns:
        ``train``, ``val`` or ``test`` where half of the pictures or more are those of that part in
        ``split.json``, ``none`` where they are of none, None where the run does not know its parts.
    """
    written = find_in_run(run, "split.json")
    if written is None:
        return None
    parts = read_json(written)
    rows = {dataset.file_name(index): index for index in range(len(dataset))}
    for part in ("train", "val", "test"):
        names = rows.keys() & (parts.get(part) or ())
        lengths = (parts.get("bytes") or {}).get(part) or {}
        known = names & lengths.keys()
        same = [name for name in known if file_length(dataset, rows[name]) == lengths[name]]
        if 2 * len(names) >= len(rows) and (own or 2 * len(same) >= len(known)):
            return part
    return "none"


def name_what_is_judged(
    run: Path,
    model: str,
    config: Config,
    dataset: Dataset,
    data: str | Path | None,
    split: str,
) -> dict[str, str | None]:
    """Return what results say of themselves: the model and the pictures that they are of.

    Args:
        run: the run folder.
        model: what ``fingerprint_model`` returns.
        config: of the run.
        dataset: the pictures.
        data: where they lie; None for the run's own.
        split: their part.
    """
    return {
        "model": model,
        "data": config.data.path if data is None else str(Path(data).resolve()),
        "split": split,
        "run_part": find_run_part(run, dataset, data is None),
    }


def file_length(dataset: Dataset, index: int) -> int | None:
    """Return the bytes of a picture's file, None where there is none."""
    path = dataset.record(index).path
    return path.stat().st_size if path.is_file() else None


def _compare_with_training(run: Path, dataset: Dataset, split: str, say: Say) -> None:
    """Say where a part has other pictures than at training: its numbers then mean something else.

    A split made by hashing may have moved training pictures into the validation part.
    """
    written = find_in_run(run, "split.json")
    if written is None:
        return
    before = set(read_json(written).get(split) or ())
    now = {dataset.file_name(index) for index in range(len(dataset))}
    if before and before != now:
        say(
            f"warning: {split} has {len(now - before)} pictures it did not have at training and "
            f"lacks {len(before - now)} it had ({written}): the figures are not comparable"
        )


def collect_run_candidates(
    model_path: Path,
    dataset: Dataset,
    kept: Path | None,
    device: str | None = None,
    workers: int | None = None,
    precision: Precision = "float32",
    model: str | None = None,
) -> list[Candidates]:
    """Return the candidates of every picture, from the kept file where it is of these weights.

    A kept file that is damaged, or comes from other weights or pictures, is made anew.

    Args:
        model_path: the weights.
        dataset: the pictures, in the order of the result.
        kept: ``RUN/candidates-<split>.npz``, read or written; None neither reads nor writes.
        device: None takes CUDA where it is seen.
        workers: processes that load pictures; None chooses.
        precision: what the network computes in; only float32 is read from or written to ``kept``.
        model: what ``fingerprint_model`` returns, where it is known already.
    """
    from iouaware.evaluation.cache import load_candidates, save_candidates

    if precision != "float32" or is_exported(model_path):
        kept = None  # what is kept is of the weights
    if kept is None:
        return _run_network(model_path, dataset, device, workers, precision)
    made_of = _fingerprint(model or fingerprint_model(model_path), dataset)
    with suppress(CheckpointError):
        return load_candidates(kept, made_of)
    candidates = _run_network(model_path, dataset, device, workers, precision)
    save_candidates(kept, candidates, made_of)
    return candidates


def load_model(model_path: Path, device: str | None, precision: Precision) -> Predictor:
    """Load weights onto the device asked for, or an exported file, which knows no torch."""
    from iouaware.inference.predictor import load

    if is_exported(model_path):
        return load(model_path, device, precision)
    return load(model_path, choose_device(device), precision)


def fingerprint_model(model_path: Path) -> str:
    """Return a hash of a model, whatever its file is called; alpha and thresholds do not count."""
    with model_path.open("rb") as file:
        if is_exported(model_path):
            return hashlib.file_digest(file, "sha256").hexdigest()
        info = replace(read_info(model_path), alpha=1.0, score_thresholds={})
        digest = hashlib.sha256(json.dumps(asdict(info), sort_keys=True).encode())
        # 8 bytes with the header's length, header, weights
        file.seek(int.from_bytes(file.read(8), "little"), os.SEEK_CUR)
        digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _fingerprint(model: str, dataset: Dataset) -> str:
    """Return a hash of what candidates depend on: rule, weights, settings, pictures in order.

    Pictures count by name, shape, and size and time of their file; alpha and the thresholds do not.
    """
    digest = hashlib.sha256(f"{RULE} {model}".encode())
    for index in range(len(dataset)):
        record = dataset.record(index)
        shape = f"{record.width}x{record.height}"
        digest.update(f"{dataset.file_name(index)!r} {shape}".encode())
        if record.path.is_file():
            found = record.path.stat()
            digest.update(f" {found.st_size} {found.st_mtime_ns}".encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _run_network(
    model_path: Path,
    dataset: Dataset,
    device: str | None,
    workers: int | None,
    precision: Precision,
) -> list[Candidates]:
    from iouaware.evaluation.collect import collect_candidates

    predictor = load_model(model_path, device, precision)
    if is_exported(model_path):  # torch may be missing, and the loader needs it
        images = (read_image(dataset.record(index).path) for index in range(len(dataset)))
        return predictor.compute_candidates(images)
    return collect_candidates(
        predictor.backend,
        dataset,
        predictor.image_size,
        predictor.fill,
        batch_size=predictor.batch_size,
        workers=default_workers(choose_device(device)) if workers is None else workers,
        progress=sys.stderr.isatty(),
    )
