"""The rehearsal: which resources it has changed, and how."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, select, update

from app.control.database import Database
from app.control.rehearsal_models import Copy, Fate, Key, Origin, Who
from app.control.tables import RESOURCE_LENGTH, rehearsal, rehearsed, rehearsed_claims, rehearsed_relations
from app.control.turns import Turns

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_IDS = 500
PAGE = 500
"""How many rows one statement reads."""

Pair = tuple[str, str]
"""A resource, and one that it refers to."""


class Writing:
    """What one write does to the rehearsal, collected: it is done as a whole when the write has ended."""

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self._steps: list[Callable[[Connection], object]] = []

    def next(self) -> int:
        """The number of another change."""
        self.serial += 1
        return self.serial

    def put(self, copy: Copy) -> None:
        """The resource is as this copy says."""
        self._delete(rehearsed, _of(rehearsed, copy.kind, copy.id))
        self._steps.append(lambda c: c.execute(insert(rehearsed), _row(copy)))

    def drop(self, kind: str, id: str) -> None:
        """The rehearsal knows nothing of the resource any more, nor of its relations."""
        self._delete(rehearsed, _of(rehearsed, kind, id))
        self._delete(rehearsed_relations, _of(rehearsed_relations, kind, id))
        self._delete(rehearsed_claims, _of(rehearsed_claims, kind, id))

    def unrelate(self, kind: str, id: str, relation: str, far: Sequence[str] | None = None) -> None:
        """No change of the relation is known: to these resources, or with None to any."""
        mine = _of(rehearsed_relations, kind, id) & (rehearsed_relations.c.relation == relation)
        if far is None:
            self._delete(rehearsed_relations, mine)
            return
        for some in _chunks(far):
            self._delete(rehearsed_relations, mine & rehearsed_relations.c.far_id.in_(some))

    def relate(self, kind: str, id: str, relation: str, far: Sequence[str], *, added: bool) -> None:
        """These are added to the relation, or removed; each id is there once."""
        self.unrelate(kind, id, relation, far)
        rows = [{"kind": kind, "resource_id": id, "relation": relation, "far_id": f, "added": added} for f in far]
        if rows:
            self._steps.append(lambda c: c.execute(insert(rehearsed_relations), rows))

    def rename_far(self, old: str, new: str) -> None:
        """What refers to one resource refers to another."""
        mine = rehearsed_relations.c.far_id == old
        self._steps.append(lambda c: c.execute(update(rehearsed_relations).where(mine).values(far_id=new)))

    def claim(self, kind: str, id: str, integration_id: str) -> None:
        """The resource would be managed."""
        self._delete(rehearsed_claims, _of(rehearsed_claims, kind, id))
        row = {"kind": kind, "resource_id": id, "integration_id": integration_id}
        self._steps.append(lambda c: c.execute(insert(rehearsed_claims), row))

    def release(self, kind: str, id: str) -> None:
        """It would not be, or is."""
        self._delete(rehearsed_claims, _of(rehearsed_claims, kind, id))

    def discard(self) -> None:
        """Nothing is left of the rehearsal."""
        for table in (rehearsed, rehearsed_relations, rehearsed_claims):
            self._steps.append(lambda c, table=table: c.execute(delete(table)))  # type: ignore[misc]

    def carry_out(self, connection: Connection, before: int) -> None:
        """Do all of it; the numbers after `before` are given."""
        if self.serial != before:
            connection.execute(update(rehearsal).values(serial=self.serial))
        for step in self._steps:
            step(connection)

    def _delete(self, table: Any, where: ColumnElement[bool]) -> None:
        self._steps.append(lambda c: c.execute(delete(table).where(where)))


class Rehearsal:
    """The resources that a rehearsal has changed, alike for all processes. Ids have at most 255 characters. `turns` are
    for SQLite, where a transaction that lasts while the store is asked would keep off all other writers.

    Every method may raise ControlUnavailable, and none makes a change that counts for `ControlStore.generation`.
    """

    def __init__(self, database: Database, clock: Callable[[], float], turns: Turns | None = None) -> None:
        self._database = database
        self._clock = clock
        self._turns = turns
        self._turn = threading.Lock()

    def now(self) -> datetime:
        """The time."""
        return _EPOCH + int(self._clock() * 1_000_000) * _MICROSECOND

    def find(self, kind: str, ids: Sequence[str]) -> dict[str, Copy]:
        """Those of the resources that the rehearsal has changed, by id."""
        known = [id for id in dict.fromkeys(ids) if storable(id)]
        if not known:
            return {}
        with self._database.read() as connection:
            found = (
                row
                for some in _chunks(known)
                for row in connection.execute(
                    select(rehearsed).where(rehearsed.c.kind == kind, rehearsed.c.resource_id.in_(some))
                )
            )
            return {row.resource_id: _to_copy(row) for row in found}

    def copies(
        self, kind: str, *, fate: Fate | None = None, origin: Origin | None = None, key: Key | None = None
    ) -> Iterator[Copy]:
        """The resources of a kind that the rehearsal has changed, in the order in which they came in, page by page:
        those with that fate, of that origin and with that key."""
        where = rehearsed.c.kind == kind
        if fate is not None:
            where &= rehearsed.c.state == fate.value
        if origin is not None:
            where &= rehearsed.c.origin == origin.value
        if key is not None:
            if key.id is not None and not storable(key.id):
                return
            columns = (rehearsed.c.resource_id, key.id), *((rehearsed.c[n], getattr(key, n)) for n in _HASHES)
            where = and_(where, *(column == value for column, value in columns if value is not None))
            if key.mark is not None:
                relation, value = key.mark
                marked = [near for near, _ in self.relating(kind, relation, [value])]
                where &= rehearsed.c.resource_id.in_(marked)
        place = -1
        while True:
            with self._database.read() as connection:
                page = select(rehearsed).where(where, rehearsed.c.place > place).order_by(rehearsed.c.place).limit(PAGE)
                rows = connection.execute(page).all()
            yield from map(_to_copy, rows)
            if len(rows) < PAGE:
                return
            place = rows[-1].place

    def touched(self, kind: str) -> frozenset[str]:
        """The ids of the changed resources that the store has, among the others or the retired ones."""
        mine = (rehearsed.c.kind == kind) & (rehearsed.c.origin != Origin.NEW.value)
        with self._database.read() as connection:
            return frozenset(connection.execute(select(rehearsed.c.resource_id).where(mine)).scalars())

    def counts(self) -> dict[str, int]:
        """How many resources of each kind the rehearsal has changed."""
        with self._database.read() as connection:
            rows = connection.execute(select(rehearsed.c.kind, func.count()).group_by(rehearsed.c.kind))
            return {row[0]: row[1] for row in rows}

    def changes(self, kind: str, relation: str, near: Sequence[str], far: Sequence[str]) -> dict[Pair, bool]:
        """For pairs of these resources whether the one is added to the relation of the other, or is removed."""
        table = rehearsed_relations
        nears = [id for id in dict.fromkeys(near) if storable(id)]
        fars = [id for id in dict.fromkeys(far) if storable(id)]
        found: dict[Pair, bool] = {}
        with self._database.read() as connection:
            for some in _chunks(nears):
                for others in _chunks(fars):
                    mine = (table.c.kind == kind) & table.c.resource_id.in_(some) & (table.c.relation == relation)
                    rows = select(table).where(mine, table.c.far_id.in_(others))
                    found.update({(r.resource_id, r.far_id): r.added for r in connection.execute(rows)})
        return found

    def related(self, kind: str, near: str, relation: str, *, added: bool, most: int | None = None) -> Iterator[str]:
        """Whom a resource is related to by the rehearsal, or not any more, page by page, by id; `most` of them."""
        table, after, left = rehearsed_relations, "", most
        mine = _of(table, kind, near) & (table.c.relation == relation) & (table.c.added == added)
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            with self._database.read() as connection:
                page = select(table.c.far_id).where(mine, table.c.far_id > after).order_by(table.c.far_id).limit(size)
                ids = connection.execute(page).scalars().all()
            yield from ids
            if len(ids) < size:
                return
            after, left = ids[-1], None if left is None else left - size

    def relating(self, kind: str, relation: str, far: Sequence[str]) -> list[Pair]:
        """The resources of a kind that the rehearsal relates to one of these, each with it, by id."""
        table, found = rehearsed_relations, []
        with self._database.read() as connection:
            for some in _chunks(sorted({id for id in far if storable(id)})):
                mine = (table.c.relation == relation) & table.c.far_id.in_(some) & (table.c.kind == kind)
                rows = select(table.c.resource_id, table.c.far_id).where(mine, table.c.added)
                found += [(r.resource_id, r.far_id) for r in connection.execute(rows)]
        return sorted(found, key=lambda pair: (pair[1], pair[0]))

    def claimed(self, kind: str, ids: Sequence[str]) -> frozenset[str]:
        """Those of the resources that would be managed."""
        table = rehearsed_claims
        with self._database.read() as connection:
            found: set[str] = set()
            for some in _chunks([id for id in dict.fromkeys(ids) if storable(id)]):
                mine = select(table.c.resource_id).where(table.c.kind == kind, table.c.resource_id.in_(some))
                found.update(connection.execute(mine).scalars())
            return frozenset(found)

    def claims(self) -> list[tuple[str, str, str]]:
        """Kind, id and integration of those that would be managed."""
        table = rehearsed_claims
        with self._database.read() as connection:
            rows = connection.execute(select(table).order_by(table.c.kind, table.c.resource_id))
            return [(row.kind, row.resource_id, row.integration_id) for row in rows]

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """A write to the rehearsal. Until the block ends every other writer waits, in whichever process; what it has
        collected is done when the block has ended, and nothing when that raises, or the block."""
        if self._turns is None:
            # Whoever waits in the database has a connection meanwhile, which the one who writes needs to read.
            with self._turn, self._database.record() as connection:
                serial = connection.execute(select(rehearsal.c.serial).with_for_update()).scalar_one()
                writing = Writing(serial)
                yield writing
                writing.carry_out(connection, serial)
            return
        with self._turns.of("rehearsal"):
            with self._database.read() as connection:
                serial = connection.execute(select(rehearsal.c.serial)).scalar_one()
            writing = Writing(serial)
            yield writing
            with self._database.record() as connection:
                writing.carry_out(connection, serial)


_HASHES = ("name_hash", "external_hash")


def storable(id: str) -> bool:
    """Whether the rehearsal could keep that id: no other one is that of a resource."""
    if len(id) > RESOURCE_LENGTH:
        return False
    try:
        return b"\0" not in id.encode()
    except UnicodeEncodeError:
        return False


def digest(text: str) -> str:
    """SHA-256 of a value in comparison form, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _of(table: Any, kind: str, id: str) -> ColumnElement[bool]:
    mine: ColumnElement[bool] = (table.c.kind == kind) & (table.c.resource_id == id)
    return mine


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _IDS] for start in range(0, len(ids), _IDS))


