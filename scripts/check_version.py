"""Fail where the places that state the version disagree: package, changelog, citation.

Command: ``python scripts/check_version.py``; ``make lint`` runs it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = {  # file -> what stands before and after the version; the first match counts
    "src/iouaware/__init__.py": r'^__version__ = "([^"]+)"',
    "CHANGELOG.md": r"^## \[(?!Unreleased\])([^\]]+)\]",  # what comes next has no number yet
    "CITATION.cff": r"^version: (\S+)",
}


def read_versions(root: Path) -> dict[str, str]:
    """Return the version that each file states; "none" where a file states no version."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    versions = {"pyproject.toml": str(project["project"]["version"])}
    for name, pattern in PLACES.items():
        found = re.search(pattern, (root / name).read_text("utf-8"), re.MULTILINE)
        versions[name] = found.group(1) if found else "none"
    return versions


def main() -> int:
    """Print the versions where they differ and return 1; else return 0."""
    versions = read_versions(ROOT)
    if len(set(versions.values())) == 1:
        return 0
    stated = ", ".join(f"{name} {version}" for name, version in versions.items())
    print(f"versions differ: {stated}; expected one", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
