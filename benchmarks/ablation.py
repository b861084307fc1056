"""The paper's claims, tested: settings x seeds x data sets, one line of results a run.

Command: ``python benchmarks/ablation.py --data-root DIR``, two to three days on two cores with the
grid ``small``; DIR holds the folders that the grid names. The same command goes on where it was
stopped (Ctrl-C), also within a run. ``--quick`` draws its own data and takes under five minutes.
Prints a table, and appends to ``benchmarks/results/ablation.jsonl`` (``ablation-quick.jsonl``);
``render.py`` makes the tables and plots of the docs from that file.

All runs of a seed see the same pictures in the same order with the same augmentation, and start
from the same weights wherever they have the same layers. The last weights are judged: there is no
choice among epochs. alpha is chosen as ``ablation_judge.py`` says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ablation_grid import Job, read_grid
from ablation_results import append_line, check_same_settings, finished_jobs, read_lines
from ablation_run import KEEP, Workshop
from tables import render_table

import iouaware
from iouaware import runtime
from iouaware.errors import ConfigError, IoUAwareError

HERE = Path(__file__).resolve().parent
WRONG_INPUT, INTERRUPTED = 2, 130
QUICK_PICTURES = 40


def main(arguments: Sequence[str] | None = None) -> int:
    """Work off a grid; return the exit code, 2 with one line where the input is wrong."""
    args = parse(arguments)
    try:
        return work_off(args)
    except IoUAwareError as error:
        print(f"ablation: {' '.join(str(error).split())}", file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        print("ablation: interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--grid", type=Path, default=HERE / "grids" / "small.yaml")
    parser.add_argument("--data-root", type=Path, help="holds the folders of the data sets")
    parser.add_argument("--only", nargs="+", default=[], metavar="SETTING")
    parser.add_argument("--data", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--seeds", nargs="+", default=[], type=int, metavar="N")
    parser.add_argument("--runs", type=Path, help="run folders; runs/ablation/GRID if left out")
    parser.add_argument("--keep", choices=KEEP, default="weights", help="of a finished run")
    parser.add_argument("--device", help="as torch names it")
    parser.add_argument("--out", type=Path, help="the results file")
    parser.add_argument("--dry-run", action="store_true", help="list what is left to do, and stop")
    parser.add_argument("--quick", action="store_true", help="a tiny grid on drawn data")
    return parser.parse_args(arguments)


def work_off(args: argparse.Namespace) -> int:
    """Do what is left of the grid and print the table."""
    if args.quick:
        args.grid = HERE / "grids" / "quick.yaml"
    grid = read_grid(args.grid)
    jobs = grid.jobs(args.only, args.data, args.seeds)
    out = args.out or HERE / "results" / (
        "ablation-quick.jsonl" if args.quick else "ablation.jsonl"
    )
    if args.quick and args.out is None:
        out.unlink(missing_ok=True)  # it shows that the grid works now, not that it once did
    runs = args.runs or Path("runs") / "ablation" / args.grid.stem
    root = draw_quick_data(runs) if args.quick else args.data_root
    if root is None:
        raise ConfigError("no --data-root given, expected the folder that holds the data sets")
    workshop = Workshop(grid, root, runs, args.device, args.keep, say)
    left = find_left(workshop, jobs, out)
    say(f"{len(jobs) - len(left)} of {len(jobs)} runs are in {out}")
    if args.dry_run:
        for job in left:
            say(str(job))
        return 0
    runtime.prepare_process()
    work(workshop, left, out)
    say(render_table("ablation", {"ablation": {"lines": read_lines(out, say)}}))
    return 0


def find_left(workshop: Workshop, jobs: Sequence[Job], out: Path) -> list[Job]:
    """Return the jobs without a line.

    Raises:
        ConfigError: a line of the same name was made with other settings, or a data set is missing.
    """
    grid = workshop.grid
    done = finished_jobs(read_lines(out, workshop.say))
    for job in jobs:
        if job in done:
            check_same_settings(out, done[job], grid.recipe, grid.overrides(job))
    left = [job for job in jobs if job not in done]
    for folder in dict.fromkeys(workshop.data_folder(job) for job in left):
        if not folder.exists():
            raise ConfigError(f"{folder}: no such data set, expected it under --data-root")
    return left


def work(workshop: Workshop, jobs: Sequence[Job], out: Path) -> None:
    """Do the jobs in turn; each appends its line as soon as it is judged."""
    for number, job in enumerate(jobs, start=1):
        workshop.say(f"[{number}/{len(jobs)}] {job}")
        line = workshop.run_job(job)
        if line is not None:
            append_line(out, line)
        if all(workshop.folder(later) != workshop.folder(job) for later in jobs[number:]):
            workshop.clear_up(job)


def draw_quick_data(runs: Path) -> Path:
    """Draw the data of the quick grid beside its runs, once."""
    if not (runs / "data" / "drawn").exists():
        iouaware.synthesize(runs / "data" / "drawn", images=QUICK_PICTURES, image_wh=(128, 128))
    return runs / "data"


def say(line: str) -> None:
    """Print a line now, also where the output is a file."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
