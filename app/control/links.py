"""externalIds of resources whose own store has no place for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Delete, Insert, Row, Update, delete, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite

from app.control.database import Database
from app.control.models import Link
from app.control.tables import LINK_LENGTH, links
from app.control.turns import Turns

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_IDS = 500
"""How many ids one statement names."""


class Held:
    """The link of a resource, which nobody else changes before the block ends. `link` is how it then is; `pending` is
    what has to be done for that."""

    def __init__(self, kind: str, link: Link, now: int) -> None:
        self.link = link
        self.pending: Update | Delete | None = None
        self._mine = _row_of(kind, link.resource_id)
        self._now = now

    def assign(self, external_id: str | None, *, after: datetime) -> Link:
        """The link with another externalId, the next revision and a time of change later than `after`."""
        changed = max(self._now, _microseconds(after) + 1)
        values = {"external_id": external_id, "revision": self.link.revision + 1, "last_seen": changed}
        self.pending = update(links).where(self._mine).values(values)
        self.link = Link(self.link.resource_id, external_id, self.link.revision + 1, _moment(changed))
        return self.link

    def forget(self) -> None:
        """The resource has no link any more."""
        self.pending = delete(links).where(self._mine)


class Links:
    """The links of all kinds of resources. Ids have at most 255 characters. `turns` are for SQLite, where a transaction
    that holds a link would keep off all other writers.

    Each method is one transaction of the control store, and each may raise ControlUnavailable. None makes a change that
    counts for `ControlStore.generation`.
    """

    def __init__(self, database: Database, clock: Callable[[], float], turns: Turns | None = None) -> None:
        self._database = database
        self._clock = clock
        self._turns = turns

    def find(self, kind: str, ids: Sequence[str]) -> dict[str, Link]:
        """The links of those resources that have one or had one, by id."""
        known = [id for id in ids if _can_be_sent(id)]
        if not known:
            return {}
        with self._database.read() as connection:
            return {
                link.resource_id: link
                for start in range(0, len(known), _IDS)
                for link in _read(connection, kind, links.c.resource_id.in_(known[start : start + _IDS]))
            }

    def named(self, kind: str, external_id: str, most: int) -> list[Link]:
        """The links with exactly that externalId; no more than `most` are read."""
        if not holds(external_id):
            return []
        with self._database.read() as connection:
            return list(_read(connection, kind, links.c.external_id == external_id, most=most))

    def assigned(self, kind: str, most: int) -> list[Link]:
        """The links that have an externalId; no more than `most` are read."""
        with self._database.read() as connection:
            return list(_read(connection, kind, links.c.external_id.is_not(None), most=most))

    def changed_since(self, kind: str, moment: datetime, most: int) -> list[Link]:
        """The links that changed at that moment or later; no more than `most` are read."""
        with self._database.read() as connection:
            return list(_read(connection, kind, links.c.last_seen >= _microseconds(moment), most=most))

    def add(self, kind: str, id: str, external_id: str, changed: datetime) -> Link:
        """The first link of a new resource, changed at that moment. One that somebody was faster to assign stays."""
        moment = _microseconds(changed)
        with self._turn(kind, id), self._database.record() as connection:
            _make(connection, kind, id, moment)
            held = _hold(connection, kind, id, moment)
            assert held is not None
            if not held.link.revision:
                held.assign(external_id, after=changed - _MICROSECOND)
                _carry_out(connection, held)
            return held.link

    def ensure(self, kind: str, id: str) -> None:
        """Afterwards there is something to hold for the resource; it counts as no link."""
        with self._database.record() as connection:
            _make(connection, kind, id, self._now())

    @contextmanager
    def held(self, kind: str, id: str) -> Iterator[Held | None]:
        """The link of the resource, None when there is nothing to hold; see `ensure`.

        Until the block ends every other holder waits, in whichever process; a thread holds one at a time. What the link
        was assigned holds when the block has ended; nothing has changed when that raises, or the block.
        """
        if not _can_be_sent(id):
            yield None
        elif self._turns is None:
            with self._database.record() as connection:
                held = _hold(connection, kind, id, self._now())
                yield held
                _carry_out(connection, held)
        else:
            with self._turn(kind, id):
                with self._database.read() as connection:
                    held = _hold(connection, kind, id, self._now())
                yield held
                if held is not None and held.pending is not None:
                    with self._database.record() as connection:
                        _carry_out(connection, held)

    def forget(self, kind: str, id: str) -> None:
        """Afterwards the resource has no link."""
        if _can_be_sent(id):
            with self._turn(kind, id), self._database.record() as connection:
                connection.execute(delete(links).where(_row_of(kind, id)))

    def _turn(self, kind: str, id: str) -> AbstractContextManager[None]:
        return nullcontext() if self._turns is None else self._turns.of(f"{kind} {id}")

    def _now(self) -> int:
        return int(self._clock() * 1_000_000)


def holds(external_id: str) -> bool:
    """Whether a link can have that externalId."""
    return len(external_id) <= LINK_LENGTH and _can_be_sent(external_id)


def _can_be_sent(text: str) -> bool:
    """No database driver takes a lone surrogate, and PostgreSQL takes no NUL."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _read(connection: Connection, kind: str, where: ColumnElement[bool], *, most: int | None = None) -> Iterator[Link]:
    statement = select(links).where(links.c.kind == kind, links.c.revision > 0, where).limit(most)
    return (_to_link(row) for row in connection.execute(statement))


def _hold(connection: Connection, kind: str, id: str, now: int) -> Held | None:
    row = connection.execute(select(links).where(_row_of(kind, id)).with_for_update()).one_or_none()
    return None if row is None else Held(kind, _to_link(row), now)


def _carry_out(connection: Connection, held: Held | None) -> None:
    if held is not None and held.pending is not None:
        connection.execute(held.pending)


def _make(connection: Connection, kind: str, id: str, now: int) -> None:
    row = {"kind": kind, "resource_id": id, "revision": 0, "first_seen": now, "last_seen": now}
    connection.execute(_insert_unless_there(connection.dialect.name, row))


def _insert_unless_there(dialect: str, row: dict[str, Any]) -> Insert:
    if dialect == "postgresql":
        return postgresql.insert(links).values(row).on_conflict_do_nothing()
    if dialect == "sqlite":
        return sqlite.insert(links).values(row).on_conflict_do_nothing()
    # An ignored duplicate would leave a shared lock, and two that have it can't both go on to hold the row.
    return mysql.insert(links).values(row).on_duplicate_key_update(revision=links.c.revision)


def _row_of(kind: str, id: str) -> ColumnElement[bool]:
    return (links.c.kind == kind) & (links.c.resource_id == id)


def _to_link(row: Row[Any]) -> Link:
    return Link(row.resource_id, row.external_id, row.revision, _moment(row.last_seen))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND
