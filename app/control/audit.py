"""The audit trail: a record of every write, chained by hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, delete, or_, select, text, true, update
from sqlalchemy.exc import IntegrityError, NoResultFound

from app.control.audit_models import SUCCEEDED, AuditRecord, Chain, Entry, Wanted
from app.control.database import Database
from app.control.errors import ControlUnavailable
from app.control.managed import claim_created
from app.control.tables import NAME_LENGTH, RESOURCE_LENGTH, audit, audit_marks
from app.scim.fold import fold

_HEAD, _ANCHOR = "head", "anchor"
_BEGINNINGS = ("create", "adopt", "restore")
_CLAIMING = ("create", "retire")
_NOT_AS_WRITTEN = "it is not as it was written"
_PAGE = 500
"""Records that one statement reads or removes: each stays far within the time limit of a statement."""
_ROWS = 100
_COLUMNS = tuple(column.name for column in audit.columns)
_HASHED = tuple(name for name in _COLUMNS if name != "hash")
_GIVEN = tuple(name for name in _COLUMNS if name in Entry.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class _Mark:
    seq: int
    hash: str


class AuditTrail:
    """The records of all writes of all nodes, numbered 1, 2, 3… without gaps in the order in which they came in. What
    a record says was created or retired is managed with it.

    Each record's hash covers its other columns, among them the hash of the one before. Every method may raise
    ControlUnavailable; each but `records` and `prune` is one transaction. None makes a change that counts for
    `ControlStore.generation`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, entries: Sequence[Entry]) -> list[AuditRecord]:
        """The new records, in the order of the entries. An entry that is there already is left out."""
        if not entries:
            return []
        try:
            return self._append(entries)
        except IntegrityError:
            pass
        try:
            return self._append(entries, look=True)
        except IntegrityError as error:
            raise ControlUnavailable("the audit trail takes no records: `landfall audit verify` tells why") from error

    def missing(self, records: Sequence[str]) -> set[str]:
        """Those of the records that are not in the trail."""
        with self._database.read() as connection:
            return set(records) - _there(connection, records)

    def _append(self, entries: Sequence[Entry], *, look: bool = False) -> list[AuditRecord]:
        with self._database.record() as connection:
            head = _sound(_mark(connection, _HEAD, lock=True))
            there = _there(connection, [entry.record for entry in entries]) if look else set()
            rows: list[dict[str, Any]] = []
            for entry in entries:
                if entry.record not in there:
                    there.add(entry.record)
                    rows.append(_chained(entry, head))
                    head = _Mark(rows[-1]["seq"], rows[-1]["hash"])
            if rows:
                _insert(connection, rows)
                _set_mark(connection, _HEAD, head)
                claim_created(connection, list(_claimed(rows)), rows[-1]["at"] // 1_000_000)
        return [AuditRecord(**row) for row in rows]

    def get(self, seq: int) -> AuditRecord | None:
        """The record with that number."""
        with self._reading() as connection:
            return next(_read(connection, audit.c.seq == seq, count=1), None)

    def latest(self, wanted: Wanted, count: int) -> list[AuditRecord]:
        """The last records that are wanted, the latest first."""
        with self._reading() as connection:
            return list(_read(connection, _where(wanted), count=count, backwards=True))

    def records(self, wanted: Wanted) -> Iterator[AuditRecord]:
        """All records that are wanted, the oldest first, a page of them in memory at a time."""
        where = begun = _where(wanted)
        while True:
            with self._reading() as connection:
                page = list(_read(connection, where, count=_PAGE))
            yield from page
            if len(page) < _PAGE:
                return
            # Not from 1 on: whoever tampers with records may give them any number.
            where = begun & (audit.c.seq > page[-1].seq)

    def history(self, kind: str, ids: Iterable[str]) -> Iterator[AuditRecord]:
        """All records of these resources; of each in the order in which they came in, a page in memory at a time."""
        known = sorted({id[:RESOURCE_LENGTH] for id in ids})
        for start in range(0, len(known), _ROWS):
            where = begun = (audit.c.kind == kind) & audit.c.resource_id.in_(known[start : start + _ROWS])
            while True:
                with self._reading() as connection:
                    page = list(_read(connection, where, count=_PAGE))
                yield from page
                if len(page) < _PAGE:
                    break
                where = begun & (audit.c.seq > page[-1].seq)

    def with_version(self, kind: str, resource_id: str, version: str) -> AuditRecord | None:
        """The last record by which a resource came to have that version."""
        mine = (audit.c.kind == kind) & (audit.c.resource_id == resource_id) & (audit.c.version == version)
        with self._reading() as connection:
            return next(_read(connection, mine, count=1, backwards=True), None)

    def has_begun(self, kind: str, resource_id: str) -> bool:
        """Whether there is a record of how the resource came to be, or to be managed."""
        mine = (audit.c.kind == kind) & (audit.c.resource_id == resource_id) & audit.c.outcome.in_(SUCCEEDED)
        with self._reading() as connection:
            return any(_read(connection, mine & audit.c.operation.in_(_BEGINNINGS), count=1))

    def verify(self) -> Chain:
        """Every record compared with its hash and with the one before it, in one snapshot of the store."""
        with self._snapshot() as connection:
            head, anchor = _known_mark(connection, _HEAD), _known_mark(connection, _ANCHOR)
            if anchor is None:
                return Chain(0, 0, 0, "", 1, "the mark of where the chain begins is missing or damaged")
            last, count = anchor, 0
            for record in _all(connection):
                if fault := _fault(record, last):
                    wrong = record.seq if _is_number(record.seq) else last.seq + 1
                    return Chain(count, anchor.seq, last.seq, last.hash, wrong, fault)
                last, count = _Mark(record.seq, record.hash), count + 1
        chain = Chain(count, anchor.seq, last.seq, last.hash)
        if last == head:
            return chain
        fault = "the chain does not end with what was written last"
        if head is None:
            fault = "the mark of where the chain ends is missing or damaged"
        return replace(chain, wrong=last.seq + 1, fault=fault)

    def prune(self, before: int) -> int:
        """How many records were removed: those from the first on that are older than `before`, up to the first that is
        not. The chain stays verifiable, for number and hash of the last one that was removed are kept."""
        removed = 0
        while some := self._prune(before):
            removed += some
        return removed

    def _prune(self, before: int) -> int:
        with self._database.record() as connection:
            _mark(connection, _HEAD, lock=True)
            oldest = select(audit.c.seq, audit.c.at, audit.c.hash).order_by(audit.c.seq).limit(_PAGE)
            last, count = None, 0
            for row in connection.execute(oldest):
                if row.at >= before:
                    break
                last, count = _Mark(row.seq, row.hash), count + 1
            if last is not None:
                _set_mark(connection, _ANCHOR, last)
                connection.execute(delete(audit).where(audit.c.seq <= last.seq))
            return count

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A transaction that reads records whatever somebody has made of their text."""
        with self._database.read() as connection:
            if connection.dialect.name != "sqlite":
                yield connection
                return
            with _any_text(connection.connection.driver_connection):
                yield connection

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        with self._reading() as connection:
            # What SQLite reads in one transaction is a snapshot as it is.
            if connection.dialect.name != "sqlite":
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            yield connection


def digest(columns: Mapping[str, Any]) -> str:
    """The hash that a record must have: SHA-256, in hexadecimal, of the JSON array of its other columns in the order of
    the table, in UTF-8 and without white space."""
    return hashlib.sha256(orjson.dumps([columns[name] for name in _HASHED])).hexdigest()


@contextmanager
def _any_text(connection: Any) -> Iterator[None]:
    """Until the block ends the connection to SQLite reads also text that is no UTF-8, as text that can't be written as
    such."""
    connection.text_factory = lambda octets: octets.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        connection.text_factory = str


def _insert(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Few statements with many rows each: drivers let other threads run, and wait for them, at every single one."""
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    values = f"({', '.join([mark] * len(_COLUMNS))})"
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        statement = f"INSERT INTO audit ({', '.join(_COLUMNS)}) VALUES {', '.join([values] * len(some))}"  # noqa: S608
        connection.exec_driver_sql(statement, tuple(row[name] for row in some for name in _COLUMNS))


def _chained(entry: Entry, before: _Mark) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(entry, name) for name in _GIVEN}
    row["name_key"] = None if entry.name is None else _name_key(entry.name)
    row["seq"], row["prev_hash"] = before.seq + 1, before.hash
    row["hash"] = digest(row)
    return row


