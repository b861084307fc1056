"""Findings, their kinds, and the report they make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from iouaware.checking.findings import (
    KIND_OF_REPAIR,
    KINDS,
    SEVERITIES,
    CheckReport,
    Finding,
    find,
    sort_findings,
)
from iouaware.data import mending


def report(*findings: Finding) -> CheckReport:
    return CheckReport("data", sort_findings(findings), {})


def test_every_kind_says_what_to_do() -> None:
    for name, kind in KINDS.items():
        assert kind.name == name
        assert kind.severity in SEVERITIES
        assert kind.title
        assert kind.advice


def test_every_repair_of_the_readers_is_a_kind() -> None:
    phrases = {v for k, v in vars(mending).items() if k.isupper() and isinstance(v, str)}
    assert phrases <= KIND_OF_REPAIR.keys() | KINDS.keys()


@pytest.mark.parametrize(
    ("kinds", "ok"),
    [([], True), (["sliver"], True), (["stuck-out"], False), (["sliver", "leak"], False)],
)
def test_advice_alone_is_not_wrong(kinds: list[str], ok: bool) -> None:
    assert report(*(find(kind, "found") for kind in kinds)).ok is ok


def test_the_gravest_come_first_and_each_kind_together() -> None:
    found = report(*(find(kind, "") for kind in ("sliver", "leak", "stuck-out", "no-area", "leak")))
    kinds = [finding.kind for finding in found.findings]
    assert kinds == ["leak", "leak", "no-area", "stuck-out", "sliver"]
    assert found.count() == {"error": 3, "warning": 1, "note": 1}
    assert len(found.of_kind("leak")) == 2


def test_json_counts_all_and_lists_some() -> None:
    values = report(*(find("leak", str(n), file="a.jpg") for n in range(5))).result(listed=2)
    assert values["kinds"] == {"leak": 5}
    assert [row["message"] for row in values["findings"]] == ["0", "1"]
    assert values["findings"][0]["advice"] == KINDS["leak"].advice
    assert (values["ok"], values["counts"]["error"]) == (False, 5)


def test_the_guide_names_every_kind_with_its_grade() -> None:
    page = Path(__file__).parents[2] / "docs" / "checking.md"
    sections = page.read_text("utf-8").split("\n### ")[1:]
    for section, severity in zip(sections, SEVERITIES, strict=True):
        listed = set(re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE))
        assert listed == {name for name, kind in KINDS.items() if kind.severity == severity}
