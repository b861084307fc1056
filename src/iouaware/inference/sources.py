"""What to predict on: files, folders, globs and videos, one picture at a time."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iouaware.data.files import list_files
from iouaware.errors import DatasetError, one_line, shown
from iouaware.images import IMAGE_SUFFIXES, read_image
from iouaware.structures import ImageArray

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})


@dataclass(frozen=True, slots=True)
class Source:
    """A picture or video on disk.

    Attributes:
        path: as the user wrote it, or below the folder the user wrote.
        name: relative and posix, different for each source of a list; for files written about it.
    """

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        """Whether frames come out of it."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES


def list_sources(sources: str | Path | Sequence[str | Path]) -> list[Source]:
    """Expand files, folders (with all below) and globs into pictures and videos.

    In the order given, sorted within a folder or glob; what is named twice comes once. A single
    one may come without a list.

    Raises:
        DatasetError: nothing there, no picture or video in a folder, or a file of another kind.
    """
    paths: dict[str, Path] = {}
    for source in [sources] if isinstance(sources, str | Path) else sources:
        for path in _expand(source):
            # not resolved: a link keeps the name the user knows
            paths.setdefault(os.path.abspath(path), path)  # noqa: PTH100
    if not paths:
        raise DatasetError("no pictures given: expected files, folders, globs or videos")
    common = os.path.commonpath([Path(path).parent for path in paths])
    return [
        Source(path, Path(os.path.relpath(absolute, common)).as_posix())
        for absolute, path in paths.items()
    ]


def read_sources(sources: Sequence[Source]) -> Iterator[tuple[Source, ImageArray]]:
    """Read one picture after the other, [H, W, 3] uint8 RGB; a video gives its frames.

    A frame's source carries the frame's number, ``clip.mp4-000012``.

    Raises:
        DatasetError: a file cannot be read, or PyAV is missing for a video.
    """
    for source in sources:
        if source.is_video:
            for number, frame in enumerate(_read_video(source.path)):
                ending = f"-{number:06d}"
                yield Source(Path(f"{source.path}{ending}"), f"{source.name}{ending}"), frame
        else:
            yield source, read_image(source.path)


def read_picture(source: Any) -> tuple[str | None, ImageArray]:
    """Read a Pillow image, an array or a torch tensor; its name where it came from a file.

    Args:
        source: a Pillow image, an array [H, W, 3] uint8 RGB (and what else ``read_image`` takes),
            or a tensor [3, H, W] or [H, W, 3], uint8 or float 0..1.

    Raises:
        ValueError: something else, another shape, or floats outside 0..1.
    """
    if isinstance(source, Image.Image):
        return getattr(source, "filename", "") or None, read_image(source)
    return None, read_image(_to_array(source))


def _to_array(source: Any) -> NDArray[Any]:
    """Turn a tensor [3, H, W] (uint8, or float 0..1) into an array [H, W, 3]; arrays pass."""
    if isinstance(source, np.ndarray):
        return source
    if not (hasattr(source, "detach") and hasattr(source, "cpu")):  # an open file has the first
        raise ValueError(
            f"found {type(source).__name__}, expected a path, a Pillow image, an array "
            "[H, W, 3] uint8, a tensor [3, H, W], or a list of them"
        )
    tensor = source.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.float()  # NumPy has no bfloat16
    array: NDArray[Any] = tensor.numpy()
    if array.ndim == 3 and array.shape[0] in (1, 3):
        array = np.moveaxis(array, 0, 2)
    elif array.ndim == 4:
        raise ValueError(f"the tensor has shape {array.shape}, expected [3, H, W]; pass list(it)")
    if array.dtype.kind == "f":
        if array.size and not (array.min() >= 0 and array.max() <= 1):
            raise ValueError("the tensor has floats outside 0..1, expected pixels not normalised")
        array = np.rint(array * 255).astype(np.uint8)
    return array


def _expand(source: str | Path) -> list[Path]:
    if source == "":  # Path takes it for the folder we are in
        raise DatasetError("an empty text is no source; expected a file, folder, glob or video")
    path = Path(source)
    try:
        path.stat()
    except FileNotFoundError:
        pass  # it may be a glob
    except (OSError, ValueError) as error:  # too long a name, a zero byte, no permission
        raise DatasetError(
            f"{shown(str(source))}: cannot be read ({one_line(error, 60)})"
        ) from error
    known = IMAGE_SUFFIXES | VIDEO_SUFFIXES
    if path.is_dir():
        found = list_files(path, known)  # not ._x.jpg, which a Mac puts beside x.jpg
        if not found:
            raise DatasetError(f"{source}: found no pictures or videos in this folder")
        return found
    if path.is_file():
        if path.suffix.lower() not in known:
            raise DatasetError(
                f"{source}: expected a picture or a video, found a file ending in "
                f"{path.suffix or 'nothing'}; known are {' '.join(sorted(known))}"
            )
        return [path]
    # Path.glob refuses absolute patterns
    found = sorted(Path(p) for p in glob.glob(str(source), recursive=True))  # noqa: PTH207
    found = [p for p in found if p.suffix.lower() in known and p.is_file()]
    if not found:
        raise DatasetError(f"{source}: no such file or folder, and no picture fits it as a glob")
    return found


def _read_video(path: Path) -> Iterator[ImageArray]:
    """Decode a video frame by frame, turned as its display matrix says.

    Frames that cannot be decoded are left out, and told when the others have come.
    """
    try:
        import av
    except ImportError as error:
        raise DatasetError(
            f"{path}: reading videos needs PyAV, which is not installed; pip install "
            '".[video]" in the clone of iouaware'
        ) from error
    frames = lost = 0
    reason = ""
    try:
        with av.open(os.path.abspath(path)) as container:  # noqa: PTH100  a:b is no protocol then
            if not container.streams.video:
                raise DatasetError(f"{path}: found no video stream in this file")
            for packet in container.demux(video=0):
                try:
                    decoded = packet.decode()
                except av.FFmpegError as error:
                    lost, reason = lost + 1, one_line(error)
                    continue
                for frame in decoded:
                    frames += 1
                    yield _upright(frame)
    except av.FFmpegError as error:
        reason = one_line(error)
        raise DatasetError(f"{path}: this video cannot be read ({reason})") from error
    if lost or not frames:
        told = f"{lost:,} pieces of this video cannot be read ({reason}), " if lost else ""
        raise DatasetError(f"{path}: {told}{frames:,} frames were found in it")


def _upright(frame: Any) -> ImageArray:
    pixels: ImageArray = frame.to_ndarray(format="rgb24")  # [H, W, 3]
    quarter_turns = round(getattr(frame, "rotation", 0) / 90) % 4  # counter-clockwise
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns))
