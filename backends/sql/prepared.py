"""Statements compiled once and then run on the driver's own cursor.

SQLAlchemy writes the SQL and converts values; what is left out is what it does again for each execution, which costs
several times as much as the statement itself (docs/decisions/0007-statements-run-on-the-driver.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, repeat
from typing import Any

from sqlalchemy import BindParameter, Engine, Insert, Select, Table, bindparam, insert
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.types import TypeEngine

Parameters = Mapping[str, Any]
Rows = list[tuple[Any, ...]]

_KEPT = 4000
_ROWS_AT_ONCE = 64
_TEXT_AT_ONCE = 2**20
_EXACTLY = 8
"""Up to so many rows a number of rows has its own statement, beyond it only powers of two have."""


class Prepared:
    """One statement in the driver's own form. Lists that `IN` compares with have the lengths it was made for."""

    def __init__(
        self, statement: ClauseElement, dialect: Dialect, keys: Sequence[str] | None, lengths: Mapping[str, int]
    ) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=keys)
        blanks = {name: [""] * length for name, length in lengths.items()}
        expanded = compiled.construct_expanded_state({**compiled.params, **blanks})
        self.text: str = expanded.statement
        self._fixed: dict[str, Any] = dict(expanded.parameters)
        self._order: list[str] | None = expanded.positiontup
        self._binders = _binders({n: b for n, b in compiled.binds.items() if n not in lengths}, dialect)
        self._lists = {name: [f"{name}_{n + 1}" for n in range(length)] for name, length in lengths.items()}
        self.reads = isinstance(statement, Select)
        self._types = [c.type for c in statement.selected_columns] if isinstance(statement, Select) else []
        self._dialect = dialect
        self._readers: list[tuple[int, Callable[[Any], Any]]] | None = None

    def arguments(self, parameters: Parameters) -> Any:
        """The parameters as the driver takes them."""
        given = {**self._fixed, **parameters}
        for name, places in self._lists.items():
            items = given.pop(name) or [None]
            # The list may be shorter than what was compiled: its last item is repeated, which changes nothing.
            given.update(zip(places, chain(items, repeat(items[-1])), strict=False))
        for name, convert in self._binders:
            given[name] = convert(given[name])
        return given if self._order is None else [given[name] for name in self._order]

    def rows(self, cursor: Any) -> Rows:
        """What the statement returned, with values as SQLAlchemy's types give them."""
        rows: Rows = cursor.fetchall()
        if self._readers is None:
            self._readers = _readers(self._types, cursor.description, self._dialect)
        if not self._readers:
            return rows
        for place, convert in self._readers:
            rows = [
                row if row[place] is None else (*row[:place], convert(row[place]), *row[place + 1 :]) for row in rows
            ]
        return rows


class Outcome:
    """The rows that a statement returned, and how many it changed."""

    __slots__ = ("rowcount", "rows")

    def __init__(self, rows: Rows, rowcount: int) -> None:
        self.rows = rows
        self.rowcount = rowcount

    def first(self) -> tuple[Any, ...] | None:
        """The first row, if there is one."""
        return self.rows[0] if self.rows else None


class Session:
    """Runs prepared statements on one connection. Raises SQLAlchemy's DBAPIError, as SQLAlchemy itself would, and tells
    those who listen to its events `before_cursor_execute` and `after_cursor_execute` of each statement. All run on one
    cursor, from the first until `close`: drivers spend a quarter of a short statement on a new one."""

    def __init__(self, connection: PoolProxiedConnection, prepare: Prepare) -> None:
        self.connection = connection
        self.engine = prepare.engine
        self.dialect = prepare.engine.dialect
        self._prepare = prepare
        self._cursor: Any = None

    def close(self) -> None:
        """No more statements."""
        if self._cursor is not None:
            self._cursor.close()

    def execute(self, statement: ClauseElement, parameters: Parameters) -> Outcome:
        """Run a statement once."""
        prepared = self._prepare(statement, parameters)
        # psycopg makes its description of the columns afresh whenever it is asked whether there are any.
        return self._run(prepared.text, prepared.arguments(parameters), prepared if prepared.reads else None)

    def insert(self, table: Table, rows: Sequence[Parameters]) -> None:
        """Insert rows, many with one statement. A column that only some of them have is NULL in the others."""
        columns = tuple(dict.fromkeys(chain.from_iterable(rows)))
        for some in _pieces(rows):
            statement = self._prepare.insertion(table, columns, len(some))
            given = {f"{name}_{n}": row.get(name) for n, row in enumerate(some) for name in columns}
            self.execute(statement, given)

    def command(self, text: str) -> None:
        """Run a text without parameters, such as COMMIT."""
        self._run(text, (), None)

    def _run(self, text: str, arguments: Any, returning: Prepared | None) -> Outcome:
        if self._cursor is None:
            self._cursor = self.connection.cursor()
        cursor = self._cursor
        heard = self.engine.dispatch
        for tell in heard.before_cursor_execute:
            tell(self, cursor, text, arguments, None, False)
        try:
            cursor.execute(text, arguments)
            for tell in heard.after_cursor_execute:
                tell(self, cursor, text, arguments, None, False)
            rows = returning.rows(cursor) if returning is not None else []
            return Outcome(rows, cursor.rowcount)
        except self._prepare.driver_error as error:
            raise self._prepare.reported(error, text, self.connection) from error


