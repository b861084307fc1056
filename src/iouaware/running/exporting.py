"""An export from a run: which pictures it is proven on, where the file goes, what is said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from iouaware.config import Config
from iouaware.errors import ConfigError, DatasetError
from iouaware.inference.export_metadata import End
from iouaware.inference.exported import SUFFIXES, Format, is_exported
from iouaware.places import EXPORTS
from iouaware.running.candidates import other_than_own, read_run_split
from iouaware.running.folder import Say

if TYPE_CHECKING:
    from iouaware.exporting.pictures import Pictures
    from iouaware.structures import ModelInfo


@dataclass(frozen=True)
class ExportOptions:
    """What is asked of an export.

    Attributes:
        form: ``onnx`` or ``openvino``.
        int8: quantise on the training part of ``data``.
        data: pictures to compare on; None takes the run's own, or drawn ones.
        end: ``candidates`` stops before fusion and NMS.
        bake: make the model's alpha and threshold constants.
        image_size: side of the canvas in px, or ``dynamic``; None takes the model's own.
        out: the file; None takes ``export/model.onnx`` and its like in the run folder.
        opset: version of ONNX's operations; None takes the exporter's own.
        int8_bits: bits of an INT8 weight, 8 for processors with VNNI alone; None takes 7.
    """

    form: Format
    int8: bool
    data: str | Path | None
    end: End
    bake: bool
    image_size: int | Literal["dynamic"] | None
    out: str | Path | None
    opset: int | None
    int8_bits: Literal[7, 8] | None


def export_run(
    folder: Path,
    model_path: Path,
    config: Config,
    info: ModelInfo,
    options: ExportOptions,
    say: Say,
) -> Path:
    """Export a model and prove it; see ``Run.export``.

    Args:
        folder: of the run.
        model_path: the weights.
        config: of the run; it names the data.
        info: of the model.
        options: what is asked.
        say: takes each line meant for the user.
    """
    form, int8, data = options.form, options.int8, other_than_own(options.data, config)
    if form not in SUFFIXES:
        raise ConfigError(f"--format {form}: expected one of {', '.join(SUFFIXES)}")
    refuse_exported(model_path, "be exported again")
    if int8 and data is None and config.data.path is None:
        raise ConfigError(
            "--int8: give pictures with --data; ranges of activations are found on real ones"
        )
    if options.int8_bits is not None and not int8:
        raise ConfigError("--int8-bits: expected beside --int8; without it nothing is quantised")
    target = _target(folder, form, int8, options.out)
    from iouaware.exporting.export import ExportPlan, export_model, refuse_past
    from iouaware.exporting.int8 import SAFE_BITS

    pictures = _pictures(folder, config, info, data, say)
    calibration = None
    if int8:  # ranges from the training part, AP from the validation part
        calibration = read_run_split(folder, config, info, data, "train", say)
    plan = ExportPlan(
        form,
        options.end,
        options.bake,
        options.image_size,
        options.opset,
        calibration,
        options.int8_bits or SAFE_BITS,
    )
    report = export_model(model_path, target, plan, pictures, say)
    for line in report_lines(report):
        say(line)
    refuse_past(report, target)
    return target


def refuse_exported(model_path: Path, what: str) -> None:
    """Refuse what only weights can do.

    Raises:
        ConfigError: it is an exported file.
    """
    if is_exported(model_path):
        raise ConfigError(
            f"{model_path}: an exported file cannot {what}; use the run folder it came from, and "
            "export again"
        )


def _target(folder: Path, form: Format, int8: bool, out: str | Path | None) -> Path:
    """Return the path of the file.

    Raises:
        ConfigError: a name that ends in something else than the format's.
    """
    suffix = SUFFIXES[form]
    if out is None:
        return folder / EXPORTS / f"model{'-int8' if int8 else ''}{suffix}"
    path = Path(out)
    if path.suffix != suffix:
        raise ConfigError(f"--out {out}: expected a name that ends in {suffix} for {form}")
    if path.is_dir():
        raise ConfigError(f"--out {out}: found a folder, expected the name of a file")
    return path


def _pictures(
    folder: Path, config: Config, info: ModelInfo, data: str | Path | None, say: Say
) -> Pictures:
    """Return the validation part of ``data`` or of the run's own data, else drawn pictures."""
    from iouaware.exporting.pictures import Pictures

    try:
        dataset = read_run_split(folder, config, info, data, "val", say)
    except (ConfigError, DatasetError) as error:
        if data is not None:
            raise
        say(f"warning: no pictures of the run's own, so parity is measured on drawn ones ({error})")
        return Pictures(None, "drawn")
    return Pictures(dataset, f"{dataset.root}, val")


def report_lines(report: dict[str, Any]) -> list[str]:
    """Return what ``export`` prints about parity: a small table, AP and speed."""
    from iouaware.exporting.tolerance import count_lost

    lines = [
        f"compared with PyTorch on pictures of {report['pictures']}",
        "batch   canvas     boxes  unmatched   box px max/mean    score max/mean      IoU max/mean",
    ]
    for row in report["comparisons"]:
        canvas = "x".join(str(side) for side in row["canvas"])
        pairs = [
            _pair(row[f"{name}_max"], row[f"{name}_mean"])
            for name in ("box_px", "score", "predicted_iou")
        ]
        lines.append(
            f"{row['batch']:5d}  {canvas:>9}  {row['boxes']:6d}  "
            f"{count_lost(row):9d}  " + "  ".join(f"{pair:>16}" for pair in pairs)
        )
    for alpha, pair in (report["AP"] or {"alphas": {}})["alphas"].items():
        if pair["pytorch"] is not None:
            lines.append(
                f"AP at alpha {alpha} on {report['AP']['images']} pictures: "
                f"{100 * pair['pytorch']:.2f} before, {100 * pair['file']:.2f} in the file"
            )
    taken = report["milliseconds"]
    lines.append(
        f"a picture takes {taken['file']:.0f} ms, {taken['pytorch']:.0f} in PyTorch; "
        f"{report['bytes'] / 1e6:.1f} MB"
    )
    return lines


def _pair(largest: float | None, mean: float | None) -> str:
    return "-" if largest is None or mean is None else f"{largest:.2g}/{mean:.2g}"
