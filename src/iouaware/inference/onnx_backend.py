"""Candidates from an ONNX file, by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from iouaware.config import Precision
from iouaware.errors import CheckpointError, ConfigError, one_line
from iouaware.inference.export_metadata import read_metadata
from iouaware.inference.exported_backend import Arrays, ExportedBackend
from iouaware.inference.extras import import_extra, threads_asked_for

Provider = str | tuple[str, dict[str, int]]

ERRORS_ONLY = 3  # ONNX Runtime's level; its warnings are about its own optimiser


class OnnxBackend(ExportedBackend):
    """An exported ONNX file."""

    def __init__(
        self, file: Path, device: str | None = None, precision: Precision = "float32"
    ) -> None:
        """Open the file; see ``exported.open_exported``."""
        if precision not in ("float32", "auto"):
            raise ConfigError(
                f"--precision {precision}: an ONNX file computes in what it was exported in; "
                "leave it out, or export with --int8"
            )
        self._session = _open(file, choose_providers(device), optimise=True)
        self._inputs = {found.name for found in self._session.get_inputs()}
        self._outputs = [found.name for found in self._session.get_outputs()]
        super().__init__(read_metadata(_metadata(self._session), file), file)

    @staticmethod
    def read_entries(file: Path) -> dict[str, str]:
        """Return the metadata entries of an ONNX file, without making it ready to run.

        Raises:
            CheckpointError: it is no ONNX file.
        """
        return _metadata(_open(file, ["CPUExecutionProvider"], optimise=False))

    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph as it is; see ``ExportedBackend.run``."""
        names = list(outputs or self._outputs)
        found = self._session.run(names, {n: feeds[n] for n in feeds if n in self._inputs})
        return dict(zip(names, found, strict=True))


def _metadata(session: Any) -> dict[str, str]:
    return dict(session.get_modelmeta().custom_metadata_map)


def _open(file: Path, providers: list[Provider], optimise: bool) -> Any:
    runtime = import_extra("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    threads = threads_asked_for()
    if threads is not None:
        options.intra_op_num_threads = threads
    if not optimise:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return runtime.InferenceSession(str(file), options, providers=providers)
    except Exception as error:  # its errors have no base of their own
        reason = one_line(error, 200)
        raise CheckpointError(
            f"{file}: not an ONNX file that can be run ({reason}); export again"
        ) from error


def choose_providers(device: str | None) -> list[Provider]:
    """Return ONNX Runtime's names for a device, ``cuda:1`` with its number.

    Raises:
        ConfigError: this installation has no such device.
    """
    if device in (None, "cpu", "auto"):
        return ["CPUExecutionProvider"]
    available = import_extra("onnxruntime").get_available_providers()
    if not str(device).startswith("cuda") or "CUDAExecutionProvider" not in available:
        raise ConfigError(
            f"--device {device}: this ONNX Runtime offers {', '.join(available)}; use cpu, or "
            "install onnxruntime-gpu for cuda"
        )
    number = str(device).partition(":")[2]
    if not number:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if not number.isdecimal():
        raise ConfigError(f"--device {device}: expected a number behind the colon, as in cuda:0")
    return [("CUDAExecutionProvider", {"device_id": int(number)}), "CPUExecutionProvider"]
