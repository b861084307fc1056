"""What is wrong with the classes: names, and how many objects of each are in which part."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations

from iouaware.checking.findings import Finding, find
from iouaware.data.classes import suggest_names
from iouaware.data.examining import ExaminedSet, whole_key

_FEW = 10
_MANY_EMPTY = 0.3
_SHORT = 5  # shorter names differ by one letter by nature: cat, car, cap
_RARE_SHARE = 0.2  # a slip of the hand is rarer than what was meant
_PLURAL = re.compile(r"(?<![^\W_])([^\W_]{3,})s(?![^\W_])")
# between letters, or a letter and a digit
_PARTING = re.compile(r"(?<=[^\W_])[\s._-]+(?=[^\W\d_])|(?<=[^\W\d_])[\s._-]+(?=[^\W_])")


def count_classes(examined: ExaminedSet) -> dict[str, Counter[str]]:
    """Return for each split how many objects each named class has; ignored boxes do not count."""
    counts = {}
    for split, part in examined.parts.items():
        names, numbers = part.dataset.class_names, part.dataset.class_counts().tolist()
        counts[split] = Counter(dict(zip(names, numbers, strict=True)))
    return counts


def find_class_problems(examined: ExaminedSet) -> list[Finding]:
    """Return findings about names, absent and rare classes, and empty pictures."""
    counts = count_classes(examined)
    total = sum(counts.values(), Counter[str]())
    names = list(dict.fromkeys(name for split in counts.values() for name in split))
    found = [*_find_similar(names, total), *_find_other_ids(examined), *_find_many_empty(examined)]
    training = whole_key(examined)
    for name in names:
        if not total[name]:
            found.append(find("unused-class", f"{name!r} is named, but no box has it"))
    if training is not None:
        found += _compare_with_training(counts, training)
    return found


def find_part_problems(examined: ExaminedSet) -> list[Finding]:
    """Return findings about parts that training would refuse whatever is in them."""
    found = []
    if whole_key(examined) is None and not examined.layout.problems:
        found.append(find("no-training", f"found only {', '.join(examined.parts)}"))
    for split, part in examined.parts.items():
        if not len(part.dataset) and not part.examination.problems and split != "test":
            found.append(find("no-pictures", f"{split} has no pictures", split=split))
    return found


def _compare_with_training(counts: dict[str, Counter[str]], training: str) -> Iterator[Finding]:
    learnt = counts[training]
    for split, there in counts.items():
        for name in (name for name, count in there.items() if count and not learnt[name]):
            if name not in learnt:
                message = (
                    f"{there[name]:,} boxes of {name!r}, which {training} does not name"
                    f"{suggest_names(name, learnt)}"
                )
                yield find("not-in-training", message, split=split)
            else:
                message = f"{there[name]:,} boxes of {name!r}, of which {training} has none"
                yield find("untrained-class", message, split=split)
        for name, count in learnt.items():
            if count and not there[name]:
                message = f"no box of {name!r}, of which {training} has {count:,}"
                yield find("absent-class", message, split=split)
    for name, count in learnt.items():
        if 0 < count < _FEW:
            yield find("rare-class", f"{count} boxes of {name!r}", split=training)


def _find_similar(names: list[str], total: Counter[str]) -> Iterator[Finding]:
    alike = _pairs(names, lambda name: {_plain(name)})
    near = {pair for pair in _pairs(names, _one_letter_less) if _is_slip(*pair, total)}
    place = {name: position for position, name in enumerate(names)}
    for pair in sorted(alike | near, key=lambda pair: (place[pair[0]], place[pair[1]])):
        rarer, other = sorted(pair, key=total.__getitem__)
        message = f"{rarer!r} ({total[rarer]:,} boxes) and {other!r} ({total[other]:,} boxes)"
        yield find("similar-classes", message)


def _pairs(names: list[str], keys: Callable[[str], set[str]]) -> set[tuple[str, str]]:
    """Return the pairs of names that share a key, in their order: not all have to be compared."""
    sharing: dict[str, list[str]] = defaultdict(list)
    for name in names:
        for key in keys(name):
            sharing[key].append(name)
    return {pair for group in sharing.values() for pair in combinations(group, 2)}


def _plain(name: str) -> str:
    """Return a name without case, a plural's s, and what parts its words.

    A sign apart from words, or between digits, has a meaning: C++ is not C, nor 1.0 10.
    """
    return _PARTING.sub("", _PLURAL.sub(r"\1", name.casefold()))


def _one_letter_less(name: str) -> set[str]:
    """Return what is left of a name without one of its letters; names a slip apart share one."""
    folded = name.casefold()
    if len(folded) < _SHORT - 1:
        return set()
    return {folded, *(folded[:place] + folded[place + 1 :] for place in range(len(folded)))}


def _is_slip(first: str, second: str, total: Counter[str]) -> bool:
    """Tell a name that is rare, and a letter off: left out, added, changed or two exchanged.

    Digits make other names.
    """
    rarer, other = sorted((total[first], total[second]))
    if not other or rarer > _RARE_SHARE * other:
        return False
    a, b = sorted((first.casefold(), second.casefold()), key=len)
    if len(b) < _SHORT or len(b) - len(a) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    if any(letter.isdigit() for letter in a[start : start + 1] + b[start : start + 1]):
        return False
    exchanged = a[start : start + 2] == b[start : start + 2][::-1]
    return (
        a[start + 1 :] == b[start + 1 :]
        or a[start:] == b[start + 1 :]
        or (exchanged and a[start + 2 :] == b[start + 2 :])
    )


def _find_other_ids(examined: ExaminedSet) -> Iterator[Finding]:
    training = whole_key(examined)
    if training is None or examined.format != "coco":
        return
    first = examined.parts[training].dataset
    ids = dict(zip(first.class_names, first.category_ids, strict=True))
    for split, part in examined.parts.items():
        own = zip(part.dataset.class_names, part.dataset.category_ids, strict=True)
        name = next((name for name, id_ in own if ids.get(name, id_) != id_), None)
        if name is not None:
            message = f"{name!r} has another id than in {training}"
            yield find("other-ids", message, split=split)


def _find_many_empty(examined: ExaminedSet) -> Iterator[Finding]:
    for split, part in examined.parts.items():
        empty = part.dataset.empty_images()
        if len(empty) > _MANY_EMPTY * len(part.dataset):
            message = f"{len(empty):,} of {len(part.dataset):,} pictures have no box"
            file = part.dataset.file_name(int(empty[0]))
            yield find("many-empty", message, split=split, file=file)
