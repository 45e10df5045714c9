"""Connections and transactions. Every connection is in autocommit mode, so that a read costs one statement; a
transaction that writes is begun and ended here."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql import ClauseElement

from backends.errors import StoreError, Unavailable
from backends.sql import dialects
from backends.sql.dialects import Dialect, Timeouts
from backends.sql.faults import Faults, code_of, is_contention, is_lost_connection
from backends.sql.prepared import Parameters, Prepare, Rows, Session

if TYPE_CHECKING:
    from backends.sql.trying import Trying

T = TypeVar("T")

_TRIES = 6
_FIRST_PAUSE_SECONDS = 0.01
_NO_DATABASE = ("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_CORRUPT")
"""What SQLite says of a file that is none of its own, or is damaged."""


class Contended(Exception):
    """Raised by the work of a transaction that saw another one's half: it is rolled back and tried again."""


class Database:
    """Runs statements; raises nothing but StoreErrors, and what the work of a transaction raises itself."""

    def __init__(self, url: str, faults: Faults, timeouts: Timeouts, pool_size: int) -> None:
        self.engine = open_engine(url, timeouts, pool_size)
        self.dialect = dialects.of(self.engine.url)
        self._prepare = Prepare(self.engine)
        self._faults = faults
        self._timeouts = timeouts
        self._writer = threading.Lock() if self.dialect.single_writer else None
        self._own = _Own()

    @contextmanager
    def together(self, *, changes: bool = False) -> Iterator[None]:
        """One connection serves what this thread does in the block, from its first statement on. With `changes` it has
        the turn to write, where there are turns.

        A change that queues for its turn from the start costs less CPU than one that queues in the middle: the threads
        of a process then do not contend for the interpreter around each call of SQLite.
        """
        own = self._own
        own.depth += 1
        try:
            with self._turn() if changes else nullcontext():
                yield
        finally:
            own.depth -= 1
            if not own.depth and own.connection is not None:
                connection, own.connection = own.connection, None
                connection.close()

    def read(self, statement: ClauseElement, parameters: Parameters) -> Rows:
        """Every row of one statement, from one snapshot. A connection that had died meanwhile is replaced once."""
        try:
            try:
                return self._fetch(statement, parameters)
            except DBAPIError as error:
                if not is_lost_connection(error):
                    raise
                self.engine.dispose()
                return self._fetch(statement, parameters)
        except SQLAlchemyError as error:
            raise self._translated(error) from error

    def write(self, work: Callable[[Session], T]) -> T:
        """The result of `work`, all of whose statements are committed; none is when anything is raised.

        `work` may run several times: again after a deadlock, and after a connection turned out to be dead.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                with self._turn():
                    return self._transaction(work)
            except (DBAPIError, Contended) as error:
                if attempt == _TRIES or not _worth_another_try(error, attempt):
                    raise self._reported(error) from error
                if isinstance(error, DBAPIError) and is_lost_connection(error):
                    self.engine.dispose()
            except SQLAlchemyError as error:
                raise self._translated(error) from error
            time.sleep(random.uniform(0, _FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311
        raise Unavailable

    @contextmanager
    def trying(self) -> Iterator[Trying]:
        """The database within a transaction that is rolled back at the end of the block."""
        # Not at the top: what it gives is a database.
        from backends.sql.trying import trying  # noqa: PLC0415

        with self._turn(), trying(self, self._prepare, self._faults) as database:
            yield database

    def migrate(self, work: Callable[[Connection], None]) -> None:
        """Do `work` in one transaction, where the database can."""
        try:
            with self._turn(), self.engine.connect() as connection:
                connection.exec_driver_sql(self.dialect.begin)
                try:
                    work(connection)
                    connection.exec_driver_sql("COMMIT")
                except BaseException:
                    connection.exec_driver_sql("ROLLBACK")
                    raise
        except SQLAlchemyError as error:
            raise self._translated(error) from error

    def _fetch(self, statement: ClauseElement, parameters: Parameters) -> Rows:
        connection = self._connect()
        session = Session(connection, self._prepare)
        try:
            return session.execute(statement, parameters).rows
        finally:
            session.close()
            self._give_back(connection)

    def _transaction(self, work: Callable[[Session], T]) -> T:
        connection = self._connect()
        session = Session(connection, self._prepare)
        try:
            session.command(self.dialect.begin)
            try:
                result = work(session)
            except BaseException:
                _roll_back(session, connection)
                raise
            self._commit(session, connection)
            return result
        finally:
            session.close()
            self._give_back(connection)

    def _connect(self) -> PoolProxiedConnection:
        own = self._own
        if own.connection is not None and own.connection.is_valid:
            return own.connection
        try:
            connection = self.engine.raw_connection()
        except self._prepare.driver_error as error:
            raise self._prepare.reported(error, None, None) from error
        if own.depth:
            own.connection = connection
        return connection

    def _give_back(self, connection: PoolProxiedConnection) -> None:
        if connection is not self._own.connection:
            connection.close()

    def _commit(self, session: Session, connection: PoolProxiedConnection) -> None:
        try:
            session.command("COMMIT")
        except DBAPIError as error:
            _roll_back(session, connection)
            # Whether it was committed is not known, so it must not be done again.
            raise self._translated(error) from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Threads queue for SQLite's only write lock here, where they are woken; SQLite itself would poll."""
        own = self._own
        if self._writer is None or own.writes:
            yield
            return
        if not self._writer.acquire(timeout=self._timeouts.statement):
            raise Unavailable
        own.writes = True
        try:
            yield
        finally:
            own.writes = False
            self._writer.release()

    def _reported(self, error: DBAPIError | Contended) -> Exception:
        return Unavailable(1) if isinstance(error, Contended) else self._translated(error)

    def _translated(self, error: SQLAlchemyError) -> StoreError:
        """The fact that the exception reports; of a file that can't be used it names which."""
        code = code_of(error) if isinstance(error, DBAPIError) else None
        if not isinstance(code, str) or not code.startswith(_NO_DATABASE):
            return self._faults.translate(error)
        fault = Unavailable()
        fault.args = (f"{self.engine.url.database} cannot be used as a SQLite database",)
        return fault


