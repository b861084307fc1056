"""A run: what can be asked of a trained detector, in one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from iouaware.config import Config, Precision, build_config, build_inference_config
from iouaware.evaluation.evaluate import write_json
from iouaware.evaluation.held_out import kept_alpha
from iouaware.inference.export_metadata import End
from iouaware.inference.exported import Format, read_info
from iouaware.inference.formats import Form
from iouaware.inference.selection import resolve_alpha
from iouaware.places import find_in_run
from iouaware.recipes.reading import read_settings
from iouaware.running.candidates import (
    collect_run_candidates,
    fingerprint_model,
    load_model,
    name_what_is_judged,
    other_than_own,
    read_run_split,
)
from iouaware.running.exporting import ExportOptions, export_run, refuse_exported
from iouaware.running.folder import (
    RunLog,
    Say,
    claim_folder,
    dropped_on_error,
    find_model,
    find_run,
    numbered_folder,
)
from iouaware.running.results import (
    is_of,
    main_numbers,
    read_evaluation,
    read_sweep,
    same_threshold,
)

if TYPE_CHECKING:
    from iouaware.data.dataset import Dataset
    from iouaware.structures import Candidates, ModelInfo


class Run:
    """A run folder, or a weights file: evaluate, sweep, report and predict with it.

    Attributes:
        path: the folder everything is written into.
        known: parts of the run's own data that are read already, by split.
    """

    def __init__(
        self,
        run: str | Path = "latest",
        *,
        device: str | None = None,
        workers: int | None = None,
        precision: Precision = "float32",
        say: Say | None = None,
        known: Mapping[str, Dataset] | None = None,
    ) -> None:
        """Find the run; its model is read when it is needed.

        Args:
            run: a run folder, a ``.safetensors`` file, or ``latest``.
            device: None takes CUDA where it is seen.
            workers: processes that load pictures; None chooses.
            precision: what the network computes in when it looks at pictures.
            say: takes each line meant for the user; Python's logging by default.
            known: as above.

        Raises:
            CheckpointError: no such run.
        """
        self._run = find_run(run)
        self.path = self._run if self._run.is_dir() else self._run.parent
        self._device, self._workers, self._precision = device, workers, precision
        self._say = say or RunLog()
        self.known = known or {}

    def __repr__(self) -> str:
        """Show where it lies."""
        return f"Run({str(self.path)!r})"

    @property
    def model_path(self) -> Path:
        """The weights; a ``CheckpointError`` where training has not written any yet."""
        return find_model(self._run)

    @property
    def info(self) -> ModelInfo:
        """What the model file says about itself."""
        return read_info(self.model_path)

    @property
    def config(self) -> Config:
        """The settings of the run, with the place of its data where the folder knows it."""
        written = find_in_run(self.path, "config.yaml")
        if written is not None:
            return build_config(read_settings(written), where=str(written))
        return build_config(self.info.config, where=str(self.model_path))

    def evaluate(
        self, data: str | Path | None = None, split: str = "val", alpha: float | None = None
    ) -> dict[str, Any]:
        """Compute the detector's numbers and write ``evaluation.json``.

        Args:
            data: None takes the data of the run.
            split: ``train``, ``val`` or ``test``.
            alpha: None takes the model's.

        Returns:
            What ``evaluation.json`` holds.

        Raises:
            ConfigError: the run does not know its data.
            DatasetError: no such split, or classes the model does not know.
            ValueError: alpha lies outside 0..1.
        """
        from iouaware.evaluation.evaluate import evaluate_candidates

        info = self.info
        alpha = resolve_alpha(info, alpha)
        dataset, candidates, where = self._look(data, split)
        settings = build_inference_config(info.config, str(self.model_path))
        evaluation = evaluate_candidates(
            dataset, candidates, alpha, settings, info.score_thresholds
        )
        evaluation |= where
        if where["run_part"] == "val":
            chosen = f"{info.chosen_on_validation} were chosen on these very pictures"
            evaluation["notes"]["split"] = f"the figures are optimistic: {chosen}"
        write_json(self.path / "evaluation.json", evaluation)
        return evaluation

    def sweep(
        self,
        data: str | Path | None = None,
        split: str = "val",
        optimize: str = "AP",
        per_class: bool = False,
        save: bool = False,
    ) -> dict[str, Any]:
        """Judge every alpha on the same candidates and write ``sweep.json``.

        Args:
            data: None takes the data of the run.
            split: ``train``, ``val`` or ``test``.
            optimize: what alpha is chosen by: ``AP``, ``AP50``, ``AP75``, ``AP80`` or ``AP90``.
            per_class: also choose an alpha for each class.
            save: keep the choice and the thresholds in the model file.

        Returns:
            What ``sweep.json`` holds.

        Raises:
            ConfigError: the run does not know its data.
            DatasetError: no such split, or classes the model does not know.
            ValueError: an unknown number to optimise.
        """
        from iouaware.evaluation.evaluate import sweep_candidates

        if save:
            refuse_exported(self.model_path, "keep a choice")
        dataset, candidates, where = self._look(data, split)
        info = self.info
        settings = build_inference_config(info.config, str(self.model_path))
        sweep = sweep_candidates(
            dataset, candidates, settings, optimize=optimize, per_class=per_class
        )
        sweep |= where
        write_json(self.path / "sweep.json", sweep)
        if save:
            self.keep_choice(sweep)
        return sweep

    def keep_choice(self, sweep: dict[str, Any]) -> float:
        """Store alpha and the thresholds of a sweep in the model file; return that alpha.

        alpha stays 1 unless its gain on held-out pictures is positive.
        """
        from iouaware.checkpoint import write_model_info

        info = self.info
        alpha = resolve_alpha(info, kept_alpha(sweep["held_out"]))
        thresholds = dict(sweep["score_thresholds"])
        write_model_info(self.model_path, replace(info, alpha=alpha, score_thresholds=thresholds))
        return alpha

    def report(self) -> Path:
        """Write ``report/index.html`` and ``MODEL_CARD.md``; return the page's path.

        Numbers that are not there yet, or are of another model in the folder or a threshold that
        it no longer stores, are computed first, on the part or data evaluated last.

        Raises:
            ConfigError: the run does not know its data, or the pictures are no longer those that
                were evaluated.
        """
        from iouaware.reporting.report import write_report

        if not (self.path / "evaluation.json").is_file():
            self.evaluate()
        evaluation = read_evaluation(self.path)
        data, split = evaluation["data"], evaluation["split"]
        dataset, candidates, named = self._look(data, split)
        model = named["model"]
        if not is_of(evaluation, model):
            evaluation = self.evaluate(data, split)
        elif not same_threshold(evaluation, self.info):  # another was saved since
            evaluation = self.evaluate(data, split, evaluation.get("alpha"))
        if not ((self.path / "sweep.json").is_file() and is_of(read_sweep(self.path), model)):
            self.sweep(data, "val" if data == self.config.data.path else split)
        sweep = read_sweep(self.path)
        return write_report(self.model_path, dataset, candidates, evaluation, sweep, self.info)

    def predict(
        self,
        sources: str | Path | Sequence[str | Path],
        out: str | Path | None = None,
        format: Form = "iouaware",  # noqa: A002  the name of the command's flag
        *,
        alpha: float | None = None,
        score_threshold: float | None = None,
        min_iou: float = 0.0,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Path:
        """Predict on files, folders, globs and videos; write ``predictions.json`` and pictures.

        Args:
            sources: as the user wrote them.
            out: a new or empty folder; None makes ``predict-<n>/`` in the run folder.
            format: ``iouaware``, ``coco``, ``yolo`` or ``labelstudio``.
            alpha: None takes the model's.
            score_threshold: smallest S; None takes the model's for that alpha.
            min_iou: smallest predicted IoU.
            progress: called with pictures done and their number, None where videos hide it.

        Returns:
            The path of ``predictions.json``; after an error nothing is left, but for the first.

        Raises:
            UnreadableError: files that cannot be read are left out; all others are answered.
            ConfigError: ``out`` is not empty, or ``min_iou`` is asked of a model without IoU.
            DatasetError: a source is missing or is no picture, or none can be read.
            ValueError: a value lies outside its range.
        """
        from iouaware.inference.folder import predict_folder
        from iouaware.inference.sources import list_sources

        list_sources(sources)  # a missing source is told before the model is loaded
        predictor = load_model(self.model_path, self._device, self._precision)
        folder = (
            claim_folder(Path(out)) if out is not None else numbered_folder(self.path, "predict")
        )
        with dropped_on_error(folder):
            return predict_folder(
                predictor,
                sources,
                folder,
                format,
                alpha=alpha,
                score_threshold=score_threshold,
                min_iou=min_iou,
                progress=progress,
            )

    def export(
        self,
        format: Format = "onnx",  # noqa: A002  the name of the command's flag
        *,
        int8: bool = False,
        data: str | Path | None = None,
        end: End = "detections",
        bake: bool = False,
        image_size: int | Literal["dynamic"] | None = None,
        out: str | Path | None = None,
        opset: int | None = None,
        int8_bits: Literal[7, 8] | None = None,
    ) -> Path:
        """Write the model to a file that runs without torch, and measure how like it is.

        The options are those of ``ExportOptions``; ``<file>.parity.json`` is written beside it.

        Raises:
            ConfigError: a package of the extra is missing, or settings do not fit.
            ExportError: the network cannot be exported; a ``ParityError`` if the file differs.
        """
        options = ExportOptions(format, int8, data, end, bake, image_size, out, opset, int8_bits)
        return export_run(self.path, self.model_path, self.config, self.info, options, self._say)

    def result(self) -> dict[str, Any]:
        """Return the main numbers of the run folder, as ``train --json`` prints them."""
        return main_numbers(self.path)

    def _look(
        self, data: str | Path | None, split: str
    ) -> tuple[Dataset, list[Candidates], dict[str, Any]]:
        """Return the pictures to judge on, the candidates found there, and what names both."""
        data = other_than_own(data, self.config)
        if data is None and split in self.known:
            dataset = self.known[split]
        else:
            dataset = read_run_split(self._run, self.config, self.info, data, split, self._say)
        kept = self.path / f"candidates-{split}.npz" if data is None else None
        model = fingerprint_model(self.model_path)
        candidates = collect_run_candidates(
            self.model_path, dataset, kept, self._device, self._workers, self._precision, model
        )
        named = name_what_is_judged(self.path, model, self.config, dataset, data, split)
        return dataset, candidates, named
