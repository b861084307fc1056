"""Files found by suffix in any case."""

from __future__ import annotations

from pathlib import Path

from iouaware.data.files import Namesakes, first_folder, list_files, list_files_in, spellings
from tests.data.layout_files import text


def test_suffixes_are_compared_without_case_and_hidden_files_passed_over(tmp_path: Path) -> None:
    for name in ("b.TXT", "a.txt", "c.md", ".d.txt", "below/e.Txt", ".hidden/f.txt"):
        text(tmp_path / name, "")
    (tmp_path / "g.txt").mkdir()
    right_in = [tmp_path / "a.txt", tmp_path / "b.TXT"]
    assert list_files_in(tmp_path, (".txt",)) == right_in
    assert list_files(tmp_path, (".txt",)) == [*right_in, tmp_path / "below" / "e.Txt"]
    assert list_files_in(tmp_path / "gone", (".txt",)) == []
    assert list_files(tmp_path / "gone", (".txt",)) == []
    assert list_files_in(tmp_path / ("a" * 300), (".txt",)) == []  # no file can be called so


def test_links_to_folders_are_followed_once_and_never_in_a_circle(tmp_path: Path) -> None:
    data, store = tmp_path / "data", tmp_path / "store"
    for name in ("data/a.txt", "data/own/b.txt", "data/.cache/c.txt", "store/d.txt"):
        text(tmp_path / name, "")
    for name, target in {
        "e": store,
        "f": store,  # the same again
        "g": data / "own",  # seen at its own place
        "h": data / ".cache",  # which hidden folders are not
        "i": data,  # round in a circle
        "j": tmp_path,  # out and in again
        "k": tmp_path / "gone",
    }.items():
        (data / name).symlink_to(target)
    (store / "l").symlink_to(store)
    found = [path.relative_to(data).as_posix() for path in list_files(data, (".txt",))]
    assert found == ["a.txt", "e/d.txt", "h/c.txt", "own/b.txt"]
    (tmp_path / "link").symlink_to(data)
    assert len(list_files(tmp_path / "link", (".txt",))) == 4  # a link itself is a folder too


def test_the_first_folder_that_is_there(tmp_path: Path) -> None:
    assert spellings("labels") == ("labels", "Labels", "LABELS")
    candidates = [tmp_path / ("a" * 300), *(tmp_path / name for name in spellings("labels"))]
    assert first_folder(candidates) == candidates[0]
    text(tmp_path / "labels", "no folder")
    (tmp_path / "LABELS").mkdir()
    assert first_folder(candidates) == tmp_path / "LABELS"


def test_namesakes_are_found_by_folder_and_name(tmp_path: Path) -> None:
    for name in ("a.TXT", "b.v2.txt", "c.txt", "c.TXT", "d.xml"):
        text(tmp_path / name, "")
    texts = Namesakes(".txt")
    assert texts.find(tmp_path, "a") == tmp_path / "a.TXT"
    assert texts.find(tmp_path, "b.v2") == tmp_path / "b.v2.txt"
    assert texts.find(tmp_path, "c") == tmp_path / "c.txt"  # the usual spelling before others
    assert texts.find(tmp_path, "d") is None
    assert texts.find(tmp_path, "A") is None
    assert texts.find(tmp_path / "gone", "a") is None
