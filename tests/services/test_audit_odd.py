"""What no write should ever tell has a record all the same: no line of a spool keeps another one from the trail."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from app.control import AuditRecord, ControlStore, ControlUnavailable, Wanted
from app.control import audit as audit_module
from app.control.audit_models import FOUND_NOT_DONE, FOUND_UNCLEAR, read
from app.control.tables import audit
from app.scim.query import Delta
from app.scim.registry import Registry, load
from app.services.audit import AuditJournal, Recovery, Spools, lines
from app.services.audit.spool import Spool
from app.services.journal import Actor, Write, recorded
from app.services.undo.history import parsed
from backends.errors import RejectedValue, StoreError, TooManyCandidates, Unavailable
from tests.support.controls import new_control
from tests.support.reference import ReferenceBackend

ACTOR = Actor("11111111-1111-1111-1111-111111111111", "entra")
ODD: tuple[Any, ...] = (
    5,
    True,
    1.5,
    [7],
    ["\0", {"a": None}],
    {"a": [7]},
    {},
    "",
    "x" * 70_000,
    2**62,
    2**63,
    -1,
    None,
)
FIELDS = tuple(orjson.loads(lines.intent(Write(ACTOR, "create", "User"), 1))["w"])
STRANGE = (b"5", b"null", b"[1]", b'"w"', b"{}", b'{"r":5}', b'{"r":"short"}', b'{"r":"%032x","w":[]}' % 9)
PATIENCE_SECONDS = 30


@pytest.fixture
def registry() -> Registry:
    return load()


@pytest.fixture
def backend(registry: Registry) -> ReferenceBackend:
    return ReferenceBackend(registry)


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlStore]:
    store = ControlStore(new_control(tmp_path / "control.db"))
    yield store
    store.close()


@pytest.fixture
def spools(tmp_path: Path) -> Spools:
    return Spools(tmp_path / "audit")


@pytest.fixture
def recovery(control: ControlStore, spools: Spools, backend: ReferenceBackend, registry: Registry) -> Recovery:
    return Recovery(control.audit, spools, backend, registry, grace=0)


Carry = Callable[[list[bytes]], list[AuditRecord]]


@pytest.fixture(params=["living", "left"])
def carry(
    request: pytest.FixtureRequest, control: ControlStore, spools: Spools, recovery: Recovery, tmp_path: Path
) -> Carry:
    """The way of lines into the trail: from the spool of a process that lives, or from one that was left. Gives all
    records; no spool is left then."""

    def carry(told: list[bytes]) -> list[AuditRecord]:
        if request.param == "living":
            journal = AuditJournal(control.audit, spools, recovery)
            journal.start()
            assert journal._at_work is not None
            spool, mover = journal._at_work
            for line in told:
                spool.append(line + b"\n")
            mover.wake()
            until(lambda: spool.path.stat().st_size == 0)
            journal.close()
        else:
            leave(tmp_path / "audit", told)
            recovery.run(lambda: None)
        assert list((tmp_path / "audit").glob("spool-*")) == []
        assert control.audit.verify().wrong is None
        return list(control.audit.records(Wanted()))

    return carry


def leave(directory: Path, told: list[bytes]) -> None:
    spool = Spool(directory)
    for line in told:
        spool.append(line + b"\n")
    spool.close()


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def ended(number: int, **fields: Any) -> bytes:
    """The line of a creation of a group that has its outcome, with other fields than those that it would have."""
    return orjson.dumps({"r": f"{number:032x}", "o": "done", "w": {**_fields(number), **fields}})


def begun(number: int, **fields: Any) -> bytes:
    """The line of one that has none."""
    return orjson.dumps({"r": f"{number:032x}", "w": {**_fields(number), **fields}})


def _fields(number: int) -> dict[str, Any]:
    write = Write(ACTOR, "create", "Group", f"id-{number}", ("displayName",), name=f"group{number}")
    write.after = {"displayName": f"group{number}"}
    write.relations = {"members": Delta(("a",), ("b",))}
    fields: dict[str, Any] = orjson.loads(lines.intent(write, 1))["w"]
    return fields


@pytest.mark.parametrize(
    "value", [5, object(), {"deep": 1}, UUID(int=1), {1: 2}], ids=["int", "object", "deep", "uuid", "key"]
)
def test_a_value_of_any_type_has_its_record(
    control: ControlStore, spools: Spools, recovery: Recovery, registry: Registry, value: Any
) -> None:
    """From the request to the trail; what was created is managed, and so is what comes after it."""
    if value == {"deep": 1}:
        for _ in range(300):
            value = [value]
    journal = AuditJournal(control.audit, spools, recovery)
    group = registry.type("Group")
    for name in (value, "after"):
        with recorded(journal, group, Write(ACTOR, "create", "Group")) as recording:
            recording.intend({"displayName": name})
            recording.write.id, recording.write.outcome = f"id-{'after' if name == 'after' else 'odd'}", "done"
    journal.close()
    odd, after = control.audit.records(Wanted())
    assert (odd.resource_id, odd.outcome, after.name) == ("id-odd", "done", "after")
    assert odd.name
    if value == 5:
        assert (odd.name, orjson.loads(odd.changes)["after"]) == ("5", {"displayName": 5})
    assert control.managed.among("Group", ["id-odd", "id-after", "other"]) == {"id-odd", "id-after"}
    assert control.audit.verify().wrong is None


def test_a_spool_with_any_field_of_any_type_drains(carry: Carry, control: ControlStore) -> None:
    cases = list(itertools.product(FIELDS, ODD))
    told = [ended(number, **{name: value}) for number, (name, value) in enumerate(cases)]
    told += [
        orjson.dumps({"r": f"{1000:032x}", "o": "done", "w": {}}),
        orjson.dumps({"r": f"{1001:032x}", "o": {"a": 1}, "w": _fields(1001)}),
        ended(1002, members={"members": {"add": [1], "remove": [], "clear": False}}),
        ended(1003, members={"members": {"add": [], "clear": False}}),
        ended(1004),
    ]
    records = carry(told)
    assert [int(record.record, 16) for record in records] == [*range(len(cases)), *range(1000, 1005)]
    for record, (name, value) in zip(records, cases, strict=False):
        assert (parsed(record).record, record.time.year >= 1970) == (record, True)
        changes = orjson.loads(record.changes)
        if name in ("before", "after", "members") and value and not isinstance(value, dict):
            assert changes["notes"] == [f"the details can't be told: {name!r} is not what it must be"]
            assert changes["omitted"].keys() == {"octets", "sha256"}
        if name == "at":
            assert record.at == (5 if value == 5 else 0)
    assert (records[-1].changes, records[-1].outcome) == (records[0].changes.replace("group0", "group1004"), "done")
    assert control.managed.among("Group", ["id-1004"]) == {"id-1004"}


def test_texts_are_cut_to_what_their_columns_hold() -> None:
    told = dict.fromkeys(FIELDS, "x" * 1000)
    (story,) = lines.take_in([orjson.dumps({"r": f"{1:032x}", "o": "x" * 1000, "w": told})], {})
    texts = {name: value for name, value in asdict(story.entry()).items() if isinstance(value, str)}
    del texts["changes"]
    columns = {column.name: getattr(column.type, "length", None) for column in audit.columns if column.name in texts}
    assert {name: len(value) for name, value in texts.items()} == columns


FORMS: tuple[Any, ...] = (
    "x",
    5,
    ["x"],
    ["x", 5],
    {"x": 5},
    {"x": {}},
    {"x": {"add": ["a"], "remove": [], "clear": True}},
    {"x": {"add": ["a"], "remove": [], "clear": False, "more": 5}},
    {"x": {"add": ["a"], "remove": [], "clear": 0}},
    {"x": {"add": ["a"], "remove": []}},
    {"x": {"add": ["a"], "clear": False}},
    {"x": {"add": [5], "remove": [], "clear": False}},
    {"x": {"add": [], "remove": [None], "clear": False}},
    {"x": {"add": "a", "remove": [], "clear": False}},
    {"x": {"add": [], "remove": [], "clear": False}, "y": []},
)


@pytest.mark.parametrize("name", ["attributes", "notes", "before", "after", "members"])
def test_what_can_be_read_is_what_is_written(control: ControlStore, name: str) -> None:
    """No form is omitted that readers could read, and none is written that would be damage to them."""
    for number, value in enumerate(FORMS):
        (story,) = lines.take_in([orjson.dumps({"r": f"{number:032x}", "o": "done", "w": {name: value}})], {})
        (record,) = control.audit.append([story.entry()])
        changes = read(record).changes
        assert changes is not None
        readable = read(replace(record, changes=orjson.dumps({name: value}).decode())).changes is not None
        assert changes.get(name) == value if readable else "omitted" in changes


def test_lines_that_tell_of_no_write_are_set_aside(
    carry: Carry, spools: Spools, tmp_path: Path, control: ControlStore
) -> None:
    for _ in range(2):
        records = carry([ended(1), *STRANGE, ended(2), b'{"r":"torn', ended(3)])
        assert [int(record.record, 16) for record in records] == [1, 2, 3]
        assert spools.aside.path.read_bytes().splitlines() == list(STRANGE)
    assert spools.aside.count() == len(STRANGE)
    assert spools.aside.path.stat().st_mode & 0o777 == 0o600


def test_what_was_set_aside_in_part_spoils_no_other(spools: Spools, tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    assert spools.aside.count() == 0
    spools.aside.path.write_bytes(b'{"r":"to')
    spools.aside.keep(b"5", "for a reason")
    assert spools.aside.path.read_bytes() == b'{"r":"to\n5\n'


def test_a_record_that_the_trail_does_not_take_is_set_aside(
    carry: Carry, spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    chained = audit_module._chained

    def refusing(entry: Any, *rest: Any) -> Any:
        if entry.name == "group2":
            raise TypeError("it can't be")
        return chained(entry, *rest)

    monkeypatch.setattr(audit_module, "_chained", refusing)
    assert [record.name for record in carry([ended(1), ended(2), ended(3)])] == ["group1", "group3"]
    (line,) = spools.aside.path.read_bytes().splitlines()
    assert orjson.loads(line)["name"] == "group2"
    assert orjson.loads(orjson.loads(line)["changes"])["after"] == {"displayName": "group2"}


@pytest.mark.parametrize("damage", ["seq = 'x'", "hash = x'ff'"])
def test_where_the_trail_itself_is_damaged_all_records_wait(
    damage: str, control: ControlStore, spools: Spools, recovery: Recovery, tmp_path: Path
) -> None:
    """The fault is no record's: none is set aside, and all come in when it has been mended."""
    leave(tmp_path / "audit", [ended(1), ended(2)])
    marks = "UPDATE audit_marks SET {} WHERE name = 'head'"
    with closing(sqlite3.connect(tmp_path / "control.db")) as connection:
        (mark,) = connection.execute("SELECT seq, hash FROM audit_marks WHERE name = 'head'").fetchall()
        connection.execute(marks.format(damage))
        connection.commit()
        with pytest.raises(ControlUnavailable, match="audit verify"):
            recovery.run(lambda: None)
        assert (spools.aside.count(), list(control.audit.records(Wanted()))) == (0, [])
        connection.execute(marks.format("seq = ?, hash = ?"), mark)
        connection.commit()
    assert recovery.run(lambda: None).moved == 2
    assert [record.name for record in control.audit.records(Wanted())] == ["group1", "group2"]


