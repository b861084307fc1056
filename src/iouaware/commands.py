"""The commands: each reads its options, calls one public function, and says its result."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from jsonargparse import ArgumentParser, Namespace
from pydantic import Field

from iouaware.check_command import add_check, run_check
from iouaware.config import Precision
from iouaware.errors import UnreadableError
from iouaware.export_command import add_export, run_export
from iouaware.options import ALPHA_HELP, Count, Share, add_device, add_machine, given
from iouaware.running.folder import Say
from iouaware.running.progress import Progress
from iouaware.running.results import is_stale
from iouaware.running.summary import evaluation_lines, sweep_lines
from iouaware.train_command import add_adopt, add_train, run_adopt, run_train

if TYPE_CHECKING:
    from iouaware.run import Run

Result = dict[str, Any]


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        group: the heading it stands under in the overview; empty for the main ones.
        summary: what it does, in a line.
        usage: its arguments.
        add_options: adds them to a parser; looks at the arguments for ``--config``.
        run: does the work; returns what ``--json`` prints.
        computes: whether it needs torch, and so its threads and the allocator set.
        found_wrong: tells from the result whether a check found something wrong.
    """

    group: str
    summary: str
    usage: str
    add_options: Callable[[ArgumentParser, Sequence[str]], None]
    run: Callable[[Namespace, Say], Result]
    computes: bool = True
    found_wrong: Callable[[Result], bool] = lambda result: False


def _add_precision(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--precision",
        type=Precision,
        help="what the network computes in; auto: as quick as the device can, float32 if left out",
    )


def _add_run(parser: ArgumentParser) -> None:
    parser.add_argument("RUN", type=str, help="a run folder, a model file, or latest")


def _add_data(parser: ArgumentParser) -> None:
    parser.add_argument("--data", type=str, help="a data set; the run's own if left out")
    parser.add_argument("--split", type=str, default="val", help="train, val or test")


