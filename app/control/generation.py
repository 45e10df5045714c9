"""Reading the generation at next to no price, because every request of every worker asks for it."""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from app.control import sqlite
from app.control.errors import ControlUnavailable
from app.control.hanging import hung
from config.sql_url import sqlite_file

_SELECT = "SELECT value FROM generation"


class Spent(Exception):
    """The driver of a database server reported that the connection is of no more use."""


_FAULTS = (Spent, sqlite3.Error, SQLAlchemyError, OSError, TypeError)


class Watcher(Protocol):
    """A connection that only reads the generation. `read` raises one of _FAULTS when it is spent."""

    def read(self) -> int: ...

    def close(self) -> None: ...


class SqliteWatcher:
    """Asks SQLite whether any other connection, of this process or another, has committed; reads only then.

    `PRAGMA data_version` costs no page read. Its numbers mean something on one connection only, and a
    connection's own commits do not count, so this connection never writes.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._connection = sqlite.connect(path)
        self._file = self._identity()
        self._data_version = -1
        self._value = -1

    def read(self) -> int:
        # A file that was replaced (a backup put back) would never be noticed through the old descriptor.
        if self._identity() != self._file:
            raise FileNotFoundError(self._path)
        (data_version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if data_version != self._data_version:
            self._value = int(self._connection.execute(_SELECT).fetchone()[0])
            self._data_version = data_version
        return self._value

    def close(self) -> None:
        self._connection.close()

    def _identity(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_dev, status.st_ino


class ServerWatcher:
    """A connection in autocommit mode: one statement, one round trip, no snapshot that grows old.

    It speaks to the driver itself: around a statement this small, SQLAlchemy costs more than the round trip.
    """

    def __init__(self, engine: Engine) -> None:
        self._connection: Connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        # It stays out for as long as it works, so it must not count against the pool of the transactions.
        self._connection.detach()
        self._cursor = self._connection.connection.cursor()
        self._error: type[Exception] = engine.dialect.loaded_dbapi.Error

    def read(self) -> int:
        try:
            self._cursor.execute(_SELECT)
            row = self._cursor.fetchone()
        except self._error as error:
            raise Spent from error
        if row is None:
            raise Spent
        return int(row[0])

    def close(self) -> None:
        self._connection.close()


class GenerationReader:
    """Keeps as many watchers as there are threads that asked at the same time."""

    def __init__(self, url: str, engine: Engine) -> None:
        self._path = sqlite_file(url)
        self._engine = engine
        self._idle: deque[Watcher] = deque()

    def read(self) -> int:
        """The generation now. A connection that has died is replaced once; raises ControlUnavailable when that fails
        too, and when no answer came.
        """
        try:
            watcher = self._idle.pop()
        except IndexError:
            return self._read_anew()
        began = time.monotonic()
        try:
            value = watcher.read()
        except _FAULTS as error:
            in_vain = hung(began)
            _discard(watcher)
            # Whatever ended this connection has probably ended the pooled ones.
            self._engine.dispose()
            if in_vain:
                raise ControlUnavailable from error
            return self._read_anew()
        self._idle.append(watcher)
        return value

    def close(self) -> None:
        """Give back every connection that is not in use at this moment."""
        while self._idle:
            _discard(self._idle.pop())

    def _read_anew(self) -> int:
        watcher: Watcher | None = None
        try:
            watcher = SqliteWatcher(self._path) if self._path is not None else ServerWatcher(self._engine)
            value = watcher.read()
        except _FAULTS as error:
            if watcher is not None:
                _discard(watcher)
            raise ControlUnavailable from error
        self._idle.append(watcher)
        return value


def _discard(watcher: Watcher) -> None:
    try:
        watcher.close()
    except _FAULTS:
        return
