"""Pictures that are there more than once: which of them a corrected data set leaves out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iouaware.checking.findings import Finding
from iouaware.data.dataset import Dataset
from iouaware.data.examining import PART_ORDER, ExaminedSet
from iouaware.structures import BoolArray

Place = tuple[str, str]  # split and file of a picture
COPY_KINDS = ("leak", "duplicate-picture", "contradicting-copy")
_MOST_LOST = 0.5


@dataclass(frozen=True)
class Copies:
    """What becomes of pictures that are there more than once.

    Attributes:
        given_up: those to leave out.
        in_two_parts: those that stay, and have a copy that stays in another part.
    """

    given_up: set[Place]
    in_two_parts: set[Place]

    def settles(self, finding: Finding) -> bool:
        """Tell whether a finding about copies holds no longer."""
        own = (finding.split, finding.file)
        if finding.kind == "leak":
            return own not in self.in_two_parts
        return own in self.given_up or (finding.kind == "duplicate-picture" and _is_entry(finding))


def choose_copies(examined: ExaminedSet, findings: Sequence[Finding]) -> Copies:
    """Choose the pictures to leave out, so that each is in one part and there once.

    A picture in several parts stays in the last of them. Where a part would lose more than half
    of its pictures, the split itself is wrong, and the part is left as it is. Copies in one part
    whose boxes contradict each other stay: which is right is for the user to say.
    """
    groups = _group_places(findings)
    given_up = {
        (f.split, f.file) for f in findings if f.kind == "duplicate-picture" and not _is_entry(f)
    }
    for group in groups:
        last = max((split for split, _ in group), key=PART_ORDER.index)
        given_up |= {place for place in group if place[0] != last}
    lost = Counter(split for split, _ in given_up)
    given_up = {
        (split, file)
        for split, file in given_up
        if lost[split] <= _MOST_LOST * len(examined.parts[split].dataset)
    }
    staying = [group - given_up for group in groups]
    in_two_parts = {
        place for group in staying if len({split for split, _ in group}) > 1 for place in group
    }
    return Copies(given_up, in_two_parts)


def entered_again(dataset: Dataset, split: str, findings: Sequence[Finding]) -> BoolArray:
    """Return a mask [I] of entries that repeat an earlier one, picture and boxes."""
    twice = {
        f.file
        for f in findings
        if f.kind == "duplicate-picture" and f.split == split and _is_entry(f)
    }
    again = np.zeros(len(dataset), np.bool_)
    seen: set[tuple[str, bytes, bytes]] = set()
    for index in range(len(dataset)):
        name = dataset.file_name(index)
        if name in twice:
            target = dataset.target(index)
            entry = (name, target.boxes.tobytes(), target.labels.tobytes())
            again[index] = entry in seen
            seen.add(entry)
    return again


def _group_places(findings: Sequence[Finding]) -> list[set[Place]]:
    """Return the places of each picture that is there more than once.

    Every copy but the first has a finding, and its twin stands before it: twins lead to the first.
    """
    twin_of: dict[Place, Place] = {}
    for finding in findings:
        if finding.kind in COPY_KINDS and finding.twin is not None and not _is_entry(finding):
            twin_of.setdefault((finding.split, finding.file), finding.twin)
    groups: dict[Place, set[Place]] = defaultdict(set)
    for place in twin_of:
        first = place
        while first in twin_of:
            first = twin_of[first]
        groups[first] |= {first, place}
    return list(groups.values())


def _is_entry(finding: Finding) -> bool:
    """Tell whether a picture that is there twice is one file with two entries."""
    return finding.twin == (finding.split, finding.file)
