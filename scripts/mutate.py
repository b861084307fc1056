"""Run the tests against every mutant that mutmut made of the package's core.

Command: ``make mutate``: mutmut writes the mutants and which tests reach which function, then this.
``python scripts/mutate.py [MODULE ...] [--every N]`` narrows it, to ``boxes evaluation.matches`` or
to one mutant of N. Appends a line a mutant to ``mutants/results.jsonl``, prints survivors and a
table. The same command goes on where it was stopped: mutants of changed functions and those that
survived are tried again.

mutmut's own runner collects the tests anew for every mutant, which takes seconds where torch is
loaded. Here one process collects them once and then forks a child for each mutant, which runs the
tests that reach it, the quickest first, until one fails.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

MUTANTS = Path(__file__).resolve().parents[1] / "mutants"
RESULTS = MUTANTS / "results.jsonl"
SECONDS, TIMES = 10, 10  # of processor time: this, and this often what the tests take otherwise
ACTIVE = "MUTANT_UNDER_TEST"
CAUGHT = ("killed", "out of time")


def main() -> int:
    """Work off the mutants of some modules, or of all; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--every", type=int, default=1, metavar="N")
    args = parser.parse_args()
    os.environ[ACTIVE] = ""
    os.chdir(MUTANTS)
    sys.path.insert(0, str(MUTANTS / "src"))
    names = [n for n in read_names() if not args.modules or module_of(n) in args.modules]
    names = names[:: args.every]
    hashes = read_stats()["function_hashes"]
    known = read_results(hashes)
    left = [name for name in names if known.get(name) not in CAUGHT]
    if left:
        words = ["-q", "-s", "-p", "no:cacheprovider", *read_selection()]
        code = pytest.main(words, plugins=[MutantRunner(left)])
        if code:
            return int(code)
    tell(names, read_results(hashes))
    return 0


def read_selection() -> list[str]:
    """Return the tests that mutmut was told of."""
    project = tomllib.loads((MUTANTS / "pyproject.toml").read_text("utf-8"))
    return list(project["tool"]["mutmut"]["pytest_add_cli_args_test_selection"])


def read_names() -> list[str]:
    """Return all mutants, module by module."""
    names: list[str] = []
    for path in sorted((MUTANTS / "src").rglob("*.meta")):
        names.extend(json.loads(path.read_text("utf-8"))["exit_code_by_key"])
    return names


def read_stats() -> dict[str, dict[str, Any]]:
    """Return what mutmut knows: which tests reach a function, their seconds, and its hash."""
    stats: dict[str, dict[str, Any]] = json.loads(
        (MUTANTS / "mutmut-stats.json").read_text("utf-8")
    )
    return stats


def read_results(hashes: Mapping[str, str]) -> dict[str, str]:
    """Return the outcome of each mutant whose function has not changed since."""
    lines = RESULTS.read_text("utf-8").splitlines() if RESULTS.is_file() else []
    found = [json.loads(line) for line in lines if line.endswith("}")]  # the last may be cut off
    return {
        line["mutant"]: line["outcome"]
        for line in found
        if line["function"] == hashes.get(function_of(line["mutant"]))
    }


def function_of(mutant: str) -> str:
    """Return the function of a mutant, as mutmut calls it."""
    return mutant.rpartition("__mutmut_")[0]


def module_of(mutant: str) -> str:
    """Return the module of a mutant, without the package's name."""
    return mutant.removeprefix("iouaware.").rpartition(".")[0]


def tell(names: Sequence[str], known: Mapping[str, str]) -> None:
    """Print survivors and a table of these mutants."""
    table: dict[str, Counter[str]] = {}
    for name in names:
        outcome = known.get(name, "left")
        table.setdefault(module_of(name), Counter())[outcome] += 1
        if outcome in ("survived", "untested"):
            print(f"{outcome}: {name}")
    for module, row in table.items():
        share = 100 * sum(row[outcome] for outcome in CAUGHT) / row.total()
        print(f"{module}: {share:.1f} % of {row.total()} killed {dict(row)}")


class MutantRunner:
    """A pytest plugin that runs all tests once, then the mutants, each in a child process."""

    def __init__(self, mutants: Sequence[str]) -> None:
        """Keep what is to be done."""
        self.mutants = mutants

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run everything without a mutant, then the mutants.

        This process runs no test: threads that one starts would be missing in its children.
        """
        items = {item.nodeid: item for item in session.items}
        stats = read_stats()
        durations: dict[str, float] = stats["duration_by_test"]
        quickest = sorted(items, key=lambda test: durations.get(test, 0.0))
        if run_in_child("", [items[test] for test in quickest], 10 * SECONDS * TIMES):
            raise pytest.UsageError("tests fail without a mutant, the quickest first")
        with RESULTS.open("a", encoding="utf-8") as file:
            for number, mutant in enumerate(self.mutants, start=1):
                function = function_of(mutant)
                reaching = set(stats["tests_by_mangled_function_name"].get(function, ()))
                tests = [test for test in quickest if test in reaching]
                limit = int(SECONDS + TIMES * sum(durations.get(test, 0.0) for test in tests))
                outcome = run_mutant(mutant, [items[test] for test in tests], limit)
                line = {"function": stats["function_hashes"].get(function)}
                file.write(json.dumps({**line, "mutant": mutant, "outcome": outcome}) + "\n")
                file.flush()
                print(f"{number}/{len(self.mutants)} {mutant} {outcome}", flush=True)
        return True


def run_mutant(mutant: str, tests: Sequence[pytest.Item], seconds: int) -> str:
    """Return ``killed``, ``survived``, ``out of time`` or ``untested``."""
    if not tests:
        return "untested"
    status = run_in_child(mutant, tests, seconds)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return "out of time"
    return "killed" if status else "survived"  # by another signal: it brought the process down


def run_in_child(mutant: str, tests: Sequence[pytest.Item], seconds: int) -> int:
    """Run tests in a child until one fails; return how it ended, as ``os.waitpid`` does."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        os.environ[ACTIVE] = mutant
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        code = int(any(fails(*pair) for pair in zip(tests, (*tests[1:], tests[-1]), strict=True)))
    finally:
        os._exit(code)


def fails(test: pytest.Item, following: pytest.Item) -> bool:
    """Run a test; fixtures that it shares with the following one stay alive."""
    reports = runtestprotocol(test, nextitem=following, log=False)
    return any(report.failed for report in reports)


if __name__ == "__main__":
    sys.exit(main())
