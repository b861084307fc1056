"""Look at one picture with three alphas: the order changes, the network runs once.

Command: ``python examples/turn_the_knob.py RUN PICTURE``.
"""

from __future__ import annotations

import argparse

import iouaware


def main(arguments: list[str] | None = None) -> None:
    """Print the five best boxes at each alpha."""
    parser = argparse.ArgumentParser(description="one picture, three alphas")
    parser.add_argument("run")
    parser.add_argument("picture")
    args = parser.parse_args(arguments)

    found = iouaware.load(args.run).predict(args.picture)
    for alpha in (1.0, 0.5, 0.0):
        turned = found.rescore(alpha=alpha, score_threshold=0.0)
        print(f"alpha {alpha}:")
        print(turned[:5])


if __name__ == "__main__":
    main()