class Prepare:
    """Gives the prepared form of a statement object, made when it is first asked for."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._dialect = engine.dialect
        self._made = lru_cache(_KEPT)(self._make)
        self._expanding = lru_cache(_KEPT)(_expanding_names)
        self.insertion = lru_cache(_KEPT)(_insertion)

    def __call__(self, statement: ClauseElement, parameters: Parameters) -> Prepared:
        names = self._expanding(statement)
        lengths = tuple((name, _rounded(len(parameters[name]))) for name in names) if names else ()
        keys = None if isinstance(statement, Select) else tuple(parameters)
        return self._made(statement, keys, lengths)

    @property
    def driver_error(self) -> type[Exception]:
        """Base of the driver's exceptions."""
        error: type[Exception] = self._dialect.loaded_dbapi.Error
        return error

    def reported(self, error: Any, text: str | None, connection: PoolProxiedConnection | None) -> Exception:
        """The SQLAlchemy exception of a driver's exception; a connection that has died is given up."""
        lost = connection is not None and self._dialect.is_disconnect(error, connection.driver_connection, None)
        if lost and connection is not None:
            connection.invalidate(error)
        translated: Exception = DBAPIError.instance(text, None, error, self.driver_error, True, lost, self._dialect)
        return translated

    def _make(
        self, statement: ClauseElement, keys: tuple[str, ...] | None, lengths: tuple[tuple[str, int], ...]
    ) -> Prepared:
        return Prepared(statement, self._dialect, keys, dict(lengths))


def _insertion(table: Table, columns: tuple[str, ...], count: int) -> Insert:
    """Inserts that many rows; the parameter of a column in the row `n`, from 0 on, is `column_n`."""
    types = {name: table.c[name].type for name in columns}
    rows = [{name: bindparam(f"{name}_{n}", type_=types[name]) for name in columns} for n in range(count)]
    return insert(table).values(rows)


def _pieces(rows: Sequence[Parameters]) -> Iterator[Sequence[Parameters]]:
    """The rows in few pieces, of few different lengths; of much text one by one, for a server takes only so much with
    a statement."""
    if len(rows) > 1 and sum(len(v) for row in rows for v in row.values() if isinstance(v, str)) > _TEXT_AT_ONCE:
        yield from ((row,) for row in rows)
        return
    start = 0
    while rest := len(rows) - start:
        length = rest if rest <= _EXACTLY else min(_ROWS_AT_ONCE, 1 << (rest.bit_length() - 1))
        yield rows[start : start + length]
        start += length


def _expanding_names(statement: ClauseElement) -> tuple[str, ...]:
    """The parameters whose values are lists that the caller gives."""
    binds = (e for e in iterate(statement) if isinstance(e, BindParameter))
    return tuple(dict.fromkeys(b.key for b in binds if b.expanding and b.value is None))


def _rounded(length: int) -> int:
    """The next power of two, so that few lengths are compiled."""
    return 1 << max(length - 1, 0).bit_length()


def _binders(binds: Mapping[str, BindParameter[Any]], dialect: Dialect) -> list[tuple[str, Callable[[Any], Any]]]:
    found = ((name, bind.type.dialect_impl(dialect).bind_processor(dialect)) for name, bind in binds.items())
    return [(name, convert) for name, convert in found if convert is not None]


def _readers(
    types: Sequence[TypeEngine[Any]], description: Any, dialect: Dialect
) -> list[tuple[int, Callable[[Any], Any]]]:
    found: list[tuple[int, Callable[[Any], Any]]] = []
    for place, kind in enumerate(types):
        convert = kind.dialect_impl(dialect).result_processor(dialect, description[place][1])
        if convert is not None:
            found.append((place, convert))
    return found
