"""The command line from outside: what is printed, where, and the exit code."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from iouaware import __version__, cli, commands
from iouaware.commands import COMMANDS
from iouaware.errors import DatasetError, ParityError
from iouaware.inference.scoring import FORMULA

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write into a folder of our own, and leave the process's threads and allocator alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_prepare", lambda: None)


@pytest.mark.parametrize("given", [[], ["--help"], ["-h"]])
def test_the_overview_lists_every_command_in_groups(given: list[str], capsys: Captured) -> None:
    assert cli.main(given) == 0
    out = capsys.readouterr().out
    for name in COMMANDS:
        assert f"  {name} " in out
    assert out.index("  train") < out.index("  predict") < out.index("  report")
    assert out.index("  report") < out.index("tune:") < out.index("  sweep")
    assert out.index("  sweep") < out.index("data:") < out.index("  synthesize")
    assert FORMULA in out  # p53: other projects use the opposite exponent


def test_commands_are_those_of_this_version() -> None:
    assert set(COMMANDS) == {
        "train", "evaluate", "sweep", "predict", "report", "synthesize", "demo", "adopt",
        "export", "check",
    }  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps(name: str, capsys: Captured) -> None:
    assert cli.main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: iouaware {name}")


def test_p53_every_command_with_alpha_gives_the_formula(capsys: Captured) -> None:
    for name in ("predict", "evaluate"):
        cli.main([name, "--help"])
        assert FORMULA in " ".join(capsys.readouterr().out.split())


def test_help_needs_no_torch() -> None:
    code = """
import sys
from iouaware.cli import main
for name in "train evaluate sweep predict report synthesize demo adopt check".split():
    main([name, "--help"])
found = [m for m in ("torch", "timm", "matplotlib", "hotcoco", "PIL") if m in sys.modules]
print(found, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


def test_the_version_is_told(capsys: Captured) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"iouaware {__version__}\n"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["trian", "d"], "trian: no such command; did you mean train?"),
        (["xyzzy"], "expected one of train, predict"),
        (["train", "nowhere"], "nowhere"),
        (["train"], "no data set given"),
        (["train", "d", "--config", "nope"], "--config nope: no such recipe or file"),
        (["train", "d", "--train.lr", "-1"], "--train.lr -1: expected"),
        (["train", "d", "--model.shared_iou_convs", "7"], "shared_iou_convs is 7"),
        (
            ["train", "d", "--model.box_stds", "[0,1,1,1]"],
            "--model.box_stds 0: expected a value greater than 0",
        ),
        (["train", "d", "--image-size", "100"], "image_size is 100, expected a multiple of 32"),
        (["train", "d", "--resume", "r"], "found DATA too"),
        (["adopt", "x.pth", "--resume", "r"], "--resume: unknown option"),
        (["train", "d", "--from", "nothing"], "nothing: no such run"),
        (["adopt", "torchvision:ssd", "--data", "d"], "retinanet_resnet50_fpn"),
        (["evaluate", "nothing"], "nothing: no such run"),
        (["report", "latest"], "latest: no folder under"),
        (["train", "d", "--data", "e"], "found two data sets, d and --data e"),
        (["predict", "latest", "a.jpg", "--workers", "2"], "--workers: unknown option"),
        (["export", "r", "--format", "onnx", "--image-size", "abc"], "a whole number or dynamic"),
        (["predict", "latest", "a.jpg", "--alpha", "2"], "--alpha 2: expected"),
        (["synthesize", "d", "--images", "1"], "--images 1: expected"),
        (["check", "nowhere"], "nowhere: no such file or folder; expected a data set"),
        (["check", ".", "--with", "nothing"], "nothing: no such run"),
        (["check", ".", "--decode", "some"], "--decode some: expected one of auto, all, none"),
        (["synthesize", ".", "--format", "csv"], "expected one of coco, voc, yolo"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(
    given: list[str], line: str, capsys: Captured, tmp_path: Path
) -> None:
    assert cli.main(given) == 2
    told = capsys.readouterr().err
    assert told.startswith("iouaware: ")
    assert line in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())  # nothing half-written


