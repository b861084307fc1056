"""The process and the machine: allocator, threads, and the record of what ran where.

Called by the command line only: a library must not change its host, so nothing here runs on
import.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import iouaware
from iouaware.errors import ConfigError

# glibc's mallopt parameters (malloc.h)
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
RECORDED_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "pillow",
    "hotcoco",
    "safetensors",
    "pydantic",
)


def prepare_process() -> None:
    """Set the allocator and the threads of this process for training and prediction."""
    keep_freed_memory()
    set_threads()


def keep_freed_memory() -> bool:
    """Tell glibc to keep big blocks instead of giving them back to the system after each step.

    A training step on the CPU frees and takes the same big blocks again and again; faulting them
    in each time costs a fifth of the step.

    Returns:
        Whether it took effect; it does nothing without glibc (musl, macOS, Windows).
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def set_threads() -> None:
    """Share the cores out among the processes on this machine.

    Through the environment, for whichever library comes to compute: an exported file needs no
    torch, and to load it for this alone costs seconds. ``OMP_NUM_THREADS`` wins where it is set
    (torchrun sets it to 1).
    """
    if "OMP_NUM_THREADS" in os.environ:
        return
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    threads = max(1, available_cores() // processes)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch = sys.modules.get("torch")
    if torch is not None:  # it has read the environment already
        torch.set_num_threads(threads)


def available_cores() -> int:
    """Count the cores this process may use, a container's limit included; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:  # macOS and Windows have no affinity to ask for
        cores = os.cpu_count() or 1
    return max(1, min(cores, _container_cores(Path("/sys/fs/cgroup/cpu.max")) or cores))


def _container_cores(cpu_max: Path) -> int | None:
    """Read cgroup v2's "quota period" in microseconds, "max" where there is no limit."""
    try:
        quota, period = cpu_max.read_text("utf-8").split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return None


def environment_record() -> dict[str, Any]:
    """Describe versions, machine and command, as ``environment.json`` keeps them."""
    return {
        "command": _command(),
        "commit": _package_commit(),
        "versions": {
            "python": platform.python_version(),
            "iouaware": iouaware.__version__,
            **{name: metadata.version(name) for name in _installed(RECORDED_PACKAGES)},
        },
        "machine": {
            "system": platform.platform(),
            "processor": _processor_name(),
            "cores": available_cores(),
            "gpus": _gpu_names(),
        },
    }


def _command() -> str:
    """Return the command line, with the program's name alone."""
    name = Path(sys.argv[0]).name
    program = ["python", "-m", "iouaware"] if name == "__main__.py" else [name]
    return shlex.join([*program, *sys.argv[1:]])


def _installed(names: tuple[str, ...]) -> list[str]:
    """Return the packages that are there: a small image has no torch."""
    found = {d.metadata["Name"].lower() for d in metadata.distributions() if d.metadata["Name"]}
    return [name for name in names if name in found]


def _package_commit() -> str | None:
    """Return the commit the package runs from, with "+" where files differ; None outside git."""
    folder = Path(__file__).parent
    git = ["git", "-C", str(folder)]
    try:
        # an installed copy may lie in the .venv of some other project's repository
        subprocess.run(
            [*git, "ls-files", "--error-unmatch", "runtime.py"], check=True, capture_output=True
        )
        head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no", "."],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return None
    return head.stdout.decode().strip() + ("+" if changed.stdout.strip() else "")


def _processor_name() -> str:
    """Return the processor's name as Linux knows it, else what Python knows."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()


def _gpu_names() -> list[str]:
    """Return the names of CUDA devices, where torch is in use already."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def choose_device(device: str | None = None) -> str:
    """Return the device to compute on: the one asked for, else CUDA where it is seen, else the CPU.

    Under torchrun each process gets the GPU of its local rank.

    Raises:
        ConfigError: torch does not know the device, or this machine does not have it.
    """
    import torch

    if device is None or device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
        torch.empty(0, device=device).cpu()  # "meta" is a device without values
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        seen = f"{torch.cuda.device_count()} CUDA devices seen"
        raise ConfigError(
            f"--device {device}: torch cannot use it on this machine ({seen}); expected cpu, or "
            "cuda where there is such a GPU"
        ) from error
    if device == "cuda" and "LOCAL_RANK" in os.environ:
        return f"{kind}:{os.environ['LOCAL_RANK']}"
    return device


def default_workers(device: str) -> int:
    """Return how many processes should load pictures.

    On the CPU they compete with the network for the cores, so two cores get none.
    """
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    cores = available_cores() // processes
    return min(8, cores) if device.startswith("cuda") else min(4, max(0, cores // 2 - 1))
