"""The tables of speed, memory and size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from figures import Entry, Results, Table, number, spread

FORM_NAMES = {"pytorch": "PyTorch", "onnx": "ONNX", "openvino": "OpenVINO", "int8": "OpenVINO INT8"}


def speed_rows(results: Results) -> Iterator[Sequence[str]]:
    """Return one line a comparison; above 1 we are faster."""
    if "training" in results:
        yield from training_speeds(results["training"])
    if "inference" in results:
        yield from inference_speeds(results["inference"])
    if "evaluator" in results:
        evaluator = results["evaluator"]
        medians = [middle(evaluator["seconds"][name]) for name in ("iouaware", "pycocotools")]
        yield (
            f"COCO metrics, {evaluator['settings']['what']}",
            *(f"{number(value)} s" for value in medians),
            number(evaluator["speedup"]["pycocotools"], 1),
        )
    if "sweep" in results:
        sweep = results["sweep"]
        settings = sweep["settings"]
        at = f"{settings['images']:,} pictures, {settings['candidates']} candidates"
        one, all_alphas = (middle(values) for values in sweep["seconds"].values())
        yield (
            f"sweep of eleven alphas beside one evaluation, {at}",
            f"{number(all_alphas)} s",
            f"{number(one)} s",
            f"{number(sweep['sweep_in_evaluations'], 1)} evaluations",
        )


def training_speeds(training: Entry) -> Iterator[Sequence[str]]:
    """Compare training steps."""
    rates, speedup, settings = (training[k] for k in ("pictures_per_second", "speedup", "settings"))
    at = f"{settings['image_size']} px, batch {settings['batch_size']}"
    allocator = "torchvision, our allocator"
    pairs = (
        (f"training, ResNet-18, {at}", "iouaware", "torchvision", "torchvision"),
        ("both with our allocator", "iouaware", allocator, "torchvision_with_our_allocator"),
        ("ours in float32 too", "iouaware, float32", "torchvision", "torchvision_in_float32"),
        (f"training, `small` beside it, {at}", "small", "torchvision", "small"),
    )
    return compare(pairs, rates, speedup, lambda rate: f"{number(rate)} pictures/s")


def inference_speeds(inference: Entry) -> Iterator[Sequence[str]]:
    """Compare ways from one picture to its boxes."""
    medians, speedup = inference["ms_a_picture"], inference["speedup"]
    at = f"{inference['settings']['image_size']} px, batch 1"
    allocator = "torchvision, our allocator"
    pairs = (
        (f"prediction, ResNet-50, {at}", "iouaware", "torchvision", "pytorch"),
        ("both with our allocator", "iouaware", allocator, "pytorch_with_our_allocator"),
        ("ours in bfloat16", "iouaware, bfloat16", "torchvision", "pytorch_bfloat16"),
        ("ours in ONNX Runtime", "iouaware, ONNX", "torchvision", "onnx"),
        ("ours in OpenVINO", "iouaware, OpenVINO", "torchvision", "openvino"),
        ("ours in INT8 (OpenVINO)", "iouaware, INT8", "torchvision", "int8"),
    )
    return compare(pairs, medians, speedup, lambda ms: f"{number(ms, 0)} ms")


def compare(
    pairs: Iterable[tuple[str, str, str, str]],
    measured: Entry,
    speedup: Entry,
    write: Callable[[float], str],
) -> Iterator[Sequence[str]]:
    """Return a line a pair: what is compared, both medians, and their ratio.

    Args:
        pairs: words, our contestant, the peer, and the key of the ratio.
        measured: by contestant.
        speedup: by key.
        write: a median with its unit.
    """
    for what, ours, peer, key in pairs:
        medians = (write(measured[name]["median"]) for name in (ours, peer))
        yield what, *medians, number(speedup[key])


def training_rows(results: Results) -> Iterator[Sequence[str]]:
    """Return pictures a second of each contestant."""
    training = results.get("training", {})
    for name, rate in training.get("pictures_per_second", {}).items():
        peak = f"{training['peak_memory_mb'][name]:,.0f} MB"
        yield name, number(rate["median"]), spread(rate["slowest"], rate["fastest"]), peak


def profile_rows(results: Results) -> Iterator[Sequence[str]]:
    """Return the share of a training step that each operator takes, by precision."""
    steps = results.get("profile", {}).get("steps", {})
    for precision, step in steps.items():
        for operator, share in step["own_time"].items():
            yield precision, f"`{operator}`", f"{100 * share:.1f} %"


def inference_rows(results: Results) -> Iterator[Sequence[str]]:
    """Return ms a picture of each contestant."""
    inference = results.get("inference", {})
    for name, value in inference.get("ms_a_picture", {}).items():
        peak = f"{inference['peak_memory_mb'][name]:,.0f} MB"
        yield name, number(value["median"], 0), spread(value["fastest"], value["slowest"], 0), peak


def stage_rows(results: Results) -> Iterator[Sequence[str]]:
    """Return ms of each stage of a picture's way."""
    for name, stages in results.get("inference", {}).get("stages", {}).items():
        order = ("read", "resize", "network", "post-processing")
        yield name, *(number(stages[stage], 1) for stage in order)


