"""Keep the numbers of a finished run, so that tables and plots can be rendered from them.

Command: ``python benchmarks/collect.py RUN NAME [--note TEXT]``, at once. Adds an entry to
``benchmarks/results/experiments.json``, or replaces the one of that name; folders of this machine
are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml
from records import keep_entry, without_folders

from iouaware.running.results import read_json

RESULT = Path(__file__).parent / "results" / "experiments.json"


def main() -> None:
    """Read the run folder and write the entry."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("name", help="what the tables call it")
    parser.add_argument("--note", default="", help="what else must be known")
    args = parser.parse_args()
    keep_entry(RESULT, args.name, {**read_run(args.run), "note": args.note})


def read_run(run: Path) -> dict[str, Any]:
    """Return what a run folder says about itself, without paths."""
    evaluation = read_json(run / "evaluation.json")
    sweep = read_json(run / "sweep.json")
    config = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
    parts = read_json(run / "split.json")
    return {
        "environment": without_folders(read_json(run / "environment.json")),
        "recipe": config["recipe"],
        "seed": config["seed"],
        "image_size": config["data"]["image_size"],
        "pictures": {part: len(parts[part] or []) for part in ("train", "val", "test")},
        "evaluation": {key: value for key, value in evaluation.items() if key != "data"},
        "sweep": {key: value for key, value in sweep.items() if key != "data"},
    }


if __name__ == "__main__":
    main()
