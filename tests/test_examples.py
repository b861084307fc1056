"""The examples run as they stand, on a tiny drawn set."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def example(name: str) -> Callable[[list[str]], None]:
    main: Callable[[list[str]], None] = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]
    return main


@pytest.fixture(scope="module")
def run(tiny_coco: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train as the first example does; the others work on its run."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    options = ["--out", str(out), "--epochs", "1", "--image-size", "96"]
    example("train_and_measure")([str(tiny_coco), *options])
    return out


@pytest.fixture
def picture(tiny_coco: Path) -> Path:
    return sorted(path for path in tiny_coco.rglob("*") if path.suffix in (".jpg", ".png"))[0]


def test_train_and_measure(run: Path) -> None:
    assert (run / "report" / "index.html").is_file()


def test_turn_the_knob(run: Path, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("turn_the_knob")([str(run), str(picture)])
    assert capsys.readouterr().out.count("alpha ") >= 3


def test_crop_tight_boxes(
    run: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = tmp_path / "other" / picture.name
    twin.parent.mkdir()
    twin.write_bytes(picture.read_bytes())
    pictures = [str(picture), str(twin)]
    example("crop_tight_boxes")([str(run), str(tmp_path / "crops"), *pictures, "--min-iou", "0"])
    said = int(capsys.readouterr().out.split(" crops in")[0])
    assert len(list((tmp_path / "crops").iterdir())) == said


def test_every_example_is_tested() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert {f"test_{name}" for name in names} <= set(globals())
