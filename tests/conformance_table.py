"""The table of requirements and of the tests that show them, `docs/conformance.md`.

`python -m tests.conformance_table` collects the `req` marks of all tests and writes the table; with `--check` it writes
nothing. It fails when a requirement in scope has neither a test nor a reason, when a mark names an unknown requirement,
when a reason is given for what a test shows, and, with `--check`, when the table on disk is not that of the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_REQUIREMENTS = Path(__file__).with_name("requirements.tsv")
_TABLE = _ROOT / "docs" / "conformance.md"

PARTS = frozenset((*range(1, 12), 13, *range(15, 19), 20, 21, 23))
"""The parts of the list that this service answers for. Bulk (12), /Me (14), several tenants (19), cursors (22) and
events (24) are not offered; directories (25) and concepts (26) are not protocol."""

NOT_APPLICABLE: Mapping[str, str] = {
    "P-3.12-23": "Index paging only: `pagination` of RFC 9865 is not announced, so no request has a cursor.",
    "I-2-01": "No introspection endpoint is called: tokens are the service's own, verified with its own keys.",
    "I-2.1-01": "No introspection endpoint is offered: the only resource server of these tokens is the service itself.",
    "I-2.2-01": "No introspection endpoint is called, so no answer of one is read.",
}
"""Requirements in scope that nothing in this service can meet or break, each with the reason."""

_HEAD = """# Conformance

Made by `python -m tests.conformance_table`; do not edit. Each requirement of the RFCs that the service answers for,
and the tests that show it. The letter of an id is the document (S RFC 7643, P RFC 7644, H RFC 9110, B RFC 6750, G RFC
6749, M RFC 8414, N RFC 9728, R RFC 7009, I RFC 7662, J RFC 8725 and 9068), what follows its section and a number. MUST
stands in the document; MUST* follows from a definition, a table, an example or a verified erratum.
"""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A row of `requirements.tsv`; `part` begins with its number."""

    id: str
    level: str
    part: str
    text: str

    @property
    def in_scope(self) -> bool:
        """Whether a test or a reason is demanded."""
        return self.level.startswith("MUST") and int(self.part.partition(" ")[0]) in PARTS


def requirements() -> list[Requirement]:
    """All known requirements in the order of the list."""
    with _REQUIREMENTS.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [Requirement(row["id"], row["level"], row["part"], row["requirement"]) for row in rows]


class _Collector:
    """A pytest plugin that keeps which tests carry which marks."""

    def __init__(self) -> None:
        self.marks: dict[str, dict[str, None]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            name = item.nodeid.partition("[")[0]
            for mark in item.iter_markers("req"):
                for id in mark.args:
                    self.marks.setdefault(str(id), {})[name] = None


def collected() -> dict[str, list[str]]:
    """Requirement id -> the tests marked with it, sorted. Raises SystemExit when the tests can't be collected."""
    os.environ["BACKENDS"] = "sqlite"
    collector = _Collector()
    output = io.StringIO()
    arguments = ["--collect-only", "--quiet", "--quiet", "-p", "no:cacheprovider", str(_ROOT / "tests")]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = pytest.main([*arguments, f"--rootdir={_ROOT}"], plugins=[collector])
    if status != pytest.ExitCode.OK:
        raise SystemExit(f"the tests can't be collected:\n{output.getvalue()}")
    return {id: sorted(tests) for id, tests in collector.marks.items()}


def faults(known: Sequence[Requirement], shown: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What is wrong with the marks, a line each."""
    ids = {requirement.id for requirement in known}
    for id in sorted(shown.keys() - ids):
        yield f"{id}: no such requirement, but marked on {', '.join(shown[id])}"
    for id in sorted(NOT_APPLICABLE.keys() - ids):
        yield f"{id}: no such requirement, but has a reason in NOT_APPLICABLE"
    for id in sorted(NOT_APPLICABLE.keys() & shown.keys()):
        yield f"{id}: shown by a test, so it needs no reason in NOT_APPLICABLE"
    for requirement in known:
        if requirement.in_scope and requirement.id not in shown and requirement.id not in NOT_APPLICABLE:
            yield f"{requirement.id}: no test shows it ({requirement.text})"


def table(known: Sequence[Requirement], shown: Mapping[str, Sequence[str]]) -> str:
    """The whole page."""
    lines = [_HEAD]
    part = ""
    for requirement in known:
        if not requirement.in_scope:
            continue
        if requirement.part != part:
            part = requirement.part
            lines += [f"\n## {part}\n", "| id | level | requirement | shown by |", "|---|---|---|---|"]
        proof = "<br>".join(_link(test) for test in shown.get(requirement.id, ()))
        proof = proof or NOT_APPLICABLE.get(requirement.id, "")
        cells = (requirement.id, requirement.level, requirement.text)
        escaped = (cell.replace("|", "\\|").replace("*", "\\*") for cell in cells)
        lines.append(f"| {' | '.join(escaped)} | {proof} |")
    return "\n".join(lines) + "\n"


def _link(test: str) -> str:
    file, _, name = test.partition("::")
    return f"[{file.removeprefix('tests/')}](../{file}) `{name}`"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, or check it; 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the table is not up to date")
    check = parser.parse_args(arguments).check
    known, shown = requirements(), collected()
    found = list(faults(known, shown))
    made = table(known, shown)
    if not check:
        _TABLE.write_text(made, encoding="utf-8")
    elif not _TABLE.exists() or _TABLE.read_text(encoding="utf-8") != made:
        found.append(f"{_TABLE.relative_to(_ROOT)} is not up to date: run python -m tests.conformance_table")
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
