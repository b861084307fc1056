"""The grid file of the ablation: data sets, settings, and the order of the runs.

A stage is worked off seed by seed, within a seed data set by data set, so that stopping early
leaves whole pairs. All of it is checked before the first run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iouaware.config import Config, build_config
from iouaware.errors import ConfigError, one_line
from iouaware.recipes.reading import read_recipe


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GridData(_Part):
    """A data set of the grid."""

    folder: str = Field(description="under --data-root")
    image_size: int = Field(description="longer side, px")
    epochs: int = Field(ge=1)


class GridSetting(_Part):
    """A row of the tables."""

    about: str = Field(description="what it is, for the tables")
    set: dict[str, Any] = Field({}, description="what differs from the recipe, by dotted name")
    against: tuple[str, ...] = Field((), description="settings its differences are taken from")
    authors_order_of: str | None = Field(
        None, description="not trained: the weights of this setting, judged in the authors' order"
    )
    without_look_of: str | None = Field(
        None, description="not trained: the weights of this setting, its second look left out"
    )

    @property
    def weights_of(self) -> str | None:
        """The setting whose weights are judged, where these are not its own."""
        return self.authors_order_of or self.without_look_of


class Stage(_Part):
    """Runs that belong together."""

    settings: tuple[str, ...]
    data: tuple[str, ...]
    seeds: tuple[int, ...]


class Job(NamedTuple):
    """One line of the results."""

    data: str
    setting: str
    seed: int

    def __str__(self) -> str:
        """Name it in messages."""
        return f"{self.data}, {self.setting}, seed {self.seed}"


class Grid(_Part):
    """A grid file."""

    recipe: str
    set: dict[str, Any] = Field({}, description="for every run, by dotted name")
    data: dict[str, GridData]
    settings: dict[str, GridSetting]
    stages: tuple[Stage, ...]

    def overrides(self, job: Job) -> dict[str, Any]:
        """Return what a run changes in the recipe, by dotted name, the seed left out."""
        data = self.data[job.data]
        return {
            **self.set,
            **self.settings[self.trained(job).setting].set,
            "train.epochs": data.epochs,
            "data.image_size": data.image_size,
        }

    def config(self, job: Job) -> Config:
        """Return the whole recipe of a run.

        Raises:
            ConfigError: an unknown setting (the nearest known one is named), or a wrong value.
        """
        where = f"setting {job.setting}"
        return build_config(
            read_recipe(self.recipe), {**self.overrides(job), "seed": job.seed}, where
        )

    def trained(self, job: Job) -> Job:
        """Return the run whose weights a job is judged with: most often its own."""
        return job._replace(setting=self.settings[job.setting].weights_of or job.setting)

    def jobs(
        self, only: Sequence[str] = (), data: Sequence[str] = (), seeds: Sequence[int] = ()
    ) -> list[Job]:
        """List the work in order, each job once.

        Args:
            only: settings to keep, with those whose weights they are judged with; empty keeps all.
            data: data sets to keep; empty keeps all.
            seeds: seeds to keep; empty keeps all.

        Raises:
            ConfigError: a name the grid does not have; the nearest one is named.
        """
        check_names("--only", only, self.settings)
        check_names("--data", data, self.data)
        kept = {name for setting in only for name in (setting, self.settings[setting].weights_of)}
        listed = dict.fromkeys(
            Job(name, setting, seed)
            for stage in self.stages
            for seed in stage.seeds
            for name in stage.data
            for setting in stage.settings
        )
        return [
            job
            for job in listed
            if (not only or job.setting in kept)
            and (not data or job.data in data)
            and (not seeds or job.seed in seeds)
        ]


def read_grid(path: Path) -> Grid:
    """Read a grid file and check every name and every setting in it.

    Raises:
        ConfigError: no such file, malformed YAML, an unknown name or setting (the nearest known
            one is named), or a value that does not fit.
    """
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {one_line(error)}") from error
    try:
        grid = Grid.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_describe(error)}") from error
    for number, stage in enumerate(grid.stages, start=1):
        check_names(f"{path}: stage {number}, settings", stage.settings, grid.settings)
        check_names(f"{path}: stage {number}, data", stage.data, grid.data)
    for name, setting in grid.settings.items():
        others = (*setting.against, setting.weights_of or name)
        check_names(f"{path}: setting {name}", others, grid.settings)
        own = [
            key for key in ("authors_order_of", "without_look_of", "set") if getattr(setting, key)
        ]
        if len(own) > 1:
            raise ConfigError(
                f"{path}: setting {name} has {' and '.join(own)}, expected one of them: "
                "it is judged with weights that are trained already"
            )
    try:
        check_jobs(grid)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return grid


def check_jobs(grid: Grid) -> None:
    """See that every run can be made, in the order of the grid.

    Raises:
        ConfigError: settings that do not fit, or a run without weights to be judged with.
    """
    trained = set()
    for job in grid.jobs():
        grid.config(job)
        needed = grid.trained(job)
        if needed == job:
            trained.add(job)
        elif needed not in trained:
            raise ConfigError(
                f"{job}: judged with the weights of {needed.setting}, which is not trained before "
                "it; list that one first, a setting with weights of its own"
            )


def check_names(where: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse an unknown name.

    Raises:
        ConfigError: names the nearest known one.
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise ConfigError(f"{where}: no {name} in the grid; {_hint(name, known)}")


def _hint(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"


def _describe(error: ValidationError) -> str:
    """Fold a validation error into one line about its first fault."""
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        parts = (Grid, GridData, GridSetting, Stage)
        known = sorted({name for part in parts for name in part.model_fields})
        return f"unknown key {place}; {_hint(str(fault['loc'][-1]), known)}"
    return f"{place or 'the file'}: {fault['msg']}"
