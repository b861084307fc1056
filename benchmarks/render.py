"""Write the tables and plots of README and docs from ``benchmarks/results``.

Command: ``python benchmarks/render.py [--check]``, a second. A table stands between
``<!-- table: NAME -->`` and ``<!-- /table -->``; everything between the two is replaced. With
``--check`` nothing is written, and the exit code is 1 where a page is not what the results say.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from itertools import cycle
from pathlib import Path

from ablation_plots import STYLES, draw_ablation
from ablation_results import read_lines
from figures import Results
from speed_plots import draw_inference
from tables import DEMO, render_table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "docs/experiments.md", "docs/guide.md", "docs/deployment.md")
PLOT = ROOT / "docs" / "images" / "alpha-curves.svg"
TABLE = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)


def main() -> int:
    """Render, or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing, tell what differs")
    check = parser.parse_args().check
    results: Results = {
        path.stem: json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*.json")
    }
    results["ablation"] = {"lines": read_lines(RESULTS / "ablation.jsonl", print)}
    stale = []
    for name in PAGES:
        page = ROOT / name
        before = page.read_text("utf-8")
        after = fill_tables(before, results)
        if after != before:
            stale.append(name)
            if not check:
                page.write_text(after, "utf-8")
    if check and stale:
        print(f"{', '.join(stale)}: not what the results say; run make bench or render.py")
        return 1
    if not check:
        draw_alpha_curves(results)
        draw_ablation(results, PLOT.parent)
        draw_inference(results, PLOT.parent / "inference.svg")
    return 0


def fill_tables(page: str, results: Results) -> str:
    """Replace what stands between the marks of each table."""
    return TABLE.sub(
        lambda found: found[1] + render_table(found[2], results) + "\n" + found[3], page
    )


def draw_alpha_curves(results: Results) -> None:
    """Draw AP at each alpha minus AP at alpha 1, one line a real set; nothing without results."""
    sets = {k: v["sweep"] for k, v in results.get("experiments", {}).items() if k != DEMO}
    if not sets:
        return
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "iouaware"  # the same file for the same numbers
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for (name, sweep), style in zip(sets.items(), cycle(STYLES), strict=False):
        first = sweep["AP"][sweep["alphas"].index(1.0)]
        gains = [100 * (value - first) for value in sweep["AP"]]
        axes.plot(sweep["alphas"], gains, style, label=name, markersize=4)
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.invert_xaxis()
    axes.set_xlabel("alpha (1: class score alone, 0: predicted IoU alone)")
    axes.set_ylabel("AP minus AP at alpha 1")
    axes.legend(frameon=False)
    figure.savefig(PLOT, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