def _add_evaluate(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    _add_run(parser)
    _add_data(parser)
    parser.add_argument("--alpha", type=Share, help=f"{ALPHA_HELP}; the model's if left out")
    add_machine(parser)
    _add_precision(parser)


def _evaluate(options: Namespace, say: Say) -> Result:
    run = _open(options, say)
    evaluation = run.evaluate(**given(options, "data", "split", "alpha"))
    for line in evaluation_lines(evaluation):
        say(line)
    say(f"wrote {run.path / 'evaluation.json'}")
    return evaluation


def _add_sweep(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    _add_run(parser)
    _add_data(parser)
    parser.add_argument(
        "--optimize",
        type=Literal["AP", "AP50", "AP75", "AP80", "AP90"],
        help="the number that chooses alpha; AP if left out",
    )
    parser.add_argument("--per-class", action="store_true", help="an alpha for each class too")
    parser.add_argument("--save", action="store_true", help="keep the choice in the model file")
    add_machine(parser)
    _add_precision(parser)


def _sweep(options: Namespace, say: Say) -> Result:
    run = _open(options, say)
    sweep = run.sweep(**given(options, "data", "split", "optimize", "per_class", "save"))
    for line in sweep_lines(sweep):
        say(line)
    if options.get("save"):
        info = run.info
        say(f"kept in {run.model_path}: alpha {info.alpha:g}")
        if is_stale(run.path, info):
            again = f"iouaware evaluate {shlex.quote(str(run.path))}"
            say(f"evaluation.json is of another alpha or threshold; to have it of these: {again}")
    say(f"wrote {run.path / 'sweep.json'}")
    return sweep


def _add_predict(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    _add_run(parser)
    parser.add_argument("SOURCE", nargs="+", type=str, help="files, folders, globs, videos")
    parser.add_argument("--alpha", type=Share, help=f"{ALPHA_HELP}; the model's if left out")
    parser.add_argument(
        "--score-threshold",
        type=Share,
        metavar="T",
        help="smallest S shown; the model's for this alpha if left out",
    )
    parser.add_argument(
        "--min-iou", type=Share, metavar="U", help="smallest predicted IoU shown; 0 if left out"
    )
    parser.add_argument("--out", type=str, metavar="DIR", help="new folder; RUN/predict-<n>/")
    parser.add_argument(
        "--format",
        type=Literal["iouaware", "coco", "yolo", "labelstudio"],
        help="form of predictions.json; iouaware if left out",
    )
    add_device(parser)
    _add_precision(parser)


def _predict(options: Namespace, say: Say) -> Result:
    names = ("out", "format", "alpha", "score_threshold", "min_iou")
    progress = Progress("predict", say)
    try:
        path = _open(options, say).predict(
            options.SOURCE, **given(options, *names), progress=progress
        )
    except UnreadableError as error:
        for line in error.failed:
            say(line)
        raise
    finally:
        progress.close()
    say(f"wrote {path} and the drawn pictures beside it")
    return {"predictions": str(path)}


def _add_report(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    _add_run(parser)
    add_machine(parser)


def _report(options: Namespace, say: Say) -> Result:
    page = _open(options, say).report()
    say(f"wrote {page}")
    return {"report": str(page)}


def _add_synthesize(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    parser.add_argument("DIR", type=str, help="a new or empty folder")
    parser.add_argument("--images", type=Annotated[int, Field(ge=3)], metavar="N", help="400")
    parser.add_argument("--seed", type=Count, metavar="N", help="the same seed, the same pictures")
    parser.add_argument("--format", type=Literal["coco", "voc", "yolo"], help="coco if left out")


def _synthesize(options: Namespace, say: Say) -> Result:
    from iouaware.data.synthetic import synthesize

    folder = synthesize(options.DIR, **given(options, "images", "seed", "format"))
    say(f"drew {folder}; train on it: iouaware train {shlex.quote(str(folder))}")
    return {"data": str(folder)}


def _add_demo(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    parser.add_argument("--quick", action="store_true", help="a minute's worth, less good")
    add_machine(parser)


def _demo(options: Namespace, say: Say) -> Result:
    from iouaware.demo import run_demo

    return run_demo(say=say, **given(options, "quick", "device", "workers")).result()


def _open(options: Namespace, say: Say) -> Run:
    from iouaware.run import Run

    return Run(options.RUN, say=say, **given(options, "device", "workers", "precision"))


COMMANDS = {
    "train": Command(
        "",
        "train a detector on a folder of labelled pictures, judge it, write its report",
        "DATA [--config small|modern|paper|FILE] [--minutes M] [options]",
        add_train,
        run_train,
    ),
    "predict": Command(
        "",
        "find objects in pictures and videos",
        "RUN SOURCE... [--alpha A] [--score-threshold T] [--min-iou U] [--out DIR] [--format F]",
        _add_predict,
        _predict,
    ),
    "report": Command("", "write the page that explains a run", "RUN", _add_report, _report),
    "evaluate": Command(
        "tune",
        "compute a detector's numbers",
        "RUN [--data DATA] [--split val] [--alpha A]",
        _add_evaluate,
        _evaluate,
    ),
    "sweep": Command(
        "tune",
        "judge every alpha from one forward pass",
        "RUN [--data DATA] [--optimize AP|AP50|AP75|AP80|AP90] [--per-class] [--save]",
        _add_sweep,
        _sweep,
    ),
    "adopt": Command(
        "tune",
        "turn a torchvision RetinaNet into an IoU-aware one",
        "CHECKPOINT [--data DATA] [--epochs N] [--out RUN] [options]",
        add_adopt,
        run_adopt,
    ),
    "export": Command(
        "tune",
        "write a model to an ONNX or OpenVINO file, and prove that it is the same",
        "RUN --format onnx|openvino [--int8 --data DATA [--int8-bits 7|8]] "
        "[--end detections|candidates] [--bake] [--image-size N|dynamic] [--out FILE]",
        add_export,
        run_export,
    ),
    "check": Command(
        "data",
        "find what is wrong with a data set: boxes, classes, pictures, leaks",
        "DATA [--with RUN] [--fix OUT] [--sheet FILE] [--images DIR] [--decode auto|all|none]",
        add_check,
        run_check,
        found_wrong=lambda result: not result["ok"],
    ),
    "synthesize": Command(
        "data",
        "draw a data set with exact boxes",
        "DIR [--images N] [--seed N] [--format coco|voc|yolo]",
        _add_synthesize,
        _synthesize,
        computes=False,
    ),
    "demo": Command(
        "data", "the whole job on drawn data, in minutes", "[--quick]", _add_demo, _demo
    ),
}
