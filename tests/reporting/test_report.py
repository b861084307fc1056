from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iouaware.errors import DatasetError
from iouaware.places import MODEL_FILE
from iouaware.reporting.report import write_report
from tests.reporting.scenes import (
    SIDE,
    Scene,
    draw_candidates,
    make_candidates,
    make_scene,
    make_second_and_loose,
    make_truth,
    without_iou,
    write_run_files,
)

VOID = {"meta", "img", "input", "br", "link", "hr"}


class Page(HTMLParser):
    """A page taken apart; complains about tags that do not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.script = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.script += data
        elif self._open and self._open[-1] != "style":
            self.text += " ".join(data.split()) + " "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def _write(scene: Scene, run: Path) -> tuple[str, Page]:
    page = write_report(
        run / MODEL_FILE, scene.dataset, scene.candidates, scene.evaluation, scene.sweep, scene.info
    )
    assert page == run / "report" / "index.html"
    html = page.read_text("utf-8")
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]
    return html, Page(html)


@pytest.fixture(scope="module")
def usual(_scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    """The page of the fair detector with all files of a run; read only."""
    run = tmp_path_factory.mktemp("usual")
    write_run_files(run)
    return _write(_scene, run)


def test_the_page_answers_first_and_explains_all(usual: tuple[str, Page]) -> None:
    html, page = usual
    first = page.text.index("Is it good enough?")
    assert first < page.text.index("Which class is weakest?") < page.text.index("What next?")
    for title in (
        "AP at each IoU threshold",
        "Precision asked, recall got",
        "AP over alpha",
        "True IoU against p",
        "True IoU against S",
        "Class by class",
        "predicted fit",
        "Sure but loose",
        "Missed objects",
        "False alarms",
        "Move alpha yourself",
        "Losses",
        "What was run, and with what",
        "What the words mean",
    ):
        assert title in page.text
    assert "iouaware train data" in page.text
    assert len(html) < 4_000_000


def test_the_page_needs_nothing_but_itself(usual: tuple[str, Page]) -> None:
    html, page = usual
    for _, attributes in page.tags:
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith("#")
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "fetch(" not in page.script
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", html))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # the name of SVG, never fetched


def test_pictures_and_charts_are_described(usual: tuple[str, Page]) -> None:
    _, page = usual
    assert page.all("img")
    assert all(attributes.get("alt") for attributes in page.all("img"))
    charts = [one for one in page.all("svg") if one.get("class") == "chart" and "role" in one]
    assert len(charts) >= 6
    assert all(one.get("aria-label") for one in charts)
    labelled = {one.get("for") for one in page.all("label")}
    ranges = {one.get("id") for one in page.all("input") if one.get("type") == "range"}
    assert ranges <= labelled
    anchors = {(one.get("href") or "")[1:] for one in page.all("a")}
    assert anchors <= {one.get("id") for _, one in page.tags}


def test_a_screen_reader_hears_values_and_one_summary(usual: tuple[str, Page]) -> None:
    _, page = usual
    ranges = {one["id"]: one for one in page.all("input") if one.get("type") == "range"}
    assert ranges["slider-alpha"]["value"] == "1"  # its step among 0, 0.5 and 1
    assert ranges["slider-alpha"]["aria-valuetext"] == "0.5"
    threshold = float(ranges["slider-threshold"]["value"] or "")
    assert ranges["slider-threshold"]["aria-valuetext"] == f"{threshold:.2f}"
    assert page.all("output") == []
    live = [one.get("id") for _, one in page.tags if one.get("role") == "status"]
    assert live == ["slider-summary"]


def test_a_chart_says_the_correlation_that_stands_under_it(usual: tuple[str, Page]) -> None:
    _, page = usual
    labels = " ".join(one.get("aria-label") or "" for one in page.all("svg"))
    for name in ("p", "predicted IoU", "S"):
        (spoken,) = re.findall(rf"True IoU against {name}, .*?rank correlation (\S+)", labels)
        # the text of the card: its title, the chart's, the caption
        (written,) = re.findall(
            rf"True IoU against {name} .*?Rank correlation (\d\.\d\d)", page.text
        )[:1]
        assert spoken == written


def test_both_themes_and_a_phone_are_thought_of(usual: tuple[str, Page]) -> None:
    html, _ = usual
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport" content="width=device-width' in html


def test_only_the_scripts_of_the_package_may_run(usual: tuple[str, Page]) -> None:
    html, page = usual
    policy = next(one["content"] for one in page.all("meta") if one.get("http-equiv") is not None)
    assert policy is not None
    (own,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_hostile_names_stay_text(tmp_path: Path, run: Path) -> None:
    evil = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>{{7777*7777}}"
    file = "<svg onload=alert(3)>&quot;.png"
    boxes = [[[5, 5, 45, 45], [50, 50, 90, 90]], [[5, 5, 45, 45]]]
    truth = make_truth(tmp_path, boxes, [[0, 1], [1]], (evil, "b"), file_names=[file, "b.png"])
    found = draw_candidates(truth)
    scene = make_scene(truth, found)
    scene.evaluation["notes"]["AP"] = evil
    scene.evaluation["data"] = f"/data/{evil}"
    (run / "environment.json").write_text(json.dumps({"command": evil, evil: evil}))
    (run / "config.yaml").write_text(evil)
    html, page = _write(scene, run)
    assert len(page.all("script")) == 2  # the data and ours
    assert not any("onerror" in one or "onload" in one for _, one in page.tags)
    assert "{{7777*7777}}" in page.text
    assert "60481729" not in html  # nobody has multiplied
    data = json.loads(html.split('id="slider-data">')[1].split("</script>")[0])
    assert data["classes"][0] == evil
    assert data["pictures"][0]["file"] == file


def test_no_detections(scene: Scene, run: Path) -> None:
    nothing = [
        replace(one, **{name: getattr(one, name)[:0] for name in (
            "boxes", "labels", "class_scores", "predicted_iou", "anchor_index"
        )})
        for one in scene.candidates
    ]  # fmt: skip
    _, page = _write(make_scene(scene.dataset, nothing), run)
    assert "No, it finds next to nothing" in page.text
    assert "No box reaches the display threshold." in page.text
    assert "nan" not in page.text.lower().split()


def test_false_alarms_that_the_gallery_leaves_out_are_counted(tmp_path: Path, run: Path) -> None:
    _, page = _write(make_second_and_loose(tmp_path), run)
    assert "8 false alarms" in page.text
    assert "0 boxes drawn lie on nothing that was marked, or on an object of another" in page.text
    assert "8 more lie on an object of their class: second boxes, or too loose" in page.text


def test_all_is_said_only_where_exact(tmp_path: Path, run: Path) -> None:
    # 200 of 201 objects are found, 99.5 %, and 201 boxes drawn
    boxes = [[[5, 5, 45, 45]]] + [[[5.0 * n, 5, 5 * n + 4, 95] for n in range(10)]] * 20
    truth = make_truth(tmp_path, boxes, [[0]] + [[0] * 10] * 20, ("a",))
    beside = make_candidates([[60, 60, 90, 90]], [0], [0.9], None)
    exact = make_candidates(boxes[1], [0] * 10, [0.9] * 10, None)
    scene = make_scene(truth, [beside] + [exact] * 20)
    scene.evaluation["operating_point"]["score_threshold"] = 0.5
    _, page = _write(scene, run)
    assert "it finds over 99 of 100 objects, and over 99 of 100 drawn boxes are right" in page.text
    assert "Objects found over 99 %" in page.text
    assert "Boxes right over 99 % 1 false alarm" in page.text
    assert "201 200 (over 99 %) 1 " in page.text
    assert "90 of 100 right  over 99 %  over 99 %" in page.text


def test_no_iou_branch(scene: Scene, run: Path) -> None:
    html, page = _write(make_scene(scene.dataset, without_iou(scene.candidates)), run)
    assert "This model predicts no IoU, so alpha stays at 1" in page.text
    assert "True IoU against predicted IoU" not in page.text
    assert "True IoU against S" not in page.text  # S is p
    alpha = next(one for one in page.all("input") if one.get("id") == "slider-alpha")
    assert "disabled" in alpha
    assert "NaN" not in html.split('id="slider-data">')[1].split("</script>")[0]


def test_one_class_no_metrics_no_objects(tmp_path: Path, run: Path) -> None:
    truth = make_truth(tmp_path, [[]], [[]], ("only",))
    found = make_candidates([[5, 5, 45, 45]], [0], [0.9], [0.9])
    _, page = _write(make_scene(truth, [found]), run)
    assert "Cannot be said" in page.text
    assert "There is no metrics.csv in the run folder" in page.text
    assert "There are no objects to find." in page.text


def test_no_pictures_at_all(tmp_path: Path, run: Path) -> None:
    scene = make_scene(make_truth(tmp_path, [], [], ("only",)), [])
    _, page = _write(scene, run)
    assert "There are no pictures to show." in page.text


def test_p31_false_alarms_on_empty_pictures_are_a_number_of_the_first_screen(
    scene: Scene, run: Path
) -> None:
    scene.evaluation["false_alarms_per_empty_image"] = 0.25
    _, page = _write(scene, run)
    assert "Empty pictures 0.25 each" in page.text


def test_p53_the_formula_stands_beside_alpha(usual: tuple[str, Page]) -> None:
    _, page = usual
    assert "S = p α · IoU 1−α with α = 0.5" in page.text
    assert "0.5 (S = p^alpha × IoU^(1 − alpha))" in page.text


def test_a_second_report_replaces_the_first(scene: Scene, run: Path) -> None:
    _write(scene, run)
    scene.evaluation["false_alarms_per_empty_image"] = None
    scene.evaluation["notes"]["false_alarms_per_empty_image"] = "no picture without objects"
    _, page = _write(scene, run)
    assert "Empty pictures n/a no picture without objects" in page.text


def test_the_page_is_named_after_the_data(scene: Scene, run: Path) -> None:
    scene.evaluation["data"] = "/sets/my bolts/data.yaml"
    html, _ = _write(scene, run)
    assert "<title>my bolts: iouaware report</title>" in html
    assert "<h1>my bolts</h1>" in html


def test_older_files_with_fewer_keys_still_give_a_page(scene: Scene, run: Path) -> None:
    scene.evaluation = {"alpha": 1.0, "AP": 0.5, "AP50": 0.7, "AP_per_class": {}}
    scene.sweep = {}
    _, page = _write(scene, run)
    assert "There is no sweep over alpha to show." in page.text


def test_pages_are_the_same_every_time(scene: Scene, run: Path) -> None:
    assert _write(scene, run)[0] == _write(scene, run)[0]


def test_large_pictures_are_shrunk(tmp_path: Path, run: Path) -> None:
    truth = make_truth(tmp_path, [[[5, 5, 45, 45]]], [[0]], ("a",))
    noise = np.random.RandomState(0).randint(0, 255, (900, 1200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "picture0.png")
    scene = make_scene(truth, [make_candidates([[5, 5, 45, 45]], [0], [0.9], [0.9], SIDE)])
    html, _ = _write(scene, run)
    assert len(html) < 500_000


def test_a_picture_that_went_missing_is_named(tmp_path: Path, run: Path) -> None:
    truth = make_truth(tmp_path, [[[5, 5, 45, 45]]], [[0]], ("a",))
    scene = make_scene(truth, [make_candidates([[5, 5, 45, 45]], [0], [0.9], [0.9])])
    (tmp_path / "picture0.png").unlink()
    with pytest.raises(DatasetError, match=r"picture0\.png"):
        _write(scene, run)
    assert not (run / "report" / "index.html").exists()