def test_a_system_error_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def fail(given: list[str]) -> int:
        raise OSError(28, "No space left on device", "runs/a-1/log.txt")

    monkeypatch.setattr(cli, "_run", fail)
    assert cli.main(["train"]) == 2
    assert capsys.readouterr().err == "iouaware: runs/a-1/log.txt: No space left on device\n"


def test_an_error_of_several_lines_is_folded(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def fail(given: list[str]) -> int:
        raise DatasetError("a.json:\n  line 3\n  is broken")

    monkeypatch.setattr(cli, "_run", fail)
    assert cli.main(["train"]) == 2
    assert capsys.readouterr().err == "iouaware: a.json: line 3 is broken\n"


def test_without_torch_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    code = (
        "import sys; sys.modules['torch'] = None; from iouaware.cli import main; "
        f"sys.exit(main(['evaluate', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "this needs torch, which is not installed" in done.stderr
    assert "iouaware export" in done.stderr


def test_a_missing_module_of_our_own_is_no_wrong_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(given: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'iouaware.nothing'", name="iouaware.nothing")

    monkeypatch.setattr(cli, "_run", fail)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["train"])


def test_names_are_printed_whatever_the_encoding_of_the_output() -> None:
    code = (
        "from iouaware import cli; name = '\\u65e5\\u672c\\udce9'; cli._say(name); "
        "cli._print_json({name: 0.5}); cli._fail(name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        check=True,
    )
    first, last = done.stdout.decode("ascii").splitlines()
    assert first == r"\u65e5\u672c\udce9"
    assert json.loads(last) == {"\u65e5\u672c\udce9": 0.5}
    assert done.stderr.decode("ascii").strip() == r"iouaware: \u65e5\u672c\udce9"


def test_a_file_that_misses_parity_has_its_json_too(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def miss(given: list[str]) -> int:
        raise ParityError("m.onnx misses parity", Path("m.onnx"), Path("m.parity.json"), ["boxes"])

    monkeypatch.setattr(cli, "_run", miss)
    assert cli.main(["export", "x", "--format", "onnx", "--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "file": "m.onnx",
        "parity": "m.parity.json",
        "past": ["boxes"],
    }
    assert printed.err == "iouaware: m.onnx misses parity\n"
    assert cli.main(["export", "x", "--format", "onnx"]) == 1
    assert capsys.readouterr().out == ""


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def stop(given: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", stop)
    assert cli.main(["train"]) == 130
    assert capsys.readouterr().err == "iouaware: interrupted\n"


def test_p46_a_worker_process_that_imports_the_main_module_starts_nothing() -> None:
    # spawn and forkserver import it again under this name
    runpy.run_module("iouaware.__main__", run_name="__mp_main__")


def test_only_the_first_process_prints(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("RANK", "1")
    cli._say("a line")
    monkeypatch.setenv("RANK", "0")
    cli._say("another")
    assert capsys.readouterr().out == "another\n"


def test_synthesize_draws_and_says_what_next(tmp_path: Path, capsys: Captured) -> None:
    assert cli.main(["synthesize", "bolts", "--images", "3", "--format", "yolo", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "iouaware train bolts" in lines[0]
    assert json.loads(lines[-1]) == {"data": "bolts"}
    assert (tmp_path / "bolts" / "data.yaml").is_file()


def test_train_hands_on_what_was_given_and_no_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    import iouaware.running.training

    calls: list[tuple[tuple[object, ...], dict[str, object]]] = []

    class FakeRun:
        def result(self) -> dict[str, object]:
            return {"run": "runs/x-1"}

    def fake_train(*args: object, **kwargs: object) -> FakeRun:
        kwargs.pop("say")
        calls.append((args, kwargs))
        return FakeRun()

    monkeypatch.setattr(iouaware.running.training, "train", fake_train)
    given = ["train", "d", "--config", "paper", "--epochs", "3", "--seed", "7", "--workers", "0"]
    assert cli.main([*given, "--dry-run", "--out", "r", "--from", "s", "--json"]) == 0
    assert calls == [
        (
            ("d", "paper"),
            {
                "from_": "s", "out": "r", "workers": 0, "dry_run": True,
                "train.epochs": 3, "seed": 7,
            },
        )
    ]  # fmt: skip
    assert json.loads(capsys.readouterr().out) == {"run": "runs/x-1"}
    # adopt is short for train --from CHECKPOINT --train.freeze all-but-iou
    cli.main(["adopt", "torchvision:retinanet_resnet50_fpn", "--data", "d", "--epochs", "2"])
    assert calls[1] == (
        (None, None),
        {
            "from_": "torchvision:retinanet_resnet50_fpn",
            "data.path": "d", "train.epochs": 2, "train.freeze": "all-but-iou",
            "model.iou_head": True,
        },
    )  # fmt: skip


def test_evaluate_prints_and_writes(
    finished_run: Path, tmp_path: Path, capsys: Captured, tiny_coco: Path
) -> None:
    model = tmp_path / "model.safetensors"  # a model alone, passed on without its run folder
    model.write_bytes((finished_run / "model.safetensors").read_bytes())
    given = ["evaluate", str(model), "--data", str(tiny_coco), "--alpha", "0.5", "--json"]
    assert cli.main(given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("AP ")
    written = json.loads((tmp_path / "evaluation.json").read_text("utf-8"))
    assert json.loads(lines[-1]) == written
    assert written["alpha"] == 0.5
    assert written["data"] == str(tiny_coco)


def test_predict_writes_beside_the_model_or_where_told(
    finished_run: Path, tiny_coco: Path, tmp_path: Path, capsys: Captured
) -> None:
    model, out = finished_run / "model.safetensors", tmp_path / "found"
    pictures = str(tiny_coco / "images" / "val")
    given = ["predict", str(model), pictures, "--out", str(out), "--alpha", "0.3", "--json"]
    assert cli.main([*given, "--score-threshold", "0.2"]) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    found = json.loads(Path(printed["predictions"]).read_text("utf-8"))
    assert (found["alpha"], found["score_threshold"]) == (0.3, 0.2)
    assert len(found["images"]) == 5
    assert cli.main(given) == 2  # p47: the folder now holds something
    assert "not empty" in capsys.readouterr().err
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"nothing")
    given = ["predict", str(model), pictures, str(broken), "--out", str(tmp_path / "o"), "--json"]
    assert cli.main(given) == 2  # what could be read is there, and a program is told where
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["predictions"] == str(tmp_path / "o" / "predictions.json")
    assert [line.split(":")[0] for line in told["failed"]] == [str(broken)]


def test_p42_a_pickle_is_never_loaded(
    tmp_path: Path, tiny_coco: Path, tiny_config: Path, capsys: Captured
) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    evil = tmp_path / "model.pth"
    torch.save({"weights": Attack()}, evil)
    named = tmp_path / "model.safetensors"
    named.write_bytes(evil.read_bytes())
    train = ["train", str(tiny_coco), "--config", str(tiny_config), "--from"]
    for given in (
        [*train, str(evil)],
        [*train, str(named)],
        ["evaluate", str(evil), "--data", str(tiny_coco)],
        ["evaluate", str(named), "--data", str(tiny_coco)],
        ["predict", str(evil), str(tiny_coco)],
    ):
        assert cli.main(given) == 2, given
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "ran").exists()


def test_commands_module_names_no_later_command() -> None:
    source = Path(commands.__file__).read_text("utf-8")
    assert not [name for name in ("calibrate", "operate", "serve") if f'"{name}"' in source]
