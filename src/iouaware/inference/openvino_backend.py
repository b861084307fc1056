"""Candidates from an OpenVINO file (.xml with its .bin), on the processor."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from iouaware.config import Precision
from iouaware.errors import CheckpointError, ConfigError, one_line
from iouaware.inference.export_metadata import read_metadata
from iouaware.inference.exported_backend import Arrays, ExportedBackend
from iouaware.inference.extras import import_extra, threads_asked_for

RT_INFO = "iouaware"  # where our entries stand in the file
# left to itself OpenVINO takes bfloat16 where the processor has it, and boxes move
PRECISION_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenvinoBackend(ExportedBackend):
    """An exported OpenVINO file."""

    def __init__(
        self, file: Path, device: str | None = None, precision: Precision = "float32"
    ) -> None:
        """Open the file; see ``exported.open_exported``."""
        if device not in (None, "cpu", "auto"):
            raise ConfigError(f"--device {device}: OpenVINO files run on the processor; use cpu")
        model = _read(file)
        super().__init__(read_metadata(_metadata(model), file), file)
        settings: dict[str, Any] = {}
        if precision in PRECISION_HINTS:
            settings["INFERENCE_PRECISION_HINT"] = PRECISION_HINTS[precision]
        threads = threads_asked_for()
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        self._compiled = import_openvino().Core().compile_model(model, "CPU", settings)
        self._lock = threading.Lock()
        self._inputs = {found.any_name for found in self._compiled.inputs}
        self._outputs = {found.any_name: found for found in self._compiled.outputs}

    @staticmethod
    def read_entries(file: Path) -> dict[str, str]:
        """Return the metadata entries of an OpenVINO file, without making it ready to run.

        Raises:
            CheckpointError: it is no OpenVINO file.
        """
        return _metadata(_read(file))

    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph as it is; see ``ExportedBackend.run``."""
        fitting = {name: feeds[name] for name in feeds if name in self._inputs}
        with self._lock:  # all calls fill one request, which threads would read each other's from
            found = self._compiled(fitting)
        return {name: found[self._outputs[name]] for name in outputs or self._outputs}


def import_openvino() -> Any:
    """Import OpenVINO with its usage reports switched off in this process.

    Raises:
        ConfigError: it is not installed.
    """
    # without this package OpenVINO and NNCF fall back to a stub that sends nothing
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_extra("openvino")


def _metadata(model: Any) -> dict[str, str]:
    if not model.has_rt_info([RT_INFO]):
        return {}
    return {name: str(value) for name, value in model.get_rt_info([RT_INFO]).value.items()}


def _read(file: Path) -> Any:
    openvino = import_openvino()
    if not file.with_suffix(".bin").is_file():
        raise CheckpointError(
            f"{file}: {file.with_suffix('.bin').name} is missing beside it; the two belong together"
        )
    try:
        return openvino.Core().read_model(file)
    except RuntimeError as error:
        reason = one_line(error, 200)
        raise CheckpointError(
            f"{file}: not an OpenVINO file that can be run ({reason}); export again"
        ) from error
