"""Files made to do harm: only this package's errors come out, in one line, and no code runs.

What is tried elsewhere: HTML in names of classes and files (``reporting/test_report.py``), pickles
(``test_p42_...``). What cannot happen: the only CSV file, ``metrics.csv``, holds numbers under
fixed names, so that no cell can be a formula. What is not tried: videos, which FFmpeg decodes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from iouaware.checkpoint import describe_model, read_model, write_model
from iouaware.cli import main
from iouaware.config import build_config, read_config
from iouaware.data.coco import read_coco_json
from iouaware.data.dataset import Dataset
from iouaware.data.layouts import read_splits
from iouaware.data.voc import read_voc_xml
from iouaware.errors import CheckpointError, ConfigError, DatasetError, IoUAwareError
from iouaware.images import MAX_PIXELS, read_image, read_image_size, read_thumbnail
from iouaware.inference.export_metadata import read_metadata, write_metadata
from iouaware.inference.sources import list_sources
from iouaware.model.detector import Detector
from iouaware.model.weight_files import HEADER_KEY, read_model_info, read_state_dict
from iouaware.parsing import parse_json, parse_yaml
from iouaware.running.results import read_evaluation
from tests.conftest import TINY_CONFIG

ALIASES = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)  # nine lines that stand for 10^9 values
FUZZED = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def one_line(error: pytest.ExceptionInfo[Any], longest: int = 600) -> bool:
    return "\n" not in str(error.value) and len(str(error.value)) < longest


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 5000,
        "seed: " + "9" * 5000,
        "seed: 2020-13-45",
        "seed: !!python/object/apply:os.system ['true']",
        "seed: !!binary abc=",
        ALIASES + "seed: *i\n",
        "seed: &a [*a]",
        "seed: 99999999999999999999999",
        "train: {lr: .nan}",
        "train: {lr: .inf}",
        "model: {box_stds: [.inf, 1, 1, 1]}",
        "model: {fpn_channels: 99999999999999999999}",
        "train: [1]",
        "1: 2",
        "train: {1: 2}",
        "? [1, 2]\n: 3",
        "a: \x00",
        f"seed: {'x' * 100_000}",
    ],
)
def test_a_config_made_to_do_harm_is_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as error:
        read_config(file)
    assert one_line(error)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "names: [2020-13-45]",
        "names: {.inf: a}",
        ALIASES + "names: *i\n",
        ALIASES + "names: [a]\ntrain: *i\n",
        "names: [a]\ntrain: " + "a" * 5000,
        'names: [a]\ntrain: "a\\0b"',
        'names: ["\\uD800"]\ntrain: images',
    ],
)
def test_a_yolo_description_made_to_do_harm_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (32, 24)).save(tmp_path / "images" / "a.png")
    (tmp_path / "data.yaml").write_text(text, "utf-8")
    with pytest.raises(DatasetError) as error:
        read_splits(tmp_path)
    assert one_line(error)


def test_a_label_file_of_odd_white_space_is_no_label(tmp_path: Path) -> None:
    # bytes.strip leaves what str.strip takes away
    for place in ("images/a.png", "images/b.png", "labels/stray.txt"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
    for name in "ab":
        Image.new("RGB", (32, 24)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "labels" / "stray.txt").write_text("\x1c\x1d", "utf-8")
    (tmp_path / "data.yaml").write_text("names: [a]\ntrain: images", "utf-8")
    with pytest.raises(DatasetError, match=r"cannot be split"):
        read_splits(tmp_path)


ENTITIES = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><annotation>&b;</annotation>'
OUTSIDE = (
    '<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    "<annotation><filename>&x;</filename></annotation>"
)


@pytest.mark.parametrize("text", [ENTITIES, OUTSIDE, "\0\0", "<annotation>" + "<a>" * 9])
def test_xml_entities_are_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    file.write_text(text, "utf-8")
    with pytest.raises(DatasetError) as error:
        read_voc_xml(file)
    assert one_line(error)
    assert ("defines entities" in str(error.value)) == ("ENTITY" in text)


def write_coco(folder: Path, section: str, key: str, value: Any) -> Path:
    (folder / "images").mkdir()
    names = "abcd"
    for number, name in enumerate(names):
        Image.new("RGB", (32, 24), (60 * number, 9, 9)).save(folder / "images" / f"{name}.png")
    content: dict[str, Any] = {
        "images": [
            {"id": n, "file_name": f"{name}.png", "width": 32, "height": 24}
            for n, name in enumerate(names)
        ],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 9, 9]} for n in range(4)
        ],
        "categories": [{"id": 1, "name": "bolt"}],
    }
    content[section][0][key] = value
    (folder / "annotations").mkdir()
    (folder / "annotations" / "train.json").write_text(json.dumps(content), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("images", "file_name", "a\0.png"),
        ("images", "file_name", "\ud800.png"),
        ("images", "file_name", "a" * 5000),
        ("images", "file_name", "/dev/zero"),
        ("images", "file_name", {}),
        ("images", "width", 1e400),
        ("categories", "name", "\ud800"),
        ("annotations", "bbox", [float("nan")] * 4),
        ("annotations", "bbox", [10**400, 0, 1, 1]),
        ("annotations", "bbox", ["9" * 10**6]),
        ("annotations", "category_id", 10**400),
        ("annotations", "attributes", {"rotation": float("inf")}),
    ],
)
def test_coco_values_made_to_do_harm_are_one_line(
    section: str, key: str, value: Any, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError) as error:
        read_splits(write_coco(tmp_path, section, key, value))
    assert one_line(error, 1000)


@pytest.mark.parametrize("name", ["../outside.png", "{absolute}"])
def test_a_picture_outside_the_folder_may_be_named_but_must_be_a_picture(
    name: str, tmp_path: Path
) -> None:
    # data sets name pictures on other disks; what is no picture is told by its name alone
    outside = tmp_path / "outside.png"
    outside.write_text("root:x:0:0:secret", "utf-8")
    (tmp_path / "data").mkdir()
    name = name.replace("{absolute}", str(outside)).replace("..", "../..")
    with pytest.raises(DatasetError, match="cannot be read") as error:
        read_splits(write_coco(tmp_path / "data", "images", "file_name", name))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "{", ""])
def test_json_made_to_do_harm_is_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(text, "utf-8")
    with pytest.raises(DatasetError) as error:
        read_coco_json(file)
    assert one_line(error)
    (tmp_path / "evaluation.json").write_text(text, "utf-8")
    with pytest.raises(CheckpointError) as other:
        read_evaluation(tmp_path)
    assert one_line(other)


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
READERS: list[Callable[[Path], Any]] = [
    read_image,
    read_image_size,
    lambda path: read_thumbnail(path, 24),
]


@pytest.mark.parametrize("read", READERS, ids=["all", "size", "thumbnail"])
@pytest.mark.parametrize("limit", [Image.MAX_IMAGE_PIXELS, None])  # a program may lift Pillow's
def test_a_decompression_bomb_is_refused_by_its_header(
    read: Callable[[Path], Any], limit: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    # decoding would be noticed: the pixels are missing, and the message would say so
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    file = tmp_path / "bomb.png"
    file.write_bytes(png_of(MAX_PIXELS // 1000 + 1, 1000))
    with pytest.raises(DatasetError, match="cannot be read") as error:
        read(file)
    assert one_line(error)


@pytest.mark.parametrize("read", READERS, ids=["all", "size", "thumbnail"])
def test_formats_that_start_other_programs_are_refused(
    read: Callable[[Path], Any], tmp_path: Path
) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(EPS)  # Pillow hands EPS to Ghostscript
    with pytest.raises(DatasetError, match="cannot identify"):
        read(file)


def whole_picture(form: str) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(stream, form, **({"exif": exif} if form in EXIF else {}))
    return stream.getvalue()


EXIF = ("JPEG", "PNG", "WEBP", "TIFF")
PICTURES = {form: whole_picture(form) for form in ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF")}


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about a broken EXIF block
@pytest.mark.parametrize("form", PICTURES)
@FUZZED
@given(data=st.data())
def test_changed_bytes_of_a_picture_give_a_picture_or_an_error(
    form: str, data: st.DataObject, tmp_path: Path
) -> None:
    content = bytearray(PICTURES[form])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path / "a.picture"
    file.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    for read in READERS:
        try:
            read(file)
        except DatasetError:
            continue


KEY = st.text(max_size=6)
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
FLAT = st.lists(LEAF, max_size=4) | st.dictionaries(KEY, LEAF, max_size=4)
PLAIN = LEAF | FLAT | st.lists(FLAT, max_size=3) | st.dictionaries(KEY, FLAT, max_size=3)


@FUZZED
@given(text=st.text(max_size=60) | st.binary(max_size=60).map(lambda b: b.decode("latin-1")))
def test_any_text_is_parsed_or_a_value_error(text: str) -> None:
    for parse in (parse_json, parse_yaml):
        with contextlib.suppress(ValueError):
            parse(text)


@FUZZED
@given(section=st.sampled_from(["model", "data", "train", "inference", "seed"]), value=PLAIN)
def test_any_setting_is_taken_or_refused(section: str, value: Any) -> None:
    try:
        build_config({section: value})
    except ConfigError:
        return


@pytest.fixture(scope="module")
def model_file(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    config = build_config(parse_yaml(TINY_CONFIG))
    detector = Detector(config.model, len(tiny_dataset.class_names))
    write_model(path, detector, describe_model(detector, config, tiny_dataset, 96))
    return path


def with_header(model_file: Path, out: Path, changes: dict[str, Any]) -> Path:
    """Write the model with other entries in its header, named by dots."""
    from safetensors import safe_open

    with safe_open(model_file, framework="pt") as opened:
        values = json.loads(opened.metadata()[HEADER_KEY])
    for dotted, value in changes.items():
        place = values
        *sections, last = dotted.split(".")
        for section in sections:
            place = place[section]
        place[last] = value
    state = read_state_dict(model_file)
    save_file(state, out, metadata={HEADER_KEY: json.dumps(values)})
    return out


MANY = 100_000
HEADERS: list[dict[str, Any]] = [
    {"class_names": [str(n) for n in range(MANY)], "category_ids": list(range(MANY))},
    {"config.model.fpn_channels": 4096},
    {"config.model.backbone": "resnext101_32x32d"},
    {"config.model.backbone": "hf-hub:somebody/something"},
    {"alpha": 10**400},
    {"alpha": 2},
    {"alpha": float("nan")},
    {"category_ids": [float("inf")]},
    {"score_thresholds": {"x": 1}},
    {"score_thresholds": [1]},
    {"config.train": [1]},
    {"config": []},
    {"std": [0, 1, 1]},
    {"mean": [1] * 9},
    {"class_names": [], "category_ids": []},
    {"format": [[]]},
    {"config.train.precision": "x"},
]


@pytest.mark.parametrize("changes", HEADERS, ids=lambda changes: next(iter(changes)))
def test_a_model_header_made_to_do_harm_is_one_line(
    changes: dict[str, Any], model_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError) as error:
        read_model(with_header(model_file, tmp_path / "model.safetensors", changes))
    assert one_line(error)


def test_a_header_cannot_take_more_memory_than_its_weights(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = with_header(model_file, tmp_path / "model.safetensors", HEADERS[0])
    built: list[str] = []
    init = Detector.__init__

    def spy(self: Detector, *given: Any, **named: Any) -> None:
        init(self, *given, **named)
        built.append(next(self.parameters()).device.type)

    monkeypatch.setattr(Detector, "__init__", spy)
    with pytest.raises(CheckpointError, match="the header asks for"):
        read_model(file)
    assert built == ["meta"]  # which takes none


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 10**8) + b"{}",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        b"",
        b"\x80\x02]q\x00.",
    ],
)
def test_a_damaged_weights_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    for name in ("model.safetensors", "weights.pth"):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(CheckpointError) as error:
            read_state_dict(file)
        assert one_line(error)


@FUZZED
@given(name=st.sampled_from(["class_names", "alpha", "config", "mean", "canvas"]), value=PLAIN)
def test_any_metadata_of_an_exported_file_is_read_or_refused(
    name: str, value: Any, model_file: Path
) -> None:
    from iouaware.inference.export_metadata import DIGEST, ExportInfo, digest_of

    info = ExportInfo(read_model_info(model_file), (96, 96), "detections", False, "float32", "1")
    entries = write_metadata(info) | {name: json.dumps(value)}
    del entries[DIGEST]
    entries[DIGEST] = digest_of({key: text for key, text in entries.items()})
    try:
        read_metadata(entries, Path("model.onnx"))
    except CheckpointError:
        return


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"split": 1}', '{"split": "val", "images": 1, "AP_per_iou": []}']
)
def test_results_that_are_read_back_must_have_their_form(content: str, tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(content, "utf-8")
    with pytest.raises(CheckpointError, match=r"evaluation\.json: .*expected"):
        read_evaluation(tmp_path)


def test_names_do_not_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / "\x1b[31mred\udcff")]) == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\\x1b[31mred\\udcff" in said
    assert said.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_file_name_that_is_no_text_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    odd = os.fsdecode(b"\xff.png")
    for name in ("a.png", odd):
        Image.new("RGB", (32, 24)).save(tmp_path / "images" / "b.png")
        (tmp_path / "images" / "b.png").rename(tmp_path / "images" / name)
    (tmp_path / "data.yaml").write_text("names: [a]\ntrain: images", "utf-8")
    with pytest.raises(DatasetError, match=r"'images/\\udcff\.png' .*rename it"):
        read_splits(tmp_path)


def test_a_source_that_no_file_can_be_is_one_line() -> None:
    for source in ("a\0b", "a" * 5000):
        with pytest.raises(IoUAwareError) as error:
            list_sources([source])
        assert one_line(error, 6000)


def test_tensors_of_another_kind_are_refused(model_file: Path, tmp_path: Path) -> None:
    state = read_state_dict(model_file)
    name = next(key for key, tensor in state.items() if tensor.dtype == torch.float32)
    info = read_model_info(model_file)
    header = {"format": 1, **{k: getattr(info, k) for k in info.__dataclass_fields__}}
    file = tmp_path / "model.safetensors"
    save_file({**state, name: torch.zeros(1)}, file, metadata={HEADER_KEY: json.dumps(header)})
    with pytest.raises(CheckpointError, match="do not fit"):
        read_model(file)
