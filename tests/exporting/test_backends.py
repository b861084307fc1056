"""Exported files in use: the same answers as the weights they were made from, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import iouaware
from iouaware.config import InferenceConfig
from iouaware.errors import CheckpointError, ConfigError
from iouaware.exporting.parity import Differences, FoundBoxes, compare_batches, detections_of
from iouaware.images import canvas_fill
from iouaware.inference import onnx_backend
from iouaware.inference.detections import Detections
from iouaware.inference.exported import open_exported, read_exported_info
from iouaware.inference.extras import threads_asked_for
from iouaware.inference.onnx_backend import choose_providers
from iouaware.inference.openvino_backend import OpenvinoBackend
from iouaware.inference.torch_backend import TorchBackend
from iouaware.run import Run
from tests.exporting.conftest import CONFIG, MEAN, SIZE, build_tiny, draw

# writing and opening so many files takes two minutes
pytestmark = pytest.mark.slow

FILL = canvas_fill(MEAN)


@pytest.fixture(params=["onnx", "openvino"])
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(f"{request.param}_file")
    return path


@pytest.fixture(scope="module")
def torch_backend() -> TorchBackend:
    return TorchBackend(build_tiny(), CONFIG.inference)


def as_found(found: Detections) -> FoundBoxes:
    return FoundBoxes(found.boxes, found.labels, found.scores, found.predicted_iou)


def assert_alike(ours: Detections, theirs: Detections) -> None:
    differences = Differences(0.9)
    differences.add(as_found(ours), as_found(theirs))
    summary = differences.summary()
    assert summary["boxes"] == len(ours) * 2 > 0
    assert summary["unmatched"] == 0
    assert summary["box_px_max"] < 0.05
    assert summary["score_max"] < 1e-4


def test_p37_p38_batches_of_one_two_and_five_equal_torch(
    file: Path, torch_backend: TorchBackend
) -> None:
    random = np.random.default_rng(1)
    images = [random.integers(0, 256, (h, 90, 3), dtype=np.uint8) for h in (90, 40, 120)]
    rows = compare_batches(torch_backend, open_exported(file), images, [SIZE], FILL)
    assert [row["batch"] for row in rows] == [1, 2, 5]
    for row in rows:
        assert (row["boxes"] > 0, row["unmatched"]) == (True, 0)
        assert row["box_px_max"] < 0.01


def test_p39_load_predicts_and_rescores_like_the_weights(
    file: Path, model_file: Path, tiny_coco: Path
) -> None:
    picture = next((tiny_coco / "images" / "val").iterdir())
    ours, theirs = iouaware.load(model_file, device="cpu"), iouaware.load(file)
    assert theirs.class_names == ours.class_names
    for alpha in (None, 0.0, 1.0):
        first = ours.predict(picture, alpha=alpha, score_threshold=0.2)
        second = theirs.predict(picture, alpha=alpha, score_threshold=0.2)
        assert isinstance(first, Detections)
        assert isinstance(second, Detections)
        assert_alike(first, second)
        # alpha moves without a second pass
        again = second.rescorer
        assert again is not None
        assert_alike(first, again.select(first.alpha, 0.2, None))
        if alpha is None:
            assert_alike(second.rescore(alpha=1.0), first.rescore(alpha=1.0))
    many = theirs.predict([picture, picture, picture])
    assert isinstance(many, list)
    np.testing.assert_allclose(many[0].boxes, many[2].boxes, atol=0.01)


def test_a_picture_without_detections_and_one_of_nothing_but_padding(file: Path) -> None:
    detector = iouaware.load(file)
    grey = np.full((50, 80, 3), FILL, np.uint8)
    found = detector.predict(grey, score_threshold=1.0)
    assert isinstance(found, Detections)
    assert len(found) == 0
    backend = open_exported(file)
    canvases, _ = draw(2)
    none = backend.run(backend.feeds(canvases, 0.5, 1.5))
    assert len(detections_of(none, 1).boxes) == 0
    assert (none["candidate_labels"] >= 0).any()


def test_the_crowd_is_cut_to_the_best_hundred(file: Path) -> None:
    backend = open_exported(file)
    canvases, _ = draw(1)
    found = backend.run(backend.feeds(canvases, 1.0, 0.0))
    assert (found["candidate_labels"][0] >= 0).sum() > 1000  # hundreds of boxes before NMS
    scores = found["scores"][0][found["labels"][0] >= 0]
    assert len(scores) == 100
    assert (np.diff(scores) <= 0).all()


def test_evaluate_and_sweep_take_the_file(
    file: Path, model_file: Path, tiny_coco: Path, tmp_path: Path
) -> None:
    for path in (file, file.with_suffix(".bin")):
        if path.exists():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").write_bytes(model_file.read_bytes())
    ours = Run(tmp_path / "weights" / "model.safetensors", device="cpu", workers=0)
    theirs = Run(tmp_path / file.name)
    first, second = (run.evaluate(tiny_coco, alpha=0.5) for run in (ours, theirs))
    assert json.loads((tmp_path / "evaluation.json").read_text("utf-8"))["AP"] == second["AP"]
    for name in ("AP", "AP50", "AR100"):
        assert second[name] == pytest.approx(first[name], abs=1e-4)
    sweep = theirs.sweep(tiny_coco)
    assert sweep["AP"][0] == pytest.approx(second["baseline"]["AP"])
    with pytest.raises(ConfigError, match="cannot keep a choice"):
        theirs.sweep(tiny_coco, save=True)


def test_a_file_in_the_export_folder_knows_the_data_of_its_run(
    finished_run: Path, onnx_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "export").mkdir()
    for source, target in (
        (finished_run / "config.yaml", tmp_path / "config.yaml"),
        (onnx_file, tmp_path / "export" / "model.onnx"),
        (onnx_file, tmp_path / "model.onnx"),
    ):
        target.write_bytes(source.read_bytes())
    for folder in (tmp_path / "export", tmp_path):
        Run(folder / "model.onnx").evaluate()
        assert (folder / "evaluation.json").is_file()
    # the weights' candidates are neither taken nor replaced
    assert not list(tmp_path.rglob("candidates-*"))


def test_canvases_of_another_size_are_refused(file: Path) -> None:
    backend = open_exported(file)
    with pytest.raises(ConfigError, match=r"the canvas is 64 x 64 px, this file takes 96 x 96"):
        backend.feeds(np.zeros((1, 64, 64, 3), np.uint8), 1.0, 0.0)
    with pytest.raises(ValueError, match=r"expected \[B, H, W, 3\]"):
        backend.feeds(np.zeros((64, 64, 3), np.uint8), 1.0, 0.0)
    with pytest.raises(ConfigError, match="standard order only"):
        backend.compute_paper_candidates(*draw(1), 0.5)


def test_files_that_are_not_ours(file: Path, tmp_path: Path) -> None:
    broken = tmp_path / f"broken{file.suffix}"
    broken.write_bytes(b"no graph")
    broken.with_suffix(".bin").write_bytes(b"")
    for call in (open_exported, read_exported_info, iouaware.load):
        with pytest.raises(CheckpointError, match=r"not an O.* file that can be run"):
            call(broken)
        with pytest.raises(CheckpointError, match="no such file"):
            call(tmp_path / f"none{file.suffix}")


def test_an_openvino_file_needs_its_weights(openvino_file: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.xml"
    alone.write_bytes(openvino_file.read_bytes())
    with pytest.raises(CheckpointError, match=r"alone\.bin is missing beside it"):
        open_exported(alone)
    with pytest.raises(ConfigError, match="OpenVINO files run on the processor"):
        open_exported(openvino_file, "cuda")


def test_an_onnx_file_computes_in_what_it_was_written_in(onnx_file: Path) -> None:
    with pytest.raises(ConfigError, match="export with --int8"):
        open_exported(onnx_file, precision="bfloat16")
    with pytest.raises(ConfigError, match=r"--device cuda: this ONNX Runtime offers .*CPUExec"):
        open_exported(onnx_file, "cuda")


def test_an_onnx_file_runs_on_the_card_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    runtime = SimpleNamespace(get_available_providers=lambda: there)
    monkeypatch.setattr(onnx_backend, "import_extra", lambda name: runtime)
    assert choose_providers("cuda") == there
    second = ("CUDAExecutionProvider", {"device_id": 1})
    assert choose_providers("cuda:1") == [second, "CPUExecutionProvider"]
    with pytest.raises(ConfigError, match="--device cuda:x: expected a number behind the colon"):
        choose_providers("cuda:x")
    assert choose_providers(None) == ["CPUExecutionProvider"]


def test_settings_come_from_the_file(file: Path) -> None:
    backend = open_exported(file)
    assert backend.settings == InferenceConfig.model_validate(CONFIG.inference.model_dump())
    assert backend.info.model.score_threshold(0.5) == 0.4


WITHOUT = """
import sys, socket
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
def refuse(*arguments, **options):
    raise OSError("no network in this test")
