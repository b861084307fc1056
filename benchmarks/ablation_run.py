"""One run of the ablation: train it or go on with it, judge it, write its line, clear up."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from ablation_grid import Grid, Job
from ablation_judge import judge_authors_order, judge_run, judge_without_look
from ablation_results import Line, Say

import iouaware
from iouaware import Run, runtime
from iouaware.config import read_config
from iouaware.errors import CheckpointError, DivergedError
from iouaware.evaluation.held_out import FIGURES
from iouaware.running.candidates import read_run_split
from iouaware.running.results import read_json

KEEP = ("all", "weights", "nothing")


@dataclass(frozen=True)
class Workshop:
    """Where runs are made.

    Attributes:
        grid: says what each run is.
        data_root: holds the folders of the data sets.
        runs: holds a folder for each trained run.
        device: as torch names it; None takes CUDA where it is seen.
        keep: what stays of a finished run: ``all``, ``weights`` (with its figures) or ``nothing``.
        say: takes each line meant for the user.
    """

    grid: Grid
    data_root: Path
    runs: Path
    device: str | None
    keep: str
    say: Say

    def data_folder(self, job: Job) -> Path:
        """Return where the pictures of a job are."""
        return self.data_root / self.grid.data[job.data].folder

    def folder(self, job: Job) -> Path:
        """Return the run folder that has, or will have, the weights a job is judged with."""
        trained = self.grid.trained(job)
        return self.runs / trained.data / f"{trained.setting}-{trained.seed}"

    def run_job(self, job: Job) -> Line | None:
        """Train and judge, or judge weights that are there; None, and a line, where there are none.

        Raises:
            IoUAwareError: data that cannot be used, a full disk, a signal to stop. A run whose loss
                is no number is no error: its line says so.
        """
        if self.grid.trained(job) == job:
            try:
                self._train(job)
            except DivergedError as error:
                self.say(f"diverged: {error}")
                return self._diverged_line(job, str(error))
        elif not (self.folder(job) / "sweep.json").is_file():
            self.say(f"left out: {self.grid.trained(job)} has left no weights to judge")
            return None
        return self._judge(job)

    def clear_up(self, job: Job) -> None:
        """Remove what is not to be kept of a run that is judged."""
        if self.keep == "nothing":
            shutil.rmtree(self.folder(job), ignore_errors=True)
        elif self.keep == "weights":
            shutil.rmtree(self.folder(job) / "checkpoints", ignore_errors=True)

    def _train(self, job: Job) -> None:
        """Train from the start, or go on where the same run was stopped."""
        folder = self.folder(job)
        if self._can_go_on(job):
            self.say(f"going on with {folder}")
            try:
                iouaware.train(resume=folder, device=self.device, say=self.say)
            except CheckpointError as error:
                self.say(f"{error}; training anew")
            else:
                return
        shutil.rmtree(folder, ignore_errors=True)
        iouaware.train(
            self.data_folder(job),
            self.grid.recipe,
            out=folder,
            device=self.device,
            say=self.say,
            seed=job.seed,
            **self.grid.overrides(job),
        )

    def _can_go_on(self, job: Job) -> bool:
        """Tell whether the run folder has a checkpoint of a run with these data and settings."""
        folder = self.folder(job)
        if not all((folder / name).is_file() for name in ("checkpoints/last.json", "config.yaml")):
            return False
        before, now = read_config(folder / "config.yaml"), self.grid.config(job)
        places = {"path": str(self.data_folder(job).resolve())}
        return before == now.model_copy(update={"data": now.data.model_copy(update=places)})

    def _judge(self, job: Job) -> Line:
        """Return the line of a run whose weights are there."""
        started = time.time()
        run = self._open(job)
        trained = read_json(run.path / "environment.json")
        if self.grid.trained(job) == job:
            figures, environment = judge_run(run), trained
        else:
            authors = self.grid.settings[job.setting].authors_order_of
            figures = judge_authors_order(run) if authors else judge_without_look(run, self.device)
            environment = {**runtime.environment_record(), "wall_seconds": 0}
        seconds = environment["wall_seconds"] + time.time() - started
        return {
            **self._head(job),
            "status": "finished",
            **figures,
            "minutes": round(seconds / 60, 2),
            "pictures": {part: len(pictures) for part, pictures in run.known.items()},
            "precision": trained.get("precision"),
            **{key: environment[key] for key in ("commit", "machine", "versions")},
            "resumed": len(environment.get("resumed", ())),
        }

    def _open(self, job: Job) -> Run:
        """Open a run with the parts it is judged on."""
        folder = self.folder(job)
        run = Run(folder, device=self.device, say=self.say)
        split = read_json(folder / "split.json")
        parts = {
            name: read_run_split(folder, run.config, run.info, None, name, self.say)
            for name in ("train", "val", "test")
            if split.get(name)
        }
        return Run(folder, device=self.device, say=self.say, known=parts)

    def _diverged_line(self, job: Job, reason: str) -> Line:
        """Return a line without figures."""
        environment = read_json(self.folder(job) / "environment.json")
        names = (*FIGURES, "alpha", "AP_alpha1", "AP_oracle")
        return {
            **self._head(job),
            "status": "diverged",
            "reason": reason,
            **dict.fromkeys(names),
            "minutes": round(environment["wall_seconds"] / 60, 2),
            "precision": environment.get("precision"),
            **{key: environment[key] for key in ("commit", "machine", "versions")},
        }

    def _head(self, job: Job) -> Line:
        """Return what is known before a run."""
        setting, data = self.grid.settings[job.setting], self.grid.data[job.data]
        return {
            **job._asdict(),
            "about": setting.about,
            "against": list(setting.against),
            "authors_order_of": setting.authors_order_of,
            "without_look_of": setting.without_look_of,
            "recipe": self.grid.recipe,
            "settings": self.grid.overrides(job),
            "epochs": data.epochs,
            "image_size": data.image_size,
        }
