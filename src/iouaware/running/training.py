"""From a data set to a finished run folder: plan, train, judge, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iouaware.config import build_config
from iouaware.errors import CheckpointError, ConfigError, DatasetError, TrainingError
from iouaware.evaluation.evaluate import write_json
from iouaware.recipes.reading import read_settings
from iouaware.run import Run
from iouaware.running.folder import (
    RUNS,
    RunLog,
    Say,
    find_resumable,
    new_run_folder,
    numbered_folder,
    refuse_taken,
    remove_untrained,
    stem_of_run,
    temporary_folder,
)
from iouaware.running.planning import Plan, plan_training
from iouaware.running.records import adding_seconds, is_first, split_record, write_what_is_known
from iouaware.running.results import read_json
from iouaware.running.summary import tail_lines

if TYPE_CHECKING:
    from iouaware.training.ranks import Ranks


def train(
    data: str | Path | None = None,
    config: str | Path | None = None,
    *,
    out: str | Path | None = None,
    from_: str | None = None,
    device: str | None = None,
    workers: int | None = None,
    log: str | Sequence[str] = "csv",
    dry_run: bool = False,
    resume: str | Path | None = None,
    overfit: int | None = None,
    strict: bool = False,
    say: Say | None = None,
    **settings: Any,
) -> Run:
    """Train a detector on a folder of pictures, judge it, write its report.

    Args:
        data: a COCO, VOC or YOLO data set: its folder, or the file that describes it.
        config: ``small``, ``modern``, ``paper`` or a YAML file; None takes ``modern`` where CUDA
            is seen, else ``small``.
        out: the run folder, new or empty; None makes ``runs/<data>-<n>/``.
        from_: a run, a weights file or ``torchvision:NAME`` to start from.
        device: None takes CUDA where it is seen.
        workers: processes that load pictures; None chooses.
        log: loggers besides the CSV: ``tensorboard``, ``mlflow``, ``wandb``.
        dry_run: say what would be done, draw the first batch in a temporary folder, and stop.
        resume: go on with this run folder, under its own settings.
        overfit: learn this many pictures by heart, to see whether the data can be learnt.
        strict: raise where an annotation would be mended.
        say: takes each line meant for the user; Python's logging by default.
        **settings: ``seed``, ``epochs``, ``minutes``, ``image_size``, ``batch_size``, ``images``,
            ``empty``, and every setting by its dotted name: ``**{"train.lr": 0.001}``.

    Returns:
        The finished run.

    Raises:
        IoUAwareError: data, settings or weights that cannot be used; nothing is left behind.
    """
    from iouaware.training.logs import refuse_unknown_loggers
    from iouaware.training.ranks import telling_lost_ranks

    said = RunLog(say if is_first() else lambda line: None)
    loggers = tuple(log.split(",")) if isinstance(log, str) else tuple(log)
    if resume is not None:
        trial = {"--dry-run": dry_run or None, "--overfit": overfit, "--strict": strict or None}
        _refuse_other_settings(data, config, from_, out, {**trial, **settings})
        with telling_lost_ranks():
            return _resume(find_resumable(resume), device, workers, loggers, said)
    plan = plan_training(
        data,
        config,
        settings,
        start=from_,
        device=device,
        workers=workers,
        strict=strict,
        say=said,
    )
    _refuse_kept_at_random(plan)
    refuse_unknown_loggers(loggers)
    if overfit is not None:
        plan = _plan_overfit(plan, overfit)
    with telling_lost_ranks():
        run = _make_folder(plan, Path(out) if out else None, dry_run, overfit is not None)
        return _train_anew(run, plan, loggers, said, dry_run, overfit)


def _train_anew(
    run: Path,
    plan: Plan,
    loggers: Sequence[str],
    said: RunLog,
    dry_run: bool,
    overfit: int | None,
) -> Run:
    """Train into a new run folder, which goes where nothing came of it."""
    try:
        return _train_into(run, plan, loggers, said, dry_run, overfit)
    except (ConfigError, DatasetError, CheckpointError):
        if is_first():
            remove_untrained(run)
        raise


def _train_into(
    run: Path,
    plan: Plan,
    loggers: Sequence[str],
    said: RunLog,
    dry_run: bool = False,
    overfit: int | None = None,
    resume: bool = False,
) -> Run:
    """Train in an existing run folder and conclude; every process does the first, one the second.

    On a dry run, all that is said and drawn is; nothing is trained.
    """
    from iouaware.training.train import train_detector

    if is_first():
        said.open(run)
        said(f"writes to: {run}" + (" (a dry run)" if dry_run else ""))
        write_what_is_known(run, plan, resume, overfit)
    with adding_seconds(run):
        steps = train_detector(
            plan.config,
            plan.splits,
            run,
            image_size=plan.image_size,
            device=plan.device,
            workers=plan.workers,
            start=plan.start,
            resume=resume,
            loggers=loggers,
            dry_run=dry_run,
            say=said,
        )
        parts = {"train": plan.splits.train, "val": plan.splits.val, "test": plan.splits.test}
        known = {name: part for name, part in parts.items() if part is not None}
        finished = Run(run, device=plan.device, workers=plan.workers, say=said, known=known)
        if is_first() and not dry_run:
            if overfit is not None:
                _tell_overfit(finished, plan, said)
            elif resume and steps == 0 and _is_concluded(run):
                said(f"{run}: the run was finished; nothing is left to do")
            else:
                try:
                    _conclude(finished, said)
                except KeyboardInterrupt:
                    raise TrainingError(
                        f"stopped while judging; go on with: iouaware train --resume {run}"
                    ) from None
    return finished


def _conclude(run: Run, say: Say) -> None:
    """Sweep on the validation part, keep its choice, evaluate, report, and say the last lines.

    Where the data have a test part, the final figures come from it.
    """
    say(f"judging the {run.config.train.keep} weights")
    sweep = run.sweep()
    run.keep_choice(sweep)
    evaluation = run.evaluate(split="test" if "test" in run.known else "val")
    page = run.report()
    environment = read_json(run.path / "environment.json")
    write_json(run.path / "environment.json", {**environment, "concluded": True})
    for line in tail_lines(run.path, run.info, evaluation, sweep, page):
        say(line)


def _is_concluded(run: Path) -> bool:
    """Whether all that follows the training was done, and is still there."""
    # runs of an earlier version do not say it
    concluded = read_json(run / "environment.json").get("concluded", True)
    files = run / "evaluation.json", run / "report" / "index.html"
    return bool(concluded) and all(path.is_file() for path in files)


def _refuse_kept_at_random(plan: Plan) -> None:
    """Raise where the settings would keep a part that has learnt nothing, or leave no rest.

    Raises:
        ConfigError: no weights to start from, or no IoU branch to train.
    """
    if plan.start is None and plan.config.model.iou_head and plan.config.train.iou_weight == 0:
        raise ConfigError(
            "train.iou_weight is 0, which leaves the IoU branch as it was drawn, and there are no "
            "weights to start from; give them with --from, or add --model.iou_head false"
        )
    if plan.config.train.freeze != "all-but-iou":
        return
    if plan.start is None:
        raise ConfigError(
            "train.freeze is all-but-iou, which keeps boxes and classes as they are, but there are "
            "no weights to start from; give them with --from"
        )
    if not plan.config.model.iou_head:
        raise ConfigError(
            "train.freeze is all-but-iou, but there is no IoU branch to train; add "
            "--model.iou_head true"
        )


def _plan_overfit(plan: Plan, images: int) -> Plan:
    from iouaware.training.overfit import overfit_setup

    config, splits = overfit_setup(plan.config, plan.splits, images)
    return replace(plan, config=config, splits=splits)


def _tell_overfit(run: Run, plan: Plan, say: Say) -> None:
    from iouaware.training.overfit import overfit_verdict

    evaluation = run.evaluate(alpha=1.0)
    say(overfit_verdict(evaluation["AP50"], len(plan.splits.train)))


def _resume(
    run: Path, device: str | None, workers: int | None, loggers: Sequence[str], said: RunLog
) -> Run:
    """Go on in a run folder, with its own settings, data and split."""
    values = read_settings(run / "config.yaml")
    config = build_config(values, where=str(run / "config.yaml"))
    if config.data.path is None or not Path(config.data.path).exists():
        raise DatasetError(
            f"{config.data.path}: the data of this run are no longer there; put them back, or "
            f"write where they are now into {run / 'config.yaml'}, under data: path"
        )
    plan = plan_training(None, values, {}, device=device, workers=workers, say=lambda line: None)
    before = read_json(run / "split.json")
    overfit = before.get("overfit")
    if overfit is not None:
        plan = _plan_overfit(plan, int(overfit))
    now = split_record(plan.splits)
    # a test part without boxes is left out, which it was not always
    parts = [part for part in ("train", "val", "test") if part != "test" or now["test"]]
    changed = [part for part in parts if before.get(part) != now[part]]
    if changed:
        raise DatasetError(
            f"{config.data.path}: the pictures of {', '.join(changed)} are not those in "
            f"{run / 'split.json'}; expected the data as they were: put them back, or train anew "
            f"with --from {run}"
        )
    return _train_into(run, plan, loggers, said, overfit=overfit, resume=True)


def _refuse_other_settings(
    data: str | Path | None,
    config: str | Path | None,
    from_: str | None,
    out: str | Path | None,
    settings: dict[str, Any],
) -> None:
    """A run goes on with its own settings, else the result would be that of no single recipe."""
    given = {"DATA": data, "--config": config, "--from": from_, "--out": out, **settings}
    named = [name for name, value in given.items() if value is not None]
    if named:
        raise ConfigError(
            f"--resume goes on with the data and settings of the run; found {', '.join(named)} "
            "too: leave it out, or train anew with --from RUN"
        )


def _make_folder(plan: Plan, out: Path | None, dry_run: bool, overfit: bool) -> Path:
    """Make the run folder in the first process and tell the others."""
    from iouaware.training.ranks import join_ranks

    ranks = join_ranks(plan.device)
    folder: Path | None = None
    if ranks.is_first:
        data = Path(str(plan.places["path"]))
        if dry_run:
            if out is not None:
                refuse_taken(out)
            folder = temporary_folder()
        elif overfit and out is None:
            folder = numbered_folder(RUNS / "overfit", stem_of_run(data))
        else:
            folder = new_run_folder(data, out)
    return _share(ranks, folder, plan.device)


def _share(ranks: Ranks, folder: Path | None, device: str) -> Path:
    """Send a path from the first process to all, as bytes in a tensor."""
    if ranks.world_size == 1 and folder is not None:
        return folder
    import torch

    text = str(folder or "").encode().ljust(4096, b"\0")
    received = ranks.broadcast(torch.frombuffer(bytearray(text), dtype=torch.uint8).to(device))
    return Path(bytes(received.cpu().tolist()).rstrip(b"\0").decode())
