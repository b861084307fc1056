"""One picture loader and one resize, used by training, evaluation, prediction and serving alike.

Arrays are [H, W, 3] uint8 RGB as a viewer shows the picture, its EXIF turn done.
"""

from __future__ import annotations

import io
import os
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iouaware.errors import DatasetError, one_line
from iouaware.structures import Frame, ImageArray

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jfif .png .bmp .webp .tif .tiff .gif .ppm .pgm .avif".split()  # noqa: SIM905
)

# what is opened, whatever a file's name: Pillow knows formats that start other programs (EPS)
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "AVIF")
# a picture with more is refused before it is decoded; Pillow's own limit, if nobody moved it
MAX_PIXELS = 178_956_970

_WIDTH_TAG, _HEIGHT_TAG, _ORIENTATION_TAG = 0x0100, 0x0101, 0x0112
_END_OF_JPEG = b"\xff\xd9"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
# what Pillow raises on files that are no picture, cut off, or made to exhaust the memory
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    RuntimeError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def read_image(source: str | Path | Image.Image | NDArray[Any]) -> ImageArray:
    """Read a picture as a viewer shows it, whatever it is stored as.

    Grey is repeated, palettes are looked up, transparent pixels lie on white, CMYK and the like
    are converted. 16-bit values are divided by 257, so that 65535 becomes 255; nothing is
    stretched by its content, with two exceptions that have no range of their own: 32-bit integers
    beyond 0..65535 and floats beyond 0..1 go from their least and greatest value to 0..255.
    Of several frames the first is taken.

    Args:
        source: a file, a Pillow image, or an array [H, W] or [H, W, 1 | 3 | 4] of uint8 or uint16
            in the order RGB.

    Returns:
        [H, W, 3] uint8 RGB.

    Raises:
        DatasetError: the file is missing, is no picture, is cut off, or has too many pixels.
        ValueError: an array has another shape or type.
    """
    if isinstance(source, np.ndarray):
        return _array_to_rgb(source)
    if isinstance(source, Image.Image):
        return _image_to_rgb(source, _orientation(source))
    path = Path(source)
    try:
        with _open(path) as image:
            return _image_to_rgb(image, _orientation(image))
    except _UNREADABLE as error:
        image_array = _read_jpeg_without_end(path) if "truncated" in str(error) else None
        if image_array is None:
            raise _unreadable(path, error) from error
        return image_array


def read_thumbnail(path: Path, side: int) -> ImageArray:
    """Read all of a picture at a low resolution in grey, [side, side] uint8, made a square.

    A JPEG is decoded at a fraction of its size, several times as fast; what is cut off or broken
    is found all the same.

    Raises:
        DatasetError: as ``read_image``.
    """
    try:
        with _open(path) as image:
            if image.format == "JPEG" and image.mode in ("RGB", "L"):
                image.draft("L", (4 * side, 4 * side))  # its brightness is stored by itself
                rgb = _image_to_rgb(image, _orientation(image))
            else:
                rgb = read_image(path)
    except _UNREADABLE:
        rgb = read_image(path)  # which knows what can be saved
    small = Image.fromarray(rgb).resize((side, side), Image.Resampling.BOX)
    return np.asarray(small.convert("L"))


def read_image_size(path: Path) -> tuple[int, int]:
    """Return (width, height) of a picture as shown, from its header alone.

    Raises:
        DatasetError: the file is missing, is no picture, or has too many pixels.
    """
    (width, height), orientation = read_stored_size(path)
    return (height, width) if orientation in _SIDEWAYS else (width, height)


def read_stored_size(path: Path) -> tuple[tuple[int, int], int]:
    """Return (width, height) of a picture as stored, and its EXIF orientation, 1 to 8.

    Raises:
        DatasetError: as ``read_image_size``.
    """
    try:
        with _open(path) as image:
            orientation = _orientation(image)
            if image.format == "TIFF":  # Pillow gives its size as turned
                tags = image.tag_v2  # type: ignore[attr-defined]
                return (int(tags[_WIDTH_TAG]), int(tags[_HEIGHT_TAG])), orientation
            return image.size, orientation
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def canvas_fill(mean: tuple[float, float, float]) -> tuple[int, int, int]:
    """Return the uint8 colour that normalisation turns into (nearly) zero; mean on 0..1."""
    red, green, blue = (round(value * 255) for value in mean)
    return red, green, blue


