"""Whole exports: what lies in the file and beside it, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

import iouaware
from iouaware import cli
from iouaware.checkpoint import write_model
from iouaware.data.layouts import read_split
from iouaware.errors import CheckpointError, ConfigError, DatasetError, ParityError
from iouaware.exporting.export import (
    ExportPlan,
    compare_with_torch,
    describe_export,
    export_model,
    refuse_past,
)
from iouaware.exporting.int8 import FLOAT_LAYERS, nodes_kept_in_float
from iouaware.exporting.onnx_file import write_onnx_metadata
from iouaware.exporting.pictures import Pictures, spread
from iouaware.inference.export_metadata import write_metadata
from iouaware.inference.exported import open_exported, read_exported_info
from iouaware.inference.exported_backend import build_candidates
from iouaware.inference.openvino_backend import import_openvino
from iouaware.inference.scoring import FORMULA
from iouaware.inference.torch_backend import TorchBackend
from iouaware.run import Run
from iouaware.structures import Frame
from tests.exporting.conftest import SIZE, build_tiny, describe, draw
from tests.exporting.test_graph import assert_same

# writing and opening so many files takes two minutes
pytestmark = pytest.mark.slow


def test_p37_p40_batches_are_proven_beside_the_file_and_in_it(onnx_file: Path) -> None:
    report = json.loads(onnx_file.with_name("model.onnx.parity.json").read_text("utf-8"))
    assert [row["batch"] for row in report["comparisons"]] == [1, 2, 5]
    for row in report["comparisons"]:
        assert row["canvas"] == [SIZE, SIZE]
        assert row["boxes"] > 100
        assert row["unmatched"] == 0
        assert row["box_px_max"] < 0.01
        assert max(row["score_max"], row["predicted_iou_max"]) < 1e-4
    assert report["bytes"] > 1e6
    assert report["AP"]["images"] == 5
    assert set(report["AP"]["alphas"]) == {"1", "0.5"}
    assert report["milliseconds"]["file"] > 0  # p40
    assert read_exported_info(onnx_file).parity == report  # p38


def test_p40_the_canvas_is_fixed_candidates_are_few_and_the_time_is_told(onnx_file: Path) -> None:
    report = json.loads(onnx_file.with_name("model.onnx.parity.json").read_text("utf-8"))
    assert set(report["milliseconds"]) == {"file", "pytorch"}  # told, whichever is quicker
    assert min(report["milliseconds"].values()) > 0
    graph = onnx.load(onnx_file).graph
    shapes = {
        one.name: [axis.dim_value for axis in one.type.tensor_type.shape.dim]
        for one in (*graph.input, *graph.output)
    }
    assert shapes["images"][1:] == [3, SIZE, SIZE]  # unless --image-size dynamic is asked for
    assert 0 < shapes["candidate_boxes"][1] <= 2000
    assert not [node.op_type for node in graph.node if node.op_type in ("Loop", "Scan")]


def test_p53_the_file_says_what_it_is(onnx_file: Path) -> None:
    entries = {entry.key: entry.value for entry in onnx.load(onnx_file).metadata_props}
    values = {name: json.loads(text) for name, text in entries.items() if name in write_names()}
    assert values["formula"] == FORMULA
    assert values["class_names"] == list(describe().class_names)
    assert values["category_ids"] == list(describe().category_ids)
    assert (values["alpha"], values["score_threshold"]) == (0.5, 0.4)
    assert values["input_size"] == SIZE
    assert values["mean"] == values["std"] == [0.5, 0.5, 0.5]
    assert values["end"] == "detections"  # p41
    assert values["calibration"] is None
    assert values["version"] == iouaware.__version__


def write_names() -> set[str]:
    return set(write_metadata(describe_export(describe(), ExportPlan()))) - {"sha256"}


def test_names_of_inputs_and_outputs(onnx_file: Path) -> None:
    graph = onnx.load(onnx_file).graph
    assert [found.name for found in graph.input] == ["images", "alpha", "score_threshold"]
    shapes = {
        found.name: [axis.dim_param or axis.dim_value for axis in found.type.tensor_type.shape.dim]
        for found in [*graph.input, *graph.output]
    }
    assert shapes["images"] == ["batch", 3, SIZE, SIZE]
    assert shapes["alpha"] == shapes["score_threshold"] == []
    assert shapes["boxes"] == ["batch", 100, 4]
    many = shapes["candidate_labels"][1]
    for name in ("labels", "class_scores", "predicted_iou", "scores"):
        assert shapes[name] == ["batch", 100]
    for name in ("class_scores", "predicted_iou", "anchors"):
        assert shapes[f"candidate_{name}"] == ["batch", many]
    assert shapes["candidate_boxes"] == ["batch", many, 4]


def test_metadata_that_was_changed_is_refused(onnx_file: Path, tmp_path: Path) -> None:
    for name, value, words in (
        ("alpha", "0.9", "changed after the export"),
        ("class_names", "[oops", "cannot be read"),
        ("format", "99", "format 99, this version reads 1"),
    ):
        path = tmp_path / "changed.onnx"
        path.write_bytes(onnx_file.read_bytes())
        write_onnx_metadata(path, {name: value})
        with pytest.raises(CheckpointError, match=words):
            read_exported_info(path)


def test_another_model_misses_parity(onnx_file: Path, tiny_coco: Path) -> None:
    other = build_tiny(shared_iou_convs=0)  # other weights
    backend = TorchBackend(other, open_exported(onnx_file).settings)
    report = compare_with_torch(
        backend, open_exported(onnx_file), Pictures(read_split(tiny_coco, "val"), "val")
    )
    with pytest.raises(
        ParityError, match=r"m\.onnx misses parity: .* allowed .* more in m\.onnx\.par"
    ):
        refuse_past(report, Path("m.onnx"))
    refuse_past({"past": []}, Path("m.onnx"))


def test_an_earlier_file_stays_where_the_comparison_fails(
    model_file: Path, onnx_file: Path, tmp_path: Path
) -> None:
    class Broken(Pictures):
        def images(self) -> list[Any]:
            raise DatasetError("a.jpg: this picture cannot be read")

    path = tmp_path / "model.onnx"
    shutil.copy(onnx_file, path)
    with pytest.raises(DatasetError, match="picture cannot be read"):
        export_model(model_file, path, ExportPlan(), Broken(None, "broken"), lambda line: None)
    assert path.read_bytes() == onnx_file.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_pictures_are_spread_and_drawn_ones_stand_in(tiny_coco: Path) -> None:
    assert spread(10, 4) == [0, 3, 6, 9]
    assert spread(3, 8) == [0, 1, 2]
    drawn = Pictures(None, "drawn")
    assert len(drawn.images()) == 8
    assert drawn.labelled() is None
    assert np.array_equal(drawn.images()[3], drawn.images()[3])
    assert len(Pictures(read_split(tiny_coco, "val"), "val").images()) == 5


def test_box_and_iou_layers_and_all_that_follows_stay_in_float(onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    floating = set(nodes_kept_in_float(model))
    kinds = {node.op_type for node in model.graph.node if node.name in floating}
    assert {"Conv", "TopK", "NonMaxSuppression", "Exp", "Sigmoid"} <= kinds
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    for node in convs:
        is_last = any(layer in node.input[1] for layer in FLOAT_LAYERS)
        assert (node.name in floating) == is_last
    # two layers on five levels, and the second look's on three
    assert sum(node.name in floating for node in convs) == 13


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (ExportPlan(image_size=100), r"--image-size 100: expected a multiple of 32 from 64 px on"),
        (ExportPlan(image_size=32), r"--image-size 32: expected a multiple of 32"),
        (ExportPlan(image_size="auto"), r"--image-size auto: expected a multiple of 32"),  # type: ignore[arg-type]
        (ExportPlan(end="candidate"), "end is 'candidate', expected one of detections, cand"),  # type: ignore[arg-type]
        (ExportPlan(weight_bits=6), "int8_bits is 6, expected one of 7, 8"),  # type: ignore[arg-type]
        (ExportPlan(end="candidates", bake=True), "--bake: a file that ends at candidates"),
    ],
)
def test_plans_that_cannot_be(plan: ExportPlan, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        describe_export(describe(), plan)


def test_sizes_and_the_papers_order() -> None:
    model = describe()
    assert describe_export(model, ExportPlan()).canvas_hw == (SIZE, SIZE)
    other = describe_export(model, ExportPlan(image_size=160))
    assert other.canvas_hw == (160, 160)
    assert other.model.config["data"]["image_size"] == 160
    assert model.config["data"]["image_size"] == SIZE
    assert describe_export(model, ExportPlan(image_size="dynamic")).canvas_hw is None
    pair = {**model.config, "data": {**model.config["data"], "image_size": [64, 128]}}
    assert describe_export(replace(model, config=pair), ExportPlan()).canvas_hw is None
    silent = {key: value for key, value in model.config.items() if key != "data"}
    with pytest.raises(CheckpointError, match="the model: the config says image_size None"):
        describe_export(replace(model, config=silent), ExportPlan())
    paper = {**model.config, "inference": {"postprocess": "paper"}}
    with pytest.raises(ConfigError, match="its choice of candidates depends on alpha"):
        describe_export(replace(model, config=paper), ExportPlan())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "tflite"}, "--format tflite: expected one of onnx, openvino"),
        ({"int8": True}, "--int8: give pictures with --data"),
        ({"out": "model.xml"}, r"--out model\.xml: expected a name that ends in \.onnx"),
        ({"data": "nowhere"}, "nowhere"),
    ],
)
def test_requests_that_cannot_be(
    model_file: Path, options: dict[str, Any], words: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ConfigError, iouaware.DatasetError), match=words):
        Run(model_file).export(**options)
    assert not list(tmp_path.iterdir())


def test_a_file_is_not_exported_again(onnx_file: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be exported again"):
        Run(onnx_file).export()


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_p37_any_size_and_any_batch(form: Any, model_file: Path, tiny_coco: Path) -> None:
    out = model_file.parent / f"any.{'onnx' if form == 'onnx' else 'xml'}"
    pictures = Pictures(read_split(tiny_coco, "val"), "val")
    plan = ExportPlan(form, image_size="dynamic")
    report = export_model(model_file, out, plan, pictures, lambda line: None)
    assert report["past"] == []
    rows = [(row["batch"], row["canvas"]) for row in report["comparisons"]]
    assert rows == [(batch, [size] * 2) for size in (96, 64) for batch in (1, 2, 5)]
    assert sum(row["unmatched"] for row in report["comparisons"]) == 0
    # larger than what was traced, and no square: nothing of the example may be left in the graph
    exported = open_exported(out)
    torch_backend = TorchBackend(build_tiny(), exported.settings)
    canvases, _ = draw(2, 352)
    canvas_hw = (352, 288)
    frames = [Frame(canvas_hw, canvas_hw, canvas_hw)] * 2
    found = exported.run(exported.feeds(canvases[:, :, :288], 1.0, 0.0))
    for row, one in enumerate(torch_backend.compute_candidates(canvases[:, :, :288], frames)):
        assert_same(build_candidates(found, row, frames[row]), one)
        assert one.boxes.max() == 352


def test_p41_candidates_alone_and_baked_knobs(
    model_file: Path, onnx_file: Path, tiny_coco: Path
) -> None:
    pictures = Pictures(read_split(tiny_coco, "val"), "val")
    for name, plan in {
        "candidates": ExportPlan(end="candidates"),
        "baked": ExportPlan(bake=True),
    }.items():
        out = model_file.parent / f"{name}.onnx"
        assert not export_model(model_file, out, plan, pictures, lambda line: None)["past"]
        assert [found.name for found in onnx.load(out).graph.input] == ["images"]
        assert any(node.op_type == "NonMaxSuppression" for node in onnx.load(out).graph.node) == (
            name == "baked"
        )


@pytest.mark.parametrize(("form", "bits"), [("onnx", 7), ("openvino", 7), ("openvino", 8)])
def test_int8_says_what_it_costs(form: Any, bits: Any, tiny_coco: Path, tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    write_model(weights, build_tiny(), describe())
    out = tmp_path / f"int8.{'onnx' if form == 'onnx' else 'xml'}"
    plan = ExportPlan(form, calibration=read_split(tiny_coco, "train"), weight_bits=bits)
    pictures = Pictures(read_split(tiny_coco, "val"), "val")
    report = export_model(weights, out, plan, pictures, lambda line: None)
    assert report["precision"] == read_exported_info(out).precision == "int8"
    assert set(report["AP"]["alphas"]["1"]) == {"pytorch", "file"}
    assert 0 < report["comparisons"][2]["box_px_mean"] < 10
    # 255 * 64 * 2 fits into 16 bits with its sign, in which processors without VNNI add in pairs
    largest = max(np.abs(values.astype(int)).max() for values in int8_weights(out))
    assert largest == 64 if bits == 7 else largest in (127, 128)


def int8_weights(file: Path) -> list[NDArray[Any]]:
    """Return the weights of the convolutions that are stored in INT8, [out, in, h, w] each."""
    if file.suffix == ".onnx":
        stored = [numpy_helper.to_array(one) for one in onnx.load(file).graph.initializer]
    else:
        model = import_openvino().Core().read_model(file)
        stored = [op.data for op in model.get_ops() if op.get_type_name() == "Constant"]
    return [values for values in stored if values.dtype == np.int8 and values.ndim >= 4]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "tflite"], "--format tflite: expected one of onnx, openvino"),
        (["--format", "onnx", "--int8"], "--int8: give pictures with --data"),
        (["--format", "onnx", "--int8-bits", "8"], "--int8-bits: expected beside --int8"),
        (["--format", "onnx", "--int8", "--int8-bits", "6"], "int8-bits"),
        (
            ["--format", "onnx", "--image-size", "100"],
            "--image-size 100: expected a multiple of 32",
        ),
        (["--format", "onnx", "--opset", "3"], "--opset 3: expected 18 to 23"),
        ([], "--format is missing; expected: iouaware export RUN"),
    ],
)
def test_wrong_requests_are_one_line_and_exit_2(
    arguments: list[str],
    words: str,
    model_file: Path,
    tmp_path: Path,
    capsys: Any,
    monkeypatch: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_prepare", lambda: None)
    assert cli.main(["export", str(model_file), *arguments]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert words in told
    assert not list(tmp_path.iterdir())


def test_a_file_that_misses_parity_ends_with_1(
    model_file: Path, tiny_coco: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    def export_badly(model: Path, out: Path, *rest: Any) -> dict[str, Any]:
        return {**json.loads(GOOD), "past": ["boxes differ by 9 px"]}

    monkeypatch.setattr("iouaware.exporting.export.export_model", export_badly)
    monkeypatch.setattr(cli, "_prepare", lambda: None)
    out = tmp_path / "m.onnx"
    given = ["export", str(model_file), "--format", "onnx", "--data", str(tiny_coco)]
    assert cli.main([*given, "--out", str(out)]) == 1
    told = capsys.readouterr().err
    assert told == f"iouaware: {out} misses parity: boxes differ by 9 px; {WRITTEN}\n"


WRITTEN = "the file was written all the same"
GOOD = """{"pictures": "x", "comparisons": [], "AP": null, "bytes": 1,
           "milliseconds": {"file": 1, "pytorch": 1}}"""
