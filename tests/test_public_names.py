"""The public names: listed, lazy, and all there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import iouaware

HEAVY = ("torch", "torchvision", "timm", "numpy", "matplotlib", "hotcoco")


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
