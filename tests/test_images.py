"""One loader for every kind of picture, and one resize."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from iouaware.errors import DatasetError
from iouaware.images import (
    canvas_fill,
    read_image,
    read_image_size,
    resize_to_canvas,
    resized_hw,
)
from iouaware.structures import ImageArray

ORIENTATION_TAG = 0x0112


def draw(width: int = 40, height: int = 24) -> ImageArray:
    """A smooth picture whose corners all differ."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 6, y * 10, (x + y) * 3], axis=-1).astype(np.uint8)


def turn_as_viewer(array: ImageArray, orientation: int) -> ImageArray:
    """What the EXIF standard says a viewer shows, written with numpy."""
    turns: dict[int, Callable[[ImageArray], ImageArray]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: a.transpose(1, 0, 2)[::-1],
    }
    return turns[orientation](array)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_p11_exif_turn_is_done_in_picture_and_size(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(draw()).save(path, exif=exif, lossless=True)
    expected = turn_as_viewer(draw(), orientation)
    image = read_image(path)
    np.testing.assert_array_equal(image, expected)
    assert read_image_size(path) == (expected.shape[1], expected.shape[0])
    with Image.open(path) as opened:  # a Pillow image is turned as its file is
        np.testing.assert_array_equal(read_image(opened), expected)


def test_p11_exif_turn_of_a_jpeg(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6
    Image.fromarray(draw()).save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (40, 24, 3)
    assert read_image_size(tmp_path / "a.jpg") == (24, 40)
    assert np.abs(image.astype(int) - turn_as_viewer(draw(), 6)).max() < 20  # JPEG loses a little


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow's word on it
@pytest.mark.parametrize("block", [b"Exif\0\0broken", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_p11_a_broken_exif_block_is_no_reason_to_lose_the_picture(
    tmp_path: Path, block: bytes
) -> None:
    Image.fromarray(draw()).save(tmp_path / "a.jpg", exif=block)
    assert read_image(tmp_path / "a.jpg").shape == (24, 40, 3)
    assert read_image_size(tmp_path / "a.jpg") == (40, 24)


def save_and_read(image: Image.Image, path: Path) -> ImageArray:
    image.save(path)
    array = read_image(path)
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous
    assert array.flags.writeable  # torch warns about memory it may not write
    return array


def test_p12_grey_and_one_bit_are_repeated(tmp_path: Path) -> None:
    grey = np.array([[0, 100], [200, 255]], np.uint8)
    expected = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(
        save_and_read(Image.fromarray(grey), tmp_path / "g.png"), expected
    )
    bits = Image.fromarray(grey > 150)
    assert bits.mode == "1"
    read = save_and_read(bits, tmp_path / "b.png")
    np.testing.assert_array_equal(read[..., 0], [[0, 0], [255, 255]])


def test_p12_a_palette_is_looked_up(tmp_path: Path) -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 210, 220])
    palette.putpixel((1, 0), 1)
    read = save_and_read(palette, tmp_path / "p.png")
    np.testing.assert_array_equal(read, [[[10, 20, 30], [200, 210, 220]]])


def test_p12_transparent_pixels_lie_on_white(tmp_path: Path) -> None:
    # half of 100 on white: (100 * 128 + 255 * 127) / 255 = 177.2
    rgba = np.array([[[100, 100, 100, 255], [100, 100, 100, 0], [100, 100, 100, 128]]], np.uint8)
    expected = [[[100] * 3, [255] * 3, [177] * 3]]
    np.testing.assert_array_equal(
        save_and_read(Image.fromarray(rgba), tmp_path / "a.png"), expected
    )
    np.testing.assert_array_equal(read_image(rgba), expected)
    grey = Image.fromarray(rgba[..., 2:])
    assert grey.mode == "LA"
    np.testing.assert_array_equal(save_and_read(grey, tmp_path / "la.png"), expected)


def test_p12_a_transparent_palette_colour_lies_on_white(tmp_path: Path) -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 210, 220])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "p.png", transparency=0)
    expected = np.array([[[255, 255, 255], [200, 210, 220]]])
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), expected)
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 2  # mirrored, the colour stays transparent
    palette.save(tmp_path / "p.png", transparency=0, exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), expected[:, ::-1])


