"""What the audit trail promises, on every database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine, delete, insert, select, update

from app.control import AuditRecord, ControlStore, Wanted
from app.control.tables import audit, audit_marks
from tests.control.entries import FIRST, entry

TEXTS = ("e ", " e", "é", "e\u0301", "%", "'", "\\", "😀", "山" * 255, '{"a":"\\u0000"}')


def test_records_are_numbered_and_chained(store: ControlStore, filled: list[AuditRecord]) -> None:
    assert [record.seq for record in filled] == [1, 2, 3, 4, 5]
    assert filled[0].prev_hash == "0" * 64
    assert all(after.prev_hash == before.hash for before, after in pairwise(filled))
    assert list(store.audit.records(Wanted())) == filled
    assert [store.audit.get(n) for n in (1, 5, 6)] == [filled[0], filled[4], None]
    chain = store.audit.verify()
    assert (chain.count, chain.pruned, chain.last, chain.hash, chain.wrong) == (5, 0, 5, filled[4].hash, None)


def test_an_empty_trail_is_whole(store: ControlStore) -> None:
    assert store.audit.append([]) == []
    assert store.audit.verify().wrong is None


@pytest.mark.parametrize("column", [column.name for column in audit.columns])
def test_a_changed_column_is_found(store: ControlStore, filled: list[AuditRecord], engine: Engine, column: str) -> None:
    old = getattr(filled[2], column)
    other: Any = 3_000 if column == "seq" else old + 1 if isinstance(old, int) else f"~{old[1:]}"
    with engine.begin() as connection:
        connection.execute(update(audit).where(audit.c.seq == 3).values({column: other}))
    chain = store.audit.verify()
    # Of a record that was given another number the next one is the first that does not follow.
    assert (chain.count, chain.wrong) == (2, 4 if column == "seq" else 3)


@pytest.mark.parametrize("column", ["resource_id", "name", "name_key", "version"])
def test_a_value_that_was_taken_away_is_found(
    store: ControlStore, filled: list[AuditRecord], engine: Engine, column: str
) -> None:
    with engine.begin() as connection:
        connection.execute(update(audit).where(audit.c.seq == len(filled)).values({column: None}))
    assert store.audit.verify().wrong == 5


def test_a_row_that_was_taken_away_is_found(store: ControlStore, filled: list[AuditRecord], engine: Engine) -> None:
    for seq, wrong in ((5, 5), (3, 4), (1, 2)):
        with engine.begin() as connection:
            connection.execute(delete(audit).where(audit.c.seq == seq))
        assert store.audit.verify().wrong == wrong
    assert filled


def test_a_row_that_was_added_is_found(store: ControlStore, filled: list[AuditRecord], engine: Engine) -> None:
    with engine.begin() as connection:
        row = dict(connection.execute(select(audit).where(audit.c.seq == 5)).one()._mapping)
        connection.execute(insert(audit).values({**row, "seq": 6, "record": "f" * 32}))
    assert store.audit.verify().wrong == 6
    with engine.begin() as connection:
        connection.execute(update(audit).where(audit.c.seq == 6).values(seq=0))
    assert store.audit.verify().wrong == 0


def test_two_rows_that_changed_places_are_found(store: ControlStore, filled: list[AuditRecord], engine: Engine) -> None:
    with engine.begin() as connection:
        for old, new in ((2, 99), (3, 2), (99, 3)):
            connection.execute(update(audit).where(audit.c.seq == old).values(seq=new))
    assert store.audit.verify().wrong == 2


@pytest.mark.parametrize(
    ("name", "column", "value", "wrong"),
    [
        ("head", "seq", 6, 6),
        ("head", "hash", "1" * 64, 6),
        ("anchor", "seq", 1, 1),
        ("anchor", "hash", "1" * 64, 1),
    ],
)
def test_ends_that_were_changed_are_found(
    store: ControlStore, filled: list[AuditRecord], engine: Engine, name: str, column: str, value: Any, wrong: int
) -> None:
    with engine.begin() as connection:
        connection.execute(update(audit_marks).where(audit_marks.c.name == name).values({column: value}))
    assert store.audit.verify().wrong == wrong


@pytest.mark.parametrize(("name", "end", "wrong"), [("head", "ends", 6), ("anchor", "begins", 1)])
def test_an_end_that_was_taken_away_is_found(
    store: ControlStore, filled: list[AuditRecord], engine: Engine, name: str, end: str, wrong: int
) -> None:
    with engine.begin() as connection:
        connection.execute(delete(audit_marks).where(audit_marks.c.name == name))
    chain = store.audit.verify()
    assert (chain.wrong, chain.fault) == (wrong, f"the mark of where the chain {end} is missing or damaged")
    assert chain.count == (len(filled) if name == "head" else 0)


def test_what_is_there_is_not_taken_in_twice(store: ControlStore, filled: list[AuditRecord]) -> None:
    again = store.audit.append([entry(4), entry(6), entry(6), entry(1)])
    assert [(record.seq, record.record) for record in again] == [(6, entry(6).record)]
    assert store.audit.append([entry(2)]) == []
    assert store.audit.verify().count == 6


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_kept_exactly(store: ControlStore, text: str) -> None:
    made = store.audit.append([entry(1, resource_id=text, name=text, actor=text[:100], changes=text)])
    assert store.audit.get(1) == made[0]
    assert store.audit.verify().wrong is None
    assert store.audit.latest(Wanted("User", text), 9) == made


def test_values_may_be_large(store: ControlStore) -> None:
    large = '{"after":"' + "ü\\\"'" * 1_000_000 + '"}'
    store.audit.append([entry(1, changes=large), entry(2)])
    found = store.audit.get(1)
    assert found is not None
    assert found.changes == large
    assert store.audit.verify().wrong is None


def test_pruning_keeps_the_chain(store: ControlStore, filled: list[AuditRecord]) -> None:
    assert store.audit.prune(FIRST) == 0
    assert store.audit.prune(filled[2].at) == 2
    chain = store.audit.verify()
    assert (chain.count, chain.pruned, chain.last, chain.wrong) == (3, 2, 5, None)
    assert store.audit.append([entry(6)])[0].prev_hash == filled[4].hash
    assert store.audit.prune(filled[2].at) == 0
    assert store.audit.prune(FIRST + 10**12) == 4
    assert store.audit.verify().wrong is None
    assert store.audit.append([entry(7)])[0].seq == 7
    assert store.audit.verify().wrong is None


def test_a_record_behind_a_young_one_is_not_pruned(store: ControlStore) -> None:
    store.audit.append([entry(1), entry(2, at=FIRST + 10**12), entry(3)])
    assert store.audit.prune(FIRST + 10**10) == 1
    assert store.audit.verify().count == 2


def test_many_are_pruned_and_verified(store: ControlStore) -> None:
    store.audit.append([entry(n) for n in range(1, 1203)])
    assert store.audit.verify().count == 1202
    assert [record.seq for record in store.audit.records(Wanted())] == list(range(1, 1203))
    assert store.audit.prune(entry(1202).at) == 1201
    chain = store.audit.verify()
    assert (chain.count, chain.pruned, chain.wrong) == (1, 1201, None)


def test_a_row_that_was_taken_away_behind_what_was_pruned_is_found(
    store: ControlStore, filled: list[AuditRecord], engine: Engine
) -> None:
    store.audit.prune(filled[1].at)
    with engine.begin() as connection:
        connection.execute(delete(audit).where(audit.c.seq == 2))
    assert store.audit.verify().wrong == 3


def test_records_are_found_by_what_is_wanted(store: ControlStore) -> None:
    made = store.audit.append(
        [
            entry(1, resource_id="a", name="Mira"),
            entry(2, resource_id="a", name="MIRA.S", outcome="Duplicate"),
            entry(3, resource_id=None, name="mira", outcome="Unavailable"),
            entry(4, resource_id="a", kind="Group", name="mira", integration_id="other"),
            entry(5, resource_id="b", name="Bo", outcome="unchanged"),
            entry(6, resource_id="a", name=None, outcome="unclear (found after a crash)"),
        ]
    )

    def seqs(count: int = 100, **wanted: Any) -> list[int]:
        found = store.audit.latest(Wanted(**wanted), count)
        assert list(store.audit.records(Wanted(**wanted)))[::-1][:count] == found
        return [record.seq for record in found]

    assert seqs() == [6, 5, 4, 3, 2, 1]
    assert seqs(2) == [6, 5]
    assert seqs(kind="User", resource="a") == [6, 2, 1]
    # By the name that it once had all of its records are found, and those of what never came to be.
    assert seqs(kind="User", resource="mIRA") == [6, 3, 2, 1]
    assert seqs(kind="User", resource="mira.s") == [6, 2, 1]
    assert seqs(kind="Group", resource="Mira") == [4]
    assert seqs(integration_id="other") == [4]
    assert seqs(since=made[4].at) == [6, 5]
    assert seqs(failed=True) == [6, 3, 2]
    assert seqs(kind="User", resource="nobody") == []


def test_a_version_is_known_by_its_record(store: ControlStore, filled: list[AuditRecord]) -> None:
    assert store.audit.with_version("User", "id2", "2") == filled[1]
    assert store.audit.with_version("Group", "id2", "2") is None
    assert store.audit.with_version("User", "id2", "3") is None


def test_the_history_of_some_resources(store: ControlStore) -> None:
    """Of each the oldest first, whatever it was called, and nothing of another kind."""
    ids = [f"id{n}" for n in range(150)]
    entries = [entry(n, resource_id=ids[n % 150], name="ann") for n in range(1200)]
    store.audit.append(
        [*entries, entry(1200, kind="Group", resource_id=ids[0]), entry(1201, resource_id=None, name="id0")]
    )
    found = list(store.audit.history("User", iter([*ids, *ids, "nobody"])))
    assert sorted(r.seq for r in found) == list(range(1, 1201))
    for id in ids:
        mine = [r.seq for r in found if r.resource_id == id]
        assert (len(mine), mine) == (8, sorted(mine))
    assert list(store.audit.history("User", [])) == []


def test_records_change_no_decision(store: ControlStore, filled: list[AuditRecord]) -> None:
    before = store.generation()
    store.audit.append([entry(9)])
    store.audit.prune(filled[3].at)
    assert store.generation() == before


def test_several_processes_write_one_chain(control_url: str, store: ControlStore) -> None:
    program = (
        "import sys; from app.control import ControlStore; from tests.control.entries import entry\n"
        "store, first = ControlStore(sys.argv[1]), int(sys.argv[2])\n"
        "for n in range(first, first + 200, 4): store.audit.append([entry(m) for m in range(n, n + 4)])"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, control_url, str(first)], stderr=subprocess.PIPE, text=True)
        for first in (1, 1001, 2001)
    ]
    assert [process.communicate(timeout=120)[1] for process in processes] == [""] * 3
    records = list(store.audit.records(Wanted()))
    assert [record.seq for record in records] == list(range(1, 601))
    assert store.audit.verify().wrong is None
    for first in (1, 1001, 2001):
        names = {entry(n).record for n in range(first, first + 200)}
        mine = [record.record for record in records if record.record in names]
        assert mine == sorted(names)


def test_writers_that_bring_the_same_bring_it_once(open_store: Callable[[], ControlStore]) -> None:
    stores = [open_store() for _ in range(3)]
    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(lambda store: [store.audit.append([entry(n)]) for n in range(1, 21)], stores))
    assert sorted(record.record for record in stores[0].audit.records(Wanted())) == [
        entry(n).record for n in range(1, 21)
    ]
    assert stores[0].audit.verify().wrong is None
