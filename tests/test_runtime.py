"""The machine: cores, devices, and the record of what ran where."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from iouaware import runtime
from iouaware.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("200000 100000", 2),  # 0.2 s of every 0.1 s: two cores
        ("150000 100000", 1),  # one and a half: threads for one
        ("50000 100000", 1),  # half a core is still a thread
        ("max 100000", None),
        ("", None),
    ],
)
def test_a_containers_limit_is_read(tmp_path: Path, text: str, cores: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(text)
    assert runtime._container_cores(file) == cores


def test_without_cgroups_there_is_no_limit(tmp_path: Path) -> None:
    assert runtime._container_cores(tmp_path / "cpu.max") is None
    assert runtime.available_cores() >= 1


def test_mallopt_is_called_where_glibc_is(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []

    class Mallopt:
        def __call__(self, parameter: int, value: int) -> int:
            calls.append((parameter, value))
            return 1

    class Library:
        mallopt = Mallopt()

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    assert runtime.keep_freed_memory()
    # M_MMAP_MAX is -4, M_TRIM_THRESHOLD is -1 in malloc.h
    assert calls == [(-4, 0), (-1, 2**31 - 1)]


def test_mallopt_is_left_alone_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("no glibc, no call"))
    assert not runtime.keep_freed_memory()


@pytest.mark.parametrize(
    ("environment", "threads"),
    [({}, 8), ({"LOCAL_WORLD_SIZE": "4"}, 2), ({"LOCAL_WORLD_SIZE": "16"}, 1)],
)
def test_cores_are_shared_among_processes(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], threads: int
) -> None:
    asked: list[int] = []
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # so that it is put back
    monkeypatch.delenv("OMP_NUM_THREADS")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(runtime, "available_cores", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    runtime.set_threads()
    assert asked == [threads]
    assert os.environ["OMP_NUM_THREADS"] == str(threads)


def test_omp_num_threads_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(torch, "set_num_threads", lambda count: pytest.fail("left alone"))
    runtime.set_threads()
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_setting_up_loads_no_torch() -> None:
    code = "import sys, iouaware.runtime as r; r.prepare_process(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cpu:x", "meta"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(ConfigError, match=f"--device {device}: .*expected cpu"):
        runtime.choose_device(device)


def test_cuda_is_taken_where_it_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runtime.choose_device() == runtime.choose_device("auto") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "empty", lambda *size, device: torch.zeros(0))
    assert runtime.choose_device() == "cuda"
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert runtime.choose_device() == "cuda:3"


@pytest.mark.parametrize(
    ("device", "cores", "workers"), [("cpu", 2, 0), ("cpu", 8, 3), ("cuda", 2, 2), ("cuda", 32, 8)]
)
def test_p46_workers_are_chosen_and_may_be_none(
    monkeypatch: pytest.MonkeyPatch, device: str, cores: int, workers: int
) -> None:
    monkeypatch.setattr(runtime, "available_cores", lambda: cores)
    assert runtime.default_workers(device) == workers


def test_the_record_names_versions_machine_and_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/iouaware", "train", "my data"])
    record = runtime.environment_record()
    assert record["command"] == "iouaware train 'my data'"
    assert {"python", "iouaware", "torch", "numpy"} <= set(record["versions"])
    assert record["machine"]["cores"] >= 1
    assert record["commit"] is None or len(record["commit"].rstrip("+")) == 40


def test_a_module_s_command_can_be_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/iouaware/__main__.py", "train", "data"])
    assert runtime.environment_record()["command"] == "python -m iouaware train data"


def test_outside_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runtime, "__file__", str(tmp_path / "runtime.py"))
    assert runtime._package_commit() is None
