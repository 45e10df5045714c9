"""The engine of the control store: transactions, faults, and the generation that every request asks for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, update
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidatePoolError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from app.control import sqlite
from app.control.errors import ControlUnavailable
from app.control.generation import GenerationReader
from app.control.hanging import hung
from app.control.tables import generation
from config.sql_url import sqlite_file

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 15
_WRITES = "landfall_writes"
_USED = "landfall_used"


class Database:
    """Transactions on one SQL database, which is opened with the first of them.

    Safe for use by several threads; not to be carried through a fork once used. A database that went away is
    found again by the next transaction.
    """

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url)
        self._writing = self._engine.execution_options(**{_WRITES: True})
        self._generation = GenerationReader(url, self._engine)

    def generation(self) -> int:
        """The number of decisive changes so far; see ControlStore.generation."""
        return self._generation.read()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads. Raises ControlUnavailable."""
        with translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that counts as a decisive change; writers follow one another.

        Raises ControlUnavailable, and IntegrityError for a value that must be unique; then nothing has
        changed.
        """
        with translated(), self._writing.begin() as connection:
            connection.execute(update(generation).values(value=generation.c.value + 1))
            yield connection

    @contextmanager
    def record(self) -> Iterator[Connection]:
        """A transaction that writes what decides nothing: the generation stays, and only writers of one row (on SQLite
        all) follow one another. Raises what `write` raises.
        """
        with translated(), self._writing.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give back every connection."""
        self._generation.close()
        self._engine.dispose()


@contextmanager
def translated() -> Iterator[None]:
    """Turn what a database driver reports into ControlUnavailable, except a violated constraint."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeout) as error:
        raise ControlUnavailable from error
    except SQLAlchemyError as error:
        raise ControlUnavailable("the control store gave an unexpected answer") from error


def make_engine(url: str, *, statement_seconds: int = STATEMENT_SECONDS) -> Engine:
    """An engine whose connections behave alike on all databases: time limits, READ COMMITTED or serial
    writers.

    A SQLite file that is missing is a fault, not a new and empty store.
    """
    path = sqlite_file(url)
    if path is not None:
        engine = create_engine(url, creator=lambda: sqlite.connect(path))
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(
        url,
        pool_size=5,
        max_overflow=20,
        pool_timeout=CONNECT_SECONDS,
        isolation_level="READ COMMITTED",
        connect_args=_server_arguments(url, statement_seconds),
    )
    event.listen(engine, "do_connect", _connecting(url, statement_seconds))
    event.listen(engine, "checkout", _trying(engine))
    return engine


def _trying(engine: Engine) -> Callable[..., None]:
    """What tries a connection that was used before, so that one that has died is replaced: as `pool_pre_ping` does,
    which would also wait for a server that hangs a second time."""
    dialect = engine.dialect

    def check_out(connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
        if not record.info.get(_USED):
            record.info[_USED] = True
            return
        began = time.monotonic()
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            if hung(began):
                # Those that are not used at present would be waited for as long, one after the other.
                engine.dispose()
                raise
            raise InvalidatePoolError from error

    return check_out


def _connecting(url: str, seconds: int) -> Callable[..., Any]:
    """What makes a connection to a server; no answer on it is awaited much longer than that."""
    is_postgresql = make_url(url).get_backend_name() == "postgresql"

    def connect(library: Any, _: Any, given: Any, arguments: dict[str, Any]) -> Any:
        if is_postgresql:
            # Not at the top: who has no PostgreSQL need not have its driver.
            from app.control import postgresql  # noqa: PLC0415

            return postgresql.connect(arguments, seconds)
        try:
            return library.connect(*given, **arguments)
        except (AttributeError, OSError, TypeError, ValueError) as error:
            # PyMySQL says so of an option in the address that it does not know, or whose file can't be read.
            raise library.loaded_dbapi.OperationalError(f"the options in the address can't be used: {error}") from error

    return connect


def _begin_sqlite(connection: Connection) -> None:
    # A reader that turns writer can be refused at once; a writer from the start waits its turn.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _server_arguments(url: str, seconds: int) -> dict[str, Any]:
    if make_url(url).get_backend_name() == "postgresql":
        return {
            "connect_timeout": CONNECT_SECONDS,
            "options": f"-c statement_timeout={seconds}s -c timezone=UTC",
            # Notices a machine that is gone without a word; that of a server that hangs goes on to acknowledge.
            "tcp_user_timeout": STATEMENT_SECONDS * 1000,
        }
    return {"connect_timeout": CONNECT_SECONDS, "read_timeout": seconds, "write_timeout": seconds}
