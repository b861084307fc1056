"""Train on a folder of pictures and labels, then ask whether alpha pays on them.

Command: ``python examples/train_and_measure.py DATA [--epochs 3]``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import iouaware


def main(arguments: list[str] | None = None) -> None:
    """Train, sweep alpha on the validation part, and say what came out."""
    parser = argparse.ArgumentParser(description="train, then sweep alpha")
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--image-size", type=int, default=320)
    args = parser.parse_args(arguments)

    run = iouaware.train(args.data, out=args.out, epochs=args.epochs, image_size=args.image_size)
    held_out = run.sweep(optimize="AP75")["held_out"]
    if held_out["gain"] is None:
        print("too few pictures to choose alpha on one half and judge it on the other")
    else:
        low, high = (100 * end for end in held_out["ci95"])
        print(f"alpha {held_out['alpha']}: AP75 {100 * held_out['gain']:+.1f} held out")
        print(f"95 % interval {low:+.1f} to {high:+.1f}; proven: {held_out['proven']}")
    print(f"report: {run.report()}")


if __name__ == "__main__":
    main()
