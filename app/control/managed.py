"""Which resources the identity provider has taken charge of, and which it has asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Insert, Row, delete, func, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite

from app.control.database import Database
from app.control.models import Candidate
from app.control.rehearsal import Rehearsal
from app.control.rehearsal_models import Copy, Fate, Origin
from app.control.tables import candidates, integrations, managed

_IDS = 500


class Managed:
    """Resources that have been created or adopted through SCIM. Every method may raise ControlUnavailable, and none
    makes a change that counts for `ControlStore.generation`."""

    lasting = True
    """Whether what is managed never ceases to be."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def among(self, kind: str, ids: Sequence[str]) -> frozenset[str]:
        """Those of the resources that are managed."""
        known = [id for id in ids if _can_be_sent(id)]
        if not known:
            return frozenset()
        with self._database.read() as connection:
            found: set[str] = set()
            for start in range(0, len(known), _IDS):
                chunk = known[start : start + _IDS]
                where = (managed.c.kind == kind) & managed.c.resource_id.in_(chunk)
                found.update(connection.execute(select(managed.c.resource_id).where(where)).scalars())
            return frozenset(found)

    def count(self, kind: str) -> int:
        """How many resources of the kind are managed."""
        with self._database.read() as connection:
            counted: int = connection.execute(
                select(func.count()).select_from(managed).where(managed.c.kind == kind)
            ).scalar_one()
            return counted

    def claim(self, kind: str, ids: Iterable[str], integration_id: str) -> None:
        """Afterwards the resources are managed, and nothing waits for an approval of them."""
        with self._database.record() as connection:
            for id in ids:
                claim(connection, kind, id, integration_id, self._now())

    def release(self, kind: str, id: str) -> None:
        """Afterwards the resource is not managed."""
        with self._database.record() as connection:
            connection.execute(delete(managed).where((managed.c.kind == kind) & (managed.c.resource_id == id)))

    def ask(self, kind: str, id: str, name: str, integration_id: str) -> bool:
        """Whether an operator has approved that this integration adopts the resource; if not, the resource is now among
        `waiting`: for this integration, or for the one that asked first and may still ask."""
        mine = (candidates.c.kind == kind) & (candidates.c.resource_id == id)
        asked = select(candidates.c.integration_id, candidates.c.approved_at)
        with self._database.record() as connection:
            row = connection.execute(asked.where(mine)).one_or_none()
            if row is not None and row.integration_id == integration_id:
                return row.approved_at is not None
            if row is not None and _is_live(connection, row.integration_id):
                return False
            values = {"name": name[:255], "integration_id": integration_id, "asked_at": self._now()}
            if row is not None:
                # Nobody has agreed to this integration yet.
                unchanged = mine & (candidates.c.integration_id == row.integration_id)
                connection.execute(update(candidates).where(unchanged).values(**values, approved_at=None))
            else:
                row_of = {"kind": kind, "resource_id": id, **values}
                connection.execute(_unless_there(connection.dialect.name, candidates, row_of))
        return False

    def waiting(self) -> list[Candidate]:
        """The resources that were asked for and are not adopted yet, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(candidates).order_by(candidates.c.asked_at, candidates.c.resource_id))
            return [_to_candidate(row) for row in rows]

    def approve(self, id: str) -> bool:
        """Afterwards the next request for that resource adopts it, if it comes from the integration that asked. False
        when nothing has asked for it."""
        with self._database.record() as connection:
            changed = connection.execute(
                update(candidates).where(candidates.c.resource_id == id).values(approved_at=self._now())
            )
            return changed.rowcount > 0

    def _now(self) -> int:
        return int(self._clock())


class RehearsedManaged(Managed):
    """The same, while nothing but a rehearsal is written: what is claimed is managed there only, as is what the
    rehearsal has created or retired, and that ends with it. Who asks for an approval still asks the operator."""

    lasting = False

    def __init__(self, database: Database, clock: Callable[[], float], rehearsal: Rehearsal) -> None:
        super().__init__(database, clock)
        self._rehearsal = rehearsal

    def among(self, kind: str, ids: Sequence[str]) -> frozenset[str]:
        found = super().among(kind, ids)
        rest = [id for id in ids if id not in found]
        ours = (id for id, copy in self._rehearsal.find(kind, rest).items() if _is_of_clients(copy))
        return found.union(self._rehearsal.claimed(kind, rest), ours)

    def claim(self, kind: str, ids: Iterable[str], integration_id: str) -> None:
        wanted = list(ids)
        known = self.among(kind, wanted)
        with self._rehearsal.writing() as writing:
            for id in wanted:
                if id not in known:
                    writing.claim(kind, id, integration_id)

    def release(self, kind: str, id: str) -> None:
        with self._rehearsal.writing() as writing:
            writing.release(kind, id)


def _is_of_clients(copy: Copy) -> bool:
    """Whether it is managed without a claim: as in the audit trail, what a client has created, and whom it has
    retired."""
    return copy.origin is Origin.NEW or (copy.fate is Fate.RETIRED and copy.origin is not Origin.RETIRED)


def claim_created(connection: Connection, resources: Sequence[tuple[str, str, str]], at: int) -> None:
    """Afterwards the new resources (kind, id, integration) are managed. `at` is in seconds since 1970."""
    rows = [{"kind": k, "resource_id": id, "integration_id": who, "since": at} for k, id, who in resources]
    if rows:
        connection.execute(_unless_there(connection.dialect.name, managed, None), rows)


def claim(connection: Connection, kind: str, id: str, integration_id: str, at: int) -> None:
    """Afterwards the resource is managed; who claimed it first stays. `at` is in seconds since 1970."""
    row = {"kind": kind, "resource_id": id, "integration_id": integration_id, "since": at}
    connection.execute(_unless_there(connection.dialect.name, managed, row))
    connection.execute(delete(candidates).where((candidates.c.kind == kind) & (candidates.c.resource_id == id)))


def _unless_there(dialect: str, table: Any, row: dict[str, Any] | None) -> Insert:
    """The statement that inserts the row, or with None those that it is executed with, where there is none."""
    if dialect == "postgresql":
        insert = postgresql.insert(table)
        return (insert if row is None else insert.values(row)).on_conflict_do_nothing()
    if dialect == "sqlite":
        lite = sqlite.insert(table)
        return (lite if row is None else lite.values(row)).on_conflict_do_nothing()
    maria = mysql.insert(table)
    return (maria if row is None else maria.values(row)).on_duplicate_key_update(kind=table.c.kind)


def _can_be_sent(text: str) -> bool:
    """No database driver takes a lone surrogate, and PostgreSQL takes no NUL."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _to_candidate(row: Row[Any]) -> Candidate:
    asked = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=row.asked_at)
    return Candidate(row.kind, row.resource_id, row.name, row.integration_id, asked, row.approved_at is not None)


def _is_live(connection: Connection, integration_id: str) -> bool:
    live = (integrations.c.id == integration_id) & integrations.c.revoked_at.is_(None)
    return connection.execute(select(integrations.c.id).where(live)).one_or_none() is not None