def _row(copy: Copy) -> Mapping[str, Any]:
    content = {"values": copy.values, "before": copy.before, "secrets": copy.secrets, "cleared": copy.cleared}
    return {
        "kind": copy.kind,
        "resource_id": copy.id,
        "place": copy.place,
        "revision": copy.revision,
        "origin": copy.origin.value,
        "state": copy.fate.value,
        "basis": copy.basis,
        "created": (copy.created - _EPOCH) // _MICROSECOND,
        "modified": (copy.modified - _EPOCH) // _MICROSECOND,
        "name_hash": copy.name_hash,
        "external_hash": copy.external_hash,
        "content": orjson.dumps(content).decode(),
        "integration_id": copy.who.integration_id,
        "actor": copy.who.name,
    }


def _to_copy(row: Row[Any]) -> Copy:
    content = orjson.loads(row.content)
    return Copy(
        row.kind,
        row.resource_id,
        Origin(row.origin),
        _EPOCH + row.created * _MICROSECOND,
        _EPOCH + row.modified * _MICROSECOND,
        content["values"],
        Fate(row.state),
        row.basis,
        content["before"],
        content["secrets"],
        tuple(content["cleared"]),
        row.place,
        row.revision,
        row.name_hash,
        row.external_hash,
        Who(row.integration_id, row.actor),
    )
