"""Counts what SQL back ends ask of their databases: statements, and rows that were read.

On SQLite also the steps of its virtual machine: they tell of work inside a statement that returns nothing.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakSet

from sqlalchemy import event
from sqlalchemy.engine import Engine

_totals: Counter[str] = Counter()


class _CountingCursor(sqlite3.Cursor):
    """Counts the rows that are fetched: sqlite3 does not know how many a query has."""

    def fetchone(self) -> Any:
        row = super().fetchone()
        _totals["rows"] += row is not None
        return row

    def fetchall(self) -> list[Any]:
        rows = super().fetchall()
        _totals["rows"] += len(rows)
        return rows

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        rows = super().fetchmany(size)
        _totals["rows"] += len(rows)
        return rows


class _CountingConnection(sqlite3.Connection):
    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or _CountingCursor)

    def close(self) -> None:
        _connections.discard(self)
        super().close()


_connections: WeakSet[_CountingConnection] = WeakSet()


@event.listens_for(Engine, "do_connect")
def _count_in_sqlite(dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
    if dialect.name == "sqlite":
        parameters["factory"] = _CountingConnection


@event.listens_for(Engine, "connect")
def _remember(connection: Any, _record: Any) -> None:
    if isinstance(connection, _CountingConnection):
        _connections.add(connection)


@event.listens_for(Engine, "after_cursor_execute")
def _count(_connection: Any, cursor: Any, _statement: str, parameters: Any, _context: Any, executemany: bool) -> None:
    _totals["statements"] += len(parameters) if executemany else 1
    if cursor.description is not None and not isinstance(cursor, _CountingCursor):
        _totals["rows"] += max(cursor.rowcount, 0)


def measure(call: Callable[[], Any]) -> Mapping[str, int]:
    """What a call makes the databases of this process do, over connections that are open already."""
    before = Counter(_totals)
    _watch(_count_step)
    try:
        call()
    finally:
        _watch(None)
    return {what: _totals[what] - before[what] for what in ("statements", "rows", "steps")}


def _watch(handler: Callable[[], int] | None) -> None:
    for connection in _connections:
        connection.set_progress_handler(handler, 1)


def _count_step() -> int:
    _totals["steps"] += 1
    return 0
