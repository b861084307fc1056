"""Keep the numbers of a finished run, so that tables and plots can be rendered from them.

Command: ``python benchmarks/collect.py RUN NAME [--note TEXT]``, at once. Adds an entry to
``benchmarks/results/experiments.json``, or replaces the one of that name; folders of this machine
are left out.
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import yaml

RESULT = Path(__file__).parent / "results" / "experiments.json"


def main() -> None:
    """Read the run folder and write the entry."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("name", help="what the tables call it")
    parser.add_argument("--note", default="", help="what else must be known")
    args = parser.parse_args()
    entries = json.loads(RESULT.read_text("utf-8")) if RESULT.is_file() else {}
    entries[args.name] = {**read_run(args.run), "note": args.note}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(entries, indent=1) + "\n", "utf-8")


def read_run(run: Path) -> dict[str, Any]:
    """Return what a run folder says about itself, without paths."""
    evaluation = read_json(run / "evaluation.json")
    sweep = read_json(run / "sweep.json")
    config = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
    parts = read_json(run / "split.json")
    environment = read_json(run / "environment.json")
    environment["command"] = without_folders(str(environment["command"]))
    return {
        "environment": environment,
        "recipe": config["recipe"],
        "seed": config["seed"],
        "image_size": config["data"]["image_size"],
        "pictures": {part: len(parts[part] or []) for part in ("train", "val", "test")},
        "evaluation": {key: value for key, value in evaluation.items() if key != "data"},
        "sweep": {key: value for key, value in sweep.items() if key != "data"},
    }


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object from a file."""
    value = json.loads(path.read_text("utf-8"))
    if not isinstance(value, dict):
        raise TypeError(f"{path}: found {type(value).__name__}, expected an object")
    return value


def without_folders(command: str) -> str:
    """Leave only the last part of each path in a command."""
    return shlex.join(
        Path(word).name if "/" in word and "://" not in word else word
        for word in shlex.split(command)
    )


if __name__ == "__main__":
    main()