def postprocess_rows(results: Results) -> Iterator[Sequence[str]]:
    """Return ms of post-processing by how much passes the floor."""
    for row in results.get("postprocess", {}).get("rows", []):
        found = f"{row['candidates']:,}", f"{row['boxes']:,}"
        yield f"{100 * row['share']:g} %", *found, number(row["ms"], 1)


def size_rows(results: Results) -> Iterator[Sequence[str]]:
    """Return what each model costs at each size in each form."""
    for row in results.get("sizes", {}).get("rows", []):
        yield (
            row["model"],
            f"{row['image_size']} px",
            FORM_NAMES[row["form"]],
            number(row["file_mb"], 1),
            number(row["cold_start_s"], 1),
            number(row["ms_a_picture"], 0),
            number(row["times_pytorch"]),
            number(row["peak_memory_mb"], 0),
        )


def quantised_rows(results: Results) -> Iterator[Sequence[str]]:
    """Return how much faster INT8 is, without VNNI and with it."""
    with_vnni = {
        (row["model"], row["image_size"]): row["times_pytorch"]
        for row in results.get("sizes_vnni", {}).get("rows", [])
        if row["form"] == "int8"
    }
    for row in results.get("sizes", {}).get("rows", []):
        if row["form"] == "int8":
            times = row["times_pytorch"], with_vnni.get((row["model"], row["image_size"]))
            yield row["model"], f"{row['image_size']} px", *map(number, times)


def memory_rows(results: Results) -> Iterator[Sequence[str]]:
    """Return the peak of a folder prediction by its pictures."""
    for row in results.get("memory", {}).get("rows", []):
        yield f"{row['pictures']:,}", f"{row['peak_memory_mb']:,} MB"


def second_look_rows(results: Results) -> Iterator[Sequence[str]]:
    """Return what a second look costs by recipe, size and precision."""
    for row in results.get("second_look", {}).get("rows", []):
        yield (
            row["recipe"],
            f"{row['side']} px",
            row["precision"],
            number(row["without_ms"], 1),
            number(row["with_ms"], 1),
            number(row["ratio"], 3),
        )


def evaluator_rows(results: Results) -> Iterator[Sequence[str]]:
    """Return the seconds of each evaluator."""
    for name, values in results.get("evaluator", {}).get("seconds", {}).items():
        yield name, number(middle(values)), spread(min(values), max(values))


def middle(values: Iterable[float]) -> float:
    """Return the middle value, of an even number the higher one."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


TABLES = {
    "speed": Table(("what", "ours", "theirs", "ratio"), speed_rows),
    "training": Table(
        ("contestant", "pictures a second, median", "slowest to fastest", "peak memory"),
        training_rows,
    ),
    "profile": Table(("precision", "operator", "share of the step"), profile_rows),
    "inference": Table(
        ("contestant", "ms a picture, median", "fastest to slowest", "peak memory"), inference_rows
    ),
    "stages": Table(
        ("contestant", "read, ms", "resize, ms", "network, ms", "post-processing, ms"), stage_rows
    ),
    "postprocess": Table(
        ("pairs above the floor", "candidates", "boxes", "ms a picture"), postprocess_rows
    ),
    "sizes": Table(
        (
            "model", "size", "form", "file, MB", "cold start, s", "a picture, ms",
            "times as fast as our PyTorch", "peak memory, MB",
        ),
        size_rows,
    ),
    "quantised": Table(("model", "size", "AVX2 alone", "AVX-512 VNNI"), quantised_rows),
    "second-look": Table(
        ("recipe", "size", "precision", "ms without", "ms with", "ratio, paired"), second_look_rows
    ),
    "memory": Table(("pictures", "peak memory"), memory_rows),
    "evaluator": Table(("evaluator", "seconds, median", "fastest to slowest"), evaluator_rows),
}  # fmt: skip
