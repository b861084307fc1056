"""Peak memory of a folder prediction over 100, 1,000 and 10,000 pictures.

Command: ``python benchmarks/memory.py [--quick]``. Takes about ten minutes on two cores, with
``--quick`` (100 and 1,000) one. Prints a line each and writes ``benchmarks/results/memory.json``.

The pictures are sixteen drawn ones of 128 px under many names, the model is ``small`` with random
weights; ten boxes a picture are written, and every picture is drawn. Each number in a process of
its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from contest import peak_memory_mb
from random_models import P_FLOOR, write_small
from records import environment_record, keep_result

from iouaware import runtime

RESULT = Path(__file__).parent / "results" / "memory.json"
COUNTS = (100, 1_000, 10_000)
DRAWN, CLASSES, IMAGE_SIZE, BOXES = 16, 20, 128, 10


def main() -> None:
    """Measure each number of pictures, or be the process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="100 and 1,000 pictures")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--measured", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measured:
        predict(*args.measured)
        return
    rows = [measure(count) for count in (COUNTS[:2] if args.quick else COUNTS)]
    result: dict[str, Any] = {**environment_record(), "rows": rows}
    keep_result(args.out, result)


def measure(count: int) -> dict[str, float]:
    """Return the peak of a process that predicts on so many pictures."""
    from iouaware.data.synthetic import synthesize

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthesize(folder / "data", images=DRAWN, seed=0, image_wh=(IMAGE_SIZE, IMAGE_SIZE))
        drawn = sorted((folder / "data").rglob("*.jpg"))
        (folder / "pictures").mkdir()
        for index in range(count):
            (folder / "pictures" / f"{index:05d}.jpg").hardlink_to(drawn[index % len(drawn)])
        write_small(folder / "model.safetensors", IMAGE_SIZE, CLASSES)
        command = [sys.executable, __file__, "--measured"]
        command += [str(folder / "model.safetensors"), str(folder / "pictures")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    row: dict[str, float] = {
        "pictures": count,
        "peak_memory_mb": round(float(done.stdout.split()[-1])),
    }
    print(row, flush=True)
    return row


def predict(model: Path, pictures: Path) -> None:
    """Predict on a folder and print this process's peak in MB."""
    import iouaware
    from iouaware.inference.folder import predict_folder

    runtime.prepare_process()
    predictor = iouaware.load(model, "cpu")
    out = pictures.parent / "out"
    predict_folder(predictor, [pictures], out, score_threshold=P_FLOOR, max_detections=BOXES)
    print(peak_memory_mb())


if __name__ == "__main__":
    main()
