"""Watching the statements of a back end on their way to the driver."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import pymysql.cursors
from sqlalchemy import Engine, event

Callback = Callable[[Any, str, Any], None]


class Watch:
    """Calls each of `callbacks` with the driver's cursor, the text and the parameters before a statement is run.

    It must be made before the first connection of the engine. Several rows in one call count as one statement.
    """

    def __init__(self, engine: Engine) -> None:
        self.callbacks: list[Callback] = []
        event.listen(engine, "do_connect", self._watch_sqlite)
        event.listen(engine, "connect", self._watch_servers)

    def sent(self, call: Callable[[], object]) -> list[str]:
        """The text of the statements that a call sends."""
        texts: list[str] = []

        def record(_: Any, text: str, __: Any) -> None:
            texts.append(text)

        self.callbacks.append(record)
        try:
            call()
        finally:
            self.callbacks.remove(record)
        return texts

    def _watch_sqlite(self, dialect: Any, _: Any, __: Any, arguments: dict[str, Any]) -> None:
        if dialect.name == "sqlite":
            watched = self._cursor_class(sqlite3.Cursor, many=True)
            base: Any = arguments.get("factory", sqlite3.Connection)
            arguments["factory"] = type("Watched", (base,), {"cursor": lambda c: sqlite3.Connection.cursor(c, watched)})

    def _watch_servers(self, connection: Any, _: Any) -> None:
        if isinstance(connection, psycopg.Connection):
            connection.cursor_factory = self._cursor_class(connection.cursor_factory, many=True)
        elif not isinstance(connection, sqlite3.Connection):
            # Its executemany runs execute.
            connection.cursorclass = self._cursor_class(pymysql.cursors.Cursor, many=False)

    def _cursor_class(self, base: Any, *, many: bool) -> Any:
        def run(name: str) -> Callable[..., Any]:
            def watched(cursor: Any, text: Any, *parameters: Any) -> Any:
                # PyMySQL makes octets of a text with many rows.
                plain = text.decode(errors="replace") if isinstance(text, (bytes, bytearray)) else text
                for callback in list(self.callbacks):
                    callback(cursor, plain, *(parameters or (None,)))
                return getattr(base, name)(cursor, text, *parameters)

            return watched

        names = ("execute", "executemany") if many else ("execute",)
        return type("Watched", (base,), {name: run(name) for name in names})
