"""How long ``iouaware check`` takes on many pictures.

Command: ``python benchmarks/check.py [--quick]``. Takes about four minutes on two cores, with
``--quick`` half a minute. Prints two lines and writes ``benchmarks/results/check.json``.

10,000 pictures of 640 x 480 px as JPEG with eight boxes each, in COCO's form, three times in turn:
as it is by default, where all of them are decoded at reduced size, and with headers alone
(``--decode none``). The time is that of the whole command in a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from records import environment_record, keep_result

from iouaware.data.dataset import DatasetBuilder
from iouaware.data.scenes import draw_scene
from iouaware.data.shapes import CLASS_NAMES
from iouaware.data.writers import write_coco

RESULT = Path(__file__).parent / "results" / "check.json"
IMAGE_WH = (640, 480)
SCENES = 40
BOXES = 8
# corners of cells that boxes stay in, so that none is on another
CELLS = np.array([(160 * (place % 4), 240 * (place // 4)) for place in range(BOXES)])


def main() -> None:
    """Draw, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="1,000 pictures")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    images, rounds = (1000, 1) if args.quick else (10_000, 3)
    seconds: dict[str, list[float]] = {"none": [], "auto": []}
    with tempfile.TemporaryDirectory() as scratch:
        data = draw_many(Path(scratch), images)
        for decode in [*seconds] * rounds:
            command = [sys.executable, "-m", "iouaware", "check", str(data), "--decode", decode]
            started = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            seconds[decode].append(round(time.perf_counter() - started, 2))
            if done.returncode != 0:
                raise RuntimeError(done.stdout + done.stderr)
    result = {
        **environment_record(),
        "settings": {"images": images, "boxes": BOXES, "image_wh": IMAGE_WH},
        "seconds": seconds,
    }
    keep_result(args.out, result)
    for decode, values in seconds.items():
        print(f"--decode {decode:5} {statistics.median(values):8.2f} s for {images:,} pictures")


def draw_many(folder: Path, images: int) -> Path:
    """Write a clean set: scenes moved about, so that no two are nearly equal."""
    random = np.random.default_rng(0)
    scenes = [draw_scene(np.random.default_rng(seed), IMAGE_WH)[0] for seed in range(SCENES)]
    drawn = folder / "drawn"
    drawn.mkdir()
    ids = range(1, len(CLASS_NAMES) + 1)
    builders = [
        DatasetBuilder("coco", drawn, split, CLASS_NAMES, ids) for split in ("train", "val")
    ]
    for index in range(images):
        shift = int(random.integers(480)), int(random.integers(640))
        tile = np.roll(scenes[index % SCENES], shift, axis=(0, 1))
        blocks = random.integers(0, 256, (6, 8, 3), np.uint8)  # a pattern of its own
        pattern = np.kron(blocks, np.ones((80, 80, 1), np.uint8))
        name = f"{index:06d}.jpg"
        Image.fromarray((tile // 2 + pattern // 2).astype(np.uint8)).save(drawn / name, quality=90)
        corner = CELLS + random.integers(0, 40, (BOXES, 2))
        boxes = np.concatenate([corner, corner + random.integers(40, 110, (BOXES, 2))], axis=1)
        labels = random.integers(0, len(CLASS_NAMES), BOXES)
        builders[index % 5 == 0].add_image(name, *IMAGE_WH, boxes, labels)
    written = folder / "data"
    write_coco([builder.build() for builder in builders], written)
    return written


if __name__ == "__main__":
    main()
