"""Look for files that bring a reader down: a fuzzer that follows which lines are reached.

    pip install atheris && python scripts/fuzz.py TARGET [--seconds N]     (make fuzz: all of them)

A target may raise only this package's errors (and a ``ValueError`` where it promises one). What
is found is written to ``crash-...`` and becomes a case in ``tests/test_hostile_files.py``.
Expected: no finding; 300 to 20,000 cases a second, pictures slowest.
"""

from __future__ import annotations

import argparse
import io
import json
import struct
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["iouaware", "yaml", "PIL", "json"]):
    import numpy as np
    from PIL import Image

    from iouaware.config import read_config
    from iouaware.data.coco import read_coco_json
    from iouaware.data.layouts import read_splits
    from iouaware.data.voc import read_voc_xml
    from iouaware.errors import IoUAwareError
    from iouaware.evaluation.cache import load_candidates
    from iouaware.images import read_image, read_image_size, read_thumbnail
    from iouaware.inference.export_metadata import DIGEST, digest_of, read_metadata
    from iouaware.model.weight_files import read_model_info, read_state_dict
    from iouaware.parsing import parse_yaml
    from iouaware.running.results import read_evaluation

FOLDER = Path(tempfile.mkdtemp(prefix="iouaware-fuzz-"))
MEMORY_MB = 3000


def _write(name: str, data: bytes) -> Path:
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _data_set(form: str) -> None:
    """Draw three pictures beside which the fuzzed annotations lie."""
    for number, name in enumerate("abc"):
        path = FOLDER / form / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 24), (60 * number, 9, 9)).save(path)


def _coco(data: bytes) -> None:
    read_coco_json(_write("coco.json", data))
    _write("coco/annotations/train.json", data)
    read_splits(FOLDER / "coco")


def _yolo_labels(data: bytes) -> None:
    _write("yolo/data.yaml", b"names: [bolt, nut]\ntrain: images\n")
    _write("yolo/labels/a.txt", data)
    read_splits(FOLDER / "yolo")


def _yolo_yaml(data: bytes) -> None:
    _write("names/data.yaml", data)
    read_splits(FOLDER / "names")


def _pictures(data: bytes) -> None:
    path = _write("picture.bin", data)
    for read in (read_image_size, read_image):
        read(path)
    read_thumbnail(path, 24)


def _weights(data: bytes) -> None:
    read_state_dict(_write("weights.pth", data))


def _header(data: bytes) -> None:
    path = _write("model.safetensors", data)
    try:
        read_model_info(path)
    finally:
        read_state_dict(path)


def _info(data: bytes) -> None:
    """Put the bytes as text into a header that is whole otherwise."""
    metadata = {"__metadata__": {"iouaware": data.decode("utf-8", "replace")}}
    body = json.dumps(metadata).encode()
    _header(struct.pack("<Q", len(body)) + body)


def _exported(data: bytes) -> None:
    names = ("class_names", "category_ids", "alpha", "score_thresholds", "has_iou", "config")
    names = (*names, "mean", "std", "canvas", "end", "baked", "precision", "version", "parity")
    parts = data.decode("utf-8", "replace").split("\n")
    entries = dict(zip(names, [*parts, *["null"] * len(names)], strict=False))
    entries |= {"format": "1", "formula": '"x"'}
    entries[DIGEST] = digest_of(entries)
    read_metadata(entries, Path("model.onnx"))


TARGETS: dict[str, tuple[Callable[[bytes], Any], list[bytes]]] = {
    "coco": (
        _coco,
        [
            b'{"images":[{"id":1,"file_name":"a.png","width":32,"height":24}],"annotations":'
            b'[{"id":1,"image_id":1,"category_id":1,"bbox":[1,1,9,9],"area":81,"iscrowd":0,'
            b'"attributes":{"rotation":30}}],"categories":[{"id":1,"name":"bolt"}]}'
        ],
    ),
    "voc": (
        lambda data: read_voc_xml(_write("a.xml", data)),
        [
            b"<annotation><filename>a.png</filename><size><width>32</width><height>24</height>"
            b"</size><object><name>bolt</name><difficult>0</difficult><bndbox><xmin>1</xmin>"
            b"<ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>",
            b'<!DOCTYPE l [<!ENTITY a "b">]><annotation>&a;</annotation>',
        ],
    ),
    "yolo-labels": (_yolo_labels, [b"0 .5 .5 .2 .2\n1 .1 .1 .3 .1 .3 .3\n"]),
    "yolo-yaml": (_yolo_yaml, [b"names: {0: bolt, 1: nut}\nnc: 2\npath: .\ntrain: images\n"]),
    "config": (
        lambda data: read_config(_write("config.yaml", data)),
        [b"train: {lr: 0.1, epochs: 3}\nmodel: &m {backbone: resnet18}\n"],
    ),
    "yaml": (
        lambda data: parse_yaml(data.decode("utf-8", "replace")),
        [b"a: &a [1, 2020-01-01, .nan, 1:20]\nb: [*a, *a]\n<<: {c: !!binary YQ==}\n"],
    ),
    "pictures": (_pictures, []),  # filled below
    "weights": (_weights, [b"PK\x03\x04", b"\x80\x02}q\x00."]),
    "header": (_header, [struct.pack("<Q", 2) + b"{}"]),
    "info": (
        _info,
        [
            b'{"format":1,"class_names":["a"],"category_ids":[1],"alpha":1,"score_thresholds":'
            b'{"1.0":0.3},"has_iou":true,"config":{"train":{}},"mean":[1,1,1],"std":[1,1,1]}'
        ],
    ),
    "exported": (_exported, [b'["a"]\n[1]\n1\n{"1.0": 0.3}\ntrue\n{}\n[1,1,1]\n[1,1,1]\n[96,96]']),
    "results": (
        lambda data: (_write("evaluation.json", data), read_evaluation(FOLDER)),
        [b'{"split": "val", "images": 3, "AP_per_iou": {}}'],
    ),
    "candidates": (lambda data: load_candidates(_write("c.npz", data)), [b"PK\x03\x04"]),
}


def _picture_seeds() -> list[bytes]:
    seeds = []
    pixels = np.random.default_rng(0).integers(0, 256, (12, 18, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    for form in ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM"):
        stream = io.BytesIO()
        named = {"exif": exif} if form in ("JPEG", "PNG", "WEBP", "TIFF") else {}
        Image.fromarray(pixels).save(stream, form, **named)
        seeds.append(stream.getvalue())
    return seeds


def main() -> None:
    """Run one target for a while; a finding ends it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=120)
    given = parser.parse_args()
    function, seeds = TARGETS[given.target]
    if given.target == "pictures":
        seeds = _picture_seeds()
    for form in ("coco", "yolo", "names"):
        _data_set(form)
    warnings.simplefilter("ignore")  # Pillow's about EXIF, numpy's about versions
    for number, seed in enumerate(seeds):
        _write(f"corpus/{number}", seed)

    def one(data: bytes) -> None:
        try:
            function(data)
        except (IoUAwareError, ValueError) as error:
            if isinstance(error, ValueError) and given.target != "yaml":
                raise

    corpus = FOLDER / "corpus"
    corpus.mkdir(exist_ok=True)
    flags = [f"-max_total_time={given.seconds}", f"-rss_limit_mb={MEMORY_MB}", "-timeout=20"]
    atheris.Setup([sys.argv[0], str(corpus), *flags, "-print_final_stats=1"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
