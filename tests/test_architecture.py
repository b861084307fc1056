"""The house rules that a reader relies on: imports point one way, torch stays where it belongs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "iouaware"
FILES = sorted(SOURCE.rglob("*.py"))
LAYERS = [  # a module imports from its own layer and from those before it
    {"errors", "parsing", "config", "recipes", "durable", "places"},
    {"structures", "images", "boxes", "anchors"},
    {"data", "model"},  # neither knows the other: checked apart
    {"checkpoint", "inference"},
    {"evaluation"},
    {"training"},
    {"reporting", "exporting", "checking", "serving"},
    {"run", "running", "runtime", "demo"},
    {"cli", "commands", "train_command", "options", "export_command", "check_command", "__main__"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
TORCH_FOLDERS = ("model/", "training/", "exporting/")
TORCH_FILES = (
    "data/transforms.py",
    "data/loader.py",
    "checkpoint.py",
    "inference/torch_backend.py",
    "inference/candidates.py",
)
WITH_TORCH = TORCH_FOLDERS + TORCH_FILES
VAGUE = {"utils.py", "util.py", "misc.py", "helpers.py", "common.py"}


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imported(nodes: Iterator[ast.AST] | list[ast.stmt]) -> set[str]:
    """Return the modules that these statements import; `from iouaware import x` names x."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "iouaware":
            found |= {f"iouaware.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write the whole name of the module"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    own = name_of(path).removesuffix(".py").split("/")[0]
    if own == "__init__":
        return  # the door of the package hands out names from every layer
    names = (name.split(".") for name in imported(ast.walk(parse(path))))
    others = {parts[1] for parts in names if parts[0] == "iouaware" and len(parts) > 1}
    upward = {other for other in others & set(RANK) if RANK[other] > RANK[own]}
    sideways = others & ({"data", "model"} - {own}) if own in ("data", "model") else set()
    assert not upward | sideways, f"{name_of(path)} must not import {upward | sideways}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_torch_is_imported_only_where_it_belongs(path: Path) -> None:
    if name_of(path).startswith(WITH_TORCH):
        return
    names = imported(parse(path).body)
    packages = {name.split(".")[0] for name in names}
    assert not packages & {"torch", "torchvision", "timm"}, "import it inside the function"
    own = {name.removeprefix("iouaware.").replace(".", "/") + ".py" for name in names}
    carriers = {name for name in own if name.startswith(WITH_TORCH)}
    assert not carriers, f"{carriers} bring torch along: import them inside the function"
    assert name_of(path) != "__init__.py" or not packages & {"matplotlib", "jinja2", "hotcoco"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_stay_short_and_quiet(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) <= 320, f"{len(lines)} lines: split it"
    assert path.name not in VAGUE, "name the file after what it holds"
    for node in ast.walk(parse(path)):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: raise an error instead"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print" or path.name == "cli.py", f"line {node.lineno}: print"


def test_every_module_has_its_layer() -> None:
    top = {name_of(path).removesuffix(".py").split("/")[0] for path in FILES} - {"__init__"}
    assert top <= set(RANK), f"give {top - set(RANK)} a place in LAYERS"
