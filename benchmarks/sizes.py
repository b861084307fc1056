"""Weights and exports of ``small`` and ResNet-50 at 320 to 800 px: size, start, time, memory.

Command: ``python benchmarks/sizes.py [--quick] [--yolo PYTHON]``. Takes about fifteen minutes on
two cores; with ``--quick`` ``small`` alone, at 320 and 640 px, in four. Prints a table and writes
``benchmarks/results/sizes.json``.

A unit of work is a JPEG file in, boxes out, one picture at a time; the weights are random. Cold
start is from the start of a process until its first answer, files in the page cache. With
``--yolo`` the interpreter of an environment that has ``ultralytics`` adds a YOLO11 nano of random
weights at the same sizes, as PyTorch runs it and as its own OpenVINO exports do; it finds next to
no boxes, so its post-processing costs it nothing. Make that environment apart and throw it away:
the package is AGPL, and nothing here depends on it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from contest import Times, compete, hold_contest
from random_models import P_FLOOR, export_forms, write_like_torchvision, write_small
from records import environment_record, keep_result

from iouaware import runtime

RESULT = Path(__file__).parent / "results" / "sizes.json"
YOLO = Path(__file__).parent / "yolo_contestant.py"
YOLO_FORMS = ("pytorch", "openvino", "int8")
PICTURES = 16
CLASSES = 20
WARM_UP = 4


def main() -> None:
    """Measure every model at every size, or be one of the contestants."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small at 320 and 640 px alone")
    parser.add_argument("--yolo", type=Path, help="a Python interpreter that has ultralytics")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--contestant", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contestant:
        take_part(args.contestant, args.data)
        return
    cases = [("small", 320), ("small", 512), ("small", 640), ("small", 800)]
    cases += [("resnet50", 320), ("resnet50", 512), ("resnet50", 800)]
    rows: list[dict[str, Any]] = []
    for model, size in cases:
        if not args.quick or (model == "small" and size in (320, 640)):
            yolo = args.yolo if model == "small" else None
            rows += measure(model, size, 5, yolo)
    result = {**environment_record(), "settings": {"batch_size": 1}, "rows": rows}
    keep_result(args.out, result)


def measure(model: str, size: int, rounds: int, yolo: Path | None) -> list[dict[str, Any]]:
    """Measure one model at one size in every form; return a row for each."""
    from iouaware.data.synthetic import synthesize

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data"
        synthesize(data, images=PICTURES, seed=0, format="yolo")
        weights = folder / "iou-True.safetensors"
        if model == "small":
            write_small(weights, size, CLASSES)
        else:
            write_like_torchvision(folder, "retinanet_resnet50_fpn", size)
        files = {"pytorch": weights} | export_forms(weights, data)
        commands = {
            form: [sys.executable, __file__, "--contestant", str(file), "--data", str(data)]
            for form, file in files.items()
        }
        sizes = {form: size_of(file) for form, file in files.items()}
        if yolo:
            for form in YOLO_FORMS:
                commands[f"yolo {form}"] = [str(yolo), str(YOLO), form, str(size), str(data)]
        times = hold_contest(commands, rounds, 4, WARM_UP)
    return [row(model, size, form, times, sizes.get(form)) for form in commands]


def row(model: str, size: int, form: str, times: Times, file_mb: float | None) -> dict[str, Any]:
    """Return what was measured of a form, and print it."""
    is_yolo = form.startswith("yolo ")
    exports_first = is_yolo and form != "yolo pytorch"  # then start and memory are not the file's
    result = {
        "model": "YOLO11 nano" if is_yolo else model,
        "image_size": size,
        "form": form.removeprefix("yolo "),
        "file_mb": file_mb,
        "cold_start_s": None if exports_first else round(times.cold_start[form], 2),
        "ms_a_picture": round(1000 * statistics.median(times.seconds[form]), 1),
        "times_pytorch": times.ratio("pytorch", form),
        "peak_memory_mb": None if exports_first else round(times.peak_memory_mb[form]),
        "seconds_a_picture": times.seconds[form],
    }
    print(*(value for key, value in result.items() if key != "seconds_a_picture"), flush=True)
    return result


def size_of(file: Path) -> float:
    """Return the MB that must be passed on."""
    parts = [file, file.with_suffix(".bin")] if file.suffix == ".xml" else [file]
    return round(sum(part.stat().st_size for part in parts) / 1e6, 1)


def take_part(file: Path, data: Path) -> None:
    """Be a contestant: find the objects in a picture when asked."""
    import iouaware

    runtime.prepare_process()
    predictor = iouaware.load(file, "cpu")
    pictures = sorted(data.rglob("*.jpg"))
    compete(
        lambda number: predictor.predict(pictures[number % len(pictures)], score_threshold=P_FLOOR)
    )


if __name__ == "__main__":
    main()