def test_whatever_was_begun_is_judged(
    control: ControlStore, spools: Spools, recovery: Recovery, tmp_path: Path
) -> None:
    """Nobody knows what became of it where that can't be judged; the rest is judged as ever."""
    cases = list(itertools.product(FIELDS, ODD))
    told = [begun(number, **{"id": None, name: value}) for number, (name, value) in enumerate(cases)]
    leave(tmp_path / "audit", [*told, begun(1000, id=None)])
    left = spools.state().without_outcome
    recovered = recovery.run(lambda: None)
    assert (left, recovered.settled, recovered.waiting) == (len(cases) + 1, len(cases) + 1, 0)
    records = {int(record.record, 16): record for record in control.audit.records(Wanted())}
    assert records.keys() == {*range(len(cases)), 1000}
    assert records[1000].outcome == FOUND_NOT_DONE
    for number, (name, value) in enumerate(cases):
        if name == "after" and not isinstance(value, (str, list, dict)):
            assert records[number].outcome == FOUND_UNCLEAR
    assert spools.state().without_outcome == 0


@pytest.mark.parametrize("error", [RejectedValue("displayName", "no"), TooManyCandidates(), TypeError("odd")], ids=repr)
def test_a_write_that_the_store_can_not_be_asked_for_keeps_no_other(
    control: ControlStore,
    recovery: Recovery,
    backend: ReferenceBackend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    search = backend.search

    def refusing(kind: str, query: Any) -> Any:
        if getattr(query.filter, "operand", None) == "group1":
            raise error
        return search(kind, query)

    monkeypatch.setattr(backend, "search", refusing)
    leave(tmp_path / "audit", [begun(1, id=None), begun(2, id=None)])
    assert recovery.run(lambda: None).settled == 2
    found = {record.name: record.outcome for record in control.audit.records(Wanted())}
    assert found == {"group1": FOUND_UNCLEAR, "group2": FOUND_NOT_DONE}


@pytest.mark.parametrize("error", [Unavailable(), StoreError("unforeseen"), OSError("gone")], ids=repr)
def test_a_store_that_is_away_is_asked_again(
    control: ControlStore,
    recovery: Recovery,
    backend: ReferenceBackend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def away(*_: object) -> None:
        raise error

    leave(tmp_path / "audit", [begun(1, id=None)])
    with monkeypatch.context() as patched:
        patched.setattr(backend, "search", away)
        with pytest.raises(type(error)):
            recovery.run(lambda: None)
    assert list(control.audit.records(Wanted())) == []
    recovery.run(lambda: None)
    assert [record.outcome for record in control.audit.records(Wanted())] == [FOUND_NOT_DONE]


def test_what_waits_is_known(spools: Spools, tmp_path: Path, control: ControlStore, recovery: Recovery) -> None:
    """What has ended, and what was left; not what is under way."""
    leave(tmp_path / "audit", [ended(1, at=100), begun(2, at=200), ended(3, at=300)])
    living = spools.open()
    living.append(ended(4, at=100) + b"\n" + begun(5, at=100) + b"\n")
    waiting = [story.record for story in spools.waiting(300)]
    assert sorted(int(record, 16) for record in waiting) == [1, 2, 4]
    recovery.run(lambda: None)
    assert control.audit.missing(waiting) == {f"{4:032x}"}
    living.close()
