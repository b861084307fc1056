"""The page in a real browser; skipped where there is no chromium or no playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iouaware.inference.postprocess import select_detections
from iouaware.places import MODEL_FILE
from iouaware.reporting.rendering import read_template
from iouaware.reporting.report import write_report
from iouaware.reporting.slider import pack_candidates
from tests.reporting.scenes import SETTINGS, Scene, make_scene, make_truth, write_run_files
from tests.reporting.test_slider import crowded

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_the_page_selects_what_python_selects(browser: Any, alpha: float) -> None:
    page = browser.new_page()
    page.evaluate(read_template("slider.js") + "; window.select = select; 0")
    for seed in range(3):
        found = crowded(seed)
        for most, across, threshold, min_iou in ((100, False, 0.05, 0.0), (9, True, 0.3, 0.5)):
            settings = SETTINGS.model_copy(
                update={"max_detections": most, "nms_across_classes": across}
            )
            index, scores = select_detections(found, alpha, settings, threshold, min_iou)
            kept = page.evaluate(
                "([c, a, t, u, n]) => select(c, a, t, u, n)",
                [
                    pack_candidates(found, np.arange(len(found))),
                    alpha,
                    threshold,
                    min_iou,
                    {"iou": 0.5, "max_detections": most, "across_classes": across},
                ],
            )
            assert len(index) > 0
            assert [one["index"] for one in kept] == index.tolist()
            np.testing.assert_allclose([one["score"] for one in kept], scores, rtol=1e-5)
    page.close()


@pytest.fixture
def report(scene: Scene, run: Path) -> str:
    write_run_files(run)
    path = write_report(
        run / MODEL_FILE, scene.dataset, scene.candidates, scene.evaluation, scene.sweep, scene.info
    )
    return path.as_uri()


def test_dragging_alpha_redraws_the_boxes(browser: Any, report: str, scene: Scene) -> None:
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text))
    page.on("request", lambda one: faults.append(one.url) if "http" in one.url else None)
    page.goto(report)
    steps = {0: 0.0, 1: 0.5, 2: 1.0}
    for position, alpha in steps.items():
        page.locator("#slider-alpha").fill(str(position))
        threshold = scene.info.score_threshold(alpha)
        assert float(page.locator("#slider-threshold").input_value()) == pytest.approx(threshold)
        drawn = [
            page.locator(f'[data-picture="{number}"] rect.drawn:not(.halo)').count()
            for number in range(len(scene.candidates))
        ]
        assert drawn == [
            len(select_detections(found, alpha, SETTINGS, threshold)[0])
            for found in scene.candidates
        ]
        spoken = page.locator("#slider-alpha").get_attribute("aria-valuetext")
        assert spoken == page.locator("#slider-alpha-value").inner_text() == f"{alpha:g}"
        spoken = page.locator("#slider-threshold").get_attribute("aria-valuetext")
        assert spoken == f"{threshold:.2f}"
    page.locator("#slider-truth").check()
    assert page.locator("[data-picture] rect.true:not(.halo)").count() == len(scene.dataset.boxes)
    assert faults == []
    page.close()


def test_at_alpha_1_no_box_is_called_absent_there(browser: Any, report: str) -> None:
    page = browser.new_page()
    page.goto(report)
    for position, differs in (("0", True), ("2", False)):  # alpha 0 and 1
        page.locator("#slider-alpha").fill(position)
        before = page.locator("rect.drawn:not(.halo)").count()
        page.locator("#slider-threshold").fill("0.05")
        assert page.locator("rect.drawn:not(.halo)").count() > before
        assert (page.locator("rect.fresh").count() > 0) == differs
        said = page.locator("#slider-summary").inner_text()
        assert ("not drawn at alpha 1 and its own threshold" in said) == differs
    page.close()


def test_a_page_without_pictures_has_no_fault(browser: Any, tmp_path: Path, run: Path) -> None:
    scene = make_scene(make_truth(tmp_path, [], [], ("only",)), [])
    path = write_report(
        run / MODEL_FILE, scene.dataset, [], scene.evaluation, scene.sweep, scene.info
    )
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(path.as_uri())
    assert faults == []
    page.close()


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_width_makes_the_page_scroll_sideways_and_text_can_be_read(
    browser: Any, report: str, scheme: str, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.goto(report)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # WCAG AA asks for 4.5; measured against the page and the cards
    ratios = page.evaluate(CONTRAST)
    assert ratios
    assert min(ratios.values()) >= 4.5, ratios
    page.close()


CONTRAST = """
() => {
  const light = (text) => {
    const rgb = text.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
  };
  const probe = document.body.appendChild(document.createElement("p"));
  const value = (name) => {
    probe.style.color = `var(--${name})`;
    return light(getComputedStyle(probe).color);
  };
  const result = {};
  for (const ink of ["ink", "soft", "chosen", "base", "oracle", "good", "middling", "bad"])
    for (const paper of ["bg", "card"]) {
      const pair = [value(ink), value(paper)].sort();
      result[`${ink} on ${paper}`] = (pair[1] + 0.05) / (pair[0] + 0.05);
    }
  return result;
}
"""
