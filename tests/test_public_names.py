"""The public names: listed, lazy, and all there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import iouaware

HEAVY = ("torch", "torch.hub", "torchvision", "timm", "numpy", "matplotlib", "hotcoco", "cv2")


def run_python(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize("name", iouaware.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(iouaware, name).__doc__


def test_the_list_is_the_promise() -> None:
    assert sorted(iouaware._HOMES) == iouaware.__all__ == sorted(iouaware.__all__)
    assert {"load", "train", "Run"} <= set(iouaware.__all__) <= set(dir(iouaware))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'trian'"):
        iouaware.trian  # noqa: B018  the access is the test


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, iouaware; print([m for m in {HEAVY} if m in sys.modules])"
    assert run_python(code) == "[]"


def test_importing_the_package_is_silent() -> None:
    code = [sys.executable, "-W", "error", "-c", "import iouaware"]
    done = subprocess.run(code, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_torch_hub_runs_no_code_from_the_net() -> None:
    # torch.hub.load and its kin run a repository's code; only the reading of a weight file is used
    files = Path(iouaware.__file__).parent.rglob("*.py")
    lines = [line for path in files for line in path.read_text("utf-8").splitlines()]
    used = [line.strip() for line in lines if re.search(r"torch\.hub|import hub", line)]
    assert used == ["from torch.hub import load_state_dict_from_url"]


def test_p43_no_network_at_import() -> None:
    # every module of the package is imported with sockets that refuse to connect
    code = """
import importlib, pkgutil, socket
def refuse(*args, **kwargs):
    raise OSError("no network here")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import iouaware
for module in pkgutil.walk_packages(iouaware.__path__, "iouaware."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
import sys
print("cv2" in sys.modules)
"""
    # p44: the same run shows that no module brings OpenCV, and so libGL, along
    assert run_python(code) == "False"


def test_p44_opencv_is_no_dependency() -> None:
    from importlib import metadata

    required = metadata.requires("iouaware") or []
    assert not [name for name in required if "opencv" in name.lower()]