def test_p12_cmyk_becomes_rgb(tmp_path: Path) -> None:
    # no ink is white; full cyan, no red: (0, 255, 255)
    inks = np.zeros((16, 32, 4), np.uint8)
    inks[:, 16:, 0] = 255
    Image.fromarray(inks, mode="CMYK").save(tmp_path / "c.tif")
    read = read_image(tmp_path / "c.tif")
    np.testing.assert_array_equal(read[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(read[0, -1], [0, 255, 255])


def test_p12_a_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    inks = np.zeros((16, 32, 4), np.uint8)
    inks[:, 16:, 1] = 255  # full magenta, no green
    Image.fromarray(inks, mode="CMYK").save(tmp_path / "c.jpg", quality=100)
    read = read_image(tmp_path / "c.jpg").astype(int)
    assert np.abs(read[0, 0] - [255, 255, 255]).max() <= 3
    assert np.abs(read[0, -1] - [255, 0, 255]).max() <= 3


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_p12_sixteen_bits_are_divided_by_257(tmp_path: Path, suffix: str) -> None:
    # 65535 / 257 = 255; 32896 / 257 = 128; 500 / 257 = 1.95; 100 / 257 = 0.39
    values = np.array([[65535, 32896], [500, 100]], np.uint16)
    read = save_and_read(Image.fromarray(values), tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read[..., 1], [[255, 128], [2, 0]])
    np.testing.assert_array_equal(read_image(values)[..., 2], [[255, 128], [2, 0]])


def test_p12_wider_values_are_scaled_to_their_range(tmp_path: Path) -> None:
    within = np.array([[65535, 0]], np.int32)  # looks like 16 bits in a wide type
    np.testing.assert_array_equal(
        save_and_read(Image.fromarray(within), tmp_path / "i.tif")[..., 0], [[255, 0]]
    )
    # -100 -> 0, 100000 -> 255; 0 -> 255 * 100 / 100100 = 0.25
    beyond = np.array([[-100, 0, 100_000]], np.int32)
    np.testing.assert_array_equal(
        save_and_read(Image.fromarray(beyond), tmp_path / "j.tif")[..., 0], [[0, 0, 255]]
    )
    fractions = np.array([[0.25, 0.5]], np.float32)  # times 255: 63.75, and 127.5, to even 128
    np.testing.assert_array_equal(
        save_and_read(Image.fromarray(fractions), tmp_path / "f.tif")[..., 0], [[64, 128]]
    )
    flat = np.full((1, 2), 7e6, np.float32)
    assert save_and_read(Image.fromarray(flat), tmp_path / "g.tif").max() == 0


def test_float_picture_with_nan_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[np.nan, 1.0]], np.float32)).save(tmp_path / "n.tif")
    with pytest.raises(DatasetError, match=r"n\.tif.*no numbers"):
        read_image(tmp_path / "n.tif")


