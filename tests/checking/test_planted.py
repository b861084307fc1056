"""Defects planted in clean sets are found, and clean sets are found clean."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from iouaware.checking.check import check_data
from iouaware.checking.findings import CheckReport
from iouaware.data.examining import examine
from tests.checking.conftest import Spoilable
from tests.checking.planting import DEFECTS, FORMS, Defect, DrawnSet, choose_picture, draw

PLANTED = [(defect, form) for defect in DEFECTS for form in defect.forms]
ROUNDS = 4
CLEAN_PICTURES = 1000


def look(drawn: DrawnSet) -> CheckReport:
    return check_data(examine(drawn.folder), drawn.folder)


def is_found(report: CheckReport, defect: Defect, named: str) -> bool:
    return any(
        finding.kind in defect.kinds
        and named in f"{finding.file} {finding.annotation} {finding.message}"
        and finding.advice
        for finding in report.findings
    )


@pytest.fixture(scope="module")
def clean_reports(clean_sets: dict[str, DrawnSet]) -> dict[str, CheckReport]:
    return {form: look(drawn) for form, drawn in clean_sets.items()}


@pytest.mark.parametrize(
    ("defect", "form"), PLANTED, ids=lambda value: getattr(value, "name", value)
)
def test_a_planted_defect_is_found_and_named(
    defect: Defect, form: str, spoilable: Spoilable, clean_reports: dict[str, CheckReport]
) -> None:
    drawn = spoilable(form)
    named = defect.plant(drawn, choose_picture(drawn, np.random.default_rng(0)))
    report = look(drawn)
    assert is_found(report, defect, named)
    assert not is_found(clean_reports[form], defect, named)
    others = {f.kind for f in report.findings if f.severity != "note"} - defect.kinds
    # a class of one slip is absent from validation too
    assert others <= {"absent-class"}


@pytest.mark.parametrize("form", FORMS)
def test_a_clean_set_is_clean(form: str, clean_reports: dict[str, CheckReport]) -> None:
    assert clean_reports[form].ok
    assert {finding.kind for finding in clean_reports[form].findings} <= {"uncovered"}


def test_twenty_kinds_and_more_are_planted() -> None:
    for form in FORMS:
        assert len([defect for defect, planted in PLANTED if planted == form]) >= 25


@pytest.mark.slow
def test_planted_defects_found_and_false_findings(tmp_path: Path) -> None:
    """Prints the two figures (pytest -s)."""
    found, planted = 0, 0
    for number in range(ROUNDS):
        for form in FORMS:
            base = draw(tmp_path / f"{form}{number}", form, images=60, seed=number + 1)
            for place, (defect, _) in enumerate(row for row in PLANTED if row[1] == form):
                drawn = DrawnSet(tmp_path / "spoilt", form)
                shutil.copytree(base.folder, drawn.folder)
                picture = choose_picture(drawn, np.random.default_rng((number, place)))
                named = defect.plant(drawn, picture)
                hit = is_found(look(drawn), defect, named)
                shutil.rmtree(drawn.folder)
                if not hit:
                    print(f"missed: {defect.name} in {form}, seed {number + 1}")
                found, planted = found + hit, planted + 1
    false = 0
    for form in FORMS:
        clean = draw(tmp_path / f"clean-{form}", form, CLEAN_PICTURES, seed=100)
        wrong = [f for f in look(clean).findings if f.severity != "note"]
        for finding in wrong:
            print(f"false: {form} {finding.kind} {finding.file} {finding.message}")
        false += len(wrong)
    print(f"{found} of {planted} planted defects found")
    print(f"{false} false findings in {CLEAN_PICTURES * len(FORMS):,} clean pictures")
    assert found >= 0.95 * planted
    assert false <= len(FORMS) * CLEAN_PICTURES / 1000
