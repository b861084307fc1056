import io
import struct
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from iouaware.errors import DatasetError
from iouaware.inference.sources import list_sources, read_picture, read_sources
from iouaware.structures import ImageArray

# four quarters of a picture 64 px wide and 48 high: red, green / blue, white
QUARTERS = np.zeros((48, 64, 3), np.uint8)
QUARTERS[:24, :32, 0] = QUARTERS[:24, 32:, 1] = QUARTERS[24:, :32, 2] = 255
QUARTERS[24:, 32:] = 255


def write_picture(path: Path, grey: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (grey, grey, grey)).save(path)
    return path


def write_video(path: Path, frames: list[ImageArray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def turn_video(path: Path) -> None:
    """Ask players to show the video turned by a quarter, clockwise, as telephones do."""
    content = bytearray(path.read_bytes())
    # the matrix stands 40 bytes behind the start of a version 0 track header's body
    start = content.index(b"tkhd") + 4 + 40
    one = 1 << 16
    content[start : start + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def test_files_folders_and_globs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.png", "a.JPG", "sub/c.png", "[x].png"):
        write_picture(tmp_path / "pictures" / name)
    (tmp_path / "pictures/notes.txt").write_text("no picture")
    (tmp_path / "pictures/._b.png").write_bytes(b"what a Mac leaves on other disks")
    write_picture(tmp_path / "pictures/.trash/d.png")
    monkeypatch.chdir(tmp_path)

    def names(*sources: str) -> list[str]:
        return [source.path.as_posix() for source in list_sources(sources)]

    everything = [f"pictures/{name}" for name in ("[x].png", "a.JPG", "b.png", "sub/c.png")]
    assert names("pictures") == everything
    assert names("pictures/*.png") == ["pictures/[x].png", "pictures/b.png"]
    assert names("pictures/[x].png") == ["pictures/[x].png"]
    assert names("pictures/**/c.*") == ["pictures/sub/c.png"]
    # in the order given, what is named twice once
    assert names("pictures/b.png", "pictures", "./pictures/b.png") == [
        "pictures/b.png",
        "pictures/[x].png",
        "pictures/a.JPG",
        "pictures/sub/c.png",
    ]
    assert [source.name for source in list_sources(["pictures/sub", "pictures/b.png"])] == [
        "sub/c.png",
        "b.png",
    ]
    assert [s.name for s in list_sources([str(tmp_path / "pictures/sub")])] == ["c.png"]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "empty").mkdir()
    for source, message in (
        ("none.jpg", "no such file or folder"),
        ("*.png", "no such file or folder, and no picture fits it as a glob"),
        ("empty", "found no pictures or videos in this folder"),
        ("notes.txt", "expected a picture or a video, found a file ending in .txt"),
    ):
        with pytest.raises(DatasetError, match=f"{source.replace('*', '.')}: {message}"):
            list_sources([tmp_path / source])
    with pytest.raises(DatasetError, match="no pictures given"):
        list_sources([])


def test_pictures_are_read_as_they_are_needed(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", grey=10)
    (tmp_path / "b.png").write_bytes(b"broken")
    reader = read_sources(list_sources([tmp_path]))
    source, image = next(reader)
    assert source.name == "a.png"
    assert image.shape == (6, 8, 3)
    assert (image == 10).all()
    with pytest.raises(DatasetError, match=r"b\.png"):
        next(reader)


def test_videos_give_their_frames(tmp_path: Path) -> None:
    frames = [np.full((48, 64, 3), grey, np.uint8) for grey in (20, 120, 220)]
    write_video(tmp_path / "clip.mp4", frames)
    write_picture(tmp_path / "z.png")
    read = list(read_sources(list_sources([tmp_path])))
    assert [source.name for source, _ in read] == [
        "clip.mp4-000000",
        "clip.mp4-000001",
        "clip.mp4-000002",
        "z.png",
    ]
    assert read[1][0].path == tmp_path / "clip.mp4-000001"
    for (_, image), frame in zip(read, frames, strict=False):
        assert image.shape == frame.shape
        assert abs(float(image.mean()) - float(frame.mean())) < 4  # limited-range YUV


def test_videos_are_turned_as_they_are_shown(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mov", [QUARTERS, QUARTERS])
    turn_video(path)
    image = next(read_sources(list_sources([path])))[1]
    assert image.shape == (64, 48, 3)
    # clockwise: blue comes to the top left, red to the top right
    expected = np.rot90(QUARTERS, -1)
    for y, x in ((16, 12), (16, 36), (48, 12), (48, 36)):
        assert np.abs(image[y, x].astype(int) - expected[y, x]).max() < 60


def test_broken_videos_and_a_missing_pyav_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video at all")
    with pytest.raises(DatasetError, match=r"clip\.mp4: this video cannot be read"):
        next(read_sources(list_sources([path])))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DatasetError, match=r'clip\.mp4: .*pip install "\.\[video\]" in the clone'):
        next(read_sources(list_sources([path])))


def test_what_can_be_decoded_of_a_damaged_video_comes_first(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(40)]
    path = write_video(tmp_path / "clip.mp4", frames)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = list(container.demux(video=0))
        places = [(packet.pos, packet.size) for packet in packets if packet.pos is not None]
    start, size = places[20]
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    reader = read_sources(list_sources(path))
    assert len([next(reader) for _ in range(39)]) == 39
    with pytest.raises(
        DatasetError, match=r"1 pieces of this video cannot be read \(.*, 39 frames"
    ):
        next(reader)


def test_a_video_without_a_frame_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", [QUARTERS] * 3)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"\x1f\x43\xb6\x75") + 40])  # a cluster's head
    with pytest.raises(DatasetError, match=r"clip\.mkv: 0 frames were found in it"):
        next(read_sources(list_sources([path])))


def test_a_name_with_a_colon_is_no_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a.mp4", [QUARTERS]).rename("cam-12:30:05.mp4")
    assert len(list(read_sources(list_sources(["cam-12:30:05.mp4"])))) == 1


def test_one_source_needs_no_list_and_an_empty_text_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(tmp_path / "a.png")
    assert [source.name for source in list_sources(str(tmp_path / "a.png"))] == ["a.png"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="an empty text is no source"):
        list_sources([""])


def test_pixels_of_every_kind(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", grey=7)
    with Image.open(tmp_path / "a.png") as opened:
        name, image = read_picture(opened)
    assert name == str(tmp_path / "a.png")
    assert (image == 7).all()
    for source in (
        QUARTERS,
        Image.fromarray(QUARTERS),
        torch.tensor(QUARTERS),
        torch.tensor(QUARTERS).permute(2, 0, 1),
        torch.tensor(QUARTERS).permute(2, 0, 1) / 255,
    ):
        name, image = read_picture(source)
        assert name is None
        np.testing.assert_array_equal(image, QUARTERS)
    assert read_picture(torch.zeros(1, 5, 4))[1].shape == (5, 4, 3)
    # 0 and 1 are the same number in half precision, which NumPy does not have
    half = (torch.tensor(QUARTERS).permute(2, 0, 1) / 255).to(torch.bfloat16)
    np.testing.assert_array_equal(read_picture(half)[1], QUARTERS)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (torch.zeros(2, 3, 8, 8), r"\(2, 3, 8, 8\), expected \[3, H, W\]"),
        (torch.full((3, 8, 8), 2.0), "floats outside 0..1"),
        (np.zeros((8, 8, 3)), "float64"),
        (42, "found int, expected a path"),
        (io.BufferedReader(io.BytesIO()), "found BufferedReader, expected a path"),
        (None, "found NoneType, expected a path"),
    ],
)
def test_other_things_are_refused(source: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_picture(source)
