"""What a check finds: the kinds, how grave each is, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from iouaware.data import mending

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Kind:
    """One kind of finding.

    Attributes:
        name: a short name, stable, for scripts.
        severity: ``error`` is wrong for certain, ``warning`` very probably; ``note`` is advice.
        title: what is wrong, in the plural.
        advice: what to do.
    """

    name: str
    severity: Severity
    title: str
    advice: str


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: name of a ``Kind``.
        severity: of the kind.
        split: the part of the data set; empty where it is about all.
        file: the picture, or the file it is about, relative to the data set where it is inside.
        annotation: names file and annotation; empty where it is not about one.
        message: what was found, and what was expected.
        advice: what to do.
        box: x1 y1 x2 y2 px as read, where it is about a box.
        twin: split and file of the other picture, where it is about two.
    """

    kind: str
    severity: Severity
    split: str
    file: str
    annotation: str
    message: str
    advice: str
    box: tuple[float, float, float, float] | None = None
    twin: tuple[str, str] | None = None

    def result(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def _table(*kinds: tuple[str, Severity, str, str]) -> dict[str, Kind]:
    return {kind[0]: Kind(*kind) for kind in kinds}


_CORRECT_BOX = "correct the box, or take it out"
KINDS = _table(
    # files and pictures
    ("unreadable-file", "error", "files that cannot be read", "correct or replace the file"),
    ("missing-split", "error", "parts that are not there", "correct the path"),
    ("no-training", "error", "data without a part to learn from", "add a training part"),
    ("no-pictures", "error", "parts without pictures", "put pictures there, or take the part out"),
    ("too-few-pictures", "error", "data too few to be split", "add pictures, or a validation part"),
    ("missing-picture", "error", "pictures that are not there", "put the picture there, or take "
     "its annotations out"),
    ("unreadable-picture", "error", "pictures that cannot be read", "replace the picture or take "
     "it out"),
    ("other-size", "error", "pictures of another size than annotated", "put the annotated version "
     "of the picture there, or scale its boxes"),
    ("drawn-before-turn", "error", "boxes drawn before the EXIF turn of their picture", "turn the "
     "boxes, or take the orientation out of the picture"),
    ("turned-picture", "warning", "pictures with an EXIF turn that nothing shows the boxes follow",
     "look at the picture with --sheet: boxes must fit it as shown, after its turn"),
    ("turn-followed", "note", "pictures with an EXIF turn, their boxes drawn after it",
     "nothing, where every other program that reads them turns them too"),
    ("double-image-id", "error", "image ids used twice", "give each image an id of its own"),
    ("double-annotation", "error", "pictures and annotation files that are not one to one", "take "
     "one out"),
    ("contradicting-copy", "error", "pictures that are there twice with other boxes", "join the "
     "boxes in one of them and take the other out: the objects of one are background in the other"),
    ("leak", "error", "pictures in two parts of the data", "take one of them out, or the figures "
     "will be too good"),
    ("near-leak", "warning", "nearly equal pictures in two parts of the data", "keep both in the "
     "same part, or the figures will be too good"),
    ("dark-picture", "warning", "pictures with boxes that are all but black", "replace them; where "
     "a camera puts 10 or 12 bits into a 16-bit file, scale its values to 0..65535"),
    ("duplicate-picture", "warning", "pictures that are there twice", "take one of them out"),
    ("near-duplicate-picture", "note", "nearly equal pictures in one part", "nothing, or fewer of "
     "them: they add little"),
    ("alike", "note", "pictures that all look alike", "keep pictures of one session in one part"),
    ("many-empty", "warning", "parts with many empty pictures", "see that no label files are "
     "missing"),
    ("not-decoded", "note", "pictures looked at by their headers alone", "see all with --decode "
     "all"),
    ("not-compared", "note", "pictures not compared with others", "compare all with --decode all"),
    # boxes
    ("unreadable-box", "error", "annotations that cannot be read", _CORRECT_BOX),
    (mending.NOT_FINITE, "error", "boxes that are no numbers", _CORRECT_BOX),
    (mending.WRONG_FORM, "error", "boxes written in another form", "convert the boxes; --fix does"),
    (mending.UNKNOWN_FORM, "error", "boxes that fit their pictures in no known form", "scale or "
     "convert the boxes; until then --fix writes nothing"),
    ("odd-form", "error", "single boxes written in another form", "convert the box, or draw it "
     "anew"),
    ("no-area", "error", "boxes without area", "draw the box anew, or take it out"),
    ("outside", "error", "boxes outside their picture", _CORRECT_BOX),
    ("stuck-out", "warning", "boxes that stick out of their picture", "clip the box to the "
     "picture; reading does, and --fix"),
    ("duplicate-box", "error", "boxes that are there twice", "take one of them out"),
    ("double-box", "warning", "objects that look marked twice", "take the worse box out"),
    ("two-classes", "warning", "equal boxes of two classes", "keep the right one"),
    ("sliver", "note", "boxes thinner than 2 px", "see that they are no slips of the hand"),
    ("crowded", "note", "pictures with more than 100 boxes", "expect no recall above 100 "
     "detections a picture: cut the picture into tiles, or raise --inference.max_detections"),
    ("uncovered", "note", "classes whose objects meet no anchor", "train at the size named"),
    ("no-area-given", "note", "annotations without an area", "nothing: the box's own is taken"),
    ("no-crowd-given", "note", "annotations without iscrowd", "nothing: 0 is taken"),
    ("rotated", "note", "rotated boxes", "nothing: the upright box around each is taken"),
    ("from-zero", "note", "boxes that begin at 0 where VOC counts from 1", "nothing: they begin "
     "at 1"),
    ("polygon", "note", "polygons", "nothing: the box around each is taken"),
    # classes
    ("unknown-class", "error", "annotations of a class that is not named", "name the class, or "
     "correct the annotation"),
    ("unknown-picture", "error", "annotations of a picture that is not listed", "list the picture, "
     "or take the annotation out"),
    ("not-in-training", "error", "classes that training does not name", "correct the name, or add "
     "the class to training"),
    ("untrained-class", "warning", "classes without objects in training", "move some of their "
     "pictures to training"),
    ("absent-class", "warning", "classes absent from a part", "move some of their pictures there: "
     "without, there are no figures for the class"),
    ("similar-classes", "warning", "class names that are nearly equal", "give both one name, if "
     "they are one class"),
    ("unused-class", "note", "classes without any object", "nothing, or take the name out"),
    ("rare-class", "note", "classes with few objects in training", "label more of them"),
    ("other-ids", "note", "parts that number the classes in another way", "nothing: classes are "
     "matched by name"),
    # a model
    ("unknown-to-model", "error", "classes that the model does not know", "train on this data, or "
     "rename the class"),
    ("not-in-data", "note", "classes of the model that the data do not have", "nothing"),
    ("model-size", "warning", "picture sizes too small for these objects", "train at the size "
     "named"),
)  # fmt: skip

# repairs are counted by phrases; these are their kinds
KIND_OF_REPAIR = {
    mending.NO_AREA: "no-area",
    mending.OUTSIDE: "outside",
    mending.STUCK_OUT: "stuck-out",
    mending.NO_AREA_GIVEN: "no-area-given",
    mending.NO_CROWD_GIVEN: "no-crowd-given",
    mending.ROTATED: "rotated",
    mending.FROM_ZERO: "from-zero",
    mending.POLYGON: "polygon",
}


def find(
    kind: str,
    message: str,
    *,
    split: str = "",
    file: str = "",
    annotation: str = "",
    box: tuple[float, float, float, float] | None = None,
    advice: str = "",
    twin: tuple[str, str] | None = None,
) -> Finding:
    """Make a finding of a kind; its severity and advice are the kind's unless given."""
    known = KINDS[kind]
    return Finding(
        kind, known.severity, split, file, annotation, message, advice or known.advice, box, twin
    )


@dataclass(frozen=True)
class CheckReport:
    """What a check found, and what the data are like.

    Attributes:
        data: what was checked.
        findings: gravest first.
        facts: counts, sizes, cover by anchors, memory: plain values.
        lines: what was read and how.
    """

    data: str
    findings: tuple[Finding, ...]
    facts: dict[str, Any]
    lines: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong: no errors and no warnings; notes are advice."""
        return not any(finding.severity != "note" for finding in self.findings)

    def count(self) -> dict[str, int]:
        """Count the findings of each severity."""
        counts = Counter(finding.severity for finding in self.findings)
        return {severity: counts[severity] for severity in SEVERITIES}

    def of_kind(self, kind: str) -> list[Finding]:
        """Return the findings of a kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    def result(self, listed: int = 1000) -> dict[str, Any]:
        """Return plain values for JSON.

        Args:
            listed: findings of each kind that are listed at most; ``kinds`` counts all.
        """
        shown: Counter[str] = Counter()
        rows = []
        for finding in self.findings:
            shown[finding.kind] += 1
            if shown[finding.kind] <= listed:
                rows.append(finding.result())
        return {
            "data": self.data,
            "ok": self.ok,
            "counts": self.count(),
            "kinds": dict(shown),
            "findings": rows,
            "facts": self.facts,
        }


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort by severity, then by the order of the kinds; the order within a kind stays."""
    order = {name: position for position, name in enumerate(KINDS)}
    return tuple(sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), order[f.kind])))