def _fault(record: AuditRecord, before: _Mark) -> str:
    """What is wrong with a record that follows `before`; nothing: empty."""
    if not _is_number(record.seq):
        return _NOT_AS_WRITTEN
    if record.seq > before.seq + 1:
        return f"record {before.seq + 1} is missing"
    if record.seq <= before.seq or record.prev_hash != before.hash:
        return "it does not follow on the record before it"
    try:
        as_written = record.hash == digest({name: getattr(record, name) for name in _HASHED})
    except TypeError:
        # Octets, or text that is no UTF-8: no record had that.
        as_written = False
    return "" if as_written else _NOT_AS_WRITTEN


def _is_number(value: object) -> bool:
    """False for what is no whole number, although its column is one of these: SQLite takes any value."""
    return isinstance(value, int)


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value.isascii()


def _name_key(name: str) -> str:
    return fold(name)[:NAME_LENGTH]


def _there(connection: Connection, names: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(names), _PAGE):
        some = audit.c.record.in_(names[start : start + _PAGE])
        found.update(connection.execute(select(audit.c.record).where(some)).scalars())
    return found


def _claimed(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """What is managed with its record: what was created, and whoever was retired without having been managed."""
    for row in rows:
        if row["operation"] in _CLAIMING and row["outcome"] in SUCCEEDED and row["resource_id"]:
            yield row["kind"], row["resource_id"], row["integration_id"]


def _mark(connection: Connection, name: str, *, lock: bool = False) -> _Mark:
    statement = select(audit_marks.c.seq, audit_marks.c.hash).where(audit_marks.c.name == name)
    row = connection.execute(statement.with_for_update() if lock else statement).one()
    return _Mark(row.seq, row.hash)


def _known_mark(connection: Connection, name: str) -> _Mark | None:
    """The mark; None where it is not there, or is none."""
    try:
        mark = _mark(connection, name)
    except NoResultFound:
        return None
    return mark if _is_sound(mark) else None


def _sound(mark: _Mark) -> _Mark:
    """The mark that the next record follows. Raises ControlUnavailable when it is none: the fault is no record's."""
    if not _is_sound(mark):
        raise ControlUnavailable("the audit trail's last mark is damaged: `landfall audit verify` tells more")
    return mark


def _is_sound(mark: _Mark) -> bool:
    return _is_number(mark.seq) and _is_plain(mark.hash)


def _set_mark(connection: Connection, name: str, mark: _Mark) -> None:
    mine = update(audit_marks).where(audit_marks.c.name == name)
    connection.execute(mine.values(seq=mark.seq, hash=mark.hash))


def _read(
    connection: Connection, where: ColumnElement[bool], *, count: int, backwards: bool = False
) -> Iterator[AuditRecord]:
    order = audit.c.seq.desc() if backwards else audit.c.seq
    for row in connection.execute(select(audit).where(where).order_by(order).limit(count)):
        yield AuditRecord(**row._mapping)


def _all(connection: Connection) -> Iterator[AuditRecord]:
    where: ColumnElement[bool] = true()
    while page := list(_read(connection, where, count=_PAGE)):
        yield from page
        where = audit.c.seq > page[-1].seq


def _where(wanted: Wanted) -> ColumnElement[bool]:
    where: ColumnElement[bool] = true()
    if wanted.kind is not None:
        where &= audit.c.kind == wanted.kind
    if wanted.resource is not None:
        named = audit.c.name_key == _name_key(wanted.resource)
        other = audit.alias()
        ids = select(other.c.resource_id).where(
            other.c.name_key == _name_key(wanted.resource),
            other.c.resource_id.is_not(None),
            *([other.c.kind == wanted.kind] if wanted.kind is not None else []),
        )
        where &= or_(audit.c.resource_id == wanted.resource[:RESOURCE_LENGTH], named, audit.c.resource_id.in_(ids))
    if wanted.integration_id is not None:
        where &= audit.c.integration_id == wanted.integration_id
    if wanted.since is not None:
        where &= audit.c.at >= wanted.since
    if wanted.failed:
        where &= audit.c.outcome.not_in(SUCCEEDED)
    return where
