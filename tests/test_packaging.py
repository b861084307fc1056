"""What a user unpacks and reads: version, wheel, documented names, pages that tell the truth."""

from __future__ import annotations

import importlib
import re
import runpy
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import iouaware

ROOT = Path(__file__).resolve().parents[1]
DOCS = ["docs/guide.md", "docs/experiments.md", "docs/deployment.md"]
PAGES = ["README.md", "CONTRIBUTING.md", *DOCS]
GUIDE = (ROOT / "docs/guide.md").read_text("utf-8")


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_version_is_the_same_everywhere() -> None:
    script = runpy.run_path(str(ROOT / "scripts/check_version.py"))
    assert set(script["read_versions"](ROOT).values()) == {iouaware.__version__}


def test_version_check_sees_a_changelog_that_lags_behind(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "scripts/check_version.py"))
    (tmp_path / "src/iouaware").mkdir(parents=True)
    for name in ("pyproject.toml", "CITATION.cff", "src/iouaware/__init__.py"):
        (tmp_path / name).write_text(read(name), "utf-8")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [0.0.9] - 2026-01-01\n", "utf-8")
    versions = script["read_versions"](tmp_path)
    assert versions["CHANGELOG.md"] == "0.0.9"
    assert versions["pyproject.toml"] == iouaware.__version__


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel by the build backend itself: no network, no other environment."""
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_wheel_holds_types_recipes_and_page(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    wanted = {"iouaware/py.typed"}
    wanted |= {f"iouaware/recipes/{name}.yaml" for name in ("small", "modern", "paper")}
    source = ROOT / "src"
    files = [path for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    wanted |= {path.relative_to(source).as_posix() for path in files if "iouaware" in path.parts}
    assert not {name for name in wanted - names if "egg-info" not in name}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_installs_the_command(wheel: zipfile.ZipFile) -> None:
    entry = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "iouaware = iouaware.cli:main" in wheel.read(entry).decode()


@pytest.mark.parametrize("name", iouaware.__all__)
def test_public_names_are_documented(name: str) -> None:
    assert (getattr(iouaware, name).__doc__ or "").strip(), "needs a docstring"
    assert f"`{name}" in GUIDE or f"iouaware.{name}" in GUIDE, "docs/guide.md does not name it"


def test_every_command_is_in_the_guide() -> None:
    commands = importlib.import_module("iouaware.commands").COMMANDS
    assert not [name for name in commands if f"iouaware {name} " not in GUIDE.replace("\n", " ")]


@pytest.mark.parametrize("page", PAGES)
def test_local_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", read(page))
    missing = [link for link in links if not ((ROOT / page).parent / link).exists()]
    assert not missing, f"{page} points at {missing}"


def test_tables_are_what_the_results_say() -> None:
    check = [sys.executable, "benchmarks/render.py", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_decision_records_are_listed_and_name_tests_that_exist() -> None:
    listed = read("docs/decisions/README.md")
    for path in sorted((ROOT / "docs/decisions").glob("0*.md")):
        assert f"]({path.name})" in listed, f"{path.name} is not in the list"
        named = re.findall(r"`(tests/[\w/.]+)`", path.read_text("utf-8"))
        assert not [name for name in named if not (ROOT / name).exists()], path.name


def test_make_lists_every_target() -> None:
    makefile = read("Makefile")
    phony = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()
    described = re.findall(r"^([a-z-]+):.* ## ", makefile, re.MULTILINE)
    assert sorted(phony) == sorted(described)
    assert "make test check test-slow" in read(".ci/run")


def test_citation_names_the_paper() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    paper = citation["preferred-citation"]
    assert paper["identifiers"][0]["value"] == "arXiv:1912.05992"
    assert [author["family-names"] for author in paper["authors"]] == ["Wu", "Li", "Wang"]


def test_p45_the_next_torch_is_not_shut_out() -> None:
    # lower bounds alone, and no compiled operation of our own that belongs to one release
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    extras = project["project"]["optional-dependencies"].values()
    asked = [*project["project"]["dependencies"], *(one for extra in extras for one in extra)]
    assert len(asked) > 10
    assert [one for one in asked if re.search(r"[<~!]|==", one)] == []
    assert project["build-system"]["requires"] == ["hatchling>=1.26"]  # builds no extension
    compiled = [p for p in (ROOT / "src").rglob("*") if p.suffix in {".c", ".cpp", ".cu", ".pyx"}]
    assert compiled == []


def test_the_oldest_versions_tested_are_the_lower_bounds() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["log"], *extras["video"]]
    bounds = [re.sub(r"\[.*\]", "", one).lower().split(">=") for one in asked]
    lines = read("constraints-oldest.txt").lower().splitlines()
    tested = [line.split("==") for line in lines if not line.startswith("#")]
    assert sorted(pad(version) for version in tested) == sorted(pad(bound) for bound in bounds)


def pad(pair: list[str]) -> tuple[str, str]:
    """Return name and version with three numbers: 2.4 and 2.4.0 are one version."""
    name, version = pair
    return name, ".".join([*version.split("."), "0", "0"][:3])