socket.socket.connect = refuse
import numpy as np
import iouaware
from iouaware.cli import main
{code}
"""


def run_without(hidden: list[str], code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    text = WITHOUT.format(hidden=hidden, code=code)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", text], capture_output=True, text=True, cwd=folder
    )


def test_files_run_where_torch_is_not_installed(
    onnx_file: Path, openvino_file: Path, tiny_coco: Path, tmp_path: Path
) -> None:
    picture = next((tiny_coco / "images" / "val").iterdir())
    code = f"""
for file in ({str(onnx_file)!r}, {str(openvino_file)!r}):
    found = iouaware.load(file).predict({str(picture)!r}, alpha=0.5, score_threshold=0.0)
    print(len(found), len(found.rescore(alpha=1.0, score_threshold=0.0)))
import shutil
shutil.copy({str(onnx_file)!r}, "model.onnx")
print(main(["evaluate", "model.onnx", "--data", {str(tiny_coco)!r}]))
print(main(["predict", "model.onnx", {str(picture)!r}]))
print("openvino_telemetry" in sys.modules and sys.modules["openvino_telemetry"])
"""
    hidden = ["torch", "torchvision", "timm", "onnx", "onnxscript", "nncf"]
    done = run_without(hidden, code, tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["100 100", "100 100"]
    assert lines[-1] == "None"  # no usage reports
    assert (tmp_path / "evaluation.json").is_file()
    assert (tmp_path / "predict-1" / "predictions.json").is_file()
    assert lines.count("0") == 2


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_missing_extra_is_one_line_that_installs_it(
    name: str, onnx_file: Path, openvino_file: Path, tmp_path: Path
) -> None:
    file = onnx_file if name == "onnxruntime" else openvino_file
    code = f"sys.exit(main(['predict', {str(file)!r}, 'x.jpg']))"
    (tmp_path / "x.jpg").write_bytes(b"")
    done = run_without([name], code, tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"this needs the package {name}" in done.stderr
    assert 'pip install ".[export]" in the clone' in done.stderr


def test_threads_take_turns_in_openvino(openvino_file: Path) -> None:
    backend = open_exported(openvino_file)
    assert isinstance(backend, OpenvinoBackend)
    compiled, held = backend._compiled, []

    def watched(feeds: object) -> object:
        held.append(backend._lock.locked())
        return compiled(feeds)

    backend._compiled = watched
    canvases, frames = draw(1)
    backend.compute_candidates(canvases, frames)
    assert held == [True]


def test_an_unknown_precision_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match="precision is 'bogus', expected one of auto, float32"):
        open_exported(file, precision="bogus")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "threads"), [("3", 3), ("4,2", 4), ("", None), ("0", None), ("many", None)]
)
def test_threads_asked_for(
    monkeypatch: pytest.MonkeyPatch, value: str, threads: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads_asked_for() == threads
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads_asked_for() is None
