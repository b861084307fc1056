"""The picture of prediction speed."""

from __future__ import annotations

from pathlib import Path

from figures import Results

OURS, PEER = "#0b6b5f", "#8a8f94"


def draw_inference(results: Results, path: Path) -> None:
    """Draw ms a picture of each contestant as bars, the slowest on top; nothing without results."""
    if "inference" not in results:
        return
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "iouaware"  # the same file for the same numbers
    import matplotlib.pyplot as plt

    inference = results["inference"]
    medians = {name: value["median"] for name, value in inference["ms_a_picture"].items()}
    names = sorted(medians, key=lambda name: medians[name])
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    colours = [PEER if name.startswith("torchvision") else OURS for name in names]
    bars = axes.barh(names, [medians[name] for name in names], color=colours)
    axes.bar_label(bars, fmt="%.0f ms", padding=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    size = inference["settings"]["image_size"]
    axes.set_xlabel(f"ms from one JPEG to its boxes, ResNet-50 at {size} px, two cores, median")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
