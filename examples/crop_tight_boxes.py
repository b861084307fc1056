"""Cut out what fits well, and leave the doubtful boxes to a person.

Command: ``python examples/crop_tight_boxes.py RUN OUT PICTURE... [--min-iou 0.8]``.
"""

from __future__ import annotations

import argparse
import re
from math import ceil, floor
from pathlib import Path

from PIL import Image

import iouaware
from iouaware.images import read_image


def main(arguments: list[str] | None = None) -> None:
    """Write one crop a box whose predicted IoU is high enough; count the others."""
    parser = argparse.ArgumentParser(description="crop the boxes that fit well")
    parser.add_argument("run")
    parser.add_argument("out", type=Path)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--min-iou", type=float, default=0.8)
    args = parser.parse_args(arguments)

    detector = iouaware.load(args.run)
    args.out.mkdir(parents=True, exist_ok=True)
    kept = doubtful = 0
    for picture_number, path in enumerate(args.pictures, start=1):
        found = detector.predict(path)
        tight = found.where(min_iou=args.min_iou)
        picture = Image.fromarray(read_image(path))  # turned by its EXIF tag, as the boxes are
        for number, (box, name) in enumerate(zip(tight.boxes, tight.names, strict=True)):
            x1, y1, x2, y2 = box.tolist()
            crop = picture.crop((floor(x1), floor(y1), ceil(x2), ceil(y2)))  # never empty
            plain = re.sub(r"[^\w-]+", "_", name)  # a class may be called "w/ helmet"
            # pictures of several folders may have one name
            crop.save(args.out / f"{picture_number}-{path.stem}-{number}-{plain}.png")
        kept += len(tight)
        doubtful += len(found) - len(tight)
    print(f"{kept} crops in {args.out}; {doubtful} boxes fit less well than {args.min_iou}")


if __name__ == "__main__":
    main()