class _Own(threading.local):
    """What one thread keeps from one statement to the next: a connection, within `depth` blocks of `together`, and the
    turn to write."""

    depth = 0
    writes = False
    connection: PoolProxiedConnection | None = None


def open_engine(url: str, timeouts: Timeouts, pool_size: int) -> Engine:
    """An engine whose connections are in autocommit mode and end their statements in time."""
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeouts.statement,
        pool_use_lifo=True,
        pool_reset_on_return=None,
        hide_parameters=True,
    )
    dialect = dialects.of(engine.url)
    dialects.make_file(engine.url)
    _listen(engine, dialect, timeouts)
    return engine


def _listen(engine: Engine, dialect: Dialect, timeouts: Timeouts) -> None:
    @event.listens_for(engine, "do_connect")
    def connect(_: Any, __: Any, ___: Any, arguments: dict[str, Any]) -> Any:
        arguments.update({**dialect.arguments(timeouts), **arguments})
        return dialect.connect(timeouts, arguments) if dialect.connect else None

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for statement in dialect.session(timeouts):
            cursor.execute(statement)
        cursor.close()


def _worth_another_try(error: DBAPIError | Contended, attempt: int) -> bool:
    if isinstance(error, Contended) or is_contention(error):
        return True
    return attempt == 1 and is_lost_connection(error)


def _roll_back(session: Session, connection: PoolProxiedConnection) -> None:
    """The connection is given up where even this fails: the server ends its transaction then."""
    if not connection.is_valid:
        return
    try:
        session.command("ROLLBACK")
    except DBAPIError:
        connection.invalidate()
