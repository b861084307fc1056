"""Where the files of a run lie, and what a data set is called: for all that write of either."""

from __future__ import annotations

from pathlib import Path

MODEL_FILE = "model.safetensors"
EXPORTS = "export"  # folder of a run for exported files
# names that say what a file is, not which data set
_GENERIC = {"annotations", "data", "dataset", "instances_default", "result", "train", "val"}


def find_in_run(folder: Path, name: str) -> Path | None:
    """Return a file that training wrote into a run folder, also for its folder of exported files.

    Args:
        folder: of the run, or that of its exported files.
        name: of the file, as ``config.yaml``.
    """
    folders = (folder, folder.resolve().parent) if folder.resolve().name == EXPORTS else (folder,)
    return next((place / name for place in folders if (place / name).is_file()), None)


def name_of_data(data: Path) -> str:
    """Return what a data set is called: its folder's name, or its file's where that says more."""
    path = data.resolve()
    if path.is_file() or path.suffix in (".json", ".yaml", ".yml"):  # it may be gone since
        # the folder says more than train.json
        names = [path.stem] if path.suffix in (".yaml", ".yml") else []
    else:
        names = [path.name]
    names += [parent.name for parent in path.parents]
    return next((name for name in names if name and name.lower() not in _GENERIC), "data")
