"""Connections to PostgreSQL that do not wait for ever."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.pq import TransactionStatus


class _BoundedConnection(psycopg.Connection[Any]):
    """A connection on which no answer is awaited for longer than `answer_seconds`; it is closed when that passes,
    because libpq itself waits for a hung server for ever."""

    answer_seconds: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, timeout if timeout is not None else self.answer_seconds)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise


def connect(arguments: dict[str, Any], answer_seconds: float) -> psycopg.Connection[Any]:
    """A connection on which no answer is awaited for longer than that. Raises psycopg.Error."""
    connection = _BoundedConnection.connect(**arguments)
    connection.answer_seconds = answer_seconds
    return connection
