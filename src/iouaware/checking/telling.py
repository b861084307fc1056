"""A check's findings as lines for a reader."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from iouaware.checking.findings import KINDS, CheckReport, Finding

EXAMPLES = 5


def report_lines(report: CheckReport) -> list[str]:
    """Return what ``check`` prints: kinds of findings with a few of each, facts, the sum."""
    lines = list(report.lines)
    for kind, group in groupby(report.findings, key=lambda finding: finding.kind):
        lines += _kind_lines(kind, list(group))
    lines += _fact_lines(report)
    counts = ", ".join(
        f"{count:,} {severity}{'' if count == 1 else 's'}"
        for severity, count in report.count().items()
    )
    verdict = "nothing is wrong" if report.ok else "something is wrong"
    return [*lines, f"{verdict}: {counts}"]


def _kind_lines(kind: str, findings: list[Finding]) -> Iterator[str]:
    known = KINDS[kind]
    yield f"{known.severity}: {known.title}: {len(findings):,} ({kind})"
    for finding in findings[:EXAMPLES]:
        place = finding.annotation or finding.file
        where = f"{finding.split}: " if finding.split else ""
        about = f" ({finding.file})" if finding.annotation and finding.file not in place else ""
        yield f"  {where}{place}{about}{': ' if place else ''}{finding.message}"
    if len(findings) > EXAMPLES:
        yield f"  and {len(findings) - EXAMPLES:,} more, listed with --json"
    advice = dict.fromkeys(finding.advice for finding in findings)
    yield f"  to do: {' / '.join(list(advice)[:3])}"


def _fact_lines(report: CheckReport) -> Iterator[str]:
    cover = report.facts["anchors"]
    if cover:
        parts = ", ".join(
            f"{name} px {share:.1%}"
            for name, share in cover["by_object_px"].items()
            if share is not None
        )
        size = cover["image_size"]
        text = f"{size} px" if isinstance(size, int) else "{} x {} px".format(*size)
        yield f"at {text} {cover['share']:.1%} of the boxes meet an anchor (by size: {parts})"
    numbers = {name: count for name, count in report.facts["classes"].items() if count}
    if len(numbers) > 1:
        most, least = max(numbers, key=numbers.__getitem__), min(numbers, key=numbers.__getitem__)
        ratio = numbers[most] / numbers[least]
        yield (
            f"classes: from {numbers[least]:,} boxes ({least}) to {numbers[most]:,} ({most}) in "
            f"training, 1 to {ratio:.3g}"
        )
    memory = report.facts["memory"]
    if memory:
        parts = ", ".join(
            f"{recipe} {step['bytes'] / 1e9:.1f} GB at {step['batch_size']} pictures"
            for recipe, step in memory["recipes"].items()
        )
        yield f"memory of a training step in float32: {parts}"
