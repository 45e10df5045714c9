"""A trial: changes are made in one transaction that is rolled back, and the statements are kept as text."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql import ClauseElement

from backends.errors import Unavailable
from backends.sql.database import Contended, Database
from backends.sql.faults import Faults
from backends.sql.prepared import Outcome, Parameters, Prepare, Prepared, Rows, Session

T = TypeVar("T")

_WRITES = ("INSERT", "UPDATE", "DELETE")
_TRIES = 6
_SAVEPOINT = "landfall_trial"


class _Kept(Session):
    """A session that keeps the text of each statement that writes, with its parameters as literals."""

    def __init__(self, connection: PoolProxiedConnection, prepare: Prepare, literal: Callable[[str, Any], str]) -> None:
        super().__init__(connection, prepare)
        self.statements: list[str] = []
        self._literal = literal

    def _run(self, text: str, arguments: Any, returning: Prepared | None) -> Outcome:
        outcome = super()._run(text, arguments, returning)
        if text.lstrip().upper().startswith(_WRITES):
            self.statements.append(f"{self._literal(text, arguments)};")
        return outcome


class Trying(Database):
    """The database within one transaction, which nobody else sees. Used by one thread."""

    def __init__(self, inner: Database, session: _Kept, faults: Faults) -> None:
        self.engine = inner.engine
        self.dialect = inner.dialect
        self._session = session
        self._reports = faults

    @contextmanager
    def together(self, *, changes: bool = False) -> Iterator[None]:
        """Everything is on one connection anyway."""
        del changes
        yield

    def read(self, statement: ClauseElement, parameters: Parameters) -> Rows:
        """Every row of one statement, with what was changed before."""
        try:
            return self._session.execute(statement, parameters).rows
        except SQLAlchemyError as error:
            raise self._reports.translate(error) from error

    def write(self, work: Callable[[Session], T]) -> T:
        """The result of `work`; nothing of it is left when anything is raised. As in any database it may run several
        times."""
        for _ in range(_TRIES):
            try:
                return self._attempt(work)
            except Contended:
                continue
            except DBAPIError as error:
                raise self._reports.translate(error) from error
        raise Unavailable(1)

    def _attempt(self, work: Callable[[Session], T]) -> T:
        before = len(self._session.statements)
        self._session.command(f"SAVEPOINT {_SAVEPOINT}")
        try:
            result = work(self._session)
        except BaseException:
            del self._session.statements[before:]
            self._session.command(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
            raise
        self._session.command(f"RELEASE SAVEPOINT {_SAVEPOINT}")
        return result

    def taken(self) -> list[str]:
        """The statements since it was called last."""
        statements, self._session.statements = self._session.statements, []
        return statements


@contextmanager
def trying(inner: Database, prepare: Prepare, faults: Faults) -> Iterator[Trying]:
    """A database in a transaction that is rolled back at the end of the block; no other one writes to SQLite
    meanwhile."""
    connection = inner.engine.raw_connection()
    session = _Kept(connection, prepare, _literally(inner.engine.dialect.name, connection))
    try:
        session.command(inner.dialect.begin)
        yield Trying(inner, session, faults)
    except DBAPIError as error:
        raise faults.translate(error) from error
    finally:
        try:
            session.command("ROLLBACK")
        except DBAPIError:
            connection.invalidate()
        session.close()
        connection.close()


def _literally(name: str, connection: PoolProxiedConnection) -> Callable[[str, Any], str]:
    """What gives a statement with its parameters in it, as the driver writes them."""
    driver: Any = connection.driver_connection
    if name == "postgresql":
        # Not at the top: who has no PostgreSQL need not have its driver.
        from psycopg import ClientCursor  # noqa: PLC0415

        return lambda text, arguments: str(ClientCursor(driver).mogrify(text, arguments))
    if name == "sqlite":
        return _of_sqlite
    return lambda text, arguments: str(driver.cursor().mogrify(text, arguments))


def _of_sqlite(text: str, arguments: Any) -> str:
    """SQLite itself writes each value; marks in the text of these statements are all of parameters."""
    pieces = text.split("?")
    quoting = sqlite3.connect(":memory:")
    try:
        values = [quoting.execute("SELECT quote(?)", (value,)).fetchone()[0] for value in arguments]
    finally:
        quoting.close()
    rest = [f"{value}{piece}" for value, piece in zip(values, pieces[1:], strict=True)]
    return "".join([pieces[0], *rest])
