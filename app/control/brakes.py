"""How much of what does harm each integration has done of late, and whom a brake has stopped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite

from app.control.database import Database
from app.control.models import Brake, Spent
from app.control.tables import brakes, spent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Brakes:
    """Counts by integration, effect and minute, alike for all processes. Every method may raise ControlUnavailable, and
    none makes a change that counts for `ControlStore.generation`."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def spend(
        self, integration_id: str, effect: str, count: int, *, limit: int, minutes: int, applies: bool = True
    ) -> Spent:
        """Whether the integration may have `count` more of the effect: not when it has then had more than `limit` in
        the last `minutes`. The brake is applied then, and stays until it is released; without `applies` nothing is
        changed then."""
        minute = int(self._clock() // 60)
        with self._database.record() as connection:
            if _is_applied(connection, integration_id, effect):
                return Spent.APPLIED
            _count(connection, integration_id, effect, minute, count)
            oldest = minute - minutes
            connection.execute(delete(spent).where(_of(spent, integration_id, effect) & (spent.c.minute <= oldest)))
            total: int = connection.execute(
                select(func.sum(spent.c.count)).where(_of(spent, integration_id, effect))
            ).scalar_one()
            if total <= limit:
                return Spent.ALLOWED
            if not applies:
                _count(connection, integration_id, effect, minute, -count)
                return Spent.EXCEEDS
            # Another process may have applied it until this one's count was its turn.
            before = _is_applied(connection, integration_id, effect)
            row = {
                "integration_id": integration_id,
                "effect": effect,
                "applied_at": int(self._clock()),
                "limit_at": limit,
            }
            connection.execute(_insert(connection.dialect.name, brakes, row, {"applied_at": brakes.c.applied_at}))
        return Spent.APPLIED if before else Spent.APPLIES

    def give_back(self, integration_id: str, effect: str, count: int, *, age: float = 0.0) -> None:
        """So many of what was spent `age` seconds ago have not come about, and count no more. When less was counted in
        any minute until then, because of a release, nothing changes."""
        minute = int((self._clock() - age) // 60)
        known = _of(spent, integration_id, effect) & (spent.c.minute <= minute) & (spent.c.count >= count)
        with self._database.record() as connection:
            latest = connection.execute(select(func.max(spent.c.minute)).where(known)).scalar_one()
            if latest is not None:
                # Another process may have given back in between.
                where = known & (spent.c.minute == latest)
                connection.execute(update(spent).where(where).values(count=spent.c.count - count))

    def spent(self, minutes: int) -> dict[tuple[str, str], int]:
        """How much of each effect each integration has had in the last `minutes`, by integration and effect."""
        oldest = int(self._clock() // 60) - minutes
        statement = (
            select(spent.c.integration_id, spent.c.effect, func.sum(spent.c.count))
            .where(spent.c.minute > oldest)
            .group_by(spent.c.integration_id, spent.c.effect)
        )
        with self._database.read() as connection:
            return {(who, effect): int(count) for who, effect, count in connection.execute(statement)}

    def applied(self) -> list[Brake]:
        """The brakes that are applied, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(brakes).order_by(brakes.c.applied_at, brakes.c.integration_id))
            return [
                Brake(r.integration_id, r.effect, _EPOCH + timedelta(seconds=r.applied_at), r.limit_at) for r in rows
            ]

    def release(self, integration_id: str, effect: str | None = None) -> int:
        """How many brakes of the integration were released; what it has spent so far counts no more."""
        with self._database.record() as connection:
            connection.execute(delete(spent).where(_of(spent, integration_id, effect)))
            return connection.execute(delete(brakes).where(_of(brakes, integration_id, effect))).rowcount


def _of(table: Any, integration_id: str, effect: str | None) -> ColumnElement[bool]:
    mine: ColumnElement[bool] = table.c.integration_id == integration_id
    return mine if effect is None else mine & (table.c.effect == effect)


def _is_applied(connection: Connection, integration_id: str, effect: str) -> bool:
    statement = select(brakes.c.effect).where(_of(brakes, integration_id, effect))
    return connection.execute(statement).first() is not None


def _count(connection: Connection, integration_id: str, effect: str, minute: int, count: int) -> None:
    row = {"integration_id": integration_id, "effect": effect, "minute": minute, "count": count}
    connection.execute(_insert(connection.dialect.name, spent, row, {"count": spent.c.count + count}))


def _insert(dialect: str, table: Any, row: dict[str, Any], otherwise: dict[str, Any]) -> Any:
    """The row, or where there is one of that key, these changes of it."""
    keys = [column.name for column in table.primary_key.columns]
    if dialect == "postgresql":
        return postgresql.insert(table).values(row).on_conflict_do_update(index_elements=keys, set_=otherwise)
    if dialect == "sqlite":
        return sqlite.insert(table).values(row).on_conflict_do_update(index_elements=keys, set_=otherwise)
    return mysql.insert(table).values(row).on_duplicate_key_update(**otherwise)
