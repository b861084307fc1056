"""Which pictures are decoded, and which look the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from iouaware.checking import thumbnails
from iouaware.checking.thumbnails import (
    choose_compared,
    choose_pictures,
    find_alike,
    read_thumbnails,
)

SIDE = 24


def random_picture(seed: int, wh: tuple[int, int] = (160, 120)) -> Image.Image:
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(blocks).resize(wh, Image.Resampling.BICUBIC)


def small(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX).convert("L"))


def test_a_picture_stored_anew_darker_or_smaller_is_alike() -> None:
    picture = random_picture(0)
    others = [
        ImageEnhance.Brightness(picture).enhance(0.8),
        ImageEnhance.Contrast(picture).enhance(0.7),
        picture.resize((80, 60)),
        picture.convert("L"),
    ]
    pixels = np.stack([small(one) for one in (random_picture(1), picture, *others)])
    pairs = list(find_alike(pixels))
    assert [pair for pair in pairs if pair[0] == 1] == [(1, 2), (1, 3), (1, 4), (1, 5)]
    assert not [pair for pair in pairs if 0 in pair]


def test_an_object_that_came_makes_another_picture() -> None:
    picture = random_picture(0)
    with_object = picture.copy()
    with_object.paste((110, 110, 110), (40, 30, 47, 35))
    pixels = np.stack([small(picture), small(with_object)])
    correlation = np.asarray(np.corrcoef(pixels.reshape(2, -1)))[0, 1]
    assert 0.98 < correlation < 1  # so that it is a single cell that tells them apart
    assert not list(find_alike(pixels))


def test_pictures_of_one_colour_are_like_no_other() -> None:
    assert not list(find_alike(np.full((3, SIDE, SIDE), 7, np.uint8)))


def test_pairs_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "_BLOCK", 2)
    pixels = np.stack([small(random_picture(seed)) for seed in (0, 1, 2, 3, 0)])
    assert list(find_alike(pixels)) == [(0, 4)]


@pytest.mark.parametrize(
    ("count", "expected"), [(0, []), (3, [0, 1, 2]), (4, [0, 1, 2]), (7, [0, 2, 4])]
)
def test_of_very_many_pictures_an_even_share_is_compared(
    monkeypatch: pytest.MonkeyPatch, count: int, expected: list[int]
) -> None:
    monkeypatch.setattr(thumbnails, "MOST_COMPARED", 3)
    # of 7: 0, 7 // 3 and 14 // 3
    assert choose_compared(count, "auto").tolist() == expected
    assert choose_compared(count, "all").tolist() == list(range(count))


def test_no_pictures_no_pairs() -> None:
    assert not list(find_alike(np.zeros((0, SIDE, SIDE), np.uint8)))
    found = read_thumbnails([], [])
    assert (found.pixels.shape, found.broken) == ((0, SIDE, SIDE), {})


def write_pictures(folder: Path, count: int, suffix: str) -> list[Path]:
    paths = [folder / f"{number}{suffix}" for number in range(count)]
    for number, path in enumerate(paths):
        random_picture(number, (40, 20)).save(path)
    return paths


@pytest.mark.parametrize(("suffix", "expected"), [(".jpg", [0, 2, 4, 6, 8]), (".png", [0])])
def test_beyond_the_budget_a_share_is_decoded_evenly_spread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, expected: list[int]
) -> None:
    # ten pictures of 800 px, half of which may be decoded; a PNG counts fourfold
    monkeypatch.setattr(thumbnails, "BUDGET_PX", 4000)
    paths = write_pictures(tmp_path, 10, suffix)
    sizes = np.full((10, 2), (40, 20), np.int32)
    assert choose_pictures(paths, sizes, "auto") == expected
    assert choose_pictures(paths, sizes, "all") == list(range(10))
    assert choose_pictures(paths, sizes, "none") == []
    paths[3].write_bytes(paths[3].read_bytes()[:-40])  # no end mark: looked at all the same
    assert choose_pictures(paths, sizes, "auto") == sorted([*expected, 3])
    assert choose_pictures([], sizes[:0], "auto") == []


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_p18_a_picture_that_is_cut_off_is_broken(tmp_path: Path, suffix: str) -> None:
    paths = write_pictures(tmp_path, 3, suffix)
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[: len(content) * 2 // 3])
    found = read_thumbnails(paths, range(3))
    assert found.rows.tolist() == [0, 2]
    assert list(found.broken) == [1]
    assert "1" + suffix in found.broken[1]


def test_p19_a_jpeg_without_its_end_mark_alone_is_whole(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 1, ".jpg")
    paths[0].write_bytes(paths[0].read_bytes()[:-2])
    assert read_thumbnails(paths, [0]).broken == {}