def test_first_of_several_frames_is_taken(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert read_image(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("shape", [(24, 40), (24, 40, 1), (24, 40, 3), (24, 40, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays_of_every_allowed_shape(shape: tuple[int, ...], dtype: type) -> None:
    assert read_image(np.zeros(shape, dtype)).shape == (24, 40, 3)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((3, 24, 40), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.bool_),
    ],
)
def test_other_arrays_are_a_wrong_call(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected"):
        read_image(array)


def test_missing_folder_and_other_files_say_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "words.jpg").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, words in (
        ("gone.jpg", "no such picture"),
        ("words.jpg", "cannot be read"),
        ("empty.png", "cannot be read"),
        ("", "found a folder"),
    ):
        for read in (read_image, read_image_size):
            with pytest.raises(DatasetError, match=words) as caught:
                read(tmp_path / name)
            assert str(tmp_path / name) in str(caught.value)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif", "tif"])
def test_p18_a_picture_cut_off_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(draw(320, 240)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match=rf"a\.{suffix}.*cannot be read"):
        read_image(path)


def test_a_damaged_avif_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    Image.fromarray(draw(64, 48)).save(path)
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    content[start:] = bytes(byte ^ 255 for byte in content[start:])  # Pillow: RuntimeError
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.avif.*cannot be read"):
        read_image(path)


@pytest.mark.parametrize("progressive", [False, True])
def test_p19_a_jpeg_without_end_marker_is_whole(tmp_path: Path, progressive: bool) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(draw(64, 48)).save(path, progressive=progressive)
    whole = read_image(path)
    content = path.read_bytes()
    assert content.endswith(b"\xff\xd9")
    for odd in (content[:-2], content + bytes(20)):
        path.write_bytes(odd)
        np.testing.assert_array_equal(read_image(path), whole)


def test_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for read in (read_image, read_image_size):
        with pytest.raises(DatasetError, match=r"bomb\.png.*cannot be read.*decompression bomb"):
            read(tmp_path / "bomb.png")


def test_p44_pictures_need_neither_opencv_nor_torch() -> None:
    code = (
        "import sys, iouaware.images, iouaware.data.layouts\n"
        "bad = {'cv2', 'torch', 'torchvision'} & sys.modules.keys()\n"
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_canvas_fill_is_the_mean_in_uint8() -> None:
    # 0.485 * 255 = 123.7, 0.456 * 255 = 116.3, 0.406 * 255 = 103.5 (rounded to even: 104)
    assert canvas_fill((0.485, 0.456, 0.406)) == (124, 116, 104)
    assert canvas_fill((0.5, 0.5, 0.5)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("original_hw", "image_size", "expected"),
    [
        ((480, 640), 320, ((240, 320), (320, 320))),
        ((100, 50), 320, ((320, 160), (320, 320))),  # enlarging too
        ((1, 1000), 320, ((1, 320), (320, 320))),  # never under one pixel
        # min(1333 / 640, 800 / 480) = 1.6667: 800 x 1066.7; 1067 -> 34 * 32 = 1088
        ((480, 640), (800, 1333), ((800, 1067), (800, 1088))),
        # min(1333 / 1000, 800 / 300) = 1.333: 399.9 x 1333; 400 -> 416, 1333 -> 1344
        ((300, 1000), (800, 1333), ((400, 1333), (416, 1344))),
        ((300, 1000), (1333, 800), ((400, 1333), (416, 1344))),
    ],
)
def test_resized_hw_by_hand(
    original_hw: tuple[int, int],
    image_size: int | tuple[int, int],
    expected: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    assert resized_hw(original_hw, image_size) == expected


def test_resized_hw_without_pixels_is_a_wrong_call() -> None:
    with pytest.raises(ValueError, match="at least 1 x 1"):
        resized_hw((0, 10), 320)


@given(
    st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([64, 320, (64, 96), (800, 1333)])
)
def test_a_resized_picture_fits_its_canvas(
    height: int, width: int, image_size: int | tuple[int, int]
) -> None:
    new_hw, canvas_hw = resized_hw((height, width), image_size)
    assert 1 <= new_hw[0] <= canvas_hw[0]
    assert 1 <= new_hw[1] <= canvas_hw[1]
    if isinstance(image_size, int):
        assert max(new_hw) == image_size
    else:
        assert max(new_hw) <= max(image_size)
        assert canvas_hw[0] % 32 == canvas_hw[1] % 32 == 0


def test_resize_to_canvas_pads_right_and_bottom() -> None:
    canvas, frame = resize_to_canvas(draw(40, 24), 64, (1, 2, 3))
    # 64 / 40 = 1.6: 24 * 1.6 = 38.4 rows
    assert canvas.shape == (64, 64, 3)
    assert frame.resized_hw == (38, 64)
    np.testing.assert_array_equal(canvas[38:], np.broadcast_to([1, 2, 3], (26, 64, 3)))
    reference = Image.fromarray(draw(40, 24)).resize((64, 38), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(canvas[:38], np.asarray(reference))


def test_resize_to_canvas_keeps_a_picture_of_the_right_size() -> None:
    canvas, frame = resize_to_canvas(draw(64, 64), 64, (0, 0, 0))
    np.testing.assert_array_equal(canvas, draw(64, 64))
    assert frame.scale_xyxy.tolist() == [1, 1, 1, 1]


def test_resize_is_torchvisions_antialiased_bilinear() -> None:
    import torch
    from torchvision.transforms.v2 import functional

    image = draw(200, 120)
    canvas, frame = resize_to_canvas(image, 64, (0, 0, 0))
    height, width = frame.resized_hw
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    other = functional.resize(tensor, [height, width], antialias=True).permute(1, 2, 0).numpy()
    assert np.abs(canvas[:height, :width].astype(int) - other).max() <= 1


@pytest.mark.parametrize("name", ["a" * 300 + ".jpg", "a\0.jpg"])
def test_a_name_that_no_file_can_have_is_no_picture(name: str) -> None:
    with pytest.raises(DatasetError, match="no such picture"):
        read_image(name)
