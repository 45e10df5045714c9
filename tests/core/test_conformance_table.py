"""The check behind `docs/conformance.md` finds what it is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from tests.conformance_table import NOT_APPLICABLE, Requirement, faults, requirements, table

KNOWN = requirements()
SHOWN: Mapping[str, Sequence[str]] = {
    r.id: ["tests/api/test_x.py::test_y"] for r in KNOWN if r.in_scope and r.id not in NOT_APPLICABLE
}


def test_the_list_is_whole() -> None:
    assert len(KNOWN) == len({r.id for r in KNOWN}) == 528
    assert sum(r.level == "MUST" for r in KNOWN) == 240
    assert sum(r.level == "MUST*" for r in KNOWN) == 167
    assert sum(r.in_scope for r in KNOWN) == 340


def test_nothing_is_wrong_where_all_is_shown() -> None:
    assert list(faults(KNOWN, SHOWN)) == []


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ({id: tests for id, tests in SHOWN.items() if id != "P-3.6-01"}, "P-3.6-01: no test shows it"),
        ({**SHOWN, "P-9.9-99": ["tests/core/test_z.py::test_z"]}, "P-9.9-99: no such requirement, but marked on"),
        ({**SHOWN, next(iter(NOT_APPLICABLE)): ["tests/a.py::test_a"]}, "so it needs no reason"),
    ],
)
def test_each_fault_is_told(shown: Mapping[str, Sequence[str]], told: str) -> None:
    [fault] = faults(KNOWN, shown)
    assert told in fault


def test_the_table_has_a_row_for_each_requirement_in_scope() -> None:
    page = table(KNOWN, SHOWN)
    assert page.count("\n| ") == 340 + page.count("\n| id |")
    assert (
        "| P-3.6-01 | MUST | Success is 204 without body. | [api/test_x.py](../tests/api/test_x.py) `test_y` |" in page
    )
    for reason in NOT_APPLICABLE.values():
        assert reason in page


def test_a_reason_for_an_unknown_requirement_is_a_fault() -> None:
    known = [r for r in KNOWN if r.id != next(iter(NOT_APPLICABLE))]
    assert ["no such requirement" in fault for fault in faults(known, SHOWN)] == [True]
    assert not Requirement("X", "SHOULD", "7 Create", "x").in_scope
    assert not Requirement("X", "MUST", "12 Bulk", "x").in_scope