def resized_hw(
    original_hw: tuple[int, int], image_size: int | tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Say how large a picture gets and how large the canvas is that it lies on.

    Args:
        original_hw: (height, width) px.
        image_size: N brings the longer side to N (enlarging too) on a canvas of N x N;
            (short, long) is mmdetection's rule: as large as fits into both, sides kept in
            proportion, on a canvas whose sides are the next multiples of 32.

    Returns:
        (height, width) of the resized picture, and of the canvas.
    """
    height, width = original_hw
    if height < 1 or width < 1:
        raise ValueError(f"original_hw is {original_hw}, expected at least 1 x 1")
    if isinstance(image_size, int):
        scale = image_size / max(height, width)
        new_hw = _scaled(height, scale), _scaled(width, scale)
        return new_hw, (image_size, image_size)
    short, long = sorted(image_size)
    scale = min(long / max(height, width), short / min(height, width))
    new_height, new_width = _scaled(height, scale), _scaled(width, scale)
    return (new_height, new_width), (-(-new_height // 32) * 32, -(-new_width // 32) * 32)


def resize_to_canvas(
    image: ImageArray, image_size: int | tuple[int, int], fill: tuple[int, int, int]
) -> tuple[ImageArray, Frame]:
    """Resize a picture and pad it on the right and at the bottom.

    The resize is Pillow's antialiased bilinear on uint8: the one definition that every runtime
    follows.

    Args:
        image: [H, W, 3] uint8.
        image_size: as in ``resized_hw``.
        fill: colour of the padding, from ``canvas_fill``.

    Returns:
        The canvas, [H', W', 3] uint8, and how the picture lies on it.
    """
    original_hw = (image.shape[0], image.shape[1])
    new_hw, canvas_hw = resized_hw(original_hw, image_size)
    if new_hw != original_hw:
        resized = Image.fromarray(image).resize((new_hw[1], new_hw[0]), Image.Resampling.BILINEAR)
        image = np.asarray(resized)
    canvas = np.empty((*canvas_hw, 3), np.uint8)
    canvas[:] = fill
    canvas[: new_hw[0], : new_hw[1]] = image
    return canvas, Frame(original_hw, new_hw, canvas_hw)


@cache
def _known_formats() -> tuple[str, ...]:
    """Return those of the formats that this Pillow was built with."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _open(source: Path | io.BytesIO) -> Image.Image:
    """Read a picture's header."""
    image = Image.open(source, formats=_known_formats())
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height} px"
        image.close()
        raise Image.DecompressionBombError(f"{size}, expected at most {MAX_PIXELS:,} pixels")
    return image


def _scaled(side: int, scale: float) -> int:
    return max(1, int(side * scale + 0.5))


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none or it makes no sense.

    Image.getexif is called on the base class: the PNG reader's own would decode the whole picture
    to look for EXIF behind the pixels, which makes reading headers a hundred times slower.
    """
    try:
        value = Image.Image.getexif(image).get(_ORIENTATION_TAG, 1)
    except (
        *_UNREADABLE,
        AttributeError,
        Warning,
    ):  # a broken EXIF block is no reason to lose a picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _read_jpeg_without_end(path: Path) -> ImageArray | None:
    """Read a JPEG that lacks its end marker only, as many cameras and tools write them.

    The file is decoded twice with other bytes behind it. If both give the same picture, none of
    its pixels came from there, so that it is whole; a file that is cut off gives None.
    """
    content = path.read_bytes()
    if not content.startswith(b"\xff\xd8"):
        return None
    versions = []
    for tail in (_END_OF_JPEG, b"\x55" * 64 + _END_OF_JPEG):
        try:
            with _open(io.BytesIO(content + tail)) as image:
                versions.append(_image_to_rgb(image, _orientation(image)))
        except _UNREADABLE:
            return None
    return versions[0] if np.array_equal(versions[0], versions[1]) else None


def _image_to_rgb(image: Image.Image, orientation: int) -> ImageArray:
    if image.format == "TIFF":
        image.load()  # Pillow turns it itself, and says so by taking the orientation away
        orientation = _orientation(image)
    if orientation in _TURNS:
        turned = image.transpose(_TURNS[orientation])
        turned.info = image.info  # a transparent colour is kept there
        image = turned
    if image.mode.startswith("I;16"):
        return _array_to_rgb(np.asarray(image).astype(np.uint16))
    if image.mode in ("I", "F"):
        return _array_to_rgb(_wide_to_uint8(np.asarray(image), image.mode))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _on_white(np.asarray(image.convert("RGBA")))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _wide_to_uint8(values: NDArray[Any], mode: str) -> ImageArray:
    """Scale 32-bit values, [H, W], by the rules that ``read_image`` states."""
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are no numbers")
    low, high = float(values.min()), float(values.max())
    if mode == "I" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    elif mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    scale = 255 / (high - low) if high > low else 0.0
    return np.rint((values.astype(np.float64) - low) * scale).astype(np.uint8)


def _array_to_rgb(array: NDArray[Any]) -> ImageArray:
    plane = array[..., None] if array.ndim == 2 else array
    if plane.ndim != 3 or plane.shape[2] not in (1, 3, 4) or 0 in plane.shape:
        raise ValueError(
            f"the picture has shape {array.shape}, expected [H, W] or [H, W, 1 | 3 | 4]"
        )
    if plane.dtype == np.uint16:
        plane = ((plane.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if plane.dtype != np.uint8:
        raise ValueError(f"the picture is of type {array.dtype}, expected uint8 or uint16")
    if plane.shape[2] == 4:
        return _on_white(plane)
    return np.ascontiguousarray(np.broadcast_to(plane, (*plane.shape[:2], 3)))


def _on_white(rgba: ImageArray) -> ImageArray:
    alpha = rgba[..., 3:].astype(np.uint16)  # [H, W, 1]
    mixed = rgba[..., :3] * alpha + 255 * (255 - alpha)  # [H, W, 3], at most 255 * 255
    return ((mixed + 127) // 255).astype(np.uint8)


def _unreadable(path: Path, error: BaseException) -> DatasetError:
    # Path.exists raises where the name is longer than any file's can be
    if not os.path.exists(path):  # noqa: PTH110
        return DatasetError(f"{path}: no such picture; expected the file to be there")
    if path.is_dir():
        return DatasetError(f"{path}: found a folder, expected a picture")
    reason = one_line(error) or type(error).__name__
    return DatasetError(
        f"{path}: this picture cannot be read ({reason}); replace it or leave it out"
    )
